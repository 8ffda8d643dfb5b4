/* Winograd's convolutions. A picture is cut into tiles of 4x4 results; the 6x6 pixels that a tile sees, and the weights,
 * are transformed to 36 frequencies, at each of which the convolution is a product of matrices [tiles][channels] and
 * [channels][channels].
 *
 * Result and image (the same with turned weights): products of all tiles of a chunk with a panel of output channels as
 * wide as the micro-kernel's tile, at all frequencies, then the way back, while they are in the cache.
 *   Many tiles and few channels: all weights are transformed first and shared. Each thread takes chunks of few tiles.
 *   Else: the tiles of a large chunk are transformed first and shared. Each thread takes panels of weights.
 * Weight: chunks of tiles, of image and cotangent, are transformed, multiplied and added up for a block of channels.
 *
 * All cuts follow from the sizes alone. Rows and planes are an odd number of cache lines long: at a power of two they
 * would all fall into the same few sets of the cache. */
#include "ops/winograd.h"
#include "core/kernels/pack.h"

#include <string.h>

enum {
    LINE = 64 / sizeof(tsr_real),
    SHARED_WEIGHTS = 1 << 15, /* most pairs of channels whose weights are shared: 4.7 MB in float, transformed, */
    SHARED_DEPTH = 512,       /* with at most so many input channels, */
    FEW_TILES = 24,           /* about so many tiles in a thread's chunk, */
    MANY_CHUNKS = 8,          /* at least so many chunks, */
    GROUP = 64,               /* and so many output channels at once: their results lie side by side in memory */
    SHARED_IMAGE = 5 << 18,   /* values of the largest chunk of tiles that is shared: 5.2 MB in float */
    SHARED_TILES = 256,       /* most tiles in it */
    PACKED = 64,              /* input channels whose weights are packed at once */
    BLOCK_CHANNELS = 128,     /* of image, and of result, for which a gradient of weights is made at once */
    BLOCK_VALUES = 1 << 20    /* of a chunk of tiles of both: 4.2 MB in float */
};

static int64_t cuts(int64_t n, int64_t most) { return (n - 1) / most + 1; }                      /* how many */
static int64_t even_cut(int64_t n, int64_t most) { return (n - 1) / cuts(n, most) + 1; }         /* how long */
static int64_t odd_lines(int64_t n) { return ((n + LINE - 1) / LINE | 1) * LINE; }

/* ---- tiles --------------------------------------------------------------------------------------------- */

typedef struct picture {
    tsr_real *data; /* one that is read is not written */
    int64_t height, width, channels;
    int64_t first_y, first_x; /* where the first tile's window begins */
} picture;

typedef struct tiling {
    int64_t down, across, count; /* tiles of a picture, of all of the batch */
} tiling;

static tiling tiling_of(const picture *p, int64_t batch)
{
    tiling t = {.down = (p->height + 3) / 4, .across = (p->width + 3) / 4};
    t.count = batch * t.down * t.across;
    return t;
}

/* Where the pixels of the window of span x span of a tile are; NULL for those that there are not. */
static void window(const tiling *t, const picture *p, int64_t tile, int span, tsr_real **at)
{
    const int64_t n = tile / (t->down * t->across), in_picture = tile % (t->down * t->across);
    const int64_t y = p->first_y + 4 * (in_picture / t->across), x = p->first_x + 4 * (in_picture % t->across);
    for (int i = 0; i < span; i++)
        for (int j = 0; j < span; j++) {
            const bool inside = y + i >= 0 && y + i < p->height && x + j >= 0 && x + j < p->width;
            at[i * span + j] =
                inside ? p->data + ((n * p->height + y + i) * p->width + x + j) * p->channels : NULL;
        }
}

typedef struct spread_job {
    const tiling *tiles;
    const picture *from;
    tsr_winograd_forth *forth;
    int span;
    int64_t first;             /* tile */
    int64_t channel, channels; /* a range of them */
    tsr_real *zeros, *to;
    int64_t row, plane; /* of `to` */
} spread_job;

