/* Pictures made from pictures: other sizes, parts, turns, colours. Each function that can fail makes a new picture in
 * *out, to be given back with image_free; *out may not be *in. They fail on a size that image_new refuses and without
 * memory. */
#ifndef TESSERA_APPS_TRANSFORM_H
#define TESSERA_APPS_TRANSFORM_H

#include "apps/common/image.h"
#include "core/context.h"

/* ---- size -------------------------------------------------------------------------------------------------------- */

/* What weighs the pixels around a place. Where a picture shrinks, each is as much wider as the pixels become, so that
 * nothing aliases; beyond the border there is nothing, and the weights of what is inside are scaled to sum 1. But for
 * IMAGE_AREA the number is how far a filter reaches to either side. */
typedef enum image_filter {
    IMAGE_AREA,     /* the mean of the covered area where it shrinks, bilinear where it grows */
    IMAGE_BILINEAR, /* a triangle */
    IMAGE_BICUBIC,  /* Keys 1981, a = -1/2 */
    IMAGE_LANCZOS   /* sinc(x) sinc(x / 3) */
} image_filter;

/* To width x height, each axis by itself. The same size gives the same picture. */
bool image_resize(image *out, const image *in, int width, int height, image_filter filter, app_error *error);

/* ---- parts and borders ------------------------------------------------------------------------------------------- */

/* The part with its upper left corner at (left, top), or (where the rest is odd: one further up or left) in the middle;
 * fails where it is not wholly inside. */
bool image_crop(image *out, const image *in, int left, int top, int width, int height, app_error *error);
bool image_crop_centre(image *out, const image *in, int width, int height, app_error *error);

typedef struct image_margins {
    int left, top, right, bottom; /* pixels, 0 or more */
} image_margins;

/* Margins added in a colour of as many values as the picture has channels; NULL: the border repeated. */
bool image_pad(image *out, const image *in, image_margins margins, const unsigned char *colour, app_error *error);

/* ---- turns ------------------------------------------------------------------------------------------------------- */

/* A picture stored in one of the eight orientations of Exif, set upright: 1 is upright, 2 mirrored left to right, 3
 * upside down, 4 mirrored top to bottom, 5 transposed, 6 to be turned clockwise, 7 transposed along the other diagonal,
 * 8 to be turned anticlockwise. Fails on another number. */
bool image_orient(image *out, const image *in, int orientation, app_error *error);

bool image_flip(image *out, const image *in, bool top_to_bottom, app_error *error); /* else left to right */
bool image_turn(image *out, const image *in, int quarters, app_error *error);       /* anticlockwise; any int */

/* Turned anticlockwise about the middle within the same frame, bilinear; the border repeats outside. */
bool image_rotate(image *out, const image *in, double degrees, app_error *error);

/* From a place of the result to one of the source: (xx x + xy y + dx, yx x + yy y + dy), both in pixels from the middle
 * of their picture, which between two pixels' centres is where the number of pixels is even. */
typedef struct affine {
    double xx, xy, dx, yx, yy, dy;
} affine;

/* width x height pixels, bilinear, the border repeated: [height, width, channels] values from 0 to 255. */
void image_warp_values(tsr_real *out, int width, int height, const image *in, const affine *from);

/* The same as bytes, over the whole of an allocated picture with as many channels as `in`. Antialiased: where a pixel
 * covers several of the source it is their mean (of 64 x 64 places at most). */
void image_warp(image *out, const image *in, const affine *from, bool antialiased);

/* ---- colours ----------------------------------------------------------------------------------------------------- */

/* Luma of ITU-R BT.601 (0.299 R + 0.587 G + 0.114 B); a copy of a grey picture. */
bool image_to_grey(image *out, const image *in, app_error *error);

/* Grey in all three channels; a copy of a colour picture. */
bool image_to_rgb(image *out, const image *in, app_error *error);

#endif
