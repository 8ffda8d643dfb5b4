/* Edges of what is computed element by element: ends of the number range, empty shapes, messages, threads. */
#include "core/core_internal.h"
#include "ops/ops.h"
#include "tests/test.h"

#include <math.h>
#include <string.h>

static tsr_tensor *vector(tsr_context *ctx, int64_t count, const double *values)
{
    tsr_tensor *t = tsr_zeros(ctx, TSR_SHAPE(count));
    tsr_real *to = tsr_write(t);
    for (int64_t i = 0; to && i < count; i++) to[i] = (tsr_real)values[i];
    return t;
}
#define VECTOR(ctx, ...)                                                                                             \
    vector(ctx, (int64_t)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)), (double[]){__VA_ARGS__})

/* The gradients of the sum of y with respect to x. */
static const tsr_real *gradient_of(tsr_tensor *y, tsr_tensor *x)
{
    tsr_backward(tsr_sum(y, NULL));
    return tsr_data(tsr_grad(x));
}

static double at(const tsr_tensor *t, int64_t i)
{
    return (double)tsr_data(t)[i];
}

/* ---- ends of the range ---------------------------------------------------------------------------------------- */

TEST(elementwise_activations_and_gradients_are_finite_far_out)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.trap = true});
    tsr_tensor *x = tsr_watch(VECTOR(ctx, -1e30, -1000, -100, -88.5, 0, 88.5, 100, 1000, 1e30));
    TSR_SCOPE(ctx) {
        tsr_tensor *parts[] = {tsr_sigmoid(x), tsr_tanh(x), tsr_softplus(x), tsr_silu(x), tsr_elu(x, 1),
                               tsr_gelu(x), tsr_relu(x), tsr_leaky_relu(x, 0.01), tsr_abs(x)};
        tsr_tensor *sum = parts[0];
        for (size_t i = 1; i < sizeof parts / sizeof *parts; i++) sum = tsr_add(sum, parts[i]);
        CHECK(gradient_of(sum, x));
        CHECK_TEXT(tsr_error(ctx) ? tsr_error(ctx) : "none", "none");
        CHECK_EQUAL(at(parts[0], 1), 0);
        CHECK_EQUAL(at(parts[0], 7), 1);
        CHECK_EQUAL(at(parts[1], 1), -1);
        CHECK_EQUAL(at(parts[1], 7), 1);
        CHECK_EQUAL(at(parts[2], 1), 0);
        CHECK_EQUAL(at(parts[2], 7), 1000);
        CHECK_EQUAL(at(parts[4], 0), -1);
    }
    tsr_close(ctx);
}

TEST_FLOAT(elementwise_exp_and_tanh_are_within_two_units_in_the_last_place)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_uniform(ctx, TSR_SHAPE(20000), -104, 89, 1);
    tsr_tensor *small = tsr_uniform(ctx, TSR_SHAPE(20000), -2, 2, 2);
    tsr_tensor *y = tsr_exp(x), *t = tsr_tanh(small);
    for (int64_t i = 0; i < tsr_size(x); i++) {
        const double e = exp(at(x, i)), h = tanh(at(small, i));
        CHECK(fabs(at(y, i) - e) <= 2 * (e * 0x1p-23 + 0x1p-149) || e > 3.4e38);
        CHECK(fabs(at(t, i) - h) <= 2 * (fabs(h) * 0x1p-23 + 0x1p-149));
    }
    tsr_tensor *ends = tsr_exp(VECTOR(ctx, -1e30, 1e30, -INFINITY, INFINITY, NAN, 0));
    CHECK_EQUAL(at(ends, 0), 0);
    CHECK(isinf(at(ends, 1)) && isinf(at(ends, 3)) && isnan(at(ends, 4)));
    CHECK_EQUAL(at(ends, 2), 0);
    CHECK_EQUAL(at(ends, 5), 1);
    tsr_close(ctx);
}

