/* PNM: P1 to P6, with up to 16 bits a sample. */
#include "apps/common/image_formats.h"

typedef struct pnm {
    const unsigned char *next, *end;
    char format;       /* '1' to '6' */
    int width, height; /* 0 until read */
    int channels, highest;
    const char *problem;
} pnm;

enum { NOTHING = -1, HUGE_SIDE = 1 << 28 };

static bool pnm_fail(pnm *p, const char *problem)
{
    if (!p->problem) p->problem = problem;
    return false;
}

static int next_byte(pnm *p)
{
    return p->next < p->end ? *p->next++ : NOTHING;
}

static bool is_space(int c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* c, or where that begins a comment, the end of its line. */
static int after_comment(pnm *p, int c)
{
    if (c == '#')
        while (c != '\n' && c != '\r' && c != NOTHING) c = next_byte(p);
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
        return pnm_fail(p, c == NOTHING ? "is truncated" : "holds something that is not a number");
    for (*value = 0; c >= '0' && c <= '9'; c = next_byte(p)) {
        if (*value > (limit - (c - '0')) / 10) return pnm_fail(p, "holds a number that is too large");
        *value = *value * 10 + (c - '0');
    }
    c = after_comment(p, c);
    return c == NOTHING || is_space(c) || pnm_fail(p, "holds something that is not a number");
}

/* Everything up to the first sample, and whether there are bytes enough for all of them. */
static bool read_header(pnm *p)
{
    p->format = (char)p->next[1];
    p->next += 2;
    if (!next_number(p, HUGE_SIDE, &p->width) || !next_number(p, HUGE_SIDE, &p->height)) return false;
    const int format = p->format;
    p->channels = format == '3' || format == '6' ? 3 : 1;
    p->highest = 1;
    if (format != '1' && format != '4' && !next_number(p, 65535, &p->highest)) return false;
    if (p->highest == 0) return pnm_fail(p, "has a highest sample of 0");
    if (!image_size_is_sound(p->width, p->height, p->channels))
        return pnm_fail(p, "has a size of 0 or too large a size");
    const int64_t row = (int64_t)p->width * p->channels;
    int64_t needed = row * p->height;
    if (format == '2' || format == '3') needed = 2 * needed - 1; /* a digit each and white space between */
    if (format == '4') needed = (row + 7) / 8 * p->height;
    if (format >= '5' && p->highest > 255) needed *= 2;
    return p->end - p->next >= needed || pnm_fail(p, "is truncated");
}

static bool next_sample(pnm *p, int *value)
{
    int high = 0, low;
    switch (p->format) {
    case '1':
        low = next_solid(p);
        *value = low - '0';
        if (low == NOTHING) return pnm_fail(p, "is truncated");
        if (low != '0' && low != '1') return pnm_fail(p, "holds something that is neither 0 nor 1");
        return true;
    case '2':
    case '3':
        if (!next_number(p, 65535, value)) return false;
        break;
    default:
        if (p->highest > 255) high = next_byte(p);
        low = next_byte(p);
        if (high == NOTHING || low == NOTHING) return pnm_fail(p, "is truncated");
        *value = high << 8 | low;
    }
    return *value <= p->highest || pnm_fail(p, "holds a sample above its highest");
}

static bool read_packed_row(pnm *p, unsigned char *row)
{
    for (int x = 0; x < p->width; x += 8) {
        const int bits = next_byte(p);
        if (bits == NOTHING) return pnm_fail(p, "is truncated");
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

/* P1 to P6 and the first digit of the width, as far as the bytes go: texts may begin with P5, too. */
bool pnm_recognised(const unsigned char *bytes, size_t count)
{
    if (count < 3 || bytes[0] != 'P' || bytes[1] < '1' || bytes[1] > '6') return false;
    if (!is_space(bytes[2]) && bytes[2] != '#') return false;
    pnm p = {.next = bytes + 2, .end = bytes + count};
    const int c = next_solid(&p);
    return c == NOTHING || (c >= '0' && c <= '9');
}

bool pnm_decode(image *picture, const unsigned char *bytes, size_t count, image_about *about, app_error *error)
{
    static const char *const kinds[] = {"bits as text", "grey as text", "colour as text", "bits", "grey", "colour"};
    pnm p = {.next = bytes, .end = bytes + count};
    bool done = read_header(&p) && image_new(picture, p.width, p.height, p.channels, error);
    for (int y = 0; done && y < p.height; y++)
        done = read_row(&p, picture->pixels + (size_t)y * (size_t)p.width * (size_t)p.channels);
    if (p.problem) app_fail(error, "%s", p.problem);
    about->detail = kinds[p.format - '1'];
    return done;
}

bool pnm_write(FILE *file, const image *picture, app_error *error)
{
    (void)error;
    fprintf(file, "P%c\n%d %d\n255\n", picture->channels == 3 ? '6' : '5', picture->width, picture->height);
    fwrite(picture->pixels, (size_t)picture->channels, (size_t)picture->width * (size_t)picture->height, file);
    return true;
}
