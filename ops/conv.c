/* Convolution of one, two and three spatial dimensions, and its transpose. */
#include "ops/conv_internal.h"

/* ---- convolution -------------------------------------------------------------------------------------------------------- */

/* Gradients of image, weight and bias from that of the result before the activation. */
static void conv_backward(tsr_node *n)
{
    const tsr_geometry *g = tsr_saved(n);
    const tsr_tensor *y = tsr_result(n);
    const tsr_real *arriving = tsr_data(tsr_cotangent(n));
    if (g->activation != TSR_NO_ACTIVATION && arriving) {
        tsr_real *undone = tsr_scratch(n, (size_t)tsr_size(y) * sizeof *undone);
        if (!undone) return;
        tsr_deactivate(tsr_node_context(n), g->activation, tsr_data(y), arriving, undone, tsr_size(y));
        arriving = undone;
    }
    tsr_real *image = tsr_gradient(n, 0), *weight = tsr_gradient(n, 1), *bias = tsr_gradient(n, 2);
    if (!arriving) return;
    if (image) tsr_convolve_adjoint(n, g, arriving, tsr_data(tsr_input(n, 1)), image);
    if (weight) tsr_correlate(n, g, tsr_data(tsr_input(n, 0)), arriving, weight);
    if (bias) tsr_column_sums(tsr_node_context(n), arriving, g->batch * tsr_geometry_positions(g->out), g->filters, bias);
}

static const tsr_op conv_op = {.name = "conv", .backward = conv_backward, .optional = 1u << 2};

static bool bias_fits(tsr_node *n, const tsr_tensor *bias, int64_t filters)
{
    if (!bias || (tsr_rank(bias) == 1 && tsr_size(bias) == filters)) return true;
    tsr_reject(n, "bias %s for %lld filters, expected [%lld]", tsr_shape_text(tsr_shape_of(bias)).text, (long long)filters,
               (long long)filters);
    return false;
}

static bool conv_sizes(tsr_node *n, tsr_geometry *g, tsr_shape x, tsr_shape weight)
{
    if (x.dims[x.rank - 1] != g->channels) {
        tsr_reject(n, "input %s has %lld channels, weight %s expects %lld (groups = %d)", tsr_shape_text(x).text,
                   (long long)x.dims[x.rank - 1], tsr_shape_text(weight).text, (long long)g->channels, g->groups);
        return false;
    }
    for (int i = 0; i < 3; i++) {
        const int64_t span = g->dilation[i] * (g->kernel[i] - 1) + 1, room = g->in[i] + g->padding[i] + g->padding_end[i];
        if (room < span) {
            tsr_reject(n, "input %s is smaller than the kernel of weight %s along spatial axis %d: %lld with padding, %lld with "
                          "dilation %lld", tsr_shape_text(x).text, tsr_shape_text(weight).text, i - (3 - g->spatial),
                       (long long)room, (long long)span, (long long)g->dilation[i]);
            return false;
        }
        g->out[i] = (room - span) / g->stride[i] + 1;
    }
    return true;
}

tsr_tensor *tsr_conv(tsr_tensor *x, tsr_tensor *weight, tsr_tensor *bias, const tsr_conv_options *options)
{
    tsr_node *n = tsr_begin(&conv_op, TSR_INPUTS(x, weight, bias));
    if (tsr_dead(n)) return tsr_end(n);
    tsr_context *ctx = tsr_node_context(n);
    tsr_geometry g;
    if (!tsr_geometry_read(n, &g, tsr_shape_of(x), tsr_shape_of(weight), options) ||
        !conv_sizes(n, &g, tsr_shape_of(x), tsr_shape_of(weight)) || !bias_fits(n, bias, g.filters))
        return tsr_error_tensor(ctx);
    tsr_real *y = tsr_output(n, tsr_geometry_shape(&g, g.out, g.filters));
    tsr_geometry *saved = tsr_save(n, sizeof *saved);
    if (y && saved) {
        *saved = g;
        tsr_convolve(n, &g, tsr_data(x), tsr_data(weight), tsr_data(bias), y);
    }
    return tsr_end(n);
}

/* ---- transposed ----------------------------------------------------------------------------------------------------------- */

