/* Tensors: up to 8 dimensions of tsr_real, contiguous, row-major, channels last (N, L, C; N, H, W, C; N, D, H, W, C).
 *
 * A tensor is a value: no function changes one in place except tsr_copy_in and an optimizer's step, and a backward pass
 * that would need the older value says so. Functions that return a tensor never return NULL for a context that opened;
 * after an error they return the context's error tensor. Axes may be negative, counting from the end. */
#ifndef TESSERA_CORE_TENSOR_H
#define TESSERA_CORE_TENSOR_H

#include "core/context.h"

#define TSR_MAX_RANK 8

typedef struct tsr_shape {
    int rank; /* 0: a scalar. Above TSR_MAX_RANK: too many dimensions were given, an error wherever it is used */
    int64_t dims[TSR_MAX_RANK];
} tsr_shape;

/* TSR_SHAPE(32, 96, 96, 3) is a tsr_shape; TSR_SCALAR is that of a single value. */
#ifdef __cplusplus
#define TSR_SHAPE(...)                                                                                                 \
    [&] {                                                                                                              \
        const int64_t tsr_dims[] = {__VA_ARGS__};                                                                      \
        return tsr_make_shape((int)(sizeof tsr_dims / sizeof *tsr_dims), tsr_dims);                                    \
    }()
#define TSR_SCALAR (tsr_shape{})
#else
#define TSR_SHAPE(...)                                                                                                 \
    tsr_make_shape((int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__})
#define TSR_SCALAR ((tsr_shape){0})
#endif

tsr_shape tsr_make_shape(int rank, const int64_t *dims);
bool tsr_same_shape(tsr_shape a, tsr_shape b);

/* The number of values of a shape, or -1 where a dimension is negative, the rank too high or the bytes too many. */
int64_t tsr_shape_size(tsr_shape shape);

/* "[32, 96, 96, 3]", for messages: tsr_shape_text(shape).text */
typedef struct tsr_text {
    char text[192];
} tsr_text;
tsr_text tsr_shape_text(tsr_shape shape);

/* ---- creation -------------------------------------------------------------------------------------------------- */

tsr_tensor *tsr_zeros(tsr_context *ctx, tsr_shape shape);
tsr_tensor *tsr_full(tsr_context *ctx, tsr_shape shape, double value);

/* Copies as many values as `shape` has. */
tsr_tensor *tsr_values(tsr_context *ctx, tsr_shape shape, const tsr_real *values);

/* Uniform in [low, high), normal: drawn from the context's seed and `stream` (see core/random.h); the same stream
 * gives the same values every time. */
tsr_tensor *tsr_uniform(tsr_context *ctx, tsr_shape shape, double low, double high, uint64_t stream);
tsr_tensor *tsr_normal(tsr_context *ctx, tsr_shape shape, double mean, double deviation, uint64_t stream);

/* begin, begin + step, ... up to but not including end; rank 1. step may be negative, not 0. */
tsr_tensor *tsr_arange(tsr_context *ctx, double begin, double end, double step);

/* ---- looking --------------------------------------------------------------------------------------------------- */

tsr_context *tsr_context_of(const tsr_tensor *t);
tsr_shape tsr_shape_of(const tsr_tensor *t);
int tsr_rank(const tsr_tensor *t);
int64_t tsr_size(const tsr_tensor *t);            /* number of values */
int64_t tsr_dim(const tsr_tensor *t, int axis);   /* 0 where there is no such axis */
const tsr_real *tsr_data(const tsr_tensor *t);    /* tsr_size(t) values; NULL for NULL and for a spent tensor */
bool tsr_is_error(const tsr_tensor *t);           /* NULL or the context's error tensor */

/* The only value of `t`; NaN for an error tensor. Anything else than one value is an error. */
double tsr_item(const tsr_tensor *t);

/* Copies all values out of or into `t`; `count` must be tsr_size(t). Copying in is for data between steps: a graph
 * that was recorded with the older values can no longer be walked back. Return false after an error. */
bool tsr_copy_out(const tsr_tensor *t, tsr_real *values, int64_t count);
bool tsr_copy_in(tsr_tensor *t, const tsr_real *values, int64_t count);

/* Where to write the values of data directly, under the rule of tsr_copy_in; NULL after an error, and for a tensor that
 * an op computed (an error). */
tsr_real *tsr_write(tsr_tensor *t);

/* Writes shape and values for people; long axes are abbreviated. */
void tsr_print(const tsr_tensor *t, FILE *out);

#endif
