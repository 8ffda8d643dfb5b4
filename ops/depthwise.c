/* Convolutions in which each channel of the image has its own few of the result: direct loops over channels. */
#include "core/parallel.h"
#include "ops/conv_operands.h"

#include <string.h>

enum { MOST_EACH = 4, WEIGHT_PIECES = 16 };

bool tsr_conv_is_depthwise(const tsr_conv_geometry *c)
{
    return c->groups > 1 && c->groups == c->in_channels && c->out_channels <= MOST_EACH * c->groups;
}

typedef struct depthwise_job {
    const tsr_conv_geometry *c;
    const tsr_conv_operands *o;
    int64_t each;      /* channels of the result per channel of the image */
    int64_t grain;     /* weight: lines to a piece, */
    double *sums;      /* one weight per piece, */
    tsr_real *line;    /* and the sums of one line */
} depthwise_job;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Results [begin, end) along an axis see a pixel of the image by tap k. */
static void seen_by(const tsr_window *w, int64_t k, int64_t *begin, int64_t *end)
{
    const int64_t offset = k * w->dilation - w->before, room = w->in - 1 - offset;
    *begin = offset < 0 ? (-offset - 1) / w->stride + 1 : 0;
    *end = room < 0 ? 0 : least(w->out, room / w->stride + 1);
    *begin = least(*begin, *end);
}

static int64_t pixel_of(const tsr_window *w, int64_t o, int64_t k)
{
    return o * w->stride - w->before + k * w->dilation;
}

/* One tap for a line of `count` results from `y`, and pixels `step` apart from `x`. */
typedef struct tap_line {
    int64_t count, step, channels, each;
} tap_line;

static void tap_to_result(const tap_line *t, const tsr_real *x, const tsr_real *restrict w, tsr_real *restrict y)
{
    const int64_t channels = t->channels, each = t->each;
    for (int64_t i = 0; i < t->count; i++, x += t->step * channels, y += channels * each) {
        if (each == 1)
            for (int64_t c = 0; c < channels; c++) y[c] += x[c] * w[c];
        else
            for (int64_t c = 0; c < channels; c++)
                for (int64_t k = c * each; k < (c + 1) * each; k++) y[k] += x[c] * w[k];
    }
}

static void tap_to_image(const tap_line *t, tsr_real *restrict x, const tsr_real *restrict w, const tsr_real *y)
{
    const int64_t channels = t->channels, each = t->each;
    for (int64_t i = 0; i < t->count; i++, x += t->step * channels, y += channels * each) {
        if (each == 1)
            for (int64_t c = 0; c < channels; c++) x[c] += y[c] * w[c];
        else
            for (int64_t c = 0; c < channels; c++)
                for (int64_t k = c * each; k < (c + 1) * each; k++) x[c] += y[k] * w[k];
    }
}

static void tap_to_weight(const tap_line *t, const tsr_real *x, tsr_real *restrict w, const tsr_real *y)
{
    const int64_t channels = t->channels, each = t->each;
    for (int64_t i = 0; i < t->count; i++, x += t->step * channels, y += channels * each) {
        if (each == 1)
            for (int64_t c = 0; c < channels; c++) w[c] += x[c] * y[c];
        else
            for (int64_t c = 0; c < channels; c++)
                for (int64_t k = c * each; k < (c + 1) * each; k++) w[k] += x[c] * y[k];
    }
}

/* ---- walking lines ----------------------------------------------------------------------------------------------------- */

/* Line (n, o0, o1) of the result, and tap line (k0, k1). */
typedef struct meeting {
    int64_t n, o0, o1, k0, k1;
} meeting;

/* Shown each tap of a tap line: where the tap's weights, and the first pixels of image and result that it joins, are. */
typedef void (*tap_visitor)(const depthwise_job *job, const tap_line *t, int64_t tap, int64_t x, int64_t y);

