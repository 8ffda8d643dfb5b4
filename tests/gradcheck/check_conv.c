#include "tests/gradcheck/gradcheck.h"

static tsr_conv_options options;

static tsr_tensor *conv(tsr_tensor *const *in) { return tsr_conv(in[0], in[1], in[2], &options); }
static tsr_tensor *conv_no_bias(tsr_tensor *const *in) { return tsr_conv(in[0], in[1], NULL, &options); }
static tsr_tensor *transposed(tsr_tensor *const *in) { return tsr_conv_transpose(in[0], in[1], in[2], &options); }
static tsr_tensor *local(tsr_tensor *const *in) { return tsr_locally_connected(in[0], in[1], in[2], &options); }

static void check(tsr_context *ctx, tsr_function fn, tsr_shape x, tsr_shape weight, tsr_shape bias, tsr_conv_options o)
{
    options = o;
    gradcheck_case(ctx, fn, fn == conv_no_bias ? 2 : 3,
                   (tsr_tensor *[]){gradcheck_normal(ctx, x), gradcheck_normal(ctx, weight), gradcheck_normal(ctx, bias)});
}

GRADCHECK(conv)
{
    check(ctx, conv, TSR_SHAPE(2, 5, 4, 3), TSR_SHAPE(3, 3, 3, 4), TSR_SHAPE(4), (tsr_conv_options){.padding = {1, 1}});
    check(ctx, conv, TSR_SHAPE(1, 7, 6, 2), TSR_SHAPE(3, 2, 2, 3), TSR_SHAPE(3), (tsr_conv_options){.stride = {2, 3}, .padding = {2, 0}, .padding_end = {TSR_ZERO, 1}});
    check(ctx, conv, TSR_SHAPE(2, 9, 2), TSR_SHAPE(3, 2, 5), TSR_SHAPE(5), (tsr_conv_options){.dilation = {2}, .padding = {3}, .stride = {3}});
    check(ctx, conv, TSR_SHAPE(1, 4, 3, 5, 2), TSR_SHAPE(2, 3, 2, 2, 3), TSR_SHAPE(3), (tsr_conv_options){.stride = {1, 2, 2}, .padding = {1, 1, 0}});
    check(ctx, conv, TSR_SHAPE(2, 5, 5, 6), TSR_SHAPE(3, 3, 2, 9), TSR_SHAPE(9), (tsr_conv_options){.groups = 3, .padding = {1, 1}, .stride = {2, 1}});
    check(ctx, conv, TSR_SHAPE(2, 6, 5, 4), TSR_SHAPE(3, 3, 1, 4), TSR_SHAPE(4), (tsr_conv_options){.groups = 4, .padding = {1, 1}});
    check(ctx, conv, TSR_SHAPE(2, 6, 7, 2), TSR_SHAPE(3, 3, 1, 4), TSR_SHAPE(4), (tsr_conv_options){.groups = 2, .dilation = {2, 3}, .padding = {2, 3}, .stride = {4, 2}});
    check(ctx, conv_no_bias, TSR_SHAPE(2, 3, 4, 5), TSR_SHAPE(1, 1, 5, 3), TSR_SHAPE(1), (tsr_conv_options){0});
    check(ctx, conv_no_bias, TSR_SHAPE(1, 5, 5, 1), TSR_SHAPE(2, 2, 1, 1), TSR_SHAPE(1), (tsr_conv_options){.stride = {3, 3}});
    check(ctx, conv, TSR_SHAPE(1, 1, 1, 3), TSR_SHAPE(1, 1, 3, 2), TSR_SHAPE(2), (tsr_conv_options){.activation = TSR_SIGMOID});
    check(ctx, conv, TSR_SHAPE(2, 4, 4, 2), TSR_SHAPE(3, 3, 2, 3), TSR_SHAPE(3), (tsr_conv_options){.activation = TSR_TANH, .padding = {1, 1}});
    check(ctx, conv, TSR_SHAPE(2, 4, 4, 2), TSR_SHAPE(3, 3, 2, 3), TSR_SHAPE(3), (tsr_conv_options){.activation = TSR_RELU, .padding = {1, 1}});
    /* large enough for Winograd's transforms */
    check(ctx, conv, TSR_SHAPE(1, 8, 7, 17), TSR_SHAPE(3, 3, 17, 16), TSR_SHAPE(16), (tsr_conv_options){.activation = TSR_SIGMOID, .padding = {1, 1}});
}

GRADCHECK(conv_transpose)
{
    check(ctx, transposed, TSR_SHAPE(2, 3, 4, 3), TSR_SHAPE(3, 3, 2, 3), TSR_SHAPE(2), (tsr_conv_options){0});
    check(ctx, transposed, TSR_SHAPE(1, 3, 4, 4), TSR_SHAPE(3, 2, 2, 4), TSR_SHAPE(4), (tsr_conv_options){.stride = {2, 3}, .padding = {1, 0}, .groups = 2, .output_padding = {1, 2}});
    check(ctx, transposed, TSR_SHAPE(2, 5, 2), TSR_SHAPE(3, 3, 2), TSR_SHAPE(3), (tsr_conv_options){.stride = {2}, .dilation = {3}, .padding = {2}, .padding_end = {TSR_ZERO}});
    check(ctx, transposed, TSR_SHAPE(1, 2, 3, 2, 2), TSR_SHAPE(2, 2, 3, 1, 2), TSR_SHAPE(1), (tsr_conv_options){.stride = {2, 1, 2}, .activation = TSR_TANH});
    check(ctx, transposed, TSR_SHAPE(1, 3, 3, 2), TSR_SHAPE(1, 1, 2, 2), TSR_SHAPE(2), (tsr_conv_options){.stride = {2, 2}}); /* holes */
}

GRADCHECK(locally_connected)
{
    check(ctx, local, TSR_SHAPE(2, 4, 5, 2), TSR_SHAPE(2, 3, 3, 3, 2, 3), TSR_SHAPE(2, 3, 3), (tsr_conv_options){0});
    check(ctx, local, TSR_SHAPE(3, 6, 5, 1), TSR_SHAPE(3, 3, 3, 2, 1, 2), TSR_SHAPE(3, 3, 2), (tsr_conv_options){.stride = {2, 2}, .padding = {1, 1}, .padding_end = {TSR_ZERO, TSR_ZERO}});
    check(ctx, local, TSR_SHAPE(5, 3, 3, 9), TSR_SHAPE(1, 1, 3, 3, 9, 10), TSR_SHAPE(1, 1, 10), (tsr_conv_options){.activation = TSR_TANH});
}
