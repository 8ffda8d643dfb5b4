/* exp and its relatives of a tsr_real without branches, so that a compiler does several at once; polynomials are summed
 * in parts that need not wait for each other. In the double build they are libm's. In float each says how far it may be off, in units in the last place (of subnormal results too);
 * infinities, NaN and zeros are as libm has them. The polynomials are minimax fits, made with Remez' algorithm. */
#ifndef TESSERA_CORE_FUNCTIONS_H
#define TESSERA_CORE_FUNCTIONS_H

#include "core/kernels/levels.h"

#include <math.h>

#define TSR_ROOT_HALF 0.70710678118654752440
#define TSR_NORMAL_PEAK 0.39894228040143267794 /* 1 / sqrt(2 pi) */

/* An exponent, and what the power of a finite number below 0, or of -0 and -infinity, is to be multiplied by: 1, -1 or
 * NaN. */
typedef struct tsr_exponent {
    double y, of_negative, of_minus;
} tsr_exponent;

static TSR_INLINE tsr_exponent tsr_exponent_of(double y)
{
    const double magic = 0x1.8p52, whole = y + magic - magic, half = 0.5 * y, half_whole = half + magic - magic;
    const double sign = half_whole != half ? -1 : 1; /* if y is whole; beyond 2^51 powers are 0, 1 or infinite anyway */
    const double of_negative = fabs(y) > 0x1p51 ? 1 : whole == y ? sign : NAN;
    return (tsr_exponent){y, of_negative, of_negative < 0 ? -1 : 1};
}

#ifdef TSR_DOUBLE

static inline double tsr_exp_below(double x) { return exp(x); }
static inline double tsr_sqrt_of(double x) { return sqrt(x); }
static inline double tsr_abs_of(double x) { return fabs(x); }
static inline double tsr_exp_of(double x) { return exp(x); }
static inline double tsr_expm1_of(double x) { return expm1(x); }
static inline double tsr_log_of(double x) { return log(x); }
static inline double tsr_log1p_of(double x) { return log1p(x); }
static inline double tsr_tanh_of(double x) { return tanh(x); }
static inline double tsr_pow_of(double x, tsr_exponent e) { return pow(x, e.y); }
static inline double tsr_normal_below(double x) { return 0.5 * erfc(-x * TSR_ROOT_HALF); }
static inline double tsr_normal_density(double x) { return TSR_NORMAL_PEAK * exp(-0.5 * x * x); }

#else

static TSR_INLINE float tsr_sqrt_of(float x) { return sqrtf(x); }
static TSR_INLINE float tsr_abs_of(float x) { return fabsf(x); }

typedef union tsr_float_bits {
    float value;
    uint32_t bits;
} tsr_float_bits;

typedef union tsr_double_bits {
    double value;
    uint64_t bits;
} tsr_double_bits;

static TSR_INLINE float tsr_float_of(uint32_t bits)
{
    const tsr_float_bits u = {.bits = bits};
    return u.value;
}

/* x = k ln 2 + r with |r| <= ln 2 / 2. */
typedef struct tsr_exp_parts {
    float below;         /* e^r - 1 */
    float scale1, scale2; /* their product is 2^k, which may itself be out of range */
} tsr_exp_parts;

/* Of x + small, for a `small` that x is too short to hold; -0 (which changes nothing, not even 0) for none. */
static TSR_INLINE tsr_exp_parts tsr_exp_parts_of(float x, float small)
{
    const float magic = 12582912; /* 1.5 * 2^23: adding it rounds to a whole number, found in the low bits */
    const float a = fabsf(x);
    x = copysignf(a > 104 ? 104 : a, x); /* beyond, all is 0 or infinity; NaN stays */
    const tsr_float_bits rounded = {.value = x * 1.44269504f + magic};
    const float k = rounded.value - magic;
    const float r = x - k * 0x1.62e4p-1f - k * 1.42860682e-6f + small; /* k times the first is exact: it has few bits */
    const float q = r * r, high = (0.00836878084f * r + 0.0416683927f) + 0.00138144672f * q;
    const float sum = (0.166665196f * r + 0.49999994f) + high * q;
    const uint32_t exponent = rounded.bits - 0x4B400000u + 254, half = exponent >> 1; /* of magic; twice the bias */
    return (tsr_exp_parts){q * sum + r, tsr_float_of(half << 23), tsr_float_of((exponent - half) << 23)};
}

