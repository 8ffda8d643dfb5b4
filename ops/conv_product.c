/* Convolutions as matrix products: the left factor is packed straight from the image, patch by patch, so that no matrix of
 * patches ever exists. */
#include "ops/conv_internal.h"

#include <string.h>

/* What the packers need to know. `image` is read along `length`; a position along `grid` looks, for tap t of an axis, at
 * (position * step + start + t * reach) / divide where that is whole and inside. */
typedef struct gather {
    const tsr_real *image;
    int64_t batch, stride;    /* images; values from pixel to pixel */
    int64_t channels;         /* read of each pixel, from `image` on */
    int64_t length[3], grid[3], taps[3];
    int64_t step[3], start[3], reach[3];
    int64_t tap_count, positions; /* products of taps and grid */
} gather;

static gather gather_new(const tsr_real *image, int64_t batch, int64_t stride, int64_t channels)
{
    return (gather){.image = image, .batch = batch, .stride = stride, .channels = channels};
}

static void gather_finish(gather *s)
{
    s->tap_count = tsr_geometry_positions(s->taps);
    s->positions = tsr_geometry_positions(s->grid);
}

typedef struct place { /* of a row of patches: its image and where its first tap looks */
    int64_t base, at[3];
} place;

static place place_of(const gather *s, int64_t row)
{
    const int64_t image = row / s->positions, in_image = row % s->positions;
    const int64_t plane = s->grid[1] * s->grid[2];
    const int64_t position[3] = {in_image / plane, in_image / s->grid[2] % s->grid[1], in_image % s->grid[2]};
    place p = {.base = image * s->length[0] * s->length[1] * s->length[2]};
    for (int i = 0; i < 3; i++) p.at[i] = position[i] * s->step[i] + s->start[i];
    return p;
}

/* The pixel that tap (a, b, c) of a patch sees, or NULL outside. */
static const tsr_real *pixel(const gather *s, const place *p, const int64_t *tap)
{
    const int64_t d = p->at[0] + tap[0] * s->reach[0], h = p->at[1] + tap[1] * s->reach[1], w = p->at[2] + tap[2] * s->reach[2];
    if (d < 0 || d >= s->length[0] || h < 0 || h >= s->length[1] || w < 0 || w >= s->length[2]) return NULL;
    return s->image + (p->base + (d * s->length[1] + h) * s->length[2] + w) * s->stride;
}

static void split_tap(const gather *s, int64_t tap, int64_t *out)
{
    out[0] = tap / (s->taps[1] * s->taps[2]);
    out[1] = tap / s->taps[2] % s->taps[1];
    out[2] = tap % s->taps[2];
}

/* Rows are patches, depth runs over (tap, channel). */
static void pack_patches(const tsr_factor *self, const tsr_block_of *block, tsr_real *out)
{
    const gather *s = self->user;
    place places[TSR_MAX_TILE];
    for (int64_t r = 0; r < block->rows; r++) places[r] = place_of(s, block->row + r);
    int64_t done = 0;
    while (done < block->depth) {
        const int64_t k = block->k + done, channel = k % s->channels;
        const int64_t left = block->depth - done, run = s->channels - channel < left ? s->channels - channel : left;
        const tsr_real *rows[TSR_MAX_TILE] = {0};
        int64_t tap[3];
        split_tap(s, k / s->channels, tap);
        for (int64_t r = 0; r < block->rows; r++) {
            const tsr_real *at = pixel(s, &places[r], tap);
            rows[r] = at ? at + channel : NULL;
        }
        tsr_pack_rows(rows, block->tile, run, out + done * block->tile);
        done += run;
    }
}

/* Rows run over (tap, channel), depth over patches. */
static void pack_taps(const tsr_factor *self, const tsr_block_of *block, tsr_real *out)
{
    const gather *s = self->user;
    if (block->rows < block->tile) memset(out, 0, (size_t)(block->depth * block->tile) * sizeof *out);
    for (int64_t d = 0; d < block->depth; d++) {
        const place p = place_of(s, block->k + d);
        tsr_real *to = out + d * block->tile;
        for (int64_t done = 0; done < block->rows;) {
            const int64_t row = block->row + done, channel = row % s->channels;
            const int64_t left = block->rows - done, run = s->channels - channel < left ? s->channels - channel : left;
            int64_t tap[3];
            split_tap(s, row / s->channels, tap);
            const tsr_real *at = pixel(s, &p, tap);
            if (at) memcpy(to + done, at + channel, (size_t)run * sizeof *to);
            else memset(to + done, 0, (size_t)run * sizeof *to);
            done += run;
        }
    }
}

