/* The adjoint of a convolution: what is the image there is made here, from what is the result there. */
#include "ops/conv_operands.h"

static void conv_transpose_backward(tsr_node *n)
{
    const tsr_conv_geometry *c = tsr_saved(n);
    tsr_conv_operands o = {.result = tsr_data(tsr_input(n, 0)), .weight = tsr_data(tsr_input(n, 1))};
    o.image = tsr_conv_cotangent(n, c->activation);
    if (!o.image) return;
    tsr_real *bias = tsr_gradient(n, 2);
    if (bias)
        tsr_column_sums(tsr_node_context(n), o.image, c->batch * tsr_conv_in_pixels(c), c->in_channels, bias);
    o.out = tsr_gradient(n, 1);
    if (o.out) tsr_conv_make_weight(n, c, &o);
    o.out = tsr_gradient(n, 0);
    if (o.out) tsr_conv_make_result(n, c, &o);
}

static const tsr_op conv_transpose_op = {
    .name = "conv_transpose", .backward = conv_transpose_backward, .optional = 1u << 2};

tsr_tensor *tsr_conv_transpose(tsr_tensor *x, tsr_tensor *weight, tsr_tensor *bias,
                               const tsr_conv_options *options)
{
    tsr_node *n = tsr_begin(&conv_transpose_op, TSR_INPUTS(x, weight, bias));
    if (tsr_dead(n)) return tsr_end(n);
    tsr_conv_geometry c;
    tsr_tensor *error = tsr_conv_transpose_read(n, options, &c);
    if (error) return error;
    tsr_real *y = tsr_output(n, tsr_conv_in_shape(&c));
    tsr_conv_geometry *saved = tsr_save(n, sizeof *saved);
    if (!y || !saved) return tsr_end(n);
    *saved = c;
    tsr_conv_make_image(n, saved,
                        &(tsr_conv_operands){.result = tsr_data(x),
                                             .weight = tsr_data(weight),
                                             .out = y,
                                             .bias = tsr_data(bias),
                                             .activation = c.activation});
    return tsr_end(n);
}
