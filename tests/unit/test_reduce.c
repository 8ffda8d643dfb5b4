/* Edges of reductions and softmax: ends of the number range, empty shapes, messages, threads. */
#include "core/core_internal.h"
#include "ops/ops.h"
#include "tests/test.h"

#include <math.h>
#include <string.h>

#define VECTOR(ctx, ...)                                                                                            \
    tsr_values(ctx, TSR_SHAPE(sizeof((tsr_real[]){__VA_ARGS__}) / sizeof(tsr_real)), (tsr_real[]){__VA_ARGS__})

static const double tiny = sizeof(tsr_real) == 8 ? 1e-200 : 1e-30, huge = sizeof(tsr_real) == 8 ? 1e200 : 1e30;

static const tsr_real *gradient_of(tsr_tensor *y, tsr_tensor *x)
{
    tsr_zero_grad(x);
    tsr_backward(tsr_sum(y, NULL));
    return tsr_data(tsr_grad(x));
}

static double at(const tsr_tensor *t, int64_t i)
{
    return (double)tsr_data(t)[i];
}

/* ---- by definition -------------------------------------------------------------------------------------------- */

/* The flat index in the reduced result of element i of `shape`. */
static int64_t result_index(tsr_shape shape, unsigned axes, int64_t i)
{
    int64_t index = 0, step = 1;
    for (int axis = shape.rank - 1; axis >= 0; axis--) {
        if (!(axes >> axis & 1u)) {
            index += i % shape.dims[axis] * step;
            step *= shape.dims[axis];
        }
        i /= shape.dims[axis];
    }
    return index;
}

/* Sums and maxima of x against a loop in double; the gradient of the maxima too. */
static bool reduces_right(tsr_tensor *x, unsigned axes, double *sums, int64_t *firsts)
{
    const tsr_shape shape = tsr_shape_of(x);
    const tsr_reduce_options options = {.axes = axes};
    tsr_tensor *sum = tsr_sum(x, &options), *max = tsr_max(x, &options);
    const int64_t results = tsr_size(sum);
    for (int64_t k = 0; k < results; k++) {
        sums[k] = 0;
        firsts[k] = -1;
    }
    for (int64_t i = 0; i < tsr_size(x); i++) {
        const int64_t k = result_index(shape, axes ? axes : ~0u, i);
        sums[k] += at(x, i);
        if (firsts[k] < 0 || at(x, i) > at(x, firsts[k])) firsts[k] = i;
    }
    const tsr_real *g = gradient_of(max, x);
    const double tolerance = sizeof(tsr_real) == 8 ? 1e-12 : 1e-6;
    for (int64_t k = 0; k < results; k++) {
        if (!test_near(at(sum, k), sums[k], tolerance, "sum", __FILE__, __LINE__)) return false;
        if (!test_equal(at(max, k), at(x, firsts[k]), "max", __FILE__, __LINE__)) return false;
        if (!test_equal((double)g[firsts[k]], 1, "gradient at the first", __FILE__, __LINE__)) return false;
    }
    double total = 0;
    for (int64_t i = 0; i < tsr_size(x); i++) total += fabs((double)g[i]);
    return test_equal(total, (double)results, "gradients elsewhere are 0", __FILE__, __LINE__);
}

TEST(reductions_follow_their_definition_for_random_shapes_and_axes)
{
    enum { MOST = 40000 };
    static double sums[MOST];
    static int64_t firsts[MOST];
    tsr_context *ctx = tsr_open(&(tsr_options){.threads = 3});
    const tsr_rng rng = {.seed = 4, .stream = 1};
    uint64_t draw = 0;
    for (int trial = 0; trial < 200; trial++)
        TSR_SCOPE(ctx) {
            static const int64_t lengths[] = {1, 2, 3, 5, 40, 1030, 2100};
            tsr_shape shape = {.rank = (int)tsr_random_below(rng, draw++, 6)};
            int64_t size = 1;
            for (int i = 0; i < shape.rank; i++) {
                shape.dims[i] = lengths[tsr_random_below(rng, draw++, 7)];
                if (size * shape.dims[i] > MOST) shape.dims[i] = 1;
                size *= shape.dims[i];
            }
            tsr_tensor *x = tsr_watch(tsr_uniform(ctx, shape, -8, 8, draw++));
            tsr_real *values = tsr_write(x);
            for (int64_t i = 0; i < size; i++) values[i] = (tsr_real)round((double)values[i]); /* many ties */
            CHECK(reduces_right(x, (unsigned)tsr_random_below(rng, draw++, (uint64_t)1 << shape.rank), sums, firsts));
        }
    CHECK_EQUAL(tsr_close(ctx), 0);
}

