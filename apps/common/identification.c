#include "apps/common/identification.h"

#include "apps/common/csv.h"
#include "apps/common/plot.h"
#include "core/parallel.h"
#include "core/random.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK = 64 /* pictures compared with everybody at a time */,
    STRANGERS_PER_ALARM = 100,
    LEAST_DRAWS = 50,
    MOST_DRAWS = 1000
};

/* ---- who is who -------------------------------------------------------------------------------------------------- */

typedef struct roster {
    int people, pictures, pairs; /* pairs: people with two pictures or more */
    int *who;                    /* [pictures], the person, numbered in the order of first pictures */
    int *first, *count;          /* [people], the picture that enrols, and how many there are */
} roster;

static void roster_free(roster *r)
{
    free(r->who);
    free(r->first);
    free(r->count);
}

static bool roster_make(roster *r, const pictures *set, app_error *error)
{
    int labels = 0;
    for (int i = 0; i < set->count; i++)
        if (set->labels[i] >= labels) labels = set->labels[i] + 1;
    int *numbers = calloc((size_t)labels + 1, sizeof *numbers); /* of each label, from 1; 0: not yet seen */
    *r = (roster){.pictures = set->count, .who = malloc(((size_t)set->count + 1) * sizeof *r->who),
                  .first = malloc(((size_t)labels + 1) * sizeof *r->first),
                  .count = calloc((size_t)labels + 1, sizeof *r->count)};
    const bool done = (numbers && r->who && r->first && r->count) ||
                      app_fail(error, "out of memory for %d people", labels);
    for (int i = 0; done && i < set->count; i++) {
        int *p = &numbers[set->labels[i]];
        if (*p == 0) {
            r->first[r->people] = i;
            *p = ++r->people;
        }
        r->who[i] = *p - 1;
        r->pairs += ++r->count[*p - 1] == 2;
    }
    free(numbers);
    return done;
}

/* ---- a gallery size, and who is drawn ---------------------------------------------------------------------------- */

typedef struct gallery {
    int size, draws, *members;       /* [draws, size] */
    int64_t probes, strangers, alarms;
    int *hits;                       /* [pictures], in how many draws it was of rank 1 */
    double *nearest, bound;          /* the smallest of the strangers' distances: those below the bound, */
    int64_t kept, wanted;            /* and a few more, as room is twice what is wanted */
} gallery;

static void gallery_free(gallery *g)
{
    free(g->members);
    free(g->hits);
    free(g->nearest);
}

/* Galleries are cut out of one random order of all people after the other, the same orders for every size: whole
 * ones, so that all people are enrolled equally often (but for the rest of an order), or of very many people a part
 * of one. */
