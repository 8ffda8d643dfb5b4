/* The locally connected layer: a convolution whose every output position has a weight of its own. The weight is by far the
 * largest thing here, so each pass streams it once, whole batch by whole batch. */
#include "ops/conv_internal.h"

#include <string.h>

typedef struct local_job {
    const tsr_geometry *g;
    const tsr_real *x, *weight, *bias, *arriving;
    tsr_real *to;
} local_job;

static int64_t weights_of_position(const tsr_geometry *g)
{
    return tsr_geometry_taps(g) * g->channels * g->filters;
}

/* The pixel of image 0 that a tap of an output position sees, as an index, or -1 outside. */
static int64_t seen(const tsr_geometry *g, int64_t position, int64_t tap)
{
    const int64_t h = position / g->out[2] * g->stride[1] - g->padding[1] + tap / g->kernel[2];
    const int64_t w = position % g->out[2] * g->stride[2] - g->padding[2] + tap % g->kernel[2];
    return h < 0 || h >= g->in[1] || w < 0 || w >= g->in[2] ? -1 : h * g->in[2] + w;
}

static int64_t image_values(const tsr_geometry *g)
{
    return g->in[1] * g->in[2] * g->channels;
}

static int64_t result_values(const tsr_geometry *g)
{
    return g->out[1] * g->out[2] * g->filters;
}

static void forward_body(void *user, int64_t begin, int64_t end)
{
    const local_job *job = user;
    const tsr_geometry *g = job->g;
    for (int64_t position = begin; position < end; position++) {
        const tsr_real *w = job->weight + position * weights_of_position(g);
        tsr_real *y = job->to + position * g->filters;
        for (int64_t n = 0; n < g->batch; n++)
            for (int64_t o = 0; o < g->filters; o++)
                y[n * result_values(g) + o] = job->bias ? job->bias[position * g->filters + o] : 0;
        for (int64_t tap = 0; tap < tsr_geometry_taps(g); tap++) {
            const int64_t pixel = seen(g, position, tap);
            for (int64_t i = 0; pixel >= 0 && i < g->channels; i++)
                for (int64_t n = 0; n < g->batch; n++) {
                    const tsr_real x = job->x[n * image_values(g) + pixel * g->channels + i];
                    const tsr_real *row = w + (tap * g->channels + i) * g->filters;
                    tsr_real *out = y + n * result_values(g);
                    for (int64_t o = 0; o < g->filters; o++) out[o] += x * row[o];
                }
        }
    }
}

/* a . b in eight sums that a vector unit can keep. */
static tsr_real dot(const tsr_real *a, const tsr_real *b, int64_t size)
{
    tsr_real lanes[8] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + 8 <= size; i += 8)
        for (int k = 0; k < 8; k++) lanes[k] += a[i + k] * b[i + k];
    for (; i < size; i++) sum += a[i] * b[i];
    for (int k = 0; k < 8; k++) sum += lanes[k];
    return sum;
}

/* Images [begin, end): each is one thread's alone, for windows overlap. */
static void image_body(void *user, int64_t begin, int64_t end)
{
    const local_job *job = user;
    const tsr_geometry *g = job->g;
    memset(job->to + begin * image_values(g), 0, (size_t)((end - begin) * image_values(g)) * sizeof *job->to);
    for (int64_t position = 0; position < g->out[1] * g->out[2]; position++) {
        const tsr_real *w = job->weight + position * weights_of_position(g);
        for (int64_t tap = 0; tap < tsr_geometry_taps(g); tap++) {
            const int64_t pixel = seen(g, position, tap);
            for (int64_t i = 0; pixel >= 0 && i < g->channels; i++)
                for (int64_t n = begin; n < end; n++)
                    job->to[n * image_values(g) + pixel * g->channels + i] +=
                        dot(job->arriving + n * result_values(g) + position * g->filters, w + (tap * g->channels + i) * g->filters,
                            g->filters);
        }
    }
}

static void weight_body(void *user, int64_t begin, int64_t end)
{
    const local_job *job = user;
    const tsr_geometry *g = job->g;
    for (int64_t position = begin; position < end; position++) {
        tsr_real *w = job->to + position * weights_of_position(g);
        memset(w, 0, (size_t)weights_of_position(g) * sizeof *w);
        for (int64_t tap = 0; tap < tsr_geometry_taps(g); tap++) {
            const int64_t pixel = seen(g, position, tap);
            for (int64_t i = 0; pixel >= 0 && i < g->channels; i++)
                for (int64_t n = 0; n < g->batch; n++) {
                    const tsr_real x = job->x[n * image_values(g) + pixel * g->channels + i];
                    const tsr_real *from = job->arriving + n * result_values(g) + position * g->filters;
                    tsr_real *row = w + (tap * g->channels + i) * g->filters;
                    for (int64_t o = 0; o < g->filters; o++) row[o] += x * from[o];
                }
        }
    }
}

