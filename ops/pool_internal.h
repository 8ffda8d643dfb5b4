/* What pool.c and adaptive_pool.c share: pooling over windows of any kind. */
#ifndef TESSERA_OPS_POOL_INTERNAL_H
#define TESSERA_OPS_POOL_INTERNAL_H

#include "ops/ops_internal.h"

/* Windows along one axis: result o sees the inputs from begin[o] up to but not including end[o]: at least
 * one, and neither number ever falls from one o to the next. An average divides by count[o]. */
typedef struct tsr_windows {
    int64_t in, out;
    int64_t *begin, *end, *count;
} tsr_windows;

/* [batch, axes' in ..., channels] -> [batch, axes' out ..., channels]. Fewer than three spatial axes are
 * preceded by ones of length 1. */
typedef struct tsr_pooling {
    int64_t batch, channels;
    int spatial;
    tsr_windows axes[3];
    double power; /* lp_pool */
} tsr_pooling;

/* Memory, saved with the node, for windows that make `out` results per spatial axis of input 0; NULL after an
 * error. */
tsr_pooling *tsr_pooling_new(tsr_node *n, const int64_t *out);

/* The shape of the result. */
tsr_shape tsr_pooled_shape(const tsr_node *n, const tsr_pooling *p);

/* End a call whose windows are filled in, and go back through it. */
tsr_tensor *tsr_max_pooled(tsr_node *n, const tsr_pooling *p);
tsr_tensor *tsr_avg_pooled(tsr_node *n, const tsr_pooling *p);
void tsr_max_pool_backward(tsr_node *n);
void tsr_avg_pool_backward(tsr_node *n);

#endif
