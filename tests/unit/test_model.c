/* Models: names, shapes, sharing, freezing, weight files. */
#include "tessera.h"
#include "tests/test.h"

#include <math.h>
#include <string.h>

static tsr_tensor *block(tsr_model *m, const char *name, tsr_tensor *x, int channels)
{
    tsr_enter(m, name);
    x = tsr_nn_conv(m, "conv", x, channels, &(tsr_conv_options){.kernel = {3, 3}, .padding = {1, 1}, .no_bias = true});
    x = tsr_nn_batch_norm(m, "bn", x, &(tsr_norm_options){.activation = TSR_RELU});
    tsr_leave(m);
    return x;
}

static tsr_tensor *net(tsr_model *m, tsr_tensor *x)
{
    x = block(m, "first", x, 4);
    x = tsr_max_pool(x, &(tsr_pool_options){.kernel = {2, 2}});
    x = block(m, "second", x, 6);
    return tsr_nn_linear(m, "out", x, 3, NULL);
}

static tsr_tensor *picture(tsr_context *ctx)
{
    return tsr_normal(ctx, TSR_SHAPE(2, 4, 6, 3), 0, 1, 77);
}

TEST(model_parameters_are_made_once_and_found_by_name)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    for (int i = 0; i < 3; i++) TSR_SCOPE(ctx) net(m, picture(ctx));
    CHECK(!tsr_error(ctx));
    CHECK_EQUAL(tsr_model_count(m), 12);
    CHECK_TEXT(tsr_model_name(m, 0), "first.conv.weight");
    CHECK_TEXT(tsr_model_name(m, 3), "first.bn.running_mean");
    CHECK_TEXT(tsr_model_name(m, 11), "out.bias");
    CHECK(!tsr_model_is_parameter(m, 3));
    CHECK_EQUAL(tsr_parameter_count(m), 3 * 9 * 4 + 8 + 4 * 9 * 6 + 12 + 2 * 3 * 6 * 3 + 3);
    CHECK_EQUAL(tsr_model_find(m, "out.weight"), 10);
    CHECK_EQUAL(tsr_model_find(m, "out"), -1);
    tsr_close(ctx);
}

TEST(model_values_depend_on_seed_and_name_not_on_order)
{
    tsr_context *a = tsr_open(&(tsr_options){.seed = 4}), *b = tsr_open(&(tsr_options){.seed = 4});
    tsr_model *ma = tsr_model_new(a), *mb = tsr_model_new(b), *twin = tsr_model_new(b);
    tsr_tensor *xa = tsr_zeros(a, TSR_SHAPE(1, 5)), *xb = tsr_zeros(b, TSR_SHAPE(1, 5));
    tsr_nn_linear(ma, "one", xa, 4, NULL);
    tsr_nn_linear(ma, "two", xa, 4, NULL);
    tsr_nn_linear(mb, "two", xb, 4, NULL);
    tsr_nn_linear(mb, "one", xb, 4, NULL);
    tsr_nn_linear(twin, "one", xb, 4, NULL);
    const tsr_real *one_a = tsr_data(tsr_model_tensor(ma, 0)), *one_b = tsr_data(tsr_model_tensor(mb, 2));
    CHECK(memcmp(one_a, one_b, 20 * sizeof *one_a) == 0);
    CHECK(memcmp(one_a, tsr_data(tsr_model_tensor(ma, 2)), 20 * sizeof *one_a) != 0);
    CHECK(memcmp(one_a, tsr_data(tsr_model_tensor(twin, 0)), 20 * sizeof *one_a) != 0);
    for (int i = 0; i < 20; i++) CHECK(fabs((double)one_a[i]) <= 1 / sqrt(5));
    tsr_close(a);
    tsr_close(b);
}

