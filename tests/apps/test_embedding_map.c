/* Maps of embeddings: t-SNE against its definition, principal components against those of eigenfaces, and pictures that
 * can all be seen. */
#include "apps/common/embedding_map.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "apps/common/canvas.h"
#include "apps/common/eigenfaces.h"
#include "core/core.h"
#include "tests/test.h"

enum { ROWS = 30, LENGTH = 6 };

/* Three heaps far apart. */
static void make_heaps(tsr_real *rows)
{
    const tsr_rng rng = {4, 4};
    for (int i = 0; i < ROWS; i++)
        for (int k = 0; k < LENGTH; k++)
            rows[i * LENGTH + k] =
                (tsr_real)(0.3 * tsr_random_uniform(rng, (uint64_t)(i * LENGTH + k)) + (k == i % 3 ? 4 : 0));
}

static double apart(const double *map, int i, int j)
{
    return hypot(map[2 * i] - map[2 * j], map[2 * i + 1] - map[2 * j + 1]);
}

TEST(map_by_tsne_keeps_heaps_together_and_apart)
{
    tsr_real values[ROWS * LENGTH];
    double map[2 * ROWS], again[2 * ROWS];
    app_error error = {""};
    make_heaps(values);
    const map_rows rows = {values, ROWS, LENGTH};
    CHECK(map_by_tsne(map, &rows, 5, &error) && map_by_tsne(again, &rows, 5, &error));
    CHECK(memcmp(map, again, sizeof map) == 0);
    double within = 0, between = INFINITY;
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < i; j++) {
            if (i % 3 == j % 3) within = fmax(within, apart(map, i, j));
            else between = fmin(between, apart(map, i, j));
        }
    CHECK(within > 0 && 2 * within < between);
}

TEST(map_by_tsne_of_few_many_or_equal_rows)
{
    enum { EQUAL = 10 };
    static tsr_real values[EQUAL * LENGTH];
    double map[2 * EQUAL];
    app_error error = {""}, many = {""};
    for (int i = 0; i < EQUAL * LENGTH; i++) values[i] = (tsr_real)0.1;
    bool done = map_by_tsne(map, &(map_rows){values, EQUAL, LENGTH}, 20, &error);
    for (int i = 0; i < 2 * EQUAL; i++) done = done && isfinite(map[i]);
    values[0] = 3;
    done = done && map_by_tsne(map, &(map_rows){values, 2, LENGTH}, 20, &error);
    const bool few = fabs(fabs(map[0] - map[2]) - 2.9) < 1e-6 && fabs(map[1] - map[3]) < 1e-6;
    CHECK(!map_by_tsne(map, &(map_rows){values, 1001, LENGTH}, 20, &many));
    CHECK(done);
    CHECK(few);
    CHECK_TEXT(many.text, "a map is made of 1000 rows at most, not 1001");
}

/* KL(exaggeration * P || Q) as the paper writes it (eq. 2 and 4), its terms without Q left out. */
static double divergence(const double *map, const double *p, int count, double exaggeration)
{
    double all = 0, sum = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < count; i++)
            for (int j = 0; j < count; j++) {
                const double near = 1 / (1 + apart(map, i, j) * apart(map, i, j));
                if (i == j) continue;
                if (pass == 0) all += near;
                else sum -= exaggeration * p[i * count + j] * log(near) - p[i * count + j] * log(all);
            }
    return sum;
}

TEST(map_by_tsne_descends_along_the_gradient_of_its_divergence)
{
    enum { COUNT = 9 };
    const tsr_rng rng = {8, 8};
    double map[2 * COUNT], gradient[2 * COUNT], room[2 * COUNT], p[COUNT * COUNT] = {0}, sum = 0;
    for (int i = 0; i < 2 * COUNT; i++) map[i] = tsr_random_uniform(rng, (uint64_t)i);
    for (int i = 0; i < COUNT; i++)
        for (int j = 0; j < i; j++) sum += 2 * (p[i * COUNT + j] = p[j * COUNT + i] = 0.1 + (i * 3 + j) % 4);
    for (int i = 0; i < COUNT * COUNT; i++) p[i] /= sum;
    for (int early = 0; early < 2; early++) {
        const double exaggeration = early ? 12 : 1;
        tsne_gradient(&(tsne_state){COUNT, p, map, exaggeration, gradient, room});
        for (int i = 0; i < 2 * COUNT; i++) {
            const double at = map[i], step = 1e-5;
            map[i] = at + step;
            const double more = divergence(map, p, COUNT, exaggeration);
            map[i] = at - step;
            const double less = divergence(map, p, COUNT, exaggeration);
            map[i] = at;
            CHECK_NEAR(gradient[i], (more - less) / (2 * step), 1e-8);
        }
    }
}

