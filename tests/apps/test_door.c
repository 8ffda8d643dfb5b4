/* The verbs of the door: by a recogniser that needs no net, whose row is a picture's grey level, and by facenet's. */
#define _POSIX_C_SOURCE 200809L

#include "apps/common/door.h"
#include "apps/common/faces.h"
#include "apps/facenet/facenet.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/apps/files.h"
#include "tests/test.h"

/* ---- running verbs ----------------------------------------------------------------------------------------------- */

static bool grey_levels(const recognizer *r, const image *faces, int count, tsr_real *rows, app_error *error)
{
    (void)r;
    (void)error;
    for (int i = 0; i < count; i++) rows[i] = faces[i].pixels[0];
    return true;
}

/* Of a model only the name counts. */
static bool open_grey(recognizer *out, const char *name, const portraits_request *faces, app_error *error)
{
    (void)faces;
    (void)error;
    out->cutter = (photo_cutter){.align = PHOTO_NONE, .size = 2, .channels = 1};
    snprintf(out->name, sizeof out->name, "grey %s", name);
    out->length = 1;
    out->limit = (gallery_limit){strcmp(name, "sure") == 0 ? 50 : NAN, NAN, NAN};
    out->distance = squared_distance;
    out->encode = grey_levels;
    return true;
}

static const recognizer_program grey = {"grey", "model", "any", open_grey};

typedef int (*door_verb)(const recognizer_program *program, int count, char **arguments);
typedef int (*facenet_verb)(int count, char **arguments);

/* What the last verb wrote. */
static char said[8192], complained[4096];

/* Runs one of the two on "a b c", blanks apart; the exit status. */
static int run(door_verb common, facenet_verb own, const char *words)
{
    char text[4000], *arguments[40];
    int count = 0, ends[2], files[2];
    const char *const paths[] = {test_path("door-out"), test_path("door-error")};
    snprintf(text, sizeof text, "%s", words);
    for (char *at = strtok(text, " "); at && count < 40; at = strtok(NULL, " ")) arguments[count++] = at;
    fflush(stdout);
    fflush(stderr);
    for (int i = 0; i < 2; i++) {
        ends[i] = dup(i + 1);
        files[i] = open(paths[i], O_CREAT | O_TRUNC | O_WRONLY, 0666);
        dup2(files[i], i + 1);
    }
    const int status = common ? common(&grey, count, arguments) : own(count, arguments);
    fflush(stdout);
    fflush(stderr);
    for (int i = 0; i < 2; i++) {
        dup2(ends[i], i + 1);
        close(ends[i]);
        close(files[i]);
    }
    read_text(paths[0], said, sizeof said);
    read_text(paths[1], complained, sizeof complained);
    return status;
}

/* A grey picture ROOT/NAME, for any level. */
static bool add_grey(const char *root, const char *folder, int level)
{
    char name[20];
    unsigned char bytes[] = {'P', '5', ' ', '2', ' ', '2', ' ', '2', '5', '5', '\n', 0, 0, 0, 0};
    memset(bytes + 11, level, 4);
    snprintf(name, sizeof name, "%d.pgm", level);
    char path[512];
    return add_file(root, folder, name, "") &&
           (size_t)snprintf(path, sizeof path, "%s/%s/%s", root, folder, name) < sizeof path &&
           write_bytes(path, bytes, sizeof bytes);
}

/* People with levels that are far apart; returns the folder's path, which stays. */
static const char *make_levels(void)
{
    static char root[256];
    snprintf(root, sizeof root, "%s", test_path("door-levels"));
    return add_grey(root, "Ann", 10) && add_grey(root, "Ann", 20) && add_grey(root, "Ann", 30) &&
                   add_grey(root, "Bob", 100) && add_grey(root, "Bob", 110) && add_grey(root, "Cy", 200) &&
                   add_grey(root, "Cy", 204)
               ? root
               : NULL;
}

/* A gallery's path that is not there yet, which stays. */
static const char *fresh(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s", test_path(name));
    remove(path);
    return path;
}

#define WORDS(...) (snprintf(words, sizeof words, __VA_ARGS__), words)

/* ---- by grey levels ---------------------------------------------------------------------------------------------- */

