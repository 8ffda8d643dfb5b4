/* Batch normalisation: all rows are one sample, each channel a group of its own (see norm_columns.c). */
#include "ops/norm_internal.h"

#include <math.h>

enum { X, SCALE, SHIFT, MEAN, VAR, INPUTS };

static const tsr_op batch_norm_op = {.name = "batch_norm", .backward = tsr_norm_backward,
                                     .optional = 1u << SCALE | 1u << SHIFT | 1u << MEAN | 1u << VAR};

/* new = (1 - momentum) old + momentum value; the variance without bias. */
static bool move_running(const tsr_batch_norm_state *state, const tsr_norm_plan *p, double momentum)
{
    tsr_real *mean = tsr_write(state->running_mean), *var = tsr_write(state->running_var);
    if (!mean || !var) return false;
    const double unbiased = (double)p->rows / ((double)p->rows - 1);
    for (int64_t c = 0; c < p->channels; c++) {
        mean[c] = (tsr_real)((1 - momentum) * (double)mean[c] + momentum * p->mean[c]);
        var[c] = (tsr_real)((1 - momentum) * (double)var[c] + momentum * unbiased * p->inverse[c]);
    }
    return true;
}

/* NULL, or what to return. */
static tsr_tensor *check_state(tsr_node *n, const tsr_batch_norm_state *state, tsr_shape expected, bool evaluate)
{
    const tsr_tensor *mean = state->running_mean, *var = state->running_var;
    const tsr_text text = tsr_shape_text(expected);
    if (!mean != !var)
        return tsr_reject(n, "%s is given without %s", mean ? "running_mean" : "running_var",
                          mean ? "running_var" : "running_mean");
    if (evaluate && !mean) return tsr_reject(n, "evaluation needs running_mean and running_var");
    if (mean && !tsr_same_shape(tsr_shape_of(mean), expected))
        return tsr_reject(n, "running_mean has shape %s, expected %s", tsr_shape_text(tsr_shape_of(mean)).text, text.text);
    if (var && !tsr_same_shape(tsr_shape_of(var), expected))
        return tsr_reject(n, "running_var has shape %s, expected %s", tsr_shape_text(tsr_shape_of(var)).text, text.text);
    return NULL;
}

/* The batch's statistics, the running ones moved towards them; or those given. False: the state cannot be written. */
static bool find_statistics(tsr_node *n, const tsr_batch_norm_state *state, tsr_norm_plan *p, double momentum)
{
    if (p->given) {
        for (int64_t c = 0; c < p->channels; c++) {
            p->mean[c] = (double)tsr_data(state->running_mean)[c];
            p->inverse[c] = (double)tsr_data(state->running_var)[c];
        }
        return true;
    }
    tsr_norm_statistics(n, p);
    return tsr_dead(n) || p->rows == 0 || !state->running_mean || move_running(state, p, momentum);
}

tsr_tensor *tsr_batch_norm(tsr_tensor *x, const tsr_batch_norm_state *state, const tsr_norm_options *options)
{
    const tsr_batch_norm_state s = state ? *state : (tsr_batch_norm_state){0};
    const bool evaluate = options && options->evaluate;
    /* In training the result does not depend on the running statistics: they may change before the way back. */
    tsr_node *n = tsr_begin(&batch_norm_op, evaluate ? INPUTS : MEAN,
                            (tsr_tensor *[INPUTS]){x, s.scale, s.shift, s.running_mean, s.running_var});
    if (tsr_dead(n)) return tsr_end(n);
    const tsr_shape shape = tsr_shape_of(x);
    const tsr_text text = tsr_shape_text(shape);
    tsr_tensor *failed;
    if (shape.rank < 2) return tsr_reject(n, "input %s is not [N, S..., C]", text.text);
    tsr_norm_plan plan = {.samples = 1, .rows = 1, .channels = shape.dims[shape.rank - 1], .given = evaluate};
    const tsr_shape per_channel = TSR_SHAPE(plan.channels);
    const double momentum = tsr_default_double(options ? options->momentum : 0, 0.1);
    if (!tsr_norm_accepts(n, options, per_channel, &failed)) return failed;
    if (!(momentum >= 0 && momentum <= 1)) return tsr_reject(n, "momentum is %g, needs to be in [0, 1]", momentum);
    failed = check_state(n, &s, per_channel, evaluate);
    if (failed) return failed;
    for (int i = 0; i < shape.rank - 1; i++) plan.rows *= shape.dims[i];
    if (plan.rows == 1 && !evaluate)
        return tsr_reject(n, "expected more than 1 value per channel when training, got input %s", text.text);

    plan.groups = plan.channels;
    plan.activation = options ? options->activation : TSR_NO_ACTIVATION;
    tsr_norm_plan *p = tsr_norm_save(n, &plan);
    tsr_real *y = tsr_output(n, shape);
    if (!p || !y) return tsr_end(n);
    if (!find_statistics(n, &s, p, momentum))
        return tsr_reject(n, "the running statistics cannot be written: they are not data");
    for (int64_t c = 0; c < p->channels; c++) p->inverse[c] = tsr_norm_inverse(p->inverse[c], tsr_norm_eps(options));
    tsr_norm_apply(n, p, y);
    return tsr_end(n);
}
