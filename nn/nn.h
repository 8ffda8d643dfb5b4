/* The public header of nn/: what owns parameters.
 *
 * A network is a C function; a model is its bag of named parameters. A layer call makes its parameters at first use
 * (shapes from its input, values from seed and name, so that order changes nothing) and finds them by name afterwards.
 * A block called twice under one name is a Siamese net; a block in a loop under numbered names is a deep one. The names
 * are the keys of the weight file, and PyTorch's: "block.conv.weight", "running_mean". */
#ifndef TESSERA_NN_NN_H
#define TESSERA_NN_NN_H

#include "ops/ops.h"

typedef struct tsr_model tsr_model;

/* An empty model in training mode. NULL after an error; a NULL model is accepted everywhere. Lives until freed or until
 * the context closes. Models of one context have different seeds. */
tsr_model *tsr_model_new(tsr_context *ctx);
void tsr_model_free(tsr_model *m);
tsr_context *tsr_model_context(const tsr_model *m);

/* Training (the default) or evaluation: batch_norm and dropout look at it. */
void tsr_set_training(tsr_model *m, bool training);
bool tsr_is_training(const tsr_model *m);

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* Between the two, names begin with `name` and a dot. A name may hold dots itself. */
void tsr_enter(tsr_model *m, const char *name);
void tsr_leave(tsr_model *m);

/* The parameter of this name; at first use a copy of `initial` (its value alone; not looked at afterwards, except that
 * the shape must stay). */
tsr_tensor *tsr_parameter(tsr_model *m, const char *name, tsr_tensor *initial);

typedef enum tsr_init_kind {
    TSR_INIT_KAIMING_UNIFORM, /* variance gain^2 / fan_in; He et al. 2015, eq. 10 */
    TSR_INIT_KAIMING_NORMAL,
    TSR_INIT_XAVIER_UNIFORM,  /* variance gain^2 2 / (fan_in + fan_out); Glorot and Bengio 2010, eq. 16 */
    TSR_INIT_XAVIER_NORMAL,
    TSR_INIT_NORMAL,          /* mean `value`, deviation `gain` */
    TSR_INIT_UNIFORM,         /* value - gain to value + gain */
    TSR_INIT_CONSTANT,        /* value */
    TSR_INIT_ORTHOGONAL       /* gain times orthonormal rows or columns; Saxe et al. 2014 */
} tsr_init_kind;

typedef struct tsr_init {
    tsr_init_kind kind;
    double gain;  /* default 1, Kaiming sqrt(2) (for ReLU) */
    double value; /* default 0 */
} tsr_init;

/* The parameter of this name and shape; [..., I, O] has fan_in size / O and fan_out size / I. init may be
 * NULL: zeros. */
tsr_tensor *tsr_parameter_init(tsr_model *m, const char *name, tsr_shape shape, const tsr_init *init);

/* A tensor that is saved with the model and not trained, such as a running mean. */
tsr_tensor *tsr_buffer(tsr_model *m, const char *name, tsr_shape shape, double value);

/* Parameters whose names begin with the whole parts of `prefix` ("": all) get no gradient from now on, or get one
 * again. May come before they exist; the last call that fits a name holds. */
void tsr_freeze(tsr_model *m, const char *prefix, bool frozen);

/* What is there: parameters and buffers in order of first use. */
int tsr_model_count(const tsr_model *m);
const char *tsr_model_name(const tsr_model *m, int i);
tsr_tensor *tsr_model_tensor(const tsr_model *m, int i); /* in our layout */
bool tsr_model_is_parameter(const tsr_model *m, int i);  /* not a buffer */
int tsr_model_find(const tsr_model *m, const char *name); /* -1: there is none */

/* Values in all parameters, frozen ones too; buffers not. */
int64_t tsr_parameter_count(const tsr_model *m);

/* ---- layers ---------------------------------------------------------------------------------------------------------
 * Parameters are called NAME.weight and NAME.bias, as in PyTorch, and start as they do there (uniform within
 * 1 / sqrt(fan_in)) unless the options say otherwise. In files they have PyTorch's layout, in memory ours. */

/* x [N, S..., C] is flattened to [N, F]; weight [F, features] (in files [features, F] in PyTorch's
 * flattening order). */
tsr_tensor *tsr_nn_linear(tsr_model *m, const char *name, tsr_tensor *x, int64_t features,
                          const tsr_linear_options *options);

