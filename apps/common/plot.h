/* Pictures where people would rather look: line charts and sheets of pictures. */
#ifndef TESSERA_APPS_PLOT_H
#define TESSERA_APPS_PLOT_H

#include "apps/common/canvas.h"

typedef struct plot_series {
    const char *name; /* for the legend; NULL: left out there */
    const double *x, *y;
    int count;
} plot_series;

typedef struct plot_chart {
    const char *title, *x_label, *y_label; /* NULL: none */
    const plot_series *series;
    int series_count;
    bool log_x, log_y;   /* whole decades; what is not above 0 is drawn at the lower edge */
    double x_min, x_max; /* both 0: from the data */
    double y_min, y_max; /* both 0: from the data */
    int width, height;   /* pixels, at least 240 x 180; 0: 960 x 640 */
} plot_chart;

/* The colour of series i and of whatever else is numbered: eight that colour-blind eyes tell apart, then again. */
colour plot_colour(int i);

/* Draws the chart into a new picture. A value that is not finite is a gap in its line. */
bool plot_draw(image *out, const plot_chart *chart, app_error *error);

typedef struct contact {
    const image *picture;
    const char *caption; /* NULL: none; cut off where it is too long */
    const colour *frame; /* NULL: none */
} contact;

typedef struct sheet_layout {
    int columns, cell;        /* pictures in a row, made up to whole groups, and the side of the square each fits */
    int group;                /* pictures that belong together and stand closer, from the first on; 0: none do */
    const char *title;        /* NULL: none */
    const char *const *above; /* a line above each group; NULL: none */
} sheet_layout;

/* Lays pictures out in rows, each with its caption below. */
bool contact_sheet(image *out, const contact *contacts, int count, const sheet_layout *layout, app_error *error);

#endif
