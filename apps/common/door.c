#include "apps/common/door.h"

#include "apps/common/verification.h"
#include "core/file_io.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool fingerprint_of(uint64_t *out, const char *path, app_error *error)
{
    unsigned char bytes[16384];
    tsr_crc64 crc;
    FILE *file = fopen(path, "rb");
    if (!file) return app_fail(error, "%s: cannot be opened", path);
    tsr_crc64_begin(&crc);
    for (size_t some; (some = fread(bytes, 1, sizeof bytes, file)) > 0;) tsr_crc64_add(&crc, bytes, some);
    const bool failed = ferror(file) != 0;
    fclose(file);
    *out = tsr_crc64_value(&crc);
    return !failed || app_fail(error, "%s: cannot be read", path);
}

/* What a gallery remembers of a path: its end. */
static const char *end_of(const char *path)
{
    const size_t length = strlen(path);
    return length > 255 ? path + length - 255 : path;
}

/* ---- enrolling --------------------------------------------------------------------------------------------------- */

typedef struct enrolment {
    const char *name, *source;
    const tsr_real *row;
} enrolment;

typedef struct enrolments {
    const enrolment *items;
    int count, length;
} enrolments;

static bool add_all(gallery *g, void *user, app_error *error)
{
    const enrolments *all = user;
    for (int i = 0; i < all->count; i++)
        if (!gallery_add(g, all->items[i].name, all->items[i].source, all->items[i].row, all->length, error)) return false;
    printf("gallery: rows=%d\n", g->count);
    return true;
}

/* The row of a photograph's main face. */
static bool encode_main(const recognizer *r, const char *photo, tsr_real *row, app_error *error)
{
    photo_faces faces;
    if (!photo_cut(&faces, &r->cutter, photo, error)) return false;
    const bool done = faces.count > 0 ? r->encode(r->user, &faces.items[faces.main].picture, row, error)
                                      : app_fail(error, "%s: shows no face", photo);
    if (faces.count > 1)
        fprintf(stderr, "%s: %s: shows %d faces, the largest near the middle is taken\n", r->program, photo, faces.count);
    photo_faces_free(&faces);
    return done;
}

bool door_enroll(const recognizer *r, const char *gallery_path, const char *name, const char *const *photos, int count,
                 app_error *error)
{
    tsr_real *rows = malloc((size_t)count * (size_t)r->length * sizeof *rows);
    enrolment *items = malloc((size_t)count * sizeof *items);
    enrolments all = {items, 0, r->length};
    bool done = (rows && items) || app_fail(error, "out of memory for %d photographs", count);
    for (int i = 0; done && i < count; i++) {
        app_error problem = {""};
        tsr_real *row = rows + (ptrdiff_t)all.count * r->length;
        if (encode_main(r, photos[i], row, &problem)) items[all.count++] = (enrolment){name, end_of(photos[i]), row};
        else fprintf(stderr, "%s: %s\n", r->program, problem.text);
    }
    if (done && all.count == 0) done = app_fail(error, "%s was not enrolled: none of %d photographs will do", name, count);
    done = done && gallery_change(gallery_path, r->fingerprint, true, add_all, &all, error);
    if (done) printf("enrolled: %s pictures=%d\n", name, all.count);
    free(rows);
    free(items);
    return done;
}

