/* How fast this machine trains with Tessera, beside what the machine can do at most. README.md beside this file. */
#if defined(__unix__) || defined(__APPLE__)
#define POSIX 1
#define _DEFAULT_SOURCE 1
#define _DARWIN_C_SOURCE 1
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "core/kernels/kernels.h"
#include "core/platform.h"
#include "tests/bench/bench.h"

#include <stdlib.h>
#include <string.h>

enum { LEAST_CALLS = 3, MOST_CALLS = 2000 };
static const double most_seconds = 5; /* of one workload, unless a single call takes longer */

typedef struct options {
    const char *only;
    tsr_precision precision;
    int threads;
    double budget; /* seconds per workload */
    bool tsv, list;
} options;

static const char *const precisions[] = {[TSR_HIGH] = "high", [TSR_HIGHEST] = "highest", [TSR_MEDIUM] = "medium"};

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
    return count ? values[count / 2] : 0;
}

/* ---- processes --------------------------------------------------------------------------------------------------- */

/* The most memory this process ever had, in MB; 0 where nobody says. */
static double process_peak(void)
{
#ifdef POSIX
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
#ifdef __APPLE__
    return (double)usage.ru_maxrss / (1 << 20);
#else
    return (double)usage.ru_maxrss / (1 << 10);
#endif
#else
    return 0;
#endif
}

/* Runs body(user) in a process of its own, where there are such, so that peak memory is that of one workload. */
static int apart(int (*body)(void *user), void *user)
{
#ifdef POSIX
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        const int status = body(user);
        fflush(stdout);
        _exit(status);
    }
    int status = 1;
    if (child > 0) return waitpid(child, &status, 0) != child || status != 0;
#endif
    return body(user);
}

/* ---- one workload ------------------------------------------------------------------------------------------------ */

typedef struct task {
    const options *options;
    const workload *work;
} task;

/* Seconds of one call, the mean of `times`. Making the graph that BACKWARD and STEP need is not part of it; closing the
 * scope of what is timed is. */
static double call(bench_run *run, int times)
{
    const workload *w = run->work;
    double seconds = 0;
    TSR_SCOPE(run->ctx) {
        tsr_tensor *y = w->way == BACKWARD || w->way == STEP ? w->op(run) : NULL;
        if (w->way == STEP) tsr_backward_from(y, run->cotangent);
        const double start = tsr_platform_seconds();
        for (int i = 0; i < times; i++) {
            tsr_scope scope = tsr_scope_begin(run->ctx, w->way == FORWARD);
            if (w->way == BACKWARD) tsr_backward_from(y, run->cotangent);
            else if (w->way != STEP) y = w->op(run);
            if (w->way == BOTH) tsr_backward(y);
            if (w->way == TRAIN) tsr_backward_releasing(y);
            if (w->way == TRAIN || w->way == STEP) tsr_step(run->optimizer);
            for (int k = 0; k < 3; k++)
                if (run->watched[k]) tsr_zero_grad(run->watched[k]);
            tsr_scope_end(&scope);
        }
        seconds = (tsr_platform_seconds() - start) / times;
    }
    return seconds;
}

static double median_call(bench_run *run, double budget)
{
    static double seconds[MOST_CALLS];
    double start = tsr_platform_seconds(), last = call(run, 1);
    if (tsr_platform_seconds() - start < 0.5) last = call(run, 1);
    const int times = run->work->way == TRAIN && last < 1e-4 ? 10 : 1; /* the clock costs as much as a few ops */
    tsr_reset_peak(run->ctx);
    start = tsr_platform_seconds();
    int calls = 0;
    for (double spent = 0; calls < MOST_CALLS && spent < most_seconds && (calls < LEAST_CALLS || spent < budget);
         spent = tsr_platform_seconds() - start)
        seconds[calls++] = call(run, times);
    return median(seconds, calls);
}

static void print_tsv(const task *t, const char *unit, double seconds, double value)
{
    printf("%s%s%s\ttessera-%s\t%d\t%.6g\t%.4g\n", t->work->name, *unit ? "." : "", unit,
           precisions[t->options->precision], t->options->threads, seconds, value);
}

static void print_result(const bench_run *run, const options *o, double seconds)
{
    const workload *w = run->work;
    const task t = {o, w};
    const bool bytes = w->unit && strcmp(w->unit, "GB/s") == 0, whole = w->name[0] == 'T';
    const double memory = process_peak(), gflops = 1e-9 * run->operations / seconds;
    const double rate = w->amount / seconds * (bytes ? 1e-9 * sizeof(tsr_real) : 1);
    const double limit = bytes ? bench_triad(o->threads) : bench_peak(o->threads);
    if (o->tsv) {
        printf("calib-%s\tmachine\t%d\t0\t%.1f\n", bytes ? "triad" : "fma", o->threads, limit);
        print_tsv(&t, "", seconds, gflops);
        if (w->unit) print_tsv(&t, w->unit, seconds, rate);
        if (whole) print_tsv(&t, "MB", seconds, memory);
        return;
    }
    printf("%-30s %11.4f %10.1f %-8s %4.0f %% of %-9s %8.2f", w->name, 1e3 * seconds, w->unit ? rate : gflops,
           w->unit ? w->unit : "GFLOP/s", 100 * (bytes ? rate : gflops) / limit, bytes ? "bandwidth" : "peak",
           (double)tsr_statistics_of(run->ctx).peak_bytes / (1 << 20));
    if (whole) printf(" (process %.0f)", memory);
    printf("\n");
}

