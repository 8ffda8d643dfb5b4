/* Local response normalisation across channels. */
#include "ops/ops_internal.h"

#include <math.h>

typedef struct lrn_saved {
    int64_t channels, rows;
    int64_t before, after; /* channels of a window on either side; of an even size the one more is before, as in PyTorch */
    tsr_real alpha, beta, k; /* alpha is of the sum: divided by size */
} lrn_saved;

typedef struct lrn_job {
    lrn_saved at;
    int64_t grain; /* rows of a piece */
    const tsr_real *x, *g;
    tsr_real *out;
    tsr_real *room; /* [pieces][3][channels] */
} lrn_job;

static tsr_real root(tsr_real x)
{
#ifdef TSR_DOUBLE
    return sqrt(x);
#else
    return sqrtf(x);
#endif
}

/* out = scale^-beta */
static void inverse_powers(const tsr_real *restrict scale, int64_t count, tsr_real beta, tsr_real *restrict out)
{
    if (beta == (tsr_real)0.75)
        for (int64_t c = 0; c < count; c++) out[c] = 1 / (root(scale[c]) * root(root(scale[c])));
    else
        for (int64_t c = 0; c < count; c++) out[c] = (tsr_real)pow((double)scale[c], -(double)beta);
}

/* out[c] = sum of the values from c - before to c + after */
static void windows(const tsr_real *restrict values, const lrn_saved *at, int64_t before, int64_t after,
                    tsr_real *restrict out)
{
    for (int64_t c = 0; c < at->channels; c++) out[c] = 0;
    for (int64_t shift = -before; shift <= after; shift++) {
        const int64_t begin = shift < 0 ? -shift : 0, end = at->channels - (shift > 0 ? shift : 0);
        for (int64_t c = begin; c < end; c++) out[c] += values[c + shift];
    }
}

static void find_scales(const lrn_saved *at, const tsr_real *x, tsr_real *restrict squares, tsr_real *restrict scale)
{
    for (int64_t c = 0; c < at->channels; c++) squares[c] = x[c] * x[c];
    windows(squares, at, at->before, at->after, scale);
    for (int64_t c = 0; c < at->channels; c++) scale[c] = at->k + at->alpha * scale[c];
}

static void forward_body(void *user, int64_t begin, int64_t end)
{
    const lrn_job *job = user;
    const int64_t channels = job->at.channels;
    tsr_real *room = job->room + begin / job->grain * 3 * channels, *scale = room + channels;
    for (int64_t row = begin; row < end; row++) {
        const tsr_real *x = job->x + row * channels;
        tsr_real *y = job->out + row * channels;
        find_scales(&job->at, x, room, scale);
        inverse_powers(scale, channels, job->at.beta, room);
        for (int64_t c = 0; c < channels; c++) y[c] = x[c] * room[c];
    }
}

/* With s the scale: dx_c = g_c s_c^-beta - 2 alpha beta x_c * (sum of g x s^(-beta - 1) over all whose window has c). */
static void backward_body(void *user, int64_t begin, int64_t end)
{
    const lrn_job *job = user;
    const lrn_saved *at = &job->at;
    const int64_t channels = at->channels;
    const tsr_real factor = 2 * at->alpha * at->beta;
    tsr_real *restrict power = job->room + begin / job->grain * 3 * channels;
    tsr_real *restrict terms = power + channels, *restrict sums = terms + channels;
    for (int64_t row = begin; row < end; row++) {
        const tsr_real *restrict x = job->x + row * channels, *restrict g = job->g + row * channels;
        tsr_real *restrict out = job->out + row * channels;
        find_scales(at, x, terms, sums);
        inverse_powers(sums, channels, at->beta, power);
        for (int64_t c = 0; c < channels; c++) terms[c] = g[c] * x[c] * power[c] / sums[c];
        windows(terms, at, at->after, at->before, sums);
        for (int64_t c = 0; c < channels; c++) out[c] = g[c] * power[c] - factor * x[c] * sums[c];
    }
}

static void run(tsr_node *n, lrn_job *job, tsr_loop_body body)
{
    const lrn_saved *at = &job->at;
    if (at->rows == 0 || at->channels == 0 || !job->out) return;
    job->grain = tsr_grain((double)at->channels * (double)(at->before + at->after + 8));
    const int64_t pieces = (at->rows - 1) / job->grain + 1;
    job->room = tsr_scratch(n, (size_t)(pieces * 3 * at->channels) * sizeof *job->room);
    if (job->room) tsr_parallel(tsr_node_context(n), at->rows, job->grain, body, job);
}

static void lrn_backward(tsr_node *n)
{
    const lrn_saved *saved = tsr_saved(n);
    lrn_job job = {.at = *saved, .x = tsr_data(tsr_input(n, 0)), .g = tsr_data(tsr_cotangent(n)), .out = tsr_gradient(n, 0)};
    run(n, &job, backward_body);
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
    lrn_job job = {.at = *saved, .x = tsr_data(x), .out = y};
    run(n, &job, forward_body);
    return tsr_end(n);
}
