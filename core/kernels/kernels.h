/* The few inner loops that decide the speed. A kernel knows no tensor.
 *
 * One table of function pointers per instruction set; tsr_kernels_choose picks the best this CPU has, or the one that
 * the environment variable TSR_KERNELS names (plain, baseline, avx2, avx512, amx; a name that is unknown, or that this
 * CPU does not have, is as if nothing was said). Chosen once per context. README.md says how it works. */
#ifndef TESSERA_CORE_KERNELS_H
#define TESSERA_CORE_KERNELS_H

#include "core/context.h"
#include "core/kernels/levels.h"

enum {
    TSR_MAX_TILE = 64,        /* most rows or columns of a micro-kernel's tile */
    TSR_MAX_TILE_AREA = 1024, /* most rows times columns */
    TSR_PARTS_TILE = 32,      /* rows and columns of a tile of tsr_parts, and the depth of its steps */
    TSR_GATHER_ROWS = 8,      /* most rows, */
    TSR_GATHER_WIDTH = 48,    /* and columns, of a gathered tile */
    TSR_DEPTH_BLOCK = 256     /* most products summed one by one; longer sums are sums of such sums */
};

/* Brings what lies at an address into the first-level cache; any address will do. */
#ifdef __GNUC__
#define TSR_FETCH(address) __builtin_prefetch(address)
#else
#define TSR_FETCH(address) ((void)(address))
#endif

/* What a micro-kernel is asked for: for i < rows and every j < tile_columns
 *     c[i][j] = [c[i][j] +] sum over k < depth of a[i * a_row + k * a_step] * b[k * b_step + j] [+ bias[j]],
 * then the activation, with `stride` values from row to row of c. Nothing needs to be aligned. */
typedef struct tsr_tile {
    int64_t depth;
    const tsr_real *a, *b;
    int64_t a_row, a_step, b_step;
    tsr_real *b_copy;      /* where the rows of b are also written, one after the other; or NULL */
    const tsr_real *ahead; /* needed soon: for every four depths, one cache line is fetched, ... */
    int64_t ahead_step;    /* ... so many values after the one before; any address will do */
    tsr_real *c;
    int64_t stride;
    const tsr_real *bias; /* or NULL */
    int rows;             /* 1 .. tile_rows */
    int columns;          /* that are wanted; others may be computed too, or not */
    int parts;            /* of tsr_parts */
    bool accumulate;
    tsr_activation activation;
} tsr_tile;

/* Products of bfloat16 parts, for instructions that multiply those faster: a value is split into the sum of 1, 2 or 3
 * parts, and the products of parts that count (1, 3 or 6) are summed in float. Subnormal numbers count as zero;
 * infinity and NaN give what they give in float. Factors are packed in panels of TSR_PARTS_TILE rows and then split. */
typedef struct tsr_parts {
    int count;
    /* Splits a packed panel, panel[d * TSR_PARTS_TILE + r] for d < depth, of the left or right factor. `out` is aligned
     * to 64 bytes and has TSR_PARTS_TILE * parts / 2 values for each depth up to a multiple of TSR_PARTS_TILE. */
    void (*split)(const tsr_real *panel, int64_t depth, int parts, bool left, tsr_real *out);
    void (*begin)(void), (*end)(void);   /* around tiles, on the thread that computes them; cheap, but not free */
    void (*tile)(const tsr_tile *tile);  /* a and b: split panels; strides, b_copy and ahead are not looked at */
} tsr_parts;

/* What Winograd's last transform reads: 36 planes of values, `plane` apart, one for each frequency. */
typedef struct tsr_planes {
    const tsr_real *data;
    int64_t plane;
    const tsr_real *bias; /* or NULL */
    bool relu;
} tsr_planes;

/* 6x6, 4x4 or 3x3 vectors of `count` channels, at least 16, to one value per channel on each of 36 planes. */
typedef void tsr_winograd_forth(const tsr_real *const *in, int64_t count, tsr_real *out, int64_t plane);
/* And back, to 4x4 or 3x3 vectors; those that are NULL are not wanted. Planes (and bias) are read in whole vectors. */
typedef void tsr_winograd_back(const tsr_planes *in, int64_t count, tsr_real *const *out);
/* A tile of a product whose left factor lies in memory by two tables: for i < gather_rows and j < vectors * lanes
 *     c[i][column + j] = [c[i][column + j] +] sum over k < depth of rows[i][channel + offsets[k]] * b[k * b_step + j]
 *                        [+ bias[j]], [max 0]
 * or, as dot products, of vectors of both factors: for j < vectors, with sums over k and over v < lanes of
 *     rows[i][channel + offsets[k] + v] * b[k * b_step + j * lanes + v]
 * Rows that do not exist may repeat others and go to memory of the caller's. */
