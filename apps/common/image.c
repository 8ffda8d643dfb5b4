#include "apps/common/image.h"

#include "core/platform.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST = 1 << 28 }; /* bytes of a picture; so sides, too */

/* ---- memory -------------------------------------------------------------------------------------------- */

static bool size_is_sound(int64_t width, int64_t height, int channels)
{
    return width >= 1 && height >= 1 && width <= LARGEST && height <= LARGEST &&
           width * height <= LARGEST / channels;
}

bool image_new(image *picture, int width, int height, int channels, app_error *error)
{
    *picture = (image){0};
    if (channels != 1 && channels != 3)
        return app_fail(error, "a picture has 1 or 3 channels, not %d", channels);
    if (!size_is_sound(width, height, channels))
        return app_fail(error, "a picture cannot be %d x %d with %d channels", width, height, channels);
    unsigned char *pixels = calloc((size_t)width * (size_t)height, (size_t)channels);
    if (!pixels) return app_fail(error, "out of memory for a picture of %d x %d", width, height);
    *picture = (image){.width = width, .height = height, .channels = channels, .pixels = pixels};
    return true;
}

void image_free(image *picture)
{
    free(picture->pixels);
    *picture = (image){0};
}

/* ---- reading PNM --------------------------------------------------------------------------------------- */

typedef struct pnm {
    FILE *file;
    char format;       /* '1' to '6' */
    long left;         /* bytes of the file not yet read */
    int width, height; /* 0 until read */
    int channels, highest;
    const char *problem;
} pnm;

static bool pnm_fail(pnm *p, const char *problem)
{
    if (!p->problem) p->problem = problem;
    return false;
}

static int next_byte(pnm *p)
{
    const int c = p->left > 0 ? getc(p->file) : EOF;
    if (c != EOF) p->left--;
    return c;
}

