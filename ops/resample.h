/* Results that are made of boxes of an image, in channels-last order: pooling, upsampling, padding by reflection. Which
 * inputs a result sees is a product of one map per axis; the gradient is the same with each axis's map transposed. */
#ifndef TESSERA_OPS_RESAMPLE_H
#define TESSERA_OPS_RESAMPLE_H

#include "core/kernels/levels.h"
#include "core/core.h"

/* One axis: result o sees, or is the sum of weight[k] times, the inputs index[k] for k = start[o] ... start[o + 1] - 1. */
typedef struct tsr_axis_map {
    int64_t in, out, filled; /* lengths; how many of the results are complete */
    int64_t places;          /* that a window has, for numbers of what lies in boxes */
    int64_t *start, *index;
    int64_t *place; /* of a term in its window; transposing takes it along */
    tsr_real *weight;
} tsr_axis_map;

/* Takes memory that stays with the node for a map of at most `terms` terms; false after an error. It is then filled
 * result by result: add its terms, then end it. */
bool tsr_axis_map_new(tsr_node *n, tsr_axis_map *map, int64_t in, int64_t out, int64_t terms);
void tsr_axis_map_add(tsr_axis_map *map, int64_t index, double weight);
void tsr_axis_map_end(tsr_axis_map *map);

/* input [batch, maps' in ..., channels] -> output [batch, maps' out ..., channels]. */
typedef struct tsr_resampling {
    int rank; /* mapped axes, at least one */
    int64_t batch, channels;
    tsr_axis_map maps[TSR_MAX_RANK];
} tsr_resampling;

/* Another one with every map transposed, in scratch memory: what the gradient takes. False after an error. */
bool tsr_transpose_maps(tsr_node *n, const tsr_resampling *r, tsr_resampling *transposed);

/* Weighted sums. Parallel; each sum has one order. */
void tsr_resample(tsr_node *n, const tsr_resampling *r, const tsr_real *x, tsr_real *y);

/* ---- walking the boxes ------------------------------------------------------------------------------------------- */

/* What a box has of one line along the last axis. */
typedef struct tsr_box_line {
    int64_t from;  /* where the line's place 0 begins in the input */
    int64_t place; /* of the first of the line, in the box: to be added to map->place[k] */
    tsr_real weight;
} tsr_box_line;

/* Neighbouring results along the last axis. Their boxes are the same lines, and of each line what map says. */
typedef struct tsr_box_row {
    const tsr_axis_map *map; /* of the last axis */
    const tsr_box_line *line;
    int64_t lines, channels;
    int64_t begin, end; /* results begin ... end - 1 */
    int64_t low, high;  /* places low ... high - 1 of a line are seen */
    int64_t to;         /* where the first result goes */
    tsr_real *room;     /* see below */
} tsr_box_row;

typedef struct tsr_box_visit tsr_box_visit;
typedef void (*tsr_box_visitor)(const tsr_box_visit *visit, const tsr_box_row *row);
struct tsr_box_visit {
    tsr_box_visitor row;       /* NULL: out = weighted sums of x, */
    bool squares;              /* or of their squares, */
    tsr_box_visitor finish;    /* and then this, if there is one */
    int of_results, of_inputs; /* memory that `row` asks for: values per channel of a result and of a place seen, */
    int of_lines;              /* and more of the latter if some box has several lines */
    const tsr_real *x, *y, *g; /* as the visitor likes */
    tsr_real *out;
    unsigned char *bytes;
    void *places;
    double power;
};

/* How many results from o on, up to `end`, see and weigh the same as o, only each one place further along. */
int64_t tsr_equal_results(const tsr_axis_map *map, int64_t o, int64_t end);

/* Visits all rows, on the context's threads. */
void tsr_visit_boxes(tsr_node *n, const tsr_resampling *r, const tsr_box_visit *visit);

#endif
