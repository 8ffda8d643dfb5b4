/* calibrate: the rates of errors over thresholds, from all pairs of faces or, of very many, some drawn evenly. */
#include "apps/common/door_internal.h"

#include "apps/common/verification.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PAIRS = 1000000 }; /* of each kind */

typedef struct calibrate_options {
    double far;
} calibrate_options;

/* Faces whose persons are known. */
typedef struct sample {
    int count, people;
    int *persons;         /* [count], from 0 */
    const tsr_real *rows; /* [count, length] */
    row_distance distance;
    int length;
} sample;

typedef struct trials {
    trial *items;
    int count, same;
} trials;

/* ---- pairs ------------------------------------------------------------------------------------------------------- */

static int64_t pairs_of(int64_t count)
{
    return count * (count - 1) / 2;
}

/* Pair t of (0, 1), (0, 2), (1, 2), (0, 3), ... */
static void pair_at(int64_t t, int64_t *a, int64_t *b)
{
    *b = (int64_t)((1 + sqrt(1 + 8 * (double)t)) / 2);
    while (pairs_of(*b) > t) --*b;
    while (pairs_of(*b + 1) <= t) ++*b;
    *a = t - pairs_of(*b);
}

static void add_trial(trials *out, const sample *s, int64_t a, int64_t b)
{
    const double distance = s->distance(s->rows + a * s->length, s->rows + b * s->length, s->length);
    const bool same = s->persons[a] == s->persons[b];
    out->items[out->count++] = (trial){.distance = distance, .same = same};
    out->same += same;
}

/* Of `all` pairs number i of those that are taken: one drawn from each of MOST_PAIRS parts of the same length, since
 * steps of one length might fall in with the order of the faces. */
static int64_t spread(int64_t i, int64_t all)
{
    const tsr_rng rng = {0, tsr_stream("calibrate")};
    const int64_t step = all / MOST_PAIRS, rest = all % MOST_PAIRS;
    if (all <= MOST_PAIRS) return i;
    const int64_t begin = i * step + i * rest / MOST_PAIRS, end = (i + 1) * step + (i + 1) * rest / MOST_PAIRS;
    return begin + (int64_t)tsr_random_below(rng, (uint64_t)i, (uint64_t)(end - begin));
}

static void add_different(trials *out, const sample *s)
{
    const int64_t all = pairs_of(s->count);
    for (int64_t i = 0; i < all && i < MOST_PAIRS; i++) {
        int64_t a, b;
        pair_at(spread(i, all), &a, &b);
        if (s->persons[a] != s->persons[b]) add_trial(out, s, a, b);
    }
}

/* `numbers` are the faces person by person, `first` [people + 1] where each begins. */
static void add_same(trials *out, const sample *s, const int *numbers, const int *first)
{
    int64_t all = 0, before = 0, taken = 0;
    for (int who = 0; who < s->people; who++) all += pairs_of(first[who + 1] - first[who]);
    for (int who = 0; who < s->people; who++) {
        const int64_t end = before + pairs_of(first[who + 1] - first[who]);
        for (; taken < all && taken < MOST_PAIRS && spread(taken, all) < end; taken++) {
            int64_t a, b;
            pair_at(spread(taken, all) - before, &a, &b);
            add_trial(out, s, numbers[first[who] + a], numbers[first[who] + b]);
        }
        before = end;
    }
}

static bool make_trials(trials *out, const sample *s, app_error *error)
{
    int *numbers = malloc(((size_t)s->count + 1) * sizeof *numbers);
    int *first = calloc((size_t)s->people + 2, sizeof *first); /* of each person: counted, summed up, and filled in */
    *out = (trials){.items = malloc(2 * (size_t)MOST_PAIRS * sizeof *out->items)};
    const bool done = (numbers && first && out->items) ||
                      app_fail(error, "out of memory for pairs of %d faces", s->count);
    if (done) {
        for (int i = 0; i < s->count; i++) first[s->persons[i] + 2]++;
        for (int who = 0; who < s->people; who++) first[who + 2] += first[who + 1];
        for (int i = 0; i < s->count; i++) numbers[first[s->persons[i] + 1]++] = i;
        add_same(out, s, numbers, first);
        add_different(out, s);
    }
    free(numbers);
    free(first);
    return done;
}

/* ---- the threshold ----------------------------------------------------------------------------------------------- */

/* A point of the curve; its threshold lies between the distances that it parts. */
static gallery_limit limit_at(const roc_curve *curve, int i)
{
    const double here = curve->threshold[i], next = i + 1 < curve->count ? curve->threshold[i + 1] : here;
    const double middle = here + (next - here) / 2;
    return (gallery_limit){middle < next ? middle : here, curve->far[i], 1 - curve->val[i]};
}

static gallery_limit limit_of_far(const roc_curve *curve, double far)
{
    int i = 0;
    while (i + 1 < curve->count && curve->far[i + 1] <= far) i++;
    return limit_at(curve, i);
}