TEST(elementwise_gradients_at_zero_are_what_the_header_says)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.trap = true});
    tsr_tensor *x = tsr_watch(VECTOR(ctx, 0, 4));
    const tsr_real *root = gradient_of(tsr_sqrt(x), x);
    CHECK_EQUAL(root[0], 0);
    CHECK_EQUAL(root[1], 0.25);
    tsr_zero_grad(x);
    const tsr_real *magnitude = gradient_of(tsr_abs(x), x);
    CHECK_EQUAL(magnitude[0], 0);
    CHECK_EQUAL(magnitude[1], 1);
    tsr_zero_grad(x);
    CHECK_EQUAL(gradient_of(tsr_relu(x), x)[0], 0);
    tsr_zero_grad(x);
    const tsr_real *kept = gradient_of(tsr_clamp(x, 0, 4), x); /* the ends belong to it */
    CHECK_EQUAL(kept[0], 1);
    CHECK_EQUAL(kept[1], 1);
    tsr_zero_grad(x);
    CHECK_EQUAL(gradient_of(tsr_pow_scalar(x, 1), x)[0], 1);
    tsr_zero_grad(x);
    CHECK_EQUAL(gradient_of(tsr_pow_scalar(x, 2), x)[0], 0);
    tsr_zero_grad(x);
    CHECK_EQUAL(gradient_of(tsr_pow_scalar(x, 0), x)[0], 0);
    CHECK(!tsr_error(ctx));
    tsr_close(ctx);
}

TEST(pow_of_zero_has_finite_gradients)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.trap = true});
    tsr_tensor *a = tsr_watch(VECTOR(ctx, 0, 0, 0, 2)), *b = tsr_watch(VECTOR(ctx, 1, 2, 0, 3));
    const tsr_real *ga = gradient_of(tsr_pow(a, b), a);
    for (int i = 0; i < 4; i++) CHECK_EQUAL(ga[i], ((double[]){1, 0, 0, 12})[i]);
    const tsr_real *gb = tsr_data(tsr_grad(b));
    for (int i = 0; i < 3; i++) CHECK_EQUAL(gb[i], 0);
    CHECK_NEAR(gb[3], 8 * log(2.0), 1e-6);
    CHECK(!tsr_error(ctx));
    tsr_close(ctx);
}

TEST(elementwise_nan_is_never_hidden)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = VECTOR(ctx, NAN, 1), *one = VECTOR(ctx, 1, NAN);
    CHECK(isnan(at(tsr_relu(x), 0)));
    CHECK(isnan(at(tsr_leaky_relu(x, 0.1), 0)));
    CHECK(isnan(at(tsr_clamp(x, 0, 1), 0)));
    CHECK(isnan(at(tsr_maxout(x, 2), 0)));
    CHECK(isnan(at(tsr_maxout(one, 2), 0)));
    for (int i = 0; i < 2; i++) {
        CHECK(isnan(at(tsr_maximum(x, one), i)));
        CHECK(isnan(at(tsr_minimum(x, one), i)));
    }
    tsr_close(ctx);
}

TEST(maximum_shares_the_gradient_where_both_are_equal)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *a = tsr_watch(VECTOR(ctx, 1, 2, 3)), *b = tsr_watch(VECTOR(ctx, 1, 3, 2));
    const tsr_real *ga = gradient_of(tsr_maximum(a, b), a), *gb = tsr_data(tsr_grad(b));
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(ga[i], ((double[]){0.5, 0, 1})[i]);
        CHECK_EQUAL(gb[i], ((double[]){0.5, 1, 0})[i]);
    }
    tsr_close(ctx);
}

TEST(where_does_not_let_the_other_side_through)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.trap = true});
    tsr_tensor *x = tsr_watch(VECTOR(ctx, 1, 2));
    tsr_tensor *condition = tsr_watch(VECTOR(ctx, 0, -3));
    const tsr_real *g = gradient_of(tsr_where(condition, x, VECTOR(ctx, NAN, 5)), x);
    CHECK(tsr_error(ctx) != NULL); /* where(0, 1, NaN) is NaN: trapped */
    (void)g;
    tsr_clear_error(ctx);
    tsr_tensor *y = tsr_where(condition, x, VECTOR(ctx, 7, NAN));
    CHECK_EQUAL(at(y, 0), 7);
    CHECK_EQUAL(at(y, 1), 2);
    g = gradient_of(y, x);
    CHECK_EQUAL(g[0], 0);
    CHECK_EQUAL(g[1], 1);
    CHECK(!tsr_grad(condition));
    CHECK(!tsr_error(ctx));
    tsr_close(ctx);
}

TEST(maxout_ties_go_to_the_first)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_watch(VECTOR(ctx, 2, 2, 1, 3, 3, 3));
    const tsr_real *g = gradient_of(tsr_maxout(x, 3), x);
    for (int i = 0; i < 6; i++) CHECK_EQUAL(g[i], ((double[]){1, 0, 0, 1, 0, 0})[i]);
    tsr_close(ctx);
}