TEST(model_siamese_use_shares_parameters_and_adds_gradients)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    tsr_tensor *a = tsr_full(ctx, TSR_SHAPE(1, 2), 1), *b = tsr_full(ctx, TSR_SHAPE(1, 2), 10);
    tsr_backward(tsr_sum(tsr_add(tsr_nn_linear(m, "f", a, 1, NULL), tsr_nn_linear(m, "f", b, 1, NULL)), NULL));
    CHECK(!tsr_error(ctx));
    CHECK_EQUAL(tsr_model_count(m), 2);
    CHECK_EQUAL(tsr_data(tsr_grad(tsr_model_tensor(m, 0)))[1], 11);
    CHECK_EQUAL(tsr_data(tsr_grad(tsr_model_tensor(m, 1)))[0], 2);
    tsr_close(ctx);
}

TEST(model_name_reached_by_other_parts_is_the_same_parameter)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    tsr_enter(m, "a.b");
    tsr_tensor *one = tsr_parameter_init(m, "c", TSR_SHAPE(2), NULL);
    tsr_leave(m);
    tsr_enter(m, "a");
    tsr_tensor *two = tsr_parameter_init(m, "b.c", TSR_SHAPE(2), NULL);
    tsr_leave(m);
    CHECK(one == two);
    CHECK_EQUAL(tsr_model_count(m), 1);
    tsr_close(ctx);
}

TEST(model_another_shape_under_the_same_name_is_an_error)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    tsr_nn_linear(m, "f", tsr_zeros(ctx, TSR_SHAPE(1, 2)), 3, NULL);
    tsr_nn_linear(m, "f", tsr_zeros(ctx, TSR_SHAPE(1, 4)), 3, NULL);
    CHECK_TEXT(tsr_error(ctx), "model: \"f.weight\" is [2, 3] and is asked for as [4, 3]");
    tsr_clear_error(ctx);
    tsr_nn_linear(m, "f", tsr_zeros(ctx, TSR_SHAPE(1, 2)), 3, NULL); /* names are in order after an error */
    CHECK(!tsr_error(ctx));
    CHECK_EQUAL(tsr_model_count(m), 2);
    tsr_leave(m);
    CHECK_CONTAINS(tsr_error(ctx), "tsr_leave without tsr_enter");
    tsr_close(ctx);
}

TEST(model_layers_refuse_what_they_cannot_be_with_words)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    tsr_nn_linear(m, "f", tsr_zeros(ctx, TSR_SHAPE(3)), 3, NULL);
    CHECK_CONTAINS(tsr_error(ctx), "linear \"f\": input [3] needs a batch axis");
    tsr_clear_error(ctx);
    tsr_nn_conv(m, "c", tsr_zeros(ctx, TSR_SHAPE(1, 8, 8, 3)), 4, NULL);
    CHECK_CONTAINS(tsr_error(ctx), "conv \"c\": input [1, 8, 8, 3] with kernel [0, 0, 0] to 4 channels");
    tsr_clear_error(ctx);
    tsr_nn_conv(m, "c", tsr_zeros(ctx, TSR_SHAPE(1, 8, 8, 3)), 4, &(tsr_conv_options){.kernel = {3, 3}, .groups = 2});
    CHECK_CONTAINS(tsr_error(ctx), "channels that the groups divide");
    tsr_clear_error(ctx);
    tsr_nn_locally_connected(m, "l", tsr_zeros(ctx, TSR_SHAPE(1, 2, 2, 3)), 4, &(tsr_conv_options){.kernel = {3, 3}});
    CHECK_CONTAINS(tsr_error(ctx), "has no output");
    tsr_clear_error(ctx);
    tsr_nn_layer_norm(m, "n", tsr_zeros(ctx, TSR_SHAPE(2, 2)), &(tsr_norm_options){.axes = 3});
    CHECK_CONTAINS(tsr_error(ctx), "no 3 trailing axes");
    tsr_close(ctx);
}

