/* Patches times weights: rows of the product are patches. The weights are packed once; threads take pieces of the
 * patches (and of the columns, where patches are few). Within a piece blocks of the depth come first, so that a panel
 * of weights stays in the first-level cache while all of the piece's patches pass by. */
#include "core/parallel.h"
#include "ops/patches.h"

#include <string.h>

enum {
    PIECE_ROWS = 96,
    BLOCK_DEPTH = 512,
    SLAB_DEPTH = 128,     /* least worth a look at what of it lies inside of the image */
    PIECES = 16,          /* that are wanted, */
    PIECE_WORK = 1 << 16  /* unless they would have fewer multiply-adds */
};

struct tsr_patch_multiplier {
    tsr_patch_product product;
    const tsr_kernels *kernels;
    const int64_t *values;
    int64_t rows, depth, panels;          /* panels of all groups */
    int64_t piece_tiles, piece_panels, cuts; /* of a piece, and of the panels */
    int axis;                             /* the depth is cut into slabs by the taps of the axes before this one */
    int64_t slabs, slab_depth, tap_values; /* values of one tap of `axis` */
    tsr_real *packed;
};
typedef tsr_patch_multiplier multiply_job;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t largest(int64_t a, int64_t b) { return a > b ? a : b; }

/* ---- weights ------------------------------------------------------------------------------------------- */

static tsr_real *packed_panel(const multiply_job *job, int64_t panel, tsr_panel *shape, int64_t *group)
{
    const int64_t per_group = job->panels / job->product.patches.groups, lanes = job->kernels->lanes;
    const int64_t width = (job->product.columns + lanes - 1) / lanes * lanes;
    *group = panel / per_group;
    *shape = tsr_panel_of(job->kernels, job->product.columns, panel % per_group);
    return job->packed + (*group * width + shape->column) * job->depth;
}

/* The values of one tap for a panel. */
static void pack_tap(const tsr_patch_weight *w, const tsr_real *from, const tsr_panel *panel, int width,
                     int64_t channels, tsr_real *to)
{
    if (w->column == 1) {
        for (int64_t c = 0; c < channels; c++, from += w->channel, to += width) {
            memcpy(to, from, (size_t)panel->columns * sizeof *to);
            memset(to + panel->columns, 0, (size_t)(width - panel->columns) * sizeof *to);
        }
        return;
    }
    const tsr_real *rows[TSR_GATHER_WIDTH] = {0};
    for (int64_t c = 0; c < channels; c += TSR_DEPTH_BLOCK) {
        for (int64_t o = 0; o < panel->columns; o++) rows[o] = from + c + o * w->column;
        tsr_pack_rows(rows, width, least(channels - c, TSR_DEPTH_BLOCK), to + c * width);
    }
}

static void pack_body(void *user, int64_t begin, int64_t end)
{
    const multiply_job *job = user;
    const tsr_patches *p = &job->product.patches;
    const tsr_patch_weight *w = &job->product.weight;
    for (int64_t i = begin; i < end; i++) {
        tsr_panel panel;
        int64_t group;
        tsr_real *to = packed_panel(job, i, &panel, &group);
        const int width = panel.vectors * job->kernels->lanes;
        const tsr_real *from = w->data + group * w->group + panel.column * w->column;
        for (int64_t j0 = 0; j0 < p->axes[0].taps; j0++)
            for (int64_t j1 = 0; j1 < p->axes[1].taps; j1++)
                for (int64_t j2 = 0; j2 < p->axes[2].taps; j2++, to += p->channels * width)
                    pack_tap(w, from + j0 * w->taps[0] + j1 * w->taps[1] + j2 * w->taps[2], &panel, width,
                             p->channels, to);
    }
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
        *first = least(*first, at < 0 ? (-at - 1) / a->gap + 1 : 0);
        *last = largest(*last, room < 0 ? 0 : least(a->taps, room / a->gap + 1));
    }
}

