#include "ops/patches.h"

#include <string.h>

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- runs: values of a patch that lie side by side -------------------------------------------------------------------- */

enum { SHORT_RUN = 64 };

/* A run is the channels of one tap, or, where these are few, of a whole line of neighbouring taps. */
typedef struct runs {
    int64_t taps;   /* runs per line of taps */
    int64_t length; /* values of one */
} runs;

static runs runs_of(const tsr_patches *p)
{
    const tsr_reach *line = &p->axes[2];
    if (line->gap == 1 && p->pixel == p->channels && line->taps * p->channels <= SHORT_RUN)
        return (runs){1, line->taps * p->channels};
    return (runs){line->taps, p->channels};
}

/* Part of a run: where it lies from the first value that a patch reads, and which lines of taps it belongs to. */
typedef struct segment {
    int64_t i0, i1;         /* pixels */
    int64_t offset, length; /* values */
} segment;

/* The part of [k, k_end) within the run that value k of a patch belongs to. */
static segment segment_at(const tsr_patches *p, const runs *r, int64_t k, int64_t k_end)
{
    const int64_t run = k / r->length, within = k % r->length, line = run / r->taps;
    return (segment){.i0 = line / p->axes[1].taps * p->axes[0].gap,
                     .i1 = line % p->axes[1].taps * p->axes[1].gap,
                     .offset = run % r->taps * p->axes[2].gap * p->pixel + within,
                     .length = least(r->length - within, k_end - k)};
}

/* Where a patch begins: its image, its lines of pixels (may be outside), its first value in the line (may be outside). */
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

/* Past `count` patches of one line, to the next line if that was its end. */
static void advance(const tsr_patches *p, place *at, int64_t count)
{
    at->p[2] += count;
    if (at->p[2] < p->axes[2].positions) return;
    at->p[2] = 0;
    if (++at->p[1] < p->axes[1].positions) return;
    at->p[1] = 0;
    if (++at->p[0] < p->axes[0].positions) return;
    at->p[0] = 0;
    at->n++;
}

static int64_t first_pixel(const tsr_patches *p, const place *at, int axis)
{
    return p->axes[axis].first + at->p[axis] * p->axes[axis].step;
}

static bool outside(int64_t i, int64_t length)
{
    return (uint64_t)i >= (uint64_t)length;
}

static const tsr_real *line_at(const tsr_patches *p, int64_t n, int64_t i0, int64_t i1)
{
    return p->image + ((n * p->axes[0].in + i0) * p->axes[1].in + i1) * p->axes[2].in * p->pixel;
}

/* ---- patches as rows -------------------------------------------------------------------------------------------------- */

typedef struct patch {
    int64_t n, i0, i1, at; /* image, first line, first value within the line */
} patch;

/* Where the segment of a patch lies; NULL: all outside. What is partly outside (whole lines of taps) is put into `edge`. */
static const tsr_real *find_segment(const tsr_patches *p, const patch *from, const segment *s, tsr_real *edge)
{
    const int64_t i0 = from->i0 + s->i0, i1 = from->i1 + s->i1, at = from->at + s->offset;
    const int64_t line_size = p->axes[2].in * p->pixel;
    if (outside(i0, p->axes[0].in) || outside(i1, p->axes[1].in) || at >= line_size || at + s->length <= 0) return NULL;
    const tsr_real *line = line_at(p, from->n, i0, i1);
    if (at >= 0 && at + s->length <= line_size) return line + at;
    for (int64_t k = 0; k < s->length; k++) edge[k] = outside(at + k, line_size) ? 0 : line[at + k];
    return edge;
}

static void pack_rows(const tsr_factor *self, const tsr_block_of *block, tsr_real *out)
{
    const tsr_patches *p = self->user;
    const runs r = runs_of(p);
    patch patches[TSR_MAX_TILE];
    const tsr_real *rows[TSR_MAX_TILE] = {0};
    tsr_real edges[TSR_MAX_TILE][SHORT_RUN];
    place at = place_of(p, block->row);
    for (int64_t i = 0; i < block->rows; i++, advance(p, &at, 1))
        patches[i] = (patch){at.n, first_pixel(p, &at, 0), first_pixel(p, &at, 1), first_pixel(p, &at, 2) * p->pixel};
    const int64_t end = block->k + block->depth;
    for (int64_t k = block->k; k < end;) {
        const segment s = segment_at(p, &r, k, end);
        for (int64_t i = 0; i < block->rows; i++) rows[i] = find_segment(p, &patches[i], &s, edges[i]);
        tsr_pack_rows(rows, block->tile, s.length, out);
        k += s.length;
        out += s.length * block->tile;
    }
}

