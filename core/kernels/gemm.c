/* Matrix product: the loops around the micro-kernel. README.md explains the blocking.
 *
 * The factor with fewer rows is RESIDENT: packed once, by all threads, for a section of the depth. The other one
 * STREAMS: it is cut into pieces, each packed by its thread into a small buffer of its own and multiplied at once with
 * all that is resident. Where the result is small and the depth long, sections are summed side by side and added up in
 * order. All cuts follow from the sizes alone. */
#include "core/core_internal.h"
#include "core/kernels/kernels.h"
#include "core/kernels/pack.h"

#include <math.h>

enum {
    STREAM_VALUES = 65536 / sizeof(tsr_real), /* on the stack: a thread's block of the streaming factor */
    RESIDENT_VALUES = 1 << 22,                /* most that is packed at once */
    SECTION_DEPTH = 1 << 14,                  /* longest section of a depth that is not summed side by side */
    PARTS = 16,                               /* most sections summed side by side, */
    PART_DEPTH = 1024,                        /* each at least so deep, */
    PART_VALUES = 1 << 17,                    /* and of a result at most this large */
    CACHED_ROWS = 192,                        /* rows of the left factor that the second-level cache holds */
    IN_PLACE_COLUMNS = 128,                   /* most columns for which a left factor is not worth packing */
    PIECE_WORK = 1 << 16                      /* multiply-adds that are worth a thread's while */
};

typedef struct plan {
    const tsr_kernels *kernels;
    tsr_product p;                    /* turned, if need be, so that its columns are not very few */
    int64_t row_step, column_step;    /* of the result: not always 1 in a turned product */
    bool turned;                      /* bias goes by rows */
    bool columns_stream;              /* else rows do */
    int64_t depth_block;              /* of one sum in registers */
    int64_t section, resident_cut, stream_cut, stream_most;
    tsr_real *packed;                 /* resident factor */
} plan;

/* One section of the depth against a range of resident rows, as the loop bodies see it. */
typedef struct section_job {
    const plan *plan;
    int64_t k, k_end;       /* of the section */
    int64_t begin, end;     /* resident rows */
    bool accumulate, last;  /* add to what is there; finish with bias and activation */
} section_job;

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* ---- what follows from the sizes alone ----------------------------------------------------------------- */

typedef struct cuts {
    int64_t depth_block, section, resident; /* resident rows at once */
    int64_t parts;                          /* sections summed side by side; 1: none are */
} cuts;

static cuts cuts_of(const tsr_product *p)
{
    const int64_t few = smaller(p->rows, p->columns), many = larger(p->rows, p->columns);
    cuts c = {.parts = 1, .resident = few};
    if (p->depth <= 0) return c;
    const bool small = many <= PART_VALUES && few * many <= PART_VALUES;
    if (small && p->depth / 8 >= many)
        for (c.parts = PARTS; c.parts > 1 && p->depth / c.parts < PART_DEPTH;) c.parts /= 2;
    const int64_t sections = c.parts > 1 ? c.parts : (p->depth - 1) / SECTION_DEPTH + 1;
    const int64_t share = (p->depth - 1) / sections + 1, blocks = (share - 1) / TSR_DEPTH_BLOCK + 1;
    c.depth_block = (share - 1) / blocks + 1;
    c.section = c.depth_block * blocks;
    if (c.parts > 1) c.parts = (p->depth - 1) / c.section + 1;
    else c.resident = smaller(few, RESIDENT_VALUES / c.section);
    return c;
}

/* Values of the packed resident factor; room for tiles that are not full. */
static int64_t packed_values(const cuts *c)
{
    return (c->resident + TSR_MAX_TILE) * (c->parts > 1 ? c->depth_block : c->section);
}

size_t tsr_product_workspace(const tsr_product *p)
{
    const cuts c = cuts_of(p);
    const int64_t partial = c.parts > 1 ? p->rows * p->columns : 0;
    return (size_t)(c.parts * (packed_values(&c) + partial) + 64) * sizeof(tsr_real);
}

