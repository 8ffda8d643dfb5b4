/* 1:K identification: figures by hand, and against brute force over the same draws. */
#include "apps/common/identification.h"

#include "core/random.h"

#include <math.h>
#include <stdlib.h>

#include "tests/apps/files.h"
#include "tests/test.h"

enum { PEOPLE = 25, PICTURES = 60 };

static double apart(const void *a, const void *b, int length)
{
    (void)length;
    return fabs(*(const double *)a - *(const double *)b);
}

/* Pictures of one number each. */
static features features_at(pictures *set, double *values, int *labels, int count)
{
    *set = (pictures){.count = count, .labels = labels, .size = 1, .channels = 1};
    return (features){.set = set, .length = 1, .row_bytes = sizeof(double), .rows = values, .distance = apart};
}

static bool measure(identification *out, features f, double threshold, bool all_only, app_error *error)
{
    pictures set = *f.set;
    set.ctx = tsr_open(NULL);
    f.set = &set;
    const bool done = identification_measure(out, &f, threshold, all_only, error);
    tsr_close(set.ctx);
    return done;
}

/* Enrolled at 0, 10, 20 and 30. */
TEST(identification_by_hand)
{
    double values[] = {0, 1, 10, 16, 20, 25, 30, 23};
    int labels[] = {0, 0, 1, 1, 2, 2, 3, 3};
    pictures set;
    identification all;
    app_error error = {""};
    CHECK(measure(&all, features_at(&set, values, labels, 8), 6, false, &error));
    const identification_row *one = &all.rows[0], *four = &all.rows[all.count - 1];
    CHECK(all.people == 4 && all.count == 3 && one->gallery == 1 && four->gallery == 4);
    /* 1 is nearest to 0; 16 is nearer to 20 than to 10, 23 to 20 than to 30, 25 as near to 30 as to 20 */
    CHECK(four->probes == 4 && four->strangers == 0 && four->draws == 1);
    CHECK_NEAR(four->rank1, 0.25, 0);
    CHECK(isnan(four->dir) && isnan(four->threshold) && isnan(four->alarms));
    /* Within 6 of somebody else: 16 and 23 of 20, 25 of 30; of 8 x 3 comparisons. */
    CHECK_NEAR(all.far, 3.0 / 24, 1e-15);
    CHECK_NEAR(four->alarms_expected, 1 - pow(21.0 / 24, 4), 1e-15);
    /* These three are all that are nearer than 5, 6 and 7, and none is than 1. */
    CHECK_NEAR(four->rank1_expected, (1 + 3 * pow(21.0 / 24, 3)) / 4, 1e-15);
    CHECK_NEAR(one->rank1, 1, 0);
    CHECK_NEAR(one->rank1_expected, 1, 1e-15);
    CHECK_NEAR(one->alarms, 3.0 / 24, 1e-15); /* everybody was enrolled as often as the others */
    CHECK_NEAR(one->alarms_expected, 3.0 / 24, 1e-15);
    CHECK_EQUAL(one->strangers, 52 * 6);
}

TEST(identification_needs_three_people_with_two_pictures)
{
    double values[] = {0, 1, 2, 3, 4, NAN};
    int labels[] = {5, 5, 0, 0, 2, 2};
    pictures set;
    identification all;
    app_error error = {""}, broken = {""};
    CHECK(measure(&all, features_at(&set, values, labels, 2), 1, false, &error)); /* one person */
    CHECK(all.count == 0 && all.people == 1);
    CHECK(measure(&all, features_at(&set, values, labels, 5), 1, false, &error));
    CHECK(all.count == 0 && all.people == 3);
    CHECK(!measure(&all, features_at(&set, values, labels, 6), 1, false, &broken));
    CHECK_CONTAINS(broken.text, "is not finite");
}

/* ---- brute force ------------------------------------------------------------------------------------------------- */

static void make_crowd(double *values, int *labels, bool ties)
{
    const tsr_rng rng = {3, 4};
    for (int i = 0; i < PICTURES; i++) {
        labels[i] = i < PEOPLE ? i * 7 % PEOPLE : (int)tsr_random_below(rng, (uint64_t)i, PEOPLE / 2);
        values[i] = 12 * tsr_random_uniform(rng, (uint64_t)(1000 + i));
        values[i] = 9 * labels[i] + (ties ? floor(values[i]) : values[i]);
    }
}

