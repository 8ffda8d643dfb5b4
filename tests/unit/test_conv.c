/* Convolutions: messages, edges, and the same bits for any number of threads. */
#include "tessera.h"
#include "tests/test.h"

#include <math.h>
#include <string.h>

static tsr_tensor *zeros(tsr_context *ctx, tsr_shape shape)
{
    return tsr_zeros(ctx, shape);
}

TEST(conv_says_which_shapes_do_not_fit)
{
    tsr_context *ctx = tsr_open(NULL);
    static const struct {
        int64_t x[5], w[5], bias;
        int rank, weight_rank;
        tsr_conv_options options;
        const char *message;
    } cases[] = {
        {{32, 96, 96, 3}, {7, 7, 1, 64}, 64, 4, 4, {.groups = 0},
         "conv: input [32, 96, 96, 3] has 3 channels, weight [7, 7, 1, 64] expects 1 (groups = 1)"},
        {{1, 4, 4, 3}, {5, 5, 3, 2}, 2, 4, 4, {.groups = 0},
         "conv: input [1, 4, 4, 3] is smaller than the kernel [5, 5] (dilation 1, padding 0)"},
        {{1, 8, 8, 3}, {3, 3, 3, 2}, 5, 4, 4, {.groups = 0}, "conv: bias [5] is not [2], one value per output channel"},
        {{1, 8, 8, 4}, {3, 3, 2, 3}, 3, 4, 4, {.groups = 2}, "conv: 2 groups do not divide the 4 channels of input [1, 8, 8, 4] and the 3 that weight [3, 3, 2, 3] makes"},
        {{1, 8, 8, 3}, {3, 3, 3, 2}, 2, 4, 4, {.stride = {-1, 1}}, "conv: stride -1 for spatial axis 0, expected 1 or more"},
        {{1, 8, 8, 3}, {3, 3, 3, 2}, 2, 4, 4, {.padding = {0, -2}}, "conv: padding -2, -2 for spatial axis 1, expected 0 or more"},
        {{8, 3}, {3, 3, 3, 2}, 2, 2, 4, {.groups = 0}, "conv: input [8, 3], expected [N, S..., C] with one to three spatial axes"},
        {{1, 8, 8, 3}, {3, 3, 2}, 2, 4, 3, {.groups = 0}, "conv: weight [3, 3, 2] for input [1, 8, 8, 3], expected [K..., I / groups, O] with 4 axes"},
        {{1, 8, 8, 3}, {0, 3, 3, 2}, 2, 4, 4, {.groups = 0}, "conv: weight [0, 3, 3, 2] has a kernel of 0 for spatial axis 0, expected 1 or more"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tsr_conv(zeros(ctx, tsr_make_shape(cases[i].rank, cases[i].x)), zeros(ctx, tsr_make_shape(cases[i].weight_rank, cases[i].w)),
                 zeros(ctx, TSR_SHAPE(cases[i].bias)), &cases[i].options);
        CHECK_CONTAINS(tsr_error(ctx), cases[i].message);
        tsr_clear_error(ctx);
    }
    tsr_conv(zeros(ctx, TSR_SHAPE(1, 3, 3, 1)), NULL, NULL, NULL);
    CHECK_TEXT(tsr_error(ctx), "conv: input 1 is NULL");
    tsr_close(ctx);
}

TEST(conv_transpose_and_local_say_what_does_not_fit)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_conv_transpose(zeros(ctx, TSR_SHAPE(1, 3, 3, 4)), zeros(ctx, TSR_SHAPE(3, 3, 2, 5)), NULL, NULL);
    CHECK_CONTAINS(tsr_error(ctx), "conv_transpose: input [1, 3, 3, 4] has 4 channels, weight [3, 3, 2, 5] expects 5");
    tsr_clear_error(ctx);
    tsr_conv_transpose(zeros(ctx, TSR_SHAPE(1, 3, 3, 4)), zeros(ctx, TSR_SHAPE(3, 3, 2, 4)), NULL, &(tsr_conv_options){.output_padding = {1, 0}});
    CHECK_CONTAINS(tsr_error(ctx), "output_padding 1 for spatial axis 0");
    tsr_clear_error(ctx);
    tsr_conv_transpose(zeros(ctx, TSR_SHAPE(1, 1, 1, 4)), zeros(ctx, TSR_SHAPE(1, 1, 2, 4)), NULL, &(tsr_conv_options){.padding = {1, 1}});
    CHECK_CONTAINS(tsr_error(ctx), "has no output along spatial axis 0");
    tsr_clear_error(ctx);
    tsr_locally_connected(zeros(ctx, TSR_SHAPE(1, 5, 5, 2)), zeros(ctx, TSR_SHAPE(2, 3, 3, 3, 2, 4)), NULL, NULL);
    CHECK_CONTAINS(tsr_error(ctx), "is for 2 x 3 positions, input [1, 5, 5, 2] with its kernel and these options has 3 x 3");
    tsr_clear_error(ctx);
    tsr_locally_connected(zeros(ctx, TSR_SHAPE(1, 5, 5, 2)), zeros(ctx, TSR_SHAPE(3, 3, 3, 3, 2, 4)), zeros(ctx, TSR_SHAPE(4)), NULL);
    CHECK_CONTAINS(tsr_error(ctx), "bias [4] is not [3, 3, 4], one value per position and output channel");
    tsr_close(ctx);
}

