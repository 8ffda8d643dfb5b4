/* Pooling: what known answers do not reach. */
#include "tests/test.h"
#include "ops/ops.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* The error that `expression` leaves, in a context of its own with x [2, 5, 6, 3]. */
#define CHECK_REFUSES(expression, part)                                                                                \
    do {                                                                                                               \
        tsr_context *ctx = tsr_open(NULL);                                                                             \
        tsr_tensor *x = tsr_normal(ctx, TSR_SHAPE(2, 5, 6, 3), 0, 1, 0);                                               \
        const bool refused = x && tsr_is_error(expression);                                                            \
        char text[512] = "";                                                                                           \
        if (tsr_error(ctx)) strncpy(text, tsr_error(ctx), sizeof text - 1);                                            \
        tsr_close(ctx);                                                                                                \
        CHECK(refused);                                                                                                \
        CHECK_CONTAINS(text, part);                                                                                    \
    } while (0)

#define POOL(...) &(tsr_pool_options){__VA_ARGS__}

static bool values_are(const tsr_tensor *t, int64_t count, const tsr_real *values)
{
    return !tsr_is_error(t) && tsr_size(t) == count &&
           memcmp(tsr_data(t), values, (size_t)count * sizeof *values) == 0;
}
#define VALUES_ARE(t, ...)                                                                                             \
    values_are(t, (int64_t)(sizeof((tsr_real[]){__VA_ARGS__}) / sizeof(tsr_real)), (tsr_real[]){__VA_ARGS__})

static tsr_tensor *line(tsr_context *ctx, int64_t length, const tsr_real *values)
{
    return tsr_watch(tsr_values(ctx, TSR_SHAPE(1, length, 1), values));
}

/* ---- misuse ------------------------------------------------------------------------------------------------------ */

TEST(pool_refuses)
{
    CHECK_REFUSES(tsr_max_pool(x, NULL), "max_pool: options with a kernel are required");
    CHECK_REFUSES(tsr_max_pool(x, POOL(.kernel = {2})),
                  "max_pool: kernel 0 for spatial axis 1, expected 1 or more");
    CHECK_REFUSES(tsr_max_pool(x, POOL(.kernel = {2, 2, 2})),
                  "max_pool: a kernel for 3 axes, input [2, 5, 6, 3] has 2 spatial");
    CHECK_REFUSES(tsr_avg_pool(x, POOL(.kernel = {2, 2}, .stride = {1, -1})),
                  "avg_pool: stride -1 for spatial axis 1");
    CHECK_REFUSES(tsr_avg_pool(x, POOL(.kernel = {2, 2}, .stride = {TSR_ZERO})),
                  "avg_pool: stride 0 for spatial axis 0");
    CHECK_REFUSES(tsr_avg_pool(x, POOL(.kernel = {2, 2}, .padding = {2})), "padding 2, 2 for spatial axis 0");
    CHECK_REFUSES(tsr_avg_pool(x, POOL(.kernel = {2, 2}, .padding = {-1})),
                  "padding -1, -1 for spatial axis 0");
    CHECK_REFUSES(tsr_avg_pool(x, POOL(.kernel = {2, 2}, .padding_end = {0, 2})),
                  "padding 0, 2 for spatial axis 1");
    CHECK_REFUSES(tsr_max_pool(x, POOL(.kernel = {2, 7})),
                  "max_pool: kernel 7 does not fit spatial axis 1 of input [2, 5, 6, 3] with padding 0, 0");
    CHECK_REFUSES(tsr_max_pool(x, POOL(.kernel = {INT_MAX, 2}, .padding = {9})),
                  "kernel 2147483647 does not fit");
    CHECK_REFUSES(tsr_max_pool(tsr_zeros(ctx, TSR_SHAPE(2, 3)), POOL(.kernel = {2})),
                  "max_pool: input [2, 3], expected [N, S..., C]");
    CHECK_REFUSES(tsr_max_pool(tsr_zeros(ctx, TSR_SHAPE(2, 0, 3)), POOL(.kernel = {1})),
                  "does not fit spatial axis 0");
    CHECK_REFUSES(tsr_max_pool_indices(x, POOL(.kernel = {2})), "max_pool_indices: kernel 0");
    CHECK_REFUSES(tsr_lp_pool(x, POOL(.kernel = {2, 2}, .power = 0.5)),
                  "lp_pool: power 0.5, expected a number of 1 or more");
    CHECK_REFUSES(tsr_lp_pool(x, POOL(.kernel = {2, 2}, .power = NAN)), "lp_pool: power nan");
    CHECK_REFUSES(tsr_lp_pool(x, POOL(.kernel = {2, 2}, .power = INFINITY)), "lp_pool: power inf");
}

