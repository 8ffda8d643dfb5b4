/* Plain loops that the compiler turns into vectors, compiled once per instruction set:
 *
 *     static TSR_LOOP(halve) { ... a tsr_loop_body ... }          makes halve[TSR_LEVELS], an array of functions;
 *     tsr_parallel(ctx, count, grain, halve[ctx->kernels->level], &job);
 * As nothing is contracted to fused multiply-adds, all of them give the same bits. */
#ifndef TESSERA_CORE_LEVELS_H
#define TESSERA_CORE_LEVELS_H

#include "core/parallel.h"

#ifdef __GNUC__
#define TSR_INLINE inline __attribute__((always_inline)) /* into callers of any instruction set */
#else
#define TSR_INLINE inline
#endif

/* Before a loop: no turn of it reads what another writes (it may write where it reads). */
#if defined(__clang__)
#define TSR_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#pragma clang diagnostic ignored "-Wpass-failed" /* not every such loop can be done several at once: libm's in double */
#elif defined(__GNUC__)
#define TSR_INDEPENDENT _Pragma("GCC ivdep")
#else
#define TSR_INDEPENDENT
#endif

/* GCC does not align the stack of a Windows program for vectors of more than 16 bytes, but takes it to be aligned. */
#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__)) && (!defined(_WIN32) || defined(__clang__))
#define TSR_WIDE_X86 1
#endif

/* static TSR_PER_LEVEL(type, name, (parameters), (arguments)) { body } defines `static const type name[TSR_LEVELS]`. */
#ifdef TSR_WIDE_X86
enum { TSR_LEVEL_BASE, TSR_LEVEL_AVX2, TSR_LEVEL_AVX512, TSR_LEVELS };
#define TSR_AVX2_LOOP __attribute__((target("avx2")))
#ifdef __clang__
#define TSR_AVX512_LOOP __attribute__((target("avx512f"), min_vector_width(512)))
#else
#define TSR_AVX512_LOOP __attribute__((target("avx512f,prefer-vector-width=512")))
#endif
#define TSR_PER_LEVEL(type, name, parameters, arguments)                                                             \
    TSR_INLINE void name##_body parameters;                                                                          \
    static void name##_base parameters { name##_body arguments; }                                                    \
    TSR_AVX2_LOOP static void name##_avx2 parameters { name##_body arguments; }                                      \
    TSR_AVX512_LOOP static void name##_avx512 parameters { name##_body arguments; }                                  \
    static const type name[TSR_LEVELS] = {name##_base, name##_avx2, name##_avx512};                                  \
    static TSR_INLINE void name##_body parameters
#else
enum { TSR_LEVEL_BASE, TSR_LEVELS };
#define TSR_LEVEL_AVX2 TSR_LEVEL_BASE
#define TSR_LEVEL_AVX512 TSR_LEVEL_BASE
#define TSR_PER_LEVEL(type, name, parameters, arguments)                                                             \
    TSR_INLINE void name##_body parameters;                                                                          \
    static void name##_base parameters { name##_body arguments; }                                                    \
    static const type name[TSR_LEVELS] = {name##_base};                                                              \
    static TSR_INLINE void name##_body parameters
#endif

#define TSR_LOOP(name)                                                                                               \
    TSR_PER_LEVEL(tsr_loop_body, name, (void *user, int64_t begin, int64_t end), (user, begin, end))

/* For sizes of pieces. */
static inline int64_t tsr_smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t tsr_larger(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t tsr_round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

#endif
