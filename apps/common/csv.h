/* A log of numbers that spreadsheets and scripts read: a line of column names, then rows of comma-separated
 * numbers. */
#ifndef TESSERA_APPS_CSV_H
#define TESSERA_APPS_CSV_H

#include "apps/common/error.h"

/* A number for people: figure_of(0.98765, 3).text is "0.988"; NaN, a figure that there is not, is "-". */
typedef struct figure {
    char text[32];
} figure;
figure figure_of(double value, int decimals);

typedef struct csv_log {
    FILE *file;       /* NULL: closed, or given up after an error */
    const char *path; /* borrowed: must stay until csv_close */
    int columns;
} csv_log;

/* Makes the file anew, with a header of `columns` names. */
bool csv_open(csv_log *log, const char *path, const char *const *names, int columns, app_error *error);

/* Goes on with a file that csv_open has made. */
bool csv_append(csv_log *log, const char *path, int columns, app_error *error);

/* Adds a row of as many values as there are columns (9 significant digits), and brings it to the file. The
 * first failure is reported; then the log is given up and later rows are dropped in silence, so that a full
 * disk stops no training. */
bool csv_row(csv_log *log, const double *values, app_error *error);

/* Fails where the last bytes could not be written. A log given up or never opened is fine. */
bool csv_close(csv_log *log, app_error *error);

#endif
