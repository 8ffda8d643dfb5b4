/* The driver of the gradient checks, the mutation tests that prove that it can fail, and the test that no op lacks one. */
#include "tests/gradcheck/gradcheck.h"
#include "core/core_internal.h"
#include "tests/registry.h"

#include <math.h>
#include <string.h>

enum { MOST_NAMES = 256 };

static struct {
    const gradcheck_entry *entry;
    uint64_t stream;               /* of the next random input */
    int cases, inputs;
    double worst;
    const char *met[MOST_NAMES];   /* names of ops whose backward ran */
    int met_count;
    bool mutating;                 /* spoil each gradient in turn instead of checking */
} now;

/* ---- inputs ------------------------------------------------------------------------------------------------------ */

tsr_tensor *gradcheck_normal(tsr_context *ctx, tsr_shape shape)
{
    return tsr_normal(ctx, shape, 0, 1, now.stream++);
}

tsr_tensor *gradcheck_uniform(tsr_context *ctx, tsr_shape shape, double low, double high)
{
    return tsr_uniform(ctx, shape, low, high, now.stream++);
}

tsr_tensor *gradcheck_off_zero(tsr_context *ctx, tsr_shape shape)
{
    tsr_tensor *t = gradcheck_normal(ctx, shape);
    tsr_real *x = tsr_write(t);
    for (int64_t i = 0; x && i < tsr_size(t); i++) x[i] += x[i] < 0 ? (tsr_real)-0.1 : (tsr_real)0.1;
    return t;
}

tsr_tensor *gradcheck_distinct(tsr_context *ctx, tsr_shape shape)
{
    tsr_tensor *t = tsr_zeros(ctx, shape);
    const tsr_rng rng = {.seed = 7, .stream = now.stream++};
    const int64_t size = tsr_size(t);
    tsr_real *x = tsr_write(t);
    for (int64_t i = 0; x && i < size; i++) x[i] = (tsr_real)(0.05 * (double)(i - size / 2) + 0.013);
    for (int64_t i = size - 1; x && i > 0; i--) {
        const int64_t j = (int64_t)tsr_random_below(rng, (uint64_t)i, (uint64_t)i + 1);
        const tsr_real kept = x[i];
        x[i] = x[j];
        x[j] = kept;
    }
    return t;
}

/* ---- mutations --------------------------------------------------------------------------------------------------- */

enum { NEGATE, SCALE, ZERO, DROP_MEAN, MUTATIONS };
static const char *const mutation_names[MUTATIONS] = {"sign flipped", "scaled by 1.01", "zero", "mean dropped"};

typedef struct mutation {
    int kind;
    const tsr_op *op;
    int input;
    bool changed;
} mutation;

static void mutate(void *user, const tsr_op *op, int input, tsr_real *g, int64_t size)
{
    mutation *m = user;
    if (op != m->op || input != m->input) return;
    double mean = 0;
    for (int64_t i = 0; i < size; i++) mean += (double)g[i] / (double)size;
    for (int64_t i = 0; i < size; i++) {
        const tsr_real before = g[i];
        if (m->kind == NEGATE) g[i] = -g[i];
        if (m->kind == SCALE) g[i] *= (tsr_real)1.01;
        if (m->kind == ZERO) g[i] = 0;
        if (m->kind == DROP_MEAN) g[i] -= (tsr_real)mean;
        if (fabs((double)(g[i] - before)) > 1e-4) m->changed = true;
    }
}

typedef struct meeting {
    struct {
        const tsr_op *op;
        int input;
    } met[64];
    int count;
} meeting;

static void meet(void *user, const tsr_op *op, int input, tsr_real *g, int64_t size)
{
    meeting *m = user;
    (void)g;
    (void)size;
    for (int i = 0; i < m->count; i++)
        if (m->met[i].op == op && m->met[i].input == input) return;
    if (m->count < 64) {
        m->met[m->count].op = op;
        m->met[m->count++].input = input;
    }
}

static void remember(const meeting *m)
{
    for (int i = 0; i < m->count; i++) {
        int k = 0;
        while (k < now.met_count && strcmp(now.met[k], m->met[i].op->name) != 0) k++;
        if (k == now.met_count && k < MOST_NAMES) now.met[now.met_count++] = m->met[i].op->name;
    }
}

/* Every gradient that the case's backward functions make is spoilt in each of the ways, and the checker must see it. */
static void mutate_case(tsr_context *ctx, const meeting *m, tsr_function fn, int count, tsr_tensor *const *inputs)
{
    for (int i = 0; i < m->count; i++)
        for (int kind = 0; kind < MUTATIONS; kind++) {
            mutation spoil = {.kind = kind, .op = m->met[i].op, .input = m->met[i].input};
            ctx->mutate = mutate;
            ctx->mutate_user = &spoil;
            const tsr_gradcheck_report r = tsr_gradcheck(fn, inputs, count);
            ctx->mutate = NULL;
            char what[160];
            snprintf(what, sizeof what, "%s: gradient of input %d %s is caught", spoil.op->name, spoil.input,
                     mutation_names[kind]);
            if (spoil.changed) test_check(r.max_error > 1e-5, what, __FILE__, __LINE__);
        }
}

