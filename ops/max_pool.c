/* Max pooling. Where each maximum lies is remembered, for the way back, by its place in the window: a byte. */
#include "ops/indices.h"
#include "ops/pool_internal.h"

#include <limits.h>
#include <string.h>

/* As wide as a value, so that both are compared and chosen with the same masks. */
#ifdef TSR_DOUBLE
typedef int64_t place;
#else
typedef int32_t place;
#endif

typedef struct best {
    tsr_real value;
    place at;
} best;

/* The larger of two values, and of equal ones that before. NaN wins. */
static TSR_INLINE best larger_first(best a, tsr_real x, place at)
{
    const bool better = (x > a.value) | (x != x);
    return (best){better ? x : a.value, better ? at : a.at};
}

/* The same where the places are not in order. */
static TSR_INLINE best larger_or_earlier(best a, tsr_real x, place at)
{
    const bool better = (x > a.value) | (x != x) | ((x == a.value) & (at < a.at));
    return (best){better ? x : a.value, better ? at : a.at};
}

/* The largest of several lines, place by place. */
static TSR_INLINE void largest_line(const tsr_box_visit *visit, const tsr_box_row *row, tsr_real *restrict y,
                                    place *restrict y_at)
{
    const int64_t first = row->low * row->channels, n = (row->high - row->low) * row->channels;
    const tsr_real *restrict a = visit->x + row->line[0].from + first, *restrict b = visit->x + row->line[1].from + first;
    const place a_at = (place)row->line[0].place, b_at = (place)row->line[1].place;
    for (int64_t i = 0; i < n; i++) {
        const best found = larger_first((best){a[i], a_at}, b[i], b_at);
        y[i] = found.value;
        y_at[i] = found.at;
    }
    for (int64_t l = 2; l < row->lines; l++) {
        const tsr_real *restrict c = visit->x + row->line[l].from + first;
        const place c_at = (place)row->line[l].place;
        for (int64_t i = 0; i < n; i++) {
            const best found = larger_first((best){y[i], y_at[i]}, c[i], c_at);
            y[i] = found.value;
            y_at[i] = found.at;
        }
    }
}

/* n results, each from `count` places of a line, whose values and places are `step` and `at_step` apart. */
static TSR_INLINE void largest_place(const tsr_real *restrict x, const place *restrict at, int64_t step, int64_t at_step,
                                     int64_t count, int64_t n, tsr_real *restrict y, place *restrict y_at)
{
    const tsr_real *restrict b = x + step, *restrict c = b + step;
    const place *restrict b_at = at + at_step, *restrict c_at = b_at + at_step;
    if (count == 1) {
        memcpy(y, x, (size_t)n * sizeof *y);
        memcpy(y_at, at, (size_t)n * sizeof *y_at);
    } else if (count == 2)
        for (int64_t i = 0; i < n; i++) {
            const best found = larger_or_earlier((best){x[i], at[i]}, b[i], b_at[i] + 1);
            y[i] = found.value;
            y_at[i] = found.at;
        }
    else
        for (int64_t i = 0; i < n; i++) {
            const best found = larger_or_earlier((best){x[i], at[i]}, b[i], b_at[i] + 1);
            const best last = larger_or_earlier(found, c[i], c_at[i] + 2);
            y[i] = last.value;
            y_at[i] = last.at;
        }
    for (int64_t k = 3; k < count; k++) {
        const tsr_real *restrict d = x + k * step;
        const place *restrict d_at = at + k * at_step;
        for (int64_t i = 0; i < n; i++) {
            const best found = larger_or_earlier((best){y[i], y_at[i]}, d[i], d_at[i] + (place)k);
            y[i] = found.value;
            y_at[i] = found.at;
        }
    }
}

/* First the largest of a window's lines, then of its places: fewer comparisons than values. */
static TSR_PER_LEVEL(tsr_box_visitor, max_row, (const tsr_box_visit *visit, const tsr_box_row *row), (visit, row))
{
    const tsr_axis_map *map = row->map;
    const int64_t channels = row->channels, results = (row->end - row->begin) * channels;
    const int64_t seen = (row->high - row->low) * channels, at_step = row->lines > 1 ? channels : 0;
    place *restrict y_at = (place *)(void *)row->room, *restrict at = y_at + results;
    const tsr_real *x = row->room + results + seen;
    if (row->lines > 1) largest_line(visit, row, row->room + results + seen, at);
    else {
        x = visit->x + row->line->from + row->low * channels;
        for (int64_t i = 0; i < results; i++) at[i] = (place)row->line->place;
    }
    for (int64_t o = row->begin, equal; o < row->end; o += equal) {
        const int64_t to = (o - row->begin) * channels, first = map->index[map->start[o]] - row->low;
        equal = tsr_equal_results(map, o, row->end);
        largest_place(x + first * channels, at + first * at_step, channels, at_step, map->start[o + 1] - map->start[o],
                      equal * channels, visit->out + row->to + to, y_at + to);
    }
    if (visit->bytes) {
        unsigned char *restrict bytes = visit->bytes + row->to;
        for (int64_t i = 0; i < results; i++) bytes[i] = (unsigned char)y_at[i];
    } else if (visit->places) memcpy((place *)visit->places + row->to, y_at, (size_t)results * sizeof *y_at);
}

