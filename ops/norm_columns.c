/* The two loops of batch norm and group norm: sums over rows for each channel, and a linear function for each channel.
 * Each is one pass over memory. */
#include "ops/norm_internal.h"

#include <math.h>
#include <string.h>

/* ---- how memory is walked --------------------------------------------------------------------------------------------- */

enum { WIDE = 64, CHUNKS = 16 };

/* A sample is walked in rows of `wide` values: several pixels where there are few channels, so that inner loops are long.
 * Position j of such a row belongs to channel j % channels. */
typedef struct walk {
    int64_t samples, size, channels, wide;
    int64_t piece, chunks; /* a sample is cut in `chunks` of `piece` values, whole rows: by shape alone */
} walk;

static walk walk_of(const tsr_norm_plan *p)
{
    walk w = {.samples = p->samples, .size = p->rows * p->channels, .channels = p->channels, .wide = p->channels};
    if (w.size == 0) return w;
    if (w.channels < WIDE) w.wide = WIDE / w.channels * w.channels;
    const int64_t rows = (w.size - 1) / w.wide + 1, least = (rows - 1) / CHUNKS + 1;
    int64_t piece = tsr_grain(2 * (double)w.wide);
    if (piece < least) piece = least;
    w.piece = piece * w.wide;
    w.chunks = (rows - 1) / piece + 1;
    return w;
}

static void run_walk(tsr_node *n, const walk *w, tsr_loop_body body, void *job)
{
    const double cost = 2 * (double)(w->piece < w->size ? w->piece : w->size);
    tsr_parallel(tsr_node_context(n), w->samples * w->chunks, tsr_grain(cost), body, job);
}

/* `from` has a value per channel; `room` is used where that must be repeated. */
static const tsr_real *widen(const walk *w, const tsr_real *from, tsr_real *room)
{
    if (w->wide == w->channels) return from;
    for (int64_t j = 0; j < w->wide; j++) room[j] = from[j % w->channels];
    return room;
}

/* ---- sums over rows ---------------------------------------------------------------------------------------------------- */

typedef struct sums_job {
    walk w;
    const tsr_real *x, *g, *center;
    int64_t center_step; /* from sample to sample */
    double *parts;       /* [samples][chunks][2][wide] */
} sums_job;

/* first += x - c, second += (x - c)^2, one row. */
static void moments_row(const tsr_real *restrict x, const tsr_real *restrict c, int64_t count, double *restrict first,
                        double *restrict second)
{
    for (int64_t j = 0; j < count; j++) {
        const double d = (double)x[j] - (double)c[j];
        first[j] += d;
        second[j] += d * d;
    }
}

/* The same for four rows at once, which saves three of four visits to the sums. */
static void moments_rows(const tsr_real *restrict x, const tsr_real *restrict c, int64_t wide, double *restrict first,
                         double *restrict second)
{
    for (int64_t j = 0; j < wide; j++) {
        const double center = (double)c[j];
        const double p = (double)x[j] - center, q = (double)x[j + wide] - center;
        const double r = (double)x[j + 2 * wide] - center, s = (double)x[j + 3 * wide] - center;
        first[j] += (p + q) + (r + s);
        second[j] += (p * p + q * q) + (r * r + s * s);
    }
}

/* first += g, second += g (x - c). */
static void products_row(const tsr_real *restrict x, const tsr_real *restrict g, const tsr_real *restrict c, int64_t count,
                         double *restrict sums)
{
    double *restrict first = sums, *restrict second = sums + count;
    for (int64_t j = 0; j < count; j++) {
        first[j] += (double)g[j];
        second[j] += (double)g[j] * ((double)x[j] - (double)c[j]);
    }
}

static void products_rows(const tsr_real *restrict x, const tsr_real *restrict g, const tsr_real *restrict c, int64_t wide,
                          double *restrict sums)
{
    for (int64_t j = 0; j < wide; j++) {
        const double center = (double)c[j];
        const double p = (double)g[j], q = (double)g[j + wide];
        const double r = (double)g[j + 2 * wide], s = (double)g[j + 3 * wide];
        sums[j] += (p + q) + (r + s);
        sums[wide + j] += (p * ((double)x[j] - center) + q * ((double)x[j + wide] - center)) +
                          (r * ((double)x[j + 2 * wide] - center) + s * ((double)x[j + 3 * wide] - center));
    }
}

