/* Normalisations against PyTorch. */
#include "tests/known-answers/known.h"

#define FILE_NAME "norm.safetensors"

static tsr_norm_options how;
static tsr_lrn_options window;
static int groups, axis;

static tsr_tensor *batch(tsr_tensor *const *in)
{
    return tsr_batch_norm(in[0], &(tsr_batch_norm_state){.scale = in[1], .shift = in[2]}, &how);
}
static tsr_tensor *batch_plain(tsr_tensor *const *in) { return tsr_batch_norm(in[0], NULL, &how); }
static tsr_tensor *batch_given(tsr_tensor *const *in)
{
    return tsr_batch_norm(in[0], &(tsr_batch_norm_state){in[1], in[2], in[3], in[4]}, &how);
}
static tsr_tensor *layer(tsr_tensor *const *in) { return tsr_layer_norm(in[0], in[1], in[2], &how); }
static tsr_tensor *layer_plain(tsr_tensor *const *in) { return tsr_layer_norm(in[0], NULL, NULL, &how); }
static tsr_tensor *group(tsr_tensor *const *in) { return tsr_group_norm(in[0], groups, in[1], in[2], &how); }
static tsr_tensor *instance(tsr_tensor *const *in) { return tsr_instance_norm(in[0], in[1], in[2], &how); }
static tsr_tensor *instance_plain(tsr_tensor *const *in) { return tsr_instance_norm(in[0], NULL, NULL, &how); }
static tsr_tensor *lrn(tsr_tensor *const *in) { return tsr_lrn(in[0], &window); }
static tsr_tensor *unit(tsr_tensor *const *in) { return tsr_l2_normalize(in[0], axis); }

TEST(batch_norm_agrees_with_pytorch)
{
    how = (tsr_norm_options){0};
    known_case(FILE_NAME, "batch_norm", batch, 1);
    known_case(FILE_NAME, "batch_norm_plain", batch_plain, 1);
    known_case(FILE_NAME, "batch_norm_far", batch, 10); /* in double the variance loses four digits to the mean */
    how.activation = TSR_RELU;
    known_case(FILE_NAME, "batch_norm_relu", batch, 1);
    how = (tsr_norm_options){.eps = 0.01};
    known_case(FILE_NAME, "batch_norm_wide", batch, 1);
    how = (tsr_norm_options){.eps = 1e-3, .evaluate = true, .activation = TSR_SIGMOID};
    known_case(FILE_NAME, "batch_norm_evaluate", batch_given, 1);
}

TEST(batch_norm_moves_its_running_statistics_as_pytorch_does)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = known_tensor(ctx, FILE_NAME, "running.x");
    const tsr_batch_norm_state state = {.running_mean = known_tensor(ctx, FILE_NAME, "running.mean_before"),
                                        .running_var = known_tensor(ctx, FILE_NAME, "running.var_before")};
    tsr_batch_norm(x, &state, NULL);
    known_agrees(state.running_mean, known_tensor(ctx, FILE_NAME, "running.mean_once"), "mean", 1);
    known_agrees(state.running_var, known_tensor(ctx, FILE_NAME, "running.var_once"), "var", 1);
    TSR_NO_GRAD(ctx) tsr_batch_norm(x, &state, &(tsr_norm_options){.momentum = 0.3});
    known_agrees(state.running_mean, known_tensor(ctx, FILE_NAME, "running.mean_twice"), "mean", 1);
    known_agrees(state.running_var, known_tensor(ctx, FILE_NAME, "running.var_twice"), "var", 1);
    tsr_batch_norm(x, &state, &(tsr_norm_options){.evaluate = true});
    known_agrees(state.running_mean, known_tensor(ctx, FILE_NAME, "running.mean_twice"), "mean left alone", 1);
    CHECK(tsr_close(ctx) == 0);
}

TEST(layer_norm_agrees_with_pytorch)
{
    how = (tsr_norm_options){0};
    known_case(FILE_NAME, "layer_norm", layer, 1);
    known_case(FILE_NAME, "layer_norm_plain", layer_plain, 1);
    how = (tsr_norm_options){.axes = 2, .eps = 0.01, .activation = TSR_TANH};
    known_case(FILE_NAME, "layer_norm_axes", layer, 1);
}

TEST(group_norm_and_instance_norm_agree_with_pytorch)
{
    how = (tsr_norm_options){0};
    groups = 1;
    known_case(FILE_NAME, "group_norm_1", group, 1);
    groups = 6;
    known_case(FILE_NAME, "group_norm_6", group, 1);
    groups = 2;
    known_case(FILE_NAME, "group_norm_2", group, 1);
    known_case(FILE_NAME, "group_norm_flat", group, 1);
    known_case(FILE_NAME, "instance_norm_plain", instance_plain, 1);
    how.activation = TSR_RELU;
    known_case(FILE_NAME, "instance_norm", instance, 1);
}

TEST(lrn_agrees_with_pytorch)
{
    window = (tsr_lrn_options){0};
    known_case(FILE_NAME, "lrn", lrn, 1);
    window = (tsr_lrn_options){.alpha = 2, .k = 0.5};
    known_case(FILE_NAME, "lrn_strong", lrn, 1);
    window = (tsr_lrn_options){.size = 4, .alpha = 1.5, .beta = 0.5, .k = 2};
    known_case(FILE_NAME, "lrn_even", lrn, 1);
    window = (tsr_lrn_options){.size = 9, .alpha = 3};
    known_case(FILE_NAME, "lrn_wide", lrn, 1);
}

TEST(l2_normalize_agrees_with_pytorch)
{
    for (axis = 0; axis < 3; axis++)
        known_case(FILE_NAME, (const char *[]){"l2_normalize_0", "l2_normalize_1", "l2_normalize_2"}[axis], unit, 1);
    axis = -1;
    known_case(FILE_NAME, "l2_normalize_last", unit, 1);
}
