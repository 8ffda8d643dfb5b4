/* softmax and log_softmax along one axis: folds and maps, as the reductions are. */
#include "ops/exp_internal.h"
#include "ops/map_internal.h"

#include <math.h>

/* In place: out is the first input; the second is the sum of its row. */
static void divide_row(tsr_real *out, const tsr_real *const *in, int64_t count, const double *numbers)
{
    (void)numbers;
    for (int64_t i = 0; i < count; i++) out[i] /= in[1][i];
}

/* Inputs x, the largest of its row, and the logarithm of the row's sum of exponentials of distances from that. */
static TSR_ROW(log_share_row)
{
    (void)numbers;
    for (int64_t i = 0; i < count; i++) out[i] = in[0][i] - in[1][i] - in[2][i];
}

static TSR_ROW(product_row)
{
    (void)numbers;
    for (int64_t i = 0; i < count; i++) out[i] = in[0][i] * in[1][i];
}

/* Inputs y, g, and the row's sum of y g; or of g. */
static TSR_ROW(softmax_gradient_row)
{
    (void)numbers;
    for (int64_t i = 0; i < count; i++) out[i] = in[0][i] * (in[1][i] - in[2][i]);
}

static TSR_ROW(log_softmax_gradient_row)
{
    (void)numbers;
    for (int64_t i = 0; i < count; i++) out[i] = in[1][i] - tsr_exp_of(in[0][i]) * in[2][i];
}

static void backward(tsr_node *n, tsr_row weigh, tsr_row row)
{
    const tsr_shape *rows = tsr_saved(n); /* one value for each row along the axis */
    const tsr_shape shape = tsr_shape_of(tsr_result(n));
    const tsr_real *y = tsr_data(tsr_result(n)), *g = tsr_data(tsr_cotangent(n));
    tsr_real *sum = tsr_scratch(n, (size_t)tsr_shape_size(*rows) * sizeof *sum);
    if (!sum) return;
    tsr_map terms = {.row = weigh, .shape = shape};
    tsr_map_add(&terms, g, shape);
    if (weigh) tsr_map_add(&terms, y, shape);
    tsr_map_fold(n, &terms, &(tsr_fold){.target = *rows, .divisor = 1, .out = sum});
    tsr_map map = {.row = row, .cost = 4, .shape = shape};
    tsr_map_add(&map, y, shape);
    tsr_map_add(&map, g, shape);
    tsr_map_add(&map, sum, *rows);
    tsr_map_run(n, &map, tsr_gradient(n, 0));
}

static void softmax_backward(tsr_node *n)
{
    backward(n, product_row, softmax_gradient_row);
}

static void log_softmax_backward(tsr_node *n)
{
    backward(n, NULL, log_softmax_gradient_row);
}

static const tsr_op softmax_op = {.name = "softmax", .backward = softmax_backward};
static const tsr_op log_softmax_op = {.name = "log_softmax", .backward = log_softmax_backward};

/* What a call works with. */
typedef struct softmax_call {
    tsr_shape shape, rows;
    const tsr_real *x;
    tsr_real *y, *largest, *sum; /* the last two have the shape `rows` */
} softmax_call;

static tsr_map distances_of(const softmax_call *c)
{
    tsr_map map = {.row = tsr_row_exp_distance, .cost = 8, .shape = c->shape};
    tsr_map_add(&map, c->x, c->shape);
    tsr_map_add(&map, c->largest, c->rows);
    return map;
}

static void add_up(tsr_node *n, const softmax_call *c, const tsr_map *map)
{
    tsr_map_fold(n, map, &(tsr_fold){.target = c->rows, .divisor = 1, .out = c->sum});
}

static void compute_softmax(tsr_node *n, const softmax_call *c)
{
    const tsr_map distances = distances_of(c);
    tsr_map_run(n, &distances, c->y);
    tsr_map map = {.shape = c->shape};
    tsr_map_add(&map, c->y, c->shape);
    add_up(n, c, &map);
    map.row = divide_row;
    tsr_map_add(&map, c->sum, c->rows);
    tsr_map_run(n, &map, c->y);
}

static void compute_log_softmax(tsr_node *n, const softmax_call *c)
{
    tsr_map map = distances_of(c);
    add_up(n, c, &map);
    for (int64_t i = 0; i < tsr_shape_size(c->rows); i++) c->sum[i] = (tsr_real)log((double)c->sum[i]);
    map.row = log_share_row;
    tsr_map_add(&map, c->sum, c->rows);
    tsr_map_run(n, &map, c->y);
}

static tsr_tensor *forward(const tsr_op *op, tsr_tensor *x, int axis,
                           void (*compute)(tsr_node *n, const softmax_call *c))
{
    tsr_node *n = tsr_begin(op, TSR_INPUTS(x));
    if (tsr_dead(n)) return tsr_end(n);
    softmax_call c = {.shape = tsr_shape_of(x), .x = tsr_data(x)};
    const int asked = axis;
    if (!tsr_find_axis(c.shape.rank, &axis))
        return tsr_reject(n, "%s has no axis %d", tsr_shape_text(c.shape).text, asked);
    c.rows = c.shape;
    c.rows.dims[axis] = 1;
    const size_t bytes = (size_t)tsr_shape_size(c.rows) * sizeof(tsr_real);
    tsr_shape *saved = tsr_save(n, sizeof *saved);
    c.y = tsr_output(n, c.shape);
    c.largest = tsr_scratch(n, bytes);
    c.sum = tsr_scratch(n, bytes);
    if (tsr_dead(n)) return tsr_end(n);
    *saved = c.rows;
    tsr_map map = {.shape = c.shape};
    tsr_map_add(&map, c.x, c.shape);
    tsr_map_fold(n, &map, &(tsr_fold){.largest = true, .target = c.rows, .divisor = 1, .out = c.largest});
    compute(n, &c);
    return tsr_end(n);
}

tsr_tensor *tsr_softmax(tsr_tensor *x, int axis)
{
    return forward(&softmax_op, x, axis, compute_softmax);
}

tsr_tensor *tsr_log_softmax(tsr_tensor *x, int axis)
{
    return forward(&log_softmax_op, x, axis, compute_log_softmax);
}
