#include "ops/patches.h"

#include <string.h>

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- segments: values of a patch that lie side by side ------------------------------------------------- */

/* A run is the channels of one tap or, where these touch, of a line of taps. */
typedef struct run_place {
    int64_t j0, j1, run, within; /* line of taps, run of it, value of that */
    int64_t runs, length;        /* per line, values per run */
} run_place;

static run_place run_of(const tsr_patches *p, int64_t k)
{
    const bool touch = p->axes[2].gap == 1 && p->pixel == p->channels;
    run_place at = {.runs = touch ? 1 : p->axes[2].taps,
                    .length = touch ? p->axes[2].taps * p->channels : p->channels};
    const int64_t run = k / at.length, line = run / at.runs;
    at.within = k % at.length;
    at.run = run % at.runs;
    at.j1 = line % p->axes[1].taps;
    at.j0 = line / p->axes[1].taps;
    return at;
}

/* A part of a run, and where it lies from the first value that the patch reads. */
typedef struct segment {
    int64_t i0, i1;         /* pixels */
    int64_t offset, length; /* values */
} segment;

/* The next values, at most so many and of one run; goes past them. */
static segment next_segment(const tsr_patches *p, run_place *at, int64_t most)
{
    const segment s = {.i0 = at->j0 * p->axes[0].gap,
                       .i1 = at->j1 * p->axes[1].gap,
                       .offset = at->run * p->axes[2].gap * p->pixel + at->within,
                       .length = least(at->length - at->within, most)};
    at->within += s.length;
    if (at->within < at->length) return s;
    at->within = 0;
    if (++at->run < at->runs) return s;
    at->run = 0;
    if (++at->j1 < p->axes[1].taps) return s;
    at->j1 = 0;
    at->j0++;
    return s;
}

/* ---- stretches: patches that lie side by side ---------------------------------------------------------- */

typedef struct place {
    int64_t n, p[3];
} place;

static place place_of(const tsr_patches *p, int64_t patch)
{
    place at;
    const int64_t rows = patch / p->axes[2].positions, planes = rows / p->axes[1].positions;
    at.p[2] = patch % p->axes[2].positions;
    at.p[1] = rows % p->axes[1].positions;
    at.p[0] = planes % p->axes[0].positions;
    at.n = planes / p->axes[0].positions;
    return at;
}

/* Patches of one line, or, where each image has a single patch, of several images. */
typedef struct stretch {
    int64_t n, i0, i1; /* image, and first lines of pixels (may be outside) */
    int64_t at, count; /* first value of the first patch within the line (may be outside); patches */
    int64_t slide;     /* values from patch to patch within the line */
    int64_t apart;     /* and in memory */
} stretch;

/* The next patches, at most so many; goes past them. */
static stretch next_stretch(const tsr_patches *p, place *at, int64_t most)
{
    const tsr_reach *a = p->axes;
    stretch s = {.n = at->n,
                 .i0 = a[0].first + at->p[0] * a[0].step,
                 .i1 = a[1].first + at->p[1] * a[1].step,
                 .at = (a[2].first + at->p[2] * a[2].step) * p->pixel};
    if (a[0].positions * a[1].positions * a[2].positions == 1) {
        s.count = most;
        s.apart = a[0].in * a[1].in * a[2].in * p->pixel;
        at->n += most;
        return s;
    }
    s.count = least(a[2].positions - at->p[2], most);
    s.slide = s.apart = a[2].step * p->pixel;
    at->p[2] += s.count;
    if (at->p[2] < a[2].positions) return s;
    at->p[2] = 0;
    if (++at->p[1] < a[1].positions) return s;
    at->p[1] = 0;
    if (++at->p[0] < a[0].positions) return s;
    at->p[0] = 0;
    at->n++;
    return s;
}

static bool outside(int64_t i, int64_t length) { return (uint64_t)i >= (uint64_t)length; }

/* The line of pixels that a stretch reads a segment from; NULL: outside. */
static const tsr_real *line_of(const tsr_patches *p, const stretch *from, const segment *s)
{
    const int64_t i0 = from->i0 + s->i0, i1 = from->i1 + s->i1;
    if (outside(i0, p->axes[0].in) || outside(i1, p->axes[1].in)) return NULL;
    return p->image + ((from->n * p->axes[0].in + i0) * p->axes[1].in + i1) * p->axes[2].in * p->pixel;
}

/* ---- patches as rows ----------------------------------------------------------------------------------- */