static int first_of(const int *labels, int who)
{
    int i = 0;
    while (labels[i] != who) i++;
    return i;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Of one row, all that depends on the draws: rank1, threshold, dir, alarms, and the numbers of pictures. */
static identification_row brute(const double *values, const int *labels, int size, double threshold)
{
    static double strangers[100 * PICTURES], found[100 * PICTURES];
    const int per_order = PEOPLE / size, orders = (50 + per_order - 1) / per_order;
    identification_row row = {.gallery = size, .draws = size == PEOPLE ? 1 : orders * per_order};
    int hits = 0, alarms = 0, named = 0;
    for (int d = 0; d < row.draws; d++) {
        int64_t order[PEOPLE];
        const tsr_rng rng = {1, tsr_substream(tsr_stream("identification"), (uint64_t)(d / per_order))};
        tsr_random_permutation(rng, PEOPLE, order);
        for (int i = 0; i < PICTURES; i++) {
            double own = -1, others = INFINITY;
            for (int m = 0; m < size; m++) { /* people are numbered as their first pictures come */
                const int picture = (int)order[d % per_order * size + m];
                const double distance = fabs(values[i] - values[picture]);
                if (labels[picture] == labels[i]) own = distance;
                else if (distance < others) others = distance;
            }
            if (own < 0) {
                strangers[row.strangers++] = others;
                alarms += others <= threshold;
            } else if (first_of(labels, labels[i]) != i) {
                row.probes++;
                if (own < others) found[hits++] = own;
            }
        }
    }
    row.rank1 = (double)hits / (double)row.probes;
    row.alarms = (double)alarms / (double)row.strangers;
    qsort(strangers, (size_t)row.strangers, sizeof *strangers, by_value);
    row.threshold = row.strangers < 100 ? NAN : strangers[row.strangers / 100];
    for (int i = 0; i < hits; i++) named += found[i] < row.threshold;
    row.dir = row.strangers < 100 ? NAN : (double)named / (double)row.probes;
    return row;
}

static double expected_rank1(const double *values, const int *labels, int size)
{
    double sum = 0;
    int probes = 0;
    for (int i = 0; i < PICTURES; i++) {
        const int first = first_of(labels, labels[i]);
        int nearer = 0, comparisons = 0;
        if (first == i) continue;
        for (int j = 0; j < PICTURES; j++)
            for (int who = 0; who < PEOPLE; who++) {
                if (labels[j] == who) continue;
                comparisons++;
                nearer += fabs(values[j] - values[first_of(labels, who)]) <= fabs(values[i] - values[first]);
            }
        probes++;
        sum += pow(1 - (double)nearer / comparisons, size - 1);
    }
    return sum / probes;
}

static bool alike(double a, double b)
{
    return (isnan(a) && isnan(b)) || fabs(a - b) < 1e-12;
}

/* In how many rows, of all six, the figures are those of brute force; `telling`: in how many they are not all 0 or
 * 1. */
static int rows_alike(bool ties, int *telling)
{
    static const int sizes[] = {1, 2, 5, 10, 20, PEOPLE};
    double values[PICTURES];
    int labels[PICTURES], right = 0;
    pictures set;
    identification all, last;
    app_error error = {""};
    make_crowd(values, labels, ties);
    const features f = features_at(&set, values, labels, PICTURES);
    if (!measure(&all, f, 2, false, &error) || all.people != PEOPLE || all.count != 6) return 0;
    if (!measure(&last, f, 2, true, &error) || last.count != 1 || last.rows[0].gallery != PEOPLE) return 0;
    *telling = 0;
    for (int k = 0; k < 6; k++) {
        const identification_row *r = &all.rows[k], b = brute(values, labels, sizes[k], 2);
        right += r->gallery == b.gallery && r->draws == b.draws && r->probes == b.probes &&
                 r->strangers == b.strangers && alike(r->rank1, b.rank1) && alike(r->threshold, b.threshold) &&
                 alike(r->dir, b.dir) && alike(r->alarms, b.alarms) &&
                 alike(r->rank1_expected, expected_rank1(values, labels, sizes[k])) &&
                 alike(r->alarms_expected, 1 - pow(1 - all.far, sizes[k]));
        *telling += r->dir > 0 && r->dir < r->rank1 && r->rank1 < 1 && r->alarms > 0;
    }
    return last.rows[0].rank1 == all.rows[5].rank1 ? right : 0;
}

TEST(identification_agrees_with_brute_force)
{
    int telling[2];
    CHECK_EQUAL(rows_alike(false, &telling[0]), 6);
    CHECK_EQUAL(rows_alike(true, &telling[1]), 6);
    CHECK(telling[0] > 0 && telling[1] > 0);
}

/* More strangers than are kept before the first sorting: the threshold lets 1 % through, and not one more. */
TEST(identification_threshold_lets_one_percent_of_strangers_in)
{
    enum { CROWD = 400 };
    static double values[CROWD];
    static int labels[CROWD];
    pictures set;
    identification all;
    app_error error = {""};
    for (int i = 0; i < CROWD; i++) {
        labels[i] = i / 2;
        values[i] = 10 * (i / 2) + (i % 2) * (i % 7) + tsr_random_uniform((tsr_rng){1, 1}, (uint64_t)i);
    }
    CHECK(measure(&all, features_at(&set, values, labels, CROWD), 5, false, &error));
    for (int k = 0; k < all.count - 1; k++) {
        identification at;
        const identification_row *r = &all.rows[k];
        CHECK(measure(&at, features_at(&set, values, labels, CROWD), nextafter(r->threshold, 0), false, &error));
        CHECK(at.rows[k].alarms <= 0.01);
        CHECK(measure(&at, features_at(&set, values, labels, CROWD), r->threshold, false, &error));
        CHECK(at.rows[k].alarms > 0.01);
    }
}

TEST(identification_is_written_as_csv_and_curves)
{
    char csv[300], picture[300], text[600];
    double values[] = {0, 1, 10, 16, 20, 25, 30, 23};
    int labels[] = {0, 0, 1, 1, 2, 2, 3, 3};
    pictures set;
    identification all;
    image chart;
    app_error error = {""};
    snprintf(csv, sizeof csv, "%s", test_path("identification.csv"));
    snprintf(picture, sizeof picture, "%s", test_path("identification.png"));
    CHECK(measure(&all, features_at(&set, values, labels, 8), 6, false, &error));
    CHECK(identification_save(&all, csv, picture, &error));
    CHECK_CONTAINS(read_text(csv, text, sizeof text), "gallery,draws,probes,rank1,rank1_expected,strangers,threshold,"
                                                      "dir_1e-2,alarms,alarms_expected\n1,52,52,1,1,312,");
    CHECK_CONTAINS(text, "\n4,1,4,0.25,");
    CHECK(image_read(&chart, picture, NULL, &error));
    image_free(&chart);
}
