/* Element-wise work walks the values of a shape in order, in blocks. What lies in full shape is read where it is; an
 * input that broadcasts is laid out, a block at a time, in a buffer, where a pattern that returns (a bias) stays. So a
 * row function only ever sees plain arrays. */
#include "ops/map_internal.h"

#include <math.h>
#include <string.h>

enum { MAP_BLOCK = 1024, AXES = TSR_MAX_RANK + 1 };

/* tsr_shape_size of a shape that is known to be good. */
static int64_t size_of(const tsr_shape *shape)
{
    int64_t size = 1;
    for (int axis = 0; axis < shape->rank; axis++) size *= shape->dims[axis];
    return size;
}

/* ---- shapes seen from each other ------------------------------------------------------------------------------ */

/* A shape seen from another: neighbouring axes that the other one has (or has not) are one group. */
typedef struct groups {
    int count;
    int64_t length[AXES], step[AXES]; /* of the group; in the other one, 0: it has not got this group */
} groups;

static void group(groups *g, const tsr_shape *shape, const tsr_shape *other)
{
    g->count = 0;
    for (int axis = 0; axis < shape->rank; axis++) {
        const int own = axis - shape->rank + other->rank;
        const bool has = own >= 0 && other->dims[own] != 1;
        if (shape->dims[axis] == 1) continue;
        if (g->count > 0 && (g->step[g->count - 1] != 0) == has) g->length[g->count - 1] *= shape->dims[axis];
        else {
            g->length[g->count] = shape->dims[axis];
            g->step[g->count++] = has;
        }
    }
    if (g->count == 0) g->length[g->count++] = g->step[0] = 1;
    int64_t step = 1;
    for (int i = g->count - 1; i >= 0; i--) {
        if (g->step[i] == 0) continue;
        g->step[i] = step;
        step *= g->length[i];
    }
}

/* A group_place in a walk through a shape in order, and where it is in the other one. */
typedef struct group_place {
    int64_t at[AXES], offset;
} group_place;

static group_place place_at(const groups *g, int64_t index)
{
    group_place p = {.offset = 0};
    for (int i = g->count - 1; i >= 0; i--) {
        p.at[i] = index % g->length[i];
        index /= g->length[i];
        p.offset += p.at[i] * g->step[i];
    }
    return p;
}

/* Goes on by a run within the last group. */
static void advance(const groups *g, group_place *p, int64_t run)
{
    int64_t moved = run;
    for (int i = g->count - 1; i >= 0; i--, moved = 1) {
        p->at[i] += moved;
        p->offset += moved * g->step[i];
        if (p->at[i] < g->length[i]) return;
        p->at[i] = 0;
        p->offset -= g->length[i] * g->step[i];
    }
}

/* ---- reading a map -------------------------------------------------------------------------------------------- */

typedef struct map_plan {
    const tsr_map *map;
    tsr_row row;                    /* for this CPU, or NULL */
    int64_t size, block;            /* blocks begin at multiples of the patterns' lengths where these are short */
    bool flat, whole[TSR_MAP_INPUTS]; /* has full shape; all have */
    groups groups[TSR_MAP_INPUTS];
    int64_t period[TSR_MAP_INPUTS]; /* length of the pattern that is repeated */
} map_plan;

/* Fills in a map_plan, of which no more is written than is needed. */
static void make_plan(map_plan *p, const tsr_context *ctx, const tsr_map *map)
{
    int64_t longest = 0;
    p->map = map;
    p->row = map->row ? map->row[ctx->kernels->level] : NULL;
    p->size = size_of(&map->shape);
    p->flat = true;
    for (int i = 0; i < map->count && p->size > 0; i++) {
        p->whole[i] = !map->shapes[i] || size_of(map->shapes[i]) == p->size;
        if (p->whole[i]) continue;
        groups *g = &p->groups[i];
        group(g, &map->shape, map->shapes[i]);
        p->flat = false;
        p->period[i] = g->step[0] ? p->size : p->size / g->length[0];
        if (p->period[i] <= MAP_BLOCK && p->period[i] > longest) longest = p->period[i];
    }
    p->block = longest ? MAP_BLOCK / longest * longest : MAP_BLOCK;
}

