/* Faces out of photographs, cut as a net sees them. */
#ifndef TESSERA_APPS_PHOTO_H
#define TESSERA_APPS_PHOTO_H

#include "apps/common/finder.h"
#include "apps/common/loader.h"

typedef enum photo_align {
    PHOTO_NONE,      /* the whole picture, one face */
    PHOTO_CROP,      /* the middle square of it, or a part of that, one face */
    PHOTO_LANDMARKS, /* aligned by given landmarks, one face */
    PHOTO_AUTO       /* every face that is found, aligned by its landmarks */
} photo_align;

typedef struct photo_cutter {
    photo_align align;
    int size, channels;         /* of what is cut out */
    picture_part part;          /* PHOTO_NONE, PHOTO_CROP */
    const landmark_list *faces; /* PHOTO_LANDMARKS */
    face_finder finder;         /* PHOTO_AUTO */
} photo_cutter;

typedef struct photo_face {
    face_box box;  /* in the photograph; but for PHOTO_AUTO all of it, score 1 */
    image picture; /* size x size x channels */
} photo_face;

typedef struct photo_faces {
    int count;
    photo_face *items; /* best score first */
    int main;          /* the one that the photograph is of; see found_main */
} photo_faces;

/* Reads the photograph and cuts its faces out. None found (PHOTO_AUTO) is no error: count 0. Errors name the path. */
bool photo_cut(photo_faces *out, const photo_cutter *how, const char *path, app_error *error);
void photo_faces_free(photo_faces *faces);

#endif
