/* BMP: 1, 4, 8, 16, 24 and 32 bits, bit fields, runs of 4 and 8 bits; headers of OS/2 and of Windows. */
#include "apps/common/bytes.h"
#include "apps/common/image_formats.h"

#include <string.h>

enum { PLAIN = 0, RUNS_8 = 1, RUNS_4 = 2, FIELDS = 3, ALPHA_FIELDS = 6 };
enum { MOST_OF_A_BYTE = 1024 }; /* pixels of a packed picture */

typedef struct bmp {
    const unsigned char *bytes, *end, *next;
    const char *problem;
    int64_t width, height;
    bool top_down;
    int bits, packing;
    uint32_t mask[3]; /* red, green, blue of 16 and 32 bits */
    unsigned char palette[256][3];
    int colours;
    int64_t x, y; /* where runs have come to, from the lower left corner */
} bmp;

static bool bmp_fail(bmp *b, const char *problem)
{
    if (!b->problem) b->problem = problem;
    return false;
}

static int64_t signed32(const unsigned char *p)
{
    return (int32_t)bytes_little32(p);
}

/* ---- header -------------------------------------------------------------------------------------------- */

static bool read_size(bmp *b, const unsigned char *header, uint32_t header_size)
{
    if (header_size == 12) {
        b->width = bytes_little16(header + 4);
        b->height = bytes_little16(header + 6);
        b->bits = (int)bytes_little16(header + 10);
    } else {
        b->width = signed32(header + 4);
        b->height = signed32(header + 8);
        b->bits = (int)bytes_little16(header + 14);
        b->packing = (int)bytes_little32(header + 16);
        b->colours = (int)bytes_little32(header + 32);
    }
    b->top_down = b->height < 0;
    if (b->top_down) b->height = -b->height;
    if (!image_size_is_sound(b->width, b->height, 3)) return bmp_fail(b, "has a size of 0 or too large a size");
    const bool indexed = b->bits == 1 || b->bits == 4 || b->bits == 8;
    const bool fields = b->packing == FIELDS || b->packing == ALPHA_FIELDS;
    if (b->packing == PLAIN ? !indexed && b->bits != 16 && b->bits != 24 && b->bits != 32
        : fields            ? b->bits != 16 && b->bits != 32
                            : !(b->packing == RUNS_8 && b->bits == 8) && !(b->packing == RUNS_4 && b->bits == 4))
        return bmp_fail(b, "is a BMP of a kind that is not read");
    if (b->top_down && (b->packing == RUNS_8 || b->packing == RUNS_4)) return bmp_fail(b, "has runs from the top down");
    return true;
}

static bool read_palette(bmp *b, const unsigned char *from, uint32_t header_size)
{
    const int entry = header_size == 12 ? 3 : 4, most = b->bits <= 8 ? 1 << b->bits : 0;
    if (b->colours <= 0 || b->colours > most) b->colours = most;
    if (b->end - from < (int64_t)entry * b->colours) return bmp_fail(b, "is truncated");
    for (int i = 0; i < b->colours; i++)
        for (int c = 0; c < 3; c++) b->palette[i][c] = from[i * entry + 2 - c];
    return true;
}

static bool read_header(bmp *b)
{
    if (b->end - b->bytes < 14 + 12) return bmp_fail(b, "is truncated");
    const uint32_t pixels = bytes_little32(b->bytes + 10), header_size = bytes_little32(b->bytes + 14);
    const unsigned char *header = b->bytes + 14;
    if (header_size != 12 && (header_size < 40 || header_size > 124))
        return bmp_fail(b, "has a header of an unknown kind");
    if (b->end - header < (int64_t)header_size) return bmp_fail(b, "is truncated");
    if (!read_size(b, header, header_size)) return false;
    const unsigned char *after = header + header_size;
    const bool fields = b->packing == FIELDS || b->packing == ALPHA_FIELDS;
    if (fields) {
        if (b->end - (header + 40) < 12) return bmp_fail(b, "is truncated");
        for (int c = 0; c < 3; c++) b->mask[c] = bytes_little32(header + 40 + 4 * c);
        if (header_size == 40) after += b->packing == FIELDS ? 12 : 16;
    } else
        for (int c = 0; c < 3; c++) b->mask[c] = b->bits == 16 ? 31u << (10 - 5 * c) : 255u << (16 - 8 * c);
    if (!read_palette(b, after, header_size)) return false;
    if (pixels > (size_t)(b->end - b->bytes)) return bmp_fail(b, "is truncated");
    b->next = b->bytes + pixels;
    return true;
}

/* ---- pixels -------------------------------------------------------------------------------------------- */

