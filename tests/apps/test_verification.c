/* Metrics against brute force: every threshold tried, every pair of pairs compared (NumPy). */
#include "apps/common/verification.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "tests/test.h"

/* Ten pairs with ties within and between the kinds, and three equally good thresholds. */
static const trial small[] = {{0.4, true, 0},  {0.1, true, 0}, {0.9, false, 1}, {0.2, true, 1},
                              {0.2, false, 0}, {0.3, true, 1}, {0.4, false, 1}, {0.5, false, 0},
                              {0.6, true, 1},  {0.7, false, 0}};
enum { SMALL = sizeof small / sizeof *small, MANY = 600 };

/* Whole numbers, so that there are many ties; the same as in the Python that gave the figures below. */
static void make_many(trial *trials)
{
    uint32_t x = 7;
    for (int i = 0; i < MANY; i++) {
        x = x * 1664525u + 1013904223u;
        trials[i] = (trial){.distance = (double)((x >> 16) % 200u), .same = i % 2 == 0, .fold = i / 2 % 10};
        if (!trials[i].same) trials[i].distance += 60;
    }
}

TEST(verification_agrees_with_brute_force)
{
    trial trials[MANY];
    verification v;
    app_error error = {""};
    make_many(trials);
    CHECK(verification_measure(&v, trials, MANY, &error));
    CHECK_EQUAL(v.pairs, MANY);
    CHECK_EQUAL(v.folds, 10);
    CHECK_NEAR(v.accuracy, 0.685, 1e-12);
    CHECK_NEAR(v.std, 0.06307451990882211, 1e-12);
    CHECK_NEAR(v.standard_error, 0.01994591452335138, 1e-12);
    CHECK_NEAR(v.auc, 0.7880222222222222, 1e-12);
    CHECK_NEAR(v.eer, 0.31833333333333336, 1e-12);
    CHECK_NEAR(v.val[0], 0.45666666666666667, 1e-12);
    CHECK_NEAR(v.val[1], 0.31333333333333335, 1e-12);
    CHECK(isnan(v.val[2]) && isnan(v.val[3])); /* one of 300 strangers is more than 1 in 1000 */
    CHECK_EQUAL(v.threshold, 100.5);
}

TEST(verification_takes_the_smallest_of_equal_thresholds_and_counts_ties_half)
{
    verification v;
    app_error error = {""};
    CHECK(verification_measure(&v, small, SMALL, &error));
    CHECK_NEAR(v.threshold, 0.35, 1e-12); /* 0.45 and 0.65 make three mistakes, too */
    CHECK_NEAR(v.accuracy, 0.5, 1e-12);
    CHECK_NEAR(v.std, 0.14142135623730948, 1e-12);
    CHECK_NEAR(v.auc, 0.76, 1e-12);
    CHECK_NEAR(v.eer, 0.3, 1e-12);
    for (int i = 0; i < VAL_LEVELS; i++) CHECK(isnan(v.val[i])); /* there are 5 strangers */
}

TEST(verification_does_not_depend_on_the_order_of_pairs)
{
    trial trials[MANY], reversed[MANY];
    verification a, b;
    app_error error = {""};
    make_many(trials);
    for (int i = 0; i < MANY; i++) reversed[i] = trials[MANY - 1 - i];
    CHECK(verification_measure(&a, trials, MANY, &error));
    CHECK(verification_measure(&b, reversed, MANY, &error));
    CHECK_TEXT(verification_print(&a).text, verification_print(&b).text);
    CHECK_EQUAL(a.accuracy, b.accuracy);
    CHECK_EQUAL(a.eer, b.eer);
}

TEST(verification_knows_perfect_useless_and_inverted_distances)
{
    trial trials[40];
    verification v;
    app_error error = {""};
    for (int i = 0; i < 40; i++) trials[i] = (trial){.distance = i % 2, .same = i % 2 == 0, .fold = i / 4};
    CHECK(verification_measure(&v, trials, 40, &error));
    CHECK_TEXT(verification_print(&v).text, "accuracy=1.0000 std=0.0000 auc=1.0000 eer=0.0000 val_1e-1=1.000 "
                                            "val_1e-2=- val_1e-3=- val_1e-4=- threshold=0.5 pairs=40");
    for (int i = 0; i < 40; i++) trials[i].distance = 3;
    CHECK(verification_measure(&v, trials, 40, &error));
    CHECK_NEAR(v.auc, 0.5, 0);
    CHECK_NEAR(v.eer, 0.5, 0);
    CHECK_NEAR(v.accuracy, 0.5, 0);
    CHECK_EQUAL(v.val[0], 0);
    for (int i = 0; i < 40; i++) trials[i].distance = -(i % 2);
    CHECK(verification_measure(&v, trials, 40, &error));
    CHECK_NEAR(v.auc, 0, 0);
    CHECK_NEAR(v.eer, 1, 0);
    CHECK(v.threshold < -1); /* accepting nobody is best */
}

