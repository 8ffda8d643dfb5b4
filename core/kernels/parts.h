/* Products of values in bfloat16 parts, on tiles. level.h includes this file once per kind of tile instructions
 * (tiles_amx.h, tiles_emulated.h). A value is the sum of its parts: its first 8 bits, what remains of it in 8 bits, and
 * once more. A factor in steps of 32 of the depth is, part after part, two tiles:
 *     left     16 rows, each 32 values of the depth
 *     right    16 pairs of the depth, each of 16 columns
 * Subnormal numbers count as zero, also as results. */

#define PARTS_TARGET TILES_TARGET LEVEL_TARGET
#define PARTS_JOIN(name) LEVEL_JOIN(TILES, name)
enum { PARTS_JOIN(_side) = TSR_PARTS_TILE, PARTS_JOIN(_tile_values) = 256 /* floats in 1 KB */ };
#define SIDE PARTS_JOIN(_side)
#define TILE_VALUES PARTS_JOIN(_tile_values)

/* ---- splitting ----------------------------------------------------------------------------------------- */

/* Takes the next part away from *x: rounded to nearest, to even, but not to infinity; that has no rest, nor has NaN. */
LEVEL_TARGET static inline uint32_t PARTS_JOIN(_next_part)(float *x)
{
    uint32_t bits, part;
    memcpy(&bits, x, sizeof bits);
    part = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000;
    if ((part & 0x7f800000) == 0x7f800000)
        part = (bits & 0xffff0000) | ((bits & 0x7fffffff) > 0x7f800000 ? 0x400000 : 0);
    float value;
    memcpy(&value, &part, sizeof value);
    *x = (bits & 0x7f800000) == 0x7f800000 ? 0 : *x - value;
    return part;
}

/* words[part][pair][r]: the parts of a pair of a row, from panel[d * SIDE + r], depth <= SIDE. */
PARTS_TARGET static void PARTS_JOIN(_split_step)(const float *panel, int64_t depth, int parts,
                                                        float words[][SIDE / 2][SIDE])
{
    for (int pair = 0; pair < SIDE / 2; pair++) {
        float first[SIDE] = {0}, second[SIDE] = {0};
        if (2 * pair < depth) memcpy(first, panel + 2 * pair * SIDE, sizeof first);
        if (2 * pair + 1 < depth) memcpy(second, panel + (2 * pair + 1) * SIDE, sizeof second);
        for (int part = 0; part < parts; part++)
            for (int r = 0; r < SIDE; r++) {
                const uint32_t low = PARTS_JOIN(_next_part)(&first[r]) >> 16;
                const uint32_t word = low | PARTS_JOIN(_next_part)(&second[r]);
                memcpy(&words[part][pair][r], &word, sizeof word);
            }
    }
}

PARTS_TARGET static void PARTS_JOIN(_split)(const float *panel, int64_t depth, int parts, bool left, float *out)
{
    float words[3][SIDE / 2][SIDE];
    for (; depth > 0; depth -= SIDE, panel += SIDE * SIDE) {
        PARTS_JOIN(_split_step)(panel, depth, parts, words);
        for (int tile = 0; tile < 2 * parts; tile++, out += TILE_VALUES) {
            const float *pairs[SIDE / 2];
            for (int pair = 0; pair < SIDE / 2; pair++) pairs[pair] = words[tile / 2][pair] + tile % 2 * (SIDE / 2);
            if (left) tsr_pack_rows(pairs, SIDE / 2, SIDE / 2, out); /* turned: a row holds pairs of the depth */
            else
                for (int pair = 0; pair < SIDE / 2; pair++)
                    memcpy(out + pair * (SIDE / 2), pairs[pair], SIDE / 2 * sizeof *out);
        }
    }
}

/* ---- the product --------------------------------------------------------------------------------------- */

#define DOT_ALL()                                                                                            \
    do {                                                                                                     \
        TILE_DOT(0, 4, 6);                                                                                   \
        TILE_DOT(1, 4, 7);                                                                                   \
        if (both) TILE_DOT(2, 5, 6);                                                                         \
        if (both) TILE_DOT(3, 5, 7);                                                                         \
    } while (0)
#define DOT_LEFT(part)                                                                                       \
    do {                                                                                                     \
        TILE_LOAD(4, a + 2 * (part) * TILE_VALUES);                                                          \
        if (both) TILE_LOAD(5, a + (2 * (part) + 1) * TILE_VALUES);                                          \
        DOT_ALL();                                                                                           \
    } while (0)
