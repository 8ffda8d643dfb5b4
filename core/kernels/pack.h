/* What gemm.c wants of pack.c. */
#ifndef TESSERA_CORE_KERNELS_PACK_H
#define TESSERA_CORE_KERNELS_PACK_H

#include "core/kernels/kernels.h"

/* out[d * tile + r] = value (row + r, k + d), zeros for r >= rows; depth <= TSR_DEPTH_BLOCK. */
void tsr_pack(const tsr_factor *factor, const tsr_block_of *block, tsr_real *out);

#endif
