/* Reductions over any set of axes. Each is one or two folds (see map_internal.h); their gradients are maps in which
 * the result and the gradient that arrives broadcast over the axes that went. */
#include "ops/exp_internal.h"
#include "ops/map_internal.h"

#include <math.h>

/* Saved by every reduction. */
typedef struct reduction {
    tsr_shape kept;  /* of the result, with the reduced axes still there */
    tsr_shape out;   /* of the result */
    int64_t count;   /* values that make one result */
    double number;   /* the divisor of mean and var, the power of norm */
    tsr_real *parts; /* two numbers for each result, the first ones first. var: the mean in two parts, to add;
                        logsumexp: the largest value and the sum of exponentials of distances from it */
} reduction;

/* Sorts out the options and saves the reduction; NULL where the call cannot go on: return *failed then. */
static reduction *start(tsr_node *n, const tsr_reduce_options *options, bool needs_values, tsr_tensor **failed)
{
    if (tsr_dead(n)) {
        *failed = tsr_end(n);
        return NULL;
    }
    const tsr_shape in = tsr_shape_of(tsr_input(n, 0));
    const unsigned axes = options ? options->axes : 0;
    reduction r = {.kept = in, .count = 1, .number = 1};
    unsigned known = 0;
    for (int axis = 0; axis < in.rank; axis++) {
        const unsigned names = TSR_AXIS(axis) | TSR_AXIS(axis - in.rank);
        const bool goes = axes == 0 || (axes & names) != 0;
        known |= names;
        if (goes) {
            r.count *= in.dims[axis];
            r.kept.dims[axis] = 1;
        }
        if (!goes || (options && options->keep_dims)) r.out.dims[r.out.rank++] = r.kept.dims[axis];
    }
    for (int bit = 0; bit < 32; bit++) /* see TSR_AXIS */
        if ((axes & ~known) >> bit & 1u) {
            *failed = tsr_reject(n, "%s has no axis %d", tsr_shape_text(in).text, bit < 16 ? bit : bit - 32);
            return NULL;
        }
    if (needs_values && r.count == 0 && tsr_shape_size(r.out) > 0) {
        *failed = tsr_reject(n, "there are no values to reduce in %s", tsr_shape_text(in).text);
        return NULL;
    }
    reduction *saved = tsr_save(n, sizeof *saved);
    if (saved) *saved = r;
    else *failed = tsr_end(n);
    return saved;
}

/* A map over the input's shape that begins with the input. */
static tsr_map map_of_input(const tsr_node *n, tsr_row row, double cost)
{
    tsr_map map = {.row = row, .cost = cost, .shape = tsr_shape_of(tsr_input(n, 0))};
    tsr_map_add(&map, tsr_data(tsr_input(n, 0)), map.shape);
    return map;
}

/* Makes r->parts, which stay if the backward pass will want them; false: no memory. */
static bool make_parts(tsr_node *n, reduction *r)
{
    const size_t bytes = (size_t)tsr_shape_size(r->kept) * 2 * sizeof(tsr_real);
    r->parts = tsr_wants(n, -1) ? tsr_save(n, bytes) : tsr_scratch(n, bytes);
    return r->parts;
}

static void add_parts(tsr_map *map, const reduction *r)
{
    tsr_map_add(map, r->parts, r->kept);
    tsr_map_add(map, r->parts + tsr_shape_size(r->kept), r->kept);
}

static tsr_real *kept_scratch(tsr_node *n, const reduction *r)
{
    return tsr_scratch(n, (size_t)tsr_shape_size(r->kept) * sizeof(tsr_real));
}

/* ---- sum, mean ------------------------------------------------------------------------------------------------ */

static TSR_ROW(spread_row)
{
    const tsr_real divisor = (tsr_real)numbers[0];
    for (int64_t i = 0; i < count; i++) out[i] = in[0][i] / divisor;
}