/* One to three spatial axes as x has; options.kernel is required. Weight [K..., I / groups, O]; in files [O, I /
 * groups, K...]. */
tsr_tensor *tsr_nn_conv(tsr_model *m, const char *name, tsr_tensor *x, int64_t channels,
                        const tsr_conv_options *options);
/* Weight [K..., O / groups, I]; in files [I, O / groups, K...]. */
tsr_tensor *tsr_nn_conv_transpose(tsr_model *m, const char *name, tsr_tensor *x, int64_t channels,
                                  const tsr_conv_options *options);
/* Weight [H', W', KH, KW, I, O]; in files [H', W', O, I, KH, KW]. */
tsr_tensor *tsr_nn_locally_connected(tsr_model *m, const char *name, tsr_tensor *x, int64_t channels,
                                     const tsr_conv_options *options);

/* weight, bias (unless no_affine), running_mean, running_var. Evaluates where the model does. */
tsr_tensor *tsr_nn_batch_norm(tsr_model *m, const char *name, tsr_tensor *x, const tsr_norm_options *options);
tsr_tensor *tsr_nn_layer_norm(tsr_model *m, const char *name, tsr_tensor *x, const tsr_norm_options *options);
tsr_tensor *tsr_nn_group_norm(tsr_model *m, const char *name, tsr_tensor *x, int groups,
                              const tsr_norm_options *options);
tsr_tensor *tsr_nn_instance_norm(tsr_model *m, const char *name, tsr_tensor *x, const tsr_norm_options *options);

/* One slope for all channels, or one each; starts at 0.25. */
tsr_tensor *tsr_nn_prelu(tsr_model *m, const char *name, tsr_tensor *x, bool per_channel);

/* A linear layer to features * pieces, then tsr_maxout. */
tsr_tensor *tsr_nn_maxout(tsr_model *m, const char *name, tsr_tensor *x, int64_t features, int pieces);

/* tsr_dropout while the model trains, x itself while it does not. */
tsr_tensor *tsr_nn_dropout(tsr_model *m, tsr_tensor *x, double p);

/* ---- summary ----------------------------------------------------------------------------------------------------- */

typedef tsr_tensor *(*tsr_network)(tsr_model *m, tsr_tensor *x);

typedef struct tsr_summary_row {
    const char *name;     /* of the layer; "outside layers" for what the network does besides, in the last row */
    tsr_shape shape;      /* of its result */
    int64_t parameters;   /* met here for the first time */
    bool shared;          /* some were met before */
    double multiply_adds;
} tsr_summary_row;

/* Runs net(m, x) once, in evaluation and without recording, and tells each layer as it ends. */
bool tsr_summary_rows(tsr_model *m, tsr_network net, tsr_tensor *x, void (*row)(void *user, const tsr_summary_row *row),
                      void *user);

/* The same as a table: layer, result shape, parameters ("shared" where they were met before), multiply-adds. */
bool tsr_summary(tsr_model *m, tsr_network net, tsr_tensor *x, FILE *out);

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* A line of text that goes into the weight file with the model (its kind, its input size, ...), and comes back
 * from it. A NULL value takes it away. */
void tsr_set_text(tsr_model *m, const char *key, const char *value);
const char *tsr_text_of(const tsr_model *m, const char *key); /* NULL: there is none */

typedef struct tsr_save_options {
    const char *without; /* leaves out parameters and buffers whose names begin with the whole parts of this prefix: what
                            only training needs, like a classifier on top of an embedding; NULL: nothing is left out */
} tsr_save_options;

/* Writes parameters and buffers, in PyTorch's names and layout, as safetensors. */
bool tsr_model_save(tsr_model *m, const char *path, const tsr_save_options *options);

typedef struct tsr_load_options {
    bool lenient; /* names the file lacks start fresh; default: the model is sealed, and they are an error */
} tsr_load_options;

/* Reads weights. Parameters that exist take them at once; the others wait in the file's layout for the layer that
 * claims them. A shape that does not fit is an error that names the tensor and both shapes. */
bool tsr_model_load(tsr_model *m, const char *path, const tsr_load_options *options);

/* After the first run: false, and an error that lists them, where names of the file were claimed by no layer. */
bool tsr_check_claimed(tsr_model *m);

#endif
