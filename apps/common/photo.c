#include "apps/common/photo.h"

#include <stdlib.h>

static bool cut_whole(photo_faces *out, const photo_cutter *how, const image *whole, const char *path, app_error *error)
{
    photo_face *face = &out->items[0];
    out->count = 1;
    face->box = (face_box){0, 0, whole->width, whole->height, 1};
    if (how->align != PHOTO_LANDMARKS)
        return picture_square(&face->picture, whole, how->part, how->size, how->channels, error);
    const landmarks *marks = landmarks_of(how->faces, path);
    if (!marks) return app_fail(error, "no face is given in it");
    return picture_aligned(&face->picture, whole, marks, how->size, how->channels, error);
}

static bool cut_found(photo_faces *out, const photo_cutter *how, const image *whole, const found_faces *found,
                      app_error *error)
{
    const found_face *best = found_main(found, whole);
    out->main = best ? (int)(best - found->items) : 0;
    for (; out->count < found->count; out->count++) {
        photo_face *face = &out->items[out->count];
        face->box = found->items[out->count].box;
        if (!picture_aligned(&face->picture, whole, &found->items[out->count].five, how->size, how->channels, error))
            return false;
    }
    return true;
}

bool photo_cut(photo_faces *out, const photo_cutter *how, const char *path, app_error *error)
{
    app_error problem = {""};
    image whole = {0};
    found_faces found = {0};
    *out = (photo_faces){0};
    if (!image_read(&whole, path, NULL, error)) return false;
    bool done = how->align != PHOTO_AUTO || finder_find(&found, &how->finder, &whole, &problem);
    out->items = calloc((size_t)found.count + 1, sizeof *out->items);
    if (done && !out->items) done = app_fail(&problem, "out of memory");
    done = done && (how->align == PHOTO_AUTO ? cut_found(out, how, &whole, &found, &problem)
                                             : cut_whole(out, how, &whole, path, &problem));
    found_faces_free(&found);
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
