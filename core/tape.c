/* A call of an op, from tsr_begin to tsr_end, and the node it leaves on the tape. */
#include "core/core_internal.h"
#include "core/platform.h"

#include <stdarg.h>
#include <string.h>

/* What a call gets where there is no context at all. Never written to: every function stops at `dead`. */
static const tsr_node nowhere = {.dead = true};

static size_t node_bytes(int count)
{
    return sizeof(tsr_node) + (size_t)count * sizeof(tsr_node_input);
}

/* Whether `t` may be input i. */
static bool usable(tsr_context *ctx, const tsr_op *op, int i, const tsr_tensor *t)
{
    if (t && t->ctx == ctx && t->storage && t != &ctx->error_tensor) return true;
    if (!t && i < 32 && (op->optional >> i & 1u)) return true;
    if (!t) tsr_fail(ctx, "%s: input %d is NULL", op->name, i);
    else if (t->ctx != ctx) tsr_fail(ctx, "%s: input %d belongs to another context", op->name, i);
    else if (t->storage) tsr_fail(ctx, "%s: input %d is the error tensor of an earlier failure", op->name, i);
    else
        tsr_fail(ctx, "%s: input %d, a result of %s, was given back by tsr_backward_releasing", op->name, i,
                 t->maker ? t->maker : "data");
    return false;
}

tsr_node *tsr_begin(const tsr_op *op, int count, tsr_tensor *const *inputs)
{
    tsr_context *ctx = NULL;
    for (int i = 0; i < count && inputs && !ctx; i++) ctx = inputs[i] ? inputs[i]->ctx : NULL;
    if (!ctx) return (tsr_node *)&nowhere;
    if (!op) tsr_fail(ctx, "begin: the op is NULL");
    if (!op || ctx->failed) return &ctx->dead;
    tsr_node *n = tsr_pool_take(&ctx->pool, node_bytes(count));
    if (!n) {
        tsr_fail_memory(ctx, op->name, node_bytes(count));
        return &ctx->dead;
    }
    memset(n, 0, offsetof(tsr_node, cotangent)); /* the large rest is filled in where it is needed */
    n->cotangent.storage = NULL;
    n->op = op;
    n->ctx = ctx;
    n->count = count;
    n->scratch_mark = ctx->scratch;
    n->inputs = (tsr_node_input *)(void *)(n + 1);
    const bool records = ctx->recording && op->backward;
    for (int i = 0; i < count; i++) {
        tsr_tensor *t = inputs[i];
        if (!usable(ctx, op, i, t)) {
            tsr_pool_give(&ctx->pool, n, node_bytes(count));
            return &ctx->dead;
        }
        n->inputs[i] = (tsr_node_input){.tensor = t, .version = t ? t->storage->version : 0};
        if (t && t->needs_grad) n->records = records;
    }
    if (ctx->options.profile) n->start = tsr_platform_seconds();
    return n;
}

bool tsr_dead(const tsr_node *n)
{
    return !n || n->dead;
}

static void node_free(tsr_node *n)
{
    tsr_pieces_release(n->ctx, &n->saved, NULL);
    tsr_pool_give(&n->ctx->pool, n, node_bytes(n->count));
}

/* Ends a call that failed. */
static tsr_tensor *give_up(tsr_node *n)
{
    tsr_context *ctx = tsr_node_context(n);
    if (!ctx || n == &ctx->dead) return tsr_result(n);
    tsr_pieces_release(ctx, &ctx->scratch, n->scratch_mark);
    if (n->output) tsr_tensor_free(n->output);
    node_free(n);
    return &ctx->error_tensor;
}

tsr_text tsr_layer_name(const tsr_node *n)
{
    tsr_text name;
    const char *parameter = NULL;
    for (int i = 0; i < n->count && !parameter; i++) {
        const tsr_tensor *t = n->inputs[i].tensor;
        if (t && t->depth == TSR_OWNED) parameter = t->maker;
    }
    const char *end = parameter ? strrchr(parameter, '.') : NULL;
    const int length = end ? (int)(end - parameter) : 0;
    snprintf(name.text, sizeof name.text, "%.*s", length, length ? parameter : "");
    return name;
}

tsr_text tsr_call_name(const tsr_node *n)
{
    tsr_text name;
    const tsr_text layer = tsr_layer_name(n);
    snprintf(name.text, sizeof name.text, layer.text[0] ? "%.60s (%.120s)" : "%.60s", n->op->name, layer.text);
    return name;
}

tsr_tensor *tsr_reject(tsr_node *n, const char *format, ...)
{
    if (!tsr_dead(n)) {
        char text[400];
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        tsr_fail(n->ctx, "%s: %s", tsr_call_name(n).text, text);
        n->dead = true;
    }
    return give_up(n);
}

