/* Normalisation by statistics of channels or of groups of them: sums over rows for each channel, and a linear function for
 * each channel, compiled per instruction set. Forward reads x twice; backward reads x and the gradient twice, and undoes
 * ReLU by finding the sign of the result again, from x and by the same operations. */
#include "core/kernels/levels.h"
#include "ops/norm_internal.h"

#include <math.h>
#include <string.h>

/* ---- how memory is walked ---------------------------------------------------------------------------------------- */

enum { WIDE = 64, COLUMN_LANES = 16, WIDEST = WIDE * COLUMN_LANES, CHUNKS = 16, AT_ONCE = 4 };

/* Of each sample and channel: y = (x - center) factor + offset, dx = weight g + ((x - center) slope + level). */
enum { CENTER, FACTOR, OFFSET, WEIGHT, SLOPE, LEVEL, COEFFICIENTS };

/* A sample is walked in rows of `wide` values: several pixels where there are few channels, so that inner loops are long
 * and even. Position j of such a row belongs to channel j % channels. */
typedef struct columns_job {
    int64_t samples, size, channels, wide;
    int64_t piece, chunks; /* a sample is cut in `chunks` of `piece` values, whole rows: by shape alone */
    bool relu;
    const tsr_real *x, *g;  /* g: on the way back */
    tsr_real *coefficients; /* [samples][COEFFICIENTS][channels + COLUMN_LANES]: not all in the same lines of the cache */
    double *parts;          /* [samples][chunks][2][wide] */
    tsr_real *out;
} columns_job;

static columns_job columns_of(tsr_node *n, const tsr_norm_plan *p)
{
    columns_job job = {.samples = p->samples, .size = p->rows * p->channels, .channels = p->channels, .wide = p->channels,
                       .relu = p->activation == TSR_RELU, .x = tsr_data(tsr_input(n, 0))};
    job.coefficients = tsr_scratch(n, (size_t)(p->samples * COEFFICIENTS * (p->channels + COLUMN_LANES)) * sizeof(tsr_real));
    if (job.size == 0) return job;
    while (job.wide < WIDE || (job.channels < WIDE && job.wide % COLUMN_LANES != 0)) job.wide += job.channels;
    const int64_t rows = (job.size - 1) / job.wide + 1, least = (rows - 1) / CHUNKS + 1;
    int64_t piece = tsr_grain(2 * (double)job.wide);
    if (piece < least) piece = least;
    job.piece = piece * job.wide;
    job.chunks = (rows - 1) / piece + 1;
    return job;
}

static void run_columns(tsr_node *n, const tsr_loop_body *body, columns_job *job)
{
    tsr_context *ctx = tsr_node_context(n);
    const double cost = 2 * (double)(job->piece < job->size ? job->piece : job->size);
    tsr_parallel(ctx, job->samples * job->chunks, tsr_grain(cost), body[ctx->kernels->level], job);
}

/* Coefficient k of a sample's first channel. */
static TSR_INLINE tsr_real *coefficient(const columns_job *job, int64_t sample, int k)
{
    return job->coefficients + (sample * COEFFICIENTS + k) * (job->channels + COLUMN_LANES);
}

/* A chunk: its values from ... to - 1, and the coefficients, repeated where rows are wider than the channels. */
typedef struct chunk {
    int64_t from, to;
    const tsr_real *c[COEFFICIENTS];
    tsr_real room[COEFFICIENTS][WIDEST];
} chunk;

static TSR_INLINE void find_chunk(const columns_job *job, int64_t item, chunk *at)
{
    const int64_t sample = item / job->chunks, left = (item % job->chunks + 1) * job->piece;
    at->from = sample * job->size + left - job->piece;
    at->to = sample * job->size + (left < job->size ? left : job->size);
    for (int k = 0; k < COEFFICIENTS; k++) {
        at->c[k] = coefficient(job, sample, k);
        if (job->wide == job->channels) continue;
        for (int64_t j = 0; j < job->wide; j += job->channels)
            memcpy(at->room[k] + j, at->c[k], (size_t)job->channels * sizeof(tsr_real));
        at->c[k] = at->room[k];
    }
}

