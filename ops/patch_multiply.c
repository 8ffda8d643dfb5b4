/* Patches times weights: rows of the product are patches. The weights are packed once; threads take pieces of the
 * patches (and of the columns, where patches are few). Within a piece blocks of the depth come first, so that a panel
 * of weights stays in the first-level cache while all of the piece's patches pass by; where all weights stay there,
 * each tile passes by all panels, so that memory is written in long runs. Fewer columns than a vector has lanes are
 * made as dot products, the lanes being channels. */
#include "core/parallel.h"
#include "ops/patches.h"

#include <string.h>

enum {
    PIECE_ROWS = 96,
    BLOCK_DEPTH = 512,
    FEW_WEIGHTS = 1 << 12, /* which stay in the first-level cache */
    SLAB_DEPTH = 128,      /* least worth a look at what of it lies inside of the image */
    PIECES = 16,           /* that are wanted, */
    PATCH_PIECE_WORK = 1 << 16   /* unless they would have fewer multiply-adds */
};

/* Columns of a group that a tile has side by side, and their weights: [value][width]. */
typedef struct panel_of_weights {
    tsr_panel columns;
    int width;
    int64_t group;
    tsr_real *packed;
} weight_panel;

/* A value of a patch is, here, what one step of the micro-kernel takes of it: of dot products a vector. */
typedef struct multiply_job {
    tsr_patch_product product;
    const tsr_kernels *kernels;
    bool dots;
    const int64_t *values;
    int64_t rows, depth, panels; /* panels of all groups */
    weight_panel *panel;
    int64_t piece_tiles, piece_panels, cuts; /* of a piece, and of the panels */
    int axis;                                /* the depth is cut into slabs by the taps of the axes before this one */
    int64_t slabs, slab_depth, tap_values;   /* values of one tap of `axis` */
} multiply_job;

/* ---- weights ------------------------------------------------------------------------------------------- */

/* The values of one tap for a panel. */
static void pack_tap(const tsr_patch_weight *w, const tsr_real *from, const weight_panel *panel, int64_t channels,
                     tsr_real *to)
{
    const int width = panel->width;
    const int64_t columns = panel->columns.columns;
    if (w->column == 1) {
        tsr_pack_panel(from, w->channel, channels, &panel->columns, width, to);
        return;
    }
    const tsr_real *rows[TSR_GATHER_WIDTH] = {0};
    for (int64_t c = 0; c < channels; c += TSR_DEPTH_BLOCK) {
        for (int64_t o = 0; o < columns; o++) rows[o] = from + c + o * w->column;
        tsr_pack_rows(rows, width, tsr_smaller(channels - c, TSR_DEPTH_BLOCK), to + c * width);
    }
}

/* The same for dot products: vectors of channels, the last of which repeats some as zeros. */
static void pack_dots_tap(const tsr_patch_weight *w, const tsr_real *from, const weight_panel *panel, int64_t channels,
                          int lanes, tsr_real *to)
{
    for (int64_t c = 0; c < channels; c += lanes)
        for (int64_t o = 0; o < panel->columns.columns; o++)
            for (int64_t l = 0, at = tsr_smaller(c, channels - lanes); l < lanes; l++, at++)
                *to++ = at < c ? 0 : from[at * w->channel + o * w->column];
}

static void pack_body(void *user, int64_t begin, int64_t end)
{
    const multiply_job *job = user;
    const tsr_patches *p = &job->product.patches;
    const tsr_patch_weight *w = &job->product.weight;
    const int64_t taps = tsr_patches_depth(p) / tsr_larger(1, p->channels);
    for (int64_t i = begin; i < end; i++) {
        const weight_panel *panel = &job->panel[i];
        const tsr_real *from = w->data + panel->group * w->group + panel->columns.column * w->column;
        tsr_real *to = panel->packed;
        for (int64_t j = 0; j < taps; j++, to += job->depth / taps * panel->width) {
            const int64_t j2 = j % p->axes[2].taps, line = j / p->axes[2].taps;
            const tsr_real *tap = from + line / p->axes[1].taps * w->taps[0] + line % p->axes[1].taps * w->taps[1] +
                                  j2 * w->taps[2];
            if (job->dots) pack_dots_tap(w, tap, panel, p->channels, job->kernels->lanes, to);
            else pack_tap(w, tap, panel, p->channels, to);
        }
    }
}

static bool make_panels(tsr_node *n, multiply_job *job)
{
    const tsr_kernels *k = job->kernels;
    const int64_t columns = job->product.columns, groups = job->product.patches.groups;
    const int64_t width = job->dots ? columns * k->lanes : (columns + k->lanes - 1) / k->lanes * k->lanes;
    const int64_t per_group = job->dots ? (columns - 1) / k->gather_vectors + 1 : tsr_panel_count(k, columns);
    job->panels = groups * per_group;
    job->panel = tsr_scratch(n, (size_t)job->panels * sizeof *job->panel);
    tsr_real *packed = tsr_scratch(n, (size_t)(groups * width * job->depth + 1) * sizeof *packed);
    if (!job->panel || !packed) return false;
    for (int64_t i = 0; i < job->panels; i++) {
        weight_panel *w = &job->panel[i];
        const int64_t first = i % per_group * k->gather_vectors, count = tsr_smaller(columns - first, k->gather_vectors);
        w->columns = job->dots ? (tsr_panel){.column = first, .columns = count, .vectors = (int)count}
                               : tsr_panel_of(k, columns, i % per_group);
        w->width = w->columns.vectors * k->lanes;
        w->group = i / per_group;
        w->packed = packed;
        packed += w->width * job->depth;
    }
    return true;
}

