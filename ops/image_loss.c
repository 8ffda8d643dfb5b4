/* Total variation of pictures. */
#include "core/kernels/levels.h"
#include "ops/ops_internal.h"

typedef struct variation_job {
    int64_t height, width, channels; /* rows of all pictures come one after the other */
    const tsr_real *x;
    double *sums; /* per row; forward */
    tsr_real factor;
    tsr_real *out; /* backward */
} variation_job;

static TSR_INLINE double squares(const tsr_real *a, const tsr_real *b, int64_t count)
{
    enum { LANES = 8 };
    double lanes[LANES] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int j = 0; j < LANES; j++) {
            const double d = (double)a[i + j] - (double)b[i + j];
            lanes[j] += d * d;
        }
    for (; i < count; i++) sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    for (int j = 0; j < LANES; j++) sum += lanes[j];
    return sum;
}

static TSR_LOOP(variation_body)
{
    const variation_job *job = user;
    const int64_t length = job->width * job->channels;
    for (int64_t row = begin; row < end; row++) {
        const tsr_real *x = job->x + row * length;
        job->sums[row] = squares(x + job->channels, x, length - job->channels);
        if (row % job->height + 1 < job->height) job->sums[row] += squares(x + length, x, length);
    }
}

/* Each neighbour that there is pulls. */
static TSR_INLINE void pull(const tsr_real *restrict x, const tsr_real *restrict other, int64_t count, tsr_real factor,
                            tsr_real *restrict out)
{
    for (int64_t i = 0; i < count; i++) out[i] += factor * (x[i] - other[i]);
}

static TSR_LOOP(variation_gradient_body)
{
    const variation_job *job = user;
    const int64_t channels = job->channels, length = job->width * channels;
    for (int64_t row = begin; row < end; row++) {
        const tsr_real *x = job->x + row * length;
        tsr_real *out = job->out + row * length;
        for (int64_t i = 0; i < length; i++) out[i] = 0;
        pull(x, x + channels, length - channels, job->factor, out);
        pull(x + channels, x, length - channels, job->factor, out + channels);
        if (row % job->height > 0) pull(x, x - length, length, job->factor, out);
        if (row % job->height + 1 < job->height) pull(x, x + length, length, job->factor, out);
    }
}

static variation_job variation_of(const tsr_tensor *x)
{
    return (variation_job){.height = tsr_dim(x, 1), .width = tsr_dim(x, 2), .channels = tsr_dim(x, 3), .x = tsr_data(x)};
}

static void total_variation_backward(tsr_node *n)
{
    const tsr_tensor *x = tsr_input(n, 0);
    variation_job job = variation_of(x);
    job.factor = (tsr_real)(2 * tsr_item(tsr_cotangent(n)));
    job.out = tsr_gradient(n, 0);
    const double cost = 8 * (double)(job.width * job.channels);
    tsr_context *ctx = tsr_node_context(n);
    if (job.out && tsr_size(x) > 0)
        tsr_parallel(ctx, tsr_dim(x, 0) * job.height, tsr_grain(cost), variation_gradient_body[ctx->kernels->level], &job);
}

static const tsr_op total_variation_op = {.name = "total_variation", .backward = total_variation_backward};

tsr_tensor *tsr_total_variation(tsr_tensor *x)
{
    tsr_node *n = tsr_begin(&total_variation_op, TSR_INPUTS(x));
    if (tsr_dead(n)) return tsr_end(n);
    if (tsr_rank(x) != 4) return tsr_reject(n, "input %s is not [N, H, W, C]", tsr_shape_text(tsr_shape_of(x)).text);
    variation_job job = variation_of(x);
    const int64_t rows = tsr_size(x) > 0 ? tsr_dim(x, 0) * job.height : 0;
    tsr_real *y = tsr_output(n, TSR_SCALAR);
    job.sums = tsr_scratch(n, (size_t)rows * sizeof *job.sums);
    if (!y || !job.sums) return tsr_end(n);
    tsr_context *ctx = tsr_node_context(n);
    const double cost = 6 * (double)(job.width * job.channels);
    tsr_parallel(ctx, rows, tsr_grain(cost), variation_body[ctx->kernels->level], &job);
    double sum = 0;
    for (int64_t row = 0; row < rows; row++) sum += job.sums[row];
    *y = (tsr_real)sum;
    return tsr_end(n);
}
