/* What ports must have in common:  port OWN-FILE [OTHERS-FILE]
 * trains XOR and prints its last loss, writes what every machine makes in the same bits to a file, and looks whether
 * another machine's file, with its checksum, holds the same. */
#include <stdio.h>
#include "tessera.h"

static double learn_xor(tsr_context *ctx)
{
    tsr_tensor *x = tsr_values(ctx, TSR_SHAPE(4, 2), (tsr_real[]){0, 0, 0, 1, 1, 0, 1, 1});
    tsr_tensor *y = tsr_values(ctx, TSR_SHAPE(4, 1), (tsr_real[]){0, 1, 1, 0});
    tsr_model *m = tsr_model_new(ctx);
    tsr_optimizer *opt = tsr_adam(m, &(tsr_adam_options){.lr = 0.05});
    double last = 0;
    for (int step = 0; step < 300; step++)
        TSR_SCOPE(ctx) {
            tsr_tensor *h = tsr_tanh(tsr_nn_linear(m, "hidden", x, 16, NULL));
            tsr_tensor *loss = tsr_bce_with_logits(tsr_nn_linear(m, "out", h, 1, NULL), y);
            tsr_backward(loss);
            tsr_step(opt);
            last = tsr_item(loss);
        }
    return last;
}

/* Layers as they are before training: drawn, which no compiler may change, and scaled. */
static tsr_model *untrained(tsr_context *ctx)
{
    tsr_model *m = tsr_model_new(ctx);
    tsr_tensor *x = tsr_nn_conv(m, "conv", tsr_zeros(ctx, TSR_SHAPE(1, 8, 8, 3)), 5,
                                &(tsr_conv_options){.kernel = {3, 3}, .activation = TSR_RELU});
    tsr_nn_linear(m, "linear", tsr_nn_batch_norm(m, "norm", x, NULL), 7, NULL);
    tsr_set_text(m, "made by", "ports");
    return m;
}

static bool holds_the_same(tsr_context *ctx, const char *own, const char *other)
{
    tsr_archive *a = tsr_archive_open(ctx, own), *b = tsr_archive_open(ctx, other);
    bool same = tsr_archive_count(a) > 0 && tsr_archive_count(a) == tsr_archive_count(b);
    for (int i = 0; same && i < tsr_archive_count(a); i++) {
        tsr_tensor *x = tsr_archive_tensor(a, i);
        tsr_tensor *y = tsr_archive_tensor(b, tsr_archive_find(b, tsr_archive_name(a, i)));
        same = tsr_same_shape(tsr_shape_of(x), tsr_shape_of(y));
        for (int64_t k = 0; same && k < tsr_size(x); k++) same = tsr_data(x)[k] == tsr_data(y)[k];
    }
    return same && !tsr_error(ctx);
}

int main(int count, char **arguments)
{
    if (count < 2) return 2;
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = 1});
    printf("%.6f\n", learn_xor(ctx));
    tsr_model_save(untrained(ctx), arguments[1], NULL);
    if (count > 2 && !tsr_error(ctx) && !holds_the_same(ctx, arguments[1], arguments[2]))
        tsr_fail(ctx, "%s and %s differ", arguments[1], arguments[2]);
    if (tsr_error(ctx)) fprintf(stderr, "port: %s\n", tsr_error(ctx));
    return tsr_close(ctx);
}
