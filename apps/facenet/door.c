/* The verbs of the door, with an embedding net as what recognises. */
#include "apps/facenet/facenet.h"

#include "apps/common/bytes.h"
#include "apps/common/door.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool copy_face(const pictures *set, int number, unsigned char *pixels, app_error *error)
{
    const image *face = (const image *)set->source + number;
    (void)error;
    memcpy(pixels, face->pixels, picture_bytes(set));
    return true;
}

static bool encode(const recognizer *r, const image *faces, int count, tsr_real *rows, app_error *error)
{
    face_form form;
    pictures set = {.count = count, .size = r->cutter.size, .channels = r->cutter.channels, .ctx = r->ctx,
                    .make = copy_face, .source = faces};
    if (!face_form_in(&form, r->model, error)) return false;
    memcpy(set.mean, form.net->mean, sizeof set.mean);
    set.divisor = form.net->divisor;
    return net_embed(r->model, &set, (net_range){.count = count}, rows, error) &&
           (tsr_check_claimed(r->model) || app_fail(error, "%s", tsr_error(r->ctx)));
}

/* What training measured, or what was published of the net. */
static double threshold_of(const tsr_model *m, const face_net *net)
{
    const char *text = tsr_text_of(m, "threshold");
    const double threshold = text ? strtod(text, NULL) : net->threshold;
    return isfinite(threshold) && threshold > 0 ? threshold : NAN;
}

static bool open_model(recognizer *out, const char *model, const portraits_request *faces, app_error *error)
{
    face_view view;
    char folder[1024], cut[40];
    uint64_t digest;
    portraits_request request = *faces;
    tsr_model *m = tsr_model_new(out->ctx);
    if (!bytes_digest(&digest, model, error) || !view_open(m, model, &view, error)) return false;
    view_choose(&view, &request, model, folder);
    request.size = view.form.size;
    request.channels = view.form.channels;
    if (!portraits_cutter(&out->cutter, &out->faces, out->ctx, &request, error)) return false;
    out->cutter.faces = &out->faces;
    snprintf(cut, sizeof cut, "part %.3f down %.3f", view.part.size, view.part.down);
    snprintf(out->name, sizeof out->name, "facenet %s %dx%dx%d %016" PRIx64 " %s", view.form.net->name, view.form.size,
             view.form.size, view.form.channels, digest, view.aligned ? "aligned" : view.part.whole ? "whole" : cut);
    out->length = view.form.embedding;
    out->limit = (gallery_limit){threshold_of(m, view.form.net), NAN, NAN};
    out->distance = squared_distance;
    out->encode = encode;
    out->model = m;
    return true;
}

static const recognizer_program program = {
    "facenet", "out/model.safetensors",
    "what facenet train or import has made; distances of its embeddings are squared Euclidean ones, as in eval (the "
    "published 0.6 of face_resnet29 is 0.36)", open_model};

int facenet_enroll(int count, char **arguments)
{
    return door_enroll(&program, count, arguments);
}

int facenet_list(int count, char **arguments)
{
    return door_list(&program, count, arguments);
}

int facenet_remove(int count, char **arguments)
{
    return door_remove(&program, count, arguments);
}

int facenet_identify(int count, char **arguments)
{
    return door_identify(&program, count, arguments);
}

int facenet_verify(int count, char **arguments)
{
    return door_verify(&program, count, arguments);
}

int facenet_calibrate(int count, char **arguments)
{
    return door_calibrate(&program, count, arguments);
}
