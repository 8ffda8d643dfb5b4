/* Winograd's convolutions against the sums that define them, called by themselves so that sizes are reached for which
 * the library would not choose them; and the choice. */
#include "ops/winograd.h"
#include "tessera.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double bound = sizeof(tsr_real) == 8 ? 1e-14 : 1e-5;

typedef struct sizes {
    int64_t batch, height, width, in, out;
    int64_t before, after; /* padding of both axes */
} sizes;

/* image, weight, cotangent; result, gradients of image and weight: exact, and ours */
typedef struct trial {
    tsr_conv_geometry c;
    int64_t counts[3]; /* values of result, image and weight */
    const tsr_real *x, *w, *g;
    double *exact[3];
    tsr_real *ours[3];
} trial;

static tsr_conv_geometry geometry(const sizes *s)
{
    tsr_conv_geometry c = {.spatial = 2, .batch = s->batch, .groups = 1, .in_channels = s->in, .out_channels = s->out};
    c.axes[0] = (tsr_window){.in = 1, .out = 1, .kernel = 1, .stride = 1, .dilation = 1};
    for (int i = 1; i < 3; i++) {
        const int64_t in = i == 1 ? s->height : s->width;
        c.axes[i] = (tsr_window){.in = in, .out = in + s->before + s->after - 2, .kernel = 3, .stride = 1,
                                 .dilation = 1, .before = s->before, .after = s->after};
    }
    return c;
}

/* One tap of one position: all pairs of channels. */
static void add_tap(const trial *t, int64_t pixel, int64_t tap, int64_t position)
{
    const int64_t in = t->c.in_channels, out = t->c.out_channels;
    double *y = t->exact[0] + position * out;
    for (int64_t i = 0; i < in; i++) {
        const double x = (double)t->x[pixel * in + i];
        const tsr_real *w = t->w + (tap * in + i) * out, *g = t->g + position * out;
        double *gw = t->exact[2] + (tap * in + i) * out, sum = 0;
        for (int64_t o = 0; o < out; o++) {
            y[o] += x * (double)w[o];
            gw[o] += x * (double)g[o];
            sum += (double)w[o] * (double)g[o];
        }
        t->exact[1][pixel * in + i] += sum;
    }
}

static void add_taps(const trial *t)
{
    const tsr_window *v = &t->c.axes[1], *h = &t->c.axes[2];
    for (int64_t position = 0; position < t->c.batch * v->out * h->out; position++)
        for (int64_t tap = 0; tap < 9; tap++) {
            const int64_t y = position / h->out % v->out - v->before + tap / 3;
            const int64_t x = position % h->out - h->before + tap % 3, n = position / (h->out * v->out);
            if (y >= 0 && y < v->in && x >= 0 && x < h->in)
                add_tap(t, (n * v->in + y) * h->in + x, tap, position);
        }
}

static bool trial_open(tsr_context *ctx, const sizes *s, trial *t)
{
    *t = (trial){.c = geometry(s)};
    t->counts[0] = s->batch * t->c.axes[1].out * t->c.axes[2].out * s->out;
    t->counts[1] = s->batch * s->height * s->width * s->in;
    t->counts[2] = 9 * s->in * s->out;
    t->g = tsr_data(tsr_normal(ctx, TSR_SHAPE(t->counts[0]), 0, 1, 1));
    t->x = tsr_data(tsr_normal(ctx, TSR_SHAPE(t->counts[1]), 0, 1, 2));
    t->w = tsr_data(tsr_normal(ctx, TSR_SHAPE(t->counts[2]), 0, 1, 3));
    bool good = true;
    for (int i = 0; i < 3; i++) {
        t->exact[i] = calloc((size_t)t->counts[i], sizeof *t->exact[i]);
        t->ours[i] = malloc((size_t)t->counts[i] * sizeof *t->ours[i]);
        good = good && t->exact[i] && t->ours[i];
    }
    return test_check(good && !tsr_error(ctx), "memory", __FILE__, __LINE__);
}

static void trial_close(trial *t)
{
    for (int i = 0; i < 3; i++) {
        free(t->exact[i]);
        free(t->ours[i]);
    }
}

static void run_ours(tsr_context *ctx, const trial *t)
{
    static const tsr_op op = {.name = "test"};
    TSR_SCOPE(ctx) {
        tsr_node *n = tsr_begin(&op, TSR_INPUTS(tsr_zeros(ctx, TSR_SCALAR)));
        tsr_output(n, TSR_SCALAR);
        tsr_winograd_result(n, &t->c, &(tsr_conv_operands){.image = t->x, .weight = t->w, .out = t->ours[0]});
        tsr_winograd_image(n, &t->c, &(tsr_conv_operands){.result = t->g, .weight = t->w, .out = t->ours[1]});
        tsr_winograd_weight(n, &t->c, &(tsr_conv_operands){.image = t->x, .result = t->g, .out = t->ours[2]});
        tsr_end(n);
    }
}