bool door_enroll_all(const recognizer *r, const char *gallery_path, const portraits *faces, app_error *error)
{
    const people *persons = &faces->persons;
    const int count = faces->pictures.count;
    tsr_real *rows = malloc((size_t)count * (size_t)r->length * sizeof *rows);
    enrolment *items = malloc((size_t)count * sizeof *items);
    enrolments all = {items, count, r->length};
    bool done = (rows && items) || app_fail(error, "out of memory for %d pictures", count);
    done = done && r->encode_all(r->user, &faces->pictures, rows, error);
    for (int i = 0; done && i < count; i++)
        items[i] = (enrolment){persons->persons[faces->pictures.labels[i]].name, end_of(persons->paths[i]),
                               rows + (ptrdiff_t)i * r->length};
    done = done && gallery_change(gallery_path, r->fingerprint, true, add_all, &all, error);
    if (done) printf("enrolled: people=%d pictures=%d\n", persons->count, count);
    free(rows);
    free(items);
    return done;
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

static int compare_entries(const void *a, const void *b)
{
    const gallery_entry *x = a, *y = b;
    const int order = strcmp(x->name, y->name);
    return order ? order : strcmp(x->source, y->source);
}

static void print_calibration(const gallery *g)
{
    if (isnan(g->threshold)) printf("threshold: not calibrated\n");
    else printf("threshold: %.6g far=%.6g frr=%.6g\n", g->threshold, g->far, g->frr);
}

bool door_list(const char *gallery_path, app_error *error)
{
    gallery g;
    if (!gallery_read(&g, gallery_path, error)) return false;
    qsort(g.entries, (size_t)g.count, sizeof *g.entries, compare_entries); /* the rows are not looked at any more */
    for (int i = 0, next; i < g.count; i = next) {
        for (next = i + 1; next < g.count && strcmp(g.entries[next].name, g.entries[i].name) == 0;) next++;
        printf("%s: pictures=%d (%s%s)\n", g.entries[i].name, next - i, g.entries[i].source, next - i > 1 ? ", ..." : "");
    }
    print_calibration(&g);
    gallery_free(&g);
    return true;
}

static bool take_away(gallery *g, void *user, app_error *error)
{
    const char *name = user;
    const int rows = gallery_remove(g, name);
    if (rows > 0) printf("removed: %s pictures=%d\n", name, rows);
    return rows > 0 || app_fail(error, "there is no \"%s\" in the gallery; facenet list shows who is", name);
}

bool door_remove(const char *gallery_path, const char *name, app_error *error)
{
    char copy[300];
    snprintf(copy, sizeof copy, "%s", name);
    return gallery_change(gallery_path, 0, false, take_away, copy, error);
}

/* ---- who is it? -------------------------------------------------------------------------------------------------- */

static double threshold_of(const recognizer *r, const gallery *g)
{
    return isnan(g->threshold) ? r->threshold : g->threshold;
}

static void print_answer(const recognizer *r, const gallery *g, const char *photo, int face, const gallery_match *found,
                         int count)
{
    const double threshold = threshold_of(r, g);
    const bool known = count > 0 && found[0].distance <= threshold; /* false for a NaN: nobody is let in by chance */
    printf("%s face=%d ", photo, face);
    if (count == 0) printf("unknown");
    else if (known) printf("%s distance=%.4g", g->entries[found[0].row].name, found[0].distance);
    else printf("unknown nearest=%s distance=%.4g", g->entries[found[0].row].name, found[0].distance);
    if (isnan(threshold)) printf(" threshold=none");
    else printf(" threshold=%.4g", threshold);
    if (!isnan(g->far)) printf(" far=%.4g", g->far);
    for (int i = 1; i < count; i++)
        printf("%s%s:%.4g", i == 1 ? " then=" : ",", g->entries[found[i].row].name, found[i].distance);
    printf("\n");
}

static bool identify(const recognizer *r, const gallery *g, const char *photo, int top, app_error *error)
{
    photo_faces faces;
    tsr_real *row = malloc((size_t)r->length * sizeof *row);
    gallery_match *found = malloc((size_t)top * sizeof *found);
    if (!row || !found || !photo_cut(&faces, &r->cutter, photo, error)) {
        free(row);
        free(found);
        return app_fail(error, "out of memory");
    }
    bool done = true;
    if (faces.count == 0) printf("%s no face\n", photo);
    for (int i = 0; done && i < faces.count; i++) {
        done = r->encode(r->user, &faces.items[i].picture, row, error);
        const int count = done ? gallery_nearest(g, r->ctx, row, r->distance, found, top) : 0;
        if (count < 0) done = app_fail(error, "out of memory for %d distances", g->count);
        if (done) print_answer(r, g, photo, i + 1, found, count);
    }
    photo_faces_free(&faces);
    free(row);
    free(found);
    return done;
}

static bool identify_lines(const recognizer *r, const gallery *g, int top, app_error *error)
{
    char line[4096];
    while (fgets(line, sizeof line, stdin)) {
        app_error problem = {""};
        line[strcspn(line, "\r\n")] = '\0';
        if (!line[0]) continue;
        if (!identify(r, g, line, top, &problem)) {
            printf("%s error: %s\n", line, problem.text);
            tsr_clear_error(r->ctx);
        }
        if (fflush(stdout) != 0) return app_fail(error, "stdout: could not be written");
    }
    return !ferror(stdin) || app_fail(error, "stdin: could not be read");
}

static bool open_gallery(gallery *g, const recognizer *r, const char *path, app_error *error)
{
    if (!gallery_read(g, path, error)) return false;
    if (gallery_check(g, path, r->fingerprint, error)) {
        if (isnan(threshold_of(r, g)))
            fprintf(stderr, "%s: no threshold is known, everybody is unknown: see calibrate\n", r->program);
        return true;
    }
    gallery_free(g);
    return false;
}

bool door_identify(const recognizer *r, const char *gallery_path, const char *const *photos, int count, int top,
                   app_error *error)
{
    gallery g;
    int failed = 0;
    if (!open_gallery(&g, r, gallery_path, error)) return false;
    if (count == 0) failed = !identify_lines(r, &g, top, error);
    for (int i = 0; i < count; i++) {
        app_error problem = {""};
        if (identify(r, &g, photos[i], top, &problem)) continue;
        fprintf(stderr, "%s: %s\n", r->program, problem.text);
        tsr_clear_error(r->ctx);
        failed++;
    }
    gallery_free(&g);
    return failed == 0 || app_fail(error, "%d of %d photographs failed", failed, count);
}

bool door_verify(const recognizer *r, const char *gallery_path, const char *const photos[2], app_error *error)
{
    app_error none = {""};
    gallery g = gallery_new(r->fingerprint);
    tsr_real *rows = malloc(2 * (size_t)r->length * sizeof *rows);
    if (!rows) return app_fail(error, "out of memory");
    if (!gallery_path || !gallery_read(&g, gallery_path, &none)) g = gallery_new(r->fingerprint);
    bool done = gallery_check(&g, gallery_path ? gallery_path : "", r->fingerprint, error);
    for (int i = 0; done && i < 2; i++) done = encode_main(r, photos[i], rows + (ptrdiff_t)i * r->length, error);
    if (done) {
        const double threshold = threshold_of(r, &g);
        const double distance = (r->distance ? r->distance : squared_distance)(rows, rows + r->length, r->length);
        printf("%s distance=%.4g", isnan(threshold) ? "undecided" : distance <= threshold ? "same" : "different", distance);
        if (isnan(threshold)) printf(" threshold=none\n");
        else if (isnan(g.far)) printf(" threshold=%.4g\n", threshold);
        else printf(" threshold=%.4g far=%.4g frr=%.4g\n", threshold, g.far, g.frr);
    }
    gallery_free(&g);
    free(rows);
    return done;
}

/* ---- the threshold ----------------------------------------------------------------------------------------------- */

typedef struct calibration {
    double threshold, far, frr;
} calibration;

static bool store_calibration(gallery *g, void *user, app_error *error)
{
    const calibration *c = user;
    (void)error;
    g->threshold = c->threshold;
    g->far = c->far;
    g->frr = c->frr;
    return true;
}

/* The point with at most this share of false accepts; the last is the largest threshold. */
static int point_at(const roc_curve *roc, double far)
{
    int at = 0;
    while (at + 1 < roc->count && roc->far[at + 1] <= far) at++;
    return at;
}

static int equal_errors(const roc_curve *roc)
{
    int at = 0;
    while (at + 1 < roc->count && roc->far[at + 1] <= 1 - roc->val[at + 1]) at++;
    return at;
}

/* A threshold halfway to the next distance accepts the same, and leaves room. */
static calibration calibration_at(const roc_curve *roc, int at)
{
    const double next = at + 1 < roc->count ? roc->threshold[at + 1] : roc->threshold[at];
    return (calibration){(roc->threshold[at] + next) / 2, roc->far[at], 1 - roc->val[at]};
}

static bool choose(calibration *out, const roc_curve *roc, const pairs *list, double far, const char *program)
{
    static const double shares[] = {0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001};
    const int different = list->count / 2;
    for (int i = 0; i < 7; i++) {
        const calibration c = calibration_at(roc, point_at(roc, shares[i]));
        if (shares[i] * different >= 1) printf("calibrate: far<=%g threshold=%.6g far=%.6g frr=%.6g\n", shares[i], c.threshold,
                                               c.far, c.frr);
    }
    const bool enough = far * different >= 1;
    if (!enough)
        fprintf(stderr, "%s: %d pairs of different people cannot tell a false accept rate of %g: the threshold with as many "
                        "false accepts as false rejects is taken\n", program, different, far);
    *out = calibration_at(roc, enough ? point_at(roc, far) : equal_errors(roc));
    return true;
}

static bool measure(calibration *out, const recognizer *r, const features *what, const int *labels, double far,
                    app_error *error)
{
    enum { PER_FOLD = 3000 };
    pairs list = {0};
    roc_curve roc = {0};
    const int count = what->set->count;
    if (!pairs_generate(&list, labels, count, PER_FOLD, 1, error)) return false;
    double *distances = malloc((size_t)list.count * sizeof *distances);
    trial *trials = malloc((size_t)list.count * sizeof *trials);
    bool done = ((distances && trials) || app_fail(error, "out of memory for %d pairs", list.count)) &&
                features_pairs(what, &list, distances, error);
    for (int i = 0; done && i < list.count; i++)
        trials[i] = (trial){distances[i], list.items[i].same, list.items[i].fold};
    done = done && roc_make(&roc, trials, list.count, error);
    if (done) {
        printf("calibrate: pairs=%d pictures=%d\n", list.count, count);
        choose(out, &roc, &list, far, r->program);
    }
    roc_free(&roc);
    free(distances);
    free(trials);
    pairs_free(&list);
    return done;
}

/* Who is on each row of a gallery, by numbers. */
static int *labels_of(const gallery *g)
{
    int *labels = malloc(((size_t)g->count + 1) * sizeof *labels);
    for (int i = 0; labels && i < g->count; i++) {
        labels[i] = i;
        for (int k = 0; k < i && labels[i] == i; k++)
            if (strcmp(g->entries[k].name, g->entries[i].name) == 0) labels[i] = labels[k];
    }
    return labels;
}

static bool calibrate_rows(calibration *out, const recognizer *r, const char *path, double far, app_error *error)
{
    gallery g;
    if (!gallery_read(&g, path, error)) return false;
    int *labels = labels_of(&g);
    const pictures set = {.count = g.count, .ctx = r->ctx};
    features what = features_of_embeddings(&set, NULL, g.length, r->distance ? r->distance : squared_distance);
    what.rows = g.rows;
    const bool done = (labels || app_fail(error, "out of memory")) && measure(out, r, &what, labels, far, error);
    free(labels);
    gallery_free(&g);
    return done;
}

bool door_calibrate(const recognizer *r, const char *gallery_path, const portraits *faces, double far, app_error *error)
{
    calibration c;
    bool done;
    if (faces) {
        const pictures *set = &faces->pictures;
        tsr_real *rows = malloc((size_t)set->count * (size_t)r->length * sizeof *rows);
        if (!rows) return app_fail(error, "out of memory for %d rows", set->count);
        features what = features_of_embeddings(set, rows, r->length, r->distance ? r->distance : squared_distance);
        done = r->encode_all(r->user, set, rows, error) && measure(&c, r, &what, set->labels, far, error);
        features_free(&what);
    } else done = calibrate_rows(&c, r, gallery_path, far, error);
    done = done && gallery_change(gallery_path, r->fingerprint, true, store_calibration, &c, error);
    if (done) printf("threshold: %.6g far=%.6g frr=%.6g\n", c.threshold, c.far, c.frr);
    return done;
}