/* The patches of a convolution's image, channels of group `group`. */
static gather patches_of(const tsr_geometry *g, const tsr_real *image, int group)
{
    const int64_t channels = g->channels / g->groups;
    gather s = gather_new(image + group * channels, g->batch, g->channels, channels);
    for (int i = 0; i < 3; i++) {
        s.length[i] = g->in[i];
        s.grid[i] = g->out[i];
        s.taps[i] = g->kernel[i];
        s.step[i] = g->stride[i];
        s.start[i] = -g->padding[i];
        s.reach[i] = g->dilation[i];
    }
    gather_finish(&s);
    return s;
}

/* A convolution that looks at each pixel once, in order, is a plain product. */
static bool is_pointwise(const tsr_geometry *g)
{
    bool plain = true;
    for (int i = 0; i < 3; i++)
        plain = plain && g->kernel[i] == 1 && g->stride[i] == 1 && g->padding[i] == 0 && g->padding_end[i] == 0;
    return plain;
}

static tsr_factor patch_factor(const tsr_geometry *g, const gather *s, bool transposed)
{
    if (is_pointwise(g))
        return transposed ? (tsr_factor){.data = s->image, .row_stride = 1, .depth_stride = s->stride}
                          : (tsr_factor){.data = s->image, .row_stride = s->stride, .depth_stride = 1};
    return (tsr_factor){.pack = transposed ? pack_taps : pack_patches, .user = s};
}

void tsr_convolve(tsr_node *n, const tsr_geometry *g, const tsr_real *image, const tsr_real *weight, const tsr_real *bias,
                  tsr_real *result)
{
    const int64_t filters = g->filters / g->groups;
    for (int group = 0; group < g->groups; group++) {
        const gather s = patches_of(g, image, group);
        const tsr_product product = {.rows = g->batch * s.positions,
                                     .columns = filters,
                                     .depth = s.tap_count * s.channels,
                                     .left = patch_factor(g, &s, false),
                                     .right = {.data = weight + group * filters, .row_stride = 1, .depth_stride = g->filters},
                                     .out = result + group * filters,
                                     .stride = g->filters,
                                     .bias = bias ? bias + group * filters : NULL,
                                     .activation = g->activation};
        tsr_node_multiply(n, &product);
    }
}

void tsr_correlate(tsr_node *n, const tsr_geometry *g, const tsr_real *image, const tsr_real *result, tsr_real *weight)
{
    const int64_t filters = g->filters / g->groups;
    for (int group = 0; group < g->groups; group++) {
        const gather s = patches_of(g, image, group);
        const tsr_product product = {.rows = s.tap_count * s.channels,
                                     .columns = filters,
                                     .depth = g->batch * s.positions,
                                     .left = patch_factor(g, &s, true),
                                     .right = {.data = result + group * filters, .row_stride = 1, .depth_stride = g->filters},
                                     .out = weight + group * filters,
                                     .stride = g->filters};
        tsr_node_multiply(n, &product);
    }
}

/* ---- the adjoint -------------------------------------------------------------------------------------------------------
 * A pixel p of the image was seen by result q through tap t where q * stride = p + padding - t * dilation. Pixels fall into
 * phases by (p + padding) mod stride; those of one phase are seen through the same taps, at a regular grid of results: each
 * phase is a small convolution of stride 1 over the result. */

typedef struct phase_axis {
    int64_t first, count;        /* pixels of the phase: first, first + stride, ... */
    int64_t taps, tap, tap_step; /* taps that see them: tap, tap + tap_step, ... */
    int64_t start, reach;        /* results they see: pixel number + start + tap number * reach */
} phase_axis;

