/* facenet train */
#include "apps/facenet/facenet.h"

#include "apps/common/command.h"
#include "apps/common/csv.h"
#include "apps/common/folder.h"
#include "apps/common/plot.h"
#include "apps/common/progress.h"
#include "apps/facenet/training.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct train_options {
    portraits_request faces;
    const char *net, *from, *out, *mining;
    int size, embedding, per_batch, per_person, steps, threads;
    bool grey, no_flip;
    double margin, lr, weight_decay, vary, jitter, erase;
    uint64_t seed;
} train_options;

static int parse(train_options *o, int count, char **arguments)
{
    const option own[] = {
        {"net", OPTION_TEXT, &o->net, "which net: see facenet summary", "NAME", 0, 0, NULL},
        {"embedding", OPTION_INT, &o->embedding, "length of the embeddings; 0: the net's own", "N", 0, 65536, NULL},
        {"size", OPTION_INT, &o->size, "side of the square that the net sees, pixels; 0: the net's own", "N", 0, 1024,
         NULL},
        {"grey", OPTION_FLAG, &o->grey, "see no colours", NULL, 0, 0, NULL},
        {"from", OPTION_TEXT, &o->from, "go on from this model, its net, size and weights", "FILE", 0, 0, NULL},
        {"steps", OPTION_INT, &o->steps, "batches to train on; 0: 300 on your data, 800 on the built-in faces", "N", 0,
         1e9, NULL},
        {"batch-people", OPTION_INT, &o->per_batch, "people in a batch", "N", 2, 4096, NULL},
        {"batch-pictures", OPTION_INT, &o->per_person, "pictures of each of them", "N", 2, 4096, NULL},
        {"margin", OPTION_DOUBLE, &o->margin, "between squared distances of same and different", "X", 1e-6, 4, NULL},
        {"mining", OPTION_TEXT, &o->mining, "which triplets of a batch are learnt from", "KIND", 0, 0,
         "semi-hard|hardest|all|random"},
        {"lr", OPTION_DOUBLE, &o->lr, "learning rate (AdamW); rises over 20 steps, then falls to 0 along a cosine", "X",
         0, 1e3, NULL},
        {"weight-decay", OPTION_DOUBLE, &o->weight_decay, "of AdamW", "X", 0, 1e3, NULL},
        {"vary", OPTION_DOUBLE, &o->vary, "how much pictures are shifted, turned, scaled in training; 0: not", "X", 0, 5,
         NULL},
        {"jitter", OPTION_DOUBLE, &o->jitter, "how much light, colour, sharpness and noise are varied in training", "X",
         0, 2, NULL},
        {"erase", OPTION_DOUBLE, &o->erase, "share of the pictures that lose a rectangle in training", "X", 0, 1, NULL},
        {"no-flip", OPTION_FLAG, &o->no_flip, "do not mirror every other picture in training", NULL, 0, 0, NULL},
        {"seed", OPTION_UINT64, &o->seed, "of everything random", "N", 0, 0, NULL},
        {"threads", OPTION_INT, &o->threads, "0: all; changes no result", "N", 0, 1024, NULL},
        {"out", OPTION_TEXT, &o->out, "folder for model.safetensors, train.csv, loss.png, faces.png", "DIR", 0, 0, NULL},
    };
    option options[PORTRAITS_OPTIONS + sizeof own / sizeof *own];
    portraits_options(options, &o->faces);
    memcpy(options + PORTRAITS_OPTIONS, own, sizeof own);
    command c = {.program = "facenet", .verb = "train", .summary = "Trains an embedding net by triplets, from scratch.",
                 .options = options, .option_count = (int)(sizeof options / sizeof *options)};
    const int status = command_start(&c, count, arguments);
    const char *problem = NULL;
    if (status == COMMAND_GO && o->faces.landmarks && !o->faces.who.data) problem = "--landmarks needs --data";
    if (status == COMMAND_GO && o->from && (o->size || o->grey || o->embedding))
        problem = "--from has a size, channels and an embedding: no --size, --grey or --embedding with it";
    if (problem) fprintf(stderr, "facenet train: %s\n", problem);
    return problem ? COMMAND_WRONG_USAGE : status;
}

static tsr_mining mining_of(const char *name)
{
    static const char *const names[] = {"semi-hard", "hardest", "all", "random"};
    static const tsr_mining kinds[] = {TSR_SEMI_HARD, TSR_HARDEST, TSR_BATCH_ALL, TSR_RANDOM_VIOLATOR};
    for (int i = 0; i < 4; i++)
        if (strcmp(name, names[i]) == 0) return kinds[i];
    return TSR_SEMI_HARD;
}

/* ---- pictures for people ----------------------------------------------------------------------------------------- */

