/* What nn/ shares within itself and with optim/. */
#ifndef TESSERA_NN_INTERNAL_H
#define TESSERA_NN_INTERNAL_H

#include "core/core_internal.h"
#include "nn/nn.h"

/* How values lie in a file: an array of shape `stored`, seen as `view`; axis i in memory is axis order[i] of
 * the view. */
typedef struct tsr_layout {
    tsr_shape stored, view;
    int order[TSR_MAX_RANK];
} tsr_layout;

/* Makes a layout from the shape in memory and, where that is not enough, what the layer reads. */
typedef tsr_layout (*tsr_layout_maker)(const tsr_shape *memory, const tsr_shape *input);
/* Memory [S..., I, O], file [O, I, S...]: linear and all convolutions. */
tsr_layout tsr_layout_kernel(const tsr_shape *memory, const tsr_shape *input);
/* from[view] -> to[memory], and back. */
void tsr_layout_read(const tsr_layout *layout, const tsr_real *from, tsr_real *to);
void tsr_layout_write(const tsr_layout *layout, const tsr_real *from, tsr_real *to);

typedef struct tsr_entry {
    char *name; /* full */
    tsr_tensor *tensor;
    tsr_layout layout;
    bool is_parameter;
    bool summarised; /* in the running summary */
    int64_t begin;   /* of its gradient, where an optimizer has laid all of them end to end */
} tsr_entry;

/* One part of a name; the parts form a tree. `expected` is the child that was created after the one found last: layers
 * are called in the same order each step, so that finding a name costs one comparison. */
typedef struct tsr_part {
    char *name;
    struct tsr_part *parent, *children, *last_child, *next, *expected;
    tsr_entry *entry;
} tsr_part;

/* A list of pointers to things allocated from the context. */
typedef struct tsr_list {
    void **items;
    int count, capacity;
} tsr_list;
bool tsr_list_add(tsr_context *ctx, tsr_list *list, void *item);
void tsr_list_free(tsr_context *ctx, tsr_list *list); /* the list alone, not what it points to */

char *tsr_copy_text(tsr_context *ctx, const char *text);
void tsr_free_text(tsr_context *ctx, char *text);

/* Whether `name` begins with the whole parts of `prefix`. */
bool tsr_has_prefix(const char *name, const char *prefix);

typedef struct tsr_rule {
    char *prefix;
    bool frozen;
} tsr_rule;

typedef struct tsr_waiting { /* values read from a file, not yet claimed */
    char *name;
    tsr_tensor *tensor;
} tsr_waiting;

typedef struct tsr_pair {
    char *key, *value;
} tsr_pair;

struct tsr_model {
    tsr_context *ctx;
    tsr_part root, *at; /* the tree of names, and where tsr_enter has led */
    int missed;         /* enters since an error, which led nowhere */
    tsr_list entries, rules, waiting, texts;
    int ordinal;
    bool training, sealed;
    char *source; /* file it was loaded from */
    struct tsr_summary_state *summary;
};

/* What is asked for by a name; all but name and shape is looked at only where it is not there yet. */
typedef struct tsr_request {
    const char *name; /* local */
    const tsr_shape *shape;
    bool is_buffer;
    tsr_layout_maker layout; /* NULL: in files as in memory */
    const tsr_shape *input;  /* for it */
    const tsr_init *init;    /* NULL: PyTorch's of linear and convolutions, uniform within 1 / sqrt(fan_in), where */
    const tsr_shape *fan;    /* fan_in is the product of these but the last */
} tsr_request;

/* The entry, made (values not set, *made = true) where it is not there yet and no file's values wait for it. NULL after
 * an error: another shape than before, sealed. */
tsr_entry *tsr_find_entry(tsr_model *m, const tsr_request *request, bool *made);

/* Its tensor, filled where it is new; the error tensor after an error. */
tsr_tensor *tsr_find_tensor(tsr_model *m, const tsr_request *request);

/* Fills a fresh entry's tensor; draws are keyed by seed, model and full name. */
void tsr_initialise(tsr_model *m, tsr_entry *entry, const tsr_init *init);

/* summary.c: a layer tells the running summary, if any, what it made. */
void tsr_summary_add(tsr_model *m, const tsr_tensor *y);

/* state.c: values that wait for `name` (NULL: none); giving them to an entry; an unknown name; forgetting all. */
tsr_waiting *tsr_find_waiting(tsr_model *m, const char *name);
bool tsr_take_values(tsr_model *m, tsr_entry *entry, tsr_waiting *waiting);
void tsr_fail_unknown(tsr_model *m, const char *name);
void tsr_forget_waiting(tsr_model *m);

/* In a checkpoint, tensors and texts of these names are the optimizer's, and no layer's. */
#define TSR_OPTIMIZER_PREFIX "optimizer:"

/* What a checkpoint adds to the model's own tensors and texts. */
typedef struct tsr_state_extra {
    int count;
    const tsr_archive_entry *entries;
    const tsr_real *(*values)(void *user, int i);
    void *user;
    int text_count;
    const tsr_archive_text *texts;
    const char *without; /* see tsr_save_options */
} tsr_state_extra;
bool tsr_state_save(tsr_model *m, const tsr_state_extra *extra, const char *path);

#endif