/* How many tiles make a piece, from `least` to `most`: as many as two, four or eight threads can share evenly. */
static int64_t even_cut(int64_t tiles, int64_t least, int64_t most)
{
    if (tiles <= least && tiles <= most) return tiles;
    const int64_t fewest = (tiles - 1) / most + 1;
    int64_t best = (tiles - 1) / fewest + 1, idle_of_best = INT64_MAX;
    for (int64_t pieces = fewest; pieces < fewest + 16; pieces++) {
        const int64_t cut = (tiles - 1) / pieces + 1;
        if (cut < least) break;
        int64_t idle = 0; /* tiles that could be computed while the last thread finishes */
        for (int threads = 2; threads <= 8; threads *= 2)
            idle += round_up((tiles - 1) / cut + 1, threads) * cut - tiles;
        if (idle >= idle_of_best - tiles / 32) continue;
        best = cut;
        idle_of_best = idle;
    }
    return best;
}

static plan plan_of(const tsr_kernels *kernels, const tsr_product *p, const cuts *c)
{
    plan l = {.kernels = kernels, .p = *p, .row_step = p->stride, .column_step = 1, .section = c->section,
              .depth_block = c->depth_block};
    const bool left_as_it_lies = !p->left.pack && p->left.depth_stride == 1;
    if (p->columns <= kernels->tile_rows && p->rows >= kernels->tile_columns && !left_as_it_lies) {
        l.turned = true;
        l.p.left = p->right;
        l.p.right = p->left;
        l.p.rows = p->columns;
        l.p.columns = p->rows;
        l.row_step = 1;
        l.column_step = p->stride;
    }
    l.columns_stream = l.p.columns > l.p.rows;
    const int64_t count = l.columns_stream ? l.p.columns : l.p.rows;
    const int64_t other = l.columns_stream ? l.p.rows : l.p.columns;
    const int64_t tile = l.columns_stream ? kernels->tile_columns : kernels->tile_rows;
    const int64_t resident_tile = l.columns_stream ? kernels->tile_rows : kernels->tile_columns;
    l.resident_cut = larger(resident_tile, c->resident / resident_tile * resident_tile);
    if (c->resident == other) l.resident_cut = other;

    l.stream_most = STREAM_VALUES / l.depth_block / tile * tile;
    const double work = (double)(smaller(other, l.resident_cut) * smaller(p->depth, c->section) * tile);
    const int64_t worth = work >= PIECE_WORK ? 1 : (int64_t)(PIECE_WORK / work) + 1;
    l.stream_cut = tile * even_cut((count - 1) / tile + 1, worth, l.stream_most / tile);
    return l;
}

/* ---- one tile ------------------------------------------------------------------------------------------ */

typedef struct tile_place {
    int64_t row, column;
    int columns;          /* that exist */
    bool accumulate, last;
} tile_place;

static tsr_real activated(tsr_activation activation, tsr_real v)
{
    switch (activation) {
    case TSR_NO_ACTIVATION: break;
    case TSR_RELU: return v < 0 ? 0 : v;
    case TSR_SIGMOID: return (tsr_real)(1 / (1 + exp(-(double)v)));
    case TSR_TANH: return (tsr_real)tanh((double)v);
    }
    return v;
}

static void finish_activation(const plan *l, const tile_place *at, int rows)
{
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < at->columns; j++) {
            tsr_real *c = l->p.out + (at->row + i) * l->row_step + (at->column + j) * l->column_step;
            *c = activated(l->p.activation, *c);
        }
}

