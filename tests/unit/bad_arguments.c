#include "tests/unit/bad_arguments.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/test.h"

bad_things bad;

static void *small_machine(void *user, void *pointer, size_t old_size, size_t new_size)
{
    enum { MOST = 64 << 20 };
    (void)user, (void)old_size;
    if (new_size > 0) return new_size <= MOST ? malloc(new_size) : NULL;
    free(pointer);
    return NULL;
}

void bad_open(void)
{
    const tsr_options options = {.threads = 1, .allocator = {small_machine, NULL}};
    tsr_context *ctx = tsr_open(&options);
    bad = (bad_things){.ctx = ctx, .other_ctx = tsr_open(&options)};
    bad.m = tsr_model_new(ctx);
    bad.other_m = tsr_model_new(bad.other_ctx);
    bad.one = tsr_full(ctx, TSR_SCALAR, 1);
    bad.rank1 = tsr_full(ctx, TSR_SHAPE(1), 1);
    bad.v3 = tsr_arange(ctx, 0, 3, 1);
    bad.v4 = tsr_arange(ctx, 0, 4, 1);
    bad.x23 = tsr_full(ctx, TSR_SHAPE(2, 3), 1);
    bad.x34 = tsr_normal(ctx, TSR_SHAPE(3, 4), 0, 1, 1);
    bad.image = tsr_watch(tsr_normal(ctx, TSR_SHAPE(2, 6, 6, 4), 0, 1, 2));
    bad.nan3 = tsr_full(ctx, TSR_SHAPE(3), NAN);
    bad.empty = tsr_watch(tsr_zeros(ctx, TSR_SHAPE(0, 3)));
    bad.foreign = tsr_zeros(bad.other_ctx, TSR_SHAPE(3));
    tsr_tensor *w = tsr_watch(tsr_full(ctx, TSR_SHAPE(3), 2));
    bad.spent = tsr_mul(w, w);
    tsr_backward_releasing(tsr_sum(tsr_square(bad.spent), NULL));
    bad.computed = tsr_square(w);
    bad.error = tsr_fail(ctx, "on purpose");
    tsr_clear_error(ctx);
    test_check(tsr_error(ctx) == NULL, "all is well before the calls", __FILE__, __LINE__);
}

void bad_close(void)
{
    tsr_close(bad.ctx);
    tsr_close(bad.other_ctx);
}

bool bad_refused(const char *words, const char *call, const char *file, int line)
{
    const char *error = tsr_error(bad.ctx);
    char what[600];
    snprintf(what, sizeof what, "%s\n    says \"%s\", not \"%s\"", call, error ? error : "(no error)", words);
    const bool holds = test_check(error && strstr(error, words), what, file, line);
    tsr_clear_error(bad.ctx);
    return holds;
}

bool bad_held(bool holds, const char *what, const char *file, int line)
{
    const char *error = tsr_error(bad.ctx);
    char text[600];
    snprintf(text, sizeof text, "%s%s%s", what, error ? "\n    but an error stuck: " : "", error ? error : "");
    holds = test_check(holds && !error, text, file, line);
    tsr_clear_error(bad.ctx);
    return holds;
}

void bad_survived(tsr_tensor *result)
{
    if (tsr_needs_grad(result)) tsr_backward(tsr_sum(result, NULL));
    tsr_clear_error(bad.ctx);
}
