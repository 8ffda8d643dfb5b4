/* A training run, without its command line. */
#ifndef TESSERA_APPS_FACENET_TRAINING_H
#define TESSERA_APPS_FACENET_TRAINING_H

#include "apps/common/sampler.h"
#include "apps/facenet/facenet.h"

typedef struct training_settings {
    int64_t steps;
    int per_batch, per_person; /* people, and pictures of each, in a batch */
    double margin, lr;         /* lr rises over 20 steps, then falls to 0 along a cosine */
    double weight_decay;
    tsr_mining mining;
    augmentation variation;
} training_settings;

typedef struct training {
    training_settings settings;
    tsr_model *m;
    tsr_optimizer *opt;
    const pictures *set;
    sampler sampler;
    int *numbers;        /* of the batch's pictures */
    int low_steps;       /* in a row with an embedding drawn together */
    bool told;           /* that it has collapsed */
} training;

/* What a step reports. */
typedef struct training_step {
    double loss, lr;
    tsr_triplet_report triplets;
    bool collapsed; /* for the first time: all embeddings lie in one point */
} training_step;

bool training_open(training *t, tsr_model *m, const pictures *set, const training_settings *settings, app_error *error);
void training_close(training *t);

/* Takes step number `step`, from 0. Fails with the context's error: a loss or gradient that is not finite, no memory. */
bool training_take_step(training *t, int64_t step, training_step *out, app_error *error);

#endif
