/* The faces of a photograph, with their landmarks: detector and landmark net together. */
#ifndef TESSERA_APPS_FINDER_H
#define TESSERA_APPS_FINDER_H

#include "apps/common/detect.h"

typedef struct face_finder {
    tsr_model *detector, *points;
    int size;           /* of the detector's square, see detector_find; 0: those that finder_find chooses */
    double least_score;
} face_finder;

/* Loads tiny_face_detector and face_landmark68 from their files (see facenet import), and tries both, so that another
 * net's file is refused here. size is 0 then, least_score 0.5. The models live as long as the context. */
bool finder_open(face_finder *out, tsr_context *ctx, const char *detector, const char *points, app_error *error);

typedef struct found_face {
    face_box box;
    mark marks[LANDMARKS];
    landmarks five; /* of these; without a path */
} found_face;

typedef struct found_faces {
    int count;
    found_face *items; /* best score first */
} found_faces;

/* The net sees faces of about 35 to 190 pixels of its square. So it looks at 416 and, where the photograph is
 * larger, at 832; where that shows no face, at 160, and then at 96, for one that fills the photograph. None is no
 * error. */
bool finder_find(found_faces *out, const face_finder *finder, const image *photo, app_error *error);
void found_faces_free(found_faces *faces);

/* The one that the photograph is of: large, and near the middle. NULL where there is none. */
const found_face *found_main(const found_faces *faces, const image *photo);

#endif
