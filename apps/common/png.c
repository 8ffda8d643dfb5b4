/* PNG (ISO/IEC 15948): reads all of it, writes 8 bits a sample. Alpha, colours that stand for transparent, and gamma
 * are left out. */
#include "apps/common/bytes.h"
#include "apps/common/image_formats.h"
#include "apps/common/inflate.h"

#include <stdlib.h>
#include <string.h>

enum { GREY = 0, RGB = 2, PALETTE = 3, GREY_ALPHA = 4, RGB_ALPHA = 6 };

static const unsigned char signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};

typedef struct png {
    const unsigned char *next, *end;
    const char *problem;
    int64_t width, height;
    int depth, colour, samples; /* bits; type; samples of a pixel */
    bool interlaced;
    int orientation;            /* of eXIf */
    unsigned char palette[256][3];
    int palette_count;
    unsigned char *packed;      /* all IDAT together */
    size_t packed_size;
} png;

/* Part of a picture: every dx-th pixel from x on, every dy-th row from y on. */
typedef struct pass {
    int x, y, dx, dy;
} pass;

static const pass passes[8] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, /* Adam7, and the whole */
                               {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}, {0, 0, 1, 1}};

static bool png_fail(png *p, const char *problem)
{
    if (!p->problem) p->problem = problem;
    return false;
}

/* ---- chunks -------------------------------------------------------------------------------------------- */

static bool read_header(png *p, const unsigned char *data, size_t size)
{
    static const unsigned char depths[7] = {31, 0, 24, 15, 24, 0, 24}; /* sets of 1, 2, 4, 8, 16, by colour */
    if (size != 13) return png_fail(p, "has a bad header");
    p->width = bytes_big32(data);
    p->height = bytes_big32(data + 4);
    p->depth = data[8];
    p->colour = data[9];
    p->interlaced = data[12] == 1;
    int log = 0;
    while (log < 5 && p->depth != 1 << log) log++;
    if (p->colour > 6 || !(depths[p->colour] >> log & 1) || data[10] != 0 || data[11] != 0 || data[12] > 1)
        return png_fail(p, "has a bad header");
    if (!image_size_is_sound(p->width, p->height, 4)) return png_fail(p, "has a size of 0 or too large a size");
    p->samples = p->colour == RGB ? 3 : p->colour == RGB_ALPHA ? 4 : p->colour == GREY_ALPHA ? 2 : 1;
    return true;
}

static bool read_palette(png *p, const unsigned char *data, size_t size)
{
    if (size == 0 || size % 3 != 0 || size > sizeof p->palette) return png_fail(p, "has a bad palette");
    memcpy(p->palette, data, size);
    p->palette_count = (int)(size / 3);
    return true;
}

/* All chunks up to IEND; others than these five add nothing, unless they are critical. */
static bool read_chunks(png *p)
{
    bool ended = false;
    while (!ended) {
        if (p->end - p->next < 12) return png_fail(p, "is truncated");
        const size_t size = bytes_big32(p->next);
        if (size > (size_t)(p->end - p->next) - 12) return png_fail(p, "is truncated");
        const unsigned char *type = p->next + 4, *data = p->next + 8;
        if (!bytes_checksum_holds(bytes_crc32(0, type, size + 4), bytes_big32(data + size)))
            return png_fail(p, "is damaged (a chunk's checksum)");
        p->next = data + size + 4;
        const bool header = memcmp(type, "IHDR", 4) == 0;
        if (header != (p->width == 0)) return png_fail(p, "does not begin with its only header");
        if (header && !read_header(p, data, size)) return false;
        if (memcmp(type, "PLTE", 4) == 0 && !read_palette(p, data, size)) return false;
        if (memcmp(type, "eXIf", 4) == 0) p->orientation = exif_orientation(data, size);
        if (memcmp(type, "IDAT", 4) == 0) {
            memmove(p->packed + p->packed_size, data, size);
            p->packed_size += size;
        }
        ended = memcmp(type, "IEND", 4) == 0;
        if (!(type[0] & 32) && !header && !ended && memcmp(type, "PLTE", 4) != 0 && memcmp(type, "IDAT", 4) != 0)
            return png_fail(p, "holds a critical chunk of an unknown kind");
    }
    return p->colour != PALETTE || p->palette_count > 0 || png_fail(p, "lacks a palette");
}

/* ---- rows ---------------------------------------------------------------------------------------------- */

static int64_t pixels_of(int64_t length, int start, int step)
{
    return length > start ? (length - start + step - 1) / step : 0;
}

