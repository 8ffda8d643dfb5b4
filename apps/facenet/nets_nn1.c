/* NN1 of Schroff et al. 2015 (table 1): Zeiler and Fergus with 1x1 convolutions between, two maxout layers. */
#include "apps/facenet/nets.h"

typedef struct layer {
    const char *name;
    int kernel, channels, stride;
    const char *after; /* in order: p a max pool of 3x3 and stride 2, n local response normalisation */
} layer;

static const layer layers[] = {
    {"conv1", 7, 64, 2, "pn"},   {"conv2a", 1, 64, 1, ""},  {"conv2", 3, 192, 1, "np"}, {"conv3a", 1, 192, 1, ""},
    {"conv3", 3, 384, 1, "p"},   {"conv4a", 1, 384, 1, ""}, {"conv4", 3, 256, 1, ""},   {"conv5a", 1, 256, 1, ""},
    {"conv5", 3, 256, 1, ""},    {"conv6a", 1, 256, 1, ""}, {"conv6", 3, 256, 1, "p"}};

/* The paper's parameters and FLOPS, as it rounds them. */
const paper_row nn1_paper[] = {
    {"conv1", 9e3, 115e6},  {"conv2a", 4e3, 13e6},   {"conv2", 111e3, 335e6}, {"conv3a", 37e3, 29e6},
    {"conv3", 664e3, 521e6}, {"conv4a", 148e3, 29e6}, {"conv4", 885e3, 173e6}, {"conv5a", 66e3, 13e6},
    {"conv5", 590e3, 116e6}, {"conv6a", 66e3, 13e6},  {"conv6", 590e3, 116e6}, {"fc1", 103e6, 103e6},
    {"fc2", 34e6, 34e6},     {"embedding", 524e3, 0.5e6}, {NULL, 0, 0}};

tsr_tensor *nn1_embed(tsr_model *m, tsr_tensor *x, int embedding)
{
    /* No batch norm: see unit in nets_inception.c. */
    const tsr_init he = {.kind = TSR_INIT_KAIMING_NORMAL}, zero = {.kind = TSR_INIT_CONSTANT};
    const tsr_pool_options half = {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}};
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        const layer *l = &layers[i];
        const tsr_conv_options o = {.kernel = {l->kernel, l->kernel}, .stride = {l->stride, l->stride},
                                    .padding = {l->kernel / 2, l->kernel / 2}, .activation = TSR_RELU,
                                    .weight_init = &he,
                                    .bias_init = &zero};
        x = tsr_nn_conv(m, l->name, x, l->channels, &o);
        for (const char *after = l->after; *after; after++)
            x = *after == 'p' ? tsr_max_pool(x, &half) : tsr_lrn(x, NULL);
    }
    x = tsr_nn_maxout(m, "fc1", x, 32 * 128, 2);
    x = tsr_nn_maxout(m, "fc2", x, 32 * 128, 2);
    return tsr_l2_normalize(tsr_nn_linear(m, "embedding", x, embedding, NULL), -1);
}
