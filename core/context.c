/* Opening and closing, errors, scopes, statistics. */
#include "core/core_internal.h"
#include "core/kernels/kernels.h"
#include "core/platform.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

static int default_threads(void)
{
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return 1;
#endif
}

tsr_context *tsr_open(const tsr_options *options)
{
    const tsr_options chosen = options ? *options : (tsr_options){0};
    tsr_pool pool;
    tsr_pool_open(&pool, chosen.allocator);
    tsr_context *ctx = tsr_pool_take(&pool, sizeof *ctx);
    if (!ctx) {
        tsr_pool_close(&pool);
        return NULL;
    }
    memset(ctx, 0, sizeof *ctx);
    ctx->pool = pool;
    ctx->options = chosen;
    if (ctx->options.threads <= 0) ctx->options.threads = default_threads();
    ctx->recording = true;
    ctx->kernels = tsr_kernels_choose(ctx->options.precision);

    ctx->error_value = (tsr_real)NAN;
    ctx->error_storage = (tsr_storage){.data = &ctx->error_value, .bytes = sizeof ctx->error_value, .references = 1};
    ctx->error_tensor = (tsr_tensor){.ctx = ctx, .storage = &ctx->error_storage, .depth = TSR_OWNED, .size = 1};
    ctx->dead = (tsr_node){.ctx = ctx, .output = &ctx->error_tensor, .dead = true};

    ctx->scope_capacity = 16;
    ctx->scopes = tsr_allocate(ctx, 16 * sizeof *ctx->scopes, "opening");
    if (!ctx->scopes) {
        tsr_close(ctx);
        return NULL;
    }
    return ctx;
}

int tsr_close(tsr_context *ctx)
{
    if (!ctx) return 1;
    const int status = ctx->failed ? 1 : 0;
    while (ctx->closers) {
        tsr_closer *closer = ctx->closers;
        ctx->closers = closer->next;
        closer->close(closer);
    }
    tsr_pool pool = ctx->pool; /* the context itself lies in it */
    tsr_pool_close(&pool);
    return status;
}

/* ---- errors ----------------------------------------------------------------------------------------------------- */

const char *tsr_error(const tsr_context *ctx)
{
    if (!ctx) return "out of memory";
    return ctx->failed ? ctx->message : NULL;
}

void tsr_clear_error(tsr_context *ctx)
{
    if (ctx) ctx->failed = false;
}

tsr_tensor *tsr_fail(tsr_context *ctx, const char *format, ...)
{
    if (!ctx) return NULL;
    if (!ctx->failed) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(ctx->message, sizeof ctx->message, format, arguments);
        va_end(arguments);
        ctx->failed = true;
    }
    return &ctx->error_tensor;
}

tsr_tensor *tsr_error_tensor(tsr_context *ctx)
{
    return ctx ? &ctx->error_tensor : NULL;
}

void tsr_fail_memory(tsr_context *ctx, const char *what, size_t bytes)
{
    tsr_fail(ctx, "out of memory: %s needs %zu bytes more, %zu are in use", what, bytes, ctx->pool.statistics.bytes);
}

void *tsr_allocate(tsr_context *ctx, size_t bytes, const char *what)
{
    void *block = tsr_pool_take(&ctx->pool, bytes);
    if (!block) {
        tsr_fail_memory(ctx, what, bytes);
        return NULL;
    }
    return memset(block, 0, bytes);
}

void tsr_release(tsr_context *ctx, void *block, size_t bytes)
{
    tsr_pool_give(&ctx->pool, block, bytes);
}

/* ---- what was asked for ------------------------------------------------------------------------------------------ */

uint64_t tsr_seed(const tsr_context *ctx)
{
    return ctx ? ctx->options.seed : 0;
}

int tsr_threads(const tsr_context *ctx)
{
    return ctx ? ctx->options.threads : 1;
}

void tsr_set_trap(tsr_context *ctx, bool trap)
{
    if (ctx) ctx->options.trap = trap;
}

tsr_precision tsr_precision_of(const tsr_context *ctx)
{
    return ctx ? ctx->options.precision : TSR_HIGH;
}

int64_t tsr_step_count(const tsr_context *ctx)
{
    return ctx ? ctx->step_count : 0;
}

void tsr_set_step_count(tsr_context *ctx, int64_t steps)
{
    if (!ctx) return;
    ctx->step_count = steps;
    ctx->draw_count = 0;
}

/* ---- scopes ------------------------------------------------------------------------------------------------------ */

tsr_scope tsr_scope_begin(tsr_context *ctx, bool no_grad)
{
    if (!ctx) return (tsr_scope){0};
    if (ctx->depth + 1 == ctx->scope_capacity) {
        const size_t old_bytes = (size_t)ctx->scope_capacity * sizeof *ctx->scopes;
        tsr_scope_record *more = tsr_allocate(ctx, 2 * old_bytes, "a scope");
        if (!more) return (tsr_scope){.ctx = ctx, .depth = ctx->depth + 1}; /* an error sticks */
        memcpy(more, ctx->scopes, old_bytes);
        tsr_release(ctx, ctx->scopes, old_bytes);
        ctx->scopes = more;
        ctx->scope_capacity *= 2;
    }
    ctx->depth++;
    ctx->scopes[ctx->depth] = (tsr_scope_record){.tape_mark = ctx->tape, .recording = ctx->recording};
    if (no_grad) ctx->recording = false;
    return (tsr_scope){.ctx = ctx, .depth = ctx->depth};
}

void tsr_scope_sweep(tsr_context *ctx)
{
    tsr_scope_record *record = &ctx->scopes[ctx->depth];
    while (record->tensors) tsr_tensor_free(record->tensors);
}

void tsr_scope_end(tsr_scope *scope)
{
    if (!scope) return;
    tsr_context *ctx = scope->ctx;
    scope->ended = true;
    while (ctx && ctx->depth >= scope->depth) {
        const tsr_scope_record *record = &ctx->scopes[ctx->depth];
        while (ctx->tape != record->tape_mark) tsr_node_drop(ctx->tape);
        tsr_scope_sweep(ctx);
        ctx->recording = record->recording;
        ctx->depth--;
    }
}

/* ---- statistics -------------------------------------------------------------------------------------------------- */

tsr_statistics tsr_statistics_of(const tsr_context *ctx)
{
    return ctx ? ctx->pool.statistics : (tsr_statistics){0};
}

void tsr_reset_peak(tsr_context *ctx)
{
    if (ctx) ctx->pool.statistics.peak_bytes = ctx->pool.statistics.bytes;
}

void tsr_trim(tsr_context *ctx)
{
    if (ctx) tsr_pool_trim(&ctx->pool);
}