/* Bytes of a row of so many pixels, without the filter's number. */
static int64_t row_bytes(const png *p, int64_t pixels)
{
    return (pixels * p->samples * p->depth + 7) / 8;
}

static int paeth(int left, int above, int corner)
{
    const int guess = left + above - corner;
    const int by_left = abs(guess - left), by_above = abs(guess - above), by_corner = abs(guess - corner);
    return by_left <= by_above && by_left <= by_corner ? left : by_above <= by_corner ? above : corner;
}

/* Section 9: undoes the filter, which is the row's first byte. `above` is the row before, of zeros at first. */
static bool undo_filter(unsigned char *row, const unsigned char *above, int64_t count, int pixel)
{
    const int filter = row[0];
    row++;
    above++;
    for (int64_t i = 0; i < count && filter > 0; i++) {
        const int left = i >= pixel ? row[i - pixel] : 0, corner = i >= pixel ? above[i - pixel] : 0;
        int guess = 0;
        switch (filter) {
        case 1: guess = left; break;
        case 2: guess = above[i]; break;
        case 3: guess = (left + above[i]) / 2; break;
        case 4: guess = paeth(left, above[i], corner); break;
        default: return false;
        }
        row[i] = (unsigned char)(row[i] + guess);
    }
    return true;
}

/* Sample i of a row in 8 bits, or a place in the palette. */
static int sample(const png *p, const unsigned char *row, int64_t i)
{
    if (p->depth == 8) return row[i];
    if (p->depth == 16) return ((row[2 * i] << 8 | row[2 * i + 1]) * 255 + 32767) / 65535;
    const int most = (1 << p->depth) - 1, per_byte = 8 / p->depth;
    const int value = row[i / per_byte] >> (8 - p->depth - (int)(i % per_byte) * p->depth) & most;
    return p->colour == PALETTE ? value : value * 255 / most;
}

static bool place_row(png *p, const unsigned char *row, int64_t y, const pass *s, image *picture)
{
    const int64_t count = pixels_of(p->width, s->x, s->dx);
    unsigned char *to = picture->pixels + (y * p->width + s->x) * picture->channels;
    for (int64_t i = 0; i < count; i++, to += s->dx * picture->channels) {
        if (p->colour == PALETTE) {
            const int at = sample(p, row, i);
            if (at >= p->palette_count) return png_fail(p, "has a colour that its palette lacks");
            memcpy(to, p->palette[at], 3);
        } else
            for (int c = 0; c < picture->channels; c++) to[c] = (unsigned char)sample(p, row, i * p->samples + c);
    }
    return true;
}

static bool place_rows(png *p, unsigned char *rows, const unsigned char *zeros, image *picture)
{
    const int first = p->interlaced ? 0 : 7, last = p->interlaced ? 7 : 8, bits = p->samples * p->depth;
    for (const pass *s = passes + first; s < passes + last; s++) {
        const int64_t width = pixels_of(p->width, s->x, s->dx), bytes = row_bytes(p, width);
        const unsigned char *above = zeros;
        for (int64_t y = s->y; y < p->height && width > 0; y += s->dy, rows += bytes + 1) {
            if (!undo_filter(rows, above, bytes, bits < 8 ? 1 : bits / 8)) return png_fail(p, "has a bad filter");
            if (!place_row(p, rows + 1, y, s, picture)) return false;
            above = rows;
        }
    }
    return true;
}

static int64_t unpacked_size(const png *p)
{
    int64_t size = 0;
    for (int i = p->interlaced ? 0 : 7; i < (p->interlaced ? 7 : 8); i++) {
        const int64_t width = pixels_of(p->width, passes[i].x, passes[i].dx);
        if (width > 0) size += (row_bytes(p, width) + 1) * pixels_of(p->height, passes[i].y, passes[i].dy);
    }
    return size;
}

/* ---- the file ------------------------------------------------------------------------------------------ */

bool png_recognised(const unsigned char *bytes, size_t count)
{
    return count >= sizeof signature && memcmp(bytes, signature, sizeof signature) == 0;
}

static bool unpack(png *p, image *picture, app_error *error)
{
    const int64_t size = unpacked_size(p), zeros = row_bytes(p, p->width) + 1;
    if (size / INFLATE_RATIO > (int64_t)p->packed_size) return png_fail(p, "is truncated"); /* before memory is taken */
    unsigned char *rows = malloc((size_t)size), *above = calloc((size_t)zeros, 1);
    bool done = rows && above;
    if (!done) png_fail(p, "needs more memory than there is");
    const char *problem = done ? inflate_zlib(p->packed, p->packed_size, rows, (size_t)size) : NULL;
    if (problem) done = png_fail(p, problem);
    const int channels = p->colour == GREY || p->colour == GREY_ALPHA ? 1 : 3;
    done = done && image_new(picture, (int)p->width, (int)p->height, channels, error) &&
           place_rows(p, rows, above, picture);
    free(rows);
    free(above);
    return done;
}