TEST(adaptive_pool_refuses)
{
    CHECK_REFUSES(tsr_adaptive_avg_pool(x, NULL), "adaptive_avg_pool: a size is required");
    CHECK_REFUSES(tsr_adaptive_max_pool(x, (int64_t[]){2, 0}),
                  "adaptive_max_pool: size 0 for spatial axis 1");
    CHECK_REFUSES(tsr_adaptive_max_pool(x, (int64_t[]){-3, 1}),
                  "adaptive_max_pool: size -3 for spatial axis 0");
    CHECK_REFUSES(tsr_adaptive_max_pool(x, (int64_t[]){1, INT64_MAX}), "out of memory");
    CHECK_REFUSES(tsr_adaptive_avg_pool(tsr_zeros(ctx, TSR_SHAPE(2, 3)), (int64_t[]){1}),
                  "expected [N, S..., C]");
    CHECK_REFUSES(tsr_adaptive_avg_pool(tsr_zeros(ctx, TSR_SHAPE(2, 0, 3)), (int64_t[]){1}),
                  "spatial axis 0 of input [2, 0, 3] is empty");
}

static tsr_tensor *unpool(tsr_tensor *x, double index, int64_t size)
{
    tsr_context *ctx = tsr_context_of(x);
    return tsr_max_unpool(tsr_zeros(ctx, TSR_SHAPE(1, 1, 1)), tsr_full(ctx, TSR_SHAPE(1, 1, 1), index),
                          &size);
}

TEST(max_unpool_refuses)
{
    CHECK_REFUSES(unpool(x, 4, 4),
                  "max_unpool: index 0 of [1, 1, 1] is 4, expected a whole number from 0 to 3");
    CHECK_REFUSES(unpool(x, 1.5, 4), "is 1.5");
    CHECK_REFUSES(unpool(x, NAN, 4), "is nan");
    CHECK_REFUSES(unpool(x, 0, 0), "max_unpool: size 0 for spatial axis 0");
    CHECK_REFUSES(unpool(x, 0, INT64_MAX), "max_unpool: size 9223372036854775807 for spatial axis 0");
    CHECK_REFUSES(tsr_max_unpool(x, tsr_slice(x, 0, 0, 1), (int64_t[]){5, 6}),
                  "max_unpool: input [2, 5, 6, 3] and indices [1, 5, 6, 3] differ in shape");
    CHECK_REFUSES(tsr_max_unpool(x, x, NULL), "max_unpool: a size is required");
}

/* ---- edges ------------------------------------------------------------------------------------------------------- */

TEST(pool_of_an_empty_batch_and_of_no_channels)
{
    tsr_context *ctx = tsr_open(NULL);
    for (int i = 0; i < 2; i++) {
        tsr_tensor *x = tsr_watch(tsr_zeros(ctx, TSR_SHAPE(i, 4, 1 - i)));
        tsr_tensor *results[] = {
            tsr_max_pool(x, POOL(.kernel = {2})), tsr_avg_pool(x, POOL(.kernel = {2})),
            tsr_lp_pool(x, POOL(.kernel = {2})),  tsr_adaptive_avg_pool(x, (int64_t[]){2}),
            tsr_max_unpool(x, x, (int64_t[]){2}), tsr_max_pool_indices(x, POOL(.kernel = {2}))};
        for (int k = 0; k < 6; k++) {
            CHECK(tsr_same_shape(tsr_shape_of(results[k]), TSR_SHAPE(i, 2, 1 - i)));
            CHECK(k == 5 || tsr_backward_from(results[k], tsr_zeros(ctx, TSR_SHAPE(i, 2, 1 - i))));
        }
    }
    CHECK(!tsr_error(ctx));
    tsr_close(ctx);
}

