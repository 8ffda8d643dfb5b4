/* Patches times results, summed over patches: rows of the product are values of a patch, the depth is patches. It is
 * cut into parts, each with sums of its own that are added up in order, and the rows into pieces. */
#include "core/parallel.h"
#include "ops/patches.h"

#include <string.h>

enum {
    PATCH_BLOCK = 128,           /* patches at once */
    FEW_ROWS = 64,         /* for which results are not worth packing */
    CORRELATE_PIECES = 16,           /* parts times pieces of the rows */
    SUM_VALUES = 1 << 18, /* sums, of all parts */
    PART_WORK = 1 << 17    /* multiply-adds */
};

typedef struct correlate_job {
    const tsr_patches *p;
    const tsr_kernels *kernels;
    const int64_t *values;
    const tsr_real *result;
    tsr_real *sums;               /* of each part: [row][group, column] */
    int64_t rows, columns, width; /* columns of a group, of all groups */
    int64_t patches, parts, row_pieces;
} correlate_job;

/* Rows [begin, end), all groups, patches [first, last): at most a block. */
static void add_block(const correlate_job *job, const tsr_values_place *at, int64_t first, int64_t last,
                      bool accumulate)
{
    _Alignas(64) tsr_real packed[PATCH_BLOCK * TSR_GATHER_WIDTH];
    int64_t offsets[PATCH_BLOCK];
    const int64_t panels = tsr_panel_count(job->kernels, job->columns);
    tsr_gathered tile = {.offsets = offsets, .depth = last - first, .accumulate = accumulate};
    tsr_patches_offsets(job->p, &job->p->grid, first, last - first, offsets);
    for (int64_t i = 0; i < job->p->groups * panels; i++) {
        const int64_t g = i / panels;
        const tsr_panel panel = tsr_panel_of(job->kernels, job->columns, i % panels);
        tsr_values_place place = *at;
        place.columns = panel.columns;
        place.out += g * job->columns + panel.column;
        tile.vectors = panel.vectors;
        const int width = panel.vectors * job->kernels->lanes;
        tile.b = job->result + first * job->width + g * job->columns + panel.column;
        tile.b_step = job->width;
        if (panel.columns < width || (job->width != width && at->end - at->begin > FEW_ROWS)) {
            tsr_pack_panel(tile.b, job->width, last - first, &panel, width, packed);
            tile.b = packed;
            tile.b_step = width;
        }
        tsr_gather_values(job->kernels, &tile, job->values, job->p->image + g * job->p->channels, &place);
    }
}

static void piece_body(void *user, int64_t begin, int64_t end)
{
    const correlate_job *job = user;
    const int64_t tile = job->kernels->gather_rows, tiles = (job->rows - 1) / tile + 1;
    const int64_t blocks = (job->patches - 1) / PATCH_BLOCK + 1;
    for (int64_t t = begin; t < end; t++) {
        const int64_t part = t / job->row_pieces, piece = t % job->row_pieces;
        const int64_t start = blocks * part / job->parts * PATCH_BLOCK;
        const int64_t stop = tsr_smaller(job->patches, blocks * (part + 1) / job->parts * PATCH_BLOCK);
        const tsr_values_place at = {.begin = tiles * piece / job->row_pieces * tile, .stride = job->width,
                                     .end = tsr_smaller(job->rows, tiles * (piece + 1) / job->row_pieces * tile),
                                     .out = job->sums + part * job->rows * job->width};
        for (int64_t i = start; i < stop; i += PATCH_BLOCK) add_block(job, &at, i, tsr_smaller(stop, i + PATCH_BLOCK), i > start);
    }
}

typedef struct add_job {
    const tsr_real *sums;
    int64_t size, parts;
    tsr_real *out;
} add_job;

static void add_body(void *user, int64_t begin, int64_t end)
{
    const add_job *job = user;
    for (int64_t i = begin; i < end; i++) job->out[i] = job->sums[i] + job->sums[job->size + i];
    for (int64_t part = 2; part < job->parts; part++)
        for (int64_t i = begin; i < end; i++) job->out[i] += job->sums[part * job->size + i];
}

void tsr_patch_correlate(tsr_node *n, const tsr_patches *p, int64_t columns, const tsr_real *result, tsr_real *out)
{
    tsr_context *ctx = tsr_node_context(n);
    correlate_job job = {.p = p, .kernels = ctx->kernels, .result = result, .sums = out, .columns = columns,
                         .width = p->groups * columns, .rows = tsr_patches_depth(p), .patches = tsr_patches_count(p)};
    const int64_t size = job.rows * job.width;
    if (size == 0) return;
    if (job.patches == 0) {
        memset(out, 0, (size_t)size * sizeof *out);
        return;
    }
    if (tsr_patch_correlate_parts(n, p, columns, result, out)) return;
    const double work = (double)job.patches * (double)size;
    const int64_t tiles = (job.rows - 1) / job.kernels->gather_rows + 1, blocks = (job.patches - 1) / PATCH_BLOCK + 1;
    int64_t pieces = CORRELATE_PIECES;
    while (pieces > 1 && work / (double)pieces < PART_WORK) pieces /= 2;
    job.parts = pieces;
    while (job.parts > 1 && (job.parts > blocks || job.parts * size > SUM_VALUES)) job.parts /= 2;
    job.row_pieces = tsr_smaller(tiles, pieces / job.parts);
    job.values = tsr_patches_values(n, p, 1);
    if (job.parts > 1) job.sums = tsr_scratch(n, (size_t)(job.parts * size) * sizeof *job.sums);
    if (!job.values || !job.sums) return;
    tsr_parallel(ctx, job.parts * job.row_pieces, 1, piece_body, &job);
    if (job.parts == 1) return;
    add_job add = {.sums = job.sums, .size = size, .parts = job.parts, .out = out};
    tsr_parallel(ctx, size, tsr_grain((double)job.parts), add_body, &add);
}
