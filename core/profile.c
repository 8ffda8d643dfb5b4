/* The op profiler of tsr_options.profile. */
#include "core/core_internal.h"
#include "core/platform.h"

#include <string.h>

static tsr_profile_entry *entry_of(tsr_context *ctx, const tsr_op *op)
{
    for (int i = 0; i < ctx->profile_count; i++)
        if (ctx->profile[i].op == op) return &ctx->profile[i];
    if (ctx->profile_count == ctx->profile_capacity) {
        const size_t old_bytes = (size_t)ctx->profile_capacity * sizeof *ctx->profile;
        const int capacity = ctx->profile_capacity ? 2 * ctx->profile_capacity : 32;
        tsr_profile_entry *more = tsr_pool_take(&ctx->pool, (size_t)capacity * sizeof *more);
        if (!more) return NULL; /* not worth an error: this op goes unmeasured */
        if (old_bytes) memcpy(more, ctx->profile, old_bytes);
        if (old_bytes) tsr_release(ctx, ctx->profile, old_bytes);
        ctx->profile = more;
        ctx->profile_capacity = capacity;
    }
    tsr_profile_entry *entry = &ctx->profile[ctx->profile_count++];
    *entry = (tsr_profile_entry){.op = op};
    return entry;
}

void tsr_profile_add(tsr_node *n, bool backward)
{
    tsr_profile_entry *entry = entry_of(n->ctx, n->op);
    if (!entry) return;
    const double seconds = tsr_platform_seconds() - n->start;
    if (backward) {
        entry->backward_calls++;
        entry->backward_seconds += seconds;
        entry->backward_work += n->work;
    } else {
        entry->calls++;
        entry->seconds += seconds;
        entry->work += n->work;
    }
}

static double total(const tsr_profile_entry *entry)
{
    return entry->seconds + entry->backward_seconds;
}

static double gflops(double work, double seconds)
{
    return seconds > 0 ? 2e-9 * work / seconds : 0;
}

void tsr_profile_print(const tsr_context *ctx, FILE *out)
{
    if (!ctx || ctx->profile_count == 0) return;
    fprintf(out, "%-20s %8s %10s %9s %8s %10s %9s\n", "op", "calls", "forward s", "GFLOP/s", "calls", "backward s",
            "GFLOP/s");
    double limit = 1e300;
    const tsr_profile_entry *previous = NULL;
    for (int line = 0; line < ctx->profile_count; line++) { /* the slowest not yet printed; few enough for n^2 */
        const tsr_profile_entry *next = NULL;
        for (int i = 0; i < ctx->profile_count; i++) {
            const tsr_profile_entry *e = &ctx->profile[i];
            const bool after = total(e) < limit || (total(e) == limit && e > previous);
            if (after && (!next || total(e) > total(next))) next = e;
        }
        if (!next) break;
        fprintf(out, "%-20s %8lld %10.4f %9.2f %8lld %10.4f %9.2f\n", next->op->name, (long long)next->calls,
                next->seconds, gflops(next->work, next->seconds), (long long)next->backward_calls,
                next->backward_seconds, gflops(next->backward_work, next->backward_seconds));
        limit = total(next);
        previous = next;
    }
}
