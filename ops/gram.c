/* Products of a set of rows with itself or another: Gram matrices and squared distances. */
#include "ops/ops_internal.h"

#include <math.h>

/* ---- Gram matrix --------------------------------------------------------------------------------------- */

enum { GRAM_BLOCK = 32, GRAM_BLOCKS = 8 }; /* least columns computed at once, and most such blocks */

typedef struct gram_call {
    int64_t samples, positions, channels;
    double scale;
} gram_call;

/* y = scale * x^T x, x [positions][channels]. */
static void gram_of(tsr_node *n, const gram_call *call, const tsr_real *x, tsr_real *y)
{
    const int64_t channels = call->channels, block = (channels / GRAM_BLOCKS + GRAM_BLOCK) / GRAM_BLOCK * GRAM_BLOCK;
    for (int64_t c = 0; c < channels; c += block) { /* what lies above the block is its mirror image */
        const tsr_factor columns = {.data = x + c, .row_stride = 1, .depth_stride = channels};
        tsr_node_multiply(n, &(tsr_product){.rows = channels - c,
                                            .columns = channels - c < block ? channels - c : block,
                                            .depth = call->positions, .left = columns, .right = columns,
                                            .out = y + c * channels + c, .stride = channels});
    }
    const tsr_real scale = (tsr_real)call->scale;
    for (int64_t i = 0; i < channels; i++)
        for (int64_t j = 0; j <= i; j++) y[j * channels + i] = y[i * channels + j] *= scale;
}

static void gram_backward(tsr_node *n)
{
    const gram_call *call = tsr_saved(n);
    const int64_t channels = call->channels, values = call->positions * channels;
    const tsr_real *x = tsr_data(tsr_input(n, 0)), *g = tsr_data(tsr_cotangent(n));
    tsr_real *gx = tsr_gradient(n, 0);
    tsr_real *both = tsr_scratch(n, (size_t)(channels * channels) * sizeof *both);
    if (!gx || !both) return;
    const tsr_real scale = (tsr_real)call->scale;
    for (int64_t s = 0; s < call->samples; s++, x += values, gx += values, g += channels * channels) {
        for (int64_t i = 0; i < channels; i++)
            for (int64_t j = 0; j < channels; j++)
                both[i * channels + j] = scale * (g[i * channels + j] + g[j * channels + i]);
        tsr_node_multiply(n, &(tsr_product){.rows = call->positions, .columns = channels, .depth = channels, .out = gx,
                                            .stride = channels,
                                            .left = {.data = x, .row_stride = channels, .depth_stride = 1},
                                            .right = {.data = both, .row_stride = 1, .depth_stride = channels}});
    }
}

static const tsr_op gram_op = {.name = "gram", .backward = gram_backward};

tsr_tensor *tsr_gram(tsr_tensor *x, const tsr_gram_options *options)
{
    tsr_node *n = tsr_begin(&gram_op, TSR_INPUTS(x));
    if (tsr_dead(n)) return tsr_end(n);
    const tsr_shape shape = tsr_shape_of(x);
    if (shape.rank < 2) return tsr_reject(n, "input %s is not [N, S..., C]", tsr_shape_text(shape).text);
    gram_call call = {.samples = shape.dims[0], .positions = 1, .channels = shape.dims[shape.rank - 1]};
    call.scale = options ? options->scale : 0;
    if (!isfinite(call.scale)) return tsr_reject(n, "scale %g is not a number to multiply by", call.scale);

    tsr_real *y = tsr_output(n, TSR_SHAPE(call.samples, call.channels, call.channels));
    gram_call *saved = tsr_save(n, sizeof *saved);
    if (!y || !saved) return tsr_end(n);
    for (int i = 1; i < shape.rank - 1; i++) call.positions *= shape.dims[i];
    const double values = (double)call.positions * (double)call.channels;
    call.scale = tsr_default_double(call.scale, values > 0 ? 1 / values : 1);
    *saved = call;
    for (int64_t s = 0; s < call.samples; s++)
        gram_of(n, &call, tsr_data(x) + s * call.positions * call.channels, y + s * call.channels * call.channels);
    return tsr_end(n);
}

/* ---- squared distances --------------------------------------------------------------------------------- */

typedef struct norms_job {
    const tsr_real *x;
    int64_t width;
    tsr_real *out;
} norms_job;

static void norms_body(void *user, int64_t begin, int64_t end)
{
    const norms_job *job = user;
    for (int64_t i = begin; i < end; i++) {
        const tsr_real *row = job->x + i * job->width;
        double sum = 0;
        for (int64_t k = 0; k < job->width; k++) sum += (double)row[k] * (double)row[k];
        job->out[i] = (tsr_real)sum;
    }
}

typedef struct distances_job {
    tsr_real *y; /* products before, distances after */
    const tsr_real *a_norms, *b_norms;
    int64_t columns;
    bool same; /* a is b: the diagonal is exactly 0 */
} distances_job;

static void distances_body(void *user, int64_t begin, int64_t end)
{
    const distances_job *job = user;
    for (int64_t i = begin; i < end; i++) {
        tsr_real *row = job->y + i * job->columns;
        for (int64_t j = 0; j < job->columns; j++) {
            const tsr_real d = job->a_norms[i] + job->b_norms[j] - 2 * row[j];
            row[j] = d > 0 ? d : 0;
        }
        if (job->same) row[i] = 0;
    }
}

