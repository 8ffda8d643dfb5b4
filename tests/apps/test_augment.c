/* Pictures on their way into a net. */
#include "apps/common/augment.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "apps/common/faces.h"
#include "apps/common/plot.h"
#include "tests/known-answers/known.h"
#include "tests/test.h"

TEST(input_pictures_are_whitened_and_a_flat_one_is_zero)
{
    unsigned char pixels[48] = {0};
    tsr_real x[48];
    double sum = 0, square = 0;
    for (int i = 0; i < 48; i++) pixels[i] = (unsigned char)(i * 5 + i % 3);
    picture_to_input(pixels, 4, 3, NULL, (tsr_rng){1, 1}, x);
    for (int i = 0; i < 48; i++) sum += (double)x[i] / 48;
    for (int i = 0; i < 48; i++) square += (double)x[i] * (double)x[i] / 48;
    CHECK_NEAR(sum, 0, 1e-5);
    CHECK_NEAR(square, 1, 1e-5);
    memset(pixels, 200, sizeof pixels);
    picture_to_input(pixels, 4, 3, NULL, (tsr_rng){1, 1}, x);
    for (int i = 0; i < 48; i++) CHECK_EQUAL(x[i], 0);
}

TEST(input_pictures_vary_by_their_rng_and_not_without_a_variation)
{
    unsigned char pixels[256];
    tsr_real plain[256], same[256], a[256], b[256], mirrored[256];
    const augmentation none = {0}, some = {.shift = 0.1, .scale = 0.1, .rotation = 0.2}, flip = {.flip = true};
    for (int i = 0; i < 256; i++) pixels[i] = (unsigned char)((i * i) % 251);
    picture_to_input(pixels, 16, 1, NULL, (tsr_rng){1, 1}, plain);
    picture_to_input(pixels, 16, 1, &none, (tsr_rng){1, 1}, same);
    for (int i = 0; i < 256; i++) CHECK_NEAR(same[i], plain[i], 1e-5);
    picture_to_input(pixels, 16, 1, &some, (tsr_rng){1, 1}, a);
    picture_to_input(pixels, 16, 1, &some, (tsr_rng){1, 2}, b);
    CHECK(memcmp(a, b, sizeof a) != 0);
    for (uint64_t stream = 0; stream < 64; stream++) { /* sooner or later one is mirrored, and then exactly */
        picture_to_input(pixels, 16, 1, &flip, (tsr_rng){1, stream}, mirrored);
        if (fabs((double)(mirrored[0] - plain[15])) < 1e-5 && fabs((double)(mirrored[15] - plain[0])) < 1e-5) return;
    }
    CHECK(false);
}

/* ---- single steps ------------------------------------------------------------------------------------------------ */

/* PIL works with whole grey levels and cuts off at 0 and 255. */
static bool colours_like_pil(tsr_context *ctx, const char *name, const double factors[3])
{
    tsr_tensor *picture = known_tensor(ctx, "images.safetensors", "colour");
    const tsr_tensor *expected = known_tensor(ctx, "images.safetensors", name);
    if (tsr_error(ctx)) return false;
    const int count = (int)tsr_size(picture);
    tsr_real *values = tsr_write(picture);
    picture_colour(values, count, 3, factors);
    for (int i = 0; i < count; i++)
        if (fabs(fmin(fmax((double)values[i], 0), 255) - (double)tsr_data(expected)[i]) > 1.5) return false;
    return true;
}

TEST(picture_colours_agree_with_pil)
{
    static const char *const names[] = {"brightness", "contrast", "saturation"};
    tsr_context *ctx = tsr_open(NULL);
    bool same = true;
    for (int i = 0; i < 6; i++) {
        char name[32];
        double factors[] = {1, 1, 1};
        factors[i / 2] = i % 2 ? 1.5 : 0.4;
        snprintf(name, sizeof name, "%s_%.1f", names[i / 2], factors[i / 2]);
        same = same && colours_like_pil(ctx, name, factors);
    }
    tsr_close(ctx);
    CHECK(same);
}

