/* Every public function of nn/ and optim/ called with what it cannot use: an error with words, never a crash. */
#include <limits.h>
#include <math.h>

#include "tests/test.h"
#include "tests/unit/bad_arguments.h"

#define NOWHERE "build/no such folder/file"

TEST(models_take_bad_arguments)
{
    bad_open();
    tsr_model *m = bad.m;
    HOLDS(tsr_model_new(NULL) == NULL && tsr_model_context(NULL) == NULL);
    tsr_model_free(NULL);
    tsr_set_training(NULL, false);
    (void)tsr_is_training(NULL);
    tsr_enter(NULL, "a");
    tsr_leave(NULL);
    REFUSES("an empty name", (tsr_enter(m, NULL), tsr_leave(m)));
    REFUSES("an empty name", (tsr_enter(m, ""), tsr_leave(m)));
    tsr_clear_error(bad.ctx);
    HOLDS(!tsr_parameter(NULL, "p", NULL));
    REFUSES("an empty name", tsr_parameter(m, NULL, bad.v3));
    REFUSES("", tsr_parameter(m, "p", NULL));
    REFUSES("another context", tsr_parameter(m, "p", bad.foreign));
    REFUSES("", tsr_parameter(m, "p", bad.error));
    REFUSES("", tsr_parameter(m, "p", bad.spent));
    HOLDS(!tsr_parameter_init(NULL, "p", TSR_SCALAR, NULL) && !tsr_buffer(NULL, "p", TSR_SCALAR, 0));
    REFUSES("an empty name", tsr_parameter_init(m, NULL, TSR_SHAPE(2), NULL));
    REFUSES("", tsr_parameter_init(m, "k", TSR_SHAPE(2, 2), &(tsr_init){.kind = (tsr_init_kind)99}));
    REFUSES("an empty name", tsr_buffer(m, NULL, TSR_SHAPE(2), 0));
    REFUSES("out of memory", tsr_buffer(m, "b", TSR_SHAPE((int64_t)1 << 40), 0));
    for (int kind = TSR_INIT_KAIMING_UNIFORM; kind <= TSR_INIT_ORTHOGONAL; kind++) {
        char name[] = "init 0.0";
        name[5] = (char)('0' + kind);
        SURVIVES(tsr_parameter_init(m, name, TSR_SHAPE(0, 3), &(tsr_init){.kind = (tsr_init_kind)kind}));
        name[7] = '1';
        SURVIVES(tsr_parameter_init(m, name, TSR_SCALAR, &(tsr_init){.kind = (tsr_init_kind)kind, .gain = NAN}));
    }
    tsr_freeze(NULL, "a", true);
    tsr_freeze(m, NULL, true);
    tsr_clear_error(bad.ctx);
    HOLDS(tsr_model_count(NULL) == 0 && !tsr_model_name(NULL, 0) && !tsr_model_tensor(NULL, 0));
    HOLDS(!tsr_model_name(m, -1) && !tsr_model_tensor(m, INT_MAX) && !tsr_model_is_parameter(m, INT_MIN));
    HOLDS(!tsr_model_is_parameter(NULL, 0) && tsr_model_find(NULL, "a") == -1 && tsr_model_find(m, NULL) == -1);
    HOLDS(tsr_parameter_count(NULL) == 0);
    tsr_set_text(NULL, "k", "v");
    tsr_set_text(m, NULL, "v");
    tsr_clear_error(bad.ctx);
    tsr_set_text(m, "nobody has it", NULL);
    HOLDS(!tsr_text_of(NULL, "k") && !tsr_text_of(m, NULL));
    HOLDS(!tsr_model_save(NULL, "x", NULL) && !tsr_model_load(NULL, "x", NULL) && tsr_check_claimed(NULL) + 1 > 0);
    REFUSES("NULL", tsr_model_save(m, NULL, NULL));
    REFUSES(NOWHERE, tsr_model_save(m, NOWHERE, NULL));
    REFUSES("NULL", tsr_model_load(m, NULL, NULL));
    REFUSES(NOWHERE, tsr_model_load(m, NOWHERE, NULL));
    bad_close();
}

/* ---- layers -------------------------------------------------------------------------------------------------------- */

static tsr_tensor *layer(int kind, tsr_model *m, const char *name, tsr_tensor *x, int64_t size, int small)
{
    const tsr_conv_options conv = {.kernel = {small, small}, .groups = small > 2 ? small : 0};
    switch (kind) {
    case 0: return tsr_nn_linear(m, name, x, size, NULL);
    case 1: return tsr_nn_conv(m, name, x, size, &conv);
    case 2: return tsr_nn_conv_transpose(m, name, x, size, &conv);
    case 3: return tsr_nn_locally_connected(m, name, x, size, &conv);
    case 4: return tsr_nn_batch_norm(m, name, x, NULL);
    case 5: return tsr_nn_layer_norm(m, name, x, &(tsr_norm_options){.axes = small});
    case 6: return tsr_nn_group_norm(m, name, x, small, NULL);
    case 7: return tsr_nn_instance_norm(m, name, x, NULL);
    case 8: return tsr_nn_prelu(m, name, x, true);
    case 9: return tsr_nn_maxout(m, name, x, size, small);
    default: return NULL;
    }
}