typedef struct reader {
    const map_plan *plan;
    int64_t held_begin[TSR_MAP_INPUTS], held_count[TSR_MAP_INPUTS]; /* what the buffers hold */
    tsr_real buffers[TSR_MAP_INPUTS][MAP_BLOCK];
    tsr_real out[MAP_BLOCK];
} reader;

static void start_reading(reader *r, const map_plan *p)
{
    r->plan = p;
    memset(r->held_count, 0, sizeof r->held_count);
}

static void lay_out(const groups *g, const tsr_real *from, int64_t begin, int64_t count, tsr_real *to)
{
    const int last = g->count - 1;
    group_place p = place_at(g, begin);
    for (tsr_real *end = to + count; to < end;) {
        const int64_t run = tsr_smaller(g->length[last] - p.at[last], end - to);
        const tsr_real *values = from + p.offset;
        if (g->step[last]) memcpy(to, values, (size_t)run * sizeof *to);
        else
            for (int64_t i = 0; i < run; i++) to[i] = *values;
        to += run;
        advance(g, &p, run);
    }
}

/* Values [begin, begin + count) of input i; at most MAP_BLOCK unless it is whole. */
static const tsr_real *read_input(reader *r, int i, int64_t begin, int64_t count)
{
    const map_plan *p = r->plan;
    if (p->whole[i]) return p->map->data[i] + begin;
    const int64_t at = begin % p->period[i];
    if (r->held_begin[i] != at || r->held_count[i] < count)
        lay_out(&p->groups[i], p->map->data[i], at, count, r->buffers[i]);
    r->held_begin[i] = at;
    r->held_count[i] = count;
    return r->buffers[i];
}

/* The same of the map: in `out` or, where there is nothing to compute, where they are. */
static const tsr_real *read_map(reader *r, int64_t begin, int64_t count, tsr_real *out)
{
    const map_plan *p = r->plan;
    const tsr_real *in[TSR_MAP_INPUTS];
    for (int i = 0; i < p->map->count; i++) in[i] = read_input(r, i, begin, count);
    if (!p->row) return in[0];
    p->row(out, in, count, p->map->numbers);
    return out;
}

void tsr_map_add(tsr_map *map, const tsr_real *data, const tsr_shape *shape)
{
    map->data[map->count] = data;
    map->shapes[map->count++] = shape;
}

/* ---- map ------------------------------------------------------------------------------------------------------ */

typedef struct map_job {
    map_plan plan;
    tsr_real *out;
} map_job;

static void map_body(void *user, int64_t begin, int64_t end)
{
    const map_job *job = user;
    const map_plan *p = &job->plan;
    reader r;
    if (!p->row && !p->whole[0]) {
        lay_out(&p->groups[0], p->map->data[0], begin, end - begin, job->out + begin);
        return;
    }
    start_reading(&r, p);
    for (int64_t at = begin; at < end; at += p->block) {
        const int64_t count = tsr_smaller(p->block, end - at);
        const tsr_real *values = read_map(&r, at, count, job->out + at);
        if (values != job->out + at) memcpy(job->out + at, values, (size_t)count * sizeof *values);
    }
}

void tsr_map_run(tsr_context *ctx, const tsr_map *map, tsr_real *out)
{
    map_job job;
    if (!out) return;
    make_plan(&job.plan, ctx, map);
    job.out = out;
    if (job.plan.row && job.plan.flat && job.plan.size <= MAP_BLOCK) {
        job.plan.row(out, map->data, job.plan.size, map->numbers);
        return;
    }
    const int64_t grain = tsr_grain(map->cost) / job.plan.block * job.plan.block;
    tsr_parallel(ctx, job.plan.size, grain > 0 ? grain : job.plan.block, map_body, &job);
}

