/* Reports that browsers read, and maps of embeddings. */
#include "apps/common/embedding_map.h"
#include "apps/common/report.h"
#include "apps/common/transform.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"
#include "tests/apps/files.h"
#include "tests/test.h"

/* RFC 4648, section 10. */
TEST(report_base64_meets_the_test_vectors)
{
    static const char *const vectors[][2] = {{"", ""},           {"f", "Zg=="},       {"fo", "Zm8="},        {"foo", "Zm9v"},
                                             {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
    for (int i = 0; i < 7; i++) {
        char *text = base64((const unsigned char *)vectors[i][0], strlen(vectors[i][0]));
        CHECK(text != NULL);
        const bool right = strcmp(text, vectors[i][1]) == 0;
        free(text);
        CHECK(right);
    }
    char *high = base64((const unsigned char[]){0xfb, 0xff, 0xbf}, 3);
    const bool right = high && strcmp(high, "+/+/") == 0;
    free(high);
    CHECK(right);
}

/* Whether every element that is opened is closed, in order; void elements and the doctype apart. */
static bool is_nested(const char *html)
{
    char open[32][16];
    int depth = 0;
    for (const char *at = html; (at = strchr(at, '<')) != NULL; at++) {
        char name[16] = "";
        const bool closes = at[1] == '/';
        sscanf(at + 1 + closes, "%15[A-Za-z0-9!]", name);
        if (name[0] == '!' || strcmp(name, "meta") == 0 || strcmp(name, "img") == 0) continue;
        if (closes && (depth == 0 || strcmp(open[--depth], name) != 0)) return false;
        if (!closes && depth == 32) return false;
        if (!closes) strcpy(open[depth++], name);
    }
    return depth == 0;
}

TEST(report_is_one_file_of_nested_elements_with_its_text_escaped)
{
    char path[256], png[256], text[8192];
    app_error error = {""};
    report page;
    image dot;
    snprintf(path, sizeof path, "%s", test_path("report.html"));
    snprintf(png, sizeof png, "%s", test_path("report.png"));
    CHECK(image_new(&dot, 2, 2, 1, &error));
    const bool written = image_write(&dot, png, &error);
    image_free(&dot);
    CHECK(written && report_open(&page, path, "a < b & \"c\"", &error));
    report_heading(&page, "one <b>");
    report_text(&page, "x & y");
    report_table(&page, (const char *const[]){"name", "value", "AUC", "0.9 > 0.8"}, 2, 2);
    CHECK(report_picture(&page, png, "a \"dot\"", &error));
    CHECK(report_picture(&page, "build/test-tmp/no such.png", "nothing", &error));
    CHECK(report_close(&page, &error));
    read_text(path, text, sizeof text);
    CHECK_CONTAINS(text, "<title>a &lt; b &amp; &quot;c&quot;</title>");
    CHECK_CONTAINS(text, "<h2>one &lt;b&gt;</h2>");
    CHECK_CONTAINS(text, "<td>0.9 &gt; 0.8</td>");
    CHECK_CONTAINS(text, "<img alt=\"a &quot;dot&quot;\" src=\"data:image/png;base64,iVBORw0KGgo");
    CHECK(!strstr(text, "nothing") && !strstr(text, "http"));
    CHECK(is_nested(text));
}

TEST(report_that_fails_leaves_the_older_one)
{
    char path[256], text[64];
    app_error error = {""}, failed = {""}, nowhere = {""};
    report page;
    snprintf(path, sizeof path, "%s", test_path("report-kept.html"));
    CHECK(write_text(path, "older"));
    CHECK(report_open(&page, path, "new", &error));
    app_fail(&failed, "something before");
    CHECK(!report_close(&page, &failed));
    CHECK_TEXT(read_text(path, text, sizeof text), "older");
    CHECK(!report_open(&page, "build/test-tmp/no such folder/report.html", "t", &nowhere));
    CHECK_CONTAINS(nowhere.text, "build/test-tmp/no such folder/report.html: cannot be written");
}

/* ---- maps -------------------------------------------------------------------------------------------------------- */

enum { ROWS = 30, LENGTH = 6 };

/* Three heaps far apart. */
static void make_heaps(tsr_real *rows)
{
    const tsr_rng rng = {4, 4};
    for (int i = 0; i < ROWS; i++)
        for (int k = 0; k < LENGTH; k++)
            rows[i * LENGTH + k] = (tsr_real)(0.3 * tsr_random_uniform(rng, (uint64_t)(i * LENGTH + k)) + (k == i % 3 ? 4 : 0));
}

static double apart(const double *map, int i, int j)
{
    return hypot(map[2 * i] - map[2 * j], map[2 * i + 1] - map[2 * j + 1]);
}

TEST(map_by_tsne_keeps_heaps_together_and_apart)
{
    tsr_real rows[ROWS * LENGTH];
    double map[2 * ROWS], again[2 * ROWS];
    app_error error = {""}, few = {""};
    make_heaps(rows);
    CHECK(map_by_tsne(map, rows, ROWS, LENGTH, 5, &error) && map_by_tsne(again, rows, ROWS, LENGTH, 5, &error));
    CHECK(memcmp(map, again, sizeof map) == 0);
    double within = 0, between = INFINITY;
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < i; j++) {
            if (i % 3 == j % 3) within = fmax(within, apart(map, i, j));
            else between = fmin(between, apart(map, i, j));
        }
    CHECK(within > 0 && within < between);
    CHECK(!map_by_tsne(map, rows, 3, LENGTH, 5, &few));
    CHECK_TEXT(few.text, "a map is made of 4 to 1000 rows");
}

TEST(map_by_tsne_descends_along_the_gradient_of_its_divergence)
{
    enum { COUNT = 5 };
    const tsr_rng rng = {8, 8};
    double map[2 * COUNT], gradient[2 * COUNT], unused[2 * COUNT], p[COUNT * COUNT] = {0}, sum = 0;
    for (int i = 0; i < 2 * COUNT; i++) map[i] = tsr_random_uniform(rng, (uint64_t)i);
    for (int i = 0; i < COUNT; i++)
        for (int j = 0; j < i; j++) sum += 2 * (p[i * COUNT + j] = p[j * COUNT + i] = 0.1 + (i * 3 + j) % 4);
    for (int i = 0; i < COUNT * COUNT; i++) p[i] /= sum;
    tsne_gradient(gradient, map, p, COUNT);
    for (int i = 0; i < 2 * COUNT; i++) {
        const double at = map[i], step = 1e-5;
        map[i] = at + step;
        const double more = tsne_gradient(unused, map, p, COUNT);
        map[i] = at - step;
        const double less = tsne_gradient(unused, map, p, COUNT);
        map[i] = at;
        CHECK_NEAR(gradient[i], (more - less) / (2 * step), 1e-6);
    }
}

/* Rows along two directions at right angles, of variances that differ: the map is these coordinates, up to signs. */
TEST(map_by_pca_finds_the_axes_of_most_variance)
{
    tsr_real rows[ROWS * LENGTH] = {0};
    double map[2 * ROWS];
    app_error error = {""};
    for (int i = 0; i < ROWS; i++) {
        const double a = 3 * (i - (ROWS - 1) / 2.0), b = (i % 2 ? 1 : -1) * (i / 2 % 2 ? 1 : -1);
        rows[i * LENGTH + 1] = (tsr_real)(0.6 * a + 0.8 * b);
        rows[i * LENGTH + 4] = (tsr_real)(0.8 * a - 0.6 * b);
        rows[i * LENGTH + 2] = 7; /* the same for all */
    }
    CHECK(map_by_pca(map, rows, ROWS, LENGTH, &error));
    for (int i = 0; i < ROWS; i++) CHECK_NEAR(fabs(map[2 * i]), fabs(3 * (i - (ROWS - 1) / 2.0)), 0.05);
}
