/* Where parameters start. */
#include "nn/nn_internal.h"

#include <math.h>

/* Fans of [..., I, O] as PyTorch counts them; of a vector its length. */
static void fans(tsr_shape shape, double *in, double *out)
{
    double size = 1;
    for (int i = 0; i < shape.rank; i++) size *= (double)shape.dims[i];
    *in = *out = size;
    if (shape.rank < 2 || size == 0) return;
    *in = size / (double)shape.dims[shape.rank - 1];
    *out = size / (double)shape.dims[shape.rank - 2];
}

static void draw(const tsr_context *ctx, tsr_real *x, int64_t size, tsr_rng rng, const tsr_init *drawn)
{
    enum { SOME = 256 };
    double draws[SOME];
    const bool normal = drawn->kind == TSR_INIT_NORMAL;
    for (int64_t at = 0; at < size; at += SOME) {
        const int64_t count = size - at < SOME ? size - at : SOME;
        (normal ? tsr_random_normals : tsr_random_uniforms)(ctx, rng, (uint64_t)at, count, draws);
        for (int64_t i = 0; i < count; i++)
            x[at + i] = (tsr_real)(drawn->value + drawn->gain * (normal ? draws[i] : 2 * draws[i] - 1));
    }
}

/* Rows (or columns, if these are fewer) made orthonormal by Gram and Schmidt's process, twice over for the sake of
 * rounding. x[i * row + k * step] is element k of vector i. */
static void orthonormalise(tsr_real *x, int64_t vectors, int64_t length, int64_t row, int64_t step)
{
    for (int64_t i = 0; i < vectors; i++)
        for (int pass = 0; pass < 2; pass++) {
            for (int64_t j = 0; j < i; j++) {
                double dot = 0;
                for (int64_t k = 0; k < length; k++) dot += (double)x[i * row + k * step] * (double)x[j * row + k * step];
                for (int64_t k = 0; k < length; k++) x[i * row + k * step] -= (tsr_real)dot * x[j * row + k * step];
            }
            double norm = 0;
            for (int64_t k = 0; k < length; k++) norm += (double)x[i * row + k * step] * (double)x[i * row + k * step];
            norm = sqrt(norm);
            for (int64_t k = 0; norm > 0 && k < length; k++)
                x[i * row + k * step] = (tsr_real)((double)x[i * row + k * step] / norm);
        }
}

static void orthogonal(const tsr_context *ctx, tsr_real *x, int64_t rows, int64_t columns, tsr_rng rng, double gain)
{
    draw(ctx, x, rows * columns, rng, &(tsr_init){.kind = TSR_INIT_NORMAL, .gain = 1});
    if (rows <= columns) orthonormalise(x, rows, columns, columns, 1);
    else orthonormalise(x, columns, rows, 1, columns);
    for (int64_t i = 0; i < rows * columns; i++) x[i] *= (tsr_real)gain;
}

void tsr_initialise(tsr_model *m, tsr_entry *entry, const tsr_init *init)
{
    const tsr_shape shape = entry->tensor->shape;
    const tsr_rng rng = {m->ctx->options.seed, tsr_substream(tsr_stream(entry->name), (uint64_t)m->ordinal)};
    const bool kaiming = init->kind == TSR_INIT_KAIMING_UNIFORM || init->kind == TSR_INIT_KAIMING_NORMAL;
    const double gain = init->gain != 0 ? (init->gain == (double)TSR_ZERO ? 0 : init->gain) : kaiming ? sqrt(2) : 1;
    tsr_real *x = entry->tensor->storage->data;
    const int64_t size = entry->tensor->size;
    double in, out;
    fans(shape, &in, &out);
    const double deviation = kaiming ? gain / sqrt(fmax(in, 1)) : gain * sqrt(2 / fmax(in + out, 1));
    switch (init->kind) {
    case TSR_INIT_KAIMING_UNIFORM:
    case TSR_INIT_XAVIER_UNIFORM:
        draw(m->ctx, x, size, rng, &(tsr_init){.kind = TSR_INIT_UNIFORM, .gain = sqrt(3) * deviation});
        break;
    case TSR_INIT_KAIMING_NORMAL:
    case TSR_INIT_XAVIER_NORMAL:
        draw(m->ctx, x, size, rng, &(tsr_init){.kind = TSR_INIT_NORMAL, .gain = deviation});
        break;
    case TSR_INIT_NORMAL:
    case TSR_INIT_UNIFORM:
        draw(m->ctx, x, size, rng, &(tsr_init){.kind = init->kind, .gain = gain, .value = init->value});
        break;
    case TSR_INIT_CONSTANT:
        for (int64_t i = 0; i < size; i++) x[i] = (tsr_real)init->value;
        break;
    case TSR_INIT_ORTHOGONAL: {
        const int64_t columns = shape.rank > 0 ? shape.dims[shape.rank - 1] : 1;
        if (size > 0) orthogonal(m->ctx, x, size / columns, columns, rng, gain);
        break;
    }
    default: tsr_fail(m->ctx, "parameter: there is no init kind %d", (int)init->kind);
    }
}