TEST(conv_of_an_empty_batch_is_empty_and_differentiable)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = zeros(ctx, TSR_SHAPE(0, 5, 5, 2)), *w = tsr_watch(tsr_full(ctx, TSR_SHAPE(3, 3, 2, 4), 1));
    tsr_tensor *y = tsr_conv(x, w, NULL, NULL);
    CHECK(tsr_same_shape(tsr_shape_of(y), TSR_SHAPE(0, 3, 3, 4)));
    CHECK(tsr_backward(tsr_sum(y, NULL)));
    for (int64_t i = 0; i < tsr_size(w); i++) CHECK_EQUAL(tsr_data(tsr_grad(w))[i], 0);
    tsr_close(ctx);
}

/* Result and three gradients of one op, one after another. */
static void run(int threads, int kind, tsr_real *out, int64_t room)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = 1, .threads = threads});
    tsr_tensor *x = tsr_watch(tsr_normal(ctx, TSR_SHAPE(3, 33, 29, 8), 0, 1, 1));
    const tsr_conv_options o = {.padding = {1, 1}, .stride = {kind == 1 ? 2 : 1, 1}, .groups = kind == 1 ? 2 : 1, .activation = TSR_RELU};
    const tsr_shape weight = kind == 2   ? TSR_SHAPE(33, 29, 3, 3, 8, 4)
                             : kind == 1 ? TSR_SHAPE(3, 3, 4, 12)
                             : kind == 0 ? TSR_SHAPE(3, 3, 8, 12)
                                         : TSR_SHAPE(3, 3, 5, 8);
    tsr_tensor *w = tsr_watch(tsr_normal(ctx, weight, 0, 1, 2));
    tsr_tensor *b = tsr_watch(tsr_normal(ctx, kind == 2 ? TSR_SHAPE(33, 29, 4) : TSR_SHAPE(kind == 3 ? 5 : 12), 0, 1, 3));
    tsr_tensor *y = kind == 2 ? tsr_locally_connected(x, w, b, &o) : kind == 3 ? tsr_conv_transpose(x, w, b, &o) : tsr_conv(x, w, b, &o);
    tsr_backward_from(y, tsr_normal(ctx, tsr_shape_of(y), 0, 1, 4));
    test_check(!tsr_error(ctx), tsr_error(ctx) ? tsr_error(ctx) : "", __FILE__, __LINE__);
    tsr_tensor *parts[] = {y, tsr_grad(x), tsr_grad(w), tsr_grad(b)};
    for (int i = 0; i < 4 && tsr_size(parts[i]) <= room; i++) {
        tsr_copy_out(parts[i], out, tsr_size(parts[i]));
        out += tsr_size(parts[i]);
        room -= tsr_size(parts[i]);
    }
    tsr_close(ctx);
}

TEST(conv_gives_the_same_bits_for_1_and_3_threads)
{
    enum { ROOM = 400000 };
    static tsr_real one[ROOM], three[ROOM];
    for (int kind = 0; kind < 4; kind++) {
        memset(one, 0, sizeof one);
        memset(three, 0, sizeof three);
        run(1, kind, one, ROOM);
        run(3, kind, three, ROOM);
        CHECK(memcmp(one, three, sizeof one) == 0);
    }
}

TEST(conv_of_a_frozen_weight_computes_no_weight_gradient)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_watch(tsr_normal(ctx, TSR_SHAPE(1, 6, 6, 2), 0, 1, 1)), *w = tsr_normal(ctx, TSR_SHAPE(3, 3, 2, 4), 0, 1, 2);
    CHECK(tsr_backward(tsr_sum(tsr_conv(x, w, NULL, NULL), NULL)));
    CHECK(tsr_grad(x) != NULL);
    CHECK(tsr_grad(w) == NULL);
    tsr_close(ctx);
}

