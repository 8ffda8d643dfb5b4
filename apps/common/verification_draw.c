#include "apps/common/verification_draw.h"

#include "apps/common/embedding_map.h"
#include "apps/common/plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CONTENDERS = 7 }; /* and a line beside them */

bool draw_roc(image *out, const contender *contenders, int count, app_error *error)
{
    plot_series series[MOST_CONTENDERS];
    if (count > MOST_CONTENDERS) count = MOST_CONTENDERS;
    for (int i = 0; i < count; i++)
        series[i] = (plot_series){contenders[i].name, contenders[i].roc.far, contenders[i].roc.val,
                                  contenders[i].roc.count};
    const plot_chart chart = {.title = "same person, or not? (people never trained on)",
                              .x_label = "false accepts (FAR)",
                              .y_label = "true accepts (VAL)",
                              .series = series,
                              .series_count = count,
                              .log_x = true,
                              .x_min = 1e-3,
                              .x_max = 1,
                              .y_min = 0,
                              .y_max = 1};
    return plot_draw(out, &chart, error);
}

/* The power of ten at or below the smallest error of a curve that is not 0. */
static double least_error(const roc_curve *roc)
{
    double least = 0.1;
    for (int k = 0; k < roc->count; k++) {
        if (roc->far[k] > 0) least = fmin(least, roc->far[k]);
        if (roc->val[k] < 1) least = fmin(least, 1 - roc->val[k]);
    }
    return pow(10, floor(log10(least) + 1e-9));
}

bool draw_det(image *out, const contender *contenders, int count, app_error *error)
{
    plot_series series[MOST_CONTENDERS + 1];
    double *rejects[MOST_CONTENDERS] = {NULL}, least = 1;
    bool done = true;
    if (count > MOST_CONTENDERS) count = MOST_CONTENDERS;
    for (int i = 0; i < count && done; i++) {
        const roc_curve *roc = &contenders[i].roc;
        least = fmin(least, least_error(roc));
        rejects[i] = malloc((size_t)roc->count * sizeof *rejects[i]);
        if (!rejects[i]) done = app_fail(error, "out of memory for a chart");
        for (int k = 0; done && k < roc->count; k++) rejects[i][k] = 1 - roc->val[k];
        series[i] = (plot_series){contenders[i].name, roc->far, rejects[i], roc->count};
    }
    const double equal[] = {least, 1};
    series[count] = (plot_series){"equal errors (EER)", equal, equal, 2};
    const plot_chart chart = {.title = "detection error trade-off: nearer the lower left is better",
                              .x_label = "false accepts (FAR)",
                              .y_label = "false rejects (1 - VAL)",
                              .series = series,
                              .series_count = count + 1,
                              .log_x = true,
                              .log_y = true,
                              .x_min = least,
                              .x_max = 1,
                              .y_min = least,
                              .y_max = 1};
    done = done && plot_draw(out, &chart, error);
    for (int i = 0; i < MOST_CONTENDERS; i++) free(rejects[i]);
    return done;
}

/* ---- distances --------------------------------------------------------------------------------------------------- */

enum { BINS = 48, CORNERS = 2 * BINS + 2 };

/* Shares of the pairs in bins from 0 to `most`, as the outline of bars. */
static void outline(double *x, double *y, const double *distances, const pairs *list, bool same, double most)
{
    double shares[BINS] = {0};
    int count = 0;
    for (int i = 0; i < list->count; i++) count += list->items[i].same == same;
    for (int i = 0; i < list->count; i++) {
        const int bin = (int)(distances[i] / most * BINS);
        if (list->items[i].same == same) shares[bin < 0 ? 0 : bin < BINS ? bin : BINS - 1] += 1.0 / count;
    }
    x[0] = x[CORNERS - 1] = 0;
    for (int i = 0; i < BINS; i++) {
        x[2 * i + 1] = most * i / BINS;
        x[2 * i + 2] = most * (i + 1) / BINS;
        y[2 * i + 1] = y[2 * i + 2] = shares[i];
    }
    x[CORNERS - 1] = most;
    y[0] = y[CORNERS - 1] = 0;
}

bool draw_distances(image *out, const contender *c, const pairs *list, app_error *error)
{
    double x[2][CORNERS], y[2][CORNERS], most = 1e-300, highest = 0;
    for (int i = 0; i < list->count; i++) most = fmax(most, c->distances[i]);
    for (int same = 0; same < 2; same++) outline(x[same], y[same], c->distances, list, same, most);
    for (int i = 0; i < CORNERS; i++) highest = fmax(highest, fmax(y[0][i], y[1][i]));
    const double at[] = {c->result.threshold, c->result.threshold}, to[] = {0, 1.05 * highest};
    char best[64];
    snprintf(best, sizeof best, "best threshold, %.3f", c->result.threshold);
    const plot_series series[] = {{"same person", x[1], y[1], CORNERS}, {"different people", x[0], y[0], CORNERS},
                                  {best, at, to, 2}};
    return plot_draw(out, &(plot_chart){.title = "how far apart pairs of pictures are", .x_label = "distance",
                                        .y_label = "share of the pairs", .series = series, .series_count = 3}, error);
}

/* ---- mistakes ---------------------------------------------------------------------------------------------------- */

enum { SHOWN = 9 /* pairs of each kind */, PAIRS_A_ROW = 3, CELL = 144 };

