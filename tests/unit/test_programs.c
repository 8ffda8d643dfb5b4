/* The programs that a user writes, about as the README and the headers show them. */
#include "tessera.h"
#include "tests/test.h"

#include <math.h>
#include <string.h>

/* ---- learning XOR, whole ----------------------------------------------------------------------------------------- */

static tsr_tensor *mlp(tsr_model *m, tsr_tensor *x)
{
    x = tsr_tanh(tsr_nn_linear(m, "hidden", x, 16, NULL));
    return tsr_nn_linear(m, "out", x, 1, NULL);
}

TEST(program_learns_xor)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = 1});
    tsr_tensor *x = tsr_values(ctx, TSR_SHAPE(4, 2), (tsr_real[]){0, 0, 0, 1, 1, 0, 1, 1});
    tsr_tensor *y = tsr_values(ctx, TSR_SHAPE(4, 1), (tsr_real[]){0, 1, 1, 0});
    tsr_model *m = tsr_model_new(ctx);
    tsr_optimizer *opt = tsr_adam(m, &(tsr_adam_options){.lr = 0.05});
    double first = 0, last = 0;
    for (int step = 0; step < 300 && !tsr_error(ctx); step++)
        TSR_SCOPE(ctx) {
            tsr_tensor *loss = tsr_bce_with_logits(mlp(m, x), y);
            tsr_backward(loss);
            tsr_step(opt);
            last = tsr_item(loss);
            if (step == 0) first = last;
        }
    CHECK(!tsr_error(ctx));
    CHECK(first > 0.5);
    CHECK(last < 0.02);
    const tsr_tensor *out = mlp(m, x);
    for (int i = 0; i < 4; i++) CHECK((tsr_data(out)[i] > 0) == (tsr_data(y)[i] > 0));
    CHECK_EQUAL(tsr_close(ctx), 0);
}

TEST(program_with_a_shape_mistake_gets_one_sentence)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    tsr_optimizer *opt = tsr_adam(m, NULL);
    tsr_tensor *x = tsr_zeros(ctx, TSR_SHAPE(4, 2)), *y = tsr_zeros(ctx, TSR_SHAPE(5, 1));
    int steps = 0;
    for (int step = 0; step < 300 && !tsr_error(ctx); step++)
        TSR_SCOPE(ctx) {
            tsr_backward(tsr_bce_with_logits(mlp(m, x), y));
            tsr_step(opt);
            steps++;
        }
    CHECK_EQUAL(steps, 1);
    CHECK_CONTAINS(tsr_error(ctx), "bce_with_logits: ");
    CHECK_CONTAINS(tsr_error(ctx), "[4, 1]");
    CHECK_CONTAINS(tsr_error(ctx), "[5, 1]");
    CHECK_EQUAL(tsr_close(ctx), 1);
}

/* ---- the heart of FaceNet ---------------------------------------------------------------------------------------- */

static tsr_tensor *embed(tsr_model *m, tsr_tensor *x)
{
    x = tsr_nn_conv(m, "conv", x, 8, &(tsr_conv_options){.kernel = {3, 3}, .padding = {1, 1}});
    x = tsr_nn_batch_norm(m, "bn", x, &(tsr_norm_options){.activation = TSR_RELU});
    x = tsr_max_pool(x, &(tsr_pool_options){.kernel = {2, 2}});
    return tsr_nn_linear(m, "embedding", x, 8, NULL);
}

/* Six "people": each a pattern of its own, under noise. `size` images of each, by person; their labels. */
static tsr_tensor *crowd(tsr_context *ctx, int64_t size, uint64_t stream, tsr_tensor **labels)
{
    tsr_tensor *patterns = tsr_normal(ctx, TSR_SHAPE(6, 1, 6, 6, 1), 0, 1, 1);
    tsr_tensor *noise = tsr_normal(ctx, TSR_SHAPE(6, size, 6, 6, 1), 0, 0.7, stream);
    *labels = tsr_reshape(tsr_expand(tsr_reshape(tsr_arange(ctx, 0, 6, 1), TSR_SHAPE(6, 1)), TSR_SHAPE(6, size)), TSR_SHAPE(-1));
    return tsr_reshape(tsr_add(patterns, noise), TSR_SHAPE(6 * size, 6, 6, 1));
}

