#include "apps/common/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- who ----------------------------------------------------------------------------------------------------------- */

static int people_in(const pictures *set)
{
    int persons = 0;
    for (int i = 0; i < set->count; i++)
        if (set->labels[i] >= persons) persons = set->labels[i] + 1;
    return persons;
}

/* Keeps those who have two pictures or more. */
static void drop_singles(sampler *s, int persons)
{
    s->people = 0;
    for (int p = 0; p < persons; p++) {
        if (s->count[p] < 2) continue;
        s->first[s->people] = s->first[p];
        s->count[s->people++] = s->count[p];
    }
}

bool sampler_open(sampler *s, const pictures *set, int per_batch, int per_person, uint64_t seed, app_error *error)
{
    const int persons = people_in(set);
    *s = (sampler){.per_batch = per_batch, .per_person = per_person, .seed = seed};
    s->first = calloc((size_t)persons + 1, sizeof *s->first);
    s->count = calloc((size_t)persons + 1, sizeof *s->count);
    s->order = calloc((size_t)set->count + 1, sizeof *s->order);
    s->shuffle = calloc((size_t)persons + (size_t)set->count + 1, sizeof *s->shuffle);
    if (!s->first || !s->count || !s->order || !s->shuffle) {
        sampler_close(s);
        return app_fail(error, "out of memory for %d people", persons);
    }
    for (int i = 0; i < set->count; i++) s->count[set->labels[i]]++;
    for (int p = 1; p < persons; p++) s->first[p] = s->first[p - 1] + s->count[p - 1];
    memset(s->count, 0, (size_t)persons * sizeof *s->count);
    for (int i = 0; i < set->count; i++) {
        const int p = set->labels[i];
        s->order[s->first[p] + s->count[p]++] = i;
    }
    drop_singles(s, persons);
    if (s->people < 2) {
        const int found = s->people;
        sampler_close(s);
        return app_fail(error, "%d of %d people have two pictures or more: triplets need two such people", found, persons);
    }
    if (s->per_batch > s->people) s->per_batch = s->people;
    return true;
}

void sampler_close(sampler *s)
{
    free(s->first);
    free(s->count);
    free(s->order);
    free(s->shuffle);
    *s = (sampler){0};
}

void sampler_draw(const sampler *s, int64_t step, int *out)
{
    const int64_t steps = s->people / s->per_batch, epoch = step / steps, within = step % steps;
    const uint64_t stream = tsr_substream(tsr_stream("pictures"), (uint64_t)step);
    int64_t *who = s->shuffle, *which = s->shuffle + s->people;
    tsr_random_permutation((tsr_rng){s->seed, tsr_substream(tsr_stream("people"), (uint64_t)epoch)}, s->people, who);
    for (int i = 0; i < s->per_batch; i++) {
        const int64_t p = who[within * s->per_batch + i];
        tsr_random_permutation((tsr_rng){s->seed, tsr_substream(stream, (uint64_t)p)}, s->count[p], which);
        for (int k = 0; k < s->per_person; k++) *out++ = s->order[s->first[p] + which[k % s->count[p]]];
    }
}

/* ---- how ------------------------------------------------------------------------------------------------------------ */

typedef struct warp { /* from a pixel of the result, counted from the middle, to the source */
    double xx, xy, yx, yy, dx, dy;
} warp;

/* A turn by the angle whose half has the tangent t: cos and sin without a library whose last bit may differ. */
static warp draw_warp(const augmentation *how, int size, tsr_rng rng)
{
    const double t = how->rotation / 2 * tsr_random_normal(rng, 0), scale = 1 + how->scale * tsr_random_normal(rng, 1);
    const double cosine = scale * (1 - t * t) / (1 + t * t), sine = scale * 2 * t / (1 + t * t);
    const double mirror = how->flip && tsr_random_uniform(rng, 2) < 0.5 ? -1 : 1;
    return (warp){mirror * cosine, -sine, mirror * sine, cosine, size * how->shift * tsr_random_normal(rng, 3),
                  size * how->shift * tsr_random_normal(rng, 4)};
}

static int clamped(int value, int size)
{
    return value < 0 ? 0 : value >= size ? size - 1 : value;
}

/* Bilinear; the border repeats. */
static void warp_pixel(const unsigned char *pixels, int size, int channels, double x, double y, tsr_real *out)
{
    const double left = floor(x), top = floor(y), fx = x - left, fy = y - top;
    const int x0 = clamped((int)left, size), x1 = clamped((int)left + 1, size);
    const int y0 = clamped((int)top, size), y1 = clamped((int)top + 1, size);
    for (int c = 0; c < channels; c++) {
        const double above = (1 - fx) * pixels[(y0 * size + x0) * channels + c] + fx * pixels[(y0 * size + x1) * channels + c];
        const double below = (1 - fx) * pixels[(y1 * size + x0) * channels + c] + fx * pixels[(y1 * size + x1) * channels + c];
        out[c] = (tsr_real)((1 - fy) * above + fy * below);
    }
}

static void vary(const augmentation *how, const unsigned char *pixels, int size, int channels, tsr_rng rng, tsr_real *out)
{
    const warp w = draw_warp(how, size, rng);
    const double middle = (size - 1) / 2.0, far = 4.0 * size; /* keeps wild draws within the range of int */
    for (int y = 0; y < size; y++)
        for (int x = 0; x < size; x++) {
            const double u = x - middle, v = y - middle;
            const double from_x = w.xx * u + w.xy * v + w.dx + middle, from_y = w.yx * u + w.yy * v + w.dy + middle;
            warp_pixel(pixels, size, channels, fmin(fmax(from_x, -far), far), fmin(fmax(from_y, -far), far),
                       out + (y * size + x) * channels);
        }
}

/* Brings mean 0 and deviation 1 to the values; a flat picture becomes all 0. */
static void whiten(tsr_real *values, int count)
{
    double sum = 0, square = 0;
    for (int i = 0; i < count; i++) sum += (double)values[i];
    const double mean = sum / count;
    for (int i = 0; i < count; i++) square += ((double)values[i] - mean) * ((double)values[i] - mean);
    const double deviation = sqrt(square / count), factor = deviation > 1 ? 1 / deviation : 1; /* in grey levels */
    for (int i = 0; i < count; i++) values[i] = (tsr_real)(((double)values[i] - mean) * factor);
}

/* Wipes a rectangle of an eighth to a third of the picture's width and height to the mean, which is 0. */
static void erase(tsr_real *values, int size, int channels, tsr_rng rng)
{
    const int least = size / 8, span = size / 3 - least + 1;
    const int width = least + (int)tsr_random_below(rng, 6, (uint64_t)span);
    const int height = least + (int)tsr_random_below(rng, 7, (uint64_t)span);
    const int left = (int)tsr_random_below(rng, 8, (uint64_t)(size - width + 1));
    const int top = (int)tsr_random_below(rng, 9, (uint64_t)(size - height + 1));
    for (int y = top; y < top + height; y++)
        for (int i = left * channels; i < (left + width) * channels; i++) values[y * size * channels + i] = 0;
}

void picture_to_input(const unsigned char *pixels, int size, int channels, const augmentation *how, tsr_rng rng, tsr_real *out)
{
    const int count = size * size * channels;
    if (how) vary(how, pixels, size, channels, rng, out);
    else
        for (int i = 0; i < count; i++) out[i] = (tsr_real)pixels[i];
    whiten(out, count);
    if (how && tsr_random_uniform(rng, 5) < how->erase) erase(out, size, channels, rng);
}
