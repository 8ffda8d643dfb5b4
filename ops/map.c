/* Walks tensors that broadcast against each other, in blocks of up to BLOCK values. Axes that need not be told apart
 * are merged; the trailing axes that fit into a block are its tail, the rest the head, and the axis between is cut
 * into chunks. Where an input's values do not lie side by side, a block of them is laid out in a buffer. So a row
 * function only ever sees plain arrays, and a sum adds whole blocks to each other before it looks inside one. */
#include "ops/map_internal.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 1024, OPERANDS = TSR_MAP_INPUTS + 1, AXES = TSR_MAX_RANK + 1 };

typedef struct walk {
    int operands; /* the inputs, then the target: the output of a map, the result of a fold */
    int heads, tails;
    int64_t head_dims[AXES], head_steps[OPERANDS][AXES]; /* the last head axis counts chunks of the first tail axis */
    int64_t tail_dims[AXES], tail_steps[OPERANDS][AXES];
    int64_t cut;            /* length of the axis that was cut */
    int64_t inner;          /* values of one index of that axis */
    bool plain[OPERANDS];   /* a block lies side by side */
} walk;

/* A block: where it begins in each operand. */
typedef struct place {
    int64_t offset[OPERANDS];
    int64_t count; /* values */
} place;

/* ---- making a walk -------------------------------------------------------------------------------------------- */

typedef struct merged {
    int rank;
    int64_t dims[TSR_MAX_RANK], steps[OPERANDS][TSR_MAX_RANK];
} merged;

/* Puts an axis, along which operand i moves by steps[i], behind those there are; joins it to the last if it can. */
static void append_axis(merged *m, int operands, int64_t dim, const int64_t *steps)
{
    if (dim == 1) return;
    bool joins = m->rank > 0;
    for (int i = 0; i < operands && joins; i++) joins = m->steps[i][m->rank - 1] == steps[i] * dim;
    if (joins) m->dims[m->rank - 1] *= dim;
    else m->dims[m->rank++] = dim;
    for (int i = 0; i < operands; i++) m->steps[i][m->rank - 1] = steps[i];
}

static merged merge_axes(tsr_shape shape, int operands, const tsr_shape *shapes)
{
    int64_t steps[OPERANDS][TSR_MAX_RANK];
    for (int i = 0; i < operands; i++) {
        int64_t step = 1;
        for (int axis = shape.rank - 1; axis >= 0; axis--) {
            const int own = axis - shape.rank + shapes[i].rank;
            const int64_t dim = own < 0 ? 1 : shapes[i].dims[own];
            steps[i][axis] = dim == 1 ? 0 : step;
            step *= dim;
        }
    }
    merged m = {.rank = 0};
    for (int axis = 0; axis < shape.rank; axis++) {
        int64_t here[OPERANDS];
        for (int i = 0; i < operands; i++) here[i] = steps[i][axis];
        append_axis(&m, operands, shape.dims[axis], here);
    }
    if (m.rank == 0) { /* a single value */
        m.rank = 1;
        m.dims[0] = 1;
        for (int i = 0; i < operands; i++) m.steps[i][0] = 1;
    }
    return m;
}

static bool tail_is_plain(const walk *w, int operand)
{
    int64_t step = 1;
    for (int axis = w->tails - 1; axis >= 0; axis--) {
        if (w->tail_dims[axis] > 1 && w->tail_steps[operand][axis] != step) return false;
        step *= w->tail_dims[axis];
    }
    return true;
}

