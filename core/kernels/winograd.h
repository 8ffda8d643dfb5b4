/* Winograd's transforms for 3x3 kernels and tiles of 4x4 (Lavin and Gray 2016, section 4.3): every lane is a channel, so
 * nothing is shuffled. level.h includes this file once per instruction set.
 *
 * The points of interpolation are 0, a, -a, b, -b and infinity. With a = 5/8 and b = 3/2, whose powers are exact in
 * float, the error is half of that of the usual 1 and 2. A transform of a square is one of its columns, then one of the
 * rows of what that gives. */

#define LANE_TYPE LEVEL_JOIN(LEVEL, _lane)
#define LANE_SPREAD LEVEL_JOIN(LEVEL, _winograd_spread)
#define LANE_SPLIT LEVEL_JOIN(LEVEL, _winograd_split)
#define LANE_GATHER LEVEL_JOIN(LEVEL, _winograd_gather)
#define LANE_MERGE LEVEL_JOIN(LEVEL, _winograd_merge)
#define LANES ((int)(sizeof(LANE_TYPE) / sizeof(tsr_real)))

#ifdef LEVEL_BYTES
typedef tsr_real LANE_TYPE __attribute__((vector_size(LEVEL_BYTES), aligned(sizeof(tsr_real)), may_alias));
#define LANE_TARGET CONTRACT_ATTRIBUTE LEVEL_TARGET static
#define LANE_INLINE LANE_TARGET inline __attribute__((always_inline))
#define LANE_CONTRACT TILE_CONTRACT
#define LANE_UNROLL TILE_UNROLL
#define LANE_RELU(v) ((LANE_TYPE)(~(v < 0) & (__typeof__(v < 0))v)) /* NaN stays */
#else
typedef tsr_real LANE_TYPE;
#define LANE_TARGET static
#define LANE_INLINE static inline
#define LANE_CONTRACT
#define LANE_UNROLL
#define LANE_RELU(v) (v < 0 ? 0 : v)
#endif

#ifndef WINOGRAD_A
#define WINOGRAD_A 0.625
#define WINOGRAD_B 1.5
#endif

/* `taps` values of a line to one per point: an image (6: B^T of the paper), a gradient or a kernel (4, 3: G). */
LANE_INLINE void LANE_SPLIT(const int taps, const LANE_TYPE *x, LANE_TYPE *y)
{
    LANE_CONTRACT
    const tsr_real a = (tsr_real)WINOGRAD_A, b = (tsr_real)WINOGRAD_B, aa = a * a, bb = b * b;
    LANE_TYPE even_a, odd_a, even_b, odd_b;
    if (taps == 6) {
        even_a = x[4] - bb * x[2];
        odd_a = a * (x[3] - bb * x[1]);
        even_b = x[4] - aa * x[2];
        odd_b = b * (x[3] - aa * x[1]);
        y[0] = x[4] - (aa + bb) * x[2] + aa * bb * x[0];
        y[5] = x[5] - (aa + bb) * x[3] + aa * bb * x[1];
    } else {
        const tsr_real scale_a = 1 / (2 * aa * (aa - bb)), scale_b = 1 / (2 * bb * (bb - aa));
        even_a = scale_a * (x[0] + aa * x[2]);
        even_b = scale_b * (x[0] + bb * x[2]);
        odd_a = odd_b = x[1];
        if (taps == 4) {
            odd_a += aa * x[3];
            odd_b += bb * x[3];
        }
        odd_a *= scale_a * a;
        odd_b *= scale_b * b;
        y[0] = 1 / (aa * bb) * x[0];
        y[5] = x[taps - 1];
    }
    y[1] = even_a + odd_a;
    y[2] = even_a - odd_a;
    y[3] = even_b + odd_b;
    y[4] = even_b - odd_b;
}

/* Values at the points to `taps` values of a line: a result or a kernel (4, 3: A^T). */
LANE_INLINE void LANE_MERGE(const int taps, const LANE_TYPE *x, LANE_TYPE *y)
{
    LANE_CONTRACT
    const tsr_real a = (tsr_real)WINOGRAD_A, b = (tsr_real)WINOGRAD_B, aa = a * a, bb = b * b;
    const LANE_TYPE even_a = x[1] + x[2], odd_a = x[1] - x[2], even_b = x[3] + x[4], odd_b = x[3] - x[4];
    y[0] = x[0] + even_a + even_b;
    y[1] = a * odd_a + b * odd_b;
    y[2] = aa * even_a + bb * even_b;
    if (taps == 4) y[3] = aa * a * odd_a + bb * b * odd_b;
    y[taps - 1] += x[5];
}

