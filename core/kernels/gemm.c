/* Matrix product: the loops around the micro-kernel. README.md explains the blocking.
 *
 * The factor with fewer rows is RESIDENT: packed once, by all threads, for a section of the depth. The other one
 * STREAMS: it is cut into pieces, each packed by its thread into a small buffer of its own and multiplied at once with
 * all that is resident. Where the result is small and the depth long, sections are summed side by side and added up in
 * order. All cuts follow from the sizes and strides alone. */
#include "core/core_internal.h"
#include "core/kernels/kernels.h"
#include "core/kernels/pack.h"

enum {
    STREAM_VALUES = 65536 / sizeof(tsr_real), /* on the stack: a thread's block of the streaming factor */
    RESIDENT_VALUES = 1 << 22,                /* most that is packed at once */
    SECTION_DEPTH = 1 << 14,                  /* longest section of a depth that is not summed side by side */
    PARTS = 16,                               /* most sections summed side by side, */
    PART_DEPTH = 1024,                        /* each at least so deep, */
    PART_VALUES = 1 << 17,                    /* and of a result at most this large */
    CACHED_ROWS = 192,                        /* rows of the left factor that the second-level cache holds */
    IN_PLACE_COLUMNS = 512,                   /* most columns for which a left factor is not worth packing, */
    IN_PLACE_BAD_COLUMNS = 128,               /* or if its rows get into each other's way in the first-level cache: */
    IN_PLACE_ROWS = 128,                      /* and if its columns lie so close together */
    BAD_STRIDE = 2048 / sizeof(tsr_real),     /* steps by multiples of this */
    PIECE_WORK = 1 << 16,                     /* multiply-adds that are worth a thread's while */
    AHEAD_PANELS = 4,                         /* panels of A during which the next sliver of B is fetched */
    SPLIT_DEPTH = TSR_PARTS_TILE / 2,         /* least depth that is worth splitting, */
    SPLIT_SIDE = TSR_PARTS_TILE               /* and least rows and columns for each part */
};

typedef struct gemm_plan {
    const tsr_parts *bf16;          /* into which packed values are split; or NULL: they are not */
    int tile_rows, tile_columns;
    void (*tile)(const tsr_tile *tile);
    tsr_product p;                  /* turned, if need be, so that its columns are not very few */
    int64_t row_step, column_step;  /* of the result: not always 1 in a turned product */
    bool turned;                    /* bias goes by rows */
    bool columns_stream;            /* else rows do */
    bool left_lies, right_lies;     /* read where it is; the right one is packed by its first reader */
    int64_t depth_block;            /* of one sum in registers */
    int64_t section, resident_cut;
    int64_t pieces;                 /* of the streaming factor */
    tsr_real *packed;               /* resident factor */
} gemm_plan;

/* One section of the depth against a range of resident rows, as the loop bodies see it. */
typedef struct section_job {
    const gemm_plan *plan;
    int64_t k, k_end;       /* of the section */
    int64_t begin, end;     /* resident rows */
    bool accumulate, last;  /* add to what is there; finish with bias and activation */
} section_job;


/* ---- what follows from the sizes alone ----------------------------------------------------------------- */

typedef struct gemm_cuts {
    int64_t depth_block, section, resident; /* resident rows at once */
    int64_t parts;                          /* sections summed side by side; 1: none are */
} gemm_cuts;

static gemm_cuts cuts_of(const tsr_kernels *kernels, const tsr_product *p)
{
    const int64_t few = tsr_smaller(p->rows, p->columns), many = tsr_larger(p->rows, p->columns);
    gemm_cuts c = {.parts = 1, .resident = few};
    if (p->depth <= 0) return c;
    const bool small = many <= PART_VALUES && few * many <= PART_VALUES;
    if (small && p->depth / 8 >= many)
        for (c.parts = PARTS; c.parts > 1 && p->depth / c.parts < PART_DEPTH;) c.parts /= 2;
    const int64_t sections = c.parts > 1 ? c.parts : (p->depth - 1) / SECTION_DEPTH + 1;
    const int64_t share = (p->depth - 1) / sections + 1, blocks = (share - 1) / TSR_DEPTH_BLOCK + 1;
    c.depth_block = tsr_round_up((share - 1) / blocks + 1, kernels->parts ? TSR_PARTS_TILE : 1);
    c.section = c.depth_block * blocks;
    if (c.parts > 1) c.parts = (p->depth - 1) / c.section + 1;
    else c.resident = tsr_smaller(few, RESIDENT_VALUES / c.section);
    return c;
}