TEST(program_facenet_pulls_together_and_pushes_apart)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = 2});
    tsr_model *m = tsr_model_new(ctx);
    tsr_optimizer *opt = tsr_adam(m, &(tsr_adam_options){.lr = 0.01});
    tsr_triplet_report report = {0};
    tsr_triplet_report first = {0};
    for (int step = 0; step < 60 && !tsr_error(ctx); step++)
        TSR_SCOPE(ctx) {
            tsr_tensor *labels, *images = crowd(ctx, 4, 100 + (uint64_t)step, &labels);
            tsr_tensor *e = tsr_l2_normalize(embed(m, images), 1);
            tsr_tensor *loss = tsr_triplet_loss(e, labels, &(tsr_triplet_options){.margin = 0.2, .mining = TSR_SEMI_HARD,
                                                                                 .report = &report});
            if (tsr_needs_grad(loss)) tsr_backward(loss);
            tsr_step(opt);
            if (step == 0) first = report;
        }
    CHECK(!tsr_error(ctx));
    CHECK(first.triplets > 0 && first.active > 0);
    CHECK(report.positive < 0.5 * report.negative);
    CHECK(report.positive / report.negative < first.positive / first.negative);
    tsr_close(ctx);
}

/* ---- the heart of DeepFace --------------------------------------------------------------------------------------- */

TEST(program_deepface_tells_same_from_different)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = 3});
    tsr_model *m = tsr_model_new(ctx);
    tsr_optimizer *opt = tsr_adam(m, &(tsr_adam_options){.lr = 0.01});
    double right = 0;
    for (int step = 0; step < 120 && !tsr_error(ctx); step++)
        TSR_SCOPE(ctx) {
            tsr_tensor *labels;
            tsr_tensor *a = crowd(ctx, 2, 300 + 2 * (uint64_t)step, &labels), *b = crowd(ctx, 2, 301 + 2 * (uint64_t)step, &labels);
            if (step % 2) b = tsr_concat((tsr_tensor *[]){tsr_slice(b, 0, 2, 12), tsr_slice(b, 0, 0, 2)}, 2, 0); /* the next person's */
            tsr_tensor *is_same = tsr_full(ctx, TSR_SHAPE(12, 1), step % 2 ? 0 : 1);
            tsr_tensor *f = tsr_abs(tsr_sub(embed(m, a), embed(m, b)));
            tsr_tensor *logits = tsr_nn_linear(m, "same", f, 1, NULL);
            tsr_tensor *loss = tsr_bce_with_logits(logits, is_same);
            tsr_backward(loss);
            tsr_step(opt);
            for (int i = 0; i < 12 && step >= 100; i++) right += ((tsr_data(logits)[i] > 0) == (step % 2 == 0)) / 240.0;
        }
    CHECK(!tsr_error(ctx));
    CHECK_EQUAL(tsr_model_find(m, "conv.weight"), 0); /* one net */
    CHECK(right > 0.9);
    tsr_close(ctx);
}

/* ---- the heart of Gatys ------------------------------------------------------------------------------------------ */

typedef struct painting {
    tsr_context *ctx;
    tsr_model *m; /* the image */
    tsr_model *net;
    tsr_tensor *content, *style; /* features and Gram matrix to reach */
} painting;

static tsr_tensor *features(tsr_model *net, tsr_tensor *x)
{
    return tsr_nn_conv(net, "conv", x, 6, &(tsr_conv_options){.kernel = {3, 3}, .padding = {1, 1}, .activation = TSR_RELU});
}

static double paint(void *user)
{
    painting *p = user;
    tsr_tensor *f = features(p->net, tsr_model_tensor(p->m, 0));
    tsr_tensor *content = tsr_mse_loss(f, p->content, NULL);
    tsr_tensor *style = tsr_mse_loss(tsr_gram(f, NULL), p->style, NULL);
    tsr_tensor *loss = tsr_add(tsr_mul_scalar(content, 0.1), tsr_mul_scalar(style, 100));
    tsr_backward_releasing(loss);
    return tsr_item(loss);
}

