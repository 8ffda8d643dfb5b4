/* Average and power pooling: sums over boxes, for the gradient too. */
#include "core/kernels/functions.h"
#include "ops/pool_internal.h"

#include <float.h>
#include <math.h>

/* ---- average ----------------------------------------------------------------------------------------------------- */

static tsr_tensor *average(tsr_node *n, const tsr_pooling *p)
{
    tsr_real *y = tsr_output(n, tsr_pooled_shape(n, p));
    if (y) tsr_resample(n, &p->boxes, tsr_data(tsr_input(n, 0)), y);
    return tsr_end(n);
}

static void avg_pool_backward(tsr_node *n)
{
    const tsr_pooling *p = tsr_saved(n);
    tsr_resampling back;
    tsr_real *gx = tsr_gradient(n, 0);
    if (gx && tsr_transpose_maps(n, &p->boxes, &back)) tsr_resample(n, &back, tsr_data(tsr_cotangent(n)), gx);
}

static const tsr_op avg_pool_op = {.name = "avg_pool", .backward = avg_pool_backward};
static const tsr_op adaptive_avg_pool_op = {.name = "adaptive_avg_pool", .backward = avg_pool_backward};

tsr_tensor *tsr_avg_pool(tsr_tensor *x, const tsr_pool_options *options)
{
    tsr_tensor *error;
    tsr_node *n = tsr_begin(&avg_pool_op, TSR_INPUTS(x));
    const tsr_pooling *p = tsr_pooling_windows(n, options, &error);
    return p ? average(n, p) : error;
}

tsr_tensor *tsr_adaptive_avg_pool(tsr_tensor *x, const int64_t *size)
{
    tsr_tensor *error;
    tsr_node *n = tsr_begin(&adaptive_avg_pool_op, TSR_INPUTS(x));
    const tsr_pooling *p = tsr_pooling_adaptive(n, size, &error);
    return p ? average(n, p) : error;
}

/* ---- powers ------------------------------------------------------------------------------------------------------ */

/* Squares of sums between these are right; others are found by way of the largest value. A norm below tiny counts as 0 in
 * the gradient. */
#ifdef TSR_DOUBLE
static const double smallest = 1e-280, largest = 1e280, tiny = 1e-290;
#else
static const float smallest = 1e-30f, largest = 1e30f, tiny = 1e-30f;
#endif

static double careful_norm(const tsr_box_visit *visit, const tsr_box_row *row, int64_t o, int64_t c)
{
    const tsr_axis_map *map = row->map;
    double most = 0, sum = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t l = 0; l < row->lines; l++)
            for (int64_t k = map->start[o]; k < map->start[o + 1]; k++) {
                const double x = fabs((double)visit->x[row->line[l].from + map->index[k] * row->channels + c]);
                if (pass == 0) most = x > most || x != x ? x : most;
                else if (most > 0 && most < INFINITY) sum += visit->power == 2 ? x / most * (x / most) : pow(x / most, visit->power);
            }
    return most > 0 && most < INFINITY ? most * (visit->power == 2 ? sqrt(sum) : pow(sum, 1 / visit->power)) : most;
}

/* Of sums of squares. */
static TSR_PER_LEVEL(tsr_box_visitor, take_roots, (const tsr_box_visit *visit, const tsr_box_row *row), (visit, row))
{
    const int64_t n = (row->end - row->begin) * row->channels;
    tsr_real *y = visit->out + row->to;
    int odd = 0;
    for (int64_t i = 0; i < n; i++) odd |= !(y[i] > smallest && y[i] < largest);
    for (int64_t i = 0; i < n && odd; i++)
        if (!(y[i] > smallest && y[i] < largest)) {
            const tsr_real norm = (tsr_real)careful_norm(visit, row, row->begin + i / row->channels, i % row->channels);
            y[i] = -norm; /* a mark that it is one already */
        }
    for (int64_t i = 0; i < n; i++) y[i] = y[i] > 0 ? tsr_sqrt_of(y[i]) : 0 - y[i];
}

static void careful_row(const tsr_box_visit *visit, const tsr_box_row *row)
{
    for (int64_t o = row->begin; o < row->end; o++)
        for (int64_t c = 0; c < row->channels; c++)
            visit->out[row->to + (o - row->begin) * row->channels + c] = (tsr_real)careful_norm(visit, row, o, c);
}