/* A tile that sticks out, or lies across: computed beside, then brought home. */
static void tile_at_edge(const plan *l, tsr_tile *tile, const tile_place *at)
{
    _Alignas(64) tsr_real local[TSR_MAX_TILE_AREA];
    tile->c = local;
    tile->stride = l->kernels->tile_columns;
    l->kernels->tile(tile);
    const tsr_real *bias = at->last ? l->p.bias : NULL;
    const bool relu = at->last && l->p.activation == TSR_RELU;
    for (int i = 0; i < tile->rows; i++)
        for (int j = 0; j < at->columns; j++) {
            tsr_real *c = l->p.out + (at->row + i) * l->row_step + (at->column + j) * l->column_step;
            tsr_real v = local[i * tile->stride + j];
            if (at->accumulate) v += *c;
            if (bias) v += bias[l->turned ? at->row + i : at->column + j];
            *c = relu && v < 0 ? 0 : v;
        }
}

static void one_tile(const plan *l, tsr_tile *tile, const tile_place *at)
{
    if (l->turned || at->columns < l->kernels->tile_columns) {
        tile->accumulate = tile->relu = false;
        tile->bias = NULL;
        tile_at_edge(l, tile, at);
    } else {
        tile->c = l->p.out + at->row * l->row_step + at->column;
        tile->stride = l->row_step;
        tile->accumulate = at->accumulate;
        tile->bias = at->last && l->p.bias ? l->p.bias + at->column : NULL;
        tile->relu = at->last && l->p.activation == TSR_RELU;
        l->kernels->tile(tile);
    }
    if (at->last && (l->p.activation == TSR_SIGMOID || l->p.activation == TSR_TANH))
        finish_activation(l, at, tile->rows);
}

/* ---- one block ----------------------------------------------------------------------------------------- */

/* Rows [begin, end) of a factor x depth [k, k + depth): packed, or where they lie. */
typedef struct block_view {
    int64_t begin, end;
    const tsr_real *packed;  /* panels of `tile` rows */
    const tsr_factor *plain; /* if not NULL: read where it lies (the right one: whole tiles only) */
} block_view;

static void multiply_rows(const section_job *job, int64_t k, int64_t depth, const block_view *a,
                          const block_view *b)
{
    const plan *l = job->plan;
    const int tile_rows = l->kernels->tile_rows, tile_columns = l->kernels->tile_columns;
    tile_place at = {.accumulate = job->accumulate || k > job->k, .last = job->last && k + depth >= job->k_end};
    tsr_tile tile = {.depth = depth};
    for (int64_t j = b->begin; j < b->end; j += tile_columns) {
        at.column = j;
        at.columns = (int)smaller(tile_columns, b->end - j);
        if (b->plain && at.columns == tile_columns) {
            tile.b = b->plain->data + j * b->plain->row_stride + k * b->plain->depth_stride;
            tile.b_step = b->plain->depth_stride;
        } else {
            tile.b = b->packed + (j - b->begin) * depth;
            tile.b_step = tile_columns;
        }
        for (int64_t i = a->begin; i < a->end; i += tile_rows) {
            at.row = i;
            tile.rows = (int)smaller(tile_rows, a->end - i);
            if (a->plain) {
                tile.a = a->plain->data + i * a->plain->row_stride + k * a->plain->depth_stride;
                tile.a_row = a->plain->row_stride;
                tile.a_step = a->plain->depth_stride;
            } else {
                tile.a = a->packed + (i - a->begin) * depth;
                tile.a_row = 1;
                tile.a_step = tile_rows;
            }
            one_tile(l, &tile, &at);
        }
    }
}

static void multiply_block(const section_job *job, int64_t k, int64_t depth, const block_view *a,
                           const block_view *b)
{
    const int64_t cached = CACHED_ROWS / job->plan->kernels->tile_rows * job->plan->kernels->tile_rows;
    for (int64_t i = a->begin; i < a->end; i += cached) {
        block_view rows = *a;
        rows.begin = i;
        rows.end = smaller(a->end, i + cached);
        if (a->packed) rows.packed = a->packed + (i - a->begin) * depth;
        multiply_rows(job, k, depth, &rows, b);
    }
}

/* ---- pieces of work ------------------------------------------------------------------------------------ */

