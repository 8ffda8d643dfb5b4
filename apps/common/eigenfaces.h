/* Eigenfaces (Turk and Pentland, "Eigenfaces for recognition", 1991): the principal components of pictures,
 * the classical baseline that a trained net has to beat. Two faces are as far apart as their projections:
 * sqrt(sum (a_i - b_i)^2). */
#ifndef TESSERA_APPS_EIGENFACES_H
#define TESSERA_APPS_EIGENFACES_H

#include "apps/common/error.h"
#include "core/context.h"

typedef struct eigenfaces {
    int dimension;     /* values of a picture */
    int components;    /* fewer than asked for where the pictures have fewer */
    double *mean;      /* [dimension] */
    double *axes;      /* [components, dimension], orthonormal, the largest entry of each positive */
    double *variances; /* [components], descending: of the pictures' projections (divided by count) */
} eigenfaces;

/* Finds the components (0: min(60, count - 1)) of `count` pictures [count, dimension]. Deterministic, sums in
 * double. By the Lanczos method: only products with the pictures, no matrix of dimension^2 or count^2
 * numbers. Residuals are below 1e-9 of the largest variance; of variances that are exactly equal it may miss
 * one, as real pictures never have them. Fails with fewer than 2 pictures, pictures all alike, or no
 * memory. */
bool eigenfaces_fit(eigenfaces *out, const unsigned char *pixels, int count, int dimension, int components,
                    app_error *error);

/* The coordinates of one picture: axes (picture - mean); `out` has room for `components`. */
void eigenfaces_project(const eigenfaces *e, const unsigned char *picture, double *out);

void eigenfaces_free(eigenfaces *e);

/* The coordinates of rows of values, [count, dimension], along their own components: out [count, components]. Those
 * along components that the rows do not have (that are all alike, say) are 0. */
bool principal_components(double *out, const tsr_real *rows, int count, int dimension, int components,
                          app_error *error);

/* sqrt(sum (a_i - b_i)^2). */
double euclidean_distance(const double *a, const double *b, int count);

#endif
