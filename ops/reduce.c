/* Reductions over any set of axes. Each is one or two folds (see map_internal.h); their gradients are maps in which
 * the result and the gradient that arrives broadcast over the axes that went. */
#include "core/kernels/functions.h"
#include "ops/map_internal.h"

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
static tsr_map map_of_input(const tsr_node *n, const tsr_row *row, double cost, double number)
{
    tsr_map map = {.row = row, .numbers = {number}, .cost = cost, .shape = tsr_shape_of(tsr_input(n, 0))};
    tsr_map_add(&map, tsr_data(tsr_input(n, 0)), NULL);
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
    tsr_map_add(map, r->parts, &r->kept);
    tsr_map_add(map, r->parts + tsr_shape_size(r->kept), &r->kept);
}

static void fold(tsr_node *n, const tsr_map *map, const reduction *r, double divisor, tsr_real *out)
{
    tsr_map_fold(tsr_node_context(n), map, &(tsr_fold){.target = &r->kept, .divisor = divisor, .out = out});
}

static void fold_largest(tsr_node *n, const tsr_map *map, const reduction *r, double divisor, tsr_real *out)
{
    tsr_map_fold(tsr_node_context(n), map,
                 &(tsr_fold){.largest = true, .target = &r->kept, .divisor = divisor, .out = out});
}

/* ---- sum, mean ------------------------------------------------------------------------------------------------ */

static TSR_ROW(spread, g / p, g)

static void sum_backward(tsr_node *n)
{
    const reduction *r = tsr_saved(n);
    tsr_map map = {.row = r->number != 1 ? spread : NULL, .numbers = {r->number},
                   .shape = tsr_shape_of(tsr_input(n, 0))};
    tsr_map_add(&map, tsr_data(tsr_cotangent(n)), &r->kept);
    tsr_map_run(tsr_node_context(n), &map, tsr_gradient(n, 0));
}

static const tsr_op sum_op = {.name = "sum", .backward = sum_backward};
static const tsr_op mean_op = {.name = "mean", .backward = sum_backward};

static tsr_tensor *add_up(const tsr_op *op, tsr_tensor *x, const tsr_reduce_options *options)
{
    tsr_tensor *failed;
    tsr_node *n = tsr_begin(op, TSR_INPUTS(x));
    reduction *r = start(n, options, op == &mean_op, &failed);
    if (!r) return failed;
    if (op == &mean_op) r->number = (double)r->count;
    const tsr_map map = map_of_input(n, NULL, 1, 0);
    fold(n, &map, r, r->number, tsr_output(n, r->out));
    return tsr_end(n);
}

tsr_tensor *tsr_sum(tsr_tensor *x, const tsr_reduce_options *options)
{
    return add_up(&sum_op, x, options);
}

tsr_tensor *tsr_mean(tsr_tensor *x, const tsr_reduce_options *options)
{
    return add_up(&mean_op, x, options);
}

/* ---- max, min ------------------------------------------------------------------------------------------------- */

static void extreme_backward(tsr_node *n)
{
    const reduction *r = tsr_saved(n);
    tsr_map_first(tsr_node_context(n),
                  &(tsr_first){.shape = tsr_shape_of(tsr_input(n, 0)), .target = r->kept,
                               .x = tsr_data(tsr_input(n, 0)), .value = tsr_data(tsr_result(n)),
                               .g = tsr_data(tsr_cotangent(n)), .out = tsr_gradient(n, 0)});
}

static const tsr_op max_op = {.name = "max", .backward = extreme_backward};
static const tsr_op min_op = {.name = "min", .backward = extreme_backward};

static TSR_ROW(negative, -x, x)

static tsr_tensor *extreme(const tsr_op *op, tsr_tensor *x, const tsr_reduce_options *options)
{
    tsr_tensor *failed;
    tsr_node *n = tsr_begin(op, TSR_INPUTS(x));
    const reduction *r = start(n, options, true, &failed);
    if (!r) return failed;
    const tsr_map map = map_of_input(n, op == &min_op ? negative : NULL, 1, 0);
    fold_largest(n, &map, r, op == &min_op ? -1 : 1, tsr_output(n, r->out));
    return tsr_end(n);
}

tsr_tensor *tsr_max(tsr_tensor *x, const tsr_reduce_options *options)
{
    return extreme(&max_op, x, options);
}

tsr_tensor *tsr_min(tsr_tensor *x, const tsr_reduce_options *options)
{
    return extreme(&min_op, x, options);
}

/* ---- var ------------------------------------------------------------------------------------------------------ */

/* The mean comes in two parts, so that values close to a large mean lose nothing. */
static TSR_ROW(square_deviation, ((x - mean) - rest) * ((x - mean) - rest), x, mean, rest)
static TSR_ROW(var_gradient, g * p * ((x - mean) - rest), x, mean, rest, g)

static void var_backward(tsr_node *n)
{
    const reduction *r = tsr_saved(n);
    tsr_map map = map_of_input(n, var_gradient, 3, 2 / r->number);
    add_parts(&map, r);
    tsr_map_add(&map, tsr_data(tsr_cotangent(n)), &r->kept);
    tsr_map_run(tsr_node_context(n), &map, tsr_gradient(n, 0));
}

static const tsr_op var_op = {.name = "var", .backward = var_backward};

static void find_means(tsr_node *n, reduction *r)
{
    const int64_t results = tsr_shape_size(r->kept);
    double *exact = tsr_scratch(n, (size_t)results * sizeof *exact);
    if (!exact || !make_parts(n, r)) return;
    const tsr_map map = map_of_input(n, NULL, 1, 0);
    tsr_map_fold(tsr_node_context(n), &map,
                 &(tsr_fold){.target = &r->kept, .divisor = (double)r->count, .exact = exact});
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
    tsr_map map = map_of_input(n, square_deviation, 3, 0);
    add_parts(&map, r);
    fold(n, &map, r, r->number, y);
    return tsr_end(n);
}

