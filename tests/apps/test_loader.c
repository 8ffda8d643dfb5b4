/* Pictures made when they are wanted: the same whatever is held and however many threads; what happens to broken
 * ones. */
#define _POSIX_C_SOURCE 200809L

#include "apps/common/portraits.h"

#include <stdlib.h>
#include <unistd.h>

#include "apps/common/sampler.h"
#include "tessera.h"
#include "tests/apps/files.h"
#include "tests/apps/pictures.h"
#include "tests/test.h"

static bool open_at(portraits *p, tsr_context *ctx, const char *data, int cache_mb, bool strict, app_error *error)
{
    const portraits_request request = {.who.data = data, .strict = strict, .cache_mb = cache_mb, .size = 2, .channels = 3};
    return portraits_open(p, ctx, &request, error);
}

/* Of three grey pixels the middle square is one; the other picture is in colour. */
static const char *grey = "P2 3 1 9\n0 9 0", *red = "P3 1 1 255\n255 0 0", *broken = "P5 9 9 255\nxyz";

static bool make_set(char *root, const char *name)
{
    snprintf(root, 256, "%s", test_path(name));
    return add_file(root, "Ann", "1.pgm", grey) && add_file(root, "Ann", "2.pgm", broken) && add_file(root, "Ann", "3.ppm", red) &&
           add_file(root, "Bob", "1.pgm", broken) && add_file(root, "Cy", "1.ppm", red) && add_file(root, "Cy", "2.jpg", "");
}

/* ---- loading ----------------------------------------------------------------------------------------------------- */

/* An 80 x 60 picture, black but for a white square of 20 pixels around (30, 25) where its landmarks are. */
static bool write_face(const char *path)
{
    image p;
    app_error error = {""};
    if (!image_new(&p, 80, 60, 1, &error)) return false;
    for (int y = 15; y < 35; y++) memset(p.pixels + y * 80 + 20, 255, 20);
    const bool done = image_write(&p, path, &error);
    image_free(&p);
    return done;
}

TEST(loader_takes_the_middle_or_the_face_at_its_landmarks)
{
    tsr_context *ctx = tsr_open(NULL);
    char root[256], path[300], list[300];
    app_error error = {""}, missing = {""};
    landmark_list faces, others;
    snprintf(root, sizeof root, "%s", test_path("loader-faces"));
    CHECK(folder_make(root, &error));
    snprintf(path, sizeof path, "%s/face.png", root);
    snprintf(list, sizeof list, "%s/points.tsv", root);
    CHECK(write_face(path));
    CHECK(write_text(list, "face\t26\t23\t34\t23\n") && landmarks_read(&faces, list, &error));
    CHECK(write_text(list, "other.png\t26\t23\t34\t23\n") && landmarks_read(&others, list, &error));
    char *paths[] = {path};
    picture_files files = {.paths = paths, .part.size = 0.5}; /* x from 25 to 55, y from 15 to 45 */
    pictures p = {.count = 1, .size = 2, .channels = 1, .ctx = ctx, .make = picture_decode, .source = &files};
    CHECK(pictures_open(&p, 1, NULL, &error));
    const bool middle = p.pixels[0] == 255 && p.pixels[1] == 0 && p.pixels[2] == 85 && p.pixels[3] == 0;
    pictures_close(&p);
    files.faces = &faces; /* eyes 8 apart in a square of 8 * 150 / 52 = 23: all of the white one and a rim of black */
    p = (pictures){.count = 1, .size = 8, .channels = 1, .ctx = ctx, .make = picture_decode, .source = &files};
    CHECK(pictures_open(&p, 1, NULL, &error));
    int white = 0;
    for (int i = 0; i < 64; i++) white += p.pixels[i] > 128;
    pictures_close(&p);
    files = (picture_files){.paths = paths, .faces = &others};
    p = (pictures){.count = 1, .size = 8, .channels = 1, .ctx = ctx, .make = picture_decode, .source = &files};
    const bool found = pictures_open(&p, 1, NULL, &missing);
    landmarks_free(&faces);
    landmarks_free(&others);
    tsr_close(ctx);
    CHECK(middle);
    CHECK(white >= 30 && white <= 42);
    CHECK(!found);
    CHECK_CONTAINS(missing.text, "face.png: no face was found, or given, in it");
}