TEST(model_every_layer_makes_the_parameters_of_pytorch)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    tsr_tensor *x = tsr_normal(ctx, TSR_SHAPE(2, 6, 6, 4), 0, 1, 1);
    tsr_nn_conv_transpose(m, "up", x, 6, &(tsr_conv_options){.kernel = {2, 2}, .stride = {2, 2}, .groups = 2});
    tsr_nn_locally_connected(m, "local", x, 5, &(tsr_conv_options){.kernel = {3, 3}, .stride = {3, 3}});
    tsr_nn_group_norm(m, "gn", x, 2, NULL);
    tsr_nn_instance_norm(m, "in", x, &(tsr_norm_options){.no_affine = true});
    tsr_nn_layer_norm(m, "ln", x, &(tsr_norm_options){.axes = 3});
    tsr_nn_prelu(m, "act", x, true);
    tsr_nn_maxout(m, "max", x, 7, 2);
    tsr_nn_conv(m, "c1", tsr_zeros(ctx, TSR_SHAPE(2, 9, 3)), 5, &(tsr_conv_options){.kernel = {3}});
    tsr_nn_conv(m, "c3", tsr_zeros(ctx, TSR_SHAPE(1, 4, 4, 4, 2)), 3, &(tsr_conv_options){.kernel = {3, 3, 3}});
    CHECK(!tsr_error(ctx));
    static const struct {
        const char *name;
        int64_t size;
    } expected[] = {{"up.weight", 2 * 2 * 3 * 4}, {"up.bias", 6}, {"local.weight", 2 * 2 * 9 * 4 * 5}, {"local.bias", 20},
                    {"gn.weight", 4}, {"gn.bias", 4}, {"ln.weight", 144}, {"ln.bias", 144}, {"act.weight", 4},
                    {"max.weight", 144 * 14}, {"max.bias", 14}, {"c1.weight", 45}, {"c1.bias", 5}, {"c3.weight", 162},
                    {"c3.bias", 3}};
    CHECK_EQUAL(tsr_model_count(m), 15);
    for (int i = 0; i < 15; i++) {
        CHECK_TEXT(tsr_model_name(m, i), expected[i].name);
        CHECK_EQUAL(tsr_size(tsr_model_tensor(m, i)), expected[i].size);
    }
    CHECK(fabs((double)tsr_data(tsr_model_tensor(m, 8))[0] - 0.25) < 1e-7);
    tsr_close(ctx);
}

TEST(model_frozen_parameters_get_no_gradient_even_if_they_come_later)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    tsr_freeze(m, "first", true);
    tsr_freeze(m, "out", true);
    tsr_freeze(m, "out.bias", false);
    tsr_backward(tsr_sum(tsr_square(net(m, picture(ctx))), NULL));
    CHECK(!tsr_error(ctx));
    CHECK(tsr_grad(tsr_model_tensor(m, tsr_model_find(m, "first.conv.weight"))) == NULL);
    CHECK(tsr_grad(tsr_model_tensor(m, tsr_model_find(m, "second.conv.weight"))) != NULL);
    CHECK(tsr_grad(tsr_model_tensor(m, tsr_model_find(m, "out.weight"))) == NULL);
    CHECK(tsr_grad(tsr_model_tensor(m, tsr_model_find(m, "out.bias"))) != NULL);
    tsr_freeze(m, "", false);
    CHECK(tsr_needs_grad(tsr_model_tensor(m, 0)));
    CHECK(!tsr_needs_grad(tsr_model_tensor(m, 3))); /* a buffer stays one */
    tsr_close(ctx);
}

