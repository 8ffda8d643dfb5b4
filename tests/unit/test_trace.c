/* What a trace says of each layer against its gradient, and the deconvnet against its definition. */
#include "ops/trace.h"
#include "tessera.h"
#include "tests/test.h"

#include <math.h>
#include <string.h>

enum { MOST_ROWS = 40, SAMPLES = 24 };

typedef struct rows {
    int count;
    tsr_trace_row items[MOST_ROWS];
} rows;

static void keep_row(void *user, const tsr_trace_row *row)
{
    rows *all = user;
    if (all->count < MOST_ROWS) all->items[all->count++] = *row;
}

/* What the nets of our programs are made of, in one dimension after the other. */
static tsr_tensor *small_net(tsr_model *m, tsr_tensor *x)
{
    x = tsr_pad(x, &(tsr_pad_options){.before = {0, 1, 0}, .after = {0, 1, 1}});
    x = tsr_nn_conv(m, "a.conv", x, 6, &(tsr_conv_options){.kernel = {5, 3}, .stride = {2, 1}, .padding = {0, 2},
                                                           .padding_end = {TSR_ZERO, 1}});
    x = tsr_nn_batch_norm(m, "a.bn", x, &(tsr_norm_options){.activation = TSR_RELU});
    x = tsr_max_pool(x, &(tsr_pool_options){.kernel = {3, 3}, .stride = {2, 2}, .ceil_mode = true});
    tsr_tensor *wide = tsr_nn_conv(m, "b.wide", x, 5, &(tsr_conv_options){.kernel = {3, 3}, .padding = {2, 2},
                                                                          .dilation = {2, 2}, .activation = TSR_RELU});
    tsr_tensor *thin = tsr_relu(tsr_nn_conv(m, "b.thin", x, 5, &(tsr_conv_options){.kernel = {1, 1}}));
    x = tsr_add(tsr_concat((tsr_tensor *[]){wide, thin}, 2, -1), tsr_concat((tsr_tensor *[]){thin, wide}, 2, -1));
    tsr_tensor *down = tsr_nn_conv(m, "c", x, 10, &(tsr_conv_options){.kernel = {3, 3}, .stride = {2, 2}});
    tsr_tensor *around = tsr_avg_pool(x, &(tsr_pool_options){.kernel = {2, 2}});
    x = tsr_lrn(tsr_relu(tsr_add(down, around)), NULL);
    return tsr_nn_linear(m, "fc", x, 3, NULL);
}

/* Whether the gradient of a unit of layer `at`, in some sample and channel, is 0 outside its field and not 0 inside. */
static bool field_holds(tsr_context *ctx, tsr_model *m, int at, const double place[2])
{
    rows all = {0};
    tsr_tensor *x = tsr_watch(tsr_uniform(ctx, TSR_SHAPE(SAMPLES, 37, 37, 2), -1, 1, 5));
    small_net(m, x);
    tsr_trace(x, keep_row, &all);
    tsr_tensor *y = all.items[at].result, *seed = tsr_zeros(ctx, tsr_shape_of(y));
    const tsr_field *f = &all.items[at].field;
    const tsr_shape shape = tsr_shape_of(y);
    const int64_t unit[2] = {(int64_t)(place[0] * (double)(shape.dims[1] - 1)),
                             (int64_t)(place[1] * (double)(shape.dims[2] - 1))};
    tsr_real *g = tsr_write(seed);
    for (int64_t n = 0; g && n < SAMPLES; n++)
        for (int64_t c = 0; c < shape.dims[3]; c++)
            g[((n * shape.dims[1] + unit[0]) * shape.dims[2] + unit[1]) * shape.dims[3] + c] = (tsr_real)(c + 1);
    tsr_backward_from(y, seed);
    const tsr_tensor *s = tsr_sum(tsr_abs(tsr_grad(x)), &(tsr_reduce_options){.axes = TSR_AXIS(0) | TSR_AXIS(3)});
    bool holds = !tsr_error(ctx) && tsr_size(s) == 37 * 37;
    for (int64_t p = 0; holds && p < tsr_size(s); p++) {
        const int64_t where[2] = {p / 37, p % 37};
        bool inside = true;
        for (int a = 0; a < 2; a++) {
            const int64_t begin = f->start[a] + unit[a] * f->stride[a];
            inside = inside && where[a] >= begin && where[a] < begin + f->size[a];
        }
        holds = inside == (tsr_data(s)[p] != 0);
    }
    return holds;
}

