/* Convolutions as matrix products over patches. */
#include "ops/conv_operands.h"
#include "ops/patches.h"
#include "ops/winograd.h"

#include <string.h>

/* Where an image has fewer channels (per group), adding up scattered products is faster than gathering
 * patches. */
enum { FEW_CHANNELS = 8 };

/* Memory for products one after the other. */
typedef struct workspace {
    void *memory;
    size_t bytes;
} workspace;

static bool multiply(tsr_node *n, const tsr_product *product, workspace *w)
{
    const size_t bytes = tsr_product_workspace(product);
    if (!w->memory || bytes > w->bytes) *w = (workspace){tsr_scratch(n, bytes), bytes};
    if (w->memory) tsr_multiply(tsr_node_context(n), product, w->memory);
    return w->memory != NULL;
}

static tsr_patches image_patches(const tsr_conv_geometry *c, const tsr_real *image)
{
    tsr_patches p = {.image = image, .channels = c->in_channels / c->groups, .pixel = c->in_channels};
    for (int i = 0; i < 3; i++) {
        const tsr_window *w = &c->axes[i];
        p.axes[i] = (tsr_reach){.in = w->in,
                                .positions = w->out,
                                .step = w->stride,
                                .taps = w->kernel,
                                .first = -w->before,
                                .gap = w->dilation};
    }
    return p;
}

void tsr_conv_make_result(tsr_node *n, const tsr_conv_geometry *c, const tsr_conv_operands *o)
{
    tsr_count_work(n, tsr_conv_work(c));
    if (tsr_conv_is_depthwise(c)) {
        tsr_depthwise_result(n, c, o);
        return;
    }
    if (tsr_winograd_fits(n, c)) {
        tsr_winograd_result(n, c, o);
        return;
    }
    tsr_patches p = image_patches(c, o->image);
    const int64_t in = c->in_channels / c->groups, out = c->out_channels / c->groups;
    tsr_product product = {.rows = c->batch * tsr_conv_out_pixels(c),
                           .columns = out,
                           .depth = tsr_conv_taps(c) * in,
                           .stride = c->out_channels,
                           .activation = o->activation,
                           .right = {.row_stride = 1, .depth_stride = c->out_channels}};
    workspace w = {0};
    for (int64_t g = 0; g < c->groups; g++) {
        p.image = o->image + g * in;
        product.left = tsr_patch_rows(&p);
        product.right.data = o->weight + g * out;
        product.out = o->out + g * out;
        product.bias = o->bias ? o->bias + g * out : NULL;
        if (!multiply(n, &product, &w)) return;
    }
}

void tsr_conv_make_weight(tsr_node *n, const tsr_conv_geometry *c, const tsr_conv_operands *o)
{
    tsr_count_work(n, tsr_conv_work(c));
    if (tsr_conv_is_depthwise(c)) {
        tsr_depthwise_weight(n, c, o);
        return;
    }
    if (tsr_winograd_fits(n, c)) {
        tsr_winograd_weight(n, c, o);
        return;
    }
    tsr_patches p = image_patches(c, o->image);
    const int64_t in = c->in_channels / c->groups, out = c->out_channels / c->groups;
    tsr_product product = {.rows = tsr_conv_taps(c) * in,
                           .columns = out,
                           .depth = c->batch * tsr_conv_out_pixels(c),
                           .stride = c->out_channels,
                           .right = {.row_stride = 1, .depth_stride = c->out_channels}};
    workspace w = {0};
    for (int64_t g = 0; g < c->groups; g++) {
        p.image = o->image + g * in;
        product.left = tsr_patch_columns(&p);
        product.right.data = o->result + g * out;
        product.out = o->out + g * out;
        if (!multiply(n, &product, &w)) return;
    }
}

/* ---- the image: gathered ------------------------------------------------------------------------------- */

/* Pixels phase, phase + stride, ... along an axis see the same taps, last, last - apart, ..., of neighbouring
 * results. */
typedef struct phase {
    tsr_reach reach; /* in the result */
    int64_t first, last, apart;
} phase;

