/* What the files of ops/ share. */
#ifndef TESSERA_OPS_INTERNAL_H
#define TESSERA_OPS_INTERNAL_H

#include "core/core_internal.h"
#include "core/kernels/kernels.h"
#include "ops/ops.h"

/* `axis` counted from the end where negative; false where there is no such axis. */
bool tsr_find_axis(int rank, int *axis);

/* A shape seen from one of its axes: x[outer][length][inner]. */
typedef struct tsr_axis_view {
    int64_t outer, length, inner;
} tsr_axis_view;
tsr_axis_view tsr_view_axis(tsr_shape shape, int axis);

/* Options of convolution and pooling with their defaults filled in: for a field where 0 means `fallback`. */
int tsr_default_int(int value, int fallback);
double tsr_default_double(double value, double fallback);

/* A grain for bodies that need memory of their own: `count` indices in few pieces. */
int64_t tsr_grain_of_few(int64_t count, double cost);

/* y = activation(y), and, from the result y and the gradient g that arrives, out = g * activation'. Parallel. g may be out. */
void tsr_activate(tsr_context *ctx, tsr_activation activation, tsr_real *y, int64_t size);
void tsr_deactivate(tsr_context *ctx, tsr_activation activation, const tsr_real *y, const tsr_real *g, tsr_real *out,
                    int64_t size);

/* Sum of the products of two: by pieces of fixed size, in order, so that the bits do not depend on the threads. */
double tsr_dot(tsr_context *ctx, const tsr_real *a, const tsr_real *b, int64_t size);

/* out[j] = sum over rows of g[row][j], in the same manner: the gradient of a bias. */
void tsr_column_sums(tsr_context *ctx, const tsr_real *g, int64_t rows, int64_t columns, tsr_real *out);

/* Runs a product in scratch memory of the node and counts its work. Nothing happens where memory is short: the node is
 * dead then. */
void tsr_node_multiply(tsr_node *n, const tsr_product *product);

#endif
