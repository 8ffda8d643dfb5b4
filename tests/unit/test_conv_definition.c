/* Convolutions against the sums that define them, on sizes that reach the edges of tiles, blocks, chunks and
 * bands; and the packing of patches by itself, for tiles of any instruction set. */
#include "ops/ops_internal.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- convolution --------------------------------------------------------------------------------------- */

typedef struct definition {
    tsr_shape image, weight,
        result;         /* five axes: one or two of length 1 in front where there are fewer spatial ones */
    tsr_conv_options o; /* for three spatial axes; no TSR_ZERO */
    int64_t groups;
} definition;

static tsr_shape widened(tsr_shape s, int spatial, bool is_weight)
{
    tsr_shape wide = {.rank = 5, .dims = {1, 1, 1, 1, 1}};
    const int lead = is_weight ? 0 : 1, tail = s.rank - lead - spatial;
    if (lead) wide.dims[0] = s.dims[0];
    for (int i = 0; i < spatial + tail; i++) wide.dims[5 - spatial - tail + i] = s.dims[lead + i];
    return wide;
}

static definition define(tsr_shape image, tsr_shape weight, tsr_shape result, const tsr_conv_options *options)
{
    const int spatial = image.rank - 2;
    definition d = {.image = widened(image, spatial, false),
                    .weight = widened(weight, spatial, true),
                    .result = widened(result, spatial, false),
                    .groups = options->groups ? options->groups : 1};
    for (int i = 0; i < 3; i++) {
        const int from = i - (3 - spatial);
        d.o.stride[i] = from >= 0 && options->stride[from] ? options->stride[from] : 1;
        d.o.dilation[i] = from >= 0 && options->dilation[from] ? options->dilation[from] : 1;
        d.o.padding[i] = from >= 0 ? options->padding[from] : 0;
    }
    return d;
}

static int64_t flat(tsr_shape s, const int64_t *at)
{
    int64_t index = 0;
    for (int i = 0; i < s.rank; i++) index = index * s.dims[i] + at[i];
    return index;
}

/* Calls `term` with the flat indices of image, weight and result for every product of the sum. */
static void each_term(const definition *d, void (*term)(void *user, int64_t x, int64_t w, int64_t y),
                      void *user)
{
    const int64_t in = d->weight.dims[3], out = d->weight.dims[4], share = out / d->groups,
                  *r = d->result.dims;
    int64_t k[5], y[5], x[5];
    const int64_t positions = r[0] * r[1] * r[2] * r[3],
                  taps = d->weight.dims[0] * d->weight.dims[1] * d->weight.dims[2];
    for (int64_t p = 0; p < positions; p++)
        for (int64_t t = 0; t < taps; t++) {
            bool inside = true;
            int64_t rest = p, tap = t;
            for (int i = 3; i >= 0; rest /= r[i--]) y[i] = rest % r[i];
            for (int i = 2; i >= 0; tap /= d->weight.dims[i--]) k[i] = tap % d->weight.dims[i];
            x[0] = y[0];
            for (int i = 0; i < 3; i++) {
                x[i + 1] = y[i + 1] * d->o.stride[i] - d->o.padding[i] + k[i] * d->o.dilation[i];
                inside = inside && x[i + 1] >= 0 && x[i + 1] < d->image.dims[i + 1];
            }
            for (y[4] = 0; inside && y[4] < out; y[4]++)
                for (k[3] = 0; k[3] < in; k[3]++) {
                    x[4] = y[4] / share * in + k[3];
                    k[4] = y[4];
                    term(user, flat(d->image, x), flat(d->weight, k), flat(d->result, y));
                }
        }
}

typedef struct defined {
    const tsr_real *image, *weight, *cotangent;
    double *result, *image_gradient, *weight_gradient;
} defined;

static void add_term(void *user, int64_t x, int64_t w, int64_t y)
{
    const defined *s = user;
    s->result[y] += (double)s->image[x] * (double)s->weight[w];
    s->image_gradient[x] += (double)s->weight[w] * (double)s->cotangent[y];
    s->weight_gradient[w] += (double)s->image[x] * (double)s->cotangent[y];
}

/* Largest difference over the rms of what is expected. */
static double distance(const tsr_tensor *ours, const double *theirs)
{
    double worst = 0, squares = 0;
    const int64_t size = tsr_size(ours);
    for (int64_t i = 0; i < size; i++) {
        squares += theirs[i] * theirs[i];
        worst = fmax(worst, fabs((double)tsr_data(ours)[i] - theirs[i]));
    }
    return worst / (sqrt(squares / (double)size) + 1e-30);
}

