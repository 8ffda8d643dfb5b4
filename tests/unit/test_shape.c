/* Shape ops, padding and upsampling: what known answers do not reach. */
#include "tests/test.h"
#include "ops/ops.h"

#include <math.h>
#include <string.h>

static tsr_tensor *count_up(tsr_context *ctx, tsr_shape shape)
{
    tsr_tensor *line = tsr_arange(ctx, 0, (double)tsr_shape_size(shape), 1);
    return tsr_reshape(line, shape);
}

/* The error that `expression` leaves, in a context of its own with x [2, 3, 4]. */
#define CHECK_REFUSES(expression, part)                                                                                \
    do {                                                                                                               \
        tsr_context *ctx = tsr_open(NULL);                                                                             \
        tsr_tensor *x = count_up(ctx, TSR_SHAPE(2, 3, 4));                                                             \
        const bool refused = tsr_is_error(expression) && tsr_is_error(tsr_flip(x, 0));                                 \
        char text[512] = "";                                                                                           \
        if (tsr_error(ctx)) strncpy(text, tsr_error(ctx), sizeof text - 1);                                            \
        tsr_close(ctx);                                                                                                \
        CHECK(refused);                                                                                                \
        CHECK_CONTAINS(text, part);                                                                                    \
    } while (0)

static bool values_are(const tsr_tensor *t, int64_t count, const tsr_real *values)
{
    return !tsr_is_error(t) && tsr_size(t) == count &&
           memcmp(tsr_data(t), values, (size_t)count * sizeof *values) == 0;
}
#define VALUES_ARE(t, ...)                                                                                             \
    values_are(t, (int64_t)(sizeof((tsr_real[]){__VA_ARGS__}) / sizeof(tsr_real)), (tsr_real[]){__VA_ARGS__})

/* ---- views ------------------------------------------------------------------------------------------------------- */

TEST(reshape_is_a_view_and_its_gradient_too)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_watch(tsr_zeros(ctx, TSR_SHAPE(100, 100)));
    const size_t before = tsr_statistics_of(ctx).bytes;
    tsr_tensor *y = tsr_reshape(x, TSR_SHAPE(-1, 50));
    CHECK(tsr_data(y) == tsr_data(x));
    CHECK(tsr_same_shape(tsr_shape_of(y), TSR_SHAPE(200, 50)));
    CHECK(tsr_statistics_of(ctx).bytes < before + 10000);
    tsr_tensor *g = tsr_full(ctx, TSR_SHAPE(200, 50), 2);
    tsr_backward_from(y, g);
    CHECK(tsr_data(tsr_grad(x)) == tsr_data(g));
    CHECK(!tsr_error(ctx));
    tsr_close(ctx);
}

TEST(reshape_of_empty_tensors)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_zeros(ctx, TSR_SHAPE(0, 4));
    CHECK(tsr_same_shape(tsr_shape_of(tsr_reshape(x, TSR_SHAPE(-1, 2))), TSR_SHAPE(0, 2)));
    CHECK(tsr_same_shape(tsr_shape_of(tsr_reshape(x, TSR_SHAPE(3, 0, 7))), TSR_SHAPE(3, 0, 7)));
    CHECK(!tsr_error(ctx));
    tsr_reshape(x, TSR_SHAPE(-1, 0));
    CHECK_CONTAINS(tsr_error(ctx), "reshape: [0, 4] has 0 values, which do not fit [-1, 0]");
    tsr_close(ctx);
}

TEST(reshape_refuses)
{
    CHECK_REFUSES(tsr_reshape(x, TSR_SHAPE(5, -1)),
                  "reshape: [2, 3, 4] has 24 values, which do not fit [5, -1]");
    CHECK_REFUSES(tsr_reshape(x, TSR_SHAPE(4, 5)), "which do not fit [4, 5]");
    CHECK_REFUSES(tsr_reshape(x, TSR_SHAPE(-1, -1)), "which do not fit [-1, -1]");
    CHECK_REFUSES(tsr_reshape(x, TSR_SHAPE(-2, -12)), "which do not fit [-2, -12]");
    CHECK_REFUSES(tsr_reshape(x, TSR_SHAPE(INT64_MAX, 8, 3)), "which do not fit");
    CHECK_REFUSES(tsr_reshape(x, TSR_SHAPE(1, 1, 1, 1, 1, 1, 1, 1, 24)),
                  "reshape: to 9 axes, expected at most 8");
}

