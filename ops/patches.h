/* The patches of an image as a factor of a matrix product; no matrix of them exists in memory. */
#ifndef TESSERA_OPS_PATCHES_H
#define TESSERA_OPS_PATCHES_H

#include "core/kernels/kernels.h"
#include "ops/conv_geometry.h"

/* Along one axis: tap j of position p reads pixel first + p * step + j * gap, a zero outside of [0, in). */
typedef struct tsr_reach {
    int64_t in, positions, step, taps, first, gap;
} tsr_reach;

/* Patch (n, p0, p1, p2) has the values (j0, j1, j2, channel). */
typedef struct tsr_patches {
    const tsr_real *image; /* [n][in0][in1][in2][pixel]: the first channel that is read */
    int64_t channels;      /* that are read */
    int64_t pixel;         /* channels from one pixel to the next */
    tsr_reach axes[3];
} tsr_patches;

/* As a factor whose rows are patches, or whose depth is. The factor refers to `p`. */
tsr_factor tsr_patch_rows(const tsr_patches *p);
tsr_factor tsr_patch_columns(const tsr_patches *p);

/* A weight seen from the channels of its image: tap j and channel c of the result is at j0 * steps[0] + j1 *
 * steps[1] + j2 * steps[2] + c from data, channels of the image `row` values apart. */
typedef struct tsr_turned_weight {
    const tsr_real *data;
    int64_t taps[3], steps[3];
    int64_t channels, row;
} tsr_turned_weight;

/* As a factor whose rows are channels of the image and whose depth is (j0, j1, j2, c). It refers to `w`. */
tsr_factor tsr_turned_rows(const tsr_turned_weight *w);

#endif
