#include "apps/common/photo.h"

#include "apps/common/loader.h"

#include <stdlib.h>

/* Of the whole picture, its one face. */
static bool cut_one(photo_face *out, const photo_cutter *how, const image *whole, app_error *error)
{
    out->box = (face_box){0, 0, whole->width, whole->height, 1};
    const double part = how->align == PHOTO_CROP ? how->part : 0;
    return picture_square(&out->picture, whole, part, how->size, how->channels, error);
}

bool photo_cut(photo_faces *out, const photo_cutter *how, const char *path, app_error *error)
{
    app_error problem = {""};
    image whole = {0};
    *out = (photo_faces){0, calloc(1, sizeof *out->items)};
    if (!out->items) return app_fail(error, "%s: out of memory", path);
    if (!image_read(&whole, path, NULL, error)) {
        photo_faces_free(out);
        return false;
    }
    out->count = 1;
    const bool done = cut_one(&out->items[0], how, &whole, &problem);
    image_free(&whole);
    if (done) return true;
    photo_faces_free(out);
    return app_fail(error, "%s: %s", path, problem.text);
}

void photo_faces_free(photo_faces *faces)
{
    for (int i = 0; i < faces->count; i++) image_free(&faces->items[i].picture);
    free(faces->items);
    *faces = (photo_faces){0};
}
