/* JPEG: from coefficients to pixels. The loops over rows are compiled for each instruction set, with all that they
 * call. */
#include "apps/common/jpeg_internal.h"
#include "core/kernels/levels.h"

#include <stdlib.h>
#include <string.h>

/* ---- inverse cosine transform -------------------------------------------------------------------------- */

/* Loeffler, Ligtenberg and Moschytz 1989 (figure 1, turned round), in whole numbers with 13 bits of fraction. Eight
 * columns side by side: all operands fit 16 bits, so that compilers find the CPU's widening multiplications. */
#define FIXED(x) ((int16_t)((x) * 8192 + 0.5))
#define TIMES(a, b) ((int32_t)(int16_t)(a) * FIXED(b))

enum { FRACTION = 13, EXTRA = 2 }; /* the first pass keeps two more bits for the second */

/* No picture comes near these limits; without them a hostile file could make the sums overflow. */
enum { MOST_FIRST = 8191, MOST_SECOND = 12288 };

static TSR_INLINE int16_t within(int32_t v, int32_t most)
{
    const int32_t low = v < most ? v : most; /* a minimum and a maximum, which CPUs have */
    return (int16_t)(low > -most ? low : -most);
}

static TSR_INLINE void transform(const int16_t *restrict in, int16_t *restrict out, const int shift)
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

/* Three perfect shuffles (the halves of 64 values, one from each in turn) turn the three low bits of a place and the
 * three high ones round: rows become columns. Loops of this kind become a few instructions. */
static TSR_INLINE void shuffle(const int16_t *restrict in, int16_t *restrict out)
{
    for (int i = 0; i < 32; i++) {
        out[2 * i] = in[i];
        out[2 * i + 1] = in[32 + i];
    }
}

static TSR_INLINE void transpose(int16_t *restrict values, int16_t *restrict room)
{
    shuffle(values, room);
    shuffle(room, values);
    shuffle(values, room);
    memcpy(values, room, 64 * sizeof *values);
}

static TSR_INLINE uint8_t clamp(int16_t v)
{
    const int16_t low = v < 255 ? v : 255;
    return (uint8_t)(low > 0 ? low : 0);
}

static TSR_INLINE void block_samples(const int16_t *coefficients, const uint16_t *steps, uint8_t *out, size_t stride)
{
    int16_t a[64], b[64], rest = 0;
    uint8_t samples[64];
    for (int i = 1; i < 64; i++) rest |= coefficients[i];
    if (rest == 0) { /* flat */
        const int32_t dc = within((int32_t)coefficients[0] * steps[0], MOST_FIRST);
        const uint8_t value = clamp((int16_t)(((dc * 4 + 16) >> 5) + 128));
        for (int y = 0; y < 8; y++) memset(out + (size_t)y * stride, value, 8);
        return;
    }
    for (int i = 0; i < 64; i++) a[i] = within((int32_t)coefficients[i] * steps[i], MOST_FIRST);
    transform(a, b, FRACTION - EXTRA);
    transpose(b, a);
    transform(b, a, FRACTION + EXTRA + 3);
    transpose(a, b);
    for (int i = 0; i < 64; i++) samples[i] = clamp((int16_t)(a[i] + 128));
    for (int y = 0; y < 8; y++) memcpy(out + (size_t)y * stride, samples + 8 * y, 8);
}

typedef struct samples_job {
    const jpeg_component *component;
    const uint16_t *steps;
} samples_job;

static TSR_LOOP(samples_body)
{
    const samples_job *job = user;
    const jpeg_component *c = job->component;
    const size_t across = (size_t)c->stored_across;
    const int16_t *block = c->coefficients;
    for (int64_t y = begin; y < end; y++)
        for (size_t x = 0; x < across; x++, block += 64)
            block_samples(block, job->steps, c->samples + ((size_t)y * across * 8 + x) * 8, across * 8);
}

