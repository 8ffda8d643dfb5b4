#include "apps/common/run_log.h"

#include "apps/common/lines.h"
#include "apps/common/plot.h"
#include "core/platform.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool keep_row(run_log *log, const double *row, app_error *error)
{
    if (log->count == log->room) {
        const int64_t room = log->room ? 2 * log->room : 1024;
        double *values = realloc(log->values, (size_t)room * (size_t)log->columns * sizeof *values);
        if (!values) return app_fail(error, "out of memory for the log of %lld steps", (long long)room);
        log->values = values;
        log->room = room;
    }
    memcpy(log->values + log->count++ * log->columns, row, (size_t)log->columns * sizeof *row);
    return true;
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

/* The first rows; a file that is not there, or whose lines are of another kind, has none (from there on). */
static bool read_rows(run_log *log, const char *path, int64_t keep, app_error *error)
{
    line_file f;
    app_error none = {""};
    if (!lines_open(&f, path, &none)) return true;
    bool done = true, more = lines_next(&f, &none); /* the names */
    while (done && more && log->count < keep && lines_next(&f, &none)) {
        double row[RUN_MOST_COLUMNS];
        int columns = 0;
        char *at = f.field_count == 1 ? f.fields[0] : NULL, *end;
        for (; at && columns < log->columns; at = *end == ',' ? end + 1 : NULL) {
            row[columns] = strtod(at, &end);
            if (end == at) break;
            columns++;
        }
        more = columns == log->columns;
        if (more) done = keep_row(log, row, error);
    }
    lines_close(&f);
    return done;
}

bool run_log_open(run_log *log, const char *path, const char *const *names, int columns, int64_t keep, app_error *error)
{
    char fresh[1100];
    *log = (run_log){.names = names, .columns = columns};
    if (columns > RUN_MOST_COLUMNS || (size_t)snprintf(fresh, sizeof fresh, "%s.new", path) >= sizeof fresh)
        return app_fail(error, "%s: the name is too long, or %d columns too many", path, columns);
    bool done = read_rows(log, path, keep, error) && csv_open(&log->file, fresh, names, columns, error);
    for (int64_t i = 0; done && i < log->count; i++) done = csv_row(&log->file, log->values + i * columns, error);
    done = csv_close(&log->file, error) && done;
    if (done && !tsr_platform_replace(fresh, path)) done = app_fail(error, "%s: cannot be replaced", path);
    if (!done) remove(fresh);
    done = done && csv_append(&log->file, path, columns, error);
    if (!done) run_log_close(log, error);
    return done;
}

bool run_log_add(run_log *log, const double *row, app_error *warning, app_error *error)
{
    csv_row(&log->file, row, warning);
    return keep_row(log, row, error);
}

bool run_log_close(run_log *log, app_error *error)
{
    free(log->values);
    log->values = NULL;
    log->count = log->room = 0;
    return csv_close(&log->file, error);
}

/* ---- the chart --------------------------------------------------------------------------------------------------- */

/* Means over windows of one column; values that are not finite are left out. */
static int smooth(const run_log *log, int column, double *x, double *y)
{
    const int64_t window = log->count > 400 ? log->count / 200 : 1;
    int points = 0;
    for (int64_t begin = 0; begin + window <= log->count; begin += window) {
        double sum = 0;
        int64_t seen = 0;
        for (int64_t i = begin; i < begin + window; i++) {
            const double value = log->values[i * log->columns + column];
            if (!isfinite(value)) continue;
            sum += value;
            seen++;
        }
        if (seen == 0) continue;
        x[points] = (double)begin + (double)window / 2;
        y[points++] = sum / (double)seen;
    }
    return points;
}

bool run_log_chart(image *out, const run_log *log, const char *title, const run_curve *curves, int count,
                   app_error *error)
{
    enum { MOST_POINTS = 402 };
    plot_series series[RUN_MOST_COLUMNS];
    double *room = malloc((size_t)count * 2 * MOST_POINTS * sizeof *room);
    if (!room || count > RUN_MOST_COLUMNS) {
        free(room);
        return app_fail(error, "%s: out of memory", title);
    }
    int drawn = 0;
    for (int i = 0; i < count; i++) {
        double *x = room + (ptrdiff_t)2 * i * MOST_POINTS, *y = x + MOST_POINTS;
        const int points = smooth(log, curves[i].column, x, y);
        if (points > 0) series[drawn++] = (plot_series){curves[i].name, x, y, points};
    }
    const plot_chart chart = {.title = title, .x_label = "step", .series = series, .series_count = drawn};
    const bool done = plot_draw(out, &chart, error);
    free(room);
    return done;
}
