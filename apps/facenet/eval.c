/* facenet eval: LFW's protocol on people never trained on, next to what raw pixels and eigenfaces reach. */
#include "apps/facenet/facenet.h"

#include "apps/common/command.h"
#include "apps/common/folder.h"
#include "apps/common/plot.h"
#include "apps/common/protocol.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef struct eval_options {
    portraits_request faces;
    const char *model, *pairs, *out;
    int threads;
} eval_options;

static int parse(eval_options *o, int count, char **arguments)
{
    const option own[] = {
        {"model", OPTION_TEXT, &o->model, "what facenet train has made", "FILE", 0, 0, NULL},
        {"pairs", OPTION_TEXT, &o->pairs, "list of pairs in LFW's layout; without it 10 folds of up to 300 + 300 are drawn",
         "FILE", 0, 0, NULL},
        {"threads", OPTION_INT, &o->threads, "0: all; changes no result", "N", 0, 1024, NULL},
        {"out", OPTION_TEXT, &o->out, "folder for roc.png", "DIR", 0, 0, NULL},
    };
    option options[PORTRAITS_OPTIONS + sizeof own / sizeof *own];
    portraits_options(options, &o->faces);
    memcpy(options + PORTRAITS_OPTIONS, own, sizeof own);
    command c = {.program = "facenet", .verb = "eval",
                 .summary = "Verifies pairs: accuracy, AUC, EER, VAL at FAR, beside pixels and eigenfaces.",
                 .options = options, .option_count = (int)(sizeof options / sizeof *options)};
    return command_start(&c, count, arguments);
}

static bool draw_roc(const contender *contenders, int count, const char *folder, app_error *error)
{
    plot_series series[4];
    char path[1024];
    image chart = {0};
    if ((size_t)snprintf(path, sizeof path, "%s/roc.png", folder) >= sizeof path)
        return app_fail(error, "--out: the name is too long");
    for (int i = 0; i < count; i++)
        series[i] = (plot_series){contenders[i].name, contenders[i].roc.far, contenders[i].roc.val,
                                  contenders[i].roc.count};
    const plot_chart what = {.title = "same person, or not? (people never trained on)",
                             .x_label = "false accepts (FAR)", .y_label = "true accepts (VAL)", .series = series,
                             .series_count = count, .log_x = true, .x_min = 1e-3, .x_max = 1, .y_min = 0, .y_max = 1};
    const bool done = folder_make(folder, error) && plot_draw(&chart, &what, error) && image_write(&chart, path, error);
    image_free(&chart);
    return done;
}

/* Pictures that eigenfaces may learn from: the people left out of the evaluation, where there are any. */
static bool open_known(portraits *known, const face_view *view, tsr_context *ctx, const portraits_request *evaluated,
                       app_error *error)
{
    portraits_request request = *evaluated;
    request.who.skip = 0;
    request.who.limit = request.who.data ? evaluated->who.skip : 200;
    request.held_out = false;
    *known = (portraits){0};
    return (request.who.data && request.who.limit == 0) || view_open_faces(view, known, ctx, &request, error);
}

static bool measure_all(tsr_model *m, const eval_options *o, const face_view *view, contender *contenders,
                        app_error *error)
{
    tsr_context *ctx = tsr_model_context(m);
    portraits set = {0}, known = {0};
    pairs list = {0};
    tsr_set_training(m, false);
    bool done = view_open_faces(view, &set, ctx, &o->faces, error);
    if (done) portraits_tell(&set, "facenet eval");
    done = done && open_known(&known, view, ctx, &o->faces, error);
    done = done && (o->pairs ? pairs_read(&list, o->pairs, &set.persons, error)
                             : pairs_generate(&list, set.pictures.labels, set.pictures.count, 300, 1, error));
    const bool others = known.pictures.count > 0;
    const pictures *learnt = others ? &known.pictures : &set.pictures;
    if (done && list.missing > 0)
        fprintf(stderr, "facenet eval: %d pairs were left out, their pictures are missing; the first: %s\n",
                list.missing, list.first_missing);
    if (done)
        fprintf(stderr, "facenet eval: %d pairs of %d pictures; eigenfaces learnt from %d pictures of %s\n", list.count,
                set.pictures.count, learnt->count, others ? "other people" : "the same people");
    done = done && contender_pixels(&contenders[0], &set.pictures, &list, error) &&
           contender_eigenfaces(&contenders[1], learnt, &set.pictures, &list, error) &&
           net_verify(&contenders[2], m, &set.pictures, 0, &list, error);
    if (done && !tsr_check_claimed(m)) done = app_fail(error, "%s", tsr_error(ctx));
    pairs_free(&list);
    portraits_close(&known);
    portraits_close(&set);
    return done;
}

int facenet_eval(int count, char **arguments)
{
    eval_options o = {.faces = {.per_person = 8, .cache_mb = 2048, .held_out = true},
                      .model = "out/model.safetensors", .out = "out"};
    const int status = parse(&o, count, arguments);
    if (status != COMMAND_GO) return status;
    if (!o.faces.who.data && o.faces.who.limit == 0) o.faces.who.limit = 200;
    app_error error = {""};
    contender contenders[] = {{.name = "pixels"}, {.name = "eigenfaces"}, {.name = "model"}};
    face_view view;
    char folder[1024];
    tsr_context *ctx = tsr_open(&(tsr_options){.threads = o.threads});
    tsr_model *m = tsr_model_new(ctx);
    bool done = m || app_fail(&error, "out of memory");
    done = done && view_open(m, o.model, &view, &error);
    if (done) view_choose(&view, &o.faces, o.model, folder);
    done = done && measure_all(m, &o, &view, contenders, &error) && draw_roc(contenders, 3, o.out, &error);
    for (int i = 0; i < 3; i++) {
        if (done) contender_print(&contenders[i]);
        contender_free(&contenders[i]);
    }
    if (done && fflush(stdout) != 0) done = app_fail(&error, "stdout: could not be written");
    tsr_close(ctx);
    if (!done) fprintf(stderr, "facenet eval: %s\n", error.text);
    return done ? 0 : 1;
}
