#include "core/kernels/levels.h"
#include "ops/indices.h"
#include "ops/ops_internal.h"
#include "ops/strided.h"

#include <string.h>

/* ---- reshape ----------------------------------------------------------------------------------------------------- */

static void reshape_backward(tsr_node *n)
{
    tsr_accumulate(n, 0, tsr_reshape(tsr_cotangent(n), tsr_shape_of(tsr_input(n, 0))));
}

static const tsr_op reshape_op = {.name = "reshape", .backward = reshape_backward};

/* Puts the missing length in the place of a single -1; false where there is none that fits. */
static bool infer(tsr_shape *shape, int64_t size)
{
    int unknown = -1;
    int64_t known = 1;
    for (int i = 0; i < shape->rank; i++) {
        const int64_t length = shape->dims[i];
        if (length == -1 && unknown < 0) {
            unknown = i;
        } else {
            if (length < 0 || (length > 0 && known > INT64_MAX / length)) return false;
            known *= length;
        }
    }
    if (unknown < 0) return known == size;
    if (known == 0 || size % known != 0) return false;
    shape->dims[unknown] = size / known;
    return true;
}

tsr_tensor *tsr_reshape(tsr_tensor *x, tsr_shape shape)
{
    tsr_node *n = tsr_begin(&reshape_op, TSR_INPUTS(x));
    if (tsr_dead(n)) return tsr_end(n);
    const tsr_shape wanted = shape;
    if (shape.rank < 0 || shape.rank > TSR_MAX_RANK)
        return tsr_reject(n, "to %d axes, expected at most %d", shape.rank, TSR_MAX_RANK);
    if (!infer(&shape, tsr_size(x)))
        return tsr_reject(n, "%s has %lld values, which do not fit %s", tsr_shape_text(tsr_shape_of(x)).text,
                          (long long)tsr_size(x), tsr_shape_text(wanted).text);
    tsr_output_view(n, 0, shape);
    return tsr_end(n);
}

/* ---- permute, transpose ------------------------------------------------------------------------------------------ */

/* Writes x, of that shape, with its axes in another order: axis i of the result is axis axes[i] of x. */
static void reorder(tsr_context *ctx, tsr_shape shape, const int *axes, const tsr_real *x, tsr_real *y)
{
    int64_t strides[TSR_MAX_RANK];
    tsr_shape result = {.rank = shape.rank};
    tsr_strided box = {.rank = shape.rank};
    tsr_strides_of(shape, strides);
    for (int i = 0; i < shape.rank; i++) {
        box.dims[i] = result.dims[i] = shape.dims[axes[i]];
        box.from[i] = strides[axes[i]];
    }
    tsr_strides_of(result, box.to);
    tsr_copy_strided(ctx, &box, y, x);
}

static void permute_backward(tsr_node *n)
{
    const int *axes = tsr_saved(n);
    tsr_real *gx = tsr_gradient(n, 0);
    int back[TSR_MAX_RANK] = {0};
    const tsr_shape shape = tsr_shape_of(tsr_result(n));
    for (int i = 0; i < shape.rank; i++) back[axes[i]] = i;
    if (gx) reorder(tsr_node_context(n), shape, back, tsr_data(tsr_cotangent(n)), gx);
}

static const tsr_op permute_op = {.name = "permute", .backward = permute_backward};
static const tsr_op transpose_op = {.name = "transpose", .backward = permute_backward};

/* Ends either's call, given a proper order of the axes. */
static tsr_tensor *permuted(tsr_node *n, const int *axes)
{
    const tsr_tensor *x = tsr_input(n, 0);
    const tsr_shape shape = tsr_shape_of(x);
    tsr_shape result = {.rank = shape.rank};
    int *saved = tsr_save(n, TSR_MAX_RANK * sizeof *saved);
    for (int i = 0; saved && i < shape.rank; i++) {
        saved[i] = axes[i];
        result.dims[i] = shape.dims[axes[i]];
    }
    tsr_real *y = tsr_output(n, result);
    if (y) reorder(tsr_node_context(n), shape, axes, tsr_data(x), y);
    return tsr_end(n);
}

tsr_tensor *tsr_permute(tsr_tensor *x, const int *axes)
{
    tsr_node *n = tsr_begin(&permute_op, TSR_INPUTS(x));
    const int rank = tsr_rank(x);
    int order[TSR_MAX_RANK] = {0};
    bool taken[TSR_MAX_RANK] = {0};
    if (tsr_dead(n)) return tsr_end(n);
    if (!axes && rank > 0) return tsr_reject(n, "axes are required");
    for (int i = 0; i < rank; i++) {
        order[i] = axes[i];
        if (!tsr_find_axis(rank, &order[i]))
            return tsr_reject(n, "axis %d of %s is not there", axes[i], tsr_shape_text(tsr_shape_of(x)).text);
        if (taken[order[i]]) return tsr_reject(n, "axis %d is named twice", axes[i]);
        taken[order[i]] = true;
    }
    return permuted(n, order);
}

