/* What this machine can do at most, measured in the same run as all else: the best of a few rounds. */
#include "core/platform.h"
#include "tests/bench/bench.h"

#include <stdlib.h>

enum { ROUNDS = 11, CHAINS = 12, STEPS = 200000, MOST_THREADS = 256, TRIAD = (18 << 20) / sizeof(tsr_real) };

/* Runs body over `count` indices in pieces of `grain`, ROUNDS times: seconds of the quickest. */
static double quickest(int threads, int64_t count, int64_t grain, tsr_loop_body body, void *user)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.threads = threads});
    double best = 1e30;
    for (int round = 0; round < ROUNDS; round++) {
        const double start = tsr_platform_seconds();
        tsr_parallel(ctx, count, grain, body, user);
        const double seconds = tsr_platform_seconds() - start;
        if (seconds < best) best = seconds;
    }
    tsr_close(ctx);
    return best;
}

/* ---- multiply-add ------------------------------------------------------------------------------------------------ */

/* Twelve independent chains of a = a x + y hide the latency of the one instruction that makes a step. */
#if defined(__clang__)
#define CONTRACT
#define CONTRACT_HERE _Pragma("clang fp contract(fast)")
#define UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define CONTRACT __attribute__((optimize("fp-contract=fast")))
#define CONTRACT_HERE
#define UNROLL _Pragma("GCC unroll 12")
#endif

#ifdef __GNUC__
#define CHAINS_OF(name, bytes, target)                                                                                 \
    typedef tsr_real name##_vector __attribute__((vector_size(bytes)));                                                \
    target CONTRACT static tsr_real name(void)                                                                         \
    {                                                                                                                  \
        CONTRACT_HERE                                                                                                  \
        name##_vector a[CHAINS], zero = {0}, x = zero + (tsr_real)0.999, y = zero + (tsr_real)0.001;                   \
        UNROLL for (int i = 0; i < CHAINS; i++) a[i] = y * (tsr_real)i;                                                \
        for (int k = 0; k < STEPS; k++) UNROLL for (int i = 0; i < CHAINS; i++) a[i] = a[i] * x + y;                   \
        UNROLL for (int i = 1; i < CHAINS; i++) a[0] += a[i];                                                          \
        return a[0][0];                                                                                                \
    }
CHAINS_OF(chains, 16, )
#else
static tsr_real chains(void)
{
    tsr_real a[CHAINS] = {0};
    for (int k = 0; k < STEPS; k++)
        for (int i = 0; i < CHAINS; i++) a[i] = a[i] * (tsr_real)0.999 + (tsr_real)0.001;
    return a[0] + a[CHAINS - 1];
}
#endif
#if defined(__GNUC__) && defined(__x86_64__)
CHAINS_OF(chains_avx2, 32, __attribute__((target("avx2,fma"))))
CHAINS_OF(chains_avx512, 64, __attribute__((target("avx512f"))))
#endif

typedef struct chain_job {
    tsr_real (*run)(void);
    tsr_real sums[MOST_THREADS]; /* kept, so that nothing is optimised away */
} chain_job;

static void chain_body(void *user, int64_t begin, int64_t end)
{
    chain_job *job = user;
    for (int64_t i = begin; i < end; i++) job->sums[i] = job->run();
}

double bench_peak(int threads)
{
    chain_job job = {.run = chains};
    int bytes = 16;
#if defined(__GNUC__) && defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) job.run = chains_avx2, bytes = 32;
    if (__builtin_cpu_supports("avx512f")) job.run = chains_avx512, bytes = 64;
#endif
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    const double operations = 2.0 * CHAINS * STEPS * threads * bytes / (int)sizeof(tsr_real);
    return 1e-9 * operations / quickest(threads, threads, 1, chain_body, &job);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

typedef struct triad {
    tsr_real *a, *b, *c;
} triad;

static void fill_body(void *user, int64_t begin, int64_t end)
{
    const triad *t = user;
    for (int64_t i = begin; i < end; i++) t->a[i] = t->b[i] = t->c[i] = 1; /* pages of their own */
}

static void triad_body(void *user, int64_t begin, int64_t end)
{
    const triad *t = user;
    tsr_real *restrict a = t->a;
    for (int64_t i = begin; i < end; i++) a[i] = t->b[i] + 3 * t->c[i];
}

double bench_triad(int threads)
{
    tsr_real *memory = malloc(3 * (size_t)TRIAD * sizeof *memory);
    if (!memory) return 0;
    triad t = {memory, memory + TRIAD, memory + 2 * TRIAD};
    fill_body(&t, 0, TRIAD);
    const double seconds = quickest(threads, TRIAD, (TRIAD + threads - 1) / threads, triad_body, &t);
    free(memory);
    return 1e-9 * 3 * TRIAD * sizeof *memory / seconds;
}
