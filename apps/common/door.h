/* The door: people are enrolled by photographs, one is enough, and recognised, without training anything. What the verbs
 * of every face program do, given a model that turns faces into rows of numbers. */
#ifndef TESSERA_APPS_DOOR_H
#define TESSERA_APPS_DOOR_H

#include "apps/common/gallery.h"
#include "apps/common/portraits.h"

typedef struct recognizer {
    const char *program;      /* begins lines on stderr */
    tsr_context *ctx;
    photo_cutter cutter;
    int length;               /* numbers in a row */
    uint64_t fingerprint;     /* of the model; see fingerprint_of */
    double threshold;         /* distances up to it are the same person, unless the gallery says otherwise; NaN: not known */
    row_distance distance;    /* NULL: squared Euclidean */
    /* The row of a face, cutter.size x cutter.size x cutter.channels. */
    bool (*encode)(void *user, const image *face, tsr_real *row, app_error *error);
    /* The rows of all pictures of a set that is opened as the cutter cuts. */
    bool (*encode_all)(void *user, const pictures *set, tsr_real *rows, app_error *error);
    void *user;
} recognizer;

/* A CRC-64/XZ of the file's bytes. */
bool fingerprint_of(uint64_t *out, const char *path, app_error *error);

/* Adds the main face of each photograph. Photographs that cannot be read or show no face are named and passed over; none
 * left is an error. */
bool door_enroll(const recognizer *r, const char *gallery_path, const char *name, const char *const *photos, int count,
                 app_error *error);

/* Adds all pictures of all people. */
bool door_enroll_all(const recognizer *r, const char *gallery_path, const portraits *faces, app_error *error);

/* "NAME: pictures=N (FILE, ...)", a line per person in the order of names, and the threshold. */
bool door_list(const char *gallery_path, app_error *error);

bool door_remove(const char *gallery_path, const char *name, app_error *error);

/* For each face of each photograph a line, "PHOTO face=1 Ann distance=0.412 threshold=0.800 ..." or "PHOTO face=1 unknown
 * nearest=Ann ...". Without photographs, those that stdin names, a line each; one that fails gets a line "PHOTO error: ..."
 * then, and the next is read. */
bool door_identify(const recognizer *r, const char *gallery_path, const char *const *photos, int count, int top,
                   app_error *error);

/* "same" or "different" for the main faces of two photographs. `gallery_path` may be NULL, or name a file that is not
 * there: then the threshold is the recognizer's. */
bool door_verify(const recognizer *r, const char *gallery_path, const char *const photos[2], app_error *error);

/* Measures distances between all pictures of these people (NULL: between the gallery's rows), prints false accepts and
 * false rejects over thresholds, and stores the largest threshold with at most this share of false accepts. Where there are
 * too few pairs to tell, the one with as many false accepts as false rejects. */
bool door_calibrate(const recognizer *r, const char *gallery_path, const portraits *faces, double far, app_error *error);

#endif
