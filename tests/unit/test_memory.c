/* How much memory a step takes at most. Bounds are in values, so that they hold in both builds. */
#include "core/core_internal.h"
#include "tessera.h"
#include "tests/test.h"

#include <math.h>
#include <string.h>

enum { BLOCKS = 5, LAYERS = 13, KILO = 1024, MEGA = 1024 * 1024 };

static int64_t values_in_use(const tsr_context *ctx)
{
    return (int64_t)(tsr_statistics_of(ctx).bytes / sizeof(tsr_real));
}

static int64_t peak_values(const tsr_context *ctx)
{
    return (int64_t)(tsr_statistics_of(ctx).peak_bytes / sizeof(tsr_real));
}

/* ---- a picture as the parameter (Gatys et al. 2016): VGG-19 up to conv5_1 --------------------------------------- */

typedef struct vgg {
    tsr_tensor *weights[LAYERS], *biases[LAYERS];
    int64_t activations, largest; /* values of one pass, and of its largest result */
} vgg;

static const int widths[BLOCKS] = {64, 128, 256, 512, 512}, counts[BLOCKS] = {2, 2, 4, 4, 1};

static void make_weights(tsr_context *ctx, vgg *net)
{
    int64_t in = 3;
    for (int block = 0, k = 0; block < BLOCKS; block++)
        for (int i = 0; i < counts[block]; i++, k++) {
            const double reach = sqrt(6 / (9 * (double)in));
            net->weights[k] = tsr_uniform(ctx, TSR_SHAPE(3, 3, in, widths[block]), -reach, reach, (uint64_t)k);
            net->biases[k] = tsr_zeros(ctx, TSR_SHAPE(widths[block]));
            in = widths[block];
        }
}

static void count(vgg *net, const tsr_tensor *y)
{
    net->activations += tsr_size(y);
    if (tsr_size(y) > net->largest) net->largest = tsr_size(y);
}

static tsr_tensor *style_loss(vgg *net, tsr_tensor *x)
{
    tsr_tensor *loss = NULL;
    net->activations = net->largest = 0;
    for (int block = 0, k = 0; block < BLOCKS; block++) {
        for (int i = 0; i < counts[block]; i++, k++) {
            const tsr_conv_options options = {.padding = {1, 1}, .activation = TSR_RELU};
            x = tsr_conv(x, net->weights[k], net->biases[k], &options);
            count(net, x);
            if (i > 0) continue;
            tsr_tensor *term = tsr_sum(tsr_square(tsr_gram(x, NULL)), NULL);
            loss = loss ? tsr_add(loss, term) : term;
        }
        if (block + 1 == BLOCKS) break;
        x = tsr_avg_pool(x, &(tsr_pool_options){.kernel = {2, 2}});
        count(net, x);
    }
    return loss;
}

/* What was there before (weights, picture, Adam's state), the results of one pass, one gradient as large as the largest
 * of them, and 4 M values for products in the making and Gram matrices. */
static void image_steps(int size)
{
    vgg net;
    tsr_context *ctx = tsr_open(NULL);
    make_weights(ctx, &net);
    tsr_tensor *start = tsr_normal(ctx, TSR_SHAPE(1, size, size, 3), 0, 1, 99);
    tsr_model *m = tsr_model_new(ctx);
    tsr_optimizer *opt = tsr_adam(m, NULL);
    const int64_t before = values_in_use(ctx), picture = 4 * tsr_size(start);
    for (int step = 0; step < 2; step++) {
        TSR_SCOPE(ctx) {
            tsr_reset_peak(ctx);
            tsr_backward_releasing(style_loss(&net, tsr_parameter(m, "image", start)));
            tsr_step(opt);
            const int64_t most = before + picture + net.activations + net.largest + 4 * MEGA;
            CHECK(peak_values(ctx) <= most);
            CHECK(values_in_use(ctx) <= before + picture + net.activations / 4); /* next to nothing is held on */
        }
    }
    CHECK_EQUAL(tsr_close(ctx), 0);
}

TEST(a_style_step_of_a_small_picture_keeps_to_its_bound) { image_steps(64); }
TEST_FLOAT(a_style_step_of_a_larger_picture_keeps_to_its_bound) { image_steps(128); }

TEST(a_convolution_by_frozen_weights_keeps_its_result_alone)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_watch(tsr_normal(ctx, TSR_SHAPE(1, 40, 40, 32), 0, 1, 1));
    tsr_tensor *w = tsr_normal(ctx, TSR_SHAPE(3, 3, 32, 32), 0, 1, 2);
    const int64_t before = values_in_use(ctx);
    tsr_tensor *y = tsr_conv(x, w, NULL, &(tsr_conv_options){.activation = TSR_RELU});
    CHECK(values_in_use(ctx) - before <= tsr_size(y) + KILO);
    CHECK_EQUAL(tsr_close(ctx), 0);
}

