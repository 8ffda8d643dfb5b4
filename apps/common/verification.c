#include "apps/common/verification.h"

#include "apps/common/csv.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_FOLDS = 1000, NO_FOLD = -1 };

static int compare_distances(const void *a, const void *b)
{
    const double x = ((const trial *)a)->distance, y = ((const trial *)b)->distance;
    return x < y ? -1 : x > y;
}

/* A sorted copy of the trials, which have distances that are finite and pairs of both kinds; or NULL. */
static trial *sorted_copy(const trial *trials, int count, app_error *error)
{
    int same = 0;
    for (int i = 0; i < count; i++) {
        if (!isfinite(trials[i].distance)) {
            app_fail(error, "the distance of pair %d is %s", i + 1,
                     isnan(trials[i].distance) ? "NaN" : "infinite");
            return NULL;
        }
        same += trials[i].same;
    }
    if (same == 0 || same == count) {
        app_fail(error, "there are %d pairs of the same person and %d of different people, both are needed",
                 same, count - same);
        return NULL;
    }
    trial *sorted = malloc((size_t)count * sizeof *sorted);
    if (!sorted) {
        app_fail(error, "out of memory for %d pairs", count);
        return NULL;
    }
    memcpy(sorted, trials, (size_t)count * sizeof *sorted);
    qsort(sorted, (size_t)count, sizeof *sorted, compare_distances);
    return sorted;
}

/* Between two neighbouring distances, and never reaching the upper one, which would be accepted. */
static double halfway(double below, double above)
{
    const double middle = below + (above - below) / 2;
    return middle < above ? middle : below;
}

/* Over all trials but those of the fold `left_out`. */
static double best_threshold(const trial *sorted, int count, int left_out)
{
    double threshold = 0, last = 0;
    int gain = 0, best = 0; /* right answers more than where everybody is refused */
    bool any = false;
    for (int i = 0; i <= count; i++) {
        if (i < count && sorted[i].fold == left_out) continue;
        const double next = i < count ? sorted[i].distance : INFINITY;
        if (!any) threshold = nextafter(next, -DBL_MAX);
        else if (next > last && gain > best) { /* all at distance `last` are counted */
            best = gain;
            threshold = halfway(last, next);
        }
        if (i < count) gain += sorted[i].same ? 1 : -1;
        last = next;
        any = true;
    }
    return threshold;
}

static bool cross_validate(verification *out, const trial *sorted, int count, app_error *error)
{
    int sizes[MOST_FOLDS] = {0};
    for (int i = 0; i < count; i++) {
        if (sorted[i].fold < 0 || sorted[i].fold >= MOST_FOLDS)
            return app_fail(error, "folds are numbered 0 to %d, not %d", MOST_FOLDS - 1, sorted[i].fold);
        sizes[sorted[i].fold]++;
    }
    double accuracies[MOST_FOLDS], sum = 0, squares = 0;
    for (int f = 0; f < MOST_FOLDS; f++) {
        if (sizes[f] == 0) continue;
        const double threshold = best_threshold(sorted, count, f);
        int right = 0;
        for (int i = 0; i < count; i++)
            right += sorted[i].fold == f && sorted[i].same == (sorted[i].distance <= threshold);
        accuracies[out->folds] = (double)right / sizes[f];
        sum += accuracies[out->folds++];
    }
    if (out->folds < 2)
        return app_fail(error, "all %d pairs are in one fold, cross-validation needs at least two", count);
    out->accuracy = sum / out->folds;
    for (int f = 0; f < out->folds; f++)
        squares += (accuracies[f] - out->accuracy) * (accuracies[f] - out->accuracy);
    out->std = sqrt(squares / (out->folds - 1));
    out->standard_error = out->std / sqrt(out->folds);
    return true;
}

/* ---- the curve ----------------------------------------------------------------------------------------- */

/* How many pairs are accepted up to a distance. */
typedef struct step {
    double distance;
    int64_t same, different;
} step;

typedef struct stair {
    int count;
    step *steps; /* the first accepts nobody, the last everybody; one for each different distance between */
    int64_t same, different;
} stair;

