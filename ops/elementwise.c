/* Arithmetic value by value, of one tensor or two (and where, of three). */
#include "core/kernels/functions.h"
#include "ops/map_internal.h"

/* ---- one input ------------------------------------------------------------------------------------------------ */

TSR_UNARY(neg, 1, -x, -g)
TSR_UNARY(abs, 1, x < 0 ? -x : x + 0, x > 0 ? g : x < 0 ? -g : 0)
TSR_UNARY(square, 1, x * x, 2 * x * g)
TSR_UNARY(sqrt, 4, tsr_sqrt_of(x), y == 0 ? 0 : g / (2 * y))
TSR_UNARY(exp, 4, tsr_exp_of(x), g * y)
TSR_UNARY(log, 4, tsr_log_of(x), g / x)

TSR_UNARY_OP(mul_scalar, 1, x * p, g * p)
TSR_UNARY_OP(clamp, 1, x < p ? p : x > q ? q : x, x < p || x > q ? 0 : g)
static TSR_ROW(add_scalar_y, x + p, x)
static const tsr_map_op add_scalar_op = {
    .op = {.name = "add_scalar", .backward = tsr_map_backward}, .forward = add_scalar_y, .passes = 1};

static TSR_ROW_FUNCTION(pow_scalar_y)
{
    const tsr_exponent exponent = tsr_exponent_of(numbers[0]);
    TSR_INDEPENDENT
    for (int64_t i = 0; i < count; i++) out[i] = tsr_pow_of(in[0][i], exponent);
}

static TSR_ROW_FUNCTION(pow_scalar_x)
{
    const tsr_exponent exponent = tsr_exponent_of(numbers[0] - 1);
    const double factor = numbers[0];
    if (factor == 0) {
        for (int64_t i = 0; i < count; i++) out[i] = 0;
        return;
    }
    TSR_INDEPENDENT
    for (int64_t i = 0; i < count; i++) {
        const double power = (double)tsr_pow_of(in[0][i], exponent);
        out[i] = (tsr_real)((double)in[2][i] * factor * power);
    }
}

static const tsr_map_op pow_scalar_op = {.op = {.name = "pow_scalar", .backward = tsr_map_backward},
                                         .cost = 15, .forward = pow_scalar_y, .backward = {pow_scalar_x}};

static tsr_tensor *with_scalar(const tsr_map_op *op, tsr_tensor *x, double s)
{
    tsr_node *n = tsr_begin(&op->op, TSR_INPUTS(x));
    if (!tsr_dead(n) && isnan(s)) return tsr_reject(n, "the number is NaN");
    return tsr_map_rest(n, s, 0);
}

tsr_tensor *tsr_add_scalar(tsr_tensor *x, double s)
{
    return with_scalar(&add_scalar_op, x, s);
}

tsr_tensor *tsr_mul_scalar(tsr_tensor *x, double s)
{
    return with_scalar(&mul_scalar_op, x, s);
}

tsr_tensor *tsr_pow_scalar(tsr_tensor *x, double s)
{
    return with_scalar(&pow_scalar_op, x, s);
}

tsr_tensor *tsr_clamp(tsr_tensor *x, double low, double high)
{
    tsr_node *n = tsr_begin(&clamp_op.op, TSR_INPUTS(x));
    if (!tsr_dead(n) && !(low <= high)) return tsr_reject(n, "low %g is not below or equal to high %g", low, high);
    return tsr_map_rest(n, low, high);
}

/* ---- sin, cos ------------------------------------------------------------------------------------------------- */

/* factor[i] (or 1) times sin(x[i] + quarters pi/2). */
static TSR_INLINE void sines(tsr_real *out, const tsr_real *x, const tsr_real *factor, int64_t count, int quarters)
{
    int far = sizeof(tsr_real) > sizeof(float);
    for (int64_t i = 0; i < count; i++) far |= !(tsr_abs_of(x[i]) < 0x1p20); /* for the reduction below */
    if (far) {
        for (int64_t i = 0; i < count; i++) {
            const double value = quarters % 2 ? cos((double)x[i]) : sin((double)x[i]);
            out[i] = (tsr_real)((factor ? (double)factor[i] : 1) * (quarters < 2 ? value : -value));
        }
        return;
    }
    const double magic = 0x1.8p52;
    TSR_INDEPENDENT
    for (int64_t i = 0; i < count; i++) {
        const union { double value; uint64_t bits; } turned = {.value = (double)x[i] * 0.63661977236758134308 + magic};
        const double k = turned.value - magic;
        const double r = ((double)x[i] - k * 0x1.921fb544p0) - k * 0x1.0b4611a626331p-34; /* pi/2 in two parts */
        const double q = r * r, q2 = q * q;
        const double sine = r + r * q * ((q * (1.0 / 120) - 1.0 / 6) +
                                         q2 * ((q * (1.0 / 362880) - 1.0 / 5040) - q2 * (1.0 / 39916800)));
        const double cosine = 1 + q * ((q * (1.0 / 24) - 0.5) +
                                       q2 * ((q * (1.0 / 40320) - 1.0 / 720) - q2 * (1.0 / 3628800)));
        const uint64_t quarter = turned.bits + (uint64_t)quarters;
        const double value = quarter & 1 ? cosine : sine;
        out[i] = (tsr_real)((factor ? (double)factor[i] : 1) * (quarter & 2 ? -value : value));
    }
}

