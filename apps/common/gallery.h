/* The people who are known at the door: embeddings of their photographs, never the photographs, in one file.
 *
 * The file, little-endian: "TSRFACES"; as 32 bits each version (1), bytes of a value (4 or 8), values in a row,
 * people; as 64 bits each rows, bytes of texts, threshold, FAR and FRR (IEEE 754; NaN: not calibrated); the texts, each
 * ended by a zero: model, names of people, sources of rows; of each row the person (32 bits); of each row the
 * photograph's digest (64 bits); the rows; CRC-64/XZ of all before. Nothing in it is trusted.
 *
 * It is changed under a lock on PATH.lock (an empty file that stays), and replaced in one step by a synced file: two
 * who change it at once lose nothing, and a failure of any kind leaves the old one as it was. */
#ifndef TESSERA_APPS_GALLERY_H
#define TESSERA_APPS_GALLERY_H

#include "apps/common/features.h"
#include "apps/common/folder.h"

/* Who made rows: only those of one model can be compared. */
typedef struct gallery_model {
    const char *name; /* with a digest of its file, and how it was shown faces */
    int length;       /* of a row */
} gallery_model;

/* Rates of errors at a threshold: strangers accepted, the right people refused. NaN: not known. */
typedef struct gallery_limit {
    double threshold, far, frr;
} gallery_limit;

typedef struct gallery {
    char *model;
    int length;
    gallery_limit limit;
    name_list people, sources; /* names; of each row, which file it came from */
    int count, capacity;       /* rows */
    int *persons;              /* [count]: whose row it is */
    uint64_t *photos;          /* [count]: digests of the photographs */
    tsr_real *rows;            /* [count, length] */
} gallery;

/* Without people, not calibrated. False: out of memory. */
bool gallery_new(gallery *out, const gallery_model *model, app_error *error);
void gallery_free(gallery *g);

/* Fails on a file that is missing, damaged, or (unless that is NULL) of another model. */
bool gallery_read(gallery *out, tsr_context *ctx, const char *path, const gallery_model *model, app_error *error);

/* Locks the file, reads it, calls `change`, and writes it again unless that returns false, when nothing happens to it.
 * A missing file is made; with model NULL it is an error. */
typedef bool (*gallery_change)(gallery *g, void *user, app_error *error);
typedef struct gallery_task {
    gallery_change change;
    void *user;
} gallery_task;
bool gallery_update(tsr_context *ctx, const char *path, const gallery_model *model, gallery_task task,
                    app_error *error);

/* A row and where it is from. */
typedef struct gallery_row {
    const char *name, *source; /* name: 1 to 200 bytes without control characters */
    uint64_t photo;
    const tsr_real *values;
} gallery_row;

/* Adds a row; one of the same person and photograph is replaced, and counted. Fails on names and values that cannot
 * be. */
bool gallery_add(gallery *g, const gallery_row *row, int *replaced, app_error *error);

/* The person of that name, or -1. */
int gallery_find(const gallery *g, const char *name);

/* How many rows a person has. */
int gallery_rows_of(const gallery *g, int who);

/* Takes a person away, with all rows. */
void gallery_remove(gallery *g, int who);

/* ---- gallery_scan.c ---------------------------------------------------------------------------------------------- */

typedef struct gallery_hit {
    double distance;
    int row, person;
} gallery_hit;

typedef struct gallery_query {
    const tsr_real *row;
    row_distance distance; /* squared_distance is computed in single precision, quicker */
    int top;               /* how many people are wanted */
} gallery_query;

/* The nearest people, each by the nearest row; of equally near rows the earlier. out [top]; returns how many there are,
 * or -1 without memory. Rows at no distance that is a number are passed over. The same for any number of threads. */
int gallery_scan(gallery_hit *out, const gallery *g, tsr_context *ctx, const gallery_query *query);

#endif
