/* Convolutions in which each channel of the image has its own few of the result: direct loops over channels.
 * Where a channel has several, the image is taken as one in which it is repeated. */
#include "core/parallel.h"
#include "ops/conv_operands.h"

#include <string.h>

enum {
    MOST_EACH = 4,
    WEIGHT_PIECES = 16 /* summed side by side */
};

bool tsr_conv_is_depthwise(const tsr_conv_geometry *c)
{
    return c->groups > 1 && c->groups == c->in_channels && c->out_channels <= MOST_EACH * c->groups;
}

/* ---- what a place sees along one axis ------------------------------------------------------------------ */

/* Taps tap, tap + tap_step, ..., which join it with places from, from + from_step, ... of the other tensor.
 */
typedef struct seen {
    int64_t count, tap, tap_step, from, from_step;
} seen;

static seen from_result(const tsr_window *w, int64_t o)
{
    const int64_t from = o * w->stride - w->before, room = w->in - 1 - from;
    seen s = {.tap = from < 0 ? (-from - 1) / w->dilation + 1 : 0, .tap_step = 1, .from_step = w->dilation};
    const int64_t end = room < 0 ? 0 : tsr_smaller(w->kernel, room / w->dilation + 1);
    s.count = end > s.tap ? end - s.tap : 0;
    s.from = from + s.tap * w->dilation;
    return s;
}

static seen from_image(const tsr_window *w, int64_t i)
{
    seen s = {0};
    for (int64_t k = 0; k < w->kernel; k++) {
        const int64_t at = i + w->before - k * w->dilation, o = at / w->stride;
        if (at < 0 || at % w->stride != 0 || o >= w->out) continue;
        if (s.count == 0) {
            s.tap = k;
            s.from = o;
        } else if (s.count == 1) {
            s.tap_step = k - s.tap;
            s.from_step = o - s.from;
        }
        s.count++;
    }
    return s;
}

/* ---- result and image: each pixel gathers -------------------------------------------------------------- */

typedef struct gather_job {
    const tsr_conv_geometry *c;
    const tsr_kernels *kernels;
    int64_t channels;
    int64_t to[3], from[3]; /* lengths */
    int64_t phases;         /* of a line: pixels so far apart see the same taps, but for the edges */
    const seen *seen[3];    /* of every place along an axis */
    const tsr_real *source, *weight, *bias;
    tsr_real *out;
} gather_job;

/* What pixels of one line gather: those that see the same taps, of sources that follow each other. */
static tsr_depthwise gather_of(const gather_job *job, int64_t n, const seen *const *s)
{
    tsr_depthwise t = {.bias = job->bias, .channels = job->channels};
    int64_t source = n, weight = 0, from = job->channels, tap = job->channels;
    for (int i = 0; i < 3; i++) source = source * job->from[i] + s[i]->from;
    for (int i = 0; i < 3; i++) weight = weight * job->c->axes[i].kernel + s[i]->tap;
    for (int i = 2; i >= 0; i--) {
        t.count[i] = s[i]->count;
        t.x_step[i] = s[i]->from_step * from;
        t.w_step[i] = s[i]->tap_step * tap;
        from *= job->from[i];
        tap *= job->c->axes[i].kernel;
    }
    t.x = job->source + source * job->channels;
    t.w = job->weight + weight * job->channels;
    return t;
}

static void gather_lines_body(void *user, int64_t begin, int64_t end)
{
    const gather_job *job = user;
    for (int64_t line = begin; line < end; line++) {
        const int64_t plane = line / job->to[1];
        const seen *s[3] = {&job->seen[0][plane % job->to[0]], &job->seen[1][line % job->to[1]], NULL};
        for (int64_t phase = 0; phase < job->phases; phase++)
            for (int64_t i = phase, j; i < job->to[2]; i = j) {
                const seen *const of = job->seen[2], *first = s[2] = &of[i];
                const int64_t step = i + job->phases < job->to[2] ? first[job->phases].from - first->from : 0;
                for (j = i + job->phases; j < job->to[2]; j += job->phases)
                    if (of[j].count != first->count || of[j].tap != first->tap ||
                        of[j].from - of[j - job->phases].from != step) break;
                tsr_depthwise t = gather_of(job, plane / job->to[0], s);
                t.out = job->out + (line * job->to[2] + i) * job->channels;
                t.out_pixel = job->phases * job->channels;
                t.pixels = (j - i) / job->phases;
                t.x_pixel = step * job->channels;
                job->kernels->depthwise(&t);
            }
    }
}

