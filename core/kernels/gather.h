/* The micro-kernel of products whose left factor is gathered, in vectors; kernels.h says what it computes. level.h
 * includes this file once per instruction set that has them. The sums stay in registers as long as `sum` is indexed by
 * constants only. */

#define GATHER_VECTOR LEVEL_JOIN(LEVEL, _gather_vector)
#define GATHER_BODY LEVEL_JOIN(LEVEL, _gather_body)

typedef tsr_real GATHER_VECTOR __attribute__((vector_size(LEVEL_BYTES), aligned(sizeof(tsr_real)), may_alias));

/* For each sum[i][j]. */
#define GATHER_EACH                                                                                           \
    TILE_UNROLL                                                                                               \
    for (int i = 0; i < LEVEL_GATHER_ROWS; i++)                                                               \
        TILE_UNROLL                                                                                           \
        for (int j = 0; j < vectors; j++)

/* `vectors` and `dots` are constants wherever this is inlined. */
CONTRACT_ATTRIBUTE LEVEL_TARGET static inline __attribute__((always_inline)) void
GATHER_BODY(const tsr_gathered *t, const int vectors, const bool dots)
{
    TILE_CONTRACT
    GATHER_VECTOR sum[LEVEL_GATHER_ROWS][LEVEL_GATHER_VECTORS];
    const tsr_real *a[LEVEL_GATHER_ROWS], *b = t->b;
    const int64_t b_step = t->b_step, column = t->column;
    TILE_UNROLL
    for (int i = 0; i < LEVEL_GATHER_ROWS; i++) {
        a[i] = t->rows[i] + t->channel;
        __builtin_prefetch(t->c[i] + column, 1);
    }
    GATHER_EACH sum[i][j] = (GATHER_VECTOR){0};
    for (const int64_t *offset = t->offsets, *end = offset + t->depth; offset < end; offset++) {
        const int64_t at = *offset;
        GATHER_VECTOR right[LEVEL_GATHER_VECTORS];
        TILE_UNROLL
        for (int j = 0; j < vectors; j++) right[j] = *(const GATHER_VECTOR *)(b + j * LEVEL_LANES);
        b += b_step;
        if (dots) GATHER_EACH sum[i][j] += *(const GATHER_VECTOR *)(a[i] + at) * right[j];
        else GATHER_EACH sum[i][j] += a[i][at] * right[j];
    }
    tsr_real *c[LEVEL_GATHER_ROWS];
    TILE_UNROLL
    for (int i = 0; i < LEVEL_GATHER_ROWS; i++) c[i] = t->c[i] + column;
    if (dots) {
        tsr_real lanes[LEVEL_GATHER_ROWS][LEVEL_GATHER_VECTORS][LEVEL_LANES];
        GATHER_EACH *(GATHER_VECTOR *)lanes[i][j] = sum[i][j];
        for (int i = 0; i < LEVEL_GATHER_ROWS; i++)
            for (int j = 0; j < vectors; j++) {
                tsr_real *l = lanes[i][j];
                TILE_UNROLL
                for (int half = LEVEL_LANES / 2; half > 0; half /= 2)
                    TILE_UNROLL
                    for (int k = 0; k < half; k++) l[k] += l[k + half];
                tsr_real v = t->accumulate ? l[0] + c[i][j] : l[0];
                if (t->bias) v += t->bias[j];
                c[i][j] = t->relu && v < 0 ? 0 : v;
            }
        return;
    }
    if (t->accumulate) GATHER_EACH sum[i][j] += *(GATHER_VECTOR *)(c[i] + j * LEVEL_LANES);
    if (t->bias) GATHER_EACH sum[i][j] += *(const GATHER_VECTOR *)(t->bias + j * LEVEL_LANES);
    if (t->relu) /* NaN stays */
        GATHER_EACH sum[i][j] = (GATHER_VECTOR)(~(sum[i][j] < 0) & (__typeof__(sum[i][j] < 0))sum[i][j]);
    GATHER_EACH *(GATHER_VECTOR *)(c[i] + j * LEVEL_LANES) = sum[i][j];
}

CONTRACT_ATTRIBUTE LEVEL_TARGET static void LEVEL_JOIN(LEVEL, _gather)(const tsr_gathered *t)
{
    switch (2 * t->vectors + t->dots) {
    case 2: GATHER_BODY(t, 1, false); break;
    case 3: GATHER_BODY(t, 1, true); break;
    case 4: GATHER_BODY(t, 2, false); break;
    case 5: GATHER_BODY(t, 2, true); break;
#if LEVEL_GATHER_VECTORS > 2
    case 6: GATHER_BODY(t, 3, false); break;
    case 7: GATHER_BODY(t, 3, true); break;
#endif
    }
}

#undef GATHER_VECTOR
#undef GATHER_BODY
#undef GATHER_EACH
