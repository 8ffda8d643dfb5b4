/* The public header of optim/: what changes parameters. Update rules, defaults and state are PyTorch's unless said
 * otherwise. */
#ifndef TESSERA_OPTIM_OPTIM_H
#define TESSERA_OPTIM_OPTIM_H

#include "nn/nn.h"

typedef struct tsr_optimizer tsr_optimizer;

/* An optimizer changes every parameter of its model that has gathered a gradient; the parameters may come later than
 * the optimizer. Options may be NULL; a 0 that is meant is TSR_ZERO. NULL after an error, and NULL is accepted
 * everywhere. */

typedef struct tsr_sgd_options {
    double lr;           /* default 0.01 */
    double momentum;     /* default 0 */
    bool nesterov;       /* needs momentum */
    double weight_decay; /* added to the gradient; default 0 */
} tsr_sgd_options;
tsr_optimizer *tsr_sgd(tsr_model *m, const tsr_sgd_options *options);

typedef struct tsr_adagrad_options { /* Duchi et al. 2011 */
    double lr;           /* default 0.01 */
    double eps;          /* default 1e-10 */
    double weight_decay;
} tsr_adagrad_options;
tsr_optimizer *tsr_adagrad(tsr_model *m, const tsr_adagrad_options *options);

typedef struct tsr_rmsprop_options {
    double lr;           /* default 0.01 */
    double alpha;        /* of the running mean of squares, default 0.99 */
    double eps;          /* default 1e-8 */
    double momentum;     /* default 0 */
    double weight_decay;
} tsr_rmsprop_options;
tsr_optimizer *tsr_rmsprop(tsr_model *m, const tsr_rmsprop_options *options);

typedef struct tsr_adam_options { /* Kingma and Ba 2015, algorithm 1 */
    double lr;           /* default 0.001 */
    double beta1, beta2; /* default 0.9, 0.999 */
    double eps;          /* default 1e-8 */
    double weight_decay; /* adam: added to the gradient, default 0; adamw: default 0.01, shrinks the parameter itself */
} tsr_adam_options;
tsr_optimizer *tsr_adam(tsr_model *m, const tsr_adam_options *options);
tsr_optimizer *tsr_adamw(tsr_model *m, const tsr_adam_options *options); /* Loshchilov and Hutter 2019 */

typedef struct tsr_lbfgs_options { /* Nocedal and Wright 2006, algorithms 7.4 and 7.5; line search 3.5 and 3.6 */
    double lr;                    /* first trial step, default 1 */
    int history;                  /* pairs kept, default 10 */
    int max_iterations;           /* per step, default 20 */
    int max_evaluations;          /* of the closure per step, default 1.25 * max_iterations */
    double tolerance_gradient;    /* stop when no element is larger, default 1e-7 */
    double tolerance_change;      /* stop when neither value nor parameters change by more, default 1e-9 */
} tsr_lbfgs_options;
tsr_optimizer *tsr_lbfgs(tsr_model *m, const tsr_lbfgs_options *options);

/* Gives state and handle back; closing the context does, too. Free an optimizer before its model. */
void tsr_optimizer_free(tsr_optimizer *opt);

/* Applies the gradients, then zeroes them; counts the step (tsr_step_count). A gradient that is not finite is an error
 * that names its parameter, and nothing is changed. Returns false after an error. */
bool tsr_step(tsr_optimizer *opt);

/* L-BFGS: the closure computes the loss, runs its backward pass and returns tsr_item(loss), each time from zeroed
 * gradients; it is called inside a scope of its own. Returns the loss at the start of the step; NaN after an error. */
typedef double (*tsr_closure)(void *user);
double tsr_step_closure(tsr_optimizer *opt, tsr_closure closure, void *user);

/* Zeroes all gradients of the model without a step. */
void tsr_zero_gradients(tsr_model *m);

double tsr_learning_rate(const tsr_optimizer *opt);
void tsr_set_learning_rate(tsr_optimizer *opt, double lr);

/* Parameters whose names begin with the whole parts of `prefix` get lr * lr_scale, and their own weight decay. May come
 * before they exist; the last group that fits a name holds. Not for L-BFGS. */
typedef struct tsr_group_options {
    double lr_scale;     /* default 1 */
    double weight_decay; /* default: the optimizer's; TSR_ZERO: none */
} tsr_group_options;
void tsr_group(tsr_optimizer *opt, const char *prefix, const tsr_group_options *options);

/* ---- clipping: before the step ----------------------------------------------------------------------------------- */

/* Scales all gradients of the model so that their joint 2-norm is at most `most`. Returns the norm before. */
double tsr_clip_norm(tsr_model *m, double most);
/* Limits every element of the gradients to [-most, most]. */
void tsr_clip_value(tsr_model *m, double most);

/* ---- schedules: the learning rate at a step, from the base rate. Nothing to save: they depend on the step alone -- */

double tsr_lr_step(double lr, int64_t step, int64_t every, double gamma);
double tsr_lr_multi_step(double lr, int64_t step, const int64_t *milestones, int count, double gamma);
double tsr_lr_exponential(double lr, int64_t step, double gamma);
/* From lr down to `least` over `total` steps along half a cosine (Loshchilov and Hutter 2017, eq. 5); then `least`. */
double tsr_lr_cosine(double lr, int64_t step, int64_t total, double least);
/* The factor (step + 1) / steps up to 1: multiply it into another schedule. */
double tsr_lr_warm_up(int64_t step, int64_t steps);

/* Lowers the rate by `factor` when a metric has not fallen below `best * (1 - threshold)` for more than `patience`
 * updates. */
typedef struct tsr_plateau {
    double factor;    /* default 0.1 */
    int patience;     /* default 10 */
    double threshold; /* default 1e-4 */
    double least;     /* learning rate, default 0 */
    double best;      /* state, from here on; all zeros to begin with */
    int waited;
    bool started;
} tsr_plateau;
double tsr_plateau_update(tsr_plateau *plateau, double lr, double metric);

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* A checkpoint is one safetensors file that holds the model (its tensors readable as any weight file), the optimizer's
 * state, the learning rate and the step count, besides what tsr_set_text has put there. Loading into a model and an
 * optimizer of the same kind, made as before, goes on with the same bits. */
bool tsr_checkpoint_save(tsr_model *m, tsr_optimizer *opt, const char *path);
bool tsr_checkpoint_load(tsr_model *m, tsr_optimizer *opt, const char *path);

#endif
