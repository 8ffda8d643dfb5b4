/* Vectors of length 1. Lengths are kept in double, where the square of a float neither overflows nor underflows. */
#include "core/kernels/levels.h"
#include "ops/ops_internal.h"

#include <math.h>

enum { NORMALIZED_COLUMNS = 64, NORMALIZED_LANES = 8 };
static const double shortest = 1e-12; /* what is shorter is divided by this */

typedef struct normalize_saved {
    tsr_axis_view view;
    double *length; /* [outer][inner], at least `shortest` */
    bool *too_short;
} normalize_saved;

typedef struct normalize_job {
    normalize_saved at;
    int64_t chunks; /* of neighbouring vectors in an outer index */
    const tsr_real *x, *y, *g;
    tsr_real *out;
} normalize_job;

/* Sums of products a b of `columns` vectors that lie side by side, `inner` apart from row to row. */
static TSR_INLINE void dots(const tsr_real *a, const tsr_real *b, const tsr_axis_view *view, int64_t columns, double *sums)
{
    for (int64_t j = 0; j < columns; j++) sums[j] = 0;
    if (view->inner > 1) {
        for (int64_t k = 0; k < view->length; k++)
            for (int64_t j = 0; j < columns; j++)
                sums[j] += (double)a[k * view->inner + j] * (double)b[k * view->inner + j];
        return;
    }
    double lanes[NORMALIZED_LANES] = {0};
    int64_t k = 0;
    for (; k + NORMALIZED_LANES <= view->length; k += NORMALIZED_LANES)
        for (int j = 0; j < NORMALIZED_LANES; j++) lanes[j] += (double)a[k + j] * (double)b[k + j];
    for (; k < view->length; k++) lanes[0] += (double)a[k] * (double)b[k];
    for (int j = 0; j < NORMALIZED_LANES; j++) sums[0] += lanes[j];
}

/* For squares that leave the range (of doubles only): the length by way of the largest value. */
static double careful_length(const tsr_real *x, const tsr_axis_view *view)
{
    const double largest = tsr_largest_magnitude(x, view->length, view->inner);
    double sum = 0;
    for (int64_t k = 0; k < view->length && largest > 0; k++) {
        const double ratio = (double)x[k * view->inner] / largest;
        sum += ratio * ratio;
    }
    return largest * sqrt(sum);
}

static TSR_LOOP(forward_body)
{
    const normalize_job *job = user;
    const tsr_axis_view *view = &job->at.view;
    for (int64_t item = begin; item < end; item++) {
        const int64_t outer = item / job->chunks, first = item % job->chunks * NORMALIZED_COLUMNS;
        const int64_t columns = view->inner - first < NORMALIZED_COLUMNS ? view->inner - first : NORMALIZED_COLUMNS;
        const int64_t from = outer * view->length * view->inner + first, at = outer * view->inner + first;
        double factor[NORMALIZED_COLUMNS];
        dots(job->x + from, job->x + from, view, columns, factor);
        for (int64_t j = 0; j < columns; j++) {
            const bool plain = factor[j] > 1e-280 && factor[j] < 1e280;
            const double length = plain ? sqrt(factor[j]) : careful_length(job->x + from + j, view);
            job->at.too_short[at + j] = length < shortest;
            job->at.length[at + j] = length < shortest ? shortest : length;
            factor[j] = 1 / job->at.length[at + j];
        }
        const tsr_real *restrict x = job->x + from;
        tsr_real *restrict y = job->out + from;
        for (int64_t k = 0; k < view->length && view->inner == 1; k++) y[k] = (tsr_real)((double)x[k] * factor[0]);
        for (int64_t k = 0; k < view->length && view->inner > 1; k++, x += view->inner, y += view->inner)
            for (int64_t j = 0; j < columns; j++) y[j] = (tsr_real)((double)x[j] * factor[j]);
    }
}

/* (g - y (y . g)) / length, and of a vector that is too short g / length. */
static TSR_LOOP(backward_body)
{
    const normalize_job *job = user;
    const tsr_axis_view *view = &job->at.view;
    for (int64_t item = begin; item < end; item++) {
        const int64_t outer = item / job->chunks, first = item % job->chunks * NORMALIZED_COLUMNS;
        const int64_t columns = view->inner - first < NORMALIZED_COLUMNS ? view->inner - first : NORMALIZED_COLUMNS;
        const int64_t from = outer * view->length * view->inner + first, at = outer * view->inner + first;
        double along[NORMALIZED_COLUMNS], factor[NORMALIZED_COLUMNS];
        dots(job->y + from, job->g + from, view, columns, along);
        for (int64_t j = 0; j < columns; j++) {
            factor[j] = 1 / job->at.length[at + j];
            if (job->at.too_short[at + j]) along[j] = 0;
        }
        const tsr_real *restrict y = job->y + from, *restrict g = job->g + from;
        tsr_real *restrict out = job->out + from;
        for (int64_t k = 0; k < view->length && view->inner == 1; k++)
            out[k] = (tsr_real)(((double)g[k] - (double)y[k] * along[0]) * factor[0]);
        for (int64_t k = 0; k < view->length && view->inner > 1; k++) {
            const int64_t at_row = k * view->inner;
            for (int64_t j = 0; j < columns; j++)
                out[at_row + j] = (tsr_real)(((double)g[at_row + j] - (double)y[at_row + j] * along[j]) * factor[j]);
        }
    }
}

static void run_normalize(tsr_node *n, normalize_job *job, const tsr_loop_body *body)
{
    const tsr_axis_view *view = &job->at.view;
    job->chunks = view->inner > 0 ? (view->inner - 1) / NORMALIZED_COLUMNS + 1 : 0;
    const double cost = 3 * (double)view->length * (double)(view->inner < NORMALIZED_COLUMNS ? view->inner : NORMALIZED_COLUMNS);
    tsr_context *ctx = tsr_node_context(n);
    if (job->out) tsr_parallel(ctx, view->outer * job->chunks, tsr_grain(cost), body[ctx->kernels->level], job);
}

static void l2_normalize_backward(tsr_node *n)
{
    const normalize_saved *saved = tsr_saved(n);
    normalize_job job = {.at = *saved, .y = tsr_data(tsr_result(n)), .g = tsr_data(tsr_cotangent(n)),
                         .out = tsr_gradient(n, 0)};
    run_normalize(n, &job, backward_body);
}

static const tsr_op l2_normalize_op = {.name = "l2_normalize", .backward = l2_normalize_backward};

tsr_tensor *tsr_l2_normalize(tsr_tensor *x, int axis)
{
    tsr_node *n = tsr_begin(&l2_normalize_op, TSR_INPUTS(x));
    if (tsr_dead(n)) return tsr_end(n);
    const tsr_shape shape = tsr_shape_of(x);
    const int asked = axis;
    if (!tsr_find_axis(shape.rank, &axis))
        return tsr_reject(n, "%s has no axis %d", tsr_shape_text(shape).text, asked);
    normalize_saved *saved = tsr_save(n, sizeof *saved);
    if (!saved) return tsr_end(n);
    saved->view = tsr_view_axis(shape, axis);
    const size_t vectors = (size_t)(saved->view.outer * saved->view.inner);
    saved->length = tsr_save(n, vectors * sizeof *saved->length);
    saved->too_short = tsr_save(n, vectors * sizeof *saved->too_short);
    tsr_real *y = tsr_output(n, shape);
    if (tsr_dead(n)) return tsr_end(n);
    normalize_job job = {.at = *saved, .x = tsr_data(x), .out = y};
    run_normalize(n, &job, forward_body);
    return tsr_end(n);
}
