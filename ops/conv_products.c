/* Convolutions as products of patches with weights, or with results. */
#include "core/parallel.h"
#include "ops/conv_operands.h"
#include "ops/patches.h"
#include "ops/winograd.h"

/* What the result sees of the image; false: out of memory. */
static bool image_patches(tsr_node *n, const tsr_conv_geometry *c, const tsr_real *image, tsr_patches *p)
{
    tsr_margin margin;
    tsr_patches_of(c, p, &margin);
    p->image = image;
    p->image = tsr_patches_pad(n, p, &margin);
    tsr_patches_place(p, &margin);
    return p->image != NULL;
}

/* ReLU is part of the products; others follow. */
static void finish(tsr_node *n, int64_t size, const tsr_conv_operands *o)
{
    if (!tsr_dead(n) && o->activation != TSR_RELU) tsr_activate(tsr_node_context(n), o->activation, o->out, size);
}

/* Where each pixel of the result sees its own of the image and no other, all three are products as they lie. */
static bool is_product(const tsr_conv_geometry *c)
{
    for (int i = 0; i < 3; i++) {
        const tsr_window *w = &c->axes[i];
        if (w->kernel > 1 || w->before > 0 || w->out != w->in || (w->stride > 1 && w->in > 1)) return false;
    }
    return c->groups == 1;
}

/* Rows, columns and depth are pixels and channels in the order that the operand which is made asks for. */
static void multiply_plain(tsr_node *n, const int64_t size[3], tsr_factor left, tsr_factor right,
                           const tsr_conv_operands *o)
{
    tsr_node_multiply(n, &(tsr_product){.rows = size[0], .columns = size[1], .depth = size[2], .left = left,
                                        .right = right, .out = o->out, .stride = size[1], .bias = o->bias,
                                        .activation = o->activation});
}

void tsr_conv_make_result(tsr_node *n, const tsr_conv_geometry *c, const tsr_conv_operands *o)
{
    const int64_t pixels = c->batch * tsr_conv_out_pixels(c), in = c->in_channels, out = c->out_channels;
    if (is_product(c)) {
        multiply_plain(n, (int64_t[]){pixels, out, in},
                       (tsr_factor){.data = o->image, .row_stride = in, .depth_stride = 1},
                       (tsr_factor){.data = o->weight, .row_stride = 1, .depth_stride = out}, o);
        return;
    }
    tsr_count_work(n, tsr_conv_work(c));
    if (tsr_conv_is_depthwise(c)) {
        tsr_depthwise_result(n, c, o);
        return;
    }
    if (tsr_winograd_fits(n, c)) {
        tsr_winograd_result(n, c, o);
        return;
    }
    tsr_patch_product product = {.columns = c->out_channels / c->groups, .out = o->out, .bias = o->bias,
                                 .relu = o->activation == TSR_RELU, .to = {.pixel = c->out_channels}};
    if (!image_patches(n, c, o->image, &product.patches)) return;
    int64_t tap = c->in_channels / c->groups * c->out_channels;
    product.weight = (tsr_patch_weight){.data = o->weight, .channel = c->out_channels, .column = 1,
                                        .group = product.columns};
    for (int i = 2; i >= 0; i--) {
        product.weight.taps[i] = tap;
        tap *= c->axes[i].kernel;
        product.to.length[i] = c->axes[i].out;
        product.to.step[i] = 1;
    }
    tsr_patch_multiply(n, &product);
    finish(n, c->batch * tsr_conv_out_pixels(c) * c->out_channels, o);
}

void tsr_conv_make_weight(tsr_node *n, const tsr_conv_geometry *c, const tsr_conv_operands *o)
{
    const int64_t pixels = c->batch * tsr_conv_out_pixels(c), in = c->in_channels, out = c->out_channels;
    if (is_product(c)) {
        multiply_plain(n, (int64_t[]){in, out, pixels},
                       (tsr_factor){.data = o->image, .row_stride = 1, .depth_stride = in},
                       (tsr_factor){.data = o->result, .row_stride = 1, .depth_stride = out}, o);
        return;
    }
    tsr_count_work(n, tsr_conv_work(c));
    if (tsr_conv_is_depthwise(c)) {
        tsr_depthwise_weight(n, c, o);
        return;
    }
    if (tsr_winograd_fits(n, c)) {
        tsr_winograd_weight(n, c, o);
        return;
    }
    tsr_patches p;
    if (image_patches(n, c, o->image, &p)) tsr_patch_correlate(n, &p, c->out_channels / c->groups, o->result, o->out);
}