bool jpeg_samples_ready(jpeg *j, jpeg_component *c)
{
    if (!j->quantised[c->quantisation]) return jpeg_fail(j, "lacks a quantisation table");
    if (!c->samples) c->samples = malloc((size_t)c->stored_across * (size_t)c->stored_down * 64);
    return c->samples || jpeg_fail(j, "needs more memory than there is");
}

void jpeg_make_samples(const jpeg *j, jpeg_component *c, int begin, int end)
{
    samples_body[j->level](&(samples_job){c, j->quantisation[c->quantisation]}, begin, end);
}

/* ---- chroma to full size ------------------------------------------------------------------------------- */

/* Where a component has half the width or height, samples between are three parts of the near one and one of the far
 * one; `sums` are a row with 4^vertical times its values. Else samples are repeated. Rounding as the widespread
 * libraries do. */
typedef struct enlarger {
    const jpeg_component *c;
    int across, down; /* how often each sample is repeated */
    bool smooth_across, smooth_down;
    int16_t *sums;
} enlarger;

static TSR_INLINE enlarger enlarger_of(const jpeg *j, const jpeg_component *c, int16_t *sums)
{
    enlarger e = {.c = c, .across = j->h_most / c->h, .down = j->v_most / c->v, .sums = sums};
    e.smooth_across = e.across == 2 && e.down <= 2 && c->width > 2;
    e.smooth_down = e.down == 2 && (e.across == 1 || e.smooth_across);
    return e;
}

static TSR_INLINE const uint8_t *sample_row(const jpeg_component *c, int y)
{
    const int inside = y < 0 ? 0 : y >= c->height ? c->height - 1 : y;
    return c->samples + (size_t)inside * 8 * (size_t)c->stored_across;
}

typedef struct rounding {
    int left, right, first, last, shift;
} rounding;

/* Twice as many values as sums[0 .. last]. */
static TSR_INLINE void enlarge_across(const int16_t *restrict sums, int last, uint8_t *restrict out, rounding r)
{
    for (int i = 1; i < last; i++) { /* with both in one loop, compilers find instructions that interleave */
        out[2 * i] = (uint8_t)((3 * sums[i] + sums[i - 1] + r.left) >> r.shift);
        out[2 * i + 1] = (uint8_t)((3 * sums[i] + sums[i + 1] + r.right) >> r.shift);
    }
    if (last > 0) {
        out[1] = (uint8_t)((3 * sums[0] + sums[1] + r.right) >> r.shift);
        out[2 * last] = (uint8_t)((3 * sums[last] + sums[last - 1] + r.left) >> r.shift);
    }
    out[0] = (uint8_t)((4 * sums[0] + r.first) >> r.shift);
    out[2 * last + 1] = (uint8_t)((4 * sums[last] + r.last) >> r.shift);
}

/* Row y of the picture, `width` values; there is room for one more. */
static TSR_INLINE void enlarge_row(const enlarger *e, int y, uint8_t *out, int width)
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

/* c x / 65536, rounded, by the upper half of a product of 16 bits. */
static TSR_INLINE int16_t scaled(int16_t c, int16_t x)
{
    const int16_t twice = (int16_t)((c * (int16_t)(2 * x)) >> 16);
    return (int16_t)((int16_t)(twice + 1) >> 1);
}

/* JFIF: full-range BT.601. In place; factors above a half are split, so that all fit 16 bits. */
static TSR_INLINE void to_rgb(uint8_t *restrict a, uint8_t *restrict b, uint8_t *restrict c, int width)
{
    const int32_t half = 32768;
    for (int x = 0; x < width; x++) {
        const int16_t y = a[x], blue = (int16_t)(b[x] - 128), red = (int16_t)(c[x] - 128);
        const int16_t green = (int16_t)((COLOUR(0.28586) * red - COLOUR(0.34414) * blue + half) >> 16);
        a[x] = clamp((int16_t)(y + red + scaled(COLOUR(0.40200), red)));           /* 1.40200 red */
        b[x] = clamp((int16_t)(y - red + green));                                  /* - 0.71414 red - 0.34414 blue */
        c[x] = clamp((int16_t)(y + 2 * blue + scaled(-COLOUR(0.22800), blue)));    /* 1.77200 blue */
    }
}