static void lay_out(const multiply_job *job, int64_t begin, int64_t rows, tsr_real *out, piece *s)
{
    const tsr_patches *p = &job->product.patches;
    int64_t from[PIECE_ROWS], to[PIECE_ROWS];
    tsr_patches_offsets(p, &p->grid, begin, rows, from);
    tsr_patches_offsets(p, &job->product.to, begin, rows, to);
    for (int64_t i = 0; i < rows + TSR_GATHER_ROWS; i++) {
        s->from[i] = p->image + from[least(i, rows - 1)];
        s->to[i] = out + to[least(i, rows - 1)];
    }
    s->rows = rows;
    for (int64_t t = 0, i = 0; i < rows; t++, i += job->kernels->gather_rows)
        for (int axis = 0; axis <= job->axis; axis++)
            find_taps(p, axis, begin + i, begin + least(rows, i + job->kernels->gather_rows), &s->first[axis][t],
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
    const int64_t end = least(job->slab_depth, begin + BLOCK_DEPTH);
    const int64_t first = s->first[axis][t] * job->tap_values, last = s->last[axis][t] * job->tap_values;
    tile_part part = {largest(begin, first), least(end, last), begin <= first, end >= last};
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

/* Values of a slab from `begin` on, of all of a piece's rows, for one panel. */
static void multiply_panel(const multiply_job *job, const piece *s, int64_t slab, int64_t begin, int64_t number)
{
    const tsr_patch_product *product = &job->product;
    tsr_panel panel;
    int64_t group;
    const tsr_real *weight = packed_panel(job, number, &panel, &group);
    const int64_t column = group * product->columns + panel.column, start = slab * job->slab_depth;
    const int tile_rows = job->kernels->gather_rows, width = panel.vectors * job->kernels->lanes;
    tsr_gathered tile = {.channel = group * product->patches.channels, .column = column, .b_step = width,
                         .vectors = panel.vectors};
    for (int64_t t = 0, i = 0; i < s->rows; t++, i += tile_rows) {
        const tile_part part = part_of(job, s, t, slab, begin);
        if (part.end < part.begin) continue;
        tile.rows = s->from + i;
        tile.c = s->to + i;
        tile.b = weight + (start + part.begin) * width;
        tile.offsets = job->values + start + part.begin;
        tile.depth = part.end - part.begin;
        tile.accumulate = !part.opens;
        tile.bias = part.closes && product->bias ? product->bias + column : NULL;
        tile.relu = part.closes && product->relu;
        tsr_gather_tile(job->kernels, &tile, (int)least(tile_rows, s->rows - i),
                        product->roomy ? width : panel.columns);
    }
}

/* At most PIECE_ROWS patches, panels [begin, end). */
static void multiply_piece(const multiply_job *job, int64_t row, int64_t rows, int64_t begin, int64_t end,
                           tsr_real *out)
{
    piece s;
    lay_out(job, row, rows, out, &s);
    for (int64_t slab = 0; slab < job->slabs; slab++) {
        int64_t value = 0;
        do {
            for (int64_t panel = begin; panel < end; panel++) multiply_panel(job, &s, slab, value, panel);
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
        multiply_piece(job, row, least(job->rows - row, rows), panel, least(job->panels, panel + job->piece_panels),
                       job->product.out);
    }
}

void tsr_patch_multiply_rows(const tsr_patch_multiplier *m, int64_t first, int64_t count, tsr_real *out)
{
    for (const int64_t end = first + count; first < end; first += PIECE_ROWS)
        multiply_piece(m, first, least(end - first, PIECE_ROWS), 0, m->panels, out);
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
    job->tap_values = job->slab_depth / largest(1, p->axes[job->axis].taps);
}

tsr_patch_multiplier *tsr_patch_prepare(tsr_node *n, const tsr_patch_product *product)
{
    const tsr_patches *p = &product->patches;
    const tsr_kernels *kernels = tsr_node_context(n)->kernels;
    multiply_job *job = tsr_scratch(n, sizeof *job);
    if (!job) return NULL;
    *job = (multiply_job){.product = *product, .kernels = kernels, .rows = tsr_patches_count(p),
                          .depth = tsr_patches_depth(p),
                          .panels = p->groups * tsr_panel_count(kernels, product->columns)};
    const int64_t width = (product->columns + kernels->lanes - 1) / kernels->lanes * kernels->lanes;
    cut_depth(job);
    job->values = tsr_patches_values(n, p);
    job->packed = tsr_scratch(n, (size_t)(p->groups * width * job->depth + 1) * sizeof *job->packed);
    if (!job->values || !job->packed) return NULL;
    tsr_parallel(tsr_node_context(n), job->panels, tsr_grain((double)(job->depth * kernels->lanes)), pack_body, job);
    return job;
}

void tsr_patch_multiply(tsr_node *n, const tsr_patch_product *product)
{
    if (tsr_patches_count(&product->patches) == 0 || product->columns == 0) return;
    multiply_job *job = tsr_patch_prepare(n, product);
    if (!job) return;
    const int rows = job->kernels->gather_rows;
    const int64_t tiles = (job->rows - 1) / rows + 1;
    const double tile_work = (double)(rows * job->depth + 1) * (double)(product->patches.groups * product->columns);
    const int64_t worth = tile_work < PIECE_WORK ? (int64_t)(PIECE_WORK / tile_work) + 1 : 1;
    job->piece_tiles = least(largest(worth, (tiles - 1) / PIECES + 1), PIECE_ROWS / rows);
    const int64_t pieces = (tiles - 1) / job->piece_tiles + 1;
    job->cuts = worth > 1 ? 1 : least(job->panels, (PIECES - 1) / pieces + 1);
    job->piece_panels = (job->panels - 1) / job->cuts + 1;
    job->cuts = (job->panels - 1) / job->piece_panels + 1;
    tsr_parallel(tsr_node_context(n), pieces * job->cuts, 1, multiply_body, job);
}
