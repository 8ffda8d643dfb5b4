/* Packing: values of a factor brought into the order in which the micro-kernel reads them. */
#include "core/kernels/pack.h"

#include <string.h>

/* ---- rows whose values lie side by side: a transposition ----------------------------------------------- */

#if !defined(TSR_DOUBLE) && (defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 12))
#define HAVE_SHUFFLE 1
typedef float four __attribute__((vector_size(16), aligned(sizeof(float)), may_alias));

/* out[d * tile + r] = rows[r][d] for four rows and four depths, in registers. */
static inline void turn_four(const float *const *rows, int64_t at, int tile, float *out)
{
    const four a = *(const four *)(rows[0] + at), b = *(const four *)(rows[1] + at);
    const four c = *(const four *)(rows[2] + at), d = *(const four *)(rows[3] + at);
    const four ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    const four ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const four cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    *(four *)out = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
    *(four *)(out + tile) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
    *(four *)(out + 2 * tile) = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
    *(four *)(out + 3 * tile) = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
}

typedef float two __attribute__((vector_size(8), aligned(sizeof(float)), may_alias));

/* The same for two rows. */
static inline void turn_two(const float *const *rows, int64_t at, int tile, float *out)
{
    const four a = *(const four *)(rows[0] + at), b = *(const four *)(rows[1] + at);
    *(two *)out = __builtin_shufflevector(a, b, 0, 4);
    *(two *)(out + tile) = __builtin_shufflevector(a, b, 1, 5);
    *(two *)(out + 2 * tile) = __builtin_shufflevector(a, b, 2, 6);
    *(two *)(out + 3 * tile) = __builtin_shufflevector(a, b, 3, 7);
}
#endif

static inline void pack_four_rows(const tsr_real *const *rows, int tile, int64_t depth, tsr_real *out)
{
    int64_t d = 0;
#ifdef HAVE_SHUFFLE
    for (; d + 4 <= depth; d += 4) turn_four(rows, d, tile, out + d * tile);
#endif
    for (; d < depth; d++)
        for (int r = 0; r < 4; r++) out[d * tile + r] = rows[r][d];
}

static inline void pack_two_rows(const tsr_real *const *rows, int tile, int64_t depth, tsr_real *out)
{
    int64_t d = 0;
#ifdef HAVE_SHUFFLE
    for (; d + 4 <= depth; d += 4) turn_two(rows, d, tile, out + d * tile);
#endif
    for (; d < depth; d++)
        for (int r = 0; r < 2; r++) out[d * tile + r] = rows[r][d];
}

static inline void pack_one_row(const tsr_real *row, int tile, int64_t depth, tsr_real *out)
{
    for (int64_t d = 0; d < depth; d++) out[d * tile] = row[d];
}

void tsr_pack_rows(const tsr_real *const *rows, int tile, int64_t depth, tsr_real *out)
{
    static const tsr_real zeros[TSR_DEPTH_BLOCK];
    const tsr_real *from[TSR_MAX_TILE];
    for (int r = 0; r < tile; r++) from[r] = rows[r] ? rows[r] : zeros;
    int r = 0;
    for (; r + 4 <= tile; r += 4) pack_four_rows(from + r, tile, depth, out + r);
    for (; r + 2 <= tile; r += 2) pack_two_rows(from + r, tile, depth, out + r);
    if (r < tile) pack_one_row(from[r], tile, depth, out + r);
}

/* ---- columns whose values lie side by side: copies ----------------------------------------------------- */

enum { AHEAD = 8 }; /* depths: the hardware does not guess such steps by itself */

/* Whole panels, one depth at a time through all of them, so that memory is read in long runs. */
static inline void copy_runs(const tsr_real *from, int64_t depth_stride, const tsr_block_of *block, int tile,
                             tsr_real *out)
{
    const int64_t panels = block->rows / tile, panel = tile * block->depth;
    for (int64_t d = 0; d < block->depth; d++, from += depth_stride, out += tile)
        for (int64_t p = 0; p < panels; p++) {
            if (d + AHEAD < block->depth) TSR_FETCH(from + AHEAD * depth_stride + p * tile);
            memcpy(out + p * panel, from + p * tile, (size_t)tile * sizeof *out);
        }
}

static void pack_columns(const tsr_real *from, int64_t depth_stride, const tsr_block_of *block, tsr_real *out)
{
    switch (block->tile) { /* constants make the copies a load and a store or two */
    case 4: copy_runs(from, depth_stride, block, 4, out); break;
    case 6: copy_runs(from, depth_stride, block, 6, out); break;
    case 8: copy_runs(from, depth_stride, block, 8, out); break;
    case 14: copy_runs(from, depth_stride, block, 14, out); break;
    case 16: copy_runs(from, depth_stride, block, 16, out); break;
    case 32: copy_runs(from, depth_stride, block, 32, out); break;
    default: copy_runs(from, depth_stride, block, block->tile, out); break;
    }
    const int64_t whole = block->rows / block->tile * block->tile, rest = block->rows - whole;
    if (rest == 0) return;
    from += whole;
    out += whole * block->depth;
    for (int64_t d = 0; d < block->depth; d++, from += depth_stride, out += block->tile) {
        for (int64_t r = 0; r < rest; r++) out[r] = from[r];
        for (int64_t r = rest; r < block->tile; r++) out[r] = 0;
    }
}

/* ---- any factor ---------------------------------------------------------------------------------------- */

static void pack_panel(const tsr_factor *f, const tsr_block_of *block, tsr_real *out)
{
    if (f->pack) {
        f->pack(f, block, out);
        return;
    }
    const tsr_real *from = f->data + block->row * f->row_stride + block->k * f->depth_stride;
    if (f->depth_stride == 1) {
        const tsr_real *rows[TSR_MAX_TILE];
        for (int64_t r = 0; r < block->tile; r++) rows[r] = r < block->rows ? from + r * f->row_stride : NULL;
        tsr_pack_rows(rows, block->tile, block->depth, out);
        return;
    }
    for (int64_t d = 0; d < block->depth; d++, out += block->tile) {
        for (int64_t r = 0; r < block->rows; r++) out[r] = from[r * f->row_stride + d * f->depth_stride];
        for (int64_t r = block->rows; r < block->tile; r++) out[r] = 0;
    }
}

void tsr_pack(const tsr_factor *f, const tsr_block_of *block, tsr_real *out)
{
    if (!f->pack && f->row_stride == 1) {
        pack_columns(f->data + block->row + block->k * f->depth_stride, f->depth_stride, block, out);
        return;
    }
    tsr_block_of panel = *block;
    const int64_t end = block->row + block->rows;
    for (; panel.row < end; panel.row += panel.tile, out += panel.tile * panel.depth) {
        panel.rows = end - panel.row < panel.tile ? end - panel.row : panel.tile;
        pack_panel(f, &panel, out);
    }
}
