/* signals train */
#include "apps/common/command.h"
#include "apps/common/folder.h"
#include "apps/common/run.h"
#include "apps/signals/signals.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LOG_STEP, LOG_LOSS, LOG_RATE, LOG_VALIDATION, LOG_COLUMNS };

static const char *const columns[] = {"step", "loss", "rate", "validation"};

typedef struct train_options {
    const char *task, *data, *labels, *test, *test_labels, *out;
    int count, steps, batch, width, shift, folds, fold, validate_every, save_every, threads;
    double lr, noise, weight_decay;
    bool flip, mixup, flat, slice, resume;
    uint64_t seed;
} train_options;

typedef struct trainer {
    train_options o;
    tsr_model *m;
    tsr_optimizer *opt;
    signal_form form;
    signal_set train, apart, test; /* to learn from, to choose by, to be judged on; the last two may be empty */
    int64_t *order, epoch;         /* a permutation of the training signals, of the epoch; -1: of none yet */
    char model_path[1024];
} trainer;

/* ---- a step ------------------------------------------------------------------------------------------------------ */

/* The signal of a place of all epochs, written one after the other. */
static const tsr_real *signal_at(trainer *t, int64_t place, int *label)
{
    const int64_t count = t->train.count;
    if (t->epoch != place / count) {
        t->epoch = place / count;
        const uint64_t stream = tsr_substream(tsr_stream("order"), (uint64_t)t->epoch);
        tsr_random_permutation((tsr_rng){t->o.seed, stream}, count, t->order);
    }
    const int64_t row = t->order[place % count];
    *label = t->train.labels[row];
    return t->train.values + row * tsr_shape_size(t->train.shape);
}

/* Copies a signal moved by up to --shift along each axis, the border repeated; mirrored at random; with noise. */
static void vary(tsr_real *out, const tsr_real *in, const trainer *t, tsr_rng rng)
{
    const tsr_shape shape = t->train.shape;
    const train_options *o = &t->o;
    int64_t move[3] = {0}, dims[3] = {1, 1, 1}, at[3];
    bool mirror[3] = {false};
    for (int d = 0; d < shape.rank; d++) {
        const int axis = d + 3 - shape.rank; /* missing axes come first */
        dims[axis] = shape.dims[d];
        move[axis] = (int64_t)tsr_random_below(rng, (uint64_t)axis, 2 * (uint64_t)o->shift + 1) - o->shift;
        mirror[axis] = o->flip && tsr_random_bits(rng, (uint64_t)axis + 3) % 2;
    }
    int64_t i = 0;
    for (at[0] = 0; at[0] < dims[0]; at[0]++)
        for (at[1] = 0; at[1] < dims[1]; at[1]++)
            for (at[2] = 0; at[2] < dims[2]; at[2]++, i++) {
                int64_t from = 0;
                for (int d = 0; d < 3; d++) {
                    int64_t p = (mirror[d] ? dims[d] - 1 - at[d] : at[d]) + move[d];
                    p = p < 0 ? 0 : p >= dims[d] ? dims[d] - 1 : p;
                    from = from * dims[d] + p;
                }
                out[i] = in[from];
                if (o->noise > 0) out[i] += (tsr_real)(o->noise * tsr_random_normal(rng, (uint64_t)i + 6));
            }
}

/* Zhang, Cisse, Dauphin and Lopez-Paz, "mixup: beyond empirical risk minimization", 2018, with alpha = 1: each signal
 * with its opposite of the batch, and their classes alike. */
static tsr_tensor *mix(tsr_tensor *x, double share)
{
    return tsr_add(tsr_mul_scalar(x, share), tsr_mul_scalar(tsr_flip(x, 0), 1 - share));
}