/* ---- cases ------------------------------------------------------------------------------------------------------- */

static void run_case(tsr_context *ctx, tsr_function fn, int count, tsr_tensor *const *inputs, bool zero)
{
    if (test_failed()) return;
    now.cases++;
    if (count > now.inputs) now.inputs = count;
    if (now.mutating && (zero || now.cases > 2)) return; /* the first two cases say enough */
    meeting met = {.count = 0};
    ctx->mutate = meet;
    ctx->mutate_user = &met;
    const tsr_gradcheck_report r = tsr_gradcheck(fn, inputs, count);
    ctx->mutate = NULL;
    if (tsr_error(ctx)) {
        test_check(false, tsr_error(ctx), now.entry->name, now.cases);
        return;
    }
    remember(&met);
    if (now.mutating) {
        mutate_case(ctx, &met, fn, count, inputs);
        return;
    }
    if (r.max_error > now.worst) now.worst = r.max_error;
    char what[256];
    snprintf(what, sizeof what, "case %d: input %d, index %lld: analytic %.12g, numeric %.12g, error %.3g", now.cases,
             r.worst_input, (long long)r.worst_index, r.analytic, r.numeric, r.max_error);
    test_check(r.checked > 0 && r.max_error < 1e-6, what, now.entry->name, now.cases);
    if (!zero) test_check(r.max_gradient > 1e-3, "the gradient is 0: the case proves nothing", now.entry->name, now.cases);
}

void gradcheck_case(tsr_context *ctx, tsr_function fn, int count, tsr_tensor *const *inputs)
{
    run_case(ctx, fn, count, inputs, false);
}

void gradcheck_zero_case(tsr_context *ctx, tsr_function fn, int count, tsr_tensor *const *inputs)
{
    run_case(ctx, fn, count, inputs, true);
}

static void run_entry(void *user)
{
    now.entry = user;
    now.stream = tsr_stream(now.entry->name);
    now.cases = now.inputs = 0;
    now.worst = 0;
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = 1, .threads = 1});
    now.entry->run(ctx);
    test_check(now.cases > 0, "has at least one case", now.entry->name, 0);
    tsr_close(ctx);
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

/* Public functions of ops/ops.h that return a tensor and have no gradient by definition. */
static bool has_no_gradient(const char *name)
{
    return strcmp(name, "argmax") == 0 || strcmp(name, "max_pool_indices") == 0;
}

static bool has_check(const char *name)
{
    for (const gradcheck_entry *entry = gradcheck_entries; entry->name; entry++)
        if (strcmp(entry->name, name) == 0) return true;
    return false;
}

/* Reads the header itself, so that a new prototype without a check cannot be overlooked. */
static void every_public_op_has_a_check(void *user)
{
    (void)user;
    FILE *header = fopen("ops/ops.h", "r");
    char line[512];
    int found = 0;
    if (!test_check(header != NULL, "ops/ops.h can be read (run from the top folder)", __FILE__, __LINE__)) return;
    while (fgets(line, sizeof line, header)) {
        char name[64], what[240];
        if (sscanf(line, "tsr_tensor *tsr_%63[a-z0-9_](", name) != 1 || has_no_gradient(name)) continue;
        found++;
        snprintf(what, sizeof what, "tsr_%s has a gradient check: add GRADCHECK(%s) below tests/gradcheck/", name, name);
        test_check(has_check(name), what, __FILE__, __LINE__);
    }
    fclose(header);
    test_check(found > 60, "the header was understood", __FILE__, __LINE__);
}

static void every_backward_has_run(void *user)
{
    (void)user;
    for (int i = 0; op_names[i]; i++) {
        bool met = false;
        for (int k = 0; k < now.met_count; k++) met = met || strcmp(now.met[k], op_names[i]) == 0;
        char what[160];
        snprintf(what, sizeof what, "the backward of op \"%s\" ran in some gradient check", op_names[i]);
        test_check(met, what, __FILE__, __LINE__);
    }
}

void gradcheck_run_all(const char *filter, bool table)
{
    int ran = 0;
    if (!gradcheck_entries[0].name) return;
    if (table) printf("%-28s %7s %7s %12s\n", "op", "inputs", "cases", "worst error");
    for (const gradcheck_entry *entry = gradcheck_entries; entry->name; entry++) {
        char name[96];
        snprintf(name, sizeof name, "gradcheck_%s", entry->name);
        if (!strstr(name, filter)) continue;
        test_run(name, run_entry, (void *)(size_t)entry);
        if (table) printf("%-28s %7d %7d %12.2e\n", entry->name, now.inputs, now.cases, now.worst);
        ran++;
    }
    now.mutating = true;
    for (const gradcheck_entry *entry = gradcheck_entries; entry->name && !table; entry++) {
        char name[96];
        snprintf(name, sizeof name, "mutations_are_caught_%s", entry->name);
        if (strstr(name, filter)) test_run(name, run_entry, (void *)(size_t)entry);
    }
    now.mutating = false;
    if (*filter) return;
    test_run("every_public_op_has_a_gradient_check", every_public_op_has_a_check, NULL);
    test_run("every_backward_runs_in_a_gradient_check", every_backward_has_run, NULL);
    if (table) printf("%d ops checked\n", ran);
}
