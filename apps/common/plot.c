#include "apps/common/plot.h"

#include "apps/common/transform.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { GAP = 8, TICK = 6, TEXT = 2, TEXT_ROWS = 7 * TEXT, SAMPLE = 28, MOST_TICKS = 32, LINE_WIDTH = 2 };

static const colour white = {255, 255, 255}, black = {30, 30, 30}, grey = {90, 90, 90},
                    pale = {228, 228, 228}, paler = {243, 243, 243};

/* After Okabe and Ito, "Color universal design", 2008: told apart by colour-blind eyes, too. */
static const colour palette[] = {{0, 114, 178}, {213, 94, 0},   {0, 158, 115}, {204, 121, 167},
                                 {230, 159, 0}, {86, 180, 233}, {120, 94, 60}, {60, 60, 60}};

colour plot_colour(int i)
{
    return palette[(size_t)i % (sizeof palette / sizeof *palette)];
}

/* ---- axes ---------------------------------------------------------------------------------------------- */

typedef struct axis {
    bool log;
    double low, high; /* values, or their decimal logarithms */
    int count;
    double ticks[MOST_TICKS]; /* the same */
    char labels[MOST_TICKS][24];
} axis;

static double axis_value(const axis *a, double value)
{
    if (!a->log) return value;
    return value > 0 ? fmax(log10(value), a->low) : isnan(value) ? value : a->low;
}

/* Where a value lies between the ends of the axis, 0 to 1. */
static double axis_part(const axis *a, double value)
{
    return (axis_value(a, value) - a->low) / (a->high - a->low);
}

/* Spans the finite values; of a logarithmic axis, those above 0. */
static void axis_span(axis *a, const plot_chart *chart, bool is_x)
{
    a->low = INFINITY;
    a->high = -INFINITY;
    for (int s = 0; s < chart->series_count; s++)
        for (int i = 0; i < chart->series[s].count; i++) {
            const double value = is_x ? chart->series[s].x[i] : chart->series[s].y[i];
            if (!isfinite(value) || (a->log && value <= 0)) continue;
            a->low = fmin(a->low, value);
            a->high = fmax(a->high, value);
        }
    if (a->low > a->high) {
        a->low = a->log ? 0.1 : 0;
        a->high = 1;
    }
}

/* 1, 2 or 5 times a power of ten, so that about `wanted` steps cover the range. */
static double nice_step(double range, int wanted)
{
    const double rough = range / wanted, power = pow(10, floor(log10(rough))), part = rough / power;
    return power * (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10);
}

static void label_linear(axis *a, double step)
{
    const double largest = fmax(fabs(a->low), fabs(a->high));
    const int decimals = step < 1 ? (int)ceil(-log10(step) - 1e-9) : 0;
    for (int i = 0; i < a->count; i++) {
        char *label = a->labels[i];
        if (largest >= 1e7 || decimals > 6) snprintf(label, sizeof a->labels[i], "%.4g", a->ticks[i]);
        else snprintf(label, sizeof a->labels[i], "%.*f", decimals, a->ticks[i]);
    }
}

/* Ticks on about `wanted` round numbers; `loose` moves the ends of the axis out to such numbers. */
static void tick_linear(axis *a, int wanted, bool loose)
{
    const double step = nice_step(a->high - a->low, wanted);
    if (loose) {
        a->low = step * floor(a->low / step + 1e-9);
        a->high = step * ceil(a->high / step - 1e-9);
    }
    const double first = ceil(a->low / step - 1e-9);
    a->count = 0;
    for (double k = first; k * step <= a->high + step * 1e-9 && a->count < MOST_TICKS; k++)
        a->ticks[a->count++] = k == 0 ? 0 : k * step; /* not -0 */
    label_linear(a, step);
}

static void tick_log(axis *a)
{
    a->low = floor(log10(a->low) + 1e-9);
    a->high = ceil(log10(a->high) - 1e-9);
    if (a->high <= a->low) a->high = a->low + 1;
    const int every = 1 + (int)(a->high - a->low) / 10;
    a->count = 0;
    for (double decade = a->low; decade <= a->high && a->count < MOST_TICKS; decade += every) {
        snprintf(a->labels[a->count], sizeof a->labels[0], "%g", pow(10, decade));
        a->ticks[a->count++] = decade;
    }
}