static bool is_mistake(const contender *c, const pairs *list, int i, bool same)
{
    return list->items[i].same == same && (c->distances[i] > c->result.threshold) == same;
}

/* The pairs of a kind that the threshold judges wrongly, worst first; how many there are. */
static int find_mistakes(int *worst, const contender *c, const pairs *list, bool same)
{
    int found = 0;
    for (int i = 0; i < list->count; i++) {
        if (!is_mistake(c, list, i, same)) continue;
        const double sign = same ? -1 : 1;
        int at = found < SHOWN ? found : SHOWN;
        for (; at > 0 && sign * c->distances[i] < sign * c->distances[worst[at - 1]]; at--)
            if (at < SHOWN) worst[at] = worst[at - 1];
        if (at < SHOWN) worst[at] = i;
        found++;
    }
    return found;
}

/* "Ann Lee 3", or "person 17" where nobody has a name. */
static void name_picture(char *room, size_t bytes, const people *who, const pictures *set, int number)
{
    const int label = set->labels[number];
    if (label < who->count) snprintf(room, bytes, "%s %d", who->persons[label].name, who->places[number]);
    else snprintf(room, bytes, "person %d", label);
    for (char *at = room; *at; at++)
        if (*at == '_') *at = ' ';
}

/* Those of one kind, under a title that counts them; an image of no size where there are none. */
static bool draw_mistaken(image *out, const contender *c, const pairs *list, const people *who, bool same,
                          app_error *error)
{
    const pictures *set = c->what.set;
    const colour frame = plot_colour(same ? 0 : 1);
    int worst[SHOWN], numbers[2 * SHOWN];
    char names[2 * SHOWN][64], distances[SHOWN][32], title[80];
    const char *above[SHOWN];
    image views[2 * SHOWN];
    contact contacts[2 * SHOWN];
    const int found = find_mistakes(worst, c, list, same), shown = found < SHOWN ? found : SHOWN;
    *out = (image){0};
    if (shown == 0) return true;
    unsigned char *pixels = malloc((size_t)(2 * shown) * picture_bytes(set));
    if (!pixels) return app_fail(error, "out of memory for a sheet");
    for (int i = 0; i < 2 * shown; i++) {
        const pair *p = &list->items[worst[i / 2]];
        numbers[i] = i % 2 ? p->b : p->a;
        name_picture(names[i], sizeof names[i], who, set, numbers[i]);
        snprintf(distances[i / 2], sizeof distances[0], "%.3f", c->distances[worst[i / 2]]);
        above[i / 2] = distances[i / 2];
        views[i] = (image){set->size, set->size, set->channels, pixels + (size_t)i * picture_bytes(set)};
        contacts[i] = (contact){&views[i], names[i], &frame};
    }
    snprintf(title, sizeof title, same ? "%d false rejects: one person, but farther than %.3f"
                                       : "%d false accepts: two people, but nearer than %.3f",
             found, c->result.threshold);
    const sheet_layout layout = {2 * PAIRS_A_ROW, CELL, 2, title, above};
    const bool done = pictures_fetch(set, numbers, 2 * shown, pixels, error) &&
                      contact_sheet(out, contacts, 2 * shown, &layout, error);
    free(pixels);
    return done;
}

bool draw_mistakes(image *out, const contender *c, const pairs *list, const people *who, app_error *error)
{
    static const colour white = {255, 255, 255};
    image accepts = {0}, rejects = {0};
    *out = (image){0};
    const bool drawn = draw_mistaken(&accepts, c, list, who, false, error) &&
                       draw_mistaken(&rejects, c, list, who, true, error);
    const int width = accepts.width > rejects.width ? accepts.width : rejects.width;
    const bool any = width > 0; /* else a note of that */
    const bool done = drawn && image_new(out, any ? width : 400, any ? accepts.height + rejects.height : 40, 3, error);
    if (done) {
        canvas_fill(out, (box){0, 0, out->width, out->height}, white);
        if (accepts.pixels) canvas_blit(out, &accepts, 0, 0);
        if (rejects.pixels) canvas_blit(out, &rejects, 0, accepts.height);
        if (!any) canvas_text(out, 12, 12, "no pair is judged wrongly", 2, (colour){30, 30, 30});
    }
    image_free(&accepts);
    image_free(&rejects);
    return done;
}

/* ---- the map ----------------------------------------------------------------------------------------------------- */

bool draw_map(image *out, const contender *c, bool tsne, app_error *error)
{
    enum { MOST = 400 }; /* more would be too small to know */
    const pictures *set = c->what.set;
    const int count = set->count < MOST ? set->count : MOST;
    const map_rows rows = {c->what.rows, count, c->what.length};
    int numbers[MOST];
    image views[MOST];
    double map[2 * MOST];
    unsigned char *pixels = malloc((size_t)count * picture_bytes(set));
    bool done = pixels || app_fail(error, "out of memory for a map");
    for (int i = 0; done && i < count; i++) {
        numbers[i] = i;
        views[i] = (image){set->size, set->size, set->channels, pixels + (size_t)i * picture_bytes(set)};
    }
    done = done && pictures_fetch(set, numbers, count, pixels, error);
    done = done && (tsne ? map_by_tsne(map, &rows, 20, error) : map_by_pca(map, &rows, error));
    done = done && map_draw(out, map, &(map_pictures){views, set->labels, count},
                            tsne ? "embeddings, by t-SNE" : "embeddings, by their principal components", error);
    free(pixels);
    return done;
}
