/* dlib's face recognition net (29 convolutions, D. King): residual, scales and shifts for norms. */
#include "apps/facenet/nets.h"

/* A convolution, then x * weight + bias per channel. The latter is batch norm of a known mean 0 and variance 1: one
 * pass, the activation included. */
static tsr_tensor *unit(tsr_model *m, tsr_tensor *x, int channels, const tsr_conv_options *how,
                        tsr_activation activation)
{
    const tsr_shape shape = TSR_SHAPE(channels);
    const tsr_init one = {.kind = TSR_INIT_CONSTANT, .value = 1};
    x = tsr_nn_conv(m, "conv", x, channels, how);
    tsr_context *ctx = tsr_context_of(x);
    tsr_enter(m, "scale");
    const tsr_batch_norm_state state = {tsr_parameter_init(m, "weight", shape, &one),
                                        tsr_parameter_init(m, "bias", shape, NULL), tsr_zeros(ctx, shape),
                                        tsr_full(ctx, shape, 1)};
    tsr_leave(m);
    return tsr_batch_norm(x, &state, &(tsr_norm_options){.evaluate = true, .eps = TSR_ZERO, .activation = activation});
}

static tsr_tensor *named_unit(tsr_model *m, const char *name, tsr_tensor *x, int channels, const tsr_conv_options *how,
                              tsr_activation activation)
{
    tsr_enter(m, name);
    x = unit(m, x, channels, how, activation);
    tsr_leave(m);
    return x;
}

/* Zeros after the last of each axis, up to `shape`. */
static tsr_tensor *grow(tsr_tensor *x, tsr_shape shape)
{
    tsr_pad_options o = {.mode = TSR_PAD_CONSTANT};
    bool any = false;
    for (int i = 1; i < 4; i++) {
        const int64_t more = shape.dims[i] - tsr_dim(x, i);
        o.after[i] = more > 0 ? (int)more : 0;
        any = any || more > 0;
    }
    return any ? tsr_pad(x, &o) : x;
}

/* Down: halves height and width; the way around is a mean over 2x2 with channels of zeros, and either side grows to the
 * other's size. */
static tsr_tensor *residual(tsr_model *m, const char *name, tsr_tensor *x, int channels, bool down)
{
    const tsr_conv_options same = {.kernel = {3, 3}, .padding = {1, 1}}, half = {.kernel = {3, 3}, .stride = {2, 2}};
    tsr_enter(m, name);
    tsr_tensor *y = named_unit(m, "conv1", x, channels, down ? &half : &same, TSR_RELU);
    y = named_unit(m, "conv2", y, channels, &same, TSR_NO_ACTIVATION);
    tsr_leave(m);
    tsr_tensor *around = down ? tsr_avg_pool(x, &(tsr_pool_options){.kernel = {2, 2}}) : x;
    around = grow(around, tsr_shape_of(y));
    return tsr_relu(tsr_add(grow(y, tsr_shape_of(around)), around));
}

tsr_tensor *face_resnet29_embed(tsr_model *m, tsr_tensor *x, int embedding)
{
    static const struct {
        const char *name;
        int channels;
        bool down;
    } blocks[] = {{"conv32_1", 32, false},   {"conv32_2", 32, false},        {"conv32_3", 32, false},
                  {"conv64_down", 64, true}, {"conv64_1", 64, false},        {"conv64_2", 64, false},
                  {"conv64_3", 64, false},   {"conv128_down", 128, true},    {"conv128_1", 128, false},
                  {"conv128_2", 128, false}, {"conv256_down", 256, true},    {"conv256_1", 256, false},
                  {"conv256_2", 256, false}, {"conv256_down_out", 256, true}};
    x = named_unit(m, "conv32_down", x, 32, &(tsr_conv_options){.kernel = {7, 7}, .stride = {2, 2}}, TSR_RELU);
    x = tsr_max_pool(x, &(tsr_pool_options){.kernel = {3, 3}, .stride = {2, 2}});
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        x = residual(m, blocks[i].name, x, blocks[i].channels, blocks[i].down);
    x = tsr_adaptive_avg_pool(x, (const int64_t[]){1, 1});
    return tsr_nn_linear(m, "fc", x, embedding, &(tsr_linear_options){.no_bias = true});
}