/* ---- logsumexp ------------------------------------------------------------------------------------------------ */

static TSR_ROW(exp_distance, tsr_exp_of(x - largest), x, largest)
static TSR_ROW(add_log, largest + tsr_log_of(sum), largest, sum)
/* From the parts, since a large result holds too few digits of the sum. Of nothing but -infinity no value has a
 * share. */
static TSR_ROW(logsumexp_gradient, sum == 0 ? 0 : g * (tsr_exp_of(x - largest) / sum), x, largest, sum, g)

static void logsumexp_backward(tsr_node *n)
{
    const reduction *r = tsr_saved(n);
    tsr_map map = map_of_input(n, logsumexp_gradient, 6, 0);
    add_parts(&map, r);
    tsr_map_add(&map, tsr_data(tsr_cotangent(n)), &r->kept);
    tsr_map_run(tsr_node_context(n), &map, tsr_gradient(n, 0));
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
    const tsr_map map = map_of_input(n, NULL, 1, 0);
    fold_largest(n, &map, r, 1, r->parts);
    for (int64_t i = 0; i < results; i++)
        if (!isfinite(r->parts[i])) r->parts[i] = 0; /* no distances from infinity */
    tsr_map distances = map_of_input(n, exp_distance, 4, 0);
    tsr_map_add(&distances, r->parts, &r->kept);
    fold(n, &distances, r, 1, r->parts + results);
    tsr_map logs = {.row = add_log, .cost = 4, .shape = r->kept};
    add_parts(&logs, r);
    tsr_map_run(tsr_node_context(n), &logs, y);
    return tsr_end(n);
}

/* ---- norm ----------------------------------------------------------------------------------------------------- */

/* An exponent for what is never below 0. */
static TSR_INLINE tsr_exponent even(double y)
{
    return (tsr_exponent){y, 1, 1};
}

static TSR_ROW(magnitude, tsr_abs_of(x), x)
/* The largest |x| keeps the powers in range. */
static TSR_ROW(scaled_square, (x / largest) * (x / largest), x, largest)
static TSR_ROW(scaled_power, tsr_pow_of(tsr_abs_of(x / largest), even(numbers[0])), x, largest)
/* Of the largest (1 where that is 0) and the sum of the scaled powers. */
static TSR_ROW(root, isinf(largest) ? largest : largest * tsr_pow_of(sum, even(1 / numbers[0])), largest, sum)
static TSR_ROW(norm_gradient_2, y == 0 ? 0 : g * (x / y), x, y, g)
static TSR_ROW(norm_gradient,
               x == 0 ? 0 : (x < 0 ? -g : g) * tsr_pow_of(tsr_abs_of(x / y), even(numbers[0] - 1)), x, y, g)

static void norm_backward(tsr_node *n)
{
    const reduction *r = tsr_saved(n);
    const bool two = r->number == 2;
    tsr_map map = map_of_input(n, two ? norm_gradient_2 : norm_gradient, two ? 2 : 15, r->number);
    tsr_map_add(&map, tsr_data(tsr_result(n)), &r->kept);
    tsr_map_add(&map, tsr_data(tsr_cotangent(n)), &r->kept);
    tsr_map_run(tsr_node_context(n), &map, tsr_gradient(n, 0));
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
    const int64_t results = tsr_shape_size(r->kept);
    tsr_real *y = tsr_output(n, r->out), *largest = tsr_scratch(n, (size_t)results * 2 * sizeof *largest);
    if (tsr_dead(n)) return tsr_end(n);
    const tsr_map magnitudes = map_of_input(n, magnitude, 1, 0);
    fold_largest(n, &magnitudes, r, 1, largest);
    for (int64_t i = 0; i < results; i++)
        if (largest[i] <= 0) largest[i] = 1; /* all are 0, or there are none */
    const bool two = r->number == 2;
    tsr_map powers = map_of_input(n, two ? scaled_square : scaled_power, two ? 2 : 15, r->number);
    tsr_map_add(&powers, largest, &r->kept);
    fold(n, &powers, r, 1, largest + results);
    tsr_map roots = {.row = root, .numbers = {r->number}, .cost = 15, .shape = r->kept};
    tsr_map_add(&roots, largest, &r->kept);
    tsr_map_add(&roots, largest + results, &r->kept);
    tsr_map_run(tsr_node_context(n), &roots, y);
    return tsr_end(n);
}

/* ---- argmax --------------------------------------------------------------------------------------------------- */

enum { REDUCED_COLUMNS = 128 };

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
        const int64_t outer = item / job->chunks, first = item % job->chunks * REDUCED_COLUMNS;
        const int64_t columns = inner - first < REDUCED_COLUMNS ? inner - first : REDUCED_COLUMNS;
        const tsr_real *x = job->x + outer * length * inner + first;
        tsr_real *at = job->out + outer * inner + first, best[REDUCED_COLUMNS];
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
    job.chunks = job.view.inner > 0 ? (job.view.inner - 1) / REDUCED_COLUMNS + 1 : 0;
    const double cost = 3 * (double)job.view.length * (double)(job.view.inner < REDUCED_COLUMNS ? job.view.inner : REDUCED_COLUMNS);
    if (job.out && results > 0)
        tsr_parallel(tsr_node_context(n), job.view.outer * job.chunks, tsr_grain(cost), argmax_body, &job);
    return tsr_end(n);
}
