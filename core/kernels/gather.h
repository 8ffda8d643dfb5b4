/* The micro-kernel of products whose left factor is gathered, in vectors; kernels.h says what it computes. level.h
 * includes this file once per instruction set that has them. The sums stay in registers as long as `sum` is indexed by
 * constants only. */

#define GATHER_VECTOR LEVEL_JOIN(LEVEL, _gather_vector)
#define GATHER_BODY LEVEL_JOIN(LEVEL, _gather_body)

typedef tsr_real GATHER_VECTOR __attribute__((vector_size(LEVEL_BYTES), aligned(sizeof(tsr_real)), may_alias));

/* `vectors` is a constant wherever this is inlined. */
CONTRACT_ATTRIBUTE LEVEL_TARGET static inline __attribute__((always_inline)) void
GATHER_BODY(const tsr_gathered *t, const int vectors)
{
    TILE_CONTRACT
    GATHER_VECTOR sum[LEVEL_GATHER_ROWS][LEVEL_GATHER_VECTORS];
    const tsr_real *a[LEVEL_GATHER_ROWS], *b = t->b;
    TILE_UNROLL
    for (int i = 0; i < LEVEL_GATHER_ROWS; i++) {
        a[i] = t->rows[i] + t->channel;
        TILE_UNROLL
        for (int j = 0; j < vectors; j++) sum[i][j] = (GATHER_VECTOR){0};
    }
    const int64_t b_step = t->b_step, column = t->column;
    for (const int64_t *offset = t->offsets, *end = offset + t->depth; offset < end; offset++) {
        const int64_t at = *offset;
        GATHER_VECTOR right[LEVEL_GATHER_VECTORS];
        TILE_UNROLL
        for (int j = 0; j < vectors; j++) right[j] = *(const GATHER_VECTOR *)(b + j * LEVEL_LANES);
        b += b_step;
        TILE_UNROLL
        for (int i = 0; i < LEVEL_GATHER_ROWS; i++)
            TILE_UNROLL
            for (int j = 0; j < vectors; j++) sum[i][j] += a[i][at] * right[j];
    }
    const bool accumulate = t->accumulate, relu = t->relu;
    const tsr_real *bias = t->bias;
    tsr_real *const *to = t->c;
    TILE_UNROLL
    for (int i = 0; i < LEVEL_GATHER_ROWS; i++)
        TILE_UNROLL
        for (int j = 0; j < vectors; j++) {
            GATHER_VECTOR *c = (GATHER_VECTOR *)(to[i] + column + j * LEVEL_LANES), v = sum[i][j];
            if (accumulate) v += *c;
            if (bias) v += *(const GATHER_VECTOR *)(bias + j * LEVEL_LANES);
            if (relu) v = (GATHER_VECTOR)(~(v < 0) & (__typeof__(v < 0))v); /* NaN stays */
            *c = v;
        }
}

CONTRACT_ATTRIBUTE LEVEL_TARGET static void LEVEL_JOIN(LEVEL, _gather)(const tsr_gathered *t)
{
    switch (t->vectors) {
    case 1: GATHER_BODY(t, 1); break;
    case 2: GATHER_BODY(t, 2); break;
#if LEVEL_GATHER_VECTORS > 2
    case 3: GATHER_BODY(t, 3); break;
#endif
    }
}

#undef GATHER_VECTOR
#undef GATHER_BODY