tsr_real *tsr_output(tsr_node *n, tsr_shape shape)
{
    if (tsr_dead(n)) return NULL;
    n->output = tsr_tensor_empty(n->ctx, &shape, n->op->name);
    if (!n->output) {
        n->dead = true;
        return NULL;
    }
    return n->output->storage->data;
}

void tsr_output_view(tsr_node *n, int i, tsr_shape shape)
{
    if (tsr_dead(n)) return;
    const tsr_tensor *x = tsr_input(n, i);
    if (!x || tsr_shape_size(shape) != x->size) {
        tsr_fail(n->ctx, "%s: input %d cannot be seen as %s", n->op->name, i, tsr_shape_text(shape).text);
        n->dead = true;
        return;
    }
    x->storage->references++;
    n->output = tsr_tensor_new(n->ctx, &shape, x->size, x->storage);
    if (!n->output) n->dead = true;
}

tsr_tensor *tsr_end(tsr_node *n)
{
    if (tsr_dead(n) || !n->output) {
        if (!tsr_dead(n)) tsr_fail(n->ctx, "%s: the op made no result", n->op->name);
        return give_up(n);
    }
    tsr_context *ctx = n->ctx;
    tsr_tensor *y = n->output;
    y->maker = n->op->name;
    ctx->work += n->work;
    if (ctx->options.profile) tsr_profile_add(n, false);
    tsr_pieces_release(ctx, &ctx->scratch, n->scratch_mark);
    if (ctx->options.trap && !tsr_all_finite(y->storage->data, y->size)) {
        tsr_fail(ctx, "%s: the result %s has a value that is not finite", tsr_call_name(n).text,
                 tsr_shape_text(y->shape).text);
        return give_up(n);
    }
    if (!n->records) {
        node_free(n);
        return y;
    }
    y->node = n;
    y->needs_grad = true;
    n->previous = ctx->tape;
    if (ctx->tape) ctx->tape->next = n;
    ctx->tape = n;
    return y;
}

void tsr_node_drop(tsr_node *n)
{
    tsr_context *ctx = n->ctx;
    if (n->previous) n->previous->next = n->next;
    if (n->next) n->next->previous = n->previous;
    else ctx->tape = n->previous;
    n->output->node = NULL;
    n->output->needs_grad = false;
    node_free(n);
}

/* ---- memory of a call -------------------------------------------------------------------------------------------- */

/* Takes `bytes` for a node, the first of `list` from now on. */
static void *new_piece(tsr_node *n, size_t bytes, tsr_piece **list)
{
    tsr_piece *piece = bytes < SIZE_MAX / 8 ? tsr_pool_take(&n->ctx->pool, bytes + TSR_HEAD) : NULL;
    if (!piece) {
        tsr_fail_memory(n->ctx, n->op->name, bytes);
        n->dead = true;
        return NULL;
    }
    *piece = (tsr_piece){.next = *list, .bytes = bytes + TSR_HEAD};
    *list = piece;
    return (unsigned char *)piece + TSR_HEAD;
}

void tsr_pieces_release(tsr_context *ctx, tsr_piece **list, const tsr_piece *end)
{
    while (*list != end) {
        tsr_piece *piece = *list;
        *list = piece->next;
        tsr_pool_give(&ctx->pool, piece, piece->bytes);
    }
}

void *tsr_save(tsr_node *n, size_t bytes)
{
    if (tsr_dead(n)) return NULL;
    const bool fits = !n->first_saved && bytes <= sizeof n->room;
    void *memory = fits ? n->room : new_piece(n, bytes, &n->saved);
    if (!n->first_saved) n->first_saved = memory;
    return memory ? memset(memory, 0, bytes) : NULL;
}

void *tsr_saved(const tsr_node *n)
{
    return tsr_dead(n) ? NULL : n->first_saved;
}

void *tsr_scratch(tsr_node *n, size_t bytes)
{
    return tsr_dead(n) ? NULL : new_piece(n, bytes, &n->ctx->scratch);
}

/* ---- looking at a call ------------------------------------------------------------------------------------------- */

bool tsr_wants(const tsr_node *n, int i)
{
    if (tsr_dead(n) || !n->records || i >= n->count) return false;
    return i < 0 || (n->inputs[i].tensor && n->inputs[i].tensor->needs_grad);
}

void tsr_count_work(tsr_node *n, double multiply_adds)
{
    if (!tsr_dead(n)) n->work += multiply_adds;
}

tsr_context *tsr_node_context(const tsr_node *n)
{
    return n ? n->ctx : NULL;
}

int tsr_input_count(const tsr_node *n)
{
    return n ? n->count : 0;
}

tsr_tensor *tsr_input(const tsr_node *n, int i)
{
    return tsr_dead(n) || i < 0 || i >= n->count ? NULL : n->inputs[i].tensor;
}

tsr_tensor *tsr_result(const tsr_node *n)
{
    return n ? n->output : NULL;
}