TEST(door_enrolls_lists_and_removes)
{
    char words[2000];
    const char *root = make_levels(), *kept = fresh("door-list");
    CHECK(root);
    CHECK_EQUAL(run(door_enroll, NULL, WORDS("--gallery %s Ann %s/Ann/10.pgm %s/Ann/20.pgm", kept, root, root)), 0);
    CHECK_TEXT(said, "enroll: name=Ann faces=2 replaced=0 skipped=0 rows=2\n");
    CHECK_EQUAL(run(door_enroll, NULL, WORDS("--gallery %s Ann %s/Ann/20.pgm %s/no.pgm %s/Ann/30.pgm", kept, root,
                                             root, root)), 0);
    CHECK_TEXT(said, "enroll: name=Ann faces=2 replaced=1 skipped=1 rows=3\n");
    CHECK_CONTAINS(complained, "no.pgm: cannot be opened");
    CHECK_EQUAL(run(door_enroll, NULL, WORDS("--gallery %s Bo,b %s/Bob/100.pgm", kept, root)), 0);
    CHECK_EQUAL(run(door_list, NULL, WORDS("--gallery %s", kept)), 0);
    CHECK_TEXT(said, "list: people=2 rows=4 model=\"grey model\" threshold=-\n"
                     "person: name=Ann rows=3 photos=10.pgm,20.pgm,30.pgm\n"
                     "person: name=\"Bo,b\" rows=1 photos=100.pgm\n");
    CHECK_EQUAL(run(door_remove, NULL, WORDS("--gallery %s An", kept)), 1);
    CHECK_CONTAINS(complained, "nobody called \"An\" is enrolled (did you mean \"Ann\"?)");
    CHECK_EQUAL(run(door_remove, NULL, WORDS("--gallery %s Ann", kept)), 0);
    CHECK_TEXT(said, "remove: name=Ann rows=3\n");
    CHECK_EQUAL(run(door_list, NULL, WORDS("--gallery %s", kept)), 0);
    CHECK_CONTAINS(said, "people=1 rows=1");
    CHECK_EQUAL(run(door_enroll, NULL, WORDS("--gallery %s Cy %s/no.pgm", kept, root)), 1);
    CHECK_CONTAINS(complained, "nobody was enrolled");
    CHECK_EQUAL(run(door_enroll, NULL, WORDS("--gallery %s Cy", kept)), 2);
    CHECK_EQUAL(run(door_list, NULL, WORDS("--gallery %s Cy", kept)), 2);
}

TEST(door_identifies_everybody_and_calls_strangers_unknown)
{
    char words[2000];
    const char *root = make_levels(), *kept = fresh("door-identify");
    CHECK(root && add_grey(root, "../door-strangers", 60));
    CHECK_EQUAL(run(door_identify, NULL, WORDS("--gallery %s %s/Ann/10.pgm", kept, root)), 1);
    CHECK_EQUAL(run(door_enroll, NULL, WORDS("--model sure --gallery %s --data %s", kept, root)), 0);
    CHECK_TEXT(said, "enroll: name=Ann faces=3 replaced=0 skipped=0 rows=3\n"
                     "enroll: name=Bob faces=2 replaced=0 skipped=0 rows=2\n"
                     "enroll: name=Cy faces=2 replaced=0 skipped=0 rows=2\n");
    CHECK_EQUAL(run(door_identify, NULL, WORDS("--model sure --gallery %s %s/Bob/110.pgm %s/../door-strangers/60.pgm "
                                               "--top 2", kept, root, root)), 0);
    CHECK_CONTAINS(said, "/Bob/110.pgm face=1 faces=1 person=Bob distance=0.0000 threshold=50.0000 "
                         "top=Bob:0.0000,Ann:6400.0000\n");
    CHECK_CONTAINS(said, "/60.pgm face=1 faces=1 unknown nearest=Ann distance=900.0000 threshold=50.0000 "
                         "top=Ann:900.0000,Bob:1600.0000\n");
    CHECK_EQUAL(run(door_identify, NULL, WORDS("--gallery %s %s/Ann/10.pgm", kept, root)), 1);
    CHECK_CONTAINS(complained, "holds faces as \"grey sure\" sees them, and this model is \"grey model\"");
    CHECK_EQUAL(run(door_identify, NULL, WORDS("--gallery %s", kept)), 2);
    CHECK_EQUAL(run(door_identify, NULL, WORDS("--gallery %s --stdin %s/Ann/10.pgm", kept, root)), 2);
}

