#include "ops/resample.h"

#include <string.h>

bool tsr_axis_map_new(tsr_node *n, tsr_axis_map *map, int64_t in, int64_t out, int64_t terms)
{
    *map = (tsr_axis_map){.in = in, .out = out};
    map->start = tsr_scratch(n, (size_t)(out + 1) * sizeof *map->start);
    map->index = tsr_scratch(n, (size_t)terms * sizeof *map->index);
    map->weight = tsr_scratch(n, (size_t)terms * sizeof *map->weight);
    if (!map->start || !map->index || !map->weight) return false;
    map->start[0] = 0;
    if (out > 0) map->start[1] = 0;
    return true;
}

void tsr_axis_map_add(tsr_axis_map *map, int64_t index, double weight)
{
    const int64_t k = map->start[map->filled + 1]++;
    map->index[k] = index;
    map->weight[k] = (tsr_real)weight;
}

void tsr_axis_map_end(tsr_axis_map *map)
{
    map->filled++;
    if (map->filled < map->out) map->start[map->filled + 1] = map->start[map->filled];
}

/* A counting sort by index; terms of one index stay in order. */
static bool transpose(tsr_node *n, tsr_axis_map *map)
{
    const tsr_axis_map old = *map;
    const int64_t terms = old.start[old.out];
    if (!tsr_axis_map_new(n, map, old.out, old.in, terms)) return false;
    memset(map->start, 0, (size_t)(old.in + 1) * sizeof *map->start);
    for (int64_t k = 0; k < terms; k++) map->start[old.index[k] + 1]++;
    for (int64_t i = 0; i < old.in; i++) map->start[i + 1] += map->start[i];
    for (int64_t o = 0; o < old.out; o++)
        for (int64_t k = old.start[o]; k < old.start[o + 1]; k++) {
            const int64_t to = map->start[old.index[k]]++;
            map->index[to] = o;
            map->weight[to] = old.weight[k];
        }
    for (int64_t i = old.in; i > 0; i--) map->start[i] = map->start[i - 1]; /* each had moved to its end */
    map->start[0] = 0;
    return true;
}

bool tsr_transpose_maps(tsr_node *n, tsr_resampling *r)
{
    for (int axis = 0; axis < r->rank; axis++)
        if (!transpose(n, &r->maps[axis])) return false;
    return true;
}

/* ---- the sums ------------------------------------------------------------------------------------------------------ */

/* Channels and terms that are summed at a time: few enough channels to stay in the nearest cache, few enough
 * terms that rounding errors of long sums (a global average over a minute of sound) do not pile up. */
enum { CHANNELS = 64, TERMS = 64, NARROW = 8 };

typedef struct resample_job {
    const tsr_resampling *r;
    int64_t stride[TSR_MAX_RANK]; /* of the input's mapped axes */
    int64_t inputs, results;      /* places of one image */
    bool selects;                 /* each result is one input value */
    const tsr_real *x;
    tsr_real *y;
} resample_job;

/* One result, some of its channels. */
typedef struct resample_target {
    const int64_t *at; /* its place along each mapped axis */
    tsr_real *total;
    int64_t width;
} resample_target;

/* The terms begin ... end - 1 of a result along the innermost axis, all to be multiplied by `weight`. */
typedef struct term_line {
    const tsr_axis_map *map;
    int64_t begin, end, stride;
    const tsr_real *x;
    tsr_real weight;
} term_line;

/* For channels too few to be worth loops over them. */
static void add_narrow(const term_line *t, tsr_real *total, int64_t width)
{
    for (int64_t c = 0; c < width; c++) {
        double sum = 0;
        for (int64_t k = t->begin; k < t->end; k++)
            sum += (double)t->map->weight[k] * (double)t->x[t->map->index[k] * t->stride + c];
        total[c] += (tsr_real)((double)t->weight * sum);
    }
}

static void add_two(const term_line *t, tsr_real *restrict total, int64_t width)
{
    const int64_t *index = t->map->index + t->begin;
    const tsr_real *a = t->x + index[0] * t->stride, *b = t->x + index[1] * t->stride;
    const tsr_real u = t->weight * t->map->weight[t->begin], v = t->weight * t->map->weight[t->begin + 1];
    for (int64_t c = 0; c < width; c++) total[c] += u * a[c] + v * b[c];
}

