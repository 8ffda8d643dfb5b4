/* Pairs to verify: drawn without repetition and in balance, or read from a list that may be broken. */
#include "apps/common/pairs.h"

#include <stdlib.h>
#include <string.h>

#include "apps/common/folder.h"
#include "tests/apps/files.h"
#include "tests/test.h"

/* ---- drawn --------------------------------------------------------------------------------------------- */

static int compare_ints(const void *a, const void *b)
{
    return *(const int *)a < *(const int *)b ? -1 : *(const int *)a > *(const int *)b;
}

/* Whether kinds are as the labels say, no pair (in either order) occurs twice, and every fold has as many of
 * both kinds as the next, but for one. */
static bool sound(const pairs *p, const int *labels, int count)
{
    int *seen = malloc((size_t)p->count * sizeof *seen);
    int folds[10][2] = {{0}};
    bool good = seen && p->folds >= 1 && p->folds <= 10;
    for (int i = 0; good && i < p->count; i++) {
        const pair q = p->items[i];
        const int low = q.a < q.b ? q.a : q.b, high = q.a < q.b ? q.b : q.a;
        good = low >= 0 && high < count && low != high && q.same == (labels[low] == labels[high]) &&
               q.fold >= 0 && q.fold < p->folds;
        if (good) folds[q.fold][q.same]++;
        seen[i] = low * count + high;
    }
    if (good) qsort(seen, (size_t)p->count, sizeof *seen, compare_ints);
    for (int i = 1; good && i < p->count; i++) good = seen[i] != seen[i - 1];
    const int each = p->count / 2 / p->folds;
    for (int f = 0; good && f < p->folds; f++)
        good = folds[f][0] == folds[f][1] && folds[f][0] >= each && folds[f][0] <= each + 1;
    free(seen);
    return good;
}

TEST(pairs_drawn_are_all_there_are_where_those_are_few)
{
    enum { COUNT = 60 };
    int labels[COUNT];
    pairs p;
    app_error error = {""};
    for (int i = 0; i < COUNT; i++)
        labels[i] = 7 * (i * 5 % 12) - 20; /* 12 people of 5, mixed, labels with gaps */
    CHECK(pairs_generate(&p, labels, COUNT, 300, 1, &error));
    const int count = p.count, folds = p.folds;
    const bool good = sound(&p, labels, COUNT);
    pairs_free(&p);
    CHECK_EQUAL(count, 2 * 12 * 10);
    CHECK_EQUAL(folds, 10);
    CHECK(good);
}

TEST(pairs_drawn_are_as_many_as_asked_for_where_there_are_enough)
{
    enum { COUNT = 2000 };
    static int labels[COUNT];
    pairs p;
    app_error error = {""};
    for (int i = 0; i < COUNT; i++) labels[i] = i / 40;
    CHECK(pairs_generate(&p, labels, COUNT, 300, 5, &error));
    const int count = p.count;
    const bool good = sound(&p, labels, COUNT);
    pairs_free(&p);
    CHECK_EQUAL(count, 6000);
    CHECK(good);
}

TEST(pairs_drawn_are_the_same_for_the_same_seed_only)
{
    int labels[60];
    pairs p[3];
    app_error error = {""};
    for (int i = 0; i < 60; i++) labels[i] = i / 5;
    for (int i = 0; i < 3; i++) CHECK(pairs_generate(&p[i], labels, 60, 4, i < 2 ? 9 : 10, &error));
    bool equal = true, different = false;
    for (int i = 0; i < 80; i++) {
        equal = equal && p[0].items[i].a == p[1].items[i].a && p[0].items[i].b == p[1].items[i].b;
        different = different || p[0].items[i].a != p[2].items[i].a;
    }
    const int first[4] = {p[0].items[0].a, p[0].items[0].b, p[0].items[1].a, p[0].items[1].b};
    for (int i = 0; i < 3; i++) pairs_free(&p[i]);
    CHECK(equal);
    CHECK(different);
    CHECK_EQUAL(first[0], 18); /* stored, so that a platform that draws others is noticed */
    CHECK_EQUAL(first[1], 19);
    CHECK_EQUAL(first[2], 10);
    CHECK_EQUAL(first[3], 56);
}

