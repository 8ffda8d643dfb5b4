/* The pool. Small blocks come in size classes of 64-byte steps and are cut from chunks. Large ones are cut from
 * regions, best fit first, and join with free neighbours when they are given back: a pass that needs other sizes than
 * the one before it (gradients after activations) lives in the same memory. Nothing returns to the system before
 * tsr_trim or the end, so that a training loop soon asks it for nothing. */
#include "core/core_internal.h"
#include "core/platform.h"

#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define TSR_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TSR_ASAN 1
#endif
#endif
#ifdef TSR_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(block, bytes) ASAN_POISON_MEMORY_REGION(block, bytes)
#define UNPOISON(block, bytes) ASAN_UNPOISON_MEMORY_REGION(block, bytes)
#else
#define POISON(block, bytes) ((void)0)
#define UNPOISON(block, bytes) ((void)0)
#endif

enum { STEP = 64, POOL_CHUNK = 64 * 1024, HUGE_FROM = 4 << 20, MOST_SPARE = 256 << 20 };

/* What came from the allocator in one piece, the large blocks of it side by side. */
struct tsr_pool_region {
    struct tsr_pool_region *previous, *next;
    void *base; /* what the allocator returned */
    size_t base_bytes;
};

/* The TSR_HEAD bytes before a large block. */
typedef struct tsr_large {
    size_t bytes; /* that follow, a multiple of STEP */
    struct tsr_large *below; /* neighbour in the region, or NULL */
    struct tsr_large *previous, *next; /* in its bin, if free: bin i holds sizes from 2^i steps on */
    bool last, free; /* in the region */
} tsr_large;

static void *use_malloc(void *user, void *pointer, size_t old_size, size_t new_size)
{
    (void)user;
    (void)old_size;
    if (new_size > 0) return malloc(new_size);
    free(pointer);
    return NULL;
}

void tsr_pool_open(tsr_pool *pool, tsr_allocator allocator)
{
    *pool = (tsr_pool){.allocator = allocator};
    if (!allocator.allocate) pool->allocator.allocate = use_malloc;
}

/* ---- large blocks ------------------------------------------------------------------------------------------------ */

static size_t round_bytes_up(size_t bytes)
{
    return (bytes + STEP - 1) / STEP * STEP;
}

static tsr_large **bin_of(tsr_pool *pool, size_t bytes)
{
    int bin = 0;
    while (bytes / STEP >> (bin + 1)) bin++;
    return &pool->bins[bin];
}

static tsr_large *block_above(const tsr_large *b)
{
    return b->last ? NULL : (tsr_large *)(void *)((unsigned char *)b + TSR_HEAD + b->bytes);
}

static void put_in_bin(tsr_pool *pool, tsr_large *b)
{
    tsr_large **bin = bin_of(pool, b->bytes);
    b->free = true;
    b->previous = NULL;
    b->next = *bin;
    if (*bin) (*bin)->previous = b;
    *bin = b;
}

static void take_from_bin(tsr_pool *pool, tsr_large *b)
{
    b->free = false;
    if (b->previous) b->previous->next = b->next;
    else *bin_of(pool, b->bytes) = b->next;
    if (b->next) b->next->previous = b->previous;
}

/* The smallest free block of at least `bytes`. */
static tsr_large *best_fit(tsr_pool *pool, size_t bytes)
{
    for (tsr_large **bin = bin_of(pool, bytes); bin < pool->bins + TSR_POOL_BINS; bin++) {
        tsr_large *best = NULL;
        for (tsr_large *b = *bin; b; b = b->next)
            if (b->bytes >= bytes && (!best || b->bytes < best->bytes)) best = b;
        if (best) return best;
    }
    return NULL;
}

static tsr_large *first_of(struct tsr_pool_region *region)
{
    unsigned char *end = (unsigned char *)(region + 1);
    return (tsr_large *)(void *)(end + (TSR_HEAD - (uintptr_t)end % TSR_HEAD) % TSR_HEAD);
}

/* A region that holds a free block of `bytes`. */
static bool new_region(tsr_pool *pool, size_t bytes)
{
    const size_t base_bytes = bytes + sizeof(struct tsr_pool_region) + 2 * TSR_HEAD;
    void *base = pool->allocator.allocate(pool->allocator.user, NULL, 0, base_bytes);
    if (!base) return false;
    if (base_bytes >= HUGE_FROM) tsr_platform_huge_pages(base, base_bytes);
    struct tsr_pool_region *region = base;
    *region = (struct tsr_pool_region){.next = pool->regions, .base = base, .base_bytes = base_bytes};
    if (pool->regions) pool->regions->previous = region;
    pool->regions = region;
    pool->statistics.system_bytes += base_bytes;
    pool->statistics.system_calls++;
    tsr_large *block = first_of(region);
    *block = (tsr_large){.bytes = bytes, .last = true};
    put_in_bin(pool, block);
    return true;
}

void tsr_pool_trim(tsr_pool *pool)
{
    for (struct tsr_pool_region *region = pool->regions, *next; region; region = next) {
        next = region->next;
        tsr_large *b = first_of(region);
        if (!b->free || !b->last) continue;
        take_from_bin(pool, b);
        UNPOISON(b, TSR_HEAD + b->bytes);
        if (region->previous) region->previous->next = region->next;
        else pool->regions = region->next;
        if (region->next) region->next->previous = region->previous;
        pool->statistics.system_bytes -= region->base_bytes;
        pool->allocator.allocate(pool->allocator.user, region->base, region->base_bytes, 0);
    }
}

