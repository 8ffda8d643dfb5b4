/* Copies between blocks of memory that are walked by strides: what permute, slice, concat, flip, expand and
 * pad are. */
#ifndef TESSERA_OPS_STRIDED_H
#define TESSERA_OPS_STRIDED_H

#include "ops/ops.h"

/* A box of dims[0] x ... x dims[rank - 1] values and how far apart neighbours along each axis are, in both
 * blocks. */
typedef struct tsr_strided {
    int rank;
    int64_t dims[TSR_MAX_RANK], to[TSR_MAX_RANK], from[TSR_MAX_RANK];
} tsr_strided;

/* Distances between neighbours along each axis of a row-major tensor. */
void tsr_strides_of(tsr_shape shape, int64_t *strides);

/* to[i . box.to] = from[i . box.from] for all i in the box. Distances in `from` may be 0 or negative.
 * Parallel. */
void tsr_copy_strided(tsr_context *ctx, const tsr_strided *box, tsr_real *to, const tsr_real *from);

/* A part of a tensor: of size `part`, from `begin` on. */
typedef struct tsr_region {
    tsr_shape whole, part;
    int64_t begin[TSR_MAX_RANK];
} tsr_region;

typedef struct tsr_padding { /* saved by pad */
    tsr_pad_mode mode;
    tsr_region region; /* of the result: where x lies in it */
} tsr_padding;

/* Reads the part out of the whole; writes the part into the whole; the same with `value` everywhere else. */
void tsr_region_read(tsr_context *ctx, const tsr_region *region, const tsr_real *whole, tsr_real *part);
void tsr_region_write(tsr_context *ctx, const tsr_region *region, tsr_real *whole, const tsr_real *part);
void tsr_region_embed(tsr_context *ctx, const tsr_region *region, tsr_real *whole, const tsr_real *part,
                      tsr_real value);

#endif
