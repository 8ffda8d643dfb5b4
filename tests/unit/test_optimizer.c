/* Steps, groups, clipping, checkpoints: what known answers do not say. */
#include "tessera.h"
#include "tests/test.h"

#include <math.h>
#include <string.h>

static tsr_tensor *mlp(tsr_model *m, tsr_tensor *x)
{
    x = tsr_tanh(tsr_nn_linear(m, "hidden", x, 5, NULL));
    x = tsr_nn_dropout(m, x, 0.2);
    return tsr_nn_linear(m, "out", x, 1, NULL);
}

/* One step on data that depend on the step count alone. */
static double train_step(tsr_model *m, tsr_optimizer *opt, tsr_context *ctx)
{
    double loss = NAN;
    TSR_SCOPE(ctx) {
        tsr_tensor *x = tsr_normal(ctx, TSR_SHAPE(8, 3), 0, 1, (uint64_t)tsr_step_count(ctx));
        tsr_tensor *y = tsr_mean(tsr_square(tsr_add_scalar(mlp(m, x), -1)), NULL);
        loss = tsr_item(y);
        tsr_backward(y);
        tsr_step(opt);
    }
    return loss;
}

static double sum_of_parameters(const tsr_model *m)
{
    double sum = 0;
    for (int i = 0; i < tsr_model_count(m); i++)
        for (int64_t k = 0; k < tsr_size(tsr_model_tensor(m, i)); k++) sum += fabs((double)tsr_data(tsr_model_tensor(m, i))[k]);
    return sum;
}

TEST(step_zeroes_gradients_and_counts)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    tsr_optimizer *opt = tsr_sgd(m, NULL);
    train_step(m, opt, ctx);
    CHECK(!tsr_error(ctx));
    CHECK(tsr_grad(tsr_model_tensor(m, 0)) == NULL);
    CHECK_EQUAL(tsr_step_count(ctx), 1);
    const double before = sum_of_parameters(m);
    CHECK(tsr_step(opt)); /* no gradient, no change */
    CHECK_EQUAL(sum_of_parameters(m), before);
    tsr_close(ctx);
}

TEST(step_on_a_gradient_that_is_not_finite_changes_nothing)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    tsr_optimizer *opt = tsr_adam(m, NULL);
    train_step(m, opt, ctx);
    const double before = sum_of_parameters(m);
    tsr_tensor *w = tsr_model_tensor(m, tsr_model_find(m, "out.weight"));
    tsr_backward(tsr_sum(tsr_mul(w, tsr_full(ctx, tsr_shape_of(w), INFINITY)), NULL));
    CHECK(!tsr_step(opt));
    CHECK_CONTAINS(tsr_error(ctx), "step: the gradient of \"out.weight\" is not finite; nothing was changed");
    CHECK_EQUAL(sum_of_parameters(m), before);
    tsr_close(ctx);
}

/* Parameters whose gradients are cut into pieces across their borders: p[k] gets the gradient sin(k + i). */
enum { MANY = 40 };

static void step_on_many(tsr_context *ctx, tsr_model *m, tsr_optimizer *opt, int bad, int64_t bad_at)
{
    TSR_SCOPE(ctx) {
        tsr_tensor *loss = tsr_zeros(ctx, TSR_SCALAR);
        for (int i = 0; i < MANY; i++) {
            const int64_t size = 1 + i * i * i * 2;
            char name[16];
            snprintf(name, sizeof name, "p%d", i);
            tsr_tensor *p = tsr_parameter(m, name, tsr_full(ctx, TSR_SHAPE(size), 1));
            tsr_tensor *g = tsr_sin(tsr_arange(ctx, i, i + (double)size, 1));
            if (i == bad) tsr_write(g = tsr_keep(tsr_values(ctx, TSR_SHAPE(size), tsr_data(g))))[bad_at] = (tsr_real)NAN;
            if (i % 7 != 3) loss = tsr_add(loss, tsr_sum(tsr_mul(p, g), NULL)); /* some get no gradient */
        }
        tsr_backward(loss);
        tsr_clip_value(m, 0.9);
        tsr_step(opt);
    }
}

