/* What is drawn where: pixels that a line, a letter, a chart must or must not touch. */
#include "apps/common/plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/test.h"

static const colour ink = {10, 20, 30}, paper = {250, 250, 250};

static bool sheet(image *p, int width, int height)
{
    app_error error = {""};
    if (!image_new(p, width, height, 3, &error)) return false;
    canvas_fill(p, (box){0, 0, width, height}, paper);
    return true;
}

static bool is_colour(const image *p, int x, int y, colour c)
{
    const unsigned char *at = p->pixels + 3 * (y * p->width + x);
    return at[0] == c.red && at[1] == c.green && at[2] == c.blue;
}

/* The smallest box round all pixels that are not `background`. */
static box used(const image *p, colour background)
{
    int left = p->width, right = -1, top = p->height, bottom = -1;
    for (int y = 0; y < p->height; y++)
        for (int x = 0; x < p->width; x++) {
            if (is_colour(p, x, y, background)) continue;
            if (x < left) left = x;
            if (x > right) right = x;
            if (y < top) top = y;
            if (y > bottom) bottom = y;
        }
    return (box){left, top, right - left + 1, bottom - top + 1};
}

static int count_colour(const image *p, colour c)
{
    int count = 0;
    for (int i = 0; i < p->width * p->height; i++) count += is_colour(p, i % p->width, i / p->width, c);
    return count;
}

/* ---- canvas -------------------------------------------------------------------------------------------- */

TEST(canvas_rectangles_are_cut_off_at_the_border)
{
    image p;
    CHECK(sheet(&p, 10, 8));
    canvas_fill(&p, (box){7, -5, 100, 7}, ink);
    canvas_fill(&p, (box){-50, 2, 20, 20}, ink);
    canvas_fill(&p, (box){3, 3, -2, 4}, ink);
    const box all = used(&p, paper);
    canvas_frame(&p, (box){1, 3, 4, 4}, ink);
    const int drawn = count_colour(&p, ink);
    const bool hollow = is_colour(&p, 2, 4, paper) && is_colour(&p, 1, 3, ink) && is_colour(&p, 4, 6, ink);
    image_free(&p);
    CHECK(all.left == 7 && all.top == 0 && all.width == 3 && all.height == 2);
    CHECK_EQUAL(drawn, 6 + 12);
    CHECK(hollow);
}

TEST(canvas_lines_cover_pixels_by_their_share)
{
    image p, twice;
    app_error error = {""};
    const box all = {0, 0, 40, 20};
    CHECK(sheet(&p, 40, 20));
    CHECK(sheet(&twice, 40, 20));
    const point level[] = {{5, 6}, {30, 6}}, between[] = {{5, 12.5}, {30, 12.5}},
                folded[] = {{5, 6}, {30, 6}, {5, 6}, {18, 6}};
    CHECK(canvas_lines(&p, all, level, 2, 2, ink, &error));      /* rows 5 and 6, wholly */
    CHECK(canvas_lines(&twice, all, folded, 4, 2, ink, &error)); /* the same: what overlaps is painted once */
    const bool same = memcmp(p.pixels, twice.pixels, 40 * 20 * 3) == 0;
    const bool whole = is_colour(&p, 10, 5, ink) && is_colour(&p, 10, 6, ink) &&
                       is_colour(&p, 10, 4, paper) && is_colour(&p, 10, 7, paper);
    CHECK(canvas_lines(&p, all, between, 2, 2, ink, &error)); /* row 12 wholly, 11 and 13 half */
    const int half = p.pixels[3 * (11 * 40 + 10)], other_half = p.pixels[3 * (13 * 40 + 10)];
    const bool middle = is_colour(&p, 10, 12, ink);
    image_free(&p);
    image_free(&twice);
    CHECK(same);
    CHECK(whole);
    CHECK(middle);
    CHECK_EQUAL(half, 130);
    CHECK_EQUAL(other_half, 130);
}

TEST(canvas_lines_stay_inside_their_box_whatever_the_points)
{
    const point points[] = {{-1e300, 5}, {1e300, 6},        {NAN, 3}, {2, 2},   {INFINITY, 9},
                            {7, 7},      {1e9, -INFINITY}, {3, 1e18}, {-9, -9}, {50, 50}};
    image p;
    app_error error = {""};
    CHECK(sheet(&p, 20, 20));
    const bool done = canvas_lines(&p, (box){4, 3, 9, 8}, points, 10, 2, ink, &error) &&
                      canvas_lines(&p, (box){30, 30, 5, 5}, points, 10, 2, ink, &error) &&
                      canvas_lines(&p, (box){4, 3, 9, 8}, points, 0, 2, ink, &error);
    const box all = used(&p, paper);
    image_free(&p);
    CHECK(done);
    CHECK(all.left >= 4 && all.top >= 3 && all.left + all.width <= 13 && all.top + all.height <= 11);
    CHECK(all.width > 0);
}