static bool take_step(void *user, int64_t step, double *row, app_error *error)
{
    trainer *t = user;
    tsr_context *ctx = tsr_model_context(t->m);
    const int64_t size = tsr_shape_size(t->train.shape);
    const int batch = t->o.batch;
    row[LOG_RATE] = tsr_lr_cosine(t->o.lr, step, t->o.steps, 0) * tsr_lr_warm_up(step, 10);
    tsr_set_learning_rate(t->opt, row[LOG_RATE]);
    TSR_SCOPE(ctx) {
        tsr_shape shape = {.rank = t->train.shape.rank + 2, .dims = {batch, 1, 1, 1, 1}};
        for (int d = 0; d < t->train.shape.rank; d++) shape.dims[d + 1] = t->train.shape.dims[d];
        tsr_tensor *x = tsr_zeros(ctx, shape), *right = tsr_zeros(ctx, TSR_SHAPE(batch, t->form.classes));
        tsr_real *values = tsr_write(x), *labels = tsr_write(right);
        for (int i = 0; values && labels && i < batch; i++) {
            const int64_t place = step * batch + i;
            int label;
            const tsr_real *signal = signal_at(t, place, &label);
            vary(values + i * size, signal, t,
                 (tsr_rng){t->o.seed, tsr_substream(tsr_stream("variation"), (uint64_t)place)});
            labels[i * t->form.classes + label] = 1;
        }
        if (t->o.mixup) {
            const double share = tsr_random_uniform((tsr_rng){t->o.seed, tsr_stream("mixup")}, (uint64_t)step);
            x = mix(x, share);
            right = mix(right, share);
        }
        tsr_tensor *loss = tsr_cross_entropy(signal_net(t->m, x), right, NULL);
        row[LOG_LOSS] = tsr_item(loss);
        tsr_backward(loss);
        tsr_step(t->opt);
    }
    return !tsr_error(ctx) || app_fail(error, "%s", tsr_error(ctx));
}

static void tell(void *user, const double *row, char *text, size_t bytes)
{
    (void)user;
    snprintf(text, bytes, "loss %.4f", row[LOG_LOSS]);
}

/* What picks the model: the cross-entropy on the signals kept apart, negative, for higher is better. */
static bool validate(void *user, double *score, app_error *error)
{
    trainer *t = user;
    judgement j;
    tsr_real *scores = malloc((size_t)(t->apart.count * t->apart.classes) * sizeof *scores);
    const bool done = (scores || app_fail(error, "out of memory")) && net_scores(scores, t->m, &t->apart, error);
    if (done) judge(&j, &t->apart, scores);
    *score = done ? -j.loss : NAN;
    free(scores);
    return done;
}

