/* exp and its relatives of a tsr_real without branches, so that a compiler can do several at once. In the double
 * build they are libm's. The float ones are within 3 units in the last place, and right for infinities, NaN and
 * results near underflow. */
#ifndef TESSERA_OPS_EXP_INTERNAL_H
#define TESSERA_OPS_EXP_INTERNAL_H

#include "core/context.h"

#include <math.h>

#ifdef TSR_DOUBLE

static inline double tsr_exp_of(double x)
{
    return exp(x);
}

static inline double tsr_tanh_of(double x)
{
    return tanh(x);
}

static inline double tsr_expm1_of(double x)
{
    return expm1(x);
}

static inline double tsr_log1p_of(double x)
{
    return log1p(x);
}

#else

static inline float tsr_power_of_two(int32_t exponent) /* -126 .. 127 */
{
    const union { uint32_t bits; float value; } u = {.bits = ((uint32_t)exponent + 127) << 23};
    return u.value;
}

/* x = k ln 2 + r with |r| <= ln 2 / 2; e^r by its Taylor sum, whose first missing term is below 2^-27. */
static inline float tsr_exp_of(float x)
{
    const float magic = 12582912; /* 1.5 * 2^23: adding it rounds to a whole number, found in the low bits */
    x = x < -104 ? -104 : x; /* beyond these all is 0 or infinity */
    x = x > 89 ? 89 : x;
    const union { float value; int32_t bits; } rounded = {.value = x * 1.44269504f + magic};
    const int32_t exponent = rounded.bits - 0x4B400000, half = exponent / 2; /* of magic */
    const float k = rounded.value - magic;
    const float r = x - k * 0x1.62e4p-1f - k * 1.42860682e-6f; /* the first has few bits: k times it is exact */
    float sum = 1.0f / 5040;
    sum = sum * r + 1.0f / 720;
    sum = sum * r + 1.0f / 120;
    sum = sum * r + 1.0f / 24;
    sum = sum * r + 1.0f / 6;
    sum = sum * r + 0.5f;
    sum = sum * r * r + r + 1;
    return sum * tsr_power_of_two(half) * tsr_power_of_two(exponent - half); /* 2^k itself may be out of range */
}

/* Near 0 a polynomial (a Chebyshev fit of tanh x / x in x^2, good to 2^-27), else 1 - 2 / (e^2x + 1). */
static inline float tsr_tanh_of(float x)
{
    const float a = fabsf(x), q = x * x;
    float sum = -0.00566477515f;
    sum = sum * q + 0.0205956791f;
    sum = sum * q - 0.0537226796f;
    sum = sum * q + 0.133311495f;
    sum = sum * q - 0.333332628f;
    const float near = sum * q * x + x, far = 1 - 2 / (tsr_exp_of(2 * a) + 1);
    return a < 0.625f ? near : copysignf(far, x);
}

/* e^x - 1 for x <= 0 (above, 1 - t runs out of digits), with t = tanh(x / 2). */
static inline float tsr_expm1_of(float x)
{
    const float t = tsr_tanh_of(x * 0.5f);
    return 2 * t / (1 - t);
}

/* log(1 + x) for 0 <= x <= 1: 2 artanh(x / (2 + x)) by its series, whose first missing term is below 2^-28. */
static inline float tsr_log1p_of(float x)
{
    const float s = x / (2 + x), q = s * s;
    float sum = 1.0f / 15;
    sum = sum * q + 1.0f / 13;
    sum = sum * q + 1.0f / 11;
    sum = sum * q + 1.0f / 9;
    sum = sum * q + 1.0f / 7;
    sum = sum * q + 1.0f / 5;
    sum = sum * q + 1.0f / 3;
    return 2 * (s + s * q * sum);
}

#endif

static inline tsr_real tsr_sigmoid_of(tsr_real x)
{
    return 1 / (1 + tsr_exp_of(-x));
}

#endif
