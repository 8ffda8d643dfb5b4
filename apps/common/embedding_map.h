/* Rows of numbers as points of a plane, and pictures drawn there. */
#ifndef TESSERA_APPS_EMBEDDING_MAP_H
#define TESSERA_APPS_EMBEDDING_MAP_H

#include "apps/common/image.h"
#include "core/context.h"

enum { MAP_MOST_ROWS = 1000 };

typedef struct map_rows {
    const tsr_real *values; /* [count, length] */
    int count, length;
} map_rows;

/* The first two principal components: out [count][2]. */
bool map_by_pca(double *out, const map_rows *rows, app_error *error);

/* t-SNE (van der Maaten and Hinton 2008, algorithm 1, exact): neighbours stay neighbours, large distances say little.
 * `perplexity` is about how many neighbours count; it is lowered for few rows. Begins with principal components, not at
 * random, so that rows have one map. Fewer than 4 rows stay where they began; more than MAP_MOST_ROWS are an error.
 * Time grows with count^2; 1000 rows take about 2 s. */
bool map_by_tsne(double *out, const map_rows *rows, double perplexity, app_error *error);

/* The gradient of the divergence (eq. 5) of a map from joint similarities times `exaggeration`. */
typedef struct tsne_state {
    int count;
    const double *p, *map; /* [count, count]; [count, 2] */
    double exaggeration;
    double *gradient, *room; /* [count, 2] each */
} tsne_state;
void tsne_gradient(const tsne_state *s);

/* Pictures at their points, moved as little as lets the middle of each be seen, as large as there is room for. The two
 * colours of a frame are its label's: 64 that differ, then again. */
typedef struct map_pictures {
    const image *pictures;
    const int *labels;
    int count;
} map_pictures;
bool map_draw(image *out, const double *map, const map_pictures *what, const char *title, app_error *error);

#endif