static void run_positions(tsr_node *n, local_job *job, tsr_loop_body body)
{
    const tsr_geometry *g = job->g;
    const double cost = (double)weights_of_position(g) * (double)(g->batch + 1);
    tsr_parallel(tsr_node_context(n), g->out[1] * g->out[2], tsr_grain(cost), body, job);
    tsr_count_work(n, (double)weights_of_position(g) * (double)g->batch * (double)(g->out[1] * g->out[2]));
}

static void local_backward(tsr_node *n)
{
    const tsr_geometry *g = tsr_saved(n);
    const tsr_tensor *y = tsr_result(n);
    tsr_context *ctx = tsr_node_context(n);
    local_job job = {.g = g, .x = tsr_data(tsr_input(n, 0)), .weight = tsr_data(tsr_input(n, 1)), .arriving = tsr_data(tsr_cotangent(n))};
    if (g->activation != TSR_NO_ACTIVATION && job.arriving) {
        tsr_real *undone = tsr_scratch(n, (size_t)tsr_size(y) * sizeof *undone);
        if (!undone) return;
        tsr_deactivate(ctx, g->activation, tsr_data(y), job.arriving, undone, tsr_size(y));
        job.arriving = undone;
    }
    tsr_real *image = tsr_gradient(n, 0), *weight = tsr_gradient(n, 1), *bias = tsr_gradient(n, 2);
    if (!job.arriving) return;
    if (image) {
        job.to = image;
        tsr_parallel(ctx, g->batch, (g->batch + 3) / 4, image_body, &job);
        tsr_count_work(n, (double)weights_of_position(g) * (double)g->batch * (double)(g->out[1] * g->out[2]));
    }
    if (weight) {
        job.to = weight;
        run_positions(n, &job, weight_body);
    }
    if (bias) tsr_column_sums(ctx, job.arriving, g->batch, result_values(g), bias);
}

static const tsr_op local_op = {.name = "locally_connected", .backward = local_backward, .optional = 1u << 2};

static bool local_sizes(tsr_node *n, tsr_geometry *g, tsr_shape x, tsr_shape weight)
{
    for (int i = 1; i < 3; i++) {
        const int64_t room = g->in[i] + g->padding[i] + g->padding_end[i] - g->kernel[i];
        g->out[i] = room < 0 ? 0 : room / g->stride[i] + 1;
    }
    if (x.dims[3] == g->channels && weight.dims[0] == g->out[1] && weight.dims[1] == g->out[2] && g->out[1] > 0 && g->out[2] > 0 &&
        g->groups == 1 && g->dilation[1] == 1 && g->dilation[2] == 1)
        return true;
    tsr_reject(n, "input %s and weight %s: expected [%lld, %lld, KH, KW, %lld, O], no groups, no dilation", tsr_shape_text(x).text,
               tsr_shape_text(weight).text, (long long)g->out[1], (long long)g->out[2], (long long)x.dims[3]);
    return false;
}

tsr_tensor *tsr_locally_connected(tsr_tensor *x, tsr_tensor *weight, tsr_tensor *bias, const tsr_conv_options *options)
{
    tsr_node *n = tsr_begin(&local_op, TSR_INPUTS(x, weight, bias));
    if (tsr_dead(n)) return tsr_end(n);
    tsr_context *ctx = tsr_node_context(n);
    const tsr_shape image = tsr_shape_of(x), whole = tsr_shape_of(weight);
    if (image.rank != 4 || whole.rank != 6)
        return tsr_reject(n, "input %s and weight %s: needs [N, H, W, I] and [H', W', KH, KW, I, O]", tsr_shape_text(image).text,
                          tsr_shape_text(whole).text);
    tsr_geometry g;
    const tsr_shape kernel = tsr_make_shape(4, whole.dims + 2);
    if (!tsr_geometry_read(n, &g, image, kernel, options) || !local_sizes(n, &g, image, whole)) return tsr_error_tensor(ctx);
    const tsr_shape bias_shape = TSR_SHAPE(g.out[1], g.out[2], g.filters);
    if (bias && !tsr_same_shape(tsr_shape_of(bias), bias_shape))
        return tsr_reject(n, "bias %s, expected %s", tsr_shape_text(tsr_shape_of(bias)).text, tsr_shape_text(bias_shape).text);
    tsr_real *y = tsr_output(n, tsr_geometry_shape(&g, g.out, g.filters));
    tsr_geometry *saved = tsr_save(n, sizeof *saved);
    if (y && saved) {
        *saved = g;
        local_job job = {.g = &g, .x = tsr_data(x), .weight = tsr_data(weight), .bias = tsr_data(bias), .to = y};
        run_positions(n, &job, forward_body);
        tsr_activate(ctx, g.activation, y, tsr_size(tsr_result(n)));
    }
    return tsr_end(n);
}