/* Tiles first + begin .. first + end of a picture, transformed, to rows begin .. end. */
static void spread_tiles_body(void *user, int64_t begin, int64_t end)
{
    const spread_job *job = user;
    for (int64_t i = begin; i < end; i++) {
        tsr_real *at[36];
        const tsr_real *from[36];
        window(job->tiles, job->from, job->first + i, job->span, at);
        for (int k = 0; k < job->span * job->span; k++) from[k] = at[k] ? at[k] + job->channel : job->zeros;
        job->forth(from, job->channels, job->to + i * job->row, job->plane);
    }
}

static int64_t spread_grain(int64_t channels) { return tsr_grain(100.0 * (double)channels); }

/* ---- result and image ---------------------------------------------------------------------------------- */

typedef struct conv_job {
    tsr_context *ctx;
    tiling tiles;
    picture from, to;
    tsr_factor taps[9]; /* the weights: rows are output channels, depth is input channels */
    const tsr_real *bias;
    bool relu;
    int64_t depth, blocks;          /* input channels of a block of weights; blocks */
    int64_t panels, group;          /* panels of output channels; output channels of those that are made at once */
    bool shares_weights;            /* else image */
    spread_job image;               /* a chunk of tiles, */
    int64_t chunk;                  /* so many */
    int64_t weight_plane, product_plane;
    tsr_real *shared, *private;     /* transformed weights or images; see private_memory */
    int64_t private_values, packed_values;
} conv_job;

/* What a thread has to itself: packed weights, products of tiles with weights, and whichever is not shared. */
typedef struct private_memory {
    tsr_real *packed, *products, *rest;
} private_memory;

static private_memory own_memory(const conv_job *job)
{
    private_memory m = {.packed = job->private + tsr_parallel_slot(job->ctx) * job->private_values};
    m.products = m.packed + job->packed_values;
    m.rest = m.products + 36 * job->product_plane;
    return m;
}

/* The weights of a block of input and a panel of output channels, transformed: 36 planes of [depth][panel]. */
static void transform_weights(const conv_job *job, int64_t panel, int64_t block, tsr_real *to)
{
    const tsr_kernels *kernels = job->ctx->kernels;
    const int tile = kernels->tile_columns;
    tsr_real *packed = own_memory(job).packed;
    const tsr_real *from[9];
    const int64_t begin = block * job->depth, end = tsr_smaller(begin + job->depth, job->from.channels);
    tsr_block_of part = {.row = panel * tile, .tile = tile};
    part.rows = tsr_smaller(tile, job->to.channels - part.row);
    for (part.k = begin; part.k < end; part.k += PACKED) {
        part.depth = tsr_smaller(PACKED, end - part.k);
        for (int i = 0; i < 9; i++) {
            tsr_pack(&job->taps[i], &part, packed + i * odd_lines(PACKED * tile));
            from[i] = packed + i * odd_lines(PACKED * tile);
        }
        kernels->winograd_weight(from, part.depth * tile, to + (part.k - begin) * tile, job->weight_plane);
    }
}

static void share_weights_body(void *user, int64_t begin, int64_t end)
{
    const conv_job *job = user;
    for (int64_t i = begin; i < end; i++)
        transform_weights(job, i / job->blocks, i % job->blocks, job->shared + i * 36 * job->weight_plane);
}

