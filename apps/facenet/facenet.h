/* What the files of this program share. */
#ifndef TESSERA_APPS_FACENET_H
#define TESSERA_APPS_FACENET_H

#include "apps/common/portraits.h"
#include "apps/common/protocol.h"
#include "apps/facenet/nets.h"

/* ---- net.c ------------------------------------------------------------------------------------------------------- */

/* How a model sees faces: what its net takes, and how faces were cut out of pictures in training. */
typedef struct face_view {
    face_form form;
    bool aligned;      /* by landmarks; else */
    picture_part part; /* of the middle */
} face_view;

/* Puts it into the model's texts; reads weights and it from a file. */
void view_describe(tsr_model *m, const face_view *view);
bool view_open(tsr_model *m, const char *path, face_view *out, app_error *error);

/* What the request says of cutting faces out where it says something, else what the model has, in both. Where the
 * nets for --align auto are not named they are looked for in the folder of `model`, a file's path or NULL, which is
 * kept in `folder`. */
void view_choose(face_view *view, portraits_request *faces, const char *model, char folder[1024]);

/* Opens the pictures that a view wants, and has inputs made of them as its net takes them; see portraits_open. */
bool view_open_faces(const face_view *view, portraits *out, tsr_context *ctx, const portraits_request *faces,
                     app_error *error);

/* Which pictures of a set are embedded, and how. */
typedef struct net_range {
    int first, count;
    bool flip; /* the mean with the mirror image's embedding, of length 1 again where the net's are */
} net_range;

/* Embeddings [count, form.embedding], in batches, evaluating. */
bool net_embed(tsr_model *m, const pictures *set, net_range range, tsr_real *out, app_error *error);

/* How well squared distances of embeddings verify pairs, whose numbers count from picture `first` of the set on. */
bool net_verify(contender *out, tsr_model *m, const pictures *set, int first, const pairs *list, app_error *error);

/* Pictures by number as one tensor in the current scope; varied by the augmentation where there is one. A picture that
 * cannot be read is an error of the context. */
tsr_tensor *net_batch(tsr_context *ctx, const pictures *set, const int *numbers, int count, const augmentation *how,
                      int64_t step);

/* ---- train_draw.c ------------------------------------------------------------------------------------------------ */

/* Pictures that training leaves in its folder, for reports; ends with a NULL name. */
typedef struct train_drawing {
    const char *name, *caption;
} train_drawing;
extern const train_drawing train_drawings[];

/* The first pictures of the first people, a row each. */
bool draw_people(image *out, const pictures *set, app_error *error);

/* Rows of anchor, positive and semi-hard negative among some pictures, with distances, as the model embeds them now. */
typedef struct picture_list {
    const int *numbers;
    int count;
} picture_list;
bool draw_triplets(image *out, tsr_model *m, const pictures *set, picture_list batch, app_error *error);

/* ---- the verbs: exit status -------------------------------------------------------------------------------------- */

int facenet_train(int count, char **arguments);
int facenet_eval(int count, char **arguments);
int facenet_detect(int count, char **arguments);
int facenet_enroll(int count, char **arguments);
int facenet_list(int count, char **arguments);
int facenet_remove(int count, char **arguments);
int facenet_identify(int count, char **arguments);
int facenet_verify(int count, char **arguments);
int facenet_calibrate(int count, char **arguments);
int facenet_lessons(int count, char **arguments);
int facenet_embed(int count, char **arguments);
int facenet_summary(int count, char **arguments);
int facenet_import(int count, char **arguments);

#endif
