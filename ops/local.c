/* Locally connected: at each position a small product over the batch with weights of its own. These are far more than
 * all else, so each is read, or written, once per few images, where it lies. */
#include "core/parallel.h"
#include "ops/conv_operands.h"
#include "ops/patches.h"

#include <string.h>

enum { LOCAL_PIECES = 16, IMAGE_PIECES = 4 /* of the positions; the latter with an image of sums each */ };

typedef struct local_job {
    const tsr_conv_geometry *c;
    const tsr_conv_operands *o;
    const tsr_kernels *kernels;
    tsr_patches p;
    const int64_t *values, *steps; /* of a patch; through what is summed, where that is not these */
    int64_t grain, depth, image;  /* positions of a piece; values of a patch, and of an image with its margin */
    int64_t columns, panels;      /* of the products */
    int64_t room;                 /* values that a piece packs */
    tsr_real *packed, *sums;      /* of all pieces */
} local_job;

/* What a piece is given: a position, the first value of its patch, its packed values. */
typedef void (*local_visitor)(const local_job *job, int64_t position, int64_t piece);

typedef struct visit_job {
    const local_job *job;
    local_visitor visit;
} visit_job;

static void visit_body(void *user, int64_t begin, int64_t end)
{
    const visit_job *v = user;
    for (int64_t position = begin; position < end; position++) v->visit(v->job, position, begin / v->job->grain);
}

/* Image (of zeros where there is none) and patches; false: out of memory. */
static bool prepare(tsr_node *n, local_job *job, const tsr_conv_geometry *c, const tsr_conv_operands *o)
{
    *job = (local_job){.c = c, .o = o, .kernels = tsr_node_context(n)->kernels};
    tsr_margin margin;
    tsr_patches_of(c, &job->p, &margin);
    job->p.image = o->image;
    if (o->image) job->p.image = tsr_patches_pad(n, &job->p, &margin);
    tsr_patches_place(&job->p, &margin);
    job->values = tsr_patches_values(n, &job->p, 1);
    job->depth = tsr_patches_depth(&job->p);
    job->image = job->p.grid.pixel;
    for (int i = 0; i < 3; i++) job->image *= job->p.grid.length[i];
    return job->values && (job->p.image || !o->image);
}

/* Visits all positions, in so many pieces at most, each with room for `pack` values per column of a panel. */
static void visit_positions(tsr_node *n, local_job *job, int64_t columns, int64_t pack, int64_t pieces,
                            local_visitor visit)
{
    const int64_t positions = tsr_conv_out_pixels(job->c);
    tsr_count_work(n, tsr_conv_work(job->c));
    job->columns = columns;
    job->panels = tsr_panel_count(job->kernels, columns);
    job->grain = tsr_grain(tsr_conv_work(job->c) / (double)positions);
    if (job->grain < (positions - 1) / pieces + 1) job->grain = (positions - 1) / pieces + 1;
    job->room = pack * job->kernels->gather_vectors * job->kernels->lanes;
    const int64_t count = (positions - 1) / job->grain + 1;
    job->packed = tsr_scratch(n, (size_t)(count * job->room + 1) * sizeof *job->packed);
    visit_job v = {job, visit};
    if (job->packed) tsr_parallel(tsr_node_context(n), positions, job->grain, visit_body, &v);
}

static bool set_local_steps(tsr_node *n, local_job *job, int64_t count, int64_t step)
{
    int64_t *steps = tsr_scratch(n, (size_t)count * sizeof *steps);
    for (int64_t i = 0; steps && i < count; i++) steps[i] = i * step;
    job->steps = steps;
    return steps != NULL;
}

static int64_t patch_at(const local_job *job, int64_t position)
{
    int64_t offset;
    tsr_patches_offsets(&job->p, &job->p.grid, position, 1, &offset);
    return offset;
}

/* ---- result -------------------------------------------------------------------------------------------- */

