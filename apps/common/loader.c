#include "apps/common/loader.h"

#include "apps/common/transform.h"
#include "core/parallel.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST_SIDE = 8192, CHUNK = 1024 /* pictures whose errors are kept at a time */ };

size_t picture_bytes(const pictures *set)
{
    return (size_t)set->size * (size_t)set->size * (size_t)set->channels;
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

/* Fits the size already; `from` is given back. */
static bool recolour(image *out, image *from, int channels, app_error *error)
{
    const bool done = (channels == 1 ? image_to_grey : image_to_rgb)(out, from, error);
    image_free(from);
    return done;
}

static int between(int least, int value, int most)
{
    return value < least ? least : value > most ? most : value;
}

bool picture_square(image *out, const image *in, picture_part part, int size, int channels, app_error *error)
{
    if (part.whole) {
        image squeezed = {0};
        return image_resize(&squeezed, in, size, size, IMAGE_AREA, error) && recolour(out, &squeezed, channels, error);
    }
    const int shorter = in->width < in->height ? in->width : in->height;
    const int side = part.size > 0 ? between(1, (int)(part.size * shorter + 0.5), shorter) : shorter;
    const int lower = (int)floor(part.down * shorter + 0.5), middle = (in->height - side) / 2;
    image square = {0}, resized = {0};
    const bool done = image_crop(&square, in, (in->width - side) / 2, between(0, middle + lower, in->height - side),
                                 side, side, error) &&
                      image_resize(&resized, &square, size, size, IMAGE_AREA, error);
    image_free(&square);
    return done && recolour(out, &resized, channels, error);
}

bool picture_aligned(image *out, const image *in, const landmarks *face, int size, int channels, app_error *error)
{
    image chip = {0};
    return align_face(&chip, in, face, size, size, error) && recolour(out, &chip, channels, error);
}

const landmarks *landmarks_of(const landmark_list *faces, const char *path)
{
    char stem[256];
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path, *end = strrchr(name, '.');
    const landmarks *face = landmarks_find(faces, path);
    if (!face) face = landmarks_find(faces, name);
    if (face || !end || (size_t)(end - name) >= sizeof stem) return face;
    memcpy(stem, name, (size_t)(end - name));
    stem[end - name] = '\0';
    return landmarks_find(faces, stem);
}

bool picture_decode(const pictures *set, int number, unsigned char *pixels, app_error *error)
{
    const picture_files *files = set->source;
    const char *path = files->paths[number];
    const landmarks *face = files->faces ? landmarks_of(files->faces, path) : NULL;
    app_error problem = {""};
    image whole = {0}, square = {0};
    bool done = image_read(&whole, path, NULL, error);
    if (done && face) done = picture_aligned(&square, &whole, face, set->size, set->channels, &problem);
    else if (done && files->faces && files->part.size <= 0)
        done = app_fail(&problem, "no face was found, or given, in it");
    else if (done) done = picture_square(&square, &whole, files->part, set->size, set->channels, &problem);
    if (done) memcpy(pixels, square.pixels, picture_bytes(set));
    image_free(&whole);
    image_free(&square);
    return done || app_fail(error, "%s: %s", path, problem.text);
}

/* ---- fetching ---------------------------------------------------------------------------------------------------- */

typedef struct fetch_job {
    const pictures *set;
    const int *numbers; /* NULL: first, first + 1, ... */
    int first;
    unsigned char *bytes;    /* where pictures go, or NULL: */
    tsr_real *values;        /* where inputs go, or NULL: nowhere, they are only tried */
    variation varied;
    app_error *errors; /* [count], or NULL where all pictures are held */
} fetch_job;

static void to_input(const pictures *set, const unsigned char *pixels, variation varied, tsr_real *out)
{
    const augmentation *how = varied.how;
    const tsr_rng rng = varied.rng;
    const double deviations[3] = {set->divisor, set->divisor, set->divisor};
    if (set->divisor <= 0) {
        picture_to_input(pixels, set->size, set->channels, how, rng, out);
        return;
    }
    picture_vary(pixels, set->size, set->channels, how, rng, out);
    picture_standardize(out, set->size * set->size * set->channels, set->channels, set->mean, deviations);
    if (how) picture_erase(out, set->size, set->channels, how, rng);
}

static variation varied_of(const fetch_job *job, int64_t i)
{
    const tsr_rng rng = job->varied.rng;
    return (variation){job->varied.how, {rng.seed, tsr_substream(rng.stream, (uint64_t)i)}};
}

static void fetch_one(const fetch_job *job, int64_t i)
{
    const pictures *set = job->set;
    const size_t bytes = picture_bytes(set);
    const int number = job->numbers ? job->numbers[i] : job->first + (int)i;
    const unsigned char *held = number < set->held ? set->pixels + (size_t)number * bytes : NULL;
    unsigned char *room = job->bytes ? job->bytes + (size_t)i * bytes : held ? NULL : malloc(bytes);
    bool done = true;
    if (!held && !room)
        done = app_fail(&job->errors[i], "out of memory for a picture of %d x %d", set->size, set->size);
    else if (!held) done = set->make(set, number, room, &job->errors[i]);
    else if (job->bytes) memcpy(room, held, bytes);
    if (done && job->values)
        to_input(set, held ? held : room, varied_of(job, i), job->values + (size_t)i * bytes);
    if (!job->bytes) free(room);
}

static void fetch_some(void *user, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i++) fetch_one(user, i);
}

