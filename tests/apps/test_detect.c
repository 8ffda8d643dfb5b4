/* The face detector and the 68 landmarks: nets against known answers, boxes and points by hand. */
#include "apps/common/detect.h"
#include "tests/apps/weights.h"

#include <stdlib.h>

TEST(detector_meets_its_known_answer)
{
    const double mean[3] = {117.001, 114.697, 97.404};
    if (!have_weights()) return;
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    CHECK(tsr_model_load(m, WEIGHTS "tiny_face_detector.safetensors", NULL));
    const tsr_tensor *cells = detector_net(m, known_input(ctx, "tiny_face_detector.input", mean, 255));
    const tsr_tensor *theirs = tsr_permute(known_answer(ctx, "tiny_face_detector.output"), (const int[]){1, 2, 0});
    CHECK(relative_error(cells, theirs) <= 1e-5);
    CHECK(tsr_check_claimed(m));
    CHECK_EQUAL(tsr_parameter_count(m), 193321);
    face_box boxes[5 * 5 * 5];
    CHECK_EQUAL(detector_decode(tsr_data(cells), 5, 0.5, boxes), 1);
    CHECK_NEAR(boxes[0].score, 0.7589301640311523, 1e-5);
    CHECK_EQUAL(tsr_close(ctx), 0);
}

TEST(landmarks68_meet_their_known_answer)
{
    const double mean[3] = {122.782, 117.001, 104.298};
    if (!have_weights()) return;
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    CHECK(tsr_model_load(m, WEIGHTS "face_landmark68.safetensors", NULL));
    const tsr_tensor *points = landmarks68_net(m, known_input(ctx, "face_landmark68.input", mean, 255));
    CHECK(relative_error(points, known_answer(ctx, "face_landmark68.output")) <= 1e-5);
    CHECK(tsr_check_claimed(m));
    CHECK_EQUAL(tsr_parameter_count(m), 356840);
    CHECK_EQUAL(tsr_close(ctx), 0);
}

/* Cells without a face, then some with. */
static void no_faces(tsr_real *cells, int side)
{
    for (int i = 0; i < side * side * 5; i++) {
        memset(cells + 5 * i, 0, 5 * sizeof *cells);
        cells[5 * i + 4] = -20;
    }
}

TEST(detector_decodes_cells_into_boxes)
{
    enum { SIDE = 10 };
    tsr_real cells[SIDE * SIDE * 25];
    face_box boxes[SIDE * SIDE * 5];
    no_faces(cells, SIDE);
    CHECK_EQUAL(detector_decode(cells, SIDE, 0.5, boxes), 0);
    tsr_real *at = cells + ((2 * SIDE + 7) * 5 + 3) * 5; /* row 2, column 7, anchor 3 */
    at[0] = (tsr_real)log(3);                            /* three quarters of the cell to the right */
    at[3] = (tsr_real)log(2);
    at[4] = (tsr_real)log(4);
    CHECK_EQUAL(detector_decode(cells, SIDE, 0.5, boxes), 1);
    CHECK_NEAR(boxes[0].width, 0.4266906, 1e-6);
    CHECK_NEAR(boxes[0].height, 2 * 0.5178857, 1e-6);
    CHECK_NEAR(boxes[0].left + boxes[0].width / 2, 0.775, 1e-6);
    CHECK_NEAR(boxes[0].top + boxes[0].height / 2, 0.25, 1e-6);
    CHECK_NEAR(boxes[0].score, 0.8, 1e-6);
    CHECK_EQUAL(detector_decode(cells, SIDE, 0.81, boxes), 0);
    at[2] = 1e6; /* no size at all */
    CHECK_EQUAL(detector_decode(cells, SIDE, 0.5, boxes), 0);
}

TEST(detector_keeps_the_best_of_boxes_that_overlap)
{
    enum { SIDE = 10 };
    tsr_real cells[SIDE * SIDE * 25];
    face_box boxes[SIDE * SIDE * 5];
    no_faces(cells, SIDE);
    const double widths[] = {2.2, 3}; /* in cells: neighbours overlap by 0.375, and by 0.5 */
    for (int k = 0; k < 2; k++) {
        for (int column = 2; column <= 4; column++) { /* the middle one is the best */
            tsr_real *at = cells + (5 * SIDE + column) * 5 * 5;
            at[2] = (tsr_real)log(widths[k] / 1.603231);
            at[4] = (tsr_real)(column == 3 ? 3 : 2);
        }
        CHECK_EQUAL(detector_decode(cells, SIDE, 0.5, boxes), k ? 1 : 3);
        CHECK_NEAR(boxes[0].left + boxes[0].width / 2, 0.35, 1e-6);
        CHECK(k || boxes[1].left < boxes[2].left); /* equal scores: from the left on */
    }
}

