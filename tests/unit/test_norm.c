/* Edges of the normalisations: ends of the number range, degenerate shapes, messages, threads. */
#include "core/core_internal.h"
#include "ops/ops.h"
#include "tests/test.h"

#include <math.h>
#include <string.h>

static const double tiny = sizeof(tsr_real) == 8 ? 1e-200 : 1e-37, huge = sizeof(tsr_real) == 8 ? 1e200 : 1e37;

static tsr_tensor *normal(tsr_context *ctx, tsr_shape shape)
{
    return tsr_normal(ctx, shape, 0, 1, tsr_stream("test_norm") + (uint64_t)shape.rank);
}

static double at(const tsr_tensor *t, int64_t i)
{
    return (double)tsr_data(t)[i];
}

/* The gradient of x, for a cotangent that is not even. */
static tsr_tensor *gradient_of(tsr_tensor *y, tsr_tensor *x)
{
    tsr_zero_grad(x);
    tsr_backward_from(y, tsr_normal(tsr_context_of(y), tsr_shape_of(y), 0, 1, 3));
    return tsr_grad(x);
}

static bool finite(const tsr_tensor *t)
{
    return !tsr_is_error(t) && tsr_all_finite(tsr_data(t), tsr_size(t));
}

/* ---- ends of the number range ------------------------------------------------------------------------------------ */

TEST(batch_norm_of_equal_values_is_its_shift_even_without_eps)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_watch(tsr_full(ctx, TSR_SHAPE(8, 3), 1000.1)), *shift = tsr_full(ctx, TSR_SHAPE(3), 5);
    const tsr_batch_norm_state state = {.scale = tsr_full(ctx, TSR_SHAPE(3), 2), .shift = shift};
    tsr_tensor *y = tsr_batch_norm(x, &state, &(tsr_norm_options){.eps = TSR_ZERO});
    for (int64_t i = 0; i < 24; i++) CHECK_EQUAL(at(y, i), 5);
    CHECK(finite(gradient_of(y, x)));
    CHECK(tsr_close(ctx) == 0);
}

/* In float, sums of squares of such values have lost what distinguishes them. */
TEST(normalisations_lose_nothing_to_a_large_mean)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_zeros(ctx, TSR_SHAPE(256, 2));
    tsr_real *values = tsr_write(x);
    for (int64_t i = 0; i < 512; i++) values[i] = (tsr_real)(65536 + (i / 2 % 2 == 0 ? 0.5 : -0.5));
    const tsr_norm_options exact = {.eps = TSR_ZERO};
    tsr_tensor *rows = tsr_reshape(tsr_permute(x, (int[]){1, 0}), TSR_SHAPE(2, 256));
    for (int64_t i = 0; i < 4; i++) {
        CHECK_NEAR(at(tsr_batch_norm(x, NULL, &exact), i), i < 2 ? 1 : -1, 1e-6);
        CHECK_NEAR(at(tsr_layer_norm(rows, NULL, NULL, &exact), i), i % 2 == 0 ? 1 : -1, 1e-6);
        CHECK_NEAR(at(tsr_instance_norm(tsr_reshape(x, TSR_SHAPE(1, 256, 2)), NULL, NULL, &exact), i), i < 2 ? 1 : -1, 1e-6);
    }
    CHECK(tsr_close(ctx) == 0);
}

/* The same values at 0 and at 2^20, where one unit in the last place of a float is 1/8: results and gradients agree,
 * although no mean can be written as a float. */
TEST(normalisations_do_not_feel_a_shift_of_their_input)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *results[2][4], *gradients[2][4];
    for (int i = 0; i < 2; i++) {
        tsr_tensor *x = tsr_watch(tsr_uniform(ctx, TSR_SHAPE(3, 5, 7, 6), -24, 24, 5));
        tsr_real *values = tsr_write(x);
        for (int64_t k = 0; k < tsr_size(x); k++) values[k] = (tsr_real)floor((double)values[k]) / 8 + (tsr_real)(i * 1048576);
        tsr_tensor *y[] = {tsr_batch_norm(x, NULL, NULL), tsr_layer_norm(x, NULL, NULL, &(tsr_norm_options){.axes = 2}),
                           tsr_group_norm(x, 2, NULL, NULL, NULL), tsr_instance_norm(x, NULL, NULL, NULL)};
        for (int k = 0; k < 4; k++) {
            results[i][k] = y[k];
            gradients[i][k] = gradient_of(y[k], x);
        }
    }
    for (int k = 0; k < 4; k++)
        for (int64_t j = 0; j < tsr_size(results[0][k]); j++) {
            CHECK_NEAR(at(results[1][k], j), at(results[0][k], j), 1e-5);
            CHECK_NEAR(at(gradients[1][k], j), at(gradients[0][k], j), 1e-5);
        }
    CHECK(tsr_close(ctx) == 0);
}

