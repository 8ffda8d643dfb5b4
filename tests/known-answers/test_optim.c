/* Optimizers and schedules against PyTorch. */
#include "tests/known-answers/known.h"

#include <string.h>

#define FILE_NAME "optim.safetensors"

/* A parameter "w" and 20 steps along stored gradients; the path is compared at each. */
static void follow(const char *name, tsr_optimizer *(*make)(tsr_model *m), double looseness)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    tsr_optimizer *opt = make(m);
    tsr_tensor *start = known_tensor(ctx, FILE_NAME, "start"), *gradients = known_tensor(ctx, FILE_NAME, "gradients");
    tsr_tensor *path = known_tensor(ctx, FILE_NAME, name);
    for (int64_t step = 0; step < tsr_dim(path, 0); step++)
        TSR_SCOPE(ctx) {
            const int64_t n = tsr_size(start);
            tsr_tensor *w = tsr_parameter(m, "w", start);
            tsr_backward_from(tsr_add_scalar(w, 0), tsr_values(ctx, TSR_SHAPE(n), tsr_data(gradients) + step * n));
            tsr_step(opt);
            known_agrees(w, tsr_values(ctx, TSR_SHAPE(n), tsr_data(path) + step * n), name, looseness);
        }
    test_check(!tsr_error(ctx), tsr_error(ctx) ? tsr_error(ctx) : name, __FILE__, __LINE__);
    tsr_close(ctx);
}

static tsr_optimizer *sgd(tsr_model *m) { return tsr_sgd(m, &(tsr_sgd_options){.lr = 0.1}); }
static tsr_optimizer *sgd_decay(tsr_model *m) { return tsr_sgd(m, &(tsr_sgd_options){.lr = 0.1, .weight_decay = 0.05}); }
static tsr_optimizer *sgd_momentum(tsr_model *m)
{
    return tsr_sgd(m, &(tsr_sgd_options){.lr = 0.1, .momentum = 0.9, .weight_decay = 0.01});
}
static tsr_optimizer *sgd_nesterov(tsr_model *m)
{
    return tsr_sgd(m, &(tsr_sgd_options){.lr = 0.1, .momentum = 0.8, .nesterov = true});
}
static tsr_optimizer *adagrad(tsr_model *m) { return tsr_adagrad(m, &(tsr_adagrad_options){.lr = 0.05}); }
static tsr_optimizer *adagrad_decay(tsr_model *m)
{
    return tsr_adagrad(m, &(tsr_adagrad_options){.lr = 0.05, .weight_decay = 0.1, .eps = 1e-3});
}
static tsr_optimizer *rmsprop(tsr_model *m) { return tsr_rmsprop(m, &(tsr_rmsprop_options){.lr = 0.02}); }
static tsr_optimizer *rmsprop_momentum(tsr_model *m)
{
    return tsr_rmsprop(m, &(tsr_rmsprop_options){.lr = 0.02, .alpha = 0.9, .eps = 1e-4, .momentum = 0.7, .weight_decay = 0.02});
}
static tsr_optimizer *adam(tsr_model *m) { return tsr_adam(m, &(tsr_adam_options){.lr = 0.01}); }
static tsr_optimizer *adam_decay(tsr_model *m)
{
    return tsr_adam(m, &(tsr_adam_options){.lr = 0.05, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3, .weight_decay = 0.1});
}
static tsr_optimizer *adamw(tsr_model *m) { return tsr_adamw(m, &(tsr_adam_options){.lr = 0.05}); }
static tsr_optimizer *adamw_decay(tsr_model *m)
{
    return tsr_adamw(m, &(tsr_adam_options){.lr = 0.05, .beta1 = 0.8, .beta2 = 0.95, .weight_decay = 0.3});
}

TEST(known_sgd) { follow("sgd", sgd, 1); }
TEST(known_sgd_weight_decay) { follow("sgd_decay", sgd_decay, 1); }
TEST(known_sgd_momentum) { follow("sgd_momentum", sgd_momentum, 1); }
TEST(known_sgd_nesterov) { follow("sgd_nesterov", sgd_nesterov, 1); }
TEST(known_adagrad) { follow("adagrad", adagrad, 1); }
TEST(known_adagrad_weight_decay) { follow("adagrad_decay", adagrad_decay, 1); }
TEST(known_rmsprop) { follow("rmsprop", rmsprop, 1); }
TEST(known_rmsprop_momentum) { follow("rmsprop_momentum", rmsprop_momentum, 1); }
TEST(known_adam) { follow("adam", adam, 1); }
TEST(known_adam_weight_decay) { follow("adam_decay", adam_decay, 1); }
TEST(known_adamw) { follow("adamw", adamw, 1); }
TEST(known_adamw_weight_decay) { follow("adamw_decay", adamw_decay, 1); }

/* ---- L-BFGS ------------------------------------------------------------------------------------------------------ */

