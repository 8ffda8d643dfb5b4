/* What faces are compared by: rows of pixels, eigenfaces and embeddings, from memory or fetched. */
#include "apps/common/protocol.h"

#include <math.h>
#include <string.h>

#include "tests/test.h"

enum { COUNT = 150, SIZE = 8 };

/* Person i / 3, a pattern of her own with some noise. */
static bool make_picture(const pictures *set, int number, unsigned char *pixels, app_error *error)
{
    (void)error;
    for (int k = 0; k < (int)picture_bytes(set); k++)
        pixels[k] = (unsigned char)(number / 3 * 37 * (k + 1) % 200 + number * (k + 5) * 11 % 29);
    return true;
}

static bool open_pictures(pictures *set, tsr_context *ctx, int cache_mb, app_error *error)
{
    *set = (pictures){.count = COUNT, .size = SIZE, .channels = 3, .ctx = ctx, .make = make_picture};
    if (!pictures_open(set, cache_mb, NULL, error)) return false;
    for (int i = 0; i < COUNT; i++) set->labels[i] = i / 3;
    return true;
}

TEST(features_compare_rows_from_memory_and_fetched_alike)
{
    static double held[COUNT * COUNT], made[COUNT * COUNT], single[2];
    int numbers[COUNT];
    app_error error = {""};
    tsr_context *ctx = tsr_open(&(tsr_options){.threads = 2});
    pictures in_memory, none;
    bool done = open_pictures(&in_memory, ctx, 1, &error) && open_pictures(&none, ctx, 0, &error);
    for (int i = 0; i < COUNT; i++) numbers[i] = COUNT - 1 - i;
    const picture_numbers all = {numbers, COUNT}, some = {numbers, 3};
    features a = features_of_pixels(&in_memory), b = features_of_pixels(&none);
    done = done && a.rows && !b.rows && features_matrix(&a, some, all, held, &error) &&
           features_matrix(&b, some, all, made, &error);
    pair items[] = {{.a = COUNT - 1, .b = COUNT - 1}, {.a = COUNT - 2, .b = 7}};
    const pairs list = {.count = 2, .items = items};
    done = done && features_pairs(&b, &list, single, &error);
    pictures_close(&in_memory);
    pictures_close(&none);
    tsr_close(ctx);
    CHECK(done);
    CHECK(memcmp(held, made, 3 * COUNT * sizeof *held) == 0);
    CHECK_EQUAL(held[0], 0);
    CHECK_EQUAL(single[0], 0);
    CHECK(single[1] > 0 && single[1] == held[COUNT + COUNT - 1 - 7]);
}

/* All bytes 255 apart: 90000 x 65025 does not fit into 32 bits. */
TEST(features_distance_of_large_pictures_is_exact)
{
    enum { BYTES = 300 * 300 };
    static unsigned char rows[2 * BYTES];
    pictures set = {.count = 2, .size = 300, .channels = 1, .held = 2, .pixels = rows};
    pair items[] = {{.a = 0, .b = 1}};
    double distance = 0;
    app_error error = {""};
    memset(rows + BYTES, 255, BYTES);
    const features f = features_of_pixels(&set);
    CHECK(features_pairs(&f, &(pairs){.count = 1, .items = items}, &distance, &error));
    CHECK_EQUAL(distance, 300);
}

TEST(features_distances_of_embeddings)
{
    const tsr_real a[] = {3, 4}, b[] = {-4, 3}, c[] = {6, 8}, zero[] = {0, 0}, nan[] = {(tsr_real)NAN, 0};
    CHECK_EQUAL(squared_distance(a, b, 2), 50);
    CHECK_NEAR(cosine_distance(a, b, 2), 1, 1e-15);
    CHECK_NEAR(cosine_distance(a, c, 2), 0, 1e-15);
    CHECK_EQUAL(cosine_distance(a, zero, 2), 1);
    CHECK_EQUAL(cosine_distance(zero, zero, 2), 1);
    CHECK(isnan(cosine_distance(a, nan, 2)) && isnan(squared_distance(a, nan, 2)));
}

TEST(protocol_contenders_keep_what_they_have_measured)
{
    app_error error = {""};
    tsr_context *ctx = tsr_open(NULL);
    pictures set;
    pairs list = {0};
    contender c[] = {{.name = "pixels"}, {.name = "eigenfaces"}};
    bool done = open_pictures(&set, ctx, 1, &error) && pairs_generate(&list, set.labels, COUNT, 300, 1, &error) &&
                features_of_eigenfaces(&c[1].what, &set, &set, &error);
    if (done) c[0].what = features_of_pixels(&set);
    for (int i = 0; i < 2; i++)
        done = done && contender_measure(&c[i], &list, &error) &&
               identification_measure(&c[i].among, &c[i].what, c[i].result.threshold, true, &error);
    bool right = done && list.count == 300;
    for (int i = 0; right && i < 2; i++) {
        double sums[2] = {0};
        for (int k = 0; k < list.count; k++) sums[list.items[k].same] += c[i].distances[k];
        right = c[i].result.auc > 0.99 && sums[1] < sums[0] && c[i].roc.count > 2 && c[i].among.rows[0].rank1 > 0.9;
    }
    for (int i = 0; i < 2; i++) contender_free(&c[i]);
    pairs_free(&list);
    pictures_close(&set);
    tsr_close(ctx);
    CHECK(done);
    CHECK(right);
}