static tsr_tensor *powers(tsr_node *n, const tsr_pooling *p)
{
    tsr_real *y = tsr_output(n, tsr_pooled_shape(n, p));
    tsr_box_visit visit = {.x = tsr_data(tsr_input(n, 0)), .out = y, .power = p->power};
    if (p->power == 2) {
        visit.squares = true;
        visit.finish = take_roots[tsr_node_context(n)->kernels->level];
    } else visit.row = careful_row;
    if (y) tsr_visit_boxes(n, &p->boxes, &visit);
    return tsr_end(n);
}

/* dx = sum of g sign(x) (|x| / y)^(p - 1) over the windows that see x, 0 where y is; for p = 2 that is x times the sum of
 * g / y. */
static TSR_LOOP(divide_powers_body)
{
    const tsr_box_visit *to = user;
    for (int64_t i = begin; i < end; i++) {
        const tsr_real ratio = to->g[i] / to->y[i];
        to->out[i] = to->y[i] > tiny || to->y[i] != to->y[i] ? ratio : 0;
    }
}

static TSR_PER_LEVEL(tsr_box_visitor, times_y, (const tsr_box_visit *visit, const tsr_box_row *row), (visit, row))
{
    const int64_t n = (row->end - row->begin) * row->channels;
    const tsr_real *restrict y = visit->y + row->to;
    tsr_real *restrict out = visit->out + row->to;
    for (int64_t i = 0; i < n; i++) out[i] *= y[i];
}

static void any_power_row(const tsr_box_visit *visit, const tsr_box_row *row)
{
    const tsr_axis_map *map = row->map;
    for (int64_t o = row->begin; o < row->end; o++)
        for (int64_t c = 0; c < row->channels; c++) {
            const int64_t to = row->to + (o - row->begin) * row->channels + c;
            const double x = (double)visit->x[to];
            double sum = 0;
            for (int64_t l = 0; l < row->lines; l++)
                for (int64_t k = map->start[o]; k < map->start[o + 1] && x != 0; k++) {
                    const int64_t at = row->line[l].from + map->index[k] * row->channels + c;
                    const double ratio = fabs(x) / (double)visit->y[at], g = (double)visit->g[at];
                    sum += visit->power == 1 ? g : g * pow(ratio, visit->power - 1);
                }
            visit->out[to] = (tsr_real)(x < 0 ? -sum : sum);
        }
}

static void lp_pool_backward(tsr_node *n)
{
    const tsr_pooling *p = tsr_saved(n);
    const tsr_real *x = tsr_data(tsr_input(n, 0)), *y = tsr_data(tsr_result(n)), *g = tsr_data(tsr_cotangent(n));
    const int64_t size = tsr_size(tsr_result(n));
    const int level = tsr_node_context(n)->kernels->level;
    tsr_real *gx = tsr_gradient(n, 0);
    tsr_box_visit visit = {.row = any_power_row, .x = x, .y = y, .g = g, .out = gx, .power = p->power};
    if (p->power == 2) {
        tsr_real *quotients = tsr_scratch(n, (size_t)size * sizeof *quotients);
        if (!quotients) return;
        visit.out = quotients;
        tsr_parallel(tsr_node_context(n), size, tsr_grain(2), divide_powers_body[level], &visit);
        visit = (tsr_box_visit){.x = quotients, .finish = times_y[level], .y = x, .out = gx};
    }
    tsr_resampling back;
    if (gx && tsr_transpose_maps(n, &p->boxes, &back)) tsr_visit_boxes(n, &back, &visit);
}

static const tsr_op lp_pool_op = {.name = "lp_pool", .backward = lp_pool_backward};

tsr_tensor *tsr_lp_pool(tsr_tensor *x, const tsr_pool_options *options)
{
    tsr_tensor *error;
    tsr_node *n = tsr_begin(&lp_pool_op, TSR_INPUTS(x));
    tsr_pooling *p = tsr_pooling_windows(n, options, &error);
    if (!p) return error;
    p->power = tsr_default_double(options->power, 2);
    if (!(p->power >= 1 && p->power <= DBL_MAX))
        return tsr_reject(n, "power %g, expected a number of 1 or more (max_pool is its limit)", p->power);
    for (int i = 0; i < p->boxes.rank; i++) /* sums instead of averages */
        for (int64_t k = 0; k < p->boxes.maps[i].start[p->boxes.maps[i].out]; k++) p->boxes.maps[i].weight[k] = 1;
    return powers(n, p);
}