static int64_t common_divisor(int64_t a, int64_t b)
{
    while (b != 0) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static phase phase_of(const tsr_window *w, int64_t first)
{
    const int64_t divisor = common_divisor(w->stride, w->dilation);
    phase f = {.first = first,
               .apart = w->stride / divisor,
               .reach = {.in = w->out,
                         .positions = (w->in - first - 1) / w->stride + 1,
                         .step = 1,
                         .gap = w->dilation / divisor}};
    for (int64_t k = 0; k < w->kernel && k < f.apart; k++) {
        if ((first + w->before - k * w->dilation) % w->stride != 0) continue;
        f.reach.taps = (w->kernel - 1 - k) / f.apart + 1;
        f.last = k + (f.reach.taps - 1) * f.apart;
        f.reach.first = (first + w->before - f.last * w->dilation) / w->stride;
    }
    return f;
}

typedef struct spread_job {
    const tsr_conv_geometry *c;
    const phase *phases;
    const tsr_real *from;
    tsr_real *to;
} spread_job;

/* Lines of the pixels of one phase to where they belong. */
static void spread_body(void *user, int64_t begin, int64_t end)
{
    const spread_job *job = user;
    const tsr_window *axes = job->c->axes;
    const phase *f = job->phases;
    const int64_t channels = job->c->in_channels, count = f[2].reach.positions;
    for (int64_t line = begin; line < end; line++) {
        const int64_t plane = line / f[1].reach.positions, n = plane / f[0].reach.positions;
        const int64_t i0 = f[0].first + plane % f[0].reach.positions * axes[0].stride;
        const int64_t i1 = f[1].first + line % f[1].reach.positions * axes[1].stride;
        const tsr_real *from = job->from + line * count * channels;
        tsr_real *to =
            job->to + (((n * axes[0].in + i0) * axes[1].in + i1) * axes[2].in + f[2].first) * channels;
        for (int64_t q = 0; q < count; q++)
            memcpy(to + q * axes[2].stride * channels, from + q * channels, (size_t)channels * sizeof *to);
    }
}

/* The pixels of one phase, all channels. */
static bool make_phase(tsr_node *n, const tsr_conv_geometry *c, const tsr_conv_operands *o,
                       const phase *phases, workspace *w)
{
    const int64_t in = c->in_channels / c->groups, out = c->out_channels / c->groups;
    tsr_patches p = {.channels = out, .pixel = c->out_channels};
    tsr_turned_weight turned = {.channels = out, .row = c->out_channels};
    tsr_product product = {
        .rows = c->batch, .columns = in, .depth = out, .stride = c->in_channels, .activation = o->activation};
    int64_t tap = 0, tap_step = in * c->out_channels;
    for (int i = 2; i >= 0; i--) {
        p.axes[i] = phases[i].reach;
        turned.taps[i] = phases[i].reach.taps;
        turned.steps[i] = -phases[i].apart * tap_step;
        tap += phases[i].last * tap_step;
        tap_step *= c->axes[i].kernel;
        product.rows *= phases[i].reach.positions;
        product.depth *= phases[i].reach.taps;
    }
    for (int64_t g = 0; g < c->groups; g++) {
        p.image = o->result + g * out;
        turned.data = o->weight + tap + g * out;
        product.left = tsr_patch_rows(&p);
        product.right = tsr_turned_rows(&turned);
        product.out = o->out + g * in;
        product.bias = o->bias ? o->bias + g * in : NULL;
        if (!multiply(n, &product, w)) return false;
    }
    return true;
}

static void gather_image(tsr_node *n, const tsr_conv_geometry *c, const tsr_conv_operands *o)
{
    int64_t counts[3], pixels = c->batch;
    for (int i = 0; i < 3; i++) {
        const tsr_window *w = &c->axes[i];
        counts[i] = w->stride < w->in ? w->stride : w->in;
        pixels *= (w->in + w->stride - 1) / w->stride;
    }
    workspace w = {0};
    phase phases[3];
    tsr_conv_operands part = *o;
    const bool scattered = counts[0] * counts[1] * counts[2] > 1;
    if (scattered) part.out = tsr_scratch(n, (size_t)(pixels * c->in_channels) * sizeof *part.out);
    if (!part.out) return;
    for (int64_t f0 = 0; f0 < counts[0]; f0++)
        for (int64_t f1 = 0; f1 < counts[1]; f1++)
            for (int64_t f2 = 0; f2 < counts[2]; f2++) {
                phases[0] = phase_of(&c->axes[0], f0);
                phases[1] = phase_of(&c->axes[1], f1);
                phases[2] = phase_of(&c->axes[2], f2);
                if (!make_phase(n, c, &part, phases, &w)) return;
                if (!scattered) continue;
                spread_job job = {.c = c, .phases = phases, .from = part.out, .to = o->out};
                tsr_parallel(
                    tsr_node_context(n), c->batch * phases[0].reach.positions * phases[1].reach.positions,
                    tsr_grain((double)(2 * phases[2].reach.positions * c->in_channels)), spread_body, &job);
            }
}

void tsr_conv_make_image(tsr_node *n, const tsr_conv_geometry *c, const tsr_conv_operands *o)
{
    tsr_count_work(n, tsr_conv_work(c));
    if (tsr_conv_is_depthwise(c)) tsr_depthwise_image(n, c, o);
    else if (tsr_winograd_fits(n, c)) tsr_winograd_image(n, c, o);
    else if (c->in_channels / c->groups < FEW_CHANNELS) tsr_conv_scatter_image(n, c, o);
    else gather_image(n, c, o);
}
