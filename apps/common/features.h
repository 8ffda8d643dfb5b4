/* What faces are compared by: a row of values for each picture, and a distance between two rows. */
#ifndef TESSERA_APPS_FEATURES_H
#define TESSERA_APPS_FEATURES_H

#include "apps/common/loader.h"
#include "apps/common/pairs.h"

typedef double (*row_distance)(const void *a, const void *b, int length);

typedef struct features {
    const pictures *set; /* whose threads are used */
    int length;          /* values in a row */
    size_t row_bytes;
    const void *rows;    /* [set->count]; NULL: the pictures' own bytes, made again where they are wanted */
    void *owned;         /* the rows, where features_free gives them back */
    row_distance distance;
} features;

/* The values of the pictures themselves, by the Euclidean distance of grey levels (0 to 1). */
features features_of_pixels(const pictures *set);

/* The coordinates along the principal components of `known`, pictures of people who are not in `set` (or of the set
 * itself where there are no others; of very many, some, spread evenly), by their Euclidean distance. */
bool features_of_eigenfaces(features *out, const pictures *known, const pictures *set, app_error *error);

/* Embeddings, [set->count, length], by squared_distance or cosine_distance. Takes the memory over, from malloc. */
features features_of_embeddings(const pictures *set, tsr_real *embeddings, int length, row_distance distance);

void features_free(features *f);

/* Of embeddings: |a - b|^2, and 1 - the cosine of the angle between them (1 where one of them is 0). */
double squared_distance(const void *a, const void *b, int length);
double cosine_distance(const void *a, const void *b, int length);

/* The distance of each pair: out [list->count]. */
bool features_pairs(const features *f, const pairs *list, double *out, app_error *error);

/* The distances of some pictures, by number, to others: out [a_count, b_count]. */
typedef struct picture_numbers {
    const int *numbers;
    int count;
} picture_numbers;
bool features_matrix(const features *f, picture_numbers a, picture_numbers b, double *out, app_error *error);

#endif
