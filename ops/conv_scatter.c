/* The image of a convolution where it has few channels: for each pixel of the result, all its products with
 * the weight at once, by one matrix product per chunk of pixels; each is then added where it belongs. The
 * sums lie channel by channel and, within a channel, stride phase by stride phase, so that neighbours in the
 * result stay neighbours; a last pass puts them in order. Images, or bands of them, are made side by side;
 * each adds only to what it owns, in one order. */
#include "core/parallel.h"
#include "ops/conv_operands.h"

#include <string.h>

enum {
    CHUNK_VALUES = 1 << 16, /* products that stay in the second-level cache, */
    CHUNK_PIXELS = 128,     /* but of at least so many pixels */
    MOST_PIECES = 16,       /* that need memory of their own */
    FEW_IMAGES = 8          /* fewer are cut into bands */
};

typedef struct scatter_job {
    const tsr_conv_geometry *c;
    const tsr_conv_operands *o;
    const tsr_kernels *kernels;
    int64_t in, out;      /* channels of a group */
    int cut;              /* the axis along which bands are cut */
    int64_t bands, grain; /* per image; bands to a piece */
    int64_t chunk;        /* pixels of the result */
    size_t workspace_bytes;
    unsigned char *workspaces; /* one per piece, */
    tsr_real *products;        /* and so are these: [tap][channel][chunk] */
    tsr_real *sums;            /* [batch][line][channel][phase][...] */
} scatter_job;

/* Pixels [begin, end) of the image that a band owns, and those of the result that reach them. */
typedef struct band {
    int64_t n, begin[3], end[3];
    int64_t from, to;
} band;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t largest(int64_t a, int64_t b) { return a > b ? a : b; }

static int64_t divide_up(int64_t a, int64_t b) /* b > 0 */ { return a > 0 ? (a - 1) / b + 1 : -(-a / b); }

/* Where the pixels of a stride phase begin in a line of `length`. */
static int64_t phase_start(int64_t length, int64_t stride, int64_t phase)
{
    return phase * (length / stride) + least(phase, length % stride);
}

/* ---- adding up ----------------------------------------------------------------------------------------- */

/* Pixels [begin, end) of a line of the result at o0, o1; their products begin at `from`. */
typedef struct stretch {
    int64_t o0, o1, begin, end, group;
    const tsr_real *from;
} stretch;

static void add(tsr_real *restrict to, const tsr_real *restrict from, int64_t count)
{
    for (int64_t i = 0; i < count; i++) to[i] += from[i];
}

/* Products of one line of taps to a line of the image. */
static void add_line(const scatter_job *job, const band *b, const stretch *s, const tsr_real *from,
                     tsr_real *line)
{
    const tsr_window *w = &job->c->axes[2];
    for (int64_t k = 0; k < w->kernel; k++, from += job->in * job->chunk) {
        const int64_t offset = k * w->dilation - w->before; /* of pixel o * stride + offset */
        const int64_t begin = largest(s->begin, divide_up(b->begin[2] - offset, w->stride));
        const int64_t end = least(s->end, divide_up(b->end[2] - offset, w->stride));
        if (begin >= end) continue;
        const int64_t at = begin * w->stride + offset,
                      to = phase_start(w->in, w->stride, at % w->stride) + at / w->stride;
        for (int64_t i = 0; i < job->in; i++)
            add(line + i * w->in + to, from + i * job->chunk + begin - s->begin, end - begin);
    }
}

static void add_stretch(const scatter_job *job, const band *b, const stretch *s)
{
    const tsr_window *a = job->c->axes;
    const tsr_real *from = s->from;
    for (int64_t k0 = 0; k0 < a[0].kernel; k0++)
        for (int64_t k1 = 0; k1 < a[1].kernel; k1++, from += a[2].kernel * job->in * job->chunk) {
            const int64_t i0 = s->o0 * a[0].stride - a[0].before + k0 * a[0].dilation;
            const int64_t i1 = s->o1 * a[1].stride - a[1].before + k1 * a[1].dilation;
            if (i0 < b->begin[0] || i0 >= b->end[0] || i1 < b->begin[1] || i1 >= b->end[1]) continue;
            const int64_t line = (b->n * a[0].in + i0) * a[1].in + i1;
            add_line(job, b, s, from,
                     job->sums + (line * job->c->in_channels + s->group * job->in) * a[2].in);
        }
}

/* The product for so many pixels of the result. */
static tsr_product chunk_product(const scatter_job *job, int64_t pixels)
{
    const int64_t channels = job->c->out_channels;
    return (tsr_product){.rows = tsr_conv_taps(job->c) * job->in,
                         .columns = pixels,
                         .depth = job->out,
                         .stride = job->chunk,
                         .left = {.row_stride = channels, .depth_stride = 1},
                         .right = {.row_stride = channels, .depth_stride = 1}};
}

/* Pixels [begin, end) of result b->n: at most a chunk. */
static void make_chunk(const scatter_job *job, const band *b, int64_t piece, int64_t begin, int64_t end)
{
    const tsr_conv_geometry *c = job->c;
    tsr_product product = chunk_product(job, end - begin);
    tsr_real *products = job->products + piece * product.rows * job->chunk;
    product.out = products;
    for (int64_t g = 0; g < c->groups; g++) {
        product.left.data = job->o->weight + g * job->out;
        product.right.data =
            job->o->result + (b->n * tsr_conv_out_pixels(c) + begin) * c->out_channels + g * job->out;
        tsr_multiply_alone(job->kernels, &product, job->workspaces + (size_t)piece * job->workspace_bytes);
        stretch s = {.group = g};
        for (int64_t at = begin; at < end; at += s.end - s.begin) {
            const int64_t line = at / c->axes[2].out;
            s.o0 = line / c->axes[1].out;
            s.o1 = line % c->axes[1].out;
            s.begin = at % c->axes[2].out;
            s.end = least(c->axes[2].out, s.begin + end - at);
            s.from = products + at - begin;
            add_stretch(job, b, &s);
        }
    }
}