TEST(reduction_axes_may_count_from_the_end_and_stay_with_length_one)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_zeros(ctx, TSR_SHAPE(2, 3, 4));
    CHECK(tsr_same_shape(tsr_shape_of(tsr_sum(x, &(tsr_reduce_options){.axes = TSR_AXIS(-1) | TSR_AXIS(0)})),
                         TSR_SHAPE(3)));
    CHECK(tsr_same_shape(tsr_shape_of(tsr_sum(x, &(tsr_reduce_options){.axes = TSR_AXIS(-2), .keep_dims = true})),
                         TSR_SHAPE(2, 1, 4)));
    CHECK(tsr_same_shape(tsr_shape_of(tsr_sum(x, &(tsr_reduce_options){.keep_dims = true})), TSR_SHAPE(1, 1, 1)));
    CHECK(tsr_same_shape(tsr_shape_of(tsr_sum(x, NULL)), TSR_SCALAR));
    CHECK(tsr_same_shape(tsr_shape_of(tsr_argmax(x, -2)), TSR_SHAPE(2, 4)));
    CHECK(tsr_same_shape(tsr_shape_of(tsr_max(tsr_zeros(ctx, TSR_SCALAR), NULL)), TSR_SCALAR));
    CHECK(!tsr_error(ctx));
    tsr_close(ctx);
}

/* ---- ends of the range ---------------------------------------------------------------------------------------- */

TEST(norm_neither_underflows_nor_overflows)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.trap = true});
    for (int i = 0; i < 2; i++) {
        const double scale = i ? huge : tiny;
        tsr_tensor *x = tsr_watch(VECTOR(ctx, (tsr_real)(3 * scale), 0, (tsr_real)(-4 * scale)));
        for (int k = 0; k < 2; k++) {
            const tsr_reduce_options options = {.power = k ? 5 : 0};
            tsr_tensor *y = tsr_norm(x, &options);
            CHECK_NEAR(tsr_item(y) / scale, k ? pow(243 + 1024, 0.2) : 5, 1e-6);
            const tsr_real *g = gradient_of(y, x);
            CHECK_NEAR(g[0], k ? pow(3 / pow(1267, 0.2), 4) : 0.6, 1e-6);
            CHECK_EQUAL(g[1], 0);
            CHECK_NEAR(g[2], k ? -pow(4 / pow(1267, 0.2), 4) : -0.8, 1e-6);
        }
    }
    CHECK(!tsr_error(ctx));
    tsr_close(ctx);
}

TEST(norm_of_zeros_is_zero_with_gradient_zero)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.trap = true});
    tsr_tensor *x = tsr_watch(tsr_zeros(ctx, TSR_SHAPE(2, 3)));
    for (int k = 0; k < 4; k++) {
        const tsr_reduce_options options = {.axes = TSR_AXIS(1), .power = ((double[]){0, 1, 3, 0.5})[k]};
        tsr_tensor *y = tsr_norm(x, &options);
        CHECK_EQUAL(at(y, 0), 0);
        CHECK_EQUAL(at(y, 1), 0);
        const tsr_real *g = gradient_of(y, x);
        for (int i = 0; i < 6; i++) CHECK_EQUAL(g[i], 0);
    }
    CHECK(!tsr_error(ctx));
    tsr_close(ctx);
}

