/* Losses value by value, and the cross entropy of rows. */
#include "core/kernels/functions.h"
#include "ops/indices.h"
#include "ops/map_internal.h"

#include <math.h>

/* ---- value by value ---------------------------------------------------------------------------------------------- */

/* Of input y and target t; p is delta (of huber), q the factor of gradients. */
static TSR_ROW(square, (y - t) * (y - t), y, t)
static TSR_ROW(square_gradient, 2 * q * (y - t), y, t)
static TSR_ROW(difference_size, tsr_abs_of(y - t), y, t)
static TSR_ROW(magnitude_gradient, y > t ? q : y < t ? -q : (y - t) * q, y, t) /* 0, or NaN */

/* |d| <= delta: d^2 / 2, else delta (|d| - delta / 2). */
static TSR_INLINE tsr_real huber_of(tsr_real d, tsr_real delta)
{
    const tsr_real size = tsr_abs_of(d), half = (tsr_real)0.5;
    return size > delta ? delta * (size - half * delta) : half * size * size;
}

static TSR_ROW(huber, huber_of(y - t, p), y, t)
static TSR_ROW(huber_gradient, q * (y - t > p ? p : y - t < -p ? -p : y - t), y, t)

/* (1 - t) max(z, 0) + t max(-z, 0) + log(1 + e^-|z|): nothing cancels, nothing overflows. */
static TSR_ROW(bce, (z < 0 ? t : 1 - t) * tsr_abs_of(z) + tsr_log1p_of(tsr_exp_of(-tsr_abs_of(z))), z, t)
static TSR_ROW(bce_gradient, q * (tsr_sigmoid_of(z) - t), z, t)

typedef struct loss_kind {
    const tsr_row *value, *gradient;
    double cost;
    bool constant_target;
} loss_kind;

typedef struct loss_saved {
    loss_kind kind;
    double delta, share; /* of a value in the result */
} loss_saved;

static void set_map(tsr_map *map, const tsr_node *n, const loss_saved *saved, const tsr_row *row)
{
    *map = (tsr_map){.row = row, .numbers = {saved->delta}, .cost = saved->kind.cost, .shape = tsr_input(n, 0)->shape};
    for (int i = 0; i < 2; i++) tsr_map_add(map, tsr_data(tsr_input(n, i)), NULL);
}

static void loss_backward(tsr_node *n)
{
    const loss_saved *saved = tsr_saved(n);
    const double factor = tsr_item(tsr_cotangent(n)) * saved->share;
    tsr_map map;
    set_map(&map, n, saved, saved->kind.gradient);
    for (int i = 0; i < (saved->kind.constant_target ? 1 : 2); i++) {
        map.numbers[1] = i == 0 ? factor : -factor;
        tsr_real *out = tsr_gradient(n, i);
        tsr_map_run(tsr_node_context(n), &map, out);
    }
}

static tsr_tensor *loss(const tsr_op *op, const loss_kind *kind, tsr_tensor *y, tsr_tensor *target,
                        const tsr_loss_options *options)
{
    tsr_node *n = tsr_begin(op, TSR_INPUTS(y, target));
    if (tsr_dead(n)) return tsr_end(n);
    const tsr_shape *shape = &y->shape;
    const bool sum = options && options->reduction == TSR_REDUCE_SUM;
    const double delta = tsr_default_double(options ? options->delta : 0, 1);
    if (!tsr_shapes_equal(shape, &target->shape))
        return tsr_reject(n, "input %s and target %s differ in shape", tsr_shape_text(*shape).text,
                          tsr_shape_text(target->shape).text);
    if (!(delta > 0)) return tsr_reject(n, "delta is %g, needs to be above 0", delta);
    if (y->size == 0 && !sum) return tsr_reject(n, "no values to take the mean of in %s", tsr_shape_text(*shape).text);
    tsr_real *out = tsr_output(n, TSR_SCALAR);
    loss_saved *saved = tsr_save(n, sizeof *saved);
    if (!out || !saved) return tsr_end(n);
    const double divisor = sum ? 1 : (double)tsr_size(y);
    *saved = (loss_saved){.kind = *kind, .delta = delta, .share = 1 / divisor};
    tsr_map map;
    set_map(&map, n, saved, kind->value);
    tsr_map_fold(tsr_node_context(n), &map, &(tsr_fold){.target = &TSR_SCALAR, .divisor = divisor, .out = out});
    return tsr_end(n);
}