static bool keep(void *user, app_error *error)
{
    trainer *t = user;
    return tsr_model_save(t->m, t->model_path, NULL) ||
           app_fail(error, "%s", tsr_error(tsr_model_context(t->m)));
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */

/* Reads or makes the three sets. */
static bool open_data(trainer *t, app_error *error)
{
    const train_options *o = &t->o;
    signal_set all = {0};
    const size_t length = o->data ? strlen(o->data) : 0;
    const bool packed = length > 4 && strcmp(o->data + length - 4, ".npz") == 0;
    bool done;
    if (!o->data) {
        const signal_task *task = signal_task_find(o->task, error);
        done = task && signals_make(&all, task, "train", o->count, error) &&
               signals_make(&t->test, task, "test", (o->count + 1) / 2, error);
    } else {
        done = signals_read(&all, &(signal_source){o->data, o->labels, "train"}, NULL, error);
        if (done && (o->test || packed))
            done = signals_read(&t->test, &(signal_source){o->test ? o->test : o->data, o->test_labels, "test"}, &all,
                                error);
        if (done && packed && o->folds > 0)
            done = signals_read(&t->apart, &(signal_source){o->data, NULL, "val"}, &all, error);
    }
    if (done && o->folds > 0 && !t->apart.values) {
        done = signals_split(&t->train, &t->apart, &all, o->fold, o->folds, 0, error);
        signals_free(&all);
    } else t->train = all;
    return done;
}

/* Steps are functions of their number only where data and options are those that the run was begun with. */
static bool check_same_run(const trainer *t, app_error *error)
{
    const train_options *o = &t->o;
    tsr_context *ctx = tsr_model_context(t->m);
    char text[300], path[1024];
    snprintf(text, sizeof text, "signals=%d mean=%.9g deviation=%.9g flat=%d slice=%d width=%d steps=%d batch=%d lr=%g "
             "weight-decay=%g shift=%d noise=%g flip=%d mixup=%d validate-every=%d seed=%llu", t->train.count,
             t->form.mean, t->form.deviation, o->flat, o->slice, o->width, o->steps, o->batch, o->lr, o->weight_decay,
             o->shift, o->noise, o->flip, o->mixup, o->validate_every, (unsigned long long)o->seed);
    tsr_set_text(t->m, "signal.run", text);
    if (!o->resume) return true;
    if (!run_checkpoint_path(path, sizeof path, o->out, error)) return false;
    tsr_model *begun = tsr_model_new(ctx);
    bool done = tsr_model_load(begun, path, NULL) || app_fail(error, "%s", tsr_error(ctx));
    const char *before = done ? tsr_text_of(begun, "signal.run") : NULL;
    done = done && ((before && strcmp(before, text) == 0) ||
                    app_fail(error, "--resume: the run was begun with %s", before ? before : "something else"));
    tsr_model_free(begun);
    return done;
}

static bool describe(trainer *t, app_error *error)
{
    signal_form *f = &t->form;
    *f = (signal_form){.width = t->o.width, .classes = t->train.classes, .slice = t->o.slice, .flat = t->o.flat,
                       .shape = t->train.shape};
    memcpy(f->names, t->train.names, sizeof f->names);
    if (f->slice && f->shape.rank < 3) return app_fail(error, "--slice: the data is no volumes");
    signals_measure(&t->train, &f->mean, &f->deviation);
    signal_describe(t->m, f);
    if (!check_same_run(t, error)) return false;
    signal_prepare(&t->train, f);
    if (t->apart.values) signal_prepare(&t->apart, f);
    if (t->test.values) signal_prepare(&t->test, f);
    t->epoch = -1;
    t->order = malloc((size_t)t->train.count * sizeof *t->order);
    return t->order || app_fail(error, "out of memory");
}

/* Loads what was kept, so that the best model is judged, not the last; without test signals on those kept apart. */
static bool judge_kept(const trainer *t, app_error *error)
{
    tsr_context *ctx = tsr_model_context(t->m);
    tsr_model *kept = tsr_model_new(ctx);
    bool done = tsr_model_load(kept, t->model_path, NULL) || app_fail(error, "%s", tsr_error(ctx));
    done = done && judge_and_tell(kept, &t->train, t->test.values ? &t->test : &t->apart, t->o.out, error);
    tsr_model_free(kept);
    return done;
}

static bool run(trainer *t, app_error *error)
{
    const train_options *o = &t->o;
    const run_plan plan = {.program = "signals train", .folder = o->out, .m = t->m, .opt = t->opt, .steps = o->steps,
                           .save_every = o->save_every, .validate_every = t->apart.values ? o->validate_every : 0,
                           .columns = columns, .column_count = LOG_COLUMNS, .pictures = o->batch, .user = t,
                           .take_step = take_step, .tell = tell, .validate = validate, .keep = keep};
    static const run_curve curves[] = {{LOG_LOSS, "loss"}, {LOG_VALIDATION, "- loss, signals kept apart"}};
    run_result r = {.steps = 0};
    image chart = {0};
    char path[1024];
    if (!folder_make(o->out, error) ||
        !in_folder(t->model_path, sizeof t->model_path, o->out, "model.safetensors", error) ||
        !in_folder(path, sizeof path, o->out, "loss.png", error) || !run_go(&r, &plan, o->resume, error))
        return false;
    bool done = run_log_chart(&chart, &r.log, "training", curves, 2, error) && image_write(&chart, path, error);
    image_free(&chart);
    if (r.best_step > 0) printf("kept: after step %lld, loss %.4f on signals kept apart\n", (long long)r.best_step,
                                -r.best);
    if (done && (t->test.values || t->apart.values) && !r.interrupted) done = judge_kept(t, error);
    if (done) printf("\nmodel: %s\n", t->model_path);
    run_free(&r);
    return done && (!r.interrupted || app_fail(error, "interrupted"));
}

/* What was left open follows from the task, or is for anybody's data. */
static bool complete(train_options *o, app_error *error)
{
    static const signal_task own = {"own data", 0, 400, 1, 0, false};
    const signal_task *task = o->data ? &own : signal_task_find(o->task, error);
    if (!task) return false;
    if (o->folds == 1 || (o->folds > 0 && o->fold >= o->folds))
        return app_fail(error, "--fold %d of --folds %d: there is no such fold", o->fold, o->folds);
    if (o->count == 0) o->count = task->count;
    if (o->steps == 0) o->steps = task->steps;
    if (o->shift < 0) o->shift = task->shift;
    if (o->noise < 0) o->noise = task->noise;
    o->flip = o->flip || task->flip;
    return true;
}

int signals_train(int count, char **arguments)
{
    trainer t = {.o = {.task = "heartbeat", .out = "signals-out", .batch = 16, .width = 16, .shift = -1, .folds = 5,
                       .validate_every = 20, .save_every = 100, .lr = 0.003, .noise = -1, .weight_decay = 0.01}};
    train_options *o = &t.o;
    const option options[] = {
        {"task", OPTION_TEXT, &o->task, "built-in signals", NULL, 0, 0, "heartbeat|nodule|motion"},
        {"data", OPTION_TEXT, &o->data, "own signals instead: .npz, .npy, or a table, label first", "FILE", 0, 0, NULL},
        {"labels", OPTION_TEXT, &o->labels, "their labels, where they are not in the same file", "FILE", 0, 0, NULL},
        {"test", OPTION_TEXT, &o->test, "signals to be judged on in the end", "FILE", 0, 0, NULL},
        {"test-labels", OPTION_TEXT, &o->test_labels, "and their labels", "FILE", 0, 0, NULL},
        {"out", OPTION_TEXT, &o->out, "folder for model, checkpoint, log and pictures", "FOLDER", 0, 0, NULL},
        {"count", OPTION_INT, &o->count, "built-in signals; 0: the task's own number", "N", 0, 100000, NULL},
        {"steps", OPTION_INT, &o->steps, "batches to learn from; 0: the task's own number", "N", 0, 1e9, NULL},
        {"batch", OPTION_INT, &o->batch, "signals in a batch", "N", 2, 4096, NULL},
        {"width", OPTION_INT, &o->width, "channels of the first block; each next has twice as many", "N", 1, 512, NULL},
        {"lr", OPTION_DOUBLE, &o->lr, "learning rate, falling to 0 along a cosine", NULL, 1e-9, 10, NULL},
        {"weight-decay", OPTION_DOUBLE, &o->weight_decay, "of AdamW", NULL, 1e-9, 10, NULL},
        {"shift", OPTION_INT, &o->shift, "random shifts, up to N along each axis; -1: the task's", "N", -1, 64, NULL},
        {"noise", OPTION_DOUBLE, &o->noise, "random noise, in deviations of the data; -1: the task's", NULL, -1, 10,
         NULL},
        {"flip", OPTION_FLAG, &o->flip, "mirror at random along each axis", NULL, 0, 0, NULL},
        {"mixup", OPTION_FLAG, &o->mixup, "learn from mixtures of two signals, too: for few signals", NULL, 0, 0, NULL},
        {"flat", OPTION_FLAG, &o->flat, "tell classes by where things are, too: for aligned signals", NULL, 0, 0, NULL},
        {"slice", OPTION_FLAG, &o->slice, "see the middle slice of volumes only, by a 2-D net", NULL, 0, 0, NULL},
        {"folds", OPTION_INT, &o->folds, "keep one part of so many apart, to choose the model by; 0: none", "N", 0,
         1000, NULL},
        {"fold", OPTION_INT, &o->fold, "which of them, from 0", "N", 0, 999, NULL},
        {"validate-every", OPTION_INT, &o->validate_every, "steps between looks at them; beyond --steps: at the end",
         "N", 1, 1e9, NULL},
        {"save-every", OPTION_INT, &o->save_every, "steps from checkpoint to checkpoint; 0: only at the end", "N", 0,
         1e9, NULL},
        {"seed", OPTION_UINT64, &o->seed, "of everything random", NULL, 0, 0, NULL},
        {"threads", OPTION_INT, &o->threads, "0: all; the result is the same", "N", 0, 1024, NULL},
        {"resume", OPTION_FLAG, &o->resume, "go on from the folder's checkpoint", NULL, 0, 0, NULL},
    };
    command c = {.program = "signals", .verb = "train",
                 .summary = "Trains a net on signals along one axis, two or three, and judges it beside baselines.",
                 .options = options, .option_count = (int)(sizeof options / sizeof *options)};
    const int status = command_start(&c, count, arguments);
    if (status != COMMAND_GO) return status;
    app_error error = {""};
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = o->seed, .threads = o->threads});
    t.m = tsr_model_new(ctx);
    t.opt = tsr_adamw(t.m, &(tsr_adam_options){.lr = o->lr, .weight_decay = o->weight_decay});
    const bool done = (t.opt || app_fail(&error, "out of memory")) && complete(o, &error) && open_data(&t, &error) &&
                      describe(&t, &error) && run(&t, &error);
    free(t.order);
    signals_free(&t.train);
    signals_free(&t.apart);
    signals_free(&t.test);
    tsr_close(ctx);
    if (!done) fprintf(stderr, "signals train: %s\n", error.text);
    return done ? 0 : 1;
}
