/* Principal components against NumPy's singular values, and against what defines them. */
#include "apps/common/eigenfaces.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/test.h"

/* The bytes that the Python behind the figures used. */
static void fill(unsigned char *pixels, int count)
{
    uint32_t x = 3;
    for (int i = 0; i < count; i++) {
        x = x * 1664525u + 1013904223u;
        pixels[i] = (unsigned char)((x >> 16) % 256u);
    }
}

static double projected_distance(const eigenfaces *e, const unsigned char *a, const unsigned char *b)
{
    double p[64], q[64];
    eigenfaces_project(e, a, p);
    eigenfaces_project(e, b, q);
    return euclidean_distance(p, q, e->components);
}

/* The largest difference between the products of the axes and those of an orthonormal basis. */
static double lack_of_orthonormality(const eigenfaces *e)
{
    double worst = 0;
    for (int a = 0; a < e->components; a++)
        for (int b = 0; b <= a; b++) {
            double product = a == b ? -1 : 0;
            for (int j = 0; j < e->dimension; j++)
                product += e->axes[a * e->dimension + j] * e->axes[b * e->dimension + j];
            worst = fmax(worst, fabs(product));
        }
    return worst;
}

TEST(eigenfaces_agree_with_singular_values)
{
    static unsigned char pixels[40 * 90];
    eigenfaces e, five;
    app_error error = {""};
    fill(pixels, 40 * 90);
    CHECK(eigenfaces_fit(&e, pixels, 40, 90, 0, &error));
    const int components = e.components;
    const double first = e.variances[0], second = e.variances[1], last = e.variances[38];
    const double lack = lack_of_orthonormality(&e);
    /* with all components there is nothing lost between the pictures it was made from */
    double whole = 0;
    for (int j = 0; j < 90; j++) whole += (pixels[j] - pixels[90 + j]) * (pixels[j] - pixels[90 + j]);
    const double kept = projected_distance(&e, pixels, pixels + 90);
    eigenfaces_free(&e);
    CHECK_EQUAL(components, 39);
    CHECK_NEAR(first, 32963.929356228095, 1e-10);
    CHECK_NEAR(second, 28267.333553628792, 1e-10);
    CHECK_NEAR(last, 1554.1808725462568, 1e-9);
    CHECK(lack < 1e-12);
    CHECK_NEAR(kept, sqrt(whole), 1e-10);

    CHECK(eigenfaces_fit(&five, pixels, 40, 90, 5, &error));
    const double fifth = five.variances[4], near = projected_distance(&five, pixels, pixels + 90),
                 far = projected_distance(&five, pixels + 3 * 90, pixels + 30 * 90);
    eigenfaces_free(&five);
    CHECK_NEAR(fifth, 24166.41102570261, 1e-10);
    CHECK_NEAR(near, 549.683928500657, 1e-8);
    CHECK_NEAR(far, 692.3575206925262, 1e-8);
}

TEST(eigenfaces_of_more_pictures_than_pixels)
{
    static const double expected[] = {9163.132074436015, 6423.523156841435, 5453.659126011631,
                                      3690.6362519342683, 2513.995640776653};
    unsigned char pixels[40 * 5];
    eigenfaces e;
    app_error error = {""};
    fill(pixels, sizeof pixels);
    CHECK(eigenfaces_fit(&e, pixels, 40, 5, 0, &error));
    bool equal = e.components == 5;
    for (int i = 0; equal && i < 5; i++) equal = fabs(e.variances[i] - expected[i]) < 1e-9 * expected[0];
    eigenfaces_free(&e);
    CHECK(equal);
}

