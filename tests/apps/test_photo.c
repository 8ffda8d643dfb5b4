/* Faces found in photographs, and cut out of them. Most of it needs the published nets. */
#include "apps/common/canvas.h"
#include "apps/common/portraits.h"
#include "apps/facenet/facenet.h"

#include <stdlib.h>

#include "tests/apps/files.h"
#include "tests/apps/weights.h"

#define DETECTOR WEIGHTS "tiny_face_detector.safetensors"
#define POINTS WEIGHTS "face_landmark68.safetensors"

enum { WIDTH = 640, HEIGHT = 480, FACES = 3, CHIP = 150 };

/* Where three known chips of 150 pixels are pasted into the photograph. */
static const int corners[FACES][2] = {{20, 30}, {240, 250}, {450, 60}};
static const char *const chips[FACES] = {"face_resnet29.input_a", "face_resnet29.input_b", "face_resnet29.input_c"};

static bool paste(image *photo, tsr_context *ctx, const char *name, const int corner[2])
{
    const tsr_tensor *chip = known_answer(ctx, name);
    if (tsr_is_error(chip)) return false;
    for (int y = 0; y < CHIP; y++)
        for (int i = 0; i < 3 * CHIP; i++)
            photo->pixels[3 * ((y + corner[1]) * WIDTH + corner[0]) + i] = (unsigned char)tsr_data(chip)[3 * CHIP * y + i];
    return true;
}

/* A grey photograph with the first `count` of the faces. */
static bool write_photo(const char *path, int count)
{
    image photo;
    app_error error = {""};
    tsr_context *ctx = tsr_open(NULL);
    if (!image_new(&photo, WIDTH, HEIGHT, 3, &error)) return false;
    memset(photo.pixels, 110, (size_t)(3 * WIDTH * HEIGHT));
    bool done = true;
    for (int i = 0; i < count; i++) done = paste(&photo, ctx, chips[i], corners[i]) && done;
    done = done && image_write(&photo, path, &error);
    image_free(&photo);
    tsr_close(ctx);
    return done;
}

/* Which of the chips has this place in it, or -1. */
static int chip_at(double x, double y)
{
    for (int i = 0; i < FACES; i++)
        if (x > corners[i][0] && x < corners[i][0] + CHIP && y > corners[i][1] && y < corners[i][1] + CHIP) return i;
    return -1;
}

TEST(photo_finds_each_of_several_faces_and_sets_it_as_its_chip_was)
{
    static const double eyes[2][2] = {{47.4, 46.2}, {99.7, 46.2}};
    if (!have_weights()) return;
    const char *path = test_path("photo-three.png");
    tsr_context *ctx = tsr_open(NULL);
    face_finder finder;
    found_faces found;
    photo_faces cut;
    image photo;
    app_error error = {""};
    bool seen[FACES] = {false};
    CHECK(write_photo(path, FACES) && image_read(&photo, path, NULL, &error));
    CHECK(finder_open(&finder, ctx, DETECTOR, POINTS, &error));
    CHECK(finder_find(&found, &finder, &photo, &error));
    CHECK_EQUAL(found.count, FACES);
    for (int i = 0; i < FACES; i++) {
        const face_box *b = &found.items[i].box;
        const int which = chip_at(b->left + b->width / 2, b->top + b->height / 2);
        CHECK(which >= 0 && !seen[which] && (i == 0 || b->score <= found.items[i - 1].box.score));
        seen[which] = true;
        for (int k = 0; k < 2; k++) {
            CHECK(fabs(found.items[i].five.marks[k].x - corners[which][0] - eyes[k][0]) < 12);
            CHECK(fabs(found.items[i].five.marks[k].y - corners[which][1] - eyes[k][1]) < 12);
        }
    }
    const photo_cutter how = {.align = PHOTO_AUTO, .size = CHIP, .channels = 3, .finder = finder};
    CHECK(photo_cut(&cut, &how, path, &error));
    CHECK_EQUAL(cut.count, FACES);
    for (int i = 0; i < FACES; i++) {
        const face_box *b = &found.items[i].box;
        const int which = chip_at(b->left + b->width / 2, b->top + b->height / 2);
        const tsr_tensor *chip = known_answer(ctx, chips[which]);
        double apart = 0; /* mean difference of the inner part, in levels: the same face at the same place */
        for (int y = 30; y < 120; y++)
            for (int k = 90; k < 360; k++)
                apart += fabs(cut.items[i].picture.pixels[450 * y + k] - (double)tsr_data(chip)[450 * y + k]) / (90 * 270);
        CHECK(cut.items[i].picture.width == CHIP && apart < 25);
    }
    photo_faces_free(&cut);
    found_faces_free(&found);
    image_free(&photo);
    CHECK_EQUAL(tsr_close(ctx), 0);
}