/* ---- fold ----------------------------------------------------------------------------------------------------- */

/* A box of values in order, [outer][rows][columns], folded along its rows onto to[outer][columns]. */
typedef struct box {
    int64_t outer, rows, columns;
} box;
typedef void (*fold_values)(double *to, const tsr_real *values, const box *b);

enum { FOLD_LANES = 32 }; /* so many that compilers keep loops over them and do several at once */

static TSR_INLINE double combine(bool largest, double a, double b)
{
    if (!largest) return a + b;
    return ((b > a) | (b != b)) ? b : a; /* NaN wins */
}

/* Each of the following is written once; the kind of fold is a constant that the compiler sees. */
static TSR_INLINE double fold_row(bool largest, const tsr_real *values, int64_t count)
{
    double lanes[FOLD_LANES], one = (double)values[0];
    int64_t at = FOLD_LANES;
    if (count < FOLD_LANES) {
        for (int64_t i = 1; i < count; i++) one = combine(largest, one, (double)values[i]);
        return one;
    }
    for (int i = 0; i < FOLD_LANES; i++) lanes[i] = (double)values[i];
    for (; at + FOLD_LANES <= count; at += FOLD_LANES)
        for (int i = 0; i < FOLD_LANES; i++) lanes[i] = combine(largest, lanes[i], (double)values[at + i]);
    for (int half = FOLD_LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) lanes[i] = combine(largest, lanes[i], lanes[i + half]);
    for (one = lanes[0]; at < count; at++) one = combine(largest, one, (double)values[at]);
    return one;
}

static TSR_INLINE tsr_real larger(tsr_real a, tsr_real b)
{
    return ((b > a) | (b != b)) ? b : a;
}

/* The same for the largest of plain values, which need not become double on the way. */
static TSR_INLINE double largest_of_row(const tsr_real *values, int64_t count)
{
    tsr_real lanes[FOLD_LANES], one = values[0];
    int64_t at = 0;
    if (count >= FOLD_LANES) {
        for (int i = 0; i < FOLD_LANES; i++) lanes[i] = values[i];
        for (at = FOLD_LANES; at + FOLD_LANES <= count; at += FOLD_LANES)
            for (int i = 0; i < FOLD_LANES; i++) lanes[i] = larger(lanes[i], values[at + i]);
        for (int half = FOLD_LANES / 2; half > 0; half /= 2)
            for (int i = 0; i < half; i++) lanes[i] = larger(lanes[i], lanes[i + half]);
        one = lanes[0];
    }
    for (; at < count; at++) one = larger(one, values[at]);
    return (double)one;
}

static TSR_INLINE void combine_line(bool largest, double *restrict to, const tsr_real *restrict values, int64_t count)
{
    for (int64_t i = 0; i < count; i++) to[i] = combine(largest, to[i], (double)values[i]);
}

/* Several rows side by side, as many as there are lanes for, then the halves upon each other. */
static TSR_INLINE void fold_narrow(bool largest, double *to, const tsr_real *values, int64_t rows, int64_t columns)
{
    double lanes[FOLD_LANES];
    int64_t width = columns;
    while (2 * width <= FOLD_LANES && 2 * width <= rows * columns) width *= 2;
    for (int64_t i = 0; i < width; i++) lanes[i] = (double)values[i];
    for (int64_t at = width; at < rows * columns; at += width)
        combine_line(largest, lanes, values + at, tsr_smaller(width, rows * columns - at));
    for (; width > columns; width /= 2)
        for (int64_t i = 0; i < width / 2; i++) lanes[i] = combine(largest, lanes[i], lanes[i + width / 2]);
    for (int64_t i = 0; i < columns; i++) to[i] = combine(largest, to[i], lanes[i]);
}