static void chunk_moments(const walk *w, const tsr_real *x, const tsr_real *c, int64_t count, double *sums)
{
    int64_t i = 0;
    for (; i + 4 * w->wide <= count; i += 4 * w->wide) moments_rows(x + i, c, w->wide, sums, sums + w->wide);
    for (; i < count; i += w->wide)
        moments_row(x + i, c, count - i < w->wide ? count - i : w->wide, sums, sums + w->wide);
}

static void chunk_products(const walk *w, const sums_job *job, int64_t at, const tsr_real *c, int64_t count, double *sums)
{
    const tsr_real *x = job->x + at, *g = job->g + at;
    int64_t i = 0;
    for (; i + 4 * w->wide <= count; i += 4 * w->wide) products_rows(x + i, g + i, c, w->wide, sums);
    for (; i + w->wide <= count; i += w->wide) products_row(x + i, g + i, c, w->wide, sums);
    for (int64_t j = 0; i + j < count; j++) {
        sums[j] += (double)g[i + j];
        sums[w->wide + j] += (double)g[i + j] * ((double)x[i + j] - (double)c[j]);
    }
}

static void sums_body(void *user, int64_t begin, int64_t end)
{
    const sums_job *job = user;
    const walk *w = &job->w;
    tsr_real room[WIDE];
    for (int64_t item = begin; item < end; item++) {
        const int64_t sample = item / w->chunks, from = item % w->chunks * w->piece;
        const int64_t count = w->size - from < w->piece ? w->size - from : w->piece;
        const tsr_real *center = widen(w, job->center + sample * job->center_step, room);
        double *sums = job->parts + item * 2 * w->wide;
        memset(sums, 0, (size_t)(2 * w->wide) * sizeof *sums);
        if (job->g) chunk_products(w, job, sample * w->size + from, center, count, sums);
        else chunk_moments(w, job->x + sample * w->size + from, center, count, sums);
    }
}

/* sums [samples][2][channels], in scratch memory: of x - center and its square, or, where there is g, of g and
 * g (x - center). NULL: out of memory. */
static double *sums_of(tsr_node *n, sums_job *job)
{
    const walk *w = &job->w;
    job->parts = tsr_scratch(n, (size_t)(w->samples * w->chunks * 2 * w->wide) * sizeof(double));
    double *sums = tsr_scratch(n, (size_t)(w->samples * 2 * w->channels) * sizeof(double));
    if (!job->parts || !sums) return NULL;
    if (w->samples * w->channels > 0) memset(sums, 0, (size_t)(w->samples * 2 * w->channels) * sizeof *sums);
    if (w->chunks > 0) run_walk(n, w, sums_body, job);
    for (int64_t item = 0; item < w->samples * w->chunks; item++) {
        const double *parts = job->parts + item * 2 * w->wide;
        double *to = sums + item / w->chunks * 2 * w->channels;
        for (int64_t j = 0; j < w->wide; j += w->channels)
            for (int64_t c = 0; c < w->channels; c++) {
                to[c] += parts[j + c];
                to[w->channels + c] += parts[w->wide + j + c];
            }
    }
    return sums;
}

/* ---- a linear function for each channel -------------------------------------------------------------------------------- */

/* y = (x - center) factor + offset [+ weight g], coefficients [samples][4][channels] in this order. */
enum { CENTER, FACTOR, OFFSET, WEIGHT, COEFFICIENTS };

typedef struct linear_job {
    walk w;
    bool relu;
    const tsr_real *x, *g, *coefficients;
    tsr_real *y;
} linear_job;

static void forward_row(const tsr_real *restrict x, const tsr_real *const *c, int64_t count, tsr_real *restrict y)
{
    const tsr_real *restrict center = c[CENTER], *restrict factor = c[FACTOR], *restrict offset = c[OFFSET];
    for (int64_t j = 0; j < count; j++) y[j] = (x[j] - center[j]) * factor[j] + offset[j];
}