TEST(max_pool_gives_ties_to_the_first)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = line(ctx, 4, (tsr_real[]){2, 2, 2, 1}),
               *y = tsr_max_pool(x, POOL(.kernel = {3}, .stride = {1}));
    CHECK(VALUES_ARE(y, 2, 2));
    CHECK(VALUES_ARE(tsr_max_pool_indices(x, POOL(.kernel = {3}, .stride = {1})), 0, 1));
    CHECK(tsr_backward_from(y, tsr_values(ctx, TSR_SHAPE(1, 2, 1), (tsr_real[]){5, 7})));
    CHECK(VALUES_ARE(tsr_grad(x), 5, 7, 0, 0));
    tsr_close(ctx);
}

TEST(max_pool_never_picks_padding)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = line(ctx, 2, (tsr_real[]){-3, -INFINITY});
    CHECK(VALUES_ARE(tsr_max_pool(x, POOL(.kernel = {2}, .stride = {1}, .padding = {1})), -3, -3, -INFINITY));
    tsr_close(ctx);
}

TEST(max_pool_lets_nan_through)
{
    tsr_context *ctx = tsr_open(NULL);
    for (int at = 0; at < 3; at++) {
        tsr_real values[] = {1, 2, 3};
        values[at] = NAN;
        CHECK(isnan(tsr_item(tsr_max_pool(line(ctx, 3, values), POOL(.kernel = {3})))));
    }
    tsr_close(ctx);
}

TEST(avg_pool_of_a_long_line_is_exact_enough)
{
    tsr_context *ctx = tsr_open(NULL);
    for (int channels = 1; channels <= 9; channels += 8) {
        tsr_tensor *x = tsr_full(ctx, TSR_SHAPE(1, 1000000, channels), 0.1);
        CHECK_NEAR(tsr_data(tsr_adaptive_avg_pool(x, (int64_t[]){1}))[0], 0.1, 3e-6);
        tsr_trim(ctx);
    }
    tsr_close(ctx);
}

TEST(avg_pool_counts_padding_unless_told)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = line(ctx, 3, (tsr_real[]){6, 12, 18});
    CHECK(VALUES_ARE(tsr_avg_pool(x, POOL(.kernel = {2}, .padding = {1})), 3, 15));
    CHECK(VALUES_ARE(tsr_avg_pool(x, POOL(.kernel = {2}, .padding = {1}, .exclude_padding = true)), 6, 15));
    CHECK(VALUES_ARE(tsr_avg_pool(x, POOL(.kernel = {2}, .ceil_mode = true)), 9, 18));
    CHECK(VALUES_ARE(tsr_avg_pool(x, POOL(.kernel = {4}, .padding = {TSR_ZERO}, .padding_end = {1})), 9));
    tsr_close(ctx);
}

TEST(lp_pool_is_finite_at_zero_and_for_large_values)
{
    tsr_context *ctx = tsr_open(NULL);
    const double powers[] = {1, 2, 3, 1.5, 300};
    for (int i = 0; i < 5; i++) {
        const tsr_real huge = sizeof(tsr_real) == 8 ? (tsr_real)1e300 : (tsr_real)1e37;
        tsr_tensor *x = line(ctx, 4, (tsr_real[]){0, 0, huge, -huge});
        tsr_tensor *y = tsr_lp_pool(x, POOL(.kernel = {2}, .power = powers[i]));
        CHECK(tsr_backward_from(y, tsr_full(ctx, TSR_SHAPE(1, 2, 1), 1)));
        const tsr_real *g = tsr_data(tsr_grad(x));
        CHECK_EQUAL(tsr_data(y)[0], 0);
        CHECK_NEAR((double)tsr_data(y)[1] / (double)huge, pow(2, 1 / powers[i]), 1e-6);
        CHECK(g[0] == 0 && g[1] == 0 && g[2] > 0 && g[2] <= 1 && g[3] == -g[2]);
    }
    CHECK(!tsr_error(ctx));
    tsr_close(ctx);
}

