/* Stands in for the tile instructions (tiles_amx.h) in plain C, so that what is built on them is tested everywhere: the
 * tests have it (tests/emulated.c), programs do not. Slow; runs only where it is asked for by name. Gives the bits of
 * the instructions as Intel's manual defines them. */
#include <float.h>
#include <math.h>

#define TILES emulated
#define TILES_NAME "tiles-emulated"
#define TILES_EMULATED true
#define TILES_TARGET
#define TILES_CONFIGURE() ((void)0)
#define TILES_RELEASE() ((void)0)
#define TILES_DECLARE emulated_register tiles[8];
#define TILE_ZERO(n) memset(&tiles[n], 0, sizeof tiles[n])
#define TILE_LOAD(n, from) emulated_move(&tiles[n], 64, from, 64)
#define TILE_STORE(n, to, stride) emulated_move(to, stride, &tiles[n], 64)
#define TILE_DOT(sum, a, b) emulated_dot(&tiles[sum], &tiles[a], &tiles[b])

typedef struct emulated_register {
    uint32_t row[16][16]; /* of floats, or of pairs of bfloat16 */
} emulated_register;

static inline float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float flushed(float x) { return fabsf(x) < FLT_MIN ? copysignf(0, x) : x; }

/* In double the product is exact and the sum rounds once in effect (53 >= 2 * 24 + 2 bits): a fused multiply-add. */
static inline float emulated_fma(uint32_t a, uint32_t b, float sum)
{
    return flushed((float)((double)flushed(float_of(a)) * (double)flushed(float_of(b)) + (double)sum));
}

/* TDPBF16PS: the first and the second values of the pairs are summed each for themselves, from zero. */
static void emulated_dot(emulated_register *sum, const emulated_register *a, const emulated_register *b)
{
    for (int m = 0; m < 16; m++) {
        float first[16] = {0}, second[16] = {0};
        for (int k = 0; k < 16; k++)
            for (int n = 0; n < 16; n++) {
                first[n] = emulated_fma(a->row[m][k] << 16, b->row[k][n] << 16, first[n]);
                second[n] = emulated_fma(a->row[m][k] & 0xffff0000, b->row[k][n] & 0xffff0000, second[n]);
            }
        for (int n = 0; n < 16; n++)
            sum->row[m][n] = bits_of(flushed(flushed(float_of(sum->row[m][n])) + flushed(first[n] + second[n])));
    }
}

static void emulated_move(void *to, int64_t to_stride, const void *from, int64_t from_stride)
{
    for (int m = 0; m < 16; m++) memcpy((char *)to + m * to_stride, (const char *)from + m * from_stride, 64);
}