static const tsr_op mse_op = {.name = "mse_loss", .backward = loss_backward};
static const tsr_op l1_op = {.name = "l1_loss", .backward = loss_backward};
static const tsr_op huber_op = {.name = "huber_loss", .backward = loss_backward};
static const tsr_op bce_op = {.name = "bce_with_logits", .backward = loss_backward};

tsr_tensor *tsr_mse_loss(tsr_tensor *y, tsr_tensor *target, const tsr_loss_options *options)
{
    return loss(&mse_op, &(loss_kind){square, square_gradient, 2, false}, y, target, options);
}

tsr_tensor *tsr_l1_loss(tsr_tensor *y, tsr_tensor *target, const tsr_loss_options *options)
{
    return loss(&l1_op, &(loss_kind){difference_size, magnitude_gradient, 2, false}, y, target, options);
}

tsr_tensor *tsr_huber_loss(tsr_tensor *y, tsr_tensor *target, const tsr_loss_options *options)
{
    return loss(&huber_op, &(loss_kind){huber, huber_gradient, 3, false}, y, target, options);
}

tsr_tensor *tsr_bce_with_logits(tsr_tensor *logits, tsr_tensor *target)
{
    return loss(&bce_op, &(loss_kind){bce, bce_gradient, 8, true}, logits, target, NULL);
}

/* ---- cross entropy ----------------------------------------------------------------------------------------------- */

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

enum { FEW_CLASSES = 8, CLASS_LANES = 32 }; /* so many that compilers keep loops over them and do several at once */

static TSR_INLINE void class_sums(const tsr_real *z, int64_t classes, double *largest, double *log_sum)
{
    const int64_t whole = classes / CLASS_LANES * CLASS_LANES;
    tsr_real lanes[CLASS_LANES];
    double sum = 0;
    for (int j = 0; j < CLASS_LANES; j++) lanes[j] = z[0];
    for (int64_t k = 0; k < whole; k += CLASS_LANES)
        for (int j = 0; j < CLASS_LANES; j++) lanes[j] = z[k + j] > lanes[j] ? z[k + j] : lanes[j];
    tsr_real most = z[0];
    for (int64_t k = whole; k < classes; k++) most = z[k] > most ? z[k] : most;
    for (int j = 0; j < CLASS_LANES; j++) most = lanes[j] > most ? lanes[j] : most;
    for (int64_t k = 0; k < whole;) { /* few to a lane, whose sum is then exact enough, before they go to the double */
        const int64_t end = whole - k < FEW_CLASSES * CLASS_LANES ? whole : k + FEW_CLASSES * CLASS_LANES;
        for (int j = 0; j < CLASS_LANES; j++) lanes[j] = 0;
        for (; k < end; k += CLASS_LANES)
            for (int j = 0; j < CLASS_LANES; j++) lanes[j] += tsr_exp_below(z[k + j] - most);
        for (int j = 0; j < CLASS_LANES; j++) sum += (double)lanes[j];
    }
    for (int64_t k = whole; k < classes; k++) sum += (double)tsr_exp_below(z[k] - most);
    *largest = (double)most;
    *log_sum = log(sum);
}

/* What is wanted of each class (`target` NULL: `spread` of all) times -log of what it gets. */
static TSR_INLINE double row_loss(const entropy_saved *at, const tsr_real *z, const tsr_real *target, int64_t row)
{
    const double log_sum = at->log_sum[row], largest = at->largest[row];
    double lanes[CLASS_LANES] = {0}, sum = 0;
    for (int64_t first = 0; first < at->classes; first += CLASS_LANES) {
        const int64_t count = at->classes - first < CLASS_LANES ? at->classes - first : CLASS_LANES;
        for (int64_t k = 0; k < count; k++) {
            const double weight = (target ? (double)target[first + k] : 0) * at->keep + at->spread;
            const double part = weight * (log_sum - ((double)z[first + k] - largest));
            lanes[k] += weight != 0 ? part : 0;
        }
    }
    for (int j = 0; j < CLASS_LANES; j++) sum += lanes[j];
    return sum;
}