TEST(lp_pool_of_small_values_and_of_what_never_fires)
{
    tsr_context *ctx = tsr_open(NULL);
    const double small = sizeof(tsr_real) == 8 ? 1e-200 : 1e-25;
    tsr_tensor *x = line(ctx, 6, (tsr_real[]){(tsr_real)(3 * small), (tsr_real)(4 * small), 0, 0, 3, -4});
    tsr_tensor *y = tsr_lp_pool(x, POOL(.kernel = {2}));
    const tsr_real *p = tsr_data(y);
    CHECK_NEAR((double)p[0] / small, 5, 1e-5);
    CHECK(p[1] == 0 && fabs((double)p[2] - 5) < 1e-6);
    CHECK(tsr_backward_from(y, tsr_full(ctx, TSR_SHAPE(1, 3, 1), 1)));
    const tsr_real *g = tsr_data(tsr_grad(x));
    CHECK_NEAR(g[0], 0.6, 1e-6);
    CHECK(g[2] == 0 && g[3] == 0);
    CHECK_NEAR(g[5], -0.8, 1e-6);
    tsr_close(ctx);
}

/* More places than a byte can number, in one and two axes. */
TEST(max_pool_remembers_places_in_large_windows)
{
    tsr_context *ctx = tsr_open(NULL);
    const tsr_shape shapes[] = {TSR_SHAPE(2, 20, 17, 5), TSR_SHAPE(2, 340, 5)};
    for (int i = 0; i < 2; i++) {
        tsr_tensor *x = tsr_watch(tsr_normal(ctx, shapes[i], 0, 1, 4));
        const tsr_pool_options *options = i == 0 ? POOL(.kernel = {20, 17}) : POOL(.kernel = {340});
        tsr_tensor *where = tsr_max_pool_indices(x, options);
        CHECK(tsr_backward_from(tsr_max_pool(x, options), tsr_full(ctx, tsr_shape_of(where), 1)));
        double sum = 0;
        for (int64_t k = 0; k < tsr_size(x); k++) sum += (double)tsr_data(tsr_grad(x))[k];
        CHECK_NEAR(sum, 10, 1e-6);
        for (int64_t k = 0; k < 10; k++)
            CHECK_EQUAL(tsr_data(tsr_grad(x))[(k / 5 * 340 + (int64_t)tsr_data(where)[k]) * 5 + k % 5], 1);
    }
    CHECK(!tsr_error(ctx));
    tsr_close(ctx);
}

/* Long enough to be cut in segments, whose windows reach into each other. */
TEST(pooling_of_long_lines_is_that_of_its_windows)
{
    enum { LENGTH = 30000 };
    static double shares[2 * LENGTH];
    tsr_context *ctx = tsr_open(NULL);
    const tsr_pool_options *options =
        POOL(.kernel = {2, 3}, .stride = {1, 1}, .padding = {TSR_ZERO, 1}, .exclude_padding = true);
    tsr_tensor *x = tsr_watch(tsr_normal(ctx, TSR_SHAPE(1, 2, LENGTH, 1), 0, 1, 4)), *y = tsr_max_pool(x, options);
    const tsr_real *values = tsr_data(x), *mean = tsr_data(tsr_avg_pool(x, options));
    for (int i = 0; i < LENGTH; i++) {
        double sum = 0;
        const int begin = i > 0 ? i - 1 : 0, end = i + 2 < LENGTH ? i + 2 : LENGTH;
        int first = begin;
        for (int k = begin; k < end; k++)
            for (int at = k; at < 2 * LENGTH; at += LENGTH) {
                sum += (double)values[at];
                if (values[at] > values[first]) first = at;
            }
        CHECK_EQUAL(tsr_data(y)[i], values[first]);
        CHECK_NEAR(mean[i], sum / (2 * (end - begin)), 1e-6);
        shares[first]++;
    }
    CHECK(tsr_backward_from(y, tsr_full(ctx, tsr_shape_of(y), 1)));
    for (int i = 0; i < 2 * LENGTH; i++) CHECK_EQUAL(tsr_data(tsr_grad(x))[i], shares[i]);
    tsr_close(ctx);
}

TEST(max_unpool_undoes_max_pool)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = line(ctx, 4, (tsr_real[]){1, 3, 4, 2});
    tsr_tensor *y = tsr_max_pool(x, POOL(.kernel = {2})),
               *where = tsr_max_pool_indices(x, POOL(.kernel = {2}));
    CHECK(VALUES_ARE(tsr_max_unpool(y, where, (int64_t[]){4}), 0, 3, 4, 0));
    tsr_close(ctx);
}

