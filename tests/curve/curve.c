/* Trains the medium net by classification and then triplets, and leaves all that another program needs to do the same:
 * the weights before the first step, each step's batch, labels and learning rate, and the loss.    curve DATA OUT STEPS */
#include "apps/facenet/training.h"

#include "core/platform.h"

#include <stdlib.h>

enum { PEOPLE = 16, PICTURES = 4, BATCH = PEOPLE * PICTURES };

static bool save_step(training *t, const char *out, int64_t step, app_error *error)
{
    char path[1024];
    tsr_context *ctx = tsr_model_context(t->m);
    const bool classifies = step < t->settings.softmax_steps;
    if (classifies) sampler_draw_singly(&t->sampler, step, t->numbers, t->who);
    else sampler_draw(&t->sampler, step - t->settings.softmax_steps, t->numbers);
    TSR_SCOPE(ctx) {
        tsr_real labels[BATCH];
        for (int i = 0; i < BATCH; i++) labels[i] = (tsr_real)(classifies ? t->who[i] : i / PICTURES);
        snprintf(path, sizeof path, "%s/x%lld.npy", out, (long long)step);
        tsr_npy_save(net_batch(ctx, t->set, t->numbers, BATCH, &t->settings.variation, step), path);
        snprintf(path, sizeof path, "%s/y%lld.npy", out, (long long)step);
        tsr_npy_save(tsr_values(ctx, TSR_SHAPE(BATCH), labels), path);
    }
    return !tsr_error(ctx) || app_fail(error, "%s", tsr_error(ctx));
}

static bool run(training *t, const char *out, app_error *error)
{
    char path[1024];
    tsr_model *m = t->m;
    tsr_context *ctx = tsr_model_context(m);
    const int64_t steps = t->settings.softmax_steps + t->settings.steps;
    tsr_set_training(m, false); /* makes the parameters, changes no statistics */
    TSR_NO_GRAD(ctx) face_embed(m, tsr_zeros(ctx, TSR_SHAPE(1, t->set->size, t->set->size, t->set->channels)));
    tsr_parameter_init(m, TRAINING_CLASSES ".weight", TSR_SHAPE(t->sampler.people, 128),
                       &(tsr_init){.kind = TSR_INIT_XAVIER_UNIFORM});
    tsr_set_training(m, true);
    snprintf(path, sizeof path, "%s/begin.safetensors", out);
    if (!tsr_model_save(m, path, NULL)) return app_fail(error, "%s", tsr_error(ctx));
    printf("step,loss,lr,seconds\n");
    for (int64_t step = 0; step < steps; step++) {
        double row[LOG_COLUMNS];
        if (!save_step(t, out, step, error)) return false;
        const double start = tsr_platform_seconds();
        if (!training_take_step(t, step, row, error)) return false;
        printf("%lld,%.9g,%.9g,%.6f\n", (long long)step, row[LOG_LOSS], row[LOG_RATE], tsr_platform_seconds() - start);
    }
    return true;
}

int main(int count, char **arguments)
{
    if (count != 4) {
        fprintf(stderr, "usage: curve DATA OUT STEPS\n");
        return 2;
    }
    app_error error = {""};
    portraits faces = {0};
    training t = {0};
    face_view view = {.part.size = 0.48};
    const int half = atoi(arguments[3]) / 2;
    const portraits_request request = {.who.data = arguments[1], .cache_mb = 2048, .part.size = 0.48};
    const training_settings settings = {
        .softmax_steps = half, .steps = half, .per_batch = PEOPLE, .per_person = PICTURES, .lr = 0.0003, .softmax_lr = 0.001,
        .weight_decay = 0.5, .margin = 0.2, .softmax_margin = 0.3, .softmax_scale = 24,
        .variation = {.shift = 0.042, .scale = 0.042, .rotation = 0.056, .flip = true, .erase = 0.3}};
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = 1});
    tsr_model *m = tsr_model_new(ctx);
    bool done = folder_make(arguments[2], &error) &&
                face_form_of(&view.form, face_net_find("medium", &error), &(face_form){.channels = 1}, &error);
    if (done) view_describe(m, &view);
    done = done && view_open_faces(&view, &faces, ctx, &request, &error) &&
           training_open(&t, m, &faces.pictures, &settings, &error) && run(&t, arguments[2], &error);
    training_close(&t);
    portraits_close(&faces);
    tsr_close(ctx);
    if (!done) fprintf(stderr, "curve: %s\n", error.text);
    return done ? 0 : 1;
}
