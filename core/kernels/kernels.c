/* The tables of kernels, one per instruction set, and the choice between them. */
#include "core/kernels/kernels.h"
#include "core/kernels/functions.h"
#include "core/platform.h"

#include <stdlib.h>
#include <string.h>

/* ---- plain C ------------------------------------------------------------------------------------------- */

enum { PLAIN_ROWS = 4, PLAIN_COLUMNS = 8 };

static void plain_tile(const tsr_tile *t);

static void plain_gather(const tsr_gathered *t)
{
    const int columns = t->dots ? 1 : PLAIN_COLUMNS;
    tsr_real sum[PLAIN_ROWS][PLAIN_COLUMNS] = {{0}};
    const tsr_real *b = t->b;
    for (int64_t k = 0; k < t->depth; k++, b += t->b_step)
        for (int i = 0; i < PLAIN_ROWS; i++) {
            const tsr_real *a = t->rows[i] + t->channel + t->offsets[k];
            for (int j = 0; j < PLAIN_COLUMNS; j++) sum[i][j] += a[t->dots ? j : 0] * b[j];
        }
    for (int i = 0; i < PLAIN_ROWS; i++) {
        for (int j = 1; t->dots && j < PLAIN_COLUMNS; j++) sum[i][0] += sum[i][j];
        for (int j = 0; j < columns; j++) {
            tsr_real *c = t->c[i] + t->column + j, v = sum[i][j];
            if (t->accumulate) v += *c;
            if (t->bias) v += t->bias[j];
            *c = t->relu && v < 0 ? 0 : v;
        }
    }
}

static void plain_depthwise(const tsr_depthwise *t)
{
    for (int64_t p = 0; p < t->pixels; p++)
        for (int64_t c = 0; c < t->channels; c++) {
            tsr_real sum = t->bias ? t->bias[c] : 0;
            for (int64_t t0 = 0; t0 < t->count[0]; t0++)
                for (int64_t t1 = 0; t1 < t->count[1]; t1++) {
                    const tsr_real *x = t->x + p * t->x_pixel + t0 * t->x_step[0] + t1 * t->x_step[1] + c;
                    const tsr_real *w = t->w + t0 * t->w_step[0] + t1 * t->w_step[1] + c;
                    for (int64_t t2 = 0; t2 < t->count[2]; t2++) sum += x[t2 * t->x_step[2]] * w[t2 * t->w_step[2]];
                }
            t->out[p * t->out_pixel + c] = sum;
        }
}

/* From `channel` on. */
static void correlate_channels(const tsr_correlation *t, int64_t channel, double *sums)
{
    for (int64_t c = channel; c < t->channels; c++) {
        tsr_real sum = 0;
        for (int64_t p = 0; p < t->pixels; p++) sum += t->x[p * t->x_pixel + c] * t->y[p * t->channels + c];
        sums[c] += (double)sum;
    }
}

static void plain_correlate(const tsr_correlation *t, double *sums) { correlate_channels(t, 0, sums); }


#if defined(TSR_EMULATE_TILES) && !defined(TSR_DOUBLE)
#include "core/kernels/tiles_emulated.h"
#endif
#define LEVEL plain
#define LEVEL_LOOPS TSR_LEVEL_BASE
#define LEVEL_TARGET
#define LEVEL_ROWS PLAIN_ROWS
#define LEVEL_COLUMNS PLAIN_COLUMNS
#define LEVEL_GATHER_ROWS PLAIN_ROWS
#define LEVEL_GATHER_VECTORS 1
#define LEVEL_LANES PLAIN_COLUMNS
#include "core/kernels/level.h"

static void plain_tile(const tsr_tile *t)
{
    tsr_real sum[PLAIN_ROWS][PLAIN_COLUMNS] = {{0}};
    const tsr_real *a = t->a, *b = t->b;
    for (int64_t k = 0; k < t->depth; k++, a += t->a_step, b += t->b_step) {
        if (t->b_copy) memcpy(t->b_copy + k * PLAIN_COLUMNS, b, PLAIN_COLUMNS * sizeof *b);
        for (int i = 0; i < t->rows; i++)
            for (int j = 0; j < PLAIN_COLUMNS; j++) sum[i][j] += a[i * t->a_row] * b[j];
    }
    for (int i = 0; i < t->rows; i++) {
        tsr_real *c = t->c + i * t->stride;
        for (int j = 0; j < PLAIN_COLUMNS; j++) {
            if (t->accumulate) sum[i][j] += c[j];
            c[j] = t->bias ? sum[i][j] + t->bias[j] : sum[i][j];
        }
        plain_activate(t->activation, c, PLAIN_COLUMNS);
    }
}

