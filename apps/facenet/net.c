/* How models see faces, and how pictures come into them. */
#include "apps/facenet/facenet.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* ---- the view in the file -------------------------------------------------------------------------------------------- */

void view_describe(tsr_model *m, const face_view *view)
{
    char text[48];
    face_describe(m, &view->form);
    snprintf(text, sizeof text, "%d/1000", (int)(1000 * view->part + 0.5));
    tsr_set_text(m, "frame", view->aligned ? "landmarks" : text);
}

bool view_open(tsr_model *m, const char *path, face_view *out, app_error *error)
{
    int part = 0;
    *out = (face_view){0};
    if (!face_open(m, path, &out->form, error)) return false;
    const char *frame = tsr_text_of(m, "frame"); /* weights from elsewhere have none: all of the picture */
    out->aligned = frame && strcmp(frame, "landmarks") == 0;
    if (frame && !out->aligned && (sscanf(frame, "%d/1000", &part) != 1 || part < 0 || part > 1000))
        return app_fail(error, "%s: its frame \"%s\" is none that facenet knows", path, frame);
    out->part = part / 1000.0;
    return true;
}

bool view_choose(face_view *view, portraits_request *faces, const char *model, app_error *error)
{
    if (faces->landmarks || faces->part > 0) {
        view->aligned = faces->landmarks != NULL;
        view->part = (int)(1000 * faces->part + 0.5) / 1000.0; /* as the file keeps it */
    }
    faces->part = view->part;
    return !view->aligned || faces->landmarks ||
           app_fail(error, "%s was trained on faces aligned by landmarks: --landmarks or --part is needed", model);
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

bool net_embed(tsr_model *m, const face_form *form, const pictures *set, bool flip, tsr_real *out, app_error *error)
{
    enum { BATCH = 64 };
    tsr_context *ctx = tsr_model_context(m);
    const bool training = tsr_is_training(m);
    tsr_set_training(m, false);
    for (int first = 0; first < set->count && !tsr_error(ctx); first += BATCH)
        TSR_NO_GRAD(ctx) {
            int numbers[BATCH], count = 0;
            while (count < BATCH && first + count < set->count) {
                numbers[count] = first + count;
                count++;
            }
            tsr_tensor *x = net_batch(ctx, set, numbers, count, NULL, 0);
            const tsr_tensor *e = flip ? embed_both(m, form, x) : face_embed(m, x);
            tsr_copy_out(e, out + (ptrdiff_t)first * form->embedding, tsr_size(e));
        }
    tsr_set_training(m, training);
    return !tsr_error(ctx) || app_fail(error, "%s", tsr_error(ctx));
}
