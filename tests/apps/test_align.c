/* Faces brought to a template. */
#include "apps/common/align.h"

#include <math.h>
#include <string.h>

#include "tests/apps/files.h"
#include "tests/known-answers/known.h"
#include "tests/test.h"

static bool fits_like_numpy(tsr_context *ctx, const char *name, int count)
{
    static const char *const parts[] = {"from", "to", "fitted"};
    const tsr_real *values[3];
    mark from[5], to[5];
    affine a = {.xx = 0};
    app_error error = {""};
    for (int i = 0; i < 3; i++) {
        char full[64];
        snprintf(full, sizeof full, "%s.%s", name, parts[i]);
        values[i] = tsr_data(known_tensor(ctx, "images.safetensors", full));
        if (tsr_error(ctx)) return false;
    }
    for (int i = 0; i < count; i++) {
        from[i] = (mark){(double)values[0][2 * i], (double)values[0][2 * i + 1]};
        to[i] = (mark){(double)values[1][2 * i], (double)values[1][2 * i + 1]};
    }
    if (!align_similarity(&a, from, to, count, &error)) return false;
    const double ours[] = {a.xx, a.xy, a.dx, a.yx, a.yy, a.dy};
    for (int i = 0; i < 6; i++)
        if (!(fabs(ours[i] - (double)values[2][i]) < 1e-5 * (1 + fabs(ours[i])))) return false;
    return true;
}

TEST(align_fits_similarities_like_umeyama)
{
    tsr_context *ctx = tsr_open(NULL);
    const bool two = fits_like_numpy(ctx, "similarity_2", 2) && fits_like_numpy(ctx, "similarity_2_mirrored", 2);
    const bool five = fits_like_numpy(ctx, "similarity_5", 5) && fits_like_numpy(ctx, "similarity_5_mirrored", 5);
    tsr_close(ctx);
    CHECK(two);
    CHECK(five);
}

TEST(align_recovers_a_known_similarity)
{
    const mark from[] = {{1, 2}, {5, -3}, {0, 8}, {-4, 4}, {2, 2}};
    const affine known = {.xx = 0.6, .xy = -0.8, .dx = 7, .yx = 0.8, .yy = 0.6, .dy = -3};
    mark to[5];
    affine a;
    app_error error = {""};
    for (int i = 0; i < 5; i++)
        to[i] = (mark){known.xx * from[i].x + known.xy * from[i].y + known.dx,
                       known.yx * from[i].x + known.yy * from[i].y + known.dy};
    for (int count = 2; count <= 5; count++) {
        CHECK(align_similarity(&a, from, to, count, &error));
        CHECK_NEAR(a.xx, known.xx, 1e-12);
        CHECK_NEAR(a.xy, known.xy, 1e-12);
        CHECK_NEAR(a.yx, known.yx, 1e-12);
        CHECK_NEAR(a.dx, known.dx, 1e-12);
        CHECK_NEAR(a.dy, known.dy, 1e-12);
    }
}

TEST(align_refuses_points_that_say_nothing)
{
    const mark apart[] = {{1, 2}, {5, -3}}, together[] = {{3, 3}, {3, 3}};
    affine a;
    app_error one = {""}, from = {""}, to = {""};
    CHECK(!align_similarity(&a, apart, apart, 1, &one));
    CHECK(!align_similarity(&a, together, apart, 2, &from));
    CHECK(!align_similarity(&a, apart, together, 2, &to));
    CHECK_TEXT(from.text, "2 landmarks do not say how large a face is and which way up");
}