TEST(one_pass_over_many_parameters_changes_each_of_their_values)
{
    for (int threads = 1; threads <= 3; threads += 2) {
        tsr_context *ctx = tsr_open(&(tsr_options){.threads = threads});
        tsr_model *m = tsr_model_new(ctx);
        tsr_optimizer *opt = tsr_sgd(m, &(tsr_sgd_options){.lr = 0.5});
        step_on_many(ctx, m, opt, -1, 0);
        for (int i = 0; i < MANY; i++) {
            const tsr_tensor *p = tsr_model_tensor(m, i);
            bool good = true;
            for (int64_t k = 0; k < tsr_size(p); k++) {
                const double g = i % 7 == 3 ? 0 : fmin(0.9, fmax(-0.9, sin((double)(i + k))));
                good = good && fabs((double)tsr_data(p)[k] - (1 - 0.5 * g)) < 1e-6;
            }
            CHECK(good);
        }
        step_on_many(ctx, m, opt, 37, 100000);
        CHECK_CONTAINS(tsr_error(ctx), "step: the gradient of \"p37\" is not finite; nothing was changed");
        tsr_close(ctx);
    }
}

TEST(step_inside_an_entered_name_is_an_error)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    tsr_optimizer *opt = tsr_sgd(m, NULL);
    tsr_enter(m, "block");
    CHECK(!tsr_step(opt));
    CHECK_CONTAINS(tsr_error(ctx), "tsr_enter(\"block\") without tsr_leave");
    tsr_close(ctx);
}

TEST(optimizer_options_out_of_range_are_refused)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    CHECK(tsr_sgd(m, &(tsr_sgd_options){.lr = -1}) == NULL);
    CHECK_CONTAINS(tsr_error(ctx), "lr = -1");
    tsr_clear_error(ctx);
    CHECK(tsr_sgd(m, &(tsr_sgd_options){.nesterov = true}) == NULL);
    CHECK_CONTAINS(tsr_error(ctx), "nesterov needs momentum");
    tsr_clear_error(ctx);
    CHECK(tsr_adam(m, &(tsr_adam_options){.beta1 = 1}) == NULL);
    CHECK_CONTAINS(tsr_error(ctx), "beta1 = 1");
    tsr_clear_error(ctx);
    CHECK(tsr_rmsprop(m, &(tsr_rmsprop_options){.lr = NAN}) == NULL);
    CHECK_CONTAINS(tsr_error(ctx), "lr = nan");
    tsr_clear_error(ctx);
    CHECK(tsr_lbfgs(m, &(tsr_lbfgs_options){.history = -3}) == NULL);
    CHECK_CONTAINS(tsr_error(ctx), "history -3");
    tsr_clear_error(ctx);
    CHECK(!tsr_step(tsr_lbfgs(m, NULL)));
    CHECK_CONTAINS(tsr_error(ctx), "use tsr_step_closure");
    tsr_clear_error(ctx);
    CHECK(isnan(tsr_clip_norm(m, 0)));
    CHECK_CONTAINS(tsr_error(ctx), "clip_norm: the largest norm is 0");
    tsr_close(ctx);
}

TEST(groups_scale_the_rate_of_their_prefix)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    tsr_optimizer *opt = tsr_sgd(m, &(tsr_sgd_options){.lr = 0.5, .weight_decay = 0.1});
    tsr_group(opt, "slow", &(tsr_group_options){.lr_scale = 0.1, .weight_decay = TSR_ZERO});
    tsr_tensor *slow = tsr_parameter(m, "slow.w", tsr_full(ctx, TSR_SHAPE(1), 1));
    tsr_tensor *other = tsr_parameter(m, "slower.w", tsr_full(ctx, TSR_SHAPE(1), 1));
    tsr_backward(tsr_sum(tsr_add(slow, other), NULL));
    CHECK(tsr_step(opt));
    CHECK_NEAR(tsr_item(slow), 1 - 0.05, 1e-6);
    CHECK_NEAR(tsr_item(other), 1 - 0.5 * 1.1, 1e-6);
    tsr_close(ctx);
}

