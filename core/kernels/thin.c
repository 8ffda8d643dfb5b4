/* Products of a matrix and up to four vectors. Nothing is packed, since each value of the matrix is wanted once or a
 * few times only; its rows are multiplied, or added up, whichever way its values lie side by side. */
#include "core/core_internal.h"
#include "core/kernels/pack.h"

enum {
    FEW = 4,           /* most vectors, */
    DOT_DEPTH = 2048,  /* summed at once: the vectors stay in the first-level cache */
    SUM_DEPTH = 64,    /* rows of the matrix added up at once: they stay in the second-level cache, */
    SUM_WIDTH = 1024,  /* so many columns of them, */
    SUM_LEAST = 256,   /* and the fewest that are worth it */
    DOT_LEAST = 8      /* least depth */
};

typedef struct thin_job {
    const tsr_kernels *kernels;
    const tsr_product *product;
    const tsr_factor *matrix, *vectors;
    int64_t few, few_step, many_step; /* vectors, and steps of the result */
    bool few_bias;                    /* else it goes along the rows of the matrix */
} thin_job;

static void finish_value(const thin_job *job, int64_t row, int64_t vector, tsr_real v)
{
    const tsr_product *p = job->product;
    tsr_real *c = p->out + row * job->many_step + vector * job->few_step;
    if (p->accumulate) v += *c;
    if (p->bias) v += p->bias[job->few_bias ? vector : row];
    if (p->activation != TSR_NO_ACTIVATION) job->kernels->activate(p->activation, &v, 1);
    *c = v;
}

static void dots_body(void *user, int64_t begin, int64_t end)
{
    const thin_job *job = user;
    const int64_t depth = job->product->depth, a_row = job->matrix->row_stride;
    for (int64_t i = begin; i < end; i += 4)
        for (int64_t j = 0; j < job->few; j++) {
            const tsr_real *a[4], *b = job->vectors->data + j * job->vectors->row_stride;
            tsr_real total[4] = {0};
            for (int64_t r = 0; r < 4; r++) a[r] = job->matrix->data + (i + r < end ? i + r : i) * a_row;
            for (int64_t k = 0; k < depth; k += DOT_DEPTH) {
                tsr_real sums[4];
                job->kernels->dots(a, b + k, depth - k < DOT_DEPTH ? depth - k : DOT_DEPTH, sums);
                for (int r = 0; r < 4; r++) {
                    a[r] += DOT_DEPTH;
                    total[r] += sums[r];
                }
            }
            for (int64_t r = 0; r < 4 && i + r < end; r++) finish_value(job, i + r, j, total[r]);
        }
}

/* Adds rows [k, k + SUM_DEPTH) of the matrix, times the values of vector j, to y. */
static void add_to_block(const thin_job *job, int64_t at, int64_t width, int64_t k, int64_t j, tsr_real *y)
{
    static const tsr_real zeros[SUM_WIDTH];
    const tsr_factor *m = job->matrix, *v = job->vectors;
    tsr_real sum[SUM_WIDTH] = {0};
    const int64_t end = job->product->depth - k < SUM_DEPTH ? job->product->depth : k + SUM_DEPTH;
    for (; k < end; k += 4) {
        const tsr_real *a[4];
        tsr_real c[4];
        for (int r = 0; r < 4; r++) {
            a[r] = k + r < end ? m->data + at + (k + r) * m->depth_stride : zeros;
            c[r] = k + r < end ? v->data[j * v->row_stride + (k + r) * v->depth_stride] : 0;
        }
        job->kernels->add_rows(a, 4 * m->depth_stride, c, width, sum);
    }
    for (int64_t i = 0; i < width; i++) y[i] += sum[i];
}

static void thin_sums_body(void *user, int64_t begin, int64_t end)
{
    const thin_job *job = user;
    for (int64_t at = begin; at < end; at += SUM_WIDTH) {
        const int64_t width = end - at < SUM_WIDTH ? end - at : SUM_WIDTH;
        tsr_real y[FEW][SUM_WIDTH] = {{0}};
        for (int64_t k = 0; k < job->product->depth; k += SUM_DEPTH)
            for (int64_t j = 0; j < job->few; j++) add_to_block(job, at, width, k, j, y[j]);
        for (int64_t j = 0; j < job->few; j++)
            for (int64_t i = 0; i < width; i++) finish_value(job, at + i, j, y[j][i]);
    }
}

bool tsr_multiply_thin(tsr_context *ctx, const tsr_kernels *kernels, const tsr_product *p)
{
    const bool columns_few = p->columns <= p->rows;
    const int64_t few = columns_few ? p->columns : p->rows, many = columns_few ? p->rows : p->columns;
    if (few > FEW || (p->depth < DOT_LEAST && many < SUM_LEAST) || p->left.pack || p->right.pack) return false;
    thin_job job = {.kernels = kernels, .product = p, .few = few,
                    .matrix = columns_few ? &p->left : &p->right, .vectors = columns_few ? &p->right : &p->left,
                    .few_step = columns_few ? 1 : p->stride, .many_step = columns_few ? p->stride : 1,
                    .few_bias = columns_few};
    const bool dots = p->depth >= DOT_LEAST && job.matrix->depth_stride == 1 && job.vectors->depth_stride == 1;
    if (!dots && (job.matrix->row_stride != 1 || many < SUM_LEAST)) return false;
    const int64_t worth = tsr_grain((double)(p->depth * job.few));
    int64_t grain = (worth + 15) / 16 * 16;
    if (!dots) { /* long runs of each row, but eight threads shall have some */
        grain = (many / 8 + 63) / 64 * 64;
        grain = grain < SUM_LEAST ? SUM_LEAST : grain > SUM_WIDTH ? SUM_WIDTH : grain;
        grain = grain < worth ? worth : grain;
    }
    const tsr_loop_body body = dots ? dots_body : thin_sums_body;
    if (ctx) tsr_parallel(ctx, many, grain, body, &job);
    else /* the same pieces: a loop's last turns may round differently */
        for (int64_t i = 0; i < many; i += grain) body(&job, i, many - i < grain ? many : i + grain);
    return true;
}