static void relu_row(const tsr_real *restrict x, const tsr_real *const *c, int64_t count, tsr_real *restrict y)
{
    const tsr_real *restrict center = c[CENTER], *restrict factor = c[FACTOR], *restrict offset = c[OFFSET];
    for (int64_t j = 0; j < count; j++) {
        const tsr_real value = (x[j] - center[j]) * factor[j] + offset[j];
        y[j] = value < 0 ? 0 : value; /* NaN stays */
    }
}

static void backward_row(const tsr_real *restrict x, const tsr_real *restrict g, const tsr_real *const *c, int64_t count,
                         tsr_real *restrict y)
{
    const tsr_real *restrict center = c[CENTER], *restrict factor = c[FACTOR], *restrict offset = c[OFFSET];
    const tsr_real *restrict weight = c[WEIGHT];
    for (int64_t j = 0; j < count; j++) y[j] = weight[j] * g[j] + ((x[j] - center[j]) * factor[j] + offset[j]);
}

static void linear_body(void *user, int64_t begin, int64_t end)
{
    const linear_job *job = user;
    const walk *w = &job->w;
    tsr_real room[COEFFICIENTS][WIDE];
    const tsr_real *c[COEFFICIENTS];
    for (int64_t item = begin; item < end; item++) {
        const int64_t sample = item / w->chunks, from = sample * w->size + item % w->chunks * w->piece;
        const int64_t left = (sample + 1) * w->size - from, to = from + (left < w->piece ? left : w->piece);
        for (int k = 0; k < (job->g ? COEFFICIENTS : WEIGHT); k++)
            c[k] = widen(w, job->coefficients + (sample * COEFFICIENTS + k) * w->channels, room[k]);
        for (int64_t i = from; i < to; i += w->wide) {
            const int64_t count = to - i < w->wide ? to - i : w->wide;
            if (job->g) backward_row(job->x + i, job->g + i, c, count, job->y + i);
            else if (job->relu) relu_row(job->x + i, c, count, job->y + i);
            else forward_row(job->x + i, c, count, job->y + i);
        }
    }
}

static tsr_real *coefficients_of(tsr_node *n, const tsr_norm_plan *p)
{
    return tsr_scratch(n, (size_t)(p->samples * COEFFICIENTS * p->channels) * sizeof(tsr_real));
}

/* ---- forward ----------------------------------------------------------------------------------------------------------- */

double tsr_norm_eps(const tsr_norm_options *options)
{
    return tsr_default_double(options ? options->eps : 0, 1e-5);
}

double tsr_norm_inverse(double var, double eps)
{
    const double inverse = 1 / sqrt(var + eps);
    return isinf(inverse) ? 0 : inverse;
}

bool tsr_norm_accepts(tsr_node *n, const tsr_norm_options *options, tsr_shape affine, tsr_tensor **failed)
{
    const double eps = tsr_norm_eps(options);
    const tsr_tensor *scale = tsr_input(n, 1), *shift = tsr_input(n, 2);
    const tsr_text expected = tsr_shape_text(affine);
    *failed = NULL;
    if (!(eps >= 0 && isfinite(eps))) *failed = tsr_reject(n, "eps is %g, needs to be finite and not below 0", eps);
    else if (!scale != !shift) *failed = tsr_reject(n, "%s is given without %s", scale ? "scale" : "shift",
                                                    scale ? "shift" : "scale");
    else if (scale && !tsr_same_shape(tsr_shape_of(scale), affine))
        *failed = tsr_reject(n, "scale has shape %s, expected %s", tsr_shape_text(tsr_shape_of(scale)).text, expected.text);
    else if (shift && !tsr_same_shape(tsr_shape_of(shift), affine))
        *failed = tsr_reject(n, "shift has shape %s, expected %s", tsr_shape_text(tsr_shape_of(shift)).text, expected.text);
    return !*failed;
}

