#include "core/core_internal.h"

#ifdef _OPENMP
#include <omp.h>
#endif

int64_t tsr_grain(double cost)
{
    const double enough = 32768; /* values or operations: some microseconds, well above waking a thread */
    if (!(cost > 1e-9)) cost = 1;
    return cost >= enough ? 1 : (int64_t)(enough / cost);
}

static void run_piece(tsr_loop_body body, void *user, int64_t piece, int64_t grain, int64_t count)
{
    const int64_t begin = piece * grain, end = begin + grain;
    body(user, begin, end < count ? end : count);
}

void tsr_parallel(tsr_context *ctx, int64_t count, int64_t grain, tsr_loop_body body, void *user)
{
    if (count <= 0 || !body) return;
    if (grain < 1) grain = 1;
    if (count <= grain) {
        body(user, 0, count);
        return;
    }
    const int64_t pieces = (count - 1) / grain + 1;
#ifdef _OPENMP
    const int threads = tsr_threads(ctx) < pieces ? tsr_threads(ctx) : (int)pieces;
    if (threads > 1) { /* entering a parallel region, even of one thread, costs half a microsecond */
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int64_t piece = 0; piece < pieces; piece++) run_piece(body, user, piece, grain, count);
        return;
    }
#else
    (void)ctx;
#endif
    for (int64_t piece = 0; piece < pieces; piece++) run_piece(body, user, piece, grain, count);
}

int tsr_parallel_slot(const tsr_context *ctx)
{
#ifdef _OPENMP
    return omp_get_thread_num() % tsr_threads(ctx); /* a caller's own parallel region may have more threads */
#else
    (void)ctx;
    return 0;
#endif
}
