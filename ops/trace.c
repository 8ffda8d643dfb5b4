#include "ops/trace.h"

#include "ops/conv_geometry.h"
#include "ops/map_internal.h"
#include "ops/norm_internal.h"
#include "ops/pool_internal.h"
#include "ops/strided.h"

#include <string.h>

typedef struct known { /* the field of a tensor */
    const tsr_tensor *t;
    tsr_field field;
} known;

typedef struct trace {
    known *known;
    int count;
} trace;

static const tsr_field *field_of(const trace *t, const tsr_tensor *tensor)
{
    for (int i = t->count - 1; i >= 0; i--)
        if (t->known[i].t == tensor) return &t->known[i].field;
    return NULL;
}

/* Through a window that sees o * stride - before + k * dilation, k < kernel. */
static void widen(tsr_field *f, int axis, const tsr_window *w)
{
    f->size[axis] += (w->kernel - 1) * w->dilation * f->stride[axis];
    f->start[axis] -= w->before * f->stride[axis];
    f->stride[axis] *= w->stride;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Both together, for what has several inputs. */
static void unite(tsr_field *f, const tsr_field *g, int axes)
{
    f->whole |= g->whole;
    for (int i = 0; i < axes && !f->whole; i++) {
        const int64_t end = f->start[i] + f->size[i], other = g->start[i] + g->size[i];
        if (f->stride[i] != g->stride[i]) f->whole = true;
        f->start[i] = least(f->start[i], g->start[i]);
        f->size[i] = (end > other ? end : other) - f->start[i];
        f->begin[i] = least(f->begin[i], g->begin[i]);
        f->end[i] = f->end[i] > g->end[i] ? f->end[i] : g->end[i];
    }
}

static bool is(const tsr_node *n, const char *op)
{
    return strcmp(n->op->name, op) == 0;
}

/* Whether unit o of the result depends on unit o of each input alone. */
static bool keeps_places(const trace *t, const tsr_node *n)
{
    const tsr_shape out = n->output->shape;
    for (int i = 0; i < n->count; i++) {
        const tsr_shape in = n->inputs[i].tensor ? n->inputs[i].tensor->shape : out;
        if (!field_of(t, n->inputs[i].tensor)) continue; /* a constant */
        for (int k = 0; k < out.rank - 1; k++)
            if (in.rank != out.rank || in.dims[k] != out.dims[k]) return false;
    }
    if (is(n, "batch_norm")) return ((const tsr_norm_plan *)tsr_saved(n))->given;
    return n->op->backward == tsr_map_backward || is(n, "relu") || is(n, "lrn") || is(n, "dropout") ||
           is(n, "maxout") || is(n, "concat");
}

/* What the result's units see, from what those of the inputs see. */
static void pass_on(const trace *t, tsr_field *f, const tsr_node *n, int axes)
{
    const void *saved = tsr_saved(n);
    if (n->output->shape.rank != axes + 2) f->whole = true;
    for (int i = 0; i < axes && !f->whole; i++) {
        if (is(n, "conv")) widen(f, i, &((const tsr_conv_geometry *)saved)->axes[3 - axes + i]);
        else if (is(n, "max_pool") || is(n, "avg_pool") || is(n, "lp_pool")) {
            const tsr_pool_axis *p = &((const tsr_pooling *)saved)->axes[i];
            widen(f, i, &(tsr_window){.kernel = p->kernel, .stride = p->stride, .dilation = 1, .before = p->before});
        } else if (is(n, "pad") && ((const tsr_padding *)saved)->mode == TSR_PAD_CONSTANT)
            f->start[i] -= ((const tsr_padding *)saved)->region.begin[i + 1] * f->stride[i];
        else f->whole = !keeps_places(t, n);
        if (f->whole) return;
        const int64_t last = f->start[i] + (n->output->shape.dims[i + 1] - 1) * f->stride[i];
        f->begin[i] = f->begin[i] > f->start[i] ? f->begin[i] : f->start[i];
        f->end[i] = least(f->end[i], last + f->size[i]);
    }
}

static bool is_rectified(const tsr_node *n)
{
    if (is(n, "conv")) return ((const tsr_conv_geometry *)tsr_saved(n))->activation == TSR_RELU;
    if (is(n, "batch_norm")) return ((const tsr_norm_plan *)tsr_saved(n))->activation == TSR_RELU;
    return is(n, "relu");
}

bool tsr_trace(tsr_tensor *x, void (*row)(void *user, const tsr_trace_row *row), void *user)
{
    if (tsr_is_error(x)) return false;
    tsr_context *ctx = x->ctx;
    const int axes = x->shape.rank - 2;
    int nodes = 0;
    const tsr_node *first = NULL;
    for (const tsr_node *n = ctx->tape; n; n = n->previous) nodes++, first = n;
    const size_t bytes = ((size_t)nodes + 1) * sizeof(known);
    trace t = {.known = tsr_allocate(ctx, bytes, "trace"), .count = 1};
    if (!t.known) return false;
    t.known[0] = (known){x, {.whole = axes < 1 || axes > 3, .size = {1, 1, 1}, .stride = {1, 1, 1}}};
    for (int i = 0; i < axes && i < 3; i++) t.known[0].field.end[i] = x->shape.dims[i + 1];
    for (const tsr_node *n = first; n; n = n->next) {
        known *mine = &t.known[t.count];
        mine->t = NULL;
        for (int i = 0; i < n->count; i++) {
            const tsr_field *f = field_of(&t, n->inputs[i].tensor);
            if (f && !mine->t) *mine = (known){n->output, *f};
            else if (f) unite(&mine->field, f, axes);
        }
        if (!mine->t) continue;
        pass_on(&t, &mine->field, n, axes);
        t.count++;
        row(user, &(tsr_trace_row){n->output, n->op->name, tsr_layer_name(n), is_rectified(n), mine->field});
    }
    tsr_release(ctx, t.known, bytes);
    if (t.count == 1) tsr_fail(ctx, "trace: nothing that depends on this tensor was recorded");
    return t.count > 1;
}