/* ---- permute, transpose ------------------------------------------------------------------------------------------ */

/* Against the definition, for sizes on both sides of a tile and axes of length 1. */
TEST(permute_is_right_across_tiles)
{
    static const int orders[][4] = {{0, 3, 1, 2}, {3, 2, 1, 0}, {0, 2, 1, 3}, {1, 0, 3, 2}, {2, 3, 0, 1}};
    static const int64_t shapes[][4] = {{2, 33, 31, 3}, {1, 40, 70, 1}, {3, 1, 65, 34}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (size_t k = 0; k < sizeof orders / sizeof *orders; k++) {
            tsr_context *ctx = tsr_open(NULL);
            const int64_t *d = shapes[s];
            tsr_tensor *y = tsr_permute(count_up(ctx, tsr_make_shape(4, d)), orders[k]);
            const tsr_shape out = tsr_shape_of(y);
            const int64_t strides[] = {d[1] * d[2] * d[3], d[2] * d[3], d[3], 1};
            int64_t wrong = 0;
            for (int64_t i = 0; i < tsr_size(y); i++) {
                int64_t rest = i, from = 0;
                for (int a = 3; a >= 0; a--) {
                    from += rest % out.dims[a] * strides[orders[k][a]];
                    rest /= out.dims[a];
                }
                wrong += tsr_data(y)[i] != (tsr_real)from;
            }
            CHECK_EQUAL(wrong, 0);
            CHECK_EQUAL(tsr_size(y), d[0] * d[1] * d[2] * d[3]);
            tsr_close(ctx);
        }
}

TEST(permute_and_transpose_refuse)
{
    CHECK_REFUSES(tsr_permute(x, ((int[]){0, 1, 3})), "permute: axis 3 of [2, 3, 4] is not there");
    CHECK_REFUSES(tsr_permute(x, ((int[]){0, 1, -3})), "permute: axis -3 is named twice");
    CHECK_REFUSES(tsr_permute(x, NULL), "permute: axes are required");
    CHECK_REFUSES(tsr_transpose(x, 0, 3), "transpose: axes 0 and 3 are not both in [2, 3, 4]");
}

/* ---- concat, slice, split ---------------------------------------------------------------------------------------- */

TEST(concat_of_most_parts_and_of_empty_ones)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *parts[65];
    for (int i = 0; i < 65; i++) parts[i] = tsr_full(ctx, TSR_SHAPE(2, i % 2), i);
    tsr_tensor *y = tsr_concat(parts, 64, 1);
    CHECK(tsr_same_shape(tsr_shape_of(y), TSR_SHAPE(2, 32)));
    CHECK_EQUAL(tsr_data(y)[31], 63);
    CHECK_EQUAL(tsr_data(y)[33], 3);
    CHECK(!tsr_error(ctx));
    tsr_concat(parts, 65, 1);
    CHECK_CONTAINS(tsr_error(ctx), "concat: 65 parts, expected at most 64");
    tsr_close(ctx);
}

TEST(concat_refuses)
{
    CHECK_REFUSES(tsr_concat((tsr_tensor *[]){x, tsr_zeros(ctx, TSR_SHAPE(2, 2, 4))}, 2, 2),
                  "concat: part 1 [2, 2, 4] and part 0 [2, 3, 4] differ beside axis 2");
    CHECK_REFUSES(tsr_concat((tsr_tensor *[]){x, tsr_zeros(ctx, TSR_SHAPE(6, 4))}, 2, 0), "part 1 [6, 4]");
    CHECK_REFUSES(tsr_concat((tsr_tensor *[]){x, x}, 2, 3), "concat: axis 3 of [2, 3, 4] is not there");
    CHECK_REFUSES(tsr_concat((tsr_tensor *[]){x, NULL}, 2, 0), "concat: input 1 is NULL");
    CHECK(tsr_is_error(tsr_concat(NULL, 0, 0)));
}

