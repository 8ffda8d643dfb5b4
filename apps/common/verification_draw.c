#include "apps/common/verification_draw.h"

#include "apps/common/embedding_map.h"
#include "apps/common/plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CONTENDERS = 8 };

bool draw_roc(image *out, const contender *contenders, int count, app_error *error)
{
    plot_series series[MOST_CONTENDERS];
    for (int i = 0; i < count && i < MOST_CONTENDERS; i++)
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

bool draw_det(image *out, const contender *contenders, int count, app_error *error)
{
    plot_series series[MOST_CONTENDERS];
    double *rejects[MOST_CONTENDERS] = {NULL};
    bool done = true;
    for (int i = 0; i < count && i < MOST_CONTENDERS && done; i++) {
        const roc_curve *roc = &contenders[i].roc;
        rejects[i] = malloc((size_t)roc->count * sizeof *rejects[i]);
        if (!rejects[i]) done = app_fail(error, "out of memory for a chart");
        for (int k = 0; done && k < roc->count; k++) rejects[i][k] = 1 - roc->val[k];
        series[i] = (plot_series){contenders[i].name, roc->far, rejects[i], roc->count};
    }
    const plot_chart chart = {.title = "detection error trade-off",
                              .x_label = "false accepts (FAR)",
                              .y_label = "false rejects (1 - VAL)",
                              .series = series,
                              .series_count = count,
                              .log_x = true,
                              .log_y = true,
                              .x_min = 1e-3,
                              .x_max = 1,
                              .y_min = 1e-3,
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
    const double at[] = {c->result.threshold, c->result.threshold}, to[] = {0, highest};
    const plot_series series[] = {{"different people", x[0], y[0], CORNERS}, {"same person", x[1], y[1], CORNERS},
                                  {"best threshold", at, to, 2}};
    return plot_draw(out, &(plot_chart){.title = "how far apart pairs of pictures are", .x_label = "distance",
                                        .y_label = "share of the pairs", .series = series, .series_count = 3}, error);
}

/* ---- mistakes ---------------------------------------------------------------------------------------------------- */

enum { SHOWN = 8 /* pairs of each kind */, SHEET_COLUMNS = 8, CELL = 96 };

/* The pairs of a kind that look most like the other, worst first; how many. */
static int worst(int *out, const contender *c, const pairs *list, bool same)
{
    int found = 0;
    for (; found < SHOWN; found++) {
        int best = -1;
        for (int i = 0; i < list->count; i++) {
            bool taken = list->items[i].same != same;
            for (int k = 0; k < found && !taken; k++) taken = out[k] == i;
            const double d = same ? -c->distances[i] : c->distances[i];
            if (!taken && (best < 0 || d < (same ? -c->distances[best] : c->distances[best]))) best = i;
        }
        if (best < 0) break;
        out[found] = best;
    }
    return found;
}

bool draw_mistakes(image *out, const contender *c, const pairs *list, app_error *error)
{
    const pictures *set = c->what.set;
    int chosen[2 * SHOWN], numbers[4 * SHOWN];
    char captions[4 * SHOWN][40];
    image views[4 * SHOWN];
    contact contacts[4 * SHOWN];
    int count = worst(chosen, c, list, false);
    count += worst(chosen + count, c, list, true);
    unsigned char *pixels = malloc((size_t)(2 * count) * picture_bytes(set) + 1);
    if (!pixels) return app_fail(error, "out of memory for a sheet");
    for (int i = 0; i < 2 * count; i++) {
        const pair *p = &list->items[chosen[i / 2]];
        numbers[i] = i % 2 ? p->b : p->a;
        if (i % 2) snprintf(captions[i], sizeof captions[i], "%.3f", c->distances[chosen[i / 2]]);
        else snprintf(captions[i], sizeof captions[i], "%s", p->same ? "same" : "different");
        views[i] = (image){set->size, set->size, set->channels, pixels + (size_t)i * picture_bytes(set)};
        contacts[i] = (contact){&views[i], captions[i]};
    }
    const bool done = pictures_fetch(set, numbers, 2 * count, pixels, error) &&
                      contact_sheet(out, contacts, 2 * count, SHEET_COLUMNS, CELL, error);
    free(pixels);
    return done;
}

/* ---- the map ----------------------------------------------------------------------------------------------------- */

bool draw_map(image *out, const contender *c, bool tsne, app_error *error)
{
    const pictures *set = c->what.set;
    const int count = set->count < MAP_MOST_ROWS ? set->count : MAP_MOST_ROWS;
    const size_t room = (size_t)count + 1;
    double *map = malloc(2 * room * sizeof *map);
    int *numbers = malloc(room * sizeof *numbers);
    image *views = malloc(room * sizeof *views);
    unsigned char *pixels = malloc(room * picture_bytes(set));
    bool done = (map && numbers && views && pixels) || app_fail(error, "out of memory for a map");
    for (int i = 0; done && i < count; i++) {
        numbers[i] = i;
        views[i] = (image){set->size, set->size, set->channels, pixels + (size_t)i * picture_bytes(set)};
    }
    done = done && pictures_fetch(set, numbers, count, pixels, error);
    done = done && (tsne ? map_by_tsne(map, c->what.rows, count, c->what.length, 20, error)
                         : map_by_pca(map, c->what.rows, count, c->what.length, error));
    done = done && map_draw(out, map, &(map_pictures){views, set->labels, count},
                            tsne ? "embeddings, by t-SNE" : "embeddings, by their principal components", error);
    free(map);
    free(numbers);
    free(views);
    free(pixels);
    return done;
}