/* FAR may be as large as the level, whatever the rounding of its decimal fraction. */
TEST(verification_level_of_false_accepts_is_inclusive)
{
    static trial trials[4000];
    verification v;
    app_error error = {""};
    for (int i = 0; i < 4000; i++) trials[i] = (trial){.distance = i, .same = i >= 3000, .fold = i % 10};
    trials[3000].distance = 2.5; /* after 3 of 3000 strangers: FAR 0.001 */
    trials[3001].distance = 3.5; /* after 4 */
    trials[3002].distance = 29.5; /* after 30: 0.01 */
    trials[3003].distance = 30.5;
    CHECK(verification_measure(&v, trials, 4000, &error));
    CHECK_NEAR(v.val[2], 0.001, 1e-15);
    CHECK_NEAR(v.val[1], 0.003, 1e-15);
    CHECK_NEAR(v.val[0], 0.004, 1e-15);
}

/* With 10000 strangers FAR 1e-4 is one of them, with 9999 it is none and no figure. */
TEST(verification_has_no_figure_for_a_level_that_strangers_cannot_resolve)
{
    static trial trials[10010];
    verification v, fewer;
    app_error error = {""};
    for (int i = 0; i < 10010; i++) trials[i] = (trial){.distance = i, .same = i % 1001 == 0, .fold = i % 2};
    CHECK(verification_measure(&v, trials, 10010, &error));
    trials[10009].same = true;
    CHECK(verification_measure(&fewer, trials, 10010, &error));
    CHECK_NEAR(v.val[3], 0.1, 1e-15);
    CHECK_NEAR(v.val[2], 0.1, 1e-15);
    CHECK(isnan(fewer.val[3]));
    CHECK_CONTAINS(verification_print(&v).text, " val_1e-4=0.100 threshold=");
    CHECK_CONTAINS(verification_print(&fewer).text, " val_1e-4=- threshold=");
}

TEST(verification_leaves_out_empty_folds)
{
    trial trials[SMALL];
    verification v, moved;
    app_error error = {""};
    for (int i = 0; i < SMALL; i++) {
        trials[i] = small[i];
        trials[i].fold = small[i].fold ? 999 : 3;
    }
    CHECK(verification_measure(&v, small, SMALL, &error));
    CHECK(verification_measure(&moved, trials, SMALL, &error));
    CHECK_EQUAL(moved.folds, 2);
    CHECK_EQUAL(v.accuracy, moved.accuracy);
}

TEST(verification_refuses_what_cannot_be_measured)
{
    trial trials[SMALL];
    verification v;
    const double broken[] = {NAN, INFINITY, -INFINITY};
    for (int k = 0; k < 3; k++) {
        app_error error = {""};
        for (int i = 0; i < SMALL; i++) trials[i] = small[i];
        trials[6].distance = broken[k];
        CHECK(!verification_measure(&v, trials, SMALL, &error));
        CHECK_TEXT(error.text,
                   k == 0 ? "the distance of pair 7 is NaN" : "the distance of pair 7 is infinite");
        app_error again = {""};
        roc_curve roc;
        CHECK(!roc_make(&roc, trials, SMALL, &again));
    }
    app_error one_kind = {""}, none = {""}, one_fold = {""}, negative = {""};
    for (int i = 0; i < SMALL; i++) trials[i] = (trial){.distance = i, .same = true, .fold = i % 2};
    CHECK(!verification_measure(&v, trials, SMALL, &one_kind));
    CHECK_CONTAINS(one_kind.text, "10 pairs of the same person and 0 of different people");
    CHECK(!verification_measure(&v, trials, 0, &none));
    for (int i = 0; i < SMALL; i++) trials[i] = (trial){.distance = i, .same = i > 5, .fold = 4};
    CHECK(!verification_measure(&v, trials, SMALL, &one_fold));
    CHECK_CONTAINS(one_fold.text, "are in one fold");
    trials[0].fold = -1;
    CHECK(!verification_measure(&v, trials, SMALL, &negative));
    CHECK_CONTAINS(negative.text, "not -1");
}

TEST(roc_has_a_point_for_each_different_distance)
{
    static const double far[] = {0, 0, 0.2, 0.2, 0.4, 0.6, 0.6, 0.8, 1},
                        val[] = {0, 0.2, 0.4, 0.6, 0.8, 0.8, 1, 1, 1};
    roc_curve roc;
    app_error error = {""};
    CHECK(roc_make(&roc, small, SMALL, &error));
    bool equal = roc.count == 9;
    for (int i = 0; equal && i < 9; i++) equal = roc.far[i] == far[i] && roc.val[i] == val[i];
    const double before = roc.threshold[0], first = roc.threshold[1], last = roc.threshold[8];
    roc_free(&roc);
    CHECK(equal);
    CHECK(before < 0.1 && before > 0.0999);
    CHECK_EQUAL(first, 0.1);
    CHECK_EQUAL(last, 0.9);
}
