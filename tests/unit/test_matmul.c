/* Products of tensors: edges, messages, determinism. */
#include "ops/ops_internal.h"
#include "tests/test.h"

#include <math.h>
#include <string.h>

static tsr_context *quiet(void)
{
    return tsr_open(&(tsr_options){.seed = 5, .threads = 1});
}

TEST(matmul_of_empty_tensors_is_empty_or_zero)
{
    tsr_context *ctx = quiet();
    tsr_tensor *none = tsr_matmul(tsr_zeros(ctx, TSR_SHAPE(3, 0)), tsr_zeros(ctx, TSR_SHAPE(0, 2)), NULL);
    CHECK(tsr_same_shape(tsr_shape_of(none), TSR_SHAPE(3, 2)));
    for (int i = 0; i < 6; i++) CHECK_EQUAL(tsr_data(none)[i], 0);
    CHECK_EQUAL(tsr_size(tsr_matmul(tsr_zeros(ctx, TSR_SHAPE(0, 4)), tsr_zeros(ctx, TSR_SHAPE(4, 2)), NULL)), 0);

    tsr_tensor *a = tsr_watch(tsr_full(ctx, TSR_SHAPE(3, 4), 2)), *b = tsr_zeros(ctx, TSR_SHAPE(0, 4, 2));
    tsr_tensor *y = tsr_matmul(a, b, NULL);
    CHECK(tsr_same_shape(tsr_shape_of(y), TSR_SHAPE(0, 3, 2)));
    CHECK(tsr_backward_from(y, tsr_zeros(ctx, TSR_SHAPE(0, 3, 2))));
    for (int i = 0; i < 12; i++) CHECK_EQUAL(tsr_data(tsr_grad(a))[i], 0);
    tsr_close(ctx);
}

TEST(linear_of_no_values_is_the_bias)
{
    tsr_context *ctx = quiet();
    tsr_tensor *bias = tsr_watch(tsr_values(ctx, TSR_SHAPE(2), (tsr_real[]){3, -4}));
    tsr_tensor *y = tsr_linear(tsr_zeros(ctx, TSR_SHAPE(2, 0)), tsr_watch(tsr_zeros(ctx, TSR_SHAPE(0, 2))), bias,
                               &(tsr_linear_options){.activation = TSR_RELU});
    CHECK_EQUAL(tsr_data(y)[2], 3);
    CHECK_EQUAL(tsr_data(y)[3], 0);
    CHECK(tsr_backward_from(y, tsr_full(ctx, TSR_SHAPE(2, 2), 1)));
    CHECK_EQUAL(tsr_data(tsr_grad(bias))[0], 2);
    CHECK_EQUAL(tsr_data(tsr_grad(bias))[1], 0);
    y = tsr_linear(tsr_zeros(ctx, TSR_SHAPE(0, 3)), tsr_zeros(ctx, TSR_SHAPE(3, 2)), bias, NULL);
    CHECK(tsr_same_shape(tsr_shape_of(y), TSR_SHAPE(0, 2)));
    tsr_close(ctx);
}

/* The message of a call that must fail; the context is ready for the next. */
#define CHECK_MESSAGE(call, part)                                                                            \
    do {                                                                                                     \
        CHECK(tsr_is_error(call));                                                                           \
        CHECK_CONTAINS(tsr_error(ctx), part);                                                                \
        tsr_clear_error(ctx);                                                                                \
    } while (0)

TEST(matmul_and_linear_say_which_shapes_do_not_fit)
{
    tsr_context *ctx = quiet();
    tsr_tensor *v = tsr_zeros(ctx, TSR_SHAPE(4));
    tsr_tensor *m45 = tsr_zeros(ctx, TSR_SHAPE(4, 5)), *m63 = tsr_zeros(ctx, TSR_SHAPE(6, 3));
    tsr_tensor *many = tsr_zeros(ctx, TSR_SHAPE(2, 5, 3)), *more = tsr_zeros(ctx, TSR_SHAPE(3, 4, 5));
    CHECK_MESSAGE(tsr_matmul(v, m45, NULL), "matmul: a [4] and b [4, 5] need two axes");
    CHECK_MESSAGE(tsr_matmul(m45, m63, NULL), "matmul: a [4, 5] has rows of 5 values, b [6, 3] has columns of 6");
    CHECK_MESSAGE(tsr_matmul(m45, m63, &(tsr_matmul_options){.transpose_a = true, .transpose_b = true}),
                  "a [4, 5] transposed has rows of 4 values, b [6, 3] transposed has columns of 3");
    CHECK_MESSAGE(tsr_matmul(more, many, NULL), "the leading axes of a [3, 4, 5] and b [2, 5, 3] do not broadcast");
    CHECK_MESSAGE(tsr_linear(m45, v, NULL, NULL), "linear: weight [4] is not [in, out]");
    CHECK_MESSAGE(tsr_linear(m45, m63, NULL, NULL), "linear: input [4, 5] does not end in the 6 values");
    CHECK_MESSAGE(tsr_linear(tsr_zeros(ctx, TSR_SCALAR), m63, NULL, NULL), "linear: input []");
    CHECK_MESSAGE(tsr_linear(v, m45, v, NULL), "linear: bias [4] is not [5]");
    CHECK_MESSAGE(tsr_linear(v, m45, NULL, &(tsr_linear_options){.activation = (tsr_activation)9}), "no activation 9");
    tsr_close(ctx);
}