/* `shape` has at least one value. */
static walk make_walk(const tsr_map *map, tsr_shape target)
{
    tsr_shape shapes[OPERANDS];
    for (int i = 0; i < map->count; i++) shapes[i] = map->shapes[i];
    shapes[map->count] = target;
    walk w = {.operands = map->count + 1, .inner = 1};
    const merged m = merge_axes(map->shape, w.operands, shapes);
    int split = m.rank - 1;
    while (split > 0 && w.inner * m.dims[split] <= BLOCK) w.inner *= m.dims[split--];
    w.cut = m.dims[split];
    const int64_t most = BLOCK / w.inner, chunks = (w.cut - 1) / most + 1, chunk = (w.cut - 1) / chunks + 1;
    w.heads = split + 1;
    w.tails = m.rank - split;
    for (int axis = 0; axis < split; axis++) w.head_dims[axis] = m.dims[axis];
    w.head_dims[split] = (w.cut - 1) / chunk + 1;
    w.tail_dims[0] = chunk;
    for (int axis = 1; axis < w.tails; axis++) w.tail_dims[axis] = m.dims[split + axis];
    for (int i = 0; i < w.operands; i++) {
        for (int axis = 0; axis < split; axis++) w.head_steps[i][axis] = m.steps[i][axis];
        w.head_steps[i][split] = chunk * m.steps[i][split];
        for (int axis = 0; axis < w.tails; axis++) w.tail_steps[i][axis] = m.steps[i][split + axis];
        w.plain[i] = tail_is_plain(&w, i);
    }
    return w;
}

/* Moves a place by `index`, which counts through the head axes of the set `axes`. */
static void move(const walk *w, unsigned axes, int64_t index, place *to)
{
    for (int axis = w->heads - 1; axis >= 0; axis--) {
        if (!(axes >> axis & 1u)) continue;
        const int64_t at = index % w->head_dims[axis];
        index /= w->head_dims[axis];
        for (int i = 0; i < w->operands; i++) to->offset[i] += at * w->head_steps[i][axis];
        if (axis < w->heads - 1) continue;
        const int64_t left = w->cut - at * w->tail_dims[0];
        to->count = (left < w->tail_dims[0] ? left : w->tail_dims[0]) * w->inner;
    }
}

static unsigned all_heads(const walk *w)
{
    return (1u << w->heads) - 1;
}

static int64_t head_count(const walk *w, unsigned axes)
{
    int64_t count = 1;
    for (int axis = 0; axis < w->heads; axis++)
        if (axes >> axis & 1u) count *= w->head_dims[axis];
    return count;
}

/* ---- the panels of a block: its last two axes ----------------------------------------------------------------- */

typedef struct panel {
    int64_t at[AXES];
    int64_t offset;         /* in the operand, from where the block begins in it */
    int64_t rows, length;   /* the same for every panel */
    int64_t row_step, step; /* of the operand; step is 0 or 1 */
} panel;

static panel first_panel(const walk *w, int operand, int64_t count)
{
    const int last = w->tails - 1;
    panel p = {.rows = 1, .length = count, .step = w->tail_steps[operand][last]};
    if (last == 0) return p;
    p.length = w->tail_dims[last];
    p.rows = last == 1 ? count / p.length : w->tail_dims[last - 1];
    p.row_step = w->tail_steps[operand][last - 1];
    return p;
}

static void next_panel(const walk *w, int operand, panel *p)
{
    for (int axis = w->tails - 3; axis >= 0; axis--) {
        const int64_t step = w->tail_steps[operand][axis];
        p->offset += step;
        if (++p->at[axis] < w->tail_dims[axis]) return;
        p->offset -= step * w->tail_dims[axis];
        p->at[axis] = 0;
    }
}

/* ---- blocks of values ----------------------------------------------------------------------------------------- */

typedef struct reader {
    const tsr_map *map;
    const walk *w;
    int64_t held_offset[TSR_MAP_INPUTS], held_count[TSR_MAP_INPUTS]; /* what the buffers hold; -1: nothing yet */
    tsr_real buffers[TSR_MAP_INPUTS][BLOCK];
    tsr_real out[BLOCK];
} reader;

static void start_reading(reader *r, const tsr_map *map, const walk *w)
{
    r->map = map;
    r->w = w;
    for (int i = 0; i < map->count; i++) r->held_offset[i] = -1;
}

static void copy_row(tsr_real *restrict to, const tsr_real *restrict from, const panel *p)
{
    if (p->step)
        for (int64_t i = 0; i < p->length; i++) to[i] = from[i];
    else
        for (int64_t i = 0; i < p->length; i++) to[i] = *from;
}