/* Whether reading a factor where it lies is as good as packing it. */
static bool left_in_place(const plan *l)
{
    return !l->p.left.pack && l->p.left.depth_stride == 1 && l->p.columns <= IN_PLACE_COLUMNS;
}

static bool right_in_place(const plan *l)
{
    return !l->p.right.pack && l->p.right.row_stride == 1 && l->p.rows <= l->kernels->tile_rows;
}

/* Where the packed resident rows of depth block k begin. */
static tsr_real *resident_at(const section_job *job, int64_t k, int tile)
{
    return job->plan->packed + (k - job->k) * round_up(job->end - job->begin, tile);
}

static void pack_resident_body(void *user, int64_t begin, int64_t end)
{
    const section_job *job = user;
    const plan *l = job->plan;
    const int tile = l->columns_stream ? l->kernels->tile_rows : l->kernels->tile_columns;
    tsr_block_of block = {.row = job->begin + begin * tile, .tile = tile};
    block.rows = smaller(job->end, job->begin + end * tile) - block.row;
    for (block.k = job->k; block.k < job->k_end; block.k += l->depth_block) {
        block.depth = smaller(l->depth_block, job->k_end - block.k);
        tsr_pack(l->columns_stream ? &l->p.left : &l->p.right, &block,
                 resident_at(job, block.k, tile) + begin * tile * block.depth);
    }
}

static void stream_rows_body(void *user, int64_t begin, int64_t end)
{
    const section_job *job = user;
    const plan *l = job->plan;
    _Alignas(64) tsr_real buffer[STREAM_VALUES];
    block_view a = {.begin = begin, .end = end, .packed = buffer}, b = {.begin = job->begin, .end = job->end};
    if (left_in_place(l)) a.plain = &l->p.left;
    tsr_block_of block = {.row = begin, .rows = end - begin, .tile = l->kernels->tile_rows};
    for (block.k = job->k; block.k < job->k_end; block.k += l->depth_block) {
        block.depth = smaller(l->depth_block, job->k_end - block.k);
        b.packed = resident_at(job, block.k, l->kernels->tile_columns);
        if (!a.plain) tsr_pack(&l->p.left, &block, buffer);
        multiply_block(job, block.k, block.depth, &a, &b);
    }
}