static void visit_result(const local_job *job, int64_t position, int64_t piece)
{
    const int64_t channels = job->columns, positions = tsr_conv_out_pixels(job->c), batch = job->c->batch;
    const int rows = job->kernels->gather_rows;
    const tsr_real *patch = job->p.image + patch_at(job, position), *from[TSR_GATHER_ROWS];
    tsr_real *to[TSR_GATHER_ROWS];
    tsr_gathered tile = {.rows = from, .c = to, .offsets = job->values, .depth = job->depth,
                         .relu = job->o->activation == TSR_RELU};
    for (int64_t q = 0; q < job->panels; q++) {
        const tsr_panel panel = tsr_panel_of(job->kernels, channels, q);
        const int width = panel.vectors * job->kernels->lanes;
        tile.vectors = panel.vectors;
        tile.b = job->o->weight + position * job->depth * channels + panel.column;
        tile.b_step = channels;
        if (panel.columns < width) {
            tsr_pack_panel(tile.b, channels, job->depth, &panel, width, job->packed + piece * job->room);
            tile.b = job->packed + piece * job->room;
            tile.b_step = width;
        }
        tile.bias = job->o->bias ? job->o->bias + position * channels + panel.column : NULL;
        for (int64_t i = 0; i < batch; i += rows) {
            const int count = (int)tsr_smaller(rows, batch - i);
            for (int r = 0; r < rows; r++) {
                from[r] = patch + (i + tsr_smaller(r, count - 1)) * job->image;
                to[r] = job->o->out + ((i + tsr_smaller(r, count - 1)) * positions + position) * channels + panel.column;
            }
            tsr_gather_tile(job->kernels, &tile, count, panel.columns);
        }
    }
}

/* ---- gradients ----------------------------------------------------------------------------------------- */

static void visit_weight(const local_job *job, int64_t position, int64_t piece)
{
    const int64_t channels = job->columns, positions = tsr_conv_out_pixels(job->c);
    tsr_real *packed = job->packed + piece * job->room;
    for (int64_t q = 0; q < job->panels; q++) {
        const tsr_panel panel = tsr_panel_of(job->kernels, channels, q);
        tsr_gathered tile = {.b = packed, .offsets = job->steps, .depth = job->c->batch, .vectors = panel.vectors,
                             .b_step = panel.vectors * job->kernels->lanes};
        tsr_pack_panel(job->o->result + position * channels + panel.column, positions * channels, job->c->batch, &panel,
                       panel.vectors * job->kernels->lanes, packed);
        tsr_gather_values(job->kernels, &tile, job->values, job->p.image + patch_at(job, position),
                          &(tsr_values_place){0, job->depth, channels, panel.columns,
                                              job->o->out + position * job->depth * channels + panel.column});
    }
}

/* The products of one position with its weights are added to images that have the batch as their last axis: no weight
 * is moved or turned. Each piece has such an image, with its margin. */
static void visit_image(const local_job *job, int64_t position, int64_t piece)
{
    const int64_t channels = job->c->out_channels, positions = tsr_conv_out_pixels(job->c);
    const int64_t patch = patch_at(job, position), line = job->columns;
    const int rows = job->kernels->gather_rows;
    tsr_real *packed = job->packed + piece * job->room, *sums = job->sums + piece * job->image * line;
    const tsr_real *from[TSR_GATHER_ROWS], *images[TSR_GATHER_WIDTH];
    tsr_real *to[TSR_GATHER_ROWS];
    for (int64_t q = 0; q < job->panels; q++) {
        const tsr_panel panel = tsr_panel_of(job->kernels, line, q);
        tsr_gathered tile = {.rows = from, .b = packed, .c = to, .offsets = job->steps, .depth = channels,
                             .b_step = panel.columns, .vectors = panel.vectors, .accumulate = true};
        for (int64_t o = 0; o < channels; o += TSR_DEPTH_BLOCK) {
            for (int64_t i = 0; i < panel.columns; i++) {
                const int64_t n = panel.column + i;
                images[i] = n < job->c->batch ? job->o->result + (n * positions + position) * channels + o : NULL;
            }
            tsr_pack_rows(images, (int)panel.columns, tsr_smaller(channels - o, TSR_DEPTH_BLOCK), packed + o * panel.columns);
        }
        for (int64_t i = 0; i < job->depth; i += rows) {
            const int count = (int)tsr_smaller(rows, job->depth - i);
            for (int r = 0; r < rows; r++) {
                const int64_t value = i + tsr_smaller(r, count - 1);
                from[r] = job->o->weight + (position * job->depth + value) * channels;
                to[r] = sums + (patch + job->values[value]) * line + panel.column;
            }
            tsr_gather_tile(job->kernels, &tile, count, panel.columns);
        }
    }
}

