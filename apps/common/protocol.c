#include "apps/common/protocol.h"

#include "apps/common/eigenfaces.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

enum { BATCH = 64 }; /* pictures or pairs fetched together */

bool contender_measure(contender *out, const pairs *list, const double *distances, app_error *error)
{
    trial *trials = malloc(((size_t)list->count + 1) * sizeof *trials);
    if (!trials) return app_fail(error, "%s: out of memory for %d pairs", out->name, list->count);
    for (int i = 0; i < list->count; i++) trials[i] = (trial){distances[i], list->items[i].same, list->items[i].fold};
    const bool done = verification_measure(&out->result, trials, list->count, error) &&
                      roc_make(&out->roc, trials, list->count, error);
    free(trials);
    return done;
}

void contender_free(contender *c)
{
    roc_free(&c->roc);
}

/* ---- pixels ------------------------------------------------------------------------------------------------------ */

static double pixel_distance(const unsigned char *x, const unsigned char *y, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (x[i] - y[i]) * (x[i] - y[i]);
    return sqrt(sum) / 255;
}

bool contender_pixels(contender *out, const pictures *set, const pairs *list, app_error *error)
{
    const size_t bytes = picture_bytes(set);
    double *distances = malloc(((size_t)list->count + 1) * sizeof *distances);
    unsigned char *pixels = malloc(2 * BATCH * bytes);
    bool done = (distances && pixels) || app_fail(error, "%s: out of memory for %d pairs", out->name, list->count);
    for (int first = 0; done && first < list->count; first += BATCH) {
        int numbers[2 * BATCH], count = 0;
        for (; count < BATCH && first + count < list->count; count++) {
            numbers[2 * count] = list->items[first + count].a;
            numbers[2 * count + 1] = list->items[first + count].b;
        }
        done = pictures_fetch(set, numbers, 2 * count, pixels, error);
        for (int i = 0; done && i < count; i++)
            distances[first + i] = pixel_distance(pixels + (size_t)(2 * i) * bytes,
                                                  pixels + (size_t)(2 * i + 1) * bytes, bytes);
    }
    done = done && contender_measure(out, list, distances, error);
    free(distances);
    free(pixels);
    return done;
}

/* ---- eigenfaces -------------------------------------------------------------------------------------------------- */

/* From as many pictures as it takes, spread evenly, whatever the memory for pictures: the result depends on the data
 * alone. */
static bool fit(eigenfaces *out, const pictures *known, app_error *error)
{
    enum { MOST = 4000, MOST_BYTES = 1 << 28 };
    const size_t bytes = picture_bytes(known);
    const int64_t most = MOST_BYTES / bytes < MOST ? (int64_t)(MOST_BYTES / bytes) : MOST;
    const int count = known->count < most ? known->count : (int)most;
    unsigned char *pixels = malloc((size_t)count * bytes + 1);
    int *numbers = malloc(((size_t)count + 1) * sizeof *numbers);
    for (int i = 0; numbers && i < count; i++) numbers[i] = (int)((int64_t)i * known->count / count);
    const bool done = ((pixels && numbers) || app_fail(error, "eigenfaces: out of memory for %d pictures", count)) &&
                      pictures_fetch(known, numbers, count, pixels, error) &&
                      eigenfaces_fit(out, pixels, count, (int)bytes, 0, error);
    free(pixels);
    free(numbers);
    return done;
}

/* [pictures, components] */
static bool project(const eigenfaces *faces, const pictures *set, double *out, app_error *error)
{
    const size_t bytes = picture_bytes(set);
    unsigned char *pixels = malloc(BATCH * bytes);
    bool done = pixels || app_fail(error, "eigenfaces: out of memory for a picture of %d x %d", set->size, set->size);
    for (int first = 0; done && first < set->count; first += BATCH) {
        int numbers[BATCH], count = 0;
        for (; count < BATCH && first + count < set->count; count++) numbers[count] = first + count;
        done = pictures_fetch(set, numbers, count, pixels, error);
        for (int i = 0; done && i < count; i++)
            eigenfaces_project(faces, pixels + (size_t)i * bytes, out + (ptrdiff_t)(first + i) * faces->components);
    }
    free(pixels);
    return done;
}

bool contender_eigenfaces(contender *out, const pictures *known, const pictures *set, const pairs *list,
                          app_error *error)
{
    eigenfaces faces;
    if (!fit(&faces, known, error)) return false;
    const int components = faces.components;
    double *values = malloc((size_t)set->count * (size_t)components * sizeof *values);
    double *distances = malloc(((size_t)list->count + 1) * sizeof *distances);
    bool done = (values && distances) || app_fail(error, "eigenfaces: out of memory for %d pictures", set->count);
    done = done && project(&faces, set, values, error);
    for (int i = 0; done && i < list->count; i++)
        distances[i] = euclidean_distance(values + (ptrdiff_t)list->items[i].a * components,
                                          values + (ptrdiff_t)list->items[i].b * components, components);
    done = done && contender_measure(out, list, distances, error);
    eigenfaces_free(&faces);
    free(values);
    free(distances);
    return done;
}

void contender_print(const contender *c)
{
    printf("%s: %s\n", c->name, verification_print(&c->result).text);
}
