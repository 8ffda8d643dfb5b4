/* Pictures made from pictures. Expected figures are PIL's and NumPy's; images.py made those in images.safetensors. */
#include "apps/common/transform.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/apps/pictures.h"
#include "tests/known-answers/known.h"
#include "tests/test.h"

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

static bool resized_holds(int from_width, int from_height, int channels, int width, int height,
                          const int *values)
{
    app_error error = {""};
    image in, out;
    if (!make_sample(&in, from_width, from_height, channels)) return false;
    const bool done =
        image_resize(&out, &in, width, height, IMAGE_AREA, &error) && holds(&out, width, height, channels, values);
    image_free(&in);
    image_free(&out);
    return done;
}

TEST(image_shrinks_by_the_mean_of_the_area)
{
    CHECK(resized_holds(7, 5, 3, 3, 2, (int[]){96,  124, 137, 142, 133, 154, 185, 118, 124,
                                               107, 135, 119, 95,  130, 180, 71,  92,  142}));
}

TEST(image_enlarges_between_pixel_centres)
{
    CHECK(resized_holds(5, 3, 1, 11, 4, (int[]){0,   7,   24,  40,  57,  74,  91,  108, 124, 141, 148,
                                                57,  64,  82,  101, 122, 143, 167, 191, 159, 113, 95,
                                                125, 133, 153, 166, 148, 131, 163, 196, 175, 141, 127,
                                                182, 191, 212, 212, 126, 40,  80,  119, 166, 215, 234}));
}

TEST(image_resizes_each_axis_by_itself)
{
    CHECK(resized_holds(7, 5, 1, 3, 8, (int[]){26,  111, 196, 68, 140, 186, 126, 174, 174, 163, 146, 182,
                                               143, 119, 145, 66, 91,  62,  92,  85,  41,  118, 81,  31}));
}

TEST(image_resize_keeps_one_colour_and_an_unchanged_size)
{
    static const int sizes[] = {1, 2, 3, 7, 10, 13, 31, 64, 101};
    app_error error = {""};
    for (int filter = IMAGE_AREA; filter <= IMAGE_LANCZOS; filter++) {
        image in, out;
        for (int shade = 0; shade <= 255; shade += 51)
            for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) { /* from 13 x 10, and from a single pixel */
                const int width = i % 2 ? 1 : 13, height = i % 2 ? 1 : 10, size = sizes[i / 2];
                CHECK(image_new(&in, width, height, 1, &error));
                memset(in.pixels, shade, (size_t)(width * height));
                bool same = image_resize(&out, &in, size, size, (image_filter)filter, &error);
                for (int k = 0; same && k < size * size; k++) same = out.pixels[k] == shade;
                image_free(&in);
                image_free(&out);
                CHECK(same);
            }
        CHECK(make_sample(&in, 13, 10, 3));
        const bool same =
            image_resize(&out, &in, 13, 10, (image_filter)filter, &error) && memcmp(in.pixels, out.pixels, 390) == 0;
        image_free(&in);
        image_free(&out);
        CHECK(same);
    }
}

TEST(image_resize_refuses_sizes_that_make_no_sense)
{
    static const int sizes[][2] = {{0, 1}, {1, -1}, {1 << 15, 1 << 14}};
    image in, out;
    CHECK(make_sample(&in, 2, 2, 1));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        app_error error = {""};
        CHECK(!image_resize(&out, &in, sizes[i][0], sizes[i][1], IMAGE_LANCZOS, &error) && !out.pixels);
        CHECK_CONTAINS(error.text, "a picture cannot be ");
    }
    image_free(&in);
}

/* ---- parts and borders ------------------------------------------------------------------------------------------- */

TEST(image_crops_inside_only)
{
    app_error error = {""};
    image in, out;
    CHECK(make_sample(&in, 7, 5, 1));
    bool done =
        image_crop(&out, &in, 5, 3, 2, 2, &error) &&
        holds(&out, 2, 2, 1, (int[]){sample(5, 3, 0), sample(6, 3, 0), sample(5, 4, 0), sample(6, 4, 0)});
    image_free(&out);
    static const int outside[][4] = {{6, 0, 2, 1},
                                     {0, 4, 1, 2},
                                     {-1, 0, 1, 1},
                                     {0, -1, 1, 1},
                                     {0, 0, 0, 1},
                                     {0, 0, 1, -1},
                                     {2147483647, 0, 2147483647, 1}};
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        const int *o = outside[i];
        app_error refused = {""};
        done = done && !image_crop(&out, &in, o[0], o[1], o[2], o[3], &refused) &&
               strstr(refused.text, "is not inside a picture of 7 x 5");
    }
    image_free(&in);
    CHECK(done);
}