/* Values of the packed resident factor; room for tiles that are not full, and for three parts, half a value each. */
static int64_t packed_values(const tsr_kernels *kernels, const gemm_cuts *c)
{
    const int64_t values = (c->resident + TSR_MAX_TILE) * (c->parts > 1 ? c->depth_block : c->section);
    return kernels->parts && kernels->parts->count > 2 ? values * kernels->parts->count / 2 : values;
}

size_t tsr_product_workspace(const tsr_kernels *kernels, const tsr_product *p)
{
    if (tsr_product_is_small(p)) return 0;
    const gemm_cuts c = cuts_of(kernels, p);
    const int64_t partial = c.parts > 1 ? p->rows * p->columns : 0;
    return (size_t)(c.parts * (packed_values(kernels, &c) + partial) + 64) * sizeof(tsr_real);
}

/* Values that a row of a packed block of this depth takes. */
static int64_t packed_depth(const gemm_plan *l, int64_t depth)
{
    return l->bf16 ? tsr_round_up(depth, TSR_PARTS_TILE) * l->bf16->count / 2 : depth;
}

/* The product as it is computed, and what is read where it lies. `parts`: it costs nothing to turn. */
static gemm_plan start_plan(const tsr_kernels *kernels, const tsr_product *p, bool parts)
{
    gemm_plan l = {.tile_rows = kernels->tile_rows, .tile_columns = kernels->tile_columns, .tile = kernels->tile, .p = *p,
              .row_step = p->stride, .column_step = 1};
    if (kernels->parts && p->depth >= SPLIT_DEPTH &&
        tsr_smaller(p->rows, p->columns) >= SPLIT_SIDE * kernels->parts->count) {
        l.bf16 = kernels->parts;
        l.tile_rows = l.tile_columns = TSR_PARTS_TILE;
        l.tile = l.bf16->tile;
        return l;
    }
    const bool along_rows = !p->left.pack && p->left.depth_stride == 1;
    const bool along_columns = !p->left.pack && p->left.row_stride == 1;
    if ((p->columns <= l.tile_rows && p->rows >= l.tile_columns && !along_rows) ||
        (parts && p->rows > p->columns && along_columns)) {
        l.turned = true;
        l.p.left = p->right;
        l.p.right = p->left;
        l.p.rows = p->columns;
        l.p.columns = p->rows;
        l.row_step = 1;
        l.column_step = p->stride;
    }
    l.right_lies = !l.p.right.pack && l.p.right.row_stride == 1;
    const int64_t most = l.p.left.row_stride % BAD_STRIDE == 0 ? IN_PLACE_BAD_COLUMNS : IN_PLACE_COLUMNS;
    l.left_lies = !l.p.left.pack && ((l.p.left.depth_stride == 1 && l.p.columns <= most) ||
                                     (l.p.left.row_stride == 1 && l.p.left.depth_stride <= IN_PLACE_ROWS));
    return l;
}

/* Tiles of the streaming factor. */
static int64_t stream_tiles(const gemm_plan *l)
{
    return l->columns_stream ? (l->p.columns - 1) / l->tile_columns + 1 : (l->p.rows - 1) / l->tile_rows + 1;
}