TEST(program_gatys_moves_the_image_and_nothing_else)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = 4});
    painting p = {.ctx = ctx, .m = tsr_model_new(ctx), .net = tsr_model_new(ctx)};
    tsr_freeze(p.net, "", true);
    tsr_tensor *photo = tsr_uniform(ctx, TSR_SHAPE(1, 8, 8, 3), 0, 1, 1), *art = tsr_uniform(ctx, TSR_SHAPE(1, 8, 8, 3), 0, 1, 2);
    p.content = features(p.net, photo);
    p.style = tsr_gram(features(p.net, art), NULL);
    tsr_tensor *image = tsr_parameter(p.m, "image", photo);
    tsr_optimizer *opt = tsr_lbfgs(p.m, &(tsr_lbfgs_options){.history = 10});
    const double first = tsr_step_closure(opt, paint, &p), second = tsr_step_closure(opt, paint, &p);
    CHECK(!tsr_error(ctx));
    CHECK(second < 0.5 * first);
    CHECK(tsr_grad(tsr_model_tensor(p.net, 0)) == NULL);
    CHECK(memcmp(tsr_data(image), tsr_data(photo), 192 * sizeof(tsr_real)) != 0);
    tsr_close(ctx);
}

/* ---- what holds for every program -------------------------------------------------------------------------------- */

/* A small training run; its model's bytes. */
static void train(int threads, const char *path)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = 5, .threads = threads});
    tsr_model *m = tsr_model_new(ctx);
    tsr_optimizer *opt = tsr_sgd(m, &(tsr_sgd_options){.lr = 0.05, .momentum = 0.9});
    for (int step = 0; step < 4; step++)
        TSR_SCOPE(ctx) {
            tsr_tensor *x = tsr_normal(ctx, TSR_SHAPE(24, 20, 20, 3), 0, 1, (uint64_t)step);
            tsr_tensor *labels = tsr_reshape(tsr_expand(tsr_reshape(tsr_arange(ctx, 0, 8, 1), TSR_SHAPE(8, 1)), TSR_SHAPE(8, 3)), TSR_SHAPE(-1));
            tsr_tensor *e = tsr_l2_normalize(tsr_nn_dropout(m, embed(m, x), 0.1), 1);
            tsr_tensor *loss = tsr_triplet_loss(e, labels, &(tsr_triplet_options){.margin = 0.5, .mining = TSR_BATCH_ALL});
            tsr_backward(loss);
            tsr_clip_norm(m, 1);
            tsr_step(opt);
        }
    test_check(tsr_model_save(m, path, NULL), tsr_error(ctx) ? tsr_error(ctx) : "saved", __FILE__, __LINE__);
    tsr_close(ctx);
}

static bool same_files(const char *a, const char *b)
{
    FILE *x = fopen(a, "rb"), *y = fopen(b, "rb");
    bool same = x && y;
    for (int c = 0; same && c != EOF;) {
        c = getc(x);
        same = c == getc(y);
    }
    if (x) fclose(x);
    if (y) fclose(y);
    return same;
}

TEST(program_trains_to_the_same_bytes_with_1_2_and_8_threads)
{
    const char *one = test_path("one"), *two = test_path("two"), *eight = test_path("eight"), *again = test_path("again");
    train(1, one);
    train(2, two);
    train(8, eight);
    train(1, again);
    CHECK(!test_failed());
    CHECK(same_files(one, two));
    CHECK(same_files(one, eight));
    CHECK(same_files(one, again));
}

TEST(program_allocates_nothing_from_the_system_after_its_first_step)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.threads = 2});
    tsr_model *m = tsr_model_new(ctx);
    tsr_optimizer *opt = tsr_adam(m, NULL);
    int64_t calls = 0;
    for (int step = 0; step < 8; step++) {
        TSR_SCOPE(ctx) { /* the number of triplets differs from step to step */
            tsr_tensor *labels, *images = crowd(ctx, 4, (uint64_t)step, &labels);
            tsr_tensor *e = tsr_l2_normalize(embed(m, images), 1);
            tsr_tensor *loss = tsr_triplet_loss(e, labels, &(tsr_triplet_options){.margin = 0.2});
            if (tsr_needs_grad(loss)) tsr_backward(loss);
            tsr_step(opt);
        }
        if (step == 0) calls = tsr_statistics_of(ctx).system_calls;
    }
    CHECK(!tsr_error(ctx));
    CHECK_EQUAL(tsr_statistics_of(ctx).system_calls, calls);
    tsr_close(ctx);
}
