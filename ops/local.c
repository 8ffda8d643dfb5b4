/* Locally connected: at each position a small product over the batch with weights of its own. These are far
 * more than all else, so that each is read, or written, once. */
#include "core/parallel.h"
#include "ops/conv_operands.h"
#include "ops/patches.h"

enum { MOST_PIECES = 16 };

/* One small product per position of the result, or pixel of the image. */
struct local_job;
typedef void (*local_visitor)(const struct local_job *job, int64_t place, void *workspace);

typedef struct local_job {
    const tsr_conv_geometry *c;
    const tsr_conv_operands *o;
    const tsr_kernels *kernels;
    local_visitor visit;
    int64_t grain;
    size_t workspace_bytes;
    unsigned char *workspaces;
} local_job;

static void places_body(void *user, int64_t begin, int64_t end)
{
    const local_job *job = user;
    for (int64_t place = begin; place < end; place++)
        job->visit(job, place, job->workspaces + (size_t)(begin / job->grain) * job->workspace_bytes);
}

/* Visits all places in parallel. */
static void visit_places(tsr_node *n, local_job *job, int64_t places, size_t workspace_bytes)
{
    const double work = tsr_conv_work(job->c);
    tsr_count_work(n, work);
    job->kernels = tsr_node_context(n)->kernels;
    job->grain = tsr_grain(work / (double)places);
    if (job->grain < (places - 1) / MOST_PIECES + 1) job->grain = (places - 1) / MOST_PIECES + 1;
    job->workspace_bytes = (workspace_bytes + 63) / 64 * 64;
    job->workspaces = tsr_scratch(n, (size_t)((places - 1) / job->grain + 1) * job->workspace_bytes);
    if (job->workspaces) tsr_parallel(tsr_node_context(n), places, job->grain, places_body, job);
}

/* The patch that the result sees at a position, of every image. */
static tsr_patches patches_at(const local_job *job, int64_t position)
{
    const tsr_conv_geometry *c = job->c;
    tsr_patches p = {.image = job->o->image, .channels = c->in_channels, .pixel = c->in_channels};
    const int64_t at[3] = {0, position / c->axes[2].out, position % c->axes[2].out};
    for (int i = 0; i < 3; i++) {
        const tsr_window *w = &c->axes[i];
        p.axes[i] = (tsr_reach){.in = w->in,
                                .positions = 1,
                                .step = 1,
                                .taps = w->kernel,
                                .gap = 1,
                                .first = at[i] * w->stride - w->before};
    }
    return p;
}

/* ---- result -------------------------------------------------------------------------------------------- */

static tsr_product result_product(const tsr_conv_geometry *c)
{
    return (tsr_product){.rows = c->batch,
                         .columns = c->out_channels,
                         .depth = tsr_conv_taps(c) * c->in_channels,
                         .stride = tsr_conv_out_pixels(c) * c->out_channels};
}

static void visit_result(const local_job *job, int64_t position, void *workspace)
{
    const int64_t channels = job->c->out_channels;
    const tsr_patches patches = patches_at(job, position);
    tsr_product product = result_product(job->c);
    product.left = tsr_patch_rows(&patches);
    product.right = (tsr_factor){.data = job->o->weight + position * product.depth * channels,
                                 .row_stride = 1,
                                 .depth_stride = channels};
    product.out = job->o->out + position * channels;
    product.bias = job->o->bias ? job->o->bias + position * channels : NULL;
    product.activation = job->o->activation;
    tsr_multiply_alone(job->kernels, &product, workspace);
}

/* ---- gradients ----------------------------------------------------------------------------------------- */

static tsr_product weight_product(const tsr_conv_geometry *c)
{
    return (tsr_product){.rows = tsr_conv_taps(c) * c->in_channels,
                         .columns = c->out_channels,
                         .depth = c->batch,
                         .stride = c->out_channels};
}

static void visit_weight(const local_job *job, int64_t position, void *workspace)
{
    const int64_t channels = job->c->out_channels;
    const tsr_patches patches = patches_at(job, position);
    tsr_product product = weight_product(job->c);
    product.left = tsr_patch_columns(&patches);
    product.right = (tsr_factor){.data = job->o->result + position * channels,
                                 .row_stride = 1,
                                 .depth_stride = tsr_conv_out_pixels(job->c) * channels};
    product.out = job->o->out + position * product.rows * channels;
    tsr_multiply_alone(job->kernels, &product, workspace);
}

