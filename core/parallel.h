/* Parallel loops, in one place. A loop is cut into pieces of `grain` by its length alone, never by the number of
 * threads, so that a sum over pieces taken in piece order has the same bits for any number of threads. */
#ifndef TESSERA_CORE_PARALLEL_H
#define TESSERA_CORE_PARALLEL_H

#include "core/context.h"

/* Calls body(user, begin, end) for [0, grain), [grain, 2 grain), ... up to `count`, on the context's threads; a single
 * piece runs on the caller's. The body may not use the context. piece number = begin / grain. */
typedef void (*tsr_loop_body)(void *user, int64_t begin, int64_t end);
void tsr_parallel(tsr_context *ctx, int64_t count, int64_t grain, tsr_loop_body body, void *user);

/* In a body: which of the context's threads runs it, in [0, tsr_threads(ctx)), for memory that bodies running at the same
 * time must not share. What is computed may not depend on it. */
int tsr_parallel_slot(const tsr_context *ctx);

/* A grain for work of `cost` floating-point operations (or values moved) per index: enough to be worth a thread. */
int64_t tsr_grain(double cost);

#endif