/* ---- sums over rows ---------------------------------------------------------------------------------------------- */

typedef struct sum_pair {
    tsr_real first, second;
} sum_pair;

/* With d = x - center: d and d^2, or on the way back g and g d. */
static TSR_INLINE sum_pair terms(const chunk *at, int64_t j, const tsr_real *x, const tsr_real *g, bool relu)
{
    const tsr_real d = *x - at->c[CENTER][j];
    if (!g) return (sum_pair){d, d * d};
    const tsr_real arriving = *g, here = !relu || d * at->c[FACTOR][j] + at->c[OFFSET][j] > 0 ? arriving : 0;
    return (sum_pair){here, here * d};
}

static TSR_INLINE sum_pair plus(sum_pair a, sum_pair b)
{
    return (sum_pair){a.first + b.first, a.second + b.second};
}

/* Four rows are added to a double at once. */
static TSR_INLINE void add_rows(const columns_job *job, const chunk *at, bool back, bool relu, double *restrict first,
                                double *restrict second)
{
    const int64_t wide = job->wide;
    int64_t i = at->from;
    for (; i + AT_ONCE * wide <= at->to; i += AT_ONCE * wide) {
        const tsr_real *restrict x = job->x + i, *restrict g = back ? job->g + i : NULL;
        for (int64_t j = 0; j < wide; j++) {
            const int64_t k = j + wide, l = k + wide, m = l + wide;
            const sum_pair p = terms(at, j, x + j, back ? g + j : NULL, relu), q = terms(at, j, x + k, back ? g + k : NULL, relu);
            const sum_pair r = terms(at, j, x + l, back ? g + l : NULL, relu), s = terms(at, j, x + m, back ? g + m : NULL, relu);
            const sum_pair sum = plus(plus(p, q), plus(r, s));
            first[j] += (double)sum.first;
            second[j] += (double)sum.second;
        }
    }
    for (; i < at->to; i += wide) {
        const tsr_real *restrict x = job->x + i, *restrict g = back ? job->g + i : NULL;
        const int64_t count = at->to - i < wide ? at->to - i : wide;
        for (int64_t j = 0; j < count; j++) {
            const sum_pair sum = terms(at, j, x + j, back ? g + j : NULL, relu);
            first[j] += (double)sum.first;
            second[j] += (double)sum.second;
        }
    }
}

static TSR_LOOP(sums_body)
{
    const columns_job *job = user;
    chunk at;
    for (int64_t item = begin; item < end; item++) {
        double *sums = job->parts + item * 2 * job->wide;
        memset(sums, 0, (size_t)(2 * job->wide) * sizeof *sums);
        find_chunk(job, item, &at);
        if (!job->g) add_rows(job, &at, false, false, sums, sums + job->wide);
        else if (job->relu) add_rows(job, &at, true, true, sums, sums + job->wide);
        else add_rows(job, &at, true, false, sums, sums + job->wide);
    }
}

/* sums [samples][2][channels], in scratch memory; NULL: out of memory. */
static double *sums_of(tsr_node *n, columns_job *job)
{
    const int64_t channels = job->channels;
    job->parts = tsr_scratch(n, (size_t)(job->samples * job->chunks * 2 * job->wide) * sizeof(double));
    double *sums = tsr_scratch(n, (size_t)(job->samples * 2 * channels) * sizeof(double));
    if (!job->coefficients || !job->parts || !sums) return NULL;
    for (int64_t i = 0; i < job->samples * 2 * channels; i++) sums[i] = 0;
    if (job->size > 0) run_columns(n, sums_body, job);
    for (int64_t item = 0; item < job->samples * job->chunks; item++)
        for (int64_t half = 0; half < 2; half++) {
            const double *part = job->parts + (item * 2 + half) * job->wide;
            double *to = sums + (item / job->chunks * 2 + half) * channels;
            for (int64_t j = 0; j < job->wide; j += channels)
                for (int64_t c = 0; c < channels; c++) to[c] += part[j + c];
        }
    return sums;
}

