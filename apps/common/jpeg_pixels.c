/* JPEG: from coefficients to pixels. */
#include "apps/common/jpeg_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- inverse cosine transform -------------------------------------------------------------------------- */

/* Loeffler, Ligtenberg and Moschytz 1989 (figure 1, turned round), in whole numbers with 13 bits of fraction. Eight columns
 * side by side: all operands fit 16 bits, so that compilers find the CPU's widening multiplications. */
#define FIXED(x) ((int16_t)((x) * 8192 + 0.5))
#define TIMES(a, b) ((int32_t)(int16_t)(a) * FIXED(b))

enum { FRACTION = 13, EXTRA = 2 }; /* the first pass keeps two more bits for the second */

/* No picture comes near these limits; without them a hostile file could make the sums overflow. */
enum { MOST_FIRST = 8191, MOST_SECOND = 12288 };

static inline int16_t within(int32_t v, int32_t most)
{
    return (int16_t)(v > most ? most : v < -most ? -most : v);
}

static inline void transform(const int16_t *restrict in, int16_t *restrict out, const int shift)
{
    const int32_t half = (int32_t)1 << (shift - 1);
    for (int i = 0; i < 8; i++) {
        const int16_t c0 = in[i], c1 = in[8 + i], c2 = in[16 + i], c3 = in[24 + i];
        const int16_t c4 = in[32 + i], c5 = in[40 + i], c6 = in[48 + i], c7 = in[56 + i];
        /* even part */
        const int32_t z = TIMES(c2 + c6, 0.541196100);
        const int32_t b2 = z - TIMES(c6, 1.847759065), b3 = z + TIMES(c2, 0.765366865);
        const int32_t b0 = (c0 + c4) * (1 << FRACTION) + half, b1 = (c0 - c4) * (1 << FRACTION) + half;
        /* odd part */
        const int32_t z5 = TIMES(c7 + c3, 1.175875602) + TIMES(c5 + c1, 1.175875602);
        const int32_t z1 = -TIMES(c7 + c1, 0.899976223), z2 = -TIMES(c5 + c3, 2.562915447);
        const int32_t z3 = z5 - TIMES(c7 + c3, 1.961570560), z4 = z5 - TIMES(c5 + c1, 0.390180644);
        const int32_t t0 = TIMES(c7, 0.298631336) + z1 + z3, t1 = TIMES(c5, 2.053119869) + z2 + z4;
        const int32_t t2 = TIMES(c3, 3.072711026) + z2 + z3, t3 = TIMES(c1, 1.501321110) + z1 + z4;
        out[i] = within((b0 + b3 + t3) >> shift, MOST_SECOND);
        out[8 + i] = within((b1 + b2 + t2) >> shift, MOST_SECOND);
        out[16 + i] = within((b1 - b2 + t1) >> shift, MOST_SECOND);
        out[24 + i] = within((b0 - b3 + t0) >> shift, MOST_SECOND);
        out[32 + i] = within((b0 - b3 - t0) >> shift, MOST_SECOND);
        out[40 + i] = within((b1 - b2 - t1) >> shift, MOST_SECOND);
        out[48 + i] = within((b1 + b2 - t2) >> shift, MOST_SECOND);
        out[56 + i] = within((b0 + b3 - t3) >> shift, MOST_SECOND);
    }
}

