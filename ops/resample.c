#include "ops/resample.h"
#include "ops/ops_internal.h"

#include <string.h>

/* ---- maps -------------------------------------------------------------------------------------------------------- */

typedef void *(*memory_source)(tsr_node *n, size_t bytes);

static bool new_map(tsr_node *n, memory_source take, tsr_axis_map *map, int64_t in, int64_t out, int64_t tap_terms)
{
    const int64_t most = (int64_t)(SIZE_MAX / 64); /* this is refused, and its bytes are still a number */
    *map = (tsr_axis_map){.in = in, .out = out};
    out = tsr_smaller(out, most);
    tap_terms = tsr_smaller(tap_terms, most);
    map->start = take(n, (size_t)(out + 1) * sizeof *map->start);
    map->index = take(n, (size_t)tap_terms * sizeof *map->index);
    map->place = take(n, (size_t)tap_terms * sizeof *map->place);
    map->weight = take(n, (size_t)tap_terms * sizeof *map->weight);
    if (!map->start || !map->index || !map->place || !map->weight) return false;
    memset(map->start, 0, (size_t)(out + 1) * sizeof *map->start);
    return true;
}

bool tsr_axis_map_new(tsr_node *n, tsr_axis_map *map, int64_t in, int64_t out, int64_t tap_terms)
{
    return new_map(n, tsr_save, map, in, out, tap_terms);
}

void tsr_axis_map_add(tsr_axis_map *map, int64_t index, double weight)
{
    const int64_t k = map->start[map->filled + 1]++;
    map->index[k] = index;
    map->place[k] = k - map->start[map->filled];
    map->weight[k] = (tsr_real)weight;
    if (map->places < map->place[k] + 1) map->places = map->place[k] + 1;
}

void tsr_axis_map_end(tsr_axis_map *map)
{
    map->filled++;
    if (map->filled < map->out) map->start[map->filled + 1] = map->start[map->filled];
}

/* A counting sort by index; tap_terms of one index stay in order. */
static bool transpose(tsr_node *n, const tsr_axis_map *old, tsr_axis_map *map)
{
    const int64_t tap_terms = old->start[old->out];
    if (!new_map(n, tsr_scratch, map, old->out, old->in, tap_terms)) return false;
    map->places = old->places;
    for (int64_t k = 0; k < tap_terms; k++) map->start[old->index[k] + 1]++;
    for (int64_t i = 0; i < old->in; i++) map->start[i + 1] += map->start[i];
    for (int64_t o = 0; o < old->out; o++)
        for (int64_t k = old->start[o]; k < old->start[o + 1]; k++) {
            const int64_t to = map->start[old->index[k]]++;
            map->index[to] = o;
            map->place[to] = old->place[k];
            map->weight[to] = old->weight[k];
        }
    for (int64_t i = old->in; i > 0; i--) map->start[i] = map->start[i - 1]; /* each had moved to its end */
    map->start[0] = 0;
    return true;
}

bool tsr_transpose_maps(tsr_node *n, const tsr_resampling *r, tsr_resampling *transposed)
{
    *transposed = *r;
    for (int axis = 0; axis < r->rank; axis++)
        if (!transpose(n, &r->maps[axis], &transposed->maps[axis])) return false;
    return true;
}

int64_t tsr_equal_results(const tsr_axis_map *map, int64_t o, int64_t end)
{
    const int64_t begin = map->start[o], count = map->start[o + 1] - begin;
    int64_t equal = 1;
    for (; o + equal < end; equal++) {
        const int64_t other = map->start[o + equal];
        if (map->start[o + equal + 1] - other != count) return equal;
        for (int64_t k = 0; k < count; k++)
            if (map->index[other + k] != map->index[begin + k] + equal || map->place[other + k] != map->place[begin + k] ||
                map->weight[other + k] != map->weight[begin + k])
                return equal;
    }
    return equal;
}

/* ---- walking the boxes ------------------------------------------------------------------------------------------- */

/* The results along the last axis are cut in segments, and of each the places that it sees are known. */
typedef struct segment_walk {
    const tsr_resampling *r;
    const tsr_box_visit *visit;
    int64_t segment, segments, rows; /* results of a segment; segments of a row; rows of an image */
    int64_t grain, most_lines, most_room;
    int64_t *low, *high;
    tsr_box_line *lines;
    tsr_real *room;
} segment_walk;

/* The lines of a box from `axis` on, each of which begins as `line` does; returns the end of the list. */
static tsr_box_line *add_lines(const tsr_resampling *r, const int64_t *at, int axis, tsr_box_line line, tsr_box_line *end)
{
    const tsr_axis_map *map = &r->maps[axis];
    line.from *= map->in;
    line.place *= map->places;
    if (axis == r->rank - 1) {
        line.from *= r->channels;
        *end = line;
        return end + 1;
    }
    for (int64_t k = map->start[at[axis]]; k < map->start[at[axis] + 1]; k++) {
        const tsr_box_line next = {line.from + map->index[k], line.place + map->place[k], line.weight * map->weight[k]};
        end = add_lines(r, at, axis + 1, next, end);
    }
    return end;
}

