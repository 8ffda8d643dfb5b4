/* Gradient checks of the normalisations. */
#include "tests/gradcheck/gradcheck.h"

static tsr_norm_options how;
static tsr_batch_norm_state state; /* what the case does not check */
static int groups, axis;
static tsr_lrn_options window;

static tsr_tensor *plain(tsr_tensor *const *in) { return tsr_batch_norm(in[0], &state, &how); }
static tsr_tensor *affine(tsr_tensor *const *in)
{
    tsr_batch_norm_state with = state;
    with.scale = in[1];
    with.shift = in[2];
    return tsr_batch_norm(in[0], &with, &how);
}
static tsr_tensor *layer(tsr_tensor *const *in) { return tsr_layer_norm(in[0], NULL, NULL, &how); }
static tsr_tensor *layer_affine(tsr_tensor *const *in) { return tsr_layer_norm(in[0], in[1], in[2], &how); }
static tsr_tensor *group(tsr_tensor *const *in) { return tsr_group_norm(in[0], groups, NULL, NULL, &how); }
static tsr_tensor *group_affine(tsr_tensor *const *in) { return tsr_group_norm(in[0], groups, in[1], in[2], &how); }
static tsr_tensor *instance(tsr_tensor *const *in) { return tsr_instance_norm(in[0], NULL, NULL, &how); }
static tsr_tensor *instance_affine(tsr_tensor *const *in) { return tsr_instance_norm(in[0], in[1], in[2], &how); }
static tsr_tensor *lrn(tsr_tensor *const *in) { return tsr_lrn(in[0], &window); }
static tsr_tensor *unit(tsr_tensor *const *in) { return tsr_l2_normalize(in[0], axis); }

/* x, scale, shift. */
static void affine_case(tsr_context *ctx, tsr_function fn, tsr_shape shape, tsr_shape parameters)
{
    gradcheck_case(ctx, fn, 3, (tsr_tensor *[]){gradcheck_normal(ctx, shape), gradcheck_normal(ctx, parameters),
                                                gradcheck_normal(ctx, parameters)});
}

static void plain_case(tsr_context *ctx, tsr_function fn, tsr_shape shape)
{
    gradcheck_case(ctx, fn, 1, (tsr_tensor *[]){gradcheck_normal(ctx, shape)});
}

/* relu on values far enough from its kink: the shift puts whole channels on either side. */
static tsr_tensor *sides(tsr_context *ctx)
{
    return tsr_values(ctx, TSR_SHAPE(3), (tsr_real[]){8, -8, 7});
}

static void batch_norm_options(tsr_context *ctx)
{
    how = (tsr_norm_options){.activation = TSR_RELU};
    state = (tsr_batch_norm_state){0};
    tsr_tensor *one = tsr_full(ctx, TSR_SHAPE(3), 1.5);
    gradcheck_case(ctx, affine, 3, (tsr_tensor *[]){gradcheck_normal(ctx, TSR_SHAPE(3, 4, 3)), one, sides(ctx)});
    state.running_mean = gradcheck_normal(ctx, TSR_SHAPE(3));
    state.running_var = gradcheck_uniform(ctx, TSR_SHAPE(3), 0.5, 2);
    how = (tsr_norm_options){.momentum = 0.3}; /* moving averages leave the result alone */
    affine_case(ctx, affine, TSR_SHAPE(4, 5, 3), TSR_SHAPE(3));
    how.evaluate = true;
    affine_case(ctx, affine, TSR_SHAPE(4, 5, 3), TSR_SHAPE(3));
    affine_case(ctx, affine, TSR_SHAPE(1, 3), TSR_SHAPE(3));
    plain_case(ctx, plain, TSR_SHAPE(2, 3));
    state = (tsr_batch_norm_state){0};
}