/* ---- without a way back: values only ----------------------------------------------------------------------- */

static TSR_INLINE tsr_real above(tsr_real a, tsr_real x)
{
    const bool better = (x > a) | (x != x);
    return better ? x : a;
}

/* y = the largest of `count` places of x, `step` apart, or of y and these. */
static TSR_INLINE void largest_values(const tsr_real *restrict x, int64_t step, int64_t count, bool more, int64_t n,
                                      tsr_real *restrict y)
{
    const tsr_real *restrict b = x + step, *restrict c = b + step;
    if (more)
        for (int64_t i = 0; i < n; i++) y[i] = above(y[i], x[i]);
    else if (count == 2)
        for (int64_t i = 0; i < n; i++) y[i] = above(x[i], b[i]);
    else if (count > 2)
        for (int64_t i = 0; i < n; i++) y[i] = above(above(x[i], b[i]), c[i]);
    else memcpy(y, x, (size_t)n * sizeof *y);
    for (int64_t k = more ? 1 : 3; k < count; k++) {
        const tsr_real *restrict d = x + k * step;
        for (int64_t i = 0; i < n; i++) y[i] = above(y[i], d[i]);
    }
}

static TSR_PER_LEVEL(tsr_box_visitor, max_values_row, (const tsr_box_visit *visit, const tsr_box_row *row), (visit, row))
{
    const tsr_axis_map *map = row->map;
    for (int64_t o = row->begin, equal; o < row->end; o += equal) {
        const int64_t first = map->index[map->start[o]], count = map->start[o + 1] - map->start[o];
        equal = tsr_equal_results(map, o, row->end);
        for (int64_t l = 0; l < row->lines; l++)
            largest_values(visit->x + row->line[l].from + first * row->channels, row->channels, count, l > 0,
                           equal * row->channels, visit->out + row->to + (o - row->begin) * row->channels);
    }
}

/* ---- and back ----------------------------------------------------------------------------------------------- */

/* What a window's gradient gives to its place `wanted`. */
static TSR_INLINE tsr_real where_equal(tsr_real g, place at, place wanted)
{
    return at == wanted ? g : 0;
}

/* out = [out +] the shares of three places, the last ones of which may be missing, where windows are `step` apart. */
static TSR_INLINE void shares(const tsr_real *restrict g, const place *restrict at, const place *wanted, int64_t count,
                              int64_t step, int64_t n, bool more, tsr_real *restrict out)
{
    const place p = wanted[0], q = wanted[1], r = wanted[2];
    if (count == 1)
        for (int64_t i = 0; i < n; i++) out[i] = (more ? out[i] : 0) + where_equal(g[i], at[i], p);
    else if (count == 2)
        for (int64_t i = 0; i < n; i++)
            out[i] = (more ? out[i] : 0) + where_equal(g[i], at[i], p) + where_equal(g[i + step], at[i + step], q);
    else
        for (int64_t i = 0; i < n; i++)
            out[i] = (more ? out[i] : 0) + where_equal(g[i], at[i], p) + where_equal(g[i + step], at[i + step], q) +
                     where_equal(g[i + 2 * step], at[i + 2 * step], r);
}

/* Here a row is one of the image, its lines and places are the windows that see it. */
static TSR_PER_LEVEL(tsr_box_visitor, share_row, (const tsr_box_visit *visit, const tsr_box_row *row), (visit, row))
{
    const tsr_axis_map *map = row->map;
    const int64_t channels = row->channels, seen = (row->high - row->low) * channels;
    tsr_real *gx = visit->out + row->to;
    if (row->lines == 0) memset(gx, 0, (size_t)((row->end - row->begin) * channels) * sizeof *gx);
    for (int64_t l = 0; l < row->lines; l++) {
        const int64_t from = row->line[l].from + row->low * channels;
        const place *at = visit->places ? (const place *)visit->places + from : (place *)(void *)row->room;
        if (visit->bytes) {
            const unsigned char *restrict bytes = visit->bytes + from;
            place *restrict wide = (place *)(void *)row->room;
            for (int64_t i = 0; i < seen; i++) wide[i] = bytes[i];
        }
        for (int64_t o = row->begin, equal; o < row->end; o += equal) {
            const int64_t end = map->start[o + 1];
            tsr_real *out = gx + (o - row->begin) * channels;
            equal = tsr_equal_results(map, o, row->end);
            if (map->start[o] == end && l == 0) memset(out, 0, (size_t)(equal * channels) * sizeof *out);
            for (int64_t k = map->start[o]; k < end; k += 3) {
                const int64_t first = (map->index[k] - row->low) * channels;
                place wanted[3] = {0};
                for (int64_t i = 0; i < 3 && k + i < end; i++) wanted[i] = (place)(row->line[l].place + map->place[k + i]);
                shares(visit->g + from + first, at + first, wanted, end - k, channels, equal * channels,
                       l > 0 || k > map->start[o], out);
            }
        }
    }
}