/* The values of input i at a place, laid out one by one. */
static const tsr_real *read_input(reader *r, int i, const place *at)
{
    const tsr_real *from = r->map->data[i] + at->offset[i];
    if (r->w->plain[i]) return from;
    tsr_real *to = r->buffers[i];
    if (r->held_offset[i] == at->offset[i] && r->held_count[i] >= at->count) return to; /* a repeated row stays */
    r->held_offset[i] = at->offset[i];
    r->held_count[i] = at->count;
    panel p = first_panel(r->w, i, at->count);
    for (tsr_real *row = to; row < to + at->count; next_panel(r->w, i, &p))
        for (int64_t k = 0; k < p.rows; k++, row += p.length) copy_row(row, from + p.offset + k * p.row_step, &p);
    return to;
}

/* The values of the map at a place, in `out` or, where there is nothing to compute, where they are. */
static const tsr_real *read_map(reader *r, const place *at, tsr_real *out)
{
    const tsr_real *in[TSR_MAP_INPUTS];
    for (int i = 0; i < r->map->count; i++) in[i] = read_input(r, i, at);
    if (!r->map->row) return in[0];
    r->map->row(out, in, at->count, r->map->numbers);
    return out;
}

void tsr_map_add(tsr_map *map, const tsr_real *data, tsr_shape shape)
{
    map->data[map->count] = data;
    map->shapes[map->count++] = shape;
}

/* ---- map ------------------------------------------------------------------------------------------------------ */

typedef struct map_job {
    const tsr_map *map;
    walk w;
    tsr_real *out;
} map_job;

static void whole_body(void *user, int64_t begin, int64_t end)
{
    const map_job *job = user;
    const tsr_real *in[TSR_MAP_INPUTS];
    for (int i = 0; i < job->map->count; i++) in[i] = job->map->data[i] + begin;
    if (job->map->row) job->map->row(job->out + begin, in, end - begin, job->map->numbers);
    else memcpy(job->out + begin, in[0], (size_t)(end - begin) * sizeof(tsr_real));
}

static void blocks_body(void *user, int64_t begin, int64_t end)
{
    const map_job *job = user;
    reader r;
    start_reading(&r, job->map, &job->w);
    for (int64_t block = begin; block < end; block++) {
        place at = {.count = 0};
        move(&job->w, all_heads(&job->w), block, &at);
        tsr_real *out = job->out + at.offset[job->map->count];
        const tsr_real *values = read_map(&r, &at, out);
        if (values != out) memcpy(out, values, (size_t)at.count * sizeof(tsr_real));
    }
}

void tsr_map_run(tsr_node *n, const tsr_map *map, tsr_real *out)
{
    const int64_t size = tsr_shape_size(map->shape);
    if (!out || size <= 0) return;
    map_job job = {.map = map, .out = out};
    bool whole = true;
    for (int i = 0; i < map->count; i++) whole = whole && tsr_shape_size(map->shapes[i]) == size;
    const int64_t grain = tsr_grain(map->cost);
    if (whole) {
        tsr_parallel(tsr_node_context(n), size, grain, whole_body, &job);
        return;
    }
    job.w = make_walk(map, map->shape);
    const int64_t blocks = head_count(&job.w, all_heads(&job.w));
    tsr_parallel(tsr_node_context(n), blocks, grain / ((size - 1) / blocks + 1), blocks_body, &job);
}

/* ---- fold ----------------------------------------------------------------------------------------------------- */

/* Both kinds of fold are written once, with the kind a constant that the compiler sees. */
static inline double combine(bool largest, double a, double b)
{
    if (!largest) return a + b;
    return ((b > a) | (b != b)) ? b : a; /* NaN wins */
}

static inline void combine_block(bool largest, double *restrict to, const tsr_real *restrict values, int64_t count)
{
    for (int64_t i = 0; i < count; i++) to[i] = combine(largest, to[i], (double)values[i]);
}