/* 10 of 30 pairs of each kind, a thousand times: each pair should come about 333 times (standard deviation
 * 15). */
TEST(pairs_drawn_prefer_none)
{
    static const int labels[] = {0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1};
    int drawn[12][12] = {{0}}, least[2] = {1000, 1000}, most[2] = {0, 0};
    for (int seed = 0; seed < 1000; seed++) {
        pairs p;
        app_error error = {""};
        CHECK(pairs_generate(&p, labels, 12, 1, (uint64_t)seed, &error));
        for (int i = 0; i < p.count; i++) {
            const pair q = p.items[i];
            drawn[q.a < q.b ? q.a : q.b][q.a < q.b ? q.b : q.a]++;
        }
        pairs_free(&p);
    }
    for (int a = 0; a < 12; a++)
        for (int b = a + 1; b < 12; b++) {
            const int same = labels[a] == labels[b];
            if (drawn[a][b] < least[same]) least[same] = drawn[a][b];
            if (drawn[a][b] > most[same]) most[same] = drawn[a][b];
        }
    CHECK(least[1] > 333 - 75 && most[1] < 333 + 75);
    CHECK(least[0] > 278 - 75 && most[0] < 278 + 75); /* of 36 different ones */
}

TEST(pairs_drawn_of_very_few_pictures_make_fewer_folds)
{
    pairs p;
    app_error error = {""};
    CHECK(pairs_generate(&p, (int[]){4, 8, 4}, 3, 300, 0, &error));
    const int count = p.count, folds = p.folds;
    pairs_free(&p);
    CHECK_EQUAL(count, 2);
    CHECK_EQUAL(folds, 1);
}

TEST(pairs_drawn_need_both_kinds)
{
    pairs p;
    app_error alone = {""}, one = {""}, none = {""}, size = {""};
    CHECK(!pairs_generate(&p, (int[]){1, 2, 3}, 3, 300, 0, &alone));
    CHECK_TEXT(alone.text, "3 pictures of 3 people make no pair of the same person");
    CHECK(!pairs_generate(&p, (int[]){5, 5, 5}, 3, 300, 0, &one));
    CHECK_TEXT(one.text, "3 pictures of 1 people make no pair of different people");
    CHECK(!pairs_generate(&p, NULL, 0, 300, 0, &none));
    CHECK(none.text[0] != '\0');
    CHECK(!pairs_generate(&p, (int[]){5, 5, 6}, 3, 0, 0, &size));
    CHECK(size.text[0] != '\0');
}

/* ---- read ---------------------------------------------------------------------------------------------- */

/* Ann's pictures have numbers, 2 is missing; Bob's and Cy's have not. In the set's order: Ann 1, Ann 3, Ann
 * 12345; Bob's a, b, c; Cy's x, y. */
static bool open_set(people *set, const char *name)
{
    static const char *const files[] = {"Ann/Ann_0001.pgm", "Ann/Ann_0003.ppm", "Ann/Ann_12345.pgm",
                                        "Bob/a.pgm",        "Bob/b_0001.pgm",   "Bob/c.pgm",
                                        "Cy/x.pgm",         "Cy/y.pgm"};
    static const char *const folders[] = {"Ann", "Bob", "Cy"};
    app_error error = {""};
    char root[256], path[400];
    snprintf(root, sizeof root, "%s", test_path(name));
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", root, folders[i]);
        if (!folder_make(path, &error)) return false;
    }
    for (int i = 0; i < 8; i++) {
        snprintf(path, sizeof path, "%s/%s", root, files[i]);
        if (!write_text(path, "P2 1 1 9\n5")) return false;
    }
    return people_open(set, &(people_request){.data = root}, &error) && set->picture_count == 8;
}

static bool is_pair(const pair *p, int a, int b, bool same, int fold)
{
    return p->a == a && p->b == b && p->same == same && p->fold == fold;
}

