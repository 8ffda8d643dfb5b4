/* Large products of patches on kernels that multiply bfloat16 parts: by tsr_multiply, since what is split must be packed
 * anyway. Value (i, k) of a factor is at data[rows[i] + depth[k]]. */
#include "core/parallel.h"
#include "ops/patches.h"

#include <string.h>

typedef struct places {
    const int64_t *rows, *depth;
} places;

static void pack_places(const tsr_factor *f, const tsr_block_of *block, tsr_real *out)
{
    const places *at = f->user;
    const int64_t *rows = at->rows + block->row, *depth = at->depth + block->k;
    const bool whole = block->rows == block->tile && rows[block->rows - 1] == rows[0] + block->rows - 1;
    for (int64_t d = 0, run = 1; d < block->depth; d += run, out += run * block->tile) {
        const tsr_real *data = f->data + depth[d];
        if (whole) { /* rows side by side */
            memcpy(out, data + rows[0], (size_t)block->tile * sizeof *out);
            continue;
        }
        for (run = 1; d + run < block->depth && depth[d + run] == depth[d] + run;) run++;
        const tsr_real *from[TSR_MAX_TILE];
        for (int64_t r = 0; r < block->tile; r++) from[r] = r < block->rows ? data + rows[r] : NULL;
        tsr_pack_rows(from, block->tile, run, out);
    }
}

/* Fewer columns would not pay for packing; short runs of channels are slow to pack. */
static bool pays(tsr_node *n, const tsr_patches *p, int64_t columns)
{
    enum { LEAST_COLUMNS = 2 * TSR_PARTS_TILE, LEAST_CHANNELS = 16 };
    const tsr_parts *parts = tsr_node_context(n)->kernels->parts;
    if (!parts || p->groups > 1 || p->channels < LEAST_CHANNELS) return false;
    const int64_t least = LEAST_COLUMNS * parts->count;
    return columns >= least && tsr_patches_count(p) >= least && tsr_patches_depth(p) >= least;
}

static const int64_t *patch_offsets(tsr_node *n, const tsr_patches *p)
{
    const int64_t count = tsr_patches_count(p);
    int64_t *offsets = tsr_scratch(n, (size_t)count * sizeof *offsets);
    if (offsets) tsr_patches_offsets(p, &p->grid, 0, count, offsets);
    return offsets;
}

/* The work has been counted. */
static void multiply(tsr_node *n, const tsr_product *product)
{
    tsr_context *ctx = tsr_node_context(n);
    void *workspace = tsr_scratch(n, tsr_product_workspace(ctx->kernels, product) + 1);
    if (workspace) tsr_multiply(ctx, product, workspace);
}

bool tsr_patch_multiply_parts(tsr_node *n, const tsr_patch_product *product)
{
    const tsr_patches *p = &product->patches;
    const tsr_patch_weight *w = &product->weight;
    for (int i = 0; i < 3; i++) /* results must lie in the order of the patches */
        if (product->to.first[i] != 0 || product->to.length[i] != p->axes[i].positions) return false;
    if (!pays(n, p, product->columns)) return false;
    const int64_t depth = tsr_patches_depth(p), columns = product->columns;
    const places patches = {.rows = patch_offsets(n, p), .depth = tsr_patches_values(n, p, 1)};
    int64_t *weights = tsr_scratch(n, (size_t)(columns + depth) * sizeof *weights), *to = weights;
    if (!patches.rows || !patches.depth || !weights) return true;
    for (int64_t o = 0; o < columns; o++) *to++ = o * w->column;
    for (int64_t j0 = 0; j0 < p->axes[0].taps; j0++)
        for (int64_t j1 = 0; j1 < p->axes[1].taps; j1++)
            for (int64_t j2 = 0; j2 < p->axes[2].taps; j2++)
                for (int64_t c = 0; c < p->channels; c++)
                    *to++ = j0 * w->taps[0] + j1 * w->taps[1] + j2 * w->taps[2] + c * w->channel;
    multiply(n, &(tsr_product){
        .rows = tsr_patches_count(p), .columns = columns, .depth = depth, .out = product->out,
        .left = {.data = p->image, .pack = pack_places, .user = &patches}, .stride = product->to.pixel,
        .right = {.data = w->data, .pack = pack_places, .user = &(places){.rows = weights, .depth = weights + columns}},
        .bias = product->bias, .activation = product->relu ? TSR_RELU : TSR_NO_ACTIVATION});
    return true;
}

bool tsr_patch_correlate_parts(tsr_node *n, const tsr_patches *p, int64_t columns, const tsr_real *result, tsr_real *out)
{
    if (!pays(n, p, columns)) return false;
    const places values = {.rows = tsr_patches_values(n, p, 1), .depth = patch_offsets(n, p)};
    if (values.rows && values.depth)
        multiply(n, &(tsr_product){.rows = tsr_patches_depth(p), .columns = columns, .depth = tsr_patches_count(p),
                                   .left = {.data = p->image, .pack = pack_places, .user = &values},
                                   .right = {.data = result, .row_stride = 1, .depth_stride = columns},
                                   .out = out, .stride = columns});
    return true;
}