tsr_norm_plan *tsr_norm_save(tsr_node *n, const tsr_norm_plan *plan)
{
    const size_t bytes = (size_t)(plan->samples * plan->groups) * sizeof(double);
    tsr_norm_plan *saved = tsr_save(n, sizeof *saved);
    double *mean = tsr_save(n, bytes), *inverse = tsr_save(n, bytes);
    if (!saved || !mean || !inverse) return NULL;
    *saved = *plan;
    saved->mean = mean;
    saved->inverse = inverse;
    return saved;
}

/* The first row is what values are measured from: of the same size as the mean, so that no digits are lost. */
void tsr_norm_statistics(tsr_node *n, const tsr_norm_plan *p)
{
    const tsr_real *x = tsr_data(tsr_input(n, 0));
    sums_job job = {.w = walk_of(p), .x = x, .center = x, .center_step = p->rows * p->channels};
    const double *sums = sums_of(n, &job);
    if (!sums || job.w.size == 0) return;
    const int64_t width = p->channels / p->groups;
    const double rows = (double)p->rows;
    for (int64_t k = 0; k < p->samples * p->groups; k++) {
        const int64_t sample = k / p->groups, channel = k % p->groups * width;
        const double *first = sums + sample * 2 * p->channels + channel, *second = first + p->channels;
        const tsr_real *center = x + sample * job.center_step + channel;
        double mean = 0, squares = 0;
        for (int64_t c = 0; c < width; c++) mean += ((double)center[c] + first[c] / rows) / (double)width;
        for (int64_t c = 0; c < width; c++) {
            const double apart = ((double)center[c] - mean) + first[c] / rows;
            const double within = second[c] - first[c] * first[c] / rows;
            squares += (within > 0 ? within : 0) + (width > 1 ? rows * apart * apart : 0);
            if (isnan(within)) squares = within;
        }
        p->mean[k] = mean;
        p->inverse[k] = squares / (rows * (double)width);
    }
}

void tsr_norm_apply(tsr_node *n, const tsr_norm_plan *p, tsr_real *y)
{
    const tsr_tensor *scale = tsr_input(n, 1), *shift = tsr_input(n, 2);
    linear_job job = {.w = walk_of(p), .relu = p->activation == TSR_RELU, .x = tsr_data(tsr_input(n, 0)), .y = y};
    tsr_real *to = coefficients_of(n, p);
    if (!to || job.w.size == 0 || p->samples == 0) return;
    const int64_t width = p->channels / p->groups;
    for (int64_t sample = 0; sample < p->samples; sample++)
        for (int64_t c = 0; c < p->channels; c++) {
            tsr_real *at = to + sample * COEFFICIENTS * p->channels + c;
            const double mean = p->mean[sample * p->groups + c / width];
            const double factor = p->inverse[sample * p->groups + c / width] * (scale ? (double)tsr_data(scale)[c] : 1);
            const tsr_real center = (tsr_real)mean;
            at[CENTER * p->channels] = center;
            at[FACTOR * p->channels] = (tsr_real)factor;
            at[OFFSET * p->channels] =
                (tsr_real)((shift ? (double)tsr_data(shift)[c] : 0) - (mean - (double)center) * factor);
        }
    job.coefficients = to;
    run_walk(n, &job.w, linear_body, &job);
    if (!job.relu) tsr_activate(tsr_node_context(n), p->activation, y, p->samples * job.w.size);
}

/* ---- backward ---------------------------------------------------------------------------------------------------------- */

typedef struct gradients {
    const tsr_norm_plan *p;
    const double *sums;          /* [samples][2][channels] of g and g (x - center) */
    const tsr_real *scale;       /* or NULL */
    tsr_real *coefficients;      /* of the gradient of x */
    double *scale_sum, *shift_sum; /* [channels] */
} gradients;