/* A spot of 9 x 9 pixels at each landmark of a turned face comes out at the template's place. */
TEST(align_brings_a_face_to_the_template)
{
    static const double places[][2] = {{35.2, 34.3}, {74.3, 34.3}, {54.7, 55.8}, {37.2, 77.5}, {72.5, 77.6}}; /* in 112 x 112 */
    app_error error = {""};
    image in, out;
    landmarks face = {.count = 5};
    CHECK(image_new(&in, 300, 200, 1, &error));
    for (int i = 0; i < 5; i++) {
        const double x = places[i][0] - 55.5, y = places[i][1] - 55.5;
        face.marks[i] = (mark){140 + 1.2 * x - 0.5 * y, 100 + 0.5 * x + 1.2 * y};
        const double x0 = face.marks[i].x, y0 = face.marks[i].y;
        for (int k = 0; k < 81; k++)
            in.pixels[((int)(y0 + 0.5) + k / 9 - 4) * 300 + (int)(x0 + 0.5) + k % 9 - 4] = 255;
    }
    for (int count = 2; count <= 5; count += 3) {
        face.count = count;
        CHECK(align_face(&out, &in, &face, 150, 112, &error));
        for (int i = 0; i < 5; i++)
            CHECK(out.pixels[(int)(places[i][1] + 0.5) * 150 + (int)(places[i][0] + 19.5)] > 200);
        image_free(&out);
    }
    face.count = 2;
    face.marks[0] = face.marks[1];
    CHECK(!align_face(&out, &in, &face, 112, 112, &error) && !out.pixels);
    image_free(&in);
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

TEST(landmarks_are_read_with_tabs_or_blanks)
{
    const char *path = test_path("landmarks.txt");
    landmark_list list;
    app_error error = {""};
    CHECK(write_text(path, "b/two.jpg 1 2.5 -3 4e1\n\n"
                           "a/an album/five.png\t1\t2\t3\t4\t5\t6\t7\t8\t9\t10.5\r\nlast 0 0 1 1"));
    CHECK(landmarks_read(&list, path, &error));
    const landmarks *five = landmarks_find(&list, "a/an album/five.png"), *two = landmarks_find(&list, "b/two.jpg");
    const bool found = list.count == 3 && five && two && five->count == 5 && two->count == 2 && five->line == 3 &&
                       two->marks[0].y == 2.5 && two->marks[1].x == -3 && two->marks[1].y == 40 &&
                       five->marks[4].y == 10.5;
    const bool others = landmarks_find(&list, "a") || landmarks_find(&list, "z") || !landmarks_find(&list, "last");
    landmarks_free(&list);
    CHECK(found);
    CHECK(!others);
}

TEST(landmarks_that_are_broken_are_named_by_line)
{
    static const struct {
        const char *text, *error;
    } broken[] = {
        {"", ": names no picture"},
        {"a 1 2 3 4\nb 1 2 3\n", ": line 2 should be a path and 2 or 5 points, \"path x1 y1 x2 y2 ...\""},
        {"a 1 2 3 4 5 6\n", ": line 1 should be a path and 2 or 5 points"},
        {"a 1 2 3 4 5 6 7 8 9 10 11\n", ": line 1 should be a path and 2 or 5 points"},
        {"\na 1 2 3 four\n", ": line 2: \"four\" is no coordinate"},
        {"a 1 2 3x 4\n", ": line 1: \"3x\" is no coordinate"},
        {"a 1 nan 3 4\n", ": line 1: \"nan\" is no coordinate"},
        {"a 1 2 3 -1e7\n", ": line 1: \"-1e7\" is no coordinate"},
        {"b 1 2 3 4\na 1 2 3 4\nc 1 2 3 4\na 5 6 7 8\n", ": line 4 names \"a\" again, which line 2 has"},
    };
    const char *path = test_path("broken-landmarks.txt");
    landmark_list list;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        app_error error = {""};
        CHECK(write_text(path, broken[i].text));
        CHECK(!landmarks_read(&list, path, &error));
        CHECK_CONTAINS(error.text, broken[i].error);
        CHECK(list.count == 0 && !list.items);
    }
    app_error missing = {""}, binary = {""};
    CHECK(!landmarks_read(&list, "no/such/file", &missing));
    CHECK_CONTAINS(missing.text, "no/such/file: cannot be opened (");
    CHECK(write_bytes(path, "a 1 2 3 4\na\0b 1 2 3 4\n", 22));
    CHECK(!landmarks_read(&list, path, &binary));
}
