/* Edges of the triplet losses: ties, draws, empty batches, messages, threads. */
#include "core/core_internal.h"
#include "ops/ops.h"
#include "tests/test.h"

#include <math.h>
#include <string.h>

#define VECTOR(...)                                                                                                    \
    tsr_values(ctx, TSR_SHAPE(sizeof((tsr_real[]){__VA_ARGS__}) / sizeof(tsr_real)), (tsr_real[]){__VA_ARGS__})

/* Embeddings of one dimension. */
#define LINE(...) tsr_reshape(VECTOR(__VA_ARGS__), TSR_SHAPE(-1, 1))

static tsr_triplet_report report;

static double loss_of(tsr_tensor *e, tsr_tensor *labels, tsr_mining mining, double margin)
{
    return tsr_item(tsr_triplet_loss(e, labels, &(tsr_triplet_options){.margin = margin, .mining = mining, .report = &report,
                                                                       .reduction = TSR_REDUCE_SUM}));
}

/* ---- mining ------------------------------------------------------------------------------------------------------ */

TEST(semi_hard_leaves_out_pairs_whose_negatives_are_nearer_or_beyond_the_margin)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *labels = VECTOR(0, 0, 1, 2);
    /* pair (0, 1): negatives at 1.21 (semi-hard) and 9; pair (1, 0): at 4.41 and 4, both beyond the margin */
    CHECK_NEAR(loss_of(LINE(0, 1, (tsr_real)-1.1, 3), labels, TSR_SEMI_HARD, 0.5), 1 + 0.5 - 1.21, 1e-6);
    CHECK_EQUAL(report.triplets, 1);
    CHECK_EQUAL(report.active, 1);
    CHECK_NEAR(report.positive, 1, 1e-6);
    CHECK_NEAR(report.negative, (1.21 + 9 + 4.41 + 4 + 4.1 * 4.1) / 5, 1e-5);
    CHECK_EQUAL(loss_of(LINE(0, 1, (tsr_real)0.5, 9), labels, TSR_SEMI_HARD, 0.5), 0); /* nearer; beyond */
    CHECK_EQUAL(report.triplets, 0);
    CHECK(tsr_close(ctx) == 0);
}

TEST(semi_hard_does_not_take_a_negative_exactly_at_the_positive_or_at_the_margin)
{
    tsr_context *ctx = tsr_open(NULL);
    CHECK_EQUAL(loss_of(LINE(0, 1, -1, 9), VECTOR(0, 0, 1, 1), TSR_SEMI_HARD, 1), 0); /* both at distance 1; next beyond */
    CHECK_EQUAL(report.triplets, 0);
    CHECK_EQUAL(loss_of(LINE(0, 1, -2, 9), VECTOR(0, 0, 1, 1), TSR_SEMI_HARD, 3), 0); /* 1 + 3 = 4 */
    CHECK_EQUAL(report.triplets, 0);
    CHECK(tsr_close(ctx) == 0);
}

/* Of two negatives at the same distance only the first feels a push. */
TEST(mining_ties_go_to_the_lowest_index)
{
    tsr_context *ctx = tsr_open(NULL);
    for (int kind = TSR_SEMI_HARD; kind <= TSR_HARDEST; kind++) {
        tsr_tensor *e = tsr_watch(tsr_values(ctx, TSR_SHAPE(4, 2), (tsr_real[]){0, 0, 1, 0, 0, 2, 0, -2}));
        tsr_triplet_options options = {.margin = 5, .mining = (tsr_mining)kind};
        tsr_tensor *loss = tsr_triplet_loss(e, VECTOR(0, 0, 1, 2), &options);
        CHECK(tsr_backward(loss));
        CHECK(tsr_data(tsr_grad(e))[5] != 0);
        CHECK_EQUAL(tsr_data(tsr_grad(e))[7], 0);
        tsr_tensor *far = tsr_watch(tsr_values(ctx, TSR_SHAPE(4, 2), (tsr_real[]){0, 0, 3, 0, -3, 0, 0, 2}));
        tsr_backward(tsr_triplet_loss(far, VECTOR(0, 0, 0, 1), &(tsr_triplet_options){.margin = 1, .mining = TSR_HARDEST}));
        CHECK(tsr_data(tsr_grad(far))[2] > -tsr_data(tsr_grad(far))[4]); /* anchor 0 chose row 1 */
    }
    CHECK(tsr_close(ctx) == 0);
}

