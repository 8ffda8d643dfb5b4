#include "ops/indices.h"
#include "ops/pool_internal.h"
#include "ops/resample.h"

#include <float.h>
#include <math.h>
#include <string.h>

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---- options --------------------------------------------------------------------------------------------------------- */

typedef struct geometry {
    int64_t kernel, stride, before, after, in, out;
} geometry;

/* PyTorch's rule: rounded up, a last window counts if it begins inside the input or the padding before. */
static int64_t result_length(const geometry *g, bool ceil_mode)
{
    const int64_t room = g->in + g->before + g->after - g->kernel + (ceil_mode ? g->stride - 1 : 0);
    if (room < 0) return 0;
    const int64_t out = room / g->stride + 1;
    return ceil_mode && (out - 1) * g->stride >= g->in + g->before ? out - 1 : out;
}

/* Fills in one axis; NULL, or the error tensor. */
static tsr_tensor *read_axis(tsr_node *n, const tsr_pool_options *o, int axis, geometry *g)
{
    const tsr_shape x = tsr_shape_of(tsr_input(n, 0));
    g->in = x.dims[axis + 1];
    g->kernel = o->kernel[axis];
    g->stride = tsr_default_int(o->stride[axis], o->kernel[axis]);
    g->before = tsr_default_int(o->padding[axis], 0);
    g->after = tsr_default_int(o->padding_end[axis], (int)g->before);
    if (g->kernel < 1)
        return tsr_reject(n, "kernel %d for spatial axis %d, expected 1 or more", o->kernel[axis], axis);
    if (g->stride < 1)
        return tsr_reject(n, "stride %d for spatial axis %d, expected 1 or more", (int)g->stride, axis);
    if (g->before < 0 || g->after < 0 || g->before >= g->kernel || g->after >= g->kernel)
        return tsr_reject(
            n, "padding %d, %d for spatial axis %d, expected 0 or more and less than the kernel %d",
            (int)g->before, (int)g->after, axis, (int)g->kernel);
    g->out = g->in > 0 ? result_length(g, o->ceil_mode) : 0;
    if (g->out < 1)
        return tsr_reject(n, "kernel %d does not fit spatial axis %d of input %s with padding %d, %d",
                          (int)g->kernel, axis, tsr_shape_text(x).text, (int)g->before, (int)g->after);
    return NULL;
}

/* Windows clipped to the input; an average divides by these or by the windows clipped to the padded input. */
static void fill_windows(tsr_windows *w, const geometry *g, bool exclude_padding)
{
    for (int64_t o = 0; o < g->out; o++) {
        const int64_t begin = o * g->stride - g->before, end = least(begin + g->kernel, g->in + g->after);
        w->begin[o] = begin > 0 ? begin : 0;
        w->end[o] = least(end, g->in);
        w->count[o] = exclude_padding ? w->end[o] - w->begin[o] : end - begin;
    }
}

/* Windows as the options say, saved with the node; otherwise NULL and in *error what the call returns. */
static tsr_pooling *read_options(tsr_node *n, const tsr_pool_options *options, tsr_tensor **error)
{
    *error = NULL;
    if (!tsr_dead(n)) {
        const tsr_shape x = tsr_shape_of(tsr_input(n, 0));
        const int spatial = x.rank - 2;
        geometry axes[3];
        int64_t out[3];
        if (spatial < 1 || spatial > 3)
            *error = tsr_reject(n, "input %s, expected [N, S..., C] with one to three spatial axes",
                                tsr_shape_text(x).text);
        else if (!options) *error = tsr_reject(n, "options with a kernel are required");
        for (int i = 0; i < 3 && !*error; i++) {
            if (i < spatial) *error = read_axis(n, options, i, &axes[i]);
            else if (options->kernel[i] != 0)
                *error = tsr_reject(n, "a kernel for %d axes, input %s has %d spatial ones", i + 1,
                                    tsr_shape_text(x).text, spatial);
            if (i < spatial) out[i] = axes[i].out;
        }
        if (*error) return NULL;
        tsr_pooling *p = tsr_pooling_new(n, out);
        for (int i = 0; p && i < spatial; i++)
            fill_windows(&p->axes[3 - spatial + i], &axes[i], options->exclude_padding);
        if (p) return p;
    }
    *error = tsr_end(n);
    return NULL;
}

