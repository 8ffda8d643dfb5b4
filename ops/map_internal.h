/* Element-wise work, and folds (sums, maxima) of it, in one place: an op of binary.c, unary.c, activation.c or
 * reduce.c is a few row functions, which map.c calls in parallel on blocks of values, with broadcasting undone. */
#ifndef TESSERA_OPS_MAP_INTERNAL_H
#define TESSERA_OPS_MAP_INTERNAL_H

#include "ops/ops_internal.h"

enum { TSR_MAP_INPUTS = 5, TSR_MAP_NUMBERS = 2 };

/* Declares a row function: out[i] = f(in[0][i], in[1][i], ...) for i < count; `numbers` are the op's parameters. One
 * that does without the `restrict` may work in place: out is then an input of full shape. */
#define TSR_ROW(name)                                                                                                \
    void name(tsr_real *restrict out, const tsr_real *const *in, int64_t count, const double *numbers)
typedef TSR_ROW((*tsr_row));

/* A tensor yet to be computed: a row function and its inputs, each of which broadcasts to `shape`. */
typedef struct tsr_map {
    tsr_row row;    /* NULL: the values of the first input */
    double numbers[TSR_MAP_NUMBERS];
    double cost;    /* of a value, in cheap operations; 0 counts as 1 */
    tsr_shape shape;
    int count;
    const tsr_real *data[TSR_MAP_INPUTS];
    tsr_shape shapes[TSR_MAP_INPUTS];
} tsr_map;

void tsr_map_add(tsr_map *map, const tsr_real *data, tsr_shape shape);

/* A row that several ops have: e^(a - b) of its inputs a and b. */
TSR_ROW(tsr_row_exp_distance);

/* Computes it: out has map->shape. Parallel. */
void tsr_map_run(tsr_node *n, const tsr_map *map, tsr_real *out);

/* Folds it onto `target`, a shape that broadcasts to map->shape: out[k] = (sum, or the largest, of all values at k) /
 * divisor. Sums are made in double. In a maximum NaN wins; of nothing it is -infinity. Always in the same order. */
typedef struct tsr_fold {
    bool largest;
    tsr_shape target;
    double divisor;
    tsr_real *out; /* one of the two */
    double *exact;
} tsr_fold;
void tsr_map_fold(tsr_node *n, const tsr_map *map, const tsr_fold *fold);

/* The gradient of a maximum: for each k of `target`, which broadcasts to `shape`, out = g[k] at the first place where
 * x is value[k] (NaN is NaN), and 0 at all others. */
typedef struct tsr_first {
    tsr_shape shape, target;
    const tsr_real *x, *value, *g;
    tsr_real *out;
} tsr_first;
void tsr_map_first(tsr_node *n, const tsr_first *first);

/* ---- ops ------------------------------------------------------------------------------------------------------ */

/* A whole element-wise op. backward[i] makes the gradient of input i from all inputs in order, then the result y,
 * then the gradient g that arrives; NULL: there is none, or it is g itself. */
typedef struct tsr_map_op {
    tsr_op op; /* .backward = tsr_map_backward */
    double cost;
    tsr_row forward;
    tsr_row backward[TSR_MAP_INPUTS - 2];
    unsigned passes; /* bit i: the gradient of input i is g */
} tsr_map_op;

void tsr_map_backward(tsr_node *n);

/* All of a call, from tsr_begin to tsr_end, or the rest of it once tsr_begin has been called with `&op->op`. */
tsr_tensor *tsr_map_call(const tsr_map_op *op, int count, tsr_tensor *const *inputs);
tsr_tensor *tsr_map_rest(tsr_node *n, double first_number, double second_number);

/* Rows of ops with one input: y from x, and gx from x, y, g. p and q are the op's numbers. */
#define TSR_UNARY_FORWARD(name, value)                                                                              \
    static TSR_ROW(name)                                                                                            \
    {                                                                                                               \
        const tsr_real p = (tsr_real)numbers[0], q = (tsr_real)numbers[1];                                          \
        (void)p, (void)q;                                                                                           \
        for (int64_t i = 0; i < count; i++) {                                                                       \
            const tsr_real x = in[0][i];                                                                            \
            out[i] = (value);                                                                                       \
        }                                                                                                           \
    }
#define TSR_UNARY_BACKWARD(name, value)                                                                             \
    static TSR_ROW(name)                                                                                            \
    {                                                                                                               \
        const tsr_real p = (tsr_real)numbers[0], q = (tsr_real)numbers[1];                                          \
        (void)p, (void)q;                                                                                           \
        for (int64_t i = 0; i < count; i++) {                                                                       \
            const tsr_real x = in[0][i], y = in[1][i], g = in[2][i];                                                \
            (void)x, (void)y;                                                                                       \
            out[i] = (value);                                                                                       \
        }                                                                                                           \
    }
/* Rows of ops with two inputs: y from a and b, and one gradient from a, b, y, g. */
#define TSR_BINARY_FORWARD(name, value)                                                                             \
    static TSR_ROW(name)                                                                                            \
    {                                                                                                               \
        (void)numbers;                                                                                              \
        for (int64_t i = 0; i < count; i++) {                                                                       \
            const tsr_real a = in[0][i], b = in[1][i];                                                              \
            out[i] = (value);                                                                                       \
        }                                                                                                           \
    }
#define TSR_BINARY_BACKWARD(name, value)                                                                            \
    static TSR_ROW(name)                                                                                            \
    {                                                                                                               \
        (void)numbers;                                                                                              \
        for (int64_t i = 0; i < count; i++) {                                                                       \
            const tsr_real a = in[0][i], b = in[1][i], y = in[2][i], g = in[3][i];                                  \
            (void)a, (void)b, (void)y;                                                                              \
            out[i] = (value);                                                                                       \
        }                                                                                                           \
    }

#endif