/* Within 1 unit. */
static TSR_INLINE float tsr_exp_of(float x)
{
    const tsr_exp_parts e = tsr_exp_parts_of(x, -0.0f);
    return (e.below + 1) * e.scale1 * e.scale2;
}

/* e^x for x <= 0, as softmax has them: a third less work. 0 where it would be below 2^-126. Within 1 unit. */
static TSR_INLINE float tsr_exp_below(float x)
{
    const float magic = 12582912 + 127; /* the exponent's bias is in its low bits, too */
    const float inside = x < -87.3f ? -87.3f : x;
    const tsr_float_bits rounded = {.value = inside * 1.44269504f + magic};
    const float k = rounded.value - magic;
    const float r = inside - k * 0x1.62e4p-1f - k * 1.42860682e-6f;
    const float q = r * r, high = (0.00836878084f * r + 0.0416683927f) + 0.00138144672f * q;
    const float sum = (0.166665196f * r + 0.49999994f) + high * q;
    const float power = (q * sum + r + 1) * tsr_float_of(rounded.bits << 23);
    return x < -87.3f ? 0 : power;
}

/* e^x - 1 for x <= 0. Within 1 unit. */
static TSR_INLINE float tsr_expm1_of(float x)
{
    const tsr_exp_parts e = tsr_exp_parts_of(x, -0.0f);
    const float scale = e.scale1 * e.scale2;
    return e.below * scale + (scale - 1);
}

/* Near 0 a polynomial in x^2, else 1 - 2 / (e^2x + 1). Within 1.5 units. */
static TSR_INLINE float tsr_tanh_of(float x)
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

/* x = 2^k m with m from sqrt(1/2) to sqrt(2); log m by a polynomial in m - 1. Within 1 unit. */
static TSR_INLINE float tsr_log_of(float x)
{
    const bool tiny = x < 0x1p-126f;
    const tsr_float_bits u = {.value = tiny ? x * 0x1p23f : x};
    const uint32_t moved = u.bits + (0x3F800000u - 0x3F3504F3u); /* 1, sqrt(1/2) */
    const float k = (float)((int32_t)(moved >> 23) - (tiny ? 150 : 127));
    const float f = tsr_float_of((moved & 0x7FFFFFu) + 0x3F3504F3u) - 1, q = f * f;
    const float low = (0.333333135f - 0.250000089f * f) + q * (0.200021192f - 0.166679963f * f);
    const float high = (0.142195523f - 0.124055885f * f) + q * (0.118881591f - 0.116756544f * f);
    const float sum = low + q * q * (high + q * q * 0.0674665123f);
    float y = (sum * f * q + k * 1.42860682e-6f - 0.5f * q + f) + k * 0x1.62e4p-1f;
    y = x < INFINITY ? y : x;
    return x > 0 ? y : x == 0 ? -INFINITY : NAN;
}

/* log(1 + x) for 0 <= x <= 1: 2 artanh(x / (2 + x)). Within 2 units. */
static TSR_INLINE float tsr_log1p_of(float x)
{
    const float s = x / (2 + x), q = s * s;
    float sum = 0.140122294f;
    sum = sum * q + 0.139995709f;
    sum = sum * q + 0.200108498f;
    sum = sum * q + 0.333332062f;
    return 2 * (s + s * q * sum);
}