/* One block of input channels of `count` tiles of `image` against a panel of weights, at all frequencies. */
static void multiply_tiles(const conv_job *job, const tsr_real *image, const tsr_real *weight, int64_t block,
                           int64_t count, tsr_real *products)
{
    const tsr_kernels *kernels = job->ctx->kernels;
    const int64_t begin = block * job->depth;
    tsr_tile tile = {.depth = tsr_smaller(job->depth, job->from.channels - begin), .a_row = job->image.row, .a_step = 1,
                     .b_step = kernels->tile_columns, .columns = kernels->tile_columns, .stride = job->group, .accumulate = block > 0,
                     .ahead = weight};
    for (int f = 0; f < 36; f++) {
        tile.b = weight + f * job->weight_plane;
        for (int64_t i = 0; i < count; i += kernels->tile_rows) {
            tile.rows = (int)tsr_smaller(kernels->tile_rows, count - i);
            tile.a = image + f * job->image.plane + i * job->image.row + begin;
            tile.c = products + f * job->product_plane + i * tile.stride;
            kernels->tile(&tile);
        }
    }
}

/* Output channels [column, column + group) for `count` tiles from `first`. */
static void make_group(const conv_job *job, const tsr_real *image, int64_t column, int64_t first, int64_t count)
{
    const tsr_kernels *kernels = job->ctx->kernels;
    const private_memory own = own_memory(job);
    const int64_t columns = tsr_smaller(job->group, job->to.channels - column);
    for (int64_t j = 0; j < columns; j += kernels->tile_columns)
        for (int64_t block = 0; block < job->blocks; block++) {
            const int64_t panel = (column + j) / kernels->tile_columns;
            const tsr_real *weight = own.rest;
            if (job->shares_weights) weight = job->shared + (panel * job->blocks + block) * 36 * job->weight_plane;
            else transform_weights(job, panel, block, own.rest);
            multiply_tiles(job, image, weight, block, count, own.products + j);
        }
    tsr_real bias[GROUP] = {0}; /* read in whole vectors */
    if (job->bias) memcpy(bias, job->bias + column, (size_t)columns * sizeof *bias);
    tsr_planes planes = {.plane = job->product_plane, .bias = job->bias ? bias : NULL, .relu = job->relu};
    for (int64_t i = 0; i < count; i++) {
        tsr_real *to[16];
        window(&job->tiles, &job->to, first + i, 4, to);
        for (int k = 0; k < 16; k++)
            if (to[k]) to[k] += column;
        planes.data = own.products + i * job->group;
        kernels->winograd_to_result(&planes, columns, to);
    }
}

static void chunks_body(void *user, int64_t begin, int64_t end)
{
    const conv_job *job = user;
    spread_job image = job->image;
    image.to = own_memory(job).rest;
    for (int64_t chunk = begin; chunk < end; chunk++) {
        image.first = chunk * job->chunk;
        const int64_t count = tsr_smaller(job->chunk, job->tiles.count - image.first);
        spread_tiles_body(&image, 0, count);
        for (int64_t column = 0; column < job->to.channels; column += job->group)
            make_group(job, image.to, column, image.first, count);
    }
}

static void panels_body(void *user, int64_t begin, int64_t end)
{
    const conv_job *job = user;
    const int64_t first = job->image.first, count = tsr_smaller(job->chunk, job->tiles.count - first);
    for (int64_t panel = begin; panel < end; panel++) make_group(job, job->shared, panel * job->group, first, count);
}

static void run_winograd(conv_job *job)
{
    if (job->shares_weights) {
        tsr_parallel(job->ctx, job->panels * job->blocks, 1, share_weights_body, job);
        tsr_parallel(job->ctx, cuts(job->tiles.count, job->chunk), 1, chunks_body, job);
        return;
    }
    job->image.to = job->shared;
    for (int64_t first = 0; first < job->tiles.count; first += job->chunk) {
        job->image.first = first;
        tsr_parallel(job->ctx, tsr_smaller(job->chunk, job->tiles.count - first), spread_grain(job->from.channels),
                     spread_tiles_body, &job->image);
        tsr_parallel(job->ctx, job->panels, 1, panels_body, job);
    }
}

