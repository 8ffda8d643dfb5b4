/* Pictures of an evaluation: where curves, thresholds and mistakes are drawn. */
#include "apps/common/verification_draw.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "apps/common/canvas.h"
#include "core/core.h"
#include "tests/test.h"

/* Pairs of ten pictures, each of a grey of its own: 0 to 9 of persons 0 to 4. */
enum { PICTURES = 10, PAIRS = 8 };
static unsigned char greys[PICTURES] = {40, 60, 80, 100, 120, 140, 160, 180, 200, 220};
static int labels[PICTURES] = {0, 0, 1, 1, 2, 2, 3, 3, 4, 4};
static pair items[PAIRS] = {{0, 1, true, 0},  {2, 3, true, 1},  {4, 5, true, 0},  {6, 7, true, 1},
                            {1, 2, false, 0}, {3, 4, false, 1}, {5, 6, false, 0}, {7, 8, false, 1}};
static const double distances[PAIRS] = {0.1, 0.2, 1.05, 1.5, 0.25, 0.9, 1.1, 1.2};

static bool measure(contender *c, pictures *set, tsr_context *ctx, app_error *error)
{
    const pairs list = {.count = PAIRS, .folds = 2, .items = items};
    trial trials[PAIRS];
    *set = (pictures){.count = PICTURES, .size = 1, .channels = 1, .ctx = ctx, .held = PICTURES, .pixels = greys,
                      .labels = labels};
    *c = (contender){.name = "model", .what.set = set, .distances = malloc(sizeof distances)};
    if (!c->distances) return false;
    memcpy(c->distances, distances, sizeof distances);
    for (int i = 0; i < PAIRS; i++) trials[i] = (trial){distances[i], list.items[i].same, list.items[i].fold};
    return verification_measure(&c->result, trials, PAIRS, error) && roc_make(&c->roc, trials, PAIRS, error);
}

static int count_of(const image *p, int red, int green, int blue, box area)
{
    int count = 0;
    for (int y = area.top; y < area.top + area.height; y++)
        for (int x = area.left; x < area.left + area.width; x++) {
            const unsigned char *at = p->pixels + 3 * (y * p->width + x);
            count += at[0] == red && at[1] == green && at[2] == blue;
        }
    return count;
}

TEST(draw_mistakes_shows_what_the_threshold_judges_wrongly_worst_first)
{
    tsr_context *ctx = tsr_open(NULL);
    pictures set;
    contender c;
    image out;
    app_error error = {""};
    char *names[] = {"Ann_Lee", "Bo"};
    person persons[] = {{names[0], 0, 2}, {names[1], 2, 2}};
    int places[PICTURES] = {1, 2, 1, 2};
    const people who = {.count = 2, .picture_count = 4, .persons = persons, .places = places};
    const pairs list = {.count = PAIRS, .folds = 2, .items = items};
    CHECK(measure(&c, &set, ctx, &error));
    c.result.threshold = 1; /* wrong: 0.25 and 0.9 of two people, 1.5 and 1.05 of one */
    const bool done = draw_mistakes(&out, &c, &list, &who, &error);
    CHECK(done);
    const int half = out.width / 2, height = out.height / 2;
    const box upper = {0, 0, out.width, height}, leftmost = {0, 0, half, height};
    const box lower = {0, height, out.width, height}, below = {0, height, half, height};
    const int cell = 144 * 144;
    const bool nearest = count_of(&out, 60, 60, 60, leftmost) == cell && count_of(&out, 80, 80, 80, leftmost) == cell;
    const bool second = count_of(&out, 100, 100, 100, upper) == cell && count_of(&out, 100, 100, 100, leftmost) == 0;
    const bool rejected = count_of(&out, 160, 160, 160, below) == cell && count_of(&out, 180, 180, 180, below) == cell;
    const bool right = count_of(&out, 40, 40, 40, upper) == 0 && count_of(&out, 200, 200, 200, upper) == 0;
    const bool frames = count_of(&out, 213, 94, 0, upper) > 1000 && count_of(&out, 0, 114, 178, lower) > 1000;
    image_free(&out);
    c.result.threshold = 1.3;
    c.distances[3] = 1.25; /* all right now */
    for (int i = 4; i < PAIRS; i++) c.distances[i] = 2;
    const bool none = draw_mistakes(&out, &c, &list, &who, &error) && out.height < 100;
    image_free(&out);
    contender_free(&c);
    tsr_close(ctx);
    CHECK(nearest && second);
    CHECK(rejected && right);
    CHECK(frames && none);
}

TEST(draw_det_and_distances_mark_where_errors_are_equal_and_the_threshold)
{
    tsr_context *ctx = tsr_open(NULL);
    pictures set;
    contender c;
    image det, bars;
    app_error error = {""};
    const pairs list = {.count = PAIRS, .folds = 2, .items = items};
    CHECK(measure(&c, &set, ctx, &error));
    CHECK(draw_det(&det, &c, 1, &error) && draw_distances(&bars, &c, &list, &error));
    /* the threshold's line, third colour, upright over nearly the whole chart: one column has most of it */
    int best = -1, longest = 0, diagonal = 0;
    for (int x = 0; x < bars.width; x++) {
        const int run = count_of(&bars, 0, 158, 115, (box){x, 0, 1, bars.height});
        if (run > longest) {
            longest = run;
            best = x;
        }
    }
    const double part = (best - 60) / (bars.width - 90.0); /* about: the axis runs from 0 to 1.5 */
    diagonal = count_of(&det, 213, 94, 0, (box){0, 80, det.width, det.height - 80});
    const double threshold = c.result.threshold;
    image_free(&det);
    image_free(&bars);
    contender_free(&c);
    tsr_close(ctx);
    CHECK(longest > 350);
    CHECK(fabs(part * 1.5 - threshold) < 0.05);
    CHECK(diagonal > 500);
}