/* ---- products ------------------------------------------------------------------------------------------ */

typedef struct piece {
    int64_t rows;
    const tsr_real *from[PIECE_ROWS + TSR_GATHER_ROWS]; /* the last is repeated */
    tsr_real *to[PIECE_ROWS + TSR_GATHER_ROWS];
    int64_t first[3][PIECE_ROWS], last[3][PIECE_ROWS]; /* taps of a tile: others see zeros only */
} piece;

/* Whether zeros lie around the image along an axis. */
static bool padded(const tsr_patches *p, int axis) { return p->grid.length[axis] > p->axes[axis].in; }

/* The taps of an axis by which any of the patches [begin, end) sees the image. */
static void find_taps(const tsr_patches *p, int axis, int64_t begin, int64_t end, int64_t *first, int64_t *last)
{
    const tsr_reach *a = &p->axes[axis];
    int64_t same = p->by_image ? p->images : 1; /* patches in a row at one position of the axis */
    for (int i = axis + 1; i < 3; i++) same *= p->axes[i].positions;
    const bool look = padded(p, axis);
    *first = look ? a->taps : 0;
    *last = look ? 0 : a->taps;
    for (int64_t row = begin; look && row < end; row = (row / same + 1) * same) {
        const int64_t at = a->first + row / same % a->positions * a->step, room = a->in - 1 - at;
        *first = tsr_smaller(*first, at < 0 ? (-at - 1) / a->gap + 1 : 0);
        *last = tsr_larger(*last, room < 0 ? 0 : tsr_smaller(a->taps, room / a->gap + 1));
    }
}

static void lay_out_piece(const multiply_job *job, int64_t begin, int64_t rows, piece *s)
{
    const tsr_patches *p = &job->product.patches;
    int64_t from[PIECE_ROWS], to[PIECE_ROWS];
    tsr_patches_offsets(p, &p->grid, begin, rows, from);
    tsr_patches_offsets(p, &job->product.to, begin, rows, to);
    for (int64_t i = 0; i < rows + TSR_GATHER_ROWS; i++) {
        s->from[i] = p->image + from[tsr_smaller(i, rows - 1)];
        s->to[i] = job->product.out + to[tsr_smaller(i, rows - 1)];
    }
    s->rows = rows;
    for (int64_t t = 0, i = 0; i < rows; t++, i += job->kernels->gather_rows)
        for (int axis = 0; axis <= job->axis; axis++)
            find_taps(p, axis, begin + i, begin + tsr_smaller(rows, i + job->kernels->gather_rows), &s->first[axis][t],
                      &s->last[axis][t]);
}

/* Values of a slab that a tile has to read; whether it is the first and the last that it reads. */
typedef struct tile_part {
    int64_t begin, end;
    bool opens, closes;
} tile_part;

static tile_part part_of(const multiply_job *job, const piece *s, int64_t t, int64_t slab, int64_t begin)
{
    const int axis = job->axis;
    const int64_t end = tsr_smaller(job->slab_depth, begin + BLOCK_DEPTH);
    const int64_t first = s->first[axis][t] * job->tap_values, last = s->last[axis][t] * job->tap_values;
    tile_part part = {tsr_larger(begin, first), tsr_smaller(end, last), begin <= first, end >= last};
    bool nothing = first >= last, outside = false;
    for (int i = 0; i < axis; i++) {
        const int64_t taps = job->product.patches.axes[1].taps, tap = axis == 1 ? slab
                                                                      : i == 0  ? slab / taps
                                                                                : slab % taps;
        nothing = nothing || s->first[i][t] >= s->last[i][t];
        outside = outside || tap < s->first[i][t] || tap >= s->last[i][t];
        part.opens = part.opens && tap == s->first[i][t];
        part.closes = part.closes && tap == s->last[i][t] - 1;
    }
    const bool once = slab == 0 && begin == 0;
    if (nothing) return (tile_part){0, once ? 0 : -1, once, once}; /* of zeros: bias alone */
    if (outside || part.begin >= part.end) part.end = part.begin - 1;
    return part;
}

