/* The steps of facenet train: what a chunked batch, classification and the schedules do; runs of the verb. */
#include "apps/facenet/training.h"

#include <math.h>
#include <stdlib.h>

#include "tests/apps/files.h"
#include "tests/test.h"

enum { PEOPLE = 6, EACH = 4, SIZE = 16 };

/* Drawn people, and a model of the small net that sees them. */
typedef struct classroom {
    tsr_context *ctx;
    tsr_model *m;
    portraits faces;
    face_view view;
    training training;
} classroom;

static bool open_room(classroom *room, const training_settings *settings, app_error *error)
{
    *room = (classroom){.ctx = tsr_open(&(tsr_options){.seed = 3})};
    room->m = tsr_model_new(room->ctx);
    const portraits_request request = {.who.limit = PEOPLE, .per_person = EACH, .cache_mb = 1};
    const face_form wanted = {.size = SIZE, .channels = 1, .embedding = 8};
    return face_form_of(&room->view.form, face_net_find("small", error), &wanted, error) &&
           (view_describe(room->m, &room->view), true) &&
           view_open_faces(&room->view, &room->faces, room->ctx, &request, error) &&
           training_open(&room->training, room->m, &room->faces.pictures, settings, error);
}

static void close_room(classroom *room)
{
    training_close(&room->training);
    portraits_close(&room->faces);
    tsr_close(room->ctx);
}

static training_settings usual(void)
{
    return (training_settings){.steps = 40, .per_batch = 4, .per_person = 3, .lr = 0.01, .softmax_lr = 0.01,
                               .margin = 0.5, .softmax_margin = 0.1, .softmax_scale = 10};
}

TEST(training_in_chunks_takes_the_step_of_the_whole_batch)
{
    app_error error = {""};
    double row[LOG_COLUMNS], chunked[LOG_COLUMNS];
    training_settings settings = usual();
    settings.schedule = TRAINING_CONSTANT;
    classroom whole, parts;
    CHECK(open_room(&whole, &settings, &error));
    settings.chunk = 5; /* of 12, those without a triplet left out */
    CHECK(open_room(&parts, &settings, &error));
    tsr_set_training(whole.m, false); /* batch norm would see other batches */
    tsr_set_training(parts.m, false);
    for (int64_t step = 0; step < 3; step++) {
        CHECK(training_take_step(&whole.training, step, row, &error));
        CHECK(training_take_step(&parts.training, step, chunked, &error));
        CHECK_NEAR(row[LOG_LOSS], chunked[LOG_LOSS], 1e-4);
        CHECK(row[LOG_TRIPLETS] == chunked[LOG_TRIPLETS] && row[LOG_TRIPLETS] > 0);
    }
    close_room(&whole);
    close_room(&parts);
}

TEST(training_classifies_first_and_then_learns_triplets)
{
    app_error error = {""};
    double row[LOG_COLUMNS], first = 0, last = 0, right = 0;
    training_settings settings = usual();
    settings.softmax_steps = 40;
    settings.steps = 5;
    classroom room;
    CHECK(open_room(&room, &settings, &error));
    for (int64_t step = 0; step < 45; step++) {
        for (int i = 0; i < LOG_COLUMNS; i++) row[i] = NAN;
        CHECK(training_take_step(&room.training, step, row, &error));
        if (step == 0) first = row[LOG_LOSS];
        if (step == 39) {
            last = row[LOG_LOSS];
            right = row[LOG_CORRECT];
        }
        CHECK(isnan(row[LOG_CORRECT]) == (step >= 40) && isnan(row[LOG_TRIPLETS]) == (step < 40));
    }
    CHECK(last < 0.5 * first && right > 0.9);
    CHECK(tsr_model_find(room.m, TRAINING_CLASSES ".weight") >= 0);
    close_room(&room);
}

/* The loss by its definition: cross-entropy of scale (cosine - margin at the right class). */
TEST(training_softmax_has_the_margin_of_its_formula)
{
    app_error error = {""};
    double row[LOG_COLUMNS], loss = 0;
    training_settings settings = usual();
    settings.softmax_steps = 1;
    classroom room;
    CHECK(open_room(&room, &settings, &error));
    tsr_set_training(room.m, false);
    training *t = &room.training;
    sampler_draw_singly(&t->sampler, 0, t->numbers, t->who);
    const int count = t->sampler.per_batch * t->sampler.per_person;
    TSR_NO_GRAD(room.ctx) {
        const tsr_tensor *e = face_embed(room.m,
                                         net_batch(room.ctx, t->set, t->numbers, count, &settings.variation, 0));
        const tsr_tensor *w = tsr_parameter_init(room.m, TRAINING_CLASSES ".weight", TSR_SHAPE(PEOPLE, 8),
                                                 &(tsr_init){.kind = TSR_INIT_XAVIER_UNIFORM});
        for (int i = 0; i < count; i++) {
            double sum = 0, logit[PEOPLE];
            for (int k = 0; k < PEOPLE; k++) {
                double dot = 0, square = 0;
                for (int d = 0; d < 8; d++) {
                    dot += (double)tsr_data(e)[i * 8 + d] * (double)tsr_data(w)[k * 8 + d];
                    square += (double)tsr_data(w)[k * 8 + d] * (double)tsr_data(w)[k * 8 + d];
                }
                logit[k] = 10 * (dot / sqrt(square) - (k == t->who[i] ? 0.1 : 0));
                sum += exp(logit[k]);
            }
            loss += (log(sum) - logit[t->who[i]]) / count;
        }
    }
    CHECK(training_take_step(t, 0, row, &error));
    CHECK_NEAR(row[LOG_LOSS], loss, 1e-4);
    close_room(&room);
}

TEST(training_rates_follow_their_schedules_in_each_part)
{
    app_error error = {""};
    double row[LOG_COLUMNS];
    training_settings settings = usual();
    settings.softmax_steps = 8;
    settings.steps = 8;
    settings.softmax_lr = 0.5;
    settings.schedule = TRAINING_STEPS;
    classroom room;
    CHECK(open_room(&room, &settings, &error));
    const double wanted[][2] = {{0, 0.5}, {3, 0.5}, {4, 0.05}, {6, 0.005}, {8, 0.01}, {12, 0.001}, {14, 0.0001}};
    for (int i = 0; i < 7; i++) {
        CHECK(training_take_step(&room.training, (int64_t)wanted[i][0], row, &error));
        CHECK_NEAR(row[LOG_RATE], wanted[i][1], 1e-12);
    }
    close_room(&room);
}
