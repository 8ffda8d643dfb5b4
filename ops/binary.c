/* Element-wise, two inputs (and where, with three). */
#include "ops/map_internal.h"

#include <math.h>

static tsr_real power(tsr_real a, tsr_real b)
{
    return (tsr_real)pow((double)a, (double)b);
}

TSR_BINARY_FORWARD(add_forward, a + b)
static const tsr_map_op add_op = {
    .op = {.name = "add", .backward = tsr_map_backward}, .forward = add_forward, .passes = 3};

TSR_BINARY_FORWARD(sub_forward, a - b)
TSR_BINARY_BACKWARD(sub_b, -g)
static const tsr_map_op sub_op = {
    .op = {.name = "sub", .backward = tsr_map_backward}, .forward = sub_forward,
    .backward = {NULL, sub_b}, .passes = 1};

TSR_BINARY_FORWARD(mul_forward, a * b)
TSR_BINARY_BACKWARD(mul_a, g * b)
TSR_BINARY_BACKWARD(mul_b, g * a)
static const tsr_map_op mul_op = {
    .op = {.name = "mul", .backward = tsr_map_backward}, .forward = mul_forward, .backward = {mul_a, mul_b}};

TSR_BINARY_FORWARD(div_forward, a / b)
TSR_BINARY_BACKWARD(div_a, g / b)
TSR_BINARY_BACKWARD(div_b, -g * y / b)
static const tsr_map_op div_op = {
    .op = {.name = "div", .backward = tsr_map_backward}, .cost = 2, .forward = div_forward,
    .backward = {div_a, div_b}};

/* Written so that NaN in either input wins. */
TSR_BINARY_FORWARD(maximum_forward, a > b || a != a ? a : b)
TSR_BINARY_BACKWARD(maximum_a, a > b ? g : a == b ? g * (tsr_real)0.5 : 0)
TSR_BINARY_BACKWARD(maximum_b, b > a ? g : a == b ? g * (tsr_real)0.5 : 0)
static const tsr_map_op maximum_op = {
    .op = {.name = "maximum", .backward = tsr_map_backward}, .forward = maximum_forward,
    .backward = {maximum_a, maximum_b}};

TSR_BINARY_FORWARD(minimum_forward, a < b || a != a ? a : b)
static const tsr_map_op minimum_op = {
    .op = {.name = "minimum", .backward = tsr_map_backward}, .forward = minimum_forward,
    .backward = {maximum_b, maximum_a}}; /* the other one gets it */

TSR_BINARY_FORWARD(pow_forward, power(a, b))
TSR_BINARY_BACKWARD(pow_a, b == 0 ? 0 : g * b * power(a, b - 1))
TSR_BINARY_BACKWARD(pow_b, a == 0 ? 0 : g * y * (tsr_real)log((double)a))
static const tsr_map_op pow_op = {
    .op = {.name = "pow", .backward = tsr_map_backward}, .cost = 50, .forward = pow_forward,
    .backward = {pow_a, pow_b}};

tsr_tensor *tsr_add(tsr_tensor *a, tsr_tensor *b)
{
    return tsr_map_call(&add_op, TSR_INPUTS(a, b));
}

tsr_tensor *tsr_sub(tsr_tensor *a, tsr_tensor *b)
{
    return tsr_map_call(&sub_op, TSR_INPUTS(a, b));
}

tsr_tensor *tsr_mul(tsr_tensor *a, tsr_tensor *b)
{
    return tsr_map_call(&mul_op, TSR_INPUTS(a, b));
}

tsr_tensor *tsr_div(tsr_tensor *a, tsr_tensor *b)
{
    return tsr_map_call(&div_op, TSR_INPUTS(a, b));
}

tsr_tensor *tsr_maximum(tsr_tensor *a, tsr_tensor *b)
{
    return tsr_map_call(&maximum_op, TSR_INPUTS(a, b));
}

tsr_tensor *tsr_minimum(tsr_tensor *a, tsr_tensor *b)
{
    return tsr_map_call(&minimum_op, TSR_INPUTS(a, b));
}

tsr_tensor *tsr_pow(tsr_tensor *a, tsr_tensor *b)
{
    return tsr_map_call(&pow_op, TSR_INPUTS(a, b));
}

/* ---- where ---------------------------------------------------------------------------------------------------- */

static TSR_ROW(where_forward)
{
    (void)numbers;
    for (int64_t i = 0; i < count; i++) {
        const tsr_real a = in[1][i], b = in[2][i];
        out[i] = in[0][i] != 0 ? a : b;
    }
}

static TSR_ROW(where_a)
{
    (void)numbers;
    for (int64_t i = 0; i < count; i++) {
        const tsr_real g = in[4][i];
        out[i] = in[0][i] != 0 ? g : 0;
    }
}

static TSR_ROW(where_b)
{
    (void)numbers;
    for (int64_t i = 0; i < count; i++) {
        const tsr_real g = in[4][i];
        out[i] = in[0][i] != 0 ? 0 : g;
    }
}

static const tsr_map_op where_op = {
    .op = {.name = "where", .backward = tsr_map_backward}, .forward = where_forward,
    .backward = {NULL, where_a, where_b}};

tsr_tensor *tsr_where(tsr_tensor *condition, tsr_tensor *a, tsr_tensor *b)
{
    return tsr_map_call(&where_op, TSR_INPUTS(condition, a, b));
}
