#include "apps/common/arrays.h"
#include "apps/signals/signals.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- sets -------------------------------------------------------------------------------------------------------- */

bool signals_new(signal_set *out, int count, tsr_shape shape, int classes, app_error *error)
{
    *out = (signal_set){.count = count, .classes = classes, .shape = shape};
    out->values = calloc((size_t)(count * tsr_shape_size(shape)), sizeof *out->values);
    out->labels = classes > 0 ? calloc((size_t)count, sizeof *out->labels) : NULL;
    if (out->values && (out->labels || classes == 0)) return true;
    signals_free(out);
    return app_fail(error, "out of memory");
}

void signals_free(signal_set *s)
{
    free(s->values);
    free(s->labels);
    *s = (signal_set){0};
}

bool signals_take(signal_set *out, const signal_set *in, const int *rows, int count, app_error *error)
{
    const int64_t size = tsr_shape_size(in->shape);
    if (!signals_new(out, count, in->shape, in->labels ? in->classes : 0, error)) return false;
    out->classes = in->classes;
    memcpy(out->names, in->names, sizeof out->names);
    for (int i = 0; i < count; i++) {
        memcpy(out->values + i * size, in->values + rows[i] * size, (size_t)size * sizeof *in->values);
        if (in->labels) out->labels[i] = in->labels[rows[i]];
    }
    return true;
}

bool signals_split(signal_set *kept, signal_set *apart, const signal_set *all, int fold, int folds, uint64_t seed,
                   app_error *error)
{
    int64_t *order = calloc((size_t)all->count, sizeof *order);
    int *rows = calloc((size_t)all->count, sizeof *rows); /* kept ones from the front, the others from the back */
    int seen[MOST_CLASSES] = {0}, front = 0, back = all->count;
    bool done = (order && rows) || app_fail(error, "out of memory");
    if (done) tsr_random_permutation((tsr_rng){seed, tsr_stream("split")}, all->count, order);
    for (int i = 0; done && i < all->count; i++) {
        const int row = (int)order[i];
        if (seen[all->labels[row]]++ % folds == fold) rows[--back] = row;
        else rows[front++] = row;
    }
    done = done && ((front > 0 && back < all->count) || app_fail(error, "too few signals for %d folds", folds));
    done = done && signals_take(kept, all, rows, front, error);
    if (done && !signals_take(apart, all, rows + back, all->count - back, error)) {
        signals_free(kept);
        done = false;
    }
    free(order);
    free(rows);
    return done;
}

void signals_to_slices(signal_set *s)
{
    const int64_t depth = s->shape.dims[0], size = s->shape.dims[1] * s->shape.dims[2];
    for (int64_t i = 0; i < s->count; i++)
        memmove(s->values + i * size, s->values + (i * depth + depth / 2) * size, (size_t)size * sizeof *s->values);
    s->shape = TSR_SHAPE(s->shape.dims[1], s->shape.dims[2]);
}

void signals_measure(const signal_set *s, double *mean, double *deviation)
{
    const int64_t size = s->count * tsr_shape_size(s->shape);
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < size; i++) sum += (double)s->values[i];
    *mean = sum / (double)size;
    for (int64_t i = 0; i < size; i++) squares += ((double)s->values[i] - *mean) * ((double)s->values[i] - *mean);
    *deviation = squares > 0 ? sqrt(squares / (double)size) : 1;
}

void signals_standardise(signal_set *s, double mean, double deviation)
{
    const int64_t size = s->count * tsr_shape_size(s->shape);
    for (int64_t i = 0; i < size; i++) s->values[i] = (tsr_real)(((double)s->values[i] - mean) / deviation);
}

tsr_tensor *signals_batch(tsr_context *ctx, const signal_set *s, int first, int count)
{
    tsr_shape shape = {.rank = s->shape.rank + 2, .dims = {count}};
    for (int d = 0; d < s->shape.rank; d++) shape.dims[d + 1] = s->shape.dims[d];
    shape.dims[shape.rank - 1] = 1;
    return tsr_values(ctx, shape, s->values + first * tsr_shape_size(s->shape));
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
    const tsr_real x = *(const tsr_real *)a, y = *(const tsr_real *)b;
    return (x > y) - (x < y);
}