TEST(picture_blur_has_the_deviation_asked_for)
{
    enum { SIZE = 41, MIDDLE = SIZE / 2 };
    static const double deviations[] = {0, 0.3, 1, 2.2};
    static tsr_real values[SIZE * SIZE * 3];
    for (int d = 0; d < 4; d++) {
        double sum = 0, across = 0, down = 0, slant = 0;
        memset(values, 0, sizeof values);
        values[(MIDDLE * SIZE + MIDDLE) * 3 + 1] = 1000;
        picture_blur(values, SIZE, 3, deviations[d]);
        for (int i = 0; i < SIZE * SIZE; i++) {
            const double v = (double)values[3 * i + 1] / 1000;
            const int x = i % SIZE - MIDDLE, y = i / SIZE - MIDDLE;
            CHECK(values[3 * i] == 0 && values[3 * i + 2] == 0 && v >= 0);
            if (x > 0) CHECK(values[3 * i + 1] <= values[3 * i - 2]); /* falls from the middle */
            sum += v;
            across += v * x * x;
            down += v * y * y;
            slant += v * x * y;
        }
        CHECK_NEAR(sum, 1, 1e-4);
        CHECK_NEAR(sqrt(across), deviations[d], 1e-4);
        CHECK_NEAR(sqrt(down), deviations[d], 1e-4);
        CHECK_NEAR(slant, 0, 1e-4);
    }
    for (int i = 0; i < 75; i++) values[i] = 77;
    picture_blur(values, 5, 3, 1.5);
    for (int i = 0; i < 75; i++) CHECK_NEAR(values[i], 77, 1e-5); /* the border takes nothing away */
}

TEST(picture_standardize_takes_each_channel_by_itself)
{
    tsr_real values[] = {100, 100, 100, 120, 140, 160};
    picture_standardize(values, 6, 3, (double[]){100, 120, 140}, (double[]){10, 20, 40});
    const double expected[] = {0, -1, -1, 2, 1, 0.5};
    for (int i = 0; i < 6; i++) CHECK_EQUAL(values[i], expected[i]);
}

/* ---- draws ------------------------------------------------------------------------------------------------------- */

enum { SIDE = 24, VALUES = SIDE * SIDE * 3 };

static void make_pixels(unsigned char *pixels)
{
    for (int i = 0; i < VALUES; i++) pixels[i] = (unsigned char)(80 + i / 3 % SIDE * 2 + i / 3 / SIDE + i % 3 * 20);
}

static double mean_of(const tsr_real *values)
{
    double sum = 0;
    for (int i = 0; i < VALUES; i++) sum += (double)values[i];
    return sum / VALUES;
}

TEST(picture_brightness_covers_its_range)
{
    unsigned char pixels[VALUES];
    tsr_real plain[VALUES], varied[VALUES];
    const augmentation how = {.brightness = 0.4};
    double lowest = 9, highest = 0;
    make_pixels(pixels);
    picture_vary(pixels, SIDE, 3, NULL, (tsr_rng){1, 0}, plain);
    for (uint64_t stream = 0; stream < 400; stream++) {
        picture_vary(pixels, SIDE, 3, &how, (tsr_rng){1, stream}, varied);
        const double factor = mean_of(varied) / mean_of(plain);
        lowest = fmin(lowest, factor);
        highest = fmax(highest, factor);
    }
    CHECK(lowest > 0.6 - 1e-5 && lowest < 0.61);
    CHECK(highest < 1.4 + 1e-5 && highest > 1.39);
}

TEST(picture_noise_has_its_deviation_and_no_mean)
{
    unsigned char pixels[VALUES];
    tsr_real varied[VALUES];
    const augmentation how = {.noise = 20};
    double square = 0, sum = 0, deepest = 0;
    memset(pixels, 128, sizeof pixels);
    for (uint64_t stream = 0; stream < 200; stream++) {
        double own = 0;
        picture_vary(pixels, SIDE, 3, &how, (tsr_rng){2, stream}, varied);
        for (int i = 0; i < VALUES; i++) {
            const double d = (double)varied[i] - 128;
            sum += d;
            own += d * d / VALUES;
        }
        square += own / 200;
        deepest = fmax(deepest, sqrt(own));
    }
    CHECK_NEAR(sum / VALUES / 200, 0, 0.1);
    CHECK_NEAR(square, 400 / 3.0, 0.1); /* of deviations drawn evenly from 0 to 20 */
    CHECK(deepest > 19 && deepest < 20.7);
}