/* Values of a slab from `begin` on, for one tile and panels [first, last). */
static void multiply_tile(const multiply_job *job, const piece *s, int64_t t, int64_t slab, int64_t begin,
                          int64_t first, int64_t last)
{
    const tsr_patch_product *product = &job->product;
    const tile_part part = part_of(job, s, t, slab, begin);
    if (part.end < part.begin) return;
    const int64_t start = slab * job->slab_depth + part.begin, row = t * job->kernels->gather_rows;
    tsr_gathered tile = {.rows = s->from + row, .c = s->to + row, .offsets = job->values + start, .dots = job->dots,
                         .depth = part.end - part.begin, .accumulate = !part.opens,
                         .relu = part.closes && product->relu};
    for (const weight_panel *w = job->panel + first; w < job->panel + last; w++) {
        tile.channel = w->group * product->patches.channels;
        tile.column = w->group * product->columns + w->columns.column;
        tile.b = w->packed + start * w->width;
        tile.b_step = w->width;
        tile.vectors = w->columns.vectors;
        tile.bias = part.closes && product->bias ? product->bias + tile.column : NULL;
        tsr_gather_tile(job->kernels, &tile, (int)tsr_smaller(job->kernels->gather_rows, s->rows - row),
                        w->columns.columns);
    }
}

/* At most PIECE_ROWS patches, panels [begin, end). */
static void multiply_piece(const multiply_job *job, int64_t row, int64_t rows, int64_t begin, int64_t end)
{
    piece s;
    lay_out_piece(job, row, rows, &s);
    const int64_t tiles = (rows - 1) / job->kernels->gather_rows + 1;
    const bool few = job->slab_depth * (end - begin) * job->panel->width <= FEW_WEIGHTS;
    const int64_t step = few ? end - begin : 1;
    for (int64_t slab = 0; slab < job->slabs; slab++) {
        int64_t value = 0;
        do {
            for (int64_t panel = begin; panel < end; panel += step)
                for (int64_t t = 0; t < tiles; t++) multiply_tile(job, &s, t, slab, value, panel, panel + step);
            value += BLOCK_DEPTH;
        } while (value < job->slab_depth);
    }
}

static void multiply_body(void *user, int64_t begin, int64_t end)
{
    const multiply_job *job = user;
    const int64_t rows = job->piece_tiles * job->kernels->gather_rows;
    for (int64_t i = begin; i < end; i++) {
        const int64_t row = i / job->cuts * rows, panel = i % job->cuts * job->piece_panels;
        multiply_piece(job, row, tsr_smaller(job->rows - row, rows), panel, tsr_smaller(job->panels, panel + job->piece_panels));
    }
}

/* Where a good part of what patches see are zeros, tiles that see the same ones leave them out: those of a line, of a
 * plane, or, in small images, those of one position of several images. */
static void cut_depth(multiply_job *job)
{
    tsr_patches *p = &job->product.patches;
    p->by_image = 2 * (p->grid.length[2] - p->axes[2].in) > p->axes[2].positions &&
                  p->images >= 2 * job->kernels->gather_rows && p->axes[2].taps * p->channels >= SLAB_DEPTH;
    job->slabs = 1;
    job->slab_depth = job->depth;
    for (const int most = p->by_image ? 2 : 1; job->axis < most; job->axis++) {
        const int64_t taps = p->axes[job->axis].taps;
        const bool zeros = padded(p, job->axis + 1) && taps > 0 && job->slab_depth >= SLAB_DEPTH * taps;
        if (taps != 1 && !zeros) break;
        job->slabs *= taps;
        job->slab_depth /= taps;
    }
    job->tap_values = job->slab_depth / tsr_larger(1, p->axes[job->axis].taps);
}

void tsr_patch_multiply(tsr_node *n, const tsr_patch_product *product)
{
    const tsr_patches *p = &product->patches;
    tsr_context *ctx = tsr_node_context(n);
    const int lanes = ctx->kernels->lanes, rows = ctx->kernels->gather_rows;
    if (tsr_patches_count(p) == 0 || product->columns == 0 || tsr_patch_multiply_parts(n, product)) return;
    multiply_job job = {.product = *product, .kernels = ctx->kernels, .rows = tsr_patches_count(p),
                        .dots = 4 * product->columns <= 3 * lanes && p->channels >= lanes};
    const int64_t together = job.dots ? lanes : 1;
    job.depth = tsr_patches_depth(p) / tsr_larger(1, p->channels) * ((p->channels + together - 1) / together);
    job.values = tsr_patches_values(n, p, together);
    if (!job.values || !make_panels(n, &job)) return;
    cut_depth(&job);
    tsr_parallel(ctx, job.panels, tsr_grain((double)(job.depth * lanes)), pack_body, &job);
    const int64_t tiles = (job.rows - 1) / rows + 1;
    const double tile_work = (double)(rows * job.depth + 1) * (double)(product->patches.groups * product->columns);
    const int64_t worth = tile_work < PATCH_PIECE_WORK ? (int64_t)(PATCH_PIECE_WORK / tile_work) + 1 : 1;
    job.piece_tiles = tsr_smaller(tsr_larger(worth, (tiles - 1) / PIECES + 1), PIECE_ROWS / rows);
    const int64_t pieces = (tiles - 1) / job.piece_tiles + 1;
    job.cuts = worth > 1 ? 1 : tsr_smaller(job.panels, (PIECES - 1) / pieces + 1);
    job.piece_panels = (job.panels - 1) / job.cuts + 1;
    job.cuts = (job.panels - 1) / job.piece_panels + 1;
    tsr_parallel(ctx, pieces * job.cuts, 1, multiply_body, &job);
}
