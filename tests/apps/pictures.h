/* Pictures for the tests of the programs' files. */
#ifndef TESSERA_TESTS_APPS_PICTURES_H
#define TESSERA_TESTS_APPS_PICTURES_H

#include "apps/common/image.h"

/* Values that have no pattern to get right by chance. */
static inline unsigned char sample(int x, int y, int c)
{
    return (unsigned char)(x * 37 + y * 91 + c * 50 + x * x * y * 5);
}

static inline bool make_sample(image *picture, int width, int height, int channels)
{
    app_error error = {""};
    if (!image_new(picture, width, height, channels, &error)) return false;
    for (int i = 0; i < width * height * channels; i++)
        picture->pixels[i] = sample(i / channels % width, i / channels / width, i % channels);
    return true;
}

static inline bool holds(const image *p, int width, int height, int channels, const int *values)
{
    if (p->width != width || p->height != height || p->channels != channels) return false;
    for (int i = 0; i < width * height * channels; i++)
        if (p->pixels[i] != values[i]) return false;
    return true;
}

#endif
