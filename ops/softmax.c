/* softmax and log_softmax along one axis: folds and maps, as the reductions are. */
#include "core/kernels/functions.h"
#include "ops/map_internal.h"

enum { CHUNK = 1 << 16 }; /* values that go through all passes before the next: they stay in the cache */

static TSR_ROW(exp_from_largest, tsr_exp_below(x - largest), x, largest)
static TSR_ROW(product, y * g, y, g)
static TSR_ROW(divide, e / sum, e, sum)
static TSR_ROW(log_share, (x - largest) - log_sum, x, largest, log_sum)
static TSR_ROW(logarithm, tsr_log_of(x), x)
/* The last input is the row's sum of y g, or of g. */
static TSR_ROW(softmax_gradient, y * (g - sum), y, g, sum)
static TSR_ROW(log_softmax_gradient, g - tsr_exp_below(y) * sum, y, g, sum)

/* Some rows along the axis and what becomes of them. */
typedef struct softmax_chunk {
    tsr_context *ctx;
    bool log;
    tsr_shape shape, rows;     /* [N, length, inner], [N, 1, inner] */
    const tsr_real *x, *y, *g; /* backward: y and g */
    tsr_real *out, *first, *second; /* the last two for `rows` */
} softmax_chunk;

static tsr_map map_of(const softmax_chunk *c, const tsr_row *row, const tsr_real *values, const tsr_real *of_rows)
{
    tsr_map map = {.row = row, .cost = 4, .shape = c->shape};
    tsr_map_add(&map, values, NULL);
    if (of_rows) tsr_map_add(&map, of_rows, &c->rows);
    return map;
}

static void fold_rows(const softmax_chunk *c, const tsr_map *map, bool largest, tsr_real *out)
{
    tsr_map_fold(c->ctx, map, &(tsr_fold){.largest = largest, .target = &c->rows, .divisor = 1, .out = out});
}

static void compute(const softmax_chunk *c)
{
    tsr_map map = map_of(c, NULL, c->x, NULL);
    fold_rows(c, &map, true, c->first);
    map = map_of(c, exp_from_largest, c->x, c->first);
    if (c->log) {
        fold_rows(c, &map, false, c->second);
        tsr_map logs = {.row = logarithm, .cost = 4, .shape = c->rows};
        tsr_map_add(&logs, c->second, &c->rows);
        tsr_map_run(c->ctx, &logs, c->second);
        map.row = log_share;
        tsr_map_add(&map, c->second, &c->rows);
    } else {
        tsr_map_run(c->ctx, &map, c->out);
        map = map_of(c, NULL, c->out, NULL);
        fold_rows(c, &map, false, c->second);
        map = map_of(c, divide, c->out, c->second);
    }
    tsr_map_run(c->ctx, &map, c->out);
}

static void compute_gradient(const softmax_chunk *c)
{
    tsr_map map = map_of(c, c->log ? NULL : product, c->g, NULL);
    tsr_map_add(&map, c->y, NULL);
    fold_rows(c, &map, false, c->first);
    map = map_of(c, c->log ? log_softmax_gradient : softmax_gradient, c->y, NULL);
    tsr_map_add(&map, c->g, NULL);
    tsr_map_add(&map, c->first, &c->rows);
    tsr_map_run(c->ctx, &map, c->out);
}

static void run_softmax(tsr_node *n, softmax_chunk c, const tsr_axis_view *view, void (*work)(const softmax_chunk *c))
{
    const int64_t unit = view->length * view->inner, step = unit > 0 && unit < CHUNK ? CHUNK / unit : 1;
    c.ctx = tsr_node_context(n);
    c.first = tsr_scratch(n, (size_t)(2 * step * view->inner) * sizeof *c.first);
    if (!c.out || !c.first) return;
    c.second = c.first + step * view->inner;
    const tsr_real *x = c.x, *y = c.y, *g = c.g;
    tsr_real *out = c.out;
    for (int64_t i = 0; i < view->outer && unit > 0; i += step) {
        c.shape = TSR_SHAPE(view->outer - i < step ? view->outer - i : step, view->length, view->inner);
        c.rows = TSR_SHAPE(c.shape.dims[0], 1, view->inner);
        if (x) c.x = x + i * unit;
        if (y) c.y = y + i * unit;
        if (g) c.g = g + i * unit;
        c.out = out + i * unit;
        work(&c);
    }
}

static void backward(tsr_node *n, bool log)
{
    run_softmax(n, (softmax_chunk){.log = log, .y = tsr_data(tsr_result(n)), .g = tsr_data(tsr_cotangent(n)),
                           .out = tsr_gradient(n, 0)}, tsr_saved(n), compute_gradient);
}

static void softmax_backward(tsr_node *n)
{
    backward(n, false);
}

static void log_softmax_backward(tsr_node *n)
{
    backward(n, true);
}

static const tsr_op softmax_op = {.name = "softmax", .backward = softmax_backward};
static const tsr_op log_softmax_op = {.name = "log_softmax", .backward = log_softmax_backward};

static tsr_tensor *forward(const tsr_op *op, tsr_tensor *x, int axis)
{
    tsr_node *n = tsr_begin(op, TSR_INPUTS(x));
    if (tsr_dead(n)) return tsr_end(n);
    const tsr_shape shape = tsr_shape_of(x);
    const int asked = axis;
    if (!tsr_find_axis(shape.rank, &axis))
        return tsr_reject(n, "%s has no axis %d", tsr_shape_text(shape).text, asked);
    tsr_axis_view *saved = tsr_save(n, sizeof *saved);
    tsr_real *y = tsr_output(n, shape);
    if (tsr_dead(n)) return tsr_end(n);
    *saved = tsr_view_axis(shape, axis);
    run_softmax(n, (softmax_chunk){.log = op == &log_softmax_op, .x = tsr_data(x), .out = y}, saved, compute);
    return tsr_end(n);
}

tsr_tensor *tsr_softmax(tsr_tensor *x, int axis)
{
    return forward(&softmax_op, x, axis);
}

tsr_tensor *tsr_log_softmax(tsr_tensor *x, int axis)
{
    return forward(&log_softmax_op, x, axis);
}
