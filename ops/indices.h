/* Whole numbers that travel as tsr_real. */
#ifndef TESSERA_OPS_INDICES_H
#define TESSERA_OPS_INDICES_H

#include "core/core.h"

/* How many things tsr_real can number from 0 without a gap: 2^24 for float, 2^53 for double. */
#define TSR_MOST_INDEXED (sizeof(tsr_real) == sizeof(float) ? (int64_t)1 << 24 : (int64_t)1 << 53)

/* Checks that each of `indices` is a whole number in [0, limit). Returns NULL, or the error tensor: the node
 * is gone. */
tsr_tensor *tsr_check_indices(tsr_node *n, tsr_tensor *indices, int64_t limit);

#endif