/* ---- principal components ---------------------------------------------------------------------------------------- */

/* Those of bytes are NumPy's, see test_eigenfaces.c. */
TEST(map_by_pca_agrees_with_eigenfaces)
{
    enum { COUNT = 40, PIXELS = 90 };
    static unsigned char pixels[COUNT * PIXELS];
    static tsr_real values[COUNT * PIXELS];
    double map[2 * COUNT], expected[2];
    eigenfaces e;
    app_error error = {""};
    for (int i = 0; i < COUNT * PIXELS; i++)
        values[i] = pixels[i] = (unsigned char)(tsr_random_bits((tsr_rng){3, 3}, (uint64_t)i) & 255);
    CHECK(eigenfaces_fit(&e, pixels, COUNT, PIXELS, 2, &error));
    CHECK(map_by_pca(map, &(map_rows){values, COUNT, PIXELS}, &error));
    double worst = 0;
    for (int i = 0; i < COUNT; i++) {
        eigenfaces_project(&e, pixels + i * PIXELS, expected);
        for (int k = 0; k < 2; k++) worst = fmax(worst, fabs(map[2 * i + k] - expected[k]));
    }
    eigenfaces_free(&e);
    CHECK(worst < 1e-9);
}

/* Rows along two directions at right angles, of variances that differ: the map is these coordinates, up to signs. */
TEST(map_by_pca_finds_the_axes_of_most_variance)
{
    tsr_real values[ROWS * LENGTH] = {0};
    double map[2 * ROWS];
    app_error error = {""};
    for (int i = 0; i < ROWS; i++) {
        const double a = 3 * (i - (ROWS - 1) / 2.0), b = i % 4 == 0 || i % 4 == 3 ? 1 : -1;
        values[i * LENGTH + 1] = (tsr_real)(0.6 * a + 0.8 * b);
        values[i * LENGTH + 4] = (tsr_real)(0.8 * a - 0.6 * b);
        values[i * LENGTH + 2] = 7; /* the same for all */
    }
    CHECK(map_by_pca(map, &(map_rows){values, ROWS, LENGTH}, &error));
    for (int i = 0; i < ROWS; i++) CHECK_NEAR(fabs(map[2 * i]), fabs(3 * (i - (ROWS - 1) / 2.0)), 0.02);
}

/* ---- the picture ------------------------------------------------------------------------------------------------- */

/* All at one point, each of a grey of its own: of each the middle is seen, half as wide as the picture. */
TEST(map_draw_hides_nobody)
{
    enum { COUNT = 120 };
    static const colour first = {0, 114, 178};
    unsigned char greys[COUNT];
    image views[COUNT], out;
    int labels[COUNT], seen[COUNT] = {0}, frames = 0;
    double map[2 * COUNT] = {0};
    app_error error = {""}, odd = {""};
    for (int i = 0; i < COUNT; i++) {
        greys[i] = (unsigned char)(40 + i);
        views[i] = (image){1, 1, 1, &greys[i]};
        labels[i] = i % 100;
    }
    CHECK(map_draw(&out, map, &(map_pictures){views, labels, COUNT}, "", &error));
    for (int i = 0; i < out.width * out.height; i++) {
        const unsigned char *at = out.pixels + 3 * i;
        const int which = at[0] - 40;
        if (at[0] == at[1] && at[1] == at[2] && which >= 0 && which < COUNT) seen[which]++;
        frames += at[0] == first.red && at[1] == first.green && at[2] == first.blue;
    }
    image_free(&out);
    int least = seen[0], most = seen[0];
    for (int i = 0; i < COUNT; i++) {
        least = seen[i] < least ? seen[i] : least;
        most = seen[i] > most ? seen[i] : most;
    }
    CHECK(most >= 50 * 50);
    CHECK(4 * least >= most);
    CHECK(frames > 100);
    map[7] = NAN;
    CHECK(!map_draw(&out, map, &(map_pictures){views, labels, COUNT}, "", &odd));
    CHECK_TEXT(odd.text, "a map cannot be drawn of values that are not finite");
    CHECK(out.pixels == NULL);
}