TEST(model_initialisers_have_the_spread_they_promise)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    static const tsr_init inits[] = {{.kind = TSR_INIT_KAIMING_UNIFORM}, {.kind = TSR_INIT_KAIMING_NORMAL},
                                     {.kind = TSR_INIT_XAVIER_UNIFORM}, {.kind = TSR_INIT_XAVIER_NORMAL, .gain = 2},
                                     {.kind = TSR_INIT_NORMAL, .gain = 0.01, .value = 3},
                                     {.kind = TSR_INIT_UNIFORM, .gain = 0.5}, {.kind = TSR_INIT_CONSTANT, .value = -2}};
    static const double mean[] = {0, 0, 0, 0, 3, 0, -2};
    const double fan_in = 150, fan_out = 300; /* [3, 50, 100] */
    const double deviation[] = {sqrt(2 / fan_in), sqrt(2 / fan_in), sqrt(2 / (fan_in + fan_out)),
                                2 * sqrt(2 / (fan_in + fan_out)), 0.01, 0.5 / sqrt(3), 0};
    for (int i = 0; i < 7; i++) {
        char name[16];
        double sum = 0, square = 0;
        snprintf(name, sizeof name, "p%d", i);
        const tsr_tensor *t = tsr_parameter_init(m, name, TSR_SHAPE(3, 50, 100), &inits[i]);
        for (int64_t k = 0; k < 15000; k++) sum += (double)tsr_data(t)[k] / 15000;
        for (int64_t k = 0; k < 15000; k++) square += pow((double)tsr_data(t)[k] - sum, 2) / 15000;
        CHECK_NEAR(sum, mean[i], 0.02);
        CHECK(fabs(sqrt(square) - deviation[i]) < 0.03 * deviation[i] + 1e-6);
    }
    tsr_close(ctx);
}

TEST(model_orthogonal_initialiser_makes_orthonormal_rows_or_columns)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    const tsr_init init = {.kind = TSR_INIT_ORTHOGONAL, .gain = 2};
    tsr_tensor *tall = tsr_parameter_init(m, "tall", TSR_SHAPE(3, 4, 5), &init);
    tsr_tensor *wide = tsr_parameter_init(m, "wide", TSR_SHAPE(4, 9), &init);
    tsr_tensor *flat = tsr_reshape(tall, TSR_SHAPE(12, 5));
    tsr_tensor *a = tsr_matmul(flat, flat, &(tsr_matmul_options){.transpose_a = true});
    tsr_tensor *b = tsr_matmul(wide, wide, &(tsr_matmul_options){.transpose_b = true});
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 5; j++) CHECK_NEAR(tsr_data(a)[i * 5 + j], i == j ? 4 : 0, 1e-5);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) CHECK_NEAR(tsr_data(b)[i * 4 + j], i == j ? 4 : 0, 1e-5);
    tsr_close(ctx);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

TEST(model_saved_and_loaded_computes_the_same_bits)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx), *copy = tsr_model_new(ctx), *running = tsr_model_new(ctx);
    const char *path = test_path("model.safetensors");
    net(m, picture(ctx)); /* moves the running statistics */
    tsr_set_training(m, false);
    tsr_set_text(m, "net", "small");
    tsr_set_text(m, "net", "tiny");
    CHECK(tsr_model_save(m, path, NULL));
    CHECK(tsr_model_load(copy, path, NULL));
    tsr_set_training(copy, false);
    const tsr_tensor *a = net(m, picture(ctx)), *b = net(copy, picture(ctx));
    CHECK(!tsr_error(ctx));
    CHECK(memcmp(tsr_data(a), tsr_data(b), (size_t)tsr_size(a) * sizeof(tsr_real)) == 0);
    CHECK(tsr_check_claimed(copy));
    CHECK_TEXT(tsr_text_of(copy, "net"), "tiny");
    net(running, picture(ctx)); /* parameters that exist take the values at once */
    CHECK(tsr_model_load(running, path, NULL));
    tsr_set_training(running, false);
    const tsr_tensor *c = net(running, picture(ctx));
    CHECK(memcmp(tsr_data(a), tsr_data(c), (size_t)tsr_size(a) * sizeof(tsr_real)) == 0);
    tsr_close(ctx);
}