tsr_pooling *tsr_pooling_new(tsr_node *n, const int64_t *out)
{
    const int64_t most = (int64_t)1 << 56; /* more is out of memory in any case */
    const tsr_shape x = tsr_shape_of(tsr_input(n, 0));
    const int missing = 3 - (x.rank - 2);
    int64_t results = missing;
    for (int i = 0; i < x.rank - 2; i++) results += least(out[i], most);
    tsr_pooling *p = tsr_save(n, sizeof *p + (size_t)results * 3 * sizeof(int64_t));
    if (!p) return NULL;
    *p = (tsr_pooling){.batch = x.dims[0], .channels = x.dims[x.rank - 1], .spatial = x.rank - 2};
    int64_t *numbers = (int64_t *)(void *)(p + 1);
    for (int axis = 0; axis < 3; axis++) {
        tsr_windows *w = &p->axes[axis];
        w->in = axis < missing ? 1 : x.dims[axis - missing + 1];
        w->out = axis < missing ? 1 : out[axis - missing];
        w->begin = numbers;
        w->end = w->begin + w->out;
        w->count = w->end + w->out;
        numbers = w->count + w->out;
        if (axis < missing) *w->end = *w->count = 1;
    }
    return p;
}

tsr_shape tsr_pooled_shape(const tsr_node *n, const tsr_pooling *p)
{
    tsr_shape shape = tsr_shape_of(tsr_input(n, 0));
    for (int i = 0; i < p->spatial; i++) shape.dims[i + 1] = p->axes[3 - p->spatial + i].out;
    return shape;
}

/* ---- walking the windows --------------------------------------------------------------------------------------------- */

enum { CHANNELS = 128 }; /* treated at a time where a window needs memory of its own */

struct pool_job;

/* One window: the box begin ... end of the input, clipped. */
typedef struct window {
    int64_t begin[3], end[3];
    int64_t image, result;        /* where this image's values and this result's channels begin */
    int64_t own_begin, own_end;   /* backward: rows of the cut axis that are written here */
} window;

typedef void (*window_visitor)(const struct pool_job *job, const window *w);

/* Work is cut along the batch and the first spatial axis, `cut`. */
typedef struct pool_job {
    const tsr_pooling *p;
    int cut;
    window_visitor visit;
    const tsr_real *x, *y, *g; /* input; backward: result and the gradient that arrives */
    tsr_real *out;             /* result, or backward the gradient of the input */
} pool_job;

/* Visits all windows of image `n` whose place along the cut axis is in [begin, end). */
static void visit_windows(const pool_job *job, window *w, int64_t n, int64_t begin, int64_t end)
{
    const tsr_windows *axes = job->p->axes;
    int64_t o[3], from[3] = {0}, to[3] = {axes[0].out, axes[1].out, axes[2].out};
    from[job->cut] = begin;
    to[job->cut] = end;
    w->image = n * axes[0].in * axes[1].in * axes[2].in * job->p->channels;
    for (o[0] = from[0]; o[0] < to[0]; o[0]++)
        for (o[1] = from[1]; o[1] < to[1]; o[1]++) {
            for (int i = 0; i < 2; i++) {
                w->begin[i] = axes[i].begin[o[i]];
                w->end[i] = axes[i].end[o[i]];
            }
            w->result = (((n * axes[0].out + o[0]) * axes[1].out + o[1]) * axes[2].out + from[2]) *
                        job->p->channels;
            for (o[2] = from[2]; o[2] < to[2]; o[2]++) {
                w->begin[2] = axes[2].begin[o[2]];
                w->end[2] = axes[2].end[o[2]];
                job->visit(job, w);
                w->result += job->p->channels;
            }
        }
}