static bool stair_make(stair *out, const trial *sorted, int count, app_error *error)
{
    *out = (stair){.steps = malloc(((size_t)count + 1) * sizeof *out->steps)};
    if (!out->steps) return app_fail(error, "out of memory for %d pairs", count);
    out->steps[out->count++] = (step){.distance = nextafter(sorted[0].distance, -DBL_MAX)};
    for (int i = 0; i < count; i++) {
        if (sorted[i].same) out->same++;
        else out->different++;
        if (i + 1 < count && sorted[i + 1].distance == sorted[i].distance) continue;
        out->steps[out->count++] = (step){sorted[i].distance, out->same, out->different};
    }
    return true;
}

static double area(const stair *s)
{
    int64_t twice = 0;
    for (int i = 1; i < s->count; i++)
        twice +=
            (s->steps[i].different - s->steps[i - 1].different) * (s->steps[i].same + s->steps[i - 1].same);
    return (double)twice / (2.0 * (double)s->same * (double)s->different);
}

static double equal_error(const stair *s)
{
    /* FAR - (1 - VAL), times same * different: from below 0 to above it */
    int64_t before = 0, after = -s->same * s->different;
    int i = 0;
    while (after < 0) {
        const step *next = &s->steps[++i];
        before = after;
        after = next->different * s->same - (s->same - next->same) * s->different;
    }
    const double part = (double)-before / (double)(after - before);
    const double far = (double)s->steps[i - 1].different;
    return (far + part * ((double)s->steps[i].different - far)) / (double)s->different;
}

/* At a FAR of 1 / one_in. */
static double val_at(const stair *s, int64_t one_in)
{
    double val = 0;
    if (s->different < one_in) return NAN;
    for (int i = 0; i < s->count && s->steps[i].different * one_in <= s->different; i++)
        val = (double)s->steps[i].same / (double)s->same;
    return val;
}

bool verification_measure(verification *out, const trial *trials, int count, app_error *error)
{
    *out = (verification){.pairs = count};
    trial *sorted = sorted_copy(trials, count, error);
    stair s = {0};
    const bool done =
        sorted && cross_validate(out, sorted, count, error) && stair_make(&s, sorted, count, error);
    if (done) {
        out->auc = area(&s);
        out->eer = equal_error(&s);
        int64_t one_in = 1;
        for (int i = 0; i < VAL_LEVELS; i++) out->val[i] = val_at(&s, one_in *= 10);
        out->threshold = best_threshold(sorted, count, NO_FOLD);
    }
    free(s.steps);
    free(sorted);
    return done;
}

verification_line verification_print(const verification *v)
{
    verification_line line;
    snprintf(line.text, sizeof line.text,
             "accuracy=%.4f std=%.4f auc=%.4f eer=%.4f val_1e-1=%s val_1e-2=%s val_1e-3=%s val_1e-4=%s threshold=%.4g "
             "pairs=%d",
             v->accuracy, v->std, v->auc, v->eer, figure_of(v->val[0], 3).text, figure_of(v->val[1], 3).text,
             figure_of(v->val[2], 3).text, figure_of(v->val[3], 3).text, v->threshold, v->pairs);
    return line;
}

bool roc_make(roc_curve *out, const trial *trials, int count, app_error *error)
{
    *out = (roc_curve){0};
    trial *sorted = sorted_copy(trials, count, error);
    stair s = {0};
    bool done = sorted && stair_make(&s, sorted, count, error);
    if (done) {
        const size_t bytes = (size_t)s.count * sizeof(double);
        *out = (roc_curve){s.count, malloc(bytes), malloc(bytes), malloc(bytes)};
        done = (out->far && out->val && out->threshold) || app_fail(error, "out of memory for a ROC curve");
    }
    for (int i = 0; done && i < s.count; i++) {
        out->far[i] = (double)s.steps[i].different / (double)s.different;
        out->val[i] = (double)s.steps[i].same / (double)s.same;
        out->threshold[i] = s.steps[i].distance;
    }
    if (!done) roc_free(out);
    free(s.steps);
    free(sorted);
    return done;
}

void roc_free(roc_curve *curve)
{
    free(curve->far);
    free(curve->val);
    free(curve->threshold);
    *curve = (roc_curve){0};
}