TEST(norm_of_an_infinity_is_infinity)
{
    tsr_context *ctx = tsr_open(NULL);
    CHECK(isinf(tsr_item(tsr_norm(VECTOR(ctx, 1, (tsr_real)-INFINITY), NULL))));
    CHECK(isnan(tsr_item(tsr_norm(VECTOR(ctx, 1, (tsr_real)NAN, (tsr_real)INFINITY), NULL))));
    tsr_close(ctx);
}

TEST(softmax_and_logsumexp_are_finite_for_huge_and_infinite_entries)
{
    tsr_context *ctx = tsr_open(NULL);
    const tsr_real gone = (tsr_real)-INFINITY, big = (tsr_real)1e30;
    const tsr_real rows[] = {big, -big, 0, gone, big, big, gone, gone, 1, -big, -big, gone};
    tsr_tensor *x = tsr_watch(tsr_values(ctx, TSR_SHAPE(4, 3), rows));
    const double shares[] = {1, 0, 0, 0, 0.5, 0.5, 0, 0, 1, 0.5, 0.5, 0};
    const tsr_reduce_options last = {.axes = TSR_AXIS(-1)};
    tsr_tensor *y = tsr_softmax(x, 1), *sums = tsr_logsumexp(x, &last), *logs = tsr_log_softmax(x, 1);
    for (int i = 0; i < 12; i++) {
        CHECK_NEAR(at(y, i), shares[i], 1e-6);
        if (shares[i] > 0) CHECK_NEAR(at(logs, i), log(shares[i]), 1e-6);
        else CHECK(at(logs, i) < -1e29);
    }
    CHECK_EQUAL(at(logs, 3), -INFINITY);
    for (int i = 0; i < 4; i++) CHECK_NEAR(at(sums, i), ((double[]){1e30, 1e30, 1, -1e30})[i], 1e-6);
    const tsr_real *g = gradient_of(sums, x);
    for (int i = 0; i < 12; i++) CHECK_NEAR(g[i], shares[i], 1e-6);
    g = gradient_of(y, x);
    for (int i = 0; i < 12; i++) CHECK_NEAR(g[i], 0, 1e-6); /* each row sums to 1 whatever x is */
    tsr_zero_grad(x);
    tsr_backward_from(logs, tsr_values(ctx, TSR_SHAPE(4, 3), (tsr_real[]){1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0}));
    g = tsr_data(tsr_grad(x));
    const double differences[] = {0, 0, 0, 0, 0.5, -0.5, 0, 0, 0, 0.5, -0.5, 0};
    for (int i = 0; i < 12; i++) CHECK_NEAR(g[i], differences[i], 1e-6);
    CHECK(!tsr_error(ctx));
    tsr_close(ctx);
}

TEST(logsumexp_of_minus_infinities_is_minus_infinity_with_gradient_zero)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_watch(VECTOR(ctx, (tsr_real)-INFINITY, (tsr_real)-INFINITY)), *y = tsr_logsumexp(x, NULL);
    CHECK_EQUAL(tsr_item(y), -INFINITY);
    const tsr_real *g = gradient_of(y, x);
    CHECK_EQUAL(g[0], 0);
    CHECK_EQUAL(g[1], 0);
    CHECK_EQUAL(tsr_item(tsr_logsumexp(VECTOR(ctx, 1, (tsr_real)INFINITY), NULL)), INFINITY);
    CHECK_EQUAL(tsr_item(tsr_logsumexp(VECTOR(ctx, 1000, 1000), NULL)), (tsr_real)(1000 + log(2)));
    tsr_close(ctx);
}

TEST(var_loses_nothing_next_to_a_large_mean)
{
    tsr_context *ctx = tsr_open(NULL);
    const tsr_real base = 8388608; /* 2^23: in float the next value is base + 1 */
    tsr_tensor *x = tsr_watch(VECTOR(ctx, base, base + 1, base + 1, base + 2, base + 3));
    tsr_tensor *y = tsr_var(x, NULL);
    CHECK_NEAR(tsr_item(y), 1.3, 1e-6);
    const tsr_real *g = gradient_of(y, x);
    for (int i = 0; i < 5; i++) CHECK_NEAR(g[i], ((double[]){-0.7, -0.2, -0.2, 0.3, 0.8})[i], 1e-6);
    tsr_close(ctx);
}

