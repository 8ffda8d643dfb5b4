/* Edges of the losses: ends of the number range, empty batches, messages, threads. */
#include "core/core_internal.h"
#include "ops/ops.h"
#include "tests/test.h"

#include <math.h>
#include <string.h>

#define VECTOR(...)                                                                                                    \
    tsr_values(ctx, TSR_SHAPE(sizeof((tsr_real[]){__VA_ARGS__}) / sizeof(tsr_real)), (tsr_real[]){__VA_ARGS__})

static const double huge = sizeof(tsr_real) == 8 ? 1e300 : 1e37;

static double gradient_at(tsr_tensor *loss, tsr_tensor *x, int64_t i)
{
    tsr_zero_grad(x);
    return tsr_backward(loss) && tsr_grad(x) ? (double)tsr_data(tsr_grad(x))[i] : NAN;
}

/* ---- ends of the number range ------------------------------------------------------------------------------------ */

TEST(bce_with_logits_is_exact_and_finite_for_any_logit)
{
    tsr_context *ctx = tsr_open(NULL);
    const double logits[] = {-huge, -800, -30, 30, 800, huge};
    for (int i = 0; i < 6; i++)
        for (int t = 0; t < 2; t++) {
            tsr_tensor *z = tsr_watch(VECTOR((tsr_real)logits[i]));
            tsr_tensor *loss = tsr_bce_with_logits(z, VECTOR((tsr_real)t));
            const double right = t == 1 ? -logits[i] : logits[i]; /* how far the logit is on the wrong side */
            CHECK(isfinite(tsr_item(loss)));
            if (right > 0) CHECK_NEAR(tsr_item(loss) / right, 1, 1e-6);
            else CHECK_NEAR(tsr_item(loss) / exp(-30), right == -30 ? 1 : 0, 1e-5);
            CHECK_NEAR(gradient_at(loss, z, 0), (logits[i] > 0 ? 1 : 0) - t, 1e-6);
        }
    CHECK(tsr_close(ctx) == 0);
}

TEST(cross_entropy_is_finite_for_huge_logits)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *z = tsr_watch(tsr_values(ctx, TSR_SHAPE(1, 3), (tsr_real[]){(tsr_real)huge, 0, (tsr_real)-huge}));
    tsr_tensor *right = tsr_cross_entropy(z, VECTOR(0), NULL), *wrong = tsr_cross_entropy(z, VECTOR(1), NULL);
    CHECK_EQUAL(tsr_item(right), 0);
    CHECK_NEAR(tsr_item(wrong) / huge, 1, 1e-6);
    CHECK_EQUAL(gradient_at(wrong, z, 0), 1);
    CHECK_EQUAL((double)tsr_data(tsr_grad(z))[1], -1);
    CHECK_EQUAL((double)tsr_data(tsr_grad(z))[2], 0);
    CHECK(tsr_close(ctx) == 0);
}

/* Masked classes have a logit of -infinity; where nothing is wanted of them they do not count. */
TEST(cross_entropy_accepts_masked_classes)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *z = tsr_watch(tsr_values(ctx, TSR_SHAPE(1, 3), (tsr_real[]){1, -INFINITY, 1}));
    tsr_tensor *shares = tsr_values(ctx, TSR_SHAPE(1, 3), (tsr_real[]){0.5, 0, 0.5});
    CHECK_NEAR(tsr_item(tsr_cross_entropy(z, VECTOR(2), NULL)), log(2), 1e-6);
    CHECK_NEAR(tsr_item(tsr_cross_entropy(z, shares, NULL)), log(2), 1e-6);
    CHECK_EQUAL(gradient_at(tsr_cross_entropy(z, shares, NULL), z, 1), 0);
    CHECK(tsr_close(ctx) == 0);
}

TEST(contrastive_loss_has_no_gradient_between_equal_rows)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *a = tsr_watch(tsr_full(ctx, TSR_SHAPE(2, 3), 1)), *b = tsr_full(ctx, TSR_SHAPE(2, 3), 1);
    tsr_tensor *loss = tsr_contrastive_loss(a, b, VECTOR(0, 1), 2);
    CHECK_NEAR(tsr_item(loss), 2, 1e-6);
    for (int64_t i = 0; i < 6; i++) CHECK_EQUAL(gradient_at(tsr_contrastive_loss(a, b, VECTOR(0, 1), 2), a, i), 0);
    CHECK(tsr_close(ctx) == 0);
}

