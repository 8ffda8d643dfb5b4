/* The sizes of a convolution: read from options and shapes, checked, with messages. */
#ifndef TESSERA_OPS_CONV_GEOMETRY_H
#define TESSERA_OPS_CONV_GEOMETRY_H

#include "ops/ops_internal.h"

/* One spatial axis. Position o of the result sees the image at o * stride - before + k * dilation, k <
 * kernel; outside of [0, in) there are zeros. */
typedef struct tsr_window {
    int64_t in, out, kernel, stride, dilation, before, after;
} tsr_window;

/* Image [batch, in..., in_channels], weight [kernel..., in_channels / groups, out_channels], result [batch,
 * out..., out_channels]. Fewer than three spatial axes are preceded by ones of length 1. */
typedef struct tsr_conv_geometry {
    int spatial;
    tsr_window axes[3];
    int64_t batch, groups, in_channels, out_channels;
    tsr_activation activation;
} tsr_conv_geometry;

/* From input 0 and weight (input 1) and bias (input 2) of a call that is not dead. Each returns NULL, or what
 * the call has to return after an error; the node is gone then. */
tsr_tensor *tsr_conv_read(tsr_node *n, const tsr_conv_options *options, tsr_conv_geometry *c);
tsr_tensor *tsr_conv_transpose_read(tsr_node *n, const tsr_conv_options *options,
                                    tsr_conv_geometry *c); /* input 0 is the result */
tsr_tensor *tsr_local_read(tsr_node *n, const tsr_conv_options *options, tsr_conv_geometry *c);

int64_t tsr_conv_taps(const tsr_conv_geometry *c);       /* of the kernel */
int64_t tsr_conv_in_pixels(const tsr_conv_geometry *c);  /* of one image */
int64_t tsr_conv_out_pixels(const tsr_conv_geometry *c); /* of one result */
double tsr_conv_work(const tsr_conv_geometry *c);        /* multiply-adds */
tsr_shape tsr_conv_in_shape(const tsr_conv_geometry *c);
tsr_shape tsr_conv_out_shape(const tsr_conv_geometry *c);

#endif