TEST(canvas_text_is_as_wide_as_it_says)
{
    static const char *const texts[] = {"0",          "ijl|!.,'",  "The quick brown fox",
                                        "jumps over", "LAZY DOG?", "@#$%^&*()_+"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (int scale = 1; scale <= 3; scale++) {
            image p;
            CHECK(sheet(&p, 500, 40));
            canvas_text(&p, 10, 5, texts[i], scale, ink);
            const box all = used(&p, paper);
            image_free(&p);
            CHECK_EQUAL(all.width, canvas_text_width(texts[i], scale));
            CHECK(all.left == 10 && all.top >= 5 && all.top + all.height <= 5 + 8 * scale);
        }
    CHECK_EQUAL(canvas_text_width("", 2), 0);
}

TEST(canvas_glyphs_of_all_printable_characters_differ)
{
    image p[95];
    for (int c = 0; c < 95; c++) {
        CHECK(sheet(&p[c], 6, 8));
        canvas_text(&p[c], 0, 0, (char[]){(char)(32 + c), '\0'}, 1, ink);
    }
    int equal = 0;
    for (int a = 0; a < 95; a++)
        for (int b = 0; b < a; b++) equal += memcmp(p[a].pixels, p[b].pixels, 6 * 8 * 3) == 0;
    for (int c = 0; c < 95; c++) image_free(&p[c]);
    CHECK_EQUAL(equal, 0);
}

TEST(canvas_text_shows_one_sign_for_each_foreign_character)
{
    CHECK_EQUAL(canvas_text_width("Jos\xC3\xA9", 1), canvas_text_width("Jos?", 1));
    CHECK_EQUAL(canvas_text_width("\xE2\x82\xAC\t\x7F", 1), canvas_text_width("???", 1));
    CHECK_EQUAL(canvas_text_width("\xE2", 1), canvas_text_width("?", 1)); /* cut in the middle */
}

TEST(canvas_copies_pictures_in_grey_and_colour_and_cuts_them_off)
{
    unsigned char grey[] = {1, 2, 3, 4}, rgb[] = {9, 8, 7};
    image p;
    CHECK(sheet(&p, 5, 5));
    canvas_blit(&p, &(image){2, 2, 1, grey}, -1, -1);
    canvas_blit(&p, &(image){2, 2, 1, grey}, 4, 4);
    canvas_blit(&p, &(image){1, 1, 3, rgb}, 2, 3);
    canvas_blit(&p, &(image){1, 1, 3, rgb}, 90, -90);
    const bool right = is_colour(&p, 0, 0, (colour){4, 4, 4}) && is_colour(&p, 4, 4, (colour){1, 1, 1}) &&
                       is_colour(&p, 2, 3, (colour){9, 8, 7}) && count_colour(&p, paper) == 22;
    image_free(&p);
    CHECK(right);
}

/* ---- charts -------------------------------------------------------------------------------------------- */

static const colour first_colour = {0, 114, 178}, second_colour = {213, 94, 0};

TEST(plot_draws_each_series_in_its_colour_from_corner_to_corner)
{
    const double x[] = {0, 1}, up[] = {0, 1}, down[] = {1, 0};
    const plot_series series[] = {{NULL, x, up, 2}, {"falling", x, down, 2}};
    const plot_chart chart = {.title = "Two lines",
                              .x_label = "x",
                              .y_label = "y",
                              .series = series,
                              .series_count = 2,
                              .width = 400,
                              .height = 300};
    image p;
    app_error error = {""};
    CHECK(plot_draw(&p, &chart, &error));
    const bool size = p.width == 400 && p.height == 300 && p.channels == 3;
    int first[2] = {0}, second[2] = {0}; /* pixels in the lower left and lower right quarter */
    for (int y = 170; y < 300; y++)
        for (int px = 0; px < 400; px++) {
            first[px >= 200] += is_colour(&p, px, y, first_colour);
            second[px >= 200] += is_colour(&p, px, y, second_colour);
        }
    image_free(&p);
    CHECK(size);
    CHECK(first[0] > 50 && first[1] < first[0] / 2);
    CHECK(second[1] > 50 && second[0] < second[1] / 2);
}

TEST(plot_survives_values_that_cannot_be_drawn)
{
    const double odd[] = {NAN, INFINITY, -INFINITY, 1e308, -1e308, 0, -0.0, 5e-324, 1}, same[] = {3, 3, 3},
                 steps[] = {1, 2, 3}, tiny[] = {1, 1 + 1e-15, 1 - 1e-15}, nothing[] = {NAN, NAN, -INFINITY},
                 huge[] = {1e307, 1.1e307, 1.2e307};
    const plot_series cases[] = {
        {"odd", odd, odd, 9},     {"same", steps, same, 3},         {"tiny", tiny, tiny, 3},
        {"none", steps, NULL, 0}, {"nothing", nothing, nothing, 3}, {"zero", odd + 5, odd + 5, 1},
        {"huge", steps, huge, 3}, {"huge", huge, huge, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int log = 0; log < 2; log++) {
            image p;
            app_error error = {""};
            const plot_chart chart = {
                .series = &cases[i], .series_count = 1, .log_x = log, .width = 240, .height = 180};
            plot_draw(&p, &chart, &error);
            image_free(&p);
            CHECK_TEXT(error.text, "");
        }
    image p;
    app_error error = {""};
    const plot_chart empty = {.title =
                                  "A title that is far too long for so small a picture, whatever the letters",
                              .x_min = 3,
                              .x_max = 1,
                              .y_min = -INFINITY,
                              .y_max = NAN};
    CHECK(plot_draw(&p, &empty, &error));
    const int width = p.width, height = p.height;
    image_free(&p);
    CHECK(width == 960 && height == 640);
}

TEST(plot_keeps_a_gap_where_a_value_is_missing)
{
    const double x[] = {0, 1, 2, 3}, y[] = {1, 1, NAN, 1};
    const plot_series series = {NULL, x, y, 4};
    const plot_chart chart = {.series = &series, .series_count = 1, .y_max = 2, .width = 400, .height = 300};
    image p;
    app_error error = {""};
    CHECK(plot_draw(&p, &chart, &error));
    int rightmost = 0, leftmost = 400;
    for (int i = 0; i < 400 * 300; i++)
        if (is_colour(&p, i % 400, i / 400, first_colour)) {
            if (i % 400 > rightmost) rightmost = i % 400;
            if (i % 400 < leftmost) leftmost = i % 400;
        }
    image_free(&p);
    CHECK(leftmost < 60);
    CHECK(rightmost > 130 && rightmost < 190); /* a third of the way */
}

TEST(plot_puts_zero_at_the_left_edge_of_a_logarithmic_axis)
{
    const double x[] = {0, 0.001, 1}, y[] = {0.5, 0.5, 1};
    const plot_series series = {NULL, x, y, 3};
    const plot_chart chart = {
        .series = &series, .series_count = 1, .log_x = true, .x_min = 1e-5, .x_max = 1, .y_max = 1};
    image p;
    app_error error = {""};
    CHECK(plot_draw(&p, &chart, &error));
    int longest = 0; /* the level part, from the edge to 0.001: two fifths of the axis */
    for (int y_at = 0; y_at < p.height; y_at++) {
        int run = 0;
        for (int i = 0; i < p.width; i++) run += is_colour(&p, i, y_at, first_colour);
        if (run > longest) longest = run;
    }
    image_free(&p);
    CHECK(longest > 330 && longest < 400);
}

/* A line through the powers of ten is straight; zero lies on the lower edge. */
TEST(plot_of_two_logarithmic_axes)
{
    const double x[] = {1e-3, 1e-2, 1e-1, 1}, zero[] = {0, 0, 0, 0};
    const plot_series series[] = {{NULL, x, x, 4}, {NULL, x, zero, 4}};
    const plot_chart chart = {.series = series, .series_count = 2, .log_x = true, .log_y = true, .x_min = 1e-3,
                              .x_max = 1, .y_min = 1e-3, .y_max = 1};
    image p;
    app_error error = {""};
    CHECK(plot_draw(&p, &chart, &error));
    int left = p.width, right = 0, top = p.height, bottom = 0, middle = 0; /* of the first line */
    int lowest = 0;                                                        /* row of the second */
    for (int i = 0; i < p.width * p.height; i++) {
        if (is_colour(&p, i % p.width, i / p.width, second_colour)) lowest = i / p.width;
        if (!is_colour(&p, i % p.width, i / p.width, first_colour)) continue;
        left = i % p.width < left ? i % p.width : left;
        right = i % p.width > right ? i % p.width : right;
        top = i / p.width < top ? i / p.width : top;
        bottom = i / p.width;
    }
    for (int y = top; y <= bottom; y++)
        if (is_colour(&p, (left + right) / 2, y, first_colour)) middle = y;
    image_free(&p);
    CHECK(abs(middle - (top + bottom) / 2) <= 2);
    CHECK(lowest >= bottom && lowest <= bottom + 2);
}

TEST(plot_refuses_a_chart_too_small_to_read)
{
    image p;
    app_error error = {""};
    CHECK(!plot_draw(&p, &(plot_chart){.width = 100, .height = 100}, &error));
    CHECK_TEXT(error.text, "a chart of 100 x 100 is too small");
    CHECK(p.pixels == NULL);
}

/* ---- sheets -------------------------------------------------------------------------------------------- */

TEST(contact_sheet_centres_pictures_in_a_grid)
{
    unsigned char dark[6 * 3] = {0}, light[1] = {200};
    const image wide = {6, 3, 1, dark}, dot = {1, 1, 1, light};
    const contact contacts[] = {{&wide, NULL, NULL}, {&dot, NULL, NULL}, {&dot, NULL, NULL}};
    image p;
    app_error error = {""};
    CHECK(contact_sheet(&p, contacts, 3, &(sheet_layout){.columns = 2, .cell = 12}, &error));
    const bool size = p.width == 2 * 20 + 8 && p.height == 2 * 20 + 8;
    const bool places =
        is_colour(&p, 8, 11, (colour){0, 0, 0}) && is_colour(&p, 19, 16, (colour){0, 0, 0}) &&
        !is_colour(&p, 8, 10, (colour){0, 0, 0}) && !is_colour(&p, 8, 17, (colour){0, 0, 0}) &&
        is_colour(&p, 28, 8, (colour){200, 200, 200}) && is_colour(&p, 8, 28, (colour){200, 200, 200}) &&
        is_colour(&p, 28, 28, (colour){255, 255, 255});
    image_free(&p);
    CHECK(size);
    CHECK(places);
}

TEST(contact_sheet_cuts_long_captions_off)
{
    unsigned char light[1] = {200};
    const image dot = {1, 1, 1, light};
    const contact contacts[] = {
        {&dot, "far too long a caption for a cell of so few pixels", NULL}, {&dot, "", NULL}, {&dot, NULL, NULL}};
    image p;
    app_error error = {""};
    CHECK(contact_sheet(&p, contacts, 3, &(sheet_layout){.columns = 8, .cell = 60}, &error));
    bool clear = p.width == 3 * 68 + 8;
    for (int y = 0; clear && y < p.height; y++) /* nothing between the cells */
        for (int x = 68; x < 76; x++) clear = clear && is_colour(&p, x, y, (colour){255, 255, 255});
    int written = count_colour(&p, (colour){30, 30, 30});
    image_free(&p);
    CHECK(clear);
    CHECK(written > 20);
}

/* Two pairs in a row: 14 pixels from picture to picture within a pair, 38 between pairs; frames of 3. */
TEST(contact_sheet_keeps_groups_together)
{
    unsigned char light[1] = {200};
    const image dot = {1, 1, 1, light};
    const contact contacts[] = {
        {&dot, NULL, &ink}, {&dot, NULL, NULL}, {&dot, NULL, &ink}, {&dot, NULL, &ink}, {&dot, NULL, NULL}};
    const char *const above[] = {"1", "2", "3"};
    const sheet_layout layout = {.columns = 3, .cell = 20, .group = 2, .title = "t", .above = above};
    const colour grey_dot = {200, 200, 200}, white_paper = {255, 255, 255}, text = {30, 30, 30};
    image p;
    app_error error = {""};
    CHECK(contact_sheet(&p, contacts, 5, &layout, &error));
    const bool size = p.width == 8 + 20 + 8 + 20 + 32 + 20 + 8 + 20 + 8;
    static const int lefts[] = {8, 36, 88, 116};
    const int top = 40 + 24; /* the title, the line above */
    bool places = true;
    for (int i = 0; i < 4; i++)
        places = places && is_colour(&p, lefts[i], top, grey_dot) && is_colour(&p, lefts[i] + 19, top + 19, grey_dot) &&
                 is_colour(&p, lefts[i] - 3, top + 22, i == 1 ? white_paper : ink) &&
                 is_colour(&p, lefts[i] - 4, top, white_paper) && is_colour(&p, lefts[i] + 10, top - 4, white_paper);
    const box all = used(&p, white_paper);
    const int written = count_colour(&p, text);
    image_free(&p);
    CHECK(size);
    CHECK(places);
    CHECK(all.left == 5 && written > 40);
}

TEST(contact_sheet_refuses_sizes_that_make_no_sense)
{
    unsigned char light[1] = {200};
    const image dot = {1, 1, 1, light};
    const contact one = {&dot, NULL, NULL};
    static const int cases[][3] = {{0, 1, 20},   {1, 0, 20},       {1, 1, 0},
                                   {1, 1, 5000}, {2000000, 1, 20}, {-1, 1, 20}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        image p;
        app_error error = {""};
        const sheet_layout layout = {.columns = cases[i][1], .cell = cases[i][2]};
        CHECK(!contact_sheet(&p, &one, cases[i][0], &layout, &error));
        CHECK(error.text[0] != '\0' && p.pixels == NULL);
    }
}