static void sum_backward(tsr_node *n)
{
    const reduction *r = tsr_saved(n);
    tsr_map map = {.numbers = {r->number}, .shape = tsr_shape_of(tsr_input(n, 0))};
    if (r->number != 1) map.row = spread_row;
    tsr_map_add(&map, tsr_data(tsr_cotangent(n)), r->kept);
    tsr_map_run(n, &map, tsr_gradient(n, 0));
}

static const tsr_op sum_op = {.name = "sum", .backward = sum_backward};
static const tsr_op mean_op = {.name = "mean", .backward = sum_backward};

tsr_tensor *tsr_sum(tsr_tensor *x, const tsr_reduce_options *options)
{
    tsr_tensor *failed;
    tsr_node *n = tsr_begin(&sum_op, TSR_INPUTS(x));
    const reduction *r = start(n, options, false, &failed);
    if (!r) return failed;
    const tsr_map map = map_of_input(n, NULL, 1);
    tsr_map_fold(n, &map, &(tsr_fold){.target = r->kept, .divisor = 1, .out = tsr_output(n, r->out)});
    return tsr_end(n);
}

tsr_tensor *tsr_mean(tsr_tensor *x, const tsr_reduce_options *options)
{
    tsr_tensor *failed;
    tsr_node *n = tsr_begin(&mean_op, TSR_INPUTS(x));
    reduction *r = start(n, options, true, &failed);
    if (!r) return failed;
    r->number = (double)r->count;
    const tsr_map map = map_of_input(n, NULL, 1);
    tsr_map_fold(n, &map, &(tsr_fold){.target = r->kept, .divisor = r->number, .out = tsr_output(n, r->out)});
    return tsr_end(n);
}

/* ---- max, min ------------------------------------------------------------------------------------------------- */

static void extreme_backward(tsr_node *n)
{
    const reduction *r = tsr_saved(n);
    tsr_map_first(n, &(tsr_first){.shape = tsr_shape_of(tsr_input(n, 0)), .target = r->kept,
                                  .x = tsr_data(tsr_input(n, 0)), .value = tsr_data(tsr_result(n)),
                                  .g = tsr_data(tsr_cotangent(n)), .out = tsr_gradient(n, 0)});
}

static const tsr_op max_op = {.name = "max", .backward = extreme_backward};
static const tsr_op min_op = {.name = "min", .backward = extreme_backward};

static TSR_ROW(negative_row)
{
    (void)numbers;
    for (int64_t i = 0; i < count; i++) out[i] = -in[0][i];
}

tsr_tensor *tsr_max(tsr_tensor *x, const tsr_reduce_options *options)
{
    tsr_tensor *failed;
    tsr_node *n = tsr_begin(&max_op, TSR_INPUTS(x));
    const reduction *r = start(n, options, true, &failed);
    if (!r) return failed;
    const tsr_map map = map_of_input(n, NULL, 1);
    tsr_map_fold(n, &map, &(tsr_fold){
        .largest = true, .target = r->kept, .divisor = 1, .out = tsr_output(n, r->out)});
    return tsr_end(n);
}

tsr_tensor *tsr_min(tsr_tensor *x, const tsr_reduce_options *options)
{
    tsr_tensor *failed;
    tsr_node *n = tsr_begin(&min_op, TSR_INPUTS(x));
    const reduction *r = start(n, options, true, &failed);
    if (!r) return failed;
    const tsr_map map = map_of_input(n, negative_row, 1);
    tsr_map_fold(n, &map, &(tsr_fold){
        .largest = true, .target = r->kept, .divisor = -1, .out = tsr_output(n, r->out)});
    return tsr_end(n);
}

/* ---- var ------------------------------------------------------------------------------------------------------ */

/* Inputs x and the mean in two parts, so that values close to a large mean lose nothing. */
static TSR_ROW(square_deviation_row)
{
    (void)numbers;
    for (int64_t i = 0; i < count; i++) {
        const tsr_real deviation = (in[0][i] - in[1][i]) - in[2][i];
        out[i] = deviation * deviation;
    }
}