static bool is_space(int c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* c, or where that begins a comment, the end of its line. */
static int after_comment(pnm *p, int c)
{
    if (c == '#')
        while (c != '\n' && c != '\r' && c != EOF) c = next_byte(p);
    return c;
}

/* The next byte that is neither white space nor part of a comment. */
static int next_solid(pnm *p)
{
    int c;
    do c = after_comment(p, next_byte(p));
    while (is_space(c));
    return c;
}

/* Decimal digits up to `limit`, with the one byte of white space that must follow (but for the file's
 * end). */
static bool next_number(pnm *p, int limit, int *value)
{
    int c = next_solid(p);
    if (c < '0' || c > '9')
        return pnm_fail(p, c == EOF ? "is truncated" : "holds something that is not a number");
    for (*value = 0; c >= '0' && c <= '9'; c = next_byte(p)) {
        if (*value > (limit - (c - '0')) / 10) return pnm_fail(p, "holds a number that is too large");
        *value = *value * 10 + (c - '0');
    }
    c = after_comment(p, c);
    return c == EOF || is_space(c) || pnm_fail(p, "holds something that is not a number");
}

/* P1 to P6 and the width: what other files do not begin with. */
static bool read_start(pnm *p)
{
    const int letter = next_byte(p), format = next_byte(p);
    if (letter != 'P' || format < '1' || format > '6')
        return pnm_fail(p, "is not a picture in PNM format (P1 to P6)");
    p->format = (char)format;
    return next_number(p, LARGEST, &p->width);
}

/* Everything up to the first sample, and whether there are bytes enough for all of them. */
static bool read_header(pnm *p)
{
    if (!read_start(p) || !next_number(p, LARGEST, &p->height)) return false;
    const int format = p->format;
    p->channels = format == '3' || format == '6' ? 3 : 1;
    p->highest = 1;
    if (format != '1' && format != '4' && !next_number(p, 65535, &p->highest)) return false;
    if (p->highest == 0) return pnm_fail(p, "has a highest sample of 0");
    if (!size_is_sound(p->width, p->height, p->channels))
        return pnm_fail(p, "has a size of 0 or too large a size");
    const int64_t row = (int64_t)p->width * p->channels;
    int64_t needed = row * p->height;
    if (format == '2' || format == '3') needed = 2 * needed - 1; /* a digit each and white space between */
    if (format == '4') needed = (row + 7) / 8 * p->height;
    if (format >= '5' && p->highest > 255) needed *= 2;
    return p->left >= needed || pnm_fail(p, "is truncated");
}

static bool next_sample(pnm *p, int *value)
{
    int high = 0, low;
    switch (p->format) {
    case '1':
        low = next_solid(p);
        *value = low - '0';
        if (low == EOF) return pnm_fail(p, "is truncated");
        if (low != '0' && low != '1') return pnm_fail(p, "holds something that is neither 0 nor 1");
        return true;
    case '2':
    case '3':
        if (!next_number(p, 65535, value)) return false;
        break;
    default:
        if (p->highest > 255) high = next_byte(p);
        low = next_byte(p);
        if (high == EOF || low == EOF) return pnm_fail(p, "is truncated");
        *value = high << 8 | low;
    }
    return *value <= p->highest || pnm_fail(p, "holds a sample above its highest");
}

static bool read_packed_row(pnm *p, unsigned char *row)
{
    for (int x = 0; x < p->width; x += 8) {
        const int bits = next_byte(p);
        if (bits == EOF) return pnm_fail(p, "is truncated");
        for (int i = 0; i < 8 && x + i < p->width; i++)
            row[x + i] = bits >> (7 - i) & 1 ? 0 : 255; /* 1 is ink */
    }
    return true;
}

static bool read_row(pnm *p, unsigned char *row)
{
    if (p->format == '4') return read_packed_row(p, row);
    for (int i = 0; i < p->width * p->channels; i++) {
        int value;
        if (!next_sample(p, &value)) return false;
        if (p->format == '1') value = 1 - value;
        row[i] = (unsigned char)((value * 255 + p->highest / 2) / p->highest);
    }
    return true;
}

bool image_read(image *picture, const char *path, app_error *error)
{
    *picture = (image){0};
    errno = 0;
    pnm p = {.file = fopen(path, "rb")};
    if (!p.file) return app_fail(error, "%s: cannot be opened (%s)", path, strerror(errno));
    if (fseek(p.file, 0, SEEK_END) != 0 || (p.left = ftell(p.file)) < 0 || fseek(p.file, 0, SEEK_SET) != 0)
        pnm_fail(&p, "is not a plain file");
    bool done = !p.problem && read_header(&p) && image_new(picture, p.width, p.height, p.channels, error);
    for (int y = 0; done && y < p.height; y++)
        done = read_row(&p, picture->pixels + (size_t)y * (size_t)p.width * (size_t)p.channels);
    if (!done) {
        if (ferror(p.file)) app_fail(error, "%s: cannot be read (%s)", path, strerror(errno));
        else if (p.problem) app_fail(error, "%s: %s", path, p.problem);
        image_free(picture);
    }
    fclose(p.file);
    return done;
}

bool image_recognised(const char *path)
{
    pnm p = {.file = fopen(path, "rb"), .left = LONG_MAX};
    const bool known = p.file && read_start(&p);
    if (p.file) fclose(p.file);
    return known;
}

/* ---- writing PNG --------------------------------------------------------------------------------------- */

/* The zlib stream inside is of stored blocks (RFC 1951, 3.2.4): larger than packed ones, and nothing to get
 * wrong. */
enum { BLOCK = 65535 };

typedef struct png {
    FILE *file;
    uint32_t table[256]; /* CRC-32 of each byte */
    uint32_t crc;        /* of the chunk so far, inverted */
    uint32_t adler_a, adler_b;
    int64_t data_left; /* unfiltered image data to come */
    int block_left;    /* of it, bytes in the present block */
} png;

static void png_bytes(png *p, const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) p->crc = p->table[(p->crc ^ bytes[i]) & 255] ^ p->crc >> 8;
    fwrite(bytes, 1, count, p->file); /* ferror is asked for once, at the end */
}

