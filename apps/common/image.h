/* Pictures as the programs hold them: 8-bit, rows from top to bottom, channels interleaved. */
#ifndef TESSERA_APPS_IMAGE_H
#define TESSERA_APPS_IMAGE_H

#include "apps/common/error.h"

#include <stddef.h>

typedef struct image {
    int width, height; /* pixels */
    int channels;      /* 1 grey, 3 red green blue */
    unsigned char *pixels;
} image;

/* A black picture. Fails on a size below 1, more than 2^28 bytes, or no memory. */
bool image_new(image *picture, int width, int height, int channels, app_error *error);

/* Gives the pixels back and zeroes the struct; an already zeroed one is fine. */
void image_free(image *picture);

/* What a file says of its picture besides the pixels. */
typedef struct image_about {
    const char *format; /* "JPEG", "PNG", "PNM" or "BMP" */
    const char *detail; /* of the format, like "progressive" */
    int orientation;    /* as stored: 1 upright .. 8 (Exif); what is read is upright */
} image_about;

/* Reads JPEG (8 bits, Huffman codes: baseline, extended, progressive; grey, YCbCr, RGB, CMYK, YCCK), PNG (all of it;
 * alpha and gamma are left out), PNM (P1 to P6) and BMP (1 to 32 bits, RLE). The format is told by the content, not the
 * name. 16-bit samples are rounded to 8. Fails, naming the file, on anything missing, truncated, damaged, oversized or
 * of another format. `about` may be NULL. */
bool image_read(image *picture, const char *path, image_about *about, app_error *error);

/* The same from memory; messages name no file. */
bool image_decode(image *picture, const unsigned char *bytes, size_t count, image_about *about, app_error *error);

/* Whether the file begins like a picture that image_read knows. */
bool image_recognised(const char *path);

/* Writes PNG or PNM, as the name ends in .png, .pnm, .pgm or .ppm, to a temporary name and renames it, so that a
 * failure leaves an older file as it was. */
bool image_write(const image *picture, const char *path, app_error *error);

#endif
