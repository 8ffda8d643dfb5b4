/* The image of a convolution where it has few channels: for each pixel of the result all its products with the weight,
 * then, for each pixel of the image, the sum of those that belong there. Images, or bands of them, are made side by
 * side; each adds only to what it owns, in one order. */
#include "core/parallel.h"
#include "ops/conv_operands.h"
#include "ops/patches.h"

enum {
    CHUNK_VALUES = 1 << 15, /* products that stay in the second-level cache, */
    CHUNK_PIXELS = 96,      /* but of at least so many results */
    MOST_PIECES = 16,       /* that need memory of their own */
    FEW_IMAGES = 8          /* fewer are cut into bands */
};

typedef struct scatter_job {
    const tsr_conv_geometry *c;
    const tsr_conv_operands *o;
    const tsr_patch_multiplier *products; /* [pixel of the result][group][tap, channel] */
    int64_t in, row;      /* channels of a group; products of a pixel, with a gap at the end */
    int cut;              /* the axis along which bands are cut */
    int64_t bands, grain; /* per image; bands to a piece */
    int64_t chunk;        /* pixels of the result */
    tsr_real *chunks;     /* one per piece */
    const tsr_phase *phase;
    int64_t phases;       /* of a line */
} scatter_job;

/* Pixels [begin, end) of the cut axis of image n that a band owns, and those of the result that reach them. */
typedef struct band {
    int64_t n, begin, end, from, to;
} band;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t largest(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t divide_up(int64_t a, int64_t b) /* b > 0 */ { return a > 0 ? (a - 1) / b + 1 : -(-a / b); }

/* ---- adding up ----------------------------------------------------------------------------------------- */

/* Results [begin, end) of a line, whose products by a line of taps begin at `from`, row after row. */
typedef struct stretch {
    const tsr_real *from;
    int64_t begin, end, row;
} stretch;

/* To one pixel: `taps` of the products at `from`, `step` apart. Called with constant channels. */
static inline void add_pixel(const tsr_real *from, int64_t step, int64_t taps, tsr_real *to, const int channels)
{
    tsr_real sum[TSR_FEW_CHANNELS];
    for (int c = 0; c < channels; c++) sum[c] = to[c];
    for (int64_t k = 0; k < taps; k++, from += step)
        for (int c = 0; c < channels; c++) sum[c] += from[c];
    for (int c = 0; c < channels; c++) to[c] = sum[c];
}

/* To the pixels of one phase of a line, of which those in the middle see all taps. */
static inline void add_phase(const tsr_phase *f, const stretch *s, int64_t stride, int64_t pixel, tsr_real *line,
                             const int channels)
{
    const tsr_reach *r = &f->reach;
    const int64_t step = r->gap * s->row - f->apart * channels, reach = (r->taps - 1) * r->gap;
    const int64_t last = least(r->positions, s->end - r->first);
    const tsr_real *products = s->from + f->last * channels;
    tsr_real *to = line + f->first * pixel;
    for (int64_t q = largest(0, s->begin - r->first - reach); q < last; q++) {
        const int64_t at = r->first + q - s->begin; /* the result that tap `last` sees, in the stretch */
        const int64_t begin = at < 0 ? (-at - 1) / r->gap + 1 : 0;
        const int64_t end = at + reach < s->end - s->begin ? r->taps : (s->end - s->begin - 1 - at) / r->gap + 1;
        const tsr_real *from = products + at * s->row + begin * step;
        switch (end - begin) { /* constants unroll the sums of the usual kernels */
        case 3: add_pixel(from, step, 3, to + q * stride * pixel, channels); break;
        case 4: add_pixel(from, step, 4, to + q * stride * pixel, channels); break;
        case 5: add_pixel(from, step, 5, to + q * stride * pixel, channels); break;
        default: add_pixel(from, step, end - begin, to + q * stride * pixel, channels); break;
        }
    }
}

static void add_line(const scatter_job *job, const stretch *s, tsr_real *line)
{
    const int64_t stride = job->c->axes[2].stride, pixel = job->c->in_channels;
    for (int64_t i = 0; i < job->phases; i++)
        switch (job->in) {
        case 1: add_phase(&job->phase[i], s, stride, pixel, line, 1); break;
        case 2: add_phase(&job->phase[i], s, stride, pixel, line, 2); break;
        case 3: add_phase(&job->phase[i], s, stride, pixel, line, 3); break;
        default: add_phase(&job->phase[i], s, stride, pixel, line, (int)job->in); break;
        }
}

/* Results [begin, end) of line (o0, o1) of an image, whose products begin at `from`. */
static void add_results(const scatter_job *job, const band *b, int64_t result, int64_t end, const tsr_real *from)
{
    const tsr_window *a = job->c->axes;
    const int64_t line = result / a[2].out, o0 = line / a[1].out, o1 = line % a[1].out, taps = a[2].kernel * job->in;
    stretch s = {.row = job->row, .begin = result % a[2].out, .end = result % a[2].out + end - result};
    for (int64_t g = 0; g < job->c->groups; g++)
        for (int64_t k = 0; k < a[0].kernel * a[1].kernel; k++) {
            const int64_t i[2] = {o0 * a[0].stride - a[0].before + k / a[1].kernel * a[0].dilation,
                                  o1 * a[1].stride - a[1].before + k % a[1].kernel * a[1].dilation};
            if (i[0] < 0 || i[0] >= a[0].in || i[1] < 0 || i[1] >= a[1].in) continue;
            if (job->cut < 2 && (i[job->cut] < b->begin || i[job->cut] >= b->end)) continue;
            s.from = from + (g * a[0].kernel * a[1].kernel + k) * taps;
            add_line(job, &s, job->o->out + ((b->n * a[0].in + i[0]) * a[1].in + i[1]) * a[2].in * job->c->in_channels +
                                  g * job->in);
        }
}

static band band_of(const scatter_job *job, int64_t t)
{
    const tsr_window *cut = &job->c->axes[job->cut];
    const int64_t height = (cut->in - 1) / job->bands + 1, reach = cut->dilation * (cut->kernel - 1);
    int64_t row = 1; /* pixels of the result per place along the cut axis */
    for (int i = job->cut + 1; i < 3; i++) row *= job->c->axes[i].out;
    band b = {.n = t / job->bands, .begin = t % job->bands * height};
    b.end = least(cut->in, b.begin + height);
    b.from = largest(0, divide_up(b.begin + cut->before - reach, cut->stride)) * row;
    b.to = least(cut->out, divide_up(b.end + cut->before, cut->stride)) * row;
    return b;
}

static void band_body(void *user, int64_t first, int64_t last)
{
    const scatter_job *job = user;
    const int64_t results = tsr_conv_out_pixels(job->c), line = job->c->axes[2].out;
    tsr_real *chunk = job->chunks + first / job->grain * job->chunk * job->row;
    for (int64_t t = first; t < last; t++) {
        const band b = band_of(job, t);
        for (int64_t at = b.from; at < b.to; at += job->chunk) {
            const int64_t end = least(b.to, at + job->chunk), start = b.n * results + at;
            tsr_patch_multiply_rows(job->products, start, end - at, chunk - start * job->row);
            for (int64_t i = at, stop; i < end; i = stop) {
                stop = least(end, (i / line + 1) * line);
                add_results(job, &b, i, stop, chunk + (i - at) * job->row);
            }
        }
    }
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

static void start_body(void *user, int64_t begin, int64_t end)
{
    const scatter_job *job = user;
    const int64_t channels = job->c->in_channels;
    for (int64_t i = begin * channels; i < end * channels; i++)
        job->o->out[i] = job->o->bias ? job->o->bias[i % channels] : 0;
}

/* How many bands an image is cut into: a band repeats the products that reach into it from the next. */
static int64_t bands_of(const tsr_conv_geometry *c, const tsr_window *cut)
{
    const int64_t extent = cut->dilation * (cut->kernel - 1) + 1;
    int64_t bands = 1;
    while (c->spatial > 1 && bands * c->batch < FEW_IMAGES && cut->in / (2 * bands) >= 3 * extent &&
           cut->in / (2 * bands) >= 2 * cut->stride)
        bands *= 2;
    return bands;
}

/* The products: each pixel of the result is a patch by itself, its channels are the depth. */
static tsr_patch_product product_of(const tsr_conv_geometry *c, const tsr_conv_operands *o, int64_t row)
{
    tsr_patch_product p = {.columns = tsr_conv_taps(c) * c->in_channels / c->groups, .roomy = c->groups == 1,
                           .to = {.pixel = row}};
    p.patches = (tsr_patches){.image = o->result, .images = c->batch, .groups = c->groups,
                              .channels = c->out_channels / c->groups};
    p.weight = (tsr_patch_weight){.data = o->weight, .channel = 1, .column = c->out_channels,
                                  .group = p.patches.channels};
    for (int i = 0; i < 3; i++) {
        const int64_t out = c->axes[i].out;
        p.patches.axes[i] = (tsr_reach){.in = out, .positions = out, .step = 1, .taps = 1, .gap = 1};
        p.to.length[i] = out;
        p.to.step[i] = 1;
    }
    tsr_patches_place(&p.patches, &(tsr_margin){{0}, {0}});
    return p;
}

void tsr_conv_scatter_image(tsr_node *n, const tsr_conv_geometry *c, const tsr_conv_operands *o)
{
    tsr_context *ctx = tsr_node_context(n);
    const int64_t pixels = c->batch * tsr_conv_in_pixels(c), width = ctx->kernels->lanes;
    if (pixels * c->in_channels == 0) return;
    scatter_job job = {.c = c, .o = o, .in = c->in_channels / c->groups, .cut = 3 - c->spatial,
                       .row = (tsr_conv_taps(c) * c->in_channels + width - 1) / width * width};
    const tsr_window *line = &c->axes[2];
    job.phases = least(line->stride, line->in);
    tsr_phase *phase = tsr_scratch(n, (size_t)job.phases * sizeof *phase);
    for (int64_t i = 0; phase && i < job.phases; i++) phase[i] = tsr_phase_of(line, i);
    job.phase = phase;
    job.bands = bands_of(c, &c->axes[job.cut]);
    job.chunk = least(largest(CHUNK_VALUES / job.row, CHUNK_PIXELS), tsr_conv_out_pixels(c));
    job.grain = (c->batch * job.bands - 1) / MOST_PIECES + 1;
    const int64_t pieces = (c->batch * job.bands - 1) / job.grain + 1;
    job.chunks = tsr_scratch(n, (size_t)(pieces * job.chunk * job.row + 1) * sizeof *job.chunks);
    const tsr_patch_product product = product_of(c, o, job.row);
    job.products = tsr_patch_prepare(n, &product);
    if (!phase || !job.chunks || !job.products) return;
    tsr_parallel(ctx, pixels, tsr_grain((double)c->in_channels), start_body, &job);
    tsr_parallel(ctx, c->batch * job.bands, job.grain, band_body, &job);
    tsr_activate(ctx, o->activation, o->out, pixels * c->in_channels);
}