/* ---- the image ----------------------------------------------------------------------------------------- */

/* The pixels of one phase, all channels, from a result with a margin around it. */
static void make_phase(tsr_node *n, const tsr_conv_geometry *c, const tsr_conv_operands *o, const tsr_phase *phases,
                       const tsr_patches *padded, const tsr_margin *margin)
{
    tsr_patch_product product = {.patches = *padded, .columns = c->in_channels / c->groups, .out = o->out,
                                 .bias = o->bias, .relu = o->activation == TSR_RELU, .to = {.pixel = c->in_channels}};
    product.weight = (tsr_patch_weight){.data = o->weight, .channel = 1, .column = c->out_channels,
                                        .group = c->out_channels / c->groups};
    int64_t tap = product.columns * c->out_channels;
    for (int i = 2; i >= 0; i--) {
        product.patches.axes[i] = phases[i].reach;
        product.weight.data += phases[i].last * tap;
        product.weight.taps[i] = -phases[i].apart * tap;
        tap *= c->axes[i].kernel;
        product.to.length[i] = c->axes[i].in;
        product.to.first[i] = phases[i].first;
        product.to.step[i] = c->axes[i].stride;
    }
    tsr_patches_place(&product.patches, margin);
    tsr_patch_multiply(n, &product);
}

static void gather_image(tsr_node *n, const tsr_conv_geometry *c, const tsr_conv_operands *o)
{
    tsr_patches result = {.image = o->result, .images = c->batch, .groups = c->groups,
                          .channels = c->out_channels / c->groups};
    tsr_margin margin = {{0}, {0}};
    int64_t count[3];
    for (int i = 0; i < 3; i++) {
        count[i] = c->axes[i].stride < c->axes[i].in ? c->axes[i].stride : c->axes[i].in;
        result.axes[i].in = c->axes[i].out;
    }
    tsr_phase phases[3];
    for (int64_t f = 0; f < count[0] || f < count[1] || f < count[2]; f++) {
        tsr_reach reach[3];
        for (int i = 0; i < 3; i++) reach[i] = tsr_phase_of(&c->axes[i], f < count[i] ? f : 0).reach;
        tsr_margin_widen(&margin, reach);
    }
    result.image = tsr_patches_pad(n, &result, &margin);
    for (int64_t f = 0; result.image && f < count[0] * count[1] * count[2]; f++) {
        phases[0] = tsr_phase_of(&c->axes[0], f / (count[1] * count[2]));
        phases[1] = tsr_phase_of(&c->axes[1], f / count[2] % count[1]);
        phases[2] = tsr_phase_of(&c->axes[2], f % count[2]);
        make_phase(n, c, o, phases, &result, &margin);
    }
    finish(n, c->batch * tsr_conv_in_pixels(c) * c->in_channels, o);
}

void tsr_conv_make_image(tsr_node *n, const tsr_conv_geometry *c, const tsr_conv_operands *o)
{
    const int64_t pixels = c->batch * tsr_conv_out_pixels(c), in = c->in_channels, out = c->out_channels;
    if (is_product(c)) {
        multiply_plain(n, (int64_t[]){pixels, in, out},
                       (tsr_factor){.data = o->result, .row_stride = out, .depth_stride = 1},
                       (tsr_factor){.data = o->weight, .row_stride = out, .depth_stride = 1}, o);
        return;
    }
    tsr_count_work(n, tsr_conv_work(c));
    if (tsr_conv_is_depthwise(c)) tsr_depthwise_image(n, c, o);
    else if (tsr_winograd_fits(n, c)) tsr_winograd_image(n, c, o);
    else gather_image(n, c, o);
}
