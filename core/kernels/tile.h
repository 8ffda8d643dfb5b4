/* The micro-kernel, in vectors. level.h includes this file once per instruction set that has them.
 * The sums stay in registers as long as `sum` is indexed by constants only: every loop over it is unrolled. */

#define TILE_VECTOR LEVEL_JOIN(LEVEL, _vector)
#define TILE_BODY LEVEL_JOIN(LEVEL, _tile_body)
#define TILE_LANES (LEVEL_BYTES / (int)sizeof(tsr_real))
#define TILE_TARGET CONTRACT_ATTRIBUTE LEVEL_TARGET

typedef tsr_real TILE_VECTOR __attribute__((vector_size(LEVEL_BYTES), aligned(sizeof(tsr_real)), may_alias));

/* `rows` is a constant wherever this is inlined, and so are the strides of a packed tile. */
TILE_TARGET static inline __attribute__((always_inline)) void
TILE_BODY(const tsr_tile *t, const int rows, const int64_t a_row, const int64_t a_step, const int64_t b_step)
{
    TILE_CONTRACT
    TILE_VECTOR sum[LEVEL_ROWS][2];
        TILE_UNROLL
    for (int i = 0; i < rows; i++) sum[i][0] = sum[i][1] = (TILE_VECTOR){0};

    const tsr_real *a = t->a, *b = t->b;
    for (int64_t k = t->depth; k > 0; k--) {
        const TILE_VECTOR b0 = *(const TILE_VECTOR *)b, b1 = *(const TILE_VECTOR *)(b + TILE_LANES);
        TILE_UNROLL
        for (int i = 0; i < rows; i++) {
            sum[i][0] += a[i * a_row] * b0;
            sum[i][1] += a[i * a_row] * b1;
        }
        a += a_step;
        b += b_step;
    }

        TILE_UNROLL
    for (int i = 0; i < rows; i++)
        TILE_UNROLL
        for (int j = 0; j < 2; j++) {
            TILE_VECTOR *c = (TILE_VECTOR *)(t->c + i * t->stride + j * TILE_LANES);
            TILE_VECTOR v = sum[i][j];
            if (t->accumulate) v += *c;
            if (t->bias) v += *(const TILE_VECTOR *)(t->bias + j * TILE_LANES);
            if (t->relu) v = (TILE_VECTOR)(~(v < 0) & (__typeof__(v < 0))v); /* NaN stays */
            *c = v;
        }
}

/* One copy of the body per number of rows, with packed factors and with any. */
#define TILE_CASE(n)                                                                                         \
    case n:                                                                                                  \
        if (LEVEL_ROWS < n) return;                                                                           \
        if (packed) TILE_BODY(t, n, 1, LEVEL_ROWS, 2 * TILE_LANES);                                           \
        else TILE_BODY(t, n, t->a_row, t->a_step, t->b_step);                                                \
        return;

TILE_TARGET static void LEVEL_JOIN(LEVEL, _tile)(const tsr_tile *t)
{
    const bool packed = t->a_row == 1 && t->a_step == LEVEL_ROWS && t->b_step == 2 * TILE_LANES;
    switch (t->rows) {
        TILE_CASE(1)
        TILE_CASE(2)
        TILE_CASE(3)
        TILE_CASE(4)
        TILE_CASE(5)
        TILE_CASE(6)
#if LEVEL_ROWS > 6
        TILE_CASE(7)
        TILE_CASE(8)
        TILE_CASE(9)
        TILE_CASE(10)
        TILE_CASE(11)
        TILE_CASE(12)
        TILE_CASE(13)
        TILE_CASE(14)
#endif
    }
}

#undef TILE_VECTOR
#undef TILE_BODY
#undef TILE_LANES
#undef TILE_TARGET
#undef TILE_CASE