LANE_INLINE void LANE_SPREAD(const int taps, const tsr_real *const *in, int64_t count, tsr_real *out, int64_t plane)
{
    for (int64_t at = 0; at < count; at += LANES) {
        if (at > count - LANES) at = count - LANES; /* some once more */
        LANE_TYPE half[6][6], x[6], y[6];
        LANE_UNROLL
        for (int j = 0; j < taps; j++) {
            LANE_UNROLL
            for (int i = 0; i < taps; i++) x[i] = *(const LANE_TYPE *)(in[i * taps + j] + at);
            LANE_SPLIT(taps, x, y);
            LANE_UNROLL
            for (int i = 0; i < 6; i++) half[i][j] = y[i];
        }
        LANE_UNROLL
        for (int i = 0; i < 6; i++) {
            LANE_SPLIT(taps, half[i], y);
            LANE_UNROLL
            for (int j = 0; j < 6; j++) *(LANE_TYPE *)(out + (6 * i + j) * plane + at) = y[j];
        }
    }
}

LANE_INLINE void LANE_GATHER(const int taps, const tsr_planes *in, int64_t count, tsr_real *const *out)
{
    for (int64_t at = 0; at < count; at += LANES) {
        const size_t bytes = (size_t)(count - at < LANES ? count - at : LANES) * sizeof(tsr_real);
        LANE_TYPE half[4][6], x[6], y[4];
        LANE_UNROLL
        for (int j = 0; j < 6; j++) {
            LANE_UNROLL
            for (int i = 0; i < 6; i++) x[i] = *(const LANE_TYPE *)(in->data + (6 * i + j) * in->plane + at);
            LANE_MERGE(taps, x, y);
            LANE_UNROLL
            for (int i = 0; i < taps; i++) half[i][j] = y[i];
        }
        LANE_UNROLL
        for (int i = 0; i < taps; i++) {
            LANE_MERGE(taps, half[i], y);
            LANE_UNROLL
            for (int j = 0; j < taps; j++) {
                tsr_real *to = out[i * taps + j];
                if (!to) continue;
                if (in->bias) y[j] += *(const LANE_TYPE *)(in->bias + at);
                if (in->relu) y[j] = LANE_RELU(y[j]);
                if (bytes == sizeof y[j]) *(LANE_TYPE *)(to + at) = y[j];
                else memcpy(to + at, &y[j], bytes);
            }
        }
    }
}

LANE_TARGET void LEVEL_JOIN(LEVEL, _winograd_image)(const tsr_real *const *in, int64_t count, tsr_real *out,
                                                    int64_t plane)
{
    LANE_SPREAD(6, in, count, out, plane);
}

LANE_TARGET void LEVEL_JOIN(LEVEL, _winograd_cotangent)(const tsr_real *const *in, int64_t count, tsr_real *out,
                                                        int64_t plane)
{
    LANE_SPREAD(4, in, count, out, plane);
}

LANE_TARGET void LEVEL_JOIN(LEVEL, _winograd_weight)(const tsr_real *const *in, int64_t count, tsr_real *out,
                                                     int64_t plane)
{
    LANE_SPREAD(3, in, count, out, plane);
}

LANE_TARGET void LEVEL_JOIN(LEVEL, _winograd_to_result)(const tsr_planes *in, int64_t count, tsr_real *const *out)
{
    LANE_GATHER(4, in, count, out);
}

LANE_TARGET void LEVEL_JOIN(LEVEL, _winograd_to_weight)(const tsr_planes *in, int64_t count, tsr_real *const *out)
{
    LANE_GATHER(3, in, count, out);
}

#undef LANE_TYPE
#undef LANE_SPREAD
#undef LANE_SPLIT
#undef LANE_GATHER
#undef LANE_MERGE
#undef LANES
#undef LANE_TARGET
#undef LANE_INLINE
#undef LANE_CONTRACT
#undef LANE_UNROLL
#undef LANE_RELU