static band band_of(const scatter_job *job, int64_t t)
{
    const tsr_window *cut = &job->c->axes[job->cut];
    const int64_t height = (cut->in - 1) / job->bands + 1, reach = cut->dilation * (cut->kernel - 1);
    int64_t row = 1; /* pixels of the result per place along the cut axis */
    for (int i = job->cut + 1; i < 3; i++) row *= job->c->axes[i].out;
    band b = {.n = t / job->bands};
    for (int i = 0; i < 3; i++) b.end[i] = job->c->axes[i].in;
    b.begin[job->cut] = t % job->bands * height;
    b.end[job->cut] = least(cut->in, b.begin[job->cut] + height);
    b.from = largest(0, divide_up(b.begin[job->cut] + cut->before - reach, cut->stride)) * row;
    b.to = least(cut->out, divide_up(b.end[job->cut] + cut->before, cut->stride)) * row;
    return b;
}

static void band_body(void *user, int64_t first, int64_t last)
{
    const scatter_job *job = user;
    for (int64_t t = first; t < last; t++) {
        const band b = band_of(job, t);
        for (int64_t at = b.from; at < b.to; at += job->chunk)
            make_chunk(job, &b, first / job->grain, at, least(b.to, at + job->chunk));
    }
}

/* ---- before and after ---------------------------------------------------------------------------------- */

static void zero_body(void *user, int64_t begin, int64_t end)
{
    memset((tsr_real *)user + begin, 0, (size_t)(end - begin) * sizeof(tsr_real));
}

static void order_body(void *user, int64_t begin, int64_t end)
{
    const scatter_job *job = user;
    const tsr_window *w = &job->c->axes[2];
    const int64_t channels = job->c->in_channels;
    for (int64_t line = begin; line < end; line++) {
        const tsr_real *from = job->sums + line * w->in * channels;
        tsr_real *to = job->o->out + line * w->in * channels;
        for (int64_t channel = 0; channel < channels; channel++) {
            const tsr_real bias = job->o->bias ? job->o->bias[channel] : 0;
            for (int64_t phase = 0; phase < w->stride && phase < w->in; phase++)
                for (int64_t i = phase; i < w->in; i += w->stride)
                    to[i * channels + channel] = *from++ + bias;
        }
    }
}

/* How many bands an image is cut into: a band repeats the products that reach into it from the next. */
static int64_t bands_of(const tsr_conv_geometry *c, const tsr_window *cut)
{
    const int64_t extent = cut->dilation * (cut->kernel - 1) + 1;
    int64_t bands = 1;
    while (bands * c->batch < FEW_IMAGES && cut->in / (2 * bands) >= 3 * extent &&
           cut->in / (2 * bands) >= 2 * cut->stride)
        bands *= 2;
    return bands;
}

/* For the products of whole chunks, and for those that are left at the ends of bands. */
static size_t workspace_bytes(const scatter_job *job)
{
    tsr_product product = chunk_product(job, job->chunk);
    size_t bytes = tsr_product_workspace(&product);
    for (int64_t t = 0; t < job->bands; t++) {
        const band b = band_of(job, t);
        product.columns = (b.to - b.from) % job->chunk;
        const size_t rest = b.to > b.from ? tsr_product_workspace(&product) : 0;
        if (rest > bytes) bytes = rest;
    }
    return (bytes + 63) / 64 * 64;
}

void tsr_conv_scatter_image(tsr_node *n, const tsr_conv_geometry *c, const tsr_conv_operands *o)
{
    const int64_t taps = tsr_conv_taps(c), lines = c->batch * c->axes[0].in * c->axes[1].in;
    const int64_t size = lines * c->axes[2].in * c->in_channels;
    if (size == 0) return;
    scatter_job job = {.c = c,
                       .o = o,
                       .kernels = tsr_node_context(n)->kernels,
                       .in = c->in_channels / c->groups,
                       .out = c->out_channels / c->groups,
                       .cut = 3 - c->spatial};
    job.bands = bands_of(c, &c->axes[job.cut]);
    job.chunk = least(largest(CHUNK_VALUES / (taps * job.in), CHUNK_PIXELS), tsr_conv_out_pixels(c));
    job.grain = (c->batch * job.bands - 1) / MOST_PIECES + 1;
    const int64_t pieces = (c->batch * job.bands - 1) / job.grain + 1;
    job.workspace_bytes = workspace_bytes(&job);
    job.workspaces = tsr_scratch(n, (size_t)pieces * job.workspace_bytes);
    job.products = tsr_scratch(n, (size_t)(pieces * taps * job.in * job.chunk) * sizeof *job.products);
    job.sums = tsr_scratch(n, (size_t)size * sizeof *job.sums);
    if (!job.workspaces || !job.products || !job.sums) return;
    tsr_context *ctx = tsr_node_context(n);
    tsr_parallel(ctx, size, tsr_grain(1), zero_body, job.sums);
    tsr_parallel(ctx, c->batch * job.bands, job.grain, band_body, &job);
    tsr_parallel(ctx, lines, tsr_grain((double)(2 * c->axes[2].in * c->in_channels)), order_body, &job);
    tsr_activate(ctx, o->activation, o->out, size);
}