/* The same search, one comparison after the other, for points on a grid: many distances are equal, all are exact. */
enum { POINTS = 150 };

static double squared(const tsr_real *x, int i, int j)
{
    const double a = (double)(x[2 * i] - x[2 * j]), b = (double)(x[2 * i + 1] - x[2 * j + 1]);
    return a * a + b * b;
}

static int search_negative(const tsr_real *x, const tsr_real *labels, int anchor, double above, double below)
{
    int best = -1;
    for (int i = 0; i < POINTS; i++) {
        const double d = squared(x, anchor, i);
        if (labels[i] != labels[anchor] && d > above && d < below && (best < 0 || d < squared(x, anchor, best))) best = i;
    }
    return best;
}

static int64_t search_triplets(const tsr_real *x, const tsr_real *labels, tsr_mining mining, double margin, tsr_real *out)
{
    int64_t count = 0;
    for (int a = 0; a < POINTS; a++) {
        int farthest = -1;
        for (int p = 0; p < POINTS; p++) {
            if (p == a || labels[p] != labels[a]) continue;
            if (farthest < 0 || squared(x, a, p) > squared(x, a, farthest)) farthest = p;
            const int n = search_negative(x, labels, a, squared(x, a, p), squared(x, a, p) + margin);
            if (mining != TSR_SEMI_HARD || n < 0) continue;
            memcpy(out + 3 * count++, (tsr_real[]){(tsr_real)a, (tsr_real)p, (tsr_real)n}, 3 * sizeof *out);
        }
        const int n = search_negative(x, labels, a, -1, INFINITY);
        if (mining != TSR_HARDEST || farthest < 0 || n < 0) continue;
        memcpy(out + 3 * count++, (tsr_real[]){(tsr_real)a, (tsr_real)farthest, (tsr_real)n}, 3 * sizeof *out);
    }
    return count;
}

TEST(mining_finds_what_a_plain_search_finds_among_many_equal_distances)
{
    static tsr_real found[3 * POINTS * POINTS];
    tsr_context *ctx = tsr_open(NULL);
    for (int kind = TSR_SEMI_HARD; kind <= TSR_HARDEST; kind++) {
        tsr_tensor *e = tsr_watch(tsr_uniform(ctx, TSR_SHAPE(POINTS, 2), 0, 40, 9));
        tsr_tensor *labels = tsr_uniform(ctx, TSR_SHAPE(POINTS), 0, 12, 10);
        tsr_real *x = tsr_write(e), *y = tsr_write(labels);
        for (int i = 0; i < 2 * POINTS; i++) x[i] = (tsr_real)floor((double)x[i]);
        for (int i = 0; i < POINTS; i++) y[i] = (tsr_real)floor((double)y[i]);
        tsr_triplet_options options = {.margin = 30, .mining = (tsr_mining)kind, .report = &report};
        tsr_tensor *mined = tsr_triplet_loss(e, labels, &options);
        const int64_t count = search_triplets(x, y, options.mining, 30, found);
        CHECK(count > 100);
        CHECK_EQUAL(report.triplets, count);
        CHECK(tsr_backward(mined));
        tsr_tensor *gradient = tsr_grad(e);
        tsr_zero_grad(e);
        tsr_tensor *given = tsr_triplet_loss_of(e, tsr_values(ctx, TSR_SHAPE(count, 3), found), &options);
        CHECK(tsr_backward(given));
        CHECK_NEAR(tsr_item(mined), tsr_item(given), 1e-6);
        for (int i = 0; i < 2 * POINTS; i++) CHECK_NEAR(tsr_data(gradient)[i], tsr_data(tsr_grad(e))[i], 1e-4);
    }
    CHECK(tsr_close(ctx) == 0);
}

TEST(hardest_skips_anchors_that_have_no_positive_or_no_negative)
{
    tsr_context *ctx = tsr_open(NULL);
    CHECK_NEAR(loss_of(LINE(0, 1, 3, 7), VECTOR(0, 0, 1, 2), TSR_HARDEST, 10), (1 + 10 - 9) + (1 + 10 - 4), 1e-6);
    CHECK_EQUAL(report.triplets, 2);
    CHECK_EQUAL(loss_of(LINE(0, 1, 3), VECTOR(5, 5, 5), TSR_HARDEST, 10), 0);
    CHECK_EQUAL(report.triplets, 0);
    CHECK_EQUAL(report.negative, 0);
    CHECK(tsr_close(ctx) == 0);
}

