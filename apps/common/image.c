#include "apps/common/image.h"

#include "apps/common/bytes.h"
#include "apps/common/image_formats.h"
#include "apps/common/transform.h"
#include "core/platform.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST = 1 << 28 }; /* bytes of a picture, and of a file; so sides, too */

/* ---- memory -------------------------------------------------------------------------------------------- */

bool image_size_is_sound(int64_t width, int64_t height, int channels)
{
    return width >= 1 && height >= 1 && width <= LARGEST && height <= LARGEST &&
           width * height <= LARGEST / channels;
}

bool image_new(image *picture, int width, int height, int channels, app_error *error)
{
    *picture = (image){0};
    if (channels != 1 && channels != 3)
        return app_fail(error, "a picture has 1 or 3 channels, not %d", channels);
    if (!image_size_is_sound(width, height, channels))
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

/* ---- reading ------------------------------------------------------------------------------------------- */

int exif_orientation(const unsigned char *tiff, size_t size)
{
    if (size < 10) return 1;
    const int high = tiff[0] == 'M' ? 0 : 1, low = 1 - high; /* MM: the high byte comes first */
#define WORD(p) ((p)[high] << 8 | (p)[low])
    const size_t directory = (size_t)WORD(tiff + 4 + 2 * high) << 16 | (size_t)WORD(tiff + 4 + 2 * low);
    if (directory > size - 2) return 1;
    const size_t entries = (size_t)WORD(tiff + directory);
    for (size_t i = 0; i < entries && directory + 2 + 12 * (i + 1) <= size; i++) {
        const unsigned char *entry = tiff + directory + 2 + 12 * i;
        const int value = WORD(entry + 8);
        if (WORD(entry) == 274) return value >= 1 && value <= 8 ? value : 1;
    }
#undef WORD
    return 1;
}

typedef struct format {
    const char *name;
    bool (*recognised)(const unsigned char *bytes, size_t count);
    bool (*decode)(image *picture, const unsigned char *bytes, size_t count, image_about *about, app_error *error);
} format;

static const format formats[] = {{"JPEG", jpeg_recognised, jpeg_decode},
                                 {"PNG", png_recognised, png_decode},
                                 {"PNM", pnm_recognised, pnm_decode},
                                 {"BMP", bmp_recognised, bmp_decode}};
enum { FORMATS = sizeof formats / sizeof *formats };

static const format *format_of(const unsigned char *bytes, size_t count)
{
    for (int i = 0; i < FORMATS; i++)
        if (formats[i].recognised(bytes, count)) return &formats[i];
    return NULL;
}

static bool set_upright(image *picture, int orientation, app_error *error)
{
    image upright;
    if (orientation == 1) return true;
    const bool done = image_orient(&upright, picture, orientation, error);
    image_free(picture);
    if (done) *picture = upright;
    return done;
}

bool image_decode(image *picture, const unsigned char *bytes, size_t count, image_about *about, app_error *error)
{
    const format *f = format_of(bytes, count);
    image_about own = {.orientation = 1};
    *picture = (image){0};
    if (!f) return app_fail(error, count == 0 ? "is empty" : "is not a picture in JPEG, PNG, PNM or BMP format");
    own.format = f->name;
    if (!f->decode(picture, bytes, count, &own, error)) {
        image_free(picture);
        return false;
    }
    if (about) *about = own;
    return set_upright(picture, own.orientation, error);
}

bool image_read(image *picture, const char *path, image_about *about, app_error *error)
{
    unsigned char *bytes;
    size_t count;
    app_error own = {""};
    *picture = (image){0};
    if (!bytes_read(&bytes, &count, path, LARGEST, error)) return false;
    const bool done = image_decode(picture, bytes, count, about, &own);
    free(bytes);
    return done || app_fail(error, "%s: %s", path, own.text);
}

bool image_recognised(const char *path)
{
    unsigned char start[512];
    FILE *file = fopen(path, "rb");
    const size_t count = file ? fread(start, 1, sizeof start, file) : 0;
    if (file) fclose(file);
    return format_of(start, count) != NULL;
}

/* ---- writing ------------------------------------------------------------------------------------------- */

static bool ends_in(const char *path, const char *end)
{
    const size_t all = strlen(path), part = strlen(end);
    return all > part && strcmp(path + all - part, end) == 0;
}

bool image_write(const image *picture, const char *path, app_error *error)
{
    const bool png = ends_in(path, ".png");
    if (!png && !ends_in(path, ".pnm") && !ends_in(path, ".pgm") && !ends_in(path, ".ppm"))
        return app_fail(error, "%s: pictures are written as .png, .pnm, .pgm or .ppm", path);
    const size_t room = strlen(path) + 32;
    char *temporary = malloc(room);
    if (!temporary) return app_fail(error, "%s: out of memory", path);
    snprintf(temporary, room, "%s.%lu.tmp", path, tsr_platform_process());
    errno = 0;
    FILE *file = fopen(temporary, "wb");
    bool done = false;
    if (file) {
        done = (png ? png_write : pnm_write)(file, picture, error) && !ferror(file) && tsr_platform_sync(file);
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