/* e^(y log |x|) in double, then the sign. Within 1 unit. */
static TSR_INLINE float tsr_pow_of(float x, tsr_exponent e)
{
    const double y = e.y;
    const double v = (double)x, a = fabs(v);
    const tsr_double_bits u = {.value = a};
    const uint64_t moved = u.bits + (0x3FF0000000000000u - 0x3FE6A09E00000000u); /* 1, sqrt(1/2) */
    const tsr_double_bits biased = {.bits = (moved >> 52) | 0x4330000000000000u}; /* 2^52 + the number */
    const tsr_double_bits m = {.bits = (moved & 0xFFFFFFFFFFFFFu) + 0x3FE6A09E00000000u};
    const double s = (m.value - 1) / (m.value + 1), q = s * s;
    const double q2 = q * q;
    double sum = (0.33333333337900545 + 0.19999997811042117 * q) + q2 * (0.14286054552697858 + 0.11088095939915227 * q);
    sum += q2 * q2 * 0.097920466402537806;
    double z = y * (2 * (s + s * q * sum) + (biased.value - 0x1p52 - 1023) * 0.69314718055994530942);
    z = a == 0 ? y * -INFINITY : a < INFINITY ? z : y * a;
    z = z < -120 ? -120 : z;
    z = z > 120 ? 120 : z;

    const double magic = 0x1.8p52;
    const tsr_double_bits rounded = {.value = z * 1.44269504088896340736 + magic};
    const double r = z - (rounded.value - magic) * 0.69314718055994530942;
    const double r2 = r * r;
    sum = (0.50000000783248932 + 0.16666666861757568 * r) + r2 * (0.04166626851017613 + 0.0083332641031697227 * r);
    sum += r2 * r2 * (0.0013946176523168725 + 0.00019918526198917506 * r);
    const tsr_double_bits scale = {.bits = (rounded.bits + 1023) << 52};
    const double power = ((sum * r2 + r) + 1) * scale.value;

    const double value = a == 1 ? 1 : power;
    const double sign = v < 0 && a < INFINITY ? e.of_negative : copysign(1, v) < 0 ? e.of_minus : 1;
    return (float)(y == 0 ? 1 : value * sign);
}

/* e^(-t^2 / 2). The square is taken in two parts: rounded to one it would be off by many units. */
static TSR_INLINE float tsr_bell_of(float t)
{
    const tsr_float_bits u = {.value = t};
    const float high = tsr_float_of(u.bits & 0xFFFFF000u), low = t - high;
    const tsr_exp_parts e = tsr_exp_parts_of(-0.5f * high * high, -0.5f * low * (t + high));
    return (e.below + 1) * e.scale1 * e.scale2;
}

/* The normal distribution's Phi: far to the left e^(-t^2 / 2) G(w) / (t + 3) with t = -x, w = (t - 3) / (t + 3), so
 * that it keeps its precision there. Within 4 units. */
static TSR_INLINE float tsr_normal_below(float x)
{
    float t = fabsf(x);
    t = t > 14.5f ? 14.5f : t;
    const float share = 1 / (t + 3), w = (t - 3) * share;
    const float q = w * w, low = (0.729083717f - 0.509332001f * w) + q * (0.230017707f - 0.0472626872f * w);
    const float middle = (-0.0104625206f + 0.00696930243f * w) + q * (0.00102478405f - 0.00103252393f * w);
    const float high = (-0.000244754687f + 0.00013125375f * w) + q * 5.44550276e-05f;
    const float sum = low + q * q * (middle + q * q * high);
    const float tail = sum * share * tsr_bell_of(t);
    return x > 0 ? 1 - tail : tail;
}

static TSR_INLINE float tsr_normal_density(float x)
{
    const float t = fabsf(x);
    return (float)TSR_NORMAL_PEAK * tsr_bell_of(t > 14.5f ? 14.5f : t);
}

#endif

static TSR_INLINE tsr_real tsr_sigmoid_of(tsr_real x)
{
    const tsr_real e = tsr_exp_of(-tsr_abs_of(x)); /* never infinite */
    return (x < 0 ? e : 1) / (1 + e);
}

#endif
