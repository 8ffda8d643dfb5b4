/* Weights as tensorflow.js stores them: a manifest in JSON that names arrays, and shards that hold their values end to
 * end, whole or quantised. Nothing in either is trusted. */
#ifndef TESSERA_APPS_FACENET_TFJS_H
#define TESSERA_APPS_FACENET_TFJS_H

#include "apps/common/error.h"
#include "tessera.h"

typedef struct tfjs_type {
    const char *name; /* float32, float16, uint16, uint8 */
    int bytes;
} tfjs_type;

typedef struct tfjs_weight {
    const char *name;           /* as in the manifest */
    tsr_shape shape;
    const tfjs_type *type;      /* as stored */
    double scale, min;          /* value = stored * scale + min, for the two unsigned ones */
    const unsigned char *bytes; /* little-endian */
} tfjs_weight;

typedef struct tfjs_manifest {
    int count, groups;
    tfjs_weight *weights; /* in the manifest's order */
    char *text;           /* what the names lie in */
    unsigned char **shards; /* of each group, joined */
} tfjs_manifest;

/* Reads a manifest (a list of groups of "weights" and "paths") and the shards beside it. Fails, in one line that begins
 * with the path, where anything is missing, of an unknown type, or longer or shorter than the shapes say. */
bool tfjs_read(tfjs_manifest *out, const char *path, app_error *error);
void tfjs_free(tfjs_manifest *manifest);

/* As many values as the shape has, in the manifest's layout. */
void tfjs_values(const tfjs_weight *weight, tsr_real *out);

#endif
