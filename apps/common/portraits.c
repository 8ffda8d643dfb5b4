#include "apps/common/portraits.h"

#include "apps/common/faces.h"

#include <limits.h>
#include <string.h>

enum { FIRST_HELD_OUT = 1000000, DATA_SEED = 1 };

static bool draw_picture(const pictures *set, int number, unsigned char *pixels, app_error *error)
{
    const portraits_request *r = set->source;
    image picture = {set->size, set->size, set->channels, pixels};
    const int who = r->who.skip + number / r->per_person + (r->held_out ? FIRST_HELD_OUT : 0);
    return faces_draw(&picture, DATA_SEED, who, number % r->per_person, error);
}

static bool open_drawn(portraits *p, app_error *error)
{
    const portraits_request *r = &p->request;
    if (r->per_person < 1 || r->who.limit < 1 || r->who.limit > INT_MAX / r->per_person)
        return app_fail(error, "there cannot be %d drawn people with %d pictures each", r->who.limit, r->per_person);
    p->pictures.count = r->who.limit * r->per_person;
    p->pictures.make = draw_picture;
    p->pictures.source = r;
    if (!pictures_open(&p->pictures, r->cache_mb, NULL, error)) return false;
    for (int i = 0; i < p->pictures.count; i++) p->pictures.labels[i] = i / r->per_person;
    return true;
}

/* ---- how faces are cut out --------------------------------------------------------------------------------------- */

photo_align portraits_align(const portraits_request *r, bool *said)
{
    static const char *const names[] = {"none", "crop", "landmarks", "auto"};
    *said = r->align || r->landmarks || r->part.size > 0;
    for (int i = 0; r->align && i < 4; i++)
        if (strcmp(r->align, names[i]) == 0) return (photo_align)i;
    return r->landmarks ? PHOTO_LANDMARKS : PHOTO_CROP;
}

static bool net_path(char *path, size_t bytes, const char *given, const char *folder, const char *name,
                     app_error *error)
{
    const int length = given ? snprintf(path, bytes, "%s", given) : snprintf(path, bytes, "%s/%s", folder, name);
    return length < (int)bytes || app_fail(error, "%.60s...: the name is too long", given ? given : folder);
}

bool portraits_finder(face_finder *out, tsr_context *ctx, const portraits_request *r, app_error *error)
{
    char detector[1024], points[1024];
    if (!r->nets && (!r->detector || !r->points))
        return app_fail(error, "--align auto needs --detector and --points (facenet import makes both)");
    return net_path(detector, sizeof detector, r->detector, r->nets, "tiny_face_detector.safetensors", error) &&
           net_path(points, sizeof points, r->points, r->nets, "face_landmark68.safetensors", error) &&
           finder_open(out, ctx, detector, points, error);
}

/* Of what is asked for together, what does not fit. */
static bool fits_together(photo_align align, const portraits_request *r, app_error *error)
{
    if (align == PHOTO_LANDMARKS && !r->landmarks) return app_fail(error, "--align landmarks needs --landmarks");
    return align == PHOTO_LANDMARKS || !r->landmarks ||
           app_fail(error, "--landmarks is for --align landmarks, not for --align %s", r->align);
}