TEST(landmarks68_five_are_eyes_nose_and_mouth)
{
    mark points[LANDMARKS], five[5];
    for (int i = 0; i < LANDMARKS; i++) points[i] = (mark){i, 100 - i};
    landmarks68_five(points, five);
    const double x[] = {38.5, 44.5, 30, 48, 54};
    for (int i = 0; i < 5; i++) {
        CHECK_NEAR(five[i].x, x[i], 1e-12);
        CHECK_NEAR(five[i].y, 100 - x[i], 1e-12);
    }
}

TEST(squares_hold_the_whole_picture_on_black)
{
    const double mean[3] = {10, 20, 30};
    tsr_context *ctx = tsr_open(NULL);
    image wide = {0};
    app_error error = {""};
    square_place place = {.size = 16, .centred = true};
    CHECK(image_new(&wide, 8, 4, 1, &error));
    memset(wide.pixels, 200, 32);
    const tsr_tensor *centred = square_input(ctx, &wide, &place, mean, &error);
    CHECK(tsr_same_shape(tsr_shape_of(centred), TSR_SHAPE(1, 16, 16, 3)));
    CHECK(place.scale == 2 && place.left == 0 && place.top == 4);
    CHECK_NEAR(tsr_data(centred)[3 * (3 * 16 + 5) + 1], -20 / 255.0, 1e-6);
    CHECK_NEAR(tsr_data(centred)[3 * (4 * 16 + 5) + 2], 170 / 255.0, 1e-6);
    CHECK_NEAR(tsr_data(centred)[3 * (11 * 16 + 15)], 190 / 255.0, 1e-6);
    place = (square_place){.size = 4};
    const tsr_tensor *corner = square_input(ctx, &wide, &place, mean, &error);
    CHECK(place.scale == 0.5 && place.left == 0 && place.top == 0);
    CHECK_NEAR(tsr_data(corner)[0], 190 / 255.0, 1e-6);
    CHECK_NEAR(tsr_data(corner)[3 * 2 * 4], -10 / 255.0, 1e-6);
    image_free(&wide);
    CHECK_EQUAL(tsr_close(ctx), 0);
}

/* The known picture, and the same in the middle of a larger black one: the box moves along. */
TEST(faces_and_landmarks_are_found_where_they_lie_in_the_photograph)
{
    if (!have_weights()) return;
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *detector = tsr_model_new(ctx), *points68 = tsr_model_new(ctx);
    const tsr_tensor *pixels = known_answer(ctx, "tiny_face_detector.input");
    image photo = {0}, large = {0};
    app_error error = {""};
    face_boxes near, far;
    mark points[LANDMARKS], moved[LANDMARKS], five[5];
    CHECK(tsr_model_load(detector, WEIGHTS "tiny_face_detector.safetensors", NULL));
    CHECK(tsr_model_load(points68, WEIGHTS "face_landmark68.safetensors", NULL));
    CHECK(image_new(&photo, 160, 160, 3, &error) && image_new(&large, 320, 320, 3, &error));
    for (int y = 0; y < 160; y++)
        for (int i = 0; i < 480; i++) {
            photo.pixels[480 * y + i] = (unsigned char)tsr_data(pixels)[480 * y + i];
            large.pixels[960 * (y + 64) + 3 * 96 + i] = photo.pixels[480 * y + i];
        }
    CHECK(detector_find(&near, detector, &photo, 160, 0.5, &error));
    CHECK(detector_find(&far, detector, &large, 320, 0.5, &error));
    CHECK(near.count == 1 && far.count >= 1);
    CHECK_NEAR((far.items[0].left - 96) / 160, near.items[0].left / 160, 0.05);
    CHECK_NEAR((far.items[0].top - 64) / 160, near.items[0].top / 160, 0.05);
    CHECK(landmarks68_find(points, points68, &photo, &near.items[0], &error));
    face_box there = near.items[0];
    there.left += 96;
    there.top += 64;
    CHECK(landmarks68_find(moved, points68, &large, &there, &error));
    for (int i = 0; i < LANDMARKS; i++) CHECK_NEAR(moved[i].x - points[i].x, 96, 0.03);
    landmarks68_five(points, five);
    CHECK(five[0].x < five[2].x && five[2].x < five[1].x && five[0].y < five[2].y && five[2].y < five[3].y);
    there.left = -500;
    CHECK(!landmarks68_find(moved, points68, &photo, &there, &error));
    CHECK_TEXT(error.text, "no landmarks: the face is outside the picture");
    app_error size = {""};
    face_boxes_free(&far);
    CHECK(!detector_find(&far, detector, &photo, 100, 0.5, &size));
    CHECK_CONTAINS(size.text, "a multiple of 32");
    face_boxes_free(&near);
    image_free(&photo);
    image_free(&large);
    CHECK_EQUAL(tsr_close(ctx), 0);
}