/* ---- a linear function for each channel -------------------------------------------------------------------------- */

static TSR_INLINE void apply(const columns_job *job, const chunk *at, bool back, bool relu)
{
    const tsr_real *restrict center = at->c[CENTER], *restrict factor = at->c[FACTOR], *restrict offset = at->c[OFFSET];
    const tsr_real *restrict weight = at->c[WEIGHT], *restrict slope = at->c[SLOPE], *restrict level = at->c[LEVEL];
    for (int64_t i = at->from; i < at->to; i += job->wide) {
        const int64_t count = at->to - i < job->wide ? at->to - i : job->wide;
        const tsr_real *restrict x = job->x + i, *restrict g = back ? job->g + i : NULL;
        tsr_real *restrict out = job->out + i;
        for (int64_t j = 0; j < count; j++) {
            const tsr_real d = x[j] - center[j], y = d * factor[j] + offset[j];
            if (back) {
                const tsr_real arriving = g[j], here = !relu || y > 0 ? arriving : 0;
                out[j] = weight[j] * here + (d * slope[j] + level[j]);
            } else out[j] = relu && y < 0 ? 0 : y; /* NaN stays */
        }
    }
}

/* Pieces from the end on: the last ones are those that the pass before has left in the cache. */
static TSR_LOOP(apply_body)
{
    const columns_job *job = user;
    chunk at;
    for (int64_t item = begin; item < end; item++) {
        find_chunk(job, job->samples * job->chunks - 1 - item, &at);
        if (!job->g && !job->relu) apply(job, &at, false, false);
        else if (!job->g) apply(job, &at, false, true);
        else if (!job->relu) apply(job, &at, true, false);
        else apply(job, &at, true, true);
    }
}

static void find_forward(tsr_node *n, const tsr_norm_plan *p, const columns_job *job)
{
    const tsr_real *scale = tsr_data(tsr_input(n, 1)), *shift = tsr_data(tsr_input(n, 2));
    const int64_t width = p->groups > 0 ? p->channels / p->groups : 1;
    for (int64_t sample = 0; sample < p->samples; sample++)
        for (int64_t c = 0; c < p->channels; c++) {
            const int64_t group = sample * p->groups + c / width;
            const double mean = p->mean[group], factor = p->inverse[group] * (scale ? (double)scale[c] : 1);
            const tsr_real center = (tsr_real)mean;
            coefficient(job, sample, CENTER)[c] = center;
            coefficient(job, sample, FACTOR)[c] = (tsr_real)factor;
            coefficient(job, sample, OFFSET)[c] = (tsr_real)((shift ? (double)shift[c] : 0) - (mean - (double)center) * factor);
        }
}

/* ---- forward ----------------------------------------------------------------------------------------------------- */

/* Values are measured from one among them, so that no digits are lost to the mean. */
void tsr_norm_statistics(tsr_node *n, const tsr_norm_plan *p)
{
    columns_job job = columns_of(n, p);
    if (!job.coefficients || job.size == 0) return;
    for (int64_t s = 0; s < p->samples; s++)
        for (int64_t c = 0; c < p->channels; c++)
            coefficient(&job, s, CENTER)[c] = tsr_norm_center(job.x + s * job.size + c, p->rows, p->channels);
    const double *sums = sums_of(n, &job), rows = (double)p->rows;
    const int64_t width = p->channels / p->groups;
    for (int64_t k = 0; sums && k < p->samples * p->groups; k++) {
        const int64_t sample = k / p->groups, channel = k % p->groups * width;
        const double *first = sums + sample * 2 * p->channels + channel, *second = first + p->channels;
        const tsr_real *center = coefficient(&job, sample, CENTER) + channel;
        double mean = 0, squares = 0;
        for (int64_t c = 0; c < width; c++) mean += ((double)center[c] + first[c] / rows) / (double)width;
        for (int64_t c = 0; c < width; c++) {
            const double apart = ((double)center[c] - mean) + first[c] / rows;
            const double within = second[c] - first[c] * first[c] / rows;
            squares += (within < 0 ? 0 : within) + (width > 1 ? rows * apart * apart : 0);
        }
        p->mean[k] = mean;
        p->inverse[k] = squares / (rows * (double)width);
    }
}

