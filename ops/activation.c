/* Activation functions, and what stands where they stand: maxout and dropout. */
#include "ops/exp_internal.h"
#include "ops/map_internal.h"

#include "core/parallel.h"
#include "core/random.h"

#include <math.h>

/* Comparisons are written so that a NaN stays one. */
TSR_UNARY_FORWARD(relu_forward, x < 0 ? 0 : x)
TSR_UNARY_BACKWARD(relu_backward, y > 0 ? g : 0)
static const tsr_map_op relu_op = {
    .op = {.name = "relu", .backward = tsr_map_backward}, .forward = relu_forward, .backward = {relu_backward}};

TSR_UNARY_FORWARD(leaky_relu_forward, x > 0 ? x : p * x)
TSR_UNARY_BACKWARD(leaky_relu_backward, x > 0 ? g : p * g)
static const tsr_map_op leaky_relu_op = {
    .op = {.name = "leaky_relu", .backward = tsr_map_backward}, .forward = leaky_relu_forward,
    .backward = {leaky_relu_backward}};

TSR_UNARY_FORWARD(elu_forward, x > 0 ? x : p * tsr_expm1_of(x))
TSR_UNARY_BACKWARD(elu_backward, x > 0 ? g : g * p * tsr_exp_of(x))
static const tsr_map_op elu_op = {
    .op = {.name = "elu", .backward = tsr_map_backward}, .cost = 10, .forward = elu_forward,
    .backward = {elu_backward}};

TSR_UNARY_FORWARD(sigmoid_forward, tsr_sigmoid_of(x))
TSR_UNARY_BACKWARD(sigmoid_backward, g * y * (1 - y))
static const tsr_map_op sigmoid_op = {
    .op = {.name = "sigmoid", .backward = tsr_map_backward}, .cost = 8, .forward = sigmoid_forward,
    .backward = {sigmoid_backward}};

TSR_UNARY_FORWARD(tanh_forward, tsr_tanh_of(x))
TSR_UNARY_BACKWARD(tanh_backward, g * (1 - y * y))
static const tsr_map_op tanh_op = {
    .op = {.name = "tanh", .backward = tsr_map_backward}, .cost = 10, .forward = tanh_forward,
    .backward = {tanh_backward}};

/* log(1 + e^x) = max(x, 0) + log(1 + e^-|x|): no exponential of a large number. */
TSR_UNARY_FORWARD(softplus_forward, (x > 0 ? x : 0) + tsr_log1p_of(tsr_exp_of(x > 0 ? -x : x)))
TSR_UNARY_BACKWARD(softplus_backward, g * tsr_sigmoid_of(x))
static const tsr_map_op softplus_op = {
    .op = {.name = "softplus", .backward = tsr_map_backward}, .cost = 12, .forward = softplus_forward,
    .backward = {softplus_backward}};

/* Phi, by erfc so that it keeps its precision far to the left. */
static double normal_below(double x)
{
    return 0.5 * erfc(-x * 0.70710678118654752440);
}

/* The derivative of x Phi(x). */
static double gelu_slope(double x)
{
    return normal_below(x) + x * 0.39894228040143267794 * exp(-0.5 * x * x);
}

TSR_UNARY_FORWARD(gelu_forward, (tsr_real)((double)x * normal_below((double)x)))
TSR_UNARY_BACKWARD(gelu_backward, g * (tsr_real)gelu_slope((double)x))
static const tsr_map_op gelu_op = {
    .op = {.name = "gelu", .backward = tsr_map_backward}, .cost = 30, .forward = gelu_forward,
    .backward = {gelu_backward}};

static tsr_real silu_slope(tsr_real x)
{
    const tsr_real s = tsr_sigmoid_of(x);
    return s * (1 + x * (1 - s));
}

TSR_UNARY_FORWARD(silu_forward, x * tsr_sigmoid_of(x))
TSR_UNARY_BACKWARD(silu_backward, g * silu_slope(x))
static const tsr_map_op silu_op = {
    .op = {.name = "silu", .backward = tsr_map_backward}, .cost = 10, .forward = silu_forward,
    .backward = {silu_backward}};

TSR_BINARY_FORWARD(prelu_forward, a > 0 ? a : b * a)
TSR_BINARY_BACKWARD(prelu_x, a > 0 ? g : b * g)
TSR_BINARY_BACKWARD(prelu_slope, a > 0 ? 0 : a * g)
static const tsr_map_op prelu_op = {
    .op = {.name = "prelu", .backward = tsr_map_backward}, .forward = prelu_forward,
    .backward = {prelu_x, prelu_slope}};

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

tsr_tensor *tsr_sigmoid(tsr_tensor *x)
{
    return tsr_map_call(&sigmoid_op, TSR_INPUTS(x));
}

tsr_tensor *tsr_tanh(tsr_tensor *x)
{
    return tsr_map_call(&tanh_op, TSR_INPUTS(x));
}

tsr_tensor *tsr_softplus(tsr_tensor *x)
{
    return tsr_map_call(&softplus_op, TSR_INPUTS(x));
}

tsr_tensor *tsr_gelu(tsr_tensor *x)
{
    return tsr_map_call(&gelu_op, TSR_INPUTS(x));
}

tsr_tensor *tsr_silu(tsr_tensor *x)
{
    return tsr_map_call(&silu_op, TSR_INPUTS(x));
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
    dropout_draw draw;
    const tsr_real *from;
    tsr_real *to;
} dropout_job;

/* The same for values and gradients. A draw of 64 bits serves a pair of values; pieces begin at even places. */
static void dropout_body(void *user, int64_t begin, int64_t end)
{
    const dropout_job *job = user;
    const tsr_real factors[2] = {0, (tsr_real)job->draw.scale}; /* looked up: a branch would go wrong half the time */
    for (int64_t i = begin; i < end; i += 2) {
        const uint64_t bits = tsr_random_bits(job->draw.rng, (uint64_t)i / 2);
        job->to[i] = job->from[i] * factors[(uint32_t)bits >= job->draw.below];
        if (i + 1 < end) job->to[i + 1] = job->from[i + 1] * factors[(uint32_t)(bits >> 32) >= job->draw.below];
    }
}

static void drop(tsr_node *n, const dropout_draw *draw, const tsr_real *from, tsr_real *to)
{
    dropout_job job = {.draw = *draw, .from = from, .to = to};
    if (to) tsr_parallel(tsr_node_context(n), tsr_size(tsr_result(n)), tsr_grain(16) / 2 * 2, dropout_body, &job);
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
