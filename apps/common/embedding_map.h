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
 * `perplexity` is about how many neighbours count; it is lowered for few rows. Begins with principal components, not
 * at random, so that there is one map, which is the same for any number of the context's threads. Fewer than 4 rows
 * stay where they began; more than MAP_MOST_ROWS are an error. Time grows with count^2: 1000 rows take seconds. */
bool map_by_tsne(double *out, tsr_context *ctx, const map_rows *rows, double perplexity, app_error *error);

/* The gradient [count][2] of the divergence (eq. 5) of a map [count][2] from the rows' joint similarities p [count,
 * count], with these times `exaggeration`; `room` has 3 * count values. */
typedef struct tsne_state {
    int count;
    const double *p, *map;
    double exaggeration;
    double *gradient, *room;
} tsne_state;
void tsne_gradient(tsr_context *ctx, const tsne_state *s);

/* Pictures at their points, moved as little as lets the middle of each be seen, as large as there is room for. The two
 * colours of a frame are its label's: 64 that differ, then again. */
typedef struct map_pictures {
    const image *pictures;
    const int *labels;
    int count;
} map_pictures;
bool map_draw(image *out, const double *map, const map_pictures *what, const char *title, app_error *error);

#endif