TEST(max_min_and_argmax_take_the_first_and_nan_wins)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_watch(VECTOR(ctx, 1, 3, 0, 3, 0));
    const tsr_real *g = gradient_of(tsr_max(x, NULL), x);
    for (int i = 0; i < 5; i++) CHECK_EQUAL(g[i], i == 1);
    g = gradient_of(tsr_min(x, NULL), x);
    for (int i = 0; i < 5; i++) CHECK_EQUAL(g[i], i == 2);
    CHECK_EQUAL(tsr_item(tsr_argmax(x, 0)), 1);
    tsr_tensor *broken = tsr_watch(VECTOR(ctx, 1, (tsr_real)INFINITY, (tsr_real)NAN, 5, (tsr_real)NAN));
    CHECK(isnan(tsr_item(tsr_max(broken, NULL))));
    CHECK(isnan(tsr_item(tsr_min(broken, NULL))));
    CHECK_EQUAL(tsr_item(tsr_argmax(broken, 0)), 2);
    g = gradient_of(tsr_max(broken, NULL), broken);
    for (int i = 0; i < 5; i++) CHECK_EQUAL(g[i], i == 2);
    tsr_tensor *low = VECTOR(ctx, (tsr_real)-INFINITY, (tsr_real)-INFINITY);
    CHECK_EQUAL(tsr_item(tsr_max(low, NULL)), -INFINITY);
    CHECK_EQUAL(tsr_item(tsr_argmax(low, 0)), 0);
    tsr_close(ctx);
}

TEST(sum_is_made_in_double)
{
    tsr_context *ctx = tsr_open(NULL);
    CHECK_EQUAL(tsr_item(tsr_sum(VECTOR(ctx, (tsr_real)1e8, 1, (tsr_real)-1e8), NULL)), 1);
    tsr_tensor *x = tsr_full(ctx, TSR_SHAPE(1000000), 0.1);
    CHECK_NEAR(tsr_item(tsr_mean(x, NULL)), (double)(tsr_real)0.1, 1e-8);
    tsr_close(ctx);
}

/* ---- nothing -------------------------------------------------------------------------------------------------- */

TEST(reductions_of_nothing_are_zero_or_an_error)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_watch(tsr_zeros(ctx, TSR_SHAPE(2, 0)));
    const tsr_reduce_options last = {.axes = TSR_AXIS(1)}, first = {.axes = TSR_AXIS(0)};
    tsr_tensor *sum = tsr_sum(x, &last);
    CHECK_EQUAL(tsr_size(sum), 2);
    CHECK_EQUAL(at(sum, 1), 0);
    CHECK_EQUAL(at(tsr_norm(x, &last), 1), 0);
    CHECK_EQUAL(at(tsr_logsumexp(x, &last), 1), -INFINITY);
    CHECK(gradient_of(tsr_norm(x, &last), x) != NULL);
    CHECK_EQUAL(tsr_size(tsr_max(x, &first)), 0); /* no result, nothing to find */
    CHECK_EQUAL(tsr_size(tsr_mean(x, &first)), 0);
    CHECK_EQUAL(tsr_size(tsr_argmax(x, 0)), 0);
    CHECK_EQUAL(tsr_size(tsr_softmax(x, 1)), 0);
    CHECK(!tsr_error(ctx));
    tsr_max(x, &last);
    CHECK_TEXT(tsr_error(ctx), "max: there are no values to reduce in [2, 0]");
    tsr_clear_error(ctx);
    tsr_mean(x, NULL);
    CHECK_TEXT(tsr_error(ctx), "mean: there are no values to reduce in [2, 0]");
    tsr_close(ctx);
}

/* ---- messages ------------------------------------------------------------------------------------------------- */

static void says(tsr_context *ctx, tsr_tensor *result, const char *message)
{
    test_check(tsr_is_error(result), message, __FILE__, __LINE__);
    test_text(tsr_error(ctx), message, "message", __FILE__, __LINE__);
    tsr_clear_error(ctx);
}