TEST(slice_may_be_empty)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_watch(count_up(ctx, TSR_SHAPE(6)));
    tsr_tensor *y = tsr_slice(x, 0, 6, 6);
    CHECK_EQUAL(tsr_size(y), 0);
    CHECK(tsr_backward_from(y, tsr_zeros(ctx, TSR_SHAPE(0))));
    CHECK(VALUES_ARE(tsr_grad(x), 0, 0, 0, 0, 0, 0));
    tsr_close(ctx);
}

TEST(slice_and_split_refuse)
{
    CHECK_REFUSES(tsr_slice(x, 1, 0, 4), "slice: [0, 4) of axis 1 is not inside [2, 3, 4]");
    CHECK_REFUSES(tsr_slice(x, 1, -4, 2), "slice: [-4, 2) of axis 1 is not inside");
    CHECK_REFUSES(tsr_slice(x, 1, 2, 1), "slice: [2, 1) of axis 1 is not inside");
    CHECK_REFUSES(tsr_slice(x, 3, 0, 1), "slice: axis 3 of [2, 3, 4] is not there");
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *parts[2], *x = count_up(ctx, TSR_SHAPE(2, 3));
    CHECK(tsr_split(x, 0, 2, parts));
    CHECK(VALUES_ARE(parts[1], 3, 4, 5));
    CHECK(!tsr_split(x, 1, 2, parts));
    CHECK(tsr_is_error(parts[0]) && tsr_is_error(parts[1]));
    CHECK_CONTAINS(tsr_error(ctx), "split: axis 1 of [2, 3] cannot be cut into 2 equal parts");
    tsr_close(ctx);
}

/* ---- expand, flip, gather_rows ----------------------------------------------------------------------------------- */

TEST(expand_and_flip_refuse)
{
    CHECK_REFUSES(tsr_expand(x, TSR_SHAPE(2, 3, 8)), "expand: [2, 3, 4] cannot become [2, 3, 8]");
    CHECK_REFUSES(tsr_expand(x, TSR_SHAPE(3, 4)), "expand: [2, 3, 4] cannot become [3, 4]");
    CHECK_REFUSES(tsr_expand(tsr_zeros(ctx, TSR_SHAPE(1)), TSR_SHAPE(-1)), "expand: ");
    CHECK_REFUSES(tsr_flip(x, -4), "flip: axis -4 of [2, 3, 4] is not there");
}

TEST(flip_reverses_any_axis)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = count_up(ctx, TSR_SHAPE(2, 3));
    CHECK(VALUES_ARE(tsr_flip(x, 0), 3, 4, 5, 0, 1, 2));
    CHECK(VALUES_ARE(tsr_flip(x, -1), 2, 1, 0, 5, 4, 3));
    CHECK_EQUAL(tsr_size(tsr_flip(tsr_zeros(ctx, TSR_SHAPE(2, 0)), 1)), 0);
    CHECK(!tsr_error(ctx));
    tsr_close(ctx);
}

TEST(gather_rows_of_nothing)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_watch(count_up(ctx, TSR_SHAPE(2, 3)));
    tsr_tensor *y = tsr_gather_rows(x, tsr_zeros(ctx, TSR_SHAPE(0, 5)));
    CHECK(tsr_same_shape(tsr_shape_of(y), TSR_SHAPE(0, 5, 3)));
    CHECK(tsr_backward_from(y, tsr_zeros(ctx, TSR_SHAPE(0, 5, 3))));
    CHECK(VALUES_ARE(tsr_grad(x), 0, 0, 0, 0, 0, 0));
    tsr_close(ctx);
}

static tsr_tensor *index(tsr_context *ctx, double value)
{
    return tsr_values(ctx, TSR_SHAPE(3), (tsr_real[]){1, 0, (tsr_real)value});
}

