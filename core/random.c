#include "core/core_internal.h"
#include "core/kernels/kernels.h"

#include <math.h>

typedef struct philox_block {
    uint32_t word[4];
} philox_block;

static TSR_INLINE philox_block philox(tsr_rng rng, uint64_t index)
{
    uint32_t c0 = (uint32_t)index, c1 = (uint32_t)(index >> 32);
    uint32_t c2 = (uint32_t)rng.stream, c3 = (uint32_t)(rng.stream >> 32);
    uint32_t k0 = (uint32_t)rng.seed, k1 = (uint32_t)(rng.seed >> 32);
    for (int round = 0; round < 10; round++) {
        const uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)b;
        c3 = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return (philox_block){{c0, c1, c2, c3}};
}

/* FNV-1a, 64 bits. */
uint64_t tsr_stream(const char *name)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (; name && *name; name++) hash = (hash ^ (unsigned char)*name) * 0x100000001B3u;
    return hash;
}

uint64_t tsr_substream(uint64_t stream, uint64_t number)
{
    return tsr_random_bits((tsr_rng){.seed = stream, .stream = 0x7E55E7Au}, number);
}

static TSR_INLINE uint64_t first_half(philox_block b)
{
    return (uint64_t)b.word[1] << 32 | b.word[0];
}

static TSR_INLINE uint64_t second_half(philox_block b)
{
    return (uint64_t)b.word[3] << 32 | b.word[2];
}

/* Exact: signed words are what instruction sets convert. */
static TSR_INLINE double word_value(uint32_t word)
{
    return (double)(int32_t)(word ^ 0x80000000u) + 0x1p31;
}

/* In [0, 1): 53 bits of a block's half. */
static TSR_INLINE double to_unit(uint32_t low, uint32_t high)
{
    return (word_value(high) * 0x1p32 + word_value(low & ~0x7FFu)) * 0x1p-64;
}

uint64_t tsr_random_bits(tsr_rng rng, uint64_t index)
{
    return first_half(philox(rng, index));
}

/* ln x for positive, normal x: the mantissa by 2 artanh((m - 1) / (m + 1)), |that| < 0.172, to the last bits. */
static TSR_INLINE double portable_log(double x)
{
    const union { double value; uint64_t bits; } u = {.value = x};
    union { uint64_t bits; double value; } mantissa = {.bits = (u.bits & 0xFFFFFFFFFFFFFu) | 0x3FE0000000000000u};
    const bool low = mantissa.value < 0.70710678118654752440;
    const double m = low ? 2 * mantissa.value : mantissa.value;
    const double exponent = (double)((int32_t)(u.bits >> 52) - (low ? 1023 : 1022));
    const double s = (m - 1) / (m + 1), q = s * s;
    double sum = 0;
    for (int k = 23; k >= 1; k -= 2) sum = sum * q + 1.0 / k;
    return 2 * s * sum + exponent * 0.69314718055994530942;
}

double tsr_portable_log(double x)
{
    return portable_log(x);
}

/* cos(2 pi t) for t in [0, 1). Folded to |angle| <= pi/4, where the Taylor sums below are good to the last bits. */
static TSR_INLINE double portable_cos_turn(double t)
{
    const int quarter = (int)(4 * t + 0.5); /* the nearest multiple of a quarter turn */
    const double a = 6.28318530717958647693 * (t - 0.25 * quarter), q = a * a;
    double sine = 1, cosine = 1;
    for (int k = 18; k >= 2; k -= 2) {
        sine = 1 - sine * q / (k * (k + 1));
        cosine = 1 - cosine * q / (k * (k - 1));
    }
    const double value = quarter % 2 ? sine * a : cosine;
    return quarter == 1 || quarter == 2 ? -value : value;
}

static TSR_INLINE double uniform_of(philox_block b)
{
    return to_unit(b.word[0], b.word[1]);
}

/* Box and Muller (1958), one of the pair. */
static TSR_INLINE double normal_of(philox_block b)
{
    const double u = 1 - to_unit(b.word[0], b.word[1]); /* in (0, 1] */
    return sqrt(-2 * portable_log(u)) * portable_cos_turn(to_unit(b.word[2], b.word[3]));
}

double tsr_random_uniform(tsr_rng rng, uint64_t index)
{
    return uniform_of(philox(rng, index));
}

double tsr_random_normal(tsr_rng rng, uint64_t index)
{
    return normal_of(philox(rng, index));
}

/* ---- many at once ----------------------------------------------------------------------------------------------- */

typedef void (*draw_doubles)(tsr_rng rng, uint64_t first, int64_t count, double *out);
typedef void (*draw_bits)(tsr_rng rng, uint64_t first, int64_t count, uint64_t *out);

static TSR_PER_LEVEL(draw_doubles, uniforms, (tsr_rng rng, uint64_t first, int64_t count, double *out),
                     (rng, first, count, out))
{
    for (int64_t i = 0; i < count; i++) out[i] = uniform_of(philox(rng, first + (uint64_t)i));
}

static TSR_PER_LEVEL(draw_doubles, normals, (tsr_rng rng, uint64_t first, int64_t count, double *out),
                     (rng, first, count, out))
{
    for (int64_t i = 0; i < count; i++) out[i] = normal_of(philox(rng, first + (uint64_t)i));
}

static TSR_PER_LEVEL(draw_bits, bits, (tsr_rng rng, uint64_t first, int64_t count, uint64_t *out),
                     (rng, first, count, out))
{
    for (int64_t i = 0; i < count; i++) out[i] = first_half(philox(rng, first + (uint64_t)i));
}

void tsr_random_uniforms(const tsr_context *ctx, tsr_rng rng, uint64_t first, int64_t count, double *out)
{
    uniforms[ctx->kernels->level](rng, first, count, out);
}

void tsr_random_normals(const tsr_context *ctx, tsr_rng rng, uint64_t first, int64_t count, double *out)
{
    normals[ctx->kernels->level](rng, first, count, out);
}

void tsr_random_words(const tsr_context *ctx, tsr_rng rng, uint64_t first, int64_t count, uint64_t *out)
{
    bits[ctx->kernels->level](rng, first, count, out);
}

void tsr_draw_body(void *user, int64_t begin, int64_t end)
{
    const tsr_draw_job *job = user;
    double draws[256];
    for (int64_t at = begin; at < end; at += 256) {
        const int64_t count = end - at < 256 ? end - at : 256;
        job->draws(job->ctx, job->rng, (uint64_t)at, count, draws);
        for (int64_t i = 0; i < count; i++) job->out[at + i] = (tsr_real)(job->offset + job->scale * draws[i]);
    }
}

/* ---- choices ---------------------------------------------------------------------------------------------------- */

uint64_t tsr_random_below(tsr_rng rng, uint64_t index, uint64_t n)
{
    if (n == 0) return 0;
    const uint64_t unfair = (0 - n) % n; /* 2^64 mod n: that many values are refused, so that n divides the rest */
    philox_block b = philox(rng, index);
    for (uint64_t attempt = 1; first_half(b) < unfair; attempt++)
        b = philox((tsr_rng){.seed = second_half(b), .stream = rng.stream}, index + attempt);
    return first_half(b) % n;
}

/* Fisher and Yates, from the end. */
void tsr_random_permutation(tsr_rng rng, int64_t n, int64_t *order)
{
    if (!order) return;
    for (int64_t i = 0; i < n; i++) order[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        const int64_t j = (int64_t)tsr_random_below(rng, (uint64_t)i, (uint64_t)i + 1), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
}