static TSR_ROW(var_gradient_row)
{
    const tsr_real factor = (tsr_real)(2 / numbers[0]);
    for (int64_t i = 0; i < count; i++) out[i] = in[3][i] * factor * ((in[0][i] - in[1][i]) - in[2][i]);
}

static void var_backward(tsr_node *n)
{
    const reduction *r = tsr_saved(n);
    tsr_map map = map_of_input(n, var_gradient_row, 3);
    map.numbers[0] = r->number;
    add_parts(&map, r);
    tsr_map_add(&map, tsr_data(tsr_cotangent(n)), r->kept);
    tsr_map_run(n, &map, tsr_gradient(n, 0));
}

static const tsr_op var_op = {.name = "var", .backward = var_backward};

static void find_means(tsr_node *n, reduction *r)
{
    const int64_t results = tsr_shape_size(r->kept);
    double *exact = tsr_scratch(n, (size_t)results * sizeof *exact);
    if (!exact || !make_parts(n, r)) return;
    const tsr_map map = map_of_input(n, NULL, 1);
    tsr_map_fold(n, &map, &(tsr_fold){.target = r->kept, .divisor = (double)r->count, .exact = exact});
    for (int64_t i = 0; i < results && !tsr_dead(n); i++) {
        r->parts[i] = (tsr_real)exact[i];
        r->parts[results + i] = (tsr_real)(exact[i] - (double)r->parts[i]);
    }
}

tsr_tensor *tsr_var(tsr_tensor *x, const tsr_reduce_options *options)
{
    tsr_tensor *failed;
    tsr_node *n = tsr_begin(&var_op, TSR_INPUTS(x));
    reduction *r = start(n, options, true, &failed);
    if (!r) return failed;
    r->number = (double)(options && options->population ? r->count : r->count - 1);
    if (r->number <= 0 && tsr_shape_size(r->out) > 0)
        return tsr_reject(n, "one value of %s has no variance (n - 1 is 0) unless .population is set",
                          tsr_shape_text(tsr_shape_of(x)).text);
    find_means(n, r);
    tsr_real *y = tsr_output(n, r->out);
    if (tsr_dead(n)) return tsr_end(n);
    tsr_map map = map_of_input(n, square_deviation_row, 3);
    add_parts(&map, r);
    tsr_map_fold(n, &map, &(tsr_fold){.target = r->kept, .divisor = r->number, .out = y});
    return tsr_end(n);
}

/* ---- logsumexp ------------------------------------------------------------------------------------------------ */

TSR_ROW(tsr_row_exp_distance)
{
    (void)numbers;
    for (int64_t i = 0; i < count; i++) out[i] = tsr_exp_of(in[0][i] - in[1][i]);
}

/* Inputs: the parts. */
static TSR_ROW(add_log_row)
{
    (void)numbers;
    for (int64_t i = 0; i < count; i++) out[i] = in[0][i] + (tsr_real)log((double)in[1][i]);
}

/* Inputs x, the parts, g. From the parts, since a large result holds too few digits of the sum. */
static TSR_ROW(logsumexp_gradient_row)
{
    (void)numbers;
    for (int64_t i = 0; i < count; i++) {
        const tsr_real sum = in[2][i], share = tsr_exp_of(in[0][i] - in[1][i]) / sum;
        out[i] = sum == 0 ? 0 : in[3][i] * share; /* of nothing but -infinity no value has a share */
    }
}

static void logsumexp_backward(tsr_node *n)
{
    const reduction *r = tsr_saved(n);
    tsr_map map = map_of_input(n, logsumexp_gradient_row, 8);
    add_parts(&map, r);
    tsr_map_add(&map, tsr_data(tsr_cotangent(n)), r->kept);
    tsr_map_run(n, &map, tsr_gradient(n, 0));
}

static const tsr_op logsumexp_op = {.name = "logsumexp", .backward = logsumexp_backward};

