/* Losses value by value, and the cross entropy of rows. */
#include "ops/exp_internal.h"
#include "ops/indices.h"
#include "ops/map_internal.h"

#include <math.h>

/* ---- value by value -------------------------------------------------------------------------------------------------- */

/* Rows for a map: inputs y and target; numbers delta (of huber) and, of gradients, the factor. */
static void square_row(tsr_real *restrict out, const tsr_real *const *in, int64_t count, const double *numbers)
{
    (void)numbers;
    for (int64_t i = 0; i < count; i++) {
        const tsr_real d = in[0][i] - in[1][i];
        out[i] = d * d;
    }
}

static void square_gradient_row(tsr_real *restrict out, const tsr_real *const *in, int64_t count, const double *numbers)
{
    const tsr_real factor = (tsr_real)(2 * numbers[1]);
    for (int64_t i = 0; i < count; i++) out[i] = factor * (in[0][i] - in[1][i]);
}

static void magnitude_row(tsr_real *restrict out, const tsr_real *const *in, int64_t count, const double *numbers)
{
    (void)numbers;
    for (int64_t i = 0; i < count; i++) {
        const tsr_real d = in[0][i] - in[1][i];
        out[i] = d < 0 ? -d : d;
    }
}

static void magnitude_gradient_row(tsr_real *restrict out, const tsr_real *const *in, int64_t count, const double *numbers)
{
    const tsr_real factor = (tsr_real)numbers[1];
    for (int64_t i = 0; i < count; i++) {
        const tsr_real d = in[0][i] - in[1][i];
        out[i] = d > 0 ? factor : d < 0 ? -factor : d * factor; /* 0, or NaN */
    }
}

/* |d| <= delta: d^2 / 2, else delta (|d| - delta / 2). */
static void huber_row(tsr_real *restrict out, const tsr_real *const *in, int64_t count, const double *numbers)
{
    const tsr_real delta = (tsr_real)numbers[0], half = (tsr_real)0.5;
    for (int64_t i = 0; i < count; i++) {
        const tsr_real d = in[0][i] - in[1][i], size = d < 0 ? -d : d;
        out[i] = size > delta ? delta * (size - half * delta) : half * size * size;
    }
}

static void huber_gradient_row(tsr_real *restrict out, const tsr_real *const *in, int64_t count, const double *numbers)
{
    const tsr_real delta = (tsr_real)numbers[0], factor = (tsr_real)numbers[1];
    for (int64_t i = 0; i < count; i++) {
        const tsr_real d = in[0][i] - in[1][i];
        out[i] = factor * (d > delta ? delta : d < -delta ? -delta : d);
    }
}

/* (1 - t) max(z, 0) + t max(-z, 0) + log(1 + e^-|z|): nothing cancels, nothing overflows. */
static void bce_row(tsr_real *restrict out, const tsr_real *const *in, int64_t count, const double *numbers)
{
    (void)numbers;
    for (int64_t i = 0; i < count; i++) {
        const tsr_real z = in[0][i], t = in[1][i], size = z < 0 ? -z : z;
        out[i] = (z < 0 ? t : 1 - t) * size + tsr_log1p_of(tsr_exp_of(-size));
    }
}

static void bce_gradient_row(tsr_real *restrict out, const tsr_real *const *in, int64_t count, const double *numbers)
{
    const tsr_real factor = (tsr_real)numbers[1];
    for (int64_t i = 0; i < count; i++) out[i] = factor * (tsr_sigmoid_of(in[0][i]) - in[1][i]);
}

typedef struct loss_kind {
    tsr_row value, gradient;
    double cost;
    bool constant_target;
} loss_kind;

typedef struct loss_saved {
    loss_kind kind;
    double delta, share; /* of a value in the result */
} loss_saved;

static tsr_map loss_map(const tsr_node *n, const loss_saved *saved, tsr_row row)
{
    tsr_map map = {.row = row, .numbers = {saved->delta}, .cost = saved->kind.cost, .shape = tsr_shape_of(tsr_input(n, 0))};
    tsr_map_add(&map, tsr_data(tsr_input(n, 0)), map.shape);
    tsr_map_add(&map, tsr_data(tsr_input(n, 1)), map.shape);
    return map;
}