/* The first pictures of the first people, a row each. */
static bool draw_faces(const pictures *set, const char *path, app_error *error)
{
    enum { ROWS = 8, COLUMNS = 8 };
    contact contacts[ROWS * COLUMNS];
    image views[ROWS * COLUMNS], sheet = {0};
    int numbers[ROWS * COLUMNS], shown = 0, last = -1, row = -1, column = 0;
    for (int i = 0; i < set->count && shown < ROWS * COLUMNS; i++) {
        if (set->labels[i] != last) {
            last = set->labels[i];
            column = 0;
            row++;
        }
        if (column++ < COLUMNS && row < ROWS) numbers[shown++] = i;
    }
    unsigned char *pixels = malloc((size_t)shown * picture_bytes(set) + 1);
    if (!pixels) return app_fail(error, "%s: out of memory", path);
    for (int i = 0; i < shown; i++) {
        views[i] = (image){set->size, set->size, set->channels, pixels + (size_t)i * picture_bytes(set)};
        contacts[i] = (contact){.picture = &views[i]};
    }
    const bool done = pictures_fetch(set, numbers, shown, pixels, error) &&
                      contact_sheet(&sheet, contacts, shown, COLUMNS, 72, error) && image_write(&sheet, path, error);
    image_free(&sheet);
    free(pixels);
    return done;
}

/* Means over windows, so that the line can be read. */
static int smooth(const double *from, int count, double *x, double *y)
{
    const int window = count > 400 ? count / 200 : 1;
    int points = 0;
    for (int begin = 0; begin + window <= count; begin += window, points++) {
        y[points] = 0;
        for (int i = begin; i < begin + window; i++) y[points] += from[i] / window;
        x[points] = begin + window / 2.0;
    }
    return points;
}

typedef struct history { /* of each step */
    double *loss, *active, *positive, *negative;
    int count;
} history;