static TSR_INLINE void fold_wide(bool largest, double *restrict to, const tsr_real *restrict a, int64_t rows,
                                 int64_t columns)
{
    for (; rows >= 4; rows -= 4, a += 4 * columns) {
        const tsr_real *restrict b = a + columns, *restrict c = b + columns, *restrict d = c + columns;
        for (int64_t i = 0; i < columns; i++)
            to[i] = combine(largest, to[i], combine(largest, combine(largest, (double)a[i], (double)b[i]),
                                                    combine(largest, (double)c[i], (double)d[i])));
    }
    for (; rows > 0; rows--, a += columns) combine_line(largest, to, a, columns);
}

static TSR_INLINE void fold_box(bool largest, double *to, const tsr_real *values, const box *b)
{
    for (int64_t o = 0; o < b->outer; o++, to += b->columns, values += b->rows * b->columns) {
        if (b->columns == 1 && largest) *to = combine(largest, *to, largest_of_row(values, b->rows));
        else if (b->columns == 1) *to = combine(largest, *to, fold_row(largest, values, b->rows));
        else if (4 * b->columns <= FOLD_LANES) fold_narrow(largest, to, values, b->rows, b->columns);
        else fold_wide(largest, to, values, b->rows, b->columns);
    }
}

static TSR_PER_LEVEL(fold_values, sum_values, (double *to, const tsr_real *values, const box *b), (to, values, b))
{
    fold_box(false, to, values, b);
}

static TSR_PER_LEVEL(fold_values, max_values, (double *to, const tsr_real *values, const box *b), (to, values, b))
{
    fold_box(true, to, values, b);
}

/* What has been folded before; there is little of it. */
static void fold_exact(bool largest, double *to, const double *values, const box *b)
{
    for (int64_t o = 0; o < b->outer; o++, to += b->columns)
        for (int64_t row = 0; row < b->rows; row++, values += b->columns)
            for (int64_t i = 0; i < b->columns; i++) to[i] = combine(largest, to[i], values[i]);
}

/* [outer][length][inner] folded along the middle. */
typedef struct fold_job {
    const map_plan *plan;     /* NULL: from `exact` */
    const double *exact;
    fold_values of_values;
    bool largest;
    double start;
    box all, block;       /* a block: several outers, or rows of one, or columns of a row */
    int64_t chunks;       /* of columns */
    int64_t slices, slice; /* rows are shared out in slices: few results keep many threads busy */
    double *to;           /* [slices][outer][inner] */
} fold_job;

static void fold_body(void *user, int64_t begin, int64_t end)
{
    const fold_job *job = user;
    const int64_t length = job->all.rows, inner = job->all.columns;
    reader r;
    double sums[MAP_BLOCK];
    if (job->plan) start_reading(&r, job->plan);
    for (int64_t item = begin; item < end; item++) {
        const int64_t slice = item % job->slices, unit = item / job->slices;
        const int64_t outer = unit / job->chunks * job->block.outer, column = unit % job->chunks * job->block.columns;
        box b = {tsr_smaller(job->block.outer, job->all.outer - outer), 0, tsr_smaller(job->block.columns, inner - column)};
        const int64_t last = tsr_smaller(length, (slice + 1) * job->slice), results = b.outer * b.columns;
        for (int64_t i = 0; i < results; i++) sums[i] = job->start;
        for (int64_t row = slice * job->slice; row < last; row += job->block.rows) {
            b.rows = tsr_smaller(job->block.rows, last - row);
            const int64_t at = (outer * length + row) * inner + column, count = b.outer * b.rows * b.columns;
            if (job->plan) job->of_values(sums, read_map(&r, at, count, r.out), &b);
            else fold_exact(job->largest, sums, job->exact + at, &b);
        }
        double *to = job->to + slice * job->all.outer * inner + outer * inner + column;
        memcpy(to, sums, (size_t)results * sizeof *to);
    }
}

