/* What the files of this program share. */
#ifndef TESSERA_APPS_FACENET_H
#define TESSERA_APPS_FACENET_H

#include "apps/common/portraits.h"
#include "apps/facenet/nets.h"

/* ---- net.c ----------------------------------------------------------------------------------------------------------- */

/* How a model sees faces: what its net takes, and which part of a picture. */
typedef struct face_view {
    face_form form;
    bool aligned; /* by landmarks; else */
    double part;  /* of the middle of a picture; 0: all */
} face_view;

/* Puts it into the model's texts; reads weights and it from a file. */
void view_describe(tsr_model *m, const face_view *view);
bool view_open(tsr_model *m, const char *path, face_view *out, app_error *error);

/* What is asked for (part, landmarks) where something is, else what the model has, in both. Fails where a model of
 * aligned faces is given pictures without landmarks; `model` is its name. */
bool view_choose(face_view *view, portraits_request *faces, const char *model, app_error *error);

/* Opens the pictures that a view wants, and has inputs made of them as its net takes them; see portraits_open. */
bool view_open_faces(const face_view *view, portraits *out, tsr_context *ctx, const portraits_request *faces,
                     app_error *error);

/* Embeddings of all pictures, [count, form->embedding], in batches, evaluating. `flip`: each is the mean of those of the
 * picture and of its mirror image, of length 1 again where the net's are. */
bool net_embed(tsr_model *m, const face_form *form, const pictures *set, bool flip, tsr_real *out, app_error *error);

/* Pictures by number as one tensor in the current scope; varied by the augmentation where there is one. A picture that
 * cannot be read is an error of the context. */
tsr_tensor *net_batch(tsr_context *ctx, const pictures *set, const int *numbers, int count, const augmentation *how,
                      int64_t step);

/* ---- the verbs: exit status -------------------------------------------------------------------------------------- */

int facenet_train(int count, char **arguments);
int facenet_eval(int count, char **arguments);
int facenet_embed(int count, char **arguments);
int facenet_summary(int count, char **arguments);
int facenet_import(int count, char **arguments);

#endif