/* conv and its gradients, and conv_transpose with the same weight from the cotangent. */
static void check_definition(tsr_shape image, tsr_shape weight, const tsr_conv_options *options)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = 3, .threads = 2});
    tsr_tensor *x = tsr_watch(tsr_normal(ctx, image, 0, 1, 1)),
               *w = tsr_watch(tsr_normal(ctx, weight, 0, 1, 2));
    tsr_tensor *y = tsr_conv(x, w, NULL, options), *g = tsr_normal(ctx, tsr_shape_of(y), 0, 1, 3);
    tsr_backward_from(y, g);
    const int64_t sizes[3] = {tsr_size(x), tsr_size(w), tsr_size(y)};
    double *memory = calloc((size_t)(sizes[0] + sizes[1] + sizes[2]), sizeof *memory);
    if (test_check(memory && !tsr_error(ctx), tsr_error(ctx) ? tsr_error(ctx) : "memory", __FILE__,
                   __LINE__)) {
        defined s = {.image = tsr_data(x),
                     .weight = tsr_data(w),
                     .cotangent = tsr_data(g),
                     .result = memory,
                     .image_gradient = memory + sizes[2],
                     .weight_gradient = memory + sizes[2] + sizes[0]};
        const definition d = define(image, weight, tsr_shape_of(y), options);
        each_term(&d, add_term, &s);
        const double tolerance = sizeof(tsr_real) == 8 ? 1e-13 : 3e-5;
        test_check(distance(y, s.result) < tolerance, "the result is as defined", __FILE__, __LINE__);
        test_check(distance(tsr_grad(x), s.image_gradient) < tolerance, "the image's gradient is as defined",
                   __FILE__, __LINE__);
        test_check(distance(tsr_grad(w), s.weight_gradient) < tolerance,
                   "the weight's gradient is as defined", __FILE__, __LINE__);
        tsr_conv_options back = *options;
        for (int i = 0; i < image.rank - 2; i++) { /* what the convolution did not reach at the end */
            const int64_t stride = options->stride[i] ? options->stride[i] : 1,
                          dilation = options->dilation[i] ? options->dilation[i] : 1;
            const int64_t reached = (tsr_dim(y, i + 1) - 1) * stride + dilation * (weight.dims[i] - 1) + 1;
            const int after = options->padding_end[i] ? options->padding_end[i] : options->padding[i];
            back.output_padding[i] = (int)(image.dims[i + 1] + options->padding[i] + after - reached);
        }
        const tsr_tensor *adjoint = tsr_conv_transpose(g, w, NULL, &back);
        test_check(tsr_same_shape(tsr_shape_of(adjoint), image) &&
                       distance(adjoint, s.image_gradient) < tolerance,
                   tsr_error(ctx) ? tsr_error(ctx) : "conv_transpose is the adjoint", __FILE__, __LINE__);
    }
    free(memory);
    tsr_close(ctx);
}

/* Root mean square of the error, over that of |row| |column| for sums of `depth` products of N(0, 1). */
static double relative_error(const tsr_tensor *ours, const double *theirs, int64_t depth)
{
    double squares = 0;
    for (int64_t i = 0; i < tsr_size(ours); i++) squares += pow((double)tsr_data(ours)[i] - theirs[i], 2);
    return sqrt(squares / (double)tsr_size(ours)) / (double)depth;
}