TEST(gather_rows_refuses)
{
    CHECK_REFUSES(tsr_gather_rows(x, index(ctx, 2)),
                  "gather_rows: index 2 of [3] is 2, expected a whole number from 0 to 1");
    CHECK_REFUSES(tsr_gather_rows(x, index(ctx, -1)), "index 2 of [3] is -1");
    CHECK_REFUSES(tsr_gather_rows(x, index(ctx, 0.5)), "index 2 of [3] is 0.5");
    CHECK_REFUSES(tsr_gather_rows(x, index(ctx, NAN)), "index 2 of [3] is nan");
    CHECK_REFUSES(tsr_gather_rows(x, index(ctx, INFINITY)), "index 2 of [3] is inf");
    CHECK_REFUSES(tsr_gather_rows(tsr_zeros(ctx, TSR_SCALAR), x), "gather_rows: table []");
    CHECK_REFUSES(tsr_gather_rows(x, tsr_zeros(ctx, TSR_SHAPE(1, 1, 1, 1, 1, 1, 1))),
                  "at most 8 in the result");
}

TEST_FLOAT(gather_rows_refuses_tables_that_float_cannot_index)
{
    CHECK_REFUSES(tsr_gather_rows(tsr_zeros(ctx, TSR_SHAPE(16777217, 0)), index(ctx, 0)),
                  "gather_rows: 16777217 places to choose from, expected at most 16777216");
}

/* ---- pad, upsample ----------------------------------------------------------------------------------------------- */

TEST(pad_around_nothing_and_by_nothing)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_watch(tsr_zeros(ctx, TSR_SHAPE(0, 2)));
    tsr_tensor *y = tsr_pad(x, &(tsr_pad_options){.before = {1}, .value = 7});
    CHECK(VALUES_ARE(y, 7, 7));
    CHECK(tsr_backward_from(y, tsr_zeros(ctx, TSR_SHAPE(1, 2))));
    for (int mode = 0; mode < 3; mode++) {
        CHECK(VALUES_ARE(
            tsr_pad(tsr_full(ctx, TSR_SCALAR, 4), &(tsr_pad_options){.mode = (tsr_pad_mode)mode}), 4));
        CHECK_EQUAL(tsr_size(tsr_pad(x, &(tsr_pad_options){.after = {0, 1}, .mode = (tsr_pad_mode)mode})), 0);
    }
    CHECK(!tsr_error(ctx));
    tsr_close(ctx);
}

TEST(pad_refuses)
{
    CHECK_REFUSES(tsr_pad(x, NULL), "pad: options that say how far are required");
    CHECK_REFUSES(tsr_pad(x, &(tsr_pad_options){.before = {0, -1}}),
                  "pad: padding -1, 0 of axis 1 is negative");
    CHECK_REFUSES(tsr_pad(x, &(tsr_pad_options){.after = {0, 0, 0, 1}}),
                  "pad: padding for axis 3, input [2, 3, 4] has 3 axes");
    CHECK_REFUSES(tsr_pad(x, &(tsr_pad_options){.after = {0, 3}, .mode = TSR_PAD_REFLECT}),
                  "pad: reflecting 0, 3 values at axis 1 of input [2, 3, 4], expected fewer than its length");
    CHECK_REFUSES(
        tsr_pad(tsr_zeros(ctx, TSR_SHAPE(0)), &(tsr_pad_options){.after = {1}, .mode = TSR_PAD_REPLICATE}),
        "has no value to replicate");
    CHECK_REFUSES(tsr_pad(x, &(tsr_pad_options){.after = {1}, .mode = (tsr_pad_mode)3}), "pad: mode 3");
}

