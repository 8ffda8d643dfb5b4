/* Faces out of ordinary photographs, cut as a net sees them. */
#ifndef TESSERA_APPS_PHOTO_H
#define TESSERA_APPS_PHOTO_H

#include "apps/common/detect.h"

typedef enum photo_align {
    PHOTO_NONE,      /* the middle square of the whole picture, one face */
    PHOTO_CROP,      /* a part of that, one face */
    PHOTO_LANDMARKS, /* aligned by given landmarks, one face */
    PHOTO_AUTO       /* every face that the detector finds, aligned by landmarks that a net finds */
} photo_align;

typedef struct photo_cutter {
    photo_align align;
    int size, channels;        /* of what is cut out */
    double part;               /* PHOTO_CROP: of the middle; see picture_square */
    const landmark_list *faces; /* PHOTO_LANDMARKS */
    tsr_model *detector, *points; /* PHOTO_AUTO: tiny_face_detector, face_landmark68; their context's threads are used */
    int detector_size;         /* see detector_find */
    double least_score;
} photo_cutter;

typedef struct photo_face {
    face_box box;  /* in the photograph; but for PHOTO_AUTO all of it, score 1 */
    image picture; /* size x size x channels */
} photo_face;

typedef struct photo_faces {
    int count;
    photo_face *items; /* best score first */
} photo_faces;

/* Reads the photograph and cuts its faces out. None found (PHOTO_AUTO) is no error: count 0. Errors name the path. */
bool photo_cut(photo_faces *out, const photo_cutter *how, const char *path, app_error *error);
void photo_faces_free(photo_faces *faces);

#endif