static void add_many(const term_line *t, tsr_real *restrict total, int64_t width)
{
    const tsr_axis_map *map = t->map;
    for (int64_t k = t->begin; k < t->end;) {
        tsr_real sum[CHANNELS];
        const int64_t stop = t->end - k < TERMS ? t->end : k + TERMS;
        const tsr_real *from = t->x + map->index[k] * t->stride;
        tsr_real w = map->weight[k];
        for (int64_t c = 0; c < width; c++) sum[c] = w * from[c];
        for (k++; k < stop; k++) {
            from = t->x + map->index[k] * t->stride;
            w = map->weight[k];
            for (int64_t c = 0; c < width; c++) sum[c] += w * from[c];
        }
        for (int64_t c = 0; c < width; c++) total[c] += t->weight * sum[c];
    }
}

/* Adds weight * the terms of the axes from `axis` on. */
static void add_terms(const resample_job *job, const resample_target *to, int axis, const tsr_real *x,
                      tsr_real weight)
{
    const tsr_axis_map *map = &job->r->maps[axis];
    const int64_t begin = map->start[to->at[axis]], end = map->start[to->at[axis] + 1],
                  stride = job->stride[axis];
    if (axis + 1 < job->r->rank) {
        for (int64_t k = begin; k < end; k++)
            add_terms(job, to, axis + 1, x + map->index[k] * stride, weight * map->weight[k]);
        return;
    }
    const term_line line = {map, begin, end, stride, x, weight};
    if (to->width < NARROW) add_narrow(&line, to->total, to->width);
    else if (end - begin == 2) add_two(&line, to->total, to->width);
    else add_many(&line, to->total, to->width);
}

static void resample_one(const resample_job *job, const tsr_real *x, const int64_t *at, tsr_real *y)
{
    const int64_t channels = job->r->channels;
    if (job->selects) {
        for (int i = 0; i < job->r->rank; i++) x += job->r->maps[i].index[at[i]] * job->stride[i];
        memcpy(y, x, (size_t)channels * sizeof *y);
        return;
    }
    memset(y, 0, (size_t)channels * sizeof *y);
    for (int64_t c = 0; c < channels; c += CHANNELS) {
        const int64_t width = channels - c < CHANNELS ? channels - c : CHANNELS;
        add_terms(job, &(resample_target){at, y + c, width}, 0, x + c, 1);
    }
}

static void resample_body(void *user, int64_t begin, int64_t end)
{
    const resample_job *job = user;
    const tsr_resampling *r = job->r;
    int64_t at[TSR_MAX_RANK], rest = begin % job->results;
    for (int i = r->rank - 1; i >= 0; i--) {
        at[i] = rest % r->maps[i].out;
        rest /= r->maps[i].out;
    }
    for (int64_t place = begin; place < end; place++) {
        const int64_t image = place / job->results;
        resample_one(job, job->x + image * job->inputs * r->channels, at, job->y + place * r->channels);
        for (int i = r->rank - 1; i >= 0; i--) {
            if (++at[i] < r->maps[i].out) break;
            at[i] = 0;
        }
    }
}

static bool is_selection(const tsr_axis_map *map)
{
    for (int64_t o = 0; o < map->out; o++)
        if (map->start[o + 1] != o + 1 || map->weight[o] != 1) return false;
    return true;
}

void tsr_resample(tsr_context *ctx, const tsr_resampling *r, const tsr_real *x, tsr_real *y)
{
    resample_job job = {.r = r, .inputs = 1, .results = 1, .selects = true, .x = x, .y = y};
    double terms = 1; /* of one result, on average */
    for (int i = r->rank - 1; i >= 0; i--) {
        const tsr_axis_map *map = &r->maps[i];
        job.stride[i] = job.inputs * r->channels;
        job.inputs *= map->in;
        job.results *= map->out;
        job.selects = job.selects && is_selection(map);
        if (map->out > 0) terms *= (double)map->start[map->out] / (double)map->out;
    }
    if (job.results == 0 || r->channels == 0) return;
    const double cost = (1 + terms) * ((double)r->channels + 8);
    tsr_parallel(ctx, r->batch * job.results, tsr_grain(cost), resample_body, &job);
}
