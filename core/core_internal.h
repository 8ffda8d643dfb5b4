/* What core/ shares with the other rooms but not with users. */
#ifndef TESSERA_CORE_INTERNAL_H
#define TESSERA_CORE_INTERNAL_H

#include "core/core.h"

#include <math.h>

/* ---- pool: memory kept once taken ------------------------------------------------------------------------------ */

enum {
    TSR_HEAD = 64,                /* room for the head of a block that keeps what follows aligned */
    TSR_SMALL = 4096 + TSR_HEAD,  /* most bytes of a small block */
    TSR_POOL_BINS = 58            /* by powers of two of 64 bytes */
};

typedef struct tsr_pool {
    tsr_allocator allocator;
    void *free[TSR_SMALL / 64 + 1]; /* lists of free small blocks, linked through their first bytes */
    struct tsr_large *bins[TSR_POOL_BINS]; /* free large ones */
    struct tsr_pool_region *regions;    /* all that came from the allocator */
    unsigned char *chunk;          /* where small blocks are cut from next */
    size_t chunk_left;
    tsr_statistics statistics;
    bool (*deny)(void *user); /* lets tests refuse a block; NULL otherwise */
    void *deny_user;
} tsr_pool;

void tsr_pool_open(tsr_pool *pool, tsr_allocator allocator);
void tsr_pool_close(tsr_pool *pool);
void *tsr_pool_take(tsr_pool *pool, size_t bytes); /* 64-byte aligned, not zeroed; NULL: out of memory */
void tsr_pool_give(tsr_pool *pool, void *block, size_t bytes);
void tsr_pool_trim(tsr_pool *pool);

/* ---- structs ---------------------------------------------------------------------------------------------------- */

typedef struct tsr_storage { /* the values follow in the same block, after TSR_HEAD bytes */
    tsr_real *data;
    size_t bytes;
    int references;
    unsigned version; /* counts changes in place */
} tsr_storage;

struct tsr_tensor {
    tsr_context *ctx;
    tsr_storage *storage;          /* NULL: spent */
    tsr_storage *gradient;         /* NULL: none so far */
    struct tsr_node *node;         /* what computed it, where that was recorded */
    tsr_tensor *previous, *next;   /* in its scope's list */
    const char *maker;             /* name of the op; of a parameter its own; NULL for other data */
    int depth;                     /* of its scope; TSR_OWNED outside of all */
    bool needs_grad, retains_grad;
    tsr_shape shape;
    int64_t size;
};

enum { TSR_OWNED = -1 };

typedef struct tsr_node_input {
    tsr_tensor *tensor;
    tsr_storage *pending; /* gradient being made by the running backward function */
    unsigned version;     /* of the value when it was used */
} tsr_node_input;

typedef struct tsr_piece { /* head of a piece of saved or scratch memory */
    struct tsr_piece *next;
    size_t bytes;
} tsr_piece;

enum { TSR_NODE_ROOM = 64 };

struct tsr_node {
    const tsr_op *op;
    tsr_context *ctx;
    tsr_tensor *output;
    struct tsr_node *previous, *next; /* on the tape */
    void *first_saved;
    tsr_piece *saved;                 /* what did not fit into `room` */
    tsr_piece *scratch_mark;
    double start, work;
    int count;
    bool dead, records, done;
    unsigned pass; /* backward pass in which a gradient last arrived */
    tsr_node_input *inputs;
    tsr_tensor cotangent; /* handle of output->gradient while the backward function runs, else its storage is NULL */
    _Alignas(16) unsigned char room[TSR_NODE_ROOM]; /* for the first that is saved: rarely more than this */
};

typedef struct tsr_scope_record {
    tsr_tensor *tensors;
    tsr_node *tape_mark;
    bool recording; /* before it began */
} tsr_scope_record;

typedef struct tsr_profile_entry {
    const tsr_op *op;
    int64_t calls, backward_calls;
    double seconds, backward_seconds, work, backward_work;
} tsr_profile_entry;

/* Something to close with the context that memory alone does not undo (an open file). */
typedef struct tsr_closer {
    void (*close)(struct tsr_closer *self);
    struct tsr_closer *next;
} tsr_closer;

struct tsr_context {
    tsr_pool pool;
    tsr_options options;
    bool failed;
    char message[512];
    tsr_tensor error_tensor;
    tsr_storage error_storage;
    tsr_real error_value;
    tsr_node dead;
    tsr_scope_record *scopes; /* [0 .. depth] */
    int depth, scope_capacity;
    bool recording;
    bool deconvnet; /* while tsr_deconvnet_from walks: ReLUs rectify what comes back */
    tsr_node *tape; /* last node */
    tsr_piece *scratch;
    int64_t step_count;
    unsigned pass; /* number of the running or last backward pass */
    uint64_t draw_count; /* calls that drew since the last step: keys dropout */
    double work;         /* multiply-adds so far: the summary takes differences */
    int profile_count, profile_capacity;
    tsr_profile_entry *profile;
    tsr_closer *closers;
    int model_count; /* ordinal of the next model, part of its seed */
    const struct tsr_kernels *kernels;
    /* Lets the tests of the gradient checker spoil a gradient on purpose. NULL otherwise. */
    void (*mutate)(void *user, const tsr_op *op, int input, tsr_real *gradient, int64_t size);
    void *mutate_user;
};

