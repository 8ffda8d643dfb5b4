/* Activation functions, and what stands where they stand: maxout and dropout. */
#include "core/kernels/functions.h"
#include "ops/map_internal.h"

#include "core/parallel.h"
#include "core/random.h"

static TSR_INLINE tsr_real silu_slope(tsr_real x)
{
    const tsr_real s = tsr_sigmoid_of(x);
    return s * (1 + x * (1 - s));
}

/* Comparisons are written so that a NaN stays one. */
static TSR_ROW(relu_y, x < 0 ? 0 : x, x)
static TSR_ROW(relu_x, y > 0 ? g : 0, x, y, g)
TSR_UNARY(sigmoid, 6, tsr_sigmoid_of(x), g * y * (1 - y))
TSR_UNARY(tanh, 6, tsr_tanh_of(x), g * (1 - y * y))
/* log(1 + e^x) = max(x, 0) + log(1 + e^-|x|): no exponential of a large number. */
TSR_UNARY(softplus, 8, (x > 0 ? x : 0) + tsr_log1p_of(tsr_exp_of(x > 0 ? -x : x)), g * tsr_sigmoid_of(x))
TSR_UNARY(gelu, 10, x * tsr_normal_below(x), g * (tsr_normal_below(x) + x * tsr_normal_density(x)))
TSR_UNARY(silu, 6, x * tsr_sigmoid_of(x), g * silu_slope(x))
TSR_UNARY_OP(leaky_relu, 1, x > 0 ? x : p * x, x > 0 ? g : p * g)
TSR_UNARY_OP(elu, 6, x > 0 ? x : p * tsr_expm1_of(x), x > 0 ? g : g * p * tsr_exp_of(x))
TSR_BINARY_OP(prelu, 1, a > 0 ? a : b * a, a > 0 ? g : b * g, a > 0 ? 0 : a * g)

const tsr_row *const tsr_activation_rows[] = {NULL, relu_y, sigmoid_y, tanh_y};
const tsr_row *const tsr_deactivation_rows[] = {NULL, relu_x, sigmoid_x, tanh_x};

static void relu_backward(tsr_node *n)
{
    const tsr_tensor *y = tsr_result(n);
    tsr_real *gx = tsr_gradient(n, 0);
    if (gx) tsr_deactivate(tsr_node_context(n), TSR_RELU, tsr_data(y), tsr_data(tsr_cotangent(n)), gx, tsr_size(y));
}

static const tsr_map_op relu_op = {.op = {.name = "relu", .backward = relu_backward}, .cost = 1, .forward = relu_y};

tsr_tensor *tsr_relu(tsr_tensor *x)
{
    return tsr_map_call(&relu_op, TSR_INPUTS(x));
}

static tsr_tensor *with_number(const tsr_map_op *op, tsr_tensor *x, double number, const char *what)
{
    tsr_node *n = tsr_begin(&op->op, TSR_INPUTS(x));
    if (!tsr_dead(n) && !isfinite(number))
        return tsr_reject(n, "%s is %g, which is not a finite number", what, number);
    return tsr_map_rest(n, number, 0);
}

tsr_tensor *tsr_leaky_relu(tsr_tensor *x, double slope)
{
    return with_number(&leaky_relu_op, x, slope, "slope");
}

tsr_tensor *tsr_elu(tsr_tensor *x, double alpha)
{
    return with_number(&elu_op, x, alpha, "alpha");
}

tsr_tensor *tsr_prelu(tsr_tensor *x, tsr_tensor *slope)
{
    tsr_node *n = tsr_begin(&prelu_op.op, TSR_INPUTS(x, slope));
    if (tsr_dead(n)) return tsr_end(n);
    const int64_t channels = tsr_rank(x) > 0 ? tsr_dim(x, -1) : 1;
    if (tsr_rank(slope) != 1 || (tsr_dim(slope, 0) != 1 && tsr_dim(slope, 0) != channels))
        return tsr_reject(n, "slope %s for input %s: expected [1] or [%lld]",
                          tsr_shape_text(tsr_shape_of(slope)).text, tsr_shape_text(tsr_shape_of(x)).text,
                          (long long)channels);
    return tsr_map_rest(n, 0, 0);
}

/* ---- maxout --------------------------------------------------------------------------------------------------- */

typedef struct maxout_job {
    const tsr_real *x, *g;
    int64_t pieces;
    tsr_real *out; /* y, or the gradient of x */
} maxout_job;

static int64_t winner(const tsr_real *x, int64_t pieces)
{
    tsr_real most = x[0];
    int64_t best = 0;
    for (int64_t k = 1; k < pieces; k++) {
        const tsr_real v = x[k];
        const bool wins = (v > most) | ((v != v) & (most == most));
        most = wins ? v : most;
        best = wins ? k : best;
    }
    return best;
}

static void maxout_body(void *user, int64_t begin, int64_t end)
{
    const maxout_job *job = user;
    for (int64_t i = begin; i < end; i++) {
        const tsr_real *x = job->x + i * job->pieces;
        job->out[i] = x[winner(x, job->pieces)];
    }
}

