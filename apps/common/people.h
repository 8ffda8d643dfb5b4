/* Who is on which pictures: a folder with one folder per person, or a list. Everything is in the order of names
 * (strcmp), so that the same data gives the same numbers everywhere. */
#ifndef TESSERA_APPS_PEOPLE_H
#define TESSERA_APPS_PEOPLE_H

#include "apps/common/folder.h"
#include "apps/common/image.h"

typedef struct person {
    char *name;       /* of the folder, or the label of the list */
    int first, count; /* the person's pictures are paths[first] .. paths[first + count - 1] */
} person;

typedef struct people {
    int count, picture_count;
    person *persons;
    char **paths;
    int *places;         /* [picture_count]: which of its person's pictures, from 1; people_keep leaves it as it was */
    int skipped;         /* files that are not pictures (hidden ones are not counted) */
    char *first_skipped; /* the path of the first of them, or NULL */
    int missing;         /* people of the request's list who are not in the data */
    char *first_missing; /* the name of the first of them, or NULL */
} people;

typedef struct people_request {
    /* A folder: what lies in one of its folders, however deep, is of one person. Links are followed but for one that
     * leads back to a folder it lies in; 16 folders inside each other are the most. Files that neither are called like
     * a picture (.jpg) nor begin like one are skipped.
     * Or a text file with a line "path<TAB>label" for each picture (a blank will do where neither holds one), paths
     * relative to the file's folder; pictures of a person are in the order of lines. No path may come twice. */
    const char *data;
    /* NULL, or a list in the layout of people.txt of Labeled Faces in the Wild, which names those to take:
     *     folds     first line, and then for each fold
     *     n         the number of its people
     *     name  k   n such lines: the person, and how many pictures there are, which need not be true
     * or, with one fold, without the first of these lines. */
    const char *names;
    int skip, limit; /* the first `skip` people are left out and at most `limit` of the others taken (0: all) */
} people_request;

/* Finds the pictures; none is decoded. Only people with pictures count. Fails on data that cannot be read, has no
 * pictures or nobody who is named, or where `skip` leaves nobody, and on lists that are broken, with the line. */
bool people_open(people *set, const people_request *request, app_error *error);
void people_free(people *set);

/* Leaves only the pictures with keep[i], and the people who have some then. */
void people_keep(people *set, const bool *keep);

/* The person of that name, or -1. */
int people_find(const people *set, const char *name);

/* How many people have a single picture. */
int people_singles(const people *set);

#endif