static bool is_ycc(const jpeg *j)
{
    if (j->jfif && j->components == 3) return true;
    if (j->adobe >= 0) return j->adobe != 0;
    if (j->components == 4) return false;
    const jpeg_component *c = j->component;
    return !(c[0].id == 'R' && c[1].id == 'G' && c[2].id == 'B');
}

static TSR_INLINE void interleave(const uint8_t *restrict r, const uint8_t *restrict g, const uint8_t *restrict b,
                                  int width, uint8_t *restrict out)
{
    for (int x = 0; x < width; x++) {
        out[3 * x] = r[x];
        out[3 * x + 1] = g[x];
        out[3 * x + 2] = b[x];
    }
}

/* One row of the picture from rows of all components. Four are cyan, magenta, yellow and black, which Adobe stores
 * inverted; in YCCK the first three are the colours that this turned round gives. */
static TSR_INLINE void write_row(const jpeg *j, uint8_t *const rows[], uint8_t *out)
{
    if (j->components == 1) {
        memcpy(out, rows[0], (size_t)j->width);
        return;
    }
    uint8_t *restrict r = rows[0], *restrict g = rows[1], *restrict b = rows[2];
    if (is_ycc(j)) to_rgb(r, g, b, j->width);
    if (j->components == 4) {
        const int turn = j->adobe >= 0 ? 0 : 255, turn_colour = is_ycc(j) ? 255 : turn;
        for (int x = 0; x < j->width; x++) {
            const int light = rows[3][x] ^ turn;
            r[x] = (uint8_t)(((r[x] ^ turn_colour) * light + 127) / 255);
            g[x] = (uint8_t)(((g[x] ^ turn_colour) * light + 127) / 255);
            b[x] = (uint8_t)(((b[x] ^ turn_colour) * light + 127) / 255);
        }
    }
    interleave(r, g, b, j->width, out);
}

typedef struct rows_job {
    const jpeg *j;
    const image *picture;
    uint8_t *rows; /* one for each component */
    int16_t *sums;
} rows_job;

static TSR_LOOP(rows_body)
{
    const rows_job *job = user;
    const jpeg *j = job->j;
    const size_t width = (size_t)j->width;
    uint8_t *rows[JPEG_COMPONENTS];
    for (int64_t y = begin; y < end; y++) {
        for (int i = 0; i < j->components; i++) {
            const enlarger e = enlarger_of(j, &j->component[i], job->sums);
            rows[i] = job->rows + (size_t)i * (width + 1);
            enlarge_row(&e, (int)y, rows[i], j->width);
        }
        write_row(j, rows, job->picture->pixels + (size_t)y * width * (size_t)job->picture->channels);
    }
}

bool jpeg_make_picture(jpeg *j, image *picture, app_error *error)
{
    for (int i = 0; !j->by_rows && i < j->components; i++) {
        if (!jpeg_samples_ready(j, &j->component[i])) return false;
        jpeg_make_samples(j, &j->component[i], 0, j->component[i].stored_down);
    }
    if (!image_new(picture, j->width, j->height, j->components == 1 ? 1 : 3, error)) return false;
    const size_t width = (size_t)j->width;
    rows_job job = {j, picture, malloc((width + 1) * JPEG_COMPONENTS), malloc((width + 8) * sizeof *job.sums)};
    if (job.rows && job.sums) rows_body[j->level](&job, 0, j->height);
    else jpeg_fail(j, "needs more memory than there is");
    free(job.rows);
    free(job.sums);
    return !j->problem;
}