static void visit_taps(const depthwise_job *job, const meeting *m, tap_visitor visit)
{
    const tsr_conv_geometry *c = job->c;
    const tsr_window *a = c->axes;
    const int64_t i0 = pixel_of(&a[0], m->o0, m->k0), i1 = pixel_of(&a[1], m->o1, m->k1);
    if (i0 < 0 || i0 >= a[0].in || i1 < 0 || i1 >= a[1].in) return;
    const int64_t x = ((m->n * a[0].in + i0) * a[1].in + i1) * a[2].in, y = ((m->n * a[0].out + m->o0) * a[1].out + m->o1) * a[2].out;
    for (int64_t k = 0; k < a[2].kernel; k++) {
        int64_t begin, end;
        seen_by(&a[2], k, &begin, &end);
        const tap_line t = {.count = end - begin, .step = a[2].stride, .channels = c->in_channels, .each = job->each};
        visit(job, &t, ((m->k0 * a[1].kernel + m->k1) * a[2].kernel + k) * c->out_channels,
              (x + pixel_of(&a[2], begin, k)) * c->in_channels, (y + begin) * c->out_channels);
    }
}

static void each_tap_line(const depthwise_job *job, meeting m, tap_visitor visit)
{
    for (m.k0 = 0; m.k0 < job->c->axes[0].kernel; m.k0++)
        for (m.k1 = 0; m.k1 < job->c->axes[1].kernel; m.k1++) visit_taps(job, &m, visit);
}

/* A line of pixels to be added to. */
static void begin_line(const tsr_real *bias, int64_t channels, int64_t pixels, tsr_real *to)
{
    if (!bias) memset(to, 0, (size_t)(channels * pixels) * sizeof *to);
    for (int64_t i = 0; bias && i < pixels; i++) memcpy(to + i * channels, bias, (size_t)channels * sizeof *to);
}

/* ---- result ------------------------------------------------------------------------------------------------------------ */

static void visit_result(const depthwise_job *job, const tap_line *t, int64_t tap, int64_t x, int64_t y)
{
    tap_to_result(t, job->o->image + x, job->o->weight + tap, job->o->out + y);
}

static meeting result_line(const tsr_conv_geometry *c, int64_t line)
{
    const int64_t plane = line / c->axes[1].out;
    return (meeting){.n = plane / c->axes[0].out, .o0 = plane % c->axes[0].out, .o1 = line % c->axes[1].out};
}

static void result_body(void *user, int64_t begin, int64_t end)
{
    const depthwise_job *job = user;
    const tsr_conv_geometry *c = job->c;
    for (int64_t line = begin; line < end; line++) {
        begin_line(job->o->bias, c->out_channels, c->axes[2].out, job->o->out + line * c->axes[2].out * c->out_channels);
        each_tap_line(job, result_line(c, line), visit_result);
    }
}

static double line_cost(const tsr_conv_geometry *c, int64_t pixels)
{
    return (double)(pixels * tsr_conv_taps(c)) * (double)c->out_channels;
}

void tsr_depthwise_result(tsr_node *n, const tsr_conv_geometry *c, const tsr_conv_operands *o)
{
    tsr_context *ctx = tsr_node_context(n);
    depthwise_job job = {.c = c, .o = o, .each = c->out_channels / c->groups};
    const int64_t lines = c->batch * c->axes[0].out * c->axes[1].out;
    tsr_parallel(ctx, lines, tsr_grain(line_cost(c, c->axes[2].out)), result_body, &job);
    tsr_activate(ctx, o->activation, o->out, lines * c->axes[2].out * c->out_channels);
}

/* ---- image ------------------------------------------------------------------------------------------------------------- */

static void visit_image(const depthwise_job *job, const tap_line *t, int64_t tap, int64_t x, int64_t y)
{
    tap_to_image(t, job->o->out + x, job->o->weight + tap, job->o->result + y);
}