void tsr_norm_apply(tsr_node *n, const tsr_norm_plan *p, tsr_real *y)
{
    columns_job job = columns_of(n, p);
    if (!job.coefficients || job.size == 0) return;
    job.out = y;
    find_forward(n, p, &job);
    run_columns(n, apply_body, &job);
    if (!job.relu) tsr_activate(tsr_node_context(n), p->activation, y, p->samples * job.size);
}

/* ---- backward ---------------------------------------------------------------------------------------------------- */

/* From the sums of g and g (x - center) of a group, with x' = (x - mean) inverse:
 * dx = inverse (scale g - mean of (scale g) - x' mean of (scale g x')). Adds the gradients of scale and shift. */
static void find_backward(const tsr_norm_plan *p, const columns_job *job, const double *sums, const tsr_real *scale,
                          int64_t k, double *scale_sum)
{
    const int64_t width = p->channels / p->groups, sample = k / p->groups, begin = k % p->groups * width;
    const double *first = sums + sample * 2 * p->channels, *second = first + p->channels;
    const double inverse = p->inverse[k], rest = p->mean[k] - (double)(tsr_real)p->mean[k];
    const double count = (double)p->rows * (double)width;
    double sum = 0, product = 0;
    for (int64_t c = begin; c < begin + width; c++) {
        const double along = inverse * (second[c] - rest * first[c]);
        sum += (scale ? (double)scale[c] : 1) * first[c];
        product += (scale ? (double)scale[c] : 1) * along;
        scale_sum[c] += along;
        scale_sum[p->channels + c] += first[c];
    }
    const double slope = p->given ? 0 : -inverse * inverse * (product / count);
    const double level = p->given ? 0 : -inverse * (sum / count) - rest * slope;
    for (int64_t c = begin; c < begin + width; c++) {
        coefficient(job, sample, WEIGHT)[c] = (tsr_real)(inverse * (scale ? (double)scale[c] : 1));
        coefficient(job, sample, SLOPE)[c] = (tsr_real)slope;
        coefficient(job, sample, LEVEL)[c] = (tsr_real)level;
    }
}

void tsr_norm_backward(tsr_node *n)
{
    const tsr_norm_plan *p = tsr_saved(n);
    const tsr_real *scale = tsr_data(tsr_input(n, 1));
    columns_job job = columns_of(n, p);
    double *columns = tsr_scratch(n, (size_t)(2 * p->channels) * sizeof *columns);
    job.g = job.relu ? tsr_data(tsr_cotangent(n)) : tsr_norm_arriving(n, p->activation, p->samples * job.size);
    if (!job.g || !job.coefficients || !columns) return;
    for (int64_t c = 0; c < 2 * p->channels; c++) columns[c] = 0;
    find_forward(n, p, &job);
    const double *sums = sums_of(n, &job);
    if (!sums) return;
    for (int64_t k = 0; k < p->samples * p->groups && job.size > 0; k++)
        find_backward(p, &job, sums, scale, k, columns);
    job.out = tsr_gradient(n, 0);
    if (job.out && job.size > 0) run_columns(n, apply_body, &job);
    for (int i = 1; i <= 2; i++) {
        tsr_real *to = tsr_gradient(n, i);
        for (int64_t c = 0; to && c < p->channels; c++) to[c] = (tsr_real)columns[(i - 1) * p->channels + c];
    }
}