/* Large enough for products of parts, where the table has them; 3 x 1 is none of Winograd's. */
static void check_precision(int stride)
{
    enum { SIDE = 14, CHANNELS = 194, TAPS = 3, PIXELS = 2 * SIDE * SIDE, WEIGHTS = TAPS * CHANNELS * CHANNELS };
    static double sums[2 * PIXELS * CHANNELS + WEIGHTS];
    double *result = sums, *image_gradient = result + PIXELS * CHANNELS;
    double *weight_gradient = image_gradient + PIXELS * CHANNELS;
    tsr_conv_options options = {.padding = {1, 0}, .stride = {stride, 1}};
    bool defined_yet = false;
    memset(sums, 0, sizeof sums);
    for (int i = 0; tsr_kernels_list(i); i++) {
        const tsr_kernels *kernels = tsr_kernels_list(i);
        if (test_leaves_out(kernels->name)) continue;
        const int parts = kernels->parts ? kernels->parts->count : 3;
        const double bound = parts == 3 ? 1e-6 : parts == 2 ? 1e-5 : 5e-3;
        options.activation = TSR_NO_ACTIVATION;
        tsr_context *ctx = tsr_open(&(tsr_options){.seed = 3, .precision = parts == 3 ? TSR_HIGHEST : TSR_HIGH});
        ctx->kernels = kernels;
        tsr_tensor *x = tsr_watch(tsr_normal(ctx, TSR_SHAPE(2, SIDE, SIDE, CHANNELS), 0, 1, 1));
        tsr_tensor *w = tsr_watch(tsr_normal(ctx, TSR_SHAPE(3, 1, CHANNELS, CHANNELS), 0, 1, 2));
        tsr_tensor *y = tsr_conv(x, w, NULL, &options), *g = tsr_normal(ctx, tsr_shape_of(y), 0, 1, 3);
        tsr_backward_from(y, g);
        if (!defined_yet) {
            defined_yet = true;
            const definition d = define(tsr_shape_of(x), tsr_shape_of(w), tsr_shape_of(y), &options);
            each_term(&d, add_term, &(defined){tsr_data(x), tsr_data(w), tsr_data(g), result, image_gradient,
                                               weight_gradient});
        }
        const double errors[] = {relative_error(y, result, TAPS * CHANNELS),
                                 relative_error(tsr_grad(w), weight_gradient, PIXELS / stride),
                                 relative_error(tsr_grad(x), image_gradient, TAPS * CHANNELS)};
        for (int k = 0; k < 3; k++) {
            const bool by_parts = parts < 3 && (k < 2 || stride == 1); /* which shows */
            test_check(errors[k] <= bound && (!by_parts || errors[k] > bound / 200), kernels->name, __FILE__, __LINE__);
        }
        tsr_tensor *bias = tsr_normal(ctx, TSR_SHAPE(CHANNELS), 0, 10, 4);
        options.activation = TSR_RELU;
        const tsr_tensor *whole = tsr_conv(x, w, bias, &options), *composed = tsr_relu(tsr_add(y, bias));
        for (int64_t k = 0; k < tsr_size(y) && !test_failed(); k++)
            CHECK_NEAR(tsr_data(whole)[k], tsr_data(composed)[k], 1e-5);
        tsr_close(ctx);
    }
}

TEST(conv_keeps_the_error_bound_of_its_precision_at_every_level)
{
    check_precision(1);
    check_precision(2);
}

TEST(conv_is_the_sum_that_defines_it_where_images_have_many_channels)
{
    check_definition(TSR_SHAPE(2, 9, 13, 40), TSR_SHAPE(3, 3, 40, 35),
                     &(tsr_conv_options){.padding = {1, 1}});
    check_definition(TSR_SHAPE(3, 11, 10, 20), TSR_SHAPE(3, 5, 20, 17),
                     &(tsr_conv_options){.stride = {2, 3}, .padding = {1, 2}});
    check_definition(TSR_SHAPE(1, 14, 15, 8), TSR_SHAPE(3, 4, 8, 9),
                     &(tsr_conv_options){.stride = {2, 4}, .dilation = {3, 2}});
    check_definition(TSR_SHAPE(2, 75, 9), TSR_SHAPE(7, 9, 33),
                     &(tsr_conv_options){.stride = {3}, .padding = {4}, .dilation = {2}});
    check_definition(TSR_SHAPE(1, 5, 6, 7, 10), TSR_SHAPE(3, 2, 3, 10, 12),
                     &(tsr_conv_options){.stride = {2, 1, 2}, .padding = {1, 1, 2}});
    check_definition(TSR_SHAPE(2, 7, 6, 48), TSR_SHAPE(3, 3, 24, 32),
                     &(tsr_conv_options){.groups = 2, .padding = {1, 1}});
    check_definition(TSR_SHAPE(2, 7, 6, 33), TSR_SHAPE(1, 1, 33, 20), &(tsr_conv_options){.stride = {1, 1}});
    check_definition(TSR_SHAPE(2, 7, 6, 16), TSR_SHAPE(1, 1, 16, 20), &(tsr_conv_options){.stride = {2, 2}});
    check_definition(TSR_SHAPE(2, 3, 4, 9), TSR_SHAPE(1, 1, 9, 8),
                     &(tsr_conv_options){.stride = {2, 1}, .padding_end = {2, 0}});
    check_definition(TSR_SHAPE(20, 3, 3, 30), TSR_SHAPE(3, 3, 30, 3), &(tsr_conv_options){.stride = {1, 1}});
}