/* Lines of pixels, of all images, from the sums. */
static void collect_body(void *user, int64_t begin, int64_t end)
{
    enum { VALUES = 16 };
    const local_job *job = user;
    const tsr_conv_geometry *c = job->c;
    const int64_t values = c->axes[2].in * c->in_channels, image = values * c->axes[1].in;
    const int64_t pieces = (tsr_conv_out_pixels(c) - 1) / job->grain + 1, columns = job->columns;
    const tsr_real *rows[VALUES];
    tsr_real turned[VALUES * TSR_DEPTH_BLOCK];
    for (int64_t line = begin; line < end; line++) {
        const int64_t first = ((line + c->axes[1].before) * job->p.grid.length[2] + c->axes[2].before) * c->in_channels;
        tsr_real *sums = job->sums + first * columns;
        for (int64_t piece = 1; piece < pieces; piece++)
            for (int64_t i = 0; i < values * columns; i++) sums[i] += sums[piece * job->image * columns + i];
        for (int64_t i = 0; i < values; i += VALUES)
            for (int64_t n = 0; n < c->batch; n += TSR_DEPTH_BLOCK) {
                const int64_t count = tsr_smaller(VALUES, values - i), images = tsr_smaller(TSR_DEPTH_BLOCK, c->batch - n);
                for (int64_t r = 0; r < VALUES; r++) rows[r] = sums + (i + tsr_smaller(r, count - 1)) * columns + n;
                tsr_pack_rows(rows, VALUES, images, turned);
                for (int64_t k = 0; k < images; k++)
                    memcpy(job->o->out + (n + k) * image + line * values + i, turned + k * VALUES,
                           (size_t)count * sizeof *turned);
            }
    }
}

static void zero_body(void *user, int64_t begin, int64_t end)
{
    memset((tsr_real *)user + begin, 0, (size_t)(end - begin) * sizeof(tsr_real));
}

static void make_image(tsr_node *n, local_job *job)
{
    tsr_context *ctx = tsr_node_context(n);
    const int64_t lanes = job->kernels->lanes, line = (job->c->batch + lanes - 1) / lanes * lanes;
    const int64_t size = IMAGE_PIECES * job->image * line;
    job->sums = tsr_scratch(n, (size_t)size * sizeof *job->sums);
    if (!job->sums) return;
    tsr_parallel(ctx, size, tsr_grain(1), zero_body, job->sums);
    visit_positions(n, job, line, job->c->out_channels, IMAGE_PIECES, visit_image);
    const double cost = (double)(IMAGE_PIECES * line * job->c->axes[2].in * job->c->in_channels);
    if (job->packed) tsr_parallel(ctx, job->c->axes[1].in, tsr_grain(cost), collect_body, job);
}

static void locally_connected_backward(tsr_node *n)
{
    const tsr_conv_geometry *c = tsr_saved(n);
    tsr_conv_operands o = {.image = tsr_data(tsr_input(n, 0)), .weight = tsr_data(tsr_input(n, 1))};
    local_job job;
    o.result = tsr_conv_cotangent(n, c->activation);
    if (!o.result) return;
    tsr_real *bias = tsr_gradient(n, 2);
    if (bias)
        tsr_column_sums(tsr_node_context(n), o.result, c->batch, tsr_conv_out_pixels(c) * c->out_channels, bias);
    o.out = tsr_gradient(n, 1);
    if (o.out && prepare(n, &job, c, &o) && set_local_steps(n, &job, c->batch, job.image))
        visit_positions(n, &job, c->out_channels, c->batch, LOCAL_PIECES, visit_weight);
    o.out = tsr_gradient(n, 0);
    o.image = NULL;
    if (o.out && prepare(n, &job, c, &o) && set_local_steps(n, &job, c->out_channels, 1)) make_image(n, &job);
}

static const tsr_op locally_connected_op = {
    .name = "locally_connected", .backward = locally_connected_backward, .optional = 1u << 2};

tsr_tensor *tsr_locally_connected(tsr_tensor *x, tsr_tensor *weight, tsr_tensor *bias,
                                  const tsr_conv_options *options)
{
    tsr_node *n = tsr_begin(&locally_connected_op, TSR_INPUTS(x, weight, bias));
    if (tsr_dead(n)) return tsr_end(n);
    tsr_conv_geometry c;
    tsr_tensor *error = tsr_local_read(n, options, &c);
    if (error) return error;
    tsr_real *y = tsr_output(n, tsr_conv_out_shape(&c));
    tsr_conv_geometry *saved = tsr_save(n, sizeof *saved);
    if (!y || !saved) return tsr_end(n);
    *saved = c;
    const tsr_conv_operands o = {.image = tsr_data(x),
                                 .weight = tsr_data(weight),
                                 .out = y,
                                 .bias = tsr_data(bias),
                                 .activation = c.activation};
    local_job job;
    if (prepare(n, &job, saved, &o)) visit_positions(n, &job, c.out_channels, job.depth, LOCAL_PIECES, visit_result);
    if (c.activation != TSR_RELU) tsr_activate(tsr_node_context(n), c.activation, y, tsr_size(tsr_result(n)));
    return tsr_end(n);
}
