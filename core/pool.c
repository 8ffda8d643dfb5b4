/* The pool. Blocks come in size classes, eight to an octave (64-byte steps up to 4 KB), so that a training loop whose
 * sizes vary a little finds what it gave back; nothing returns to the system before tsr_trim or the end. */
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

enum { ALIGNMENT = 64, SMALL = 4096, CHUNK = 64 * 1024, HUGE_FROM = 4 << 20 };

struct tsr_block {
    struct tsr_block *previous, *next;
    void *base; /* what the allocator returned */
    size_t base_bytes;
};

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

static int class_of(size_t bytes)
{
    if (bytes <= SMALL) return bytes == 0 ? 0 : (int)((bytes - 1) / ALIGNMENT);
    int octave = 12; /* log2(SMALL) */
    while ((bytes - 1) >> (octave + 1)) octave++;
    const size_t eighth = ((bytes - 1) >> (octave - 3)) & 7;
    return TSR_SMALL_CLASSES + (octave - 12) * 8 + (int)eighth;
}

static size_t class_bytes(int class)
{
    if (class < TSR_SMALL_CLASSES) return (size_t)(class + 1) * ALIGNMENT;
    const int octave = 12 + (class - TSR_SMALL_CLASSES) / 8, eighth = (class - TSR_SMALL_CLASSES) % 8;
    return ((size_t)1 << octave) + ((size_t)(eighth + 1) << (octave - 3));
}

/* An aligned block straight from the system, its head in the bytes before it. */
static void *system_take(tsr_pool *pool, size_t bytes)
{
    const size_t base_bytes = bytes + ALIGNMENT + sizeof(struct tsr_block);
    void *base = pool->allocator.allocate(pool->allocator.user, NULL, 0, base_bytes);
    if (!base) return NULL;
    if (bytes >= HUGE_FROM) tsr_platform_huge_pages(base, base_bytes);
    const uintptr_t first = (uintptr_t)base + sizeof(struct tsr_block);
    unsigned char *block = (unsigned char *)base + sizeof(struct tsr_block) + (ALIGNMENT - first % ALIGNMENT) % ALIGNMENT;
    struct tsr_block *head = (struct tsr_block *)(void *)block - 1;
    *head = (struct tsr_block){.next = pool->blocks, .base = base, .base_bytes = base_bytes};
    if (pool->blocks) pool->blocks->previous = head;
    pool->blocks = head;
    pool->statistics.system_bytes += base_bytes;
    pool->statistics.system_calls++;
    return block;
}

static void system_give(tsr_pool *pool, void *block)
{
    struct tsr_block *head = (struct tsr_block *)block - 1;
    if (head->previous) head->previous->next = head->next;
    else pool->blocks = head->next;
    if (head->next) head->next->previous = head->previous;
    pool->statistics.system_bytes -= head->base_bytes;
    pool->allocator.allocate(pool->allocator.user, head->base, head->base_bytes, 0);
}

void tsr_pool_trim(tsr_pool *pool)
{
    for (int class = TSR_SMALL_CLASSES; class < TSR_POOL_CLASSES; class++)
        while (pool->free[class]) {
            void *block = pool->free[class];
            UNPOISON(block, class_bytes(class));
            pool->free[class] = *(void **)block;
            system_give(pool, block);
        }
}

static void *take_small(tsr_pool *pool, size_t bytes)
{
    if (pool->chunk_left < bytes) { /* what is left of the old chunk stays unused: less than SMALL in CHUNK */
        unsigned char *chunk = system_take(pool, CHUNK);
        if (!chunk) return NULL;
        pool->chunk = chunk;
        pool->chunk_left = CHUNK;
    }
    void *block = pool->chunk;
    pool->chunk += bytes;
    pool->chunk_left -= bytes;
    return block;
}

void *tsr_pool_take(tsr_pool *pool, size_t bytes)
{
    if (bytes > SIZE_MAX / 4 || class_of(bytes) >= TSR_POOL_CLASSES) return NULL;
    const int class = class_of(bytes);
    const size_t whole = class_bytes(class);
    void *block = pool->free[class];
    if (block) {
        UNPOISON(block, whole);
        pool->free[class] = *(void **)block;
    } else if (class < TSR_SMALL_CLASSES) {
        block = take_small(pool, whole);
    } else {
        block = system_take(pool, whole);
    }
    if (!block && pool->blocks) { /* perhaps enough lies here in other sizes */
        tsr_pool_trim(pool);
        block = class < TSR_SMALL_CLASSES ? take_small(pool, whole) : system_take(pool, whole);
    }
    if (!block) return NULL;
    pool->statistics.bytes += whole;
    if (pool->statistics.bytes > pool->statistics.peak_bytes) pool->statistics.peak_bytes = pool->statistics.bytes;
    return block;
}

void tsr_pool_give(tsr_pool *pool, void *block, size_t bytes)
{
    if (!block) return;
    const int class = class_of(bytes);
    *(void **)block = pool->free[class];
    pool->free[class] = block;
    pool->statistics.bytes -= class_bytes(class);
    POISON(block, class_bytes(class));
}

void tsr_pool_close(tsr_pool *pool)
{
    struct tsr_block *head = pool->blocks;
    while (head) {
        struct tsr_block *next = head->next;
        UNPOISON(head->base, head->base_bytes);
        pool->allocator.allocate(pool->allocator.user, head->base, head->base_bytes, 0);
        head = next;
    }
    pool->blocks = NULL;
}