tsr_tensor *tsr_transpose(tsr_tensor *x, int a, int b)
{
    tsr_node *n = tsr_begin(&transpose_op, TSR_INPUTS(x));
    const int rank = tsr_rank(x);
    int order[TSR_MAX_RANK], first = a, second = b;
    if (tsr_dead(n)) return tsr_end(n);
    if (!tsr_find_axis(rank, &first) || !tsr_find_axis(rank, &second))
        return tsr_reject(n, "axes %d and %d are not both in %s", a, b, tsr_shape_text(tsr_shape_of(x)).text);
    for (int i = 0; i < rank; i++) order[i] = i;
    order[first] = second;
    order[second] = first;
    return permuted(n, order);
}

/* ---- concat ------------------------------------------------------------------------------------------------------ */

enum { MOST_PARTS = 64 };

/* Where part i lies in the whole; `at` is where it begins. */
static tsr_region part_region(const tsr_node *n, int i, int axis, int64_t at)
{
    tsr_region region = {.whole = tsr_shape_of(tsr_result(n)), .part = tsr_shape_of(tsr_input(n, i))};
    region.begin[axis] = at;
    return region;
}

static void concat_backward(tsr_node *n)
{
    const int axis = *(const int *)tsr_saved(n);
    const tsr_real *g = tsr_data(tsr_cotangent(n));
    int64_t at = 0;
    for (int i = 0; i < tsr_input_count(n); i++) {
        const tsr_region region = part_region(n, i, axis, at);
        tsr_real *gx = tsr_gradient(n, i);
        if (gx) tsr_region_read(tsr_node_context(n), &region, g, gx);
        at += region.part.dims[axis];
    }
}

static const tsr_op concat_op = {.name = "concat", .backward = concat_backward};

tsr_tensor *tsr_concat(tsr_tensor *const *parts, int count, int axis)
{
    tsr_node *n = tsr_begin(&concat_op, count > MOST_PARTS ? 1 : count, parts);
    if (tsr_dead(n)) return tsr_end(n);
    if (count > MOST_PARTS) return tsr_reject(n, "%d parts, expected at most %d", count, MOST_PARTS);
    tsr_shape shape = tsr_shape_of(parts[0]);
    int *saved = tsr_save(n, sizeof *saved), along = axis;
    if (!saved) return tsr_end(n);
    if (!tsr_find_axis(shape.rank, &along))
        return tsr_reject(n, "axis %d of %s is not there", axis, tsr_shape_text(shape).text);
    *saved = along;
    for (int i = 1; i < count; i++) {
        tsr_shape part = tsr_shape_of(parts[i]), like = tsr_shape_of(parts[0]);
        const int64_t length = part.rank == like.rank ? part.dims[along] : 0;
        part.dims[along] = like.dims[along];
        if (!tsr_same_shape(part, like))
            return tsr_reject(n, "part %d %s and part 0 %s differ beside axis %d", i,
                              tsr_shape_text(tsr_shape_of(parts[i])).text, tsr_shape_text(like).text, along);
        if (length > INT64_MAX - shape.dims[along]) return tsr_reject(n, "axis %d becomes too long", along);
        shape.dims[along] += length;
    }
    tsr_real *y = tsr_output(n, shape);
    int64_t at = 0;
    for (int i = 0; y && i < count; i++) {
        const tsr_region region = part_region(n, i, along, at);
        tsr_region_write(tsr_node_context(n), &region, y, tsr_data(parts[i]));
        at += region.part.dims[along];
    }
    return tsr_end(n);
}

/* ---- slice, split ------------------------------------------------------------------------------------------------ */

static void slice_backward(tsr_node *n)
{
    tsr_real *gx = tsr_gradient(n, 0);
    if (gx) tsr_region_embed(tsr_node_context(n), tsr_saved(n), gx, tsr_data(tsr_cotangent(n)), 0);
}

static const tsr_op slice_op = {.name = "slice", .backward = slice_backward};