/* ---- vectors ------------------------------------------------------------------------------------------- */

/* The products want a * b + c as one operation, which the rest of the library must not. */
#if defined(__clang__)
#define CONTRACT_ATTRIBUTE
#define TILE_CONTRACT _Pragma("clang fp contract(fast)")
#define TILE_UNROLL _Pragma("clang loop unroll(full)")
#define TILE_ROLLED _Pragma("clang loop unroll(disable)")
#elif defined(__GNUC__)
#define CONTRACT_ATTRIBUTE __attribute__((optimize("fp-contract=fast", "no-version-loops-for-strides")))
#define TILE_CONTRACT
#define TILE_UNROLL _Pragma("GCC unroll 16")
#define TILE_ROLLED _Pragma("GCC unroll 1")
#endif

/* Where results are kept in the x87's registers, with more digits than their type, vectors and numbers do not mix. */
#if defined(__GNUC__) && __FLT_EVAL_METHOD__ == 0
#define HAVE_VECTORS 1
#define LEVEL baseline
#define LEVEL_LOOPS TSR_LEVEL_BASE
#define LEVEL_TARGET
#define LEVEL_BYTES 16
#define LEVEL_ROWS 6
#define LEVEL_GATHER_ROWS 6
#define LEVEL_GATHER_VECTORS 2
#include "core/kernels/level.h"
#endif

#if defined(HAVE_VECTORS) && defined(TSR_WIDE_X86)
#define LEVEL avx2
#define LEVEL_LOOPS TSR_LEVEL_AVX2
#define LEVEL_TARGET __attribute__((target("avx2,fma")))
#define LEVEL_BYTES 32
#define LEVEL_ROWS 6
#define LEVEL_GATHER_ROWS 6
#define LEVEL_GATHER_VECTORS 2
#include "core/kernels/level.h"

#ifdef __clang__ /* would otherwise cut each vector in two */
#define WIDE_ATTRIBUTE __attribute__((min_vector_width(512)))
#else
#define WIDE_ATTRIBUTE
#endif
/* Compilers of 2021 know AMX. */
#if defined(__linux__) && defined(__x86_64__) && !defined(TSR_DOUBLE) && \
    (defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11)
#include "core/kernels/tiles_amx.h"
#define HAVE_AMX 1
#endif
#define LEVEL avx512
#define LEVEL_LOOPS TSR_LEVEL_AVX512
#define LEVEL_TARGET WIDE_ATTRIBUTE __attribute__((target("avx512f")))
#define LEVEL_BYTES 64
#define LEVEL_ROWS 14
#define LEVEL_GATHER_ROWS 8
#define LEVEL_GATHER_VECTORS 3
#include "core/kernels/level.h"
#define HAVE_X86 1
#endif

/* ---- the choice ---------------------------------------------------------------------------------------- */

static const tsr_kernels *const tables[] = {
    &plain_kernels,
#if defined(TSR_EMULATE_TILES) && !defined(TSR_DOUBLE)
    &emulated_kernels[0], &emulated_kernels[1], &emulated_kernels[2],
#endif
#ifdef HAVE_VECTORS
    &baseline_kernels,
#endif
#ifdef HAVE_X86
    &avx2_kernels,
    &avx512_kernels,
#endif
#ifdef HAVE_AMX
    &amx_kernels[0], &amx_kernels[1], &amx_kernels[2],
#endif
};
enum { TABLES = sizeof tables / sizeof *tables };

static bool runs_here(const tsr_kernels *table)
{
#ifdef HAVE_X86
    if (table == &avx2_kernels) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (table == &avx512_kernels) return __builtin_cpu_supports("avx512f");
#endif
#ifdef HAVE_AMX
    if (table->parts && !table->emulated) {
        unsigned a, b, c, d;
        const unsigned bf16_and_tile = 1u << 22 | 1u << 24;
        return __builtin_cpu_supports("avx512f") && __get_cpuid_count(7, 0, &a, &b, &c, &d) &&
               (d & bf16_and_tile) == bf16_and_tile && tsr_platform_allow_tiles();
    }
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

const tsr_kernels *tsr_kernels_choose(tsr_precision precision)
{
    const int parts = precision == TSR_HIGHEST ? 3 : precision == TSR_HIGH ? 2 : 1; /* as few as keep the bound */
    const char *wanted = getenv("TSR_KERNELS");
    const tsr_kernels *best = NULL;
    for (int k = 0; k < (int)TABLES; k++) {
        const tsr_kernels *table = tables[k];
        if ((table->parts && table->parts->count != parts) || !runs_here(table)) continue;
        if (wanted && strcmp(wanted, table->name) == 0) return table;
        if (!table->emulated) best = table;
    }
    return best;
}
