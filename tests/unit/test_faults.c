/* Out of memory, at every allocation in turn: an error each time, never a crash, and nothing left behind. */
#include "core/core_internal.h"
#include "tessera.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

typedef struct limited { /* the k-th block cannot be had, nor any later one if `lasting` */
    int64_t requests, fail_at;
    bool lasting;
    int64_t blocks; /* given out by the allocator and not back */
} limited;

static bool denied(void *user)
{
    limited *l = user;
    l->requests++;
    return l->requests == l->fail_at || (l->lasting && l->requests > l->fail_at);
}

static void *counting_allocate(void *user, void *pointer, size_t old_size, size_t new_size)
{
    limited *l = user;
    (void)old_size;
    if (new_size == 0) {
        free(pointer);
        l->blocks--;
        return NULL;
    }
    void *block = malloc(new_size);
    if (block) l->blocks++;
    return block;
}

static void *no_memory(void *user, void *pointer, size_t old_size, size_t new_size)
{
    (void)user, (void)pointer, (void)old_size, (void)new_size;
    return NULL;
}

static tsr_tensor *net(tsr_model *m, tsr_tensor *x)
{
    x = tsr_nn_conv(m, "conv", x, 16, &(tsr_conv_options){.kernel = {3, 3}, .padding = {1, 1}});
    x = tsr_nn_batch_norm(m, "bn", x, &(tsr_norm_options){.activation = TSR_RELU});
    x = tsr_max_pool(x, &(tsr_pool_options){.kernel = {2, 2}});
    x = tsr_nn_conv(m, "conv2", x, 24, &(tsr_conv_options){.kernel = {3, 3}, .stride = {2, 2}, .activation = TSR_RELU});
    return tsr_l2_normalize(tsr_nn_linear(m, "out", tsr_nn_dropout(m, x, 0.1), 32, NULL), 1);
}

/* Opening, a step, a checkpoint, the checkpoint read again. Returns 0 when all went well. */
static int whole_life(limited *l, const char *path)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.threads = 1, .allocator = {counting_allocate, l}});
    if (!ctx) return 1;
    ctx->pool.deny = denied;
    ctx->pool.deny_user = l;
    tsr_model *m = tsr_model_new(ctx), *copy = tsr_model_new(ctx);
    tsr_optimizer *opt = tsr_adam(m, NULL), *copied = tsr_adam(copy, NULL);
    tsr_group(opt, "bn", &(tsr_group_options){.lr_scale = 2});
    TSR_SCOPE(ctx) {
        tsr_tensor *x = tsr_normal(ctx, TSR_SHAPE(8, 12, 12, 3), 0, 1, 1);
        tsr_tensor *labels = tsr_values(ctx, TSR_SHAPE(8), (tsr_real[]){0, 0, 1, 1, 2, 2, 3, 3});
        tsr_backward(tsr_triplet_loss(net(m, x), labels, &(tsr_triplet_options){.margin = 1, .mining = TSR_HARDEST}));
        tsr_clip_norm(m, 1);
        tsr_step(opt);
        tsr_checkpoint_save(m, opt, path);
        tsr_checkpoint_load(copy, copied, path);
        net(copy, x);
    }
    return tsr_close(ctx);
}

static void fail_each(bool lasting, const char *path)
{
    int64_t failures = 0;
    for (int64_t k = 1; k < 5000; k++) {
        limited l = {.fail_at = k, .lasting = lasting};
        const int status = whole_life(&l, path);
        test_check(l.blocks == 0, "every block was given back", __FILE__, __LINE__);
        if (l.requests < k) {
            test_check(status == 0, "succeeds once nothing fails", __FILE__, __LINE__);
            test_check(k > 20 && failures > 0, "the loop met many allocations", __FILE__, __LINE__);
            return;
        }
        test_check(status == 1, "the failure was reported", __FILE__, __LINE__);
        failures += status;
        if (test_failed()) return;
    }
    test_check(false, "the loop came to its end", __FILE__, __LINE__);
}

TEST(out_of_memory_once_at_any_allocation_is_survived) { fail_each(false, test_path("once")); }
TEST(out_of_memory_for_good_from_any_allocation_is_an_error) { fail_each(true, test_path("for-good")); }

TEST(out_of_memory_at_opening_is_told_by_the_null_context)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.allocator = {no_memory, NULL}});
    CHECK(ctx == NULL);
    CHECK_TEXT(tsr_error(ctx), "out of memory");
    tsr_model *m = tsr_model_new(ctx);
    tsr_optimizer *opt = tsr_adam(m, NULL);
    CHECK(net(m, tsr_zeros(ctx, TSR_SHAPE(1, 8, 8, 3))) == NULL);
    CHECK(!tsr_step(opt));
    CHECK_EQUAL(tsr_close(ctx), 1);
}

TEST(out_of_memory_message_names_the_op_and_the_bytes)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_zeros(ctx, TSR_SHAPE(1000));
    tsr_expand(x, TSR_SHAPE((int64_t)1 << 36, 1000));
    CHECK_CONTAINS(tsr_error(ctx), "out of memory: expand needs ");
    tsr_close(ctx);
}