/* ---- shapes --------------------------------------------------------------------------------------------------- */

TEST(elementwise_empty_tensors_are_legal)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *empty = tsr_watch(tsr_zeros(ctx, TSR_SHAPE(2, 0, 3))), *row = tsr_watch(tsr_zeros(ctx, TSR_SHAPE(3)));
    tsr_tensor *y = tsr_mul(tsr_add(empty, row), row);
    CHECK(tsr_same_shape(tsr_shape_of(y), TSR_SHAPE(2, 0, 3)));
    CHECK_EQUAL(gradient_of(tsr_relu(tsr_dropout(y, 0.5)), row)[2], 0);
    CHECK_EQUAL(tsr_size(tsr_grad(empty)), 0);
    CHECK(tsr_same_shape(tsr_shape_of(tsr_maxout(tsr_zeros(ctx, TSR_SHAPE(4, 0)), 2)), TSR_SHAPE(4, 0)));
    tsr_tensor *none = tsr_zeros(ctx, TSR_SHAPE(0)), *one = tsr_zeros(ctx, TSR_SHAPE(1));
    CHECK(tsr_same_shape(tsr_shape_of(tsr_add(none, one)), TSR_SHAPE(0)));
    CHECK(!tsr_error(ctx));
    tsr_close(ctx);
}

/* Every element by its definition, for shapes around the length of a block and any number of short axes. */
TEST(broadcasting_follows_numpy_for_random_shapes)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.threads = 3});
    const tsr_rng rng = {.seed = 3, .stream = 1};
    uint64_t draw = 0;
    for (int trial = 0; trial < 200; trial++)
        TSR_SCOPE(ctx) {
            static const int64_t lengths[] = {1, 1, 2, 3, 5, 33, 1030};
            tsr_shape shapes[2] = {{.rank = 0}, {.rank = 0}}, full = {.rank = 0};
            full.rank = (int)tsr_random_below(rng, draw++, 6);
            int64_t size = 1;
            for (int i = 0; i < full.rank; i++) {
                full.dims[i] = lengths[tsr_random_below(rng, draw++, 7)];
                if (size * full.dims[i] > 20000) full.dims[i] = 1;
                size *= full.dims[i];
            }
            for (int k = 0; k < 2; k++) {
                const int skip = k ? (int)tsr_random_below(rng, draw++, (uint64_t)full.rank + 1) : 0;
                shapes[k].rank = full.rank - skip;
                for (int i = 0; i < shapes[k].rank; i++)
                    shapes[k].dims[i] = tsr_random_below(rng, draw++, 3) ? full.dims[i + skip] : 1;
            }
            tsr_tensor *a = tsr_normal(ctx, shapes[0], 0, 1, draw++), *b = tsr_normal(ctx, shapes[1], 0, 1, draw++);
            tsr_tensor *y = tsr_sub(a, b);
            const tsr_shape out = tsr_shape_of(y);
            for (int64_t i = 0; i < tsr_size(y); i++) {
                int64_t from[2] = {0, 0}, step[2] = {1, 1}, rest = i;
                for (int axis = out.rank - 1; axis >= 0; axis--) {
                    for (int k = 0; k < 2; k++) {
                        const int own = axis - out.rank + shapes[k].rank;
                        const int64_t dim = own < 0 ? 1 : shapes[k].dims[own];
                        if (dim > 1) from[k] += rest % out.dims[axis] * step[k];
                        step[k] *= dim;
                    }
                    rest /= out.dims[axis];
                }
                CHECK_EQUAL(at(y, i), (tsr_real)(at(a, from[0]) - at(b, from[1])));
            }
        }
    CHECK_EQUAL(tsr_close(ctx), 0);
}

/* A row of 1031 is walked in blocks of 516 and 515, so some pieces of the loop begin with a shorter block. The second
 * pass has another scalar, so that what the first left behind shows. */
TEST(broadcasting_lays_values_out_anew_where_a_longer_block_follows)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.threads = 3});
    tsr_tensor *row = tsr_full(ctx, TSR_SHAPE(1031), 5), *column = tsr_zeros(ctx, TSR_SHAPE(200, 1));
    for (int pass = 1; pass <= 2; pass++)
        TSR_SCOPE(ctx) {
            const tsr_tensor *y = tsr_where(column, row, tsr_full(ctx, TSR_SCALAR, pass));
            for (int64_t i = 0; i < tsr_size(y); i++) CHECK_EQUAL(at(y, i), pass);
        }
    tsr_close(ctx);
}

