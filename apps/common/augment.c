#include "apps/common/augment.h"

#include "apps/common/transform.h"

#include <math.h>

/* Which random number is whose. */
enum {
    ROTATION, SCALE, FLIP, SHIFT_X, SHIFT_Y, ERASE, ERASE_WIDTH, ERASE_HEIGHT, ERASE_LEFT, ERASE_TOP,
    CROP, CROP_X, CROP_Y, BLUR, BRIGHTNESS, CONTRAST, SATURATION, NOISE, NOISE_VALUES
};

static double drawn_within(tsr_rng rng, uint64_t which, double most) /* from -most to most */
{
    return most * (2 * tsr_random_uniform(rng, which) - 1);
}

/* ---- where ------------------------------------------------------------------------------------------------------- */

/* A turn by the angle whose half has the tangent t: cos and sin without a library whose last bit may differ. The crop
 * comes last: it looks at a part of what the rest makes. */
static affine draw_warp(const augmentation *how, int size, tsr_rng rng)
{
    const double t = how->rotation / 2 * tsr_random_normal(rng, ROTATION);
    const double scale = 1 + how->scale * tsr_random_normal(rng, SCALE);
    const double cosine = scale * (1 - t * t) / (1 + t * t), sine = scale * 2 * t / (1 + t * t);
    const double mirror = how->flip && tsr_random_uniform(rng, FLIP) < 0.5 ? -1 : 1;
    const double part = 1 - how->crop * tsr_random_uniform(rng, CROP), room = size * (1 - part) / 2;
    const double x = drawn_within(rng, CROP_X, room), y = drawn_within(rng, CROP_Y, room);
    affine w = {.xx = mirror * cosine, .xy = -sine, .yx = mirror * sine, .yy = cosine};
    w.dx = size * how->shift * tsr_random_normal(rng, SHIFT_X) + (w.xx * x + w.xy * y);
    w.dy = size * how->shift * tsr_random_normal(rng, SHIFT_Y) + (w.yx * x + w.yy * y);
    w.xx *= part;
    w.xy *= part;
    w.yx *= part;
    w.yy *= part;
    return w;
}

/* ---- what -------------------------------------------------------------------------------------------------------- */

static double luma(const tsr_real *pixel, int channels)
{
    if (channels == 1) return (double)pixel[0];
    return 0.299 * (double)pixel[0] + 0.587 * (double)pixel[1] + 0.114 * (double)pixel[2];
}

void picture_colour(tsr_real *values, int count, int channels, const double factors[3])
{
    double mean = 0;
    for (int i = 0; i < count; i += channels) mean += luma(values + i, channels) / (count / channels);
    const double factor = factors[0] * factors[1], grey = factors[0] * (1 - factors[1]) * mean;
    for (int i = 0; i < count; i += channels) {
        const double own = (1 - factors[2]) * luma(values + i, channels);
        for (int c = i; c < i + channels; c++)
            values[c] = (tsr_real)(factor * (factors[2] * (double)values[c] + own) + grey);
    }
}

static void smooth_line(tsr_real *values, int size, int stride, tsr_real share)
{
    tsr_real before = values[0];
    for (int i = 0; i < size; i++) {
        const tsr_real here = values[i * stride], after = values[(i + 1 < size ? i + 1 : i) * stride];
        values[i * stride] = here + share * (before - 2 * here + after);
        before = here;
    }
}

void picture_blur(tsr_real *values, int size, int channels, double deviation)
{
    const double variance = deviation * deviation; /* each round adds 2 share to it */
    const int rounds = (int)ceil(2 * variance), row = size * channels;
    const tsr_real share = (tsr_real)(variance / (2 * rounds));
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < row; i++) smooth_line(values + i, size, row, share);
        for (int i = 0; i < row; i++) smooth_line(values + i / channels * row + i % channels, size, channels, share);
    }
}

