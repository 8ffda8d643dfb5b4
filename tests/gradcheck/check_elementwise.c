/* Gradient checks of what is computed element by element. */
#include "core/core_internal.h"
#include "tests/gradcheck/gradcheck.h"

#include <math.h>

/* ---- two inputs ----------------------------------------------------------------------------------------------- */

static tsr_tensor *add(tsr_tensor *const *in) { return tsr_add(in[0], in[1]); }
static tsr_tensor *sub(tsr_tensor *const *in) { return tsr_sub(in[0], in[1]); }
static tsr_tensor *mul(tsr_tensor *const *in) { return tsr_mul(in[0], in[1]); }
static tsr_tensor *div(tsr_tensor *const *in) { return tsr_div(in[0], in[1]); }
static tsr_tensor *maximum(tsr_tensor *const *in) { return tsr_maximum(in[0], in[1]); }
static tsr_tensor *minimum(tsr_tensor *const *in) { return tsr_minimum(in[0], in[1]); }
static tsr_tensor *power(tsr_tensor *const *in) { return tsr_pow(in[0], in[1]); }
static tsr_tensor *add_to_itself(tsr_tensor *const *in) { return tsr_add(in[0], in[0]); }
static tsr_tensor *mul_by_itself(tsr_tensor *const *in) { return tsr_mul(in[0], in[0]); }

typedef tsr_tensor *(*draw_function)(tsr_context *ctx, tsr_shape shape);