/* ---- threads -------------------------------------------------------------------------------------------------- */

/* Results and gradients of products that broadcast in different ways, one after the other. */
static int64_t products(int threads, tsr_real *out, int64_t most)
{
    static const int64_t shapes[][2][3] = {{{200, 100, 3}, {1, 1, 3}},    {{40, 30, 70}, {40, 1, 70}},
                                           {{40, 30, 70}, {1, 30, 1}},    {{2, 40, 900}, {2, 40, 1}},
                                           {{20, 1, 2000}, {1, 3, 2000}}, {{60000, 1, 1}, {1, 1, 1}}};
    tsr_context *ctx = tsr_open(&(tsr_options){.threads = threads});
    int64_t count = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        TSR_SCOPE(ctx) {
            tsr_tensor *a = tsr_watch(tsr_normal(ctx, tsr_make_shape(3, shapes[i][0]), 0, 1, 1));
            tsr_tensor *b = tsr_watch(tsr_normal(ctx, tsr_make_shape(3, shapes[i][1]), 0, 1, 2));
            tsr_tensor *y = tsr_mul(a, b);
            tsr_backward_from(y, tsr_normal(ctx, tsr_shape_of(y), 0, 1, 3));
            tsr_tensor *gradients[] = {tsr_grad(a), tsr_grad(b)};
            for (int k = 0; k < 2; k++) {
                const int64_t size = tsr_size(gradients[k]);
                if (size <= most - count) memcpy(out + count, tsr_data(gradients[k]), (size_t)size * sizeof *out);
                count += size;
            }
        }
    return tsr_close(ctx) == 0 ? count : 0;
}

TEST(broadcast_gradients_have_the_same_bits_for_any_number_of_threads)
{
    enum { MOST = 500000 };
    static tsr_real one[MOST], three[MOST];
    const int64_t count = products(1, one, MOST);
    CHECK(count > 0 && count <= MOST);
    CHECK_EQUAL(products(3, three, MOST), count);
    CHECK(memcmp(one, three, (size_t)count * sizeof *one) == 0);
}

/* A long sum of alternating large values: float accumulation would lose the small ones. */
TEST(broadcast_gradients_are_summed_in_double)
{
    tsr_context *ctx = tsr_open(NULL);
    enum { ROWS = 3000 };
    tsr_tensor *b = tsr_watch(tsr_zeros(ctx, TSR_SHAPE(2))), *x = tsr_full(ctx, TSR_SHAPE(ROWS, 2), 1);
    tsr_real *values = tsr_write(x);
    for (int64_t i = 0; i < ROWS; i++) values[2 * i] = i % 3 == 0 ? (tsr_real)1e8 : i % 3 == 1 ? 1 : (tsr_real)-1e8;
    const tsr_real *g = gradient_of(tsr_mul(x, b), b);
    CHECK_EQUAL(g[0], ROWS / 3);
    CHECK_EQUAL(g[1], ROWS);
    tsr_close(ctx);
}

/* ---- dropout -------------------------------------------------------------------------------------------------- */

TEST(dropout_keeps_the_share_it_says_and_the_mean)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = 5});
    for (int i = 0; i < 3; i++)
        TSR_SCOPE(ctx) {
            const double p = ((double[]){0.1, 0.5, 0.9})[i];
            tsr_tensor *y = tsr_dropout(tsr_full(ctx, TSR_SHAPE(100000), 1), p);
            int64_t zeros = 0, pairs = 0;
            for (int64_t k = 0; k < tsr_size(y); k++) {
                zeros += at(y, k) == 0;
                pairs += k % 2 == 1 && at(y, k) == 0 && at(y, k - 1) == 0;
            }
            CHECK_NEAR((double)zeros / 1e5, p, 0.006); /* four deviations */
            CHECK_NEAR((double)pairs / 5e4, p * p, 0.009); /* neighbours are independent */
            CHECK_NEAR(tsr_item(tsr_mean(y, NULL)), 1, 0.05);
        }
    tsr_close(ctx);
}