/* Where, within an image, the first channel of a window's line at i0, i1 is. */
static int64_t line_of(const pool_job *job, const window *w, int64_t i0, int64_t i1)
{
    const tsr_windows *axes = job->p->axes;
    return ((i0 * axes[1].in + i1) * axes[2].in + w->begin[2]) * job->p->channels;
}

static void forward_body(void *user, int64_t begin, int64_t end)
{
    const pool_job *job = user;
    const int64_t rows = job->p->axes[job->cut].out;
    window w;
    while (begin < end) {
        const int64_t n = begin / rows, row = begin % rows, count = least(rows - row, end - begin);
        visit_windows(job, &w, n, row, row + count);
        begin += count;
    }
}

/* Owns rows of the input's gradient, and adds to them from all windows that reach them, in order. */
static void backward_body(void *user, int64_t begin, int64_t end)
{
    const pool_job *job = user;
    const tsr_pooling *p = job->p;
    const tsr_windows *cut = &p->axes[job->cut];
    const int64_t image = p->axes[0].in * p->axes[1].in * p->axes[2].in * p->channels;
    const int64_t row_size = image / cut->in;
    memset(job->out + begin * row_size, 0, (size_t)((end - begin) * row_size) * sizeof *job->out);
    while (begin < end) {
        const int64_t n = begin / cut->in, row = begin % cut->in, count = least(cut->in - row, end - begin);
        window w = {.own_begin = row, .own_end = row + count};
        int64_t first = 0, last;
        while (first < cut->out && cut->end[first] <= row) first++;
        for (last = first; last < cut->out && cut->begin[last] < row + count;) last++;
        visit_windows(job, &w, n, first, last);
        begin += count;
    }
}

static double window_size(const tsr_pooling *p)
{
    double size = 1;
    for (int i = 0; i < 3; i++) size *= (double)(p->axes[i].end[0] - p->axes[i].begin[0]);
    return size;
}

/* Makes the result and ends the call. */
static tsr_tensor *run_forward(tsr_node *n, const tsr_pooling *p, window_visitor visit)
{
    pool_job job = {.p = p, .cut = 3 - p->spatial, .visit = visit, .x = tsr_data(tsr_input(n, 0))};
    job.out = tsr_output(n, tsr_pooled_shape(n, p));
    if (tsr_size(tsr_result(n)) == 0) return tsr_end(n);
    const int64_t rows = p->axes[job.cut].out, results = p->axes[0].out * p->axes[1].out * p->axes[2].out;
    const double cost = (double)(results / rows * p->channels) * window_size(p);
    tsr_parallel(tsr_node_context(n), p->batch * rows, tsr_grain(cost), forward_body, &job);
    return tsr_end(n);
}

/* A window that reaches into two pieces is looked at by both, so pieces are many rows, or whole images. */
static void run_backward(tsr_node *n, window_visitor visit)
{
    const tsr_pooling *p = tsr_saved(n);
    pool_job job = {.p = p, .cut = 3 - p->spatial, .visit = visit, .x = tsr_data(tsr_input(n, 0)),
                    .y = tsr_data(tsr_result(n)), .g = tsr_data(tsr_cotangent(n)), .out = tsr_gradient(n, 0)};
    if (!job.out || tsr_size(tsr_input(n, 0)) == 0) return;
    const tsr_windows *cut = &p->axes[job.cut];
    const int64_t image = p->axes[0].in * p->axes[1].in * p->axes[2].in * p->channels;
    int64_t grain = tsr_grain((double)(image / cut->in) * 4), widest = 0;
    for (int64_t o = 0; o < cut->out; o++)
        if (cut->end[o] - cut->begin[o] > widest) widest = cut->end[o] - cut->begin[o];
    if (grain < 4 * widest) grain = 4 * widest;
    if (p->batch >= 16 || 2 * grain > cut->in) grain = (grain + cut->in - 1) / cut->in * cut->in;
    tsr_parallel(tsr_node_context(n), p->batch * cut->in, grain, backward_body, &job);
}