typedef struct tsr_gathered {
    const tsr_real *const *rows, *b;
    const int64_t *offsets;
    int64_t depth, channel, column, b_step;
    int vectors;
    tsr_real *const *c;
    const tsr_real *bias; /* or NULL */
    bool accumulate, relu, dots;
} tsr_gathered;

/* For p < pixels, c < channels: out[p * out_pixel + c] = [bias[c] +] the sum over taps t0 < count[0], t1, t2 of
 * x[p * x_pixel + t0 * x_step[0] + t1 * x_step[1] + t2 * x_step[2] + c] * w[t0 * w_step[0] + ... + c]. */
typedef struct tsr_depthwise {
    const tsr_real *x, *w, *bias; /* bias: or NULL */
    tsr_real *out;
    int64_t count[3], x_step[3], w_step[3];
    int64_t pixels, x_pixel, out_pixel, channels;
} tsr_depthwise;

/* sums[c] += the sum over p < pixels of x[p * x_pixel + c] * y[p * channels + c]. */
typedef struct tsr_correlation {
    const tsr_real *x, *y;
    int64_t pixels, x_pixel, channels;
} tsr_correlation;

typedef struct tsr_kernels {
    const char *name;
    bool emulated;               /* a stand-in of the tests, for whom asks for it by name */
    const tsr_parts *parts;      /* by which tsr_multiply computes large products; or NULL: all are by `tile` */
    int level;                   /* of the loops of levels.h */
    int tile_rows, tile_columns; /* of the micro-kernel */
    /* Quickest where the factors are packed: a_row = 1, a_step = tile_rows, b_step = tile_columns. */
    void (*tile)(const tsr_tile *tile);
    tsr_winograd_forth *winograd_image, *winograd_cotangent, *winograd_weight; /* 6x6, 4x4, 3x3 */
    tsr_winograd_back *winograd_to_result, *winograd_to_weight;                /* 4x4, 3x3 */
    int gather_rows, gather_vectors, lanes; /* rows, most vectors, values in a vector */
    void (*gather)(const tsr_gathered *tile);
    void (*depthwise)(const tsr_depthwise *line);
    void (*correlate)(const tsr_correlation *line, double *sums);
    void (*activate)(tsr_activation activation, tsr_real *values, int64_t count);
    /* Of four rows a[r]: sums[r] = sum over k < depth of a[r][k] * b[k]; y[j] += sum over r of c[r] * a[r][j]. */
    void (*dots)(const tsr_real *const *a, const tsr_real *b, int64_t depth, tsr_real *sums);
    void (*add_rows)(const tsr_real *const *a, int64_t ahead, const tsr_real *c, int64_t count, tsr_real *y);
} tsr_kernels;

const tsr_kernels *tsr_kernels_choose(tsr_precision precision);

/* The tables this CPU can run, slowest first: i = 0 is plain C; NULL past the last. With tsr_parts there is one for each
 * precision, under one name. */
const tsr_kernels *tsr_kernels_list(int i);

/* ---- matrix product ------------------------------------------------------------------------------------ */

/* A block of a factor, to be packed. */
typedef struct tsr_block_of {
    int64_t row, rows; /* rows <= tile */
    int64_t k, depth;
    int tile;
} tsr_block_of;

/* One factor of a product, told as rows x depth: the left matrix by its rows, the right one by its columns. Either
 * plain memory (value (i, k) at data[i * row_stride + k * depth_stride]) or packed by a function of the caller's, so
 * that an image can be multiplied without a matrix of its patches ever existing. */
typedef struct tsr_factor {
    const tsr_real *data;
    int64_t row_stride, depth_stride;
    /* Writes rows [row, row + rows) x depth [k, k + depth) as out[d * tile + r], and zeros for r in [rows, tile).
     * Called from several threads at once. */
    void (*pack)(const struct tsr_factor *self, const tsr_block_of *block, tsr_real *out);
    const void *user;
} tsr_factor;

/* For pack functions: out[d * tile + r] = rows[r][d] for d < depth, zeros where rows[r] is NULL; depth is at most
 * TSR_DEPTH_BLOCK, as it is in every block that a pack function is asked for. */
void tsr_pack_rows(const tsr_real *const *rows, int tile, int64_t depth, tsr_real *out);

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

/* Workspace a product needs, in bytes, aligned to 64; depends on the kernels and the sizes alone. */
size_t tsr_product_workspace(const tsr_kernels *kernels, const tsr_product *product);

/* Runs on the context's threads; the bits do not depend on their number. */
void tsr_multiply(tsr_context *ctx, const tsr_product *product, void *workspace);

/* The same, to the bit, on the calling thread alone, for callers that run many products side by side. */
void tsr_multiply_alone(const tsr_kernels *kernels, const tsr_product *product, void *workspace);

#endif
