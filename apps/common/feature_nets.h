/* Nets that were trained on ImageNet, as far as their features go, for weights that come from elsewhere. */
#ifndef TESSERA_APPS_FEATURE_NETS_H
#define TESSERA_APPS_FEATURE_NETS_H

#include "apps/common/error.h"
#include "tessera.h"

typedef struct feature_net {
    const char *name;
    tsr_network net;     /* x [N, H, W, 3] -> the last features; all activations are ReLU */
    double mean[3];      /* x is blue, green, red, from 0 to 255, minus this */
    const char *sign;    /* a tensor that files of no other net have */
} feature_net;

/* All of them; ends with a NULL name: "vgg19" (Simonyan and Zisserman 2015, its conv1_1 to conv3_4) and "squeezenet1.1"
 * (Iandola et al. 2016). Both take any size. */
extern const feature_net feature_nets[];

/* The net whose weights a safetensors file holds; NULL: of none of these. */
const feature_net *feature_net_in(tsr_context *ctx, const char *path);

#endif