/* Cuts, takes memory, runs. */
static void convolve(tsr_node *n, conv_job *job, int64_t batch, const tsr_conv_operands *o)
{
    job->ctx = tsr_node_context(n);
    const tsr_kernels *kernels = job->ctx->kernels;
    const int64_t in = job->from.channels, out = job->to.channels, row = odd_lines(in);
    job->tiles = tiling_of(&job->to, batch);
    job->bias = o->bias;
    job->relu = o->activation == TSR_RELU;
    job->depth = even_cut(in, TSR_DEPTH_BLOCK);
    job->blocks = cuts(in, job->depth);
    job->panels = cuts(out, kernels->tile_columns);
    job->shares_weights =
        in * out <= SHARED_WEIGHTS && in <= SHARED_DEPTH && job->tiles.count >= MANY_CHUNKS * FEW_TILES;
    job->group = job->shares_weights ? GROUP : kernels->tile_columns;
    const int64_t most = job->shares_weights ? FEW_TILES : tsr_smaller(SHARED_TILES, SHARED_IMAGE / (36 * row));
    job->chunk = tsr_round_up(even_cut(job->tiles.count, tsr_larger(most, 1)), kernels->tile_rows);
    job->weight_plane = odd_lines(job->depth * kernels->tile_columns);
    job->product_plane = odd_lines(job->chunk * job->group);
    job->packed_values = 9 * odd_lines(PACKED * kernels->tile_columns);
    job->image = (spread_job){.tiles = &job->tiles, .from = &job->from, .forth = kernels->winograd_image, .span = 6,
                              .channels = in, .row = row, .plane = odd_lines(job->chunk * row)};

    int64_t shared = 36 * job->image.plane, rest = 36 * job->weight_plane;
    if (job->shares_weights) {
        shared = rest * job->blocks * job->panels;
        rest = 36 * job->image.plane;
    }
    job->private_values = job->packed_values + 36 * job->product_plane + rest;
    const int64_t values = row + shared + tsr_threads(job->ctx) * job->private_values;
    job->image.zeros = tsr_scratch(n, (size_t)values * sizeof(tsr_real));
    if (!job->image.zeros) return;
    memset(job->image.zeros, 0, (size_t)row * sizeof(tsr_real));
    job->shared = job->image.zeros + row;
    job->private = job->shared + shared;
    run_winograd(job);
    if (o->activation > TSR_RELU)
        tsr_activate(job->ctx, o->activation, o->out, batch * job->to.height * job->to.width * out);
}

static picture image_of(const tsr_conv_geometry *c, const tsr_real *data)
{
    return (picture){.data = (tsr_real *)data, .height = c->axes[1].in, .width = c->axes[2].in,
                     .channels = c->in_channels};
}

static picture result_of(const tsr_conv_geometry *c, const tsr_real *data)
{
    return (picture){.data = (tsr_real *)data, .height = c->axes[1].out, .width = c->axes[2].out,
                     .channels = c->out_channels};
}

void tsr_winograd_result(tsr_node *n, const tsr_conv_geometry *c, const tsr_conv_operands *o)
{
    conv_job job = {.from = image_of(c, o->image), .to = result_of(c, o->out)};
    job.from.first_y = -c->axes[1].before;
    job.from.first_x = -c->axes[2].before;
    for (int i = 0; i < 9; i++)
        job.taps[i] = (tsr_factor){.data = o->weight + i * c->in_channels * c->out_channels, .row_stride = 1,
                                   .depth_stride = c->out_channels};
    convolve(n, &job, c->batch, o);
}

void tsr_winograd_image(tsr_node *n, const tsr_conv_geometry *c, const tsr_conv_operands *o)
{
    conv_job job = {.from = result_of(c, o->result), .to = image_of(c, o->out)};
    job.from.first_y = c->axes[1].before - 2;
    job.from.first_x = c->axes[2].before - 2;
    for (int i = 0; i < 9; i++)
        job.taps[i] = (tsr_factor){.data = o->weight + (8 - i) * c->in_channels * c->out_channels,
                                   .row_stride = c->out_channels, .depth_stride = 1};
    convolve(n, &job, c->batch, o);
}