TEST(picture_crop_shows_a_part_and_nothing_from_outside)
{
    unsigned char pixels[VALUES];
    tsr_real varied[VALUES];
    const augmentation how = {.crop = 0.5};
    double narrowest = 99, leftmost = 99, rightmost = 0;
    for (int i = 0; i < VALUES; i++) pixels[i] = (unsigned char)(i / 3 % SIDE * 10); /* says where it comes from */
    for (uint64_t stream = 0; stream < 400; stream++) {
        picture_vary(pixels, SIDE, 3, &how, (tsr_rng){3, stream}, varied);
        const double left = (double)varied[3 * 12] / 10, right = (double)varied[3 * 13] / 10; /* neighbours */
        narrowest = fmin(narrowest, right - left);
        leftmost = fmin(leftmost, left);
        rightmost = fmax(rightmost, right);
        CHECK(right - left < 1 + 1e-5);
        CHECK((double)varied[3 * 20] - (double)varied[3 * 19] > 10 * (right - left) - 1e-3); /* no border repeated */
    }
    CHECK(narrowest >= 0.5 - 1e-5 && narrowest < 0.51);
    CHECK(leftmost < 7 && rightmost > 17);
}

static const augmentation everything = {.shift = 0.05, .scale = 0.05, .rotation = 0.1, .flip = true, .crop = 0.2,
                                        .blur = 1, .brightness = 0.2, .contrast = 0.2, .saturation = 0.2, .noise = 5,
                                        .erase = 1};

TEST(pictures_vary_by_their_rng_alone)
{
    unsigned char pixels[VALUES];
    tsr_real a[VALUES], b[VALUES], other[VALUES];
    make_pixels(pixels);
    picture_to_input(pixels, SIDE, 3, &everything, (tsr_rng){1, 7}, a);
    picture_to_input(pixels, SIDE, 3, &everything, (tsr_rng){1, 8}, other);
    picture_to_input(pixels, SIDE, 3, &everything, (tsr_rng){1, 7}, b);
    CHECK(memcmp(a, b, sizeof a) == 0);
    CHECK(memcmp(a, other, sizeof a) != 0);
    picture_to_input(pixels, SIDE, 3, &everything, (tsr_rng){2, 7}, other);
    CHECK(memcmp(a, other, sizeof a) != 0);
}

/* The warp of a picture that says where each pixel comes from, the level of its noise, the place of its erasing: the
 * same with and without the others. */
TEST(picture_variations_do_not_disturb_each_other)
{
    static const augmentation alone[] = {{.shift = 0.05}, {.flip = true},      {.crop = 0.3},
                                         {.blur = 2},     {.brightness = 0.3}, {.noise = 4}};
    static const augmentation with[] = {{.shift = 0.05, .noise = 1e-9, .blur = 1e-9, .erase = 1, .scale = 1e-12},
                                        {.flip = true, .rotation = 1e-12, .contrast = 1e-9, .erase = 1, .crop = 1e-12},
                                        {.crop = 0.3, .shift = 1e-12, .saturation = 1e-9, .noise = 1e-9},
                                        {.blur = 2, .noise = 1e-9, .crop = 1e-12, .brightness = 1e-9},
                                        {.brightness = 0.3, .contrast = 1e-9, .noise = 1e-9, .shift = 1e-12},
                                        {.noise = 4, .blur = 1e-9, .brightness = 1e-9, .crop = 1e-12, .scale = 1e-12}};
    unsigned char pixels[VALUES];
    tsr_real a[VALUES], b[VALUES];
    make_pixels(pixels);
    for (int i = 0; i < 6; i++)
        for (uint64_t stream = 0; stream < 8; stream++) {
            picture_vary(pixels, SIDE, 3, &alone[i], (tsr_rng){5, stream}, a);
            picture_vary(pixels, SIDE, 3, &with[i], (tsr_rng){5, stream}, b);
            for (int k = 0; k < VALUES; k++) CHECK_NEAR(b[k], a[k], 1e-5);
        }
}

