/* The pictures a face program works on: a folder of people, or, without one, the built-in drawn faces. */
#ifndef TESSERA_APPS_PORTRAITS_H
#define TESSERA_APPS_PORTRAITS_H

#include "apps/common/people.h"
#include "core/core.h"

typedef struct portraits_request {
    const char *folder; /* NULL: the drawn faces */
    int skip, people;   /* leave out the first `skip` people, take the next `people` (0: all; drawn: see below) */
    int per_person;     /* drawn faces: pictures of each */
    bool held_out;      /* drawn faces: people that are in no training set, whatever its size */
    int size, channels;
} portraits_request;

typedef struct portraits {
    people persons; /* empty for drawn faces */
    pictures pictures;
} portraits;

/* Uses the context's threads to draw; the pictures do not depend on them, nor on any seed: drawn person 17 is the same in
 * every run. Fails as people_open and people_load do. */
bool portraits_open(portraits *out, tsr_context *ctx, const portraits_request *request, app_error *error);
void portraits_close(portraits *p);

#endif
