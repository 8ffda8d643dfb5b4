/* signals: nets on data along one axis (heartbeats), two, or three (volumes, clips), by one and the same code. */
#ifndef TESSERA_APPS_SIGNALS_H
#define TESSERA_APPS_SIGNALS_H

#include "apps/common/image.h"
#include "tessera.h"

enum { MOST_CLASSES = 16, CLASS_NAME = 24 };

/* ---- data.c ------------------------------------------------------------------------------------------------------ */

typedef struct signal_set {
    int count, classes;
    tsr_shape shape;  /* of one signal: [L], [H, W] or [D, H, W]; a clip is [time, H, W] */
    tsr_real *values; /* [count, shape...] */
    int *labels;      /* [count], 0 .. classes - 1; NULL: not known */
    char names[MOST_CLASSES][CLASS_NAME];
} signal_set;

/* An empty set with room for values and, with classes above 0, labels. */
bool signals_new(signal_set *out, int count, tsr_shape shape, int classes, app_error *error);
void signals_free(signal_set *s);

typedef struct signal_source {
    const char *path;
    const char *labels; /* a file of as many numbers as there are signals; NULL: see below */
    const char *part;   /* of an .npz in MedMNIST's layout: "train", "val", "test" */
} signal_source;

/* Reads .npz (members PART_images and PART_labels), or an array of rank 2 to 4 with its labels in a file of their own,
 * or a table in the UCR layout: a row is a signal, its label first. With `like` the classes are that set's, and signals
 * must have its shape; a table or array without labels is then fine. Else the classes are the labels' different
 * numbers, ascending. */
bool signals_read(signal_set *out, const signal_source *from, const signal_set *like, app_error *error);

/* Copies rows. */
bool signals_take(signal_set *out, const signal_set *in, const int *rows, int count, app_error *error);

/* Parts off every folds-th signal of each class, from the fold-th on, after a shuffle: the same for the same seed. */
bool signals_split(signal_set *kept, signal_set *apart, const signal_set *all, int fold, int folds, uint64_t seed,
                   app_error *error);

/* Of volumes only the middle slice of the first axis stays: [D, H, W] to [H, W]. */
void signals_to_slices(signal_set *s);

/* Mean and standard deviation of all values; (value - mean) / deviation in place. */
void signals_measure(const signal_set *s, double *mean, double *deviation);
void signals_standardise(signal_set *s, double mean, double deviation);

/* Signals first .. first + count - 1 as a tensor [count, shape..., 1]. */
tsr_tensor *signals_batch(tsr_context *ctx, const signal_set *s, int first, int count);

/* ---- made.c: data sets that are drawn, not read ------------------------------------------------------------------ */

typedef struct signal_task {
    const char *name;
    int count;        /* signals for training; a test set is half as large */
    int steps, shift; /* of training; random shifts up to this along each axis */
    double noise;     /* added in training, in deviations of the data */
    bool flip;        /* mirroring changes no class */
} signal_task;

/* NULL and an error where there is none of the name. */
const signal_task *signal_task_find(const char *name, app_error *error);

/* `count` signals of a task, classes in turn. Sets of different `part` ("train", "test") differ. */
bool signals_make(signal_set *out, const signal_task *task, const char *part, int count, app_error *error);

/* ---- net.c ------------------------------------------------------------------------------------------------------- */

typedef struct signal_form {
    int width, classes;
    bool flat;              /* the linear layer sees all positions; else their mean */
    bool slice;             /* sees the middle slice of a volume only */
    double mean, deviation; /* of the data it was trained on */
    tsr_shape shape;        /* of a signal as it is given, before slicing */
    char names[MOST_CLASSES][CLASS_NAME];
} signal_form;

/* Into the model's texts, and out of them. */
void signal_describe(tsr_model *m, const signal_form *form);
bool signal_form_of(signal_form *out, const tsr_model *m, app_error *error);

/* Three blocks of convolution, batch normalisation and ReLU, the first two followed by max pooling; then the mean over
 * all positions, or (flat) dropout by half; then a linear layer: x [N, S..., 1] -> logits [N, classes], with one, two
 * or three axes S. */
tsr_tensor *signal_net(tsr_model *m, tsr_tensor *x);

/* Brings a set as it was read to what the net sees. */
void signal_prepare(signal_set *s, const signal_form *form);

/* ---- judge.c ----------------------------------------------------------------------------------------------------- */

typedef struct judgement {
    int count, classes;
    double accuracy, loss; /* the share that is right; mean cross-entropy, scores taken for logits */
    double auc;            /* with two classes: how often one of the second scores higher; else NaN */
    int confusion[MOST_CLASSES][MOST_CLASSES]; /* [true][said] */
} judgement;

/* Of scores [count, classes], where the highest of a row is what is said. */
void judge(judgement *out, const signal_set *s, const tsr_real *scores);

/* Scores of labelled or unlabelled signals by the net; by the distance to the nearest training signal of each class
 * (1-NN, Euclidean); by logistic regression, trained here. All three [count, classes]. */
bool net_scores(tsr_real *scores, tsr_model *m, const signal_set *s, app_error *error);
bool nearest_scores(tsr_real *scores, tsr_context *ctx, const signal_set *train, const signal_set *s,
                    app_error *error);
bool logistic_scores(tsr_real *scores, tsr_context *ctx, const signal_set *train, const signal_set *s,
                     app_error *error);

/* Prints net and, where there is training data, baselines as a table, then the net's confusion; draws confusion.png
 * and looked-at.png into the folder (NULL: draws nothing). */
bool judge_and_tell(tsr_model *m, const signal_set *train, const signal_set *test, const char *folder,
                    app_error *error);

/* ---- draw.c ------------------------------------------------------------------------------------------------------ */

/* Gradient times input of the class the net says, [count, shape...]: what spoke for it (above 0) and against. */
bool saliency(tsr_real *out, tsr_model *m, const signal_set *s, app_error *error);

/* Signals with what the net looked at: a curve over shaded parts; of pictures and volumes slices with red parts. */
bool draw_looked_at(image *out, tsr_model *m, const signal_set *s, const char *title, app_error *error);
bool draw_confusion(image *out, const judgement *j, const signal_set *s, app_error *error);

/* ---- verbs ------------------------------------------------------------------------------------------------------- */

int signals_shapes(int count, char **arguments);
int signals_train(int count, char **arguments);
int signals_eval(int count, char **arguments);
int signals_predict(int count, char **arguments);

#endif