/* |C v - lambda v|, by the definition, for few components of many. */
TEST(eigenfaces_solve_the_eigenvalue_problem)
{
    enum { COUNT = 300, DIMENSION = 400, WANTED = 8 };
    static unsigned char pixels[COUNT * DIMENSION];
    eigenfaces e;
    app_error error = {""};
    fill(pixels, COUNT * DIMENSION);
    CHECK(eigenfaces_fit(&e, pixels, COUNT, DIMENSION, WANTED, &error));
    double worst = 0;
    bool signs = true;
    for (int i = 0; i < WANTED; i++) {
        const double *axis = e.axes + i * DIMENSION;
        double product[DIMENSION] = {0}, largest = 0;
        for (int n = 0; n < COUNT; n++) {
            double along = 0;
            for (int j = 0; j < DIMENSION; j++) along += (pixels[n * DIMENSION + j] - e.mean[j]) * axis[j];
            for (int j = 0; j < DIMENSION; j++)
                product[j] += along * (pixels[n * DIMENSION + j] - e.mean[j]) / COUNT;
        }
        for (int j = 0; j < DIMENSION; j++) {
            worst = fmax(worst, fabs(product[j] - e.variances[i] * axis[j]) / e.variances[0]);
            if (fabs(axis[j]) > fabs(largest)) largest = axis[j];
        }
        signs = signs && largest > 0 && (i == 0 || e.variances[i] <= e.variances[i - 1]);
    }
    const double lack = lack_of_orthonormality(&e);
    eigenfaces_free(&e);
    CHECK(worst < 1e-8);
    CHECK(lack < 1e-12);
    CHECK(signs);
}

TEST(eigenfaces_are_the_same_bits_each_time)
{
    static unsigned char pixels[60 * 100];
    eigenfaces a, b;
    app_error error = {""};
    fill(pixels, sizeof pixels);
    CHECK(eigenfaces_fit(&a, pixels, 60, 100, 10, &error));
    CHECK(eigenfaces_fit(&b, pixels, 60, 100, 10, &error));
    const bool same = memcmp(a.axes, b.axes, 10 * 100 * sizeof *a.axes) == 0;
    eigenfaces_free(&a);
    eigenfaces_free(&b);
    CHECK(same);
}

/* Four pictures that differ in one pixel each: three equal variances of a quarter of the squared
 * difference. */
TEST(eigenfaces_find_equal_variances)
{
    unsigned char pixels[4 * 6] = {0};
    eigenfaces e;
    app_error error = {""};
    for (int i = 0; i < 4; i++) pixels[i * 6 + i] = 100;
    CHECK(eigenfaces_fit(&e, pixels, 4, 6, 0, &error));
    const int components = e.components;
    bool equal = components == 3;
    for (int i = 0; equal && i < 3; i++) equal = fabs(e.variances[i] - 2500) < 1e-8;
    eigenfaces_free(&e);
    CHECK_EQUAL(components, 3);
    CHECK(equal);
}

/* Two pictures, each five times: one direction, whatever is asked for. */
TEST(eigenfaces_give_no_more_than_the_pictures_span)
{
    unsigned char pixels[10 * 6] = {0};
    eigenfaces e;
    app_error error = {""};
    for (int i = 0; i < 10; i += 2) memset(pixels + i * 6, 30, 6);
    CHECK(eigenfaces_fit(&e, pixels, 10, 6, 4, &error));
    const int components = e.components;
    const double variance = e.variances[0];
    eigenfaces_free(&e);
    CHECK_EQUAL(components, 1);
    CHECK_NEAR(variance, 6 * 15 * 15, 1e-12);
}

TEST(eigenfaces_refuse_pictures_that_are_all_alike_or_too_few)
{
    unsigned char pixels[3 * 4];
    eigenfaces e;
    app_error alike = {""}, few = {""}, negative = {""};
    memset(pixels, 7, sizeof pixels);
    CHECK(!eigenfaces_fit(&e, pixels, 3, 4, 0, &alike));
    CHECK_TEXT(alike.text, "eigenfaces: all 3 pictures are alike");
    CHECK(!eigenfaces_fit(&e, pixels, 1, 4, 0, &few));
    CHECK(few.text[0] != '\0');
    CHECK(!eigenfaces_fit(&e, pixels, 3, 4, -1, &negative));
    CHECK(e.mean == NULL && e.axes == NULL);
}