static bool put_colour(bmp *b, int colour, unsigned char *to)
{
    if (colour >= b->colours) return bmp_fail(b, "has a colour that its palette lacks");
    memcpy(to, b->palette[colour], 3);
    return true;
}

/* A field of a pixel, scaled to 8 bits. */
static unsigned char field(uint32_t value, uint32_t mask)
{
    if (mask == 0) return 0;
    while (!(mask & 1)) {
        mask >>= 1;
        value >>= 1;
    }
    return (unsigned char)(((uint64_t)(value & mask) * 255 + mask / 2) / mask);
}

static bool read_row(bmp *b, const unsigned char *row, unsigned char *to)
{
    for (int64_t x = 0; x < b->width; x++, to += 3) {
        if (b->bits <= 8) {
            const int per_byte = 8 / b->bits, shift = 8 - b->bits - (int)(x % per_byte) * b->bits;
            if (!put_colour(b, row[x / per_byte] >> shift & ((1 << b->bits) - 1), to)) return false;
        } else if (b->bits == 24)
            for (int c = 0; c < 3; c++) to[c] = row[3 * x + 2 - c];
        else {
            const uint32_t value = b->bits == 16 ? bytes_little16(row + 2 * x) : bytes_little32(row + 4 * x);
            for (int c = 0; c < 3; c++) to[c] = field(value, b->mask[c]);
        }
    }
    return true;
}

static bool read_rows(bmp *b, image *picture, app_error *error)
{
    const int64_t bytes = (b->width * b->bits + 31) / 32 * 4;
    if ((b->end - b->next) / bytes < b->height) return bmp_fail(b, "is truncated");
    if (!image_new(picture, (int)b->width, (int)b->height, 3, error)) return false;
    for (int64_t y = 0; y < b->height; y++) {
        const int64_t down = b->top_down ? y : b->height - 1 - y;
        if (!read_row(b, b->next + y * bytes, picture->pixels + down * b->width * 3)) return false;
    }
    return true;
}

/* ---- runs ---------------------------------------------------------------------------------------------- */

/* The next `count` pixels: a run of two colours in turn, or the colours at `from`. What lies outside is dropped. */
static bool put_run(bmp *b, image *picture, int count, const unsigned char *from, bool run)
{
    for (int i = 0; i < count; i++, b->x++) {
        const int colour = b->bits == 8 ? from[run ? 0 : i] : from[run ? 0 : i / 2] >> (i % 2 ? 0 : 4) & 15;
        if (b->x < b->width && b->y < b->height &&
            !put_colour(b, colour, picture->pixels + ((b->height - 1 - b->y) * b->width + b->x) * 3))
            return false;
    }
    return true;
}

static bool read_runs(bmp *b, image *picture, app_error *error)
{
    const unsigned char *p = b->next;
    /* Two bytes make a run of 255 at most; skips reach further, but what a small file says of a huge picture is not
     * believed. */
    if (b->width * b->height > (int64_t)(b->end - p) * MOST_OF_A_BYTE) return bmp_fail(b, "is truncated");
    if (!image_new(picture, (int)b->width, (int)b->height, 3, error)) return false;
    for (int64_t i = 0; i < b->width * b->height; i++)
        if (!put_colour(b, 0, picture->pixels + 3 * i)) return false;
    while (b->end - p >= 2) {
        const int count = p[0], what = p[1];
        p += 2;
        if (count > 0) {
            if (!put_run(b, picture, count, p - 1, true)) return false;
        } else if (what == 1) return true;
        else if (what == 0) {
            b->x = 0;
            b->y++;
        } else if (what == 2) {
            if (b->end - p < 2) break;
            b->x += p[0];
            b->y += p[1];
            p += 2;
        } else {
            const int bytes = b->bits == 8 ? what : (what + 1) / 2, padded = (bytes + 1) / 2 * 2;
            if (b->end - p < padded) break;
            if (!put_run(b, picture, what, p, false)) return false;
            p += padded;
        }
    }
    return bmp_fail(b, "is truncated");
}

bool bmp_recognised(const unsigned char *bytes, size_t count)
{
    return count >= 18 && bytes[0] == 'B' && bytes[1] == 'M' && bytes_little32(bytes + 14) <= 124;
}

bool bmp_decode(image *picture, const unsigned char *bytes, size_t count, image_about *about, app_error *error)
{
    bmp b = {.bytes = bytes, .end = bytes + count};
    const bool runs = read_header(&b) && (b.packing == RUNS_8 || b.packing == RUNS_4);
    const bool done = !b.problem && (runs ? read_runs : read_rows)(&b, picture, error);
    if (b.problem) app_fail(error, "%s", b.problem);
    about->detail = runs ? "runs" : b.bits <= 8 ? "palette" : b.top_down ? "from the top down" : "plain";
    return done;
}