TEST(image_crops_the_middle)
{
    app_error error = {""}, refused = {""};
    image in, out;
    CHECK(make_sample(&in, 4, 3, 1));
    const bool done = image_crop_centre(&out, &in, 1, 1, &error) && holds(&out, 1, 1, 1, (int[]){sample(1, 1, 0)});
    image_free(&out);
    const bool outside = image_crop_centre(&out, &in, 5, 1, &refused);
    image_free(&in);
    CHECK(done && !outside);
    CHECK_TEXT(refused.text, "a part of 5 x 1 at (0, 1) is not inside a picture of 4 x 3");
}

TEST(image_pads_with_a_colour_or_its_border)
{
    app_error error = {""}, refused = {""};
    image in, padded, back;
    CHECK(image_new(&in, 2, 2, 1, &error));
    memcpy(in.pixels, (unsigned char[]){1, 2, 3, 4}, 4);
    const image_margins margins = {2, 1, 1, 0};
    bool done = image_pad(&padded, &in, margins, &(unsigned char){9}, &error) &&
                holds(&padded, 5, 3, 1, (int[]){9, 9, 9, 9, 9, 9, 9, 1, 2, 9, 9, 9, 3, 4, 9}) &&
                image_crop(&back, &padded, 2, 1, 2, 2, &error) && holds(&back, 2, 2, 1, (int[]){1, 2, 3, 4});
    image_free(&padded);
    image_free(&back);
    done = done && image_pad(&padded, &in, margins, NULL, &error) &&
           holds(&padded, 5, 3, 1, (int[]){1, 1, 1, 2, 2, 1, 1, 1, 2, 2, 3, 3, 3, 4, 4});
    image_free(&padded);
    const bool negative = image_pad(&padded, &in, (image_margins){.right = -1}, NULL, &refused);
    const image_margins too_large = {.left = 2147483647, .right = 2147483647};
    const bool huge = image_pad(&padded, &in, too_large, NULL, &(app_error){""});
    image_free(&in);
    CHECK(done && !negative && !huge);
    CHECK_TEXT(refused.text, "a picture cannot have margins of 0, 0, -1 and 0");
}

/* ---- turns ------------------------------------------------------------------------------------------------------- */

TEST(image_orients_as_exif_says)
{
    static const struct {
        int width, values[6];
    } upright[] = {{3, {1, 2, 3, 4, 5, 6}}, {3, {3, 2, 1, 6, 5, 4}}, {3, {6, 5, 4, 3, 2, 1}}, {3, {4, 5, 6, 1, 2, 3}},
                   {2, {1, 4, 2, 5, 3, 6}}, {2, {4, 1, 5, 2, 6, 3}}, {2, {6, 3, 5, 2, 4, 1}}, {2, {3, 6, 2, 5, 1, 4}}};
    app_error error = {""}, refused = {""};
    image in, out;
    CHECK(image_new(&in, 3, 2, 1, &error));
    memcpy(in.pixels, (unsigned char[]){1, 2, 3, 4, 5, 6}, 6);
    bool done = true;
    for (int i = 0; done && i < 8; i++) {
        done = image_orient(&out, &in, i + 1, &error) &&
               holds(&out, upright[i].width, 6 / upright[i].width, 1, upright[i].values);
        image_free(&out);
    }
    const bool ninth = image_orient(&out, &in, 9, &refused);
    image_free(&in);
    CHECK(done && !ninth);
    CHECK_TEXT(refused.text, "there is no orientation 9 of a picture");
}