static void maxout_gradient_body(void *user, int64_t begin, int64_t end)
{
    const maxout_job *job = user;
    for (int64_t i = begin; i < end; i++) {
        const int64_t best = winner(job->x + i * job->pieces, job->pieces);
        tsr_real *out = job->out + i * job->pieces;
        for (int64_t k = 0; k < job->pieces; k++) out[k] = k == best ? job->g[i] : 0;
    }
}

static void maxout_backward(tsr_node *n)
{
    const int64_t size = tsr_size(tsr_result(n));
    maxout_job job = {.x = tsr_data(tsr_input(n, 0)), .g = tsr_data(tsr_cotangent(n)), .out = tsr_gradient(n, 0)};
    if (!job.out || size == 0) return;
    job.pieces = tsr_size(tsr_input(n, 0)) / size;
    tsr_parallel(tsr_node_context(n), size, tsr_grain(3 * (double)job.pieces), maxout_gradient_body, &job);
}

static const tsr_op maxout_op = {.name = "maxout", .backward = maxout_backward};

tsr_tensor *tsr_maxout(tsr_tensor *x, int pieces)
{
    tsr_node *n = tsr_begin(&maxout_op, TSR_INPUTS(x));
    if (tsr_dead(n)) return tsr_end(n);
    tsr_shape shape = tsr_shape_of(x);
    if (pieces < 1) return tsr_reject(n, "pieces is %d, needs to be 1 or more", pieces);
    if (shape.rank < 1 || shape.dims[shape.rank - 1] % pieces != 0)
        return tsr_reject(n, "the channels of %s are not a multiple of %d pieces",
                          tsr_shape_text(shape).text, pieces);
    shape.dims[shape.rank - 1] /= pieces;
    maxout_job job = {.x = tsr_data(x), .pieces = pieces, .out = tsr_output(n, shape)};
    if (job.out) tsr_parallel(tsr_node_context(n), tsr_shape_size(shape), tsr_grain(3.0 * pieces), maxout_body, &job);
    return tsr_end(n);
}

/* ---- dropout -------------------------------------------------------------------------------------------------- */

/* Nothing but where the draws come from is kept: the backward pass draws them again. */
typedef struct dropout_draw {
    tsr_rng rng;
    uint32_t below; /* a value goes where its 32 random bits are less */
    double scale;
} dropout_draw;

typedef struct dropout_job {
    const tsr_context *ctx;
    dropout_draw draw;
    const tsr_real *from;
    tsr_real *to;
} dropout_job;

enum { FACTOR_PAIRS = 256 };

/* The same for values and gradients. A draw of 64 bits serves a pair of values; pieces begin at even places. */
static TSR_LOOP(dropout_body)
{
    const dropout_job *job = user;
    const uint32_t below = job->draw.below;
    const tsr_real scale = (tsr_real)job->draw.scale;
    uint64_t bits[FACTOR_PAIRS] = {0};
    tsr_real factors[2 * FACTOR_PAIRS];
    for (int64_t at = begin; at < end; at += 2 * FACTOR_PAIRS) {
        const int64_t count = end - at < 2 * FACTOR_PAIRS ? end - at : 2 * FACTOR_PAIRS;
        tsr_random_words(job->ctx, job->draw.rng, (uint64_t)at / 2, (count + 1) / 2, bits);
        for (int i = 0; i < FACTOR_PAIRS; i++) {
            factors[2 * i] = (uint32_t)bits[i] >= below ? scale : 0;
            factors[2 * i + 1] = (uint32_t)(bits[i] >> 32) >= below ? scale : 0;
        }
        for (int64_t i = 0; i < count; i++) job->to[at + i] = job->from[at + i] * factors[i];
    }
}

static void drop(tsr_node *n, const dropout_draw *draw, const tsr_real *from, tsr_real *to)
{
    tsr_context *ctx = tsr_node_context(n);
    dropout_job job = {.ctx = ctx, .draw = *draw, .from = from, .to = to};
    if (to) tsr_parallel(ctx, tsr_size(tsr_result(n)), 4 * 2 * FACTOR_PAIRS, dropout_body[ctx->kernels->level], &job);
}

static void dropout_backward(tsr_node *n)
{
    drop(n, tsr_saved(n), tsr_data(tsr_cotangent(n)), tsr_gradient(n, 0));
}

static const tsr_op dropout_op = {.name = "dropout", .backward = dropout_backward};

tsr_tensor *tsr_dropout(tsr_tensor *x, double p)
{
    tsr_node *n = tsr_begin(&dropout_op, TSR_INPUTS(x));
    if (tsr_dead(n)) return tsr_end(n);
    if (!(p >= 0 && p < 1)) return tsr_reject(n, "p is %g, needs to be in [0, 1)", p);
    tsr_context *ctx = tsr_node_context(n);
    dropout_draw draw = {.rng.seed = tsr_seed(ctx), .below = (uint32_t)(p * 4294967296.0), .scale = 1 / (1 - p)};
    const uint64_t step = tsr_substream(tsr_stream("dropout"), (uint64_t)tsr_step_count(ctx));
    draw.rng.stream = tsr_substream(step, ctx->draw_count++);
    dropout_draw *saved = tsr_wants(n, -1) ? tsr_save(n, sizeof *saved) : NULL;
    if (saved) *saved = draw;
    drop(n, &draw, tsr_data(x), tsr_output(n, tsr_shape_of(x)));
    return tsr_end(n);
}
