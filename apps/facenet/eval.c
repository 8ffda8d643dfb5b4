/* facenet eval: LFW's protocol on people never trained on, next to what raw pixels and eigenfaces reach. */
#include "apps/facenet/facenet.h"

#include "apps/common/command.h"
#include "apps/common/folder.h"
#include "apps/common/report.h"
#include "apps/common/verification_draw.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct eval_options {
    portraits_request faces;
    const char *model, *pairs, *out, *distance;
    bool flip, no_identification;
    int threads;
} eval_options;

enum { PIXELS, EIGENFACES, MODEL, CONTENDERS };

/* All that an evaluation finds. */
typedef struct evaluation {
    portraits faces;
    pairs list;
    contender contenders[CONTENDERS];
} evaluation;

static int parse(eval_options *o, int count, char **arguments)
{
    const option own[] = {
        {"model", OPTION_TEXT, &o->model, "what facenet train has made", "FILE", 0, 0, NULL},
        {"pairs", OPTION_TEXT, &o->pairs,
         "list of pairs in LFW's layout; without it 10 folds of up to 300 + 300 are drawn", "FILE", 0, 0, NULL},
        {"distance", OPTION_TEXT, &o->distance, "of embeddings: the square of the Euclidean one, or 1 - the cosine",
         "KIND", 0, 0, "l2|cosine"},
        {"flip", OPTION_FLAG, &o->flip, "average the embeddings of a picture and its mirror image", NULL, 0, 0, NULL},
        {"no-identification", OPTION_FLAG, &o->no_identification, "leave out who of K people it is, K from 1 to all",
         NULL, 0, 0, NULL},
        {"threads", OPTION_INT, &o->threads, "0: all; changes no result", "N", 0, 1024, NULL},
        {"out", OPTION_TEXT, &o->out, "folder for report.html and its pictures", "DIR", 0, 0, NULL},
    };
    command c = {.program = "facenet", .verb = "eval",
                 .summary = "Verifies pairs: accuracy, AUC, EER, VAL at FAR, beside pixels and eigenfaces."};
    return portraits_start(&c, &o->faces, own, (int)(sizeof own / sizeof *own), count, arguments);
}

/* ---- what is written --------------------------------------------------------------------------------------------- */

typedef enum drawing { ROC, DET, DISTANCES, MISTAKES, MAP, MAP_PCA, DRAWINGS } drawing;

static const struct {
    const char *name, *caption;
} drawings[DRAWINGS] = {
    {"roc.png", "True accepts over false accepts, on pairs of people never trained on"},
    {"det.png", "False rejects over false accepts"},
    {"distances.png", "Distances of pairs of one person and of two"},
    {"mistakes.png", "The hardest mistakes: different people that look alike, then one person that does not"},
    {"map.png", "The first 400 embeddings in a plane, neighbours kept (t-SNE); the colours of a frame are a person"},
    {"map_pca.png", "The same by the two principal components"}};

static bool draw(const evaluation *e, drawing which, const char *path, app_error *error)
{
    const contender *model = &e->contenders[MODEL];
    image picture = {0};
    bool done = false;
    switch (which) {
    case ROC: done = draw_roc(&picture, e->contenders, CONTENDERS, error); break;
    case DET: done = draw_det(&picture, e->contenders, CONTENDERS, error); break;
    case DISTANCES: done = draw_distances(&picture, model, &e->list, error); break;
    case MISTAKES: done = draw_mistakes(&picture, model, &e->list, &e->faces.persons, error); break;
    case MAP: done = draw_map(&picture, model, true, error); break;
    case MAP_PCA:
    case DRAWINGS: done = draw_map(&picture, model, false, error); break;
    }
    done = done && image_write(&picture, path, error);
    image_free(&picture);
    return done;
}