/* ---- patches as depth ------------------------------------------------------------------------------------------------- */

/* out[d * tile + v] = from[d * step + v] for v < length; called with constant lengths. */
static inline void copy_values(const tsr_real *from, int64_t step, int64_t count, int tile, tsr_real *out, const int length)
{
    for (int64_t d = 0; d < count; d++, from += step, out += tile) memcpy(out, from, (size_t)length * sizeof *out);
}

static void copy_patches(const tsr_real *from, int64_t step, int64_t count, int tile, tsr_real *out, int length)
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

/* Part of a line of neighbouring patches. */
typedef struct stretch {
    int64_t n, i0, i1; /* image and first lines */
    int64_t at, count; /* first value of the first patch within the line; patches */
} stretch;

/* The values of a segment for each patch of a stretch. */
static void pack_stretch(const tsr_patches *p, const stretch *from, const segment *s, int tile, tsr_real *out)
{
    const int64_t i0 = from->i0 + s->i0, i1 = from->i1 + s->i1, step = p->axes[2].step * p->pixel;
    const int64_t line_size = p->axes[2].in * p->pixel, room = line_size - s->length;
    const int length = (int)s->length;
    int64_t at = from->at + s->offset, d = 0;
    if (outside(i0, p->axes[0].in) || outside(i1, p->axes[1].in)) {
        for (; d < from->count; d++)
            for (int v = 0; v < length; v++) out[d * tile + v] = 0;
        return;
    }
    const tsr_real *line = line_at(p, from->n, i0, i1);
    while (d < from->count) {
        if (at >= 0 && at <= room) {
            const int64_t inside = least(from->count - d, (room - at) / step + 1);
            copy_patches(line + at, step, inside, tile, out + d * tile, length);
            d += inside;
            at += inside * step;
        } else {
            for (int v = 0; v < length; v++) out[d * tile + v] = outside(at + v, line_size) ? 0 : line[at + v];
            d++;
            at += step;
        }
    }
}

static void pack_columns(const tsr_factor *self, const tsr_block_of *block, tsr_real *out)
{
    const tsr_patches *p = self->user;
    const runs r = runs_of(p);
    segment segments[TSR_MAX_TILE];
    int count = 0;
    const int64_t end = block->row + block->rows;
    for (int64_t row = block->row; row < end; row += segments[count++].length) segments[count] = segment_at(p, &r, row, end);
    place at = place_of(p, block->k);
    for (int64_t d = 0; d < block->depth;) {
        const stretch from = {.n = at.n, .i0 = first_pixel(p, &at, 0), .i1 = first_pixel(p, &at, 1),
                              .at = first_pixel(p, &at, 2) * p->pixel,
                              .count = least(p->axes[2].positions - at.p[2], block->depth - d)};
        tsr_real *to = out + d * block->tile;
        for (int i = 0; i < count; i++) {
            pack_stretch(p, &from, &segments[i], block->tile, to);
            to += segments[i].length;
        }
        for (int64_t i = 0; block->rows < block->tile && i < from.count; i++, to += block->tile)
            memset(to, 0, (size_t)(block->tile - block->rows) * sizeof *to);
        advance(p, &at, from.count);
        d += from.count;
    }
}

/* ---- factors ---------------------------------------------------------------------------------------------------------- */

/* Each pixel is its own patch, in the same order. */
static bool is_plain(const tsr_patches *p)
{
    for (int i = 0; i < 3; i++) {
        const tsr_reach *a = &p->axes[i];
        if (a->taps != 1 || a->first != 0 || a->positions != a->in || (a->step != 1 && a->in > 1)) return false;
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
    if (w->taps[0] * w->taps[1] * w->taps[2] == 1) return (tsr_factor){.data = w->data, .row_stride = w->row, .depth_stride = 1};
    return (tsr_factor){.pack = pack_turned, .user = w};
}