tsr_tensor *tsr_slice(tsr_tensor *x, int axis, int64_t begin, int64_t end)
{
    tsr_node *n = tsr_begin(&slice_op, TSR_INPUTS(x));
    tsr_region *region = tsr_save(n, sizeof *region);
    if (!region) return tsr_end(n);
    const tsr_shape shape = tsr_shape_of(x);
    int along = axis;
    if (!tsr_find_axis(shape.rank, &along))
        return tsr_reject(n, "axis %d of %s is not there", axis, tsr_shape_text(shape).text);
    const int64_t length = shape.dims[along];
    const int64_t from = begin < 0 ? begin + length : begin, to = end < 0 ? end + length : end;
    if (from < 0 || to > length || from > to)
        return tsr_reject(n, "[%lld, %lld) of axis %d is not inside %s", (long long)begin, (long long)end,
                          axis, tsr_shape_text(shape).text);
    *region = (tsr_region){.whole = shape, .part = shape};
    region->begin[along] = from;
    region->part.dims[along] = to - from;
    tsr_real *y = tsr_output(n, region->part);
    if (y) tsr_region_read(tsr_node_context(n), region, tsr_data(x), y);
    return tsr_end(n);
}

bool tsr_split(tsr_tensor *x, int axis, int count, tsr_tensor **parts)
{
    tsr_context *ctx = tsr_context_of(x);
    int along = axis;
    if (!tsr_error(ctx) && !tsr_is_error(x)) {
        const tsr_shape shape = tsr_shape_of(x);
        if (!tsr_find_axis(shape.rank, &along))
            tsr_fail(ctx, "split: axis %d of %s is not there", axis, tsr_shape_text(shape).text);
        else if (count < 1 || shape.dims[along] % count != 0)
            tsr_fail(ctx, "split: axis %d of %s cannot be cut into %d equal parts", axis,
                     tsr_shape_text(shape).text, count);
    }
    if (!parts) tsr_fail(ctx, "split: there is no room for the parts (NULL)");
    const int64_t length = count > 0 ? tsr_dim(x, along) / count : 0;
    for (int i = 0; parts && i < count; i++) parts[i] = tsr_slice(x, along, i * length, (i + 1) * length);
    return ctx && !tsr_error(ctx);
}

/* ---- expand ------------------------------------------------------------------------------------------------------ */

/* What was repeated is added up. */
static void expand_backward(tsr_node *n)
{
    const tsr_shape in = tsr_shape_of(tsr_input(n, 0)), out = tsr_shape_of(tsr_result(n));
    tsr_tensor *g = tsr_cotangent(n);
    unsigned axes = 0;
    for (int i = 0; i < out.rank; i++) {
        const int own = i - (out.rank - in.rank);
        if (own < 0 || in.dims[own] != out.dims[i]) axes |= TSR_AXIS(i);
    }
    if (axes) g = tsr_sum(g, &(tsr_reduce_options){.axes = axes, .keep_dims = true});
    tsr_accumulate(n, 0, tsr_reshape(g, in));
}

static const tsr_op expand_op = {.name = "expand", .backward = expand_backward};

tsr_tensor *tsr_expand(tsr_tensor *x, tsr_shape shape)
{
    tsr_node *n = tsr_begin(&expand_op, TSR_INPUTS(x));
    if (tsr_dead(n)) return tsr_end(n);
    const tsr_shape in = tsr_shape_of(x);
    int64_t strides[TSR_MAX_RANK];
    bool fits = shape.rank >= in.rank && shape.rank <= TSR_MAX_RANK;
    tsr_strided box = {.rank = shape.rank};
    tsr_strides_of(in, strides);
    for (int i = 0; fits && i < shape.rank; i++) {
        const int own = i - (shape.rank - in.rank);
        box.dims[i] = shape.dims[i];
        if (own < 0 || in.dims[own] == 1) continue;
        box.from[i] = strides[own];
        fits = in.dims[own] == shape.dims[i];
    }
    if (!fits)
        return tsr_reject(n,
                          "%s cannot become %s: only axes of length 1 are repeated, new ones stand in front",
                          tsr_shape_text(in).text, tsr_shape_text(shape).text);
    tsr_real *y = tsr_output(n, shape);
    if (!y) return tsr_end(n);
    tsr_strides_of(shape, box.to);
    tsr_copy_strided(tsr_node_context(n), &box, y, tsr_data(x));
    return tsr_end(n);
}

/* ---- flip -------------------------------------------------------------------------------------------------------- */

static void reverse(tsr_context *ctx, tsr_shape shape, int axis, const tsr_real *x, tsr_real *y)
{
    tsr_strided box = {.rank = shape.rank};
    for (int i = 0; i < shape.rank; i++) {
        if (shape.dims[i] == 0) return;
        box.dims[i] = shape.dims[i];
    }
    tsr_strides_of(shape, box.to);
    tsr_strides_of(shape, box.from);
    const int64_t last = (box.dims[axis] - 1) * box.from[axis];
    box.from[axis] = -box.from[axis];
    tsr_copy_strided(ctx, &box, y, x + last);
}