/* ---- max_pool -------------------------------------------------------------------------------------------------------- */

static void max_window(const pool_job *job, const window *w)
{
    const int64_t channels = job->p->channels;
    tsr_real *restrict y = job->out + w->result;
    for (int64_t i0 = w->begin[0]; i0 < w->end[0]; i0++)
        for (int64_t i1 = w->begin[1]; i1 < w->end[1]; i1++) {
            const tsr_real *x = job->x + w->image + line_of(job, w, i0, i1);
            int64_t i2 = w->begin[2];
            if (i0 == w->begin[0] && i1 == w->begin[1]) {
                memcpy(y, x, (size_t)channels * sizeof *y);
                x += channels;
                i2++;
            }
            for (; i2 < w->end[2]; i2++, x += channels) /* NaN wins, and stays */
                for (int64_t c = 0; c < channels; c++) y[c] = ((x[c] > y[c]) | (x[c] != x[c])) ? x[c] : y[c];
        }
}

/* The first value of the window that equals the maximum takes the gradient, and leaves 0 to the others. */
static void max_pass(const tsr_real *restrict x, const tsr_real *restrict y, tsr_real *restrict left,
                     tsr_real *restrict gx, int64_t channels)
{
    for (int64_t c = 0; c < channels; c++) {
        const tsr_real share = x[c] == y[c] ? left[c] : 0;
        left[c] = x[c] == y[c] ? 0 : left[c];
        gx[c] += share;
    }
}

static void max_window_backward(const pool_job *job, const window *w)
{
    const int64_t channels = job->p->channels;
    int64_t i[3];
    for (int64_t c = 0; c < channels; c += CHANNELS) {
        tsr_real left[CHANNELS], not_ours[CHANNELS];
        const int64_t width = least(channels - c, CHANNELS);
        memcpy(left, job->g + w->result + c, (size_t)width * sizeof *left);
        memset(not_ours, 0, (size_t)width * sizeof *not_ours);
        for (i[0] = w->begin[0]; i[0] < w->end[0]; i[0]++)
            for (i[1] = w->begin[1]; i[1] < w->end[1]; i[1]++) {
                int64_t at = w->image + line_of(job, w, i[0], i[1]) + c;
                for (i[2] = w->begin[2]; i[2] < w->end[2]; i[2]++, at += channels) {
                    const bool ours = i[job->cut] >= w->own_begin && i[job->cut] < w->own_end;
                    max_pass(job->x + at, job->y + w->result + c, left, ours ? job->out + at : not_ours,
                             width);
                }
            }
    }
}

void tsr_max_pool_backward(tsr_node *n)
{
    run_backward(n, max_window_backward);
}

tsr_tensor *tsr_max_pooled(tsr_node *n, const tsr_pooling *p)
{
    return run_forward(n, p, max_window);
}

static const tsr_op max_pool_op = {.name = "max_pool", .backward = tsr_max_pool_backward};

tsr_tensor *tsr_max_pool(tsr_tensor *x, const tsr_pool_options *options)
{
    tsr_tensor *error;
    tsr_node *n = tsr_begin(&max_pool_op, TSR_INPUTS(x));
    const tsr_pooling *p = read_options(n, options, &error);
    return p ? tsr_max_pooled(n, p) : error;
}

/* ---- max_pool_indices ------------------------------------------------------------------------------------------------ */

static void index_window(const pool_job *job, const window *w)
{
    const int64_t channels = job->p->channels;
    for (int64_t c = 0; c < channels; c += CHANNELS) {
        tsr_real best[CHANNELS], *restrict index = job->out + w->result + c;
        const int64_t width = least(channels - c, CHANNELS);
        bool first = true;
        for (int64_t i0 = w->begin[0]; i0 < w->end[0]; i0++)
            for (int64_t i1 = w->begin[1]; i1 < w->end[1]; i1++) {
                const int64_t line = line_of(job, w, i0, i1);
                const tsr_real *x = job->x + w->image + line + c;
                for (int64_t i2 = w->begin[2]; i2 < w->end[2]; i2++, x += channels, first = false)
                    for (int64_t k = 0; k < width; k++) {
                        const bool better = first || x[k] > best[k] || x[k] != x[k];
                        best[k] = better ? x[k] : best[k];
                        index[k] = better ? (tsr_real)(line / channels + i2 - w->begin[2]) : index[k];
                    }
            }
    }
}

