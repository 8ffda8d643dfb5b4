#include "apps/common/canvas.h"

#include "apps/common/canvas_font.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static unsigned char *pixel_at(image *picture, int x, int y)
{
    return picture->pixels + 3 * ((size_t)y * (size_t)picture->width + (size_t)x);
}

/* The part of an area that is inside the picture; of no size if none is. */
static box cut(const image *picture, box area)
{
    const int left = area.left > 0 ? area.left : 0, top = area.top > 0 ? area.top : 0;
    int right = area.left + area.width, bottom = area.top + area.height;
    if (right > picture->width) right = picture->width;
    if (bottom > picture->height) bottom = picture->height;
    return (box){left, top, right > left ? right - left : 0, bottom > top ? bottom - top : 0};
}

void canvas_fill(image *picture, box area, colour ink)
{
    area = cut(picture, area);
    for (int y = area.top; y < area.top + area.height; y++)
        for (int x = area.left; x < area.left + area.width; x++)
            memcpy(pixel_at(picture, x, y), &(unsigned char[3]){ink.red, ink.green, ink.blue}, 3);
}

void canvas_frame(image *picture, box area, colour ink)
{
    const int right = area.left + area.width - 1, bottom = area.top + area.height - 1;
    canvas_fill(picture, (box){area.left, area.top, area.width, 1}, ink);
    canvas_fill(picture, (box){area.left, bottom, area.width, 1}, ink);
    canvas_fill(picture, (box){area.left, area.top, 1, area.height}, ink);
    canvas_fill(picture, (box){right, area.top, 1, area.height}, ink);
}

/* ---- lines --------------------------------------------------------------------------------------------- */

static double within(double value, double low, double high)
{
    return value < low ? low : value > high ? high : value;
}

static double distance_to_segment(point p, point a, point b)
{
    const double dx = b.x - a.x, dy = b.y - a.y, squared = dx * dx + dy * dy;
    const double along = squared > 0 ? within(((p.x - a.x) * dx + (p.y - a.y) * dy) / squared, 0, 1) : 0;
    return hypot(p.x - a.x - along * dx, p.y - a.y - along * dy);
}

/* Far outside a picture it makes no visible difference where exactly, and squares must not overflow. */
static point within_reach(point p)
{
    return (point){within(p.x, -1e7, 1e7), within(p.y, -1e7, 1e7)};
}

/* Raises the coverage of the pixels that a segment touches. */
static void cover(unsigned char *mask, box area, point a, point b, double width)
{
    const double reach = width / 2 + 1, right = area.left + area.width, bottom = area.top + area.height;
    const int x0 = (int)within(fmin(a.x, b.x) - reach, area.left, right);
    const int x1 = (int)within(ceil(fmax(a.x, b.x) + reach), area.left, right);
    const int y0 = (int)within(fmin(a.y, b.y) - reach, area.top, bottom);
    const int y1 = (int)within(ceil(fmax(a.y, b.y) + reach), area.top, bottom);
    for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++) {
            const double distance = distance_to_segment((point){x + 0.5, y + 0.5}, a, b);
            const unsigned char covered =
                (unsigned char)(255 * within(width / 2 + 0.5 - distance, 0, 1) + 0.5);
            unsigned char *m = mask + (size_t)(y - area.top) * (size_t)area.width + (size_t)(x - area.left);
            if (covered > *m) *m = covered;
        }
}

static void blend(unsigned char *to, colour ink, int covered)
{
    const int inks[3] = {ink.red, ink.green, ink.blue};
    for (int c = 0; c < 3; c++)
        to[c] = (unsigned char)((to[c] * (255 - covered) + inks[c] * covered + 127) / 255);
}

bool canvas_lines(image *picture, box clip, const point *points, int count, double width, colour ink,
                  app_error *error)
{
    const box area = cut(picture, clip);
    /* Coverage is gathered first and painted once: else a line would darken where its pieces overlap. */
    unsigned char *mask = calloc((size_t)area.width * (size_t)area.height + 1, 1);
    if (!mask) return app_fail(error, "out of memory for drawing a line");
    for (int i = 0; i + 1 < count; i++) {
        const point a = points[i], b = points[i + 1];
        if (isfinite(a.x) && isfinite(a.y) && isfinite(b.x) && isfinite(b.y))
            cover(mask, area, within_reach(a), within_reach(b), width);
    }
    const unsigned char *m = mask;
    for (int y = 0; y < area.height; y++)
        for (int x = 0; x < area.width; x++, m++)
            if (*m) blend(pixel_at(picture, area.left + x, area.top + y), ink, *m);
    free(mask);
    return true;
}

/* ---- text ---------------------------------------------------------------------------------------------- */

/* The glyph of the character at *text, which is moved past it (and past the rest of a UTF-8 character). */
static const unsigned char *next_glyph(const char **text)
{
    const unsigned char c = (unsigned char)*(*text)++;
    if (c >= FIRST_GLYPH && c <= LAST_GLYPH) return glyphs[c - FIRST_GLYPH];
    while (((unsigned char)**text & 0xC0) == 0x80) ++*text;
    return glyphs['?' - FIRST_GLYPH];
}

static int columns_of(const unsigned char *glyph)
{
    int columns = GLYPH_COLUMNS;
    while (columns > 0 && glyph[columns - 1] == 0) columns--;
    return columns > 0 ? columns : BLANK_COLUMNS;
}

void canvas_text(image *picture, int x, int y, const char *text, int scale, colour ink)
{
    while (*text) {
        const unsigned char *glyph = next_glyph(&text);
        const int columns = columns_of(glyph);
        for (int column = 0; column < columns; column++)
            for (int row = 0; row < GLYPH_ROWS; row++)
                if (glyph[column] >> row & 1)
                    canvas_fill(picture, (box){x + column * scale, y + row * scale, scale, scale}, ink);
        x += (columns + 1) * scale;
    }
}

int canvas_text_width(const char *text, int scale)
{
    int width = 0;
    while (*text) width += (columns_of(next_glyph(&text)) + 1) * scale;
    return width > 0 ? width - scale : 0;
}

/* ---- pictures ------------------------------------------------------------------------------------------ */

void canvas_blit(image *picture, const image *from, int left, int top)
{
    const box area = cut(picture, (box){left, top, from->width, from->height});
    for (int y = area.top; y < area.top + area.height; y++)
        for (int x = area.left; x < area.left + area.width; x++) {
            const size_t i = (size_t)(y - top) * (size_t)from->width + (size_t)(x - left);
            const unsigned char *p = from->pixels + i * (size_t)from->channels;
            if (from->channels == 3) memcpy(pixel_at(picture, x, y), p, 3);
            else memset(pixel_at(picture, x, y), *p, 3);
        }
}
