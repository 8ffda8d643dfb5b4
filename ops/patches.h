/* Products of patches of images: what a convolution sees at each of its positions, multiplied with weights, or with
 * results and summed. Images are read where they lie: once padded, a value of a patch is at an offset that depends on
 * the patch plus one that depends on the value (the kernels' tsr_gathered). */
#ifndef TESSERA_OPS_PATCHES_H
#define TESSERA_OPS_PATCHES_H

#include "ops/conv_geometry.h"

/* Along one axis: tap j of position p reads pixel first + p * step + j * gap, a zero outside of [0, in). */
typedef struct tsr_reach {
    int64_t in, positions, step, taps, first, gap;
} tsr_reach;

/* Positions of an image in memory: position p along an axis is pixel first + p * step of `length`, all inside. */
typedef struct tsr_grid {
    int64_t length[3], first[3], step[3];
    int64_t pixel; /* values from one pixel to the next */
} tsr_grid;

/* Patch (n, p0, p1, p2) has the values (j0, j1, j2, channel of a group); axes whose first pixels are grid.first. */
typedef struct tsr_patches {
    const tsr_real *image;
    tsr_grid grid;
    tsr_reach axes[3]; /* before padding */
    int64_t images, groups, channels;
    bool by_image; /* order: the same position of all images first, else all positions of an image */
} tsr_patches;

/* Zeros around an image that make every axis of every patch lie inside. */
typedef struct tsr_margin {
    int64_t before[3], after[3];
} tsr_margin;

void tsr_margin_widen(tsr_margin *m, const tsr_reach *axes);

/* What the result of a convolution sees of its image (image and grid are left), and the margin that this needs. */
void tsr_patches_of(const tsr_conv_geometry *c, tsr_patches *p, tsr_margin *m);

/* Pixels first, first + stride, ... along an axis see the same taps, last, last - apart, ..., of neighbouring results:
 * as `reach` says, with results for pixels. */
typedef struct tsr_phase {
    tsr_reach reach;
    int64_t first, last, apart;
} tsr_phase;

tsr_phase tsr_phase_of(const tsr_window *w, int64_t first);

/* p->image with `m`, or a little more, around it: as it is where that is nothing, else in scratch memory. Only image,
 * axes[].in, images, groups and channels of p are read. NULL: out of memory. */
const tsr_real *tsr_patches_pad(tsr_node *n, const tsr_patches *p, tsr_margin *m);

/* Completes p, whose image has such a margin. */
void tsr_patches_place(tsr_patches *p, const tsr_margin *m);

/* Value (j0, j1, j2, c) for column o of group g is at j0 * taps[0] + ... + c * channel + o * column + g * group. */
typedef struct tsr_patch_weight {
    const tsr_real *data;
    int64_t taps[3], channel, column, group;
} tsr_patch_weight;

/* out at the places `to` = patches * weight [+ bias], [max 0]: `columns` values for each group, side by side. */
typedef struct tsr_patch_product {
    tsr_patches patches;
    tsr_patch_weight weight;
    int64_t columns;
    tsr_real *out;
    tsr_grid to;
    const tsr_real *bias;
    bool relu;
} tsr_patch_product;

void tsr_patch_multiply(tsr_node *n, const tsr_patch_product *product);

/* out[j0, j1, j2, c][g, o] = sum over patches of value (j0, j1, j2, c) of group g * result[patch][g, o]. */
void tsr_patch_correlate(tsr_node *n, const tsr_patches *p, int64_t columns, const tsr_real *result, tsr_real *out);

/* Both once more, where all of it is one large product and the kernels have tsr_parts; false: not so. */
bool tsr_patch_multiply_parts(tsr_node *n, const tsr_patch_product *product);
bool tsr_patch_correlate_parts(tsr_node *n, const tsr_patches *p, int64_t columns, const tsr_real *result, tsr_real *out);

/* ---- for those who multiply ---------------------------------------------------------------------------- */

int64_t tsr_patches_count(const tsr_patches *p);
int64_t tsr_patches_depth(const tsr_patches *p); /* values of a group in a patch */

/* Where patches [first, first + count) begin on a grid with p's positions. */
void tsr_patches_offsets(const tsr_patches *p, const tsr_grid *grid, int64_t first, int64_t count, int64_t *offsets);

/* Where the values of a patch are, from its first, or those that lie so many together; the last may overlap others of
 * its pixel. In scratch memory. NULL: out of memory. */
const int64_t *tsr_patches_values(tsr_node *n, const tsr_patches *p, int64_t together);

/* Columns are cut into panels of whole vectors, of nearly equal widths. */
typedef struct tsr_panel {
    int64_t column, columns; /* that exist */
    int vectors;
} tsr_panel;

int64_t tsr_panel_count(const tsr_kernels *k, int64_t columns);
tsr_panel tsr_panel_of(const tsr_kernels *k, int64_t columns, int64_t panel);

/* out[i][j] = from[i * stride + j] for the columns of a panel that exist, zeros for the rest of its `width`. */
void tsr_pack_panel(const tsr_real *from, int64_t stride, int64_t rows, const tsr_panel *panel, int width,
                    tsr_real *out);

/* One tile: rows that exist, columns that exist; only these are written. */
void tsr_gather_tile(const tsr_kernels *k, const tsr_gathered *t, int rows, int64_t columns);

/* Values [begin, end) of patches as rows of a product, to out + value * stride. */
typedef struct tsr_values_place {
    int64_t begin, end, stride, columns;
    tsr_real *out;
} tsr_values_place;

/* t->rows and t->c are not read: rows begin at image + values[row], and offsets are those of the patches. */
void tsr_gather_values(const tsr_kernels *k, const tsr_gathered *t, const int64_t *values, const tsr_real *image,
                       const tsr_values_place *at);

#endif