TEST(model_file_has_the_layout_of_pytorch)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    const char *path = test_path("layout.safetensors");
    net(m, picture(ctx));
    CHECK(tsr_model_save(m, path, NULL));
    tsr_archive *archive = tsr_archive_open(ctx, path);
    CHECK(archive != NULL);
    const int conv = tsr_archive_find(archive, "first.conv.weight"), out = tsr_archive_find(archive, "out.weight");
    CHECK(tsr_same_shape(tsr_archive_shape(archive, conv), TSR_SHAPE(4, 3, 3, 3)));
    CHECK(tsr_same_shape(tsr_archive_shape(archive, out), TSR_SHAPE(3, 6 * 2 * 3)));
    const tsr_real *stored = tsr_data(tsr_archive_tensor(archive, conv)), *memory = tsr_data(tsr_model_tensor(m, 0));
    for (int o = 0; o < 4; o++)
        for (int i = 0; i < 3; i++)
            for (int k = 0; k < 9; k++) CHECK_EQUAL(stored[(o * 3 + i) * 9 + k], memory[(k * 3 + i) * 4 + o]);
    stored = tsr_data(tsr_archive_tensor(archive, out));
    memory = tsr_data(tsr_model_tensor(m, tsr_model_find(m, "out.weight")));
    for (int o = 0; o < 3; o++) /* flattened by PyTorch as channel, height, width; by us as height, width, channel */
        for (int c = 0; c < 6; c++)
            for (int k = 0; k < 6; k++) CHECK_EQUAL(stored[o * 36 + c * 6 + k], memory[(k * 6 + c) * 3 + o]);
    tsr_archive_close(archive);
    tsr_close(ctx);
}

static tsr_tensor *misspelt(tsr_model *m, tsr_tensor *x)
{
    return tsr_nn_linear(m, "ouz", block(m, "first", x, 4), 3, NULL);
}

TEST(model_loaded_strictly_is_sealed_and_suggests_names)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx), *other = tsr_model_new(ctx), *lenient = tsr_model_new(ctx), *partial = tsr_model_new(ctx);
    const char *path = test_path("sealed.safetensors");
    net(m, picture(ctx));
    CHECK(tsr_model_save(m, path, NULL));
    CHECK(tsr_model_load(other, path, NULL));
    misspelt(other, picture(ctx));
    CHECK_CONTAINS(tsr_error(ctx), "there is no tensor \"ouz.weight\" (did you mean \"out.weight\"?)");
    tsr_clear_error(ctx);
    CHECK(tsr_model_load(lenient, path, &(tsr_load_options){.lenient = true}));
    misspelt(lenient, picture(ctx));
    CHECK(!tsr_error(ctx));
    CHECK(!tsr_check_claimed(lenient));
    CHECK_CONTAINS(tsr_error(ctx), "7 tensors were claimed by no layer: \"second.conv.weight\", ");
    tsr_clear_error(ctx);
    misspelt(partial, picture(ctx)); /* a parameter that exists and that the file lacks */
    CHECK(!tsr_model_load(partial, path, NULL));
    CHECK_CONTAINS(tsr_error(ctx), "there is no tensor \"ouz.weight\"");
    tsr_close(ctx);
}

TEST(model_weights_of_another_shape_name_both_shapes)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx), *other = tsr_model_new(ctx);
    const char *path = test_path("shapes.safetensors");
    tsr_nn_linear(m, "f", tsr_zeros(ctx, TSR_SHAPE(1, 5)), 3, NULL);
    CHECK(tsr_model_save(m, path, NULL));
    CHECK(tsr_model_load(other, path, NULL));
    tsr_nn_linear(other, "f", tsr_zeros(ctx, TSR_SHAPE(1, 5)), 4, NULL);
    CHECK_CONTAINS(tsr_error(ctx), "tensor \"f.weight\" is [3, 5], the model expects [4, 5]");
    tsr_close(ctx);
}

