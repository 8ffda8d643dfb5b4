/* How far a long piece of work is, on stderr: one line that rewrites itself on a terminal, elsewhere a line
 * of its own about every tenth of the way. */
#ifndef TESSERA_APPS_PROGRESS_H
#define TESSERA_APPS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct progress {
    FILE *stream;
    const char *what, *unit; /* "train", "steps" */
    int64_t first, total;
    double started, shown; /* seconds */
    int tenths;            /* lines printed so far */
    bool terminal;
} progress;

/* Of `total` units `first` were done before (by the run that is resumed); what and unit must stay. */
void progress_start(progress *p, const char *what, const char *unit, int64_t first, int64_t total);

/* `done` units are ready, those before included. `note` may tell more, like "loss 0.123"; NULL: nothing.
 * Cheap enough for every step: a terminal is written to ten times a second. */
void progress_show(progress *p, int64_t done, const char *note);

/* Ends the line of a terminal, so that other text can follow. */
void progress_end(progress *p);

/* "train  40% 400/1000 steps  12.5 steps/s  48 s left  loss 0.123": the line for work that has taken
 * `seconds`. */
typedef struct progress_line {
    char text[240];
} progress_line;
progress_line progress_print(const progress *p, int64_t done, double seconds, const char *note);

#endif