static void flip_backward(tsr_node *n)
{
    tsr_real *gx = tsr_gradient(n, 0);
    const int *axis = tsr_saved(n);
    if (gx) reverse(tsr_node_context(n), tsr_shape_of(tsr_result(n)), *axis, tsr_data(tsr_cotangent(n)), gx);
}

static const tsr_op flip_op = {.name = "flip", .backward = flip_backward};

tsr_tensor *tsr_flip(tsr_tensor *x, int axis)
{
    tsr_node *n = tsr_begin(&flip_op, TSR_INPUTS(x));
    int *along = tsr_save(n, sizeof *along);
    if (!along) return tsr_end(n);
    const tsr_shape shape = tsr_shape_of(x);
    *along = axis;
    if (!tsr_find_axis(shape.rank, along))
        return tsr_reject(n, "axis %d of %s is not there", axis, tsr_shape_text(shape).text);
    tsr_real *y = tsr_output(n, shape);
    if (y) reverse(tsr_node_context(n), shape, *along, tsr_data(x), y);
    return tsr_end(n);
}

/* ---- gather_rows ------------------------------------------------------------------------------------------------- */

typedef struct rows_job {
    int64_t rows, width, count; /* of the table; how many indices */
    const tsr_real *indices, *from;
    tsr_real *to;
} rows_job;

static rows_job rows_of(const tsr_tensor *table, const tsr_tensor *indices)
{
    const tsr_axis_view view = tsr_view_axis(tsr_shape_of(table), 0);
    return (rows_job){
        .rows = view.length, .width = view.inner, .count = tsr_size(indices), .indices = tsr_data(indices)};
}

/* Each piece owns some columns of the table's gradient and adds to them in the order of the indices. */
static TSR_LOOP(scatter_body)
{
    const rows_job *job = user;
    for (int64_t i = 0; i < job->rows; i++)
        for (int64_t k = begin; k < end; k++) job->to[i * job->width + k] = 0;
    for (int64_t i = 0; i < job->count; i++) {
        tsr_real *to = job->to + (int64_t)job->indices[i] * job->width;
        const tsr_real *from = job->from + i * job->width;
        TSR_INDEPENDENT
        for (int64_t k = begin; k < end; k++) to[k] += from[k];
    }
}

static void gather_rows_backward(tsr_node *n)
{
    enum { COLUMNS_TOGETHER = 64 }; /* fewer would read each row in too small pieces */
    tsr_context *ctx = tsr_node_context(n);
    rows_job job = rows_of(tsr_input(n, 0), tsr_input(n, 1));
    job.from = tsr_data(tsr_cotangent(n));
    job.to = tsr_gradient(n, 0);
    if (job.to) tsr_parallel(ctx, job.width, COLUMNS_TOGETHER, scatter_body[ctx->kernels->level], &job);
}

static const tsr_op gather_rows_op = {.name = "gather_rows", .backward = gather_rows_backward};

static void gather_body(void *user, int64_t begin, int64_t end)
{
    const rows_job *job = user;
    for (int64_t i = begin; i < end; i++)
        memcpy(job->to + i * job->width, job->from + (int64_t)job->indices[i] * job->width,
               (size_t)job->width * sizeof *job->to);
}

tsr_tensor *tsr_gather_rows(tsr_tensor *x, tsr_tensor *indices)
{
    tsr_node *n = tsr_begin(&gather_rows_op, TSR_INPUTS(x, indices));
    if (tsr_dead(n)) return tsr_end(n);
    const tsr_shape table = tsr_shape_of(x);
    tsr_shape shape = tsr_shape_of(indices);
    if (table.rank < 1 || shape.rank + table.rank - 1 > TSR_MAX_RANK)
        return tsr_reject(
            n,
            "table %s and indices %s, expected at least one axis in the table and at most %d in the result",
            tsr_shape_text(table).text, tsr_shape_text(shape).text, TSR_MAX_RANK);
    for (int i = 1; i < table.rank; i++) shape.dims[shape.rank++] = table.dims[i];
    rows_job job = rows_of(x, indices);
    tsr_tensor *error = tsr_check_indices(n, indices, job.rows);
    if (error) return error;
    job.from = tsr_data(x);
    job.to = tsr_output(n, shape);
    if (job.to) tsr_parallel(tsr_node_context(n), job.count, tsr_grain((double)job.width), gather_body, &job);
    return tsr_end(n);
}
