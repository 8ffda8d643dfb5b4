#include "apps/common/finder.h"

#include <math.h>
#include <stdlib.h>

static tsr_model *load(tsr_context *ctx, const char *path, const char *what, app_error *error)
{
    tsr_model *m = tsr_model_new(ctx);
    if (tsr_model_load(m, path, NULL)) return m;
    app_fail(error, "no %s: %s (to align faces it is needed: see facenet import; or give --landmarks, or --align crop)",
             what, tsr_error(ctx));
    return NULL;
}

bool finder_open(face_finder *out, tsr_context *ctx, const char *detector, const char *points, app_error *error)
{
    out->detector = load(ctx, detector, "face detector", error);
    out->points = out->detector ? load(ctx, points, "landmark net", error) : NULL;
    return out->points != NULL;
}

static bool find_marks(found_face *face, const face_finder *finder, const image *photo, app_error *error)
{
    face->five = (landmarks){.count = 5};
    if (!landmarks68_find(face->marks, finder->points, photo, &face->box, error)) return false;
    landmarks68_five(face->marks, face->five.marks);
    return true;
}

bool finder_find(found_faces *out, const face_finder *finder, const image *photo, app_error *error)
{
    static const int sizes[] = {416, 160};
    const double least_score = 0.5;
    face_boxes boxes = {0};
    *out = (found_faces){0};
    for (int i = 0; i < 2 && boxes.count == 0; i++) {
        face_boxes_free(&boxes);
        if (!detector_find(&boxes, finder->detector, photo, sizes[i], least_score, error)) return false;
    }
    out->items = malloc(((size_t)boxes.count + 1) * sizeof *out->items);
    bool done = out->items || app_fail(error, "out of memory for %d faces", boxes.count);
    for (; done && out->count < boxes.count; out->count++) {
        out->items[out->count].box = boxes.items[out->count];
        done = find_marks(&out->items[out->count], finder, photo, error);
    }
    face_boxes_free(&boxes);
    if (!done) found_faces_free(out);
    return done;
}

void found_faces_free(found_faces *faces)
{
    free(faces->items);
    *faces = (found_faces){0};
}

const found_face *found_main(const found_faces *faces, const image *photo)
{
    const found_face *best = NULL;
    double most = -INFINITY;
    for (int i = 0; i < faces->count; i++) {
        const face_box *b = &faces->items[i].box;
        const double away = hypot(b->left + b->width / 2 - photo->width / 2.0, b->top + b->height / 2 - photo->height / 2.0);
        const double worth = sqrt(b->width * b->height) - away;
        if (worth > most) {
            most = worth;
            best = &faces->items[i];
        }
    }
    return best;
}