/* The different numbers among the labels, ascending, name the classes. */
static bool name_classes(signal_set *s, const tsr_real *labels, app_error *error)
{
    tsr_real *sorted = malloc((size_t)s->count * sizeof *sorted);
    if (!sorted) return app_fail(error, "out of memory");
    memcpy(sorted, labels, (size_t)s->count * sizeof *sorted);
    qsort(sorted, (size_t)s->count, sizeof *sorted, by_size);
    s->classes = 0;
    for (int i = 0; i < s->count && s->classes <= MOST_CLASSES; i++) {
        if (i > 0 && sorted[i] == sorted[i - 1]) continue;
        if (s->classes < MOST_CLASSES) snprintf(s->names[s->classes], CLASS_NAME, "%.9g", (double)sorted[i]);
        s->classes++;
    }
    free(sorted);
    if (s->classes > MOST_CLASSES) return app_fail(error, "there are more than %d classes", MOST_CLASSES);
    return s->classes > 1 || app_fail(error, "all labels are %s, and one class is nothing to learn", s->names[0]);
}

static bool number_labels(signal_set *s, const tsr_real *labels, app_error *error)
{
    for (int i = 0; i < s->count; i++) {
        char name[CLASS_NAME];
        snprintf(name, sizeof name, "%.9g", (double)labels[i]);
        int k = 0;
        while (k < s->classes && strcmp(name, s->names[k]) != 0) k++;
        if (k == s->classes) return app_fail(error, "label %s of signal %d is none of the classes", name, i + 1);
        s->labels[i] = k;
    }
    return true;
}

/* An array that was read as signals: `a` [N, S...], or, with its labels in the first column, [N, 1 + L]. */
static bool to_set(signal_set *out, const array *a, const array *labels, const signal_set *like, app_error *error)
{
    const bool bare = !labels->values && like && a->rank == like->shape.rank + 1 && a->dims[1] == like->shape.dims[0];
    const int column = !labels->values && !bare ? 1 : 0;
    tsr_shape shape = {.rank = a->rank - 1};
    for (int d = 1; d < a->rank; d++) shape.dims[d - 1] = a->dims[d] - (d == 1 ? column : 0);
    if (a->rank < 2 || a->rank > 4 || (column && a->rank != 2) || shape.dims[0] < 1)
        return app_fail(error, "%d axes: wanted is [signals, ...] with one to three axes and labels, or a table with "
                               "the label first", a->rank);
    if (a->dims[0] < 1 || a->dims[0] > INT_MAX) return app_fail(error, "holds no signals");
    if (like && !tsr_same_shape(shape, like->shape))
        return app_fail(error, "signals are %s, not %s", tsr_shape_text(shape).text, tsr_shape_text(like->shape).text);
    const int count = (int)a->dims[0];
    if (labels->values && (labels->dims[0] != count || (labels->rank > 1 && labels->dims[1] != 1)))
        return app_fail(error, "%d signals, but %lld labels", count, (long long)labels->dims[0]);
    const int64_t size = tsr_shape_size(shape);
    tsr_real *values = malloc((size_t)count * sizeof *values);
    bool done = (values || app_fail(error, "out of memory")) && signals_new(out, count, shape, bare ? 0 : 1, error);
    for (int i = 0; done && i < count; i++) {
        const tsr_real *row = a->values + i * (size + column);
        memcpy(out->values + i * size, row + column, (size_t)size * sizeof *row);
        values[i] = column ? row[0] : labels->values ? labels->values[i] : 0;
    }
    for (int64_t i = 0; done && i < count * size; i++)
        if (!isfinite(out->values[i]))
            done = app_fail(error, "signal %lld holds what is no number", (long long)(i / size + 1));
    if (done && like) {
        out->classes = like->classes;
        memcpy(out->names, like->names, sizeof out->names);
    }
    if (done && !bare) done = (like || name_classes(out, values, error)) && number_labels(out, values, error);
    free(values);
    return done;
}

bool signals_read(signal_set *out, const signal_source *from, const signal_set *like, app_error *error)
{
    array a = {0}, labels = {0};
    char member[40];
    app_error why = {""};
    const size_t length = strlen(from->path);
    const bool packed = length > 4 && strcmp(from->path + length - 4, ".npz") == 0;
    *out = (signal_set){0};
    snprintf(member, sizeof member, "%s_images", from->part);
    bool done = array_read(&a, from->path, packed ? member : NULL, error);
    snprintf(member, sizeof member, "%s_labels", from->part);
    if (done && packed) done = array_read(&labels, from->path, member, error);
    else if (done && from->labels) done = array_read(&labels, from->labels, NULL, error);
    if (done && !to_set(out, &a, &labels, like, &why)) done = app_fail(error, "%s: %s", from->path, why.text);
    if (!done) signals_free(out);
    array_free(&a);
    array_free(&labels);
    return done;
}
