/* A first bench: how fast the inner loops and a training step are on this machine, beside its own peak.
 *     make bench        or        build/bench [--threads N] */
#include "core/kernels/kernels.h"
#include "core/platform.h"
#include "tessera.h"

#include <stdlib.h>
#include <string.h>

typedef struct workload {
    const char *name;
    tsr_tensor *(*forward)(tsr_tensor *const *in);
    tsr_shape shapes[3];
    double multiply_adds; /* forward */
} workload;

static tsr_tensor *matmul(tsr_tensor *const *in) { return tsr_matmul(in[0], in[1], NULL); }
static tsr_tensor *conv3(tsr_tensor *const *in)
{
    return tsr_conv(in[0], in[1], in[2], &(tsr_conv_options){.padding = {1, 1}, .activation = TSR_RELU});
}
static tsr_tensor *batch_norm(tsr_tensor *const *in)
{
    return tsr_batch_norm(in[0], &(tsr_batch_norm_state){.scale = in[1], .shift = in[2]}, NULL);
}
static tsr_tensor *max_pool(tsr_tensor *const *in) { return tsr_max_pool(in[0], &(tsr_pool_options){.kernel = {2, 2}}); }
static tsr_tensor *relu(tsr_tensor *const *in) { return tsr_relu(in[0]); }

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median seconds of forward and of backward. */
static void measure(tsr_context *ctx, const workload *w, double *forward, double *backward)
{
    enum { RUNS = 7 };
    double ahead[RUNS], back[RUNS];
    TSR_SCOPE(ctx) {
        tsr_tensor *in[3] = {0};
        for (int i = 0; i < 3 && w->shapes[i].rank > 0; i++) in[i] = tsr_watch(tsr_normal(ctx, w->shapes[i], 0, 1, (uint64_t)i));
        for (int run = -2; run < RUNS; run++)
            TSR_SCOPE(ctx) {
                const double start = tsr_platform_seconds();
                tsr_tensor *y = w->forward(in);
                const double middle = tsr_platform_seconds();
                tsr_backward_from(y, tsr_full(ctx, tsr_shape_of(y), 1));
                const double end = tsr_platform_seconds();
                for (int i = 0; i < 3; i++) tsr_zero_grad(in[i]);
                if (run >= 0) ahead[run] = middle - start;
                if (run >= 0) back[run] = end - middle;
            }
    }
    qsort(ahead, RUNS, sizeof *ahead, by_value);
    qsort(back, RUNS, sizeof *back, by_value);
    *forward = ahead[RUNS / 2];
    *backward = back[RUNS / 2];
}

int main(int count, char **arguments)
{
    int threads = 0;
    for (int i = 1; i < count; i++) {
        if (strcmp(arguments[i], "--threads") == 0 && i + 1 < count) threads = atoi(arguments[++i]);
        else {
            fprintf(stderr, "bench: unknown argument %s; usage: bench [--threads N]\n", arguments[i]);
            return 2;
        }
    }
    const workload all[] = {
        {"matmul 512", matmul, {TSR_SHAPE(512, 512), TSR_SHAPE(512, 512)}, 512.0 * 512 * 512},
        {"matmul 1024", matmul, {TSR_SHAPE(1024, 1024), TSR_SHAPE(1024, 1024)}, 1024.0 * 1024 * 1024},
        {"conv 3x3 64-64@56 b4", conv3, {TSR_SHAPE(4, 56, 56, 64), TSR_SHAPE(3, 3, 64, 64), TSR_SHAPE(64)}, 4.0 * 56 * 56 * 64 * 64 * 9},
        {"conv 3x3 3-32@96 b16", conv3, {TSR_SHAPE(16, 96, 96, 3), TSR_SHAPE(3, 3, 3, 32), TSR_SHAPE(32)}, 16.0 * 96 * 96 * 3 * 32 * 9},
        {"batch norm 64@48 b32", batch_norm, {TSR_SHAPE(32, 48, 48, 64), TSR_SHAPE(64), TSR_SHAPE(64)}, 0},
        {"max pool 2x2 64@48 b32", max_pool, {TSR_SHAPE(32, 48, 48, 64)}, 0},
        {"relu 64@48 b32", relu, {TSR_SHAPE(32, 48, 48, 64)}, 0},
    };
    tsr_context *ctx = tsr_open(&(tsr_options){.threads = threads});
    printf("%d threads, kernels %s, medians of 7; backward computes all gradients\n", tsr_threads(ctx), tsr_kernels_choose()->name);
    printf("%-24s %11s %9s %12s %9s\n", "workload", "forward ms", "GFLOP/s", "backward ms", "GFLOP/s");
    for (size_t i = 0; i < sizeof all / sizeof *all && !tsr_error(ctx); i++) {
        double forward, backward;
        measure(ctx, &all[i], &forward, &backward);
        printf("%-24s %11.3f %9.1f %12.3f %9.1f\n", all[i].name, 1e3 * forward, 2e-9 * all[i].multiply_adds / forward,
               1e3 * backward, 4e-9 * all[i].multiply_adds / backward);
    }
    if (tsr_error(ctx)) fprintf(stderr, "bench: %s\n", tsr_error(ctx));
    return tsr_close(ctx);
}
