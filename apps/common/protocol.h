/* What every face program reports by: contenders, each a distance between two pictures, measured on the same pairs
 * (verification) and by who of K people it is (identification). */
#ifndef TESSERA_APPS_PROTOCOL_H
#define TESSERA_APPS_PROTOCOL_H

#include "apps/common/identification.h"
#include "apps/common/verification.h"

typedef struct contender {
    const char *name;
    features what;        /* what it compares */
    double *distances;    /* of each pair of the list */
    verification result;
    roc_curve roc;
    identification among; /* 1:K; count 0: not measured */
} contender;

/* Fills in distances, result and roc; name and what are the caller's. */
bool contender_measure(contender *c, const pairs *list, app_error *error);

/* Gives all back, what it compares too. */
void contender_free(contender *c);

/* "NAME: accuracy=... pairs=... rank1=...", a line on stdout. The rank-1 is that among all people, and left off where
 * it was not measured. */
void contender_print(const contender *c);

#endif
