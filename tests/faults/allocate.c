/* Linked into a program with --wrap: lets its allocations fail, for tests/faults/memory.sh.
 *     FAULT_AT=k        the k-th cannot be had (malloc, calloc and realloc count together)
 *     FAULT_LASTING=1   nor any later one
 *     FAULT_COUNT=file  gets their number when the program ends */
#include <stdio.h>
#include <stdlib.h>

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *pointer, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *pointer, size_t bytes);

static struct { /* one thread is enough for these tests */
    long count, fail_at;
    int ready, lasting;
} faults;

static void tell(void)
{
    const char *path = getenv("FAULT_COUNT");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file) return;
    fprintf(file, "%ld\n", faults.count);
    fclose(file);
}

static int denied(void)
{
    if (!faults.ready) {
        const char *at = getenv("FAULT_AT");
        faults.ready = 1;
        faults.fail_at = at ? atol(at) : 0;
        faults.lasting = getenv("FAULT_LASTING") != NULL;
        atexit(tell);
    }
    faults.count++;
    return faults.count == faults.fail_at || (faults.lasting && faults.fail_at > 0 && faults.count > faults.fail_at);
}

void *__wrap_malloc(size_t bytes)
{
    return denied() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return denied() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *pointer, size_t bytes)
{
    return denied() ? NULL : __real_realloc(pointer, bytes);
}