static void loss_backward(tsr_node *n)
{
    const loss_saved *saved = tsr_saved(n);
    const double factor = tsr_item(tsr_cotangent(n)) * saved->share;
    tsr_map map = loss_map(n, saved, saved->kind.gradient);
    for (int i = 0; i < (saved->kind.constant_target ? 1 : 2); i++) {
        map.numbers[1] = i == 0 ? factor : -factor;
        tsr_real *out = tsr_gradient(n, i);
        if (out) tsr_map_run(n, &map, out);
    }
}

static tsr_tensor *loss(const tsr_op *op, const loss_kind *kind, tsr_tensor *y, tsr_tensor *target,
                        const tsr_loss_options *options)
{
    tsr_node *n = tsr_begin(op, TSR_INPUTS(y, target));
    if (tsr_dead(n)) return tsr_end(n);
    const tsr_shape shape = tsr_shape_of(y);
    const bool sum = options && options->reduction == TSR_REDUCE_SUM;
    const double delta = tsr_default_double(options ? options->delta : 0, 1);
    if (!tsr_same_shape(shape, tsr_shape_of(target)))
        return tsr_reject(n, "input %s and target %s differ in shape", tsr_shape_text(shape).text,
                          tsr_shape_text(tsr_shape_of(target)).text);
    if (!(delta > 0)) return tsr_reject(n, "delta is %g, needs to be above 0", delta);
    if (tsr_size(y) == 0 && !sum) return tsr_reject(n, "no values to take the mean of in %s", tsr_shape_text(shape).text);
    tsr_real *out = tsr_output(n, TSR_SCALAR);
    loss_saved *saved = tsr_save(n, sizeof *saved);
    if (!out || !saved) return tsr_end(n);
    const double divisor = sum ? 1 : (double)tsr_size(y);
    *saved = (loss_saved){.kind = *kind, .delta = delta, .share = 1 / divisor};
    const tsr_map map = loss_map(n, saved, kind->value);
    tsr_map_fold(n, &map, &(tsr_fold){.target = TSR_SCALAR, .divisor = divisor, .out = out});
    return tsr_end(n);
}

static const tsr_op mse_op = {.name = "mse_loss", .backward = loss_backward};
static const tsr_op l1_op = {.name = "l1_loss", .backward = loss_backward};
static const tsr_op huber_op = {.name = "huber_loss", .backward = loss_backward};
static const tsr_op bce_op = {.name = "bce_with_logits", .backward = loss_backward};

tsr_tensor *tsr_mse_loss(tsr_tensor *y, tsr_tensor *target, const tsr_loss_options *options)
{
    return loss(&mse_op, &(loss_kind){square_row, square_gradient_row, 2, false}, y, target, options);
}

tsr_tensor *tsr_l1_loss(tsr_tensor *y, tsr_tensor *target, const tsr_loss_options *options)
{
    return loss(&l1_op, &(loss_kind){magnitude_row, magnitude_gradient_row, 2, false}, y, target, options);
}

tsr_tensor *tsr_huber_loss(tsr_tensor *y, tsr_tensor *target, const tsr_loss_options *options)
{
    return loss(&huber_op, &(loss_kind){huber_row, huber_gradient_row, 3, false}, y, target, options);
}

tsr_tensor *tsr_bce_with_logits(tsr_tensor *logits, tsr_tensor *target)
{
    return loss(&bce_op, &(loss_kind){bce_row, bce_gradient_row, 12, true}, logits, target, NULL);
}

/* ---- cross entropy --------------------------------------------------------------------------------------------------- */

typedef struct entropy_saved {
    int64_t rows, classes;
    bool by_index;
    double keep, spread; /* of the target: target * keep + spread */
    double share;        /* of a row in the result */
    double *largest, *log_sum; /* per row: the largest logit and the log of the sum of e^(logit - largest) */
    bool *counts;              /* per row: not ignored */
} entropy_saved;