static gemm_plan plan_of(const tsr_kernels *kernels, const tsr_product *p, const gemm_cuts *c)
{
    gemm_plan l = start_plan(kernels, p, c->parts > 1);
    l.section = c->section;
    l.depth_block = c->depth_block;
    l.columns_stream = l.p.columns > l.p.rows || (l.p.columns == l.p.rows && l.right_lies);
    const int64_t other = l.columns_stream ? l.p.rows : l.p.columns;
    const int64_t other_tile = l.columns_stream ? l.tile_rows : l.tile_columns;
    l.resident_cut = tsr_larger(other_tile, c->resident / other_tile * other_tile);
    if (c->resident == other) l.resident_cut = other;

    /* As few pieces as fit on the stack, or more, for eight threads to share evenly if it is worth their while. */
    const int64_t tiles = stream_tiles(&l), tile = l.columns_stream ? l.tile_columns : l.tile_rows;
    const int64_t fewest = (tiles - 1) / (STREAM_VALUES / packed_depth(&l, l.depth_block) / tile) + 1;
    const double work = (double)tsr_smaller(other, l.resident_cut) * (double)tsr_smaller(p->depth, c->section);
    l.pieces = c->parts > 1 ? fewest : tsr_smaller(tiles, tsr_round_up(fewest, 8));
    while (l.pieces > fewest && work * (double)(tiles * tile) < (double)l.pieces * PIECE_WORK)
        l.pieces = tsr_larger(fewest, l.pieces / 2);
    return l;
}

/* ---- one tile ------------------------------------------------------------------------------------------ */

typedef struct tile_place {
    int64_t row, column;
    int columns;          /* that exist */
    bool accumulate, last;
} tile_place;

static void one_tile(const gemm_plan *l, tsr_tile *tile, const tile_place *at)
{
    tile->c = l->p.out + at->row * l->row_step + at->column * l->column_step;
    tile->stride = l->row_step;
    tile->columns = at->columns;
    tile->accumulate = at->accumulate;
    tile->bias = at->last && l->p.bias ? l->p.bias + (l->turned ? at->row : at->column) : NULL;
    tile->activation = at->last ? l->p.activation : TSR_NO_ACTIVATION;
    if (l->turned || at->columns < l->tile_columns)
        tsr_tile_beside(l->tile, l->tile_columns, tile, l->column_step, l->turned);
    else l->tile(tile);
}

/* ---- one block ----------------------------------------------------------------------------------------- */

/* Rows [begin, end) of a factor x depth [k, k + depth): packed, or where they lie. */
typedef struct block_view {
    int64_t begin, end;
    tsr_real *packed;        /* panels of `tile` rows */
    const tsr_factor *lies;  /* if not NULL: read where it is (the right one: whole tiles, once, then from `packed`) */
} block_view;

/* Panels of A are as high as a tile; the last two share what is left, since very low ones are slow. */
static int64_t panel_rows(int64_t left, int tile)
{
    return left <= tile ? left : left < 2 * tile ? (left + 1) / 2 : tile;
}

static const tsr_real *value_at(const tsr_factor *f, int64_t row, int64_t k)
{
    return f->data + row * f->row_stride + k * f->depth_stride;
}

/* The first panel of A packs a sliver of B that lies, the next few fetch the next sliver. */
static void multiply_sliver(const gemm_plan *l, tsr_tile tile, tile_place at, int64_t k, const block_view *a,
                            const block_view *b)
{
    const bool lies = b->lies && at.columns == l->tile_columns;
    const int64_t row_values = packed_depth(l, tile.depth);
    tsr_real *const packed = b->packed + (at.column - b->begin) * row_values;
    const bool more = at.column + 2 * l->tile_columns <= b->end;
    const tsr_real *ahead = packed + (more ? l->tile_columns * row_values : 0);
    if (lies && more) ahead = value_at(b->lies, at.column + l->tile_columns, k);
    else if (lies) ahead = value_at(b->lies, b->begin, k + tile.depth);
    const int64_t ahead_step = lies ? b->lies->depth_stride : l->tile_columns;
    int64_t height;
    int panel = 0;
    for (at.row = a->begin; at.row < a->end; at.row += height, panel++) {
        height = panel_rows(a->end - at.row, l->tile_rows);
        tile.rows = (int)height;
        tile.a = a->packed + panel * l->tile_rows * row_values;
        if (a->lies) tile.a = value_at(a->lies, at.row, k);
        tile.b = packed;
        tile.b_step = l->tile_columns;
        tile.b_copy = NULL;
        if (lies && panel == 0) {
            tile.b = value_at(b->lies, at.column, k);
            tile.b_step = b->lies->depth_stride;
            tile.b_copy = height < a->end - a->begin ? packed : NULL;
        }
        const bool fetch = panel < AHEAD_PANELS;
        tile.ahead = fetch ? ahead + panel * (tile.depth / 4) * ahead_step : packed;
        tile.ahead_step = fetch ? ahead_step : 0;
        one_tile(l, &tile, &at);
    }
}

