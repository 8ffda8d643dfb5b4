#include "apps/common/faces.h"
#include "apps/neurons/neurons.h"

#include <string.h>

/* ---- files ------------------------------------------------------------------------------------------------------- */

static bool collect(name_list *files, const char *path, int depth, app_error *error)
{
    enum { DEEPEST = 16 }; /* a link may lead back */
    if (is_plain_file(path)) {
        if (!image_recognised(path)) return true;
        return name_list_add(files, path) || app_fail(error, "out of memory for the names of pictures");
    }
    name_list inside = {0};
    bool done = depth > DEEPEST || folder_list(&inside, path, error);
    for (int i = 0; done && i < inside.count; i++) {
        char name[1024];
        done = in_folder(name, sizeof name, path, inside.names[i], error);
        if (done && (is_folder(name) || is_plain_file(name))) done = collect(files, name, depth + 1, error);
    }
    name_list_free(&inside);
    return done;
}

bool scenes_open(scenes *s, const char *folder, int count, app_error *error)
{
    s->held = -1;
    s->count = count;
    if (!folder) return true;
    if (!collect(&s->files, folder, 0, error)) return false;
    s->count = s->files.count;
    return s->count > 0 || app_fail(error, "%s: no picture is in it", folder);
}

void scenes_close(scenes *s)
{
    name_list_free(&s->files);
    image_free(&s->picture);
    landmarks_free(&s->faces);
}

/* ---- squares ----------------------------------------------------------------------------------------------------- */

/* Brings a picture into memory. */
static bool hold(scenes *s, int file, app_error *error)
{
    enum { SEED = 1, FIRST_HELD_OUT = 1000000 };
    if (s->held == file) return true;
    s->held = -1;
    image_free(&s->picture);
    if (s->files.count == 0) {
        if (!image_new(&s->picture, s->size, s->size, s->channels, error) ||
            !faces_draw(&s->picture, SEED, FIRST_HELD_OUT + file, 0, error))
            return false;
    } else if (!image_read(&s->picture, s->files.names[file], NULL, error)) return false;
    s->held = file;
    return true;
}

/* How many squares the picture in memory has; where it is too small to cut one out, it is one. */
static int crops_of(const scenes *s)
{
    const int across = s->picture.width / s->size, down = s->picture.height / s->size;
    return s->crops && s->files.count > 0 && across * down > 0 ? across * down : 1;
}

static bool cut(const scenes *s, int crop, unsigned char *square, app_error *error)
{
    const image *from = &s->picture;
    const int across = from->width / s->size, down = from->height / s->size;
    image part = {0}, out = {0};
    bool done;
    if (s->files.count == 0) {
        memcpy(square, from->pixels, (size_t)s->size * (size_t)s->size * (size_t)s->channels);
        return true;
    }
    if (s->faces.count > 0) {
        const landmarks *face = landmarks_of(&s->faces, s->files.names[s->held]);
        if (!face) return app_fail(error, "%s: has no landmarks", s->files.names[s->held]);
        done = picture_aligned(&out, from, face, s->size, s->channels, error);
    } else if (s->crops && across * down > 0) {
        const int left = (from->width - across * s->size) / 2 + crop % across * s->size;
        const int top = (from->height - down * s->size) / 2 + crop / across * s->size;
        done = image_crop(&part, from, left, top, s->size, s->size, error) &&
               picture_square(&out, &part, (picture_part){0}, s->size, s->channels, error);
    } else done = picture_square(&out, from, s->part, s->size, s->channels, error);
    if (done) memcpy(square, out.pixels, (size_t)s->size * (size_t)s->size * (size_t)s->channels);
    image_free(&part);
    image_free(&out);
    return done;
}

bool scenes_next(scenes *s, scene *where, unsigned char *square)
{
    while (s->file < s->count) {
        app_error why = {""};
        bool good = hold(s, s->file, &why);
        if (good && s->crop < crops_of(s)) {
            *where = (scene){s->file, s->crop++};
            good = cut(s, where->crop, square, &why);
            s->seen += good;
            if (good) return true;
        }
        if (!good && s->broken++ == 0) snprintf(s->first_broken, sizeof s->first_broken, "%.190s", why.text);
        s->file++;
        s->crop = 0;
    }
    return false;
}

bool scenes_again(scenes *s, scene where, unsigned char *square, app_error *error)
{
    return hold(s, where.file, error) && cut(s, where.crop, square, error);
}
