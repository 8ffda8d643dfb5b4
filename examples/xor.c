/* Learning XOR, whole:  cc -std=c11 xor.c $(pkg-config --cflags --libs tessera) -lm */
#include <stdio.h>
#include "tessera.h"

static tsr_tensor *mlp(tsr_model *m, tsr_tensor *x)
{
    x = tsr_tanh(tsr_nn_linear(m, "hidden", x, 16, NULL));
    return tsr_nn_linear(m, "out", x, 1, NULL);
}

int main(void)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = 1});
    tsr_tensor *x = tsr_values(ctx, TSR_SHAPE(4, 2), (tsr_real[]){0, 0, 0, 1, 1, 0, 1, 1});
    tsr_tensor *y = tsr_values(ctx, TSR_SHAPE(4, 1), (tsr_real[]){0, 1, 1, 0});
    tsr_model *m = tsr_model_new(ctx);
    tsr_optimizer *opt = tsr_adam(m, &(tsr_adam_options){.lr = 0.05});

    for (int step = 0; step < 300 && !tsr_error(ctx); step++)
        TSR_SCOPE(ctx) {
            tsr_tensor *loss = tsr_bce_with_logits(mlp(m, x), y);
            tsr_backward(loss);
            tsr_step(opt);
            if (step % 50 == 0) printf("%4d  %.9g\n", step, tsr_item(loss));
        }
    if (tsr_error(ctx)) fprintf(stderr, "xor: %s\n", tsr_error(ctx));
    return tsr_close(ctx);
}
