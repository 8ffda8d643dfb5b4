/* The steps of a training run, without its command line: first, if asked for, classification of the people (a softmax
 * over cosines with a margin), then triplets. */
#ifndef TESSERA_APPS_FACENET_TRAINING_H
#define TESSERA_APPS_FACENET_TRAINING_H

#include "apps/common/run.h"
#include "apps/common/sampler.h"
#include "apps/facenet/facenet.h"

typedef enum training_rule {
    TRAINING_ADAMW,
    TRAINING_ADAM,
    TRAINING_ADAGRAD /* Schroff et al. 2015, section 3.3 */
} training_rule;

typedef enum training_schedule {
    TRAINING_COSINE, /* rises over 20 steps, then falls to 0 along half a cosine; in each of the two parts */
    TRAINING_CONSTANT,
    TRAINING_STEPS   /* a tenth after half of the steps, a hundredth after three quarters */
} training_schedule;

typedef struct training_settings {
    int64_t softmax_steps, steps; /* of classification, and after them of triplets */
    int per_batch, per_person;    /* people, and pictures of each, in a batch */
    training_rule rule;
    training_schedule schedule;
    double lr, softmax_lr;
    double weight_decay;          /* of AdamW */
    double margin;                /* of triplets */
    tsr_mining mining;
    bool unmined;                 /* in place of mining, a negative anywhere for each pair of one person */
    tsr_reduction reduction;
    double softmax_margin;        /* taken off the cosine of the right class (Wang et al. 2018, "CosFace", eq. 4), */
    double softmax_scale;         /* and what cosines are multiplied by */
    int chunk; /* pictures that go through the net at once; 0: the batch. A batch larger than memory is
                  embedded without recording, its triplets are found, and the pictures in them go
                  through the net again, a chunk at a time. Batch norm sees chunks */
    augmentation variation;
} training_settings;

/* Columns of the log. */
enum {
    LOG_STEP,
    LOG_LOSS,
    LOG_CORRECT,  /* share classified right (softmax) */
    LOG_TRIPLETS, /* that were formed */
    LOG_ACTIVE,   /* share of the possible ones that have a loss */
    LOG_POSITIVE, /* mean squared distance of pairs of one person */
    LOG_NEGATIVE, /* and of two */
    LOG_RATE,
    LOG_VALIDATION,
    LOG_COLUMNS
};
extern const char *const training_columns[LOG_COLUMNS];

/* The part of a model that classifies, which only training needs. */
#define TRAINING_CLASSES "classes"

typedef struct training {
    training_settings settings;
    tsr_model *m;
    tsr_optimizer *opt;
    const pictures *set;
    sampler sampler;
    int *numbers, *who; /* of the batch's pictures; [per_batch * per_person] */
    int low_steps;      /* in a row with an embedding drawn together */
    bool told;          /* that it has collapsed */
} training;

bool training_open(training *t, tsr_model *m, const pictures *set, const training_settings *settings, app_error *error);
void training_close(training *t);

/* Fills in a row of the log, but for the first and the last column. Step numbers count both parts. Fails with the
 * context's error: a loss or gradient that is not finite, no memory. Says on stderr, once, when all embeddings have
 * come to lie in one point. */
bool training_take_step(training *t, int64_t step, double *row, app_error *error);

/* A row for the line of progress. */
void training_tell(const double *row, char *text, size_t bytes);

#endif
