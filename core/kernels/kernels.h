/* The few inner loops that decide the speed. A kernel knows no tensor.
 *
 * One table of function pointers per instruction set; tsr_kernels_choose picks the best this CPU has, or the one named by
 * the environment variable TSR_KERNELS. The table is chosen once per context and never depends on sizes or timing. */
#ifndef TESSERA_CORE_KERNELS_H
#define TESSERA_CORE_KERNELS_H

#include "core/context.h"

enum { TSR_MAX_TILE = 64 }; /* most rows or columns of a micro-kernel's tile */

typedef struct tsr_kernels {
    const char *name;
    int tile_rows, tile_columns; /* of the micro-kernel */
    /* c[r][j] += sum over k of a[k * tile_rows + r] * b[k * tile_columns + j], c with `stride` values a row. */
    void (*tile)(int64_t depth, const tsr_real *a, const tsr_real *b, tsr_real *c, int64_t stride);
} tsr_kernels;

const tsr_kernels *tsr_kernels_choose(void);

/* ---- matrix product ---------------------------------------------------------------------------------------------- */

/* A block of a factor, to be packed. */
typedef struct tsr_block_of {
    int64_t row, rows; /* rows <= tile */
    int64_t k, depth;
    int tile;
} tsr_block_of;

/* One factor of a product, told as rows x depth: the left matrix by its rows, the right one by its columns. Either plain
 * memory (value (i, k) at data[i * row_stride + k * depth_stride]) or packed by a function of the caller's, so that an
 * image can be multiplied without a matrix of its patches ever existing. */
typedef struct tsr_factor {
    const tsr_real *data;
    int64_t row_stride, depth_stride;
    /* Writes rows [row, row + rows) x depth [k, k + depth) as out[d * tile + r], and zeros for r in [rows, tile). */
    void (*pack)(const struct tsr_factor *self, const tsr_block_of *block, tsr_real *out);
    const void *user;
} tsr_factor;

/* C[rows][columns] (row stride `stride`) = [C +] left * right^T [+ bias of columns values], then the activation. */
typedef struct tsr_product {
    int64_t rows, columns, depth;
    tsr_factor left, right;
    tsr_real *out;
    int64_t stride;
    bool accumulate;
    const tsr_real *bias; /* or NULL */
    tsr_activation activation;
} tsr_product;

/* Workspace a product needs, in bytes; depends on the sizes alone. */
size_t tsr_product_workspace(const tsr_product *product);

/* Runs on the context's threads; the bits do not depend on their number. */
void tsr_multiply(tsr_context *ctx, const tsr_product *product, void *workspace);

/* The same on the calling thread alone, for callers that run many products side by side. */
void tsr_multiply_alone(const tsr_kernels *kernels, const tsr_product *product, void *workspace);

#endif