TEST(matmul_result_too_large_is_an_error_with_words)
{
    tsr_context *ctx = quiet();
    const int64_t huge = (int64_t)1 << 40;
    tsr_tensor *a = tsr_zeros(ctx, TSR_SHAPE(huge, 0)), *b = tsr_zeros(ctx, TSR_SHAPE(0, huge));
    CHECK_MESSAGE(tsr_matmul(a, b, NULL), "matmul: [1099511627776, 1099511627776]");
    CHECK_MESSAGE(tsr_linear(a, b, NULL, NULL), "linear: [1099511627776, 1099511627776]");
    CHECK_MESSAGE(tsr_gram(tsr_zeros(ctx, TSR_SHAPE(0, 3, huge)), NULL), "gram: [0, 1099511627776, 1099511627776]");
    tsr_close(ctx);
}

TEST(gram_and_distance_say_what_they_expect)
{
    tsr_context *ctx = quiet();
    tsr_tensor *v = tsr_zeros(ctx, TSR_SHAPE(4));
    tsr_tensor *m45 = tsr_zeros(ctx, TSR_SHAPE(4, 5)), *m63 = tsr_zeros(ctx, TSR_SHAPE(6, 3));
    CHECK_MESSAGE(tsr_gram(v, NULL), "gram: input [4] is not [N, S..., C]");
    CHECK_MESSAGE(tsr_gram(m45, &(tsr_gram_options){.scale = NAN}), "gram: scale nan");
    CHECK_MESSAGE(tsr_pairwise_squared_distance(m45, m63), "a [4, 5] and b [6, 3] are not [N, D] and [M, D]");
    CHECK_MESSAGE(tsr_pairwise_squared_distance(m45, v), "pairwise_squared_distance: a [4, 5] and b [4]");
    tsr_close(ctx);
}

TEST(distance_is_never_negative_and_zero_to_itself)
{
    tsr_context *ctx = quiet();
    tsr_tensor *a = tsr_normal(ctx, TSR_SHAPE(40, 33), 50, 1, 1);
    tsr_tensor *b = tsr_values(ctx, TSR_SHAPE(40, 33), tsr_data(a));
    const tsr_tensor *near = tsr_pairwise_squared_distance(a, b), *self = tsr_pairwise_squared_distance(a, a);
    for (int i = 0; i < 1600; i++) CHECK(tsr_data(near)[i] >= 0 && tsr_data(self)[i] >= 0);
    for (int i = 0; i < 40; i++) CHECK_EQUAL(tsr_data(self)[i * 41], 0);
    CHECK_EQUAL(tsr_size(tsr_pairwise_squared_distance(a, tsr_zeros(ctx, TSR_SHAPE(0, 33)))), 0);
    tsr_close(ctx);
}

TEST(gram_is_symmetric_to_the_bit_and_scaled_by_default)
{
    tsr_context *ctx = quiet();
    tsr_tensor *x = tsr_normal(ctx, TSR_SHAPE(2, 3, 3, 150), 0, 1, 1);
    const tsr_tensor *g = tsr_gram(x, NULL);
    double sum = 0;
    const tsr_real *second = tsr_data(x) + 1350;
    for (int p = 0; p < 9; p++) sum += (double)second[p * 150 + 140] * (double)second[p * 150 + 3];
    CHECK_NEAR(tsr_data(g)[22500 + 140 * 150 + 3], sum / 1350, 1e-6);
    for (int i = 0; i < 150; i++)
        for (int j = 0; j < 150; j++) CHECK_EQUAL(tsr_data(g)[i * 150 + j], tsr_data(g)[j * 150 + i]);
    CHECK_EQUAL(tsr_data(tsr_gram(tsr_zeros(ctx, TSR_SHAPE(1, 0, 2)), NULL))[3], 0);
    tsr_close(ctx);
}

