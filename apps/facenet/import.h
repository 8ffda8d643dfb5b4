/* Weights of other people's files as weights of our nets. */
#ifndef TESSERA_APPS_FACENET_IMPORT_H
#define TESSERA_APPS_FACENET_IMPORT_H

#include "apps/facenet/tfjs.h"

/* A net of the face-api packages, known by one array that no other of their nets has. */
typedef struct known_net {
    const char *name; /* ours */
    const char *mark;
    int mark_rank;
    int64_t mark_dims[4];
    bool (*accepts)(tsr_model *m); /* loads nothing: runs the net, whose weights m has just read, once */
} known_net;

typedef struct imported {
    tfjs_manifest manifest;
    const known_net *net; /* NULL: unknown */
} imported;

bool import_open(imported *out, const char *manifest, app_error *error);
void import_close(imported *weights);

/* Values in all arrays. */
int64_t import_size(const imported *weights);

/* Writes safetensors with PyTorch's layouts: arrays of two dimensions and more count as kernels, [S..., I, O] -> [O, I,
 * S...], those with "depthwise" in their name as [H, W, C, M] -> [C M, 1, H, W]. The arrays of a known net get our
 * names, those of an unknown one keep theirs with '.' for '/'. What is written of a known net has been loaded into it
 * and run before it takes its place. */
bool import_write(const imported *weights, const char *path, app_error *error);

#endif
