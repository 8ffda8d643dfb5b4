/* Element-wise, one input: arithmetic. */
#include "ops/exp_internal.h"
#include "ops/map_internal.h"

#include <math.h>

TSR_UNARY_FORWARD(add_scalar_forward, x + p)
static const tsr_map_op add_scalar_op = {
    .op = {.name = "add_scalar", .backward = tsr_map_backward}, .forward = add_scalar_forward, .passes = 1};

TSR_UNARY_FORWARD(mul_scalar_forward, x * p)
TSR_UNARY_BACKWARD(mul_scalar_backward, g * p)
static const tsr_map_op mul_scalar_op = {
    .op = {.name = "mul_scalar", .backward = tsr_map_backward}, .forward = mul_scalar_forward,
    .backward = {mul_scalar_backward}};

TSR_UNARY_FORWARD(pow_scalar_forward, (tsr_real)pow((double)x, numbers[0]))
TSR_UNARY_BACKWARD(pow_scalar_backward,
                   p == 0 ? 0 : (tsr_real)((double)g * numbers[0] * pow((double)x, numbers[0] - 1)))
static const tsr_map_op pow_scalar_op = {
    .op = {.name = "pow_scalar", .backward = tsr_map_backward}, .cost = 50, .forward = pow_scalar_forward,
    .backward = {pow_scalar_backward}};

TSR_UNARY_FORWARD(neg_forward, -x)
TSR_UNARY_BACKWARD(neg_backward, -g)
static const tsr_map_op neg_op = {
    .op = {.name = "neg", .backward = tsr_map_backward}, .forward = neg_forward, .backward = {neg_backward}};

TSR_UNARY_FORWARD(abs_forward, x < 0 ? -x : x + 0)
TSR_UNARY_BACKWARD(abs_backward, x > 0 ? g : x < 0 ? -g : 0)
static const tsr_map_op abs_op = {
    .op = {.name = "abs", .backward = tsr_map_backward}, .forward = abs_forward, .backward = {abs_backward}};

TSR_UNARY_FORWARD(square_forward, x * x)
TSR_UNARY_BACKWARD(square_backward, 2 * x * g)
static const tsr_map_op square_op = {
    .op = {.name = "square", .backward = tsr_map_backward}, .forward = square_forward, .backward = {square_backward}};

TSR_UNARY_FORWARD(sqrt_forward, (tsr_real)sqrt((double)x))
TSR_UNARY_BACKWARD(sqrt_backward, y == 0 ? 0 : g / (2 * y))
static const tsr_map_op sqrt_op = {
    .op = {.name = "sqrt", .backward = tsr_map_backward}, .cost = 4, .forward = sqrt_forward,
    .backward = {sqrt_backward}};

TSR_UNARY_FORWARD(exp_forward, tsr_exp_of(x))
TSR_UNARY_BACKWARD(exp_backward, g * y)
static const tsr_map_op exp_op = {
    .op = {.name = "exp", .backward = tsr_map_backward}, .cost = 8, .forward = exp_forward,
    .backward = {exp_backward}};

TSR_UNARY_FORWARD(log_forward, (tsr_real)log((double)x))
TSR_UNARY_BACKWARD(log_backward, g / x)
static const tsr_map_op log_op = {
    .op = {.name = "log", .backward = tsr_map_backward}, .cost = 15, .forward = log_forward,
    .backward = {log_backward}};

TSR_UNARY_FORWARD(sin_forward, (tsr_real)sin((double)x))
TSR_UNARY_BACKWARD(sin_backward, (tsr_real)((double)g * cos((double)x)))
static const tsr_map_op sin_op = {
    .op = {.name = "sin", .backward = tsr_map_backward}, .cost = 20, .forward = sin_forward,
    .backward = {sin_backward}};

TSR_UNARY_FORWARD(cos_forward, (tsr_real)cos((double)x))
TSR_UNARY_BACKWARD(cos_backward, (tsr_real)(-(double)g * sin((double)x)))
static const tsr_map_op cos_op = {
    .op = {.name = "cos", .backward = tsr_map_backward}, .cost = 20, .forward = cos_forward,
    .backward = {cos_backward}};

TSR_UNARY_FORWARD(clamp_forward, x < p ? p : x > q ? q : x)
TSR_UNARY_BACKWARD(clamp_backward, x < p || x > q ? 0 : g)
static const tsr_map_op clamp_op = {
    .op = {.name = "clamp", .backward = tsr_map_backward}, .forward = clamp_forward, .backward = {clamp_backward}};

static tsr_tensor *with_number(const tsr_map_op *op, tsr_tensor *x, double s)
{
    tsr_node *n = tsr_begin(&op->op, TSR_INPUTS(x));
    if (!tsr_dead(n) && isnan(s)) return tsr_reject(n, "the number is NaN");
    return tsr_map_rest(n, s, 0);
}

tsr_tensor *tsr_add_scalar(tsr_tensor *x, double s)
{
    return with_number(&add_scalar_op, x, s);
}

tsr_tensor *tsr_mul_scalar(tsr_tensor *x, double s)
{
    return with_number(&mul_scalar_op, x, s);
}

tsr_tensor *tsr_pow_scalar(tsr_tensor *x, double s)
{
    return with_number(&pow_scalar_op, x, s);
}

tsr_tensor *tsr_neg(tsr_tensor *x)
{
    return tsr_map_call(&neg_op, TSR_INPUTS(x));
}

tsr_tensor *tsr_abs(tsr_tensor *x)
{
    return tsr_map_call(&abs_op, TSR_INPUTS(x));
}

tsr_tensor *tsr_square(tsr_tensor *x)
{
    return tsr_map_call(&square_op, TSR_INPUTS(x));
}

tsr_tensor *tsr_sqrt(tsr_tensor *x)
{
    return tsr_map_call(&sqrt_op, TSR_INPUTS(x));
}

tsr_tensor *tsr_exp(tsr_tensor *x)
{
    return tsr_map_call(&exp_op, TSR_INPUTS(x));
}

tsr_tensor *tsr_log(tsr_tensor *x)
{
    return tsr_map_call(&log_op, TSR_INPUTS(x));
}

tsr_tensor *tsr_sin(tsr_tensor *x)
{
    return tsr_map_call(&sin_op, TSR_INPUTS(x));
}

tsr_tensor *tsr_cos(tsr_tensor *x)
{
    return tsr_map_call(&cos_op, TSR_INPUTS(x));
}

tsr_tensor *tsr_clamp(tsr_tensor *x, double low, double high)
{
    tsr_node *n = tsr_begin(&clamp_op.op, TSR_INPUTS(x));
    if (!tsr_dead(n) && !(low <= high)) return tsr_reject(n, "low %g is not below or equal to high %g", low, high);
    return tsr_map_rest(n, low, high);
}
