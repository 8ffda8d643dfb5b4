/* The table of nets: sizes against the papers, forms in files, and dlib's net against known answers. */
#include "apps/facenet/nets.h"
#include "tests/apps/files.h"
#include "tests/apps/weights.h"

static const face_net *net_of(const char *name)
{
    app_error error = {""};
    return face_net_find(name, &error);
}

/* A model of the net in its usual form, run once. */
static tsr_model *run_once(tsr_context *ctx, const char *name, int embedding)
{
    face_form form;
    app_error error = {""};
    tsr_model *m = tsr_model_new(ctx);
    if (!face_form_of(&form, net_of(name), &(face_form){.embedding = embedding}, &error)) return m;
    face_describe(m, &form);
    tsr_set_training(m, false);
    TSR_NO_GRAD(ctx) {
        const tsr_tensor *e =
            face_embed(m, tsr_uniform(ctx, TSR_SHAPE(1, form.size, form.size, form.channels), -1, 1, 3));
        double norm = 0;
        for (int64_t i = 0; i < tsr_size(e); i++) norm += (double)tsr_data(e)[i] * (double)tsr_data(e)[i];
        if (tsr_dim(e, 1) != form.embedding || fabs(norm - 1) > 1e-4)
            tsr_fail(ctx, "%s: embedding of length %g", name, norm);
    }
    return m;
}

/* Values of the block's weights without biases and norms. */
static double weights_of(const tsr_model *m, const char *block)
{
    double count = 0;
    const size_t length = strlen(block);
    for (int i = 0; i < tsr_model_count(m); i++) {
        const char *name = tsr_model_name(m, i);
        const bool inside = strncmp(name, block, length) == 0 && name[length] == '.';
        if (inside && tsr_rank(tsr_model_tensor(m, i)) > 1) count += (double)tsr_size(tsr_model_tensor(m, i));
    }
    return count;
}

TEST(nets_nn4_small2_has_3733968_parameters)
{
    tsr_context *ctx = tsr_open(NULL);
    const tsr_model *m = run_once(ctx, "nn4.small2", 0);
    CHECK(!tsr_error(ctx));
    CHECK_EQUAL(tsr_parameter_count(m), 3733968);
    const tsr_model *wide = run_once(ctx, "nn4.small2", 256);
    CHECK_EQUAL(tsr_parameter_count(wide), 3733968 + 128 * 737);
    CHECK_EQUAL(tsr_close(ctx), 0);
}

TEST(nets_nn2_and_nn3_have_the_weights_of_the_papers_table)
{
    tsr_context *ctx = tsr_open(NULL);
    const tsr_model *m[] = {run_once(ctx, "nn2", 0), run_once(ctx, "nn3", 0)};
    CHECK(!tsr_error(ctx));
    double all = 0;
    for (const paper_row *row = nn2_paper; row->block; row++) {
        for (int i = 0; i < 2; i++) CHECK_EQUAL(weights_of(m[i], row->block), row->weights);
        all += row->weights;
    }
    CHECK_EQUAL(all, 7448256);
    CHECK_EQUAL(tsr_close(ctx), 0);
}

/* Half a gigabyte of weights. */
TEST_LONG(nets_nn1_has_the_weights_of_the_papers_table)
{
    tsr_context *ctx = tsr_open(NULL);
    const tsr_model *m = run_once(ctx, "nn1", 0);
    CHECK(!tsr_error(ctx));
    for (const paper_row *row = nn1_paper; row->block; row++) /* the paper rounds up here and there */
        CHECK(fabs(weights_of(m, row->block) - row->weights) <= fmax(0.02 * row->weights, 500));
    CHECK_EQUAL(tsr_parameter_count(m), 140025664);
    CHECK_EQUAL(tsr_close(ctx), 0);
}