TEST(losses_let_nan_through)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = VECTOR(1, NAN), *t = VECTOR(0, 1);
    CHECK(isnan(tsr_item(tsr_mse_loss(x, t, NULL))));
    CHECK(isnan(tsr_item(tsr_l1_loss(x, t, NULL))));
    CHECK(isnan(tsr_item(tsr_huber_loss(x, t, NULL))));
    CHECK(isnan(tsr_item(tsr_bce_with_logits(x, t))));
    CHECK(isnan(tsr_item(tsr_cross_entropy(x, t, NULL))));
    CHECK(isnan(tsr_item(tsr_contrastive_loss(tsr_reshape(x, TSR_SHAPE(2, 1)), tsr_zeros(ctx, TSR_SHAPE(2, 1)), t, 1))));
    CHECK(isnan(tsr_item(tsr_total_variation(tsr_reshape(x, TSR_SHAPE(1, 2, 1, 1))))));
    CHECK(tsr_close(ctx) == 0);
}

/* ---- nothing to add up ------------------------------------------------------------------------------------------- */

TEST(cross_entropy_of_no_rows_that_count_is_0_with_gradient_0)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *z = tsr_watch(tsr_zeros(ctx, TSR_SHAPE(2, 3)));
    tsr_tensor *loss = tsr_cross_entropy(z, VECTOR(-100, -100), &(tsr_loss_options){.has_ignored = true, .ignored = -100});
    CHECK_EQUAL(tsr_item(loss), 0);
    CHECK_EQUAL(gradient_at(loss, z, 4), 0);
    CHECK_EQUAL(tsr_item(tsr_cross_entropy(tsr_zeros(ctx, TSR_SHAPE(0, 3)), tsr_zeros(ctx, TSR_SHAPE(0)), NULL)), 0);
    CHECK(tsr_close(ctx) == 0);
}

TEST(losses_of_nothing_have_a_sum_of_0)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *none = tsr_watch(tsr_zeros(ctx, TSR_SHAPE(0, 3)));
    tsr_tensor *loss = tsr_mse_loss(none, none, &(tsr_loss_options){.reduction = TSR_REDUCE_SUM});
    CHECK_EQUAL(tsr_item(loss), 0);
    CHECK(tsr_backward(loss));
    CHECK_EQUAL(tsr_item(tsr_total_variation(tsr_zeros(ctx, TSR_SHAPE(2, 0, 4, 3)))), 0);
    CHECK(tsr_close(ctx) == 0);
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

#define REJECTS(call, part)                                                                                            \
    do {                                                                                                               \
        CHECK(tsr_is_error(call));                                                                                     \
        CHECK_CONTAINS(tsr_error(ctx), part);                                                                          \
        tsr_clear_error(ctx);                                                                                          \
    } while (0)

TEST(losses_say_what_is_wrong)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_zeros(ctx, TSR_SHAPE(2, 3)), *v = tsr_zeros(ctx, TSR_SHAPE(2)), *none = tsr_zeros(ctx, TSR_SHAPE(0, 3));
    REJECTS(tsr_mse_loss(x, v, NULL), "mse_loss: input [2, 3] and target [2] differ in shape");
    REJECTS(tsr_l1_loss(x, v, NULL), "l1_loss: input [2, 3] and target [2] differ in shape");
    REJECTS(tsr_bce_with_logits(x, v), "bce_with_logits: input [2, 3] and target [2] differ in shape");
    REJECTS(tsr_huber_loss(x, x, &(tsr_loss_options){.delta = -1}), "huber_loss: delta is -1, needs to be above 0");
    REJECTS(tsr_mse_loss(none, none, NULL), "no values to take the mean of in [0, 3]");
    REJECTS(tsr_contrastive_loss(x, v, v, 1), "contrastive_loss: a [2, 3] and b [2] are not both [N, D]");
    REJECTS(tsr_contrastive_loss(x, x, x, 1), "same [2, 3] does not fit pairs [2, 3]: expected [2]");
    REJECTS(tsr_contrastive_loss(x, x, VECTOR(0, 0.5), 1), "same of pair 1 is 0.5, expected 0 or 1");
    REJECTS(tsr_contrastive_loss(x, x, v, 0), "margin is 0, needs to be finite and above 0");
    REJECTS(tsr_contrastive_loss(none, none, tsr_zeros(ctx, TSR_SHAPE(0)), 1), "no pairs");
    REJECTS(tsr_total_variation(x), "total_variation: input [2, 3] is not [N, H, W, C]");
    CHECK(tsr_close(ctx) == 0);
}

