/* Linear maps along axes, the common ground of average pooling, upsampling and padding by reflection: each
 * value of the result is a weighted sum over a box of the input, the weights being a product of one number
 * per axis. The gradient is the same with each axis's map transposed. */
#ifndef TESSERA_OPS_RESAMPLE_H
#define TESSERA_OPS_RESAMPLE_H

#include "core/core.h"

/* One axis: result o is the sum of weight[k] * input[index[k]] over k = start[o] ... start[o + 1] - 1. */
typedef struct tsr_axis_map {
    int64_t in, out, filled; /* lengths; how many of the results are complete */
    int64_t *start, *index;
    tsr_real *weight;
} tsr_axis_map;

/* Takes scratch memory for a map of at most `terms` terms; false after an error. It is then filled result by
 * result: add its terms, then end it. */
bool tsr_axis_map_new(tsr_node *n, tsr_axis_map *map, int64_t in, int64_t out, int64_t terms);
void tsr_axis_map_add(tsr_axis_map *map, int64_t index, double weight);
void tsr_axis_map_end(tsr_axis_map *map);

/* input [batch, maps' in ..., channels] -> output [batch, maps' out ..., channels]. */
typedef struct tsr_resampling {
    int rank; /* mapped axes, at least one */
    int64_t batch, channels;
    tsr_axis_map maps[TSR_MAX_RANK];
} tsr_resampling;

/* Replaces every map by its transpose: what the gradient takes. False after an error. */
bool tsr_transpose_maps(tsr_node *n, tsr_resampling *r);

/* Parallel; each sum has one order. */
void tsr_resample(tsr_context *ctx, const tsr_resampling *r, const tsr_real *x, tsr_real *y);

#endif
