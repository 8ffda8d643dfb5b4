/* Text files that are read line by line and taken apart into fields. */
#ifndef TESSERA_APPS_LINES_H
#define TESSERA_APPS_LINES_H

#include "apps/common/error.h"

typedef struct line_file {
    FILE *file;
    const char *path;  /* borrowed: must stay until lines_close */
    int number;        /* of the line in `text`, from 1 */
    char text[8192];
    char *fields[12];  /* of it, separated by tabs or, in a line without one, by blanks; a line may hold more */
    int field_count;
} line_file;

bool lines_open(line_file *f, const char *path, app_error *error);

/* Takes the next line apart, without its end (LF or CR LF); an empty one has no fields. False at the end of the file
 * and after an error: one of reading, or a line that is too long or holds a zero byte. */
bool lines_next(line_file *f, app_error *error);

void lines_close(line_file *f);

/* A whole number from 1 to 999 999 999, or 0 for anything else. */
int whole_number(const char *text);

#endif