/* fn at every way to broadcast. */
static void binary_cases(tsr_context *ctx, tsr_function fn, draw_function draw)
{
    const tsr_shape shapes[][2] = {
        {TSR_SHAPE(2, 3), TSR_SHAPE(3)},             /* a trailing block */
        {TSR_SHAPE(2, 3, 4), TSR_SHAPE(2, 3, 4)},    /* the same */
        {TSR_SHAPE(2, 3), TSR_SCALAR},
        {TSR_SHAPE(1), TSR_SHAPE(2, 3)},
        {TSR_SHAPE(5, 1), TSR_SHAPE(1, 4)},          /* crossed */
        {TSR_SHAPE(3, 1, 2), TSR_SHAPE(2, 1, 4, 1)},
        {TSR_SHAPE(2, 1, 3, 1, 2), TSR_SHAPE(2, 3, 2, 1)},
        {TSR_SHAPE(4, 2), TSR_SHAPE(4, 1)},
        {TSR_SCALAR, TSR_SCALAR},
        {TSR_SHAPE(1, 1), TSR_SHAPE(1)},
        {TSR_SHAPE(3), TSR_SHAPE(1, 3)},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        gradcheck_case(ctx, fn, 2, (tsr_tensor *[]){draw(ctx, shapes[i][0]), draw(ctx, shapes[i][1])});
    /* more than a block, cut unevenly, where the check itself would take long: the short input only */
    tsr_tensor *row = tsr_watch(draw(ctx, TSR_SHAPE(3, 1)));
    gradcheck_case(ctx, fn, 2, (tsr_tensor *[]){draw(ctx, TSR_SHAPE(2, 3, 700)), row});
    gradcheck_case(ctx, fn, 2, (tsr_tensor *[]){tsr_watch(draw(ctx, TSR_SHAPE(5))), draw(ctx, TSR_SHAPE(500, 5))});
}

static tsr_tensor *positive(tsr_context *ctx, tsr_shape shape)
{
    return gradcheck_uniform(ctx, shape, 0.5, 1.5);
}

/* Whole numbers, and by turns half of one more: two tensors drawn one after the other are nowhere equal. */
static tsr_tensor *apart(tsr_context *ctx, tsr_shape shape)
{
    static bool turn;
    tsr_tensor *t = gradcheck_uniform(ctx, shape, -3, 3);
    tsr_real *x = tsr_write(t);
    turn = !turn;
    for (int64_t i = 0; x && i < tsr_size(t); i++) x[i] = (tsr_real)floor((double)x[i]) + (turn ? (tsr_real)0.5 : 0);
    return t;
}

GRADCHECK(add)
{
    binary_cases(ctx, add, gradcheck_normal);
    gradcheck_case(ctx, add_to_itself, 1, (tsr_tensor *[]){gradcheck_normal(ctx, TSR_SHAPE(2, 3))});
}

GRADCHECK(sub) { binary_cases(ctx, sub, gradcheck_normal); }
GRADCHECK(div) { binary_cases(ctx, div, positive); }
GRADCHECK(maximum) { binary_cases(ctx, maximum, apart); }
GRADCHECK(minimum) { binary_cases(ctx, minimum, apart); }

GRADCHECK(mul)
{
    binary_cases(ctx, mul, gradcheck_normal);
    gradcheck_case(ctx, mul_by_itself, 1, (tsr_tensor *[]){gradcheck_normal(ctx, TSR_SHAPE(2, 3))});
}

GRADCHECK(pow)
{
    binary_cases(ctx, power, positive);
    tsr_tensor *base = tsr_watch(gradcheck_off_zero(ctx, TSR_SHAPE(3, 4))); /* negative ones too, with whole powers */
    gradcheck_case(ctx, power, 2, (tsr_tensor *[]){base, tsr_values(ctx, TSR_SHAPE(4), (tsr_real[]){1, 2, 3, -1})});
}

static tsr_tensor *where(tsr_tensor *const *in) { return tsr_where(in[0], in[1], in[2]); }

static void where_case(tsr_context *ctx, tsr_shape condition, tsr_shape a, tsr_shape b)
{
    tsr_tensor *decides = gradcheck_uniform(ctx, condition, -2, 2);
    tsr_real *c = tsr_write(decides);
    for (int64_t i = 0; c && i < tsr_size(decides); i++) c[i] = (tsr_real)round((double)c[i]);
    gradcheck_case(ctx, where, 3, (tsr_tensor *[]){decides, tsr_watch(gradcheck_normal(ctx, a)),
                                                   tsr_watch(gradcheck_normal(ctx, b))});
}

GRADCHECK(where)
{
    where_case(ctx, TSR_SHAPE(4, 5), TSR_SHAPE(4, 5), TSR_SHAPE(4, 5));
    where_case(ctx, TSR_SHAPE(4, 1), TSR_SHAPE(3), TSR_SCALAR);
    where_case(ctx, TSR_SHAPE(5), TSR_SHAPE(2, 1, 1), TSR_SHAPE(3, 1));
}

/* ---- one input ------------------------------------------------------------------------------------------------ */

static tsr_tensor *add_scalar(tsr_tensor *const *in) { return tsr_add_scalar(in[0], -1.5); }
static tsr_tensor *mul_scalar(tsr_tensor *const *in) { return tsr_mul_scalar(in[0], -1.5); }
static tsr_tensor *pow_scalar(tsr_tensor *const *in) { return tsr_pow_scalar(in[0], 2.5); }
static tsr_tensor *pow_inverse(tsr_tensor *const *in) { return tsr_pow_scalar(in[0], -1); }
static tsr_tensor *pow_zero(tsr_tensor *const *in) { return tsr_pow_scalar(in[0], 0); }
static tsr_tensor *neg(tsr_tensor *const *in) { return tsr_neg(in[0]); }
static tsr_tensor *absolute(tsr_tensor *const *in) { return tsr_abs(in[0]); }
static tsr_tensor *square(tsr_tensor *const *in) { return tsr_square(in[0]); }
static tsr_tensor *root(tsr_tensor *const *in) { return tsr_sqrt(in[0]); }
static tsr_tensor *exponential(tsr_tensor *const *in) { return tsr_exp(in[0]); }
static tsr_tensor *logarithm(tsr_tensor *const *in) { return tsr_log(in[0]); }
static tsr_tensor *sine(tsr_tensor *const *in) { return tsr_sin(in[0]); }
static tsr_tensor *cosine(tsr_tensor *const *in) { return tsr_cos(in[0]); }
static tsr_tensor *clamp(tsr_tensor *const *in) { return tsr_clamp(in[0], -0.05, 0.7); }
static tsr_tensor *relu(tsr_tensor *const *in) { return tsr_relu(in[0]); }
static tsr_tensor *leaky_relu(tsr_tensor *const *in) { return tsr_leaky_relu(in[0], 0.2); }
static tsr_tensor *leaky_down(tsr_tensor *const *in) { return tsr_leaky_relu(in[0], -0.5); }
static tsr_tensor *elu(tsr_tensor *const *in) { return tsr_elu(in[0], 1.3); }
static tsr_tensor *sigmoid(tsr_tensor *const *in) { return tsr_sigmoid(in[0]); }
static tsr_tensor *tangent(tsr_tensor *const *in) { return tsr_tanh(in[0]); }
static tsr_tensor *softplus(tsr_tensor *const *in) { return tsr_softplus(in[0]); }
static tsr_tensor *gelu(tsr_tensor *const *in) { return tsr_gelu(in[0]); }
static tsr_tensor *silu(tsr_tensor *const *in) { return tsr_silu(in[0]); }

static void unary_cases(tsr_context *ctx, tsr_function fn, draw_function draw)
{
    gradcheck_case(ctx, fn, 1, (tsr_tensor *[]){draw(ctx, TSR_SHAPE(3, 2, 5))});
    gradcheck_case(ctx, fn, 1, (tsr_tensor *[]){draw(ctx, TSR_SHAPE(17))});
    gradcheck_case(ctx, fn, 1, (tsr_tensor *[]){tsr_full(ctx, TSR_SCALAR, 0.6)});
}

GRADCHECK(add_scalar) { unary_cases(ctx, add_scalar, gradcheck_normal); }
GRADCHECK(mul_scalar) { unary_cases(ctx, mul_scalar, gradcheck_normal); }
GRADCHECK(neg) { unary_cases(ctx, neg, gradcheck_normal); }
GRADCHECK(abs) { unary_cases(ctx, absolute, gradcheck_off_zero); }
GRADCHECK(square) { unary_cases(ctx, square, gradcheck_normal); }
GRADCHECK(sqrt) { unary_cases(ctx, root, positive); }
GRADCHECK(exp) { unary_cases(ctx, exponential, gradcheck_normal); }
GRADCHECK(log) { unary_cases(ctx, logarithm, positive); }
GRADCHECK(sin) { unary_cases(ctx, sine, gradcheck_normal); }
GRADCHECK(cos) { unary_cases(ctx, cosine, gradcheck_normal); }
GRADCHECK(clamp) { unary_cases(ctx, clamp, gradcheck_distinct); }
GRADCHECK(relu) { unary_cases(ctx, relu, gradcheck_off_zero); }
GRADCHECK(sigmoid) { unary_cases(ctx, sigmoid, gradcheck_normal); }
GRADCHECK(tanh) { unary_cases(ctx, tangent, gradcheck_normal); }
GRADCHECK(softplus) { unary_cases(ctx, softplus, gradcheck_normal); }
GRADCHECK(gelu) { unary_cases(ctx, gelu, gradcheck_normal); }
GRADCHECK(silu) { unary_cases(ctx, silu, gradcheck_normal); }

GRADCHECK(pow_scalar)
{
    unary_cases(ctx, pow_scalar, positive);
    unary_cases(ctx, pow_inverse, gradcheck_off_zero);
    gradcheck_zero_case(ctx, pow_zero, 1, (tsr_tensor *[]){gradcheck_off_zero(ctx, TSR_SHAPE(4))});
}

GRADCHECK(leaky_relu)
{
    unary_cases(ctx, leaky_relu, gradcheck_off_zero);
    unary_cases(ctx, leaky_down, gradcheck_off_zero);
}

GRADCHECK(elu) { unary_cases(ctx, elu, gradcheck_off_zero); }

/* ---- the rest ------------------------------------------------------------------------------------------------- */

static tsr_tensor *prelu(tsr_tensor *const *in) { return tsr_prelu(in[0], in[1]); }

static void prelu_case(tsr_context *ctx, tsr_shape x, int64_t slopes)
{
    tsr_tensor *inputs[] = {gradcheck_off_zero(ctx, x), gradcheck_normal(ctx, TSR_SHAPE(slopes))};
    gradcheck_case(ctx, prelu, 2, inputs);
}

GRADCHECK(prelu)
{
    prelu_case(ctx, TSR_SHAPE(4, 3), 3);
    prelu_case(ctx, TSR_SHAPE(2, 3, 2, 5), 1);
    prelu_case(ctx, TSR_SHAPE(40), 40);
    prelu_case(ctx, TSR_SHAPE(6, 1), 1);
}

static int pieces;
static tsr_tensor *maxout(tsr_tensor *const *in) { return tsr_maxout(in[0], pieces); }

GRADCHECK(maxout)
{
    pieces = 2;
    gradcheck_case(ctx, maxout, 1, (tsr_tensor *[]){gradcheck_distinct(ctx, TSR_SHAPE(3, 2, 8))});
    pieces = 3;
    gradcheck_case(ctx, maxout, 1, (tsr_tensor *[]){gradcheck_distinct(ctx, TSR_SHAPE(15))});
    pieces = 1;
    gradcheck_case(ctx, maxout, 1, (tsr_tensor *[]){gradcheck_distinct(ctx, TSR_SHAPE(2, 3))});
}

static tsr_tensor *dropout(tsr_tensor *const *in) { return tsr_dropout(in[0], 0.3); }
static tsr_tensor *no_dropout(tsr_tensor *const *in) { return tsr_dropout(in[0], 0); }

GRADCHECK(dropout)
{
    gradcheck_case(ctx, dropout, 1, (tsr_tensor *[]){gradcheck_normal(ctx, TSR_SHAPE(5, 7))});
    gradcheck_case(ctx, dropout, 1, (tsr_tensor *[]){gradcheck_normal(ctx, TSR_SHAPE(30))});
    gradcheck_case(ctx, no_dropout, 1, (tsr_tensor *[]){gradcheck_normal(ctx, TSR_SHAPE(3, 3))});
}