/* Of several errors the first picture's counts, whichever thread came first. */
static bool fetch(fetch_job job, int count, app_error *error)
{
    if (job.set->held < job.set->count && !(job.errors = calloc((size_t)count + 1, sizeof *job.errors)))
        return app_fail(error, "out of memory for %d pictures", count);
    tsr_parallel(job.set->ctx, count, 1, fetch_some, &job);
    int bad = 0;
    while (job.errors && bad < count && job.errors[bad].text[0] == '\0') bad++;
    const bool done = !job.errors || bad == count || app_fail(error, "%s", job.errors[bad].text);
    free(job.errors);
    return done;
}

bool pictures_fetch(const pictures *set, const int *numbers, int count, unsigned char *out, app_error *error)
{
    return fetch((fetch_job){.set = set, .numbers = numbers, .bytes = out}, count, error);
}

bool pictures_inputs(const pictures *set, const int *numbers, int count, variation varied, tsr_real *out,
                     app_error *error)
{
    return fetch((fetch_job){.set = set, .numbers = numbers, .values = out, .varied = varied}, count, error);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

/* Makes `count` pictures from `first` on: those below `held` into their places. Fills in errors. */
static void make_chunk(const pictures *set, int held, int first, int count, app_error *errors)
{
    const int stay = held <= first ? 0 : held - first < count ? held - first : count;
    memset(errors, 0, (size_t)count * sizeof *errors);
    fetch_job job = {.set = set, .first = first, .errors = errors};
    if (stay > 0) job.bytes = set->pixels + (size_t)first * picture_bytes(set);
    tsr_parallel(set->ctx, stay, 1, fetch_some, &job);
    job = (fetch_job){.set = set, .first = first + stay, .errors = errors + stay};
    tsr_parallel(set->ctx, count - stay, 1, fetch_some, &job);
}

static bool note_errors(broken_pictures *broken, const app_error *errors, int first, int count, app_error *error)
{
    for (int i = 0; i < count; i++) {
        const char *text = errors[i].text;
        if (text[0] && !broken) return app_fail(error, "%s", text);
        if (text[0] && !name_list_add(&broken->errors, text)) return app_fail(error, "out of memory for a message");
        if (broken) broken->good[first + i] = text[0] == '\0';
    }
    return true;
}

static void close_up(pictures *set, int held, const bool *good)
{
    const size_t bytes = picture_bytes(set);
    int kept = 0;
    for (int i = 0; i < set->count; i++) {
        if (good && !good[i]) continue;
        if (i < held && i != kept) memcpy(set->pixels + (size_t)kept * bytes, set->pixels + (size_t)i * bytes, bytes);
        if (i < held) set->held++;
        kept++;
    }
    set->count = kept;
}

static bool make_all(pictures *set, int held, broken_pictures *broken, app_error *error)
{
    app_error *errors = malloc(CHUNK * sizeof *errors);
    bool done = errors || app_fail(error, "out of memory for messages");
    for (int first = 0; done && first < set->count; first += CHUNK) {
        const int count = set->count - first < CHUNK ? set->count - first : CHUNK;
        make_chunk(set, held, first, count, errors);
        done = note_errors(broken, errors, first, count, error);
    }
    free(errors);
    if (!done) return false;
    const int before = set->count;
    close_up(set, held, broken ? broken->good : NULL);
    return set->count > 0 || app_fail(error, "none of %d pictures can be read; the first: %s", before,
                                      broken && broken->errors.count > 0 ? broken->errors.names[0] : "there is none");
}

bool pictures_open(pictures *set, int cache_mb, broken_pictures *broken, app_error *error)
{
    set->labels = NULL;
    set->pixels = NULL;
    set->held = 0;
    if (broken) *broken = (broken_pictures){0};
    if (set->size < 1 || set->size > LARGEST_SIDE || (set->channels != 1 && set->channels != 3))
        return app_fail(error, "pictures cannot be loaded at %d x %d with %d channels", set->size, set->size,
                        set->channels);
    const uint64_t fit = ((uint64_t)cache_mb << 20) / picture_bytes(set);
    const int held = fit < (uint64_t)set->count ? (int)fit : set->count;
    const size_t bytes = picture_bytes(set), count = (size_t)set->count;
    if ((size_t)held <= (SIZE_MAX - 1) / bytes) set->pixels = malloc((size_t)held * bytes + 1);
    set->labels = calloc(count + 1, sizeof *set->labels);
    if (broken) broken->good = malloc(count + 1);
    const bool room = set->pixels && set->labels && (!broken || broken->good);
    const bool done = room ? make_all(set, held, broken, error)
                           : app_fail(error, "out of memory for %d pictures of %d x %d", held, set->size, set->size);
    if (done) return true;
    pictures_close(set);
    if (broken) broken_pictures_free(broken);
    return false;
}

void pictures_close(pictures *set)
{
    free(set->labels);
    free(set->pixels);
    *set = (pictures){0};
}

void broken_pictures_free(broken_pictures *b)
{
    free(b->good);
    name_list_free(&b->errors);
    *b = (broken_pictures){0};
}
