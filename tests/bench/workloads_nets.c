/* Whole training steps (T1 to T4), and what a step costs besides arithmetic (O). */
#include "apps/facenet/nets.h"
#include "tests/bench/bench.h"

/* ---- T1: Gatys et al. 2016. VGG-19 up to conv5_1 with average pooling, frozen; the image is the parameter -------- */

enum { POOL = 0, STYLES = 5, CONTENT = 9 };
static const int vgg[] = {64, 64, POOL, 128, 128, POOL, 256, 256, 256, 256, POOL, 512, 512, 512, 512, POOL, 512};
enum { VGG_LAYERS = sizeof vgg / sizeof *vgg };

static bool is_style(int conv) { return conv == 0 || conv == 2 || conv == 4 || conv == 8 || conv == 12; }

/* Gram matrices of the style layers into grams; returns the content layer. */
static tsr_tensor *features(tsr_model *m, tsr_tensor *x, tsr_tensor **grams)
{
    static const char *const names[] = {"1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "3_3",
                                        "3_4", "4_1", "4_2", "4_3", "4_4", "5_1"};
    const tsr_init he = {.kind = TSR_INIT_KAIMING_NORMAL}, zero = {.kind = TSR_INIT_CONSTANT};
    const tsr_conv_options o = {.kernel = {3, 3}, .padding = {1, 1}, .activation = TSR_RELU, .weight_init = &he,
                                .bias_init = &zero};
    tsr_tensor *content = NULL;
    int conv = 0, styles = 0;
    for (int i = 0; i < VGG_LAYERS; i++) {
        if (vgg[i] == POOL) {
            x = tsr_avg_pool(x, &(tsr_pool_options){.kernel = {2, 2}});
            continue;
        }
        x = tsr_nn_conv(m, names[conv], x, vgg[i], &o);
        if (is_style(conv)) grams[styles++] = tsr_gram(x, NULL);
        if (conv == CONTENT) content = x;
        conv++;
    }
    return content;
}

static void prepare_gatys(bench_run *run)
{
    const int size = run->work->numbers[0];
    const tsr_shape shape = TSR_SHAPE(1, size, size, 3);
    tsr_context *ctx = run->ctx;
    run->model = tsr_model_new(ctx);
    tsr_freeze(run->model, "", true);
    tsr_tensor *grams[STYLES];
    TSR_NO_GRAD(ctx) { /* one scope each: the activations of one picture at a time */
        features(run->model, tsr_uniform(ctx, shape, 0, 1, 1), grams);
        for (int i = 0; i < STYLES; i++) run->in[i] = tsr_keep(grams[i]);
    }
    TSR_NO_GRAD(ctx) run->in[5] = tsr_keep(features(run->model, tsr_uniform(ctx, shape, 0, 1, 2), grams));
    tsr_model *picture = tsr_model_new(ctx);
    run->in[6] = tsr_parameter(picture, "image", tsr_uniform(ctx, shape, 0, 1, 3));
    run->optimizer = tsr_adam(picture, &(tsr_adam_options){.lr = 0.02});
    run->operations = 99.237e9 * size * size / (256 * 256); /* convolutions and Gram matrices, there and back */
}

static tsr_tensor *gatys(bench_run *run)
{
    tsr_tensor *grams[STYLES];
    tsr_tensor *loss = tsr_mse_loss(features(run->model, run->in[6], grams), run->in[5], NULL);
    for (int i = 0; i < STYLES; i++)
        loss = tsr_add(loss, tsr_mul_scalar(tsr_mse_loss(grams[i], run->in[i], NULL), 1e3));
    return loss;
}

/* ---- T2: OpenFace's nn4.small2 (3,733,968 parameters), triplet loss, SGD with momentum --------------------------- */

enum { FACES = 48 };

static void prepare_facenet(bench_run *run)
{
    run->model = tsr_model_new(run->ctx);
    run->optimizer = tsr_sgd(run->model, &(tsr_sgd_options){.lr = 0.01, .momentum = 0.9});
    run->in[0] = tsr_uniform(run->ctx, TSR_SHAPE(FACES, 96, 96, 3), 0, 1, 1);
    run->in[1] = tsr_zeros(run->ctx, TSR_SHAPE(FACES / 3, 3));
    tsr_real *rows = tsr_write(run->in[1]);
    for (int i = 0; rows && i < FACES; i++) rows[i] = (tsr_real)(i % 3 * (FACES / 3) + i / 3);
    run->operations = 57.48e9;
}

static tsr_tensor *facenet(bench_run *run)
{
    tsr_tensor *e = nn4_small2_embed(run->model, run->in[0], 128);
    return tsr_triplet_loss_of(e, run->in[1], &(tsr_triplet_options){.margin = 0.2});
}