/* What has been done `times` times; kind 0 and 1: flipped, 2 and 3: turned. */
static bool is_itself(const image *in, int kind, int times)
{
    app_error error = {""};
    image now, next;
    bool done = image_turn(&now, in, 0, &error);
    for (int i = 0; i < times; i++) {
        done = kind < 2 ? image_flip(&next, &now, kind == 1, &error)
                        : image_turn(&next, &now, kind == 2 ? 1 : -5, &error);
        image_free(&now);
        now = next;
    }
    const size_t bytes = (size_t)(in->width * in->height * in->channels);
    done = done && now.width == in->width && memcmp(now.pixels, in->pixels, bytes) == 0;
    image_free(&now);
    return done;
}

TEST(image_is_itself_after_two_flips_or_four_turns)
{
    image in;
    bool as_expected = make_sample(&in, 7, 5, 3);
    for (int kind = 0; kind < 4; kind++)
        for (int times = 0; times <= 8; times++)
            as_expected = as_expected && is_itself(&in, kind, times) == (times % (kind < 2 ? 2 : 4) == 0);
    image_free(&in);
    CHECK(as_expected);
}

/* ---- colours ----------------------------------------------------------------------------------------------------- */

TEST(image_turns_colour_into_grey_and_grey_into_colour)
{
    app_error error = {""};
    image colours, grey, back;
    CHECK(make_sample(&colours, 3, 2, 3));
    const bool to_grey = image_to_grey(&grey, &colours, &error) &&
                         holds(&grey, 3, 2, 1, (int[]){41, 78, 115, 132, 174, 197});
    const bool to_rgb =
        image_to_rgb(&back, &grey, &error) &&
        holds(&back, 3, 2, 3,
              (int[]){41, 41, 41, 78, 78, 78, 115, 115, 115, 132, 132, 132, 174, 174, 174, 197, 197, 197});
    image_free(&colours);
    image_free(&grey);
    image_free(&back);
    CHECK(to_grey);
    CHECK(to_rgb);
}

/* ---- beside PIL -------------------------------------------------------------------------------------------------- */

static bool known_picture(image *picture, tsr_context *ctx, const char *name)
{
    app_error error = {""};
    tsr_tensor *t = known_tensor(ctx, "images.safetensors", name);
    const tsr_shape shape = tsr_shape_of(t);
    if (tsr_error(ctx) || !image_new(picture, (int)shape.dims[1], (int)shape.dims[0], (int)shape.dims[2], &error))
        return false;
    for (int64_t i = 0; i < tsr_size(t); i++) picture->pixels[i] = (unsigned char)tsr_data(t)[i];
    return true;
}

/* Grey levels at most, and in how many percent of the values; -1 where the sizes differ. */
static int difference(const image *a, const image *b, double *differing)
{
    if (a->width != b->width || a->height != b->height || a->channels != b->channels) return -1;
    const int count = a->width * a->height * a->channels;
    int worst = 0, different = 0;
    for (int i = 0; i < count; i++) {
        const int apart = abs(a->pixels[i] - b->pixels[i]);
        different += apart > 0;
        if (apart > worst) worst = apart;
    }
    *differing = 100.0 * different / count;
    return worst;
}

TEST(image_filters_agree_with_pil_within_one_grey_level)
{
    static const char *const filters[] = {"area", "bilinear", "bicubic", "lanczos"};
    static const int sizes[][2] = {{11, 9}, {28, 22}, {43, 31}, {1, 1}, {5, 40}, {29, 7}, {13, 10}};
    tsr_context *ctx = tsr_open(NULL);
    app_error error = {""};
    image in[2], out, expected;
    bool same = known_picture(&in[0], ctx, "colour") && known_picture(&in[1], ctx, "grey");
    for (int filter = IMAGE_BILINEAR; same && filter <= IMAGE_LANCZOS; filter++)
        for (int i = 0; same && i < 7; i++) {
            char name[64];
            double differing = 0;
            snprintf(name, sizeof name, i < 6 ? "%s_%dx%d" : "%s_grey", filters[filter], sizes[i][0], sizes[i][1]);
            same = known_picture(&expected, ctx, name) &&
                   image_resize(&out, &in[i == 6], sizes[i][0], sizes[i][1], (image_filter)filter, &error);
            const int worst = same ? difference(&out, &expected, &differing) : -1;
            same = worst >= 0 && worst <= 1 && differing < 25; /* PIL rounds between the axes */
            image_free(&out);
            image_free(&expected);
        }
    image_free(&in[0]);
    image_free(&in[1]);
    tsr_close(ctx);
    CHECK(same);
}

