#include "ops/ops_internal.h"

#include "ops/map_internal.h"

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

int64_t tsr_grain_of_few(int64_t count, double cost)
{
    enum { PIECES = 32 };
    const int64_t least = (count + PIECES - 1) / PIECES, grain = tsr_grain(cost);
    return grain > least ? grain : least;
}

/* ---- activations ------------------------------------------------------------------------------------------------- */

void tsr_activate(tsr_context *ctx, tsr_activation activation, tsr_real *y, int64_t size)
{
    if (activation == TSR_NO_ACTIVATION) return;
    tsr_map map = {.row = tsr_activation_rows[activation], .cost = 2, .shape = TSR_SHAPE(size)};
    tsr_map_add(&map, y, NULL);
    tsr_map_run(ctx, &map, y);
}

void tsr_deactivate(tsr_context *ctx, tsr_activation activation, const tsr_real *y, const tsr_real *g, tsr_real *out,
                    int64_t size)
{
    tsr_map map = {.row = tsr_deactivation_rows[activation], .cost = 2, .shape = TSR_SHAPE(size)};
    if (ctx->deconvnet && activation == TSR_RELU) y = g; /* g where g, not y, is positive */
    if (map.row)
        for (int i = 0; i < 2; i++) tsr_map_add(&map, y, NULL); /* x, which none of these look at, and y */
    tsr_map_add(&map, g, NULL);
    tsr_map_run(ctx, &map, out);
}

/* ---- sums -------------------------------------------------------------------------------------------------------- */

enum { SUM_PIECE = 32768, SUM_PIECES = 256 };

typedef struct sum_job {
    const tsr_real *a, *b;
    int64_t piece;
    double parts[SUM_PIECES];
} sum_job;

static TSR_LOOP(dot_body)
{
    enum { LANES = 16 };
    sum_job *job = user;
    const tsr_real *a = job->a, *b = job->b;
    double lanes[LANES] = {0}, sum = 0;
    int64_t i = begin;
    for (; i + LANES <= end; i += LANES)
        for (int k = 0; k < LANES; k++) lanes[k] += (double)a[i + k] * (double)b[i + k];
    for (; i < end; i++) sum += (double)a[i] * (double)b[i];
    for (int k = 0; k < LANES; k++) sum += lanes[k];
    job->parts[begin / job->piece] = sum;
}

double tsr_dot(tsr_context *ctx, const tsr_real *a, const tsr_real *b, int64_t size)
{
    sum_job job; /* its large array is not worth zeroing */
    job.a = a;
    job.b = b;
    job.piece = SUM_PIECE;
    if (size > (int64_t)SUM_PIECE * SUM_PIECES) job.piece = (size - 1) / SUM_PIECES + 1;
    tsr_parallel(ctx, size, job.piece, dot_body[ctx->kernels->level], &job);
    double sum = 0;
    for (int64_t i = 0; i * job.piece < size; i++) sum += job.parts[i];
    return sum;
}

void tsr_column_sums(tsr_context *ctx, const tsr_real *g, int64_t rows, int64_t columns, tsr_real *out)
{
    tsr_map map = {.shape = {.rank = 2, .dims = {rows, columns}}};
    const tsr_shape target = {.rank = 1, .dims = {columns}};
    tsr_map_add(&map, g, NULL);
    tsr_map_fold(ctx, &map, &(tsr_fold){.target = &target, .divisor = 1, .out = out});
}

/* ---- products ---------------------------------------------------------------------------------------------------- */

void tsr_node_multiply(tsr_node *n, const tsr_product *product)
{
    tsr_context *ctx = tsr_node_context(n);
    tsr_count_work(n, (double)product->rows * (double)product->columns * (double)product->depth);
    const size_t bytes = tsr_product_workspace(ctx->kernels, product);
    const tsr_piece *mark = ctx->scratch;
    void *workspace = bytes > 0 ? tsr_scratch(n, bytes) : NULL;
    if (bytes > 0 && !workspace) return;
    tsr_multiply(ctx, product, workspace);
    if (bytes > 0) tsr_pieces_release(ctx, &ctx->scratch, mark); /* at once: an op may run one product per sample */
}
