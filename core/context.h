/* The context: everything lives in one. Memory, errors, threads, seed, statistics.
 *
 * Memory, in one sentence: what an op returns lives until its scope ends; what has a name lives in its model.
 * Errors, in one sentence: the first error sticks to the context; from then on every call is a safe no-op that returns
 * the context's error tensor, so that an expression of ten ops needs one check at its end.
 *
 * The library never prints (except to a FILE it is given), exits or aborts. A context may be used by one thread at a
 * time; two contexts share nothing and may run side by side. A NULL context (opening failed) is accepted everywhere. */
#ifndef TESSERA_CORE_CONTEXT_H
#define TESSERA_CORE_CONTEXT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef TSR_DOUBLE
typedef double tsr_real; /* the scalar of the whole library, fixed when it is built */
#else
typedef float tsr_real;
#endif

/* In an options struct, a field left at 0 means its default; TSR_ZERO says that 0 itself is meant. */
#define TSR_ZERO INT_MIN

/* Computed in the same pass by the ops that have it as an option, and undone from the result. */
typedef enum tsr_activation {
    TSR_NO_ACTIVATION,
    TSR_RELU,
    TSR_SIGMOID,
    TSR_TANH
} tsr_activation;

typedef struct tsr_context tsr_context;
typedef struct tsr_tensor tsr_tensor;

/* What a product of matrices or a convolution may be wrong by: rms(out - exact) / rms(|row| |column|) for normal inputs
 * and sums of up to 2^17 products. The fastest kernel within the bound runs. A double build is exact to about 1e-15. */
typedef enum tsr_precision {
    TSR_HIGH,    /* 1e-5: also Winograd's convolutions and products in two bfloat16 parts */
    TSR_HIGHEST, /* 1e-6: float arithmetic, or three bfloat16 parts */
    TSR_MEDIUM   /* 5e-3: also one bfloat16 part, where the CPU multiplies those faster */
} tsr_precision;

/* Where memory comes from: returns `new_size` bytes with malloc's alignment (NULL when there are none), or, for
 * new_size == 0, takes back `pointer`, which had `old_size` bytes. Called for large blocks only, never to resize. */
typedef struct tsr_allocator {
    void *(*allocate)(void *user, void *pointer, size_t old_size, size_t new_size);
    void *user;
} tsr_allocator;

typedef struct tsr_options {
    uint64_t seed;           /* of everything random; 0 is a seed like any other */
    int threads;             /* default: as many as OpenMP offers; 1 without OpenMP. Never changes a result */
    tsr_precision precision; /* default: TSR_HIGH */
    tsr_allocator allocator; /* default: malloc and free */
    bool trap;               /* look at every result and gradient: the first NaN or Inf is an error that names its op */
    bool profile;            /* measure time and multiply-adds by op: tsr_profile_print */
} tsr_options;

/* Opens a context; `options` may be NULL. Returns NULL when there is no memory: tsr_error(NULL) then says so. */
tsr_context *tsr_open(const tsr_options *options);

/* Gives everything back: tensors, models, optimizers. Returns 0, or 1 where an error had stuck or ctx is NULL. */
int tsr_close(tsr_context *ctx);

/* Turns tsr_options.trap on or off, to look for what went wrong in a step that is taken again. */
void tsr_set_trap(tsr_context *ctx, bool trap);

/* The error that stuck, or NULL while all is well. The text lives until the error is cleared. */
const char *tsr_error(const tsr_context *ctx);

/* Lets a long-running program go on after an error. Tensors computed since then are error tensors still. */
void tsr_clear_error(tsr_context *ctx);

/* Makes an error stick (unless an earlier one does) and returns the context's error tensor: a single NaN. */
#if defined(__GNUC__)
__attribute__((cold, format(printf, 2, 3))) /* cold: what leads there lies apart from what runs */
#endif
tsr_tensor *tsr_fail(tsr_context *ctx, const char *format, ...);

/* What was asked for in tsr_options. */
uint64_t tsr_seed(const tsr_context *ctx);
int tsr_threads(const tsr_context *ctx);
tsr_precision tsr_precision_of(const tsr_context *ctx);

/* The number of optimizer steps taken, which keys the draws of dropout; set it when a run is resumed. */
int64_t tsr_step_count(const tsr_context *ctx);
void tsr_set_step_count(tsr_context *ctx, int64_t steps);

/* ---- scopes ---------------------------------------------------------------------------------------------------- */

/*   TSR_SCOPE(ctx) { ... }      whatever ops made inside is gone at the closing brace
 *   TSR_NO_GRAD(ctx) { ... }    the same, and nothing inside is recorded for a backward pass
 * Scopes nest. `break` and `continue` inside leave the scope (not a loop around it), properly closed; ending a scope
 * ends those opened inside it, so `return` is safe too once an outer scope or the context closes. */
#define TSR_SCOPE(ctx) TSR_SCOPE_NAMED(ctx, false, TSR_JOIN(tsr_scope_at_, __LINE__))
#define TSR_NO_GRAD(ctx) TSR_SCOPE_NAMED(ctx, true, TSR_JOIN(tsr_scope_at_, __LINE__))

#define TSR_JOIN(a, b) TSR_JOIN_EXPANDED(a, b)
#define TSR_JOIN_EXPANDED(a, b) a##b
#define TSR_SCOPE_NAMED(ctx, no_grad, name)                                                                            \
    for (tsr_scope name = tsr_scope_begin(ctx, no_grad); !name.ended; tsr_scope_end(&name))                            \
        for (; !name.ended; name.ended = true)

typedef struct tsr_scope {
    tsr_context *ctx;
    int depth;  /* of the scope itself; the context's own is 0 */
    bool ended; /* the body has run */
} tsr_scope;

tsr_scope tsr_scope_begin(tsr_context *ctx, bool no_grad);
void tsr_scope_end(tsr_scope *scope);

/* Hands `t` to the enclosing scope and returns it. Its value outlives the scope; its history does not: after the scope
 * has ended it is a constant. */
tsr_tensor *tsr_keep(tsr_tensor *t);

/* ---- statistics ------------------------------------------------------------------------------------------------ */

typedef struct tsr_statistics {
    size_t bytes;           /* in use now */
    size_t peak_bytes;      /* most ever in use, since opening or tsr_reset_peak */
    size_t system_bytes;    /* taken from the allocator and not given back */
    int64_t system_calls;   /* how often the allocator was asked for memory */
    int64_t live_tensors;   /* handles */
} tsr_statistics;

tsr_statistics tsr_statistics_of(const tsr_context *ctx);
void tsr_reset_peak(tsr_context *ctx);

/* Gives pooled blocks that nobody uses back to the system. */
void tsr_trim(tsr_context *ctx);

/* Writes the table of tsr_options.profile: per op its calls, seconds forward and backward, GFLOP/s; slowest first. */
void tsr_profile_print(const tsr_context *ctx, FILE *out);

#endif