/* The values are used up. Long rows are halved, the back half onto the front, which several at a time are done in. */
static inline double combine_row(bool largest, double *values, int64_t count)
{
    while (count > 16) {
        const int64_t half = count / 2, rest = count - half;
        for (int64_t i = 0; i < half; i++) values[i] = combine(largest, values[i], values[rest + i]);
        count = rest;
    }
    double one = values[0];
    for (int64_t i = 1; i < count; i++) one = combine(largest, one, values[i]);
    return one;
}

/* rows x length values: each row folded into one of `to`, or row upon row onto `to`. */
static inline void combine_panel(bool largest, const panel *p, double *values, double *to)
{
    for (int64_t row = 0; row < p->rows; row++, values += p->length, to += p->row_step) {
        if (p->step)
            for (int64_t i = 0; i < p->length; i++) to[i] = combine(largest, to[i], values[i]);
        else
            *to = combine(largest, *to, combine_row(largest, values, p->length));
    }
}

static void add_block(double *to, const tsr_real *values, int64_t count)
{
    combine_block(false, to, values, count);
}

static void max_block(double *to, const tsr_real *values, int64_t count)
{
    combine_block(true, to, values, count);
}

static void add_panel(const panel *p, double *values, double *to)
{
    combine_panel(false, p, values, to);
}

static void max_panel(const panel *p, double *values, double *to)
{
    combine_panel(true, p, values, to);
}

typedef struct fold_kind {
    double start;
    void (*block)(double *to, const tsr_real *values, int64_t count);
    void (*inside)(const panel *p, double *values, double *to);
} fold_kind;

static const fold_kind sums = {0, add_block, add_panel};
static const fold_kind maxima = {-INFINITY, max_block, max_panel};

typedef struct fold_job {
    const tsr_map *map;
    const tsr_fold *fold;
    const fold_kind *kind;
    walk w;
    unsigned kept, folded; /* head axes */
    int64_t steps;         /* blocks that go to the same place */
    int64_t slices, slice; /* steps are shared out in slices: few places keep many threads busy */
    int64_t results;
    double *parts;         /* [slices][results]; NULL for one slice */
} fold_job;

static void deliver(const tsr_fold *fold, int64_t at, const double *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (fold->out) fold->out[at + i] = (tsr_real)(values[i] / fold->divisor);
        else fold->exact[at + i] = values[i] / fold->divisor;
    }
}

/* Folds a block within itself, into `to`; returns how many values that makes: they are neighbours in the target. */
static int64_t fold_inside(const fold_job *job, double *block, int64_t count, double *to)
{
    const walk *w = &job->w;
    const int target = job->map->count;
    int64_t made = count;
    for (int axis = 0; axis < w->tails; axis++) {
        const int64_t dim = axis ? w->tail_dims[axis] : count / w->inner;
        if (w->tail_steps[target][axis] == 0) made /= dim;
    }
    for (int64_t i = 0; i < made; i++) to[i] = job->kind->start;
    panel p = first_panel(w, target, count);
    for (int64_t done = 0; done < count; done += p.rows * p.length, next_panel(w, target, &p))
        job->kind->inside(&p, block + done, to + p.offset);
    return made;
}

static void fold_body(void *user, int64_t begin, int64_t end)
{
    const fold_job *job = user;
    const walk *w = &job->w;
    reader r;
    double block[BLOCK], made[BLOCK];
    start_reading(&r, job->map, w);
    for (int64_t item = begin; item < end; item++) {
        const int64_t part = item % job->slices, first = part * job->slice;
        const int64_t last = first + job->slice < job->steps ? first + job->slice : job->steps;
        place unit = {.count = 0};
        move(w, job->kept, item / job->slices, &unit);
        int64_t filled = 0; /* the last chunk of a cut axis is shorter: it adds to fewer values */
        for (int64_t step = first; step < last; step++) {
            place at = unit;
            move(w, job->folded, step, &at);
            const tsr_real *values = read_map(&r, &at, r.out);
            const int64_t old = at.count < filled ? at.count : filled;
            job->kind->block(block, values, old);
            for (int64_t i = old; i < at.count; i++) block[i] = (double)values[i];
            if (at.count > filled) filled = at.count;
        }
        const int64_t count = fold_inside(job, block, filled, made), to = unit.offset[job->map->count];
        if (job->parts) memcpy(job->parts + part * job->results + to, made, (size_t)count * sizeof *made);
        else deliver(job->fold, to, made, count);
    }
}