TEST(batch_all_counts_triplets_without_a_loss_in_its_mean)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *loss = tsr_triplet_loss(LINE(0, 1, 3), VECTOR(0, 0, 1),
                                        &(tsr_triplet_options){.margin = 4, .mining = TSR_BATCH_ALL, .report = &report});
    CHECK_NEAR(tsr_item(loss), (0 + (1 + 4 - 4)) / 2.0, 1e-6);
    CHECK_EQUAL(report.triplets, 2);
    CHECK_EQUAL(report.active, 1);
    CHECK_EQUAL(loss_of(LINE(0, 1, 3), VECTOR(0, 0, 1), TSR_BATCH_ALL, 8), 0 + (1 + 8 - 4)); /* 1 + 8 - 9 is a loss of 0 */
    CHECK_EQUAL(report.active, 1);
    CHECK(tsr_close(ctx) == 0);
}

/* Two positives in one place and three negatives: two draws from three are the same in a third of all cases. */
TEST(random_violator_draws_anew_for_every_pair)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = 12});
    int same = 0;
    for (int i = 0; i < 600; i++)
        TSR_SCOPE(ctx) {
            tsr_tensor *e = tsr_watch(LINE(0, 0.5, 0.5, -1, -1.0625, -1.125));
            tsr_backward(tsr_triplet_loss(e, VECTOR(0, 0, 0, 1, 2, 3),
                                          &(tsr_triplet_options){.margin = 1.125, .mining = TSR_RANDOM_VIOLATOR,
                                                                 .report = &report}));
            int pushed = 0; /* by anchor 0: the other two have no negative inside the margin */
            for (int k = 3; k < 6; k++) pushed += tsr_data(tsr_grad(e))[k] != 0;
            same += pushed == 1;
        }
    CHECK_EQUAL(report.triplets, 2);
    CHECK(same > 150 && same < 250);
    CHECK(tsr_close(ctx) == 0);
}

/* Over many draws each of the three negatives inside the margin comes up about as often, the one outside never. */
TEST(random_violator_draws_evenly_from_negatives_inside_the_margin)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = 11});
    int drawn[6] = {0};
    for (int i = 0; i < 600; i++)
        TSR_SCOPE(ctx) {
            tsr_tensor *e = tsr_watch(tsr_values(ctx, TSR_SHAPE(6, 1), (tsr_real[]){0, 0.5, -1, -1.125, -1.25, -9}));
            tsr_backward(tsr_triplet_loss(e, VECTOR(0, 0, 1, 2, 3, 4),
                                          &(tsr_triplet_options){.margin = 2, .mining = TSR_RANDOM_VIOLATOR}));
            for (int k = 2; k < 6; k++) drawn[k] += tsr_data(tsr_grad(e))[k] != 0;
        }
    for (int k = 2; k < 5; k++) CHECK(drawn[k] > 150 && drawn[k] < 250);
    CHECK_EQUAL(drawn[5], 0);
    CHECK(tsr_close(ctx) == 0);
}

TEST(random_violator_draws_depend_on_seed_step_and_call_alone)
{
    double losses[2][4];
    for (int run = 0; run < 2; run++) {
        tsr_context *ctx = tsr_open(&(tsr_options){.seed = 3});
        tsr_tensor *e = tsr_normal(ctx, TSR_SHAPE(40, 4), 0, 1, 1), *labels = tsr_zeros(ctx, TSR_SHAPE(40));
        tsr_real *values = tsr_write(labels);
        for (int i = 0; i < 40; i++) values[i] = (tsr_real)(i / 4);
        for (int i = 0; i < 4; i++) {
            if (i == 2) tsr_set_step_count(ctx, 5);
            if (i == 3) tsr_set_step_count(ctx, 0);
            losses[run][i] = loss_of(e, labels, TSR_RANDOM_VIOLATOR, 1);
        }
        CHECK(tsr_close(ctx) == 0);
    }
    CHECK(memcmp(losses[0], losses[1], sizeof losses[0]) == 0);
    CHECK(losses[0][0] != losses[0][1] && losses[0][0] != losses[0][2]);
    CHECK_EQUAL(losses[0][0], losses[0][3]);
}

