/* Products (G), convolutions (C1, C2, C3) and ops that memory bounds (P). */
#include "tests/bench/bench.h"

/* A cotangent like op's result. */
static void prepare_cotangent(bench_run *run)
{
    TSR_NO_GRAD(run->ctx)
        run->cotangent = tsr_keep(tsr_normal(run->ctx, tsr_shape_of(run->work->op(run)), 0, 1, 9));
}

/* ---- products: numbers M, N, K ----------------------------------------------------------------------------------- */

static void prepare_product(bench_run *run)
{
    const int *n = run->work->numbers;
    run->in[0] = tsr_normal(run->ctx, TSR_SHAPE(n[0], n[2]), 0, 1, 1);
    run->in[1] = tsr_normal(run->ctx, TSR_SHAPE(n[2], n[1]), 0, 1, 2);
    run->operations = 2.0 * n[0] * n[1] * n[2];
}

static tsr_tensor *product(bench_run *run) { return tsr_matmul(run->in[0], run->in[1], NULL); }

#define PRODUCT(name, ...) {"G-" name, FORWARD, prepare_product, product, NULL, 0, {__VA_ARGS__}}

/* ---- convolutions: numbers axes, batch, channels in, out, size, kernel, stride, padding -------------------------- */

enum { IMAGE, WEIGHT };

static tsr_tensor *conv(bench_run *run)
{
    const int *n = run->work->numbers;
    tsr_conv_options o = {0};
    for (int i = 0; i < n[0]; i++) {
        o.stride[i] = n[6];
        o.padding[i] = n[7];
    }
    return tsr_conv(run->in[IMAGE], run->in[WEIGHT], NULL, &o);
}

static void prepare_conv(bench_run *run)
{
    const int *n = run->work->numbers, axes = n[0];
    tsr_shape image = {.rank = axes + 2, .dims = {n[1]}}, weight = {.rank = axes + 2};
    for (int i = 0; i < axes; i++) {
        image.dims[i + 1] = n[4];
        weight.dims[i] = n[5];
    }
    image.dims[axes + 1] = weight.dims[axes] = n[2];
    weight.dims[axes + 1] = n[3];
    run->in[IMAGE] = tsr_normal(run->ctx, image, 0, 1, 1);
    run->in[WEIGHT] = tsr_normal(run->ctx, weight, 0, 0.05, 2);
    prepare_cotangent(run);
    run->operations = 2.0 * (double)(tsr_size(run->cotangent) * tsr_size(run->in[WEIGHT])) / n[3];
}

static void prepare_conv_data(bench_run *run)
{
    prepare_conv(run);
    run->watched[0] = tsr_watch(run->in[IMAGE]);
}

static void prepare_conv_weight(bench_run *run)
{
    prepare_conv(run);
    run->watched[0] = tsr_watch(run->in[WEIGHT]);
}

#define CONV(name, ...)                                                                                                \
    {name "/fwd", FORWARD, prepare_conv, conv, NULL, 0, {__VA_ARGS__}},                                                \
    {name "/bwd_d", BACKWARD, prepare_conv_data, conv, NULL, 0, {__VA_ARGS__}},                                        \
    {name "/bwd_w", BACKWARD, prepare_conv_weight, conv, NULL, 0, {__VA_ARGS__}}

/* ---- images [32, 48, 48, 64] ------------------------------------------------------------------------------------- */

#define IMAGES TSR_SHAPE(32, 48, 48, 64)
#define IMAGES_VALUES (32.0 * 48 * 48 * 64)

static tsr_tensor *relu(bench_run *run) { return tsr_relu(run->in[0]); }
static tsr_tensor *add(bench_run *run) { return tsr_add(run->in[0], run->in[1]); }

static tsr_tensor *max_pool(bench_run *run)
{
    return tsr_max_pool(run->in[0], &(tsr_pool_options){.kernel = {2, 2}});
}

static tsr_tensor *avg_pool(bench_run *run)
{
    return tsr_avg_pool(run->in[0], &(tsr_pool_options){.kernel = {2, 2}});
}

static tsr_tensor *batch_norm(bench_run *run)
{
    return tsr_batch_norm(run->in[0], &(tsr_batch_norm_state){run->in[1], run->in[2], run->in[3], run->in[4]}, NULL);
}

static void prepare_images(bench_run *run)
{
    run->in[0] = tsr_normal(run->ctx, IMAGES, 0, 1, 1);
    if (run->work->op == add) run->in[1] = tsr_normal(run->ctx, IMAGES, 0, 1, 2);
    if (run->work->op == batch_norm) /* scale 1, shift 0, mean 0, variance 1 */
        for (int i = 1; i <= 4; i++) run->in[i] = tsr_full(run->ctx, TSR_SHAPE(64), i == 1 || i == 4);
    if (run->work->way == FORWARD) return;
    for (int i = 0; i < (run->work->op == batch_norm ? 3 : 1); i++) run->watched[i] = tsr_watch(run->in[i]);
    prepare_cotangent(run);
}

/* images: how many arrays of that size are read or written at least */
#define MEMORY(name, way, op, images) {"P-" name, way, prepare_images, op, "GB/s", (images) * IMAGES_VALUES, {0}}

/* ---- losses, optimizers ------------------------------------------------------------------------------------------ */

enum { ROWS = 1024, CLASSES = 1000, TRIPLETS = 4096, WIDTH = 128, PARAMETERS = 4 << 20 };

static void prepare_classes(bench_run *run)
{
    run->in[0] = run->watched[0] = tsr_watch(tsr_normal(run->ctx, TSR_SHAPE(ROWS, CLASSES), 0, 1, 1));
    run->in[1] = tsr_zeros(run->ctx, TSR_SHAPE(ROWS));
    tsr_real *labels = tsr_write(run->in[1]);
    for (int i = 0; labels && i < ROWS; i++) labels[i] = (tsr_real)(i * 7 % CLASSES);
}