/* rms of the difference over rms of what is exact, which for sums of K terms is by sqrt(K) stricter than the promise,
 * rms(|row| |column|). */
static double error_of(const trial *t, int which)
{
    double squares = 0, errors = 0;
    for (int64_t i = 0; i < t->counts[which]; i++) {
        const double e = (double)t->ours[which][i] - t->exact[which][i];
        squares += t->exact[which][i] * t->exact[which][i];
        errors += e * e;
    }
    return squares > 0 ? sqrt(errors / squares) : sqrt(errors);
}

static void check_sizes(const sizes *s)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = 5, .threads = 2});
    trial t;
    if (trial_open(ctx, s, &t)) {
        add_taps(&t);
        for (int level = 0; tsr_kernels_list(level) && !test_failed(); level++) {
            ctx->kernels = tsr_kernels_list(level);
            for (int i = 0; i < 3; i++) memset(t.ours[i], 0xff, (size_t)t.counts[i] * sizeof(tsr_real)); /* NaN */
            run_ours(ctx, &t);
            char what[160];
            snprintf(what, sizeof what, "%s: %dx%dx%d, %d to %d channels, padding %d: errors %.1e %.1e %.1e",
                     ctx->kernels->name, (int)s->batch, (int)s->height, (int)s->width, (int)s->in, (int)s->out,
                     (int)s->before, error_of(&t, 0), error_of(&t, 1), error_of(&t, 2));
            test_check(error_of(&t, 0) < bound && error_of(&t, 1) < bound && error_of(&t, 2) < bound, what, __FILE__,
                       __LINE__);
        }
    }
    trial_close(&t);
    tsr_close(ctx);
}

TEST(winograd_is_the_sum_that_defines_it_for_all_small_sizes_and_paddings)
{
    for (int64_t height = 1; height <= 9; height++)
        for (int64_t width = 1; width <= 9; width++)
            for (int64_t pad = 0; pad <= 2 && !test_failed(); pad++)
                if (height + 2 * pad > 2 && width + 2 * pad > 2)
                    check_sizes(&(sizes){1 + height % 2, height, width, 17, 19, pad, pad});
    check_sizes(&(sizes){2, 5, 6, 16, 16, 0, 2});
    check_sizes(&(sizes){2, 5, 6, 35, 70, 3, 1});
}

TEST(winograd_keeps_its_error_bound_for_many_channels_and_tiles_at_every_level)
{
    check_sizes(&(sizes){1, 9, 10, 16, 512, 1, 1});
    check_sizes(&(sizes){1, 9, 10, 512, 16, 1, 1});
    check_sizes(&(sizes){1, 6, 6, 512, 300, 1, 1});
    check_sizes(&(sizes){1, 58, 54, 40, 72, 1, 1});  /* weights are shared */
    check_sizes(&(sizes){1, 97, 101, 16, 16, 1, 1}); /* several chunks of the weight */
}

TEST_LONG(winograd_keeps_its_error_bound_at_full_size)
{
    check_sizes(&(sizes){1, 57, 57, 300, 20, 1, 1});
    check_sizes(&(sizes){1, 65, 64, 512, 512, 1, 1}); /* several chunks of a shared image */
    check_sizes(&(sizes){1, 256, 256, 64, 64, 1, 1});
}

/* ---- through the public door --------------------------------------------------------------------------- */

/* conv, its gradients and conv_transpose, one after the other. Returns how many values there were. */
static int64_t run_conv(const sizes *s, const tsr_options *options, tsr_activation activation, tsr_real *out)
{
    tsr_context *ctx = tsr_open(options);
    const tsr_conv_options o = {.padding = {1, 1}, .activation = activation};
    tsr_tensor *x = tsr_watch(tsr_normal(ctx, TSR_SHAPE(s->batch, s->height, s->width, s->in), 0, 1, 1));
    tsr_tensor *w = tsr_watch(tsr_normal(ctx, TSR_SHAPE(3, 3, s->in, s->out), 0, 0.1, 2));
    tsr_tensor *y = tsr_conv(x, w, tsr_normal(ctx, TSR_SHAPE(s->out), 0, 1, 3), &o);
    tsr_tensor *g = tsr_normal(ctx, tsr_shape_of(y), 0, 1, 4);
    tsr_backward_from(y, g);
    const tsr_tensor *parts[4] = {y, tsr_grad(x), tsr_grad(w)};
    parts[3] = tsr_conv_transpose(g, w, tsr_normal(ctx, TSR_SHAPE(s->in), 0, 1, 5), &o);
    int64_t count = 0;
    for (int i = 0; i < 4 && test_check(!tsr_error(ctx), "no error", __FILE__, __LINE__); i++) {
        tsr_copy_out(parts[i], out + count, tsr_size(parts[i]));
        count += tsr_size(parts[i]);
    }
    tsr_close(ctx);
    return count;
}

