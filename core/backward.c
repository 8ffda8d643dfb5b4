/* The backward pass. The tape is in order of creation, so walking it from the end meets every node after all that used
 * its result. */
#include "core/core_internal.h"
#include "core/platform.h"

#include <string.h>

typedef struct add_values_job {
    tsr_real *to;
    const tsr_real *a, *b;
} add_values_job;

static void add_values_body(void *user, int64_t begin, int64_t end)
{
    const add_values_job *job = user;
    for (int64_t i = begin; i < end; i++) job->to[i] = job->a[i] + job->b[i];
}

void tsr_gather(tsr_tensor *t, tsr_storage *gradient)
{
    tsr_context *ctx = t->ctx;
    if (t->node) t->node->pass = ctx->pass;
    if (!t->gradient) {
        t->gradient = gradient;
        return;
    }
    /* A buffer that somebody else holds too (add hands the same one to both inputs) is not changed in place. */
    tsr_storage *sum = t->gradient;
    if (sum->references > 1) sum = tsr_storage_new(ctx, t->size, "a gradient");
    if (sum) {
        add_values_job job = {.to = sum->data, .a = t->gradient->data, .b = gradient->data};
        tsr_parallel(ctx, t->size, tsr_grain(1), add_values_body, &job);
        if (sum != t->gradient) {
            tsr_storage_drop(ctx, t->gradient);
            t->gradient = sum;
        }
    }
    tsr_storage_drop(ctx, gradient);
}

tsr_real *tsr_write_gradient(tsr_tensor *t)
{
    if (!t->gradient) return NULL;
    if (t->gradient->references > 1) {
        tsr_storage *copy = tsr_storage_new(t->ctx, t->size, "a gradient");
        if (!copy) return NULL;
        memcpy(copy->data, t->gradient->data, copy->bytes);
        tsr_storage_drop(t->ctx, t->gradient);
        t->gradient = copy;
    }
    return t->gradient->data;
}

/* ---- inside a backward function ---------------------------------------------------------------------------------- */

tsr_tensor *tsr_cotangent(tsr_node *n)
{
    const tsr_tensor *y = tsr_result(n);
    if (tsr_dead(n) || !y || !y->gradient) return tsr_error_tensor(tsr_node_context(n));
    tsr_tensor *g = &n->cotangent;
    if (!g->storage) tsr_tensor_set(g, n->ctx, &y->shape, y->size, y->gradient);
    return g;
}

tsr_real *tsr_cotangent_room(tsr_node *n)
{
    const tsr_tensor *y = n->output;
    const bool mine = y->gradient && y->gradient->references == 1 && !y->retains_grad;
    return mine ? y->gradient->data : tsr_scratch(n, (size_t)y->size * sizeof(tsr_real));
}

tsr_real *tsr_gradient(tsr_node *n, int i)
{
    if (i < 0 || !tsr_wants(n, i) || n->ctx->failed) return NULL;
    tsr_node_input *input = &n->inputs[i];
    if (!input->pending) input->pending = tsr_storage_new(n->ctx, input->tensor->size, n->op->name);
    return input->pending ? input->pending->data : NULL;
}

/* Adds a finished gradient of input i, taking over the reference. */
static void deliver_gradient(tsr_node *n, int i, tsr_storage *gradient)
{
    tsr_context *ctx = n->ctx;
    tsr_tensor *t = n->inputs[i].tensor;
    if (ctx->mutate) {
        tsr_storage *own = tsr_storage_new(ctx, t->size, n->op->name); /* the buffer may be somebody else's too */
        if (own) {
            memcpy(own->data, gradient->data, own->bytes);
            ctx->mutate(ctx->mutate_user, n->op, i, own->data, t->size);
        }
        tsr_storage_drop(ctx, gradient);
        if (!own) return;
        gradient = own;
    }
    if (ctx->options.trap && !tsr_all_finite(gradient->data, t->size))
        tsr_fail(ctx, "%s: the gradient of input %d %s has a value that is not finite", tsr_call_name(n).text, i,
                 tsr_shape_text(t->shape).text);
    tsr_gather(t, gradient);
}

void tsr_accumulate(tsr_node *n, int i, tsr_tensor *g)
{
    if (i < 0 || !tsr_wants(n, i) || tsr_is_error(g) || n->ctx->failed || !tsr_data(g)) return;
    tsr_tensor *t = n->inputs[i].tensor;
    if (g->ctx != n->ctx || !tsr_same_shape(g->shape, t->shape)) {
        tsr_fail(n->ctx, "%s: its backward made a gradient %s for input %d %s", n->op->name,
                 tsr_shape_text(g->shape).text, i, tsr_shape_text(t->shape).text);
        return;
    }
    g->storage->references++;
    deliver_gradient(n, i, g->storage);
}

/* ---- the walk ---------------------------------------------------------------------------------------------------- */

static bool may_run(tsr_node *n)
{
    tsr_context *ctx = n->ctx;
    if (ctx->failed) return false;
    if (n->done) {
        tsr_fail(ctx, "backward: a second pass over the same graph: %s was walked back before", n->op->name);
        return false;
    }
    for (int i = 0; i < n->count; i++) {
        const tsr_tensor *t = n->inputs[i].tensor;
        if (t && t->storage && t->storage->version != n->inputs[i].version) {
            tsr_fail(ctx, "backward: the value of input %d %s of %s was changed after it was used", i,
                     tsr_shape_text(t->shape).text, n->op->name);
            return false;
        }
    }
    return true;
}

