/* signals eval, signals predict */
#include "apps/common/command.h"
#include "apps/common/folder.h"
#include "apps/signals/signals.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct eval_options {
    const char *model, *task, *data, *labels, *part, *out;
    int count;
} eval_options;

/* A context with the model, and the signals as it sees them. */
static bool open_both(tsr_model *m, signal_set *s, const eval_options *o, app_error *error)
{
    signal_form form;
    signal_set like = {0};
    if (!o->model) return app_fail(error, "--model FILE is wanted");
    if (!tsr_model_load(m, o->model, NULL)) return app_fail(error, "%s", tsr_error(tsr_model_context(m)));
    if (!signal_form_of(&form, m, error)) return false;
    like.classes = form.classes;
    like.shape = form.shape;
    memcpy(like.names, form.names, sizeof like.names);
    if (o->data) {
        if (!signals_read(s, &(signal_source){o->data, o->labels, o->part}, &like, error)) return false;
    } else {
        const signal_task *task = signal_task_find(o->task, error);
        if (!task || !signals_make(s, task, o->part, o->count > 0 ? o->count : task->count / 2, error)) return false;
        if (!tsr_same_shape(s->shape, form.shape) || s->classes != form.classes)
            return app_fail(error, "%s: was trained on signals of shape %s, not on those of --task %s", o->model,
                            tsr_shape_text(form.shape).text, o->task);
    }
    signal_prepare(s, &form);
    return true;
}

static bool evaluate(tsr_model *m, const signal_set *s, const eval_options *o, app_error *error)
{
    if (!s->labels) return app_fail(error, "%s: holds no labels", o->data);
    return (!o->out || folder_make(o->out, error)) && judge_and_tell(m, NULL, s, o->out, error);
}

static bool predict(tsr_model *m, const signal_set *s, const eval_options *o, app_error *error)
{
    image sheet = {0};
    tsr_real *scores = malloc((size_t)(s->count * s->classes) * sizeof *scores);
    bool done = (scores || app_fail(error, "out of memory")) && net_scores(scores, m, s, error);
    for (int i = 0; done && i < s->count; i++) {
        const tsr_real *row = scores + i * s->classes;
        double sum = 0;
        int said = 0;
        for (int k = 1; k < s->classes; k++)
            if (row[k] > row[said]) said = k;
        for (int k = 0; k < s->classes; k++) sum += exp((double)(row[k] - row[said]));
        printf("%d: %s %.3f\n", i + 1, s->names[said], 1 / sum);
    }
    if (done && o->out)
        done = draw_looked_at(&sheet, m, s, "What the net looked at", error) && image_write(&sheet, o->out, error);
    image_free(&sheet);
    free(scores);
    return done;
}

typedef bool (*eval_work)(tsr_model *m, const signal_set *s, const eval_options *o, app_error *error);

/* Both verbs have the same options, the last apart. */
static int run_eval(command *c, int count, char **arguments, option out, eval_work work)
{
    eval_options o = {.task = "heartbeat", .part = "test"};
    out.value = &o.out;
    const option options[] = {
        {"model", OPTION_TEXT, &o.model, "what signals train has saved", "FILE", 0, 0, NULL},
        {"task", OPTION_TEXT, &o.task, "built-in signals", NULL, 0, 0, "heartbeat|nodule|motion"},
        {"data", OPTION_TEXT, &o.data, "own signals instead: .npz, .npy, or a table, label first", "FILE", 0, 0, NULL},
        {"labels", OPTION_TEXT, &o.labels, "their labels, where they are not in the same file", "FILE", 0, 0, NULL},
        {"count", OPTION_INT, &o.count, "built-in signals; 0: half as many as train makes", "N", 0, 100000, NULL},
        {"part", OPTION_TEXT, &o.part, "of built-in signals or an .npz", NULL, 0, 0, "train|val|test"},
        out,
    };
    c->program = "signals";
    c->options = options;
    c->option_count = (int)(sizeof options / sizeof *options);
    const int status = command_start(c, count, arguments);
    if (status != COMMAND_GO) return status;
    app_error error = {""};
    signal_set s = {0};
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    const bool done = (m || app_fail(&error, "out of memory")) && open_both(m, &s, &o, &error) &&
                      work(m, &s, &o, &error);
    signals_free(&s);
    tsr_close(ctx);
    if (!done) fprintf(stderr, "signals %s: %s\n", c->verb, error.text);
    return done ? 0 : 1;
}

int signals_eval(int count, char **arguments)
{
    command c = {.verb = "eval", .summary = "Judges a trained net: share that is right, AUC, confusion."};
    const option out = {"out", OPTION_TEXT, NULL, "folder for confusion.png and looked-at.png", "FOLDER", 0, 0, NULL};
    return run_eval(&c, count, arguments, out, evaluate);
}

int signals_predict(int count, char **arguments)
{
    command c = {.verb = "predict", .summary = "Says the class of each signal, and how likely it is."};
    const option out = {"picture", OPTION_TEXT, NULL, "shows what the net looked at in the first ones", "FILE", 0, 0,
                        NULL};
    return run_eval(&c, count, arguments, out, predict);
}
