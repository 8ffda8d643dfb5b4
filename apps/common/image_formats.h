/* The formats behind image_read and image_write. Decoders get a whole file in memory and add no name of a file to their
 * messages; a file that is cut off is an error, never half a picture. */
#ifndef TESSERA_APPS_IMAGE_FORMATS_H
#define TESSERA_APPS_IMAGE_FORMATS_H

#include "apps/common/image.h"

#include <stddef.h>
#include <stdint.h>

bool jpeg_recognised(const unsigned char *bytes, size_t count);
bool png_recognised(const unsigned char *bytes, size_t count);
bool pnm_recognised(const unsigned char *bytes, size_t count);
bool bmp_recognised(const unsigned char *bytes, size_t count);

/* Fill in about->detail and, in JPEG and PNG, about->orientation (1: upright), which is not applied yet. */
bool jpeg_decode(image *picture, const unsigned char *bytes, size_t count, image_about *about, app_error *error);
bool png_decode(image *picture, const unsigned char *bytes, size_t count, image_about *about, app_error *error);
bool pnm_decode(image *picture, const unsigned char *bytes, size_t count, image_about *about, app_error *error);
bool bmp_decode(image *picture, const unsigned char *bytes, size_t count, image_about *about, app_error *error);

/* To an open file, whose ferror the caller asks for. Fails without memory. */
bool png_write(FILE *file, const image *picture, app_error *error);
bool pnm_write(FILE *file, const image *picture, app_error *error);

/* Tag 274 of the first directory of an Exif block (a TIFF header and what follows); 1 (upright) where there is none. */
int exif_orientation(const unsigned char *tiff, size_t size);

/* What image_new takes. */
bool image_size_is_sound(int64_t width, int64_t height, int channels);

#endif
