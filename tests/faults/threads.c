/* The test of two contexts alone, for ThreadSanitizer, which of threads knows those of POSIX only:
 *     make check-threads */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

static int create(thrd_t *thread, thrd_start_t body, void *user);
static int join(thrd_t thread, int *result);
#define thrd_create create
#define thrd_join join
#include "tests/unit/test_two_contexts.c"

typedef struct call {
    thrd_start_t body;
    void *user;
} call;

static void *run(void *user)
{
    const call c = *(call *)user;
    free(user);
    c.body(c.user);
    return NULL;
}

static int create(thrd_t *thread, thrd_start_t body, void *user)
{
    call *c = malloc(sizeof *c);
    pthread_t made;
    if (!c) return thrd_nomem;
    *c = (call){body, user};
    if (pthread_create(&made, NULL, run, c) != 0) return thrd_error;
    *thread = (thrd_t)made;
    return thrd_success;
}

static int join(thrd_t thread, int *result)
{
    (void)result;
    return pthread_join((pthread_t)thread, NULL) == 0 ? thrd_success : thrd_error;
}

static bool failed;

bool test_check(bool holds, const char *what, const char *file, int line)
{
    if (holds) return true;
    failed = true;
    printf("FAILED threads\n    %s:%d: %s\n", file, line, what);
    return false;
}

void test_skip(const char *why)
{
    printf("skipped threads: %s\n", why);
}

const char *test_path(const char *name)
{
    return strcmp(name, "two-a") == 0 ? "build/threads-a" : "build/threads-b";
}

int main(void)
{
    test_two_contexts_in_two_threads_train_at_once();
    if (!failed) puts("ok threads: two contexts train at once");
    return failed;
}