static bool gallery_make(gallery *g, const roster *r, int size, app_error *error)
{
    const int per_order = r->people / size, whole = (LEAST_DRAWS + per_order - 1) / per_order * per_order;
    const int draws = size == r->people ? 1 : whole < MOST_DRAWS ? whole : MOST_DRAWS;
    int64_t *order = malloc((size_t)r->people * sizeof *order), strangers = 0;
    *g = (gallery){.size = size, .draws = draws, .members = malloc((size_t)draws * (size_t)size * sizeof(int)),
                   .hits = calloc((size_t)r->pictures, sizeof(int)), .bound = INFINITY};
    bool done = order && g->members && g->hits;
    for (int d = 0; done && d < draws; d++) {
        const tsr_rng rng = {1, tsr_substream(tsr_stream("identification"), (uint64_t)(d / per_order))};
        if (d % per_order == 0) tsr_random_permutation(rng, r->people, order);
        strangers += r->pictures;
        for (int m = 0; m < size; m++) {
            const int member = (int)order[d % per_order * size + m];
            g->members[(ptrdiff_t)d * size + m] = member;
            strangers -= r->count[member];
        }
    }
    g->wanted = strangers / STRANGERS_PER_ALARM + 1;
    if (done) g->nearest = malloc(2 * (size_t)g->wanted * sizeof *g->nearest);
    free(order);
    return (done && g->nearest) || app_fail(error, "out of memory for galleries of %d people", size);
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void gallery_keep(gallery *g, double distance)
{
    if (distance >= g->bound) return;
    g->nearest[g->kept++] = distance;
    if (g->kept < 2 * g->wanted) return;
    qsort(g->nearest, (size_t)g->kept, sizeof *g->nearest, compare_doubles);
    g->kept = g->wanted;
    g->bound = g->nearest[g->wanted - 1];
}

/* ---- probes ------------------------------------------------------------------------------------------------------ */

typedef struct survey {
    const features *f;
    roster people;
    double threshold;
    int gallery_count;
    gallery galleries[IDENTIFICATION_ROWS];
    int count, *numbers;         /* of the pictures that are compared with everybody */
    double *own;                 /* [pictures], distance to the own first picture; of that itself 0 */
    int probe_count;             /* pictures that are no first ones; */
    double *genuine;             /* [probe_count], their own distances in order, */
    int64_t *impostors;          /* [probe_count + 1], and how many comparisons of different people lie between them */
    int64_t comparisons, within; /* of different people; those within the threshold */
    double *block;               /* [BLOCK, people] */
    int begin, end;              /* of the numbers, that the block holds */
} survey;

static void survey_close(survey *s)
{
    for (int k = 0; k < s->gallery_count; k++) gallery_free(&s->galleries[k]);
    roster_free(&s->people);
    free(s->numbers);
    free(s->own);
    free(s->genuine);
    free(s->impostors);
    free(s->block);
}

static bool measure_own(survey *s, app_error *error)
{
    const roster *r = &s->people;
    pairs list = {.items = malloc((size_t)r->pictures * sizeof *list.items)};
    bool done = list.items || app_fail(error, "out of memory for %d pictures", r->pictures);
    for (int i = 0; done && i < r->pictures; i++)
        if (r->first[r->who[i]] != i) list.items[list.count++] = (pair){.a = i, .b = r->first[r->who[i]], .same = true};
    done = done && features_pairs(s->f, &list, s->genuine, error);
    for (int i = 0; done && i < list.count; i++) s->own[list.items[i].a] = s->genuine[i];
    s->probe_count = list.count;
    if (done) qsort(s->genuine, (size_t)list.count, sizeof *s->genuine, compare_doubles);
    pairs_free(&list);
    return done;
}

static bool survey_open(survey *s, bool all_only, app_error *error)
{
    const roster *r = &s->people;
    const size_t n = (size_t)r->pictures;
    s->numbers = malloc(n * sizeof *s->numbers);
    s->own = calloc(n, sizeof *s->own);
    s->genuine = malloc(n * sizeof *s->genuine);
    s->impostors = calloc(n + 1, sizeof *s->impostors);
    s->block = malloc(BLOCK * (size_t)r->people * sizeof *s->block);
    if (!s->numbers || !s->own || !s->genuine || !s->impostors || !s->block)
        return app_fail(error, "out of memory for %d pictures of %d people", r->pictures, r->people);
    for (int i = 0; i < r->pictures; i++)
        if (!all_only || r->first[r->who[i]] != i) s->numbers[s->count++] = i;
    static const int steps[] = {1, 2, 5};
    bool done = true;
    for (int64_t decade = 1; !all_only && decade < r->people; decade *= 10)
        for (int i = 0; done && i < 3 && decade * steps[i] < r->people; i++)
            done = gallery_make(&s->galleries[s->gallery_count++], r, (int)decade * steps[i], error);
    return done && gallery_make(&s->galleries[s->gallery_count++], r, r->people, error) && measure_own(s, error);
}

/* Which of the genuine distances an impostor's reaches decides how many of them it could beat. */
static bool count_impostors(survey *s, app_error *error)
{
    const roster *r = &s->people;
    for (int i = s->begin; i < s->end; i++)
        for (int p = 0; p < r->people; p++) {
            const double distance = s->block[(ptrdiff_t)(i - s->begin) * r->people + p];
            if (!isfinite(distance))
                return app_fail(error, "the distance of pictures %d and %d is not finite", s->numbers[i], r->first[p]);
            if (p == r->who[s->numbers[i]]) continue;
            int low = 0, high = s->probe_count;
            while (low < high) {
                const int middle = low + (high - low) / 2;
                if (s->genuine[middle] < distance) low = middle + 1;
                else high = middle;
            }
            s->impostors[low]++;
            s->comparisons++;
            s->within += distance <= s->threshold;
        }
    return true;
}

static void probe(gallery *g, const survey *s, int picture, const double *distances)
{
    const int who = s->people.who[picture];
    for (int d = 0; d < g->draws; d++) {
        const int *members = g->members + (ptrdiff_t)d * g->size;
        bool enrolled = false;
        double nearest = INFINITY; /* of the others */
        for (int m = 0; m < g->size; m++) {
            if (members[m] == who) enrolled = true;
            else if (distances[members[m]] < nearest) nearest = distances[members[m]];
        }
        if (!enrolled) {
            g->strangers++;
            g->alarms += nearest <= s->threshold;
            gallery_keep(g, nearest);
        } else if (s->people.first[who] != picture) {
            g->probes++;
            g->hits[picture] += s->own[picture] < nearest;
        }
    }
}

static void probe_galleries(void *user, int64_t begin, int64_t end)
{
    survey *s = user;
    for (int64_t k = begin; k < end; k++)
        for (int i = s->begin; i < s->end; i++)
            probe(&s->galleries[k], s, s->numbers[i], s->block + (ptrdiff_t)(i - s->begin) * s->people.people);
}

static bool survey_run(survey *s, app_error *error)
{
    const picture_numbers everybody = {s->people.first, s->people.people};
    for (s->begin = 0; s->begin < s->count; s->begin = s->end) {
        s->end = s->count - s->begin < BLOCK ? s->count : s->begin + BLOCK;
        const picture_numbers some = {s->numbers + s->begin, s->end - s->begin};
        if (!features_matrix(s->f, some, everybody, s->block, error) || !count_impostors(s, error)) return false;
        tsr_parallel(s->f->set->ctx, s->gallery_count, 1, probe_galleries, s);
    }
    return true;
}

/* ---- figures ----------------------------------------------------------------------------------------------------- */

static identification_row row_of(const survey *s, gallery *g)
{
    identification_row row = {.gallery = g->size, .draws = g->draws, .probes = g->probes, .strangers = g->strangers,
                              .threshold = NAN, .dir = NAN, .alarms = NAN};
    int64_t hits = 0, detected = 0, beaten = 0;
    const bool resolved = g->strangers >= STRANGERS_PER_ALARM;
    qsort(g->nearest, (size_t)g->kept, sizeof *g->nearest, compare_doubles);
    if (resolved) row.threshold = g->nearest[g->wanted - 1];
    for (int i = 0; i < s->people.pictures; i++) {
        hits += g->hits[i];
        if (resolved && s->own[i] < row.threshold) detected += g->hits[i];
    }
    row.rank1 = (double)hits / (double)g->probes;
    if (resolved) row.dir = (double)detected / (double)g->probes;
    if (g->strangers > 0) row.alarms = (double)g->alarms / (double)g->strangers;
    for (int i = 0; i < s->probe_count; i++) {
        beaten += s->impostors[i];
        row.rank1_expected += pow(1 - (double)beaten / (double)s->comparisons, g->size - 1);
    }
    row.rank1_expected /= s->probe_count;
    row.alarms_expected = 1 - pow(1 - (double)s->within / (double)s->comparisons, g->size);
    return row;
}

bool identification_measure(identification *out, const features *f, double threshold, bool all_only, app_error *error)
{
    survey s = {.f = f, .threshold = threshold};
    *out = (identification){.pictures = f->set->count, .threshold = threshold};
    bool done = roster_make(&s.people, f->set, error);
    out->people = s.people.people;
    if (done && s.people.pairs >= 3) {
        done = survey_open(&s, all_only, error) && survey_run(&s, error);
        out->far = (double)s.within / (double)s.comparisons;
        for (int k = 0; done && k < s.gallery_count; k++) out->rows[out->count++] = row_of(&s, &s.galleries[k]);
    }
    survey_close(&s);
    return done;
}

/* ---- for people -------------------------------------------------------------------------------------------------- */

void identification_print(const identification *all)
{
    for (int k = 0; k < all->count; k++) {
        const identification_row *r = &all->rows[k];
        printf("identification: gallery=%d draws=%d rank1=%s rank1_expected=%s dir_1e-2=%s alarms=%s "
               "alarms_expected=%s probes=%lld strangers=%lld\n",
               r->gallery, r->draws, figure_of(r->rank1, 4).text, figure_of(r->rank1_expected, 4).text,
               figure_of(r->dir, 4).text, figure_of(r->alarms, 4).text, figure_of(r->alarms_expected, 4).text,
               (long long)r->probes, (long long)r->strangers);
    }
}

enum { COLUMNS = 10, CURVES = 5 };

static bool draw(const identification *all, const double (*values)[COLUMNS], const char *path, app_error *error)
{
    static const char *const names[CURVES] = {"rank-1", "rank-1 that independence predicts",
                                              "named, when 1 % of strangers are, too", "strangers taken for somebody",
                                              "the same as 1 - (1 - e)^K predicts"};
    static const int columns[CURVES] = {3, 4, 7, 8, 9};
    double x[IDENTIFICATION_ROWS], y[CURVES][IDENTIFICATION_ROWS];
    plot_series series[CURVES];
    image chart = {0};
    for (int c = 0; c < CURVES; c++) {
        series[c] = (plot_series){names[c], x, y[c], all->count};
        for (int k = 0; k < all->count; k++) y[c][k] = values[k][columns[c]];
    }
    for (int k = 0; k < all->count; k++) x[k] = all->rows[k].gallery;
    const plot_chart what = {.title = "who of K people is this, if any?", .x_label = "K, people enrolled",
                             .y_label = "share", .series = series, .series_count = CURVES, .log_x = true, .y_max = 1};
    const bool done = plot_draw(&chart, &what, error) && image_write(&chart, path, error);
    image_free(&chart);
    return done;
}

bool identification_save(const identification *all, const char *csv_path, const char *picture_path, app_error *error)
{
    static const char *const names[COLUMNS] = {"gallery", "draws", "probes", "rank1", "rank1_expected", "strangers",
                                               "threshold", "dir_1e-2", "alarms", "alarms_expected"};
    double values[IDENTIFICATION_ROWS][COLUMNS];
    csv_log log;
    if (!csv_open(&log, csv_path, names, COLUMNS, error)) return false;
    bool done = true;
    for (int k = 0; done && k < all->count; k++) {
        const identification_row *r = &all->rows[k];
        const double row[COLUMNS] = {r->gallery, r->draws, (double)r->probes, r->rank1, r->rank1_expected,
                                     (double)r->strangers, r->threshold, r->dir, r->alarms, r->alarms_expected};
        memcpy(values[k], row, sizeof row);
        done = csv_row(&log, row, error);
    }
    done = csv_close(&log, error) && done;
    return done && draw(all, (const double(*)[COLUMNS])values, picture_path, error);
}