static void multiply_block(const section_job *job, int64_t k, int64_t depth, const block_view *a, const block_view *b)
{
    const gemm_plan *l = job->plan;
    const int64_t cached = CACHED_ROWS / l->tile_rows * l->tile_rows;
    tile_place at = {.accumulate = job->accumulate || k > job->k, .last = job->last && k + depth >= job->k_end};
    tsr_tile tile = {.depth = depth, .a_row = 1, .a_step = l->tile_rows, .parts = l->bf16 ? l->bf16->count : 0};
    if (a->lies) {
        tile.a_row = a->lies->row_stride;
        tile.a_step = a->lies->depth_stride;
    }
    block_view rows = *a, columns = *b;
    for (; rows.begin < a->end; rows.begin = rows.end, rows.packed += cached * packed_depth(l, depth)) {
        rows.end = a->end - rows.begin < cached + l->tile_rows ? a->end : rows.begin + cached;
        for (at.column = b->begin; at.column < b->end; at.column += l->tile_columns) {
            at.columns = (int)tsr_smaller(l->tile_columns, b->end - at.column);
            multiply_sliver(l, tile, at, k, &rows, &columns);
        }
        columns.lies = NULL; /* it has been packed by now */
    }
}

/* ---- pieces of work ------------------------------------------------------------------------------------ */

/* Where panel p of the rows of a factor begins. Those of the right one are as wide as a tile; the last may be cut. */
static int64_t panel_start(const tsr_block_of *all, bool left, int64_t p)
{
    const int64_t before = (p - 1) * all->tile;
    if (left && p > 0 && before < all->rows) return before + panel_rows(all->rows - before, all->tile);
    return tsr_smaller(p * all->tile, all->rows);
}

/* Packs whole panels (the last may be cut) and splits their values, if they are to be. */
static void pack(const gemm_plan *l, bool left, const tsr_block_of *block, tsr_real *out)
{
    const tsr_factor *factor = left ? &l->p.left : &l->p.right;
    if (!l->bf16) {
        tsr_pack(factor, block, out);
        return;
    }
    _Alignas(64) tsr_real values[TSR_PARTS_TILE * TSR_DEPTH_BLOCK];
    tsr_block_of panel = *block;
    const int64_t end = block->row + block->rows;
    for (; panel.row < end; panel.row += panel.tile, out += panel.tile * packed_depth(l, block->depth)) {
        panel.rows = tsr_smaller(end - panel.row, panel.tile);
        tsr_pack(factor, &panel, values);
        l->bf16->split(values, panel.depth, l->bf16->count, left, out);
    }
}

/* Packs panels [begin, end) of those that the rows of block `all` make. */
static void pack_panels(const gemm_plan *l, bool left, const tsr_block_of *all, int64_t begin, int64_t end, tsr_real *out)
{
    const bool even = !left || all->rows % all->tile == 0;
    const int64_t last = even ? end : all->rows / all->tile; /* which may begin earlier than after whole panels */
    tsr_block_of some = *all;
    for (int64_t p = begin, next; p < end; p = next) {
        next = p < last ? tsr_smaller(end, last) : end;
        const int64_t start = panel_start(all, left, p);
        some.row = all->row + start;
        some.rows = panel_start(all, left, next) - start;
        pack(l, left, &some, out + (p - begin) * all->tile * packed_depth(l, all->depth));
    }
}

/* Where the packed resident rows of depth block k begin. */
static tsr_real *resident_at(const section_job *job, int64_t k, int tile)
{
    return job->plan->packed + packed_depth(job->plan, k - job->k) * tsr_round_up(job->end - job->begin, tile);
}

