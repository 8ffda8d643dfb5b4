/* Gradient checks of reductions and softmax. */
#include "tests/gradcheck/gradcheck.h"

static tsr_reduce_options how;

static tsr_tensor *sum(tsr_tensor *const *in) { return tsr_sum(in[0], &how); }
static tsr_tensor *mean(tsr_tensor *const *in) { return tsr_mean(in[0], &how); }
static tsr_tensor *max(tsr_tensor *const *in) { return tsr_max(in[0], &how); }
static tsr_tensor *min(tsr_tensor *const *in) { return tsr_min(in[0], &how); }
static tsr_tensor *var(tsr_tensor *const *in) { return tsr_var(in[0], &how); }
static tsr_tensor *logsumexp(tsr_tensor *const *in) { return tsr_logsumexp(in[0], &how); }
static tsr_tensor *norm(tsr_tensor *const *in) { return tsr_norm(in[0], &how); }

typedef tsr_tensor *(*draw_function)(tsr_context *ctx, tsr_shape shape);

static void one_case(tsr_context *ctx, tsr_function fn, draw_function draw, tsr_shape shape, unsigned axes)
{
    how.axes = axes;
    how.keep_dims = !how.keep_dims; /* by turns */
    gradcheck_case(ctx, fn, 1, (tsr_tensor *[]){draw(ctx, shape)});
}

/* Leading, trailing, middle and scattered axes; all; axes of length 1; more than a block. */
static void reduce_cases(tsr_context *ctx, tsr_function fn, draw_function draw)
{
    one_case(ctx, fn, draw, TSR_SHAPE(4, 5), TSR_AXIS(-1));
    one_case(ctx, fn, draw, TSR_SHAPE(4, 5), TSR_AXIS(0));
    one_case(ctx, fn, draw, TSR_SHAPE(4, 5), 0);
    one_case(ctx, fn, draw, TSR_SHAPE(2, 4, 3), TSR_AXIS(1));
    one_case(ctx, fn, draw, TSR_SHAPE(2, 3, 2, 3), TSR_AXIS(0) | TSR_AXIS(2));
    one_case(ctx, fn, draw, TSR_SHAPE(2, 3, 2, 3), TSR_AXIS(1) | TSR_AXIS(-1));
    one_case(ctx, fn, draw, TSR_SHAPE(2, 2, 3, 2, 2), TSR_AXIS(1) | TSR_AXIS(2) | TSR_AXIS(4));
    one_case(ctx, fn, draw, TSR_SHAPE(1, 6, 1), TSR_AXIS(1) | TSR_AXIS(2));
    one_case(ctx, fn, draw, TSR_SHAPE(7), TSR_AXIS(0));
    one_case(ctx, fn, draw, TSR_SHAPE(3, 401), TSR_AXIS(1));
    one_case(ctx, fn, draw, TSR_SHAPE(2, 601), TSR_AXIS(0));
}

GRADCHECK(sum) { reduce_cases(ctx, sum, gradcheck_normal); }
GRADCHECK(mean) { reduce_cases(ctx, mean, gradcheck_normal); }
GRADCHECK(max) { reduce_cases(ctx, max, gradcheck_distinct); }
GRADCHECK(min) { reduce_cases(ctx, min, gradcheck_distinct); }
GRADCHECK(logsumexp) { reduce_cases(ctx, logsumexp, gradcheck_normal); }

GRADCHECK(var)
{
    reduce_cases(ctx, var, gradcheck_normal);
    how.population = true;
    reduce_cases(ctx, var, gradcheck_normal);
    how.population = false;
}

GRADCHECK(norm)
{
    reduce_cases(ctx, norm, gradcheck_off_zero);
    for (int i = 0; i < 3; i++) {
        how.power = (double[]){1, 3, 0.5}[i];
        one_case(ctx, norm, gradcheck_off_zero, TSR_SHAPE(4, 5), TSR_AXIS(-1));
        one_case(ctx, norm, gradcheck_off_zero, TSR_SHAPE(2, 3, 4), TSR_AXIS(0) | TSR_AXIS(2));
    }
    how.power = 0;
}

/* ---- softmax -------------------------------------------------------------------------------------------------- */

static int axis;
static tsr_tensor *softmax(tsr_tensor *const *in) { return tsr_softmax(in[0], axis); }
static tsr_tensor *log_softmax(tsr_tensor *const *in) { return tsr_log_softmax(in[0], axis); }

static void softmax_cases(tsr_context *ctx, tsr_function fn)
{
    axis = -1;
    gradcheck_case(ctx, fn, 1, (tsr_tensor *[]){gradcheck_normal(ctx, TSR_SHAPE(4, 5))});
    axis = 1;
    gradcheck_case(ctx, fn, 1, (tsr_tensor *[]){gradcheck_normal(ctx, TSR_SHAPE(3, 5, 2))});
    axis = 0;
    gradcheck_case(ctx, fn, 1, (tsr_tensor *[]){gradcheck_normal(ctx, TSR_SHAPE(3, 4))});
    gradcheck_case(ctx, fn, 1, (tsr_tensor *[]){gradcheck_normal(ctx, TSR_SHAPE(20))});
    axis = 1;
    gradcheck_zero_case(ctx, fn, 1, (tsr_tensor *[]){gradcheck_normal(ctx, TSR_SHAPE(3, 1))});
}

GRADCHECK(softmax) { softmax_cases(ctx, softmax); }
GRADCHECK(log_softmax) { softmax_cases(ctx, log_softmax); }