TEST(loader_makes_middle_squares_of_one_size)
{
    tsr_context *ctx = tsr_open(NULL);
    pictures rgb = {.count = 2, .size = 2, .channels = 3, .ctx = ctx, .make = picture_decode}, greys = rgb;
    char root[256], one[300], two[300];
    app_error error = {""};
    snprintf(root, sizeof root, "%s", test_path("loader-squares"));
    CHECK(add_file(root, "Ann", "1.pgm", grey) && add_file(root, "Ann", "2.ppm", red));
    snprintf(one, sizeof one, "%s/Ann/1.pgm", root);
    snprintf(two, sizeof two, "%s/Ann/2.ppm", root);
    char *paths[] = {one, two};
    rgb.source = greys.source = &(picture_files){.paths = paths};
    greys.channels = 1;
    CHECK(pictures_open(&rgb, 1, NULL, &error) && pictures_open(&greys, 1, NULL, &error));
    bool right = rgb.held == 2 && rgb.labels[1] == 0;
    for (int i = 0; i < 12; i++) right = right && rgb.pixels[i] == 255 && rgb.pixels[12 + i] == (i % 3 == 0 ? 255 : 0);
    for (int i = 0; i < 4; i++) right = right && greys.pixels[i] == 255 && greys.pixels[4 + i] == 76; /* red's luma */
    pictures_close(&rgb);
    pictures_close(&greys);
    tsr_close(ctx);
    CHECK(right);
}

TEST(loader_skips_broken_pictures_by_name_or_stops_at_the_first)
{
    tsr_context *ctx = tsr_open(NULL);
    for (int cache = 0; cache < 2; cache++) {
        char root[256];
        portraits p;
        app_error error = {""}, strict = {""};
        unsigned char pixels[36];
        CHECK(make_set(root, "loader-broken"));
        CHECK(open_at(&p, ctx, root, cache, false, &error));
        CHECK_EQUAL(p.broken.errors.count, 3);
        CHECK_CONTAINS(p.broken.errors.names[0], "/Ann/2.pgm: is truncated");
        CHECK_CONTAINS(p.broken.errors.names[1], "/Bob/1.pgm: is truncated");
        CHECK_CONTAINS(p.broken.errors.names[2], "/Cy/2.jpg: ");
        CHECK_EQUAL(p.pictures.count, 3);
        CHECK_EQUAL(p.persons.count, 2); /* nothing of Bob is left */
        CHECK_EQUAL(people_find(&p.persons, "Cy"), 1);
        CHECK_EQUAL(people_singles(&p.persons), 1);
        CHECK(p.pictures.labels[0] == 0 && p.pictures.labels[1] == 0 && p.pictures.labels[2] == 1);
        CHECK(p.persons.places[1] == 3 && p.pictures.held == (cache ? 3 : 0));
        CHECK(pictures_fetch(&p.pictures, (int[]){2, 0, 1}, 3, pixels, &error));
        CHECK(pixels[0] == 255 && pixels[1] == 0 && pixels[13] == 255 && pixels[24] == 255 && pixels[25] == 0);
        portraits_close(&p);
        CHECK(!open_at(&p, ctx, root, cache, true, &strict));
        CHECK_CONTAINS(strict.text, "/Ann/2.pgm: is truncated");
    }
    tsr_close(ctx);
}

