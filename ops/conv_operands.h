/* What the convolutions share. A convolution joins three tensors, image, weight and result (conv_geometry.h);
 * each is a sum of products of the other two. Three functions make one of them from the other two, and all
 * ops are written with these. */
#ifndef TESSERA_OPS_CONV_OPERANDS_H
#define TESSERA_OPS_CONV_OPERANDS_H

#include "ops/conv_geometry.h"

typedef struct tsr_conv_operands {
    const tsr_real *image, *weight, *result; /* the two that are given */
    tsr_real *out;                           /* the third; every element is written */
    const tsr_real *bias;      /* added per channel of an image or result that is made; or NULL, */
    tsr_activation activation; /* then this */
} tsr_conv_operands;

/* They run on the context's threads, count their work, and leave `out` alone where scratch memory is short (n
 * is dead). */
void tsr_conv_make_result(tsr_node *n, const tsr_conv_geometry *c, const tsr_conv_operands *o);
void tsr_conv_make_image(tsr_node *n, const tsr_conv_geometry *c, const tsr_conv_operands *o);
void tsr_conv_make_weight(tsr_node *n, const tsr_conv_geometry *c, const tsr_conv_operands *o);

/* The same for channels that have their own weights, where products are no good (depthwise.c). */
bool tsr_conv_is_depthwise(const tsr_conv_geometry *c);
void tsr_depthwise_result(tsr_node *n, const tsr_conv_geometry *c, const tsr_conv_operands *o);
void tsr_depthwise_image(tsr_node *n, const tsr_conv_geometry *c, const tsr_conv_operands *o);
void tsr_depthwise_weight(tsr_node *n, const tsr_conv_geometry *c, const tsr_conv_operands *o);

/* What arrives in a backward function, taken back through the activation; in scratch memory where there is
 * one. NULL: none. */
const tsr_real *tsr_conv_cotangent(tsr_node *n, tsr_activation activation);

#endif
