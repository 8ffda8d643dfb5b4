/* Batch, group and instance normalisation: options and statistics; the work is in norm_columns.c. */
#include "ops/norm_internal.h"

#include <math.h>

/* ---- common ------------------------------------------------------------------------------------------------------ */

double tsr_norm_eps(const tsr_norm_options *options)
{
    return tsr_default_double(options ? options->eps : 0, 1e-5);
}

double tsr_norm_inverse(double var, double eps)
{
    const double inverse = 1 / sqrt(var + eps);
    return isinf(inverse) ? 0 : inverse;
}

bool tsr_norm_accepts(tsr_node *n, const tsr_norm_options *options, tsr_shape affine, tsr_tensor **failed)
{
    const double eps = tsr_norm_eps(options);
    const tsr_tensor *scale = tsr_input(n, 1), *shift = tsr_input(n, 2);
    const tsr_text expected = tsr_shape_text(affine);
    *failed = NULL;
    if (!(eps >= 0 && isfinite(eps))) *failed = tsr_reject(n, "eps is %g, needs to be finite and not below 0", eps);
    else if (!scale != !shift) *failed = tsr_reject(n, "%s is given without %s", scale ? "scale" : "shift",
                                                    scale ? "shift" : "scale");
    else if (scale && !tsr_same_shape(tsr_shape_of(scale), affine))
        *failed = tsr_reject(n, "scale has shape %s, expected %s", tsr_shape_text(tsr_shape_of(scale)).text, expected.text);
    else if (shift && !tsr_same_shape(tsr_shape_of(shift), affine))
        *failed = tsr_reject(n, "shift has shape %s, expected %s", tsr_shape_text(tsr_shape_of(shift)).text, expected.text);
    return !*failed;
}

tsr_norm_plan *tsr_norm_save(tsr_node *n, const tsr_norm_plan *plan)
{
    const size_t bytes = (size_t)(plan->samples * plan->groups) * sizeof(double);
    tsr_norm_plan *saved = tsr_save(n, sizeof *saved);
    double *mean = tsr_save(n, bytes), *inverse = tsr_save(n, bytes);
    if (!saved || !mean || !inverse) return NULL;
    *saved = *plan;
    saved->mean = mean;
    saved->inverse = inverse;
    return saved;
}

const tsr_real *tsr_norm_arriving(tsr_node *n, tsr_activation activation, int64_t size)
{
    const tsr_real *g = tsr_data(tsr_cotangent(n));
    if (activation == TSR_NO_ACTIVATION || !g) return g;
    tsr_real *before = tsr_scratch(n, (size_t)size * sizeof *before);
    if (before) tsr_deactivate(tsr_node_context(n), activation, tsr_data(tsr_result(n)), g, before, size);
    return before;
}

/* ---- group, instance --------------------------------------------------------------------------------------------- */

static const tsr_op group_norm_op = {.name = "group_norm", .backward = tsr_norm_backward, .optional = 6};
static const tsr_op instance_norm_op = {.name = "instance_norm", .backward = tsr_norm_backward, .optional = 6};

/* groups < 0: as many as channels. */
static tsr_tensor *group_norm(tsr_node *n, int64_t groups, const tsr_norm_options *options)
{
    if (tsr_dead(n)) return tsr_end(n);
    const tsr_shape shape = tsr_shape_of(tsr_input(n, 0));
    const tsr_text text = tsr_shape_text(shape);
    if (shape.rank < 2) return tsr_reject(n, "input %s is not [N, S..., C]", text.text);
    const int64_t channels = shape.dims[shape.rank - 1];
    if (groups == 0 || (groups > 0 && channels % groups != 0))
        return tsr_reject(n, "%lld channels of %s cannot be cut in %lld groups", (long long)channels, text.text,
                          (long long)groups);
    tsr_tensor *failed;
    if (!tsr_norm_accepts(n, options, TSR_SHAPE(channels), &failed)) return failed;
    tsr_norm_plan plan = {.samples = shape.dims[0], .rows = 1, .channels = channels, .groups = groups,
                          .activation = options ? options->activation : TSR_NO_ACTIVATION};
    if (groups < 0 || groups > channels) plan.groups = channels;
    for (int i = 1; i < shape.rank - 1; i++) plan.rows *= shape.dims[i];
    tsr_norm_plan *p = tsr_norm_save(n, &plan);
    tsr_real *y = tsr_output(n, shape);
    if (!p || !y) return tsr_end(n);
    tsr_norm_statistics(n, p);
    for (int64_t i = 0; i < p->samples * p->groups; i++)
        p->inverse[i] = tsr_norm_inverse(p->inverse[i], tsr_norm_eps(options));
    tsr_norm_apply(n, p, y);
    return tsr_end(n);
}

tsr_tensor *tsr_group_norm(tsr_tensor *x, int groups, tsr_tensor *scale, tsr_tensor *shift, const tsr_norm_options *options)
{
    tsr_node *n = tsr_begin(&group_norm_op, TSR_INPUTS(x, scale, shift));
    if (groups < 1 && !tsr_dead(n)) return tsr_reject(n, "groups is %d, needs to be 1 or more", groups);
    return group_norm(n, groups, options);
}

tsr_tensor *tsr_instance_norm(tsr_tensor *x, tsr_tensor *scale, tsr_tensor *shift, const tsr_norm_options *options)
{
    return group_norm(tsr_begin(&instance_norm_op, TSR_INPUTS(x, scale, shift)), -1, options);
}

/* ---- batch: all rows are one sample, each channel a group of its own --------------------------------------------- */

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
