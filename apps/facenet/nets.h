/* The nets that make embeddings, in one table. A model of one of them says in its file which net it is, what it sees
 * and how long its embeddings are, so that the file alone is enough to use it. */
#ifndef TESSERA_APPS_FACENET_NETS_H
#define TESSERA_APPS_FACENET_NETS_H

#include "apps/common/error.h"
#include "tessera.h"

/* What a paper says about a block; 0: nothing. */
typedef struct paper_row {
    const char *block;       /* first part of the names of its parameters */
    double weights;          /* without biases */
    double multiply_adds;
} paper_row;

typedef struct face_net {
    const char *name, *about;
    int size;                /* side of the square it sees, pixels */
    int least_size;          /* what else it takes, from here on; 0: nothing else */
    int embedding;           /* length, unless asked otherwise */
    bool fixed;              /* sees RGB and has that length only: its weights come from elsewhere */
    bool unnormalised;       /* its embeddings are not of length 1 */
    double threshold;        /* published: |a - b|^2 of one person is below it; 0: not published */
    double mean[3], divisor; /* what it sees: (rgb - mean) / divisor; divisor 0: whitened pictures */
    tsr_tensor *(*embed)(tsr_model *m, tsr_tensor *x, int embedding);
    const paper_row *paper;  /* ends with a NULL block; NULL: no figures are published */
    double paper_parameters; /* of the whole net, as published; 0: not */
} face_net;

/* All of them; ends with a NULL name. */
extern const face_net face_nets[];

/* NULL, and an error that lists the names, where there is none. */
const face_net *face_net_find(const char *name, app_error *error);

/* A net as it is used. */
typedef struct face_form {
    const face_net *net;
    int size, channels, embedding;
} face_form;

/* Zeros take the net's own size, 3 channels and the net's own length. Fails on what the net cannot see or make. */
bool face_form_of(face_form *out, const face_net *net, const face_form *wanted, app_error *error);

/* Puts the form into a new model's texts: "net", "input" and "embedding". */
void face_describe(tsr_model *m, const face_form *form);

/* The form that a model's texts describe. */
bool face_form_in(face_form *out, const tsr_model *m, app_error *error);

/* Loads weights and reads the form from the file's texts; face_resnet29's may have none. */
bool face_open(tsr_model *m, const char *path, face_form *out, app_error *error);

/* The net that the model's texts name: x [N, size, size, channels] -> [N, embedding], for tsr_summary too. Of length 1,
 * but for face_resnet29, whose embeddings of one person are nearer than 0.6 (not squared). */
tsr_tensor *face_embed(tsr_model *m, tsr_tensor *x);

/* ---- the nets (table in nets.c) ---------------------------------------------------------------------------------- */

tsr_tensor *small_embed(tsr_model *m, tsr_tensor *x, int embedding);
tsr_tensor *medium_embed(tsr_model *m, tsr_tensor *x, int embedding);
tsr_tensor *nn1_embed(tsr_model *m, tsr_tensor *x, int embedding);
tsr_tensor *nn2_embed(tsr_model *m, tsr_tensor *x, int embedding); /* nn3 is nn2 at another size */
tsr_tensor *nn4_small2_embed(tsr_model *m, tsr_tensor *x, int embedding);
tsr_tensor *face_resnet29_embed(tsr_model *m, tsr_tensor *x, int embedding);

extern const paper_row nn1_paper[], nn2_paper[];

#endif
