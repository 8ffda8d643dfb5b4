#include "ops/ops_internal.h"

#include "ops/exp_internal.h"

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
        for (int64_t i = begin; i < end; i++) y[i] = y[i] < 0 ? 0 : y[i]; /* NaN stays */
        break;
    case TSR_SIGMOID:
        for (int64_t i = begin; i < end; i++) y[i] = tsr_sigmoid_of(y[i]);
        break;
    case TSR_TANH:
        for (int64_t i = begin; i < end; i++) y[i] = tsr_tanh_of(y[i]);
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
        for (int64_t i = begin; i < end; i++) {
            const tsr_real arriving = g[i]; /* read in any case: no branch */
            out[i] = y[i] > 0 ? arriving : 0;
        }
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
    sum_job job; /* its large array is not worth zeroing */
    job.a = a;
    job.b = b;
    job.piece = SUM_PIECE;
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

/* ---- sums of columns ------------------------------------------------------------------------------------------------ */

enum { COLUMN_SUM_ROWS = 8, COLUMN_SUM_PIECES = 16, COLUMN_SUM_FEW = 256 };

typedef struct column_sum_job {
    const tsr_real *g;
    int64_t columns, piece;
    double *parts; /* one row per piece */
} column_sum_job;

static void column_sum_body(void *user, int64_t begin, int64_t end)
{
    const column_sum_job *job = user;
    const int64_t columns = job->columns;
    double *sum = job->parts + begin / job->piece * columns;
    int64_t row = begin;
    for (int64_t j = 0; j < columns; j++) sum[j] = 0;
    for (; row + COLUMN_SUM_ROWS <= end; row += COLUMN_SUM_ROWS) { /* eight rows go to a double at once */
        const tsr_real *a = job->g + row * columns, *b = a + columns, *c = b + columns, *d = c + columns;
        const tsr_real *e = d + columns, *f = e + columns, *g = f + columns, *h = g + columns;
        for (int64_t j = 0; j < columns; j++)
            sum[j] += (double)(((a[j] + b[j]) + (c[j] + d[j])) + ((e[j] + f[j]) + (g[j] + h[j])));
    }
    for (; row < end; row++)
        for (int64_t j = 0; j < columns; j++) sum[j] += (double)job->g[row * columns + j];
}

void tsr_column_sums(tsr_context *ctx, const tsr_real *g, int64_t rows, int64_t columns, tsr_real *out)
{
    column_sum_job job = {.g = g, .columns = columns, .piece = tsr_grain((double)columns)};
    if (job.piece < (rows - 1) / COLUMN_SUM_PIECES + 1) job.piece = (rows - 1) / COLUMN_SUM_PIECES + 1;
    if (job.piece < COLUMN_SUM_ROWS) job.piece = COLUMN_SUM_ROWS;
    const int64_t pieces = rows > job.piece ? (rows - 1) / job.piece + 1 : 1;
    double few[COLUMN_SUM_FEW];
    const size_t bytes = pieces * columns > COLUMN_SUM_FEW ? (size_t)(pieces * columns) * sizeof *job.parts : 0;
    job.parts = bytes ? tsr_allocate(ctx, bytes, "a sum over rows") : few;
    if (!job.parts) return;
    if (pieces == 1) column_sum_body(&job, 0, rows);
    else tsr_parallel(ctx, rows, job.piece, column_sum_body, &job);
    for (int64_t piece = 1; piece < pieces; piece++)
        for (int64_t j = 0; j < columns; j++) job.parts[j] += job.parts[piece * columns + j];
    for (int64_t j = 0; j < columns; j++) out[j] = (tsr_real)job.parts[j];
    if (bytes) tsr_release(ctx, job.parts, bytes);
}

/* ---- products ------------------------------------------------------------------------------------------------------- */

void tsr_node_multiply(tsr_node *n, const tsr_product *product)
{
    tsr_context *ctx = tsr_node_context(n);
    tsr_count_work(n, (double)product->rows * (double)product->columns * (double)product->depth);
    const size_t bytes = tsr_product_workspace(product);
    const tsr_piece *mark = ctx->scratch;
    void *workspace = bytes > 0 ? tsr_scratch(n, bytes) : NULL;
    if (bytes > 0 && !workspace) return;
    tsr_multiply(ctx, product, workspace);
    if (bytes > 0) tsr_scratch_release(ctx, mark); /* at once: an op may run one product per sample */
}