TEST(model_load_and_save_name_the_file_that_fails)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    CHECK(!tsr_model_load(m, "build/test-tmp/no-such-file", NULL));
    CHECK_CONTAINS(tsr_error(ctx), "build/test-tmp/no-such-file");
    tsr_clear_error(ctx);
    CHECK(!tsr_model_save(m, "build/test-tmp/no-such-folder/model.safetensors", NULL));
    CHECK_CONTAINS(tsr_error(ctx), "no-such-folder");
    tsr_close(ctx);
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

TEST(model_freed_gives_all_its_memory_back)
{
    tsr_context *ctx = tsr_open(NULL);
    const size_t before = tsr_statistics_of(ctx).bytes;
    tsr_model *m = tsr_model_new(ctx);
    tsr_freeze(m, "first", true);
    tsr_set_text(m, "a", "b");
    TSR_SCOPE(ctx) net(m, picture(ctx));
    tsr_optimizer *opt = tsr_adam(m, NULL);
    tsr_group(opt, "out", NULL);
    TSR_SCOPE(ctx) {
        tsr_backward(tsr_sum(net(m, picture(ctx)), NULL));
        CHECK(tsr_step(opt));
    }
    tsr_optimizer_free(opt);
    tsr_model_free(m);
    CHECK_EQUAL(tsr_statistics_of(ctx).bytes, before);
    tsr_close(ctx);
}

TEST(model_summary_is_a_table_with_totals)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    FILE *file = tmpfile();
    char text[2048] = {0};
    CHECK(file != NULL);
    CHECK(tsr_summary(m, net, picture(ctx), file));
    rewind(file);
    CHECK(fread(text, 1, sizeof text - 1, file) > 0);
    fclose(file);
    CHECK_CONTAINS(text, "first.conv                   [2, 4, 6, 4]                        108              5,184");
    CHECK_CONTAINS(text, "out                          [2, 3]                              111                216");
    CHECK_CONTAINS(text, "total");
    CHECK(tsr_is_training(m));
    tsr_close(ctx);
}

/* One layer twice, and a parameter of no layer. */
static tsr_tensor *twins(tsr_model *m, tsr_tensor *x)
{
    const tsr_linear_options o = {.no_bias = true};
    x = tsr_nn_linear(m, "twin", tsr_nn_linear(m, "twin", x, 4, &o), 4, &o);
    return tsr_mul(x, tsr_parameter_init(m, "scale", TSR_SHAPE(4), NULL));
}

static void append_row(void *text, const tsr_summary_row *row)
{
    const size_t used = strlen(text);
    snprintf((char *)text + used, 200 - used, "%s %lld%s %g; ", row->name, (long long)row->parameters,
             row->shared ? " shared" : "", row->multiply_adds);
}

TEST(model_summary_counts_each_parameter_once)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    for (int i = 0; i < 2; i++) {
        char text[200] = "";
        CHECK(tsr_summary_rows(m, twins, tsr_full(ctx, TSR_SHAPE(2, 4), 1), append_row, text));
        CHECK_TEXT(text, "twin 16 32; twin 0 shared 32; outside layers 4 0; ");
    }
    CHECK_EQUAL(tsr_close(ctx), 0);
}

TEST(model_dropout_draws_by_step_and_call_and_not_in_evaluation)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    tsr_tensor *x = tsr_full(ctx, TSR_SHAPE(500), 1);
    tsr_set_step_count(ctx, 5);
    const tsr_tensor *a = tsr_nn_dropout(m, x, 0.5), *b = tsr_nn_dropout(m, x, 0.5);
    CHECK(memcmp(tsr_data(a), tsr_data(b), 500 * sizeof(tsr_real)) != 0);
    tsr_set_step_count(ctx, 5);
    tsr_set_training(m, false);
    CHECK(tsr_nn_dropout(m, x, 0.5) == x);
    tsr_set_training(m, true);
    const tsr_tensor *again = tsr_nn_dropout(m, x, 0.5);
    CHECK(memcmp(tsr_data(a), tsr_data(again), 500 * sizeof(tsr_real)) == 0);
    tsr_close(ctx);
}
