/* Products: matmul with batches, and linear with bias and activation in the same pass. */
#include "ops/ops_internal.h"

/* ---- matmul -------------------------------------------------------------------------------------------- */

/* C = A B; in the backward pass C is the gradient that arrives. */
enum { OF_A, OF_B, OF_C, OPERANDS };

/* What a call needs in both passes: sizes of one product, and how the batches of the operands go together. */
typedef struct matmul_call {
    int64_t rows, columns, depth;
    bool transposed[OPERANDS]; /* in memory; never C */
    int rank;                  /* leading axes of the result */
    int64_t dims[TSR_MAX_RANK], steps[OPERANDS][TSR_MAX_RANK]; /* steps in values; 0: the same matrix again */
    int64_t batches;
} matmul_call;

/* Leading axes of A and B against each other, into those of the result; false where they do not broadcast. */
static bool broadcast_axes(tsr_shape a, tsr_shape b, tsr_shape *result)
{
    const int rank = (a.rank > b.rank ? a.rank : b.rank) - 2;
    *result = (tsr_shape){.rank = rank + 2};
    for (int axis = 0; axis < rank; axis++) {
        const int in_a = axis - rank + a.rank - 2, in_b = axis - rank + b.rank - 2;
        const int64_t da = in_a < 0 ? 1 : a.dims[in_a], db = in_b < 0 ? 1 : b.dims[in_b];
        if (da != db && da != 1 && db != 1) return false;
        result->dims[axis] = da == 1 ? db : da;
    }
    return true;
}

/* Steps of one operand of shape `s` along the leading axes of the result. */
static void set_steps(matmul_call *call, int operand, tsr_shape s)
{
    int64_t step = s.dims[s.rank - 2] * s.dims[s.rank - 1];
    for (int axis = call->rank - 1; axis >= 0; axis--) {
        const int own = axis - call->rank + s.rank - 2;
        const int64_t dim = own < 0 ? 1 : s.dims[own];
        call->steps[operand][axis] = dim == 1 ? 0 : step;
        step *= dim;
    }
}

/* Fills in how batches go together. Many small products by one matrix become one product with many rows. */
static void set_batches(matmul_call *call, tsr_shape a, tsr_shape b, tsr_shape result)
{
    call->rank = result.rank - 2;
    call->batches = 1;
    for (int axis = 0; axis < call->rank; axis++) {
        call->dims[axis] = result.dims[axis];
        call->batches *= result.dims[axis];
    }
    set_steps(call, OF_A, a);
    set_steps(call, OF_B, b);
    set_steps(call, OF_C, result);
    for (int axis = 0; axis < call->rank; axis++)
        if (call->steps[OF_B][axis] != 0 || (call->steps[OF_A][axis] == 0 && call->dims[axis] > 1)) return;
    if (call->transposed[OF_A]) return;
    call->rows *= call->batches;
    call->batches = 1;
    call->rank = 0;
}

/* Where batch `t` of an operand begins; *first: no batch before t has the same one. */
static int64_t batch_offset(const matmul_call *call, int operand, int64_t t, bool *first)
{
    int64_t offset = 0;
    *first = true;
    for (int axis = call->rank - 1; axis >= 0; axis--) {
        const int64_t at = t % call->dims[axis];
        t /= call->dims[axis];
        offset += at * call->steps[operand][axis];
        if (at > 0 && call->steps[operand][axis] == 0) *first = false;
    }
    return offset;
}

static bool repeats(const matmul_call *call, int operand)
{
    for (int axis = 0; axis < call->rank; axis++)
        if (call->dims[axis] > 1 && call->steps[operand][axis] == 0) return true;
    return false;
}

/* An operand as a factor: its rows, or its columns, by the axis that is summed over. */
static tsr_factor factor_of(const matmul_call *call, int operand, bool by_columns, const tsr_real *data)
{
    const int64_t rows = operand == OF_B ? call->depth : call->rows;
    const int64_t columns = operand == OF_A ? call->depth : call->columns;
    const int64_t row = call->transposed[operand] ? 1 : columns, column = call->transposed[operand] ? rows : 1;
    if (by_columns) return (tsr_factor){.data = data, .row_stride = column, .depth_stride = row};
    return (tsr_factor){.data = data, .row_stride = row, .depth_stride = column};
}

typedef struct batches_job {
    const matmul_call *call;
    const tsr_kernels *kernels;
    tsr_product product;
    int left, right, out;
    int64_t grain; /* batches of one piece */
    size_t workspace_bytes;
    unsigned char *workspace;
} batches_job;

static tsr_product batch_product(const batches_job *job, int64_t t)
{
    tsr_product p = job->product;
    bool first;
    p.left.data += batch_offset(job->call, job->left, t, &first);
    p.right.data += batch_offset(job->call, job->right, t, &first);
    p.out += batch_offset(job->call, job->out, t, &first);
    p.accumulate = !first;
    return p;
}