/* Appends the values of `t`; false where they do not fit. */
static bool append(tsr_tensor *t, tsr_real **values, int64_t *left)
{
    const int64_t size = tsr_size(t);
    if (size > *left || !tsr_copy_out(t, *values, size)) return false;
    *values += size;
    *left -= size;
    return true;
}

/* Results and gradients of all products in one row of values, on so many threads. */
static bool run_products(int threads, tsr_real *values, int64_t count)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = 5, .threads = threads});
    tsr_tensor *x = tsr_watch(tsr_normal(ctx, TSR_SHAPE(9, 300, 20), 0, 1, 1));
    tsr_tensor *w = tsr_watch(tsr_normal(ctx, TSR_SHAPE(20, 24), 0, 1, 2));
    tsr_tensor *b = tsr_watch(tsr_normal(ctx, TSR_SHAPE(24), 0, 1, 3));
    tsr_tensor *y = tsr_linear(x, w, b, &(tsr_linear_options){.activation = TSR_TANH});
    y = tsr_matmul(tsr_gram(y, NULL), y, &(tsr_matmul_options){.transpose_b = true}); /* [9, 24, 300] */
    tsr_backward_from(y, tsr_normal(ctx, tsr_shape_of(y), 0, 1, 4));
    tsr_tensor *e = tsr_watch(tsr_normal(ctx, TSR_SHAPE(300, 40), 0, 1, 5));
    tsr_tensor *d = tsr_pairwise_squared_distance(e, e);
    tsr_backward_from(d, tsr_normal(ctx, tsr_shape_of(d), 0, 1, 6));
    tsr_tensor *parts[] = {y, tsr_grad(x), tsr_grad(w), tsr_grad(b), d, tsr_grad(e)};
    bool fits = true;
    for (int i = 0; i < 6; i++) fits = fits && append(parts[i], &values, &count);
    tsr_close(ctx);
    return fits && count == 0;
}

TEST(products_have_the_same_bits_on_one_thread_and_three)
{
    enum { COUNT = 9 * 24 * 300 + 9 * 300 * 20 + 20 * 24 + 24 + 300 * 300 + 300 * 40 };
    static tsr_real one[COUNT], three[COUNT];
    CHECK(run_products(1, one, COUNT));
    CHECK(run_products(3, three, COUNT));
    CHECK(memcmp(one, three, sizeof one) == 0);
}

TEST(column_sums_are_right_for_any_number_of_rows_and_threads)
{
    tsr_context *one = quiet(), *three = tsr_open(&(tsr_options){.seed = 5, .threads = 3});
    for (int64_t rows = 0; rows < 30000; rows = rows * 3 + 1) {
        const int64_t columns = 1 + rows % 7;
        const tsr_tensor *x = tsr_normal(one, TSR_SHAPE(rows, columns), 1, 1, 1);
        tsr_real a[8], b[8];
        tsr_column_sums(one, tsr_data(x), rows, columns, a);
        tsr_column_sums(three, tsr_data(x), rows, columns, b);
        for (int64_t j = 0; j < columns; j++) {
            double sum = 0;
            for (int64_t i = 0; i < rows; i++) sum += (double)tsr_data(x)[i * columns + j];
            CHECK_NEAR(a[j], sum, 1e-6);
            CHECK_EQUAL(a[j], b[j]);
        }
    }
    tsr_close(one);
    tsr_close(three);
}

TEST(products_count_their_work)
{
    tsr_context *ctx = quiet();
    tsr_tensor *x = tsr_watch(tsr_zeros(ctx, TSR_SHAPE(2, 3, 4))), *w = tsr_zeros(ctx, TSR_SHAPE(4, 5));
    double before = ctx->work;
    tsr_tensor *y = tsr_matmul(x, w, NULL);
    CHECK_EQUAL(ctx->work - before, 2 * 3 * 4 * 5);
    before = ctx->work;
    y = tsr_linear(y, tsr_zeros(ctx, TSR_SHAPE(5, 6)), NULL, NULL);
    CHECK_EQUAL(ctx->work - before, 2 * 3 * 5 * 6);
    y = tsr_gram(y, NULL);
    CHECK_EQUAL(ctx->work - before, 2 * 3 * 5 * 6 + 2 * 3 * 6 * 6);
    tsr_close(ctx);
}