/* PIL leaves what comes from outside black; ours repeats the border: only what comes from inside is compared. */
static bool rotates_like_pil(tsr_context *ctx, int degrees)
{
    app_error error = {""};
    char name[32];
    image in, out, expected;
    snprintf(name, sizeof name, "rotate_%d", degrees);
    const bool there = known_picture(&in, ctx, "colour") && known_picture(&expected, ctx, name) &&
                       image_rotate(&out, &in, degrees, &error);
    const double angle = degrees * 3.14159265358979323846 / 180;
    int compared = 0, wrong = 0;
    for (int i = 0; there && i < in.width * in.height; i++) {
        const double u = i % in.width - (in.width - 1) / 2.0, v = i / in.width - (in.height - 1) / 2.0;
        const double x = cos(angle) * u - sin(angle) * v, y = sin(angle) * u + cos(angle) * v;
        if (fabs(x) > (in.width - 1) / 2.0 || fabs(y) > (in.height - 1) / 2.0) continue;
        for (int c = 0; c < 3; c++, compared++) wrong += abs(out.pixels[3 * i + c] - expected.pixels[3 * i + c]) > 1;
    }
    image_free(&in);
    image_free(&out);
    image_free(&expected);
    return compared > 900 && wrong == 0;
}

TEST(image_rotates_like_pil)
{
    tsr_context *ctx = tsr_open(NULL);
    const bool left = rotates_like_pil(ctx, 30), right = rotates_like_pil(ctx, -100);
    tsr_close(ctx);
    CHECK(left);
    CHECK(right);
}

TEST(image_rotated_by_a_quarter_is_turned)
{
    app_error error = {""};
    image in, turned, rotated, whole;
    CHECK(make_sample(&in, 9, 9, 3));
    CHECK(image_turn(&turned, &in, 1, &error) && image_rotate(&rotated, &in, 90, &error));
    CHECK(image_rotate(&whole, &in, -360, &error));
    const bool same = memcmp(turned.pixels, rotated.pixels, 243) == 0;
    const bool still = memcmp(whole.pixels, in.pixels, 243) == 0;
    image_free(&in);
    image_free(&turned);
    image_free(&rotated);
    image_free(&whole);
    CHECK(same);
    CHECK(still);
}

TEST(image_warp_averages_what_a_pixel_covers)
{
    app_error error = {""};
    image in, out;
    CHECK(image_new(&in, 24, 24, 1, &error) && image_new(&out, 4, 4, 1, &error));
    for (int i = 0; i < 576; i++) in.pixels[i] = (i % 24 + i / 24) % 2 ? 240 : 0; /* a chessboard */
    const affine smaller = {.xx = 3.6, .xy = 1.2, .yx = -1.2, .yy = 3.6};
    int lowest = 255, highest = 0;
    image_warp(&out, &in, &smaller, true);
    for (int i = 0; i < 16; i++) {
        lowest = out.pixels[i] < lowest ? out.pixels[i] : lowest;
        highest = out.pixels[i] > highest ? out.pixels[i] : highest;
    }
    image_warp(&out, &in, &(affine){.xx = 2, .yy = 2, .dx = 0.5, .dy = 0.5}, false); /* looks at every other square */
    const int aliased = out.pixels[5];
    image_free(&in);
    image_free(&out);
    CHECK(lowest > 90 && highest < 150);
    CHECK(aliased == 0 || aliased == 240);
}

TEST(image_warp_survives_maps_that_lead_nowhere)
{
    const affine maps[] = {
        {.xx = 1e300, .yy = -1e300}, {.xx = NAN, .dy = INFINITY}, {.dx = 0}, {.dx = 1e12, .dy = -1e12}};
    app_error error = {""};
    image in, out;
    CHECK(make_sample(&in, 3, 2, 3) && image_new(&out, 2, 5, 3, &error));
    for (int i = 0; i < 4; i++)
        for (int antialiased = 0; antialiased < 2; antialiased++) image_warp(&out, &in, &maps[i], antialiased);
    const bool corner = memcmp(out.pixels, in.pixels + 6, 3) == 0; /* far right and above */
    image_free(&in);
    image_free(&out);
    CHECK(corner);
}