TEST(normalisations_let_nan_through_relu_too)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = normal(ctx, TSR_SHAPE(2, 5, 4));
    tsr_write(x)[17] = (tsr_real)NAN; /* row 4 of the first sample has channel 1 */
    const tsr_norm_options relu = {.activation = TSR_RELU};
    tsr_tensor *y[] = {tsr_batch_norm(x, NULL, &relu),          tsr_layer_norm(x, NULL, NULL, &relu),
                       tsr_group_norm(x, 2, NULL, NULL, &relu), tsr_instance_norm(x, NULL, NULL, &relu),
                       tsr_lrn(x, NULL),                        tsr_l2_normalize(x, 1)};
    for (int i = 0; i < 6; i++) CHECK(isnan(at(y[i], 17)));
    CHECK(isnan(at(y[0], 1)) && isnan(at(y[2], 1)) && isnan(at(y[3], 1))); /* with it all that shares its statistics */
    CHECK(!isnan(at(y[3], 21))); /* but not another sample */
    const tsr_batch_norm_state state = {.running_mean = tsr_zeros(ctx, TSR_SHAPE(4)), .running_var = tsr_zeros(ctx, TSR_SHAPE(4))};
    tsr_batch_norm(x, &state, NULL);
    CHECK(isnan(at(state.running_mean, 1)) && isnan(at(state.running_var, 1)) && !isnan(at(state.running_var, 2)));
    CHECK(tsr_close(ctx) == 0);
}

TEST(batch_norm_has_the_bits_of_its_activation_as_an_op_after_it)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = normal(ctx, TSR_SHAPE(40, 6)), *plain = tsr_batch_norm(x, NULL, NULL);
    tsr_tensor *expected[] = {tsr_relu(plain), tsr_sigmoid(plain), tsr_tanh(plain)};
    for (int i = 0; i < 3; i++) {
        tsr_tensor *y = tsr_batch_norm(x, NULL, &(tsr_norm_options){.activation = (tsr_activation)(TSR_RELU + i)});
        for (int64_t k = 0; k < tsr_size(x); k++) CHECK_EQUAL(at(y, k), at(expected[i], k));
    }
    CHECK(tsr_close(ctx) == 0);
}

/* Enough rows for several pieces, and channels that are no multiple of a vector. */
TEST(batch_norm_undoes_relu_to_the_bit)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_watch(normal(ctx, TSR_SHAPE(30, 40, 21))), *g[2];
    const tsr_batch_norm_state state = {.scale = tsr_watch(normal(ctx, TSR_SHAPE(21))), .shift = normal(ctx, TSR_SHAPE(21))};
    for (int i = 0; i < 2; i++) {
        tsr_zero_grad(state.scale);
        g[i] = gradient_of(i == 0 ? tsr_relu(tsr_batch_norm(x, &state, NULL))
                                  : tsr_batch_norm(x, &state, &(tsr_norm_options){.activation = TSR_RELU}), x);
        CHECK(finite(g[i]));
    }
    CHECK(memcmp(tsr_data(g[0]), tsr_data(g[1]), (size_t)tsr_size(x) * sizeof(tsr_real)) == 0);
    CHECK(tsr_close(ctx) == 0);
}

/* What values are measured from is the worst choice here. */
TEST(normalisations_bear_a_first_value_far_away)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = normal(ctx, TSR_SHAPE(1, 20000, 1));
    tsr_real *values = tsr_write(x);
    values[0] = -300;
    double mean = 0, var = 0;
    for (int i = 0; i < 20000; i++) mean += (double)values[i] / 20000;
    for (int i = 0; i < 20000; i++) var += ((double)values[i] - mean) * ((double)values[i] - mean) / 20000;
    const tsr_norm_options exact = {.eps = TSR_ZERO};
    for (int64_t i = 1; i < 20000; i += 999) {
        const double expected = ((double)values[i] - mean) / sqrt(var);
        CHECK_NEAR(at(tsr_batch_norm(x, NULL, &exact), i), expected, 2e-6);
        CHECK_NEAR(at(tsr_layer_norm(x, NULL, NULL, &(tsr_norm_options){.eps = TSR_ZERO, .axes = 2}), i), expected, 2e-6);
    }
    CHECK(tsr_close(ctx) == 0);
}