enum { MANY = 1 << 21 };

TEST(winograd_has_the_same_bits_for_1_2_and_5_threads)
{
    static const sizes cases[] = {{2, 41, 39, 24, 70, 1, 1}, {1, 14, 13, 300, 136, 1, 1}, {3, 9, 10, 40, 33, 1, 1}};
    static tsr_real one[MANY], more[MANY];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int threads = 2; threads <= 5; threads += 3) {
            const int64_t count = run_conv(&cases[i], &(tsr_options){.threads = 1}, TSR_RELU, one);
            CHECK_EQUAL(run_conv(&cases[i], &(tsr_options){.threads = threads}, TSR_RELU, more), count);
            CHECK(memcmp(one, more, (size_t)count * sizeof *one) == 0);
        }
}

TEST(winograd_runs_unless_the_highest_precision_is_asked_for_and_agrees_with_it)
{
    static tsr_real fast[MANY], exact[MANY];
    const sizes s = {2, 13, 14, 48, 40, 1, 1};
    for (int a = TSR_NO_ACTIVATION; a <= TSR_TANH; a++) {
        const int64_t count = run_conv(&s, &(tsr_options){.precision = TSR_HIGH}, (tsr_activation)a, fast);
        CHECK_EQUAL(run_conv(&s, &(tsr_options){.precision = TSR_HIGHEST}, (tsr_activation)a, exact), count);
        CHECK(memcmp(fast, exact, (size_t)count * sizeof *fast) != 0);
        for (int64_t i = 0; i < count; i++) CHECK_NEAR(fast[i], exact[i], 100 * bound);
    }
}

static bool fits(tsr_context *ctx, const sizes *s)
{
    static const tsr_op op = {.name = "test"};
    tsr_node *n = tsr_begin(&op, TSR_INPUTS(tsr_zeros(ctx, TSR_SCALAR)));
    const tsr_conv_geometry c = geometry(s);
    const bool answer = tsr_winograd_fits(n, &c);
    tsr_output(n, TSR_SCALAR);
    tsr_end(n);
    return answer;
}

TEST(winograd_is_chosen_where_tiles_and_channels_are_enough)
{
    tsr_context *high = tsr_open(NULL), *highest = tsr_open(&(tsr_options){.precision = TSR_HIGHEST});
    const sizes good[] = {{1, 256, 256, 64, 64, 1, 1}, {1, 16, 16, 512, 512, 1, 1}, {32, 24, 24, 64, 192, 1, 1},
                          {1, 16, 16, 16, 16, 1, 1}, {48, 6, 6, 160, 192, 1, 1}};
    const sizes bad[] = {{1, 256, 256, 3, 64, 1, 1}, {1, 256, 256, 64, 3, 1, 1}, {1, 4, 4, 512, 512, 1, 1},
                         {1, 5, 5, 128, 128, 1, 1}, {64, 2, 2, 64, 64, 1, 1}, {1, 9000, 9000, 9000, 64, 1, 1}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) CHECK(fits(high, &good[i]) && !fits(highest, &good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK(!fits(high, &bad[i]));
    tsr_close(high);
    tsr_close(highest);
}

TEST_FLOAT(winograd_takes_at_most_16_megabytes_of_scratch_memory)
{
    static const sizes cases[] = {{1, 32, 32, 512, 512, 1, 1}, {1, 128, 64, 128, 256, 1, 1}, {1, 80, 80, 512, 64, 1, 1},
                                  {1, 12, 12, 1024, 512, 1, 1}, {2, 64, 64, 32, 1100, 1, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const sizes *s = &cases[i];
        tsr_context *ctx = tsr_open(&(tsr_options){.threads = 2});
        tsr_tensor *x = tsr_watch(tsr_zeros(ctx, TSR_SHAPE(s->batch, s->height, s->width, s->in)));
        tsr_tensor *w = tsr_watch(tsr_zeros(ctx, TSR_SHAPE(3, 3, s->in, s->out)));
        const size_t values = (size_t)(2 * tsr_size(x) + 2 * tsr_size(w)) * sizeof(tsr_real);
        tsr_tensor *y = tsr_conv(x, w, NULL, &(tsr_conv_options){.padding = {1, 1}});
        tsr_backward_from(y, tsr_full(ctx, tsr_shape_of(y), 1));
        const size_t results = (size_t)(2 * tsr_size(y)) * sizeof(tsr_real);
        CHECK(tsr_statistics_of(ctx).peak_bytes < (values + results) * 9 / 8 + (16 << 20)); /* 9/8: size classes */
        CHECK(!tsr_close(ctx));
    }
}
