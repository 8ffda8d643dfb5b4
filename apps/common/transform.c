#include "apps/common/transform.h"

#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

/* ---- resizing ---------------------------------------------------------------------------------------------------- */

/* Each pixel of the result along one axis is a weighted sum of neighbours in the source. */
typedef struct taps {
    int size, room;   /* pixels of the result, weights that each has at most */
    int *first, *count;
    float *weights;   /* [size, room] */
} taps;

static double sinc(double x)
{
    return x == 0 ? 1 : sin(pi * x) / (pi * x);
}

/* How far a filter reaches, in pixels of the source, where one of the result has `scale` (1 or more) of them. */
static double filter_reach(image_filter filter, double scale)
{
    return filter == IMAGE_AREA ? (scale + 1) / 2 : (double)filter * scale;
}

/* The weight of a pixel whose centre is d away from that of the result's. */
static double filter_weight(image_filter filter, double scale, double d)
{
    d = fabs(d);
    if (filter == IMAGE_AREA) return fmin(fmax((scale + 1) / 2 - d, 0), 1); /* how much of it the result's covers */
    d /= scale;
    if (d >= (double)filter) return 0;
    if (filter == IMAGE_BILINEAR) return 1 - d;
    if (filter == IMAGE_BICUBIC) return d < 1 ? (1.5 * d - 2.5) * d * d + 1 : ((-0.5 * d + 2.5) * d - 4) * d + 2;
    return sinc(d) * sinc(d / 3);
}

static void taps_close(taps *t)
{
    free(t->first);
    free(t->count);
    free(t->weights);
}

static bool taps_open(taps *t, int from, int to, image_filter filter)
{
    const double step = (double)from / to, scale = fmax(step, 1), reach = filter_reach(filter, scale);
    *t = (taps){.size = to, .room = (int)fmin(from, 2 * ceil(reach) + 1)};
    t->first = malloc((size_t)to * sizeof *t->first);
    t->count = malloc((size_t)to * sizeof *t->count);
    t->weights = calloc((size_t)to, (size_t)t->room * sizeof *t->weights);
    if (!t->first || !t->count || !t->weights) return false; /* the caller closes them */
    for (int i = 0; i < to; i++) {
        const double at = (i + 0.5) * step;
        const int first = (int)fmax(at - reach + 0.5, 0), end = (int)fmin(at + reach + 0.5, from);
        float *weights = t->weights + (size_t)i * (size_t)t->room;
        double sum = 0;
        for (int j = first; j < end; j++) sum += filter_weight(filter, scale, j + 0.5 - at);
        for (int j = first; j < end; j++)
            weights[j - first] = (float)(filter_weight(filter, scale, j + 0.5 - at) / sum);
        t->first[i] = first;
        t->count[i] = end - first;
    }
    return true;
}

static float within_levels(float value)
{
    return value > 255 ? 255 : value > 0 ? value : 0;
}

/* A row of the source to the result's width. */
static void resize_row(float *out, const float *in, const taps *t, int channels)
{
    for (int x = 0; x < t->size; x++) {
        const float *weights = t->weights + (size_t)x * (size_t)t->room;
        const float *from = in + (size_t)t->first[x] * (size_t)channels;
        float sum[3] = {0}; /* three chains of additions that do not wait for each other */
        if (channels == 1)
            for (int j = 0; j < t->count[x]; j++) sum[0] += weights[j] * from[j];
        else
            for (int j = 0; j < t->count[x]; j++, from += 3) {
                sum[0] += weights[j] * from[0];
                sum[1] += weights[j] * from[1];
                sum[2] += weights[j] * from[2];
            }
        for (int c = 0; c < channels; c++) *out++ = within_levels(sum[c]);
    }
}

/* Row y of the result from rows of its width. */
static void resize_column(unsigned char *out, float *sums, const float *in, size_t row, const taps *t, int y)
{
    const float *weights = t->weights + (size_t)y * (size_t)t->room;
    for (size_t i = 0; i < row; i++) sums[i] = 0.5f; /* so that cutting off the fraction rounds */
    for (int j = 0; j < t->count[y]; j++) {
        const float *from = in + (size_t)(t->first[y] + j) * row, weight = weights[j];
        for (size_t i = 0; i < row; i++) sums[i] += weight * from[i];
    }
    for (size_t i = 0; i < row; i++) out[i] = (unsigned char)within_levels(sums[i]);
}

