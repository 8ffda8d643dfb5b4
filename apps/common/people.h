/* A data set of faces on disk: a folder with one folder of pictures per person. Everything is in the order of
 * names (strcmp), so that the same folder gives the same numbers everywhere. */
#ifndef TESSERA_APPS_PEOPLE_H
#define TESSERA_APPS_PEOPLE_H

#include "apps/common/image.h"

typedef struct person {
    char *name;       /* of the folder */
    int first, count; /* the person's pictures are paths[first] .. paths[first + count - 1] */
} person;

typedef struct people {
    int count, picture_count;
    person *persons;
    char **paths;
    int skipped;         /* files that are not pictures (hidden ones are not counted) */
    char *first_skipped; /* the path of the first of them, or NULL */
} people;

/* Finds the pictures, reading only how each file begins. Of those who have pictures, the first `skip` people
 * are left out and at most `limit` of the others taken (0: all). Fails on a folder that cannot be listed or
 * has no pictures, or where `skip` leaves nobody. */
bool people_open(people *set, const char *folder, int skip, int limit, app_error *error);

void people_free(people *set);

/* The person of that name, or -1. */
int people_find(const people *set, const char *name);

/* Decoded pictures, all of one size. */
typedef struct pictures {
    int count, size, channels;
    unsigned char *pixels; /* [count, size, size, channels] */
    int *labels;           /* [count], the person's number in the set */
    char **paths;          /* [count], borrowed from the set, which must stay */
} pictures;

/* Reads every picture of the set: the middle square of each, resized to size x size, in grey (1 channel) or
 * colour (3). Fails on the first that cannot be read, naming it. */
bool people_load(pictures *out, const people *set, int size, int channels, app_error *error);

void pictures_free(pictures *p);

/* The middle square of a picture, resized and converted as people_load does. */
bool picture_square(image *out, const image *in, int size, int channels, app_error *error);

#endif
