/* Group and instance normalisation (see norm_columns.c), and layer normalisation, whose samples are rows. */
#include "ops/norm_internal.h"

#include <math.h>

/* ---- group, instance ----------------------------------------------------------------------------------------------------- */

static const tsr_op group_norm_op = {.name = "group_norm", .backward = tsr_norm_backward, .optional = 6};
static const tsr_op instance_norm_op = {.name = "instance_norm", .backward = tsr_norm_backward, .optional = 6};

/* groups < 0: as many as channels. */
static tsr_tensor *group_norm(tsr_node *n, int64_t groups, const tsr_norm_options *options)
{
    if (tsr_dead(n)) return tsr_end(n);
    const tsr_shape shape = tsr_shape_of(tsr_input(n, 0));
    const tsr_text text = tsr_shape_text(shape);
    if (shape.rank < 2) return tsr_reject(n, "input %s is not [N, S..., C]", text.text);
    const int64_t channels = shape.dims[shape.rank - 1];
    if (groups == 0 || (groups > 0 && channels % groups != 0))
        return tsr_reject(n, "%lld channels of %s cannot be cut in %lld groups", (long long)channels, text.text,
                          (long long)groups);
    tsr_tensor *failed;
    if (!tsr_norm_accepts(n, options, TSR_SHAPE(channels), &failed)) return failed;
    tsr_norm_plan plan = {.samples = shape.dims[0], .rows = 1, .channels = channels, .groups = groups,
                          .activation = options ? options->activation : TSR_NO_ACTIVATION};
    if (groups < 0 || groups > channels) plan.groups = channels;
    for (int i = 1; i < shape.rank - 1; i++) plan.rows *= shape.dims[i];
    tsr_norm_plan *p = tsr_norm_save(n, &plan);
    tsr_real *y = tsr_output(n, shape);
    if (!p || !y) return tsr_end(n);
    tsr_norm_statistics(n, p);
    for (int64_t i = 0; i < p->samples * p->groups; i++)
        p->inverse[i] = tsr_norm_inverse(p->inverse[i], tsr_norm_eps(options));
    tsr_norm_apply(n, p, y);
    return tsr_end(n);
}

tsr_tensor *tsr_group_norm(tsr_tensor *x, int groups, tsr_tensor *scale, tsr_tensor *shift, const tsr_norm_options *options)
{
    tsr_node *n = tsr_begin(&group_norm_op, TSR_INPUTS(x, scale, shift));
    if (groups < 1 && !tsr_dead(n)) return tsr_reject(n, "groups is %d, needs to be 1 or more", groups);
    return group_norm(n, groups, options);
}

tsr_tensor *tsr_instance_norm(tsr_tensor *x, tsr_tensor *scale, tsr_tensor *shift, const tsr_norm_options *options)
{
    return group_norm(tsr_begin(&instance_norm_op, TSR_INPUTS(x, scale, shift)), -1, options);
}

/* ---- layer ---------------------------------------------------------------------------------------------------------------- */

enum { LANES = 8 };

typedef struct layer_saved {
    int64_t rows, width;
    tsr_activation activation;
    double *mean, *inverse; /* per row */
} layer_saved;

typedef struct layer_job {
    layer_saved at;
    double eps;
    const tsr_real *x, *g, *scale, *shift; /* scale and shift: NULL for 1 and 0 */
    tsr_real *out;      /* y; or the gradient of x, NULL if not wanted */
    tsr_real *products; /* g x', NULL if not wanted */
} layer_job;

/* Measured from the row's first value, so that no digits are lost. */
static void row_statistics(const tsr_real *x, int64_t width, double *mean, double *var)
{
    const double center = (double)x[0];
    double first[LANES] = {0}, second[LANES] = {0}, sum = 0, squares = 0;
    int64_t k = 0;
    for (; k + LANES <= width; k += LANES)
        for (int j = 0; j < LANES; j++) {
            const double d = (double)x[k + j] - center;
            first[j] += d;
            second[j] += d * d;
        }
    for (; k < width; k++) {
        const double d = (double)x[k] - center;
        sum += d;
        squares += d * d;
    }
    for (int j = 0; j < LANES; j++) {
        sum += first[j];
        squares += second[j];
    }
    const double away = sum / (double)width, within = squares / (double)width - away * away;
    *mean = center + away;
    *var = within < 0 ? 0 : within;
}

static void layer_body(void *user, int64_t begin, int64_t end)
{
    const layer_job *job = user;
    const int64_t width = job->at.width;
    for (int64_t row = begin; row < end; row++) {
        const tsr_real *restrict x = job->x + row * width;
        tsr_real *restrict y = job->out + row * width;
        double mean, var;
        row_statistics(x, width, &mean, &var);
        const double inverse = tsr_norm_inverse(var, job->eps);
        job->at.mean[row] = mean;
        job->at.inverse[row] = inverse;
        const tsr_real center = (tsr_real)mean, factor = (tsr_real)inverse;
        const tsr_real offset = (tsr_real)(((double)center - mean) * inverse);
        if (job->scale)
            for (int64_t k = 0; k < width; k++)
                y[k] = ((x[k] - center) * factor + offset) * job->scale[k] + job->shift[k];
        else
            for (int64_t k = 0; k < width; k++) y[k] = (x[k] - center) * factor + offset;
    }
}