static double line_cost(const gather_job *job)
{
    return (double)(job->to[2] * job->channels) * (double)tsr_conv_taps(job->c);
}

/* Fills in the lengths and what each place sees: `to_image`, or to the result. */
static bool begin_gather(tsr_node *n, gather_job *job, bool to_image)
{
    int64_t places = 0;
    job->kernels = tsr_node_context(n)->kernels;
    job->phases = to_image ? job->c->axes[2].stride : 1;
    for (int i = 0; i < 3; i++) {
        const tsr_window *w = &job->c->axes[i];
        job->to[i] = to_image ? w->in : w->out;
        job->from[i] = to_image ? w->out : w->in;
        places += job->to[i];
    }
    seen *s = tsr_scratch(n, (size_t)places * sizeof *s);
    for (int i = 0; s && i < 3; i++) {
        job->seen[i] = s;
        for (int64_t p = 0; p < job->to[i]; p++)
            *s++ = to_image ? from_image(&job->c->axes[i], p) : from_result(&job->c->axes[i], p);
    }
    return s != NULL;
}

static void gather(tsr_node *n, const gather_job *job)
{
    const int64_t lines = job->c->batch * job->to[0] * job->to[1];
    tsr_parallel(tsr_node_context(n), lines, tsr_grain(line_cost(job)), gather_lines_body, (void *)job);
}

/* ---- several results per channel ----------------------------------------------------------------------- */

typedef struct repeat_job {
    int64_t each;
    const tsr_real *from, *bias;
    int64_t channels; /* of bias */
    tsr_real *to;
} repeat_job;

static void repeat_body(void *user, int64_t begin, int64_t end)
{
    const repeat_job *job = user;
    for (int64_t i = begin; i < end; i++)
        for (int64_t k = i * job->each; k < (i + 1) * job->each; k++) job->to[k] = job->from[i];
}

/* Each value `each` times; NULL after an error. */
static const tsr_real *repeated(tsr_node *n, const tsr_conv_geometry *c, const tsr_real *image)
{
    const int64_t size = c->batch * tsr_conv_in_pixels(c) * c->in_channels;
    repeat_job job = {.each = c->out_channels / c->groups, .from = image};
    if (job.each == 1) return image;
    job.to = tsr_scratch(n, (size_t)(size * job.each) * sizeof *job.to);
    if (job.to) tsr_parallel(tsr_node_context(n), size, tsr_grain((double)job.each), repeat_body, &job);
    return job.to;
}

static void fold_sums_body(void *user, int64_t begin, int64_t end)
{
    const repeat_job *job = user;
    for (int64_t i = begin; i < end; i++) {
        tsr_real sum = job->bias ? job->bias[i % job->channels] : 0;
        for (int64_t k = i * job->each; k < (i + 1) * job->each; k++) sum += job->from[k];
        job->to[i] = sum;
    }
}

/* ---- the three ----------------------------------------------------------------------------------------- */

void tsr_depthwise_result(tsr_node *n, const tsr_conv_geometry *c, const tsr_conv_operands *o)
{
    gather_job job = {
        .c = c, .channels = c->out_channels, .weight = o->weight, .bias = o->bias, .out = o->out};
    job.source = repeated(n, c, o->image);
    if (!job.source || !begin_gather(n, &job, false)) return;
    gather(n, &job);
    tsr_activate(tsr_node_context(n), o->activation, o->out,
                 c->batch * tsr_conv_out_pixels(c) * c->out_channels);
}

void tsr_depthwise_image(tsr_node *n, const tsr_conv_geometry *c, const tsr_conv_operands *o)
{
    const int64_t size = c->batch * tsr_conv_in_pixels(c) * c->in_channels;
    gather_job job = {
        .c = c, .channels = c->out_channels, .source = o->result, .weight = o->weight, .out = o->out};
    repeat_job fold = {
        .each = c->out_channels / c->groups, .bias = o->bias, .channels = c->in_channels, .to = o->out};
    if (fold.each == 1) job.bias = o->bias;
    else fold.from = job.out = tsr_scratch(n, (size_t)(size * fold.each) * sizeof *job.out);
    if (!job.out || !begin_gather(n, &job, true)) return;
    gather(n, &job);
    if (fold.each > 1)
        tsr_parallel(tsr_node_context(n), size, tsr_grain((double)fold.each), fold_sums_body, &fold);
    tsr_activate(tsr_node_context(n), o->activation, o->out, size);
}