static void axis_make(axis *a, const plot_chart *chart, bool is_x, int wanted)
{
    const double low = is_x ? chart->x_min : chart->y_min, high = is_x ? chart->x_max : chart->y_max;
    *a = (axis){.log = is_x ? chart->log_x : chart->log_y, .low = low, .high = high};
    const bool given = isfinite(low) && isfinite(high) && low < high && (!a->log || low > 0);
    if (!given) axis_span(a, chart, is_x);
    if (a->log) {
        tick_log(a);
        return;
    }
    const double least = 1e-9 * fmax(1e-290, fmax(fabs(a->low), fabs(a->high)));
    if (a->high - a->low < least || !isfinite(a->high - a->low)) { /* one value, or none that can be drawn */
        const double middle = fabs(a->low) < 1e300 ? a->low : 0, reach = middle != 0 ? fabs(middle) / 10 : 1;
        a->low = middle - reach;
        a->high = middle + reach;
    }
    tick_linear(a, wanted, !given && !is_x);
}

static int widest_label(const axis *a)
{
    int widest = 0;
    for (int i = 0; i < a->count; i++) {
        const int width = canvas_text_width(a->labels[i], TEXT);
        if (width > widest) widest = width;
    }
    return widest;
}

/* ---- the chart ----------------------------------------------------------------------------------------- */

/* Writes the legend in as many rows as it needs from `top` on, or only measures (picture == NULL). Returns
 * its height. */
static int legend(image *picture, const plot_chart *chart, int width, int top)
{
    const int left = 2 * GAP, right = width - 2 * GAP;
    int x = left, rows = 0;
    const int row_height = TEXT_ROWS + GAP + GAP / 2;
    for (int i = 0; i < chart->series_count; i++) {
        const char *name = chart->series[i].name;
        if (!name) continue;
        const int needed = SAMPLE + GAP + canvas_text_width(name, TEXT);
        if (rows == 0 || x + needed > right) {
            rows++;
            x = left;
        }
        const int y = top + (rows - 1) * row_height;
        if (picture) {
            canvas_fill(picture, (box){x, y + TEXT_ROWS / 2 - 2, SAMPLE, 4}, plot_colour(i));
            canvas_text(picture, x + SAMPLE + GAP, y, name, TEXT, black);
        }
        x += needed + 3 * GAP;
    }
    return rows * row_height;
}

/* At 2, 3, ... 9 times each power of ten. */
static void draw_minor_lines(image *picture, box plot, const axis *a, bool is_x)
{
    if (!a->log || a->high - a->low > 10) return;
    for (double decade = a->low; decade < a->high; decade++)
        for (int k = 2; k <= 9; k++) {
            const double part = (decade + log10(k) - a->low) / (a->high - a->low);
            const box across = {plot.left, plot.top + plot.height - (int)(part * plot.height), plot.width, 1};
            const box upright = {plot.left + (int)(part * plot.width), plot.top, 1, plot.height};
            canvas_fill(picture, is_x ? upright : across, paler);
        }
}

static void draw_axes(image *picture, box plot, const axis *x, const axis *y)
{
    draw_minor_lines(picture, plot, x, true);
    draw_minor_lines(picture, plot, y, false);
    const int bottom = plot.top + plot.height;
    for (int i = 0; i < x->count; i++) {
        const int at = plot.left + (int)((x->ticks[i] - x->low) / (x->high - x->low) * plot.width);
        const int width = canvas_text_width(x->labels[i], TEXT);
        canvas_fill(picture, (box){at, plot.top, 1, plot.height}, pale);
        canvas_fill(picture, (box){at, bottom, 1, TICK}, grey);
        canvas_text(picture, at - width / 2, bottom + TICK + GAP / 2, x->labels[i], TEXT, grey);
    }
    for (int i = 0; i < y->count; i++) {
        const int at = bottom - (int)((y->ticks[i] - y->low) / (y->high - y->low) * plot.height);
        const int width = canvas_text_width(y->labels[i], TEXT);
        canvas_fill(picture, (box){plot.left, at, plot.width, 1}, pale);
        canvas_fill(picture, (box){plot.left - TICK, at, TICK, 1}, grey);
        canvas_text(picture, plot.left - TICK - GAP / 2 - width, at - TEXT_ROWS / 2, y->labels[i], TEXT,
                    grey);
    }
    canvas_fill(picture, (box){plot.left, plot.top, 1, plot.height + 1}, grey);
    canvas_fill(picture, (box){plot.left, bottom, plot.width + 1, 1}, grey);
}