/* A power next to 0.75 goes another way. */
TEST(lrn_of_the_usual_power_is_that_of_any)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_watch(tsr_mul_scalar(normal(ctx, TSR_SHAPE(50, 37)), 30));
    for (double alpha = 1e-4; alpha < 200; alpha *= 10) {
        tsr_tensor *y = tsr_lrn(x, &(tsr_lrn_options){.alpha = alpha, .k = 0.3});
        tsr_tensor *other = tsr_lrn(x, &(tsr_lrn_options){.alpha = alpha, .k = 0.3, .beta = 0.7500002});
        for (int64_t i = 0; i < tsr_size(x); i++) CHECK_NEAR(at(y, i) / at(other, i), 1, 8e-6);
    }
    CHECK(tsr_close(ctx) == 0);
}

TEST(l2_normalize_keeps_tiny_and_huge_vectors_in_range)
{
    tsr_context *ctx = tsr_open(NULL);
    const double sizes[] = {1e-11, huge, 1e3, 0.9 * huge};
    for (int i = 0; i < 4; i++) {
        tsr_tensor *x = tsr_watch(tsr_values(ctx, TSR_SHAPE(1, 2), (tsr_real[]){(tsr_real)(3 * sizes[i]),
                                                                               (tsr_real)(-4 * sizes[i])}));
        tsr_tensor *y = tsr_l2_normalize(x, 1);
        CHECK_NEAR(at(y, 0), 0.6, 1e-6);
        CHECK_NEAR(at(y, 1), -0.8, 1e-6);
        CHECK(finite(gradient_of(y, x)));
    }
    CHECK(tsr_close(ctx) == 0);
}

TEST(l2_normalize_of_next_to_nothing_is_finite_and_so_is_its_gradient)
{
    tsr_context *ctx = tsr_open(NULL);
    for (int i = 0; i < 2; i++) {
        tsr_tensor *x = tsr_watch(tsr_full(ctx, TSR_SHAPE(2, 5), i == 0 ? 0 : tiny));
        tsr_tensor *y = tsr_l2_normalize(x, -1);
        CHECK(finite(y));
        CHECK_NEAR(at(y, 3), i == 0 ? 0 : tiny / 1e-12, 1e-6);
        CHECK(finite(gradient_of(y, x)));
    }
    CHECK(tsr_close(ctx) == 0);
}

/* Shorter than 1e-12 it is a division by a constant, and nothing else. */
TEST(l2_normalize_of_a_short_vector_has_the_gradient_of_a_division)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_watch(tsr_values(ctx, TSR_SHAPE(2), (tsr_real[]){(tsr_real)3e-13, (tsr_real)4e-13}));
    tsr_tensor *y = tsr_l2_normalize(x, 0);
    CHECK_NEAR(at(y, 1), 0.4, 1e-6);
    tsr_backward_from(y, tsr_values(ctx, TSR_SHAPE(2), (tsr_real[]){2, -7}));
    CHECK_NEAR(at(tsr_grad(x), 0) / 2e12, 1, 1e-6);
    CHECK_NEAR(at(tsr_grad(x), 1) / -7e12, 1, 1e-6);
    CHECK(tsr_close(ctx) == 0);
}

TEST(lrn_of_huge_values_is_finite)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_watch(tsr_full(ctx, TSR_SHAPE(2, 7), huge));
    tsr_tensor *y = tsr_lrn(x, NULL);
    CHECK(finite(y));
    CHECK(finite(gradient_of(y, x)));
    CHECK(tsr_close(ctx) == 0);
}

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

TEST(normalisations_accept_empty_inputs)
{
    tsr_context *ctx = tsr_open(NULL);
    const tsr_shape shapes[] = {TSR_SHAPE(0, 4, 3), TSR_SHAPE(2, 0, 3), TSR_SHAPE(2, 4, 0)};
    for (int i = 0; i < 3; i++) {
        tsr_tensor *x = tsr_watch(tsr_zeros(ctx, shapes[i])), *p = tsr_watch(tsr_zeros(ctx, TSR_SHAPE(tsr_dim(x, -1))));
        tsr_tensor *results[] = {tsr_batch_norm(x, &(tsr_batch_norm_state){p, p, NULL, NULL}, NULL),
                                 tsr_layer_norm(x, p, p, NULL), tsr_group_norm(x, 1, p, p, NULL),
                                 tsr_instance_norm(x, p, p, NULL), tsr_lrn(x, NULL), tsr_l2_normalize(x, 1)};
        for (int k = 0; k < 6; k++) {
            CHECK(tsr_same_shape(tsr_shape_of(results[k]), shapes[i]));
            gradient_of(results[k], x);
        }
        for (int64_t c = 0; c < tsr_size(p); c++) CHECK_EQUAL(at(tsr_grad(p), c), 0);
    }
    CHECK(tsr_close(ctx) == 0);
}