TEST(picture_erasing_wipes_the_same_rectangle_whatever_else_varies)
{
    unsigned char pixels[VALUES];
    tsr_real a[VALUES], b[VALUES];
    const augmentation only = {.erase = 1}, never = {.erase = 0};
    make_pixels(pixels);
    for (uint64_t stream = 0; stream < 50; stream++) {
        int left = SIDE, right = -1, top = SIDE, bottom = -1, wiped = 0;
        picture_to_input(pixels, SIDE, 3, &only, (tsr_rng){6, stream}, a);
        picture_to_input(pixels, SIDE, 3, &everything, (tsr_rng){6, stream}, b);
        for (int i = 0; i < SIDE * SIDE; i++) {
            if (a[3 * i] != 0 || a[3 * i + 1] != 0 || a[3 * i + 2] != 0) continue;
            CHECK(b[3 * i] == 0 && b[3 * i + 1] == 0 && b[3 * i + 2] == 0);
            left = i % SIDE < left ? i % SIDE : left;
            right = i % SIDE > right ? i % SIDE : right;
            top = i / SIDE < top ? i / SIDE : top;
            bottom = i / SIDE;
            wiped++;
        }
        const int width = right - left + 1, height = bottom - top + 1;
        CHECK_EQUAL(wiped, width * height); /* a whole rectangle */
        CHECK(width >= SIDE / 8 && width <= SIDE / 3 && height >= SIDE / 8 && height <= SIDE / 3);
        picture_to_input(pixels, SIDE, 3, &never, (tsr_rng){6, stream}, b);
        for (int i = 0; i < VALUES; i++) CHECK(a[i] == 0 || a[i] == b[i]);
    }
}

TEST(picture_variation_works_on_the_smallest_pictures)
{
    const unsigned char pixels[12] = {10, 200, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120};
    for (int size = 1; size <= 2; size++)
        for (int channels = 1; channels <= 3; channels += 2)
            for (uint64_t stream = 0; stream < 20; stream++) {
                tsr_real out[12];
                picture_to_input(pixels, size, channels, &everything, (tsr_rng){1, stream}, out);
                for (int i = 0; i < size * size * channels; i++) CHECK(fabs((double)out[i]) < 4);
            }
}

/* ---- for the eyes ------------------------------------------------------------------------------------------------ */

static bool add_row(image *views, const image *face, const augmentation *how)
{
    app_error error = {""};
    enum { COUNT = 96 * 96 * 3 };
    tsr_real *values = malloc(COUNT * sizeof *values);
    bool done = values != NULL;
    for (int k = 0; done && k < 8; k++) {
        const tsr_rng rng = {1, (uint64_t)k};
        done = image_new(&views[k], 96, 96, 3, &error);
        if (!done) break;
        picture_vary(face->pixels, 96, 3, how, rng, values);
        for (int i = 0; i < COUNT; i++) values[i] -= 128;
        picture_erase(values, 96, 3, how, rng);
        for (int i = 0; i < COUNT; i++) views[k].pixels[i] = (unsigned char)((double)values[i] + 128.5);
    }
    free(values);
    return done;
}

/* Leaves build/test-tmp/augmentation.png: a row for each variation by itself, all of them at the bottom. */
TEST(pictures_varied_make_a_sheet)
{
    static const struct {
        const char *name;
        augmentation how;
    } rows[] = {{"shift", {.shift = 0.08}},         {"scale", {.scale = 0.15}},     {"rotation", {.rotation = 0.2}},
                {"flip", {.flip = true}},           {"crop", {.crop = 0.4}},        {"blur", {.blur = 3}},
                {"brightness", {.brightness = 0.5}}, {"contrast", {.contrast = 0.6}}, {"saturation", {.saturation = 1}},
                {"noise", {.noise = 30}},           {"erase", {.erase = 1}},
                {"all", {.shift = 0.05, .scale = 0.08, .rotation = 0.1, .flip = true, .crop = 0.2, .blur = 1,
                         .brightness = 0.3, .contrast = 0.3, .saturation = 0.5, .noise = 8, .erase = 0.5}}};
    enum { ROWS = sizeof rows / sizeof *rows };
    app_error error = {""};
    image face, views[ROWS * 8] = {{0}}, sheet = {0};
    contact contacts[ROWS * 8];
    bool done = image_new(&face, 96, 96, 3, &error) && faces_draw(&face, 1, 3, 0, &error);
    for (int i = 0; i < ROWS * 8; i++) {
        if (i % 8 == 0) done = done && add_row(views + i, &face, &rows[i / 8].how);
        contacts[i] = (contact){.picture = &views[i], .caption = rows[i / 8].name};
    }
    done = done && contact_sheet(&sheet, contacts, ROWS * 8, &(sheet_layout){.columns = 8, .cell = 96}, &error) &&
           image_write(&sheet, test_path("augmentation.png"), &error);
    for (int i = 0; i < ROWS * 8; i++) image_free(&views[i]);
    image_free(&face);
    image_free(&sheet);
    CHECK_TEXT(error.text, "");
    CHECK(done);
}
