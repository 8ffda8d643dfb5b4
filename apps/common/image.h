/* Pictures as the programs hold them: 8-bit, rows from top to bottom, channels interleaved. */
#ifndef TESSERA_APPS_IMAGE_H
#define TESSERA_APPS_IMAGE_H

#include "apps/common/error.h"

typedef struct image {
    int width, height; /* pixels */
    int channels;      /* 1 grey, 3 red green blue */
    unsigned char *pixels;
} image;

/* A black picture. Fails on a size below 1, more than 2^28 bytes, or no memory. */
bool image_new(image *picture, int width, int height, int channels, app_error *error);

/* Gives the pixels back and zeroes the struct; an already zeroed one is fine. */
void image_free(image *picture);

/* Reads PGM, PPM or plain PNM (P1 to P6; 16-bit samples are scaled to 8). The format is told by the content,
 * not the name. Fails, naming the file, on anything missing, truncated, oversized or not a PNM. */
bool image_read(image *picture, const char *path, app_error *error);

/* Whether the file begins like a picture that image_read knows. */
bool image_recognised(const char *path);

/* Writes an 8-bit PNG to a temporary name and renames it, so that a failure leaves an older file as it
 * was. */
bool image_write_png(const image *picture, const char *path, app_error *error);

#endif