static void run_backward(tsr_node *n)
{
    tsr_context *ctx = n->ctx;
    if (ctx->options.profile) n->start = tsr_platform_seconds();
    n->work = 0;
    n->scratch_mark = ctx->scratch;
    n->op->backward(n);
    for (int i = 0; i < n->count; i++) {
        tsr_storage *pending = n->inputs[i].pending;
        n->inputs[i].pending = NULL;
        if (pending) deliver_gradient(n, i, pending);
    }
    tsr_pieces_release(ctx, &ctx->scratch, n->scratch_mark);
    n->cotangent.storage = NULL;
    n->done = true;
    if (ctx->options.profile) tsr_profile_add(n, true);
}

/* What nobody will look at again: saved memory, the result's gradient and, when releasing, the result. */
static void give_back(tsr_node *n, bool releasing)
{
    tsr_context *ctx = n->ctx;
    tsr_tensor *y = n->output;
    if (n->done) tsr_pieces_release(ctx, &n->saved, NULL);
    if (!y->retains_grad) {
        tsr_storage_drop(ctx, y->gradient);
        y->gradient = NULL;
    }
    if (releasing && n->done) {
        tsr_storage_drop(ctx, y->storage);
        y->storage = NULL;
    }
}

static bool walk(tsr_tensor *y, tsr_storage *cotangent, bool releasing)
{
    tsr_context *ctx = y->ctx;
    if (!cotangent) return false;
    ctx->pass++;
    tsr_gather(y, cotangent);
    TSR_NO_GRAD(ctx)
        for (tsr_node *n = y->node; n; n = n->previous) {
            if (n->pass != ctx->pass) continue;
            if (may_run(n)) run_backward(n);
            give_back(n, releasing && n->output != y);
            if (!ctx->failed) tsr_scope_sweep(ctx); /* else the scope may not be the walk's own */
        }
    return !ctx->failed;
}

static bool can_start(const tsr_tensor *y, const char *what)
{
    if (!y || y->ctx->failed || !tsr_data(y)) return false;
    if (y->node) return true;
    tsr_fail(y->ctx, "%s: nothing to differentiate: %s %s depends on no parameter, or its scope has ended", what,
             y->maker ? y->maker : "data", tsr_shape_text(y->shape).text);
    return false;
}

static bool backward_scalar(tsr_tensor *loss, bool releasing)
{
    if (!can_start(loss, "backward")) return false;
    if (loss->size != 1) {
        tsr_fail(loss->ctx, "backward: needs a loss of a single value, got %s", tsr_shape_text(loss->shape).text);
        return false;
    }
    tsr_storage *one = tsr_storage_new(loss->ctx, 1, "backward");
    if (one) one->data[0] = 1;
    return walk(loss, one, releasing);
}

bool tsr_backward(tsr_tensor *loss)
{
    return backward_scalar(loss, false);
}

bool tsr_backward_releasing(tsr_tensor *loss)
{
    return backward_scalar(loss, true);
}

static bool backward_from(tsr_tensor *y, tsr_tensor *cotangent, const char *what)
{
    if (!can_start(y, what)) return false;
    if (tsr_is_error(cotangent) || !cotangent->storage) {
        tsr_fail(y->ctx, "%s: there is no cotangent", what);
        return false;
    }
    if (cotangent->ctx != y->ctx || !tsr_same_shape(cotangent->shape, y->shape)) {
        tsr_fail(y->ctx, "%s: a cotangent %s for a result %s%s", what, tsr_shape_text(cotangent->shape).text,
                 tsr_shape_text(y->shape).text, cotangent->ctx != y->ctx ? " of another context" : "");
        return false;
    }
    cotangent->storage->references++;
    return walk(y, cotangent->storage, false);
}

bool tsr_backward_from(tsr_tensor *y, tsr_tensor *cotangent)
{
    return backward_from(y, cotangent, "backward_from");
}

bool tsr_deconvnet_from(tsr_tensor *y, tsr_tensor *cotangent)
{
    if (tsr_is_error(y)) return false;
    y->ctx->deconvnet = true;
    const bool done = backward_from(y, cotangent, "deconvnet_from");
    y->ctx->deconvnet = false;
    return done;
}

/* ---- what wants a gradient --------------------------------------------------------------------------------------- */

tsr_tensor *tsr_watch(tsr_tensor *t)
{
    if (tsr_is_error(t)) return t;
    if (t->node) return tsr_fail(t->ctx, "watch: %s computed this tensor; only data can be watched", t->maker);
    t->needs_grad = true;
    return t;
}

tsr_tensor *tsr_retain_grad(tsr_tensor *t)
{
    if (!tsr_is_error(t)) t->retains_grad = true;
    return t;
}

tsr_tensor *tsr_grad(tsr_tensor *t)
{
    if (tsr_is_error(t) || !t->gradient) return NULL;
    t->gradient->references++;
    tsr_tensor *g = tsr_tensor_new(t->ctx, &t->shape, t->size, t->gradient);
    return g ? g : &t->ctx->error_tensor;
}

void tsr_zero_grad(tsr_tensor *t)
{
    if (tsr_is_error(t)) return;
    tsr_storage_drop(t->ctx, t->gradient);
    t->gradient = NULL;
}

bool tsr_needs_grad(const tsr_tensor *t)
{
    return t && t->needs_grad;
}

tsr_tensor *tsr_detach(tsr_tensor *t)
{
    static const tsr_op detach_op = {.name = "detach"};
    tsr_node *n = tsr_begin(&detach_op, TSR_INPUTS(t));
    tsr_output_view(n, 0, tsr_shape_of(t));
    return tsr_end(n);
}

/* The exponent of an infinity or NaN is all ones: x - x is 0 for every other value. Whole numbers add up in any order,
 * so the compiler does several at once. */
bool tsr_all_finite(const tsr_real *values, int64_t count)
{
    int wrong = 0;
    for (int64_t i = 0; i < count; i++) wrong |= values[i] - values[i] != 0;
    return !wrong;
}