static bool draw_series(image *picture, box plot, const plot_chart *chart, const axis *x, const axis *y,
                        app_error *error)
{
    const box clip = {plot.left, plot.top - LINE_WIDTH, plot.width + LINE_WIDTH,
                      plot.height + 2 * LINE_WIDTH};
    bool done = true;
    for (int s = 0; done && s < chart->series_count; s++) {
        const plot_series *series = &chart->series[s];
        point *points = malloc(((size_t)series->count + 1) * sizeof *points);
        if (!points) return app_fail(error, "out of memory for a chart");
        for (int i = 0; i < series->count; i++)
            points[i] = (point){plot.left + 0.5 + axis_part(x, series->x[i]) * plot.width,
                                plot.top + 0.5 + (1 - axis_part(y, series->y[i])) * plot.height};
        done = canvas_lines(picture, clip, points, series->count, LINE_WIDTH, plot_colour(s), error);
        free(points);
    }
    return done;
}

/* The largest scale up to 3 at which the text fits. */
static int title_scale(const char *title, int width)
{
    int scale = 3;
    while (scale > 1 && canvas_text_width(title, scale) > width) scale--;
    return scale;
}

bool plot_draw(image *out, const plot_chart *chart, app_error *error)
{
    const int width = chart->width > 0 ? chart->width : 960, height = chart->height > 0 ? chart->height : 640;
    *out = (image){0};
    if (width < 240 || height < 180) return app_fail(error, "a chart of %d x %d is too small", width, height);
    if (!image_new(out, width, height, 3, error)) return false;
    canvas_fill(out, (box){0, 0, width, height}, white);

    axis x, y;
    const int scale = chart->title ? title_scale(chart->title, width - 4 * GAP) : 0;
    int top = 2 * GAP + (chart->title ? 8 * scale + 2 * GAP : 0);
    const int legend_top = top;
    top += legend(NULL, chart, width, 0);
    const int y_label_top = top;
    top += chart->y_label ? TEXT_ROWS + GAP : 0;
    const int below = TICK + TEXT_ROWS + GAP + (chart->x_label ? TEXT_ROWS + GAP : 0) + GAP;
    box plot = {.top = top + GAP, .height = height - below - top - GAP};
    if (plot.height < 40) plot.height = 40;
    axis_make(&y, chart, false, plot.height / 70 + 1);
    plot.left = 2 * GAP + widest_label(&y) + GAP / 2 + TICK;
    int wanted = 10;
    do { /* fewer ticks until their labels stand apart */
        axis_make(&x, chart, true, wanted);
        plot.width = width - plot.left - 2 * GAP - widest_label(&x) / 2;
    } while (--wanted > 1 && x.count * (widest_label(&x) + 2 * GAP) > plot.width);

    if (chart->title)
        canvas_text(out, (width - canvas_text_width(chart->title, scale)) / 2, 2 * GAP, chart->title, scale,
                    black);
    legend(out, chart, width, legend_top);
    if (chart->y_label) canvas_text(out, 2 * GAP, y_label_top, chart->y_label, TEXT, grey);
    if (chart->x_label)
        canvas_text(out, plot.left + (plot.width - canvas_text_width(chart->x_label, TEXT)) / 2,
                    height - TEXT_ROWS - GAP - TEXT, chart->x_label, TEXT, grey);
    draw_axes(out, plot, &x, &y);
    const bool done = draw_series(out, plot, chart, &x, &y, error);
    if (!done) image_free(out);
    return done;
}

/* ---- sheets of pictures ------------------------------------------------------------------------------------------ */

enum { FRAME = 3, BESIDE = 2 * FRAME + 2, APART = 4 * GAP }; /* between pictures of a group, and between groups */

/* Where everything of a sheet is. */
typedef struct sheet {
    int columns, group; /* group: at least 1 */
    int cell, above, below, top;
    int scale;          /* of captions: the larger one if all of them fit then */
    int across, down;   /* from one picture, or row, to the next */
    int extra;          /* what groups are further apart than pictures */
    int width;
    int64_t height;
} sheet;