/* ---- weight -------------------------------------------------------------------------------------------- */

typedef struct winograd_weight_job {
    const tsr_kernels *kernels;
    spread_job image, result;           /* a chunk of them, transformed: 36 planes of [tile][channel] */
    int64_t count;                      /* tiles of the chunk */
    int64_t row, plane;                 /* of `sums`: 36 planes of [channel of image][channel of result] */
    tsr_real *sums;
    int64_t group;                      /* channels of the image in one piece of work */
    bool accumulate;
    tsr_real *out;
    int64_t in_channels, out_channels;
} winograd_weight_job;

static void spread_both_body(void *user, int64_t begin, int64_t end)
{
    winograd_weight_job *job = user;
    spread_tiles_body(&job->image, begin, end);
    spread_tiles_body(&job->result, begin, end);
}

static void weight_sums_body(void *user, int64_t begin, int64_t end)
{
    const winograd_weight_job *job = user;
    const spread_job *a = &job->image, *b = &job->result;
    const int64_t groups = cuts(a->channels, job->group);
    tsr_tile tile = {.depth = job->count, .a_row = 1, .a_step = a->row, .b_step = b->row, .ahead = a->to,
                     .columns = job->kernels->tile_columns, .stride = job->row, .accumulate = job->accumulate};
    for (int64_t index = begin; index < end; index++) {
        const int64_t f = index / groups, first = index % groups * job->group;
        const int64_t last = tsr_smaller(a->channels, first + job->group);
        for (int64_t j = 0; j < b->channels; j += job->kernels->tile_columns)
            for (int64_t i = first; i < last; i += job->kernels->tile_rows) {
                tile.rows = (int)tsr_smaller(job->kernels->tile_rows, last - i);
                tile.a = a->to + f * a->plane + i;
                tile.b = b->to + f * b->plane + j;
                tile.c = job->sums + f * job->plane + i * job->row + j;
                job->kernels->tile(&tile);
            }
    }
}

/* Input channels begin .. end of the block: back from the frequencies. */
static void weights_body(void *user, int64_t begin, int64_t end)
{
    const winograd_weight_job *job = user;
    for (int64_t i = begin; i < end; i++) {
        tsr_real *to[9];
        for (int k = 0; k < 9; k++)
            to[k] = job->out + (k * job->in_channels + job->image.channel + i) * job->out_channels +
                    job->result.channel;
        job->kernels->winograd_to_weight(&(tsr_planes){.data = job->sums + i * job->row, .plane = job->plane},
                                         job->result.channels, to);
    }
}

/* A block of channels of image and result. */
static void make_block(tsr_context *ctx, winograd_weight_job *job, int64_t chunk)
{
    const int64_t tiles = job->image.tiles->count, groups = cuts(job->image.channels, job->group);
    for (int64_t first = 0; first < tiles; first += chunk) {
        job->count = tsr_smaller(chunk, tiles - first);
        job->accumulate = first > 0;
        job->image.first = job->result.first = first;
        tsr_parallel(ctx, job->count, spread_grain(job->image.channels + job->result.channels), spread_both_body, job);
        tsr_parallel(ctx, 36 * groups, tsr_grain((double)(job->count * job->group * job->result.channels)),
                     weight_sums_body, job);
    }
    tsr_parallel(ctx, job->image.channels, tsr_grain(50.0 * (double)job->result.channels), weights_body, job);
}

