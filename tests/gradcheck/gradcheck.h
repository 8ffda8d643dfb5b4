/* Gradient checks of ops, one GRADCHECK per public op, named after its function without tsr_:
 *
 *     static tsr_tensor *softmax_middle(tsr_tensor *const *in) { return tsr_softmax(in[0], 1); }
 *     GRADCHECK(softmax)
 *     {
 *         gradcheck_case(ctx, softmax_middle, 1, (tsr_tensor *[]){gradcheck_normal(ctx, TSR_SHAPE(3, 5, 2))});
 *     }
 * Several random shapes and option sets each, the odd and degenerate ones too; keep away from kinks. Each case runs
 * tsr_gradcheck in the double build and asks for an error below 1e-6 and a gradient that is not all zero. Cases with
 * options use a static variable that fn reads. */
#ifndef TESSERA_TESTS_GRADCHECK_H
#define TESSERA_TESTS_GRADCHECK_H

#include "tessera.h"
#include "tests/test.h"

#define GRADCHECK(op)                                                                                                  \
    void gradcheck_##op(tsr_context *ctx);                                                                             \
    void gradcheck_##op(tsr_context *ctx)

/* Fresh data each call: normal; uniform in [low, high); normal with |x| pushed to at least 0.1 (kinks at 0); all values
 * at least 0.05 apart from each other, in random order (kinks where two are equal: max, pooling, mining). */
tsr_tensor *gradcheck_normal(tsr_context *ctx, tsr_shape shape);
tsr_tensor *gradcheck_uniform(tsr_context *ctx, tsr_shape shape, double low, double high);
tsr_tensor *gradcheck_off_zero(tsr_context *ctx, tsr_shape shape);
tsr_tensor *gradcheck_distinct(tsr_context *ctx, tsr_shape shape);

/* Checks fn(inputs) and adds to the running op's figures. Inputs that tsr_watch marked are checked; if none is, all. */
void gradcheck_case(tsr_context *ctx, tsr_function fn, int count, tsr_tensor *const *inputs);
/* The same where the gradient is 0 by nature (degenerate shapes). */
void gradcheck_zero_case(tsr_context *ctx, tsr_function fn, int count, tsr_tensor *const *inputs);

#endif