TEST(layers_refuse_bad_arguments)
{
    const int smalls[] = {INT_MIN, -1, 0, 1, 2, 3, 100, INT_MAX};
    const int64_t sizes[] = {INT64_MIN, -1, 0, 1, 5, (int64_t)1 << 31, INT64_MAX};
    enum { LAYERS = 10 };
    bad_open();
    for (int kind = 0; kind < LAYERS; kind++) {
        HOLDS(!layer(kind, NULL, NULL, NULL, 1, 1));
        REFUSES("the model is NULL", layer(kind, NULL, "a", bad.image, 1, 1));
        REFUSES("", layer(kind, bad.m, "a", NULL, 1, 1));
        REFUSES("", layer(kind, bad.m, "a", bad.error, 1, 1));
        REFUSES("", layer(kind, bad.m, "a", bad.spent, 1, 1));
        REFUSES("", layer(kind, bad.m, "a", bad.foreign, 1, 1));
        REFUSES("an empty name", layer(kind, bad.m, NULL, bad.image, 1, 1));
        for (size_t i = 0; i < sizeof smalls / sizeof smalls[0] * (sizeof sizes / sizeof sizes[0]); i++) {
            tsr_model *m = tsr_model_new(bad.ctx);
            const int small = smalls[i % 8];
            SURVIVES(layer(kind, m, "a", bad.image, sizes[i / 8], small));
            SURVIVES(layer(kind, m, "b", bad.x34, sizes[i / 8], small));
            SURVIVES(layer(kind, m, "c", bad.one, sizes[i / 8], small));
            SURVIVES(layer(kind, m, "d", bad.empty, sizes[i / 8], small));
            tsr_model_free(m);
        }
    }
    REFUSES("kernel", tsr_nn_conv(bad.m, "conv", bad.image, 4, NULL));
    REFUSES("kernel", tsr_nn_conv_transpose(bad.m, "conv", bad.image, 4, NULL));
    REFUSES("kernel", tsr_nn_locally_connected(bad.m, "conv", bad.image, 4, NULL));
    HOLDS(!tsr_nn_dropout(NULL, NULL, 0.5) && !tsr_nn_dropout(bad.m, NULL, 0.5));
    REFUSES("p is nan", tsr_nn_dropout(bad.m, bad.v3, NAN));
    bad_close();
}

static tsr_tensor *no_network(tsr_model *m, tsr_tensor *x)
{
    (void)m, (void)x;
    return NULL;
}

static tsr_tensor *identity(tsr_model *m, tsr_tensor *x)
{
    (void)m;
    return x;
}

static void ignore_row(void *user, const tsr_summary_row *row)
{
    (void)user, (void)row;
}

TEST(summaries_take_bad_arguments)
{
    FILE *out = tmpfile();
    bad_open();
    HOLDS(!tsr_summary(NULL, identity, bad.v3, out) && !tsr_summary_rows(NULL, identity, bad.v3, ignore_row, NULL));
    REFUSES("NULL", tsr_summary(bad.m, NULL, bad.v3, out));
    REFUSES("NULL", tsr_summary_rows(bad.m, NULL, bad.v3, ignore_row, NULL));
    REFUSES("NULL", tsr_summary_rows(bad.m, identity, bad.v3, NULL, NULL));
    REFUSES("NULL", tsr_summary(bad.m, identity, bad.v3, NULL));
    (void)tsr_summary(bad.m, no_network, bad.v3, out), tsr_clear_error(bad.ctx);
    (void)tsr_summary(bad.m, identity, NULL, out), tsr_clear_error(bad.ctx);
    (void)tsr_summary(bad.m, identity, bad.error, out), tsr_clear_error(bad.ctx);
    (void)tsr_summary(bad.m, identity, bad.spent, out), tsr_clear_error(bad.ctx);
    (void)tsr_summary(bad.m, identity, bad.foreign, out), tsr_clear_error(bad.ctx);
    if (out) fclose(out);
    bad_close();
}

/* ---- optimizers ---------------------------------------------------------------------------------------------------- */

static double one(void *user)
{
    (void)user;
    return 1;
}