static void walk_body(void *user, int64_t begin, int64_t end)
{
    const segment_walk *w = user;
    const tsr_resampling *r = w->r;
    const tsr_axis_map *last = &r->maps[r->rank - 1];
    const int64_t piece = begin / w->grain;
    tsr_box_line *lines = w->lines + piece * w->most_lines;
    for (int64_t item = begin; item < end; item++) {
        const int64_t segment = item % w->segments, place = item / w->segments;
        int64_t at[TSR_MAX_RANK], rest = place % w->rows;
        for (int i = r->rank - 2; i >= 0; i--) {
            at[i] = rest % r->maps[i].out;
            rest /= r->maps[i].out;
        }
        tsr_box_row row = {.map = last, .line = lines, .channels = r->channels, .begin = segment * w->segment,
                           .low = w->low[segment], .high = w->high[segment], .room = w->room + piece * w->most_room};
        row.end = row.begin + w->segment < last->out ? row.begin + w->segment : last->out;
        row.to = (place * last->out + row.begin) * r->channels;
        row.lines = add_lines(r, at, 0, (tsr_box_line){place / w->rows, 0, 1}, lines) - lines;
        w->visit->row(w->visit, &row);
    }
}

/* What the segments see, and the memory that they need. */
static bool find_segments(tsr_node *n, segment_walk *w)
{
    const tsr_axis_map *last = &w->r->maps[w->r->rank - 1];
    const tsr_box_visit *v = w->visit;
    const int64_t of_inputs = v->of_inputs + (w->most_lines > 1 ? v->of_lines : 0);
    w->low = tsr_scratch(n, (size_t)w->segments * 2 * sizeof *w->low);
    if (!w->low) return false;
    w->high = w->low + w->segments;
    for (int64_t s = 0; s < w->segments; s++) {
        const int64_t end = (s + 1) * w->segment < last->out ? (s + 1) * w->segment : last->out;
        const int64_t begin = last->start[s * w->segment];
        w->low[s] = w->high[s] = begin < last->start[end] ? last->index[begin] : 0;
        for (int64_t k = begin; k < last->start[end]; k++) {
            if (last->index[k] < w->low[s]) w->low[s] = last->index[k];
            if (last->index[k] >= w->high[s]) w->high[s] = last->index[k] + 1;
        }
        const int64_t room = (w->high[s] - w->low[s]) * of_inputs + w->segment * v->of_results;
        if (room * w->r->channels > w->most_room) w->most_room = room * w->r->channels;
    }
    return true;
}

static void visit_rows(tsr_node *n, const tsr_resampling *r, const tsr_box_visit *visit)
{
    const tsr_axis_map *last = &r->maps[r->rank - 1];
    segment_walk w = {.r = r, .visit = visit, .rows = 1, .most_lines = 1};
    double tap_terms = 1; /* of a box */
    for (int i = 0; i < r->rank; i++) {
        const tsr_axis_map *map = &r->maps[i];
        if (map->out == 0) return;
        tap_terms *= (double)map->start[map->out] / (double)map->out;
        if (map == last) break;
        int64_t most = 0;
        for (int64_t o = 0; o < map->out; o++)
            if (map->start[o + 1] - map->start[o] > most) most = map->start[o + 1] - map->start[o];
        w.rows *= map->out;
        w.most_lines *= most;
    }
    const double cost = (1 + tap_terms) * (double)(r->channels + 8);
    w.segment = tsr_grain(cost) < last->out ? tsr_grain(cost) : last->out;
    w.segments = (last->out - 1) / w.segment + 1;
    if (r->batch == 0 || r->channels == 0 || !find_segments(n, &w)) return;
    const int64_t items = r->batch * w.rows * w.segments;
    w.grain = tsr_grain_of_few(items, cost * (double)w.segment);
    const size_t pieces = (size_t)((items - 1) / w.grain + 1);
    w.lines = tsr_scratch(n, pieces * (size_t)w.most_lines * sizeof *w.lines);
    w.room = tsr_scratch(n, pieces * (size_t)w.most_room * sizeof *w.room);
    if (w.lines && w.room) tsr_parallel(tsr_node_context(n), items, w.grain, walk_body, &w);
}

/* ---- sums -------------------------------------------------------------------------------------------------------- */

/* Some tap_terms of a sum: at most MOST at a time, and with a sum of their own where they are more than TERMS, so that
 * rounding errors of long sums (a global average over a minute of sound) do not pile up. */
enum { MOST = 4, TERMS = 64 };

