/* The bench: a table of workloads, each measured by itself in a process and a context of its own. */
#ifndef TESSERA_TESTS_BENCH_H
#define TESSERA_TESTS_BENCH_H

#include "tessera.h"

/* What of a workload's op is timed. */
typedef enum bench_way {
    FORWARD,  /* op, nothing recorded */
    BACKWARD, /* tsr_backward_from alone */
    BOTH,     /* op, whose result is a loss, and tsr_backward */
    STEP,     /* tsr_step alone */
    TRAIN     /* op, tsr_backward_releasing, tsr_step */
} bench_way;

typedef struct bench_run bench_run;

typedef struct workload {
    const char *name;
    bench_way way;
    void (*prepare)(bench_run *run);    /* makes what lives on: tensors, model, optimizer */
    tsr_tensor *(*op)(bench_run *run);
    const char *unit;                   /* "GB/s", "img/s", "steps/s"; NULL: operations are all there is to count */
    double amount;                      /* of it per call: values moved, images, steps */
    int numbers[8];                     /* for prepare and op */
} workload;

struct bench_run {
    const workload *work;
    tsr_context *ctx;
    tsr_model *model;
    tsr_optimizer *optimizer;
    tsr_tensor *in[8];
    tsr_tensor *watched[3];  /* whose gradients are thrown away after each call */
    tsr_tensor *cotangent;   /* BACKWARD and STEP: where the pass starts */
    double operations;       /* floating-point, per call; 0: not counted */
};

/* Each ends with a workload that has no name. */
extern const workload bench_kernels[], bench_nets[];

/* ---- calibration.c: what the machine can do at most -------------------------------------------------------------- */

/* Multiply-adds in registers, in vectors of the widest instruction set, on `threads` threads: GFLOP/s. */
double bench_peak(int threads);

/* a = b + 3 c over three arrays of 18 MB, the traffic of all three: GB/s. */
double bench_triad(int threads);

#endif
