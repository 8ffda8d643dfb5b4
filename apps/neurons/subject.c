#include "apps/common/feature_nets.h"
#include "apps/common/progress.h"
#include "apps/facenet/facenet.h"
#include "apps/facenet/training.h"
#include "apps/neurons/neurons.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void settle(subject *s)
{
    tsr_set_training(s->m, false);
    tsr_freeze(s->m, "", true);
}

static void take_face(subject *s, const face_form *form, picture_part part)
{
    snprintf(s->name, sizeof s->name, "facenet %s", form->net->name);
    s->net = face_embed;
    s->size = form->size;
    s->channels = form->channels;
    s->part = part;
    memcpy(s->mean, form->net->mean, sizeof s->mean);
    s->divisor = form->net->divisor;
}

bool subject_open(subject *out, tsr_context *ctx, const char *path, app_error *error)
{
    enum { SIZE = 128 }; /* of nets that take any: smaller squares are more different squares */
    *out = (subject){.m = tsr_model_new(ctx)};
    const feature_net *known = feature_net_in(ctx, path);
    face_view view;
    if (tsr_error(ctx)) return app_fail(error, "%s", tsr_error(ctx));
    if (!known) {
        if (!view_open(out->m, path, &view, error)) return false;
        take_face(out, &view.form, view.part);
        out->aligned = view.aligned;
    } else {
        if (!tsr_model_load(out->m, path, NULL)) return app_fail(error, "%s", tsr_error(ctx));
        snprintf(out->name, sizeof out->name, "%s", known->name);
        out->net = known->net;
        out->size = SIZE;
        out->channels = 3;
        out->any_size = out->bgr = true;
        memcpy(out->mean, known->mean, sizeof out->mean);
        out->divisor = 1;
    }
    settle(out);
    return true;
}

bool subject_train(subject *out, tsr_context *ctx, int steps, app_error *error)
{
    enum { PEOPLE = 200, PICTURES = 6 };
    const training_settings settings = {.steps = steps, .per_batch = 24, .per_person = 4, .lr = 0.003,
                                        .weight_decay = 0.01, .margin = 0.2,
                                        .variation = {.shift = 0.06, .scale = 0.06, .rotation = 0.08, .flip = true}};
    const portraits_request faces = {.who.limit = PEOPLE, .per_person = PICTURES, .cache_mb = 256};
    const face_net *net = face_net_find("small", error);
    face_view view = {0};
    portraits drawn = {0};
    training t = {0};
    *out = (subject){.m = tsr_model_new(ctx)};
    bool done = net && face_form_of(&view.form, net, NULL, error) && (out->m || app_fail(error, "out of memory"));
    if (done) view_describe(out->m, &view);
    done = done && view_open_faces(&view, &drawn, ctx, &faces, error);
    if (done) {
        done = training_open(&t, out->m, &drawn.pictures, &settings, error);
        progress p;
        progress_start(&p, "neurons: no --model: a small net learns faces", "steps", 0, steps);
        for (int i = 0; done && i < steps; i++) {
            char note[80];
            double row[LOG_COLUMNS];
            for (int k = 0; k < LOG_COLUMNS; k++) row[k] = (double)NAN; /* nothing to say */
            done = training_take_step(&t, i, row, error);
            training_tell(row, note, sizeof note);
            progress_show(&p, i + 1, note);
        }
        progress_end(&p);
        training_close(&t);
    }
    portraits_close(&drawn);
    if (done) take_face(out, &view.form, view.part);
    settle(out);
    return done;
}

tsr_tensor *subject_input(const subject *s, const unsigned char *squares, int count)
{
    const int values = s->size * s->size * s->channels;
    tsr_tensor *x = tsr_zeros(tsr_model_context(s->m), TSR_SHAPE(count, s->size, s->size, s->channels));
    tsr_real *to = tsr_write(x);
    if (!to) return x;
    for (int64_t i = 0; i < (int64_t)count * values; i++) {
        const int64_t c = i % s->channels, from = s->bgr ? i - c + 2 - c : i;
        to[i] = s->divisor > 0 ? (tsr_real)((squares[from] - s->mean[c]) / s->divisor) : (tsr_real)squares[from];
    }
    for (int k = 0; k < count && !(s->divisor > 0); k++) picture_whiten(to + (ptrdiff_t)k * values, values);
    return tsr_watch(x);
}