TEST(pairs_are_read_in_the_layout_of_lfw)
{
    people set;
    pairs p;
    app_error error = {""};
    const char *path = test_path("pairs.txt");
    CHECK(open_set(&set, "pairs-lfw"));
    CHECK(write_text(path, "2\t2\r\nAnn\t1\t3\r\nBob\t3\t1\r\nAnn\t12345\tBob\t2\r\nBob\t1\tCy\t2\r\n"
                           "Ann 1 12345\nCy 1 2\nAnn 3 Cy 1\nCy 2 Bob 3\n\n"));
    pairs_read(&p, path, &set, &error);
    people_free(&set);
    CHECK_TEXT(error.text, "");
    const bool right = p.count == 8 && p.folds == 2 && p.missing == 0 &&
                       is_pair(&p.items[0], 0, 1, true, 0) && is_pair(&p.items[1], 5, 3, true, 0) &&
                       is_pair(&p.items[2], 2, 4, false, 0) && is_pair(&p.items[3], 3, 7, false, 0) &&
                       is_pair(&p.items[4], 0, 2, true, 1) && is_pair(&p.items[5], 6, 7, true, 1) &&
                       is_pair(&p.items[6], 1, 6, false, 1) && is_pair(&p.items[7], 7, 5, false, 1);
    pairs_free(&p);
    CHECK(right);
}

TEST(pairs_count_places_as_if_no_picture_were_broken)
{
    people set;
    pairs p;
    app_error error = {""};
    const char *path = test_path("pairs-places.txt");
    CHECK(open_set(&set, "pairs-places"));
    people_keep(&set, (bool[]){true, true, true, true, false, true, true, true}); /* without Bob's second */
    CHECK(write_text(path, "1\t1\nBob\t1\t3\nBob\t2\tCy\t1\n"));
    const bool done = pairs_read(&p, path, &set, &error);
    people_free(&set);
    CHECK(done);
    const bool right = p.count == 1 && p.items[0].a == 3 && p.items[0].b == 4 && p.missing == 1;
    pairs_free(&p);
    CHECK(right);
}