static TSR_LOOP(entropy_body)
{
    const entropy_job *job = user;
    const entropy_saved *at = &job->at;
    for (int64_t row = begin; row < end; row++) {
        const tsr_real *z = job->logits + row * at->classes;
        job->losses[row] = 0;
        if (!at->counts[row]) continue;
        class_sums(z, at->classes, &at->largest[row], &at->log_sum[row]);
        if (!at->by_index) {
            job->losses[row] = row_loss(at, z, job->target + row * at->classes, row);
            continue;
        }
        const double own = (double)z[(int64_t)job->target[row]] - at->largest[row];
        if (at->keep != 0) job->losses[row] = at->keep * (at->log_sum[row] - own);
        if (at->spread != 0) job->losses[row] += row_loss(at, z, NULL, row);
    }
}

static TSR_INLINE double row_sum(const tsr_real *x, int64_t count)
{
    double lanes[CLASS_LANES] = {0}, sum = 0;
    for (int64_t first = 0; first < count; first += CLASS_LANES)
        for (int64_t k = 0; k < CLASS_LANES && first + k < count; k++) lanes[k] += (double)x[first + k];
    for (int j = 0; j < CLASS_LANES; j++) sum += lanes[j];
    return sum;
}

/* Softmax times the sum of what is wanted (1, unless probabilities do not add up), minus what is wanted. */
static TSR_LOOP(entropy_gradient_body)
{
    const entropy_job *job = user;
    const entropy_saved *at = &job->at;
    const int64_t classes = at->classes;
    const tsr_real factor = (tsr_real)job->factor, keep = (tsr_real)at->keep, spread = (tsr_real)at->spread;
    for (int64_t row = begin; row < end; row++) {
        const tsr_real *restrict z = job->logits + row * classes;
        tsr_real *restrict out = job->out + row * classes;
        const tsr_real largest = (tsr_real)at->largest[row], log_sum = (tsr_real)at->log_sum[row];
        if (!at->counts[row]) {
            for (int64_t k = 0; k < classes; k++) out[k] = 0;
        } else if (at->by_index) {
            for (int64_t k = 0; k < classes; k++) out[k] = (tsr_exp_below((z[k] - largest) - log_sum) - spread) * factor;
            out[(int64_t)job->target[row]] -= keep * factor;
        } else {
            const tsr_real *restrict target = job->target + row * classes;
            const tsr_real all = (tsr_real)(row_sum(target, classes) * at->keep + at->spread * (double)classes);
            for (int64_t k = 0; k < classes; k++)
                out[k] = (all * tsr_exp_below((z[k] - largest) - log_sum) - spread - keep * target[k]) * factor;
        }
    }
}

static void cross_entropy_backward(tsr_node *n)
{
    const entropy_saved *saved = tsr_saved(n);
    entropy_job job = {.at = *saved, .logits = tsr_data(tsr_input(n, 0)), .target = tsr_data(tsr_input(n, 1)),
                       .factor = tsr_item(tsr_cotangent(n)) * saved->share, .out = tsr_gradient(n, 0)};
    tsr_context *ctx = tsr_node_context(n);
    const double cost = 4 * (double)saved->classes;
    if (job.out) tsr_parallel(ctx, saved->rows, tsr_grain(cost), entropy_gradient_body[ctx->kernels->level], &job);
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
    tsr_parallel(ctx, at.rows, tsr_grain(4 * (double)classes), entropy_body[ctx->kernels->level], &job);
    double sum = 0;
    for (int64_t row = 0; row < at.rows; row++) sum += losses[row];
    *out = (tsr_real)(sum * at.share);
    return tsr_end(n);
}