typedef struct tap_terms {
    int count;
    const tsr_real *from[MOST];
    tsr_real weight[MOST];
} tap_terms;

/* out = the sum of the tap_terms, the first of which may be out. */
static TSR_INLINE void sum_terms(const tap_terms *t, int64_t n, tsr_real *out)
{
    const tsr_real *a = t->from[0], *b = t->from[1], *c = t->from[2], *d = t->from[3];
    const tsr_real p = t->weight[0], q = t->weight[1], r = t->weight[2], s = t->weight[3];
    switch (t->count) {
    case 1:
        TSR_INDEPENDENT
        for (int64_t i = 0; i < n; i++) out[i] = p * a[i];
        break;
    case 2:
        TSR_INDEPENDENT
        for (int64_t i = 0; i < n; i++) out[i] = p * a[i] + q * b[i];
        break;
    case 3:
        TSR_INDEPENDENT
        for (int64_t i = 0; i < n; i++) out[i] = p * a[i] + q * b[i] + r * c[i];
        break;
    default:
        TSR_INDEPENDENT
        for (int64_t i = 0; i < n; i++) out[i] = (p * a[i] + q * b[i]) + (r * c[i] + s * d[i]);
    }
}

static TSR_INLINE void add_term(tap_terms *t, const tsr_real *from, tsr_real weight, int64_t n, tsr_real *out)
{
    if (t->count == MOST) {
        sum_terms(t, n, out);
        *t = (tap_terms){.count = 1, .from = {out}, .weight = {1}};
    }
    t->from[t->count] = from;
    t->weight[t->count++] = weight;
}

/* The lines' sum, from place `low` on, in the row's memory. */
static TSR_INLINE void sum_lines(const tsr_box_visit *visit, const tsr_box_row *row, tsr_real *out)
{
    const int64_t first = row->low * row->channels, n = (row->high - row->low) * row->channels;
    tap_terms t = {0};
    for (int64_t l = 0; l < row->lines; l++) {
        const tsr_real *x = visit->x + row->line[l].from + first;
        if (!visit->squares) add_term(&t, x, row->line[l].weight, n, out);
        else if (l == 0)
            for (int64_t i = 0; i < n; i++) out[i] = x[i] * x[i];
        else
            for (int64_t i = 0; i < n; i++) out[i] += x[i] * x[i];
    }
    if (!visit->squares) sum_terms(&t, n, out);
}

static TSR_PER_LEVEL(tsr_box_visitor, sum_row, (const tsr_box_visit *visit, const tsr_box_row *row), (visit, row))
{
    const tsr_axis_map *map = row->map;
    const int64_t channels = row->channels;
    const bool one = row->lines == 1 && !visit->squares;
    tsr_real *part = row->room, *sums = part + channels;
    const tsr_real *x = one ? visit->x + row->line->from + row->low * channels : sums;
    const tsr_real factor = one ? row->line->weight : 1;
    if (row->lines > 0 && !one) sum_lines(visit, row, sums);
    for (int64_t o = row->begin, equal; o < row->end; o += equal) {
        tsr_real *y = visit->out + row->to + (o - row->begin) * channels;
        const int64_t begin = map->start[o], end = row->lines > 0 ? map->start[o + 1] : begin;
        const tsr_real *from = x + (end > begin ? map->index[begin] - row->low : 0) * channels;
        equal = end - begin > TERMS ? 1 : tsr_equal_results(map, o, row->end);
        const int64_t n = equal * channels;
        if (end == begin) memset(y, 0, (size_t)n * sizeof *y);
        else if (end == begin + 1 && factor * map->weight[begin] == 1) memcpy(y, from, (size_t)n * sizeof *y);
        else
            for (int64_t k = begin; k < end;) {
                tap_terms t = {0};
                tsr_real *out = k == begin ? y : part;
                for (const int64_t stop = end - k < TERMS ? end : k + TERMS; k < stop; k++)
                    add_term(&t, x + (map->index[k] - row->low) * channels, factor * map->weight[k], n, out);
                sum_terms(&t, n, out);
                if (out == part) sum_terms(&(tap_terms){2, {y, part}, {1, 1}}, n, y);
            }
    }
    if (visit->finish) visit->finish(visit, row);
}

void tsr_visit_boxes(tsr_node *n, const tsr_resampling *r, const tsr_box_visit *visit)
{
    tsr_box_visit v = *visit;
    if (!v.row) {
        v.row = sum_row[tsr_node_context(n)->kernels->level];
        v.of_results = 1;
        v.of_inputs = v.squares;
        v.of_lines = !v.squares;
    }
    visit_rows(n, r, &v);
}

void tsr_resample(tsr_node *n, const tsr_resampling *r, const tsr_real *x, tsr_real *y)
{
    tsr_visit_boxes(n, r, &(tsr_box_visit){.x = x, .out = y});
}