void tsr_winograd_weight(tsr_node *n, const tsr_conv_geometry *c, const tsr_conv_operands *o)
{
    const tsr_kernels *kernels = tsr_node_context(n)->kernels;
    picture image = image_of(c, o->image), result = result_of(c, o->result);
    image.first_y = -c->axes[1].before;
    image.first_x = -c->axes[2].before;
    const tiling tiles = tiling_of(&result, c->batch);
    const int64_t in = even_cut(c->in_channels, BLOCK_CHANNELS), out = even_cut(c->out_channels, BLOCK_CHANNELS);
    winograd_weight_job job = {.kernels = kernels, .group = 8 * kernels->tile_rows, .out = o->out,
                      .in_channels = c->in_channels, .out_channels = c->out_channels};
    job.image = (spread_job){.tiles = &tiles, .from = &image, .forth = kernels->winograd_image, .span = 6,
                             .row = odd_lines(in)};
    job.result = (spread_job){.tiles = &tiles, .from = &result, .forth = kernels->winograd_cotangent, .span = 4,
                              .row = odd_lines(tsr_round_up(out, kernels->tile_columns))};
    const int64_t most = tsr_larger(1, BLOCK_VALUES / (36 * (job.image.row + job.result.row)));
    const int64_t chunk = even_cut(tiles.count, tsr_smaller(most, TSR_DEPTH_BLOCK));
    job.image.plane = odd_lines(chunk * job.image.row);
    job.result.plane = odd_lines(chunk * job.result.row);
    job.row = job.result.row;
    job.plane = odd_lines(in * job.row);

    const int64_t zeros = odd_lines(tsr_larger(in, out)), values = zeros + 36 * (job.image.plane + job.result.plane + job.plane);
    job.image.zeros = job.result.zeros = tsr_scratch(n, (size_t)values * sizeof(tsr_real));
    if (!job.image.zeros) return;
    job.result.to = job.image.zeros + zeros;
    job.image.to = job.result.to + 36 * job.result.plane;
    job.sums = job.image.to + 36 * job.image.plane;
    memset(job.image.zeros, 0, (size_t)(zeros + 36 * job.result.plane) * sizeof(tsr_real)); /* ends of rows stay 0 */
    for (job.image.channel = 0; job.image.channel < c->in_channels; job.image.channel += in)
        for (job.result.channel = 0; job.result.channel < c->out_channels; job.result.channel += out) {
            job.image.channels = tsr_smaller(in, c->in_channels - job.image.channel);
            job.result.channels = tsr_smaller(out, c->out_channels - job.result.channel);
            make_block(tsr_node_context(n), &job, chunk);
        }
}

/* ---- the choice ---------------------------------------------------------------------------------------- */

bool tsr_winograd_can(const tsr_conv_geometry *c)
{
    for (int i = 1; i < 3; i++)
        if (c->axes[i].kernel != 3 || c->axes[i].stride != 1 || c->axes[i].dilation != 1) return false;
    return c->spatial == 2 && c->groups == 1 && c->in_channels >= 16 && c->out_channels >= 16 &&
           c->in_channels <= 4096 && c->out_channels <= 4096;
}

/* Products of one bfloat16 part are faster than the products here, unless few columns share what packing costs.
 * Otherwise, in multiply-adds of a full kernel, as measured with vectors of 32 bytes: transforms take about 500 for a tile's
 * channel and 600 for a pair of channels; the products of patches lose about 8 per value that is packed. */
bool tsr_winograd_fits(tsr_node *n, const tsr_conv_geometry *c)
{
    if (tsr_precision_of(tsr_node_context(n)) == TSR_HIGHEST || !tsr_winograd_can(c)) return false;
    const tsr_parts *split = tsr_node_context(n)->kernels->parts;
    if (split && split->count == 1 && tsr_smaller(c->in_channels, c->out_channels) >= 128) return false;
    const picture result = result_of(c, NULL);
    const double tiles = (double)tiling_of(&result, c->batch).count;
    const double pixels = (double)(c->batch * result.height * result.width);
    const double pairs = (double)(c->in_channels * c->out_channels), sum = (double)(c->in_channels + c->out_channels);
    return tiles * (36 * pairs + 500 * sum) + 600 * pairs < 9 * pixels * (pairs + 8 * sum);
}
