/* What a training run has seen: a row of numbers for each step, in memory, in a file and as a chart. */
#ifndef TESSERA_APPS_RUN_LOG_H
#define TESSERA_APPS_RUN_LOG_H

#include "apps/common/csv.h"
#include "apps/common/image.h"

#include <stdint.h>

enum { RUN_MOST_COLUMNS = 16 };

typedef struct run_log {
    const char *const *names; /* of the columns; borrowed */
    int columns;
    int64_t count, room;      /* rows */
    double *values;           /* [count, columns]; NaN: nothing to say in that step */
    csv_log file;
} run_log;

/* An empty log, or, with `keep` above 0, the first rows of the file at `path`, as many as there are of them. The file
 * holds these rows from then on; an older one is replaced in one step. `path` is borrowed, too. */
bool run_log_open(run_log *log, const char *path, const char *const *names, int columns, int64_t keep,
                  app_error *error);

/* Adds a row of as many values as there are columns. A file that cannot be written is given up, which is reported
 * once in `warning`; false only without memory. */
bool run_log_add(run_log *log, const double *row, app_error *warning, app_error *error);

/* Closes the file, gives the rows back. */
bool run_log_close(run_log *log, app_error *error);

typedef struct run_curve {
    int column;
    const char *name; /* for the legend */
} run_curve;

/* Curves over steps as a chart, means over 1/200 of them so that lines can be read; columns without a value are left
 * out. */
bool run_log_chart(image *out, const run_log *log, const char *title, const run_curve *curves, int count,
                   app_error *error);

#endif
