/* Reductions and softmax against PyTorch. */
#include "tests/known-answers/known.h"

#define FILE_NAME "reduce.safetensors"

static tsr_reduce_options how;

static tsr_tensor *sum(tsr_tensor *const *in) { return tsr_sum(in[0], &how); }
static tsr_tensor *mean(tsr_tensor *const *in) { return tsr_mean(in[0], &how); }
static tsr_tensor *max(tsr_tensor *const *in) { return tsr_max(in[0], &how); }
static tsr_tensor *min(tsr_tensor *const *in) { return tsr_min(in[0], &how); }
static tsr_tensor *var(tsr_tensor *const *in) { return tsr_var(in[0], &how); }
static tsr_tensor *logsumexp(tsr_tensor *const *in) { return tsr_logsumexp(in[0], &how); }
static tsr_tensor *norm(tsr_tensor *const *in) { return tsr_norm(in[0], &how); }

/* NAME_all, NAME_last, ...: over different sets of axes of [2, 3, 2, 4]. */
static void over_axes(const char *name, tsr_function fn)
{
    static const struct {
        const char *way;
        unsigned axes;
    } ways[] = {{"all", 0},
                {"last", TSR_AXIS(-1)},
                {"first", TSR_AXIS(0)},
                {"middle", TSR_AXIS(1) | TSR_AXIS(-2)},
                {"scattered", TSR_AXIS(0) | TSR_AXIS(2)}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        char full[64];
        snprintf(full, sizeof full, "%s_%s", name, ways[i].way);
        how.axes = ways[i].axes;
        known_case(FILE_NAME, full, fn, 1);
    }
}

TEST(reductions_agree_with_pytorch)
{
    how = (tsr_reduce_options){0};
    over_axes("sum", sum);
    over_axes("mean", mean);
    over_axes("max", max);
    over_axes("min", min);
    over_axes("var", var);
    over_axes("logsumexp", logsumexp);
    over_axes("norm", norm);
}

TEST(reduction_options_agree_with_pytorch)
{
    how = (tsr_reduce_options){.axes = TSR_AXIS(1), .keep_dims = true};
    known_case(FILE_NAME, "sum_keep", sum, 1);
    how = (tsr_reduce_options){.axes = TSR_AXIS(1)};
    known_case(FILE_NAME, "var_far", var, 1);
    known_case(FILE_NAME, "norm_long", norm, 1);
    how.population = true;
    known_case(FILE_NAME, "var_population", var, 1);
    how.power = 1;
    known_case(FILE_NAME, "norm_1", norm, 1);
    how.power = 3;
    known_case(FILE_NAME, "norm_3", norm, 1);
    how = (tsr_reduce_options){.axes = TSR_AXIS(0)};
    known_case(FILE_NAME, "sum_long", sum, 1);
}

static int axis;
static tsr_tensor *softmax(tsr_tensor *const *in) { return tsr_softmax(in[0], axis); }
static tsr_tensor *log_softmax(tsr_tensor *const *in) { return tsr_log_softmax(in[0], axis); }
static tsr_tensor *argmax(tsr_tensor *const *in) { return tsr_argmax(in[0], axis); }

TEST(softmax_and_argmax_agree_with_pytorch)
{
    for (axis = 0; axis < 3; axis++) {
        char name[32];
        snprintf(name, sizeof name, "softmax_%d", axis);
        known_case(FILE_NAME, name, softmax, 1);
        snprintf(name, sizeof name, "log_softmax_%d", axis);
        known_case(FILE_NAME, name, log_softmax, 1);
        snprintf(name, sizeof name, "argmax_%d", axis);
        known_case(FILE_NAME, name, argmax, 1);
    }
}

TEST(softmax_far_out_agrees_with_pytorch)
{
    axis = 1;
    how = (tsr_reduce_options){.axes = TSR_AXIS(1)};
    known_case(FILE_NAME, "softmax_far", softmax, 1);
    known_case(FILE_NAME, "log_softmax_far", log_softmax, 1);
    known_case(FILE_NAME, "logsumexp_far", logsumexp, 1);
}