/* ---- T3, T4, O: small nets, SGD ---------------------------------------------------------------------------------- */

static void prepare_small(bench_run *run, tsr_shape shape, int classes)
{
    run->model = tsr_model_new(run->ctx);
    run->optimizer = tsr_sgd(run->model, &(tsr_sgd_options){.lr = 1e-3});
    run->in[0] = tsr_uniform(run->ctx, shape, 0, 1, 1);
    run->in[1] = tsr_zeros(run->ctx, TSR_SHAPE(shape.dims[0]));
    tsr_real *labels = tsr_write(run->in[1]);
    for (int i = 0; labels && i < shape.dims[0]; i++) labels[i] = (tsr_real)(i % classes);
}

static void prepare_lenet(bench_run *run)
{
    prepare_small(run, TSR_SHAPE(64, 28, 28, 1), 10);
    run->operations = 64 * (3 * 4.586e6 - 0.576e6);
}

static tsr_tensor *lenet(bench_run *run)
{
    const tsr_pool_options half = {.kernel = {2, 2}};
    const tsr_conv_options five = {.kernel = {5, 5}};
    tsr_model *m = run->model;
    tsr_tensor *x = tsr_max_pool(tsr_nn_conv(m, "conv1", run->in[0], 20, &five), &half);
    x = tsr_max_pool(tsr_nn_conv(m, "conv2", x, 50, &five), &half);
    x = tsr_nn_linear(m, "hidden", x, 500, &(tsr_linear_options){.activation = TSR_RELU});
    return tsr_cross_entropy(tsr_nn_linear(m, "out", x, 10, NULL), run->in[1], NULL);
}

static void prepare_ecg(bench_run *run)
{
    prepare_small(run, TSR_SHAPE(32, 14, 1), 2);
    run->operations = 32 * (2.0 * 10 * 16 * 5 * 2 + 3 * 2.0 * 6 * 32 * 16 * 5 + 3 * 2 * 384);
}

static void prepare_ct(bench_run *run)
{
    prepare_small(run, TSR_SHAPE(32, 14, 14, 14, 1), 2);
    run->operations = 32 * (2 * 2.0 * 1000 * 16 * 125 + 3 * 2.0 * 216 * 32 * 16 * 125 + 6 * 6912 * 2);
}

/* Two convolutions along one axis or three. */
static tsr_tensor *signals(bench_run *run)
{
    const int across = tsr_rank(run->in[0]) == 5 ? 5 : 0;
    const tsr_conv_options o = {.kernel = {5, across, across}, .activation = TSR_RELU};
    tsr_tensor *x = tsr_nn_conv(run->model, "conv1", run->in[0], 16, &o);
    x = tsr_nn_linear(run->model, "out", tsr_nn_conv(run->model, "conv2", x, 32, &o), 2, NULL);
    return tsr_cross_entropy(x, run->in[1], NULL);
}

static void prepare_xor(bench_run *run)
{
    run->model = tsr_model_new(run->ctx);
    run->optimizer = tsr_sgd(run->model, &(tsr_sgd_options){.lr = 1e-3});
    run->in[0] = tsr_values(run->ctx, TSR_SHAPE(4, 2), (tsr_real[]){0, 0, 0, 1, 1, 0, 1, 1});
    run->in[1] = tsr_values(run->ctx, TSR_SHAPE(4, 1), (tsr_real[]){0, 1, 1, 0});
    run->operations = 4 * 3 * 2.0 * 48;
}

static tsr_tensor *xor_net(bench_run *run)
{
    tsr_tensor *x = tsr_nn_linear(run->model, "hidden", run->in[0], 16, &(tsr_linear_options){.activation = TSR_TANH});
    return tsr_bce_with_logits(tsr_nn_linear(run->model, "out", x, 1, NULL), run->in[1]);
}

const workload bench_nets[] = {
    {"T1-gatys-256", TRAIN, prepare_gatys, gatys, NULL, 0, {256}},
    {"T1-gatys-512", TRAIN, prepare_gatys, gatys, NULL, 0, {512}},
    {"T2-facenet-b48", TRAIN, prepare_facenet, facenet, "img/s", FACES, {0}},
    {"T3-lenet-b64", TRAIN, prepare_lenet, lenet, "img/s", 64, {0}},
    {"T4-ecg1d-b32", TRAIN, prepare_ecg, signals, "steps/s", 1, {0}},
    {"T4-ct3d-b32", TRAIN, prepare_ct, signals, "steps/s", 1, {0}},
    {"O-xor-b4", TRAIN, prepare_xor, xor_net, "steps/s", 1, {0}},
    {0},
};
