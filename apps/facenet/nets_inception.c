/* Nets of inception blocks: NN2 and NN3 of Schroff et al. 2015 (table 2), and OpenFace's nn4.small2. */
#include "apps/facenet/nets.h"

/* Branches side by side over one input, by channels; 0: no such branch, but for `pool`: the pooled input as it is. */
typedef struct inception {
    const char *name;
    int one, three_reduce, three, five_reduce, five, pool;
    int stride;
    bool l2; /* pools by the L2 norm, not the maximum */
} inception;

typedef struct inception_net {
    const inception *blocks;
    int count;
    bool batch_norm; /* after each convolution; the paper's nets have none */
} inception_net;

static const inception nn2_blocks[] = {
    {"3a", 64, 96, 128, 16, 32, 32, 1, false},   {"3b", 64, 96, 128, 32, 64, 64, 1, true},
    {"3c", 0, 128, 256, 32, 64, 0, 2, false},    {"4a", 256, 96, 192, 32, 64, 128, 1, true},
    {"4b", 224, 112, 224, 32, 64, 128, 1, true}, {"4c", 192, 128, 256, 32, 64, 128, 1, true},
    {"4d", 160, 144, 288, 32, 64, 128, 1, true}, {"4e", 0, 160, 256, 64, 128, 0, 2, false},
    {"5a", 384, 192, 384, 48, 128, 128, 1, true}, {"5b", 384, 192, 384, 48, 128, 128, 1, false}};
static const inception nn4_small2_blocks[] = {
    {"3a", 64, 96, 128, 16, 32, 32, 1, false}, {"3b", 64, 96, 128, 32, 64, 64, 1, true},
    {"3c", 0, 128, 256, 32, 64, 0, 2, false},  {"4a", 256, 96, 192, 32, 64, 128, 1, true},
    {"4e", 0, 160, 256, 64, 128, 0, 2, false}, {"5a", 256, 96, 384, 0, 0, 96, 1, true},
    {"5b", 256, 96, 384, 0, 0, 96, 1, false}};
static const inception_net nn2 = {nn2_blocks, 10, false}, nn4_small2 = {nn4_small2_blocks, 7, true};

/* Weights: the paper's rounded column, counted exactly; multiply-adds: the paper's. */
const paper_row nn2_paper[] = {
    {"conv1", 9408, 119e6}, {"conv2", 114688, 360e6}, {"3a", 163328, 128e6},   {"3b", 227328, 179e6},
    {"3c", 397312, 108e6},  {"4a", 544768, 107e6},    {"4b", 594432, 117e6},   {"4c", 653312, 128e6},
    {"4d", 721408, 142e6},  {"4e", 716800, 56e6},     {"5a", 1587200, 78e6},   {"5b", 1587200, 78e6},
    {"embedding", 131072, 0.1e6}, {NULL, 0, 0}};

/* A convolution and ReLU, between them batch norm where the net has it. Without, values keep their size from layer to
 * layer only if the weights start as large as He et al. 2015 say. */
static tsr_tensor *unit(tsr_model *m, const char *name, tsr_tensor *x, int channels, const tsr_conv_options *how,
                        const inception_net *net)
{
    static const tsr_init he = {.kind = TSR_INIT_KAIMING_NORMAL}, zero = {.kind = TSR_INIT_CONSTANT};
    tsr_conv_options o = *how;
    for (int i = 0; i < 2; i++) o.padding[i] = o.kernel[i] / 2;
    if (!net->batch_norm) {
        o.activation = TSR_RELU;
        o.weight_init = &he;
        o.bias_init = &zero;
    }
    tsr_enter(m, name);
    x = tsr_nn_conv(m, "conv", x, channels, &o);
    if (net->batch_norm) x = tsr_nn_batch_norm(m, "bn", x, &(tsr_norm_options){.activation = TSR_RELU});
    tsr_leave(m);
    return x;
}

static tsr_tensor *one_by_one(tsr_model *m, const char *name, tsr_tensor *x, int channels, const inception_net *net)
{
    return unit(m, name, x, channels, &(tsr_conv_options){.kernel = {1, 1}}, net);
}

static tsr_tensor *block(tsr_model *m, tsr_tensor *x, const inception *b, const inception_net *net)
{
    const tsr_conv_options three = {.kernel = {3, 3}, .stride = {b->stride, b->stride}};
    const tsr_conv_options five = {.kernel = {5, 5}, .stride = {b->stride, b->stride}};
    const tsr_pool_options around = {.kernel = {3, 3}, .stride = {b->stride, b->stride}, .padding = {1, 1}};
    tsr_tensor *parts[4];
    int count = 0;
    tsr_enter(m, b->name);
    parts[count++] = unit(m, "3x3", one_by_one(m, "3x3_reduce", x, b->three_reduce, net), b->three, &three, net);
    if (b->five)
        parts[count++] = unit(m, "5x5", one_by_one(m, "5x5_reduce", x, b->five_reduce, net), b->five, &five, net);
    tsr_tensor *pooled = b->l2 ? tsr_lp_pool(x, &around) : tsr_max_pool(x, &around);
    parts[count++] = b->pool ? one_by_one(m, "pool", pooled, b->pool, net) : pooled;
    if (b->one) parts[count++] = one_by_one(m, "1x1", x, b->one, net);
    tsr_leave(m);
    return tsr_concat(parts, count, -1);
}

static tsr_tensor *embed(tsr_model *m, tsr_tensor *x, int embedding, const inception_net *net)
{
    const tsr_pool_options half = {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}};
    x = unit(m, "conv1", x, 64, &(tsr_conv_options){.kernel = {7, 7}, .stride = {2, 2}}, net);
    x = tsr_lrn(tsr_max_pool(x, &half), NULL);
    tsr_enter(m, "conv2");
    x = unit(m, "3x3", one_by_one(m, "3x3_reduce", x, 64, net), 192, &(tsr_conv_options){.kernel = {3, 3}}, net);
    tsr_leave(m);
    x = tsr_max_pool(tsr_lrn(x, NULL), &half);
    for (int i = 0; i < net->count; i++) x = block(m, x, &net->blocks[i], net);
    x = tsr_adaptive_avg_pool(x, (const int64_t[]){1, 1});
    return tsr_l2_normalize(tsr_nn_linear(m, "embedding", x, embedding, NULL), -1);
}

tsr_tensor *nn2_embed(tsr_model *m, tsr_tensor *x, int embedding)
{
    return embed(m, x, embedding, &nn2);
}

tsr_tensor *nn4_small2_embed(tsr_model *m, tsr_tensor *x, int embedding)
{
    return embed(m, x, embedding, &nn4_small2);
}
