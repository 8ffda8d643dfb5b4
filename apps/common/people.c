#include "apps/common/people.h"

#include "apps/common/folder.h"
#include "apps/common/transform.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* ---- finding ------------------------------------------------------------------------------------------- */

static char *join(const char *folder, const char *name)
{
    const size_t room = strlen(folder) + strlen(name) + 2;
    char *path = malloc(room);
    if (path) snprintf(path, room, "%s/%s", folder, name);
    return path;
}

static void skip_file(people *set, char *path)
{
    if (set->skipped++ == 0) set->first_skipped = path;
    else free(path);
}

/* Adds the pictures of one person's folder to the end of set->paths. */
static bool add_pictures(people *set, const char *folder, app_error *error)
{
    name_list files;
    if (!folder_list(&files, folder, error)) return false;
    char **paths =
        realloc(set->paths, ((size_t)set->picture_count + (size_t)files.count + 1) * sizeof *paths);
    if (paths) set->paths = paths;
    bool done = paths && files.count < INT_MAX - set->picture_count;
    for (int i = 0; done && i < files.count; i++) {
        char *path = join(folder, files.names[i]);
        if (!path) done = false;
        else if (image_recognised(path)) set->paths[set->picture_count++] = path;
        else if (is_folder(path)) free(path);
        else skip_file(set, path);
    }
    name_list_free(&files);
    return done || app_fail(error, "%s: out of memory", folder);
}

static void drop_pictures(people *set, int first)
{
    while (set->picture_count > first) free(set->paths[--set->picture_count]);
}

/* `before` is the number of people still to be left out. */
static bool add_person(people *set, const char *folder, const char *name, int *before, app_error *error)
{
    const int first = set->picture_count;
    if (!add_pictures(set, folder, error)) return false;
    if (set->picture_count == first) return true; /* nobody */
    if (*before > 0) {
        --*before;
        drop_pictures(set, first);
        return true;
    }
    char *copy = malloc(strlen(name) + 1);
    if (!copy) return app_fail(error, "%s: out of memory", folder);
    set->persons[set->count++] =
        (person){.name = strcpy(copy, name), .first = first, .count = set->picture_count - first};
    return true;
}

bool people_open(people *set, const char *folder, int skip, int limit, app_error *error)
{
    *set = (people){0};
    name_list names;
    if (!folder_list(&names, folder, error)) return false;
    set->persons = malloc(((size_t)names.count + 1) * sizeof *set->persons);
    bool done = set->persons || app_fail(error, "%s: out of memory", folder);
    int before = skip;
    for (int i = 0; done && i < names.count && (limit == 0 || set->count < limit); i++) {
        char *path = join(folder, names.names[i]);
        if (!path) done = app_fail(error, "%s: out of memory", folder);
        else if (is_folder(path)) done = add_person(set, path, names.names[i], &before, error);
        else {
            skip_file(set, path);
            continue;
        }
        free(path);
    }
    name_list_free(&names);
    if (done && set->count == 0 && before == skip)
        done = app_fail(error, "%s: holds no folder per person with pictures that can be read%s%s", folder,
                        set->first_skipped ? "; not such a picture: " : "",
                        set->first_skipped ? set->first_skipped : "");
    else if (done && set->count == 0)
        done = app_fail(error, "%s: has %d people, none is left after the first %d", folder, skip - before,
                        skip);
    if (!done) people_free(set);
    return done;
}

void people_free(people *set)
{
    drop_pictures(set, 0);
    for (int i = 0; i < set->count; i++) free(set->persons[i].name);
    free(set->persons);
    free(set->paths);
    free(set->first_skipped);
    *set = (people){0};
}

int people_find(const people *set, const char *name)
{
    int low = 0, high = set->count;
    while (low < high) {
        const int middle = low + (high - low) / 2;
        if (strcmp(set->persons[middle].name, name) < 0) low = middle + 1;
        else high = middle;
    }
    return low < set->count && strcmp(set->persons[low].name, name) == 0 ? low : -1;
}

/* ---- loading ------------------------------------------------------------------------------------------- */

bool picture_square(image *out, const image *in, int size, int channels, app_error *error)
{
    const int side = in->width < in->height ? in->width : in->height;
    image square = {0}, resized = {0};
    const bool done =
        image_crop_centre(&square, in, side, side, error) &&
        image_resize(&resized, &square, size, size, IMAGE_AREA, error) &&
        (channels == 1 ? image_to_grey : image_to_rgb)(out, &resized, error);
    image_free(&square);
    image_free(&resized);
    return done;
}

static bool load_one(unsigned char *pixels, const char *path, int size, int channels, app_error *error)
{
    image whole = {0}, square = {0};
    const bool done =
        image_read(&whole, path, NULL, error) && picture_square(&square, &whole, size, channels, error);
    if (done) memcpy(pixels, square.pixels, (size_t)size * (size_t)size * (size_t)channels);
    image_free(&whole);
    image_free(&square);
    return done;
}

bool people_load(pictures *out, const people *set, int size, int channels, app_error *error)
{
    *out = (pictures){.count = set->picture_count, .size = size, .channels = channels, .paths = set->paths};
    if (size < 1 || size > 8192 || (channels != 1 && channels != 3))
        return app_fail(error, "pictures cannot be loaded at %d x %d with %d channels", size, size, channels);
    const size_t bytes = (size_t)size * (size_t)size * (size_t)channels, count = (size_t)set->picture_count;
    if (bytes <= (SIZE_MAX - 1) / (count + 1)) out->pixels = malloc(bytes * count + 1);
    out->labels = malloc((count + 1) * sizeof *out->labels);
    bool done = out->pixels && out->labels;
    if (!done) app_fail(error, "out of memory for %zu pictures of %d x %d", count, size, size);
    for (int p = 0; done && p < set->count; p++)
        for (int i = set->persons[p].first; done && i < set->persons[p].first + set->persons[p].count; i++) {
            out->labels[i] = p;
            done = load_one(out->pixels + (size_t)i * bytes, set->paths[i], size, channels, error);
        }
    if (!done) pictures_free(out);
    return done;
}

void pictures_free(pictures *p)
{
    free(p->pixels);
    free(p->labels);
    *p = (pictures){0};
}
