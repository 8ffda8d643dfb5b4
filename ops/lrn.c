/* Local response normalisation across channels. */
#include "core/kernels/functions.h"
#include "ops/ops_internal.h"

#include <math.h>
#include <string.h>

typedef struct lrn_saved {
    int64_t channels, rows;
    int64_t before, after; /* channels of a window on either side; of an even size the one more is before, as in PyTorch */
    tsr_real alpha, beta, k; /* alpha is of the sum: divided by size */
} lrn_saved;

/* Rows are treated some at a time, each followed by zeros, `step` apart: the windows are then one loop over all of them. */
typedef struct lrn_job {
    lrn_saved at;
    int64_t grain, rows, step; /* rows of a piece, rows at a time, values from row to row */
    const tsr_real *x, *g;
    tsr_real *out;
    tsr_real *room; /* [pieces][3][rows * step + zeros] */
} lrn_job;

static TSR_INLINE tsr_real five(const tsr_real *v)
{
    return ((v[0] + v[1]) + (v[2] + v[3])) + v[4];
}

/* out[i] = k + alpha * the sum of values[i] ... values[i + more] */
static TSR_INLINE void windows(const tsr_real *restrict values, int64_t count, int64_t more, tsr_real k, tsr_real alpha,
                               tsr_real *restrict out)
{
    if (more == 4) {
        for (int64_t i = 0; i < count; i++) out[i] = k + alpha * five(values + i);
        return;
    }
    for (int64_t i = 0; i < count; i++) out[i] = values[i];
    for (int64_t shift = 1; shift <= more; shift++)
        for (int64_t i = 0; i < count; i++) out[i] += values[i + shift];
    for (int64_t i = 0; i < count; i++) out[i] = k + alpha * out[i];
}

/* x^(-3/4), for less than two roots and a division cost: from a first guess z of x^(-1/4) by the exponent, Newton's steps
 * for z^-4 = x, the last one for z^3. Where x nears infinity, that of 2^120. */
static TSR_INLINE tsr_real inverse_of_common_power(tsr_real x)
{
#ifdef TSR_DOUBLE
    return 1 / (sqrt(x) * sqrt(sqrt(x)));
#else
    const tsr_float_bits from = {.value = x > 0x1p120f ? 0x1p120f : x};
    float z = tsr_float_of(0x4F584000u - (from.bits >> 2));
    for (int step = 0; step < 2; step++) z *= 1.25f - 0.25f * from.value * ((z * z) * (z * z));
    return z * (z * z) * (1.75f - 0.75f * from.value * ((z * z) * (z * z)));
#endif
}

/* power = scale^-beta, where the scales are windows of squares. */
static TSR_INLINE void powers_of_scale(const tsr_real *restrict squares, int64_t count, const lrn_saved *at, tsr_real *restrict scale,
                              tsr_real *restrict power)
{
    const tsr_real k = at->k, alpha = at->alpha;
    const int64_t more = at->before + at->after;
    if (more == 4 && at->beta == (tsr_real)0.75) {
        for (int64_t i = 0; i < count; i++) {
            scale[i] = k + alpha * five(squares + i);
            power[i] = inverse_of_common_power(scale[i]);
        }
        return;
    }
    windows(squares, count, more, k, alpha, scale);
    const tsr_exponent exponent = tsr_exponent_of(-(double)at->beta);
    for (int64_t i = 0; i < count; i++) power[i] = tsr_pow_of(scale[i], exponent);
}

/* With s the scale k + alpha * the window's squares: y = x s^-beta, and
 * dx_c = g_c s_c^-beta - 2 alpha beta x_c * (sum of g x s^(-beta - 1) over all whose window has c). */
