/* The net that makes embeddings, and how pictures come into it. */
#include "apps/facenet/facenet.h"

#include "apps/facenet/nets.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

tsr_tensor *net_small(tsr_model *m, tsr_tensor *x)
{
    return small_embed(m, x, EMBEDDING);
}

/* ---- the description in the file --------------------------------------------------------------------------------- */

void net_describe(tsr_model *m, net_input input)
{
    char text[48];
    snprintf(text, sizeof text, "%dx%dx%d", input.size, input.size, input.channels);
    tsr_set_text(m, "net", "facenet small");
    tsr_set_text(m, "input", text);
    snprintf(text, sizeof text, "%d/1000", (int)(1000 * input.part + 0.5));
    tsr_set_text(m, "frame", input.aligned ? "landmarks" : text);
}

bool net_read_description(const tsr_model *m, const char *path, net_input *input, app_error *error)
{
    const char *net = tsr_text_of(m, "net"), *text = tsr_text_of(m, "input");
    const char *frame = tsr_text_of(m, "frame"); /* files of before may have none: all of the picture */
    int height, part = 0;
    if (!net || strcmp(net, "facenet small") != 0)
        return app_fail(error, "%s: is no model of facenet (its net is \"%s\")", path, net ? net : "not named");
    if (!text || sscanf(text, "%dx%dx%d", &height, &input->size, &input->channels) != 3 || height != input->size ||
        input->size < 16 || input->size > 1024 || (input->channels != 1 && input->channels != 3))
        return app_fail(error, "%s: its input \"%s\" is none that facenet knows", path, text ? text : "");
    input->aligned = frame && strcmp(frame, "landmarks") == 0;
    if (frame && !input->aligned && (sscanf(frame, "%d/1000", &part) != 1 || part < 0 || part > 1000))
        return app_fail(error, "%s: its frame \"%s\" is none that facenet knows", path, frame);
    input->part = part / 1000.0;
    return true;
}

/* ---- pictures in ------------------------------------------------------------------------------------------------- */

tsr_tensor *net_batch(tsr_context *ctx, const pictures *set, const int *numbers, int count, const augmentation *how,
                      int64_t step)
{
    app_error error = {""};
    tsr_tensor *x = tsr_zeros(ctx, TSR_SHAPE(count, set->size, set->size, set->channels));
    const tsr_rng rng = {tsr_seed(ctx), tsr_substream(tsr_stream("augmentation"), (uint64_t)step)};
    tsr_real *out = tsr_write(x);
    return !out || pictures_inputs(set, numbers, count, how, rng, out, &error) ? x : tsr_fail(ctx, "%s", error.text);
}

bool net_embed(tsr_model *m, const pictures *set, tsr_real *out, app_error *error)
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
            const tsr_tensor *e = net_small(m, net_batch(ctx, set, numbers, count, NULL, 0));
            tsr_copy_out(e, out + (ptrdiff_t)first * EMBEDDING, (int64_t)count * EMBEDDING);
        }
    tsr_set_training(m, training);
    return !tsr_error(ctx) || app_fail(error, "%s", tsr_error(ctx));
}
