/* What the files of this program share. */
#ifndef TESSERA_APPS_FACENET_H
#define TESSERA_APPS_FACENET_H

#include "apps/common/loader.h"
#include "tessera.h"

enum { EMBEDDING = 128 }; /* Schroff et al. 2015, section 5.3 */

/* ---- net.c ------------------------------------------------------------------------------------------------------- */

/* The small net: x [N, S, S, C] whitened pictures -> [N, 128] of length 1. */
tsr_tensor *net_small(tsr_model *m, tsr_tensor *x);

/* What a model file says about the pictures it wants. */
typedef struct net_input {
    int size, channels;
    bool aligned; /* by landmarks; else */
    double part;  /* of the middle of a picture; 0: all */
} net_input;
void net_describe(tsr_model *m, net_input input);
bool net_read_description(const tsr_model *m, const char *path, net_input *input, app_error *error);

/* Embeddings of all pictures, [count, 128], in batches, evaluating. */
bool net_embed(tsr_model *m, const pictures *set, tsr_real *out, app_error *error);

/* Pictures by number as one tensor in the current scope; varied by the augmentation where there is one. A picture that
 * cannot be read is an error of the context. */
tsr_tensor *net_batch(tsr_context *ctx, const pictures *set, const int *numbers, int count, const augmentation *how,
                      int64_t step);

/* ---- the verbs: exit status -------------------------------------------------------------------------------------- */

int facenet_train(int count, char **arguments);
int facenet_eval(int count, char **arguments);
int facenet_summary(int count, char **arguments);
int facenet_import(int count, char **arguments);

#endif