TEST(batch_norm_of_no_rows_leaves_the_running_statistics_alone)
{
    tsr_context *ctx = tsr_open(NULL);
    const tsr_batch_norm_state state = {.running_mean = tsr_full(ctx, TSR_SHAPE(3), 4),
                                        .running_var = tsr_full(ctx, TSR_SHAPE(3), 2)};
    tsr_batch_norm(tsr_zeros(ctx, TSR_SHAPE(0, 3)), &state, NULL);
    CHECK_EQUAL(at(state.running_mean, 1), 4);
    CHECK_EQUAL(at(state.running_var, 1), 2);
    CHECK(tsr_close(ctx) == 0);
}

/* A network that sees two batches before it walks back (as twins do) moves the statistics twice. */
TEST(batch_norm_may_be_used_twice_in_a_graph_with_the_same_running_statistics)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_watch(normal(ctx, TSR_SHAPE(6, 3)));
    const tsr_batch_norm_state state = {.running_mean = tsr_zeros(ctx, TSR_SHAPE(3)),
                                        .running_var = tsr_full(ctx, TSR_SHAPE(3), 1)};
    tsr_tensor *y = tsr_batch_norm(tsr_batch_norm(x, &state, NULL), &state, NULL);
    CHECK(finite(gradient_of(y, x)));
    CHECK(tsr_close(ctx) == 0);
}

TEST(l2_normalize_of_single_values_is_their_sign_and_has_no_gradient)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_watch(tsr_values(ctx, TSR_SHAPE(1, 2), (tsr_real[]){3, -0.25}));
    tsr_tensor *y = tsr_l2_normalize(x, 0);
    CHECK_EQUAL(at(y, 0), 1);
    CHECK_EQUAL(at(y, 1), -1);
    CHECK_NEAR(at(gradient_of(y, x), 1), 0, 1e-6);
    CHECK(tsr_close(ctx) == 0);
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

#define REJECTS(call, part)                                                                                            \
    do {                                                                                                               \
        CHECK(tsr_is_error(call));                                                                                     \
        CHECK_CONTAINS(tsr_error(ctx), part);                                                                          \
        tsr_clear_error(ctx);                                                                                          \
    } while (0)

TEST(batch_norm_says_what_is_wrong)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = normal(ctx, TSR_SHAPE(4, 3)), *three = normal(ctx, TSR_SHAPE(3)), *four = normal(ctx, TSR_SHAPE(4));
    tsr_tensor *made = tsr_neg(tsr_watch(tsr_zeros(ctx, TSR_SHAPE(3))));
    REJECTS(tsr_batch_norm(three, NULL, NULL), "batch_norm: input [3] is not [N, S..., C]");
    REJECTS(tsr_batch_norm(tsr_zeros(ctx, TSR_SHAPE(1, 1, 1, 3)), NULL, NULL),
            "batch_norm: expected more than 1 value per channel when training, got input [1, 1, 1, 3]");
    REJECTS(tsr_batch_norm(x, &(tsr_batch_norm_state){.scale = three}, NULL), "scale is given without shift");
    REJECTS(tsr_batch_norm(x, &(tsr_batch_norm_state){.shift = three}, NULL), "shift is given without scale");
    REJECTS(tsr_batch_norm(x, &(tsr_batch_norm_state){four, three, NULL, NULL}, NULL), "scale has shape [4], expected [3]");
    REJECTS(tsr_batch_norm(x, &(tsr_batch_norm_state){three, four, NULL, NULL}, NULL), "shift has shape [4], expected [3]");
    REJECTS(tsr_batch_norm(x, &(tsr_batch_norm_state){.running_mean = three}, NULL), "running_mean is given without running_var");
    REJECTS(tsr_batch_norm(x, &(tsr_batch_norm_state){.running_mean = four, .running_var = three}, NULL),
            "running_mean has shape [4], expected [3]");
    REJECTS(tsr_batch_norm(x, &(tsr_batch_norm_state){.running_mean = three, .running_var = four}, NULL),
            "running_var has shape [4], expected [3]");
    REJECTS(tsr_batch_norm(x, NULL, &(tsr_norm_options){.evaluate = true}), "evaluation needs running_mean and running_var");
    REJECTS(tsr_batch_norm(x, &(tsr_batch_norm_state){.running_mean = made, .running_var = three}, NULL),
            "only data can be changed");
    REJECTS(tsr_batch_norm(x, NULL, &(tsr_norm_options){.eps = -1}), "eps is -1");
    REJECTS(tsr_batch_norm(x, NULL, &(tsr_norm_options){.eps = NAN}), "eps is");
    REJECTS(tsr_batch_norm(x, NULL, &(tsr_norm_options){.momentum = 1.5}), "momentum is 1.5, needs to be in [0, 1]");
    CHECK(tsr_close(ctx) == 0);
}