tsr_tensor *tsr_logsumexp(tsr_tensor *x, const tsr_reduce_options *options)
{
    tsr_tensor *failed;
    tsr_node *n = tsr_begin(&logsumexp_op, TSR_INPUTS(x));
    reduction *r = start(n, options, false, &failed);
    if (!r) return failed;
    tsr_real *y = tsr_output(n, r->out);
    if (tsr_dead(n) || !make_parts(n, r)) return tsr_end(n);
    const int64_t results = tsr_shape_size(r->kept);
    tsr_map map = map_of_input(n, NULL, 1);
    tsr_map_fold(n, &map, &(tsr_fold){.largest = true, .target = r->kept, .divisor = 1, .out = r->parts});
    for (int64_t i = 0; i < results; i++)
        if (!isfinite(r->parts[i])) r->parts[i] = 0; /* no distances from infinity */
    tsr_map distances = map_of_input(n, tsr_row_exp_distance, 8);
    tsr_map_add(&distances, r->parts, r->kept);
    tsr_map_fold(n, &distances, &(tsr_fold){.target = r->kept, .divisor = 1, .out = r->parts + results});
    tsr_map logs = {.row = add_log_row, .cost = 15, .shape = r->kept};
    add_parts(&logs, r);
    tsr_map_run(n, &logs, y);
    return tsr_end(n);
}

/* ---- norm ----------------------------------------------------------------------------------------------------- */

static TSR_ROW(magnitude_row)
{
    (void)numbers;
    for (int64_t i = 0; i < count; i++) out[i] = (tsr_real)fabs((double)in[0][i]);
}

/* Inputs x and the largest |x|, which keeps the powers in range. */
static TSR_ROW(scaled_power_row)
{
    if (numbers[0] == 2) {
        for (int64_t i = 0; i < count; i++) {
            const tsr_real ratio = in[0][i] / in[1][i];
            out[i] = ratio * ratio;
        }
        return;
    }
    for (int64_t i = 0; i < count; i++) out[i] = (tsr_real)pow(fabs((double)in[0][i] / (double)in[1][i]), numbers[0]);
}

/* Inputs: the largest |x| (1 where that is 0) and the sum of the scaled powers. */
static TSR_ROW(root_row)
{
    for (int64_t i = 0; i < count; i++) {
        const double scale = (double)in[0][i], sum = (double)in[1][i];
        out[i] = (tsr_real)(isinf(scale) ? scale : scale * pow(sum, 1 / numbers[0]));
    }
}

static TSR_ROW(norm_gradient_row)
{
    if (numbers[0] == 2) {
        for (int64_t i = 0; i < count; i++) {
            const tsr_real y = in[1][i], direction = in[0][i] / y;
            out[i] = y == 0 ? 0 : in[2][i] * direction;
        }
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        const double x = (double)in[0][i], share = pow(fabs(x) / (double)in[1][i], numbers[0] - 1);
        out[i] = x == 0 ? 0 : (tsr_real)((double)in[2][i] * (x < 0 ? -share : share));
    }
}

static void norm_backward(tsr_node *n)
{
    const reduction *r = tsr_saved(n);
    tsr_map map = map_of_input(n, norm_gradient_row, r->number == 2 ? 4 : 50);
    map.numbers[0] = r->number;
    tsr_map_add(&map, tsr_data(tsr_result(n)), r->kept);
    tsr_map_add(&map, tsr_data(tsr_cotangent(n)), r->kept);
    tsr_map_run(n, &map, tsr_gradient(n, 0));
}

static const tsr_op norm_op = {.name = "norm", .backward = norm_backward};