TEST(dropout_draws_are_keyed_by_seed_step_and_call)
{
    enum { SIZE = 64 };
    tsr_tensor *y[6];
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = 5}), *other = tsr_open(&(tsr_options){.seed = 6});
    tsr_tensor *x = tsr_full(ctx, TSR_SHAPE(SIZE), 1);
    y[0] = tsr_dropout(x, 0.5);
    y[1] = tsr_dropout(x, 0.5);
    tsr_set_step_count(ctx, 1);
    y[2] = tsr_dropout(x, 0.5);
    y[3] = tsr_dropout(tsr_full(other, TSR_SHAPE(SIZE), 1), 0.5);
    tsr_set_step_count(ctx, 0);
    y[4] = tsr_dropout(x, 0.5); /* as the first */
    for (int i = 1; i < 4; i++) CHECK(memcmp(tsr_data(y[0]), tsr_data(y[i]), SIZE * sizeof(tsr_real)) != 0);
    CHECK(memcmp(tsr_data(y[0]), tsr_data(y[4]), SIZE * sizeof(tsr_real)) == 0);
    tsr_close(other);
    tsr_close(ctx);
}

TEST(dropout_has_the_same_gradient_mask_and_bits_for_any_number_of_threads)
{
    enum { SIZE = 50001 };
    static tsr_real results[2][SIZE];
    for (int i = 0; i < 2; i++) {
        tsr_context *ctx = tsr_open(&(tsr_options){.threads = i ? 3 : 1});
        tsr_tensor *x = tsr_watch(tsr_full(ctx, TSR_SHAPE(SIZE), 1)), *y = tsr_dropout(x, 0.4);
        const tsr_real *g = gradient_of(y, x);
        memcpy(results[i], tsr_data(y), sizeof results[i]);
        CHECK(memcmp(results[i], g, sizeof results[i]) == 0);
        tsr_close(ctx);
    }
    CHECK(memcmp(results[0], results[1], sizeof results[0]) == 0);
}

/* ---- messages ------------------------------------------------------------------------------------------------- */

static void says(tsr_context *ctx, tsr_tensor *result, const char *message)
{
    test_check(tsr_is_error(result), message, __FILE__, __LINE__);
    test_text(tsr_error(ctx), message, "message", __FILE__, __LINE__);
    tsr_clear_error(ctx);
}

TEST(elementwise_misuse_is_an_error_with_words)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_zeros(ctx, TSR_SHAPE(2, 3));
    says(ctx, tsr_add(x, tsr_zeros(ctx, TSR_SHAPE(2))),
         "add: [2] does not broadcast with [2, 3]: axes, aligned at the last, must be equal or 1");
    says(ctx, tsr_where(x, x, tsr_zeros(ctx, TSR_SHAPE(4, 3))),
         "where: [4, 3] does not broadcast with [2, 3]: axes, aligned at the last, must be equal or 1");
    says(ctx, tsr_clamp(x, 1, 0), "clamp: low 1 is not below or equal to high 0");
    says(ctx, tsr_clamp(x, NAN, 0), "clamp: low nan is not below or equal to high 0");
    says(ctx, tsr_mul_scalar(x, NAN), "mul_scalar: the number is NaN");
    says(ctx, tsr_leaky_relu(x, INFINITY), "leaky_relu: slope is inf, which is not a finite number");
    says(ctx, tsr_elu(x, NAN), "elu: alpha is nan, which is not a finite number");
    says(ctx, tsr_prelu(x, tsr_zeros(ctx, TSR_SHAPE(2))), "prelu: slope [2] for input [2, 3]: expected [1] or [3]");
    says(ctx, tsr_prelu(x, tsr_zeros(ctx, TSR_SCALAR)), "prelu: slope [] for input [2, 3]: expected [1] or [3]");
    says(ctx, tsr_maxout(x, 2), "maxout: the channels of [2, 3] are not a multiple of 2 pieces");
    says(ctx, tsr_maxout(tsr_zeros(ctx, TSR_SCALAR), 1), "maxout: the channels of [] are not a multiple of 1 pieces");
    says(ctx, tsr_maxout(x, 0), "maxout: pieces is 0, needs to be 1 or more");
    says(ctx, tsr_dropout(x, 1), "dropout: p is 1, needs to be in [0, 1)");
    says(ctx, tsr_dropout(x, -0.1), "dropout: p is -0.1, needs to be in [0, 1)");
    says(ctx, tsr_dropout(x, NAN), "dropout: p is nan, needs to be in [0, 1)");
    tsr_close(ctx);
}