static const tsr_op max_pool_indices_op = {.name = "max_pool_indices"};

tsr_tensor *tsr_max_pool_indices(tsr_tensor *x, const tsr_pool_options *options)
{
    tsr_tensor *error;
    tsr_node *n = tsr_begin(&max_pool_indices_op, TSR_INPUTS(x));
    const tsr_pooling *p = read_options(n, options, &error);
    if (!p) return error;
    if ((double)p->axes[0].in * (double)p->axes[1].in * (double)p->axes[2].in > (double)TSR_MOST_INDEXED)
        return tsr_reject(n, "input %s has more than %lld places: indices are not exact",
                          tsr_shape_text(tsr_shape_of(x)).text, (long long)TSR_MOST_INDEXED);
    return run_forward(n, p, index_window);
}

/* ---- avg_pool -------------------------------------------------------------------------------------------------------- */

static bool average_maps(tsr_node *n, const tsr_pooling *p, tsr_resampling *r)
{
    *r = (tsr_resampling){.rank = p->spatial, .batch = p->batch, .channels = p->channels};
    for (int i = 0; i < r->rank; i++) {
        const tsr_windows *w = &p->axes[3 - r->rank + i];
        int64_t terms = 0;
        for (int64_t o = 0; o < w->out; o++) terms += w->end[o] - w->begin[o];
        if (!tsr_axis_map_new(n, &r->maps[i], w->in, w->out, terms)) return false;
        for (int64_t o = 0; o < w->out; o++) {
            for (int64_t k = w->begin[o]; k < w->end[o]; k++)
                tsr_axis_map_add(&r->maps[i], k, 1 / (double)w->count[o]);
            tsr_axis_map_end(&r->maps[i]);
        }
    }
    return true;
}

void tsr_avg_pool_backward(tsr_node *n)
{
    tsr_resampling r;
    tsr_real *gx = tsr_gradient(n, 0);
    if (!gx || tsr_size(tsr_input(n, 0)) == 0 || !average_maps(n, tsr_saved(n), &r) ||
        !tsr_transpose_maps(n, &r))
        return;
    tsr_resample(tsr_node_context(n), &r, tsr_data(tsr_cotangent(n)), gx);
}

tsr_tensor *tsr_avg_pooled(tsr_node *n, const tsr_pooling *p)
{
    tsr_resampling r;
    tsr_real *y = tsr_output(n, tsr_pooled_shape(n, p));
    if (tsr_size(tsr_result(n)) > 0 && average_maps(n, p, &r))
        tsr_resample(tsr_node_context(n), &r, tsr_data(tsr_input(n, 0)), y);
    return tsr_end(n);
}

static const tsr_op avg_pool_op = {.name = "avg_pool", .backward = tsr_avg_pool_backward};

tsr_tensor *tsr_avg_pool(tsr_tensor *x, const tsr_pool_options *options)
{
    tsr_tensor *error;
    tsr_node *n = tsr_begin(&avg_pool_op, TSR_INPUTS(x));
    const tsr_pooling *p = read_options(n, options, &error);
    return p ? tsr_avg_pooled(n, p) : error;
}

/* ---- lp_pool --------------------------------------------------------------------------------------------------------- */

/* Values are divided by the largest of their window before they are raised, so that nothing overflows. */
static void add_largest(const tsr_real *x, double *largest, int64_t channels)
{
    for (int64_t c = 0; c < channels; c++)
        largest[c] = fabs((double)x[c]) > largest[c] ? fabs((double)x[c]) : largest[c];
}