static void report_figures(report *page, const evaluation *e)
{
    enum { COLUMNS = 7 };
    static const char *const names[COLUMNS] = {"", "accuracy", "AUC", "EER", "VAL at FAR 1 %", "threshold", "rank 1"};
    char texts[CONTENDERS][COLUMNS][32];
    const char *cells[(CONTENDERS + 1) * COLUMNS];
    for (int k = 0; k < COLUMNS; k++) cells[k] = names[k];
    for (int i = 0; i < CONTENDERS; i++) {
        const contender *c = &e->contenders[i];
        const double values[COLUMNS] = {0, c->result.accuracy, c->result.auc, c->result.eer, c->result.val[1],
                                        c->result.threshold,
                                        c->among.count > 0 ? c->among.rows[c->among.count - 1].rank1 : NAN};
        for (int k = 0; k < COLUMNS; k++) {
            if (k == 0) snprintf(texts[i][k], sizeof texts[i][k], "%s", c->name);
            else if (isnan(values[k])) snprintf(texts[i][k], sizeof texts[i][k], "-");
            else snprintf(texts[i][k], sizeof texts[i][k], "%.4g", values[k]);
            cells[(i + 1) * COLUMNS + k] = texts[i][k];
        }
    }
    report_table(page, cells, CONTENDERS + 1, COLUMNS);
}

static bool write_report(const evaluation *e, const char *folder, app_error *error)
{
    report page;
    char path[1024], text[200];
    const pictures *set = &e->faces.pictures;
    if (!in_folder(path, sizeof path, folder, "report.html", error) ||
        !report_open(&page, path, "facenet: an evaluation", error))
        return false;
    snprintf(text, sizeof text, "%d pairs of %d pictures of %d people, seen as %d x %d, %s.", e->list.count, set->count,
             portraits_people(&e->faces), set->size, set->size, set->channels == 1 ? "grey" : "colour");
    report_text(&page, text);
    report_figures(&page, e);
    for (int i = 0; i < DRAWINGS; i++)
        if (in_folder(path, sizeof path, folder, drawings[i].name, error))
            report_picture(&page, path, drawings[i].caption, error);
    report_heading(&page, "One of K");
    if (in_folder(path, sizeof path, folder, "identification.png", error) && e->contenders[MODEL].among.count > 0)
        report_picture(&page, path, "Naming people out of a gallery that grows, and refusing strangers", error);
    report_heading(&page, "Training");
    for (int i = 0; train_drawings[i].name; i++)
        if (in_folder(path, sizeof path, folder, train_drawings[i].name, error))
            report_picture(&page, path, train_drawings[i].caption, error);
    return report_close(&page, error);
}

static bool save_all(const evaluation *e, const char *folder, app_error *error)
{
    const identification *among = &e->contenders[MODEL].among;
    char path[1024], curves[1024];
    if (!folder_make(folder, error)) return false;
    for (int i = 0; i < DRAWINGS; i++)
        if (!in_folder(path, sizeof path, folder, drawings[i].name, error) || !draw(e, (drawing)i, path, error))
            return false;
    return in_folder(path, sizeof path, folder, "identification.csv", error) &&
           in_folder(curves, sizeof curves, folder, "identification.png", error) &&
           (among->count == 0 || identification_save(among, path, curves, error)) && write_report(e, folder, error);
}

/* ---- what is measured -------------------------------------------------------------------------------------------- */

