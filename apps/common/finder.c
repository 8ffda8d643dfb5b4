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

/* Whether each net has all of its file's weights, and no other. */
static bool try_both(const face_finder *finder, app_error *error)
{
    tsr_context *ctx = tsr_model_context(finder->detector);
    TSR_NO_GRAD(ctx) {
        detector_net(finder->detector, tsr_zeros(ctx, TSR_SHAPE(1, 32, 32, 3)));
        if (tsr_error(ctx) || !tsr_check_claimed(finder->detector))
            app_fail(error, "no face detector: %s", tsr_error(ctx));
        landmarks68_net(finder->points, tsr_zeros(ctx, TSR_SHAPE(1, 112, 112, 3)));
        if (tsr_error(ctx) || !tsr_check_claimed(finder->points))
            app_fail(error, "no landmark net: %s", tsr_error(ctx));
    }
    return error->text[0] == '\0';
}

bool finder_open(face_finder *out, tsr_context *ctx, const char *detector, const char *points, app_error *error)
{
    *out = (face_finder){.least_score = 0.5};
    out->detector = load(ctx, detector, "face detector", error);
    out->points = out->detector ? load(ctx, points, "landmark net", error) : NULL;
    return out->points && try_both(out, error);
}

static bool reaches_into(const face_box *box, const image *photo)
{
    return box->left <= photo->width - 1 && box->left + box->width >= 1 && box->top <= photo->height - 1 &&
           box->top + box->height >= 1 && box->width >= 2 && box->height >= 2;
}

static bool find_marks(found_face *face, const face_finder *finder, const image *photo, app_error *error)
{
    face->five = (landmarks){.count = 5};
    if (!landmarks68_find(face->marks, finder->points, photo, &face->box, error)) return false;
    landmarks68_five(face->marks, face->five.marks);
    return true;
}

/* The boxes that are seen at that size, joined with those in the list. */
static bool look(face_boxes *list, const face_finder *finder, const image *photo, int size, app_error *error)
{
    face_boxes more;
    if (!detector_find(&more, finder->detector, photo, size, finder->least_score, error)) return false;
    face_box *items = realloc(list->items, ((size_t)list->count + (size_t)more.count + 1) * sizeof *items);
    if (items) list->items = items;
    for (int i = 0; items && i < more.count; i++)
        if (reaches_into(&more.items[i], photo)) items[list->count++] = more.items[i];
    face_boxes_free(&more);
    if (!items) return app_fail(error, "out of memory for faces");
    list->count = face_boxes_best(items, list->count);
    return true;
}

static bool look_at_sizes(face_boxes *list, const face_finder *finder, const image *photo, app_error *error)
{
    const int middle = 416, large_faces[] = {160, 96};
    if (finder->size) return look(list, finder, photo, finder->size, error);
    bool done = look(list, finder, photo, middle, error);
    if (photo->width > middle || photo->height > middle) done = done && look(list, finder, photo, 2 * middle, error);
    for (int i = 0; i < 2 && list->count == 0; i++) done = done && look(list, finder, photo, large_faces[i], error);
    return done;
}

bool finder_find(found_faces *out, const face_finder *finder, const image *photo, app_error *error)
{
    face_boxes boxes = {0};
    *out = (found_faces){0};
    bool done = look_at_sizes(&boxes, finder, photo, error);
    out->items = malloc(((size_t)boxes.count + 1) * sizeof *out->items);
    if (done && !out->items) done = app_fail(error, "out of memory for faces");
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
        const double away = hypot(b->left + b->width / 2 - photo->width / 2.0,
                                  b->top + b->height / 2 - photo->height / 2.0);
        const double worth = sqrt(b->width * b->height) - away;
        if (worth > most) {
            most = worth;
            best = &faces->items[i];
        }
    }
    return best;
}