/* The largest magnitude of `count` values, one every `step`; NaN is passed over. GCC 12 fails on loops of fmax for ARM. */
static inline double tsr_largest_magnitude(const tsr_real *x, int64_t count, int64_t step)
{
    double largest = 0;
    for (int64_t i = 0; i < count; i++)
        if (fabs((double)x[i * step]) > largest) largest = fabs((double)x[i * step]);
    return largest;
}

/* tsr_same_shape without copies. */
static inline bool tsr_shapes_equal(const tsr_shape *a, const tsr_shape *b)
{
    if (a->rank != b->rank) return false;
    for (int i = 0; i < a->rank && i < TSR_MAX_RANK; i++)
        if (a->dims[i] != b->dims[i]) return false;
    return true;
}

/* ---- functions -------------------------------------------------------------------------------------------------- */

/* Memory from the context's pool, zeroed; on failure an error sticks ("out of memory: WHAT needs N bytes"), NULL. */
void *tsr_allocate(tsr_context *ctx, size_t bytes, const char *what);
void tsr_release(tsr_context *ctx, void *block, size_t bytes);

/* What a function that failed returns: the context's error tensor, NULL without a context. */
tsr_tensor *tsr_error_tensor(tsr_context *ctx);

void tsr_fail_memory(tsr_context *ctx, const char *what, size_t bytes);

/* How messages call a call: "conv", or "conv (block1.conv)" where an input is a parameter of that layer. */
tsr_text tsr_call_name(const tsr_node *n);
/* "block1.conv" alone; "" where no input is a parameter. */
tsr_text tsr_layer_name(const tsr_node *n);

tsr_storage *tsr_storage_new(tsr_context *ctx, int64_t size, const char *what); /* values not set */
void tsr_storage_drop(tsr_context *ctx, tsr_storage *storage);                  /* NULL is fine */

/* Fills in a handle that is in no scope. */
static inline void tsr_tensor_set(tsr_tensor *t, tsr_context *ctx, const tsr_shape *shape, int64_t size,
                                  tsr_storage *storage)
{
    t->ctx = ctx;
    t->storage = storage;
    t->gradient = NULL;
    t->node = NULL;
    t->previous = t->next = NULL;
    t->maker = NULL;
    t->depth = TSR_OWNED;
    t->needs_grad = t->retains_grad = false;
    t->shape = *shape;
    t->size = size;
}

/* A tensor of `size` values in the current scope around `storage`, whose reference it takes over (dropped on failure);
 * NULL: no memory. */
tsr_tensor *tsr_tensor_new(tsr_context *ctx, const tsr_shape *shape, int64_t size, tsr_storage *storage);
/* Checks `shape`, makes storage (values not set) and tensor; NULL after an error. `what` begins the message. */
tsr_tensor *tsr_tensor_empty(tsr_context *ctx, const tsr_shape *shape, const char *what);
void tsr_tensor_free(tsr_tensor *t); /* out of its scope's list, if in one, and gone */

/* Frees the tensors of the current scope. */
void tsr_scope_sweep(tsr_context *ctx);

/* Takes `t` out of its scope: from now on its owner (a model) frees it. */
void tsr_tensor_own(tsr_tensor *t);

/* Gathered gradient to change in place (clipping), not shared with another; NULL: none, or no memory. */
tsr_real *tsr_write_gradient(tsr_tensor *t);

/* In a backward function: memory for a gradient of the result's size that is made from the one that arrives: in its
 * place, where nobody else looks at it. NULL: out of memory. */
tsr_real *tsr_cotangent_room(tsr_node *n);

void tsr_node_drop(tsr_node *n);                       /* off the tape and freed */
void tsr_gather(tsr_tensor *t, tsr_storage *gradient); /* adds, taking over the reference */
void tsr_pieces_release(tsr_context *ctx, tsr_piece **list, const tsr_piece *end);

bool tsr_all_finite(const tsr_real *values, int64_t count);

void tsr_profile_add(tsr_node *n, bool backward);

/* The natural logarithm, the same bits everywhere (random.c). */
double tsr_portable_log(double x);

/* What tsr_random_uniform, _normal and _bits give for `count` indices from `first` on, to the bit, but many times sooner. */
typedef void (*tsr_draws)(const tsr_context *ctx, tsr_rng rng, uint64_t first, int64_t count, double *out);
void tsr_random_uniforms(const tsr_context *ctx, tsr_rng rng, uint64_t first, int64_t count, double *out);
void tsr_random_normals(const tsr_context *ctx, tsr_rng rng, uint64_t first, int64_t count, double *out);
void tsr_random_words(const tsr_context *ctx, tsr_rng rng, uint64_t first, int64_t count, uint64_t *out);

typedef struct tsr_draw_job {
    const tsr_context *ctx;
    tsr_draws draws;
    tsr_rng rng;
    double offset, scale;
    tsr_real *out;
} tsr_draw_job;
void tsr_draw_body(void *user, int64_t begin, int64_t end); /* of a tsr_draw_job: out[i] = offset + scale * draw i */

#endif
