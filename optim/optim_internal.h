/* What optim/ shares within itself. */
#ifndef TESSERA_OPTIM_INTERNAL_H
#define TESSERA_OPTIM_INTERNAL_H

#include "nn/nn_internal.h"
#include "optim/optim.h"

enum { TSR_MOST_STATES = 2 };

/* The numbers of one update; `t` counts the parameter's steps from 1. */
typedef struct tsr_update {
    double lr, weight_decay, momentum, beta1, beta2, eps;
    bool nesterov;
    int64_t t;
} tsr_update;

/* values [begin, end) of a parameter p with gradient g and the rule's states. */
typedef struct tsr_update_job {
    tsr_update update;
    tsr_real *p;
    const tsr_real *g;
    tsr_real *states[TSR_MOST_STATES];
} tsr_update_job;

/* An update rule, in one struct. */
typedef struct tsr_update_rule {
    const char *name;
    int state_count;
    const char *state_names[TSR_MOST_STATES]; /* PyTorch's */
    const tsr_loop_body *update;              /* of a tsr_update_job; by instruction set */
} tsr_update_rule;

typedef struct tsr_slot { /* what an optimizer keeps for one parameter */
    tsr_entry *entry;
    tsr_tensor *states[TSR_MOST_STATES];
    double lr_scale, weight_decay;
    int64_t t;
} tsr_slot;

typedef struct tsr_group_rule {
    char *prefix;
    tsr_group_options options;
} tsr_group_rule;

typedef struct tsr_count_of { /* steps of a parameter, from a checkpoint */
    char *name;
    int64_t t;
} tsr_count_of;

struct tsr_lbfgs;

struct tsr_optimizer {
    tsr_context *ctx;
    tsr_model *m;
    const tsr_update_rule *rule;
    tsr_update numbers; /* lr is the base rate */
    tsr_list slots;     /* slot i belongs to the model's entry i, NULL for a buffer */
    tsr_list groups;
    tsr_list waiting;   /* tsr_waiting: states from a checkpoint, for parameters to come */
    tsr_list counts;    /* tsr_count_of: likewise */
    struct tsr_lbfgs *lbfgs; /* NULL unless it is that */
};

tsr_optimizer *tsr_optimizer_new(tsr_model *m, const tsr_update_rule *rule, tsr_update numbers);

/* Makes slots for parameters that came since the last call. False after an error. */
bool tsr_optimizer_catch_up(tsr_optimizer *opt);

/* Drops all state: slots and what waits for them. */
void tsr_optimizer_forget(tsr_optimizer *opt);

/* Whether no gradient of the model is NaN or Inf; the error names the parameter. */
bool tsr_check_gradients(tsr_model *m, const char *what);

void tsr_count_step(tsr_context *ctx);

/* lbfgs.c: its part of freeing and of checkpoints. Vectors are flat, over all parameters in the model's order. */
void tsr_lbfgs_free(tsr_optimizer *opt);
int tsr_lbfgs_vector_count(const tsr_optimizer *opt);
const tsr_real *tsr_lbfgs_vector(const tsr_optimizer *opt, int i);
int64_t tsr_lbfgs_size(const tsr_optimizer *opt);
tsr_text tsr_lbfgs_numbers(const tsr_optimizer *opt, int i); /* text, exact; i counts lines, "" after the last */
bool tsr_lbfgs_restore(tsr_optimizer *opt, const char *const *lines, int line_count, tsr_tensor *const *vectors,
                       int count);

#endif