/* Whether tap k of some result *o is at pixel i. */
static bool seen_from(const tsr_window *w, int64_t i, int64_t k, int64_t *o)
{
    const int64_t at = i + w->before - k * w->dilation;
    *o = at / w->stride;
    return at >= 0 && at % w->stride == 0 && *o < w->out;
}

static void image_body(void *user, int64_t begin, int64_t end)
{
    const depthwise_job *job = user;
    const tsr_conv_geometry *c = job->c;
    const tsr_window *a = c->axes;
    for (int64_t line = begin; line < end; line++) {
        const int64_t plane = line / a[1].in;
        begin_line(job->o->bias, c->in_channels, a[2].in, job->o->out + line * a[2].in * c->in_channels);
        meeting m = {.n = plane / a[0].in};
        for (m.k0 = 0; m.k0 < a[0].kernel; m.k0++) {
            if (!seen_from(&a[0], plane % a[0].in, m.k0, &m.o0)) continue;
            for (m.k1 = 0; m.k1 < a[1].kernel; m.k1++)
                if (seen_from(&a[1], line % a[1].in, m.k1, &m.o1)) visit_taps(job, &m, visit_image);
        }
    }
}

void tsr_depthwise_image(tsr_node *n, const tsr_conv_geometry *c, const tsr_conv_operands *o)
{
    tsr_context *ctx = tsr_node_context(n);
    depthwise_job job = {.c = c, .o = o, .each = c->out_channels / c->groups};
    const int64_t lines = c->batch * c->axes[0].in * c->axes[1].in;
    tsr_parallel(ctx, lines, tsr_grain(line_cost(c, c->axes[2].in)), image_body, &job);
    tsr_activate(ctx, o->activation, o->out, lines * c->axes[2].in * c->in_channels);
}

/* ---- weight: lines are summed in tsr_real, and these sums in double, piece by piece ------------------------------------ */

static void visit_weight(const depthwise_job *job, const tap_line *t, int64_t tap, int64_t x, int64_t y)
{
    tap_to_weight(t, job->o->image + x, job->line + tap, job->o->result + y);
}

static void weight_body(void *user, int64_t begin, int64_t end)
{
    depthwise_job job = *(const depthwise_job *)user;
    const int64_t size = tsr_conv_taps(job.c) * job.c->out_channels, piece = begin / job.grain;
    double *sums = job.sums + piece * size;
    job.line += piece * size;
    memset(sums, 0, (size_t)size * sizeof *sums);
    for (int64_t line = begin; line < end; line++) {
        memset(job.line, 0, (size_t)size * sizeof *job.line);
        each_tap_line(&job, result_line(job.c, line), visit_weight);
        for (int64_t i = 0; i < size; i++) sums[i] += (double)job.line[i];
    }
}

void tsr_depthwise_weight(tsr_node *n, const tsr_conv_geometry *c, const tsr_conv_operands *o)
{
    depthwise_job job = {.c = c, .o = o, .each = c->out_channels / c->groups};
    const int64_t lines = c->batch * c->axes[0].out * c->axes[1].out, size = tsr_conv_taps(c) * c->out_channels;
    job.grain = tsr_grain(line_cost(c, c->axes[2].out));
    if (job.grain < (lines - 1) / WEIGHT_PIECES + 1) job.grain = (lines - 1) / WEIGHT_PIECES + 1;
    const int64_t pieces = lines > 0 ? (lines - 1) / job.grain + 1 : 0;
    job.sums = tsr_scratch(n, (size_t)(pieces * size) * sizeof *job.sums);
    job.line = tsr_scratch(n, (size_t)(pieces * size) * sizeof *job.line);
    if (!job.sums || !job.line) return;
    tsr_parallel(tsr_node_context(n), lines, job.grain, weight_body, &job);
    for (int64_t i = 0; i < size; i++) {
        double sum = 0;
        for (int64_t piece = 0; piece < pieces; piece++) sum += job.sums[piece * size + i];
        o->out[i] = (tsr_real)sum;
    }
}
