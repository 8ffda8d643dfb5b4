/* Rows of numbers as points of a plane, and pictures drawn there. */
#ifndef TESSERA_APPS_EMBEDDING_MAP_H
#define TESSERA_APPS_EMBEDDING_MAP_H

#include "apps/common/image.h"
#include "core/context.h"

enum { MAP_MOST_ROWS = 1000 };

/* The two principal components of rows [count, length]: out [count][2], with the variances of each axis. */
bool map_by_pca(double *out, const tsr_real *rows, int count, int length, app_error *error);

/* t-SNE (van der Maaten and Hinton 2008, algorithm 1, exact), from the principal components on: neighbours stay
 * neighbours, large distances say little. `perplexity` is about how many neighbours count; it is lowered for few
 * rows. MAP_MOST_ROWS at most. */
bool map_by_tsne(double *out, const tsr_real *rows, int count, int length, double perplexity, app_error *error);

/* The divergence of the map from the rows' similarities `p` [count, count], and its gradient [count][2]. */
double tsne_gradient(double *gradient, const double *map, const double *p, int count);

/* Pictures with a frame in a colour of their label at their points; of pictures whose places overlap by more than
 * half only the first is drawn. */
typedef struct map_pictures {
    const image *pictures;
    const int *labels;
    int count;
} map_pictures;
bool map_draw(image *out, const double *map, const map_pictures *what, const char *title, app_error *error);

#endif