/* How many slices: from shapes alone. */
static void slice_work(fold_job *job, int64_t units, double block_work)
{
    enum { ENOUGH = 32 };
    const double worth = (double)job->steps * block_work / 32768;
    int64_t slices = units >= ENOUGH ? 1 : (ENOUGH - 1) / units + 1;
    if ((double)slices > worth) slices = worth < 1 ? 1 : (int64_t)worth;
    job->slice = (job->steps - 1) / slices + 1;
    job->slices = (job->steps - 1) / job->slice + 1;
}

static void split_heads(const walk *w, unsigned *kept, unsigned *folded)
{
    const int target = w->operands - 1;
    *kept = *folded = 0;
    for (int axis = 0; axis < w->heads; axis++)
        *(w->head_steps[target][axis] ? kept : folded) |= 1u << axis;
}

static void join_parts(const fold_job *job)
{
    const panel row = {.rows = 1, .length = job->results, .step = 1};
    for (int64_t part = 1; part < job->slices; part++)
        job->kind->inside(&row, job->parts + part * job->results, job->parts);
    deliver(job->fold, 0, job->parts, job->results);
}

void tsr_map_fold(tsr_node *n, const tsr_map *map, const tsr_fold *fold)
{
    fold_job job = {.map = map, .fold = fold, .kind = fold->largest ? &maxima : &sums};
    job.results = tsr_shape_size(fold->target);
    if (tsr_dead(n) || (!fold->out && !fold->exact)) return;
    if (tsr_shape_size(map->shape) == 0) {
        for (int64_t i = 0; i < job.results; i++) deliver(fold, i, &job.kind->start, 1);
        return;
    }
    job.w = make_walk(map, fold->target);
    split_heads(&job.w, &job.kept, &job.folded);
    const int64_t units = head_count(&job.w, job.kept);
    job.steps = head_count(&job.w, job.folded);
    const double block_work = (double)(job.w.tail_dims[0] * job.w.inner) * (map->cost > 1 ? map->cost : 1);
    slice_work(&job, units, block_work);
    if (job.slices > 1) {
        job.parts = tsr_scratch(n, (size_t)(job.slices * job.results) * sizeof *job.parts);
        if (!job.parts) return;
    }
    tsr_parallel(tsr_node_context(n), units * job.slices, tsr_grain(block_work * (double)job.slice), fold_body, &job);
    if (job.parts) join_parts(&job);
}

/* ---- the first of a value ------------------------------------------------------------------------------------- */

typedef struct first_job {
    const tsr_first *first;
    walk w;
    unsigned kept, folded;
    int64_t steps;
} first_job;

static inline bool same(tsr_real a, tsr_real b)
{
    return (a == b) | ((a != a) & (b != b));
}

static void first_in_row(const panel *p, const tsr_real *x, const tsr_real *value, const tsr_real *g,
                         tsr_real *restrict out, bool *restrict found)
{
    if (p->step == 0) {
        int64_t k = 0;
        if (!*found)
            for (; k < p->length && !same(x[k], *value); k++) out[k] = 0;
        if (!*found && k < p->length) {
            *found = true;
            out[k++] = *g;
        }
        for (; k < p->length; k++) out[k] = 0;
        return;
    }
    for (int64_t k = 0; k < p->length; k++) {
        const bool hit = !found[k] & same(x[k], value[k]);
        out[k] = hit ? g[k] : 0;
        found[k] |= hit;
    }
}

