/* The contrastive loss of pairs of rows. */
#include "ops/distances_internal.h"
#include "ops/ops_internal.h"

#include <math.h>

typedef struct pairs_job {
    int64_t width;
    double margin;
    const tsr_real *a, *b, *same;
    double *losses;  /* forward */
    double factor;   /* backward: what arrives, as a share of a pair */
    tsr_real *ga, *gb; /* either may be NULL */
} pairs_job;

static TSR_LOOP(losses_body)
{
    const pairs_job *job = user;
    for (int64_t i = begin; i < end; i++) {
        const double square = (double)tsr_squared_distance(job->a + i * job->width, job->b + i * job->width, job->width);
        const double inside = job->margin - sqrt(square);
        job->losses[i] = job->same[i] == 1 ? square : inside <= 0 ? 0 : inside * inside;
    }
}

static TSR_INLINE void pull_row(const tsr_real *x, const tsr_real *other, int64_t width, tsr_real factor, tsr_real *out)
{
    TSR_INDEPENDENT
    for (int64_t k = 0; k < width; k++) out[k] = factor * (x[k] - other[k]);
}

/* By a - b: of a pair that is the same 2, else -2 (margin - d) / d inside the margin. */
static TSR_LOOP(gradients_body)
{
    const pairs_job *job = user;
    for (int64_t i = begin; i < end; i++) {
        const tsr_real *a = job->a + i * job->width, *b = job->b + i * job->width;
        const double d = sqrt((double)tsr_squared_distance(a, b, job->width)), inside = job->margin - d;
        const double pull = job->same[i] == 1 ? 2 : inside > 0 && d > 0 ? -2 * inside / d : 0;
        const tsr_real factor = (tsr_real)(job->factor * pull);
        if (job->ga) pull_row(a, b, job->width, factor, job->ga + i * job->width);
        if (job->gb) pull_row(b, a, job->width, factor, job->gb + i * job->width);
    }
}

static void contrastive_backward(tsr_node *n)
{
    const double *margin = tsr_saved(n);
    const tsr_tensor *a = tsr_input(n, 0);
    const int64_t pairs = tsr_dim(a, 0);
    pairs_job job = {.width = tsr_dim(a, 1), .margin = *margin, .a = tsr_data(a), .b = tsr_data(tsr_input(n, 1)),
                     .same = tsr_data(tsr_input(n, 2)), .ga = tsr_gradient(n, 0), .gb = tsr_gradient(n, 1),
                     .factor = pairs > 0 ? tsr_item(tsr_cotangent(n)) / (double)pairs : 0};
    tsr_context *ctx = tsr_node_context(n);
    tsr_parallel(ctx, pairs, tsr_grain(6 * (double)job.width), gradients_body[ctx->kernels->level], &job);
}

static const tsr_op contrastive_op = {.name = "contrastive_loss", .backward = contrastive_backward};

tsr_tensor *tsr_contrastive_loss(tsr_tensor *a, tsr_tensor *b, tsr_tensor *same, double margin)
{
    tsr_node *n = tsr_begin(&contrastive_op, TSR_INPUTS(a, b, same));
    if (tsr_dead(n)) return tsr_end(n);
    const tsr_shape shape = tsr_shape_of(a), labels = tsr_shape_of(same);
    const tsr_text text = tsr_shape_text(shape);
    if (shape.rank != 2 || !tsr_same_shape(shape, tsr_shape_of(b)))
        return tsr_reject(n, "a %s and b %s are not both [N, D]", text.text, tsr_shape_text(tsr_shape_of(b)).text);
    const int64_t pairs = shape.dims[0];
    if (labels.rank != 1 || labels.dims[0] != pairs)
        return tsr_reject(n, "same %s does not fit pairs %s: expected [%lld]", tsr_shape_text(labels).text, text.text,
                          (long long)pairs);
    if (!(margin > 0 && isfinite(margin))) return tsr_reject(n, "margin is %g, needs to be finite and above 0", margin);
    if (pairs == 0) return tsr_reject(n, "no pairs to take the mean of in %s", text.text);
    for (int64_t i = 0; i < pairs; i++)
        if (tsr_data(same)[i] != 0 && tsr_data(same)[i] != 1)
            return tsr_reject(n, "same of pair %lld is %g, expected 0 or 1", (long long)i, (double)tsr_data(same)[i]);
    double *saved = tsr_save(n, sizeof *saved), *losses = tsr_scratch(n, (size_t)pairs * sizeof *losses), sum = 0;
    tsr_real *y = tsr_output(n, TSR_SCALAR);
    if (tsr_dead(n)) return tsr_end(n);
    *saved = margin;
    pairs_job job = {.width = shape.dims[1], .margin = margin, .a = tsr_data(a), .b = tsr_data(b), .same = tsr_data(same),
                     .losses = losses};
    tsr_context *ctx = tsr_node_context(n);
    tsr_parallel(ctx, pairs, tsr_grain(4 * (double)job.width), losses_body[ctx->kernels->level], &job);
    for (int64_t i = 0; i < pairs; i++) sum += losses[i];
    *y = (tsr_real)(sum / (double)pairs);
    return tsr_end(n);
}