TEST(conv_and_linear_with_relu_let_a_nan_through)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_full(ctx, TSR_SHAPE(20, 3, 3, 2), NAN), *rows = tsr_full(ctx, TSR_SHAPE(20, 5), NAN);
    const tsr_tensor *y = tsr_conv(x, zeros(ctx, TSR_SHAPE(3, 3, 2, 20)), NULL, &(tsr_conv_options){.activation = TSR_RELU});
    const tsr_tensor *z = tsr_linear(rows, zeros(ctx, TSR_SHAPE(5, 20)), NULL, &(tsr_linear_options){.activation = TSR_RELU});
    for (int64_t i = 0; i < tsr_size(y); i++) CHECK(isnan((double)tsr_data(y)[i]));
    for (int64_t i = 0; i < tsr_size(z); i++) CHECK(isnan((double)tsr_data(z)[i]));
    tsr_close(ctx);
}

/* ---- slow loops -------------------------------------------------------------------------------------------------- */

typedef struct plain_conv { /* two spatial axes, by definition */
    int64_t n, h, w, in, out, kh, kw, groups;
    tsr_conv_options o;
} plain_conv;

static double plain_value(const plain_conv *c, const tsr_real *x, const tsr_real *weight, int64_t n, int64_t y, int64_t z, int64_t o)
{
    const int64_t in = c->in / c->groups, group = o / (c->out / c->groups);
    double sum = 0;
    for (int64_t a = 0; a < c->kh; a++)
        for (int64_t b = 0; b < c->kw; b++)
            for (int64_t i = 0; i < in; i++) {
                const int64_t row = y * c->o.stride[0] + a * c->o.dilation[0] - c->o.padding[0];
                const int64_t column = z * c->o.stride[1] + b * c->o.dilation[1] - c->o.padding[1];
                if (row < 0 || row >= c->h || column < 0 || column >= c->w) continue;
                sum += (double)x[((n * c->h + row) * c->w + column) * c->in + group * in + i] *
                       (double)weight[((a * c->kw + b) * in + i) * c->out + o];
            }
    return sum;
}

/* A number from low to high, drawn for (trial, which). */
static int draw(int trial, int which, int low, int high)
{
    const tsr_rng rng = {.seed = 99, .stream = (uint64_t)trial};
    return low + (int)tsr_random_below(rng, (uint64_t)which, (uint64_t)(high - low + 1));
}

static bool agrees_with_plain_loops(tsr_context *ctx, int trial)
{
    const int groups = draw(trial, 0, 1, 3), kh = draw(trial, 1, 1, 4), kw = draw(trial, 2, 1, 4);
    plain_conv c = {.n = draw(trial, 3, 1, 3), .in = groups * draw(trial, 4, 1, 9), .out = groups * draw(trial, 5, 1, 20),
                    .kh = kh, .kw = kw, .groups = groups};
    for (int i = 0; i < 2; i++) {
        c.o.stride[i] = draw(trial, 6 + i, 1, 3);
        c.o.padding[i] = draw(trial, 8 + i, 0, 3);
        c.o.dilation[i] = draw(trial, 10 + i, 1, 3);
    }
    c.o.groups = groups;
    c.h = c.o.dilation[0] * (kh - 1) + 1 + draw(trial, 12, 0, 12);
    c.w = c.o.dilation[1] * (kw - 1) + 1 + draw(trial, 13, 0, 12);
    tsr_tensor *x = tsr_normal(ctx, TSR_SHAPE(c.n, c.h, c.w, c.in), 0, 1, 2 * (uint64_t)trial);
    tsr_tensor *weight = tsr_normal(ctx, TSR_SHAPE(kh, kw, c.in / groups, c.out), 0, 1, 2 * (uint64_t)trial + 1);
    const tsr_tensor *y = tsr_conv(x, weight, NULL, &c.o);
    const tsr_real *values = tsr_data(y);
    bool good = !tsr_error(ctx);
    for (int64_t n = 0; good && n < c.n; n++)
        for (int64_t a = 0; good && a < tsr_dim(y, 1); a++)
            for (int64_t b = 0; good && b < tsr_dim(y, 2); b++)
                for (int64_t o = 0; good && o < c.out; o++) {
                    const double difference = (double)*values++ - plain_value(&c, tsr_data(x), tsr_data(weight), n, a, b, o);
                    good = difference < 1e-4 && difference > -1e-4;
                }
    return good;
}

TEST(conv_agrees_with_plain_loops_for_random_options)
{
    tsr_context *ctx = tsr_open(NULL);
    for (int trial = 0; trial < 60; trial++) TSR_SCOPE(ctx) CHECK(agrees_with_plain_loops(ctx, trial));
    tsr_close(ctx);
}

TEST_LONG(conv_agrees_with_plain_loops_for_thousands_of_random_options)
{
    tsr_context *ctx = tsr_open(NULL);
    for (int trial = 60; trial < 4000; trial++) TSR_SCOPE(ctx) CHECK(agrees_with_plain_loops(ctx, trial));
    tsr_close(ctx);
}