static tsr_tensor *cross_entropy(bench_run *run) { return tsr_cross_entropy(run->in[0], run->in[1], NULL); }

static void prepare_triplets(bench_run *run)
{
    run->in[0] = run->watched[0] = tsr_watch(tsr_normal(run->ctx, TSR_SHAPE(3 * TRIPLETS, WIDTH), 0, 1, 1));
    run->in[1] = tsr_zeros(run->ctx, TSR_SHAPE(TRIPLETS, 3));
    tsr_real *rows = tsr_write(run->in[1]);
    for (int i = 0; rows && i < 3 * TRIPLETS; i++) rows[i] = (tsr_real)(i % 3 * TRIPLETS + i / 3);
}

static tsr_tensor *triplet(bench_run *run)
{
    return tsr_triplet_loss_of(run->in[0], run->in[1], &(tsr_triplet_options){.margin = 0.2});
}

static void prepare_parameter(bench_run *run)
{
    run->model = tsr_model_new(run->ctx);
    run->in[0] = tsr_parameter(run->model, "p", tsr_normal(run->ctx, TSR_SHAPE(PARAMETERS), 0, 1, 1));
    run->cotangent = tsr_normal(run->ctx, TSR_SHAPE(PARAMETERS), 0, 1, 2);
}

static void prepare_momentum(bench_run *run)
{
    prepare_parameter(run);
    run->optimizer = tsr_sgd(run->model, &(tsr_sgd_options){.lr = 1e-3, .momentum = 0.9});
}

static void prepare_adam(bench_run *run)
{
    prepare_parameter(run);
    run->optimizer = tsr_adam(run->model, &(tsr_adam_options){.lr = 1e-3});
}

static tsr_tensor *parameter(bench_run *run) { return tsr_mul_scalar(run->in[0], 1); } /* for a gradient to arrive */

const workload bench_kernels[] = {
    PRODUCT("sq256", 256, 256, 256),
    PRODUCT("sq512", 512, 512, 512),
    PRODUCT("sq1024", 1024, 1024, 1024),
    PRODUCT("sq2048", 2048, 2048, 2048),
    PRODUCT("im2col-64x576x50176", 64, 50176, 576),
    PRODUCT("im2col-128x1152x12544", 128, 12544, 1152),
    PRODUCT("im2col-512x4608x784", 512, 784, 4608),
    PRODUCT("128x2048x512", 128, 512, 2048),
    PRODUCT("dense-b32-4096x4096", 32, 4096, 4096),
    PRODUCT("dense-b32-736x128", 32, 128, 736),
    PRODUCT("dense-b32-800x500", 32, 500, 800),
    CONV("C1-16-32k5@4096", 1, 32, 16, 32, 4096, 5, 1, 0),
    CONV("C2-vgg-3-64@256", 2, 1, 3, 64, 256, 3, 1, 1),
    CONV("C2-vgg-64-64@256", 2, 1, 64, 64, 256, 3, 1, 1),
    CONV("C2-vgg-64-128@128", 2, 1, 64, 128, 128, 3, 1, 1),
    CONV("C2-vgg-128-128@128", 2, 1, 128, 128, 128, 3, 1, 1),
    CONV("C2-vgg-256-256@64", 2, 1, 256, 256, 64, 3, 1, 1),
    CONV("C2-vgg-512-512@32", 2, 1, 512, 512, 32, 3, 1, 1),
    CONV("C2-vgg-512-512@16", 2, 1, 512, 512, 16, 3, 1, 1),
    CONV("C2-fn-7x7s2-3-64@96", 2, 32, 3, 64, 96, 7, 2, 3),
    CONV("C2-fn-3x3-64-192@24", 2, 32, 64, 192, 24, 3, 1, 1),
    CONV("C2-fn-1x1-256-64@12", 2, 32, 256, 64, 12, 1, 1, 0),
    CONV("C2-fn-5x5-32-64@12", 2, 32, 32, 64, 12, 5, 1, 2),
    CONV("C2-fn-1x1-320-128@12", 2, 32, 320, 128, 12, 1, 1, 0),
    CONV("C3-16-32k5@28", 3, 4, 16, 32, 28, 5, 1, 0),
    CONV("C3-1-16k5@64", 3, 4, 1, 16, 64, 5, 1, 0),
    MEMORY("relu/fwd", FORWARD, relu, 2),
    MEMORY("relu/bwd", BACKWARD, relu, 3),
    MEMORY("add/fwd", FORWARD, add, 3),
    MEMORY("maxpool2/fwd", FORWARD, max_pool, 1.25),
    MEMORY("avgpool2/fwd", FORWARD, avg_pool, 1.25),
    MEMORY("maxpool2/bwd", BACKWARD, max_pool, 1.5),
    MEMORY("avgpool2/bwd", BACKWARD, avg_pool, 1.25),
    MEMORY("batchnorm/fwd", FORWARD, batch_norm, 3),
    MEMORY("batchnorm/bwd", BACKWARD, batch_norm, 5),
    {"P-softmaxce-1024x1000/fwd+bwd", BOTH, prepare_classes, cross_entropy, "GB/s", 3.0 * ROWS * CLASSES, {0}},
    {"P-triplet-4096x128/fwd+bwd", BOTH, prepare_triplets, triplet, "GB/s", 9.0 * TRIPLETS * WIDTH, {0}},
    {"P-sgdmom-4M", STEP, prepare_momentum, parameter, "GB/s", 5.0 * PARAMETERS, {0}},
    {"P-adam-4M", STEP, prepare_adam, parameter, "GB/s", 7.0 * PARAMETERS, {0}},
    {0},
};