TEST(trace_fields_are_where_the_gradient_is_not_zero)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    tsr_set_training(m, false);
    rows all = {0};
    tsr_tensor *x = tsr_watch(tsr_zeros(ctx, TSR_SHAPE(1, 37, 37, 2)));
    small_net(m, x);
    CHECK(tsr_trace(x, keep_row, &all));
    int fields = 0;
    for (int i = 0; i < all.count; i++) {
        if (all.items[i].field.whole || i == 0) continue; /* a unit of padding sees nothing */
        static const double places[][2] = {{0, 0}, {0.5, 0.5}, {1, 1}, {0.3, 0.8}};
        for (int k = 0; k < 4; k++)
            TSR_SCOPE(ctx)
                if (!field_holds(ctx, m, i, places[k])) CHECK_TEXT(all.items[i].op, "an op whose field holds");
        fields++;
    }
    CHECK_EQUAL(fields, 14);
    CHECK(all.items[all.count - 1].field.whole);
    CHECK_EQUAL(tsr_close(ctx), 0);
}

TEST(trace_tells_sizes_and_names)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    tsr_set_training(m, false);
    rows all = {0};
    tsr_tensor *x = tsr_watch(tsr_zeros(ctx, TSR_SHAPE(1, 37, 37, 2)));
    small_net(m, x);
    CHECK(tsr_trace(x, keep_row, &all));
    CHECK_TEXT(all.items[1].layer.text, "a.conv");
    CHECK(!all.items[1].rectified);
    CHECK_TEXT(all.items[2].layer.text, "a.bn");
    CHECK(all.items[2].rectified);
    CHECK_TEXT(all.items[3].op, "max_pool");
    CHECK_TEXT(all.items[3].layer.text, "");
    CHECK_EQUAL(all.items[3].field.size[0], 5 + 2 * 2);
    CHECK_EQUAL(all.items[3].field.stride[0], 4);
    CHECK_EQUAL(all.items[3].field.start[0], -1);
    CHECK_EQUAL(all.items[4].field.size[1], 5 + 4 * 2);
    CHECK_EQUAL(all.items[4].field.start[1], -2 - 2 * 2);
    CHECK(all.items[4].rectified);
    tsr_trace(tsr_zeros(ctx, TSR_SHAPE(1, 4, 4, 1)), keep_row, &all);
    CHECK_CONTAINS(tsr_error(ctx), "trace: nothing");
    tsr_close(ctx);
}

/* Zeiler and Fergus, section 2.1: unpool by switches, rectify, filter by the transposed filters. */
TEST(trace_deconvnet_is_what_zeiler_and_fergus_say)
{
    tsr_context *ctx = tsr_open(NULL);
    const tsr_conv_options first = {.kernel = {3, 3}, .padding = {1, 1}};
    const tsr_pool_options half = {.kernel = {2, 2}};
    tsr_tensor *w1 = tsr_normal(ctx, TSR_SHAPE(3, 3, 2, 4), 0, 1, 1);
    tsr_tensor *w2 = tsr_normal(ctx, TSR_SHAPE(3, 3, 4, 5), 0, 1, 2);
    tsr_tensor *bias = tsr_normal(ctx, TSR_SHAPE(4), 0, 1, 3);
    tsr_tensor *x = tsr_watch(tsr_normal(ctx, TSR_SHAPE(2, 8, 8, 2), 0, 1, 4));
    const tsr_conv_options fused = {.kernel = {3, 3}, .activation = TSR_RELU};
    tsr_tensor *before = tsr_relu(tsr_conv(x, w1, bias, &first));
    tsr_tensor *y = tsr_conv(tsr_max_pool(before, &half), w2, NULL, &fused);
    tsr_tensor *seed = tsr_normal(ctx, tsr_shape_of(y), 0, 1, 7);
    CHECK(tsr_deconvnet_from(y, seed));

    tsr_tensor *up = tsr_conv_transpose(tsr_relu(seed), w2, NULL, &(tsr_conv_options){.kernel = {3, 3}});
    up = tsr_max_unpool(up, tsr_max_pool_indices(before, &half), (const int64_t[]){8, 8});
    tsr_tensor *expected = tsr_conv_transpose(tsr_relu(up), w1, NULL, &first), *got = tsr_grad(x);
    CHECK(!tsr_error(ctx));
    double most = 0;
    for (int64_t i = 0; i < tsr_size(expected); i++) {
        CHECK_NEAR(tsr_data(got)[i], tsr_data(expected)[i], 1e-4);
        most = fmax(most, fabs((double)tsr_data(got)[i]));
    }
    CHECK(most > 1);

    /* Afterwards gradients are gradients again. */
    tsr_zero_grad(x);
    tsr_tensor *loss = tsr_sum(tsr_relu(x), NULL);
    CHECK(tsr_backward(loss));
    for (int64_t i = 0; i < tsr_size(x); i++) CHECK_EQUAL(tsr_data(tsr_grad(x))[i], tsr_data(x)[i] > 0 ? 1 : 0);
    CHECK_EQUAL(tsr_close(ctx), 0);
}
