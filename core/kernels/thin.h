/* A matrix and a few vectors, bound by how fast the matrix is read: dot products and sums of its rows. */

#ifdef LEVEL_BYTES
#define THIN_VECTOR LEVEL_JOIN(LEVEL, _vector)
#define THIN_LANES (LEVEL_BYTES / (int)sizeof(tsr_real))
#define THIN_TARGET CONTRACT_ATTRIBUTE LEVEL_TARGET
#else
#define THIN_VECTOR tsr_real
#define THIN_LANES 1
#define THIN_TARGET
#define TILE_CONTRACT
#define TILE_UNROLL
#endif

/* sums[r] = row r of a times b, for four rows. */
THIN_TARGET static void LEVEL_JOIN(LEVEL, _dots)(const tsr_real *const *a, const tsr_real *b, int64_t depth,
                                                 tsr_real *sums)
{
    TILE_CONTRACT
    THIN_VECTOR sum[4][2];
    TILE_UNROLL
    for (int r = 0; r < 4; r++) sum[r][0] = sum[r][1] = (THIN_VECTOR){0};
    int64_t k = 0;
    for (; k + 2 * THIN_LANES <= depth; k += 2 * THIN_LANES) {
        const THIN_VECTOR b0 = *(const THIN_VECTOR *)(b + k), b1 = *(const THIN_VECTOR *)(b + k + THIN_LANES);
        TILE_UNROLL
        for (int r = 0; r < 4; r++) {
            sum[r][0] += *(const THIN_VECTOR *)(a[r] + k) * b0;
            sum[r][1] += *(const THIN_VECTOR *)(a[r] + k + THIN_LANES) * b1;
        }
    }
    tsr_real lanes[4][THIN_LANES];
    TILE_UNROLL
    for (int r = 0; r < 4; r++) *(THIN_VECTOR *)lanes[r] = sum[r][0] + sum[r][1];
    TILE_UNROLL
    for (int r = 0; r < 4; r++) {
        TILE_UNROLL
        for (int half = THIN_LANES / 2; half > 0; half /= 2)
            TILE_UNROLL
            for (int l = 0; l < half; l++) lanes[r][l] += lanes[r][l + half];
        for (int64_t rest = k; rest < depth; rest++) lanes[r][0] += a[r][rest] * b[rest];
        sums[r] = lanes[r][0];
    }
}

/* y[j] += sum over four rows of c[r] * a[r][j]. What lies `ahead` values after the rows will be wanted next. */
THIN_TARGET static void LEVEL_JOIN(LEVEL, _add_rows)(const tsr_real *const *a, int64_t ahead, const tsr_real *c,
                                                     int64_t count, tsr_real *restrict y)
{
    TILE_CONTRACT
    int64_t j = 0;
    for (; j + 2 * THIN_LANES <= count; j += 2 * THIN_LANES) {
        THIN_VECTOR *const at = (THIN_VECTOR *)(y + j), *const next = (THIN_VECTOR *)(y + j + THIN_LANES);
        THIN_VECTOR sum = *at, sum_next = *next;
        TILE_UNROLL
        for (int r = 0; r < 4; r++) {
            TSR_FETCH(a[r] + ahead + j);
            sum += c[r] * *(const THIN_VECTOR *)(a[r] + j);
            sum_next += c[r] * *(const THIN_VECTOR *)(a[r] + j + THIN_LANES);
        }
        *at = sum;
        *next = sum_next;
    }
    for (; j < count; j++)
        for (int r = 0; r < 4; r++) y[j] += c[r] * a[r][j];
}

#undef THIN_VECTOR
#undef THIN_LANES
#undef THIN_TARGET
#ifndef LEVEL_BYTES
#undef TILE_CONTRACT
#undef TILE_UNROLL
#endif
