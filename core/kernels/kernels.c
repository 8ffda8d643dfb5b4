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

/* The kernels want a * b + c as one operation, which the rest of the library must not. */
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
#define TILE_NAME baseline_tile
#define TILE_TARGET CONTRACT_ATTRIBUTE
#define TILE_BYTES 16
#define TILE_ROWS 6
#include "core/kernels/tile.h"
enum { BASELINE_ROWS = 6, BASELINE_COLUMNS = 2 * 16 / sizeof(tsr_real) };
#endif

#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
#define TILE_NAME avx2_tile
#define TILE_TARGET CONTRACT_ATTRIBUTE __attribute__((target("avx2,fma")))
#define TILE_BYTES 32
#define TILE_ROWS 6
#include "core/kernels/tile.h"
enum { AVX2_ROWS = 6, AVX2_COLUMNS = 2 * 32 / sizeof(tsr_real) };

#ifdef __clang__ /* would otherwise cut each vector in two */
#define WIDE_ATTRIBUTE __attribute__((min_vector_width(512)))
#else
#define WIDE_ATTRIBUTE
#endif
#define TILE_NAME avx512_tile
#define TILE_TARGET CONTRACT_ATTRIBUTE WIDE_ATTRIBUTE __attribute__((target("avx512f")))
#define TILE_BYTES 64
#define TILE_ROWS 14
#include "core/kernels/tile.h"
enum { AVX512_ROWS = 14, AVX512_COLUMNS = 2 * 64 / sizeof(tsr_real) };
#define HAVE_X86 1
#endif

/* ---- the choice ---------------------------------------------------------------------------------------- */

static const tsr_kernels tables[] = {
    {.name = "plain", .tile_rows = PLAIN_ROWS, .tile_columns = PLAIN_COLUMNS, .tile = plain_tile},
#ifdef __GNUC__
    {.name = "baseline", .tile_rows = BASELINE_ROWS, .tile_columns = BASELINE_COLUMNS, .tile = baseline_tile},
#endif
#ifdef HAVE_X86
    {.name = "avx2", .tile_rows = AVX2_ROWS, .tile_columns = AVX2_COLUMNS, .tile = avx2_tile},
    {.name = "avx512", .tile_rows = AVX512_ROWS, .tile_columns = AVX512_COLUMNS, .tile = avx512_tile},
#endif
};
enum { TABLES = sizeof tables / sizeof *tables };

static bool runs_here(const tsr_kernels *table)
{
#ifdef HAVE_X86
    if (table->tile == avx2_tile) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (table->tile == avx512_tile) return __builtin_cpu_supports("avx512f");
#endif
    (void)table;
    return true;
}

const tsr_kernels *tsr_kernels_list(int i)
{
    for (int k = 0; k < (int)TABLES; k++)
        if (runs_here(&tables[k]) && i-- == 0) return &tables[k];
    return NULL;
}

const tsr_kernels *tsr_kernels_choose(void)
{
    const char *wanted = getenv("TSR_KERNELS");
    const tsr_kernels *best = &tables[0];
    for (int i = 0; tsr_kernels_list(i); i++) {
        best = tsr_kernels_list(i);
        if (wanted && strcmp(wanted, best->name) == 0) break;
    }
    return best;
}