bool portraits_cutter(photo_cutter *out, landmark_list *faces, tsr_context *ctx, const portraits_request *r,
                      app_error *error)
{
    bool said;
    *faces = (landmark_list){0};
    *out = (photo_cutter){.align = portraits_align(r, &said), .size = r->size, .channels = r->channels, .part = r->part,
                          .faces = faces};
    if (!fits_together(out->align, r, error)) return false;
    if (out->align == PHOTO_LANDMARKS) return landmarks_read(faces, r->landmarks, error);
    return out->align != PHOTO_AUTO || portraits_finder(&out->finder, ctx, r, error);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static bool open_files(portraits *p, app_error *error)
{
    bool said;
    const portraits_request *r = &p->request;
    people *set = &p->persons;
    const photo_align align = portraits_align(r, &said);
    if (!fits_together(align, r, error)) return false;
    if (align == PHOTO_LANDMARKS && !landmarks_read(&p->faces, r->landmarks, error)) return false;
    if (!people_open(set, &r->who, error) || (align == PHOTO_AUTO && !portraits_find(p, error))) return false;
    p->files = (picture_files){set->paths, align >= PHOTO_LANDMARKS ? &p->faces : NULL, r->part};
    p->pictures.count = set->picture_count;
    p->pictures.make = picture_decode;
    p->pictures.source = &p->files;
    if (!pictures_open(&p->pictures, r->cache_mb, r->strict ? NULL : &p->broken, error)) return false;
    if (!r->strict) people_keep(set, p->broken.good);
    for (int who = 0; who < set->count; who++)
        for (int i = 0; i < set->persons[who].count; i++) p->pictures.labels[set->persons[who].first + i] = who;
    return true;
}

bool portraits_open(portraits *out, tsr_context *ctx, const portraits_request *request, app_error *error)
{
    *out = (portraits){.request = *request,
                        .pictures = {.size = request->size, .channels = request->channels, .ctx = ctx}};
    const bool done = (request->who.data ? open_files : open_drawn)(out, error);
    if (!done) portraits_close(out);
    return done;
}

void portraits_close(portraits *p)
{
    pictures_close(&p->pictures);
    people_free(&p->persons);
    broken_pictures_free(&p->broken);
    landmarks_free(&p->faces);
}

int portraits_people(const portraits *p)
{
    return p->request.who.data ? p->persons.count : p->request.who.limit;
}

void portraits_options(option out[PORTRAITS_OPTIONS], portraits_request *r)
{
    const option options[PORTRAITS_OPTIONS] = {
        {"data", OPTION_TEXT, &r->who.data,
         "a folder per person in this folder, or lines \"path<TAB>name\" in this file; without it: built-in faces",
         "DIR|LIST", 0, 0, NULL},
        {"names", OPTION_TEXT, &r->who.names, "take only the people in this list, in the layout of LFW's people.txt",
         "FILE", 0, 0, NULL},
        {"people", OPTION_INT, &r->who.limit,
         "take the first N people in name order; 0: all (of the built-in ones some)", "N", 0, 1e6, NULL},
        {"skip-people", OPTION_INT, &r->who.skip, "leave out the first N people in name order", "N", 0, 1e6, NULL},
        {"pictures", OPTION_INT, &r->per_person, "pictures of each built-in person", "N", 2, 1000, NULL},
        {"align", OPTION_TEXT, &r->align,
         "find faces and align them by landmarks, or by given ones, or take the "
         "middle square or a part of it, or all of each picture, squeezed into a square; without it as the model was "
         "trained",
         "HOW", 0, 0, "auto|landmarks|crop|none"},
        {"landmarks", OPTION_TEXT, &r->landmarks,
         "align faces by lines of a picture and x y of both eyes, or of eyes, nose and corners of the mouth", "FILE", 0,
         0, NULL},
        {"part", OPTION_DOUBLE, &r->part.size,
         "side of the middle square that is taken, in shorter sides of the picture", "X", 0, 1, NULL},
        {"down", OPTION_DOUBLE, &r->part.down, "how much below the picture's middle that is, in the same", "X", -0.5,
         0.5, NULL},
        {"detector", OPTION_TEXT, &r->detector, "net that finds faces; tiny_face_detector.safetensors beside the model",
         "FILE", 0, 0, NULL},
        {"points", OPTION_TEXT, &r->points, "net that finds landmarks; face_landmark68.safetensors beside the model",
         "FILE", 0, 0, NULL},
        {"strict", OPTION_FLAG, &r->strict, "stop at a picture that cannot be read; else such are named and skipped",
         NULL, 0, 0, NULL},
        {"cache-mb", OPTION_INT, &r->cache_mb,
         "memory for pictures; what does not fit is decoded again each time; changes no result", "N", 0, 1e6, NULL},
    };
    memcpy(out, options, sizeof options);
}

int portraits_start(command *c, portraits_request *faces, const option *own, int own_count, int count,
                    char **arguments)
{
    enum { MOST_OWN = 40 };
    option options[PORTRAITS_OPTIONS + MOST_OWN];
    if (own_count > MOST_OWN) return COMMAND_WRONG_USAGE;
    portraits_options(options, faces);
    memcpy(options + PORTRAITS_OPTIONS, own, (size_t)own_count * sizeof *own);
    c->options = options;
    c->option_count = PORTRAITS_OPTIONS + own_count;
    const int status = command_start(c, count, arguments);
    c->options = NULL; /* they end here */
    return status;
}

void portraits_tell(const portraits *p, const char *program)
{
    enum { MOST_TOLD = 20 };
    const people *set = &p->persons;
    const name_list *broken = &p->broken.errors;
    const pictures *all = &p->pictures;
    const char *data = p->request.who.data;
    fprintf(stderr, "%s: %d pictures of %d people (%s), seen as %dx%d %s, %d threads\n", program, all->count,
            portraits_people(p), data ? data : "built-in", all->size, all->size, all->channels == 1 ? "grey" : "colour",
            tsr_threads(all->ctx));
    if (all->held < all->count)
        fprintf(stderr, "%s: %d pictures fit into --cache-mb %d, the others are made again each time\n", program,
                all->held, p->request.cache_mb);
    if (set->missing > 0)
        fprintf(stderr, "%s: %d people of %s are not in %s, the first: %s\n", program, set->missing,
                p->request.who.names, data, set->first_missing ? set->first_missing : "");
    if (set->skipped > 0)
        fprintf(stderr, "%s: %d files are no pictures and were skipped, the first: %s\n", program, set->skipped,
                set->first_skipped);
    for (int i = 0; i < broken->count && i < MOST_TOLD; i++) fprintf(stderr, "%s: %s\n", program, broken->names[i]);
    if (broken->count > 0)
        fprintf(stderr, "%s: %d pictures cannot be read and were skipped%s (--strict stops at the first)\n", program,
                broken->count, broken->count > MOST_TOLD ? ", the first of them above" : "");
    if (p->without_face > 0)
        fprintf(stderr, "%s: no face was found in %d pictures%s\n", program, p->without_face,
                p->request.part.size > 0 ? ", of which --part is taken" : "");
    if (people_singles(set) > 0)
        fprintf(stderr, "%s: %d of %d people have a single picture\n", program, people_singles(set), set->count);
}
