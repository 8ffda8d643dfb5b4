/* The pictures a face program works on: a folder or list of people, or, without one, the built-in drawn faces. */
#ifndef TESSERA_APPS_PORTRAITS_H
#define TESSERA_APPS_PORTRAITS_H

#include "apps/common/command.h"
#include "apps/common/loader.h"
#include "apps/common/people.h"

typedef struct portraits_request {
    people_request who; /* data NULL: the drawn faces, of which who.limit are taken after who.skip */
    bool strict;        /* the first picture that cannot be read is an error; else they are left out */
    int cache_mb;       /* memory for pictures; the others are decoded again each time */
    int per_person;     /* drawn faces: pictures of each */
    bool held_out;      /* drawn faces: people that are in no training set, whatever its size */
    int size, channels;
    const char *landmarks; /* of files: a file for landmarks_read, by which faces are aligned; or NULL, */
    double part;           /* and this part of the middle is taken; 0: all */
} portraits_request;

typedef struct portraits {
    portraits_request request;
    people persons; /* empty for drawn faces */
    pictures pictures;
    broken_pictures broken;
    landmark_list faces;
    picture_files files;
} portraits;

/* Uses the context's threads; the pictures do not depend on them, nor on any seed: drawn person 17 is the same in every
 * run. Fails as people_open and pictures_open do. `out` may not be moved: what is opened points into it. */
bool portraits_open(portraits *out, tsr_context *ctx, const portraits_request *request, app_error *error);
void portraits_close(portraits *p);

/* The options by which programs are told where faces are (--data, --names, --people, ...), for the first places of a
 * command's list. They fill in the request, whose values before are the defaults. */
enum { PORTRAITS_OPTIONS = 9 };
void portraits_options(option out[PORTRAITS_OPTIONS], portraits_request *request);

/* How many people there are. */
int portraits_people(const portraits *p);

/* Says on stderr what there is, a line each that begins with the program's name: pictures, and, where there are any,
 * what was skipped, broken or missing, and how many people have a single picture. */
void portraits_tell(const portraits *p, const char *program);

#endif