/* Sums over lines of the result, in tsr_real along each and in double beyond. */
typedef struct weight_job {
    gather_job lines; /* to the result, which is `other` */
    const tsr_real *other;
    int64_t grain;
    double *sums; /* one weight per piece */
} weight_job;

/* One line of pixels, at x, with one of results, at y, by a line of taps. */
static void correlate_lines(const weight_job *job, const tsr_real *x, const tsr_real *y, double *to)
{
    const tsr_window *w = &job->lines.c->axes[2];
    const int64_t channels = job->lines.channels;
    for (int64_t k = 0; k < w->kernel; k++, to += channels) {
        const int64_t offset = k * w->dilation - w->before, room = w->in - 1 - offset;
        const int64_t begin = offset < 0 ? (-offset - 1) / w->stride + 1 : 0;
        const int64_t end = room < 0 ? 0 : tsr_smaller(w->out, room / w->stride + 1);
        if (begin >= end) continue;
        job->lines.kernels->correlate(&(tsr_correlation){.x = x + (begin * w->stride + offset) * channels,
                                                         .y = y + begin * channels,
                                                         .pixels = end - begin,
                                                         .x_pixel = w->stride * channels,
                                                         .channels = channels},
                                      to);
    }
}

static void weight_body(void *user, int64_t begin, int64_t end)
{
    const weight_job *job = user;
    const gather_job *g = &job->lines;
    const int64_t size = tsr_conv_taps(g->c) * g->channels, tap_line = g->c->axes[2].kernel * g->channels;
    double *sums = job->sums + begin / job->grain * size;
    memset(sums, 0, (size_t)size * sizeof *sums);
    for (int64_t line = begin; line < end; line++) {
        const int64_t plane = line / g->to[1], n = plane / g->to[0];
        const seen *s0 = &g->seen[0][plane % g->to[0]], *s1 = &g->seen[1][line % g->to[1]];
        for (int64_t t0 = 0; t0 < s0->count; t0++)
            for (int64_t t1 = 0; t1 < s1->count; t1++) {
                const int64_t i0 = s0->from + t0 * s0->from_step, i1 = s1->from + t1 * s1->from_step;
                correlate_lines(
                    job, g->source + ((n * g->from[0] + i0) * g->from[1] + i1) * g->from[2] * g->channels,
                    job->other + line * g->to[2] * g->channels,
                    sums + ((s0->tap + t0) * g->c->axes[1].kernel + s1->tap + t1) * tap_line);
            }
    }
}

void tsr_depthwise_weight(tsr_node *n, const tsr_conv_geometry *c, const tsr_conv_operands *o)
{
    weight_job job = {.lines = {.c = c, .channels = c->out_channels}, .other = o->result};
    job.lines.source = repeated(n, c, o->image);
    if (!job.lines.source || !begin_gather(n, &job.lines, false)) return;
    const int64_t lines = c->batch * c->axes[0].out * c->axes[1].out,
                  size = tsr_conv_taps(c) * c->out_channels;
    job.grain = tsr_grain(line_cost(&job.lines));
    if (job.grain < (lines - 1) / WEIGHT_PIECES + 1) job.grain = (lines - 1) / WEIGHT_PIECES + 1;
    const int64_t pieces = lines > 0 ? (lines - 1) / job.grain + 1 : 0;
    job.sums = tsr_scratch(n, (size_t)(pieces * size) * sizeof *job.sums);
    if (!job.sums) return;
    tsr_parallel(tsr_node_context(n), lines, job.grain, weight_body, &job);
    for (int64_t i = 0; i < size; i++) {
        double sum = 0;
        for (int64_t piece = 0; piece < pieces; piece++) sum += job.sums[piece * size + i];
        o->out[i] = (tsr_real)sum;
    }
}