/* The sum of four bytes is near enough to normal, and the same everywhere. Two values of each random number. */
static void add_noise(tsr_real *values, int count, double deviation, tsr_rng rng)
{
    const double unit = deviation / sqrt(4 * (256.0 * 256.0 - 1) / 12);
    rng.stream = tsr_substream(rng.stream, NOISE_VALUES);
    for (int i = 0; i < count; i++) {
        const uint64_t bits = tsr_random_bits(rng, (uint64_t)i / 2) >> (i % 2 * 32);
        const int sum = (int)((bits & 255) + (bits >> 8 & 255) + (bits >> 16 & 255) + (bits >> 24 & 255));
        values[i] += (tsr_real)(unit * (sum - 510));
    }
}

void picture_vary(const unsigned char *pixels, int size, int channels, const augmentation *how, tsr_rng rng,
                  tsr_real *out)
{
    const int count = size * size * channels;
    if (!how) {
        for (int i = 0; i < count; i++) out[i] = (tsr_real)pixels[i];
        return;
    }
    const image picture = {size, size, channels, (unsigned char *)pixels}; /* only read */
    const affine from = draw_warp(how, size, rng);
    image_warp_values(out, size, size, &picture, &from);
    picture_blur(out, size, channels, how->blur * tsr_random_uniform(rng, BLUR));
    const bool colours = how->brightness != 0 || how->contrast != 0 || how->saturation != 0;
    if (colours)
        picture_colour(out, count, channels,
                       (double[]){1 + drawn_within(rng, BRIGHTNESS, how->brightness),
                                  1 + drawn_within(rng, CONTRAST, how->contrast),
                                  1 + drawn_within(rng, SATURATION, how->saturation)});
    if (how->noise != 0) add_noise(out, count, how->noise * tsr_random_uniform(rng, NOISE), rng);
    for (int i = 0; (colours || how->noise != 0) && i < count; i++)
        out[i] = out[i] < 0 ? 0 : out[i] > 255 ? 255 : out[i];
}

/* ---- the net's scale --------------------------------------------------------------------------------------------- */

void picture_whiten(tsr_real *values, int count)
{
    double sum = 0, square = 0;
    for (int i = 0; i < count; i++) sum += (double)values[i];
    const double mean = sum / count;
    for (int i = 0; i < count; i++) square += ((double)values[i] - mean) * ((double)values[i] - mean);
    const double deviation = sqrt(square / count), factor = deviation > 1 ? 1 / deviation : 1; /* in grey levels */
    for (int i = 0; i < count; i++) values[i] = (tsr_real)(((double)values[i] - mean) * factor);
}

void picture_standardize(tsr_real *values, int count, int channels, const double *means, const double *deviations)
{
    for (int i = 0; i < count; i++)
        values[i] = (tsr_real)(((double)values[i] - means[i % channels]) / deviations[i % channels]);
}

void picture_erase(tsr_real *values, int size, int channels, const augmentation *how, tsr_rng rng)
{
    if (!how || tsr_random_uniform(rng, ERASE) >= how->erase) return;
    const int least = size / 8, span = size / 3 - least + 1;
    const int width = least + (int)tsr_random_below(rng, ERASE_WIDTH, (uint64_t)span);
    const int height = least + (int)tsr_random_below(rng, ERASE_HEIGHT, (uint64_t)span);
    const int left = (int)tsr_random_below(rng, ERASE_LEFT, (uint64_t)(size - width + 1));
    const int top = (int)tsr_random_below(rng, ERASE_TOP, (uint64_t)(size - height + 1));
    for (int y = top; y < top + height; y++)
        for (int i = left * channels; i < (left + width) * channels; i++) values[y * size * channels + i] = 0;
}

void picture_to_input(const unsigned char *pixels, int size, int channels, const augmentation *how, tsr_rng rng,
                      tsr_real *out)
{
    picture_vary(pixels, size, channels, how, rng, out);
    picture_whiten(out, size * size * channels);
    picture_erase(out, size, channels, how, rng);
}