static void batches_body(void *user, int64_t begin, int64_t end)
{
    const batches_job *job = user;
    for (int64_t t = begin; t < end; t++) {
        const tsr_product p = batch_product(job, t);
        tsr_multiply_alone(job->kernels, &p, job->workspace + (size_t)(begin / job->grain) * job->workspace_bytes);
    }
}

/* out = left * right for all batches; where several have one `out`, added up in order. */
static void multiply_batches(tsr_node *n, batches_job *job)
{
    enum { MOST_PIECES = 16 };
    const matmul_call *call = job->call;
    tsr_context *ctx = tsr_node_context(n);
    job->kernels = ctx->kernels;
    job->workspace_bytes = (tsr_product_workspace(job->kernels, &job->product) + 63) / 64 * 64;
    const double work = (double)job->product.rows * (double)job->product.columns * (double)job->product.depth;
    tsr_count_work(n, work * (double)call->batches);
    const bool side_by_side = call->batches > 1 && !repeats(call, job->out) && (call->batches >= 8 || work < 1e6);
    job->grain = side_by_side ? (call->batches - 1) / MOST_PIECES + 1 : call->batches;
    if (side_by_side && job->grain < tsr_grain(work)) job->grain = tsr_grain(work);
    const int64_t pieces = call->batches > 0 ? (call->batches - 1) / job->grain + 1 : 0;
    job->workspace = tsr_scratch(n, (size_t)(pieces > 0 ? pieces : 1) * job->workspace_bytes);
    if (!job->workspace) return;
    if (side_by_side) {
        tsr_parallel(ctx, call->batches, job->grain, batches_body, job);
        return;
    }
    for (int64_t t = 0; t < call->batches; t++) {
        const tsr_product p = batch_product(job, t);
        tsr_multiply(ctx, &p, job->workspace);
    }
}

/* Gradient of A (C B^T) or B (A^T C), in that operand's own layout. */
static void matmul_gradient(tsr_node *n, int operand)
{
    const matmul_call *call = tsr_saved(n);
    tsr_real *out = tsr_gradient(n, operand);
    if (!out) return;
    const int other = operand == OF_A ? OF_B : OF_A;
    const tsr_factor g = factor_of(call, OF_C, operand == OF_B, tsr_data(tsr_cotangent(n)));
    const tsr_factor f = factor_of(call, other, other == OF_A, tsr_data(tsr_input(n, other)));
    batches_job job = {.call = call, .out = operand, .product = {.out = out}};
    /* A = C B^T, or transposed: A^T = B C^T; B = A^T C, or transposed: B^T = C^T A */
    const bool g_left = (operand == OF_A) != call->transposed[operand];
    job.left = g_left ? OF_C : other;
    job.right = g_left ? other : OF_C;
    job.product.left = g_left ? g : f;
    job.product.right = g_left ? f : g;
    const int64_t rows = operand == OF_A ? call->rows : call->depth;
    const int64_t columns = operand == OF_A ? call->depth : call->columns;
    job.product.rows = call->transposed[operand] ? columns : rows;
    job.product.columns = call->transposed[operand] ? rows : columns;
    job.product.stride = job.product.columns;
    job.product.depth = operand == OF_A ? call->columns : call->rows;
    if (call->batches == 0)
        for (int64_t i = 0; i < tsr_size(tsr_input(n, operand)); i++) out[i] = 0;
    multiply_batches(n, &job);
}

static void matmul_backward(tsr_node *n)
{
    matmul_gradient(n, OF_A);
    matmul_gradient(n, OF_B);
}

static const tsr_op matmul_op = {.name = "matmul", .backward = matmul_backward};

tsr_tensor *tsr_matmul(tsr_tensor *a, tsr_tensor *b, const tsr_matmul_options *options)
{
    tsr_node *n = tsr_begin(&matmul_op, TSR_INPUTS(a, b));
    if (tsr_dead(n)) return tsr_end(n);
    const tsr_shape sa = tsr_shape_of(a), sb = tsr_shape_of(b);
    const char *turned[2] = {options && options->transpose_a ? " transposed" : "",
                             options && options->transpose_b ? " transposed" : ""};
    if (sa.rank < 2 || sb.rank < 2)
        return tsr_reject(n, "a %s and b %s need two axes or more each", tsr_shape_text(sa).text,
                          tsr_shape_text(sb).text);
    matmul_call call = {.transposed = {*turned[OF_A] != 0, *turned[OF_B] != 0}};
    const int64_t *da = sa.dims + sa.rank - 2, *db = sb.dims + sb.rank - 2;
    call.rows = da[call.transposed[OF_A]];
    call.depth = da[!call.transposed[OF_A]];
    call.columns = db[!call.transposed[OF_B]];
    if (db[call.transposed[OF_B]] != call.depth)
        return tsr_reject(n, "a %s%s has rows of %lld values, b %s%s has columns of %lld", tsr_shape_text(sa).text,
                          turned[OF_A], (long long)call.depth, tsr_shape_text(sb).text, turned[OF_B],
                          (long long)db[call.transposed[OF_B]]);
    tsr_shape shape;
    if (!broadcast_axes(sa, sb, &shape))
        return tsr_reject(n, "the leading axes of a %s and b %s do not broadcast", tsr_shape_text(sa).text,
                          tsr_shape_text(sb).text);
    shape.dims[shape.rank - 2] = call.rows;
    shape.dims[shape.rank - 1] = call.columns;

    tsr_real *y = tsr_output(n, shape);
    matmul_call *saved = tsr_save(n, sizeof *saved);
    if (!y || !saved) return tsr_end(n);
    set_batches(&call, sa, sb, shape);
    *saved = call;
    batches_job job = {.call = saved, .left = OF_A, .right = OF_B, .out = OF_C};
    job.product = (tsr_product){.rows = call.rows, .columns = call.columns, .depth = call.depth, .out = y,
                                .stride = call.columns, .left = factor_of(saved, OF_A, false, tsr_data(a)),
                                .right = factor_of(saved, OF_B, true, tsr_data(b))};
    multiply_batches(n, &job);
    return tsr_end(n);
}

