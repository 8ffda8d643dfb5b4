/* Pictures of one size, made (decoded or drawn) by all threads of a context when they are wanted. Those that fit into
 * a bound on memory stay; the others are made again each time, so that a data set may be larger than memory. What comes
 * out depends neither on the bound nor on the threads. Which of them stay is fixed: with batches drawn from all
 * alike no other choice would be hit more often. */
#ifndef TESSERA_APPS_LOADER_H
#define TESSERA_APPS_LOADER_H

#include "apps/common/align.h"
#include "apps/common/augment.h"
#include "apps/common/folder.h"
#include "apps/common/image.h"
#include "core/core.h"

/* Makes picture `number`, [size, size, channels]; called by several threads at once. An error names the picture. */
struct pictures;
typedef bool (*picture_maker)(const struct pictures *set, int number, unsigned char *pixels, app_error *error);

typedef struct pictures {
    int count, size, channels; /* size from 1 to 8192, channels 1 or 3 */
    tsr_context *ctx;          /* its threads; must outlive the pictures */
    picture_maker make;
    const void *source;        /* the maker's; must stay */
    double mean[3], divisor;   /* inputs of a net are (value - mean) / divisor; divisor 0: whitened */
    int *labels;               /* [count], who it is; those of opened pictures are 0 until the caller fills them in */
    int held;                  /* the first pictures stay in memory: */
    unsigned char *pixels;     /* [held, size, size, channels] */
} pictures;

/* What happens to pictures that cannot be made. */
typedef struct broken_pictures {
    bool *good;       /* [count before], which could be made */
    name_list errors; /* a line for each of the others */
} broken_pictures;

/* Opens the set whose count, size, channels, ctx, make and source are filled in: makes every picture once, and holds
 * those that fit into cache_mb MB (2^20 bytes). With `broken`, pictures that cannot be made are left out and noted, and
 * the others close up (picture i stays the maker's picture i: the source has to close up, too); without it the first
 * of them is an error. So are a set without a good picture and a cache that is larger than memory. */
bool pictures_open(pictures *set, int cache_mb, broken_pictures *broken, app_error *error);
void pictures_close(pictures *set);
void broken_pictures_free(broken_pictures *b);

/* Copies pictures by number: [count, size, size, channels]. Fails where one that is not held can no longer be made. */
bool pictures_fetch(const pictures *set, const int *numbers, int count, unsigned char *out, app_error *error);

/* The same as inputs of a net; picture numbers[i] is varied by substream i of the rng. */
bool pictures_inputs(const pictures *set, const int *numbers, int count, variation varied, tsr_real *out,
                     app_error *error);

/* Bytes of a picture. */
size_t picture_bytes(const pictures *set);

/* What is taken of a picture: a square in its middle. */
typedef struct picture_part {
    double size; /* in shorter sides of the picture; 0: all of it */
    double down; /* how much lower than the picture's middle its own is, in the same; it stays inside the picture */
    bool whole;  /* instead, all of an oblong picture, squeezed into the square */
} picture_part;

/* Where picture_decode finds pictures, and what it takes of each. */
typedef struct picture_files {
    char *const *paths;
    const landmark_list *faces; /* by which faces are aligned; NULL: they are not */
    picture_part part;          /* where faces is NULL; or, unless it is 0, where a picture has no landmarks */
} picture_files;

/* A maker, whose source is picture_files. A picture without landmarks, where they are needed, is an error. */
bool picture_decode(const pictures *set, int number, unsigned char *pixels, app_error *error);

/* A part of a picture, resized (averaging) to size x size, in grey (1 channel) or colour (3). */
bool picture_square(image *out, const image *in, picture_part part, int size, int channels, app_error *error);

/* The same of a face, by align_face. */
bool picture_aligned(image *out, const image *in, const landmarks *face, int size, int channels, app_error *error);

/* The landmarks of a picture: of its path, the file's name, or that without its ending; or NULL. */
const landmarks *landmarks_of(const landmark_list *faces, const char *path);

#endif
