/* Faces brought to the same place: each landmark (eyes, nose, mouth) to where a template has it. */
#ifndef TESSERA_APPS_ALIGN_H
#define TESSERA_APPS_ALIGN_H

#include "apps/common/transform.h"

typedef struct mark {
    double x, y; /* pixels; (0, 0) is the centre of the upper left pixel */
} mark;

enum { MOST_MARKS = 5 };

/* Left and right as one looks at the picture: left eye, right eye, tip of the nose, left and right corner of the mouth;
 * or only the eyes. */
typedef struct landmarks {
    char *path;
    int count; /* 2 or 5 */
    mark marks[MOST_MARKS];
    int line;  /* of the file, from 1 */
} landmarks;

typedef struct landmark_list {
    int count;
    landmarks *items; /* in the order of paths (strcmp) */
} landmark_list;

/* Reads a text file of one line per picture,
 *     path  x1 y1  x2 y2 [x3 y3  x4 y4  x5 y5]
 * with tabs between the fields (a path may then hold blanks) or, in a line without one, blanks. Empty lines are
 * skipped. A broken line, or a second one of the same path, is an error with its number. */
bool landmarks_read(landmark_list *out, const char *path, app_error *error);
void landmarks_free(landmark_list *list);

/* Adds a copy under that path; false without memory. Before anything is looked for, the list must be sorted. */
bool landmarks_add(landmark_list *list, const landmarks *face, const char *path);
void landmarks_sort(landmark_list *list);

/* The entry of that path, as the file has it, or NULL. */
const landmarks *landmarks_find(const landmark_list *list, const char *path);

/* The similarity (turn, one scale, shift, no mirroring) that brings `from` nearest to `to`, in the sum of squared
 * distances (Umeyama 1991, equations 39 to 42). Fails on fewer than two points and where all of `from`, or all of `to`,
 * lie in one place. */
bool align_similarity(affine *out, const mark *from, const mark *to, int count, app_error *error);

/* A face of width x height pixels, antialiased, its landmarks brought to the template: in a square of width 150
 * the eyes are 52 apart, as in the chips that dlib's nets are given; in an oblong that square lies in the middle. */
bool align_face(image *out, const image *in, const landmarks *face, int width, int height, app_error *error);

#endif