#define LOAD_RIGHT(part)                                                                                     \
    do {                                                                                                     \
        TILE_LOAD(6, b + 2 * (part) * TILE_VALUES);                                                          \
        TILE_LOAD(7, b + (2 * (part) + 1) * TILE_VALUES);                                                    \
    } while (0)
#define DOT_RIGHT(part)                                                                                      \
    do {                                                                                                     \
        LOAD_RIGHT(part);                                                                                    \
        DOT_ALL();                                                                                           \
    } while (0)

/* sum = left * right^T from the first `used` of the parts: the products that count, each a step from the last one in
 * which one factor stays. */
PARTS_TARGET static void PARTS_JOIN(_sum)(const tsr_tile *t, int used, float *sum)
{
    const bool both = t->rows > SIDE / 2; /* tiles of rows */
    const int64_t step = 2 * t->parts * TILE_VALUES;
    TILES_DECLARE
    TILE_ZERO(0);
    TILE_ZERO(1);
    TILE_ZERO(2);
    TILE_ZERO(3);
    const float *a = t->a, *b = t->b;
    for (int64_t k = 0; k < t->depth; k += SIDE, a += step, b += step) {
        LOAD_RIGHT(0);
        if (used == 3) DOT_LEFT(2);
        if (used >= 2) DOT_LEFT(1);
        if (used == 3) DOT_RIGHT(1);
        DOT_LEFT(0);
        if (used == 3) DOT_RIGHT(0);
        if (used == 3) DOT_RIGHT(2);
        if (used == 2) DOT_RIGHT(1);
    }
    const int64_t stride = SIDE * (int64_t)sizeof *sum;
    TILE_STORE(0, sum, stride);
    TILE_STORE(1, sum + SIDE / 2, stride);
    if (both) TILE_STORE(2, sum + SIDE / 2 * SIDE, stride);
    if (both) TILE_STORE(3, sum + SIDE / 2 * SIDE + SIDE / 2, stride);
}

/* Where the sum is NaN it may be one that only splitting has brought about: infinity times a rest of 0, or times rests
 * of either sign. There the first parts say what infinities give. */
PARTS_TARGET static void PARTS_JOIN(_tile)(const tsr_tile *t)
{
    _Alignas(64) float sum[SIDE * SIDE], first[SIDE * SIDE];
    PARTS_JOIN(_sum)(t, t->parts, sum);
    int bad = 0;
    for (int i = 0; i < t->rows * SIDE; i++) bad |= sum[i] != sum[i];
    if (bad && t->parts > 1) {
        PARTS_JOIN(_sum)(t, 1, first);
        for (int i = 0; i < t->rows * SIDE; i++) sum[i] = sum[i] != sum[i] ? first[i] : sum[i];
    }
    for (int i = 0; i < t->rows; i++) {
        float *c = t->c + i * t->stride;
        for (int j = 0; j < SIDE; j++) {
            const float v = t->accumulate ? sum[i * SIDE + j] + c[j] : sum[i * SIDE + j];
            c[j] = t->bias ? v + t->bias[j] : v;
        }
        LEVEL_JOIN(LEVEL, _activate)(t->activation, c, SIDE);
    }
}

PARTS_TARGET static void PARTS_JOIN(_begin)(void) { TILES_CONFIGURE(); }
PARTS_TARGET static void PARTS_JOIN(_end)(void) { TILES_RELEASE(); }

#define PARTS_TABLE(n)                                                                                       \
    {.name = TILES_NAME, .emulated = TILES_EMULATED, .parts = &(const tsr_parts){                            \
         .count = n, .split = PARTS_JOIN(_split), .begin = PARTS_JOIN(_begin), .end = PARTS_JOIN(_end),      \
         .tile = PARTS_JOIN(_tile)}, LEVEL_FIELDS}
static const tsr_kernels PARTS_JOIN(_kernels)[] = {PARTS_TABLE(3), PARTS_TABLE(2), PARTS_TABLE(1)};

#undef PARTS_TARGET
#undef PARTS_JOIN
#undef PARTS_TABLE
#undef SIDE
#undef TILE_VALUES
#undef DOT_ALL
#undef DOT_LEFT
#undef LOAD_RIGHT
#undef DOT_RIGHT
#undef TILES
#undef TILES_NAME
#undef TILES_EMULATED
#undef TILES_TARGET
#undef TILES_CONFIGURE
#undef TILES_RELEASE
#undef TILES_DECLARE
#undef TILE_ZERO
#undef TILE_LOAD
#undef TILE_STORE
#undef TILE_DOT