/* ---- linear -------------------------------------------------------------------------------------------- */

typedef struct linear_call {
    tsr_activation activation;
    int64_t rows, in, out;
} linear_call;

static void linear_backward(tsr_node *n)
{
    const linear_call *call = tsr_saved(n);
    tsr_context *ctx = tsr_node_context(n);
    const int64_t rows = call->rows, in = call->in, out = call->out;
    const tsr_real *x = tsr_data(tsr_input(n, 0)), *w = tsr_data(tsr_input(n, 1)), *g = tsr_data(tsr_cotangent(n));
    if (call->activation != TSR_NO_ACTIVATION) {
        tsr_real *before = tsr_cotangent_room(n);
        if (!before) return;
        tsr_deactivate(ctx, call->activation, tsr_data(tsr_result(n)), g, before, rows * out);
        g = before;
    }
    tsr_real *gx = tsr_gradient(n, 0), *gw = tsr_gradient(n, 1), *gb = tsr_gradient(n, 2);
    if (gx)
        tsr_node_multiply(n, &(tsr_product){.rows = rows, .columns = in, .depth = out, .out = gx, .stride = in,
                                            .left = {.data = g, .row_stride = out, .depth_stride = 1},
                                            .right = {.data = w, .row_stride = out, .depth_stride = 1}});
    if (gw)
        tsr_node_multiply(n, &(tsr_product){.rows = in, .columns = out, .depth = rows, .out = gw, .stride = out,
                                            .left = {.data = x, .row_stride = 1, .depth_stride = in},
                                            .right = {.data = g, .row_stride = 1, .depth_stride = out}});
    if (gb) tsr_column_sums(ctx, g, rows, out, gb);
}

static const tsr_op linear_op = {.name = "linear", .backward = linear_backward, .optional = 1u << 2};

tsr_tensor *tsr_linear(tsr_tensor *x, tsr_tensor *weight, tsr_tensor *bias, const tsr_linear_options *options)
{
    tsr_node *n = tsr_begin(&linear_op, TSR_INPUTS(x, weight, bias));
    if (tsr_dead(n)) return tsr_end(n);
    tsr_shape shape = x->shape;
    const tsr_shape *sw = &weight->shape;
    if (sw->rank != 2) return tsr_reject(n, "weight %s is not [in, out]", tsr_shape_text(*sw).text);
    if (shape.rank < 1 || shape.dims[shape.rank - 1] != sw->dims[0])
        return tsr_reject(n, "input %s does not end in the %lld values that weight %s expects",
                          tsr_shape_text(shape).text, (long long)sw->dims[0], tsr_shape_text(*sw).text);
    if (bias && (bias->shape.rank != 1 || bias->size != sw->dims[1]))
        return tsr_reject(n, "bias %s is not [%lld], one value per column of weight %s",
                          tsr_shape_text(bias->shape).text, (long long)sw->dims[1], tsr_shape_text(*sw).text);
    linear_call call = {.rows = 1, .in = sw->dims[0], .out = sw->dims[1]};
    if (options) call.activation = options->activation;
    if (call.activation < TSR_NO_ACTIVATION || call.activation > TSR_TANH)
        return tsr_reject(n, "there is no activation %d", (int)call.activation);
    shape.dims[shape.rank - 1] = call.out;

    tsr_real *y = tsr_output(n, shape);
    linear_call *saved = tsr_save(n, sizeof *saved);
    if (!y || !saved) return tsr_end(n);
    for (int i = 0; i < shape.rank - 1; i++) call.rows *= shape.dims[i];
    *saved = call;
    const tsr_factor left = {.data = tsr_data(x), .row_stride = call.in, .depth_stride = 1};
    const tsr_factor right = {.data = tsr_data(weight), .row_stride = 1, .depth_stride = call.out};
    tsr_node_multiply(n, &(tsr_product){.rows = call.rows, .columns = call.out, .depth = call.in, .left = left,
                                        .right = right, .out = y, .stride = call.out, .bias = tsr_data(bias),
                                        .activation = call.activation});
    return tsr_end(n);
}
