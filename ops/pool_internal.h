/* What the files of pooling share: windows of any kind, as maps from the image to the result. */
#ifndef TESSERA_OPS_POOL_INTERNAL_H
#define TESSERA_OPS_POOL_INTERNAL_H

#include "ops/ops_internal.h"
#include "ops/resample.h"

/* One axis of tsr_pool_options, defaults filled in. */
typedef struct tsr_pool_axis {
    int64_t kernel, stride, before, after, in, out;
} tsr_pool_axis;

/* Saved by every pooling op. */
typedef struct tsr_pooling {
    tsr_resampling boxes;
    tsr_pool_axis axes[3]; /* adaptive: kernel 0 */
    double power; /* lp_pool */
    unsigned char *bytes; /* max_pool: where in its window each maximum lies; */
    void *places;         /* of windows with more places than a byte can tell, instead */
} tsr_pooling;

/* From options, or from the size of the result. NULL: return *error. */
tsr_pooling *tsr_pooling_windows(tsr_node *n, const tsr_pool_options *options, tsr_tensor **error);
tsr_pooling *tsr_pooling_adaptive(tsr_node *n, const int64_t *size, tsr_tensor **error);

/* The shape of the result. */
tsr_shape tsr_pooled_shape(const tsr_node *n, const tsr_pooling *p);

#endif
