/* The micro-kernel, in vectors. level.h includes this file once per instruction set that has them.
 * The sums stay in registers as long as `sum` is indexed by constants only: every loop over it is unrolled. */

#define TILE_VECTOR LEVEL_JOIN(LEVEL, _vector)
#define TILE_BODY LEVEL_JOIN(LEVEL, _tile_body)
#define TILE_FINISH LEVEL_JOIN(LEVEL, _tile_finish)
#define TILE_LANES (LEVEL_BYTES / (int)sizeof(tsr_real))
#define TILE_TARGET CONTRACT_ATTRIBUTE LEVEL_TARGET

typedef tsr_real TILE_VECTOR __attribute__((vector_size(LEVEL_BYTES), aligned(sizeof(tsr_real)), may_alias));

#if LEVEL_BYTES == 32 /* elsewhere a depth takes so many instructions that the loop's own do not matter */
#define TILE_UNROLL_DEPTH TILE_UNROLL
#else
#define TILE_UNROLL_DEPTH TILE_ROLLED
#endif

/* One more depth; a macro, since sums whose address is taken might leave their registers. */
#define TILE_STEP                                                                                             \
    {                                                                                                         \
        const TILE_VECTOR b0 = *(const TILE_VECTOR *)b, b1 = *(const TILE_VECTOR *)(b + (vectors - 1) * TILE_LANES); \
        if (packs) {                                                                                          \
            *(TILE_VECTOR *)b_copy = b0;                                                                      \
            *(TILE_VECTOR *)(b_copy + TILE_LANES) = b1;                                                       \
            b_copy += 2 * TILE_LANES;                                                                         \
            __builtin_prefetch(b + 16 * b_step);                                                              \
            __builtin_prefetch(b + 16 * b_step + 2 * TILE_LANES - 1);                                         \
        }                                                                                                     \
        TILE_UNROLL                                                                                           \
        for (int i = 0; i < rows; i++) {                                                                      \
            sum[i][0] += a[i * a_row] * b0;                                                                   \
            if (vectors == 2) sum[i][1] += a[i * a_row] * b1;                                                 \
        }                                                                                                     \
        a += a_step;                                                                                          \
        b += b_step;                                                                                          \
    }

/* For each sum[i][j]. */
#define TILE_EACH                                                                                             \
    TILE_UNROLL                                                                                               \
    for (int i = 0; i < rows; i++)                                                                            \
        TILE_UNROLL                                                                                           \
        for (int j = 0; j < vectors; j++)

/* `rows`, `vectors` and `packs` are constants wherever this is inlined, and so are the strides of packed factors. */
TILE_TARGET static inline __attribute__((always_inline)) void
TILE_BODY(const tsr_tile *t, const int rows, const int vectors, const bool packs, const int64_t a_row,
          const int64_t a_step, const int64_t b_step)
{
    TILE_CONTRACT
    const tsr_real *a = t->a, *b = t->b, *ahead = t->ahead;
    tsr_real *b_copy = t->b_copy, *const c = t->c;
    const int64_t ahead_step = t->ahead_step, stride = t->stride;
    int64_t k = t->depth;
    TILE_VECTOR sum[LEVEL_ROWS][2];
    TILE_EACH sum[i][j] = (TILE_VECTOR){0};
    TILE_UNROLL
    for (int i = 0; i < rows; i++) __builtin_prefetch(c + i * stride + 2 * TILE_LANES - 1, 1);

    TILE_ROLLED /* the rest first: compilers then keep the sums of the main loop where they are */
    for (; k % 4 != 0; k--) TILE_STEP
    for (; k > 0; k -= 4) {
        __builtin_prefetch(ahead, 0, 2);
        ahead += ahead_step;
        TILE_UNROLL_DEPTH
        for (int step = 0; step < 4; step++) TILE_STEP
    }

    if (t->accumulate) TILE_EACH sum[i][j] += *(const TILE_VECTOR *)(c + i * stride + j * TILE_LANES);
    TILE_EACH *(TILE_VECTOR *)(c + i * stride + j * TILE_LANES) = sum[i][j];
}

/* Bias and activation of a tile that is in the first-level cache; one copy, as the bodies are many. */
LEVEL_TARGET static void TILE_FINISH(const tsr_tile *t, const int vectors)
{
    for (int j = 0; j < vectors; j++) {
        const TILE_VECTOR bias = t->bias ? *(const TILE_VECTOR *)(t->bias + j * TILE_LANES) : (TILE_VECTOR){0};
        for (int i = 0; i < t->rows; i++) {
            TILE_VECTOR *const c = (TILE_VECTOR *)(t->c + i * t->stride + j * TILE_LANES);
            const TILE_VECTOR v = *c + bias;
            *c = t->activation == TSR_RELU ? (TILE_VECTOR)(~(v < 0) & (__typeof__(v < 0))v) : v; /* NaN stays */
        }
    }
    if (t->activation == TSR_SIGMOID || t->activation == TSR_TANH)
        for (int i = 0; i < t->rows; i++)
            LEVEL_JOIN(LEVEL, _activate)(t->activation, t->c + i * t->stride, vectors * TILE_LANES);
}

/* Copies of the body for each number of rows up to 6, and for all: half as wide, with a B to pack, with any factors; and with packed ones
 * for whole tiles. */
#define TILE_CASE(n)                                                                                         \
    case n:                                                                                                  \
        if (LEVEL_ROWS < n) return;                                                                           \
        if (narrow) TILE_BODY(t, n, 1, false, t->a_row, t->a_step, 2 * TILE_LANES);                           \
        else if (n == LEVEL_ROWS && packed) TILE_BODY(t, n, 2, false, 1, LEVEL_ROWS, 2 * TILE_LANES);         \
        else if (t->b_copy) TILE_BODY(t, n, 2, true, t->a_row, t->a_step, t->b_step);                         \
        else TILE_BODY(t, n, 2, false, t->a_row, t->a_step, t->b_step);                                       \
        break;

TILE_TARGET static void LEVEL_JOIN(LEVEL, _tile)(const tsr_tile *t)
{
    const bool narrow = t->columns <= TILE_LANES && t->b_step == 2 * TILE_LANES;
    const bool packed = t->a_row == 1 && t->a_step == LEVEL_ROWS && t->b_step == 2 * TILE_LANES && !t->b_copy;
    switch (t->rows) {
        TILE_CASE(1)
        TILE_CASE(2)
        TILE_CASE(3)
        TILE_CASE(4)
        TILE_CASE(5)
        TILE_CASE(6)
#if LEVEL_ROWS > 6
        TILE_CASE(LEVEL_ROWS)
    default: { /* in parts: a body for each number of rows would be much code for little */
        tsr_tile part = *t;
        part.rows = 6;
        LEVEL_JOIN(LEVEL, _tile)(&part);
        part.a += 6 * t->a_row;
        part.c += 6 * t->stride;
        part.rows = t->rows - 6;
        part.b_copy = NULL;
        LEVEL_JOIN(LEVEL, _tile)(&part);
        return;
    }
#endif
    }
    if (t->bias || t->activation != TSR_NO_ACTIVATION) TILE_FINISH(t, narrow ? 1 : 2);
}

#undef TILE_VECTOR
#undef TILE_BODY
#undef TILE_FINISH
#undef TILE_LANES
#undef TILE_TARGET
#undef TILE_UNROLL_DEPTH
#undef TILE_STEP
#undef TILE_EACH
#undef TILE_CASE