TEST(loader_refuses_a_set_without_a_good_picture)
{
    tsr_context *ctx = tsr_open(NULL);
    char root[256], list[300];
    portraits p;
    app_error error = {""}, missing = {""}, size = {""}, many = {""};
    snprintf(root, sizeof root, "%s", test_path("loader-bad"));
    CHECK(add_file(root, "Ann", "1.pgm", broken) && add_file(root, "Bob", "1.pgm", broken));
    CHECK(!open_at(&p, ctx, root, 1, false, &error));
    CHECK_CONTAINS(error.text, "none of 2 pictures can be read; the first: ");
    CHECK_CONTAINS(error.text, "/Ann/1.pgm: is truncated");
    snprintf(list, sizeof list, "%s", test_path("loader-missing.txt"));
    CHECK(write_text(list, "loader-nowhere.pgm\tAnn\n"));
    CHECK(!open_at(&p, ctx, list, 1, true, &missing));
    CHECK_CONTAINS(missing.text, "build/test-tmp/loader-nowhere.pgm: cannot be opened (");
    pictures wrong = {.count = 1, .size = 1 << 20, .channels = 3, .ctx = ctx, .make = picture_decode};
    CHECK(!pictures_open(&wrong, 1, NULL, &size));
    CHECK_CONTAINS(size.text, "cannot be loaded at 1048576 x 1048576");
    const portraits_request crowd = {.who.limit = 1000000, .per_person = 1000000, .size = 16, .channels = 1};
    CHECK(!portraits_open(&p, ctx, &crowd, &many));
    CHECK_CONTAINS(many.text, "there cannot be 1000000 drawn people");
    tsr_close(ctx);
}

TEST(loader_says_which_picture_has_gone_since)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.threads = 3});
    char root[256], path[300];
    portraits p;
    app_error error = {""}, gone = {""};
    unsigned char pixels[36];
    tsr_real values[36];
    CHECK(make_set(root, "loader-gone") && open_at(&p, ctx, root, 0, false, &error));
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/Ann/%s", root, i ? "3.ppm" : "1.pgm");
        CHECK(unlink(path) == 0);
    }
    const bool fetched = pictures_fetch(&p.pictures, (int[]){2, 1, 0}, 3, pixels, &error);
    const bool inputs = pictures_inputs(&p.pictures, (int[]){2, 0, 1}, 3, (variation){0}, values, &gone);
    portraits_close(&p);
    tsr_close(ctx);
    CHECK(!fetched && !inputs);
    CHECK_CONTAINS(error.text, "/Ann/3.ppm: cannot be opened (");
    CHECK_CONTAINS(gone.text, "/Ann/1.pgm: cannot be opened (");
}

/* ---- the same bits ----------------------------------------------------------------------------------------------- */

/* 10 people with 5 pictures of 160 x 160 in grey each: 1.2 MB. */
static bool make_crowd(char *root)
{
    app_error error = {""};
    snprintf(root, 256, "%s", test_path("loader-crowd"));
    for (int who = 0; who < 10; who++)
        for (int i = 0; i < 5; i++) {
            image picture = {0};
            char path[300];
            snprintf(path, sizeof path, "%s/%d", root, who);
            if (!folder_make(path, &error) || !make_sample(&picture, 170 + who, 160, 1)) return false;
            for (int x = 0; x < 1000; x++) picture.pixels[x + 2000 * who + 500 * i] = (unsigned char)(i * 50);
            snprintf(path, sizeof path, "%s/%d/%d.pgm", root, who, i);
            FILE *file = fopen(path, "wb");
            if (!file) return false;
            fprintf(file, "P5 %d 160 255\n", 170 + who);
            fwrite(picture.pixels, (size_t)picture.width, 160, file);
            image_free(&picture);
            if (fclose(file) != 0) return false;
        }
    return true;
}

/* Trains a small net for a few steps, batches as facenet makes them; its parameters' values, summed with their
 * places. */
