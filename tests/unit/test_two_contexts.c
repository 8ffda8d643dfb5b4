/* Two contexts share nothing: two threads that train at once get, bit by bit, what each gets alone. */
#include <string.h>

#include "tessera.h"
#include "tests/test.h"

#if !defined(__STDC_NO_THREADS__) && defined(__has_include)
#if __has_include(<threads.h>)
#include <threads.h>
#define HAS_THREADS 1
#endif
#endif

enum { STEPS = 6 };

typedef struct training {
    uint64_t seed;
    int threads;
    const char *path; /* of a checkpoint written and read on the way */
    tsr_real losses[STEPS], weights[8 * 3 * 3 * 3];
    bool failed;
} training;

static tsr_tensor *net(tsr_model *m, tsr_tensor *x)
{
    x = tsr_nn_conv(m, "conv", x, 8, &(tsr_conv_options){.kernel = {3, 3}, .padding = {1, 1}});
    x = tsr_nn_batch_norm(m, "bn", x, &(tsr_norm_options){.activation = TSR_RELU});
    x = tsr_max_pool(x, &(tsr_pool_options){.kernel = {2, 2}});
    x = tsr_nn_conv(m, "deep", x, 16, &(tsr_conv_options){.kernel = {3, 3}, .padding = {1, 1}});
    return tsr_l2_normalize(tsr_nn_linear(m, "out", tsr_nn_dropout(m, x, 0.1), 8, NULL), 1);
}

static int train(void *user)
{
    training *t = user;
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = t->seed, .threads = t->threads});
    tsr_model *m = tsr_model_new(ctx);
    tsr_optimizer *opt = tsr_adam(m, NULL);
    for (int step = 0; step < STEPS; step++)
        TSR_SCOPE(ctx) {
            tsr_tensor *x = tsr_normal(ctx, TSR_SHAPE(8, 16, 16, 3), 0, 1, (uint64_t)step);
            tsr_tensor *labels = tsr_values(ctx, TSR_SHAPE(8), (tsr_real[]){0, 0, 1, 1, 2, 2, 3, 3});
            const tsr_triplet_options options = {.margin = 0.5, .mining = (tsr_mining)(step % 4)};
            tsr_tensor *loss = tsr_triplet_loss(net(m, x), labels, &options);
            tsr_backward(loss);
            t->losses[step] = (tsr_real)tsr_item(loss);
            tsr_clip_norm(m, 1);
            tsr_step(opt);
            if (step == 2) tsr_checkpoint_save(m, opt, t->path);
            if (step == 2) tsr_checkpoint_load(m, opt, t->path);
        }
    tsr_copy_out(tsr_model_tensor(m, tsr_model_find(m, "conv.weight")), t->weights, sizeof t->weights / sizeof *t->weights);
    t->failed = tsr_close(ctx) != 0;
    return 0;
}

TEST(two_contexts_in_two_threads_train_at_once)
{
#ifdef HAS_THREADS
    for (int threads = 1; threads <= 2; threads++) {
        training alone[2], both[2];
        thrd_t running[2];
        for (int i = 0; i < 2; i++) {
            alone[i] = (training){.seed = (uint64_t)i, .threads = threads, .path = test_path(i ? "two-b" : "two-a")};
            both[i] = alone[i];
            train(&alone[i]);
            CHECK(!alone[i].failed);
        }
        for (int round = 0; round < 4; round++) {
            for (int i = 0; i < 2; i++) CHECK(thrd_create(&running[i], train, &both[i]) == thrd_success);
            for (int i = 0; i < 2; i++) CHECK(thrd_join(running[i], NULL) == thrd_success);
            for (int i = 0; i < 2; i++) {
                CHECK(!both[i].failed);
                CHECK(memcmp(alone[i].losses, both[i].losses, sizeof alone[i].losses) == 0);
                CHECK(memcmp(alone[i].weights, both[i].weights, sizeof alone[i].weights) == 0);
            }
        }
    }
#else
    test_skip("this C library has no threads.h");
#endif
}
