/* Layer normalisation: samples are rows that lie side by side. */
#include "core/kernels/levels.h"
#include "ops/norm_internal.h"

#include <string.h>

enum { ROW_LANES = 8 };

typedef struct layer_saved {
    int64_t rows, width;
    tsr_activation activation;
    double *mean, *inverse; /* per row */
} layer_saved;

typedef struct layer_job {
    layer_saved at;
    int64_t grain;
    double eps;
    const tsr_real *x, *g, *scale, *shift; /* scale and shift: NULL for 1 and 0 */
    tsr_real *out;                         /* y; or the gradient of x, NULL if not wanted */
    double *sums;                          /* [pieces][2][width] of g x' and g, NULL if not wanted */
} layer_job;

/* Adds d = x - center and d^2, or, where there is g, g' = scale g and g' d. */
static TSR_INLINE void add_terms(const tsr_real *x, const tsr_real *g, const tsr_real *scale, tsr_real center, int64_t count,
                                 double *first, double *second)
{
    for (int64_t j = 0; j < count; j++) {
        const tsr_real d = x[j] - center, a = g ? g[j] * (scale ? scale[j] : 1) : d;
        first[j] += (double)a;
        second[j] += (double)(a * d);
    }
}

static TSR_INLINE void row_sums(const tsr_real *x, const tsr_real *g, const tsr_real *scale, tsr_real center, int64_t width,
                                double *first, double *second)
{
    double one[ROW_LANES] = {0}, two[ROW_LANES] = {0};
    int64_t k = 0;
    for (; k + ROW_LANES <= width; k += ROW_LANES)
        add_terms(x + k, g ? g + k : NULL, scale ? scale + k : NULL, center, ROW_LANES, one, two);
    if (k < width) add_terms(x + k, g ? g + k : NULL, scale ? scale + k : NULL, center, width - k, one, two);
    for (int half = ROW_LANES / 2; half > 0; half /= 2)
        for (int j = 0; j < half; j++) {
            one[j] += one[j + half];
            two[j] += two[j + half];
        }
    *first = one[0];
    *second = two[0];
}

/* Measured from one of the row's values, so that no digits are lost to the mean. */
static TSR_LOOP(layer_body)
{
    const layer_job *job = user;
    const int64_t width = job->at.width;
    const tsr_real *restrict scale = job->scale, *restrict shift = job->shift;
    for (int64_t row = begin; row < end; row++) {
        const tsr_real *restrict x = job->x + row * width;
        tsr_real *restrict y = job->out + row * width;
        double sum, squares;
        const tsr_real from = tsr_norm_center(x, width, 1);
        row_sums(x, NULL, NULL, from, width, &sum, &squares);
        const double away = sum / (double)width, within = squares / (double)width - away * away;
        const double mean = (double)from + away, inverse = tsr_norm_inverse(within < 0 ? 0 : within, job->eps);
        job->at.mean[row] = mean;
        job->at.inverse[row] = inverse;
        const tsr_real center = (tsr_real)mean, factor = (tsr_real)inverse;
        const tsr_real offset = (tsr_real)(((double)center - mean) * inverse);
        if (scale)
            for (int64_t k = 0; k < width; k++) y[k] = ((x[k] - center) * factor + offset) * scale[k] + shift[k];
        else
            for (int64_t k = 0; k < width; k++) y[k] = (x[k] - center) * factor + offset;
    }
}

/* dx = inverse (g' - mean of g' - x' mean of (g' x')). */
static TSR_LOOP(layer_gradient_body)
{
    const layer_job *job = user;
    const int64_t width = job->at.width;
    const tsr_real *restrict scale = job->scale;
    double *restrict scale_sums = job->sums ? job->sums + begin / job->grain * 2 * width : NULL;
    double *restrict shift_sums = scale_sums ? scale_sums + width : NULL;
    if (job->sums) memset(scale_sums, 0, (size_t)(2 * width) * sizeof *scale_sums);
    for (int64_t row = begin; row < end; row++) {
        const tsr_real *restrict x = job->x + row * width, *restrict g = job->g + row * width;
        const double mean = job->at.mean[row], inverse = job->at.inverse[row];
        const tsr_real center = (tsr_real)mean, factor = (tsr_real)inverse;
        const double rest = mean - (double)center;
        const tsr_real offset = (tsr_real)(-rest * inverse);
        if (job->sums)
            for (int64_t k = 0; k < width; k++) {
                scale_sums[k] += (double)(g[k] * ((x[k] - center) * factor + offset));
                shift_sums[k] += (double)g[k];
            }
        if (!job->out) continue;
        double sum, product;
        row_sums(x, g, scale, center, width, &sum, &product);
        const double slope = -inverse * inverse * inverse * ((product - rest * sum) / (double)width);
        const tsr_real along = (tsr_real)slope, level = (tsr_real)(-inverse * (sum / (double)width) - rest * slope);
        tsr_real *restrict out = job->out + row * width;
        if (scale)
            for (int64_t k = 0; k < width; k++) out[k] = factor * (g[k] * scale[k]) + ((x[k] - center) * along + level);
        else
            for (int64_t k = 0; k < width; k++) out[k] = factor * g[k] + ((x[k] - center) * along + level);
    }
}

static void layer_norm_backward(tsr_node *n)
{
    const layer_saved *saved = tsr_saved(n);
    tsr_context *ctx = tsr_node_context(n);
    const int64_t rows = saved->rows, width = saved->width;
    layer_job job = {.at = *saved, .x = tsr_data(tsr_input(n, 0)), .scale = tsr_data(tsr_input(n, 1)),
                     .g = tsr_norm_arriving(n, saved->activation, rows * width), .out = tsr_gradient(n, 0)};
    tsr_real *gradients[] = {tsr_gradient(n, 1), tsr_gradient(n, 2)};
    job.grain = tsr_grain_of_few(rows, 10 * (double)width);
    const int64_t pieces = rows > 0 ? (rows - 1) / job.grain + 1 : 0;
    if (gradients[0] || gradients[1]) job.sums = tsr_scratch(n, (size_t)(pieces * 2 * width) * sizeof *job.sums);
    if (!job.g || tsr_dead(n)) return;
    if (width > 0) tsr_parallel(ctx, rows, job.grain, layer_gradient_body[ctx->kernels->level], &job);
    for (int i = 0; i < 2; i++)
        for (int64_t k = 0; k < width && gradients[i]; k++) {
            double sum = 0;
            for (int64_t piece = 0; piece < pieces; piece++) sum += job.sums[(piece * 2 + i) * width + k];
            gradients[i][k] = (tsr_real)sum;
        }
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
    const int64_t grain = tsr_grain(6 * (double)saved->width);
    if (saved->width > 0) tsr_parallel(ctx, saved->rows, grain, layer_body[ctx->kernels->level], &job);
    tsr_activate(ctx, saved->activation, y, tsr_size(x));
    return tsr_end(n);
}