TEST(clip_value_limits_each_element)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    tsr_tensor *w = tsr_parameter(m, "w", tsr_zeros(ctx, TSR_SHAPE(3)));
    tsr_backward_from(tsr_add_scalar(w, 0), tsr_values(ctx, TSR_SHAPE(3), (tsr_real[]){-5, 0.25, 7}));
    tsr_clip_value(m, 0.5);
    const tsr_real *g = tsr_data(tsr_grad(w));
    CHECK(g[0] == (tsr_real)-0.5 && g[1] == (tsr_real)0.25 && g[2] == (tsr_real)0.5);
    tsr_close(ctx);
}

/* ---- checkpoints ------------------------------------------------------------------------------------------------- */

typedef tsr_optimizer *(*maker)(tsr_model *m);

static tsr_optimizer *make_momentum(tsr_model *m) { return tsr_sgd(m, &(tsr_sgd_options){.lr = 0.1, .momentum = 0.9}); }
static tsr_optimizer *make_adagrad(tsr_model *m) { return tsr_adagrad(m, &(tsr_adagrad_options){.lr = 0.1}); }
static tsr_optimizer *make_rmsprop(tsr_model *m) { return tsr_rmsprop(m, NULL); }
static tsr_optimizer *make_adam(tsr_model *m) { return tsr_adam(m, &(tsr_adam_options){.lr = 0.03}); }
static tsr_optimizer *make_adamw(tsr_model *m) { return tsr_adamw(m, NULL); }

static bool same_models(const tsr_model *a, const tsr_model *b)
{
    bool same = tsr_model_count(a) == tsr_model_count(b);
    for (int i = 0; same && i < tsr_model_count(a); i++) {
        const tsr_tensor *x = tsr_model_tensor(a, i), *y = tsr_model_tensor(b, i);
        same = tsr_size(x) == tsr_size(y) && memcmp(tsr_data(x), tsr_data(y), (size_t)tsr_size(x) * sizeof(tsr_real)) == 0;
    }
    return same;
}

/* 12 steps at a stretch, and 5, a checkpoint, a new context, 7 more: the same bits. */
static void resume_exactly(const char *name, maker make)
{
    const char *path = test_path(name);
    tsr_context *a = tsr_open(&(tsr_options){.seed = 3}), *b = tsr_open(&(tsr_options){.seed = 3}), *c = tsr_open(&(tsr_options){.seed = 3});
    tsr_model *ma = tsr_model_new(a), *mb = tsr_model_new(b), *mc = tsr_model_new(c);
    tsr_optimizer *oa = make(ma), *ob = make(mb), *oc = make(mc);
    for (int i = 0; i < 12; i++) train_step(ma, oa, a);
    for (int i = 0; i < 5; i++) train_step(mb, ob, b);
    tsr_set_learning_rate(ob, tsr_learning_rate(ob) * 1);
    test_check(tsr_checkpoint_save(mb, ob, path), "saved", __FILE__, __LINE__);
    test_check(tsr_checkpoint_load(mc, oc, path), tsr_error(c) ? tsr_error(c) : "loaded", __FILE__, __LINE__);
    test_check(tsr_step_count(c) == 5, "the step count came back", __FILE__, __LINE__);
    for (int i = 0; i < 7; i++) train_step(mc, oc, c);
    test_check(!tsr_error(a) && !tsr_error(b) && !tsr_error(c), tsr_error(c) ? tsr_error(c) : "no errors", __FILE__, __LINE__);
    test_check(same_models(ma, mc), "resumed to the same bits", name, 0);
    tsr_close(a);
    tsr_close(b);
    tsr_close(c);
}

TEST(checkpoint_resumes_momentum_to_the_same_bits) { resume_exactly("momentum", make_momentum); }
TEST(checkpoint_resumes_adagrad_to_the_same_bits) { resume_exactly("adagrad", make_adagrad); }
TEST(checkpoint_resumes_rmsprop_to_the_same_bits) { resume_exactly("rmsprop", make_rmsprop); }
TEST(checkpoint_resumes_adam_to_the_same_bits) { resume_exactly("adam", make_adam); }
TEST(checkpoint_resumes_adamw_to_the_same_bits) { resume_exactly("adamw", make_adamw); }