TEST(conv_is_the_sum_that_defines_it_where_much_of_what_it_sees_is_outside)
{
    check_definition(TSR_SHAPE(13, 4, 5, 32), TSR_SHAPE(5, 5, 32, 9), &(tsr_conv_options){.padding = {2, 2}});
    check_definition(TSR_SHAPE(14, 3, 2, 5, 30), TSR_SHAPE(3, 3, 5, 30, 20), &(tsr_conv_options){.padding = {1, 1, 2}});
    check_definition(TSR_SHAPE(1, 6, 7, 9, 32), TSR_SHAPE(3, 3, 5, 32, 8), &(tsr_conv_options){.padding = {1, 1, 2}});
    check_definition(TSR_SHAPE(12, 2, 3, 64), TSR_SHAPE(5, 3, 64, 8), &(tsr_conv_options){.padding = {7, 1}});
}

TEST(conv_is_the_sum_that_defines_it_where_images_have_few_channels)
{
    check_definition(TSR_SHAPE(1, 5000, 3), TSR_SHAPE(9, 3, 12), &(tsr_conv_options){.padding = {4}, .stride = {2}});
    check_definition(TSR_SHAPE(2, 40, 37, 3), TSR_SHAPE(3, 3, 3, 20), &(tsr_conv_options){.padding = {1, 1}});
    check_definition(TSR_SHAPE(3, 31, 33, 3), TSR_SHAPE(7, 7, 3, 18),
                     &(tsr_conv_options){.stride = {2, 2}, .padding = {3, 3}});
    check_definition(TSR_SHAPE(1, 60, 21, 2), TSR_SHAPE(3, 2, 2, 5),
                     &(tsr_conv_options){.stride = {3, 2}, .dilation = {2, 5}, .padding = {4, 0}});
    check_definition(TSR_SHAPE(1, 1000, 1), TSR_SHAPE(9, 1, 24), &(tsr_conv_options){.padding = {4}});
    check_definition(TSR_SHAPE(1, 999, 5), TSR_SHAPE(6, 5, 4),
                     &(tsr_conv_options){.stride = {4}, .padding = {7}});
    check_definition(TSR_SHAPE(1, 20, 7, 9, 1), TSR_SHAPE(3, 3, 5, 1, 6),
                     &(tsr_conv_options){.padding = {1, 0, 2}});
    check_definition(TSR_SHAPE(2, 9, 8, 6), TSR_SHAPE(3, 3, 2, 9),
                     &(tsr_conv_options){.groups = 3, .stride = {2, 1}, .padding = {1, 1}});
}

TEST(conv_is_the_sum_that_defines_it_where_channels_are_apart)
{
    check_definition(TSR_SHAPE(2, 9, 11, 37), TSR_SHAPE(3, 3, 1, 37),
                     &(tsr_conv_options){.groups = 37, .padding = {1, 1}});
    check_definition(
        TSR_SHAPE(2, 9, 12, 18), TSR_SHAPE(3, 5, 1, 36),
        &(tsr_conv_options){.groups = 18, .stride = {2, 3}, .dilation = {2, 2}, .padding = {3, 4}});
    check_definition(TSR_SHAPE(1, 4, 5, 6, 3), TSR_SHAPE(2, 3, 2, 1, 3),
                     &(tsr_conv_options){.groups = 3, .stride = {1, 2, 3}, .padding = {1, 1, 0}});
    check_definition(TSR_SHAPE(2, 6, 5, 2), TSR_SHAPE(3, 3, 1, 12), &(tsr_conv_options){.groups = 2});
}

/* ---- threads, work ------------------------------------------------------------------------------------- */

static void run_apart(int threads, tsr_real *values, int64_t count)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = 4, .threads = threads});
    tsr_tensor *x = tsr_watch(tsr_normal(ctx, TSR_SHAPE(3, 30, 31, 20), 0, 1, 1));
    tsr_tensor *w = tsr_watch(tsr_normal(ctx, TSR_SHAPE(3, 3, 1, 20), 0, 1, 2));
    tsr_tensor *y = tsr_conv(x, w, NULL, &(tsr_conv_options){.groups = 20, .padding = {1, 1}});
    tsr_backward_from(y, tsr_normal(ctx, tsr_shape_of(y), 0, 1, 3));
    tsr_tensor *parts[] = {y, tsr_grad(x), tsr_grad(w)};
    for (int i = 0; i < 3 && tsr_size(parts[i]) <= count;
         values += tsr_size(parts[i]), count -= tsr_size(parts[i]), i++)
        tsr_copy_out(parts[i], values, tsr_size(parts[i]));
    test_check(count == 0 && !tsr_error(ctx), "all parts were there", __FILE__, __LINE__);
    tsr_close(ctx);
}

TEST(conv_with_channels_apart_has_the_same_bits_for_1_and_3_threads)
{
    enum { COUNT = 2 * 3 * 30 * 31 * 20 + 3 * 3 * 20 };
    static tsr_real one[COUNT], three[COUNT];
    run_apart(1, one, COUNT);
    run_apart(3, three, COUNT);
    CHECK(memcmp(one, three, sizeof one) == 0);
}

