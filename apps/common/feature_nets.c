#include "apps/common/feature_nets.h"

#include <stdio.h>

static tsr_tensor *vgg19_features(tsr_model *m, tsr_tensor *x)
{
    static const struct {
        int convs, channels;
    } blocks[] = {{2, 64}, {2, 128}, {4, 256}};
    for (int b = 0; b < 3; b++) {
        if (b > 0) x = tsr_max_pool(x, &(tsr_pool_options){.kernel = {2, 2}});
        for (int i = 0; i < blocks[b].convs; i++) {
            char name[32];
            snprintf(name, sizeof name, "conv%d_%d", b + 1, i + 1);
            x = tsr_nn_conv(m, name, x, blocks[b].channels,
                            &(tsr_conv_options){.kernel = {3, 3}, .padding = {1, 1}, .activation = TSR_RELU});
        }
    }
    return x;
}

static tsr_tensor *fire(tsr_model *m, int number, tsr_tensor *x, int squeeze, int expand)
{
    const tsr_conv_options one = {.kernel = {1, 1}, .activation = TSR_RELU};
    const tsr_conv_options three = {.kernel = {3, 3}, .padding = {1, 1}, .activation = TSR_RELU};
    char name[32];
    snprintf(name, sizeof name, "fire%d", number);
    tsr_enter(m, name);
    x = tsr_nn_conv(m, "squeeze1x1", x, squeeze, &one);
    tsr_tensor *small = tsr_nn_conv(m, "expand1x1", x, expand, &one);
    x = tsr_concat((tsr_tensor *[]){small, tsr_nn_conv(m, "expand3x3", x, expand, &three)}, 2, -1);
    tsr_leave(m);
    return x;
}

static tsr_tensor *squeezenet_features(tsr_model *m, tsr_tensor *x)
{
    static const int squeeze[] = {16, 16, 32, 32, 48, 48, 64, 64}; /* of fire2 to fire9 */
    const tsr_pool_options pool = {.kernel = {3, 3}, .stride = {2, 2}, .ceil_mode = true};
    x = tsr_nn_conv(m, "conv1", x, 64,
                    &(tsr_conv_options){.kernel = {3, 3}, .stride = {2, 2}, .activation = TSR_RELU});
    for (int i = 0; i < 8; i++) {
        if (i == 0 || i == 2 || i == 4) x = tsr_max_pool(x, &pool);
        x = fire(m, i + 2, x, squeeze[i], 4 * squeeze[i]);
    }
    return tsr_nn_conv(m, "conv10", x, 1000, &(tsr_conv_options){.kernel = {1, 1}, .activation = TSR_RELU});
}

const feature_net feature_nets[] = {
    {"vgg19", vgg19_features, {103.939, 116.779, 123.68}, "conv1_2.weight"},
    {"squeezenet1.1", squeezenet_features, {104, 117, 123}, "fire2.squeeze1x1.weight"},
    {.name = NULL}};

const feature_net *feature_net_in(tsr_context *ctx, const char *path)
{
    tsr_archive *archive = tsr_archive_open(ctx, path);
    const feature_net *net = feature_nets;
    while (net->name && tsr_archive_find(archive, net->sign) < 0) net++;
    tsr_archive_close(archive);
    return net->name ? net : NULL;
}