TEST(upsample_refuses)
{
    CHECK_REFUSES(tsr_upsample(x, NULL), "upsample: options with a size are required");
    CHECK_REFUSES(tsr_upsample(x, &(tsr_upsample_options){.linear = true}),
                  "upsample: size 0 for spatial axis 0");
    CHECK_REFUSES(tsr_upsample(x, &(tsr_upsample_options){.size = {2, 2}}),
                  "upsample: a size for spatial axis 1, input [2, 3, 4] has 1");
    CHECK_REFUSES(tsr_upsample(tsr_zeros(ctx, TSR_SHAPE(2, 3)), &(tsr_upsample_options){.size = {2}}),
                  "upsample: input [2, 3], expected [N, S..., C]");
    CHECK_REFUSES(tsr_upsample(tsr_zeros(ctx, TSR_SHAPE(2, 0, 3)), &(tsr_upsample_options){.size = {2}}),
                  "upsample: spatial axis 0 of input [2, 0, 3] is empty");
}

TEST(upsample_of_an_empty_batch)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_watch(tsr_zeros(ctx, TSR_SHAPE(0, 3, 2)));
    tsr_tensor *y = tsr_upsample(x, &(tsr_upsample_options){.size = {5}, .linear = true});
    CHECK(tsr_same_shape(tsr_shape_of(y), TSR_SHAPE(0, 5, 2)));
    CHECK(tsr_backward_from(y, tsr_zeros(ctx, TSR_SHAPE(0, 5, 2))));
    tsr_close(ctx);
}

/* Terms of weight 0 are left out: an infinite value does not make its neighbours NaN. */
TEST(upsample_keeps_infinity_to_itself)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_values(ctx, TSR_SHAPE(1, 3, 1), (tsr_real[]){1, INFINITY, 2});
    CHECK(VALUES_ARE(tsr_upsample(x, &(tsr_upsample_options){.size = {3}, .linear = true}), 1, INFINITY, 2));
    tsr_close(ctx);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

static tsr_tensor *gathered(tsr_tensor *x)
{
    tsr_context *ctx = tsr_context_of(x);
    tsr_tensor *indices = tsr_uniform(ctx, TSR_SHAPE(3000), 0, 40, 3);
    for (int64_t i = 0; i < 3000; i++)
        ((tsr_real *)(size_t)tsr_data(indices))[i] = (tsr_real)floor((double)tsr_data(indices)[i]);
    return tsr_gather_rows(tsr_reshape(x, TSR_SHAPE(40, -1)), indices);
}
static tsr_tensor *upsampled(tsr_tensor *x)
{
    return tsr_upsample(x, &(tsr_upsample_options){.size = {37, 71}, .linear = true});
}
static tsr_tensor *reflected(tsr_tensor *x)
{
    return tsr_pad(x, &(tsr_pad_options){.before = {0, 9, 8}, .after = {0, 7, 20}, .mode = TSR_PAD_REFLECT});
}
static tsr_tensor *transposed(tsr_tensor *x) { return tsr_permute(x, (int[]){3, 1, 0, 2}); }

static void run_with_threads(tsr_tensor *(*fn)(tsr_tensor *x), int threads, tsr_real *out, int64_t *sizes)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = 5, .threads = threads});
    tsr_tensor *x = tsr_watch(tsr_normal(ctx, TSR_SHAPE(2, 20, 32, 60), 0, 1, 1)), *y = fn(x);
    tsr_backward_from(y, tsr_normal(ctx, tsr_shape_of(y), 0, 1, 2));
    sizes[0] = tsr_size(y) < 600000 ? tsr_size(y) : 600000;
    sizes[1] = tsr_size(x);
    tsr_copy_out(tsr_grad(x), out, sizes[1]);
    memcpy(out + sizes[1], tsr_data(y), (size_t)sizes[0] * sizeof *out);
    test_check(!tsr_error(ctx), "no error", __FILE__, __LINE__);
    tsr_close(ctx);
}

TEST(shape_ops_have_the_same_bits_with_one_and_three_threads)
{
    static tsr_real one[700000], three[700000];
    tsr_tensor *(*const functions[])(tsr_tensor *) = {gathered, upsampled, reflected, transposed};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        int64_t sizes[2];
        run_with_threads(functions[i], 1, one, sizes);
        run_with_threads(functions[i], 3, three, sizes);
        CHECK(memcmp(one, three, (size_t)(sizes[0] + sizes[1]) * sizeof *one) == 0);
    }
}