TEST(cross_entropy_names_the_row_and_the_target_that_is_wrong)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *z = tsr_zeros(ctx, TSR_SHAPE(2, 3));
    REJECTS(tsr_cross_entropy(z, VECTOR(0, 3), NULL),
            "cross_entropy: the target of row 1 is 3, expected a whole number from 0 to 2");
    REJECTS(tsr_cross_entropy(z, VECTOR(-1, 0), NULL), "the target of row 0 is -1");
    REJECTS(tsr_cross_entropy(z, VECTOR(0, 1.5), NULL), "the target of row 1 is 1.5");
    REJECTS(tsr_cross_entropy(z, VECTOR(0, NAN), NULL), "the target of row 1 is");
    REJECTS(tsr_cross_entropy(z, VECTOR(0, 1, 2), NULL),
            "target [3] fits logits [2, 3] neither as indices [2] nor as probabilities");
    REJECTS(tsr_cross_entropy(z, VECTOR(0, 1), &(tsr_loss_options){.smoothing = 1.5}), "smoothing is 1.5, needs to be in [0, 1]");
    REJECTS(tsr_cross_entropy(tsr_full(ctx, TSR_SCALAR, 0), tsr_full(ctx, TSR_SCALAR, 0), NULL), "are not [..., K]");
    CHECK(tsr_close(ctx) == 0);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

enum { ROWS = 300, CLASSES = 331, LOSSES = 7 };

static void run_all(int threads, tsr_real *out)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.threads = threads});
    const tsr_shape shape = TSR_SHAPE(ROWS, CLASSES);
    tsr_tensor *x = tsr_watch(tsr_normal(ctx, shape, 0, 1, 1)), *t = tsr_uniform(ctx, shape, 0, 1, 2);
    tsr_tensor *same = tsr_zeros(ctx, TSR_SHAPE(ROWS));
    tsr_real *values = tsr_write(same);
    for (int i = 0; i < ROWS; i++) values[i] = (tsr_real)(i % 2);
    for (int i = 0; i < LOSSES; i++) {
        tsr_tensor *loss = i == 0   ? tsr_mse_loss(x, t, NULL)
                           : i == 1 ? tsr_l1_loss(x, t, NULL)
                           : i == 2 ? tsr_huber_loss(x, t, NULL)
                           : i == 3 ? tsr_cross_entropy(x, t, NULL)
                           : i == 4 ? tsr_bce_with_logits(x, t)
                           : i == 5 ? tsr_contrastive_loss(x, t, same, 30)
                                    : tsr_total_variation(tsr_reshape(x, TSR_SHAPE(1, ROWS, CLASSES, 1)));
        tsr_zero_grad(x);
        tsr_backward(loss);
        *out++ = (tsr_real)tsr_item(loss);
        tsr_copy_out(tsr_grad(x), out, ROWS * CLASSES);
        out += ROWS * CLASSES;
    }
    test_check(!tsr_error(ctx), "no error", __FILE__, __LINE__);
    tsr_close(ctx);
}

TEST(losses_have_the_same_bits_for_one_thread_and_three)
{
    static tsr_real one[LOSSES * (ROWS * CLASSES + 1)], three[LOSSES * (ROWS * CLASSES + 1)];
    run_all(1, one);
    run_all(3, three);
    CHECK(memcmp(one, three, sizeof one) == 0);
}