/* Blocks and slices: from shapes alone. Returns the number of items. */
static int64_t cut_fold(fold_job *job, double cost)
{
    enum { ENOUGH = 32 };
    const box all = job->all;
    const int64_t both = all.rows * all.columns;
    job->block = (box){both > MAP_BLOCK ? 1 : MAP_BLOCK / both, both > MAP_BLOCK ? MAP_BLOCK / tsr_smaller(MAP_BLOCK, all.columns) : all.rows,
                       tsr_smaller(MAP_BLOCK, all.columns)};
    job->chunks = (all.columns - 1) / job->block.columns + 1;
    const int64_t units = ((all.outer - 1) / job->block.outer + 1) * job->chunks;
    const double worth = (double)all.rows * (double)job->block.columns * cost / 32768;
    int64_t slices = units >= ENOUGH ? 1 : (ENOUGH - 1) / units + 1;
    if ((double)slices > worth) slices = worth < 1 ? 1 : (int64_t)worth;
    const int64_t share = (all.rows - 1) / slices + 1;
    job->slice = ((share - 1) / job->block.rows + 1) * job->block.rows;
    job->slices = (all.rows - 1) / job->slice + 1;
    return units * job->slices;
}

/* One fold along the middle of job->all; its result takes the group_place of job->exact, whose memory is given back. */
static bool fold_middle(tsr_context *ctx, fold_job *job, double cost)
{
    const int64_t results = job->all.outer * job->all.columns, items = cut_fold(job, cost);
    const size_t bytes = (size_t)results * sizeof(double), held = (size_t)(job->all.rows * results) * sizeof(double);
    job->to = tsr_allocate(ctx, bytes * (size_t)job->slices, "a reduction");
    if (job->to) {
        const double work = (double)(job->block.outer * job->slice * job->block.columns) * cost;
        tsr_parallel(ctx, items, tsr_grain(work), fold_body, job);
    }
    if (job->exact) tsr_release(ctx, (void *)(uintptr_t)job->exact, held);
    job->plan = NULL;
    job->exact = job->to;
    if (!job->to || job->slices == 1) return job->to;
    job->all = (box){1, job->slices, results};
    return fold_middle(ctx, job, 1);
}

/* The results of a job, or of none. */
static void deliver(const tsr_fold *fold, const fold_job *job, const double *results)
{
    const int64_t count = size_of(fold->target);
    const double divisor = fold->divisor, nothing = job->start / divisor;
    tsr_real *restrict const out = fold->out;
    for (int64_t i = 0; i < count; i++) {
        const double value = results ? results[i] / divisor : nothing;
        if (out) out[i] = (tsr_real)value;
        else fold->exact[i] = value;
    }
}

/* A single fold of a single block, whose inputs all have full shape. */
static void fold_block(const tsr_fold *fold, const fold_job *job)
{
    double sums[MAP_BLOCK];
    tsr_real out[MAP_BLOCK];
    const tsr_map *map = job->plan->map;
    if (map->row) job->plan->row(out, map->data, job->plan->size, map->numbers);
    for (int64_t i = 0; i < job->all.outer * job->all.columns; i++) sums[i] = job->start;
    job->of_values(sums, map->row ? out : map->data[0], &job->all);
    deliver(fold, job, sums);
}