static TSR_LOOP(lrn_body)
{
    const lrn_job *job = user;
    const lrn_saved *at = &job->at;
    const int64_t channels = at->channels, step = job->step, more = at->before + at->after;
    const int64_t size = job->rows * step + more;
    tsr_real *restrict terms = job->room + begin / job->grain * 3 * size;
    tsr_real *restrict power = terms + size, *restrict sums = power + size;
    for (; begin < end; begin += job->rows) {
        const int64_t rows = end - begin < job->rows ? end - begin : job->rows;
        const tsr_real *restrict x = job->x + begin * channels, *restrict g = job->g ? job->g + begin * channels : NULL;
        tsr_real *restrict out = job->out + begin * channels;
        memset(terms, 0, (size_t)size * sizeof *terms);
        for (int64_t r = 0; r < rows; r++)
            TSR_INDEPENDENT
            for (int64_t c = 0; c < channels; c++)
                terms[r * step + at->before + c] = x[r * channels + c] * x[r * channels + c];
        powers_of_scale(terms, rows * step, at, sums, power);
        if (!g) {
            for (int64_t r = 0; r < rows; r++)
                TSR_INDEPENDENT
                for (int64_t c = 0; c < channels; c++) out[r * channels + c] = x[r * channels + c] * power[r * step + c];
            continue;
        }
        memset(terms, 0, (size_t)size * sizeof *terms);
        for (int64_t r = 0; r < rows; r++)
            TSR_INDEPENDENT
            for (int64_t c = 0; c < channels; c++) {
                const int64_t i = r * channels + c, k = r * step + c;
                terms[k + at->after] = g[i] * x[i] * (power[k] / sums[k]);
            }
        windows(terms, rows * step, more, 0, 2 * at->alpha * at->beta, sums);
        for (int64_t r = 0; r < rows; r++)
            TSR_INDEPENDENT
            for (int64_t c = 0; c < channels; c++) {
                const int64_t i = r * channels + c, k = r * step + c;
                out[i] = g[i] * power[k] - x[i] * sums[k];
            }
    }
}

static void run_lrn(tsr_node *n, lrn_job *job)
{
    const lrn_saved *at = &job->at;
    tsr_context *ctx = tsr_node_context(n);
    const int64_t most = 2048; /* values at a time: what is made of them stays in the nearest cache */
    if (at->rows == 0 || at->channels == 0 || !job->out) return;
    job->step = at->channels + at->before + at->after;
    job->rows = most / job->step > 0 ? most / job->step : 1;
    job->grain = tsr_grain_of_few(at->rows, (double)at->channels * 16);
    const int64_t pieces = (at->rows - 1) / job->grain + 1, size = job->rows * job->step + at->before + at->after;
    job->room = tsr_scratch(n, (size_t)(pieces * 3 * size) * sizeof *job->room);
    if (job->room) tsr_parallel(ctx, at->rows, job->grain, lrn_body[ctx->kernels->level], job);
}

static void lrn_backward(tsr_node *n)
{
    const lrn_saved *saved = tsr_saved(n);
    run_lrn(n, &(lrn_job){.at = *saved, .x = tsr_data(tsr_input(n, 0)), .g = tsr_data(tsr_cotangent(n)),
                      .out = tsr_gradient(n, 0)});
}

static const tsr_op lrn_op = {.name = "lrn", .backward = lrn_backward};

tsr_tensor *tsr_lrn(tsr_tensor *x, const tsr_lrn_options *options)
{
    tsr_node *n = tsr_begin(&lrn_op, TSR_INPUTS(x));
    if (tsr_dead(n)) return tsr_end(n);
    const tsr_shape shape = tsr_shape_of(x);
    const tsr_lrn_options o = options ? *options : (tsr_lrn_options){0};
    const int size = tsr_default_int(o.size, 5);
    const double alpha = tsr_default_double(o.alpha, 1e-4), beta = tsr_default_double(o.beta, 0.75);
    const double k = tsr_default_double(o.k, 1);
    if (shape.rank < 1) return tsr_reject(n, "input %s has no channels", tsr_shape_text(shape).text);
    if (size < 1) return tsr_reject(n, "size is %d, needs to be 1 or more", size);
    if (!(alpha >= 0 && isfinite(alpha))) return tsr_reject(n, "alpha is %g, needs to be finite and not below 0", alpha);
    if (!isfinite(beta)) return tsr_reject(n, "beta is %g, needs to be finite", beta);
    if (!(k > 0 && isfinite(k))) return tsr_reject(n, "k is %g, needs to be finite and above 0", k);
    const int64_t channels = shape.dims[shape.rank - 1], most = channels > 0 ? channels - 1 : 0;
    lrn_saved *saved = tsr_save(n, sizeof *saved);
    tsr_real *y = tsr_output(n, shape);
    if (!saved || !y) return tsr_end(n);
    *saved = (lrn_saved){.channels = channels, .rows = channels > 0 ? tsr_size(x) / channels : 0, .before = size / 2,
                         .after = (size - 1) / 2, .alpha = (tsr_real)(alpha / size), .beta = (tsr_real)beta,
                         .k = (tsr_real)k};
    if (saved->before > most) saved->before = most; /* there is nothing further away */
    if (saved->after > most) saved->after = most;
    run_lrn(n, &(lrn_job){.at = *saved, .x = tsr_data(x), .out = y});
    return tsr_end(n);
}