static int64_t divisor(int64_t a, int64_t b)
{
    while (b != 0) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static phase_axis phase_of(const tsr_geometry *g, int axis, int64_t phase)
{
    const int64_t stride = g->stride[axis], dilation = g->dilation[axis];
    phase_axis p = {.first = ((phase - g->padding[axis]) % stride + stride) % stride};
    p.count = p.first < g->in[axis] ? (g->in[axis] - 1 - p.first) / stride + 1 : 0;
    while (p.tap < g->kernel[axis] && (p.tap * dilation - phase) % stride != 0 && p.tap < stride) p.tap++;
    p.tap_step = stride / divisor(stride, dilation);
    if (p.tap < g->kernel[axis] && (p.tap * dilation - phase) % stride == 0) p.taps = (g->kernel[axis] - 1 - p.tap) / p.tap_step + 1;
    p.start = (p.first + g->padding[axis] - p.tap * dilation) / stride; /* exact */
    p.reach = -(p.tap_step * dilation / stride);
    return p;
}

/* to[tap][filter][channel] of the phase's taps and the group, from weight[tap][channel][filter]. */
static void transpose_weight(const tsr_geometry *g, const tsr_real *weight, int group, const phase_axis *phase, tsr_real *to)
{
    const int64_t channels = g->channels / g->groups, filters = g->filters / g->groups;
    for (int64_t a = 0; a < phase[0].taps; a++)
        for (int64_t b = 0; b < phase[1].taps; b++)
            for (int64_t c = 0; c < phase[2].taps; c++) {
                const int64_t d = phase[0].tap + a * phase[0].tap_step, h = phase[1].tap + b * phase[1].tap_step;
                const int64_t w = phase[2].tap + c * phase[2].tap_step;
                const tsr_real *from = weight + ((d * g->kernel[1] + h) * g->kernel[2] + w) * channels * g->filters + group * filters;
                for (int64_t i = 0; i < channels; i++)
                    for (int64_t o = 0; o < filters; o++) to[o * channels + i] = from[i * g->filters + o];
                to += filters * channels;
            }
}

/* Copies rows of the phase [batch, grid..., channels] to their places in the image, channels of `group`. */
static void scatter_phase(const tsr_geometry *g, const phase_axis *phase, int group, const tsr_real *from, tsr_real *image)
{
    const int64_t channels = g->channels / g->groups;
    for (int64_t n = 0; n < g->batch; n++)
        for (int64_t a = 0; a < phase[0].count; a++)
            for (int64_t b = 0; b < phase[1].count; b++) {
                const int64_t d = phase[0].first + a * g->stride[0], h = phase[1].first + b * g->stride[1];
                tsr_real *row = image + ((n * g->in[0] + d) * g->in[1] + h) * g->in[2] * g->channels + group * channels;
                for (int64_t c = 0; c < phase[2].count; c++, from += channels)
                    memcpy(row + (phase[2].first + c * g->stride[2]) * g->channels, from, (size_t)channels * sizeof *from);
            }
}

static void adjoint_phase(tsr_node *n, const tsr_geometry *g, const phase_axis *phase, int group, const tsr_real *result,
                          const tsr_real *weight, tsr_real *image)
{
    const int64_t channels = g->channels / g->groups, filters = g->filters / g->groups;
    gather s = gather_new(result + group * filters, g->batch, g->filters, filters);
    for (int i = 0; i < 3; i++) {
        s.length[i] = g->out[i];
        s.grid[i] = phase[i].count;
        s.taps[i] = phase[i].taps;
        s.step[i] = 1;
        s.start[i] = phase[i].start;
        s.reach[i] = phase[i].reach;
    }
    gather_finish(&s);
    const bool whole = tsr_geometry_positions(g->stride) == 1; /* one phase: straight into place */
    const int64_t rows = g->batch * s.positions;
    if (rows == 0) return;
    tsr_real *turned = tsr_scratch(n, (size_t)(s.tap_count * filters * channels + 1) * sizeof *turned);
    tsr_real *room = whole ? image + group * channels : tsr_scratch(n, (size_t)(rows * channels) * sizeof *room);
    if (!turned || !room) return;
    transpose_weight(g, weight, group, phase, turned);
    const tsr_factor left = is_pointwise(g) ? (tsr_factor){.data = s.image, .row_stride = s.stride, .depth_stride = 1}
                                            : (tsr_factor){.pack = pack_patches, .user = &s};
    const tsr_product product = {.rows = rows,
                                 .columns = channels,
                                 .depth = s.tap_count * filters,
                                 .left = left,
                                 .right = {.data = turned, .row_stride = 1, .depth_stride = channels},
                                 .out = room,
                                 .stride = whole ? g->channels : channels};
    tsr_node_multiply(n, &product);
    if (!whole && !tsr_dead(n)) scatter_phase(g, phase, group, room, image);
}

void tsr_convolve_adjoint(tsr_node *n, const tsr_geometry *g, const tsr_real *result, const tsr_real *weight, tsr_real *image)
{
    for (int64_t a = 0; a < g->stride[0]; a++)
        for (int64_t b = 0; b < g->stride[1]; b++)
            for (int64_t c = 0; c < g->stride[2]; c++) {
                const phase_axis phase[3] = {phase_of(g, 0, a), phase_of(g, 1, b), phase_of(g, 2, c)};
                for (int group = 0; group < g->groups; group++) adjoint_phase(n, g, phase, group, result, weight, image);
            }
}