TEST(optimizers_refuse_bad_arguments)
{
    const double numbers[] = {NAN, INFINITY, -1};
    bad_open();
    tsr_model *m = bad.m;
    HOLDS(!tsr_sgd(NULL, NULL) && !tsr_adagrad(NULL, NULL) && !tsr_rmsprop(NULL, NULL) && !tsr_adam(NULL, NULL) &&
          !tsr_adamw(NULL, NULL) && !tsr_lbfgs(NULL, NULL));
    for (int i = 0; i < 3; i++) {
        const double s = numbers[i];
        REFUSES("lr", tsr_sgd(m, &(tsr_sgd_options){.lr = s}));
        REFUSES("momentum", tsr_sgd(m, &(tsr_sgd_options){.momentum = s}));
        REFUSES("lr", tsr_adagrad(m, &(tsr_adagrad_options){.lr = s}));
        REFUSES("eps", tsr_adagrad(m, &(tsr_adagrad_options){.eps = s}));
        REFUSES("alpha", tsr_rmsprop(m, &(tsr_rmsprop_options){.alpha = s}));
        REFUSES("weight_decay", tsr_rmsprop(m, &(tsr_rmsprop_options){.weight_decay = s}));
        REFUSES("beta1", tsr_adam(m, &(tsr_adam_options){.beta1 = s}));
        REFUSES("beta2", tsr_adamw(m, &(tsr_adam_options){.beta2 = s}));
        REFUSES("lr", tsr_lbfgs(m, &(tsr_lbfgs_options){.lr = s}));
        REFUSES("tolerance", tsr_lbfgs(m, &(tsr_lbfgs_options){.tolerance_change = s}));
        REFUSES("lr", tsr_set_learning_rate(tsr_sgd(m, NULL), s));
        REFUSES("clip_norm", tsr_clip_norm(m, s == INFINITY ? 0 : s));
        REFUSES("clip_value", tsr_clip_value(m, s == INFINITY ? NAN : s));
        REFUSES("lr_scale", tsr_group(tsr_sgd(m, NULL), "a", &(tsr_group_options){.lr_scale = s}));
        REFUSES("weight_decay", tsr_group(tsr_sgd(m, NULL), "a", &(tsr_group_options){.weight_decay = s}));
    }
    REFUSES("nesterov needs momentum", tsr_sgd(m, &(tsr_sgd_options){.nesterov = true}));
    REFUSES("history", tsr_lbfgs(m, &(tsr_lbfgs_options){.history = -1}));
    REFUSES("", tsr_lbfgs(m, &(tsr_lbfgs_options){.max_iterations = INT_MIN + 1}));
    tsr_optimizer *opt = tsr_adam(m, NULL), *lbfgs = tsr_lbfgs(m, &(tsr_lbfgs_options){.history = INT_MAX});
    tsr_clear_error(bad.ctx);
    if (!lbfgs) lbfgs = tsr_lbfgs(m, NULL);
    tsr_optimizer_free(NULL);
    HOLDS(!tsr_step(NULL));
    REFUSES("use tsr_step_closure", tsr_step(lbfgs));
    HOLDS(isnan(tsr_step_closure(NULL, one, NULL)));
    REFUSES("needs a closure and an L-BFGS optimizer", tsr_step_closure(lbfgs, NULL, NULL));
    REFUSES("needs a closure and an L-BFGS optimizer", tsr_step_closure(opt, one, NULL));
    tsr_zero_gradients(NULL);
    HOLDS(!(tsr_learning_rate(NULL) > 0));
    tsr_set_learning_rate(NULL, 1);
    tsr_group(NULL, "a", NULL);
    tsr_group(opt, NULL, NULL), tsr_clear_error(bad.ctx);
    HOLDS(!(tsr_clip_norm(NULL, 1) > 0));
    tsr_clip_value(NULL, 1);
    HOLDS(!tsr_checkpoint_save(NULL, opt, "x") && !tsr_checkpoint_load(NULL, NULL, "x"));
    REFUSES("NULL", tsr_checkpoint_save(m, opt, NULL));
    REFUSES("NULL", tsr_checkpoint_load(m, opt, NULL));
    REFUSES(NOWHERE, tsr_checkpoint_save(m, opt, NOWHERE));
    REFUSES(NOWHERE, tsr_checkpoint_load(m, opt, NOWHERE));
    REFUSES("", tsr_checkpoint_save(m, NULL, test_path("bad.safetensors")));
    REFUSES("the optimizer is another model's", tsr_checkpoint_save(tsr_model_new(bad.ctx), opt, test_path("bad.safetensors")));
    bad_close();
}

TEST(schedules_take_bad_arguments)
{
    const int64_t steps[] = {INT64_MIN, -1, 0, 1, INT64_MAX};
    tsr_plateau plateau = {0};
    bad_open();
    for (int i = 0; i < 25; i++) {
        const int64_t step = steps[i / 5], every = steps[i % 5];
        HOLDS(!isnan(tsr_lr_step(0.1, step, every, 0.5)));
        HOLDS(!isnan(tsr_lr_cosine(0.1, step, every, 0)));
        HOLDS(!isnan(tsr_lr_warm_up(step, every)));
        HOLDS(!isnan(tsr_lr_exponential(0.1, step, 0.5)));
        HOLDS(!isnan(tsr_lr_multi_step(0.1, step, &every, 1, 0.5)));
    }
    HOLDS(tsr_lr_multi_step(0.1, 5, NULL, 3, 0.5) == 0.1);
    HOLDS(tsr_lr_multi_step(0.1, 5, steps, -3, 0.5) == 0.1);
    HOLDS(tsr_plateau_update(NULL, 0.1, 1) == 0.1);
    HOLDS(tsr_plateau_update(&plateau, 0.1, NAN) == 0.1);
    bad_close();
}