TEST(reduction_misuse_is_an_error_with_words)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_zeros(ctx, TSR_SHAPE(2, 3));
    says(ctx, tsr_sum(x, &(tsr_reduce_options){.axes = TSR_AXIS(2)}), "sum: [2, 3] has no axis 2");
    says(ctx, tsr_mean(x, &(tsr_reduce_options){.axes = TSR_AXIS(0) | TSR_AXIS(-3)}), "mean: [2, 3] has no axis -3");
    says(ctx, tsr_var(tsr_zeros(ctx, TSR_SHAPE(4, 1)), &(tsr_reduce_options){.axes = TSR_AXIS(1)}),
         "var: one value of [4, 1] has no variance (n - 1 is 0) unless .population is set");
    says(ctx, tsr_norm(x, &(tsr_reduce_options){.power = -1}), "norm: power is -1, needs to be finite and above 0");
    says(ctx, tsr_norm(x, &(tsr_reduce_options){.power = NAN}), "norm: power is nan, needs to be finite and above 0");
    says(ctx, tsr_argmax(x, 2), "argmax: [2, 3] has no axis 2");
    says(ctx, tsr_argmax(tsr_zeros(ctx, TSR_SHAPE(2, 0)), 1), "argmax: axis 1 of [2, 0] is empty");
    says(ctx, tsr_softmax(x, -3), "softmax: [2, 3] has no axis -3");
    says(ctx, tsr_log_softmax(tsr_zeros(ctx, TSR_SCALAR), 0), "log_softmax: [] has no axis 0");
    tsr_close(ctx);
}

/* ---- threads -------------------------------------------------------------------------------------------------- */

/* Results and gradients of sums, variances and softmax over one axis set after the other. */
static int64_t reduce_all(int threads, tsr_real *out, int64_t most)
{
    static const int64_t shapes[][3] = {{300, 200, 3}, {3, 200, 300}, {2, 50000, 1}, {5, 4, 3000}};
    tsr_context *ctx = tsr_open(&(tsr_options){.threads = threads});
    int64_t count = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (unsigned axes = 0; axes < 7; axes++)
            TSR_SCOPE(ctx) {
                const tsr_reduce_options options = {.axes = axes, .keep_dims = true};
                tsr_tensor *x = tsr_watch(tsr_normal(ctx, tsr_make_shape(3, shapes[i]), 0, 1, 1));
                tsr_tensor *sum = tsr_sum(x, &options), *soft = tsr_softmax(tsr_mul(x, sum), 1);
                tsr_tensor *parts[] = {sum, tsr_logsumexp(x, &options), tsr_norm(x, &options),
                                       tsr_max(soft, &options), NULL};
                tsr_tensor *total = tsr_mean(tsr_add(tsr_add(parts[1], parts[2]), tsr_add(parts[0], parts[3])), NULL);
                tsr_backward(total);
                parts[4] = tsr_grad(x);
                for (int k = 0; k < 5; k++) {
                    const int64_t size = tsr_size(parts[k]);
                    if (size <= most - count) memcpy(out + count, tsr_data(parts[k]), (size_t)size * sizeof *out);
                    count += size;
                }
            }
    return tsr_close(ctx) == 0 ? count : 0;
}

TEST(reductions_have_the_same_bits_for_any_number_of_threads)
{
    enum { MOST = 8000000 };
    tsr_context *ctx = tsr_open(NULL);
    tsr_real *one = tsr_allocate(ctx, MOST * sizeof *one, "test");
    tsr_real *three = tsr_allocate(ctx, MOST * sizeof *one, "test");
    const int64_t count = reduce_all(1, one, MOST);
    CHECK(count > 0 && count <= MOST);
    CHECK_EQUAL(reduce_all(3, three, MOST), count);
    CHECK(memcmp(one, three, (size_t)count * sizeof *one) == 0);
    tsr_release(ctx, one, MOST * sizeof *one);
    tsr_release(ctx, three, MOST * sizeof *one);
    tsr_close(ctx);
}