bool image_resize(image *out, const image *in, int width, int height, image_filter filter, app_error *error)
{
    if (!image_new(out, width, height, in->channels, error)) return false;
    const size_t in_row = (size_t)in->width * (size_t)in->channels, row = (size_t)width * (size_t)in->channels;
    taps across = {0}, down = {0};
    float *narrow = calloc((size_t)in->height, row * sizeof *narrow); /* [in->height, row] */
    float *line = malloc((in_row > row ? in_row : row) * sizeof *line);
    if (narrow && line && taps_open(&across, in->width, width, filter) &&
        taps_open(&down, in->height, height, filter)) {
        for (int y = 0; y < in->height; y++) {
            for (size_t i = 0; i < in_row; i++) line[i] = (float)in->pixels[(size_t)y * in_row + i];
            resize_row(narrow + (size_t)y * row, line, &across, in->channels);
        }
        for (int y = 0; y < height; y++) resize_column(out->pixels + (size_t)y * row, line, narrow, row, &down, y);
    } else {
        app_fail(error, "out of memory while resizing a picture to %d x %d", width, height);
        image_free(out);
    }
    taps_close(&across);
    taps_close(&down);
    free(narrow);
    free(line);
    return out->pixels != NULL;
}

/* ---- parts and borders ------------------------------------------------------------------------------------------- */

static unsigned char *pixel_at(const image *p, int x, int y)
{
    return p->pixels + ((size_t)y * (size_t)p->width + (size_t)x) * (size_t)p->channels;
}

bool image_crop(image *out, const image *in, int left, int top, int width, int height, app_error *error)
{
    *out = (image){0};
    if (left < 0 || top < 0 || width < 1 || height < 1 || width > in->width - left || height > in->height - top)
        return app_fail(error, "a part of %d x %d at (%d, %d) is not inside a picture of %d x %d", width, height, left,
                        top, in->width, in->height);
    if (!image_new(out, width, height, in->channels, error)) return false;
    for (int y = 0; y < height; y++)
        memcpy(pixel_at(out, 0, y), pixel_at(in, left, top + y), (size_t)width * (size_t)in->channels);
    return true;
}

bool image_crop_centre(image *out, const image *in, int width, int height, app_error *error)
{
    const int left = width > in->width ? 0 : (in->width - width) / 2;
    const int top = height > in->height ? 0 : (in->height - height) / 2;
    return image_crop(out, in, left, top, width, height, error);
}

bool image_pad(image *out, const image *in, image_margins margins, const unsigned char *colour, app_error *error)
{
    *out = (image){0};
    const int64_t width = (int64_t)in->width + margins.left + margins.right;
    const int64_t height = (int64_t)in->height + margins.top + margins.bottom;
    if (margins.left < 0 || margins.top < 0 || margins.right < 0 || margins.bottom < 0 || width > INT_MAX ||
        height > INT_MAX)
        return app_fail(error, "a picture cannot have margins of %d, %d, %d and %d", margins.left, margins.top,
                        margins.right, margins.bottom);
    if (!image_new(out, (int)width, (int)height, in->channels, error)) return false;
    const size_t channels = (size_t)in->channels;
    for (int y = 0; y < out->height; y++) {
        const int below = y - margins.top < in->height ? y - margins.top : in->height - 1, from = below > 0 ? below : 0;
        for (int x = 0; x < margins.left; x++)
            memcpy(pixel_at(out, x, y), colour ? colour : pixel_at(in, 0, from), channels);
        for (int x = margins.left + in->width; x < out->width; x++)
            memcpy(pixel_at(out, x, y), colour ? colour : pixel_at(in, in->width - 1, from), channels);
        unsigned char *to = pixel_at(out, margins.left, y);
        if (!colour || from == y - margins.top) memcpy(to, pixel_at(in, 0, from), (size_t)in->width * channels);
        else
            for (int x = 0; x < in->width; x++, to += channels) memcpy(to, colour, channels);
    }
    return true;
}

/* ---- turns ------------------------------------------------------------------------------------------------------- */

bool image_orient(image *out, const image *in, int orientation, app_error *error)
{
    *out = (image){0};
    if (orientation < 1 || orientation > 8)
        return app_fail(error, "there is no orientation %d of a picture", orientation);
    const bool transposed = orientation >= 5, from_right = orientation == 2 || orientation == 3 || orientation >= 7;
    const bool from_below = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    if (!image_new(out, transposed ? in->height : in->width, transposed ? in->width : in->height, in->channels, error))
        return false;
    for (int y = 0; y < out->height; y++)
        for (int x = 0; x < out->width; x++) {
            const int u = transposed ? y : x, v = transposed ? x : y;
            memcpy(pixel_at(out, x, y),
                   pixel_at(in, from_right ? in->width - 1 - u : u, from_below ? in->height - 1 - v : v),
                   (size_t)in->channels);
        }
    return true;
}

