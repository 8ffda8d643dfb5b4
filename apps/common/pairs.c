#include "apps/common/pairs.h"

#include "apps/common/lines.h"
#include "core/random.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FOLDS = 10 };

void pairs_free(pairs *p)
{
    free(p->items);
    name_list_free(&p->lacking);
    *p = (pairs){0};
}

static int at_most(int value, uint64_t limit)
{
    return (uint64_t)value < limit ? value : (int)limit;
}

/* ---- drawing ------------------------------------------------------------------------------------------- */

/* Pictures sorted by person, and the numbers of pairs that end in each person: a rank finds its pair without
 * a list. */
typedef struct ranking {
    int groups, *order, *start;  /* group g is order[start[g]] .. order[start[g + 1] - 1] */
    uint64_t *same, *different; /* [groups + 1]: pairs of groups before g, and between them */
} ranking;

typedef struct labelled {
    int label, picture;
} labelled;

static int compare_labelled(const void *a, const void *b)
{
    const labelled *x = a, *y = b;
    if (x->label != y->label) return x->label < y->label ? -1 : 1;
    return x->picture < y->picture ? -1 : x->picture > y->picture;
}

static void ranking_free(ranking *r)
{
    free(r->order);
    free(r->start);
    free(r->same);
    free(r->different);
}

static bool ranking_make(ranking *r, const int *labels, int count)
{
    const size_t n = (size_t)count;
    labelled *sorted = malloc((n + 1) * sizeof *sorted);
    *r = (ranking){.order = malloc((n + 1) * sizeof *r->order),
                   .start = calloc(n + 1, sizeof *r->start),
                   .same = calloc(n + 1, sizeof *r->same),
                   .different = calloc(n + 1, sizeof *r->different)};
    const bool done = sorted && r->order && r->start && r->same && r->different;
    for (int i = 0; done && i < count; i++) sorted[i] = (labelled){labels[i], i};
    if (done) qsort(sorted, n, sizeof *sorted, compare_labelled);
    for (int i = 0; done && i < count; i++) {
        r->order[i] = sorted[i].picture;
        if (i + 1 < count && sorted[i + 1].label == sorted[i].label) continue;
        const int g = r->groups++;
        const uint64_t before = (uint64_t)r->start[g], size = (uint64_t)i + 1 - before;
        r->start[g + 1] = i + 1;
        r->same[g + 1] = r->same[g] + size * (size - 1) / 2;
        r->different[g + 1] = r->different[g] + size * before;
    }
    free(sorted);
    return done;
}

/* The group whose ranks of that kind hold `rank`. */
static int group_of(const ranking *r, const uint64_t *kind, uint64_t rank)
{
    int low = 0, high = r->groups - 1;
    while (low < high) {
        const int middle = low + (high - low) / 2;
        if (kind[middle + 1] <= rank) low = middle + 1;
        else high = middle;
    }
    return low;
}

static pair pair_of_rank(const ranking *r, bool same, uint64_t rank)
{
    const uint64_t *kind = same ? r->same : r->different;
    const int g = group_of(r, kind, rank);
    const int *members = r->order + r->start[g];
    const uint64_t rest = rank - kind[g];
    if (!same) {
        const uint64_t before = (uint64_t)r->start[g];
        return (pair){.a = r->order[rest % before], .b = members[rest / before]};
    }
    uint64_t j = (uint64_t)((1 + sqrt(1 + 8 * (double)rest)) / 2); /* rest = j (j - 1) / 2 + i with i < j */
    while (j * (j - 1) / 2 > rest) j--;
    while (j * (j + 1) / 2 <= rest) j++;
    return (pair){.a = members[rest - j * (j - 1) / 2], .b = members[j], .same = true};
}

/* Element i of a random permutation of 0 .. n-1 that is never stored: a Feistel network permutes the numbers
 * of `2 half` bits, and is walked along until it comes back below n (Black and Rogaway, "Ciphers with
 * arbitrary finite domains", 2002). */
