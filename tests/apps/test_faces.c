/* The built-in faces: the same bits everywhere, people who differ, no picture matched by its pixels alone. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "apps/common/faces.h"
#include "tests/test.h"

enum { SIDE = 32 };

static bool draw(unsigned char *pixels, int channels, uint64_t seed, int identity, int sample)
{
    app_error error = {""};
    image picture = {SIDE, SIDE, channels, pixels};
    return faces_draw(&picture, seed, identity, sample, &error);
}

/* FNV-1a, 64 bits. */
static uint64_t hash(uint64_t start, const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) start = (start ^ bytes[i]) * 0x100000001b3u;
    return start;
}

TEST(faces_are_the_same_bytes_for_the_same_arguments)
{
    unsigned char a[SIDE * SIDE * 3], b[SIDE * SIDE * 3], other[SIDE * SIDE * 3];
    CHECK(draw(a, 3, 1, 5, 7));
    CHECK(draw(other, 3, 9, 6, 8)); /* what was drawn in between leaves no trace */
    memset(b, 0xee, sizeof b);
    CHECK(draw(b, 3, 1, 5, 7));
    CHECK(memcmp(a, b, sizeof a) == 0);
}

TEST(faces_differ_between_people_photographs_and_seeds)
{
    unsigned char a[SIDE * SIDE * 3], b[SIDE * SIDE * 3];
    CHECK(draw(a, 3, 1, 5, 7));
    CHECK(draw(b, 3, 1, 6, 7));
    CHECK(memcmp(a, b, sizeof a) != 0);
    CHECK(draw(b, 3, 1, 5, 8));
    CHECK(memcmp(a, b, sizeof a) != 0);
    CHECK(draw(b, 3, 2, 5, 7));
    CHECK(memcmp(a, b, sizeof a) != 0);
    CHECK(draw(b, 3, 1, 7, 5)); /* person and photograph do not trade places */
    CHECK(memcmp(a, b, sizeof a) != 0);
}

/* Every style, occluder and mark and both channel counts occur among these. The hashes hold for gcc and clang
 * at any optimisation: a change of one bit makes another data set, so whoever means it updates them. */
TEST(faces_have_the_stored_bits_on_every_platform)
{
    unsigned char pixels[SIDE * SIDE * 3];
    uint64_t colour = 0xcbf29ce484222325u, grey = colour;
    for (int i = 0; i < 200; i++) {
        CHECK(draw(pixels, 3, 42, i, 3 * i - 20));
        colour = hash(colour, pixels, sizeof pixels);
    }
    for (int i = 0; i < 10; i++) {
        CHECK(draw(pixels, 1, 42, -i, i));
        grey = hash(grey, pixels, SIDE * SIDE);
    }
    CHECK(colour == 0x4543ca7f36ae53a8u);
    CHECK(grey == 0xb75c0f534905649au);
}

TEST(faces_fit_every_size)
{
    static const int sizes[][2] = {{1, 1}, {1, 2}, {2, 1}, {3, 3}, {7, 5}, {8, 8}, {9, 64}, {64, 1}, {1, 130},
                                   {33, 32}, {48, 48}, {97, 130}, {130, 97}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int channels = 1; channels <= 3; channels += 2) {
            size_t n = (size_t)sizes[i][0] * (size_t)sizes[i][1] * (size_t)channels;
            unsigned char *pixels = malloc(n + 1);
            CHECK(pixels);
            app_error error = {""};
            image picture = {sizes[i][0], sizes[i][1], channels, pixels};
            bool inside = true;
            for (int k = 0; k < 12; k++) {
                pixels[n] = 0xa5;
                inside = faces_draw(&picture, 3, k, 1000 + k, &error) && pixels[n] == 0xa5 && inside;
            }
            free(pixels);
            CHECK(inside);
        }
}

TEST(faces_refuse_a_picture_they_cannot_draw_into)
{
    unsigned char pixels[16];
    app_error error = {""};
    CHECK(!faces_draw(&(image){2, 2, 3, NULL}, 1, 0, 0, &error));
    CHECK_CONTAINS(error.text, "no pixels");
    error.text[0] = '\0';
    CHECK(!faces_draw(&(image){0, 2, 3, pixels}, 1, 0, 0, &error));
    CHECK_CONTAINS(error.text, "no pixels");
    error.text[0] = '\0';
    CHECK(!faces_draw(&(image){2, 2, 4, pixels}, 1, 0, 0, &error));
    CHECK_CONTAINS(error.text, "not 4");
}

TEST(faces_keep_a_persons_parameters_and_give_no_two_people_the_same)
{
    face_identity a, b;
    for (int i = 0; i < 200; i++) {
        faces_identity(&a, 1, i);
        faces_identity(&b, 1, i);
        CHECK(memcmp(&a, &b, sizeof a) == 0);
        for (int j = 0; j < i; j++) {
            faces_identity(&b, 1, j);
            CHECK(a.head_width != b.head_width || a.eye_x != b.eye_x);
        }
    }
}

TEST(faces_show_all_hair_styles_and_some_of_everything_else)
{
    int styles[FACE_HAIR_STYLES] = {0}, glasses = 0, beards = 0, moustaches = 0, freckled = 0, moles = 0;
    for (int i = 0; i < 1000; i++) {
        face_identity f;
        faces_identity(&f, 1, i);
        CHECK(f.style < FACE_HAIR_STYLES);
        styles[f.style]++;
        glasses += f.glasses_width > 0.0f;
        beards += f.beard > 0.0f;
        moustaches += f.moustache > 0.0f;
        freckled += f.freckles > 0;
        moles += f.moles > 0;
    }
    for (int s = 0; s < FACE_HAIR_STYLES; s++) CHECK(styles[s] >= 25);
    CHECK(glasses > 200 && glasses < 400);
    CHECK(beards > 100 && beards < 350);
    CHECK(moustaches > 80 && moustaches < 350);
    CHECK(freckled > 80 && freckled < 250);
    CHECK(moles > 200 && moles < 500);
}

static double squared_distance(const unsigned char *a, const unsigned char *b, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += (double)(a[i] - b[i]) * (a[i] - b[i]);
    return sum;
}

/* Whose photograph is nearest in pixels? Chance is 1 of 40. Were this near 1, a net trained on these pictures
 * would prove nothing; were it chance, no identity would show. */
TEST(faces_are_not_told_apart_by_pixels_alone)
{
    enum { PEOPLE = 40, PHOTOS = 5, BYTES = SIDE * SIDE * 3, ALL = PEOPLE * PHOTOS };
    unsigned char *pixels = malloc((size_t)ALL * BYTES);
    CHECK(pixels);
    bool drawn = true;
    for (int i = 0; i < ALL; i++)
        drawn = draw(pixels + (size_t)i * BYTES, 3, 11, i / PHOTOS, i % PHOTOS) && drawn;
    int right = 0;
    for (int i = 0; i < ALL; i++) {
        int nearest = -1;
        double best = 0.0;
        for (int j = 0; j < ALL; j++) {
            double d = squared_distance(pixels + (size_t)i * BYTES, pixels + (size_t)j * BYTES, BYTES);
            if (j != i && (nearest < 0 || d < best)) {
                nearest = j;
                best = d;
            }
        }
        right += nearest / PHOTOS == i / PHOTOS;
    }
    free(pixels);
    CHECK(drawn);
    CHECK(right > ALL / 20);
    CHECK(right < ALL / 2);
}