static double bowl(void *user)
{
    tsr_tensor *x = tsr_model_tensor(user, 0), *y = tsr_square(tsr_square(tsr_add_scalar(x, -1)));
    tsr_tensor *loss = tsr_sum(tsr_add(y, tsr_mul(x, tsr_exp(x))), NULL);
    tsr_backward(loss);
    return tsr_item(loss);
}

static tsr_model *bowl_model(tsr_context *ctx)
{
    tsr_model *m = tsr_model_new(ctx);
    tsr_parameter(m, "x", tsr_normal(ctx, TSR_SHAPE(6), 0, 1, 5));
    return m;
}

TEST(checkpoint_resumes_lbfgs_to_the_same_bits)
{
    const char *path = test_path("lbfgs");
    const tsr_lbfgs_options options = {.history = 3, .max_iterations = 2};
    tsr_context *a = tsr_open(NULL), *b = tsr_open(NULL);
    tsr_model *ma = bowl_model(a), *mb = bowl_model(b);
    tsr_optimizer *oa = tsr_lbfgs(ma, &options), *ob = tsr_lbfgs(mb, &options);
    double last = NAN;
    for (int i = 0; i < 3; i++) tsr_step_closure(oa, bowl, ma);
    CHECK(tsr_checkpoint_save(ma, oa, path));
    CHECK(tsr_checkpoint_load(mb, ob, path));
    for (int i = 0; i < 3; i++) {
        last = tsr_step_closure(oa, bowl, ma);
        CHECK_EQUAL(tsr_step_closure(ob, bowl, mb), last);
    }
    CHECK(!tsr_error(a) && !tsr_error(b));
    CHECK(same_models(ma, mb));
    tsr_close(a);
    tsr_close(b);
}

TEST(checkpoint_of_another_optimizer_is_refused)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx), *other = tsr_model_new(ctx);
    tsr_optimizer *opt = make_adam(m);
    const char *path = test_path("adam");
    train_step(m, opt, ctx);
    CHECK(tsr_checkpoint_save(m, opt, path));
    CHECK(!tsr_checkpoint_load(other, make_momentum(other), path));
    CHECK_CONTAINS(tsr_error(ctx), "holds the state of adam, the optimizer is sgd with momentum");
    tsr_clear_error(ctx);
    CHECK(!tsr_checkpoint_save(other, opt, path));
    CHECK_CONTAINS(tsr_error(ctx), "the optimizer is another model's");
    tsr_close(ctx);
}

TEST(checkpoint_is_readable_as_a_plain_model)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx), *plain = tsr_model_new(ctx);
    tsr_optimizer *opt = make_adam(m);
    const char *path = test_path("plain");
    train_step(m, opt, ctx);
    CHECK(tsr_checkpoint_save(m, opt, path));
    CHECK(tsr_model_load(plain, path, NULL));
    TSR_SCOPE(ctx) mlp(plain, tsr_zeros(ctx, TSR_SHAPE(1, 3)));
    CHECK(tsr_check_claimed(plain));
    CHECK(same_models(m, plain));
    tsr_close(ctx);
}

TEST(lbfgs_finds_the_minimum_of_a_bowl_and_stops)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = bowl_model(ctx);
    tsr_optimizer *opt = tsr_lbfgs(m, NULL);
    for (int i = 0; i < 5; i++) tsr_step_closure(opt, bowl, m);
    CHECK(!tsr_error(ctx));
    tsr_backward(tsr_sum(tsr_add(tsr_square(tsr_square(tsr_add_scalar(tsr_model_tensor(m, 0), -1))),
                                 tsr_mul(tsr_model_tensor(m, 0), tsr_exp(tsr_model_tensor(m, 0)))), NULL));
    for (int i = 0; i < 6; i++) CHECK(fabs((double)tsr_data(tsr_grad(tsr_model_tensor(m, 0)))[i]) < 2e-3);
    tsr_close(ctx);
}

static double nan_loss(void *user)
{
    (void)user;
    return NAN;
}

TEST(lbfgs_stops_on_a_loss_that_is_not_finite)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = bowl_model(ctx);
    CHECK(isnan(tsr_step_closure(tsr_lbfgs(m, NULL), nan_loss, m)));
    CHECK_CONTAINS(tsr_error(ctx), "L-BFGS: the loss is nan");
    tsr_close(ctx);
}