tsr_tensor *tsr_norm(tsr_tensor *x, const tsr_reduce_options *options)
{
    tsr_tensor *failed;
    tsr_node *n = tsr_begin(&norm_op, TSR_INPUTS(x));
    reduction *r = start(n, options, false, &failed);
    if (!r) return failed;
    r->number = options && options->power != 0 ? options->power : 2;
    if (!(r->number > 0 && isfinite(r->number)))
        return tsr_reject(n, "power is %g, needs to be finite and above 0", r->number);
    tsr_real *y = tsr_output(n, r->out), *largest = kept_scratch(n, r), *sum = kept_scratch(n, r);
    if (tsr_dead(n)) return tsr_end(n);
    const tsr_map magnitudes = map_of_input(n, magnitude_row, 1);
    tsr_map_fold(n, &magnitudes, &(tsr_fold){.largest = true, .target = r->kept, .divisor = 1, .out = largest});
    for (int64_t i = 0; i < tsr_shape_size(r->kept); i++)
        if (largest[i] <= 0) largest[i] = 1; /* all are 0, or there are none */
    tsr_map powers = map_of_input(n, scaled_power_row, r->number == 2 ? 4 : 50);
    powers.numbers[0] = r->number;
    tsr_map_add(&powers, largest, r->kept);
    tsr_map_fold(n, &powers, &(tsr_fold){.target = r->kept, .divisor = 1, .out = sum});
    tsr_map roots = {.row = root_row, .numbers = {r->number}, .cost = 50, .shape = r->kept};
    tsr_map_add(&roots, largest, r->kept);
    tsr_map_add(&roots, sum, r->kept);
    tsr_map_run(n, &roots, y);
    return tsr_end(n);
}

/* ---- argmax --------------------------------------------------------------------------------------------------- */

enum { COLUMNS = 128 };

typedef struct argmax_job {
    tsr_axis_view view;
    int64_t chunks; /* of columns, in an outer index */
    const tsr_real *x;
    tsr_real *out;
} argmax_job;

static void argmax_body(void *user, int64_t begin, int64_t end)
{
    const argmax_job *job = user;
    const int64_t length = job->view.length, inner = job->view.inner;
    for (int64_t item = begin; item < end; item++) {
        const int64_t outer = item / job->chunks, first = item % job->chunks * COLUMNS;
        const int64_t columns = inner - first < COLUMNS ? inner - first : COLUMNS;
        const tsr_real *x = job->x + outer * length * inner + first;
        tsr_real *at = job->out + outer * inner + first, best[COLUMNS];
        for (int64_t j = 0; j < columns; j++) {
            best[j] = x[j];
            at[j] = 0;
        }
        for (int64_t k = 1; k < length; k++)
            for (int64_t j = 0; j < columns; j++) {
                const tsr_real value = x[k * inner + j];
                const bool wins = value > best[j] || (value != value && best[j] == best[j]);
                best[j] = wins ? value : best[j];
                at[j] = wins ? (tsr_real)k : at[j];
            }
    }
}

static const tsr_op argmax_op = {.name = "argmax"};

tsr_tensor *tsr_argmax(tsr_tensor *x, int axis)
{
    tsr_node *n = tsr_begin(&argmax_op, TSR_INPUTS(x));
    if (tsr_dead(n)) return tsr_end(n);
    const tsr_shape shape = tsr_shape_of(x);
    const tsr_text text = tsr_shape_text(shape);
    const int asked = axis;
    if (!tsr_find_axis(shape.rank, &axis)) return tsr_reject(n, "%s has no axis %d", text.text, asked);
    argmax_job job = {.view = tsr_view_axis(shape, axis), .x = tsr_data(x)};
    const int64_t results = job.view.outer * job.view.inner;
    if (job.view.length == 0 && results > 0) return tsr_reject(n, "axis %d of %s is empty", axis, text.text);
    if (sizeof(tsr_real) == 4 && job.view.length > 1 << 24)
        return tsr_reject(n, "axis %d of %s is longer than 2^24: a float cannot hold each index", axis, text.text);
    tsr_shape out = {.rank = 0};
    for (int i = 0; i < shape.rank; i++)
        if (i != axis) out.dims[out.rank++] = shape.dims[i];
    job.out = tsr_output(n, out);
    job.chunks = job.view.inner > 0 ? (job.view.inner - 1) / COLUMNS + 1 : 0;
    const double cost = 3 * (double)job.view.length * (double)(job.view.inner < COLUMNS ? job.view.inner : COLUMNS);
    if (job.out && results > 0)
        tsr_parallel(tsr_node_context(n), job.view.outer * job.chunks, tsr_grain(cost), argmax_body, &job);
    return tsr_end(n);
}