typedef struct entropy_job {
    entropy_saved at;
    const tsr_real *logits, *target;
    double factor;
    double *losses; /* per row */
    tsr_real *out;
} entropy_job;

static void row_sums(const tsr_real *z, int64_t classes, double *largest, double *log_sum)
{
    enum { LANES = 8 };
    tsr_real most = z[0];
    for (int64_t k = 1; k < classes; k++) most = z[k] > most ? z[k] : most;
    double lanes[LANES] = {0}, sum = 0;
    int64_t k = 0;
    for (; k + LANES <= classes; k += LANES)
        for (int j = 0; j < LANES; j++) lanes[j] += (double)tsr_exp_of(z[k + j] - most);
    for (; k < classes; k++) sum += (double)tsr_exp_of(z[k] - most);
    for (int j = 0; j < LANES; j++) sum += lanes[j];
    *largest = (double)most;
    *log_sum = log(sum);
}

/* What class k should get in `row`. */
static double wanted(const entropy_job *job, int64_t row, int64_t k)
{
    const entropy_saved *at = &job->at;
    const double target = at->by_index ? (double)(job->target[row] == (tsr_real)k)
                                       : (double)job->target[row * at->classes + k];
    return target * at->keep + at->spread;
}

static void entropy_body(void *user, int64_t begin, int64_t end)
{
    const entropy_job *job = user;
    const entropy_saved *at = &job->at;
    for (int64_t row = begin; row < end; row++) {
        const tsr_real *z = job->logits + row * at->classes;
        job->losses[row] = 0;
        if (!at->counts[row]) continue;
        row_sums(z, at->classes, &at->largest[row], &at->log_sum[row]);
        const bool one = at->by_index && at->spread == 0; /* only the target's own class is of interest */
        const int64_t first = one ? (int64_t)job->target[row] : 0, last = one ? first : at->classes - 1;
        double sum = 0;
        for (int64_t k = first; k <= last; k++) {
            const double weight = wanted(job, row, k);
            if (weight != 0) sum += weight * (at->log_sum[row] - ((double)z[k] - at->largest[row]));
        }
        job->losses[row] = sum;
    }
}

/* Softmax times the sum of what is wanted (1, unless probabilities do not add up), minus what is wanted. */
static void entropy_gradient_body(void *user, int64_t begin, int64_t end)
{
    const entropy_job *job = user;
    const entropy_saved *at = &job->at;
    const tsr_real factor = (tsr_real)job->factor, keep = (tsr_real)at->keep, spread = (tsr_real)at->spread;
    for (int64_t row = begin; row < end; row++) {
        const tsr_real *z = job->logits + row * at->classes;
        tsr_real *out = job->out + row * at->classes;
        const tsr_real largest = (tsr_real)at->largest[row], log_sum = (tsr_real)at->log_sum[row];
        if (!at->counts[row]) {
            for (int64_t k = 0; k < at->classes; k++) out[k] = 0;
            continue;
        }
        double sum = at->by_index ? 1 : 0;
        for (int64_t k = 0; k < at->classes && !at->by_index; k++) sum += wanted(job, row, k);
        const tsr_real all = (tsr_real)sum;
        for (int64_t k = 0; k < at->classes; k++) out[k] = all * tsr_exp_of((z[k] - largest) - log_sum) - spread;
        if (at->by_index) {
            out[(int64_t)job->target[row]] -= keep;
        } else {
            const tsr_real *target = job->target + row * at->classes;
            for (int64_t k = 0; k < at->classes; k++) out[k] -= keep * target[k];
        }
        for (int64_t k = 0; k < at->classes; k++) out[k] *= factor;
    }
}

static void cross_entropy_backward(tsr_node *n)
{
    const entropy_saved *saved = tsr_saved(n);
    entropy_job job = {.at = *saved, .logits = tsr_data(tsr_input(n, 0)), .target = tsr_data(tsr_input(n, 1)),
                       .factor = tsr_item(tsr_cotangent(n)) * saved->share, .out = tsr_gradient(n, 0)};
    const double cost = 10 * (double)saved->classes;
    if (job.out) tsr_parallel(tsr_node_context(n), saved->rows, tsr_grain(cost), entropy_gradient_body, &job);
}