/* Two of 90 pixels of 1200: too small at 416; and one of 500, too large at 832. */
TEST(photo_shows_small_and_large_faces)
{
    if (!have_weights()) return;
    static const int places[FACES][3] = {{60, 60, 90}, {600, 300, 500}, {300, 700, 90}}; /* left, top, side */
    tsr_context *ctx = tsr_open(NULL);
    face_finder finder;
    found_faces found;
    image photo;
    app_error error = {""};
    bool seen[FACES] = {false};
    CHECK(image_new(&photo, 1200, 900, 3, &error));
    memset(photo.pixels, 110, 3 * 1200 * 900);
    for (int i = 0; i < FACES; i++) {
        image chip = {0}, resized = {0};
        const tsr_tensor *known = known_answer(ctx, chips[i]);
        CHECK(image_new(&chip, CHIP, CHIP, 3, &error));
        for (int k = 0; k < 3 * CHIP * CHIP; k++) chip.pixels[k] = (unsigned char)tsr_data(known)[k];
        CHECK(image_resize(&resized, &chip, places[i][2], places[i][2], IMAGE_AREA, &error));
        canvas_blit(&photo, &resized, places[i][0], places[i][1]);
        image_free(&chip);
        image_free(&resized);
    }
    CHECK(finder_open(&finder, ctx, DETECTOR, POINTS, &error) && finder_find(&found, &finder, &photo, &error));
    for (int i = 0; i < found.count; i++)
        for (int k = 0; k < FACES; k++) {
            const face_box *b = &found.items[i].box;
            const double x = b->left + b->width / 2 - places[k][0], y = b->top + b->height / 2 - places[k][1];
            if (x > 0 && y > 0 && x < places[k][2] && y < places[k][2]) seen[k] = true;
        }
    CHECK(found.count == FACES && seen[0] && seen[1] && seen[2]);
    found_faces_free(&found);
    image_free(&photo);
    CHECK_EQUAL(tsr_close(ctx), 0);
}

TEST(photo_without_a_face_is_no_error)
{
    if (!have_weights()) return;
    const char *path = test_path("photo-none.png");
    tsr_context *ctx = tsr_open(NULL);
    photo_cutter how = {.align = PHOTO_AUTO, .size = 32, .channels = 1};
    photo_faces cut;
    app_error error = {""}, unread = {""};
    CHECK(write_photo(path, 0));
    CHECK(finder_open(&how.finder, ctx, DETECTOR, POINTS, &error));
    CHECK(photo_cut(&cut, &how, path, &error));
    CHECK_EQUAL(cut.count, 0);
    photo_faces_free(&cut);
    CHECK(!photo_cut(&cut, &how, "no/such.png", &unread));
    CHECK_CONTAINS(unread.text, "no/such.png: ");
    CHECK_EQUAL(tsr_close(ctx), 0);
}

TEST(photo_wants_the_right_nets)
{
    if (!have_weights()) return;
    static const char *const files[][3] = {{POINTS, POINTS, "no face detector: "}, {DETECTOR, DETECTOR, "no landmark net: "}};
    for (int i = 0; i < 2; i++) {
        tsr_context *ctx = tsr_open(NULL);
        face_finder finder;
        app_error error = {""};
        CHECK(!finder_open(&finder, ctx, files[i][0], files[i][1], &error));
        CHECK_CONTAINS(error.text, files[i][2]);
        tsr_close(ctx);
    }
}

