#include "tests/known-answers/known.h"

#include <math.h>
#include <string.h>

enum { MOST_INPUTS = 8 };

static tsr_tensor *stored(tsr_context *ctx, tsr_archive *archive, const char *name, const char *part, int number)
{
    char full[160];
    if (number < 0) snprintf(full, sizeof full, "%s.%s", name, part);
    else snprintf(full, sizeof full, "%s.%s%d", name, part, number);
    const int i = tsr_archive_find(archive, full);
    return i < 0 || tsr_error(ctx) ? NULL : tsr_archive_tensor(archive, i);
}

static tsr_archive *open_answers(tsr_context *ctx, const char *file)
{
    char path[256];
    snprintf(path, sizeof path, "tests/known-answers/%s", file);
    tsr_archive *archive = tsr_archive_open(ctx, path);
    test_check(archive != NULL, archive ? path : tsr_error(ctx), __FILE__, __LINE__);
    return archive;
}

bool known_agrees(tsr_tensor *ours, tsr_tensor *theirs, const char *what, double looseness)
{
    char text[512];
    const int64_t size = tsr_size(theirs);
    if (tsr_is_error(ours) || !tsr_same_shape(tsr_shape_of(ours), tsr_shape_of(theirs))) {
        snprintf(text, sizeof text, "%s: shape %s, expected %s (%s)", what, tsr_shape_text(tsr_shape_of(ours)).text,
                 tsr_shape_text(tsr_shape_of(theirs)).text,
                 ours && tsr_error(tsr_context_of(ours)) ? tsr_error(tsr_context_of(ours)) : "no error");
        return test_check(false, text, __FILE__, __LINE__);
    }
    const tsr_real *a = tsr_data(ours), *b = tsr_data(theirs);
    double rms = 0;
    for (int64_t i = 0; i < size; i++) rms += (double)b[i] * (double)b[i] / (double)size;
    rms = sqrt(rms);
    const double tolerance = looseness * (sizeof(tsr_real) == 8 ? 1e-10 : 1e-5);
    for (int64_t i = 0; i < size; i++) {
        const double x = (double)a[i], y = (double)b[i];
        if (fabs(x - y) <= tolerance * (fabs(y) + rms + 1e-30) || x == y) continue;
        snprintf(text, sizeof text, "%s: value %lld is %.9g, expected %.9g", what, (long long)i, x, y);
        return test_check(false, text, __FILE__, __LINE__);
    }
    return true;
}

static void compare_gradients(tsr_context *ctx, tsr_archive *archive, const char *name, tsr_tensor **inputs, double looseness)
{
    for (int i = 0; i < MOST_INPUTS; i++) {
        char what[200];
        tsr_tensor *theirs = stored(ctx, archive, name, "grad", i);
        if (!theirs) continue;
        tsr_tensor *ours = tsr_grad(inputs[i]);
        snprintf(what, sizeof what, "%s, gradient of input %d", name, i);
        known_agrees(ours ? ours : tsr_zeros(ctx, tsr_shape_of(inputs[i])), theirs, what, looseness);
    }
}

void known_case(const char *file, const char *name, tsr_function fn, double looseness)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_archive *archive = open_answers(ctx, file);
    tsr_tensor *inputs[MOST_INPUTS] = {0};
    for (int i = 0; i < MOST_INPUTS && archive; i++) {
        inputs[i] = stored(ctx, archive, name, "in", i);
        tsr_tensor *gradient = stored(ctx, archive, name, "grad", i);
        if (inputs[i] && gradient) tsr_watch(inputs[i]);
    }
    tsr_tensor *expected = archive ? stored(ctx, archive, name, "out", -1) : NULL;
    char what[200];
    snprintf(what, sizeof what, "%s in %s is there", name, file);
    if (archive && test_check(expected != NULL, what, __FILE__, __LINE__)) {
        tsr_tensor *out = fn(inputs);
        tsr_tensor *cotangent = stored(ctx, archive, name, "cotangent", -1);
        if (known_agrees(out, expected, name, looseness) && cotangent) {
            tsr_backward_from(out, cotangent);
            compare_gradients(ctx, archive, name, inputs, looseness);
        }
        test_check(!tsr_error(ctx), tsr_error(ctx) ? tsr_error(ctx) : "", __FILE__, __LINE__);
    }
    if (archive) tsr_archive_close(archive);
    tsr_close(ctx);
}

tsr_tensor *known_tensor(tsr_context *ctx, const char *file, const char *name)
{
    tsr_archive *archive = open_answers(ctx, file);
    if (!archive) return tsr_fail(ctx, "%s", file);
    const int i = tsr_archive_find(archive, name);
    tsr_tensor *t = i < 0 ? tsr_fail(ctx, "%s has no tensor %s", file, name) : tsr_archive_tensor(archive, i);
    tsr_archive_close(archive);
    test_check(!tsr_error(ctx), tsr_error(ctx) ? tsr_error(ctx) : name, __FILE__, __LINE__);
    return t;
}
