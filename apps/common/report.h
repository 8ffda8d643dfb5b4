/* A page about a run, one HTML file with everything in it: no scripts, nothing from elsewhere. */
#ifndef TESSERA_APPS_REPORT_H
#define TESSERA_APPS_REPORT_H

#include "apps/common/error.h"

#include <stddef.h>

typedef struct report {
    FILE *file; /* under a temporary name until report_close */
    char path[1024], temporary[1064];
} report;

bool report_open(report *r, const char *path, const char *title, app_error *error);

void report_heading(report *r, const char *text);
void report_text(report *r, const char *text); /* a paragraph */

/* Cells row by row, the first row are headings. */
void report_table(report *r, const char *const *cells, int rows, int columns);

/* A PNG file with a caption; one that is not there is left out. Fails without memory. */
bool report_picture(report *r, const char *png_path, const char *caption, app_error *error);

/* Brings the page to its place; with an error that stands already, or where it cannot be written, an older page
 * stays. */
bool report_close(report *r, app_error *error);

/* RFC 4648, section 4: the text of `count` bytes, to be freed; NULL without memory. */
char *base64(const unsigned char *bytes, size_t count);

#endif