static void pack_resident_body(void *user, int64_t begin, int64_t end)
{
    const section_job *job = user;
    const gemm_plan *l = job->plan;
    tsr_block_of all = {.row = job->begin, .rows = job->end - job->begin,
                        .tile = l->columns_stream ? l->tile_rows : l->tile_columns};
    for (all.k = job->k; all.k < job->k_end; all.k += l->depth_block) {
        all.depth = tsr_smaller(l->depth_block, job->k_end - all.k);
        tsr_real *out = resident_at(job, all.k, all.tile) + begin * all.tile * packed_depth(l, all.depth);
        pack_panels(l, l->columns_stream, &all, begin, end, out);
    }
}

/* One piece of the streaming factor, tiles [begin, end) of it, against all that is resident. */
static void stream_piece(const section_job *job, int64_t begin, int64_t end)
{
    const gemm_plan *l = job->plan;
    const bool left = !l->columns_stream; /* streams */
    const int tile = left ? l->tile_rows : l->tile_columns, other_tile = left ? l->tile_columns : l->tile_rows;
    _Alignas(64) tsr_real buffer[STREAM_VALUES];
    tsr_block_of all = {.row = begin * tile, .tile = tile};
    all.rows = tsr_smaller(left ? l->p.rows : l->p.columns, end * tile) - all.row;
    block_view stream = {.begin = all.row, .end = all.row + all.rows, .packed = buffer};
    block_view resident = {.begin = job->begin, .end = job->end};
    block_view *a = left ? &stream : &resident, *b = left ? &resident : &stream;
    if (l->left_lies) a->lies = &l->p.left;
    if (l->right_lies && !left) b->lies = &l->p.right;
    int64_t lie = 0; /* tiles that need not be packed */
    if (stream.lies) lie = left ? end - begin : all.rows / tile;
    for (all.k = job->k; all.k < job->k_end; all.k += l->depth_block) {
        all.depth = tsr_smaller(l->depth_block, job->k_end - all.k);
        resident.packed = resident_at(job, all.k, other_tile);
        pack_panels(l, left, &all, lie, end - begin, buffer + lie * tile * all.depth);
        multiply_block(job, all.k, all.depth, a, b);
    }
}