/* out[d * tile + r] = from[d + r * step] for r < tile; called with constant tiles. */
static inline void turn_spaced(const tsr_real *from, int64_t step, int64_t depth, tsr_real *out,
                               const int tile)
{
    for (int64_t d = 0; d < depth; d++, from++, out += tile) {
        if (step == 1) memcpy(out, from, (size_t)tile * sizeof *out);
        else
            for (int r = 0; r < tile; r++) out[r] = from[r * step];
    }
}

static void pack_spaced(const tsr_real *from, int64_t step, int64_t depth, int tile, tsr_real *out)
{
    switch (tile) {
    case 4: turn_spaced(from, step, depth, out, 4); break;
    case 6: turn_spaced(from, step, depth, out, 6); break;
    case 8: turn_spaced(from, step, depth, out, 8); break;
    case 14: turn_spaced(from, step, depth, out, 14); break;
    case 16: turn_spaced(from, step, depth, out, 16); break;
    case 32: turn_spaced(from, step, depth, out, 32); break;
    default: turn_spaced(from, step, depth, out, tile); break;
    }
}

typedef struct panel {
    int64_t count;
    stretch stretches[TSR_MAX_TILE];
} panel;

/* What of a segment is inside, for the patches of which some is not. */
static void pack_edges(const tsr_patches *p, const panel *from, const segment *s, int tile, tsr_real *out)
{
    const int64_t line_size = p->axes[2].in * p->pixel;
    for (int64_t i = 0; i < from->count; i++) {
        const tsr_real *line = line_of(p, &from->stretches[i], s);
        int64_t at = from->stretches[i].at + s->offset;
        const int64_t slide = from->stretches[i].slide, ahead = from->stretches[i].apart - slide;
        for (int64_t r = 0; r < from->stretches[i].count; r++, out++, at += slide) {
            if (!line || (at >= 0 && at + s->length <= line_size)) continue;
            for (int64_t d = at < 0 ? -at : 0; d < s->length && at + d < line_size; d++)
                out[d * tile] = line[r * ahead + at + d];
        }
    }
}

static void pack_segment(const tsr_patches *p, const panel *from, const segment *s, int tile, tsr_real *out)
{
    enum { SHORT = 16 };
    const tsr_real *rows[TSR_MAX_TILE];
    const int64_t line_size = p->axes[2].in * p->pixel;
    bool edges = false;
    int64_t row = 0;
    for (int64_t i = 0; i < from->count; i++) {
        const stretch *t = &from->stretches[i];
        const tsr_real *line = line_of(p, t, s);
        const int64_t at = t->at + s->offset, most = line_size - s->length;
        const bool inside = line && at >= 0 && at + (t->count - 1) * t->slide <= most;
        if (inside && t->count == tile && (t->apart == 1 || s->length < SHORT)) {
            pack_spaced(line + at, t->apart, s->length, tile, out);
            return;
        }
        edges = edges || (line && !inside);
        for (int64_t r = 0; r < t->count; r++, row++) {
            const int64_t here = at + r * t->slide;
            rows[row] = inside || (line && here >= 0 && here <= most) ? line + at + r * t->apart : NULL;
        }
    }
    for (; row < tile; row++) rows[row] = NULL;
    tsr_pack_rows(rows, tile, s->length, out);
    if (edges) pack_edges(p, from, s, tile, out);
}

static void pack_rows(const tsr_factor *self, const tsr_block_of *block, tsr_real *out)
{
    const tsr_patches *p = self->user;
    panel from;
    from.count = 0;
    place at = place_of(p, block->row);
    for (int64_t row = 0; row < block->rows; row += from.stretches[from.count++].count)
        from.stretches[from.count] = next_stretch(p, &at, block->rows - row);
    run_place run = run_of(p, block->k);
    for (int64_t d = 0; d < block->depth;) {
        const segment s = next_segment(p, &run, block->depth - d);
        pack_segment(p, &from, &s, block->tile, out + d * block->tile);
        d += s.length;
    }
}

/* ---- patches as depth ---------------------------------------------------------------------------------- */

/* out[d * tile + v] = from[d * step + v] for v < length; called with constant lengths. */
static inline void copy_values(const tsr_real *from, int64_t step, int64_t count, int tile, tsr_real *out,
                               const int length)
{
    for (int64_t d = 0; d < count; d++, from += step, out += tile)
        memcpy(out, from, (size_t)length * sizeof *out);
}

