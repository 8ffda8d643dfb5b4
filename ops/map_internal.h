/* Element-wise work, and folds (sums, maxima) of it, in one place: an op of elementwise.c, activation.c, reduce.c, ...
 * is a few row functions, which map.c calls in parallel on blocks of values, with broadcasting undone. */
#ifndef TESSERA_OPS_MAP_INTERNAL_H
#define TESSERA_OPS_MAP_INTERNAL_H

#include "core/kernels/levels.h"
#include "ops/ops_internal.h"

enum { TSR_MAP_INPUTS = 5, TSR_MAP_NUMBERS = 2 };

/* out[i] = f(in[0][i], in[1][i], ...) for i < count; `numbers` are the op's parameters. `out` may be one of `in`. */
typedef void (*tsr_row)(tsr_real *out, const tsr_real *const *in, int64_t count, const double *numbers);

/* static TSR_ROW_FUNCTION(name) { ... } makes a row function for each instruction set: name[TSR_LEVELS]. */
#define TSR_ROW_FUNCTION(name)                                                                                       \
    TSR_PER_LEVEL(tsr_row, name, (tsr_real *out, const tsr_real *const *in, int64_t count, const double *numbers),   \
                  (out, in, count, numbers))

/* static TSR_ROW(name, value, x, y): the same for out[i] = value, an expression in the inputs, called x and y here, and
 * in the op's numbers p and q. */
#define TSR_ROW(name, value, ...)                                                                                    \
    TSR_ROW_FUNCTION(name)                                                                                           \
    {                                                                                                                \
        const tsr_real p = (tsr_real)numbers[0], q = (tsr_real)numbers[1];                                           \
        (void)p, (void)q;                                                                                            \
        TSR_INDEPENDENT                                                                                              \
        for (int64_t i = 0; i < count; i++) {                                                                        \
            TSR_ROW_COUNT(__VA_ARGS__, TSR_ROW_5, TSR_ROW_4, TSR_ROW_3, TSR_ROW_2, TSR_ROW_1, 0)(__VA_ARGS__)        \
            out[i] = (value);                                                                                        \
        }                                                                                                            \
    }
#define TSR_ROW_COUNT(a, b, c, d, e, chosen, ...) chosen
#define TSR_ROW_INPUT(name, k)                                                                                       \
    const tsr_real name = in[k][i];                                                                                  \
    (void)name;
#define TSR_ROW_1(a) TSR_ROW_INPUT(a, 0)
#define TSR_ROW_2(a, b) TSR_ROW_1(a) TSR_ROW_INPUT(b, 1)
#define TSR_ROW_3(a, b, c) TSR_ROW_2(a, b) TSR_ROW_INPUT(c, 2)
#define TSR_ROW_4(a, b, c, d) TSR_ROW_3(a, b, c) TSR_ROW_INPUT(d, 3)
#define TSR_ROW_5(a, b, c, d, e) TSR_ROW_4(a, b, c, d) TSR_ROW_INPUT(e, 4)

/* A tensor yet to be computed: a row function and its inputs, each of which broadcasts to `shape`. */
typedef struct tsr_map {
    const tsr_row *row; /* by instruction set; NULL: the values of the first input */
    double numbers[TSR_MAP_NUMBERS];
    double cost;        /* of a value, in cheap operations; 0 counts as 1 */
    tsr_shape shape;
    int count;
    const tsr_real *data[TSR_MAP_INPUTS];
    const tsr_shape *shapes[TSR_MAP_INPUTS]; /* NULL: `shape` */
} tsr_map;

void tsr_map_add(tsr_map *map, const tsr_real *data, const tsr_shape *shape);

/* By tsr_activation: y from x; the gradient of x from x (which they do not look at), y and g. */
extern const tsr_row *const tsr_activation_rows[], *const tsr_deactivation_rows[];