static void find(tsr_node *n, const tsr_pooling *p, tsr_real *y)
{
    const int level = tsr_node_context(n)->kernels->level;
    tsr_box_visit visit = {.row = max_row[level], .of_results = 2, .of_lines = 2, .x = tsr_data(tsr_input(n, 0)), .out = y,
                           .bytes = p->bytes, .places = p->places};
    if (!visit.bytes && !visit.places) visit = (tsr_box_visit){.row = max_values_row[level], .x = visit.x, .out = y};
    tsr_visit_boxes(n, &p->boxes, &visit);
}

static tsr_tensor *max_pool(tsr_node *n, tsr_pooling *p)
{
    tsr_real *y = tsr_output(n, tsr_pooled_shape(n, p));
    const size_t size = y ? (size_t)tsr_size(tsr_result(n)) : 0;
    double places = 1;
    for (int i = 0; i < p->boxes.rank; i++) places *= (double)p->boxes.maps[i].places;
    if (places > INT32_MAX) return tsr_reject(n, "a window has more than %d places", INT32_MAX);
    if (places <= UCHAR_MAX + 1 && tsr_wants(n, 0)) p->bytes = tsr_save(n, size);
    else if (tsr_wants(n, 0)) p->places = tsr_save(n, size * sizeof(place));
    if (!tsr_dead(n)) find(n, p, y);
    return tsr_end(n);
}

static void max_pool_backward(tsr_node *n)
{
    const tsr_pooling *p = tsr_saved(n);
    tsr_resampling back;
    const tsr_box_visit visit = {.row = share_row[tsr_node_context(n)->kernels->level], .of_inputs = 1,
                                 .g = tsr_data(tsr_cotangent(n)), .out = tsr_gradient(n, 0), .bytes = p->bytes,
                                 .places = p->places};
    if (visit.out && tsr_transpose_maps(n, &p->boxes, &back)) tsr_visit_boxes(n, &back, &visit);
}

static const tsr_op max_pool_op = {.name = "max_pool", .backward = max_pool_backward};
static const tsr_op adaptive_max_pool_op = {.name = "adaptive_max_pool", .backward = max_pool_backward};
static const tsr_op max_pool_indices_op = {.name = "max_pool_indices"};

tsr_tensor *tsr_max_pool(tsr_tensor *x, const tsr_pool_options *options)
{
    tsr_tensor *error;
    tsr_node *n = tsr_begin(&max_pool_op, TSR_INPUTS(x));
    tsr_pooling *p = tsr_pooling_windows(n, options, &error);
    return p ? max_pool(n, p) : error;
}

tsr_tensor *tsr_adaptive_max_pool(tsr_tensor *x, const int64_t *size)
{
    tsr_tensor *error;
    tsr_node *n = tsr_begin(&adaptive_max_pool_op, TSR_INPUTS(x));
    tsr_pooling *p = tsr_pooling_adaptive(n, size, &error);
    return p ? max_pool(n, p) : error;
}

tsr_tensor *tsr_max_pool_indices(tsr_tensor *x, const tsr_pool_options *options)
{
    tsr_tensor *error;
    tsr_node *n = tsr_begin(&max_pool_indices_op, TSR_INPUTS(x));
    tsr_pooling *p = tsr_pooling_windows(n, options, &error);
    if (!p) return error;
    double places = 1;
    for (int i = 0; i < p->boxes.rank; i++) { /* places in the whole image instead of the window */
        tsr_axis_map *map = &p->boxes.maps[i];
        memcpy(map->place, map->index, (size_t)map->start[map->out] * sizeof *map->place);
        map->places = map->in;
        places *= (double)map->in;
    }
    if (places > (double)TSR_MOST_INDEXED)
        return tsr_reject(n, "input %s has more than %lld places: indices are not exact",
                          tsr_shape_text(tsr_shape_of(x)).text, (long long)TSR_MOST_INDEXED);
    tsr_real *y = tsr_output(n, tsr_pooled_shape(n, p));
    p->places = tsr_scratch(n, y ? (size_t)tsr_size(tsr_result(n)) * sizeof(place) : 0);
    if (!p->places || !y) return tsr_end(n);
    find(n, p, y);
    const tsr_axis_map *last = &p->boxes.maps[p->boxes.rank - 1];
    for (int64_t i = 0; i < tsr_size(tsr_result(n)); i++) {
        const int64_t first = last->start[i / p->boxes.channels % last->out];
        y[i] = (tsr_real)(((const place *)p->places)[i] + last->place[first]);
    }
    return tsr_end(n);
}