/* Few channels (several pixels in a loop), just below and above a loop's width, and rows that are no multiple of it. */
GRADCHECK(batch_norm)
{
    how = (tsr_norm_options){0};
    state = (tsr_batch_norm_state){0};
    affine_case(ctx, affine, TSR_SHAPE(2, 3, 2, 3), TSR_SHAPE(3));
    affine_case(ctx, affine, TSR_SHAPE(5, 4), TSR_SHAPE(4));
    affine_case(ctx, affine, TSR_SHAPE(3, 7, 1), TSR_SHAPE(1));
    affine_case(ctx, affine, TSR_SHAPE(9, 65), TSR_SHAPE(65));
    affine_case(ctx, affine, TSR_SHAPE(2, 2, 2, 2, 2), TSR_SHAPE(2));
    plain_case(ctx, plain, TSR_SHAPE(4, 33, 2));
    plain_case(ctx, plain, TSR_SHAPE(6, 3));
    how.eps = 0.1;
    for (int i = TSR_SIGMOID; i <= TSR_TANH; i++) {
        how.activation = (tsr_activation)i;
        affine_case(ctx, affine, TSR_SHAPE(2, 4, 3), TSR_SHAPE(3));
    }
    batch_norm_options(ctx);
}

GRADCHECK(layer_norm)
{
    how = (tsr_norm_options){0};
    affine_case(ctx, layer_affine, TSR_SHAPE(4, 5), TSR_SHAPE(5));
    affine_case(ctx, layer_affine, TSR_SHAPE(2, 3, 19), TSR_SHAPE(19));
    affine_case(ctx, layer_affine, TSR_SHAPE(1, 8), TSR_SHAPE(8));
    plain_case(ctx, layer, TSR_SHAPE(3, 9));
    how.axes = 2;
    affine_case(ctx, layer_affine, TSR_SHAPE(2, 3, 4), TSR_SHAPE(3, 4));
    how.activation = TSR_TANH;
    affine_case(ctx, layer_affine, TSR_SHAPE(2, 3, 4), TSR_SHAPE(3, 4));
    how = (tsr_norm_options){.axes = 1, .eps = 0.01};
    affine_case(ctx, layer_affine, TSR_SHAPE(7), TSR_SHAPE(7));
    gradcheck_zero_case(ctx, layer, 1, (tsr_tensor *[]){gradcheck_normal(ctx, TSR_SHAPE(3, 1))});
}

GRADCHECK(group_norm)
{
    how = (tsr_norm_options){0};
    for (groups = 1; groups <= 6; groups++)
        if (6 % groups == 0) affine_case(ctx, group_affine, TSR_SHAPE(2, 2, 3, 6), TSR_SHAPE(6));
    groups = 2;
    affine_case(ctx, group_affine, TSR_SHAPE(3, 8), TSR_SHAPE(8));
    plain_case(ctx, group, TSR_SHAPE(3, 5, 70));
    how.activation = TSR_SIGMOID;
    affine_case(ctx, group_affine, TSR_SHAPE(2, 5, 4), TSR_SHAPE(4));
}

GRADCHECK(instance_norm)
{
    how = (tsr_norm_options){0};
    affine_case(ctx, instance_affine, TSR_SHAPE(2, 3, 2, 3), TSR_SHAPE(3));
    affine_case(ctx, instance_affine, TSR_SHAPE(1, 9, 66), TSR_SHAPE(66));
    plain_case(ctx, instance, TSR_SHAPE(3, 5, 1));
    how.activation = TSR_TANH;
    affine_case(ctx, instance_affine, TSR_SHAPE(2, 2, 2, 2, 2), TSR_SHAPE(2));
}

/* Windows of odd and even size, of one channel, and wider than there are channels. */
GRADCHECK(lrn)
{
    static const int sizes[] = {5, 4, 3, 2, 1, 30};
    for (int i = 0; i < 6; i++) {
        window = (tsr_lrn_options){.size = sizes[i], .alpha = 2, .k = 0.7};
        plain_case(ctx, lrn, TSR_SHAPE(2, 3, 9));
        window.beta = 0.5;
        plain_case(ctx, lrn, TSR_SHAPE(3, 1));
    }
    window = (tsr_lrn_options){0};
    plain_case(ctx, lrn, TSR_SHAPE(2, 7));
}

GRADCHECK(l2_normalize)
{
    for (axis = 0; axis < 3; axis++) plain_case(ctx, unit, TSR_SHAPE(3, 5, 4));
    axis = -1;
    plain_case(ctx, unit, TSR_SHAPE(4, 19));
    plain_case(ctx, unit, TSR_SHAPE(9));
    axis = 0;
    plain_case(ctx, unit, TSR_SHAPE(3, 67));
}