static void png_number(png *p, uint32_t value)
{
    png_bytes(p, (unsigned char[]){(unsigned char)(value >> 24), (unsigned char)(value >> 16),
                                   (unsigned char)(value >> 8), (unsigned char)value}, 4);
}

static void chunk_begin(png *p, const char *type, int64_t length)
{
    png_number(p, (uint32_t)length);
    p->crc = 0xFFFFFFFFu;
    png_bytes(p, (const unsigned char *)type, 4);
}

static void chunk_end(png *p)
{
    png_number(p, p->crc ^ 0xFFFFFFFFu);
}

static void png_data(png *p, const unsigned char *bytes, int64_t count)
{
    while (count > 0) {
        if (p->block_left == 0) {
            p->block_left = p->data_left < BLOCK ? (int)p->data_left : BLOCK;
            const unsigned char low = (unsigned char)(p->block_left & 255);
            const unsigned char high = (unsigned char)(p->block_left >> 8);
            const bool is_last = p->block_left == p->data_left;
            png_bytes(p, (unsigned char[]){is_last, low, high, low ^ 255, high ^ 255}, 5);
        }
        const int part = count < p->block_left ? (int)count : p->block_left;
        for (int i = 0; i < part; i++) {
            p->adler_a = (p->adler_a + bytes[i]) % 65521u;
            p->adler_b = (p->adler_b + p->adler_a) % 65521u;
        }
        png_bytes(p, bytes, (size_t)part);
        bytes += part;
        count -= part;
        p->block_left -= part;
        p->data_left -= part;
    }
}

static void write_png(FILE *file, const image *picture)
{
    png p = {.file = file, .adler_a = 1};
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++) c = c & 1 ? 0xEDB88320u ^ c >> 1 : c >> 1;
        p.table[i] = c;
    }
    const int64_t row = (int64_t)picture->width * picture->channels;
    p.data_left = (row + 1) * picture->height;
    png_bytes(&p, (const unsigned char[]){0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'}, 8);
    chunk_begin(&p, "IHDR", 13);
    png_number(&p, (uint32_t)picture->width);
    png_number(&p, (uint32_t)picture->height);
    const unsigned char colour_type = picture->channels == 3 ? 2 : 0;
    png_bytes(&p, (const unsigned char[]){8, colour_type, 0, 0, 0}, 5); /* 8 bits a sample, not interlaced */
    chunk_end(&p);
    chunk_begin(&p, "IDAT", 2 + p.data_left + 5 * ((p.data_left + BLOCK - 1) / BLOCK) + 4);
    png_bytes(&p, (const unsigned char[]){0x78, 0x01}, 2); /* zlib: deflate, 32 KB window, no dictionary */
    for (int y = 0; y < picture->height; y++) {
        png_data(&p, (const unsigned char[]){0}, 1); /* the row's filter: none */
        png_data(&p, picture->pixels + y * row, row);
    }
    png_number(&p, p.adler_b << 16 | p.adler_a);
    chunk_end(&p);
    chunk_begin(&p, "IEND", 0);
    chunk_end(&p);
}

bool image_write_png(const image *picture, const char *path, app_error *error)
{
    const size_t room = strlen(path) + 32;
    char *temporary = malloc(room);
    if (!temporary) return app_fail(error, "%s: out of memory", path);
    snprintf(temporary, room, "%s.%lu.tmp", path, tsr_platform_process());
    errno = 0;
    FILE *file = fopen(temporary, "wb");
    bool done = false;
    if (file) {
        write_png(file, picture);
        done = !ferror(file) && tsr_platform_sync(file);
        const int reason = errno;
        done = fclose(file) == 0 && done;
        if (reason) errno = reason;
        done = done && tsr_platform_replace(temporary, path);
    }
    if (!done)
        app_fail(error, "%s: cannot be written (%s)", path, errno ? strerror(errno) : "no reason given");
    if (file && !done) remove(temporary);
    free(temporary);
    return done;
}
