/* Pairs of pictures to verify: is this the same person? */
#ifndef TESSERA_APPS_PAIRS_H
#define TESSERA_APPS_PAIRS_H

#include <stdint.h>

#include "apps/common/people.h"

typedef struct pair {
    int a, b; /* numbers of pictures */
    bool same;
    int fold; /* for cross-validation, from 0 */
} pair;

typedef struct pairs {
    int count, folds;
    pair *items;
    int missing;       /* pairs of a file whose pictures are not in the set */
    name_list lacking; /* those pictures, "Ann 2" for Ann's 2nd, each once, in the order of names */
} pairs;

/* Draws 10 * per_fold pairs of the same person and as many of different people out of all there are of
 * `count` labelled pictures: no pair twice, the same for the same seed, equally many of both kinds in every
 * fold. Where there are fewer of one kind, all of those and as many of the other; fewer than 10 make fewer
 * folds. Fails where there is no pair of one kind at all. */
bool pairs_generate(pairs *out, const int *labels, int count, int per_fold, uint64_t seed, app_error *error);

/* Reads a list in the layout of Labeled Faces in the Wild, fields separated by tabs (or blanks where a line
 * has no tab):
 *     folds  n             first line; or just n, for one fold
 *     name   i  j          n lines per fold: pictures i and j of one person, from 1
 *     name1  i  name2  j   n lines per fold: different people
 * Picture 7 of Ann is Ann/Ann_0007.* or, if none of hers is called like that, the 7th in the order of names.
 * Pairs that are not in the set are left out and counted, their pictures listed; none left is an error. Of a
 * single fold ten are cut in the file's order, both kinds spread evenly. A broken file is an error with its
 * line number. */
bool pairs_read(pairs *out, const char *path, const people *set, app_error *error);

void pairs_free(pairs *p);

#endif