bool png_decode(image *picture, const unsigned char *bytes, size_t count, image_about *about, app_error *error)
{
    png p = {.next = bytes + sizeof signature, .end = bytes + count, .orientation = 1, .packed = malloc(count)};
    if (!p.packed) return app_fail(error, "needs more memory than there is");
    const bool done = read_chunks(&p) && unpack(&p, picture, error);
    free(p.packed);
    if (p.problem) app_fail(error, "%s", p.problem);
    about->orientation = p.orientation;
    about->detail = p.interlaced ? "interlaced" : p.colour == PALETTE ? "palette" : p.depth == 16 ? "16 bits" : "plain";
    return done;
}

/* ---- writing ------------------------------------------------------------------------------------------- */

static void put_big32(unsigned char *to, uint32_t value)
{
    for (int i = 0; i < 4; i++) to[i] = (unsigned char)(value >> (24 - 8 * i));
}

static void write_chunk(FILE *file, const char *type, const unsigned char *data, size_t size)
{
    unsigned char number[4];
    put_big32(number, (uint32_t)size);
    fwrite(number, 1, 4, file); /* ferror is asked for once, at the end */
    fwrite(type, 1, 4, file);
    fwrite(data, 1, size, file);
    put_big32(number, bytes_crc32(bytes_crc32(0, (const unsigned char *)type, 4), data, size));
    fwrite(number, 1, 4, file);
}

/* One row through a filter, its number first; returns the sum of the sizes of what comes out, taken as signed. */
static int64_t filter_row(int filter, const unsigned char *row, const unsigned char *above, int64_t count, int pixel,
                          unsigned char *out)
{
    int64_t sum = 0;
    *out++ = (unsigned char)filter;
    for (int64_t i = 0; i < count; i++) {
        const int left = i >= pixel ? row[i - pixel] : 0, up = above ? above[i] : 0;
        const int corner = above && i >= pixel ? above[i - pixel] : 0;
        const int guess = filter == 1 ? left : filter == 2 ? up : filter == 3 ? (left + up) / 2
                          : filter == 4 ? paeth(left, up, corner) : 0;
        out[i] = (unsigned char)(row[i] - guess);
        sum += out[i] < 128 ? out[i] : 256 - out[i];
    }
    return sum;
}

/* Each row by the filter that leaves the smallest values (section 12.8). */
static unsigned char *filter_rows(const image *picture, size_t *size)
{
    const int64_t bytes = (int64_t)picture->width * picture->channels;
    *size = (size_t)((bytes + 1) * picture->height);
    unsigned char *rows = malloc(*size + (size_t)bytes + 1), *trial = rows ? rows + *size : NULL;
    for (int64_t y = 0; rows && y < picture->height; y++) {
        const unsigned char *row = picture->pixels + y * bytes, *above = y > 0 ? row - bytes : NULL;
        int64_t least = INT64_MAX;
        for (int filter = 0; filter < 5; filter++) {
            const int64_t sum = filter_row(filter, row, above, bytes, picture->channels, trial);
            if (sum >= least) continue;
            least = sum;
            memcpy(rows + y * (bytes + 1), trial, (size_t)bytes + 1);
        }
    }
    return rows;
}

bool png_write(FILE *file, const image *picture, app_error *error)
{
    size_t size, packed_size = 0;
    unsigned char *rows = filter_rows(picture, &size);
    unsigned char *packed = rows ? deflate_zlib(rows, size, &packed_size) : NULL;
    free(rows);
    if (!packed) return app_fail(error, "out of memory for a PNG of %d x %d", picture->width, picture->height);
    unsigned char header[13] = {[8] = 8, [9] = picture->channels == 3 ? RGB : GREY};
    put_big32(header, (uint32_t)picture->width);
    put_big32(header + 4, (uint32_t)picture->height);
    fwrite(signature, 1, sizeof signature, file);
    write_chunk(file, "IHDR", header, sizeof header);
    write_chunk(file, "IDAT", packed, packed_size);
    write_chunk(file, "IEND", header, 0);
    free(packed);
    return true;
}