/* sum 100 (x[i+1] - x[i]^2)^2 + (1 - x[i])^2 */
static double rosenbrock(void *user)
{
    tsr_model *m = user;
    tsr_tensor *x = tsr_model_tensor(m, 0);
    tsr_tensor *head = tsr_slice(x, 0, 0, tsr_size(x) - 1), *tail = tsr_slice(x, 0, 1, tsr_size(x));
    tsr_tensor *valley = tsr_mul_scalar(tsr_square(tsr_sub(tail, tsr_square(head))), 100);
    tsr_tensor *loss = tsr_sum(tsr_add(valley, tsr_square(tsr_add_scalar(tsr_neg(head), 1))), NULL);
    tsr_backward(loss);
    return tsr_item(loss);
}

static void descend(const char *name, const tsr_lbfgs_options *options)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    char losses_name[64];
    snprintf(losses_name, sizeof losses_name, "%s.losses", name);
    tsr_tensor *path = known_tensor(ctx, FILE_NAME, name), *losses = known_tensor(ctx, FILE_NAME, losses_name);
    tsr_tensor *x = tsr_parameter(m, "x", tsr_values(ctx, TSR_SHAPE(5), (tsr_real[]){(tsr_real)-1.2, 1, (tsr_real)0.7, (tsr_real)-0.4, 1.5}));
    tsr_optimizer *opt = tsr_lbfgs(m, options);
    for (int64_t step = 0; step < tsr_dim(path, 0) && !test_failed(); step++) {
        const double loss = tsr_step_closure(opt, rosenbrock, m);
        test_near(loss, (double)tsr_data(losses)[step], 1e-7, losses_name, __FILE__, __LINE__);
        /* The valley multiplies rounding errors from step to step; PyTorch's own order of sums differs from ours. */
        TSR_SCOPE(ctx) known_agrees(x, tsr_values(ctx, TSR_SHAPE(5), tsr_data(path) + step * 5), name, 1e4);
    }
    test_check(!tsr_error(ctx), tsr_error(ctx) ? tsr_error(ctx) : name, __FILE__, __LINE__);
    tsr_close(ctx);
}

TEST_DOUBLE(known_lbfgs_one_iteration_a_step) { descend("lbfgs", &(tsr_lbfgs_options){.max_iterations = 1}); }
TEST_DOUBLE(known_lbfgs_short_history)
{
    descend("lbfgs_short", &(tsr_lbfgs_options){.max_iterations = 2, .history = 2, .lr = 0.5});
}
TEST_DOUBLE(known_lbfgs_many_iterations_a_step) { descend("lbfgs_long", &(tsr_lbfgs_options){.history = 5}); }

/* ---- schedules and clipping -------------------------------------------------------------------------------------- */

static void scheduled(const char *name, double (*rate)(int64_t step))
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *rates = known_tensor(ctx, FILE_NAME, name);
    for (int64_t step = 0; step < tsr_size(rates); step++)
        test_near(rate(step), (double)tsr_data(rates)[step], sizeof(tsr_real) == 8 ? 1e-13 : 1e-6, name, __FILE__, __LINE__);
    tsr_close(ctx);
}

static double by_step(int64_t step) { return tsr_lr_step(0.4, step, 3, 0.5); }
static double by_multi_step(int64_t step) { return tsr_lr_multi_step(0.4, step, (int64_t[]){2, 7, 11}, 3, 0.1); }
static double by_exponential(int64_t step) { return tsr_lr_exponential(0.4, step, 0.9); }
static double by_cosine(int64_t step) { return tsr_lr_cosine(0.4, step, 20, 0.01); }

TEST(known_schedule_step) { scheduled("lr_step", by_step); }
TEST(known_schedule_multi_step) { scheduled("lr_multi_step", by_multi_step); }
TEST(known_schedule_exponential) { scheduled("lr_exponential", by_exponential); }
TEST(known_schedule_cosine) { scheduled("lr_cosine", by_cosine); }

TEST(known_schedule_plateau)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *metrics = known_tensor(ctx, FILE_NAME, "plateau.metrics"), *rates = known_tensor(ctx, FILE_NAME, "plateau");
    tsr_plateau plateau = {.factor = 0.5, .patience = 2, .threshold = 1e-2, .least = 0.06};
    double lr = 0.4;
    for (int64_t i = 0; i < tsr_size(rates); i++) {
        lr = tsr_plateau_update(&plateau, lr, (double)tsr_data(metrics)[i]);
        CHECK_NEAR(lr, tsr_data(rates)[i], 1e-6);
    }
    tsr_close(ctx);
}

TEST(known_clip_norm)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    for (int i = 0; i < 2; i++) {
        tsr_tensor *g = known_tensor(ctx, FILE_NAME, i ? "clip.in1" : "clip.in0");
        tsr_tensor *p = tsr_parameter(m, i ? "b" : "a", tsr_zeros(ctx, tsr_shape_of(g)));
        tsr_backward_from(tsr_add_scalar(p, 0), g);
    }
    CHECK_NEAR(tsr_clip_norm(m, 1.5), tsr_item(known_tensor(ctx, FILE_NAME, "clip.norm")), 1e-6);
    known_agrees(tsr_grad(tsr_model_tensor(m, 0)), known_tensor(ctx, FILE_NAME, "clip.out0"), "first", 1);
    known_agrees(tsr_grad(tsr_model_tensor(m, 1)), known_tensor(ctx, FILE_NAME, "clip.out1"), "second", 1);
    tsr_close(ctx);
}