static int measure(void *user)
{
    const task *t = user;
    const options *o = t->options;
    tsr_context *ctx = tsr_open(&(tsr_options){.threads = o->threads, .precision = o->precision});
    bench_run run = {.work = t->work, .ctx = ctx};
    t->work->prepare(&run);
    const double seconds = median_call(&run, o->budget);
    if (!tsr_error(ctx)) print_result(&run, o, seconds);
    else fprintf(stderr, "bench: %s: %s\n", t->work->name, tsr_error(ctx));
    return tsr_close(ctx);
}

/* ---- start-up ---------------------------------------------------------------------------------------------------- */

/* What the start-up workload runs: open, one step of XOR, close. */
static int one_step(void)
{
    const workload *w = bench_nets;
    while (strcmp(w->name, "O-xor-b4") != 0) w++;
    bench_run run = {.work = w, .ctx = tsr_open(&(tsr_options){.threads = 1})};
    w->prepare(&run);
    call(&run, 1);
    return tsr_close(run.ctx);
}

static bool measure_start(const options *o, const char *program)
{
#ifdef POSIX
    enum { RUNS = 41 };
    double seconds[RUNS];
    for (int i = 0; i < RUNS; i++) {
        const double start = tsr_platform_seconds();
        fflush(stdout);
        const pid_t child = fork();
        if (child == 0) {
            execlp(program, program, "--one-step", (char *)NULL);
            _exit(127);
        }
        int status = 1;
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0) return false;
        seconds[i] = tsr_platform_seconds() - start;
    }
    const double middle = median(seconds, RUNS);
    if (o->tsv) printf("start-up\ttessera-%s\t1\t%.6g\t0\n", precisions[o->precision], middle);
    else printf("%-30s %11.4f\n", "start-up", 1e3 * middle);
#else
    (void)o, (void)program;
#endif
    return true;
}

/* ---- the command line -------------------------------------------------------------------------------------------- */

static bool read_options(options *o, int count, char **arguments)
{
    *o = (options){.only = "", .precision = TSR_HIGH, .budget = 0.6};
    for (int i = 1; i < count; i++) {
        const char *name = arguments[i];
        if (strcmp(name, "--tsv") == 0) {
            o->tsv = true;
            continue;
        }
        if (strcmp(name, "--list") == 0) {
            o->list = true;
            continue;
        }
        if (++i == count) return false;
        if (strcmp(name, "--only") == 0) o->only = arguments[i];
        else if (strcmp(name, "--threads") == 0) o->threads = atoi(arguments[i]);
        else if (strcmp(name, "--budget") == 0) o->budget = atof(arguments[i]);
        else if (strcmp(name, "--precision") == 0) {
            size_t p = 0;
            while (p < 3 && strcmp(arguments[i], precisions[p]) != 0) p++;
            if (p == 3) return false;
            o->precision = (tsr_precision)p;
        } else return false;
    }
    if (o->threads == 0) {
        tsr_context *ctx = tsr_open(NULL);
        o->threads = tsr_threads(ctx);
        tsr_close(ctx);
    }
    return o->threads > 0;
}

/* Name, then the numbers that define it; zeros at the end are left out. */
static void print_workload(const workload *w)
{
    int count = 8;
    while (count > 0 && w->numbers[count - 1] == 0) count--;
    printf("%s", w->name);
    for (int i = 0; i < count; i++) printf("%c%d", i ? ' ' : '\t', w->numbers[i]);
    printf("\n");
}

int main(int count, char **arguments)
{
    options o;
    if (count == 2 && strcmp(arguments[1], "--one-step") == 0) return one_step();
    if (!read_options(&o, count, arguments)) {
        fprintf(stderr, "usage: bench [--only NAME] [--threads N] [--precision highest|high|medium] [--budget SECONDS] "
                        "[--tsv] [--list]\n");
        return 2;
    }
    if (!o.tsv && !o.list)
        printf("%d thread%s, kernels %s, precision %s\n%-30s %11s %19s %18s %8s\n", o.threads, o.threads > 1 ? "s" : "",
               tsr_kernels_choose(o.precision)->name, precisions[o.precision], "workload", "median ms", "", "", "MB");
    int failed = 0, found = 0;
    const workload *const tables[] = {bench_kernels, bench_nets};
    for (int table = 0; table < 2; table++)
        for (const workload *w = tables[table]; w->name; w++) {
            if (!strstr(w->name, o.only)) continue;
            found++;
            if (o.list) print_workload(w);
            else failed |= apart(measure, &(task){&o, w});
        }
    if (strstr("start-up", o.only)) {
        found++;
        if (o.list) printf("start-up\n");
        else failed |= !measure_start(&o, arguments[0]);
    }
    if (!found) fprintf(stderr, "bench: no workload is called like %s\n", o.only);
    return failed || !found;
}