bool image_flip(image *out, const image *in, bool top_to_bottom, app_error *error)
{
    return image_orient(out, in, top_to_bottom ? 4 : 2, error);
}

bool image_turn(image *out, const image *in, int quarters, app_error *error)
{
    static const int orientations[] = {1, 8, 3, 6};
    return image_orient(out, in, orientations[quarters & 3], error);
}

static double within(double value, double highest)
{
    return !(value > 0) ? 0 : value < highest ? value : highest; /* 0 for NaN */
}

/* Adds the values at (u, v) from the middle of the result. */
static void add_sample(double *sum, const image *in, const affine *from, double u, double v)
{
    const double x = within(from->xx * u + from->xy * v + from->dx + (in->width - 1) / 2.0, in->width - 1);
    const double y = within(from->yx * u + from->yy * v + from->dy + (in->height - 1) / 2.0, in->height - 1);
    const int left = (int)x, top = (int)y, channels = in->channels;
    const double fx = x - left, fy = y - top;
    const unsigned char *upper = pixel_at(in, left, top);
    const unsigned char *lower = top + 1 < in->height ? pixel_at(in, left, top + 1) : upper;
    const int right = left + 1 < in->width ? channels : 0;
    for (int c = 0; c < channels; c++)
        sum[c] += (1 - fy) * ((1 - fx) * upper[c] + fx * upper[c + right]) +
                  fy * ((1 - fx) * lower[c] + fx * lower[c + right]);
}

void image_warp_values(tsr_real *out, int width, int height, const image *in, const affine *from)
{
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            double values[3] = {0};
            add_sample(values, in, from, x - (width - 1) / 2.0, y - (height - 1) / 2.0);
            for (int c = 0; c < in->channels; c++) *out++ = (tsr_real)values[c];
        }
}

void image_warp(image *out, const image *in, const affine *from, bool antialiased)
{
    const double covered = fmax(hypot(from->xx, from->yx), hypot(from->xy, from->yy)); /* of the source, by a pixel */
    const int samples = antialiased ? (int)fmin(fmax(ceil(covered - 1e-6), 1), 64) : 1;
    const double apart = 1.0 / samples, first = (apart - 1) / 2; /* from the pixel's centre */
    unsigned char *to = out->pixels;
    for (int y = 0; y < out->height; y++)
        for (int x = 0; x < out->width; x++) {
            const double u = x - (out->width - 1) / 2.0 + first, v = y - (out->height - 1) / 2.0 + first;
            double sum[3] = {0};
            for (int i = 0; i < samples; i++)
                for (int k = 0; k < samples; k++) add_sample(sum, in, from, u + k * apart, v + i * apart);
            for (int c = 0; c < in->channels; c++) *to++ = (unsigned char)(sum[c] * (apart * apart) + 0.5);
        }
}

bool image_rotate(image *out, const image *in, double degrees, app_error *error)
{
    if (!image_new(out, in->width, in->height, in->channels, error)) return false;
    const double cosine = cos(degrees * pi / 180), sine = sin(degrees * pi / 180);
    image_warp(out, in, &(affine){.xx = cosine, .xy = -sine, .yx = sine, .yy = cosine}, false);
    return true;
}

/* ---- colours ----------------------------------------------------------------------------------------------------- */

bool image_to_grey(image *out, const image *in, app_error *error)
{
    if (in->channels == 1) return image_crop(out, in, 0, 0, in->width, in->height, error);
    if (!image_new(out, in->width, in->height, 1, error)) return false;
    const unsigned char *p = in->pixels;
    for (size_t i = 0; i < (size_t)in->width * (size_t)in->height; i++, p += 3) /* the weights times 2^16 */
        out->pixels[i] = (unsigned char)((19595u * p[0] + 38470u * p[1] + 7471u * p[2] + 32768u) >> 16);
    return true;
}

bool image_to_rgb(image *out, const image *in, app_error *error)
{
    if (in->channels == 3) return image_crop(out, in, 0, 0, in->width, in->height, error);
    if (!image_new(out, in->width, in->height, 3, error)) return false;
    for (size_t i = 0; i < (size_t)in->width * (size_t)in->height; i++)
        memset(out->pixels + 3 * i, in->pixels[i], 3);
    return true;
}