TEST(pairs_that_are_missing_are_counted_and_their_pictures_named)
{
    people set;
    pairs p;
    app_error error = {""}, all = {""};
    const char *path = test_path("pairs-missing.txt");
    CHECK(open_set(&set, "pairs-missing"));
    /* Ann has a 2nd picture, but it is not number 2 */
    CHECK(write_text(
        path, "1\t3\nBob\t1\t2\nAnn\t1\t2\nBob\t4\t5\nAnn\t2\tDan\t1\nBob\t1\tCy\t1\nBob\t2\tCy\t1\n"));
    const bool done = pairs_read(&p, path, &set, &error);
    const int count = done ? p.count : 0, missing = p.missing;
    char names[256] = "";
    for (int i = 0; done && i < p.lacking.count; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s, ", p.lacking.names[i]);
    pairs_free(&p);
    CHECK(write_text(path, "1\nDan\t1\t2\nDan\t1\tEve\t1\n"));
    const bool none = pairs_read(&p, path, &set, &all);
    people_free(&set);
    CHECK(done);
    CHECK_EQUAL(count, 3);
    CHECK_EQUAL(missing, 3);
    CHECK_TEXT(names, "Ann 2, Bob 4, Bob 5, Dan 1, ");
    CHECK(!none);
    CHECK_CONTAINS(all.text, "none of its 2 pairs is in the data set, which lacks Dan 1");
}

TEST(pairs_of_a_single_fold_are_cut_into_ten)
{
    people set;
    pairs p;
    app_error error = {""};
    char text[2000] = "30\n";
    const char *path = test_path("pairs-one.txt");
    CHECK(open_set(&set, "pairs-one"));
    for (int i = 0; i < 30; i++) strcat(text, "Bob\t1\t2\n");
    for (int i = 0; i < 30; i++)
        strcat(text, i < 3 ? "Bob\t9\tCy\t1\n" : "Bob\t1\tCy\t1\n"); /* three are missing */
    CHECK(write_text(path, text));
    const bool done = pairs_read(&p, path, &set, &error);
    people_free(&set);
    CHECK(done);
    int folds[10][2] = {{0}}, before = 0;
    bool ascending = p.folds == 10 && p.count == 57;
    for (int i = 0; ascending && i < p.count; i++) {
        folds[p.items[i].fold][p.items[i].same]++;
        ascending = p.items[i].fold >= before || i == 30;
        before = p.items[i].fold;
    }
    pairs_free(&p);
    CHECK(ascending);
    for (int f = 0; f < 10; f++) {
        CHECK_EQUAL(folds[f][true], 3);
        CHECK(folds[f][false] >= 2 && folds[f][false] <= 3);
    }
}

TEST(pairs_files_that_are_broken_are_refused_with_the_line)
{
    static const struct {
        const char *text, *problem;
    } cases[] = {
        {"", "is empty"},
        {"\n", "line 1 should be"},
        {"Ann\t1\t2\n", "line 1 should be"},
        {"0\t3\n", "line 1 should be"},
        {"3\t0\n", "line 1 should be"},
        {"-1\t3\n", "line 1 should be"},
        {"1000000\t3\n", "line 1 should be"},
        {"1000\t1000000000\n", "line 1 should be"},
        {"1000\t1000000\nBob\t1\t2\n", "ends after line 2 with 1 of the 2000000000 pairs"},
        {"99999999999999999999\n", "line 1 should be"},
        {"1\nBob\t1\t2\n", "ends after line 2 with 1 of the 2 pairs"},
        {"1\nBob\t1\t2\nBob\t1\tCy\t1\nBob\t1\tCy\t2\n", "line 4: there are more than the 2 pairs"},
        {"1\nBob\t1\n", "line 2 should be"},
        {"1\nBob\t1\tCy\t2\t3\n", "line 2 should be"},
        {"1\nBob\t1\t2\t3\t4\t5\n", "line 2 should be"},
        {"1\nBob\t1\tx\n", "line 2: pictures are numbered from 1, not \"x\""},
        {"1\nBob\t0\t1\n", "line 2: pictures are numbered from 1, not \"0\""},
        {"1\nBob\t-1\t1\n", "not \"-1\""},
        {"1\nBob\t1\t99999999999\n", "not \"99999999999\""},
        {"1\nBob\t1\tBob\t2\n", "line 2: \"Bob\" stands on both sides"},
    };
    people set;
    const char *path = test_path("pairs-broken.txt");
    CHECK(open_set(&set, "pairs-broken"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pairs p;
        app_error error = {""};
        const bool written = write_text(path, cases[i].text), done = pairs_read(&p, path, &set, &error);
        if (!written || done || !strstr(error.text, cases[i].problem) || !strstr(error.text, path))
            people_free(&set);
        CHECK(written && !done);
        CHECK_CONTAINS(error.text, cases[i].problem);
        CHECK_CONTAINS(error.text, path);
    }
    pairs p;
    app_error zero = {""}, length = {""}, missing = {""};
    static char line[20000];
    memset(line, 'a', sizeof line);
    bool refused = write_bytes(path, "1\nBob\0\t1\t2\nx", 13) && !pairs_read(&p, path, &set, &zero) &&
                   write_bytes(path, line, sizeof line) && !pairs_read(&p, path, &set, &length) &&
                   !pairs_read(&p, "build/test-tmp/no such list", &set, &missing);
    people_free(&set);
    CHECK(refused);
    CHECK_CONTAINS(zero.text, "line 2 is too long or not text");
    CHECK_CONTAINS(length.text, "line 1 is too long or not text");
    CHECK_CONTAINS(missing.text, "build/test-tmp/no such list: cannot be opened (");
}

TEST(pairs_files_cut_anywhere_do_no_harm)
{
    static const char whole[] = "2\t1\nBob\t1\t2\nBob\t1\tCy\t1\nCy\t1\t2\nCy\t2\tBob\t31\n";
    people set;
    const char *path = test_path("pairs-cut.txt");
    CHECK(open_set(&set, "pairs-cut"));
    /* without its last digit it is another good file */
    for (size_t size = 0; size < sizeof whole - 3; size++) {
        pairs p;
        app_error error = {""};
        const bool done = !write_bytes(path, whole, size) || pairs_read(&p, path, &set, &error);
        if (done) people_free(&set);
        CHECK(!done);
    }
    people_free(&set);
}