static bool train(const char *root, int cache_mb, int threads, int *held, double *out)
{
    enum { BATCH = 12, SIDE = 160 };
    app_error error = {""};
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = 3, .threads = threads});
    tsr_model *m = tsr_model_new(ctx);
    tsr_optimizer *opt = tsr_adam(m, &(tsr_adam_options){.lr = 0.01});
    const portraits_request request = {.who.data = root, .strict = true, .cache_mb = cache_mb, .size = SIDE, .channels = 1};
    const augmentation how = {.shift = 0.1, .rotation = 0.1, .noise = 3, .flip = true};
    portraits p;
    sampler s = {0};
    bool done = portraits_open(&p, ctx, &request, &error) && sampler_open(&s, &p.pictures, 4, 3, 3, &error);
    *held = p.pictures.held;
    for (int64_t step = 0; done && step < 4; step++)
        TSR_SCOPE(ctx) {
            int numbers[BATCH];
            tsr_tensor *x = tsr_zeros(ctx, TSR_SHAPE(BATCH, SIDE, SIDE, 1));
            sampler_draw(&s, step, numbers);
            done = pictures_inputs(&p.pictures, numbers, BATCH, (variation){&how, {3, (uint64_t)step}}, tsr_write(x),
                                   &error);
            x = tsr_nn_conv(m, "conv", x, 4, &(tsr_conv_options){.kernel = {5, 5}, .stride = {5, 5}, .activation = TSR_RELU});
            tsr_backward(tsr_mean(tsr_square(tsr_nn_linear(m, "out", x, 8, NULL)), NULL));
            tsr_step(opt);
        }
    *out = 0;
    for (int i = 0; done && i < 2; i++) {
        const tsr_tensor *weight = tsr_model_tensor(m, tsr_model_find(m, i ? "out.weight" : "conv.weight"));
        for (int64_t k = 0; k < tsr_size(weight); k++) *out += (double)tsr_data(weight)[k] * (double)(1 + k % 977);
    }
    done = done && !tsr_error(ctx);
    sampler_close(&s);
    portraits_close(&p);
    tsr_close(ctx);
    return done;
}

TEST(loader_leads_to_the_same_model_for_any_cache_and_threads)
{
    char root[256];
    CHECK(make_crowd(root));
    double expected = 0;
    for (int cache = 0; cache < 3; cache++)
        for (int threads = 1; threads < 4; threads++) {
            double sum;
            int held;
            CHECK(train(root, cache, threads, &held, &sum));
            CHECK_EQUAL(held, cache == 0 ? 0 : cache == 1 ? 40 : 50);
            if (cache == 0 && threads == 1) expected = sum;
            CHECK(sum == expected && sum != 0);
        }
}

TEST(loader_draws_the_same_faces_again)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.threads = 2});
    const portraits_request request = {.who.limit = 3, .per_person = 2, .cache_mb = 1, .size = 16, .channels = 3};
    portraits_request none = request;
    none.cache_mb = 0;
    portraits a, b;
    app_error error = {""};
    static unsigned char pixels[6 * 16 * 16 * 3];
    const int numbers[] = {0, 1, 2, 3, 4, 5};
    CHECK(portraits_open(&a, ctx, &request, &error) && portraits_open(&b, ctx, &none, &error));
    CHECK(pictures_fetch(&b.pictures, numbers, 6, pixels, &error));
    const bool same = memcmp(a.pictures.pixels, pixels, sizeof pixels) == 0;
    portraits_close(&a);
    portraits_close(&b);
    tsr_close(ctx);
    CHECK(same);
}

/* Rows get lighter downwards. */
TEST(loader_takes_the_middle_square_or_squeezes_the_whole)
{
    app_error error = {""};
    image in, square, whole, low;
    CHECK(image_new(&in, 4, 8, 1, &error));
    for (int y = 0; y < 8; y++)
        for (int x = 0; x < 4; x++) in.pixels[y * 4 + x] = (unsigned char)(y * 20);
    CHECK(picture_square(&square, &in, (picture_part){0}, 4, 1, &error));
    CHECK(picture_square(&whole, &in, (picture_part){.whole = true}, 4, 1, &error));
    CHECK(picture_square(&low, &in, (picture_part){.size = 0.5, .down = 9}, 2, 1, &error));
    const bool right = square.pixels[0] == 40 && square.pixels[12] == 100 && whole.pixels[0] == 10 &&
                       whole.pixels[12] == 130 && low.pixels[0] == 120;
    image_free(&in);
    image_free(&square);
    image_free(&whole);
    image_free(&low);
    CHECK(right);
}
