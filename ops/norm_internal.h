/* Normalisation by statistics of channels or of groups of channels: batch norm (one sample, a group per channel) and group
 * norm differ in nothing else. */
#ifndef TESSERA_OPS_NORM_INTERNAL_H
#define TESSERA_OPS_NORM_INTERNAL_H

#include "ops/ops_internal.h"

/* x [samples][rows][channels]; statistics over the rows and the channels of a group. Saved first by its node, whose inputs
 * begin with x, scale, shift. */
typedef struct tsr_norm_plan {
    int64_t samples, rows, channels, groups;
    tsr_activation activation;
    bool given;             /* the statistics are constants, not those of x */
    double *mean, *inverse; /* [samples][groups]; inverse: 1 / sqrt(var + eps) */
} tsr_norm_plan;

/* Whether options are in range and scale and shift (inputs 1 and 2) are both missing or both of shape `affine`. Else the
 * node is dropped and *failed is what to return. */
bool tsr_norm_accepts(tsr_node *n, const tsr_norm_options *options, tsr_shape affine, tsr_tensor **failed);
double tsr_norm_eps(const tsr_norm_options *options);

/* 1 / sqrt(var + eps), 0 where that is not finite: values that are all equal are normalised to 0 even if eps is 0. */
double tsr_norm_inverse(double var, double eps);

/* Of the first, the middle and the last of `count` values the second largest: one that is not far from the others. */
static inline tsr_real tsr_norm_center(const tsr_real *x, int64_t count, int64_t step)
{
    const tsr_real a = x[0], b = x[count / 2 * step], c = x[(count - 1) * step];
    const tsr_real low = a < b ? a : b, high = a < b ? b : a;
    return c < low ? low : c > high ? high : c;
}

/* The gradient that arrives, before the activation; NULL: out of memory. */
const tsr_real *tsr_norm_arriving(tsr_node *n, tsr_activation activation, int64_t size);

/* A saved copy of `plan` with room for statistics; NULL: the node is dead. */
tsr_norm_plan *tsr_norm_save(tsr_node *n, const tsr_norm_plan *plan);
/* plan->mean and, in place of inverse, the variance (divided by n) of x. */
void tsr_norm_statistics(tsr_node *n, const tsr_norm_plan *plan);
/* y from x, the statistics, scale and shift. */
void tsr_norm_apply(tsr_node *n, const tsr_norm_plan *plan, tsr_real *y);
/* The gradients of x, scale and shift. */
void tsr_norm_backward(tsr_node *n);

#endif