/* A detector that sees a face in every cell: those that lie in the black below a wide photograph are none. */
TEST(photo_leaves_out_boxes_outside_of_it)
{
    tsr_context *ctx = tsr_open(NULL);
    face_finder finder = {tsr_model_new(ctx), tsr_model_new(ctx), 128, 0.5};
    found_faces found;
    image photo;
    app_error error = {""};
    detector_net(finder.detector, tsr_zeros(ctx, TSR_SHAPE(1, 32, 32, 3)));
    tsr_tensor *weight = tsr_model_tensor(finder.detector, tsr_model_find(finder.detector, "conv8.weight"));
    tsr_tensor *bias = tsr_model_tensor(finder.detector, tsr_model_find(finder.detector, "conv8.bias"));
    memset(tsr_write(weight), 0, (size_t)tsr_size(weight) * sizeof(tsr_real));
    for (int i = 0; i < 25; i++) tsr_write(bias)[i] = (tsr_real)(i == 4 ? 5 : i % 5 == 4 ? -5 : 0); /* the first anchor */
    CHECK(image_new(&photo, 128, 24, 1, &error));
    memset(photo.pixels, 100, 128 * 24);
    CHECK(finder_find(&found, &finder, &photo, &error));
    CHECK_TEXT(error.text, "");
    CHECK(found.count > 0);
    for (int i = 0; i < found.count; i++) CHECK(found.items[i].box.top < 24);
    found_faces_free(&found);
    image_free(&photo);
    CHECK_EQUAL(tsr_close(ctx), 0);
}

/* ---- data sets --------------------------------------------------------------------------------------------------- */

/* Two people, each with one photograph of a face; the second has one without, too. */
static bool make_people(const char *root)
{
    char path[400];
    bool done = add_file(root, "Ann", "note.txt", "") && add_file(root, "Bob", "note.txt", "");
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%.300s/%s/%d.png", root, i ? "Bob" : "Ann", i);
        done = done && write_photo(path, i == 2 ? 0 : i + 1);
    }
    return done;
}

/* With that many threads; the context is the caller's to close. */
static bool open_people(portraits *p, tsr_context **ctx, const char *root, portraits_request request, app_error *error)
{
    request.who.data = root;
    request.align = "auto";
    request.detector = DETECTOR;
    request.points = POINTS;
    request.size = 24;
    request.channels = 1;
    request.cache_mb = 1;
    return portraits_open(p, *ctx, &request, error);
}

TEST(portraits_find_the_same_faces_with_any_number_of_threads)
{
    if (!have_weights()) return;
    char root[256];
    portraits sets[2];
    tsr_context *contexts[2];
    app_error error = {""};
    snprintf(root, sizeof root, "%s", test_path("photo-people"));
    CHECK(make_people(root));
    for (int i = 0; i < 2; i++) {
        contexts[i] = tsr_open(&(tsr_options){.threads = i + 1});
        CHECK(open_people(&sets[i], &contexts[i], root, (portraits_request){0}, &error));
    }
    const landmark_list *one = &sets[0].faces, *two = &sets[1].faces;
    CHECK(one->count == 2 && two->count == 2);
    for (int i = 0; i < 2; i++) {
        CHECK_TEXT(one->items[i].path, two->items[i].path);
        CHECK(one->items[i].count == 5 && memcmp(one->items[i].marks, two->items[i].marks, sizeof one->items[i].marks) == 0);
    }
    CHECK(sets[0].pictures.count == 2 && sets[0].without_face == 1 && sets[0].persons.count == 2);
    CHECK_EQUAL(sets[0].broken.errors.count, 1);
    CHECK_CONTAINS(sets[0].broken.errors.names[0], "Bob/2.png: no face was found, or given, in it");
    CHECK(memcmp(sets[0].pictures.pixels, sets[1].pictures.pixels, 2 * 24 * 24) == 0);
    for (int i = 0; i < 2; i++) {
        portraits_close(&sets[i]);
        CHECK_EQUAL(tsr_close(contexts[i]), 0);
    }
}