/* The sums of g' and g' x', where g' = scale g. */
static void row_sums(const layer_job *job, int64_t row, double *sum, double *product)
{
    const int64_t width = job->at.width;
    const tsr_real *x = job->x + row * width, *g = job->g + row * width, *scale = job->scale;
    const double mean = job->at.mean[row];
    double first[LANES] = {0}, second[LANES] = {0};
    int64_t k = 0;
    for (; k + LANES <= width; k += LANES)
        for (int j = 0; j < LANES; j++) {
            const double d = (double)g[k + j] * (scale ? (double)scale[k + j] : 1);
            first[j] += d;
            second[j] += d * ((double)x[k + j] - mean);
        }
    for (; k < width; k++) {
        const double d = (double)g[k] * (scale ? (double)scale[k] : 1);
        first[0] += d;
        second[0] += d * ((double)x[k] - mean);
    }
    *sum = *product = 0;
    for (int j = 0; j < LANES; j++) {
        *sum += first[j];
        *product += second[j];
    }
    *product *= job->at.inverse[row];
}

/* dx = inverse (g' - mean of g' - x' mean of (g' x')). */
static void layer_gradient_body(void *user, int64_t begin, int64_t end)
{
    const layer_job *job = user;
    const int64_t width = job->at.width;
    for (int64_t row = begin; row < end; row++) {
        const tsr_real *restrict x = job->x + row * width, *restrict g = job->g + row * width;
        const double mean = job->at.mean[row], inverse = job->at.inverse[row];
        const tsr_real center = (tsr_real)mean, factor = (tsr_real)inverse;
        const tsr_real offset = (tsr_real)(((double)center - mean) * inverse);
        if (job->products) {
            tsr_real *restrict products = job->products + row * width;
            for (int64_t k = 0; k < width; k++) products[k] = g[k] * ((x[k] - center) * factor + offset);
        }
        if (!job->out) continue;
        double sum, product;
        row_sums(job, row, &sum, &product);
        const tsr_real level = (tsr_real)(sum / (double)width), slope = (tsr_real)(product / (double)width);
        tsr_real *restrict out = job->out + row * width;
        if (job->scale)
            for (int64_t k = 0; k < width; k++)
                out[k] = factor * (g[k] * job->scale[k] - level - ((x[k] - center) * factor + offset) * slope);
        else
            for (int64_t k = 0; k < width; k++)
                out[k] = factor * (g[k] - level - ((x[k] - center) * factor + offset) * slope);
    }
}

static void layer_norm_backward(tsr_node *n)
{
    const layer_saved *saved = tsr_saved(n);
    tsr_context *ctx = tsr_node_context(n);
    const int64_t size = saved->rows * saved->width;
    const tsr_real *g = tsr_data(tsr_cotangent(n));
    tsr_real *scale = tsr_gradient(n, 1), *shift = tsr_gradient(n, 2);
    layer_job job = {.at = *saved, .x = tsr_data(tsr_input(n, 0)), .g = g, .scale = tsr_data(tsr_input(n, 1)),
                     .out = tsr_gradient(n, 0)};
    if (saved->activation != TSR_NO_ACTIVATION) {
        tsr_real *before = tsr_scratch(n, (size_t)size * sizeof *before);
        if (!before) return;
        tsr_deactivate(ctx, saved->activation, tsr_data(tsr_result(n)), g, before, size);
        job.g = before;
    }
    if (scale) {
        job.products = tsr_scratch(n, (size_t)size * sizeof *job.products);
        if (!job.products) return;
    }
    const double cost = 8 * (double)saved->width;
    if (saved->width > 0) tsr_parallel(ctx, saved->rows, tsr_grain(cost), layer_gradient_body, &job);
    if (scale) tsr_column_sums(ctx, job.products, saved->rows, saved->width, scale);
    if (shift) tsr_column_sums(ctx, job.g, saved->rows, saved->width, shift);
}

static const tsr_op layer_norm_op = {.name = "layer_norm", .backward = layer_norm_backward, .optional = 6};

tsr_tensor *tsr_layer_norm(tsr_tensor *x, tsr_tensor *scale, tsr_tensor *shift, const tsr_norm_options *options)
{
    tsr_node *n = tsr_begin(&layer_norm_op, TSR_INPUTS(x, scale, shift));
    if (tsr_dead(n)) return tsr_end(n);
    const tsr_shape shape = tsr_shape_of(x);
    const int axes = tsr_default_int(options ? options->axes : 0, 1);
    if (axes < 1 || axes > shape.rank)
        return tsr_reject(n, "axes is %d, input %s has %d", axes, tsr_shape_text(shape).text, shape.rank);
    const tsr_shape sample = tsr_make_shape(axes, shape.dims + shape.rank - axes);
    tsr_tensor *failed;
    if (!tsr_norm_accepts(n, options, sample, &failed)) return failed;
    layer_saved *saved = tsr_save(n, sizeof *saved);
    if (!saved) return tsr_end(n);
    saved->width = tsr_shape_size(sample);
    saved->rows = 1;
    for (int i = 0; i < shape.rank - axes; i++) saved->rows *= shape.dims[i];
    saved->activation = options ? options->activation : TSR_NO_ACTIVATION;
    saved->mean = tsr_save(n, (size_t)saved->rows * sizeof *saved->mean);
    saved->inverse = tsr_save(n, (size_t)saved->rows * sizeof *saved->inverse);
    tsr_real *y = tsr_output(n, shape);
    if (tsr_dead(n)) return tsr_end(n);
    layer_job job = {.at = *saved, .eps = tsr_norm_eps(options), .x = tsr_data(x), .scale = tsr_data(scale),
                     .shift = tsr_data(shift), .out = y};
    tsr_context *ctx = tsr_node_context(n);
    if (saved->width > 0) tsr_parallel(ctx, saved->rows, tsr_grain(6 * (double)saved->width), layer_body, &job);
    tsr_activate(ctx, saved->activation, y, tsr_size(x));
    return tsr_end(n);
}