/* Where both rates are nearest to each other. */
static gallery_limit limit_of_equal_rates(const roc_curve *curve)
{
    int best = 0;
    for (int i = 1; i < curve->count; i++)
        if (fabs(curve->far[i] - 1 + curve->val[i]) < fabs(curve->far[best] - 1 + curve->val[best])) best = i;
    return limit_at(curve, best);
}

static bool choose(gallery_limit *out, const door *d, const sample *s, app_error *error)
{
    static const double levels[] = {0, 1e-4, 1e-3, 1e-2, 1e-1};
    const calibrate_options *o = d->own;
    trials t = {0};
    roc_curve curve = {0};
    bool done = make_trials(&t, s, error);
    if (done && (t.same == 0 || t.same == t.count))
        done = app_fail(error, "two photographs of one person, and two people, are needed: there are %d pairs of one "
                               "person and %d of two", t.same, t.count - t.same);
    done = done && roc_make(&curve, t.items, t.count, error);
    if (done) {
        const int different = t.count - t.same;
        const bool enough = different >= 1 / o->far;
        for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
            if (levels[i] > 0 && different < 1 / levels[i]) continue;
            const gallery_limit limit = limit_of_far(&curve, levels[i]);
            fputs("rates:", stdout);
            door_print_limit(&limit);
            putchar('\n');
        }
        *out = enough ? limit_of_far(&curve, o->far) : limit_of_equal_rates(&curve);
        if (!enough)
            door_say(d, "%d pairs of two people tell nothing of a FAR of %g: the threshold is where both rates are "
                        "equal", different, o->far);
        fputs("calibrate:", stdout);
        door_print_limit(out);
        printf(" by=%s same=%d different=%d pictures=%d people=%d\n", enough ? "far" : "eer", t.same, different,
               s->count, s->people);
    }
    roc_free(&curve);
    free(t.items);
    return done;
}

/* ---- the verb ---------------------------------------------------------------------------------------------------- */

static bool store(gallery *g, void *user, app_error *error)
{
    (void)error;
    g->limit = *(const gallery_limit *)user;
    return true;
}

/* The faces of a folder that can be used. */
static bool choose_by_folder(gallery_limit *out, const door *d, app_error *error)
{
    people set;
    if (!people_open(&set, &d->faces.who, error)) return false;
    const size_t photos = (size_t)set.picture_count;
    tsr_real *rows = malloc(photos * (size_t)d->r.length * sizeof *rows);
    bool *good = calloc(photos, sizeof *good);
    sample s = {.people = set.count, .persons = malloc(photos * sizeof *s.persons), .rows = rows,
                .distance = d->r.distance, .length = d->r.length};
    bool done = (rows && good && s.persons) || app_fail(error, "out of memory for %d photographs", set.picture_count);
    done = done && door_embed(d, (door_photos){(const char *const *)set.paths, set.picture_count}, rows, good, error);
    for (int who = 0; done && who < set.count; who++)
        for (int i = 0; i < set.persons[who].count; i++)
            if (good[set.persons[who].first + i]) s.persons[s.count++] = who;
    done = done && choose(out, d, &s, error);
    free(s.persons);
    free(good);
    free(rows);
    people_free(&set);
    return done;
}

static bool choose_by_gallery(gallery_limit *out, const door *d, const gallery_model *model, app_error *error)
{
    gallery g;
    if (!gallery_read(&g, d->r.ctx, d->path, model, error)) return false;
    const sample s = {g.count, g.people.count, g.persons, g.rows, d->r.distance, d->r.length};
    const bool done = choose(out, d, &s, error);
    gallery_free(&g);
    return done;
}

static bool calibrate(door *d, app_error *error)
{
    gallery_limit limit;
    const gallery_model model = door_model(d);
    return (d->faces.who.data ? choose_by_folder(&limit, d, error) : choose_by_gallery(&limit, d, &model, error)) &&
           gallery_update(d->r.ctx, d->path, &model, (gallery_task){store, &limit}, error);
}

int door_calibrate(const recognizer_program *program, int count, char **arguments)
{
    calibrate_options o = {.far = 0.001};
    door d = door_of(program, (command){.verb = "calibrate", .summary = "Finds the threshold that accepts few "
                                        "strangers, and keeps it in the gallery with its rates of errors."});
    const option own[] = {
        {"data", OPTION_TEXT, &d.faces.who.data,
         "photographs, not to be enrolled: a folder per person in this folder, or lines \"path<TAB>name\" in this "
         "file; without it those who are enrolled", "DIR|LIST", 0, 0, NULL},
        {"far", OPTION_DOUBLE, &o.far, "share of pairs of two people that may be taken for one", "X", 1e-9, 1, NULL},
    };
    const int status = door_parse(&d, own, 2, count, arguments);
    d.own = &o;
    return status == COMMAND_GO ? door_run(&d, calibrate) : status;
}
