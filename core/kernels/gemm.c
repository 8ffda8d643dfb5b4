#include "core/kernels/kernels.h"

#include <math.h>

/* The plain loops; replaced soon by a packed product. */
static void plain_tile(int64_t depth, const tsr_real *a, const tsr_real *b, tsr_real *c, int64_t stride)
{
    for (int64_t k = 0; k < depth; k++)
        for (int r = 0; r < 4; r++)
            for (int j = 0; j < 4; j++) c[r * stride + j] += a[k * 4 + r] * b[k * 4 + j];
}

static const tsr_kernels plain = {.name = "plain", .tile_rows = 4, .tile_columns = 4, .tile = plain_tile};

const tsr_kernels *tsr_kernels_choose(void)
{
    return &plain;
}

size_t tsr_product_workspace(const tsr_product *p)
{
    return (size_t)(p->depth * 8 + 16) * sizeof(tsr_real);
}

static void panel(const tsr_factor *f, int64_t row, int64_t rows, int64_t depth, tsr_real *out)
{
    const tsr_block_of block = {.row = row, .rows = rows, .k = 0, .depth = depth, .tile = 4};
    if (f->pack) {
        f->pack(f, &block, out);
        return;
    }
    for (int64_t k = 0; k < depth; k++)
        for (int64_t r = 0; r < 4; r++)
            out[k * 4 + r] = r < rows ? f->data[(row + r) * f->row_stride + k * f->depth_stride] : 0;
}

void tsr_multiply_alone(const tsr_kernels *kernels, const tsr_product *p, void *workspace)
{
    tsr_real *a = workspace, *b = a + 4 * p->depth, *c = b + 4 * p->depth;
    for (int64_t i = 0; i < p->rows; i += 4)
        for (int64_t j = 0; j < p->columns; j += 4) {
            const int64_t rows = p->rows - i < 4 ? p->rows - i : 4, columns = p->columns - j < 4 ? p->columns - j : 4;
            panel(&p->left, i, rows, p->depth, a);
            panel(&p->right, j, columns, p->depth, b);
            for (int k = 0; k < 16; k++) c[k] = 0;
            kernels->tile(p->depth, a, b, c, 4);
            for (int64_t r = 0; r < rows; r++)
                for (int64_t s = 0; s < columns; s++) {
                    tsr_real *out = p->out + (i + r) * p->stride + j + s;
                    tsr_real v = c[r * 4 + s] + (p->accumulate ? *out : 0) + (p->bias ? p->bias[j + s] : 0);
                    if (p->activation == TSR_RELU && v < 0) v = 0;
                    if (p->activation == TSR_TANH) v = (tsr_real)tanh((double)v);
                    if (p->activation == TSR_SIGMOID) v = (tsr_real)(1 / (1 + exp(-(double)v)));
                    *out = v;
                }
        }
}

void tsr_multiply(tsr_context *ctx, const tsr_product *product, void *workspace)
{
    (void)ctx;
    tsr_multiply_alone(&plain, product, workspace);
}