/* ---- edges ------------------------------------------------------------------------------------------------------- */

TEST(triplet_losses_of_nothing_are_0_with_gradient_0)
{
    tsr_context *ctx = tsr_open(NULL);
    for (int kind = TSR_SEMI_HARD; kind <= TSR_RANDOM_VIOLATOR; kind++) {
        tsr_tensor *e = tsr_watch(tsr_zeros(ctx, TSR_SHAPE(2, 3))), *none = tsr_watch(tsr_zeros(ctx, TSR_SHAPE(0, 3)));
        tsr_triplet_options options = {.margin = 1, .mining = (tsr_mining)kind};
        tsr_tensor *loss = tsr_triplet_loss(e, VECTOR(0, 1), &options);
        CHECK_EQUAL(tsr_item(loss), 0);
        CHECK(tsr_backward(loss));
        CHECK_EQUAL(tsr_data(tsr_grad(e))[3], 0);
        loss = tsr_triplet_loss(none, tsr_zeros(ctx, TSR_SHAPE(0)), &options);
        CHECK_EQUAL(tsr_item(loss), 0);
        CHECK(tsr_backward(loss));
        CHECK_EQUAL(tsr_item(tsr_triplet_loss_of(e, none, &options)), 0);
    }
    CHECK(tsr_close(ctx) == 0);
}

/* A collapsed embedding: no direction to push in, but nothing breaks, and the report says what has happened. */
TEST(triplet_loss_of_equal_embeddings_is_the_margin)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *e = tsr_watch(tsr_full(ctx, TSR_SHAPE(4, 3), 0.5));
    tsr_tensor *loss = tsr_triplet_loss(e, VECTOR(0, 0, 1, 1),
                                        &(tsr_triplet_options){.margin = 0.25, .mining = TSR_BATCH_ALL, .report = &report});
    CHECK_EQUAL(tsr_item(loss), 0.25);
    CHECK(tsr_backward(loss));
    for (int64_t i = 0; i < 12; i++) CHECK_EQUAL(tsr_data(tsr_grad(e))[i], 0);
    CHECK_EQUAL(report.positive, 0);
    CHECK_EQUAL(report.negative, 0);
    CHECK(tsr_close(ctx) == 0);
}

/* ... and distances beyond the number range; none is taken for a batch without triplets. */
TEST(triplet_losses_let_nan_through)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *triplet = tsr_values(ctx, TSR_SHAPE(1, 3), (tsr_real[]){0, 1, 2}), *labels = VECTOR(0, 0, 1, 1);
    const double bad[] = {NAN, sizeof(tsr_real) == 8 ? 1e200 : 1e30};
    for (int i = 0; i < 2; i++)
        for (int kind = TSR_SEMI_HARD; kind <= TSR_RANDOM_VIOLATOR + 1; kind++) {
            const tsr_triplet_options options = {.margin = 1, .mining = (tsr_mining)kind};
            tsr_tensor *e = tsr_watch(LINE(0, 1, (tsr_real)bad[i], 3));
            tsr_tensor *loss = kind <= TSR_RANDOM_VIOLATOR ? tsr_triplet_loss(e, labels, &options)
                                                           : tsr_triplet_loss_of(e, triplet, &options);
            CHECK(!isfinite(tsr_item(loss)));
            CHECK(tsr_backward(loss));
            for (int k = 0; k < 4; k++) CHECK(!isfinite(tsr_data(tsr_grad(e))[k]));
        }
    CHECK(tsr_close(ctx) == 0);
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

#define REJECTS(call, part)                                                                                            \
    do {                                                                                                               \
        CHECK(tsr_is_error(call));                                                                                     \
        CHECK_CONTAINS(tsr_error(ctx), part);                                                                          \
        tsr_clear_error(ctx);                                                                                          \
    } while (0)

