/* The tables of kernels, one per instruction set, and the choice between them. */
#include "core/kernels/kernels.h"

#include <stdlib.h>
#include <string.h>

/* ---- plain C ------------------------------------------------------------------------------------------- */

enum { PLAIN_ROWS = 4, PLAIN_COLUMNS = 8 };

static void plain_tile(const tsr_tile *t)
{
    tsr_real sum[PLAIN_ROWS][PLAIN_COLUMNS] = {{0}};
    const tsr_real *a = t->a, *b = t->b;
    for (int64_t k = 0; k < t->depth; k++, a += t->a_step, b += t->b_step)
        for (int i = 0; i < t->rows; i++)
            for (int j = 0; j < PLAIN_COLUMNS; j++) sum[i][j] += a[i * t->a_row] * b[j];
    for (int i = 0; i < t->rows; i++)
        for (int j = 0; j < PLAIN_COLUMNS; j++) {
            tsr_real *c = t->c + i * t->stride + j, v = sum[i][j];
            if (t->accumulate) v += *c;
            if (t->bias) v += t->bias[j];
            if (t->relu && v < 0) v = 0;
            *c = v;
        }
}

/* ---- vectors ------------------------------------------------------------------------------------------- */

#define LEVEL plain
#define LEVEL_TARGET
#define LEVEL_ROWS PLAIN_ROWS
#define LEVEL_COLUMNS PLAIN_COLUMNS
#include "core/kernels/level.h"

/* The products want a * b + c as one operation, which the rest of the library must not. */
#if defined(__clang__)
#define CONTRACT_ATTRIBUTE
#define TILE_CONTRACT _Pragma("clang fp contract(fast)")
#define TILE_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define CONTRACT_ATTRIBUTE __attribute__((optimize("fp-contract=fast")))
#define TILE_CONTRACT
#define TILE_UNROLL _Pragma("GCC unroll 16")
#endif

#ifdef __GNUC__
#define LEVEL baseline
#define LEVEL_TARGET
#define LEVEL_BYTES 16
#define LEVEL_ROWS 6
#include "core/kernels/level.h"
#endif

#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
#define LEVEL avx2
#define LEVEL_TARGET __attribute__((target("avx2,fma")))
#define LEVEL_BYTES 32
#define LEVEL_ROWS 6
#include "core/kernels/level.h"

#ifdef __clang__ /* would otherwise cut each vector in two */
#define WIDE_ATTRIBUTE __attribute__((min_vector_width(512)))
#else
#define WIDE_ATTRIBUTE
#endif
#define LEVEL avx512
#define LEVEL_TARGET WIDE_ATTRIBUTE __attribute__((target("avx512f")))
#define LEVEL_BYTES 64
#define LEVEL_ROWS 14
#include "core/kernels/level.h"
#define HAVE_X86 1
#endif

/* ---- the choice ---------------------------------------------------------------------------------------- */

static const tsr_kernels *const tables[] = {
    &plain_kernels,
#ifdef __GNUC__
    &baseline_kernels,
#endif
#ifdef HAVE_X86
    &avx2_kernels,
    &avx512_kernels,
#endif
};
enum { TABLES = sizeof tables / sizeof *tables };

static bool runs_here(const tsr_kernels *table)
{
#ifdef HAVE_X86
    if (table == &avx2_kernels) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (table == &avx512_kernels) return __builtin_cpu_supports("avx512f");
#endif
    (void)table;
    return true;
}

const tsr_kernels *tsr_kernels_list(int i)
{
    for (int k = 0; k < (int)TABLES; k++)
        if (runs_here(tables[k]) && i-- == 0) return tables[k];
    return NULL;
}

const tsr_kernels *tsr_kernels_choose(void)
{
    const char *wanted = getenv("TSR_KERNELS");
    const tsr_kernels *best = tables[0];
    for (int i = 0; tsr_kernels_list(i); i++) {
        best = tsr_kernels_list(i);
        if (wanted && strcmp(wanted, best->name) == 0) break;
    }
    return best;
}
