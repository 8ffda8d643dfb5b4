/* What gemm.c wants of pack.c. */
#ifndef TESSERA_CORE_KERNELS_PACK_H
#define TESSERA_CORE_KERNELS_PACK_H

#include "core/kernels/kernels.h"

/* Packs a block of any number of rows, panel after panel: value (row + p * tile + r, k + d) goes to
 * out[p * tile * depth + d * tile + r], zeros where there is no such row. depth <= TSR_DEPTH_BLOCK. */
void tsr_pack(const tsr_factor *factor, const tsr_block_of *block, tsr_real *out);

#endif