/* Positions first, first + 1, ... along an axis see pixel i, by taps last, last - stride, ... */
typedef struct seen {
    int64_t first, count, last;
} seen;

static seen seen_from(const tsr_window *w, int64_t i)
{
    const int64_t at = i + w->before, below = at - w->kernel;
    seen s = {.first = below < 0 ? 0 : below / w->stride + 1};
    const int64_t end = at / w->stride + 1 < w->out ? at / w->stride + 1 : w->out;
    s.count = end > s.first ? end - s.first : 0;
    s.last = at - s.first * w->stride;
    return s;
}

static tsr_product image_product(const tsr_conv_geometry *c)
{
    return (tsr_product){.rows = c->batch,
                         .columns = c->in_channels,
                         .depth = tsr_conv_taps(c) * c->out_channels,
                         .stride = tsr_conv_in_pixels(c) * c->in_channels};
}

/* A pixel of the image gathers from the positions that see it: every weight is met once, by its own pixel. */
static void visit_image(const local_job *job, int64_t pixel, void *workspace)
{
    const tsr_conv_geometry *c = job->c;
    const int64_t at[3] = {0, pixel / c->axes[2].in, pixel % c->axes[2].in};
    tsr_patches patches = {.image = job->o->result, .channels = c->out_channels, .pixel = c->out_channels};
    tsr_turned_weight turned = {.data = job->o->weight, .channels = c->out_channels, .row = c->out_channels};
    tsr_product product = image_product(c);
    product.depth = c->out_channels;
    int64_t tap_step = c->in_channels * c->out_channels, position_step = tsr_conv_taps(c) * tap_step;
    for (int i = 2; i >= 0; i--) {
        const tsr_window *w = &c->axes[i];
        const seen s = seen_from(w, at[i]);
        patches.axes[i] =
            (tsr_reach){.in = w->out, .positions = 1, .step = 1, .taps = s.count, .first = s.first, .gap = 1};
        turned.taps[i] = s.count;
        turned.steps[i] = position_step - w->stride * tap_step;
        turned.data += s.count > 0 ? s.first * position_step + s.last * tap_step : 0;
        product.depth *= s.count;
        position_step *= w->out;
        tap_step *= w->kernel;
    }
    product.left = tsr_patch_rows(&patches);
    product.right = tsr_turned_rows(&turned);
    product.out = job->o->out + pixel * c->in_channels;
    tsr_multiply_alone(job->kernels, &product, workspace);
}

/* Near the edges pixels are seen from fewer positions. */
static size_t image_workspace(const tsr_conv_geometry *c)
{
    tsr_product product = image_product(c);
    size_t bytes = 0;
    for (int64_t taps = 0; taps <= tsr_conv_taps(c); taps++) {
        product.depth = taps * c->out_channels;
        const size_t needed = tsr_product_workspace(&product);
        if (needed > bytes) bytes = needed;
    }
    return bytes;
}

static void locally_connected_backward(tsr_node *n)
{
    const tsr_conv_geometry *c = tsr_saved(n);
    tsr_conv_operands o = {.image = tsr_data(tsr_input(n, 0)), .weight = tsr_data(tsr_input(n, 1))};
    local_job job = {.c = c, .o = &o};
    o.result = tsr_conv_cotangent(n, c->activation);
    if (!o.result) return;
    tsr_real *bias = tsr_gradient(n, 2);
    if (bias)
        tsr_column_sums(tsr_node_context(n), o.result, c->batch, tsr_conv_out_pixels(c) * c->out_channels,
                        bias);
    o.out = tsr_gradient(n, 1);
    const tsr_product weight = weight_product(c);
    job.visit = visit_weight;
    if (o.out) visit_places(n, &job, tsr_conv_out_pixels(c), tsr_product_workspace(&weight));
    o.out = tsr_gradient(n, 0);
    job.visit = visit_image;
    if (o.out && tsr_conv_in_pixels(c) > 0) visit_places(n, &job, tsr_conv_in_pixels(c), image_workspace(c));
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
    local_job job = {.c = saved, .o = &o, .visit = visit_result};
    const tsr_product product = result_product(saved);
    visit_places(n, &job, tsr_conv_out_pixels(saved), tsr_product_workspace(&product));
    return tsr_end(n);
}