static void stream_columns_body(void *user, int64_t begin, int64_t end)
{
    const section_job *job = user;
    const plan *l = job->plan;
    _Alignas(64) tsr_real buffer[STREAM_VALUES];
    block_view a = {.begin = job->begin, .end = job->end}, b = {.begin = begin, .end = end, .packed = buffer};
    if (left_in_place(l)) a.plain = &l->p.left;
    if (right_in_place(l)) b.plain = &l->p.right;
    const int64_t whole = b.plain ? (end - begin) / l->kernels->tile_columns * l->kernels->tile_columns : 0;
    const int tile = l->kernels->tile_columns;
    tsr_block_of block = {.row = begin + whole, .rows = end - begin - whole, .tile = tile};
    for (block.k = job->k; block.k < job->k_end; block.k += l->depth_block) {
        block.depth = smaller(l->depth_block, job->k_end - block.k);
        a.packed = resident_at(job, block.k, l->kernels->tile_rows);
        if (block.rows > 0) tsr_pack(&l->p.right, &block, buffer + whole * block.depth);
        multiply_block(job, block.k, block.depth, &a, &b);
    }
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

/* tsr_parallel, or the same pieces on this thread where ctx is NULL. */
static void for_pieces(tsr_context *ctx, int64_t count, int64_t grain, tsr_loop_body body, void *user)
{
    if (count <= grain) body(user, 0, count);
    else if (ctx) tsr_parallel(ctx, count, grain, body, user);
    else
        for (int64_t begin = 0; begin < count; begin += grain) body(user, begin, smaller(count, begin + grain));
}

/* Depth [k, k_end) of a product, section by section. */
static void run(tsr_context *ctx, const plan *l, int64_t k, int64_t k_end)
{
    const int64_t resident = l->columns_stream ? l->p.rows : l->p.columns;
    const int64_t streaming = l->columns_stream ? l->p.columns : l->p.rows;
    const int tile = l->columns_stream ? l->kernels->tile_rows : l->kernels->tile_columns;
    for (int64_t at = k; at < k_end; at += l->section)
        for (int64_t row = 0; row < resident; row += l->resident_cut) {
            section_job job = {.plan = l, .k = at, .k_end = smaller(k_end, at + l->section), .begin = row,
                               .end = smaller(resident, row + l->resident_cut),
                               .accumulate = l->p.accumulate || at > k, .last = at + l->section >= k_end};
            if (!(l->columns_stream && left_in_place(l))) {
                const int64_t grain = tsr_grain((double)(tile * (job.k_end - job.k)));
                for_pieces(ctx, (job.end - job.begin - 1) / tile + 1, grain, pack_resident_body, &job);
            }
            for_pieces(ctx, streaming, l->stream_cut, l->columns_stream ? stream_columns_body : stream_rows_body,
                       &job);
        }
}

/* Sections side by side, each into a result of its own. */
typedef struct parts_job {
    const plan *plan;
    const tsr_product *product;
    int64_t depth, packed_values;
    int parts;
    tsr_real *partial, *packed;
} parts_job;

static void part_body(void *user, int64_t begin, int64_t end)
{
    const parts_job *job = user;
    for (int64_t part = begin; part < end; part++) {
        plan l = *job->plan;
        tsr_real *out = job->partial + part * l.p.rows * l.p.columns;
        l.p.out = out;
        l.p.bias = NULL;
        l.p.accumulate = false;
        l.p.activation = TSR_NO_ACTIVATION;
        if (l.turned) l.column_step = l.p.rows;
        else l.row_step = l.p.columns;
        l.section = l.depth_block;
        l.stream_cut = l.stream_most;
        l.packed = job->packed + part * job->packed_values;
        run(NULL, &l, part * job->depth, smaller((part + 1) * job->depth, l.p.depth));
    }
}

/* Rows [begin, end) of the result from the parts (none at all where the depth is 0). */
static void add_parts_body(void *user, int64_t begin, int64_t end)
{
    const parts_job *job = user;
    const tsr_product *p = job->product;
    for (int64_t i = begin; i < end; i++)
        for (int64_t j = 0; j < p->columns; j++) {
            tsr_real *c = p->out + i * p->stride + j, v = 0;
            for (int part = 0; part < job->parts; part++)
                v += job->partial[(part * p->rows + i) * p->columns + j];
            if (p->accumulate) v += *c;
            if (p->bias) v += p->bias[j];
            *c = activated(p->activation, v);
        }
}

static void multiply_with(tsr_context *ctx, const tsr_kernels *kernels, const tsr_product *p, void *workspace)
{
    if (p->rows <= 0 || p->columns <= 0) return;
    const cuts c = cuts_of(p);
    parts_job job = {.product = p, .depth = c.section, .packed_values = packed_values(&c), .packed = workspace};
    if (p->depth > 0) {
        plan l = plan_of(kernels, p, &c);
        l.packed = workspace;
        if (c.parts == 1) {
            run(ctx, &l, 0, p->depth);
            return;
        }
        job.plan = &l;
        job.parts = (int)c.parts;
        job.partial = job.packed + c.parts * job.packed_values;
        for_pieces(ctx, c.parts, 1, part_body, &job);
    }
    for_pieces(ctx, p->rows, tsr_grain((double)(p->columns * (c.parts + 1))), add_parts_body, &job);
}

void tsr_multiply(tsr_context *ctx, const tsr_product *product, void *workspace)
{
    multiply_with(ctx, ctx->kernels, product, workspace);
}

void tsr_multiply_alone(const tsr_kernels *kernels, const tsr_product *product, void *workspace)
{
    multiply_with(NULL, kernels, product, workspace);
}