TEST(door_answers_every_line_of_stdin)
{
    char words[2000], lines[6000];
    const char *root = make_levels(), *kept = fresh("door-stdin"), *input = test_path("door-lines");
    CHECK(root);
    CHECK_EQUAL(run(door_enroll, NULL, WORDS("--gallery %s Ann %s/Ann/10.pgm", kept, root)), 0);
    const int used = snprintf(lines, sizeof lines, "%s/Ann/20.pgm\r\nno.pgm\n\n", root);
    memset(lines + used, 'x', 5000);
    snprintf(lines + used + 5000, sizeof lines - (size_t)used - 5000, "\n%s/Ann/10.pgm", root);
    CHECK(write_text(input, lines) && freopen(input, "r", stdin));
    CHECK_EQUAL(run(door_identify, NULL, WORDS("--gallery %s --stdin", kept)), 0);
    CHECK_CONTAINS(complained, "no threshold is known");
    CHECK_CONTAINS(said, "/Ann/20.pgm face=1 faces=1 uncalibrated nearest=Ann distance=100.0000 threshold=- "
                         "top=Ann:100.0000\nno.pgm error=\"cannot be opened (");
    CHECK_CONTAINS(said, "\n\"\" error=\"");
    CHECK_CONTAINS(said, "x error=\"the line is too long\"\n");
    CHECK_CONTAINS(said, "/Ann/10.pgm face=1 faces=1 uncalibrated nearest=Ann distance=0.0000");
}

TEST(door_calibrates_and_verifies_by_what_was_found)
{
    char words[2000];
    const char *root = make_levels(), *kept = fresh("door-calibrate");
    CHECK(root);
    CHECK_EQUAL(run(door_calibrate, NULL, WORDS("--gallery %s --data %s", kept, root)), 0);
    CHECK_CONTAINS(complained, "16 pairs of two people tell nothing of a FAR of 0.001");
    CHECK_CONTAINS(said, "calibrate: threshold=2650.0000 far=0 frr=0 by=eer same=5 different=16 pictures=7 people=3\n");
    CHECK_EQUAL(run(door_verify, NULL, WORDS("--gallery %s %s/Ann/10.pgm %s/Ann/30.pgm", kept, root, root)), 0);
    CHECK_TEXT(said, "verify: same distance=400.0000 threshold=2650.0000 far=0 frr=0\n");
    CHECK_EQUAL(run(door_calibrate, NULL, WORDS("--gallery %s --data %s --far 0.1", kept, root)), 0);
    CHECK_CONTAINS(said, "rates: threshold=2650.0000 far=0 frr=0\nrates: threshold=5650.0000 far=0.0625 frr=0\n"
                         "calibrate: threshold=5650.0000 far=0.0625 frr=0 by=far same=5 different=16");
    CHECK_EQUAL(run(door_verify, NULL, WORDS("--gallery %s %s/Ann/10.pgm %s/Bob/100.pgm", kept, root, root)), 0);
    CHECK_TEXT(said, "verify: different distance=8100.0000 threshold=5650.0000 far=0.0625 frr=0\n");
    CHECK_EQUAL(run(door_calibrate, NULL, WORDS("--gallery %s", kept)), 1);
    CHECK_CONTAINS(complained, "there are 0 pairs of one person and 0 of two");
    CHECK_EQUAL(run(door_enroll, NULL, WORDS("--gallery %s --data %s", kept, root)), 0);
    CHECK_EQUAL(run(door_calibrate, NULL, WORDS("--gallery %s", kept)), 0);
    CHECK_CONTAINS(said, "calibrate: threshold=2650.0000 far=0 frr=0 by=eer same=5 different=16 pictures=7 people=3\n");
    kept = fresh("door-none");
    CHECK_EQUAL(run(door_verify, NULL, WORDS("--gallery %s %s/Ann/10.pgm %s/Ann/30.pgm", kept, root, root)), 0);
    CHECK_TEXT(said, "verify: uncalibrated distance=400.0000 threshold=-\n");
}

enum { MANY = 2000 };

static bool add_levels(gallery *g, void *user, app_error *error)
{
    int replaced = 0;
    (void)user;
    for (int i = 0; i < MANY; i++) {
        const tsr_real level = (tsr_real)(i % 2 ? 1000 + i : i);
        const gallery_row row = {i % 2 ? "Bob" : "Ann", "x", (uint64_t)i, &level};
        if (!gallery_add(g, &row, &replaced, error)) return false;
    }
    return true;
}

