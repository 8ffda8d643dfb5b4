#include "apps/common/protocol.h"

#include "apps/common/eigenfaces.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

bool contender_measure(contender *out, const pairs *list, picture_distance distance, const void *user, app_error *error)
{
    trial *trials = malloc(((size_t)list->count + 1) * sizeof *trials);
    if (!trials) return app_fail(error, "%s: out of memory for %d pairs", out->name, list->count);
    for (int i = 0; i < list->count; i++) {
        const pair *p = &list->items[i];
        trials[i] = (trial){distance(user, p->a, p->b), p->same, p->fold};
    }
    const bool done = verification_measure(&out->result, trials, list->count, error) &&
                      roc_make(&out->roc, trials, list->count, error);
    free(trials);
    return done;
}

void contender_free(contender *c)
{
    roc_free(&c->roc);
}

static double pixel_distance(const void *user, int a, int b)
{
    const pictures *set = user;
    const int count = set->size * set->size * set->channels;
    const unsigned char *x = set->pixels + (size_t)a * (size_t)count, *y = set->pixels + (size_t)b * (size_t)count;
    double sum = 0;
    for (int i = 0; i < count; i++) sum += (x[i] - y[i]) * (x[i] - y[i]);
    return sqrt(sum) / 255;
}

bool contender_pixels(contender *out, const pictures *set, const pairs *list, app_error *error)
{
    return contender_measure(out, list, pixel_distance, set, error);
}

typedef struct projections {
    double *values; /* [pictures, components] */
    int components;
} projections;

static double projected_distance(const void *user, int a, int b)
{
    const projections *p = user;
    return euclidean_distance(p->values + (ptrdiff_t)a * p->components, p->values + (ptrdiff_t)b * p->components, p->components);
}

bool contender_eigenfaces(contender *out, const pictures *known, const pictures *set, const pairs *list, app_error *error)
{
    const int dimension = set->size * set->size * set->channels;
    eigenfaces faces;
    if (!eigenfaces_fit(&faces, known->pixels, known->count, dimension, 0, error)) return false;
    projections p = {.components = faces.components};
    p.values = malloc((size_t)set->count * (size_t)faces.components * sizeof *p.values);
    for (int i = 0; p.values && i < set->count; i++)
        eigenfaces_project(&faces, set->pixels + (size_t)i * (size_t)dimension, p.values + (ptrdiff_t)i * p.components);
    eigenfaces_free(&faces);
    if (!p.values) return app_fail(error, "eigenfaces: out of memory for %d pictures", set->count);
    const bool done = contender_measure(out, list, projected_distance, &p, error);
    free(p.values);
    return done;
}

void contender_print(const contender *c)
{
    printf("%s: %s\n", c->name, verification_print(&c->result).text);
}