void tsr_map_fold(tsr_context *ctx, const tsr_map *map, const tsr_fold *fold)
{
    if (ctx->failed || (!fold->out && !fold->exact)) return;
    const int level = ctx->kernels->level;
    fold_job job = {.start = fold->largest ? -INFINITY : 0,
                    .of_values = fold->largest ? max_values[level] : sum_values[level],
                    .largest = fold->largest};
    map_plan p;
    groups g;
    make_plan(&p, ctx, map);
    if (p.size == 0) {
        deliver(fold, &job, NULL);
        return;
    }
    group(&g, &map->shape, fold->target);
    job.plan = &p;
    for (;;) { /* the longest group first */
        int longest = -1, folds = 0;
        for (int i = 0; i < g.count; i++) {
            if (g.step[i] != 0) continue;
            folds++;
            if (longest < 0 || g.length[i] > g.length[longest]) longest = i;
        }
        if (longest < 0 && job.exact) break;
        job.all = (box){1, longest < 0 ? 1 : g.length[longest], 1};
        for (int i = 0; i < g.count; i++)
            if (i != longest) *(i < longest ? &job.all.outer : &job.all.columns) *= g.length[i];
        if (!job.exact && folds <= 1 && p.flat && p.size <= MAP_BLOCK) {
            fold_block(fold, &job);
            return;
        }
        if (!fold_middle(ctx, &job, map->cost > 1 ? map->cost : 1)) return;
        if (longest >= 0) g.length[longest] = g.step[longest] = 1;
    }
    deliver(fold, &job, job.exact);
    tsr_release(ctx, (void *)(uintptr_t)job.exact, (size_t)size_of(fold->target) * sizeof(double));
}

/* ---- the first of a value ------------------------------------------------------------------------------------- */

typedef void (*first_run)(const tsr_real *x, const tsr_real *value, tsr_real *left, tsr_real *out, int64_t count);

typedef struct first_job {
    const tsr_first *first;
    groups groups;
    tsr_real *left;  /* of each result's gradient: all of it, until a group_place has got it */
    first_run apart; /* along a run each value has its own result */
} first_job;

static TSR_INLINE bool same(tsr_real a, tsr_real b)
{
    return (a == b) | ((a != a) & (b != b));
}

static TSR_PER_LEVEL(first_run, run_apart,
                     (const tsr_real *x, const tsr_real *value, tsr_real *left, tsr_real *out, int64_t count),
                     (x, value, left, out, count))
{
    TSR_INDEPENDENT
    for (int64_t i = 0; i < count; i++) {
        const bool hit = same(x[i], value[i]);
        const tsr_real g = left[i];
        out[i] = hit ? g : 0;
        left[i] = hit ? 0 : g;
    }
}

static void run_together(const tsr_real *x, const tsr_real *value, tsr_real *left, tsr_real *out, int64_t count)
{
    memset(out, 0, (size_t)count * sizeof *out);
    for (int64_t i = 0; *left != 0 && i < count; i++)
        if (same(x[i], *value)) {
            out[i] = *left;
            *left = 0;
        }
}

static void first_body(void *user, int64_t begin, int64_t end)
{
    const first_job *job = user;
    const tsr_first *f = job->first;
    const groups *g = &job->groups;
    const int last = g->count - 1;
    group_place p = place_at(g, begin);
    for (int64_t at = begin; at < end;) {
        const int64_t run = tsr_smaller(g->length[last] - p.at[last], end - at);
        const first_run run_of = g->step[last] ? job->apart : run_together;
        run_of(f->x + at, f->value + p.offset, job->left + p.offset, f->out + at, run);
        at += run;
        advance(g, &p, run);
    }
}

void tsr_map_first(tsr_context *ctx, const tsr_first *first)
{
    const int64_t size = size_of(&first->shape);
    if (!first->out || size <= 0) return;
    const size_t bytes = (size_t)size_of(&first->target) * sizeof(tsr_real);
    first_job job = {.first = first, .left = tsr_allocate(ctx, bytes, "the gradient of a maximum"),
                     .apart = run_apart[ctx->kernels->level]};
    if (!job.left) return;
    group(&job.groups, &first->shape, &first->target);
    memcpy(job.left, first->g, bytes);
    /* The first group's places have nothing in common if they are of different results. */
    const int64_t unit = job.groups.step[0] ? size / job.groups.length[0] : size;
    tsr_parallel(ctx, size, unit * tsr_grain(2 * (double)unit), first_body, &job);
    tsr_release(ctx, job.left, bytes);
}

