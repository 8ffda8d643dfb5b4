/* facenet enroll, list, remove, identify, verify, calibrate. */
#include "apps/facenet/facenet.h"

#include "apps/common/door.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct door_options {
    portraits_request faces;
    const char *model, *gallery;
    double far;
    int top, threads;
    bool from_stdin;
} door_options;

/* A model, and all that its recognizer points to. */
typedef struct door {
    tsr_model *m;
    face_view view;
    landmark_list faces;
    recognizer recognizer;
    char folder[1024];
} door;

static bool encode_all(void *user, const pictures *set, tsr_real *rows, app_error *error)
{
    return net_embed(((door *)user)->m, set, (net_range){.count = set->count}, rows, error);
}

/* A single face, as a set of one picture that is held. */
static bool encode(void *user, const image *face, tsr_real *row, app_error *error)
{
    const door *d = user;
    pictures one = {.count = 1, .size = d->view.form.size, .channels = d->view.form.channels,
                    .ctx = tsr_model_context(d->m), .divisor = d->view.form.net->divisor, .held = 1, .pixels = face->pixels};
    memcpy(one.mean, d->view.form.net->mean, sizeof one.mean);
    return net_embed(d->m, &one, (net_range){.count = 1}, row, error);
}

/* As training has put it into the model, else as the net's weights were published with. */
static double threshold_of(const door *d)
{
    const char *text = tsr_text_of(d->m, "threshold");
    const double published = d->view.form.net->threshold;
    return text ? strtod(text, NULL) : published > 0 ? published : NAN;
}

static bool open_door(door *d, tsr_context *ctx, door_options *o, app_error *error)
{
    recognizer *r = &d->recognizer;
    d->m = tsr_model_new(ctx);
    if (!d->m) return app_fail(error, "out of memory");
    if (!view_open(d->m, o->model, &d->view, error)) return false;
    view_choose(&d->view, &o->faces, o->model, d->folder);
    o->faces.size = d->view.form.size;
    o->faces.channels = d->view.form.channels;
    *r = (recognizer){.program = "facenet", .ctx = ctx, .length = d->view.form.embedding, .threshold = threshold_of(d),
                      .encode = encode, .encode_all = encode_all, .user = d};
    return portraits_cutter(&r->cutter, &d->faces, ctx, &o->faces, error) &&
           fingerprint_of(&r->fingerprint, o->model, error);
}

/* ---- the command lines -------------------------------------------------------------------------------------------- */

enum { PHOTOS = 1, DATA = 2, FAR = 4, STDIN = 8, MODEL = PHOTOS | DATA }; /* which options a verb has besides the common ones */

typedef struct door_verb {
    const char *name, *summary, *operands;
    int fewest, most, has;
    bool (*run)(const door *d, const door_options *o, const command *c, app_error *error);
} door_verb;

static int parse(door_options *o, const door_verb *which, command *c, int count, char **arguments)
{
    const option own[] = {
        {"gallery", OPTION_TEXT, &o->gallery, "who is known", "FILE", 0, 0, NULL},
        {"model", OPTION_TEXT, &o->model, "what facenet train or import has made", "FILE", 0, 0, NULL},
        {"threads", OPTION_INT, &o->threads, "0: all; changes no result", "N", 0, 1024, NULL},
    };
    const option far = {"far", OPTION_DOUBLE, &o->far, "share of strangers that may be taken for somebody", "X", 1e-9, 0.5,
                        NULL};
    const option from_stdin = {"stdin", OPTION_FLAG, &o->from_stdin, "read paths of photographs from stdin, a line each, and "
                               "answer each at once", NULL, 0, 0, NULL};
    const option top = {"top", OPTION_INT, &o->top, "how many of the nearest people to name", "N", 1, 1000, NULL};
    option faces[PORTRAITS_OPTIONS], options[PORTRAITS_OPTIONS + 8];
    int used = 0;
    portraits_options(faces, &o->faces);
    for (int i = 0; i < PORTRAITS_OPTIONS; i++) {
        const bool of_photos = i >= PORTRAITS_FIRST_PHOTO_OPTION && i < PORTRAITS_FIRST_PHOTO_OPTION + PORTRAITS_PHOTO_OPTIONS;
        if (which->has & (of_photos ? MODEL : DATA)) options[used++] = faces[i];
    }
    for (int i = 0; i < (which->has & MODEL ? 3 : 1); i++) options[used++] = own[i];
    if (which->has & FAR) options[used++] = far;
    if (which->has & STDIN) {
        options[used++] = from_stdin;
        options[used++] = top;
    }
    *c = (command){.program = "facenet", .verb = which->name, .summary = which->summary, .operands = which->operands,
                   .fewest = which->fewest, .most = which->most, .options = options, .option_count = used};
    return command_start(c, count, arguments);
}

