/* Faces in a photograph: the tiny face detector (a small YOLO) and the 68-point landmark net of the face-api packages.
 * Both are models of their own, loaded from files that `facenet import` makes. */
#ifndef TESSERA_APPS_DETECT_H
#define TESSERA_APPS_DETECT_H

#include "apps/common/align.h"
#include "tessera.h"

/* ---- detector.c -------------------------------------------------------------------------------------------------- */

/* Pixels of the photograph from its upper left corner; may reach over its border. */
typedef struct face_box {
    double left, top, width, height;
    double score; /* 0 to 1 */
} face_box;

typedef struct face_boxes {
    int count;
    face_box *items; /* best first */
} face_boxes;

/* x [N, S, S, 3], S a multiple of 32, (rgb - mean) / 255 -> [N, S / 32, S / 32, 25]: in each cell, for each of five
 * anchors, tx, ty, tw, th and a score, all before their squashing. */
tsr_tensor *detector_net(tsr_model *m, tsr_tensor *x);

/* Sorts boxes, best first, without those that overlap a better one by more than 0.4 (intersection over union);
 * returns how many stay. */
int face_boxes_best(face_box *boxes, int count);

/* The best boxes of side x side cells [side, side, 25] with a score of least_score or more; in units of the whole
 * square. *out has room for 5 side^2; returns how many there are. */
int detector_decode(const tsr_real *cells, int side, double least_score, face_box *out);

/* Scales the photograph into a square of `size` pixels (a multiple of 32 from 32 on; 160 sees large faces alone, 416
 * also small ones), runs the net in evaluation and decodes. No face is no error: count 0. */
bool detector_find(face_boxes *out, tsr_model *m, const image *photo, int size, double least_score, app_error *error);
void face_boxes_free(face_boxes *boxes);

/* ---- landmarks68.c ----------------------------------------------------------------------------------------------- */

enum { LANDMARKS = 68 };

/* x [N, 112, 112, 3], (rgb - mean) / 255 -> [N, 136]: 68 times x, y, in sides of the square. */
tsr_tensor *landmarks68_net(tsr_model *m, tsr_tensor *x);

/* The 68 points (jaw, brows, nose, eyes, mouth: the order of the iBUG 300-W annotations) of the face in a box, of which
 * what is inside the photograph is looked at. Fails where nothing is. */
bool landmarks68_find(mark points[LANDMARKS], tsr_model *m, const image *photo, const face_box *box, app_error *error);

/* The five that align.h speaks of: eyes (means of six points each), tip of the nose, corners of the mouth. */
void landmarks68_five(const mark points[LANDMARKS], mark five[5]);

/* ---- what both share (detect_common.c) --------------------------------------------------------------------------- */

/* A 3x3 convolution of each channel by itself, without bias, and a 1x1 over the channels: NAME.depthwise,
 * NAME.pointwise. Padded as TensorFlow's "same" does for even sizes. */
tsr_tensor *separable_conv(tsr_model *m, const char *name, tsr_tensor *x, int channels, int stride);

/* A square with a picture in it: pixel (x, y) of the picture is at (left + scale x, top + scale y). */
typedef struct square_place {
    int size;     /* pixels */
    bool centred; /* else in the upper left corner */
    double scale; /* outcome, with the next two */
    int left, top;
} square_place;

/* The picture in colour, its long side scaled to the square's, the rest black; as input of a net, a batch of one:
 * (rgb - mean) / 255. Fills in the rest of the place. NULL: failed. */
tsr_tensor *square_input(tsr_context *ctx, const image *picture, square_place *place, const double mean[3],
                         app_error *error);

#endif