/* With x' = (x - mean) inverse: dx = inverse (scale g - mean of (scale g) - x' mean of (scale g x')). */
static void group_gradients(const gradients *to, int64_t sample, int64_t group)
{
    const tsr_norm_plan *p = to->p;
    const int64_t width = p->channels / p->groups, begin = group * width;
    const double *first = to->sums + sample * 2 * p->channels, *second = first + p->channels;
    const double mean = p->mean[sample * p->groups + group], inverse = p->inverse[sample * p->groups + group];
    const tsr_real center = (tsr_real)mean;
    const double rest = mean - (double)center, count = (double)p->rows * (double)width;
    double sum = 0, product = 0;
    for (int64_t c = begin; c < begin + width; c++) {
        const double scale = to->scale ? (double)to->scale[c] : 1, along = inverse * (second[c] - rest * first[c]);
        sum += scale * first[c];
        product += scale * along;
        to->shift_sum[c] += first[c];
        to->scale_sum[c] += along;
    }
    const double factor = p->given ? 0 : -inverse * inverse * (product / count);
    const double offset = p->given ? 0 : -inverse * (sum / count) - rest * factor;
    tsr_real *at = to->coefficients + sample * COEFFICIENTS * p->channels;
    for (int64_t c = begin; c < begin + width; c++) {
        at[CENTER * p->channels + c] = center;
        at[FACTOR * p->channels + c] = (tsr_real)factor;
        at[OFFSET * p->channels + c] = (tsr_real)offset;
        at[WEIGHT * p->channels + c] = (tsr_real)(inverse * (to->scale ? (double)to->scale[c] : 1));
    }
}

/* The gradient that arrives, before the activation; NULL: out of memory. */
static const tsr_real *arriving(tsr_node *n, const tsr_norm_plan *p)
{
    const tsr_real *g = tsr_data(tsr_cotangent(n));
    if (p->activation == TSR_NO_ACTIVATION || !g) return g;
    const int64_t size = p->samples * p->rows * p->channels;
    tsr_real *before = tsr_scratch(n, (size_t)size * sizeof *before);
    if (before) tsr_deactivate(tsr_node_context(n), p->activation, tsr_data(tsr_result(n)), g, before, size);
    return before;
}

/* A center for each sample and channel. */
static const tsr_real *centers_of(tsr_node *n, const tsr_norm_plan *p)
{
    tsr_real *center = tsr_scratch(n, (size_t)(p->samples * p->channels) * sizeof *center);
    const int64_t width = p->groups > 0 ? p->channels / p->groups : 1;
    for (int64_t i = 0; center && i < p->samples * p->channels; i++)
        center[i] = (tsr_real)p->mean[i / p->channels * p->groups + i % p->channels / width];
    return center;
}

void tsr_norm_backward(tsr_node *n)
{
    const tsr_norm_plan *p = tsr_saved(n);
    const int64_t channels = p->channels;
    const tsr_real *g = arriving(n, p), *x = tsr_data(tsr_input(n, 0));
    const walk w = walk_of(p);
    sums_job job = {.w = w, .x = x, .g = g, .center = centers_of(n, p), .center_step = channels};
    double *columns = tsr_scratch(n, (size_t)(2 * channels) * sizeof *columns);
    tsr_real *coefficients = coefficients_of(n, p);
    if (!g || !job.center || !columns || !coefficients) return;
    const double *sums = sums_of(n, &job);
    if (!sums) return;
    for (int64_t c = 0; c < 2 * channels; c++) columns[c] = 0;
    const gradients to = {.p = p, .sums = sums, .scale = tsr_data(tsr_input(n, 1)), .coefficients = coefficients,
                          .scale_sum = columns, .shift_sum = columns + channels};
    for (int64_t sample = 0; sample < p->samples && w.size > 0; sample++)
        for (int64_t group = 0; group < p->groups; group++) group_gradients(&to, sample, group);
    tsr_real *gx = tsr_gradient(n, 0), *scale = tsr_gradient(n, 1), *shift = tsr_gradient(n, 2);
    linear_job linear = {.w = w, .x = x, .g = g, .coefficients = coefficients, .y = gx};
    if (gx && w.size > 0) run_walk(n, &w, linear_body, &linear);
    for (int64_t c = 0; c < channels; c++) {
        if (scale) scale[c] = (tsr_real)columns[c];
        if (shift) shift[c] = (tsr_real)columns[channels + c];
    }
}