static bool embed_faces(features *out, tsr_model *m, const face_form *form, const pictures *set, const eval_options *o,
                        app_error *error)
{
    const row_distance distance = strcmp(o->distance, "cosine") == 0 ? cosine_distance : squared_distance;
    tsr_real *rows = malloc((size_t)set->count * (size_t)form->embedding * sizeof *rows);
    if (!rows) return app_fail(error, "out of memory for %d embeddings", set->count);
    *out = features_of_embeddings(set, rows, form->embedding, distance);
    return net_embed(m, set, (net_range){.count = set->count, .flip = o->flip}, rows, error) &&
           (tsr_check_claimed(m) || app_fail(error, "%s", tsr_error(tsr_model_context(m))));
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

/* Of the missing pictures of a list the first few. */
static void tell_missing(const pairs *list)
{
    enum { MOST_TOLD = 20 };
    const name_list *lacking = &list->lacking;
    if (list->missing == 0) return;
    fprintf(stderr, "facenet eval: %d pairs were left out, %d pictures of theirs are missing:\n", list->missing,
            lacking->count);
    for (int i = 0; i < lacking->count && i < MOST_TOLD; i++)
        fprintf(stderr, "facenet eval:   %s\n", lacking->names[i]);
    if (lacking->count > MOST_TOLD)
        fprintf(stderr, "facenet eval:   and %d more\n", lacking->count - MOST_TOLD);
}

static bool identify(evaluation *e, app_error *error)
{
    for (int i = 0; i < CONTENDERS; i++) {
        contender *c = &e->contenders[i];
        if (!identification_measure(&c->among, &c->what, c->result.threshold, i != MODEL, error)) return false;
    }
    const identification *among = &e->contenders[MODEL].among;
    if (among->count == 0)
        fprintf(stderr, "facenet eval: fewer than 3 people have two pictures: no identification\n");
    else
        fprintf(stderr, "facenet eval: %d people, each enrolled by the first picture; e = %.6f of all comparisons of "
                        "different people are within the threshold %.4g\n",
                among->people, among->far, among->threshold);
    return true;
}

static bool measure_all(tsr_model *m, const eval_options *o, const face_view *view, evaluation *e, app_error *error)
{
    tsr_context *ctx = tsr_model_context(m);
    portraits known = {0};
    const pictures *set = &e->faces.pictures;
    contender *c = e->contenders;
    bool done = view_open_faces(view, &e->faces, ctx, &o->faces, error);
    if (done) portraits_tell(&e->faces, "facenet eval");
    done = done && open_known(&known, view, ctx, &o->faces, error);
    done = done && (o->pairs ? pairs_read(&e->list, o->pairs, &e->faces.persons, error)
                             : pairs_generate(&e->list, set->labels, set->count, 300, 1, error));
    const bool others = known.pictures.count > 0;
    const pictures *learnt = others ? &known.pictures : set;
    if (done) {
        tell_missing(&e->list);
        fprintf(stderr, "facenet eval: %d pairs of %d pictures; eigenfaces learnt from %d pictures of %s\n",
                e->list.count, set->count, learnt->count, others ? "other people" : "the same people");
        c[PIXELS].what = features_of_pixels(set);
    }
    done = done && features_of_eigenfaces(&c[EIGENFACES].what, learnt, set, error) &&
           embed_faces(&c[MODEL].what, m, &view->form, set, o, error);
    for (int i = 0; done && i < CONTENDERS; i++) done = contender_measure(&c[i], &e->list, error);
    done = done && (o->no_identification || identify(e, error));
    portraits_close(&known);
    return done;
}

int facenet_eval(int count, char **arguments)
{
    eval_options o = {.faces = {.per_person = 8, .cache_mb = 2048, .held_out = true},
                      .model = "out/model.safetensors", .out = "out", .distance = "l2"};
    const int status = parse(&o, count, arguments);
    if (status != COMMAND_GO) return status;
    if (!o.faces.who.data && o.faces.who.limit == 0) o.faces.who.limit = 200;
    app_error error = {""};
    evaluation e = {.contenders = {{.name = "pixels"}, {.name = "eigenfaces"}, {.name = "model"}}};
    face_view view;
    char folder[1024];
    tsr_context *ctx = tsr_open(&(tsr_options){.threads = o.threads});
    tsr_model *m = tsr_model_new(ctx);
    bool done = m || app_fail(&error, "out of memory");
    done = done && view_open(m, o.model, &view, &error);
    if (done) view_choose(&view, &o.faces, o.model, folder);
    done = done && measure_all(m, &o, &view, &e, &error) && save_all(&e, o.out, &error);
    if (done) identification_print(&e.contenders[MODEL].among);
    for (int i = 0; i < CONTENDERS; i++) {
        if (done) contender_print(&e.contenders[i]);
        contender_free(&e.contenders[i]);
    }
    pairs_free(&e.list);
    portraits_close(&e.faces);
    tsr_close(ctx);
    if (!done) fprintf(stderr, "facenet eval: %s\n", error.text);
    return done ? 0 : 1;
}
