/* 3x3 convolutions in fewer multiplications: F(4x4, 3x3) and, for the weight, F(3x3, 4x4) of Lavin and Gray, "Fast
 * Algorithms for Convolutional Neural Networks" (2016). A tile of 4x4 values takes 36 products per pair of channels
 * instead of 144; the error is about twice that of the sums that define it, and a NaN or Inf spreads over its tile. */
#ifndef TESSERA_OPS_WINOGRAD_H
#define TESSERA_OPS_WINOGRAD_H

#include "ops/conv_operands.h"

/* Whether the functions below can do it: kernel 3x3, stride and dilation 1, one group, 16 to 4096 channels. */
bool tsr_winograd_can(const tsr_conv_geometry *c);

/* Whether they should: not under TSR_HIGHEST, and where they are faster. Depends on the sizes alone. */
bool tsr_winograd_fits(tsr_node *n, const tsr_conv_geometry *c);

/* As in conv_operands.h, but for the counting of work. In float they take up to about 8 MB of scratch
 * memory, and 2 MB per thread. */
void tsr_winograd_result(tsr_node *n, const tsr_conv_geometry *c, const tsr_conv_operands *o);
void tsr_winograd_image(tsr_node *n, const tsr_conv_geometry *c, const tsr_conv_operands *o);
void tsr_winograd_weight(tsr_node *n, const tsr_conv_geometry *c, const tsr_conv_operands *o);

#endif
