#include "core/core_internal.h"

#ifdef _OPENMP
#include <omp.h>
#endif

int64_t tsr_grain(double cost)
{
    const double enough = 32768; /* values or operations: some microseconds, well above waking a thread */
    if (!(cost > 0)) cost = 1;
    return cost >= enough ? 1 : (int64_t)(enough / cost);
}

void tsr_parallel(tsr_context *ctx, int64_t count, int64_t grain, tsr_loop_body body, void *user)
{
    if (count <= 0) return;
    if (grain < 1) grain = 1;
    const int64_t pieces = (count - 1) / grain + 1;
    if (pieces == 1) { /* entering a parallel region, even of one thread, costs half a microsecond */
        body(user, 0, count);
        return;
    }
#ifdef _OPENMP
    const int threads = tsr_threads(ctx) < pieces ? tsr_threads(ctx) : (int)pieces;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
#else
    (void)ctx;
#endif
    for (int64_t piece = 0; piece < pieces; piece++) {
        const int64_t begin = piece * grain;
        body(user, begin, piece + 1 == pieces ? count : begin + grain);
    }
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