TEST(triplet_losses_say_what_is_wrong)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *e = tsr_zeros(ctx, TSR_SHAPE(4, 2)), *labels = VECTOR(0, 0, 1, 1);
    const tsr_triplet_options fine = {.margin = 1};
    REJECTS(tsr_triplet_loss(e, labels, NULL), "triplet_loss: margin is 0, needs to be finite and above 0");
    REJECTS(tsr_triplet_loss(e, labels, &(tsr_triplet_options){.margin = NAN}), "margin is");
    REJECTS(tsr_triplet_loss(labels, labels, &fine), "embeddings [4] are not [N, D]");
    REJECTS(tsr_triplet_loss(e, VECTOR(0, 1), &fine), "labels [2] do not fit embeddings [4, 2]: expected [4]");
    REJECTS(tsr_triplet_loss(e, VECTOR(0, 0, NAN, 1), &fine), "label 2 is NaN");
    REJECTS(tsr_triplet_loss(e, labels, &(tsr_triplet_options){.margin = 1, .mining = (tsr_mining)7}), "there is no mining 7");
    REJECTS(tsr_triplet_loss_of(e, labels, &fine), "triplet_loss_of: triplets [4] are not [T, 3]");
    REJECTS(tsr_triplet_loss_of(e, tsr_values(ctx, TSR_SHAPE(1, 3), (tsr_real[]){0, 4, 1}), &fine),
            "index 1 of [1, 3] is 4, expected a whole number from 0 to 3");
    REJECTS(tsr_triplet_loss_of(e, tsr_values(ctx, TSR_SHAPE(1, 3), (tsr_real[]){0, 0.5, 1}), &fine), "is 0.5, expected");
    CHECK(tsr_close(ctx) == 0);
}

/* ---- threads, memory --------------------------------------------------------------------------------------------- */

enum { ROWS = 210, WIDTH = 70, VALUES = ROWS * WIDTH + 5 };

static void run_all(int threads, tsr_real *out)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = 2, .threads = threads});
    tsr_tensor *e = tsr_watch(tsr_normal(ctx, TSR_SHAPE(ROWS, WIDTH), 0, 1, 1)), *labels = tsr_zeros(ctx, TSR_SHAPE(ROWS));
    tsr_tensor *triplets = tsr_zeros(ctx, TSR_SHAPE(ROWS, 3));
    tsr_real *values = tsr_write(labels), *rows = tsr_write(triplets);
    for (int i = 0; i < ROWS; i++) values[i] = (tsr_real)(i % 23);
    for (int i = 0; i < 3 * ROWS; i++) rows[i] = (tsr_real)(i * 37 % ROWS);
    for (int kind = TSR_SEMI_HARD; kind <= TSR_RANDOM_VIOLATOR + 1; kind++) {
        const tsr_triplet_options options = {.margin = 40, .mining = (tsr_mining)kind, .report = &report};
        tsr_tensor *loss = kind <= TSR_RANDOM_VIOLATOR ? tsr_triplet_loss(e, labels, &options)
                                                       : tsr_triplet_loss_of(e, triplets, &options);
        tsr_zero_grad(e);
        tsr_backward(loss);
        tsr_copy_out(tsr_grad(e), out, ROWS * WIDTH);
        const double figures[] = {tsr_item(loss), (double)report.triplets, (double)report.active, report.positive,
                                  report.negative};
        for (int i = 0; i < 5; i++) out[ROWS * WIDTH + i] = (tsr_real)figures[i];
        out += VALUES;
    }
    test_check(!tsr_error(ctx), "no error", __FILE__, __LINE__);
    tsr_close(ctx);
}

TEST(triplet_losses_have_the_same_bits_for_one_thread_and_three)
{
    static tsr_real one[5 * VALUES], three[5 * VALUES];
    run_all(1, one);
    run_all(3, three);
    CHECK(memcmp(one, three, sizeof one) == 0);
}

/* 300 rows of 3 labels have 18 million triplets. */
TEST(batch_all_needs_memory_for_distances_not_for_triplets)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *e = tsr_watch(tsr_normal(ctx, TSR_SHAPE(300, 4), 0, 1, 1)), *labels = tsr_zeros(ctx, TSR_SHAPE(300));
    tsr_real *values = tsr_write(labels);
    for (int i = 0; i < 300; i++) values[i] = (tsr_real)(i % 3);
    tsr_reset_peak(ctx);
    CHECK(tsr_backward(tsr_triplet_loss(e, labels, &(tsr_triplet_options){.margin = 1, .mining = TSR_BATCH_ALL,
                                                                          .report = &report})));
    CHECK_EQUAL(report.triplets, 300 * 99 * 200);
    CHECK(tsr_statistics_of(ctx).peak_bytes < 4 * 300 * 300 * sizeof(tsr_real));
    CHECK(tsr_close(ctx) == 0);
}
