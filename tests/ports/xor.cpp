// examples/xor.c as C++ says it.
#include "tessera.h"

#include <cstdio>

static tsr_tensor *mlp(tsr_model *m, tsr_tensor *x)
{
    x = tsr_tanh(tsr_nn_linear(m, "hidden", x, 16, nullptr));
    return tsr_nn_linear(m, "out", x, 1, nullptr);
}

int main()
{
    tsr_options options{};
    options.seed = 1;
    tsr_adam_options adam{};
    adam.lr = 0.05;
    const tsr_real inputs[] = {0, 0, 0, 1, 1, 0, 1, 1}, targets[] = {0, 1, 1, 0};

    tsr_context *ctx = tsr_open(&options);
    tsr_tensor *x = tsr_values(ctx, TSR_SHAPE(4, 2), inputs);
    tsr_tensor *y = tsr_values(ctx, TSR_SHAPE(4, 1), targets);
    tsr_model *m = tsr_model_new(ctx);
    tsr_optimizer *opt = tsr_adam(m, &adam);
    for (int step = 0; step < 300 && !tsr_error(ctx); step++)
        TSR_SCOPE(ctx) {
            tsr_tensor *loss = tsr_bce_with_logits(mlp(m, x), y);
            tsr_backward(loss);
            tsr_step(opt);
            if (step % 50 == 0) std::printf("%4d  %.9g\n", step, tsr_item(loss));
        }
    if (tsr_error(ctx)) std::fprintf(stderr, "xor: %s\n", tsr_error(ctx));
    return tsr_close(ctx);
}