static int run(const door_verb *which, int count, char **arguments)
{
    door_options o = {.faces = {.cache_mb = 2048, .per_person = 2}, .model = "out/model.safetensors",
                      .gallery = "out/gallery", .far = 0.001, .top = 3};
    command c;
    const int status = parse(&o, which, &c, count, arguments);
    if (status != COMMAND_GO) return status;
    app_error error = {""};
    door d = {0};
    tsr_context *ctx = tsr_open(&(tsr_options){.threads = o.threads});
    bool done = (!(which->has & MODEL) || open_door(&d, ctx, &o, &error)) && which->run(&d, &o, &c, &error);
    if (done && fflush(stdout) != 0) done = app_fail(&error, "stdout: could not be written");
    landmarks_free(&d.faces);
    tsr_close(ctx);
    if (!done) fprintf(stderr, "facenet %s: %s\n", which->name, error.text);
    return done ? 0 : 1;
}

/* ---- the verbs ---------------------------------------------------------------------------------------------------- */

/* Opens --data, and does something with it. */
static bool with_data(const door *d, const door_options *o, const char *name,
                      bool (*act)(const door *d, const door_options *o, const portraits *faces, app_error *error),
                      app_error *error)
{
    portraits faces;
    char program[40];
    snprintf(program, sizeof program, "facenet %s", name);
    if (!view_open_faces(&d->view, &faces, d->recognizer.ctx, &o->faces, error)) return false;
    portraits_tell(&faces, program);
    const bool done = act(d, o, &faces, error);
    portraits_close(&faces);
    return done;
}

static bool enroll_data(const door *d, const door_options *o, const portraits *faces, app_error *error)
{
    return door_enroll_all(&d->recognizer, o->gallery, faces, error);
}

static bool enroll(const door *d, const door_options *o, const command *c, app_error *error)
{
    if (o->faces.who.data && c->rest_count == 0) return with_data(d, o, "enroll", enroll_data, error);
    if (o->faces.who.data || c->rest_count < 2)
        return app_fail(error, "give a name and photographs, or --data DIR with a folder per person");
    return door_enroll(&d->recognizer, o->gallery, c->rest[0], c->rest + 1, c->rest_count - 1, error);
}

static bool remove_name(const door *d, const door_options *o, const command *c, app_error *error)
{
    (void)d;
    return door_remove(o->gallery, c->rest[0], error);
}

static bool list(const door *d, const door_options *o, const command *c, app_error *error)
{
    (void)d;
    (void)c;
    return door_list(o->gallery, error);
}

static bool identify(const door *d, const door_options *o, const command *c, app_error *error)
{
    if (o->from_stdin != (c->rest_count == 0)) return app_fail(error, "give photographs, or --stdin and none");
    return door_identify(&d->recognizer, o->gallery, c->rest, c->rest_count, o->top, error);
}

static bool verify(const door *d, const door_options *o, const command *c, app_error *error)
{
    return door_verify(&d->recognizer, o->gallery, c->rest, error);
}

static bool calibrate_data(const door *d, const door_options *o, const portraits *faces, app_error *error)
{
    return door_calibrate(&d->recognizer, o->gallery, faces, o->far, error);
}

static bool calibrate(const door *d, const door_options *o, const command *c, app_error *error)
{
    (void)c;
    if (o->faces.who.data) return with_data(d, o, "calibrate", calibrate_data, error);
    return door_calibrate(&d->recognizer, o->gallery, NULL, o->far, error);
}

enum { MANY = 1000000 };

int facenet_enroll(int count, char **arguments)
{
    const door_verb which = {"enroll", "Adds a person by photographs (one is enough); nothing is trained, no photo kept.",
                            "[NAME PHOTO...]", 0, MANY, PHOTOS | DATA, enroll};
    return run(&which, count, arguments);
}

int facenet_remove(int count, char **arguments)
{
    const door_verb which = {"remove", "Takes a person out of the gallery.", "NAME", 1, 1, 0, remove_name};
    return run(&which, count, arguments);
}

int facenet_list(int count, char **arguments)
{
    const door_verb which = {"list", "Says who is in the gallery, and its threshold.", NULL, 0, 0, 0, list};
    return run(&which, count, arguments);
}

int facenet_identify(int count, char **arguments)
{
    const door_verb which = {"identify", "Says who is on photographs, or that it is nobody it knows.", "[PHOTO...]", 0, MANY,
                            PHOTOS | STDIN, identify};
    return run(&which, count, arguments);
}

int facenet_verify(int count, char **arguments)
{
    const door_verb which = {"verify", "Says whether two photographs show the same person.", "PHOTO PHOTO", 2, 2, PHOTOS,
                            verify};
    return run(&which, count, arguments);
}

int facenet_calibrate(int count, char **arguments)
{
    const door_verb which = {"calibrate", "Measures false accepts and rejects on your own photographs, stores the threshold.",
                            NULL, 0, 0, DATA | FAR, calibrate};
    return run(&which, count, arguments);
}