static uint64_t permuted(tsr_rng rng, uint64_t i, uint64_t n)
{
    int half = 1;
    while (half < 32 && (uint64_t)1 << 2 * half < n) half++;
    const uint64_t mask = ((uint64_t)1 << half) - 1;
    do {
        uint64_t left = i >> half, right = i & mask;
        for (uint64_t round = 0; round < 4; round++) {
            const uint64_t mixed = tsr_random_bits(rng, round << 32 | right);
            const uint64_t next = left ^ (mixed & mask);
            left = right;
            right = next;
        }
        i = left << half | right;
    } while (i >= n);
    return i;
}

bool pairs_generate(pairs *out, const int *labels, int count, int per_fold, uint64_t seed, app_error *error)
{
    *out = (pairs){0};
    if (per_fold < 1 || per_fold > INT_MAX / (2 * FOLDS))
        return app_fail(error, "there cannot be %d pairs of each kind in a fold", per_fold);
    ranking r;
    bool done =
        ranking_make(&r, labels, count) || app_fail(error, "out of memory for pairs of %d pictures", count);
    const uint64_t same = done ? r.same[r.groups] : 0, different = done ? r.different[r.groups] : 0;
    const int each = at_most(at_most(FOLDS * per_fold, same), different);
    if (done && each == 0)
        done = app_fail(error, "%d pictures of %d people make no pair of %s", count, r.groups,
                        same == 0 ? "the same person" : "different people");
    if (done) out->items = malloc(2 * (size_t)each * sizeof *out->items);
    if (done && !out->items) done = app_fail(error, "out of memory for %d pairs", 2 * each);
    out->folds = each < FOLDS ? each : FOLDS;
    for (int i = 0; done && i < 2 * each; i++) {
        const bool is_same = i % 2 == 0;
        const tsr_rng rng = {.seed = seed, .stream = tsr_stream(is_same ? "same pairs" : "different pairs")};
        out->items[i] = pair_of_rank(&r, is_same, permuted(rng, (uint64_t)i / 2, is_same ? same : different));
        out->items[i].fold = i / 2 % out->folds;
    }
    if (done) out->count = 2 * each;
    ranking_free(&r);
    return done;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

/* The number in a picture's name of the form NAME_0007.ext, else 0. */
static int numbered(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path;
    const size_t length = strlen(name);
    if (strncmp(file, name, length) != 0 || file[length] != '_') return 0;
    const char *digits = file + length + 1, *dot = strchr(digits, '.');
    char number[12];
    if (!dot || dot - digits < 4 || dot - digits > 9) return 0;
    snprintf(number, sizeof number, "%.*s", (int)(dot - digits), digits);
    return whole_number(number);
}

/* The picture, or -1 where the set lacks it. */
static int find_picture(const people *set, const char *name, int number)
{
    const int who = people_find(set, name);
    const int first = who < 0 ? 0 : set->persons[who].first;
    const int count = who < 0 ? 0 : set->persons[who].count;
    bool by_name = false;
    for (int i = first; i < first + count; i++) {
        const int n = numbered(set->paths[i], name);
        if (n == number) return i;
        by_name = by_name || n != 0;
    }
    for (int i = first; i < first + count && !by_name; i++)
        if (set->places[i] == number) return i;
    return -1;
}

/* The same; a picture that is lacking is noted. */
static bool take_picture(const people *set, pairs *out, const char *name, int number, int *picture, app_error *error)
{
    app_error label = {""}; /* one clean line */
    *picture = find_picture(set, name, number);
    if (*picture >= 0) return true;
    app_fail(&label, "%.200s %d", name, number);
    return name_list_add(&out->lacking, label.text) || app_fail(error, "out of memory for names of missing pictures");
}

static void drop_repeats(name_list *list)
{
    int kept = 0;
    name_list_sort(list);
    for (int i = 0; i < list->count; i++) {
        if (kept > 0 && strcmp(list->names[i], list->names[kept - 1]) == 0) free(list->names[i]);
        else list->names[kept++] = list->names[i];
    }
    list->count = kept;
}

static bool read_sizes(line_file *f, int *folds, int *per_fold, app_error *error)
{
    if (!lines_next(f, error)) return app_fail(error, "%s: is empty", f->path);
    *folds = f->field_count == 2 ? whole_number(f->fields[0]) : 1;
    *per_fold = f->field_count == 1 || f->field_count == 2 ? whole_number(f->fields[f->field_count - 1]) : 0;
    if (*folds < 1 || *folds > 1000 || *per_fold < 1 || *per_fold > 1000000 ||
        *folds * 2 > INT_MAX / *per_fold)
        return app_fail(error, "%s: line 1 should be the number of folds and of pairs of each kind in a fold",
                        f->path);
    return true;
}

/* Reads one line of a pair. `*item` has a negative picture where the set lacks one. */
static bool read_pair(const line_file *f, const people *set, pairs *out, pair *item, app_error *error)
{
    const bool same = f->field_count == 3;
    if (!same && f->field_count != 4)
        return app_fail(error, "%s: line %d should be \"name i j\" or \"name1 i name2 j\"", f->path, f->number);
    const int i = whole_number(f->fields[1]), j = whole_number(f->fields[same ? 2 : 3]);
    if (i == 0 || j == 0)
        return app_fail(error, "%s: line %d: pictures are numbered from 1, not \"%.40s\"", f->path, f->number,
                        i == 0 ? f->fields[1] : f->fields[same ? 2 : 3]);
    if (!same && strcmp(f->fields[0], f->fields[2]) == 0)
        return app_fail(error, "%s: line %d: \"%.80s\" stands on both sides of a pair of different people",
                        f->path, f->number, f->fields[0]);
    *item = (pair){.same = same};
    return take_picture(set, out, f->fields[0], i, &item->a, error) &&
           take_picture(set, out, f->fields[same ? 0 : 2], j, &item->b, error);
}

static bool add_pair(pairs *out, pair item)
{
    if ((out->count & (out->count - 1)) == 0) { /* 0 or a power of two: full */
        pair *items = realloc(out->items, (out->count ? 2 * (size_t)out->count : 1) * sizeof *items);
        if (!items) return false;
        out->items = items;
    }
    out->items[out->count++] = item;
    return true;
}

static bool read_pairs(line_file *f, const people *set, pairs *out, app_error *error)
{
    int per_fold = 0, found = 0;
    if (!read_sizes(f, &out->folds, &per_fold, error)) return false;
    const int announced = 2 * out->folds * per_fold;
    while (lines_next(f, error)) {
        if (f->field_count == 0) continue;
        if (found == announced)
            return app_fail(error, "%s: line %d: there are more than the %d pairs of line 1", f->path,
                            f->number, announced);
        pair item;
        if (!read_pair(f, set, out, &item, error)) return false;
        item.fold = found++ / (2 * per_fold);
        if (item.a < 0 || item.b < 0) out->missing++;
        else if (!add_pair(out, item)) return app_fail(error, "%s: out of memory", f->path);
    }
    if (error->text[0]) return false;
    if (found < announced)
        return app_fail(error, "%s: ends after line %d with %d of the %d pairs of line 1", f->path, f->number,
                        found, announced);
    drop_repeats(&out->lacking);
    if (out->count == 0)
        return app_fail(error, "%s: none of its %d pairs is in the data set, which lacks %.200s", f->path, found,
                        out->lacking.names[0]);
    return true;
}

static void cut_into_folds(pairs *out)
{
    int totals[2] = {0}, seen[2] = {0};
    for (int i = 0; i < out->count; i++) totals[out->items[i].same]++;
    for (int i = 0; i < out->count; i++) {
        const int kind = out->items[i].same;
        out->items[i].fold = (int)((int64_t)seen[kind]++ * FOLDS / totals[kind]);
    }
    out->folds = FOLDS;
}

bool pairs_read(pairs *out, const char *path, const people *set, app_error *error)
{
    *out = (pairs){0};
    line_file f;
    if (!lines_open(&f, path, error)) return false;
    const bool done = read_pairs(&f, set, out, error);
    lines_close(&f);
    if (!done) pairs_free(out);
    else if (out->folds == 1) cut_into_folds(out);
    return done;
}