static void add_powers(const tsr_real *x, const double *largest, double power, double *sum, int64_t channels)
{
    if (power == 2)
        for (int64_t c = 0; c < channels; c++) {
            const double ratio = (double)x[c] / (largest[c] > 0 ? largest[c] : 1);
            sum[c] += ratio * ratio;
        }
    else
        for (int64_t c = 0; c < channels; c++) {
            const double ratio = fabs((double)x[c]) / (largest[c] > 0 ? largest[c] : 1);
            sum[c] += power == 1 ? ratio : pow(ratio, power);
        }
}

static void lp_window(const pool_job *job, const window *w)
{
    const int64_t channels = job->p->channels;
    const double power = job->p->power;
    for (int64_t c = 0; c < channels; c += CHANNELS) {
        double largest[CHANNELS] = {0}, sum[CHANNELS] = {0};
        const int64_t width = least(channels - c, CHANNELS);
        for (int pass = 0; pass < 2; pass++)
            for (int64_t i0 = w->begin[0]; i0 < w->end[0]; i0++)
                for (int64_t i1 = w->begin[1]; i1 < w->end[1]; i1++) {
                    const tsr_real *x = job->x + w->image + line_of(job, w, i0, i1) + c;
                    for (int64_t i2 = w->begin[2]; i2 < w->end[2]; i2++, x += channels)
                        if (pass == 0) add_largest(x, largest, width);
                        else add_powers(x, largest, power, sum, width);
                }
        tsr_real *y = job->out + w->result + c;
        for (int64_t k = 0; k < width; k++)
            y[k] = (tsr_real)(largest[k] * (power == 2 ? sqrt(sum[k]) : pow(sum[k], 1 / power)));
    }
}

/* Adds g d y / d x, that is g sign(x) (|x| / y)^(p - 1), and 0 where y is. */
static void lp_pass(const pool_job *job, const window *w, int64_t at)
{
    const tsr_real *y = job->y + w->result, *g = job->g + w->result, *x = job->x + at;
    const double power = job->p->power;
    tsr_real *restrict gx = job->out + at;
    if (power == 2)
        for (int64_t c = 0; c < job->p->channels; c++)
            gx[c] += (tsr_real)((double)g[c] * ((double)x[c] / (double)(y[c] > 0 ? y[c] : 1)));
    else
        for (int64_t c = 0; c < job->p->channels; c++) {
            const double ratio = (double)x[c] / (double)(y[c] > 0 ? y[c] : 1);
            const double slope = power == 1 ? 1 : pow(fabs(ratio), power - 1);
            gx[c] += ratio == 0 ? 0 : (tsr_real)((double)g[c] * (ratio > 0 ? slope : -slope));
        }
}

static void lp_window_backward(const pool_job *job, const window *w)
{
    int64_t i[3];
    for (i[0] = w->begin[0]; i[0] < w->end[0]; i[0]++)
        for (i[1] = w->begin[1]; i[1] < w->end[1]; i[1]++) {
            int64_t at = w->image + line_of(job, w, i[0], i[1]);
            for (i[2] = w->begin[2]; i[2] < w->end[2]; i[2]++, at += job->p->channels)
                if (i[job->cut] >= w->own_begin && i[job->cut] < w->own_end) lp_pass(job, w, at);
        }
}

static void lp_pool_backward(tsr_node *n)
{
    run_backward(n, lp_window_backward);
}

static const tsr_op lp_pool_op = {.name = "lp_pool", .backward = lp_pool_backward};

tsr_tensor *tsr_lp_pool(tsr_tensor *x, const tsr_pool_options *options)
{
    tsr_tensor *error;
    tsr_node *n = tsr_begin(&lp_pool_op, TSR_INPUTS(x));
    tsr_pooling *p = read_options(n, options, &error);
    if (!p) return error;
    p->power = tsr_default_double(options->power, 2);
    if (!(p->power >= 1 && p->power <= DBL_MAX))
        return tsr_reject(n, "power %g, expected a number of 1 or more (max_pool is its limit)", p->power);
    return run_forward(n, p, lp_window);
}