static void first_in_block(const first_job *job, const place *at, const place *unit, bool *found)
{
    const tsr_first *f = job->first;
    const tsr_real *x = f->x + at->offset[0];
    tsr_real *out = f->out + at->offset[0];
    panel p = first_panel(&job->w, 1, at->count);
    for (const tsr_real *end = x + at->count; x < end; next_panel(&job->w, 1, &p))
        for (int64_t row = 0; row < p.rows; row++, x += p.length, out += p.length) {
            const int64_t to = p.offset + row * p.row_step;
            first_in_row(&p, x, f->value + unit->offset[1] + to, f->g + unit->offset[1] + to, out, found + to);
        }
}

static void first_body(void *user, int64_t begin, int64_t end)
{
    const first_job *job = user;
    for (int64_t item = begin; item < end; item++) {
        bool found[BLOCK] = {false};
        place unit = {.count = 0};
        move(&job->w, job->kept, item, &unit);
        for (int64_t step = 0; step < job->steps; step++) {
            place at = unit;
            move(&job->w, job->folded, step, &at);
            first_in_block(job, &at, &unit, found);
        }
    }
}

void tsr_map_first(tsr_node *n, const tsr_first *first)
{
    if (!first->out || tsr_shape_size(first->shape) <= 0) return;
    tsr_map map = {.shape = first->shape};
    tsr_map_add(&map, first->x, first->shape);
    first_job job = {.first = first, .w = make_walk(&map, first->target)};
    split_heads(&job.w, &job.kept, &job.folded);
    job.steps = head_count(&job.w, job.folded);
    const double work = (double)(job.steps * job.w.tail_dims[0] * job.w.inner);
    tsr_parallel(tsr_node_context(n), head_count(&job.w, job.kept), tsr_grain(2 * work), first_body, &job);
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
        const tsr_shape shape = tsr_shape_of(tsr_input(n, i));
        if (passes && tsr_same_shape(shape, tsr_shape_of(y))) {
            tsr_accumulate(n, i, g);
            continue;
        }
        tsr_map map = {.row = op->backward[i], .cost = op->cost, .shape = tsr_shape_of(y)};
        if (numbers) memcpy(map.numbers, numbers, sizeof map.numbers);
        for (int k = 0; k < tsr_input_count(n) && !passes; k++)
            tsr_map_add(&map, tsr_data(tsr_input(n, k)), tsr_shape_of(tsr_input(n, k)));
        if (!passes) tsr_map_add(&map, tsr_data(y), tsr_shape_of(y));
        tsr_map_add(&map, tsr_data(g), tsr_shape_of(y));
        tsr_real *out = tsr_gradient(n, i);
        if (tsr_size(tsr_input(n, i)) == tsr_size(y)) tsr_map_run(n, &map, out);
        else tsr_map_fold(n, &map, &(tsr_fold){.target = shape, .divisor = 1, .out = out});
    }
}

/* The shape that two broadcast to; false where they do not. */
static bool broadcast(tsr_shape *a, tsr_shape b)
{
    tsr_shape out = {.rank = a->rank > b.rank ? a->rank : b.rank};
    for (int axis = 0; axis < out.rank; axis++) {
        const int in_a = axis - out.rank + a->rank, in_b = axis - out.rank + b.rank;
        const int64_t da = in_a < 0 ? 1 : a->dims[in_a], db = in_b < 0 ? 1 : b.dims[in_b];
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
        const tsr_shape shape = tsr_shape_of(tsr_input(n, i));
        if (!broadcast(&map.shape, shape))
            return tsr_reject(n, "%s does not broadcast with %s: axes, aligned at the last, must be equal or 1",
                              tsr_shape_text(shape).text, tsr_shape_text(map.shape).text);
        tsr_map_add(&map, tsr_data(tsr_input(n, i)), shape);
    }
    double *numbers = tsr_wants(n, -1) && (first_number != 0 || second_number != 0)
                          ? tsr_save(n, sizeof map.numbers) : NULL;
    if (numbers) memcpy(numbers, map.numbers, sizeof map.numbers);
    tsr_map_run(n, &map, tsr_output(n, map.shape));
    return tsr_end(n);
}

tsr_tensor *tsr_map_call(const tsr_map_op *op, int count, tsr_tensor *const *inputs)
{
    return tsr_map_rest(tsr_begin(&op->op, count, inputs), 0, 0);
}
