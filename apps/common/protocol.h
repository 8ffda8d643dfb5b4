/* The verification protocol that every face program reports by: contenders, each a distance between two pictures, measured
 * on the same pairs. Two of them need no training and show what learning bought: raw pixels and eigenfaces. */
#ifndef TESSERA_APPS_PROTOCOL_H
#define TESSERA_APPS_PROTOCOL_H

#include "apps/common/loader.h"
#include "apps/common/pairs.h"
#include "apps/common/verification.h"

typedef struct contender {
    const char *name;
    verification result;
    roc_curve roc;
} contender;

/* Fills in result and roc from [pairs] distances; name stays the caller's. */
bool contender_measure(contender *out, const pairs *list, const double *distances, app_error *error);
void contender_free(contender *c);

/* Euclidean distance of grey levels (0 to 1), on exactly the crop that the model gets. */
bool contender_pixels(contender *out, const pictures *set, const pairs *list, app_error *error);

/* Euclidean distance of the projections on the principal components of `known`: pictures of people who are not in `set`
 * (or of the set itself where there are no others); of very many, some, spread evenly. */
bool contender_eigenfaces(contender *out, const pictures *known, const pictures *set, const pairs *list, app_error *error);

/* "NAME: accuracy=... pairs=...", a line on stdout. */
void contender_print(const contender *c);

#endif
