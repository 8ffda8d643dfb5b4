/* The pictures a face program works on: a folder or list of people, or, without one, the built-in drawn faces. */
#ifndef TESSERA_APPS_PORTRAITS_H
#define TESSERA_APPS_PORTRAITS_H

#include "apps/common/command.h"
#include "apps/common/loader.h"
#include "apps/common/people.h"
#include "apps/common/photo.h"

typedef struct portraits_request {
    people_request who; /* data NULL: the drawn faces, of which who.limit are taken after who.skip */
    bool strict;        /* the first picture that cannot be read is an error; else they are left out */
    int cache_mb;       /* memory for pictures; the others are decoded again each time */
    int per_person;     /* drawn faces: pictures of each */
    bool held_out;      /* drawn faces: people that are in no training set, whatever its size */
    int size, channels;
    const char *align; /* how faces are cut out of files: "auto", "landmarks", "crop", "none"; NULL: portraits_align */
    const char *landmarks; /* "landmarks": a file for landmarks_read */
    picture_part part; /* "crop"; and, unless it is 0, where a picture has no landmarks and no face is found in it */
    const char *detector, *points; /* "auto": the files of the two nets; NULL: in `nets`, by their usual names */
    const char *nets;      /* a folder, borrowed; or NULL */
} portraits_request;

typedef struct portraits {
    portraits_request request;
    people persons; /* empty for drawn faces */
    pictures pictures;
    broken_pictures broken;
    landmark_list faces;
    picture_files files;
    int without_face; /* "auto": pictures in which none was found */
} portraits;

/* Uses the context's threads; the pictures do not depend on them, nor on any seed: drawn person 17 is the same in every
 * run. Fails as people_open and pictures_open do. `out` may not be moved: what is opened points into it. */
bool portraits_open(portraits *out, tsr_context *ctx, const portraits_request *request, app_error *error);
void portraits_close(portraits *p);

/* The options by which programs are told where faces are (--data, --names, --people, ...), for the first places of a
 * command's list. They fill in the request, whose values before are the defaults. */
enum { PORTRAITS_OPTIONS = 13 };
void portraits_options(option out[PORTRAITS_OPTIONS], portraits_request *request);

/* command_start for a verb about such pictures: these options come first, then its own. */
int portraits_start(command *c, portraits_request *faces, const option *own, int own_count, int count,
                    char **arguments);

/* How faces are cut out, as it was asked for: `align`; or landmarks where there is a file of them; else a crop.
 * *said: by any of these or a part. */
photo_align portraits_align(const portraits_request *request, bool *said);

/* Fills in what portraits and single photographs are cut by; the nets are loaded for PHOTO_AUTO. Fails with a line that
 * says what is missing. `faces` is where landmarks are read to, and must be freed. */
bool portraits_cutter(photo_cutter *out, landmark_list *faces, tsr_context *ctx, const portraits_request *request,
                      app_error *error);

/* The nets that find faces, alone. */
bool portraits_finder(face_finder *out, tsr_context *ctx, const portraits_request *request, app_error *error);

/* What portraits_open does for PHOTO_AUTO: the landmarks of each picture's main face, in `faces` by its path. A
 * picture that cannot be read is passed over. */
bool portraits_find(portraits *p, app_error *error);

/* How many people there are. */
int portraits_people(const portraits *p);

/* Says on stderr what there is, a line each that begins with the program's name: pictures, and, where there are any,
 * what was skipped, broken or missing, and how many people have a single picture. */
void portraits_tell(const portraits *p, const char *program);

#endif
