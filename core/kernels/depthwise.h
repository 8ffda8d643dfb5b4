/* The inner loops of convolutions whose channels are apart, in vectors of channels; kernels.h says what they compute.
 * level.h includes this file once per instruction set that has vectors. */

#define DEPTHWISE_VECTOR LEVEL_JOIN(LEVEL, _depthwise_vector)
#define DEPTHWISE_BODY LEVEL_JOIN(LEVEL, _depthwise_body)
#define CORRELATE_BODY LEVEL_JOIN(LEVEL, _correlate_body)

typedef tsr_real DEPTHWISE_VECTOR __attribute__((vector_size(LEVEL_BYTES), aligned(sizeof(tsr_real)), may_alias));

/* Some pixels and some vectors of channels, constants with a product of at most 4: the sums stay in registers. */
CONTRACT_ATTRIBUTE LEVEL_TARGET static inline __attribute__((always_inline)) void
DEPTHWISE_BODY(const tsr_depthwise *t, int64_t pixel, int64_t channel, const int pixels, const int vectors)
{
    TILE_CONTRACT
    DEPTHWISE_VECTOR sum[4];
    const int64_t x_pixel = t->x_pixel;
    TILE_UNROLL
    for (int i = 0; i < pixels * vectors; i++) {
        sum[i] = (DEPTHWISE_VECTOR){0};
        if (t->bias) sum[i] = *(const DEPTHWISE_VECTOR *)(t->bias + channel + i % vectors * LEVEL_LANES);
    }
    for (int64_t t0 = 0; t0 < t->count[0]; t0++)
        for (int64_t t1 = 0; t1 < t->count[1]; t1++) {
            const tsr_real *x = t->x + t0 * t->x_step[0] + t1 * t->x_step[1] + pixel * x_pixel + channel;
            const tsr_real *w = t->w + t0 * t->w_step[0] + t1 * t->w_step[1] + channel;
            for (int64_t t2 = 0; t2 < t->count[2]; t2++, x += t->x_step[2], w += t->w_step[2])
                TILE_UNROLL
                for (int i = 0; i < pixels * vectors; i++)
                    sum[i] += *(const DEPTHWISE_VECTOR *)(x + i / vectors * x_pixel + i % vectors * LEVEL_LANES) *
                              *(const DEPTHWISE_VECTOR *)(w + i % vectors * LEVEL_LANES);
        }
    TILE_UNROLL
    for (int i = 0; i < pixels * vectors; i++)
        *(DEPTHWISE_VECTOR *)(t->out + (pixel + i / vectors) * t->out_pixel + channel + i % vectors * LEVEL_LANES) =
            sum[i];
}

CONTRACT_ATTRIBUTE LEVEL_TARGET static void LEVEL_JOIN(LEVEL, _depthwise)(const tsr_depthwise *t)
{
    if (t->channels < LEVEL_LANES) {
        plain_depthwise(t);
        return;
    }
    const int64_t last = t->channels - LEVEL_LANES;
    for (int64_t pixel = 0; pixel < t->pixels;) {
        const bool four = pixel + 4 <= t->pixels;
        for (int64_t c = 0; c < t->channels;) {
            const bool wide = !four && c + 3 * LEVEL_LANES <= last;
            if (four) DEPTHWISE_BODY(t, pixel, c < last ? c : last, 4, 1); /* the last channels: some twice */
            else if (wide) DEPTHWISE_BODY(t, pixel, c, 1, 4);
            else DEPTHWISE_BODY(t, pixel, c < last ? c : last, 1, 1);
            c += wide ? 4 * LEVEL_LANES : LEVEL_LANES;
        }
        pixel += four ? 4 : 1;
    }
}

/* `vectors` vectors of channels from `channel` on; a constant. */
CONTRACT_ATTRIBUTE LEVEL_TARGET static inline __attribute__((always_inline)) void
CORRELATE_BODY(const tsr_correlation *t, int64_t channel, double *sums, const int vectors)
{
    TILE_CONTRACT
    DEPTHWISE_VECTOR sum[4];
    const tsr_real *x = t->x + channel, *y = t->y + channel;
    TILE_UNROLL
    for (int j = 0; j < vectors; j++) sum[j] = (DEPTHWISE_VECTOR){0};
    for (int64_t p = 0; p < t->pixels; p++, x += t->x_pixel, y += t->channels)
        TILE_UNROLL
        for (int j = 0; j < vectors; j++)
            sum[j] +=
                *(const DEPTHWISE_VECTOR *)(x + j * LEVEL_LANES) * *(const DEPTHWISE_VECTOR *)(y + j * LEVEL_LANES);
    for (int j = 0; j < vectors; j++)
        for (int i = 0; i < LEVEL_LANES; i++) sums[channel + j * LEVEL_LANES + i] += (double)sum[j][i];
}

CONTRACT_ATTRIBUTE LEVEL_TARGET static void LEVEL_JOIN(LEVEL, _correlate)(const tsr_correlation *t, double *sums)
{
    int64_t c = 0;
    for (; c + 4 * LEVEL_LANES <= t->channels; c += 4 * LEVEL_LANES) CORRELATE_BODY(t, c, sums, 4);
    for (; c + LEVEL_LANES <= t->channels; c += LEVEL_LANES) CORRELATE_BODY(t, c, sums, 1);
    correlate_channels(t, c, sums);
}

#undef DEPTHWISE_VECTOR
#undef DEPTHWISE_BODY
#undef CORRELATE_BODY
