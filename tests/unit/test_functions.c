/* The float functions of core/kernels/functions.h against libm in double, over the whole range of floats, and at every
 * level of the loops: all give the same bits. */
#include "core/core_internal.h"
#include "core/kernels/kernels.h"
#include "ops/ops.h"
#include "tests/test.h"

#include <math.h>
#include <string.h>

#ifndef TSR_DOUBLE

typedef struct swept {
    const char *name;
    tsr_tensor *(*function)(tsr_tensor *x);
    double (*exact)(double x);
    double units;    /* in the last place, that a result may be off */
    bool is_product; /* x times something that may be subnormal */
} swept;

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Every 4093rd float, and the ends of the ranges. */
static tsr_tensor *sweep(tsr_context *ctx)
{
    static const uint32_t ends[] = {0, 1, 0x007FFFFF, 0x00800000, 0x3F800000, 0x3F7FFFFF, 0x3F800001, 0x7F7FFFFF,
                                    0x7F800000, 0x7FC00000, 0x3F3504F3, 0x3F3504F2, 0x42B17218, 0x42B17217, 0x42CE8ED0};
    enum { STRIDE = 4093, ENDS = sizeof ends / sizeof *ends };
    const int64_t steps = ((int64_t)1 << 32) / STRIDE;
    tsr_tensor *x = tsr_zeros(ctx, TSR_SHAPE(steps + 2 * (int64_t)ENDS));
    tsr_real *to = tsr_write(x);
    if (!to) return x;
    for (int64_t i = 0; i < steps; i++) to[i] = float_of((uint32_t)(i * STRIDE));
    for (int i = 0; i < ENDS; i++) {
        to[steps + 2 * i] = float_of(ends[i]);
        to[steps + 2 * i + 1] = float_of(ends[i] | 0x80000000u);
    }
    return x;
}

static double units_off(float y, double exact)
{
    const double largest = 0x1.fffffep127;
    if (isnan(exact) || isnan(y)) return isnan(exact) && isnan(y) ? 0 : HUGE_VAL;
    if (isinf(y)) return fabs(exact) > largest && (exact > 0) == (y > 0) ? 0 : HUGE_VAL;
    int exponent;
    frexp(exact, &exponent);
    return fabs((double)y - exact) / ldexp(1, exponent - 24 < -149 ? -149 : exponent - 24);
}

static double worst_of(const tsr_tensor *x, const tsr_tensor *y, const swept *f)
{
    double worst = 0;
    for (int64_t i = 0; i < tsr_size(x); i++) {
        const double v = (double)tsr_data(x)[i], exact = f->exact(v), off = units_off(tsr_data(y)[i], exact);
        const bool lost = f->is_product && fabs(exact) < 0x1p-120 && off <= fabs(v); /* in what x was multiplied with */
        if (!lost) worst = fmax(worst, off);
    }
    return worst;
}

static void check_sweep(const swept *f)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = sweep(ctx), *first = NULL;
    for (int i = 0; tsr_kernels_list(i); i++) {
        ctx->kernels = tsr_kernels_list(i);
        tsr_tensor *y = f->function(x);
        if (!first && !test_check(worst_of(x, y, f) <= f->units, f->name, __FILE__, __LINE__)) break;
        if (!first) first = y;
        bool same = true; /* NaN is NaN: its sign says nothing */
        for (int64_t k = 0; k < tsr_size(y) && same; k++)
            same = memcmp(&tsr_data(y)[k], &tsr_data(first)[k], sizeof(float)) == 0 ||
                   (isnan(tsr_data(y)[k]) && isnan(tsr_data(first)[k]));
        if (!test_check(same, ctx->kernels->name, __FILE__, __LINE__)) break;
    }
    test_check(!tsr_error(ctx), "no error", __FILE__, __LINE__);
    tsr_close(ctx);
}

static double sigmoid(double x) { return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)); }
static double softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }
static double gelu(double x) { return x * (0.5 * erfc(-x * 0.70710678118654752440)); }
static double silu(double x) { return x * sigmoid(x); }
static double elu(double x) { return x > 0 ? x : expm1(x); }
static double cube(double x) { return x * x * x; }
static double over(double x) { return 1 / x; }
static double three_quarters(double x) { return pow(x, 0.75); }
static double minus_half(double x) { return pow(x, -0.5); }
static double much(double x) { return pow(x, 20.25); }
static tsr_tensor *op_elu(tsr_tensor *x) { return tsr_elu(x, 1); }
static tsr_tensor *op_cube(tsr_tensor *x) { return tsr_pow_scalar(x, 3); }
static tsr_tensor *op_over(tsr_tensor *x) { return tsr_pow_scalar(x, -1); }
static tsr_tensor *op_three_quarters(tsr_tensor *x) { return tsr_pow_scalar(x, 0.75); }
static tsr_tensor *op_minus_half(tsr_tensor *x) { return tsr_pow_scalar(x, -0.5); }
static tsr_tensor *op_much(tsr_tensor *x) { return tsr_pow_scalar(x, 20.25); }