static uint8_t clamp(int32_t v)
{
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

static void block_samples(const int16_t *coefficients, const uint16_t *steps, uint8_t *out, size_t stride)
{
    int16_t a[64], b[64], rest = 0;
    for (int i = 1; i < 64; i++) rest |= coefficients[i];
    if (rest == 0) { /* flat */
        const int32_t dc = within((int32_t)coefficients[0] * steps[0], MOST_FIRST);
        const uint8_t value = clamp(((dc * 4 + 16) >> 5) + 128);
        for (int y = 0; y < 8; y++) memset(out + (size_t)y * stride, value, 8);
        return;
    }
    for (int i = 0; i < 64; i++) a[i] = within((int32_t)coefficients[i] * steps[i], MOST_FIRST);
    transform(a, b, FRACTION - EXTRA);
    for (int y = 0; y < 8; y++)
        for (int x = 0; x < 8; x++) a[8 * x + y] = b[8 * y + x];
    transform(a, b, FRACTION + EXTRA + 3);
    for (int y = 0; y < 8; y++)
        for (int x = 0; x < 8; x++) out[(size_t)y * stride + (size_t)x] = clamp(b[8 * x + y] + 128);
}

static bool make_samples(jpeg *j, jpeg_component *c)
{
    const size_t stride = 8 * (size_t)c->stored_across;
    if (!j->quantised[c->quantisation]) return jpeg_fail(j, "lacks a quantisation table");
    c->samples = malloc(stride * 8 * (size_t)c->stored_down);
    if (!c->samples) return jpeg_fail(j, "needs more memory than there is");
    const int16_t *block = c->coefficients;
    for (int y = 0; y < c->stored_down; y++)
        for (int x = 0; x < c->stored_across; x++, block += 64)
            block_samples(block, j->quantisation[c->quantisation], c->samples + (size_t)y * 8 * stride + (size_t)x * 8,
                          stride);
    return true;
}

/* ---- chroma to full size ------------------------------------------------------------------------------- */

/* Where a component has half the width or height, samples between are three parts of the near one and one of the far one;
 * `sums` are a row with 4^vertical times its values. Else samples are repeated. Rounding as the widespread libraries do. */
typedef struct enlarger {
    const jpeg_component *c;
    int across, down; /* how often each sample is repeated */
    bool smooth_across, smooth_down;
    int16_t *sums;
} enlarger;

static enlarger enlarger_of(const jpeg *j, const jpeg_component *c, int16_t *sums)
{
    enlarger e = {.c = c, .across = j->h_most / c->h, .down = j->v_most / c->v, .sums = sums};
    e.smooth_across = e.across == 2 && e.down <= 2 && c->width > 2;
    e.smooth_down = e.down == 2 && (e.across == 1 || e.smooth_across);
    return e;
}

static const uint8_t *sample_row(const jpeg_component *c, int y)
{
    const int inside = y < 0 ? 0 : y >= c->height ? c->height - 1 : y;
    return c->samples + (size_t)inside * 8 * (size_t)c->stored_across;
}

typedef struct rounding {
    int left, right, first, last, shift;
} rounding;

/* Twice as many values as sums[0 .. last]. */
static inline void enlarge_across(const int16_t *restrict sums, int last, uint8_t *restrict out, rounding r)
{
    for (int i = 1; i <= last; i++) out[2 * i] = (uint8_t)((3 * sums[i] + sums[i - 1] + r.left) >> r.shift);
    for (int i = 0; i < last; i++) out[2 * i + 1] = (uint8_t)((3 * sums[i] + sums[i + 1] + r.right) >> r.shift);
    out[0] = (uint8_t)((4 * sums[0] + r.first) >> r.shift);
    out[2 * last + 1] = (uint8_t)((4 * sums[last] + r.last) >> r.shift);
}

/* Row y of the picture, `width` values; there is room for one more. */
static void enlarge_row(const enlarger *e, int y, uint8_t *out, int width)
{
    const jpeg_component *c = e->c;
    const int source = y / e->down, last = c->width - 1;
    const uint8_t *near = sample_row(c, source);
    if (!e->smooth_down && !e->smooth_across) {
        if (e->across == 1) memcpy(out, near, (size_t)width);
        else
            for (int x = 0; x < width; x++) out[x] = near[x / e->across];
        return;
    }
    int16_t *sums = e->sums;
    const uint8_t *far = sample_row(c, y % 2 ? source + 1 : source - 1);
    for (int x = 0; x <= last; x++) sums[x] = (int16_t)(e->smooth_down ? 3 * near[x] + far[x] : near[x]);
    if (!e->smooth_across)
        for (int x = 0; x < width; x++) out[x] = (uint8_t)((sums[x] + 1 + y % 2) >> 2);
    else if (e->smooth_down) enlarge_across(sums, last, out, (rounding){8, 7, 8, 7, 4});
    else enlarge_across(sums, last, out, (rounding){1, 2, 0, 0, 2});
}

/* ---- colour -------------------------------------------------------------------------------------------- */

#define COLOUR(x) ((int16_t)((x) * 65536 + 0.5))

/* JFIF: full-range BT.601. In place; factors above a half are split, so that all fit 16 bits. */
static void to_rgb(uint8_t *restrict a, uint8_t *restrict b, uint8_t *restrict c, int width)
{
    const int32_t half = 32768;
    for (int x = 0; x < width; x++) {
        const int16_t y = a[x], blue = (int16_t)(b[x] - 128), red = (int16_t)(c[x] - 128);
        a[x] = clamp(y + red + ((COLOUR(0.40200) * red + half) >> 16));                        /* 1.40200 red */
        b[x] = clamp(y - red + ((COLOUR(0.28586) * red - COLOUR(0.34414) * blue + half) >> 16)); /* - 0.71414 red */
        c[x] = clamp(y + 2 * blue + ((half - COLOUR(0.22800) * blue) >> 16));                  /* 1.77200 blue */
    }
}

static bool is_ycc(const jpeg *j)
{
    if (j->adobe >= 0) return j->adobe != 0;
    if (j->components == 4) return false;
    const jpeg_component *c = j->component;
    return !(c[0].id == 'R' && c[1].id == 'G' && c[2].id == 'B');
}

/* One row of the picture from rows of all components. Four are cyan, magenta, yellow and black, which Adobe stores
 * inverted; as YCCK the first three are a picture of their own. */
static void write_row(const jpeg *j, uint8_t *const rows[], uint8_t *out)
{
    if (j->components == 1) {
        memcpy(out, rows[0], (size_t)j->width);
        return;
    }
    uint8_t *restrict r = rows[0], *restrict g = rows[1], *restrict b = rows[2];
    if (is_ycc(j)) to_rgb(r, g, b, j->width);
    if (j->components == 4) {
        const int turn = j->adobe >= 0 ? 0 : 255;
        for (int x = 0; x < j->width; x++) {
            const int light = rows[3][x] ^ turn;
            r[x] = (uint8_t)(((r[x] ^ turn) * light + 127) / 255);
            g[x] = (uint8_t)(((g[x] ^ turn) * light + 127) / 255);
            b[x] = (uint8_t)(((b[x] ^ turn) * light + 127) / 255);
        }
    }
    for (int x = 0; x < j->width; x++) {
        out[3 * x] = r[x];
        out[3 * x + 1] = g[x];
        out[3 * x + 2] = b[x];
    }
}

bool jpeg_make_picture(jpeg *j, image *picture, app_error *error)
{
    for (int i = 0; i < j->components; i++)
        if (!make_samples(j, &j->component[i])) return false;
    if (!image_new(picture, j->width, j->height, j->components == 1 ? 1 : 3, error)) return false;
    const size_t width = (size_t)j->width;
    uint8_t *memory = malloc((width + 1) * JPEG_COMPONENTS), *rows[JPEG_COMPONENTS];
    int16_t *sums = malloc((width + 8) * sizeof *sums);
    if (memory && sums)
        for (int y = 0; y < j->height; y++) {
            for (int i = 0; i < j->components; i++) {
                const enlarger e = enlarger_of(j, &j->component[i], sums);
                rows[i] = memory + (size_t)i * (width + 1);
                enlarge_row(&e, y, rows[i], j->width);
            }
            write_row(j, rows, picture->pixels + (size_t)y * width * (size_t)picture->channels);
        }
    else jpeg_fail(j, "needs more memory than there is");
    free(memory);
    free(sums);
    return !j->problem;
}
