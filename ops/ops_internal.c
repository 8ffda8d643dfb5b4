#include "ops/ops_internal.h"

#include <math.h>

bool tsr_find_axis(int rank, int *axis)
{
    if (*axis < 0) *axis += rank;
    return *axis >= 0 && *axis < rank;
}

tsr_axis_view tsr_view_axis(tsr_shape shape, int axis)
{
    tsr_axis_view view = {.outer = 1, .length = shape.dims[axis], .inner = 1};
    for (int i = 0; i < axis; i++) view.outer *= shape.dims[i];
    for (int i = axis + 1; i < shape.rank; i++) view.inner *= shape.dims[i];
    return view;
}

int tsr_default_int(int value, int fallback)
{
    if (value == 0) return fallback;
    return value == TSR_ZERO ? 0 : value;
}

double tsr_default_double(double value, double fallback)
{
    if (value == 0) return fallback;
    return value == (double)TSR_ZERO ? 0 : value;
}

/* ---- activations ------------------------------------------------------------------------------------------------- */

typedef struct activation_job {
    tsr_activation kind;
    const tsr_real *y, *g;
    tsr_real *out;
} activation_job;

static void activate_body(void *user, int64_t begin, int64_t end)
{
    const activation_job *job = user;
    tsr_real *y = job->out;
    switch (job->kind) {
    case TSR_NO_ACTIVATION: break;
    case TSR_RELU:
        for (int64_t i = begin; i < end; i++) y[i] = y[i] > 0 ? y[i] : 0;
        break;
    case TSR_SIGMOID:
        for (int64_t i = begin; i < end; i++) y[i] = (tsr_real)(1 / (1 + exp(-(double)y[i])));
        break;
    case TSR_TANH:
        for (int64_t i = begin; i < end; i++) y[i] = (tsr_real)tanh((double)y[i]);
        break;
    }
}

void tsr_activate(tsr_context *ctx, tsr_activation activation, tsr_real *y, int64_t size)
{
    activation_job job = {.kind = activation, .out = y};
    if (activation != TSR_NO_ACTIVATION) tsr_parallel(ctx, size, tsr_grain(2), activate_body, &job);
}

static void deactivate_body(void *user, int64_t begin, int64_t end)
{
    const activation_job *job = user;
    const tsr_real *y = job->y, *g = job->g;
    tsr_real *out = job->out;
    switch (job->kind) {
    case TSR_NO_ACTIVATION:
        for (int64_t i = begin; i < end; i++) out[i] = g[i];
        break;
    case TSR_RELU:
        for (int64_t i = begin; i < end; i++) out[i] = y[i] > 0 ? g[i] : 0;
        break;
    case TSR_SIGMOID:
        for (int64_t i = begin; i < end; i++) out[i] = g[i] * y[i] * (1 - y[i]);
        break;
    case TSR_TANH:
        for (int64_t i = begin; i < end; i++) out[i] = g[i] * (1 - y[i] * y[i]);
        break;
    }
}

void tsr_deactivate(tsr_context *ctx, tsr_activation activation, const tsr_real *y, const tsr_real *g, tsr_real *out,
                    int64_t size)
{
    activation_job job = {.kind = activation, .y = y, .g = g, .out = out};
    tsr_parallel(ctx, size, tsr_grain(2), deactivate_body, &job);
}

/* ---- sums -------------------------------------------------------------------------------------------------------- */

enum { SUM_PIECE = 32768, SUM_PIECES = 256 };

typedef struct sum_job {
    const tsr_real *a, *b; /* b NULL: the sum of a */
    int64_t piece;
    double parts[SUM_PIECES];
} sum_job;

static void sum_body(void *user, int64_t begin, int64_t end)
{
    sum_job *job = user;
    const tsr_real *a = job->a, *b = job->b;
    double lanes[8] = {0}, sum = 0;
    int64_t i = begin;
    if (b)
        for (; i + 8 <= end; i += 8)
            for (int k = 0; k < 8; k++) lanes[k] += (double)a[i + k] * (double)b[i + k];
    else
        for (; i + 8 <= end; i += 8)
            for (int k = 0; k < 8; k++) lanes[k] += (double)a[i + k];
    for (; i < end; i++) lanes[0] += b ? (double)a[i] * (double)b[i] : (double)a[i];
    for (int k = 0; k < 8; k++) sum += lanes[k];
    job->parts[begin / job->piece] = sum;
}

double tsr_dot(tsr_context *ctx, const tsr_real *a, const tsr_real *b, int64_t size)
{
    sum_job job = {.a = a, .b = b, .piece = SUM_PIECE};
    if (size > (int64_t)SUM_PIECE * SUM_PIECES) job.piece = (size - 1) / SUM_PIECES + 1;
    tsr_parallel(ctx, size, job.piece, sum_body, &job);
    double sum = 0;
    for (int64_t i = 0; i * job.piece < size; i++) sum += job.parts[i];
    return sum;
}

double tsr_sum_of(tsr_context *ctx, const tsr_real *values, int64_t size)
{
    return tsr_dot(ctx, values, NULL, size);
}