/* ---- ops ------------------------------------------------------------------------------------------------------ */

static const tsr_map_op *map_op_of(const tsr_node *n)
{
    return (const tsr_map_op *)(const void *)n->op; /* its first member */
}

void tsr_map_backward(tsr_node *n)
{
    const tsr_map_op *op = map_op_of(n);
    const tsr_tensor *y = tsr_result(n);
    tsr_tensor *g = tsr_cotangent(n);
    const double *numbers = tsr_saved(n);
    for (int i = 0; i < tsr_input_count(n); i++) {
        const bool passes = op->passes >> i & 1u;
        if ((!op->backward[i] && !passes) || !tsr_wants(n, i)) continue;
        const tsr_shape *shape = &tsr_input(n, i)->shape;
        if (passes && tsr_shapes_equal(shape, &y->shape)) {
            tsr_accumulate(n, i, g);
            continue;
        }
        tsr_map map = {.row = op->backward[i], .cost = op->cost, .shape = y->shape};
        if (numbers) memcpy(map.numbers, numbers, sizeof map.numbers);
        for (int k = 0; k < tsr_input_count(n) && !passes; k++)
            tsr_map_add(&map, tsr_data(tsr_input(n, k)), &tsr_input(n, k)->shape);
        if (!passes) tsr_map_add(&map, tsr_data(y), NULL);
        tsr_map_add(&map, tsr_data(g), NULL);
        tsr_real *out = tsr_gradient(n, i);
        if (tsr_size(tsr_input(n, i)) == tsr_size(y)) tsr_map_run(tsr_node_context(n), &map, out);
        else tsr_map_fold(tsr_node_context(n), &map, &(tsr_fold){.target = shape, .divisor = 1, .out = out});
    }
}

/* The shape that two broadcast to; false where they do not. */
static bool broadcast(tsr_shape *a, const tsr_shape *b)
{
    tsr_shape out = {.rank = a->rank > b->rank ? a->rank : b->rank};
    for (int axis = 0; axis < out.rank; axis++) {
        const int in_a = axis - out.rank + a->rank, in_b = axis - out.rank + b->rank;
        const int64_t da = in_a < 0 ? 1 : a->dims[in_a], db = in_b < 0 ? 1 : b->dims[in_b];
        if (da != db && da != 1 && db != 1) return false;
        out.dims[axis] = da == 1 ? db : da;
    }
    *a = out;
    return true;
}

tsr_tensor *tsr_map_rest(tsr_node *n, double first_number, double second_number)
{
    if (tsr_dead(n)) return tsr_end(n);
    const tsr_map_op *op = map_op_of(n);
    tsr_map map = {.row = op->forward, .cost = op->cost, .numbers = {first_number, second_number}};
    for (int i = 0; i < tsr_input_count(n); i++) {
        const tsr_tensor *x = tsr_input(n, i);
        if (!broadcast(&map.shape, &x->shape))
            return tsr_reject(n, "%s does not broadcast with %s: axes, aligned at the last, must be equal or 1",
                              tsr_shape_text(x->shape).text, tsr_shape_text(map.shape).text);
        tsr_map_add(&map, tsr_data(x), &x->shape);
    }
    double *numbers = tsr_wants(n, -1) && (first_number != 0 || second_number != 0)
                          ? tsr_save(n, sizeof map.numbers) : NULL;
    if (numbers) memcpy(numbers, map.numbers, sizeof map.numbers);
    tsr_map_run(tsr_node_context(n), &map, tsr_output(n, map.shape));
    return tsr_end(n);
}

tsr_tensor *tsr_map_call(const tsr_map_op *op, int count, tsr_tensor *const *inputs)
{
    return tsr_map_rest(tsr_begin(&op->op, count, inputs), 0, 0);
}
