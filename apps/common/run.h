/* A training run: takes steps, logs and validates them, saves, and goes on after a stop, however rude, with the same
 * bits. In its folder lie checkpoint.safetensors, with all that is needed to go on, and log.csv. */
#ifndef TESSERA_APPS_RUN_H
#define TESSERA_APPS_RUN_H

#include "apps/common/run_log.h"
#include "tessera.h"

typedef struct run_plan {
    const char *program;       /* begins lines on stderr: "facenet train" */
    const char *folder;        /* is there */
    tsr_model *m;              /* what is in its texts goes into checkpoints, too */
    tsr_optimizer *opt;
    int64_t steps;
    int save_every;            /* steps from checkpoint to checkpoint; 0: only at the end */
    int validate_every;        /* steps; 0: never */
    int patience;              /* so many validations without a better one end the run; 0: none do */
    const char *const *columns; /* of the log: first "step", last "validation", which the run fills in */
    int column_count;          /* RUN_MOST_COLUMNS at most */
    int pictures;              /* of a step, for the progress */
    void *user;
    /* Fills in the row of a step, but for the two. Every step is a function of its number and of model and
     * optimizer. */
    bool (*take_step)(void *user, int64_t step, double *row, app_error *error);
    void (*tell)(void *user, const double *row, char *text, size_t bytes); /* of a row, for the progress */
    bool (*validate)(void *user, double *score, app_error *error);         /* a better model has a higher score */
    bool (*keep)(void *user, app_error *error); /* saves the model: the best so far, or, without validation, the last */
} run_plan;

typedef struct run_result {
    run_log log;
    int64_t steps;     /* taken in all */
    int64_t best_step; /* after which the best validation came; 0: there was none */
    double best;       /* its score */
    bool interrupted;  /* by Ctrl-C, before the end; a checkpoint is there */
    char log_path[1024];
} run_result; /* may not be moved while it is open */

/* The checkpoint's path. */
bool run_checkpoint_path(char *path, size_t bytes, const char *folder, app_error *error);

/* With `resume` goes on from the folder's checkpoint, which model and optimizer then take their values from. A step
 * that fails is taken again with tsr_set_trap, so that the message names the op that first went wrong; checkpoint and
 * log stay as they were. */
bool run_go(run_result *out, const run_plan *plan, bool resume, app_error *error);
void run_free(run_result *result);

#endif