/* gradient of |a_i - b_j|^2 by a_i = 2 (a_i sum_j g_ij - sum_j g_ij b_j), and the other way round. */
typedef struct pull_job {
    const tsr_real *x, *weights; /* the rows, and the sum of what arrives for each */
    tsr_real *gradient;          /* the products before */
    int64_t width;
} pull_job;

static void pull_body(void *user, int64_t begin, int64_t end)
{
    const pull_job *job = user;
    for (int64_t i = begin; i < end; i++) {
        const tsr_real *x = job->x + i * job->width;
        tsr_real *gradient = job->gradient + i * job->width;
        for (int64_t k = 0; k < job->width; k++) gradient[k] = 2 * (x[k] * job->weights[i] - gradient[k]);
    }
}

typedef struct row_sums_job {
    const tsr_real *g;
    int64_t columns;
    tsr_real *out;
} row_sums_job;

static void row_sums_body(void *user, int64_t begin, int64_t end)
{
    const row_sums_job *job = user;
    for (int64_t i = begin; i < end; i++) {
        double sum = 0;
        for (int64_t j = 0; j < job->columns; j++) sum += (double)job->g[i * job->columns + j];
        job->out[i] = (tsr_real)sum;
    }
}

static void distance_gradient(tsr_node *n, int side)
{
    tsr_context *ctx = tsr_node_context(n);
    const tsr_tensor *x = tsr_input(n, side), *other = tsr_input(n, 1 - side);
    const int64_t rows = tsr_dim(x, 0), others = tsr_dim(other, 0), width = tsr_dim(x, 1);
    const tsr_real *g = tsr_data(tsr_cotangent(n));
    tsr_real *gradient = tsr_gradient(n, side), *weights = tsr_scratch(n, (size_t)rows * sizeof *weights);
    if (!gradient || !weights) return;
    const int64_t row_stride = side == 0 ? others : 1, depth_stride = side == 0 ? 1 : rows;
    const tsr_factor right = {.data = tsr_data(other), .row_stride = 1, .depth_stride = width};
    tsr_node_multiply(n, &(tsr_product){.rows = rows, .columns = width, .depth = others, .right = right,
                                        .left = {.data = g, .row_stride = row_stride, .depth_stride = depth_stride},
                                        .out = gradient, .stride = width});
    row_sums_job sums = {.g = g, .columns = others, .out = weights};
    if (side == 0) tsr_parallel(ctx, rows, tsr_grain((double)others), row_sums_body, &sums);
    else tsr_column_sums(ctx, g, others, rows, weights);
    pull_job pull = {.x = tsr_data(x), .weights = weights, .gradient = gradient, .width = width};
    tsr_parallel(ctx, rows, tsr_grain((double)width), pull_body, &pull);
}

static void distance_backward(tsr_node *n)
{
    for (int side = 0; side < 2; side++)
        if (tsr_wants(n, side)) distance_gradient(n, side);
}

static const tsr_op distance_op = {.name = "pairwise_squared_distance", .backward = distance_backward};

tsr_tensor *tsr_pairwise_squared_distance(tsr_tensor *a, tsr_tensor *b)
{
    tsr_node *n = tsr_begin(&distance_op, TSR_INPUTS(a, b));
    if (tsr_dead(n)) return tsr_end(n);
    const tsr_shape sa = tsr_shape_of(a), sb = tsr_shape_of(b);
    if (sa.rank != 2 || sb.rank != 2 || sa.dims[1] != sb.dims[1])
        return tsr_reject(n, "a %s and b %s are not [N, D] and [M, D] with one D", tsr_shape_text(sa).text,
                          tsr_shape_text(sb).text);
    const int64_t rows = sa.dims[0], columns = sb.dims[0], width = sa.dims[1];
    tsr_context *ctx = tsr_node_context(n);
    tsr_real *y = tsr_output(n, TSR_SHAPE(rows, columns));
    tsr_real *norms = tsr_scratch(n, (size_t)(rows + columns) * sizeof *norms);
    if (!y || !norms) return tsr_end(n);
    norms_job job = {.x = tsr_data(a), .width = width, .out = norms};
    tsr_parallel(ctx, rows, tsr_grain((double)width), norms_body, &job);
    job = (norms_job){.x = tsr_data(b), .width = width, .out = norms + rows};
    tsr_parallel(ctx, columns, tsr_grain((double)width), norms_body, &job);
    const tsr_factor left = {.data = tsr_data(a), .row_stride = width, .depth_stride = 1};
    const tsr_factor right = {.data = tsr_data(b), .row_stride = width, .depth_stride = 1};
    tsr_node_multiply(n, &(tsr_product){.rows = rows, .columns = columns, .depth = width, .left = left,
                                        .right = right, .out = y, .stride = columns});
    distances_job pairs = {.y = y, .a_norms = norms, .b_norms = norms + rows, .columns = columns,
                           .same = tsr_data(a) == tsr_data(b) && rows == columns};
    tsr_parallel(ctx, rows, tsr_grain((double)columns), distances_body, &pairs);
    return tsr_end(n);
}
