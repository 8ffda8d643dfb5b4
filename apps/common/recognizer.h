/* What the door needs of a program: a model that makes rows of faces, and a distance between them. */
#ifndef TESSERA_APPS_RECOGNIZER_H
#define TESSERA_APPS_RECOGNIZER_H

#include "apps/common/gallery.h"
#include "apps/common/portraits.h"

typedef struct recognizer {
    tsr_context *ctx;
    photo_cutter cutter;   /* as the model sees faces */
    landmark_list faces;   /* the cutter's, or empty */
    char name[128];        /* of the model, with a digest of its file, and how it is shown faces */
    int length;            /* of a row */
    gallery_limit limit;   /* of the model, until the gallery is calibrated; NaN: not known */
    row_distance distance; /* squared_distance is scanned quickest */
    /* Rows [count, length] of pictures that the cutter has cut out. */
    bool (*encode)(const struct recognizer *r, const image *faces, int count, tsr_real *rows, app_error *error);
    void *model; /* the program's, as long as the context */
} recognizer;

/* A program that has a door. */
typedef struct recognizer_program {
    const char *name;
    const char *model;    /* where its models usually are */
    const char *distance; /* of what kind it is, for the help */
    /* Opens a model file; ctx is filled in before. `faces` says how they are cut out, where anything is said of it. */
    bool (*open)(recognizer *out, const char *model, const portraits_request *faces, app_error *error);
} recognizer_program;

#endif
