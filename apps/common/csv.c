#include "apps/common/csv.h"

#include <errno.h>
#include <math.h>
#include <string.h>

figure figure_of(double value, int decimals)
{
    figure f = {"-"};
    if (!isnan(value)) snprintf(f.text, sizeof f.text, "%.*f", decimals, value);
    return f;
}

static bool give_up(csv_log *log, app_error *error)
{
    app_fail(error, "%s: cannot be written (%s)", log->path, strerror(errno));
    if (log->file) fclose(log->file);
    log->file = NULL;
    return false;
}

static bool end_row(csv_log *log, app_error *error)
{
    fputc('\n', log->file);
    return (fflush(log->file) == 0 && !ferror(log->file)) || give_up(log, error);
}

bool csv_open(csv_log *log, const char *path, const char *const *names, int columns, app_error *error)
{
    errno = 0;
    *log = (csv_log){.file = fopen(path, "w"), .path = path, .columns = columns};
    if (!log->file) return give_up(log, error);
    for (int i = 0; i < columns; i++) fprintf(log->file, "%s%s", i ? "," : "", names[i]);
    return end_row(log, error);
}

bool csv_append(csv_log *log, const char *path, int columns, app_error *error)
{
    errno = 0;
    *log = (csv_log){.file = fopen(path, "a"), .path = path, .columns = columns};
    return log->file || give_up(log, error);
}

bool csv_row(csv_log *log, const double *values, app_error *error)
{
    if (!log->file) return true;
    errno = 0;
    for (int i = 0; i < log->columns; i++) fprintf(log->file, "%s%.9g", i ? "," : "", values[i]);
    return end_row(log, error);
}

bool csv_close(csv_log *log, app_error *error)
{
    FILE *file = log->file;
    log->file = NULL;
    errno = 0;
    return !file || fclose(file) == 0 || give_up(log, error);
}