static void copy_patches(const tsr_real *from, int64_t step, int64_t count, int tile, tsr_real *out,
                         int length)
{
    switch (length) {
    case 1: copy_values(from, step, count, tile, out, 1); break;
    case 2: copy_values(from, step, count, tile, out, 2); break;
    case 3: copy_values(from, step, count, tile, out, 3); break;
    case 4: copy_values(from, step, count, tile, out, 4); break;
    case 5: copy_values(from, step, count, tile, out, 5); break;
    case 6: copy_values(from, step, count, tile, out, 6); break;
    case 8: copy_values(from, step, count, tile, out, 8); break;
    case 14: copy_values(from, step, count, tile, out, 14); break;
    case 16: copy_values(from, step, count, tile, out, 16); break;
    case 32: copy_values(from, step, count, tile, out, 32); break;
    default: copy_values(from, step, count, tile, out, length); break;
    }
}

/* The values of a segment for each patch of a stretch. */
static void pack_stretch(const tsr_patches *p, const stretch *from, const segment *s, int tile, tsr_real *out)
{
    const int64_t line_size = p->axes[2].in * p->pixel, most = line_size - s->length;
    const int length = (int)s->length;
    const tsr_real *line = line_of(p, from, s);
    int64_t at = from->at + s->offset;
    const int64_t ahead = from->apart - from->slide;
    for (int64_t d = 0; d < from->count;) {
        if (line && at >= 0 && at <= most) {
            const int64_t inside =
                from->slide ? least(from->count - d, (most - at) / from->slide + 1) : from->count;
            copy_patches(line + at, from->apart, inside, tile, out + d * tile, length);
            d += inside;
            at += inside * from->slide;
        } else {
            for (int v = 0; v < length; v++)
                out[d * tile + v] = !line || outside(at + v, line_size) ? 0 : line[d * ahead + at + v];
            d++;
            at += from->slide;
        }
    }
}

static void pack_columns(const tsr_factor *self, const tsr_block_of *block, tsr_real *out)
{
    const tsr_patches *p = self->user;
    segment segments[TSR_MAX_TILE];
    int count = 0;
    run_place run = run_of(p, block->row);
    for (int64_t row = 0; row < block->rows; row += segments[count++].length)
        segments[count] = next_segment(p, &run, block->rows - row);
    place at = place_of(p, block->k);
    for (int64_t d = 0; d < block->depth;) {
        const stretch from = next_stretch(p, &at, block->depth - d);
        tsr_real *to = out + d * block->tile;
        for (int i = 0; i < count; to += segments[i++].length)
            pack_stretch(p, &from, &segments[i], block->tile, to);
        for (int64_t i = 0; block->rows < block->tile && i < from.count; i++, to += block->tile)
            memset(to, 0, (size_t)(block->tile - block->rows) * sizeof *to);
        d += from.count;
    }
}

/* ---- factors ------------------------------------------------------------------------------------------- */

/* Each pixel is its own patch, in the same order. */
static bool is_plain(const tsr_patches *p)
{
    for (int i = 0; i < 3; i++) {
        const tsr_reach *a = &p->axes[i];
        if (a->taps != 1 || a->first != 0 || a->positions != a->in || (a->step != 1 && a->in > 1))
            return false;
    }
    return true;
}

tsr_factor tsr_patch_rows(const tsr_patches *p)
{
    if (is_plain(p)) return (tsr_factor){.data = p->image, .row_stride = p->pixel, .depth_stride = 1};
    return (tsr_factor){.pack = pack_rows, .user = p};
}

tsr_factor tsr_patch_columns(const tsr_patches *p)
{
    if (is_plain(p)) return (tsr_factor){.data = p->image, .row_stride = 1, .depth_stride = p->pixel};
    return (tsr_factor){.pack = pack_columns, .user = p};
}

static void pack_turned(const tsr_factor *self, const tsr_block_of *block, tsr_real *out)
{
    const tsr_turned_weight *w = self->user;
    const tsr_real *rows[TSR_MAX_TILE] = {0};
    const int64_t end = block->k + block->depth;
    for (int64_t k = block->k, length; k < end; k += length, out += length * block->tile) {
        const int64_t tap = k / w->channels, channel = k % w->channels, line = tap / w->taps[2];
        length = least(w->channels - channel, end - k);
        const tsr_real *from = w->data + line / w->taps[1] * w->steps[0] + line % w->taps[1] * w->steps[1] +
                               tap % w->taps[2] * w->steps[2] + channel;
        for (int64_t i = 0; i < block->rows; i++) rows[i] = from + (block->row + i) * w->row;
        tsr_pack_rows(rows, block->tile, length, out);
    }
}

tsr_factor tsr_turned_rows(const tsr_turned_weight *w)
{
    if (w->taps[0] * w->taps[1] * w->taps[2] == 1)
        return (tsr_factor){.data = w->data, .row_stride = w->row, .depth_stride = 1};
    return (tsr_factor){.pack = pack_turned, .user = w};
}