TEST(max_unpool_keeps_the_last_of_two)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = line(ctx, 2, (tsr_real[]){5, 6});
    tsr_tensor *y = tsr_max_unpool(x, tsr_full(ctx, TSR_SHAPE(1, 2, 1), 1), (int64_t[]){3});
    CHECK(VALUES_ARE(y, 0, 6, 0));
    CHECK(tsr_backward_from(y, tsr_full(ctx, TSR_SHAPE(1, 3, 1), 2)));
    CHECK(VALUES_ARE(tsr_grad(x), 0, 2));
    tsr_close(ctx);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

static tsr_tensor *max_overlapping(tsr_tensor *x)
{
    return tsr_max_pool(x, POOL(.kernel = {5, 3}, .stride = {2, 1}, .padding = {2, 1}));
}
static tsr_tensor *avg_overlapping(tsr_tensor *x)
{
    return tsr_avg_pool(x, POOL(.kernel = {5, 3}, .stride = {2, 1}, .padding = {2, 1}));
}
static tsr_tensor *lp_overlapping(tsr_tensor *x)
{
    return tsr_lp_pool(x, POOL(.kernel = {5, 3}, .stride = {2, 1}, .padding = {2, 1}));
}
static tsr_tensor *max_adaptive(tsr_tensor *x) { return tsr_adaptive_max_pool(x, (int64_t[]){50, 7}); }

static tsr_tensor *unpooled(tsr_tensor *x)
{
    const tsr_pool_options *options = POOL(.kernel = {3, 3}, .stride = {1, 1}, .padding = {1, 1});
    return tsr_max_unpool(x, tsr_max_pool_indices(x, options), (int64_t[]){60, 30});
}

static int64_t run_with_threads(tsr_tensor *(*fn)(tsr_tensor *x), int threads, tsr_real *out)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = 5, .threads = threads});
    tsr_tensor *x = tsr_watch(tsr_normal(ctx, TSR_SHAPE(2, 60, 30, 40), 0, 1, 1)), *y = fn(x);
    tsr_backward_from(y, tsr_normal(ctx, tsr_shape_of(y), 0, 1, 2));
    const int64_t size = tsr_size(x) + tsr_size(y);
    tsr_copy_out(tsr_grad(x), out, tsr_size(x));
    tsr_copy_out(y, out + tsr_size(x), tsr_size(y));
    test_check(!tsr_error(ctx), "no error", __FILE__, __LINE__);
    tsr_close(ctx);
    return size;
}

TEST(pooling_has_the_same_bits_with_one_and_three_threads)
{
    static tsr_real one[300000], three[300000];
    tsr_tensor *(*const functions[])(tsr_tensor *) = {max_overlapping, avg_overlapping, lp_overlapping,
                                                      max_adaptive, unpooled};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        const int64_t size = run_with_threads(functions[i], 1, one);
        CHECK_EQUAL(run_with_threads(functions[i], 3, three), size);
        CHECK(memcmp(one, three, (size_t)size * sizeof *one) == 0);
    }
}

/* An image of one channel is one piece of work, one of 40 is several, with windows across their borders. */
TEST(pooling_adds_each_gradient_once_where_pieces_meet)
{
    tsr_tensor *(*const functions[])(tsr_tensor *) = {max_overlapping, avg_overlapping, lp_overlapping,
                                                      max_adaptive};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        tsr_context *ctx = tsr_open(NULL);
        tsr_tensor *x = tsr_watch(tsr_normal(ctx, TSR_SHAPE(2, 60, 30, 40), 0, 1, 1)), *y = functions[i](x);
        tsr_tensor *g = tsr_normal(ctx, tsr_shape_of(y), 0, 1, 2);
        tsr_tensor *one = tsr_watch(tsr_detach(tsr_slice(x, -1, 7, 8)));
        tsr_backward_from(y, g);
        tsr_backward_from(functions[i](one), tsr_slice(g, -1, 7, 8));
        CHECK(!tsr_error(ctx));
        const tsr_real *all = tsr_data(tsr_grad(x)), *alone = tsr_data(tsr_grad(one));
        for (int64_t k = 0; k < tsr_size(one); k++) CHECK_NEAR(all[k * 40 + 7], alone[k], 1e-6);
        tsr_close(ctx);
    }
}