TEST(door_calibrates_by_a_part_of_very_many_pairs)
{
    char words[2000];
    const char *kept = fresh("door-many");
    app_error error = {""};
    tsr_context *ctx = tsr_open(NULL);
    const gallery_model model = {"grey model", 1};
    CHECK(gallery_update(ctx, kept, &model, (gallery_task){add_levels, NULL}, &error));
    tsr_close(ctx);
    CHECK_EQUAL(run(door_calibrate, NULL, WORDS("--gallery %s --far 0.01", kept)), 0);
    const char *far = strstr(said, "calibrate: "), *different = strstr(said, " different=");
    CHECK(far && different);
    CHECK_CONTAINS(far, "by=far same=999000 ");
    CHECK_NEAR(atoi(different + strlen(" different=")), 500250, 0.01); /* half of a million pairs */
    CHECK_NEAR(strtod(strstr(far, "far=") + 4, NULL), 0.01, 1e-4);
}

/* ---- by facenet -------------------------------------------------------------------------------------------------- */

/* A model with the weights that its seed gives. */
static bool make_model(const char *path, uint64_t seed, const char *threshold)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = seed});
    tsr_model *m = tsr_model_new(ctx);
    face_view view = {.part.size = 0.75};
    app_error error = {""};
    const face_form wanted = {.size = 16, .embedding = 8};
    const bool done = face_form_of(&view.form, face_net_find("small", &error), &wanted, &error);
    view_describe(m, &view);
    if (threshold) tsr_set_text(m, "threshold", threshold);
    tsr_set_training(m, false);
    face_embed(m, tsr_zeros(ctx, TSR_SHAPE(1, 16, 16, 3)));
    const bool saved = tsr_model_save(m, path, NULL);
    return tsr_close(ctx) == 0 && done && saved;
}

static bool add_face(const char *root, const char *folder, int who, int number)
{
    char path[512];
    image face;
    app_error error = {""};
    if (!add_file(root, folder, "note.txt", "") || !image_new(&face, 32, 32, 3, &error)) return false;
    snprintf(path, sizeof path, "%.250s/%.50s/%d.png", root, folder, number);
    const bool done = faces_draw(&face, 1, who, number, &error) && image_write(&face, path, &error);
    image_free(&face);
    return done;
}

TEST(door_of_facenet_knows_its_model_and_threshold)
{
    char words[2000], root[256], first[256], other[256];
    const char *kept = fresh("door-facenet");
    snprintf(root, sizeof root, "%s", test_path("door-faces"));
    snprintf(first, sizeof first, "%s", test_path("door-first.safetensors"));
    snprintf(other, sizeof other, "%s", test_path("door-other.safetensors"));
    CHECK(make_model(first, 1, "1e-9") && make_model(other, 2, NULL));
    CHECK(add_face(root, "Ann", 1, 0) && add_face(root, "Ann", 1, 1) && add_face(root, "Bob", 2, 0));
    CHECK_EQUAL(run(NULL, facenet_enroll, WORDS("--model %s --gallery %s --data %s", first, kept, root)), 0);
    CHECK_EQUAL(run(NULL, facenet_identify, WORDS("--model %s --gallery %s %s/Bob/0.png", first, kept, root)), 0);
    CHECK_CONTAINS(said, "/Bob/0.png face=1 faces=1 person=Bob distance=0.0000 threshold=0.0000 top=Bob:0.0000,Ann:");
    CHECK_EQUAL(run(NULL, facenet_verify, WORDS("--model %s --gallery %s %s/Ann/0.png %s/Ann/1.png", first, kept,
                                                root, root)), 0);
    CHECK_CONTAINS(said, "verify: different distance=");
    CHECK_EQUAL(run(NULL, facenet_calibrate, WORDS("--model %s --gallery %s", first, kept)), 0);
    CHECK_CONTAINS(said, "by=eer same=1 different=2 pictures=3 people=2\n");
    CHECK_EQUAL(run(NULL, facenet_list, WORDS("--gallery %s", kept)), 0);
    CHECK_CONTAINS(said, "list: people=2 rows=3 model=\"facenet small 16x16x3 ");
    CHECK_CONTAINS(said, " part 0.750 down 0.000\" threshold=");
    CHECK_EQUAL(run(NULL, facenet_remove, WORDS("--gallery %s Bob", kept)), 0);
    CHECK_EQUAL(run(NULL, facenet_identify, WORDS("--model %s --gallery %s %s/Bob/0.png", other, kept, root)), 1);
    CHECK_CONTAINS(complained, "and this model is \"facenet small 16x16x3 ");
    CHECK_EQUAL(run(NULL, facenet_identify, WORDS("--model %s --gallery %s --part 0.5 %s/Bob/0.png", first, kept,
                                                  root)), 1);
    CHECK_CONTAINS(complained, "part 0.500 down 0.000\"");
}