TEST(nets_refuse_what_they_cannot_see_or_make)
{
    static const struct {
        const char *net;
        face_form wanted;
        const char *message;
    } cases[] = {
        {"nn2", {.size = 160}, "nn2 sees squares of 224x224 pixels, not 160x160"},
        {"nn2", {.channels = 2}, "nn2 sees 3 channels or 1, not 2"},
        {"nn4.small2", {.embedding = -5}, "an embedding has 1 to 65536 numbers, not -5"},
        {"small", {.size = 15}, "small sees squares of 16 to 1024 pixels, not 15x15"},
        {"face_resnet29", {.channels = 1}, "face_resnet29 sees 3 channels, not 1"},
        {"face_resnet29", {.embedding = 64}, "face_resnet29 makes embeddings of 128 numbers, not 64"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        face_form form;
        app_error error = {""};
        CHECK(!face_form_of(&form, net_of(cases[i].net), &cases[i].wanted, &error));
        CHECK_TEXT(error.text, cases[i].message);
    }
    app_error error = {""};
    CHECK(!face_net_find("nn4", &error));
    CHECK_TEXT(error.text,
               "there is no net \"nn4\"; there are small, medium, nn4.small2, nn1, nn2, nn3, face_resnet29");
}

TEST(nets_say_which_input_they_need)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    face_form form;
    app_error error = {""};
    face_embed(m, tsr_zeros(ctx, TSR_SHAPE(1, 48, 48, 3)));
    CHECK_CONTAINS(tsr_error(ctx), "face_embed: the model's texts name no net");
    tsr_clear_error(ctx);
    CHECK(face_form_of(&form, net_of("small"), NULL, &error));
    face_describe(m, &form);
    face_embed(m, tsr_zeros(ctx, TSR_SHAPE(2, 48, 32, 3)));
    CHECK_TEXT(tsr_error(ctx), "small: input [2, 48, 32, 3], needs [N, 48, 48, 3]");
    tsr_close(ctx);
}

TEST(nets_come_back_from_their_file_with_their_form)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx), *again = tsr_model_new(ctx), *broken = tsr_model_new(ctx);
    const char *path = test_path("form");
    face_form form, read;
    app_error error = {""};
    CHECK(face_form_of(&form, net_of("small"), &(face_form){.size = 32, .channels = 1, .embedding = 7}, &error));
    face_describe(m, &form);
    tsr_tensor *x = tsr_uniform(ctx, TSR_SHAPE(2, 32, 32, 1), -1, 1, 3);
    tsr_set_training(m, false);
    const tsr_tensor *before = face_embed(m, x);
    CHECK(tsr_model_save(m, path, NULL));
    CHECK(face_open(again, path, &read, &error));
    CHECK(read.net == form.net && read.size == 32 && read.channels == 1 && read.embedding == 7);
    tsr_set_training(again, false);
    const tsr_tensor *after = face_embed(again, x);
    CHECK(memcmp(tsr_data(before), tsr_data(after), 14 * sizeof(tsr_real)) == 0);
    CHECK(tsr_check_claimed(again));
    tsr_set_text(m, "embedding", "999999999999");
    CHECK(tsr_model_save(m, path, NULL));
    CHECK(!face_open(broken, path, &read, &error));
    CHECK_CONTAINS(error.text, ": an embedding has 1 to 65536 numbers, not 999999");
    CHECK_EQUAL(tsr_close(ctx), 0);
}

/* ---- dlib's net -------------------------------------------------------------------------------------------------- */

TEST(nets_face_resnet29_meets_its_known_answers)
{
    static const char *const names[] = {"a", "b", "c"};
    if (!have_weights()) return;
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    face_form form;
    app_error error = {""};
    CHECK(face_open(m, WEIGHTS "face_resnet29.safetensors", &form, &error));
    tsr_set_training(m, false);
    for (int i = 0; i < 3; i++)
        TSR_NO_GRAD(ctx) {
            char in[64], out[64];
            snprintf(in, sizeof in, "face_resnet29.input_%s", names[i]);
            snprintf(out, sizeof out, "face_resnet29.output_%s", names[i]);
            const tsr_tensor *e = face_embed(m, known_input(ctx, in, form.net->mean, form.net->divisor));
            CHECK(relative_error(e, known_answer(ctx, out)) <= 1e-5);
        }
    CHECK(tsr_check_claimed(m));
    CHECK_EQUAL(tsr_parameter_count(m), 5614592);
    CHECK_EQUAL(tsr_close(ctx), 0);
}

TEST(nets_face_resnet29_learns)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    face_form form;
    app_error error = {""};
    CHECK(face_form_of(&form, net_of("face_resnet29"), NULL, &error));
    face_describe(m, &form);
    TSR_SCOPE(ctx) {
        tsr_tensor *e = face_embed(m, tsr_uniform(ctx, TSR_SHAPE(2, 150, 150, 3), -0.5, 0.5, 3));
        tsr_backward(tsr_sum(tsr_mul(e, tsr_normal(ctx, TSR_SHAPE(2, 128), 0, 1, 4)), NULL));
        CHECK(!tsr_error(ctx));
        for (int i = 0; i < tsr_model_count(m); i++) {
            const tsr_tensor *g = tsr_grad(tsr_model_tensor(m, i));
            double size = 0;
            for (int64_t k = 0; g && k < tsr_size(g); k++) size += fabs((double)tsr_data(g)[k]);
            CHECK(size > 0 && isfinite(size));
        }
    }
    CHECK_EQUAL(tsr_model_count(m), 29 * 4 + 1);
    CHECK_EQUAL(tsr_close(ctx), 0);
}