/* ---- a backward pass --------------------------------------------------------------------------------------------- */

enum { CHAIN = 10, LONG = 100000 };

static void walk_back(bool releasing, int64_t most_at_peak, int64_t most_after)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_watch(tsr_normal(ctx, TSR_SHAPE(LONG), 0, 1, 1));
    const int64_t before = values_in_use(ctx);
    TSR_SCOPE(ctx) {
        tsr_tensor *y = x;
        for (int i = 0; i < CHAIN; i++) y = tsr_tanh(y);
        tsr_tensor *loss = tsr_sum(y, NULL);
        if (releasing) tsr_backward_releasing(loss);
        else tsr_backward(loss);
        CHECK(peak_values(ctx) - before <= most_at_peak * LONG + 8 * KILO);
        CHECK(values_in_use(ctx) - before <= most_after * LONG + 8 * KILO);
    }
    CHECK(values_in_use(ctx) - before <= LONG + 8 * KILO); /* the gradient of x */
    CHECK_EQUAL(tsr_close(ctx), 0);
}

TEST(gradients_of_intermediates_return_at_once) { walk_back(false, CHAIN + 2, CHAIN + 1); }
TEST(a_releasing_pass_ends_with_the_gradient_alone) { walk_back(true, CHAIN + 2, 1); }

/* ---- the pool ---------------------------------------------------------------------------------------------------- */

typedef struct piece {
    unsigned char *at;
    size_t bytes;
} piece;

static bool all(const piece *p, unsigned char value)
{
    for (size_t i = 0; i < p->bytes; i += p->bytes / 8 + 1)
        if (p->at[i] != value) return false;
    return p->bytes == 0 || p->at[p->bytes - 1] == value;
}

TEST(blocks_of_any_sizes_never_overlap_and_all_come_back)
{
    enum { PIECES = 200, ROUNDS = 20000 };
    const tsr_rng rng = {1, 2};
    tsr_pool pool;
    tsr_pool_open(&pool, (tsr_allocator){0});
    piece pieces[PIECES] = {{0}};
    bool whole = true, aligned = true;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        const uint64_t i = tsr_random_below(rng, 3 * round, PIECES);
        piece *p = &pieces[i];
        if (p->at) {
            whole = whole && all(p, (unsigned char)i);
            tsr_pool_give(&pool, p->at, p->bytes);
            p->at = NULL;
            continue;
        }
        const uint64_t most = (uint64_t)1 << (4 + tsr_random_below(rng, 3 * round + 1, 17));
        p->bytes = (size_t)tsr_random_below(rng, 3 * round + 2, most);
        p->at = tsr_pool_take(&pool, p->bytes);
        aligned = aligned && (uintptr_t)p->at % 64 == 0;
        memset(p->at, (int)i, p->bytes);
    }
    CHECK(whole && aligned);
    CHECK(pool.statistics.system_bytes < 2 * pool.statistics.peak_bytes);
    for (int i = 0; i < PIECES; i++)
        if (pieces[i].at) tsr_pool_give(&pool, pieces[i].at, pieces[i].bytes);
    CHECK_EQUAL(pool.statistics.bytes, 0);
    tsr_pool_close(&pool);
}

TEST(at_most_an_eighth_of_a_block_is_wasted)
{
    tsr_context *ctx = tsr_open(NULL);
    for (int64_t values = KILO; values < 4 * MEGA; values += values / 7 + 1)
        TSR_SCOPE(ctx) {
            const int64_t before = values_in_use(ctx);
            tsr_zeros(ctx, TSR_SHAPE(values));
            const int64_t taken = values_in_use(ctx) - before;
            CHECK(taken >= values && taken <= values + values / 8 + 128);
        }
    CHECK_EQUAL(tsr_close(ctx), 0);
}

/* What one phase gives back, another one takes in other sizes. */
TEST(sizes_that_change_from_phase_to_phase_share_their_memory)
{
    tsr_context *ctx = tsr_open(NULL);
    int64_t calls = 0;
    for (int round = 0; round < 6; round++) {
        for (int64_t count = 1; count <= 64; count *= 2)
            TSR_SCOPE(ctx)
                for (int64_t i = 0; i < count; i++) tsr_zeros(ctx, TSR_SHAPE(4 * MEGA / count));
        if (round == 2) calls = tsr_statistics_of(ctx).system_calls;
    }
    const tsr_statistics s = tsr_statistics_of(ctx);
    CHECK_EQUAL(s.system_calls, calls);
    CHECK(s.system_bytes <= 2 * s.peak_bytes + 4 * MEGA);
    tsr_trim(ctx);
    CHECK(tsr_statistics_of(ctx).system_bytes < s.system_bytes);
    CHECK_EQUAL(tsr_close(ctx), 0);
}