TEST(other_normalisations_say_what_is_wrong)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = normal(ctx, TSR_SHAPE(4, 5, 6)), *five = normal(ctx, TSR_SHAPE(5));
    REJECTS(tsr_layer_norm(x, NULL, NULL, &(tsr_norm_options){.axes = 4}), "layer_norm: axes is 4, input [4, 5, 6] has 3");
    REJECTS(tsr_layer_norm(x, five, five, NULL), "scale has shape [5], expected [6]");
    REJECTS(tsr_layer_norm(x, five, five, &(tsr_norm_options){.axes = 2}), "scale has shape [5], expected [5, 6]");
    REJECTS(tsr_group_norm(x, 4, NULL, NULL, NULL), "group_norm: 6 channels of [4, 5, 6] cannot be cut in 4 groups");
    REJECTS(tsr_group_norm(x, 0, NULL, NULL, NULL), "groups is 0, needs to be 1 or more");
    REJECTS(tsr_group_norm(x, 2, five, five, NULL), "scale has shape [5], expected [6]");
    REJECTS(tsr_instance_norm(five, NULL, NULL, NULL), "instance_norm: input [5] is not [N, S..., C]");
    REJECTS(tsr_lrn(x, &(tsr_lrn_options){.size = -3}), "lrn: size is -3");
    REJECTS(tsr_lrn(x, &(tsr_lrn_options){.size = TSR_ZERO}), "lrn: size is 0");
    REJECTS(tsr_lrn(x, &(tsr_lrn_options){.k = -1}), "k is -1, needs to be finite and above 0");
    REJECTS(tsr_lrn(x, &(tsr_lrn_options){.alpha = NAN}), "alpha is");
    REJECTS(tsr_lrn(x, &(tsr_lrn_options){.beta = INFINITY}), "beta is inf");
    REJECTS(tsr_lrn(tsr_full(ctx, TSR_SCALAR, 1), NULL), "has no channels");
    REJECTS(tsr_l2_normalize(x, 3), "l2_normalize: [4, 5, 6] has no axis 3");
    CHECK(tsr_close(ctx) == 0);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

enum { RESULTS = 12 };

/* Results and gradients of all, copied out; the sizes are large enough for several pieces. */
static void run_all(int threads, tsr_real *out, int64_t *count)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = 4, .threads = threads});
    tsr_tensor *x = tsr_watch(normal(ctx, TSR_SHAPE(3, 61, 67, 12))), *p = tsr_watch(tsr_full(ctx, TSR_SHAPE(12), 0.7));
    const tsr_norm_options relu = {.activation = TSR_RELU};
    *count = 0;
    for (int i = 0; i < 6; i++) {
        tsr_zero_grad(p);
        tsr_tensor *y = i == 0   ? tsr_batch_norm(x, &(tsr_batch_norm_state){p, p, NULL, NULL}, &relu)
                        : i == 1 ? tsr_layer_norm(x, p, p, &relu)
                        : i == 2 ? tsr_group_norm(x, 3, p, p, &relu)
                        : i == 3 ? tsr_instance_norm(x, p, p, NULL)
                        : i == 4 ? tsr_lrn(x, NULL)
                                 : tsr_l2_normalize(x, 1);
        tsr_tensor *parts[] = {y, gradient_of(y, x), i < 4 ? tsr_grad(p) : NULL};
        for (int k = 0; k < 3; k++) {
            if (!parts[k]) continue;
            tsr_copy_out(parts[k], out + *count, tsr_size(parts[k]));
            *count += tsr_size(parts[k]);
        }
    }
    test_check(!tsr_error(ctx), "no error", __FILE__, __LINE__);
    tsr_close(ctx);
}

TEST(normalisations_have_the_same_bits_for_one_thread_and_three)
{
    static tsr_real one[RESULTS * 3 * 61 * 67 * 12 + 100], three[sizeof one / sizeof *one];
    int64_t count, again;
    run_all(1, one, &count);
    run_all(3, three, &again);
    CHECK(count > 0 && count == again);
    CHECK(memcmp(one, three, (size_t)count * sizeof *one) == 0);
}
