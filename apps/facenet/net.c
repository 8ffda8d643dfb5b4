/* How models see faces, and how pictures come into them. */
#include "apps/facenet/facenet.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the view in the file ---------------------------------------------------------------------------------------- */

void view_describe(tsr_model *m, const face_view *view)
{
    char text[64];
    face_describe(m, &view->form);
    snprintf(text, sizeof text, "%d/1000 %d/1000", (int)lround(1000 * view->part.size),
             (int)lround(1000 * view->part.down));
    tsr_set_text(m, "frame", view->aligned ? "landmarks" : view->part.whole ? "whole" : text);
}

bool view_open(tsr_model *m, const char *path, face_view *out, app_error *error)
{
    int size = 0, down = 0;
    *out = (face_view){0};
    if (!face_open(m, path, &out->form, error)) return false;
    const char *frame = tsr_text_of(m, "frame");
    out->aligned = frame ? strcmp(frame, "landmarks") == 0 : out->form.net->fixed; /* as weights from elsewhere are */
    out->part.whole = frame && strcmp(frame, "whole") == 0;
    if (frame && !out->aligned && !out->part.whole &&
        (sscanf(frame, "%5d/1000 %5d/1000", &size, &down) < 1 || size < 0 || size > 1000 || abs(down) > 500))
        return app_fail(error, "%s: its frame \"%s\" is none that facenet knows", path, frame);
    out->part.size = size / 1000.0;
    out->part.down = down / 1000.0;
    return true;
}

void view_choose(face_view *view, portraits_request *faces, const char *model, char folder[1024])
{
    bool said;
    const photo_align align = portraits_align(faces, &said);
    const char *slash = model ? strrchr(model, '/') : NULL;
    snprintf(folder, 1024, "%.*s", slash ? (int)(slash - model) : 1, slash ? model : ".");
    faces->nets = model ? folder : NULL;
    if (!said) {
        faces->align = view->aligned ? "auto" : view->part.whole ? "none" : "crop";
        if (!view->aligned) faces->part = view->part;
        return;
    }
    view->aligned = align >= PHOTO_LANDMARKS;
    if (view->aligned) view->part = (picture_part){0}; /* the request's is for pictures without a face */
    else if (align == PHOTO_NONE) view->part = (picture_part){.whole = true};
    else if (faces->part.size > 0)
        view->part = (picture_part){.size = floor(1000 * faces->part.size + 0.5) / 1000, /* as the file keeps it */
                                    .down = floor(1000 * faces->part.down + 0.5) / 1000};
    else view->part.whole = false;
    if (!view->aligned) faces->part = view->part;
}

bool view_open_faces(const face_view *view, portraits *out, tsr_context *ctx, const portraits_request *faces,
                     app_error *error)
{
    portraits_request request = *faces;
    request.size = view->form.size;
    request.channels = view->form.channels;
    if (!portraits_open(out, ctx, &request, error)) return false;
    memcpy(out->pictures.mean, view->form.net->mean, sizeof out->pictures.mean);
    out->pictures.divisor = view->form.net->divisor;
    return true;
}

/* ---- pictures in ------------------------------------------------------------------------------------------------- */

tsr_tensor *net_batch(tsr_context *ctx, const pictures *set, const int *numbers, int count, const augmentation *how,
                      int64_t step)
{
    app_error error = {""};
    tsr_tensor *x = tsr_zeros(ctx, TSR_SHAPE(count, set->size, set->size, set->channels));
    const variation varied = {how, {tsr_seed(ctx), tsr_substream(tsr_stream("augmentation"), (uint64_t)step)}};
    tsr_real *out = tsr_write(x);
    return !out || pictures_inputs(set, numbers, count, varied, out, &error) ? x : tsr_fail(ctx, "%s", error.text);
}

/* The mean of the embeddings of pictures and of their mirror images. */
static tsr_tensor *embed_both(tsr_model *m, const face_form *form, tsr_tensor *x)
{
    tsr_tensor *mean = tsr_mul_scalar(tsr_add(face_embed(m, x), face_embed(m, tsr_flip(x, 2))), 0.5);
    return form->net->unnormalised ? mean : tsr_l2_normalize(mean, -1);
}

bool net_embed(tsr_model *m, const pictures *set, net_range range, tsr_real *out, app_error *error)
{
    enum { BATCH = 64 };
    face_form form;
    tsr_context *ctx = tsr_model_context(m);
    const bool training = tsr_is_training(m);
    if (!face_form_in(&form, m, error)) return false;
    tsr_set_training(m, false);
    for (int done = 0; done < range.count && !tsr_error(ctx); done += BATCH)
        TSR_NO_GRAD(ctx) {
            const int count = range.count - done < BATCH ? range.count - done : BATCH;
            int numbers[BATCH];
            for (int i = 0; i < count; i++) numbers[i] = range.first + done + i;
            tsr_tensor *x = net_batch(ctx, set, numbers, count, NULL, 0);
            const tsr_tensor *e = range.flip ? embed_both(m, &form, x) : face_embed(m, x);
            tsr_copy_out(e, out + (ptrdiff_t)done * form.embedding, tsr_size(e));
        }
    tsr_set_training(m, training);
    return !tsr_error(ctx) || app_fail(error, "%s", tsr_error(ctx));
}

bool net_verify(contender *out, tsr_model *m, const pictures *set, int first, const pairs *list, app_error *error)
{
    face_form form;
    const net_range range = {.first = first, .count = set->count - first};
    if (!face_form_in(&form, m, error)) return false;
    tsr_real *rows = malloc((size_t)range.count * (size_t)form.embedding * sizeof *rows);
    if (!rows) return app_fail(error, "out of memory for %d embeddings", range.count);
    out->what = features_of_embeddings(set, rows, form.embedding, squared_distance);
    return net_embed(m, set, range, rows, error) && contender_measure(out, list, error);
}