TEST(portraits_without_a_face_are_fatal_or_cropped_as_asked)
{
    if (!have_weights()) return;
    char root[256];
    portraits p;
    tsr_context *ctx = tsr_open(NULL);
    app_error strict = {""}, fine = {""};
    snprintf(root, sizeof root, "%s", test_path("photo-undetected"));
    CHECK(make_people(root));
    CHECK(!open_people(&p, &ctx, root, (portraits_request){.strict = true}, &strict));
    CHECK_CONTAINS(strict.text, "Bob/2.png: no face was found, or given, in it");
    CHECK(open_people(&p, &ctx, root, (portraits_request){.part.size = 0.5}, &fine));
    CHECK(p.pictures.count == 3 && p.without_face == 1 && p.broken.errors.count == 0);
    portraits_close(&p);
    CHECK_EQUAL(tsr_close(ctx), 0);
}

TEST(photo_options_that_do_not_fit_together_are_told)
{
    static const struct {
        portraits_request request;
        const char *error;
    } wrong[] = {
        {{.align = "landmarks"}, "--align landmarks needs --landmarks"},
        {{.align = "auto", .landmarks = "a.tsv"}, "--landmarks is for --align landmarks, not for --align auto"},
        {{.align = "none", .landmarks = "a.tsv"}, "--landmarks is for --align landmarks, not for --align none"},
        {{.align = "auto"}, "--align auto needs --detector and --points (facenet import makes both)"},
        {{.landmarks = "no/such.tsv"}, "no/such.tsv: cannot be opened"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        tsr_context *ctx = tsr_open(NULL);
        photo_cutter cutter;
        landmark_list faces;
        app_error error = {""};
        const bool done = portraits_cutter(&cutter, &faces, ctx, &wrong[i].request, &error);
        tsr_close(ctx);
        CHECK(!done);
        CHECK_CONTAINS(error.text, wrong[i].error);
    }
}

/* ---- the verb ---------------------------------------------------------------------------------------------------- */

enum { MOST_ARGUMENTS = 16 };

static int detect(const char *words)
{
    char text[2000], *arguments[MOST_ARGUMENTS];
    int count = 0;
    snprintf(text, sizeof text, "--detector " DETECTOR " --points " POINTS " %s", words);
    for (char *at = strtok(text, " "); at && count < MOST_ARGUMENTS; at = strtok(NULL, " ")) arguments[count++] = at;
    return facenet_detect(count, arguments);
}

TEST(detect_writes_boxes_and_landmarks_that_can_be_read_again)
{
    if (!have_weights()) return;
    char three[256], none[256], out[256], lists[2][300], words[1500], first[1000], second[1000];
    landmark_list list;
    image drawn;
    app_error error = {""};
    snprintf(three, sizeof three, "%s", test_path("detect-three.png"));
    snprintf(none, sizeof none, "%s", test_path("detect-none.png"));
    snprintf(out, sizeof out, "%s", test_path("detect-out"));
    CHECK(write_photo(three, FACES) && write_photo(none, 0));
    for (int i = 0; i < 2; i++) {
        snprintf(lists[i], sizeof lists[i], "%s-%d.tsv", out, i);
        snprintf(words, sizeof words, "--threads %d --out %s --landmarks %s %s %s", i + 1, out, lists[i], three, none);
        CHECK_EQUAL(detect(words), 0);
    }
    CHECK_TEXT(read_text(lists[0], first, sizeof first), read_text(lists[1], second, sizeof second));
    CHECK(landmarks_read(&list, lists[0], &error));
    const landmarks *main = landmarks_of(&list, three);
    const bool right = list.count == 1 && main && main->count == 5 && chip_at(main->marks[2].x, main->marks[2].y) == 1;
    landmarks_free(&list);
    CHECK(right); /* the face nearest to the middle */
    snprintf(words, sizeof words, "%s%s.png", out, strrchr(three, '/'));
    CHECK(image_read(&drawn, words, NULL, &error));
    int green = 0;
    for (int i = 0; i < WIDTH * HEIGHT; i++) green += drawn.pixels[3 * i] == 0 && drawn.pixels[3 * i + 1] == 230;
    image_free(&drawn);
    CHECK(green > FACES * 4 * 60);
    snprintf(words, sizeof words, "%s no/such.png", three);
    CHECK_EQUAL(detect(words), 1);
    snprintf(words, sizeof words, "--size 100 %s", three);
    CHECK_EQUAL(detect(words), 2);
    CHECK_EQUAL(detect(""), 2);
}