/* Computes it: out has map->shape. Parallel. */
void tsr_map_run(tsr_context *ctx, const tsr_map *map, tsr_real *out);

/* Folds it onto `target`, a shape that broadcasts to map->shape: out[k] = (sum, or the largest, of all values at k) /
 * divisor. Sums are made in double. In a maximum NaN wins; of nothing it is -infinity. Always in the same order. */
typedef struct tsr_fold {
    bool largest;
    const tsr_shape *target;
    double divisor;
    tsr_real *out; /* one of the two */
    double *exact;
} tsr_fold;
void tsr_map_fold(tsr_context *ctx, const tsr_map *map, const tsr_fold *fold);

/* The gradient of a maximum: for each k of `target`, which broadcasts to `shape`, out = g[k] at the first place where
 * x is value[k] (NaN is NaN), and 0 at all others. */
typedef struct tsr_first {
    tsr_shape shape, target;
    const tsr_real *x, *value, *g;
    tsr_real *out;
} tsr_first;
void tsr_map_first(tsr_context *ctx, const tsr_first *first);

/* ---- ops ------------------------------------------------------------------------------------------------------ */

/* A whole element-wise op. backward[i] makes the gradient of input i from all inputs in order, then the result y,
 * then the gradient g that arrives; NULL: there is none, or it is g itself. */
typedef struct tsr_map_op {
    tsr_op op; /* .backward = tsr_map_backward */
    double cost;
    const tsr_row *forward;
    const tsr_row *backward[TSR_MAP_INPUTS - 2];
    unsigned passes; /* bit i: the gradient of input i is g */
} tsr_map_op;

void tsr_map_backward(tsr_node *n);

/* All of a call, from tsr_begin to tsr_end, or the rest of it once tsr_begin has been called with `&op->op`. */
tsr_tensor *tsr_map_call(const tsr_map_op *op, int count, tsr_tensor *const *inputs);
tsr_tensor *tsr_map_rest(tsr_node *n, double first_number, double second_number);

/* NAME_op: y from x (and the numbers p and q), its gradient from x, y and g. Cost as in tsr_map. */
#define TSR_UNARY_OP(name, cost_, value, gradient)                                                                   \
    static TSR_ROW(name##_y, value, x)                                                                               \
    static TSR_ROW(name##_x, gradient, x, y, g)                                                                      \
    static const tsr_map_op name##_op = {                                                                            \
        .op = {#name, tsr_map_backward, 0}, .cost = cost_, .forward = name##_y, .backward = {name##_x}};
/* The same and tsr_NAME(x). */
#define TSR_UNARY(name, cost, value, gradient)                                                                       \
    TSR_UNARY_OP(name, cost, value, gradient)                                                                        \
    tsr_tensor *tsr_##name(tsr_tensor *x)                                                                            \
    {                                                                                                                \
        return tsr_map_call(&name##_op, TSR_INPUTS(x));                                                              \
    }
/* NAME_op: y from a and b, its gradients from a, b, y and g. */
#define TSR_BINARY_OP(name, cost_, value, gradient_a, gradient_b)                                                    \
    static TSR_ROW(name##_y, value, a, b)                                                                            \
    static TSR_ROW(name##_a, gradient_a, a, b, y, g)                                                                 \
    static TSR_ROW(name##_b, gradient_b, a, b, y, g)                                                                 \
    static const tsr_map_op name##_op = {                                                                            \
        .op = {#name, tsr_map_backward, 0}, .cost = cost_, .forward = name##_y, .backward = {name##_a, name##_b}};
#define TSR_BINARY(name, cost, value, gradient_a, gradient_b)                                                        \
    TSR_BINARY_OP(name, cost, value, gradient_a, gradient_b)                                                         \
    tsr_tensor *tsr_##name(tsr_tensor *a, tsr_tensor *b)                                                             \
    {                                                                                                                \
        return tsr_map_call(&name##_op, TSR_INPUTS(a, b));                                                           \
    }

#endif
