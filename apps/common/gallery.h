/* Who is known: a file of rows of numbers (embeddings of one picture each), with names, never with pictures. It says which
 * model made the rows, so that those of another are not compared with them.
 *
 * The file, little-endian: "TSRGAL1\n"; the model's fingerprint (u64); the threshold, its false accept rate and its false
 * reject rate (f64; NaN: not calibrated); numbers in a row and rows (u32 each); bytes of names (u64); for each row the
 * person's name and the picture's path, each ended by a zero byte; the rows (f32); a CRC-64/XZ of all of that. */
#ifndef TESSERA_APPS_GALLERY_H
#define TESSERA_APPS_GALLERY_H

#include "apps/common/error.h"
#include "apps/common/features.h"

#include <stdint.h>

typedef struct gallery_entry {
    char *name, *source; /* of the person; the picture's path */
    uint32_t hash;       /* of both, so that looking for them is quick */
} gallery_entry;

typedef struct gallery {
    uint64_t model;
    double threshold, far, frr; /* NaN: not calibrated */
    int length, count, room;    /* numbers in a row (0: not known yet), rows */
    gallery_entry *entries;
    float *rows;                /* [count, length] */
} gallery;

/* An empty one of this model. */
gallery gallery_new(uint64_t model);
void gallery_free(gallery *g);

/* Fails, with nothing to free, on a file that is missing, damaged or not a gallery. */
bool gallery_read(gallery *out, const char *path, app_error *error);

/* The same from memory; messages name no file. */
bool gallery_decode(gallery *out, const unsigned char *bytes, size_t count, app_error *error);

/* Changes the gallery at `path` (for `create`, an empty one where there is none) while no other process does, and puts it
 * in place in one step: whatever fails leaves the file as it was. One of another model is refused (0: of any will do). A file PATH.lock stays. */
typedef bool (*gallery_changer)(gallery *g, void *user, app_error *error);
bool gallery_change(const char *path, uint64_t model, bool create, gallery_changer change, void *user, app_error *error);

/* Whether it is of that model; an error that says what to do where not. */
bool gallery_check(const gallery *g, const char *path, uint64_t model, app_error *error);

/* Adds a row of `length` numbers; of the same person and picture, takes the place of the one before. */
bool gallery_add(gallery *g, const char *name, const char *source, const tsr_real *row, int length, app_error *error);

/* Takes a person's rows away; how many there were. */
int gallery_remove(gallery *g, const char *name);

typedef struct gallery_match {
    int row; /* the person's nearest */
    double distance;
} gallery_match;

/* The `most` people nearest to a row, each by the nearest of theirs, nearest first, of equally near ones the first that was
 * enrolled. By squared distance where `distance` is NULL. Returns how many there are; -1 without memory. */
int gallery_nearest(const gallery *g, tsr_context *ctx, const tsr_real *row, row_distance distance, gallery_match *out,
                    int most);

#endif