TEST(conv_of_every_kind_counts_its_work)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_zeros(ctx, TSR_SHAPE(2, 5, 6, 4));
    double before = ctx->work;
    tsr_conv(x, tsr_zeros(ctx, TSR_SHAPE(3, 3, 4, 8)), NULL, NULL);
    CHECK_EQUAL(ctx->work - before, 2 * 3 * 4 * 9 * 4 * 8);
    before = ctx->work;
    tsr_conv(x, tsr_zeros(ctx, TSR_SHAPE(3, 3, 1, 4)), NULL, &(tsr_conv_options){.groups = 4});
    CHECK_EQUAL(ctx->work - before, 2 * 3 * 4 * 9 * 4);
    before = ctx->work;
    tsr_conv_transpose(x, tsr_zeros(ctx, TSR_SHAPE(3, 3, 7, 4)), NULL, &(tsr_conv_options){.stride = {2, 2}});
    CHECK_EQUAL(ctx->work - before, 2 * 5 * 6 * 9 * 4 * 7);
    before = ctx->work;
    tsr_locally_connected(x, tsr_zeros(ctx, TSR_SHAPE(3, 4, 3, 3, 4, 8)), NULL, NULL);
    CHECK_EQUAL(ctx->work - before, 2 * 3 * 4 * 9 * 4 * 8);
    tsr_close(ctx);
}

TEST(conv_options_for_axes_that_are_not_there_are_an_error)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_zeros(ctx, TSR_SHAPE(1, 5, 5, 2)), *w = tsr_zeros(ctx, TSR_SHAPE(3, 3, 2, 2));
    CHECK(!tsr_is_error(
        tsr_conv(x, w, NULL, &(tsr_conv_options){.stride = {1, 1, 1}, .padding = {1, 1, TSR_ZERO}})));
    tsr_conv(x, w, NULL, &(tsr_conv_options){.stride = {1, 2, 2}});
    CHECK_CONTAINS(tsr_error(ctx), "conv: options for 3 spatial axes, input [1, 5, 5, 2] has 2");
    tsr_clear_error(ctx);
    tsr_conv(x, w, NULL, &(tsr_conv_options){.output_padding = {1}});
    CHECK_CONTAINS(tsr_error(ctx), "conv: output_padding is for conv_transpose");
    tsr_clear_error(ctx);
    tsr_conv(x, w, NULL, &(tsr_conv_options){.groups = -1});
    CHECK_CONTAINS(tsr_error(ctx), "conv: groups is -1");
    tsr_clear_error(ctx);
    tsr_conv(x, w, NULL, &(tsr_conv_options){.activation = (tsr_activation)9});
    CHECK_CONTAINS(tsr_error(ctx), "conv: there is no activation 9");
    tsr_close(ctx);
}

TEST(conv_without_values_on_one_side_is_zeros_and_bias)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_watch(tsr_zeros(ctx, TSR_SHAPE(1, 4, 4, 0))), *b = tsr_full(ctx, TSR_SHAPE(2), 3);
    const tsr_tensor *y = tsr_conv(x, tsr_zeros(ctx, TSR_SHAPE(3, 3, 0, 2)), b, NULL);
    CHECK_EQUAL(tsr_size(y), 8);
    for (int i = 0; i < 8; i++) CHECK_EQUAL(tsr_data(y)[i], 3);
    tsr_tensor *full = tsr_watch(tsr_full(ctx, TSR_SHAPE(1, 4, 4, 9), 1));
    tsr_tensor *none = tsr_conv(full, tsr_zeros(ctx, TSR_SHAPE(3, 3, 9, 0)), NULL, NULL);
    CHECK(tsr_backward_from(none, tsr_zeros(ctx, TSR_SHAPE(1, 2, 2, 0))));
    for (int i = 0; i < tsr_size(full); i++) CHECK_EQUAL(tsr_data(tsr_grad(full))[i], 0);
    tsr_tensor *nothing = tsr_zeros(ctx, TSR_SHAPE(1, 0, 2, 3)), *w = tsr_zeros(ctx, TSR_SHAPE(2, 2, 3, 4));
    CHECK(tsr_same_shape(tsr_shape_of(tsr_conv(nothing, w, NULL, &(tsr_conv_options){.padding = {1, 1}})),
                         TSR_SHAPE(1, 1, 3, 4)));
    CHECK(!tsr_error(ctx));
    tsr_close(ctx);
}