static const tsr_op cross_entropy_op = {.name = "cross_entropy", .backward = cross_entropy_backward};

/* Which rows count, and how many; -1: the call was rejected with a label that is none. */
static int64_t count_rows(tsr_node *n, const entropy_saved *at, const tsr_loss_options *options)
{
    const tsr_real *target = tsr_data(tsr_input(n, 1));
    int64_t count = 0;
    for (int64_t row = 0; row < at->rows; row++) {
        const double value = at->by_index ? (double)target[row] : 0;
        at->counts[row] = !(at->by_index && options && options->has_ignored && target[row] == (tsr_real)options->ignored);
        if (!at->counts[row]) continue;
        count++;
        if (value >= 0 && value < (double)at->classes && value == floor(value)) continue;
        tsr_reject(n, "the target of row %lld is %.9g, expected a whole number from 0 to %lld", (long long)row, value,
                   (long long)at->classes - 1);
        return -1;
    }
    return count;
}

tsr_tensor *tsr_cross_entropy(tsr_tensor *logits, tsr_tensor *target, const tsr_loss_options *options)
{
    tsr_node *n = tsr_begin(&cross_entropy_op, TSR_INPUTS(logits, target));
    if (tsr_dead(n)) return tsr_end(n);
    tsr_context *ctx = tsr_node_context(n);
    const tsr_shape shape = tsr_shape_of(logits), given = tsr_shape_of(target);
    const tsr_text text = tsr_shape_text(shape);
    const double smoothing = tsr_default_double(options ? options->smoothing : 0, 0);
    if (shape.rank < 1 || shape.dims[shape.rank - 1] < 1) return tsr_reject(n, "logits %s are not [..., K]", text.text);
    const int64_t classes = shape.dims[shape.rank - 1];
    const tsr_shape by_index = tsr_make_shape(shape.rank - 1, shape.dims);
    entropy_saved at = {.rows = tsr_size(logits) / classes, .classes = classes, .by_index = tsr_same_shape(given, by_index)};
    if (!at.by_index && !tsr_same_shape(given, shape))
        return tsr_reject(n, "target %s fits logits %s neither as indices %s nor as probabilities",
                          tsr_shape_text(given).text, text.text, tsr_shape_text(by_index).text);
    if (!(smoothing >= 0 && smoothing <= 1)) return tsr_reject(n, "smoothing is %g, needs to be in [0, 1]", smoothing);
    if (at.by_index && classes > TSR_MOST_INDEXED)
        return tsr_reject(n, "%lld classes are more than a value can number exactly", (long long)classes);

    at.keep = 1 - smoothing;
    at.spread = smoothing / (double)classes;
    entropy_saved *saved = tsr_save(n, sizeof *saved);
    at.largest = tsr_save(n, (size_t)at.rows * sizeof *at.largest);
    at.log_sum = tsr_save(n, (size_t)at.rows * sizeof *at.log_sum);
    at.counts = tsr_save(n, (size_t)at.rows * sizeof *at.counts);
    double *losses = tsr_scratch(n, (size_t)at.rows * sizeof *losses);
    tsr_real *out = tsr_output(n, TSR_SCALAR);
    if (tsr_dead(n)) return tsr_end(n);
    const int64_t count = count_rows(n, &at, options);
    if (count < 0) return tsr_error_tensor(ctx);
    at.share = options && options->reduction == TSR_REDUCE_SUM ? 1 : count > 0 ? 1 / (double)count : 0;
    *saved = at;
    entropy_job job = {.at = at, .logits = tsr_data(logits), .target = tsr_data(target), .losses = losses};
    tsr_parallel(ctx, at.rows, tsr_grain(10 * (double)classes), entropy_body, &job);
    double sum = 0;
    for (int64_t row = 0; row < at.rows; row++) sum += losses[row];
    *out = (tsr_real)(sum * at.share);
    return tsr_end(n);
}