static bool draw_curves(const history *h, const char *path, app_error *error)
{
    static const char *const names[] = {"loss", "active triplets (share of those possible)",
                                        "mean distance^2, same person", "mean distance^2, different people"};
    const double *columns[] = {h->loss, h->active, h->positive, h->negative};
    double *room = malloc((size_t)h->count * 8 * sizeof *room + sizeof *room);
    plot_series series[4];
    image chart = {0};
    if (!room) return app_fail(error, "%s: out of memory", path);
    for (int i = 0; i < 4; i++) {
        double *x = room + (ptrdiff_t)2 * i * h->count, *y = x + h->count;
        series[i] = (plot_series){names[i], x, y, smooth(columns[i], h->count, x, y)};
    }
    const plot_chart what = {.title = "training", .x_label = "step", .series = series, .series_count = 4};
    const bool done = plot_draw(&chart, &what, error) && image_write(&chart, path, error);
    image_free(&chart);
    free(room);
    return done;
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */

static void tell_collapse(const training *t)
{
    fprintf(stderr, "facenet train: the embedding has collapsed: all faces lie in one point, the loss stays at the "
                    "margin (%g). Lower --lr (now %g), or choose --mining semi-hard\n",
            t->settings.margin, t->settings.lr);
}

static bool run_steps(training *t, history *h, csv_log *log, app_error *error)
{
    progress bar;
    const int batch = t->sampler.per_batch * t->sampler.per_person;
    /* Hardest triplets are one per anchor, semi-hard and random ones at most one per anchor and positive. */
    const double pairs_in_batch = t->settings.mining == TSR_HARDEST ? batch : batch * (t->sampler.per_person - 1.0);
    progress_start(&bar, "train", "images", 0, t->settings.steps * batch);
    for (int64_t step = 0; step < t->settings.steps; step++) {
        training_step now;
        char note[96];
        app_error log_error = {""};
        if (!training_take_step(t, step, &now, error)) {
            progress_end(&bar);
            return false;
        }
        const double formed = (double)now.triplets.triplets;
        const double possible = t->settings.mining == TSR_BATCH_ALL ? formed : pairs_in_batch;
        h->loss[step] = now.loss;
        h->active[step] = possible > 0 ? (double)now.triplets.active / possible : 0;
        h->positive[step] = now.triplets.positive;
        h->negative[step] = now.triplets.negative;
        h->count = (int)step + 1;
        const double row[] = {(double)step, now.loss, formed, (double)now.triplets.active, now.triplets.positive,
                              now.triplets.negative, now.lr};
        if (!csv_row(log, row, &log_error)) fprintf(stderr, "facenet train: %s\n", log_error.text);
        snprintf(note, sizeof note, "loss %.4f  active %lld/%lld  same %.3f  different %.3f", now.loss,
                 (long long)now.triplets.active, (long long)now.triplets.triplets, now.triplets.positive,
                 now.triplets.negative);
        progress_show(&bar, (step + 1) * batch, note);
        if (now.collapsed) {
            progress_end(&bar);
            tell_collapse(t);
        }
    }
    progress_end(&bar);
    return true;
}

static bool history_open(history *h, int64_t steps, app_error *error)
{
    const size_t bytes = (size_t)steps * sizeof(double);
    *h = (history){malloc(bytes), malloc(bytes), malloc(bytes), malloc(bytes), 0};
    return (h->loss && h->active && h->positive && h->negative) ||
           app_fail(error, "out of memory for %lld steps", (long long)steps);
}

static void history_close(history *h)
{
    free(h->loss);
    free(h->active);
    free(h->positive);
    free(h->negative);
}

static bool train_on(const train_options *o, tsr_model *m, const pictures *set, app_error *error)
{
    static const char *const columns[] = {"step", "loss", "triplets", "active", "positive", "negative", "lr"};
    const training_settings settings = {
        .steps = o->steps, .per_batch = o->per_batch, .per_person = o->per_person, .margin = o->margin, .lr = o->lr,
        .weight_decay = o->weight_decay, .mining = mining_of(o->mining),
        .variation = {.shift = 0.06 * o->vary, .scale = 0.06 * o->vary, .rotation = 0.08 * o->vary, .flip = !o->no_flip,
                      .brightness = 0.3 * o->jitter, .contrast = 0.3 * o->jitter, .saturation = 0.3 * o->jitter,
                      .blur = o->jitter, .noise = 8 * o->jitter, .erase = o->erase}};
    char model_path[1024], log_path[1024], chart_path[1024], sheet_path[1024];
    if (!in_folder(model_path, sizeof model_path, o->out, "model.safetensors", error)) return false;
    if (!in_folder(log_path, sizeof log_path, o->out, "train.csv", error)) return false;
    if (!in_folder(chart_path, sizeof chart_path, o->out, "loss.png", error)) return false;
    if (!in_folder(sheet_path, sizeof sheet_path, o->out, "faces.png", error)) return false;
    tsr_context *ctx = tsr_model_context(m);
    training t = {0};
    history h = {0};
    csv_log log = {0};
    bool done = draw_faces(set, sheet_path, error) && training_open(&t, m, set, &settings, error) &&
                history_open(&h, o->steps, error) && csv_open(&log, log_path, columns, 7, error);
    if (done && t.sampler.per_batch < o->per_batch)
        fprintf(stderr, "facenet train: %d people have two pictures or more: a batch holds all of them, not %d\n",
                t.sampler.people, o->per_batch);
    done = done && run_steps(&t, &h, &log, error);
    done = csv_close(&log, error) && done;
    if (done && !tsr_model_save(m, model_path)) done = app_fail(error, "%s", tsr_error(ctx));
    done = done && draw_curves(&h, chart_path, error);
    if (done) printf("model: %s parameters=%lld steps=%d\n", model_path, (long long)tsr_parameter_count(m), o->steps);
    training_close(&t);
    history_close(&h);
    return done;
}

/* Of a new model, or of the one to go on from. */
static bool make_view(face_view *out, tsr_model *m, train_options *o, app_error *error)
{
    *out = (face_view){0};
    if (o->from) {
        if (!view_open(m, o->from, out, error)) return false;
    } else {
        const face_net *net = face_net_find(o->net, error);
        const face_form wanted = {.size = o->size, .channels = o->grey ? 1 : 3, .embedding = o->embedding};
        if (!net || !face_form_of(&out->form, net, &wanted, error)) return false;
    }
    if (!view_choose(out, &o->faces, o->from, error)) return false;
    view_describe(m, out);
    return true;
}

int facenet_train(int count, char **arguments)
{
    train_options o = {.faces = {.per_person = 12, .cache_mb = 2048}, .out = "out", .net = "small",
                       .mining = "semi-hard", .per_batch = 32, .per_person = 4, .margin = 0.2, .lr = 0.003,
                       .weight_decay = 0.01, .vary = 1, .seed = 1};
    const int status = parse(&o, count, arguments);
    if (status != COMMAND_GO) return status;
    if (o.steps == 0) o.steps = o.faces.who.data ? 300 : 800;
    if (!o.faces.who.data && o.faces.who.limit == 0) o.faces.who.limit = 1000;
    app_error error = {""};
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = o.seed, .threads = o.threads});
    tsr_model *m = tsr_model_new(ctx);
    portraits data = {0};
    face_view view;
    bool done = m || app_fail(&error, "out of memory");
    done = done && make_view(&view, m, &o, &error) && folder_make(o.out, &error) &&
           view_open_faces(&view, &data, ctx, &o.faces, &error);
    if (done) {
        portraits_tell(&data, "facenet train");
        done = train_on(&o, m, &data.pictures, &error);
    }
    portraits_close(&data);
    tsr_close(ctx);
    if (!done) fprintf(stderr, "facenet train: %s\n", error.text);
    return done ? 0 : 1;
}
