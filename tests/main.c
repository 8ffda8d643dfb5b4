/* Runs the tests:  build/tests [--long] [--gradcheck] [--list] [--levels] [--results FILE] [PART OF A NAME]
 *                     [--without PART OF A NAME] ... */
#include "core/kernels/kernels.h"
#include "tests/registry.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
#include <direct.h>
#define mkdir(path, mode) _mkdir(path)
#else
#include <sys/stat.h>
#endif

static struct {
    const char *name;
    bool failed;
    const char *skipped;
    int passed_count, failed_count, skipped_count;
    FILE *results;
} state;

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static bool report(bool holds, const char *what, const char *file, int line, const char *detail)
{
    if (holds) return true;
    state.failed = true;
    printf("FAILED %s\n    %s:%d: %s%s\n", state.name, file, line, what, detail);
    return false;
}

bool test_check(bool holds, const char *what, const char *file, int line)
{
    return report(holds, what, file, line, "");
}

bool test_equal(double a, double b, const char *what, const char *file, int line)
{
    char detail[96];
    snprintf(detail, sizeof detail, "   (%.17g and %.17g)", a, b);
    return report(a == b, what, file, line, detail);
}

bool test_near(double a, double b, double tolerance, const char *what, const char *file, int line)
{
    char detail[128];
    snprintf(detail, sizeof detail, "   (%.17g and %.17g, tolerance %g)", a, b, tolerance);
    return report(fabs(a - b) <= tolerance * fmax(1, fabs(b)), what, file, line, detail);
}

bool test_text(const char *a, const char *b, const char *what, const char *file, int line)
{
    char detail[1200];
    snprintf(detail, sizeof detail, "\n    is       \"%s\"\n    expected \"%s\"", a ? a : "(null)", b ? b : "(null)");
    return report(a && b && strcmp(a, b) == 0, what, file, line, detail);
}

bool test_contains(const char *text, const char *part, const char *what, const char *file, int line)
{
    char detail[1200];
    snprintf(detail, sizeof detail, "\n    is             \"%s\"\n    should contain \"%s\"", text ? text : "(null)", part);
    return report(text && strstr(text, part), what, file, line, detail);
}

bool test_failed(void)
{
    return state.failed;
}

void test_skip(const char *why)
{
    state.skipped = why;
}

bool test_leaves_out(const char *kernels)
{
    const char *wanted = getenv("TSR_KERNELS");
    return wanted && strcmp(wanted, kernels) != 0;
}

const char *test_path(const char *name)
{
    static char paths[8][256];
    static int next;
    char *path = paths[next++ % 8];
    mkdir("build", 0777);
    mkdir("build/test-tmp", 0777);
    snprintf(path, sizeof paths[0], "build/test-tmp/%s-%d-%s", sizeof(tsr_real) == 8 ? "double" : "float", next, name);
    return path;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static void record(const char *how, const char *name)
{
    if (!state.results) return;
    fprintf(state.results, "%s %s\n", how, name);
    fflush(state.results); /* a crash must not lose what ran before */
}

void test_run(const char *name, void (*run)(void *user), void *user)
{
    state.name = name;
    state.failed = false;
    state.skipped = NULL;
    record("start", name);
    run(user);
    if (state.failed) {
        state.failed_count++;
        record("fail", name);
    } else if (state.skipped) {
        printf("skipped %s: %s\n", name, state.skipped);
        state.skipped_count++;
        record("skip", name);
    } else {
        state.passed_count++;
        record("pass", name);
    }
    fflush(stdout);
}

static void run_entry(void *user)
{
    ((const test_entry *)user)->run();
}

static bool left_out(const char *name, int count, char **arguments)
{
    for (int i = 1; i + 1 < count; i++)
        if (strcmp(arguments[i], "--without") == 0 && strstr(name, arguments[i + 1])) return true;
    return false;
}

int main(int count, char **arguments)
{
    const char *filter = "";
    bool with_long = false, library = false, only_gradcheck = false, list = false;
    if (count == 2 && strcmp(arguments[1], "--levels") == 0) { /* the instruction sets that TSR_KERNELS can force here */
        const char *last = ""; /* tables of one name are those of the precisions */
        for (int i = 0; tsr_kernels_list(i); last = tsr_kernels_list(i++)->name)
            if (strcmp(last, tsr_kernels_list(i)->name) != 0) puts(tsr_kernels_list(i)->name);
        return 0;
    }
    for (int i = 1; i < count; i++) {
        if (strcmp(arguments[i], "--long") == 0) with_long = true;
        else if (strcmp(arguments[i], "--library") == 0) library = true;
        else if (strcmp(arguments[i], "--gradcheck") == 0) only_gradcheck = true;
        else if (strcmp(arguments[i], "--list") == 0) list = true;
        else if (strcmp(arguments[i], "--results") == 0 && i + 1 < count) state.results = fopen(arguments[++i], "a");
        else if (strcmp(arguments[i], "--without") == 0) i++;
        else filter = arguments[i];
    }
    for (const test_entry *entry = test_entries; entry->name && !only_gradcheck; entry++) {
        if (!strstr(entry->name, filter) || (entry->is_long && !with_long) ||
            (entry->of_programs && library) || left_out(entry->name, count, arguments))
            continue;
        if (list) printf("%s\n", entry->name);
        else test_run(entry->name, run_entry, (void *)(size_t)entry);
    }
    if (!list) gradcheck_run_all(filter, only_gradcheck);
    if (!list) printf("%d passed, %d failed, %d skipped (%s)\n", state.passed_count, state.failed_count,
                      state.skipped_count, sizeof(tsr_real) == 8 ? "double" : "float");
    return state.failed_count > 0;
}
