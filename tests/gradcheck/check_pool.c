/* Gradient checks of ops/pool.c, max_pool.c and unpool.c. */
#include "tests/gradcheck/gradcheck.h"

static tsr_pool_options options;
static int64_t size[3];

/* Several geometries with the options' power and padding rule: plain, overlapping with uneven padding, with
 * gaps and ceil_mode, one and three spatial axes, windows of one value, more channels than are treated at
 * once. */
static void check_geometries(tsr_context *ctx, tsr_function fn, const tsr_pool_options *kind)
{
    static const struct {
        tsr_shape shape;
        tsr_pool_options options;
    } cases[] = {
        {{4, {2, 4, 6, 3}}, {.kernel = {2, 2}}},
        {{4, {1, 5, 4, 2}},
         {.kernel = {3, 3}, .stride = {1, 2}, .padding = {1, TSR_ZERO}, .padding_end = {2, 1}}},
        {{4, {2, 7, 5, 1}}, {.kernel = {2, 1}, .stride = {3, 2}, .ceil_mode = true}},
        {{3, {2, 7, 2}}, {.kernel = {3}, .stride = {2}, .padding = {1}, .ceil_mode = true}},
        {{5, {1, 3, 4, 3, 2}}, {.kernel = {2, 3, 2}, .stride = {1, 1, 2}, .padding = {0, 1, 1}}},
        {{3, {1, 1, 2}}, {.kernel = {1}}},
        {{3, {1, 3, 131}}, {.kernel = {2}, .stride = {1}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        options = cases[i].options;
        options.power = kind->power;
        options.exclude_padding = kind->exclude_padding;
        gradcheck_case(ctx, fn, 1, (tsr_tensor *[]){gradcheck_distinct(ctx, cases[i].shape)});
    }
}

static tsr_tensor *max_pool(tsr_tensor *const *in) { return tsr_max_pool(in[0], &options); }
static tsr_tensor *avg_pool(tsr_tensor *const *in) { return tsr_avg_pool(in[0], &options); }
static tsr_tensor *lp_pool(tsr_tensor *const *in) { return tsr_lp_pool(in[0], &options); }

GRADCHECK(max_pool)
{
    check_geometries(ctx, max_pool, &(tsr_pool_options){.power = 0});
}

GRADCHECK(avg_pool)
{
    check_geometries(ctx, avg_pool, &(tsr_pool_options){.power = 0});
    check_geometries(ctx, avg_pool, &(tsr_pool_options){.exclude_padding = true});
}

GRADCHECK(lp_pool)
{
    check_geometries(ctx, lp_pool, &(tsr_pool_options){.power = 0});
    check_geometries(ctx, lp_pool, &(tsr_pool_options){.power = 1});
    check_geometries(ctx, lp_pool, &(tsr_pool_options){.power = 3.5});
}

/* Two values go to place 4 of channel 0; the later stays and takes the gradient. */
static const tsr_real places[] = {4, 0, 4, 5, 1, 3, 0, 2};
static tsr_tensor *max_unpool(tsr_tensor *const *in)
{
    return tsr_max_unpool(in[0], tsr_values(tsr_context_of(in[0]), tsr_shape_of(in[0]), places), size);
}

GRADCHECK(max_unpool)
{
    size[0] = 2, size[1] = 3, size[2] = 1;
    gradcheck_case(ctx, max_unpool, 1, (tsr_tensor *[]){gradcheck_normal(ctx, TSR_SHAPE(1, 2, 2, 2))});
    gradcheck_case(ctx, max_unpool, 1, (tsr_tensor *[]){gradcheck_normal(ctx, TSR_SHAPE(2, 2, 1, 1, 2))});
    size[0] = 6;
    gradcheck_case(ctx, max_unpool, 1, (tsr_tensor *[]){gradcheck_normal(ctx, TSR_SHAPE(2, 4, 1))});
}

static tsr_tensor *adaptive_avg_pool(tsr_tensor *const *in) { return tsr_adaptive_avg_pool(in[0], size); }
static tsr_tensor *adaptive_max_pool(tsr_tensor *const *in) { return tsr_adaptive_max_pool(in[0], size); }

static void check_adaptive(tsr_context *ctx, tsr_function fn)
{
    static const struct {
        tsr_shape shape;
        int64_t size[3];
    } cases[] = {
        {{4, {2, 5, 7, 2}}, {3, 2, 0}}, {{4, {1, 4, 3, 3}}, {1, 1, 0}}, {{4, {1, 2, 3, 1}}, {4, 5, 0}},
        {{3, {2, 7, 10}}, {3, 0, 0}},   {{5, {1, 3, 4, 2, 2}}, {2, 3, 2}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int k = 0; k < 3; k++) size[k] = cases[i].size[k];
        gradcheck_case(ctx, fn, 1, (tsr_tensor *[]){gradcheck_distinct(ctx, cases[i].shape)});
    }
}

GRADCHECK(adaptive_avg_pool)
{
    check_adaptive(ctx, adaptive_avg_pool);
}

GRADCHECK(adaptive_max_pool)
{
    check_adaptive(ctx, adaptive_max_pool);
}