static void stream_body(void *user, int64_t begin, int64_t end)
{
    const section_job *job = user;
    const int64_t tiles = stream_tiles(job->plan), pieces = job->plan->pieces;
    const tsr_parts *bf16 = job->plan->bf16;
    if (bf16) bf16->begin();
    for (int64_t piece = begin; piece < end; piece++)
        stream_piece(job, tiles * piece / pieces, tiles * (piece + 1) / pieces);
    if (bf16) bf16->end();
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

/* tsr_parallel, or the same pieces on this thread where ctx is NULL. */
static void for_pieces(tsr_context *ctx, int64_t count, int64_t grain, tsr_loop_body body, void *user)
{
    if (count <= grain) body(user, 0, count);
    else if (ctx) tsr_parallel(ctx, count, grain, body, user);
    else
        for (int64_t begin = 0; begin < count; begin += grain) body(user, begin, tsr_smaller(count, begin + grain));
}

/* Depth [k, k_end) of a product, section by section. */
static void run_plan(tsr_context *ctx, const gemm_plan *l, int64_t k, int64_t k_end)
{
    const int64_t resident = l->columns_stream ? l->p.rows : l->p.columns;
    const int tile = l->columns_stream ? l->tile_rows : l->tile_columns;
    for (int64_t at = k; at < k_end; at += l->section)
        for (int64_t row = 0; row < resident; row += l->resident_cut) {
            section_job job = {.plan = l, .k = at, .k_end = tsr_smaller(k_end, at + l->section), .begin = row,
                               .end = tsr_smaller(resident, row + l->resident_cut),
                               .accumulate = l->p.accumulate || at > k, .last = at + l->section >= k_end};
            if (!(l->columns_stream && l->left_lies)) {
                const int64_t grain = tsr_grain((double)(tile * (job.k_end - job.k)));
                for_pieces(ctx, (job.end - job.begin - 1) / tile + 1, grain, pack_resident_body, &job);
            }
            for_pieces(ctx, l->pieces, 1, stream_body, &job);
        }
}

/* ---- sections side by side ----------------------------------------------------------------------------- */

/* Each into a result of its own. */
typedef struct parts_job {
    const tsr_kernels *kernels;
    const gemm_plan *plan;
    const tsr_product *product;
    int64_t depth, packed_values;
    int parts;
    bool turned; /* as the parts are laid out */
    tsr_real *partial, *packed;
} parts_job;

static void part_body(void *user, int64_t begin, int64_t end)
{
    const parts_job *job = user;
    for (int64_t part = begin; part < end; part++) {
        gemm_plan l = *job->plan;
        tsr_real *out = job->partial + part * l.p.rows * l.p.columns;
        l.p.out = out;
        l.p.bias = NULL;
        l.p.accumulate = false;
        l.p.activation = TSR_NO_ACTIVATION;
        l.turned = false;
        l.row_step = l.p.columns;
        l.column_step = 1;
        l.section = l.depth_block;
        l.packed = job->packed + part * job->packed_values;
        run_plan(NULL, &l, part * job->depth, tsr_smaller((part + 1) * job->depth, l.p.depth));
    }
}

/* Adds values [begin, end) of all parts to those of the first. */
static void add_parts_body(void *user, int64_t begin, int64_t end)
{
    const parts_job *job = user;
    for (int part = 1; part < job->parts; part++) {
        const tsr_real *more = job->partial + part * job->product->rows * job->product->columns;
        for (int64_t i = begin; i < end; i++) job->partial[i] += more[i];
    }
}

/* Rows [begin, end) of the result from that sum (0 where there is no depth). */
static void finish_parts_body(void *user, int64_t begin, int64_t end)
{
    const parts_job *job = user;
    const tsr_product *p = job->product;
    const int64_t row_step = job->turned ? 1 : p->columns, column_step = job->turned ? p->rows : 1;
    for (int64_t i = begin; i < end; i++) {
        tsr_real *c = p->out + i * p->stride;
        for (int64_t j = 0; j < p->columns; j++) {
            tsr_real v = job->parts > 0 ? job->partial[i * row_step + j * column_step] : 0;
            if (p->accumulate) v += c[j];
            c[j] = p->bias ? v + p->bias[j] : v;
        }
        job->kernels->activate(p->activation, c, p->columns);
    }
}

static void multiply_with(tsr_context *ctx, const tsr_kernels *kernels, const tsr_product *p, void *workspace)
{
    if (p->rows <= 0 || p->columns <= 0) return;
    if (tsr_multiply_thin(ctx, kernels, p)) return;
    if (tsr_product_is_small(p)) {
        tsr_multiply_small(kernels, p);
        return;
    }
    const gemm_cuts c = cuts_of(kernels, p);
    parts_job job = {.kernels = kernels, .product = p, .depth = c.section, .packed_values = packed_values(kernels, &c),
                     .packed = workspace};
    if (p->depth > 0) {
        gemm_plan l = plan_of(kernels, p, &c);
        l.packed = workspace;
        if (c.parts == 1) {
            run_plan(ctx, &l, 0, p->depth);
            return;
        }
        job.plan = &l;
        job.parts = (int)c.parts;
        job.turned = l.turned;
        job.partial = job.packed + c.parts * job.packed_values;
        for_pieces(ctx, c.parts, 1, part_body, &job);
        for_pieces(ctx, p->rows * p->columns, tsr_grain((double)c.parts), add_parts_body, &job);
    }
    for_pieces(ctx, p->rows, tsr_grain((double)p->columns), finish_parts_body, &job);
}

void tsr_multiply(tsr_context *ctx, const tsr_product *product, void *workspace)
{
    multiply_with(ctx, ctx->kernels, product, workspace);
}

void tsr_multiply_alone(const tsr_kernels *kernels, const tsr_product *product, void *workspace)
{
    multiply_with(NULL, kernels, product, workspace);
}
