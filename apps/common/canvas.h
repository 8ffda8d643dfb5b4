/* Drawing on a picture of three channels. Coordinates are pixels from the upper left corner, y downwards;
 * what would lie outside is cut off. */
#ifndef TESSERA_APPS_CANVAS_H
#define TESSERA_APPS_CANVAS_H

#include "apps/common/image.h"

typedef struct colour {
    unsigned char red, green, blue;
} colour;

typedef struct box {
    int left, top, width, height;
} box;

typedef struct point {
    double x, y; /* (0, 0) is the corner, (0.5, 0.5) the centre of the first pixel */
} point;

/* Fills a rectangle. */
void canvas_fill(image *picture, box area, colour ink);

/* The outermost pixels of a rectangle. */
void canvas_frame(image *picture, box area, colour ink);

/* Joins the points by straight lines `width` pixels wide, anti-aliased, round at corners and ends, inside
 * `clip` only. A point that is not finite is a gap. Fails where there is no memory. */
bool canvas_lines(image *picture, box clip, const point *points, int count, double width, colour ink,
                  app_error *error);

/* Text with its upper left corner at (x, y), `scale` times as large as the built-in font: capitals are 7 *
 * scale pixels high, tails reach one further. What is not printable ASCII shows as '?'. */
void canvas_text(image *picture, int x, int y, const char *text, int scale, colour ink);

/* Pixels from a text's left edge to its right edge. */
int canvas_text_width(const char *text, int scale);

/* Copies a whole picture, grey or colour, to (left, top). */
void canvas_blit(image *picture, const image *from, int left, int top);

#endif
