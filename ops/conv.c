#include "ops/conv_operands.h"

const tsr_real *tsr_conv_cotangent(tsr_node *n, tsr_activation activation)
{
    const tsr_real *g = tsr_data(tsr_cotangent(n));
    const int64_t size = tsr_size(tsr_result(n));
    if (activation == TSR_NO_ACTIVATION || !g) return g;
    tsr_real *before = tsr_cotangent_room(n);
    if (before) tsr_deactivate(tsr_node_context(n), activation, tsr_data(tsr_result(n)), g, before, size);
    return before;
}

static void conv_backward(tsr_node *n)
{
    const tsr_conv_geometry *c = tsr_saved(n);
    tsr_conv_operands o = {.image = tsr_data(tsr_input(n, 0)), .weight = tsr_data(tsr_input(n, 1))};
    o.result = tsr_conv_cotangent(n, c->activation);
    if (!o.result) return;
    tsr_real *bias = tsr_gradient(n, 2);
    if (bias)
        tsr_column_sums(tsr_node_context(n), o.result, c->batch * tsr_conv_out_pixels(c), c->out_channels,
                        bias);
    o.out = tsr_gradient(n, 1);
    if (o.out) tsr_conv_make_weight(n, c, &o);
    o.out = tsr_gradient(n, 0);
    if (o.out) tsr_conv_make_image(n, c, &o);
}

static const tsr_op conv_op = {.name = "conv", .backward = conv_backward, .optional = 1u << 2};

tsr_tensor *tsr_conv(tsr_tensor *x, tsr_tensor *weight, tsr_tensor *bias, const tsr_conv_options *options)
{
    tsr_node *n = tsr_begin(&conv_op, TSR_INPUTS(x, weight, bias));
    if (tsr_dead(n)) return tsr_end(n);
    tsr_conv_geometry c;
    tsr_tensor *error = tsr_conv_read(n, options, &c);
    if (error) return error;
    tsr_real *y = tsr_output(n, tsr_conv_out_shape(&c));
    tsr_conv_geometry *saved = tsr_save(n, sizeof *saved);
    if (!y || !saved) return tsr_end(n);
    *saved = c;
    tsr_conv_make_result(n, saved,
                         &(tsr_conv_operands){.image = tsr_data(x),
                                              .weight = tsr_data(weight),
                                              .out = y,
                                              .bias = tsr_data(bias),
                                              .activation = c.activation});
    return tsr_end(n);
}
