/* What gemm.c wants of pack.c, small.c and thin.c. */
#ifndef TESSERA_CORE_KERNELS_PACK_H
#define TESSERA_CORE_KERNELS_PACK_H

#include "core/kernels/kernels.h"

/* Packs a block of any number of rows, panel after panel: value (row + p * tile + r, k + d) goes to
 * out[p * tile * depth + d * tile + r], zeros where there is no such row. depth <= TSR_DEPTH_BLOCK. */
void tsr_pack(const tsr_factor *factor, const tsr_block_of *block, tsr_real *out);

/* A kernel's tile of `width` columns of which fewer exist, or whose columns lie `column_step` values apart: computed
 * beside, then brought home. The tile is changed. */
void tsr_tile_beside(void (*kernel)(const tsr_tile *), int width, tsr_tile *tile, int64_t column_step,
                     bool bias_by_rows);

/* Whether a product is so small, and multiplies one that is. */
bool tsr_product_is_small(const tsr_product *product);
void tsr_multiply_small(const tsr_kernels *kernels, const tsr_product *product);

/* Multiplies if this is a product of a matrix and a few vectors (else false). ctx NULL: on this thread alone. */
bool tsr_multiply_thin(tsr_context *ctx, const tsr_kernels *kernels, const tsr_product *product);

#endif