static sheet sheet_of(const contact *contacts, int count, const sheet_layout *layout)
{
    sheet s = {.group = layout->group > 1 ? layout->group : 1, .cell = layout->cell, .scale = TEXT};
    bool captions = false;
    for (int i = 0; i < count; i++) {
        const char *caption = contacts[i].caption;
        captions = captions || caption;
        if (caption && canvas_text_width(caption, TEXT) > s.cell) s.scale = 1;
    }
    s.columns = layout->columns < count ? layout->columns : count;
    s.columns = (s.columns + s.group - 1) / s.group * s.group;
    s.across = s.cell + (s.group > 1 ? BESIDE : GAP);
    s.extra = s.group > 1 ? APART - BESIDE : 0;
    s.above = layout->above ? TEXT_ROWS + TEXT + GAP : 0;
    s.below = captions ? GAP / 2 + (s.group > 1 ? FRAME : 0) + 8 * s.scale : 0;
    s.top = GAP + (layout->title ? 8 * TEXT + 2 * GAP : 0);
    s.down = s.above + s.cell + s.below + (s.group > 1 ? 2 * GAP : GAP);
    s.width = GAP + s.columns * s.across + (s.columns / s.group - 1) * s.extra + (s.group > 1 ? GAP - BESIDE : 0);
    s.height = s.top + (int64_t)((count + s.columns - 1) / s.columns) * s.down;
    return s;
}

/* Writes a line into the middle of an area, cut off with dots where it is too long. */
static void write_centred(image *picture, const char *line, box area, int scale, colour ink)
{
    char text[128];
    snprintf(text, sizeof text, "%s", line);
    for (size_t length = strlen(text); length > 0 && canvas_text_width(text, scale) > area.width; length--)
        snprintf(text + length - 1, sizeof text - length + 1, "..");
    canvas_text(picture, area.left + (area.width - canvas_text_width(text, scale)) / 2, area.top, text, scale, ink);
}

/* Puts a picture into the middle of a square cell, in its frame. */
static bool paste_fitting(image *to, const contact *from, box cell, app_error *error)
{
    const image *picture = from->picture;
    const int longer = picture->width > picture->height ? picture->width : picture->height;
    const double scale = (double)cell.width / longer;
    int width = (int)(picture->width * scale + 0.5), height = (int)(picture->height * scale + 0.5);
    if (width < 1) width = 1;
    if (height < 1) height = 1;
    image fitting;
    if (!image_resize(&fitting, picture, width, height, IMAGE_AREA, error)) return false;
    if (from->frame)
        canvas_fill(to, (box){cell.left - FRAME, cell.top - FRAME, cell.width + 2 * FRAME, cell.height + 2 * FRAME},
                    *from->frame);
    canvas_fill(to, cell, paler);
    canvas_blit(to, &fitting, cell.left + (cell.width - width) / 2, cell.top + (cell.height - height) / 2);
    image_free(&fitting);
    return true;
}

bool contact_sheet(image *out, const contact *contacts, int count, const sheet_layout *layout, app_error *error)
{
    const int columns = layout->columns, cell = layout->cell;
    *out = (image){0};
    if (count < 1 || count > 1000000 || columns < 1 || columns > 10000 || layout->group > 99 || cell < 8 || cell > 4096)
        return app_fail(error, "a sheet of %d pictures of %d pixels in %d columns cannot be drawn", count, cell,
                        columns);
    const sheet s = sheet_of(contacts, count, layout);
    if (s.height > 1 << 28) return app_fail(error, "a sheet of %d pictures is too high", count);
    if (!image_new(out, s.width, (int)s.height, 3, error)) return false;
    canvas_fill(out, (box){0, 0, out->width, out->height}, white);
    if (layout->title) write_centred(out, layout->title, (box){GAP, GAP, s.width - 2 * GAP, 0}, TEXT, black);
    bool done = true;
    for (int i = 0; done && i < count; i++) {
        const int column = i % s.columns;
        const box place = {GAP + column * s.across + column / s.group * s.extra,
                           s.top + s.above + i / s.columns * s.down, cell, cell};
        if (layout->above && i % s.group == 0)
            write_centred(out, layout->above[i / s.group],
                          (box){place.left, place.top - s.above, s.group * s.across - BESIDE, 0}, TEXT, black);
        done = paste_fitting(out, &contacts[i], place, error);
        if (contacts[i].caption)
            write_centred(out, contacts[i].caption,
                          (box){place.left, place.top + cell + s.below - 8 * s.scale, cell, 0}, s.scale, black);
    }
    if (!done) image_free(out);
    return done;
}