/* Sees to it that a large block of `bytes` is free. Regions from malloc double what there is, so that they are few and
 * what lies in them can join; what is not touched yet costs nothing there. A user's allocator is asked for no more than
 * is needed. */
static bool stock_large(tsr_pool *pool, size_t bytes)
{
    const size_t spare = pool->statistics.system_bytes < MOST_SPARE ? pool->statistics.system_bytes : MOST_SPARE;
    const bool generous = pool->allocator.allocate == use_malloc && spare > bytes;
    if (generous && new_region(pool, round_bytes_up(spare))) return true;
    if (new_region(pool, bytes)) return true;
    if (!pool->regions) return false;
    tsr_pool_trim(pool); /* perhaps enough lies here in other pieces */
    return new_region(pool, bytes);
}

static tsr_large *take_large(tsr_pool *pool, size_t bytes)
{
    bytes = round_bytes_up(bytes);
    tsr_large *b = best_fit(pool, bytes);
    if (!b && stock_large(pool, bytes)) b = best_fit(pool, bytes);
    if (!b) return NULL;
    take_from_bin(pool, b);
    UNPOISON(b, TSR_HEAD + b->bytes);
    if (b->bytes > bytes + TSR_HEAD) { /* the rest stays free */
        tsr_large *rest = (tsr_large *)(void *)((unsigned char *)b + TSR_HEAD + bytes);
        *rest = (tsr_large){.bytes = b->bytes - bytes - TSR_HEAD, .below = b, .last = b->last};
        b->bytes = bytes;
        b->last = false;
        if (block_above(rest)) block_above(rest)->below = rest;
        put_in_bin(pool, rest);
        POISON((unsigned char *)rest + TSR_HEAD, rest->bytes);
    }
    return b;
}

static void join_above(tsr_large *b)
{
    const tsr_large *other = block_above(b);
    b->bytes += TSR_HEAD + other->bytes;
    b->last = other->last;
    if (block_above(b)) block_above(b)->below = b;
}

static void give_large(tsr_pool *pool, tsr_large *b)
{
    tsr_large *up = block_above(b), *down = b->below;
    if (up && up->free) {
        take_from_bin(pool, up);
        join_above(b);
    }
    if (down && down->free) {
        take_from_bin(pool, down);
        join_above(down);
        b = down;
    }
    put_in_bin(pool, b);
    POISON((unsigned char *)b + TSR_HEAD, b->bytes);
}

/* ---- all blocks -------------------------------------------------------------------------------------------------- */

static void count_in(tsr_pool *pool, size_t bytes)
{
    tsr_statistics *s = &pool->statistics;
    s->bytes += bytes;
    if (s->bytes > s->peak_bytes) s->peak_bytes = s->bytes;
}

static void *take_new(tsr_pool *pool, size_t bytes)
{
    if (bytes > TSR_SMALL) {
        tsr_large *b = bytes < SIZE_MAX / 4 ? take_large(pool, bytes) : NULL;
        if (b) count_in(pool, b->bytes);
        return b ? (unsigned char *)b + TSR_HEAD : NULL;
    }
    bytes = round_bytes_up(bytes);
    if (pool->chunk_left < bytes) { /* what is left of the old chunk stays unused: less than TSR_SMALL in POOL_CHUNK */
        tsr_large *chunk = take_large(pool, POOL_CHUNK);
        if (!chunk) return NULL;
        pool->chunk = (unsigned char *)chunk + TSR_HEAD;
        pool->chunk_left = POOL_CHUNK;
    }
    void *block = pool->chunk;
    pool->chunk += bytes;
    pool->chunk_left -= bytes;
    count_in(pool, bytes);
    return block;
}

/* Class i has blocks of i steps. */
static size_t class_of(size_t bytes)
{
    return bytes <= TSR_SMALL ? (bytes + STEP - 1) / STEP : 0;
}

void *tsr_pool_take(tsr_pool *pool, size_t bytes)
{
    if (pool->deny && pool->deny(pool->deny_user)) return NULL;
    bytes += bytes == 0;
    const size_t class = class_of(bytes);
    void *block = pool->free[class]; /* of class 0, large blocks, always NULL */
    if (!block) return take_new(pool, bytes);
    UNPOISON(block, class * STEP);
    pool->free[class] = *(void **)block;
    count_in(pool, class * STEP);
    return block;
}

void tsr_pool_give(tsr_pool *pool, void *block, size_t bytes)
{
    if (!block) return;
    bytes += bytes == 0;
    const size_t class = class_of(bytes);
    if (class == 0) {
        tsr_large *b = (tsr_large *)(void *)((unsigned char *)block - TSR_HEAD);
        pool->statistics.bytes -= b->bytes;
        give_large(pool, b);
        return;
    }
    *(void **)block = pool->free[class];
    pool->free[class] = block;
    pool->statistics.bytes -= class * STEP;
    POISON(block, class * STEP);
}

void tsr_pool_close(tsr_pool *pool)
{
    for (struct tsr_pool_region *region = pool->regions, *next; region; region = next) {
        next = region->next;
        UNPOISON(region->base, region->base_bytes);
        pool->allocator.allocate(pool->allocator.user, region->base, region->base_bytes, 0);
    }
    pool->regions = NULL;
}