/* The geometry is that of the convolution whose adjoint this is: its image is our result. */
static void conv_transpose_backward(tsr_node *n)
{
    const tsr_geometry *g = tsr_saved(n);
    const tsr_tensor *y = tsr_result(n);
    const tsr_real *arriving = tsr_data(tsr_cotangent(n));
    if (g->activation != TSR_NO_ACTIVATION && arriving) {
        tsr_real *undone = tsr_scratch(n, (size_t)tsr_size(y) * sizeof *undone);
        if (!undone) return;
        tsr_deactivate(tsr_node_context(n), g->activation, tsr_data(y), arriving, undone, tsr_size(y));
        arriving = undone;
    }
    tsr_real *x = tsr_gradient(n, 0), *weight = tsr_gradient(n, 1), *bias = tsr_gradient(n, 2);
    tsr_geometry linear = *g;
    linear.activation = TSR_NO_ACTIVATION;
    if (!arriving) return;
    if (x) tsr_convolve(n, &linear, arriving, tsr_data(tsr_input(n, 1)), NULL, x);
    if (weight) tsr_correlate(n, &linear, arriving, tsr_data(tsr_input(n, 0)), weight);
    if (bias) tsr_column_sums(tsr_node_context(n), arriving, g->batch * tsr_geometry_positions(g->in), g->channels, bias);
}

static const tsr_op conv_transpose_op = {.name = "conv_transpose", .backward = conv_transpose_backward, .optional = 1u << 2};

/* x is the convolution's result: its lengths are g->in so far; finds those of the image. */
static bool transposed_sizes(tsr_node *n, tsr_geometry *g, tsr_shape x, tsr_shape weight, const tsr_conv_options *options)
{
    if (x.dims[x.rank - 1] != g->filters) {
        tsr_reject(n, "input %s has %lld channels, weight %s expects %lld", tsr_shape_text(x).text,
                   (long long)x.dims[x.rank - 1], tsr_shape_text(weight).text, (long long)g->filters);
        return false;
    }
    for (int i = 0; i < 3; i++) {
        const int axis = i - (3 - g->spatial), more = options && axis >= 0 ? tsr_default_int(options->output_padding[axis], 0) : 0;
        const int64_t most = g->stride[i] > g->dilation[i] ? g->stride[i] : g->dilation[i];
        g->out[i] = g->in[i];
        if (more < 0 || more >= most || g->in[i] > INT64_MAX / 4 / g->stride[i]) {
            tsr_reject(n, "output_padding %d along spatial axis %d: must be at least 0 and below stride %lld or dilation %lld", more,
                       axis, (long long)g->stride[i], (long long)g->dilation[i]);
            return false;
        }
        g->in[i] = (g->out[i] - 1) * g->stride[i] - g->padding[i] - g->padding_end[i] + g->dilation[i] * (g->kernel[i] - 1) + more + 1;
        if (g->in[i] < 1) {
            tsr_reject(n, "input %s and weight %s leave nothing along spatial axis %d (padding %lld and %lld)", tsr_shape_text(x).text,
                       tsr_shape_text(weight).text, axis, (long long)g->padding[i], (long long)g->padding_end[i]);
            return false;
        }
    }
    return true;
}

typedef struct bias_job {
    const tsr_real *bias;
    tsr_real *y;
    int64_t columns;
} bias_job;

static void add_bias(void *user, int64_t begin, int64_t end)
{
    const bias_job *job = user;
    for (int64_t row = begin; row < end; row++)
        for (int64_t j = 0; j < job->columns; j++) job->y[row * job->columns + j] += job->bias[j];
}

tsr_tensor *tsr_conv_transpose(tsr_tensor *x, tsr_tensor *weight, tsr_tensor *bias, const tsr_conv_options *options)
{
    tsr_node *n = tsr_begin(&conv_transpose_op, TSR_INPUTS(x, weight, bias));
    if (tsr_dead(n)) return tsr_end(n);
    tsr_context *ctx = tsr_node_context(n);
    tsr_geometry g;
    if (!tsr_geometry_read(n, &g, tsr_shape_of(x), tsr_shape_of(weight), options) ||
        !transposed_sizes(n, &g, tsr_shape_of(x), tsr_shape_of(weight), options) || !bias_fits(n, bias, g.channels))
        return tsr_error_tensor(ctx);
    tsr_real *y = tsr_output(n, tsr_geometry_shape(&g, g.in, g.channels));
    tsr_geometry *saved = tsr_save(n, sizeof *saved);
    if (y && saved) {
        *saved = g;
        tsr_convolve_adjoint(n, &g, tsr_data(x), tsr_data(weight), y);
        bias_job job = {tsr_data(bias), y, g.channels};
        if (bias) tsr_parallel(ctx, g.batch * tsr_geometry_positions(g.in), tsr_grain((double)g.channels), add_bias, &job);
        tsr_activate(ctx, g.activation, y, tsr_size(tsr_result(n)));
    }
    return tsr_end(n);
}
