/* What the verbs of the door share. */
#ifndef TESSERA_APPS_DOOR_INTERNAL_H
#define TESSERA_APPS_DOOR_INTERNAL_H

#include "apps/common/door.h"

typedef struct door {
    const recognizer_program *program;
    command c;
    bool no_model; /* the verb needs none */
    const void *own; /* the verb's options */
    const char *model, *path; /* of the gallery */
    portraits_request faces;
    int threads;
    recognizer r;
} door;

/* A new door for a verb, with defaults; c is filled in but for the options. */
door door_of(const recognizer_program *program, command c);

/* Takes the verb's arguments apart, by its own options and those of all. Returns COMMAND_GO, or the status to exit
 * with. */
int door_parse(door *d, const option *own, int own_count, int count, char **arguments);

/* Says what is wrong with the arguments; returns the status to exit with. */
int door_misused(const door *d, const char *what);

/* Opens the model, works, and says what failed; returns the status to exit with. */
typedef bool (*door_work)(door *d, app_error *error);
int door_run(door *d, door_work work);

/* For gallery_read and gallery_update. */
gallery_model door_model(const door *d);

/* "PROGRAM VERB: ", a message and the end of the line on stderr. */
APP_PRINTF(2, 3)
void door_say(const door *d, const char *format, ...);

/* Embeds the face that each photograph is of: rows [those that are good, length], one after the other. A photograph
 * that cannot be read or has no face is named on stderr, and good[i] is false. */
typedef struct door_photos {
    const char *const *paths;
    int count;
} door_photos;
bool door_embed(const door *d, door_photos photos, tsr_real *rows, bool *good, app_error *error);

/* The gallery's threshold or else the model's; where there is none either that is said on stderr. */
gallery_limit door_limit(const door *d, const gallery *g);

/* A text, in quotes where it must be; " threshold=... far=... frr=...", of rates those that are known. */
void door_print_text(const char *text);
void door_print_limit(const gallery_limit *limit);

/* The name of a file without its folder. */
const char *door_file_name(const char *path);

#endif