static TSR_ROW_FUNCTION(sin_y)
{
    (void)numbers;
    sines(out, in[0], NULL, count, 0);
}

static TSR_ROW_FUNCTION(cos_y)
{
    (void)numbers;
    sines(out, in[0], NULL, count, 1);
}

static TSR_ROW_FUNCTION(sin_x)
{
    (void)numbers;
    sines(out, in[0], in[2], count, 1);
}

static TSR_ROW_FUNCTION(cos_x)
{
    (void)numbers;
    sines(out, in[0], in[2], count, 2);
}

static const tsr_map_op sin_op = {
    .op = {.name = "sin", .backward = tsr_map_backward}, .cost = 10, .forward = sin_y, .backward = {sin_x}};
static const tsr_map_op cos_op = {
    .op = {.name = "cos", .backward = tsr_map_backward}, .cost = 10, .forward = cos_y, .backward = {cos_x}};

tsr_tensor *tsr_sin(tsr_tensor *x)
{
    return tsr_map_call(&sin_op, TSR_INPUTS(x));
}

tsr_tensor *tsr_cos(tsr_tensor *x)
{
    return tsr_map_call(&cos_op, TSR_INPUTS(x));
}

/* ---- two inputs ----------------------------------------------------------------------------------------------- */

static TSR_ROW(add_y, a + b, a, b)
static const tsr_map_op add_op = {
    .op = {.name = "add", .backward = tsr_map_backward}, .forward = add_y, .passes = 3};

tsr_tensor *tsr_add(tsr_tensor *a, tsr_tensor *b)
{
    return tsr_map_call(&add_op, TSR_INPUTS(a, b));
}

static TSR_ROW(sub_y, a - b, a, b)
static TSR_ROW(sub_b, -g, a, b, y, g)
static const tsr_map_op sub_op = {
    .op = {.name = "sub", .backward = tsr_map_backward}, .forward = sub_y, .backward = {NULL, sub_b}, .passes = 1};

tsr_tensor *tsr_sub(tsr_tensor *a, tsr_tensor *b)
{
    return tsr_map_call(&sub_op, TSR_INPUTS(a, b));
}

TSR_BINARY(mul, 1, a * b, g * b, g * a)
TSR_BINARY(div, 2, a / b, g / b, -g * y / b)

/* Written so that NaN in either input wins. The gradient of equal ones is shared. */
TSR_BINARY(maximum, 1, ((a > b) | (a != a)) ? a : b, a > b ? g : a == b ? g * (tsr_real)0.5 : 0,
           b > a ? g : a == b ? g * (tsr_real)0.5 : 0)
TSR_BINARY(minimum, 1, ((a < b) | (a != a)) ? a : b, a < b ? g : a == b ? g * (tsr_real)0.5 : 0,
           b < a ? g : a == b ? g * (tsr_real)0.5 : 0)
TSR_BINARY(pow, 15, tsr_pow_of(a, tsr_exponent_of((double)b)),
           b == 0 ? 0 : g * b * tsr_pow_of(a, tsr_exponent_of((double)b - 1)),
           a == 0 ? 0 : g * y * tsr_log_of(a))

/* ---- where ---------------------------------------------------------------------------------------------------- */

static TSR_ROW(where_y, condition != 0 ? a : b, condition, a, b)
static TSR_ROW(where_a, condition != 0 ? g : 0, condition, a, b, y, g)
static TSR_ROW(where_b, condition != 0 ? 0 : g, condition, a, b, y, g)
static const tsr_map_op where_op = {
    .op = {.name = "where", .backward = tsr_map_backward}, .forward = where_y, .backward = {NULL, where_a, where_b}};

tsr_tensor *tsr_where(tsr_tensor *condition, tsr_tensor *a, tsr_tensor *b)
{
    return tsr_map_call(&where_op, TSR_INPUTS(condition, a, b));
}