TEST_FLOAT(functions_are_as_exact_as_they_say_over_all_floats)
{
    static const swept functions[] = {
        {"exp", tsr_exp, exp, 1, false}, {"log", tsr_log, log, 1, false}, {"tanh", tsr_tanh, tanh, 1.5, false},
        {"sqrt", tsr_sqrt, sqrt, 0.5, false},
        {"sin", tsr_sin, sin, 1, false}, {"cos", tsr_cos, cos, 1, false}, {"sigmoid", tsr_sigmoid, sigmoid, 2.5, false},
        {"softplus", tsr_softplus, softplus, 2.5, false}, {"gelu", tsr_gelu, gelu, 6, true},
        {"silu", tsr_silu, silu, 3, true},
        {"elu", op_elu, elu, 1, false}, {"x^3", op_cube, cube, 1, false}, {"x^-1", op_over, over, 1, false},
        {"x^0.75", op_three_quarters, three_quarters, 1, false}, {"x^-0.5", op_minus_half, minus_half, 1, false},
        {"x^20.25", op_much, much, 1, false}};
    for (size_t i = 0; i < sizeof functions / sizeof *functions && !test_failed(); i++) check_sweep(&functions[i]);
}

/* Pairs of special numbers. */
TEST_FLOAT(functions_pow_has_libms_special_cases)
{
    static const float numbers[] = {0, 1, 2, 3, 0.5f, 2.5f, 1e-45f, 3e38f, 16777215, 16777216, INFINITY};
    enum { NUMBERS = sizeof numbers / sizeof *numbers, ALL = 2 * NUMBERS + 1 };
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *a = tsr_zeros(ctx, TSR_SHAPE(ALL, ALL)), *b = tsr_zeros(ctx, TSR_SHAPE(ALL, ALL));
    tsr_real *x = tsr_write(a), *y = tsr_write(b);
    for (int i = 0; i < ALL; i++)
        for (int j = 0; j < ALL; j++) {
            x[i * ALL + j] = i == ALL - 1 ? NAN : i % 2 ? -numbers[i / 2] : numbers[i / 2];
            y[i * ALL + j] = j == ALL - 1 ? NAN : j % 2 ? -numbers[j / 2] : numbers[j / 2];
        }
    const tsr_tensor *p = tsr_pow(a, b);
    for (int i = 0; i < ALL * ALL; i++) {
        const float exact = (float)pow((double)x[i], (double)y[i]), got = tsr_data(p)[i];
        char what[80];
        snprintf(what, sizeof what, "%g ^ %g is %g, not %g", (double)x[i], (double)y[i], (double)exact, (double)got);
        const bool near = signbit(got) == signbit(exact) && units_off(got, pow((double)x[i], (double)y[i])) <= 1;
        if (!test_check(isnan(exact) ? isnan(got) : near, what, __FILE__, __LINE__)) break;
    }
    tsr_close(ctx);
}

#endif

/* Softmax against two terms in double, from equal logits to where a float has no share left; and -infinity. */
TEST(softmax_has_shares_down_to_the_smallest_float)
{
    tsr_context *ctx = tsr_open(NULL);
    enum { STEPS = 2000 };
    double worst = 0;
    TSR_SCOPE(ctx) {
        tsr_tensor *x = tsr_zeros(ctx, TSR_SHAPE(STEPS, 2));
        tsr_real *values = tsr_write(x);
        for (int i = 0; i < STEPS; i++) values[2 * i + 1] = (tsr_real)(-0.043 * i); /* down to -86 */
        const tsr_real *y = tsr_data(tsr_softmax(x, 1));
        for (int i = 0; i < STEPS; i++) {
            const double e = exp((double)values[2 * i + 1]), error = fabs((double)y[2 * i + 1] * (1 + e) / e - 1);
            if (error > worst) worst = error;
        }
        CHECK(worst < 3e-7);
        tsr_tensor *masked = tsr_softmax(tsr_values(ctx, TSR_SHAPE(3), (tsr_real[]){1, (tsr_real)-INFINITY, -200}), 0);
        CHECK_EQUAL(tsr_data(masked)[0], 1);
        CHECK_EQUAL(tsr_data(masked)[1], 0);
    }
    tsr_close(ctx);
}
