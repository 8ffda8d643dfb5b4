/* How well distances tell pairs of one person from pairs of two. A pair is accepted as the same person when
 * its distance is at most the threshold; VAL(d) is the part of the same pairs accepted, FAR(d) that of the
 * different ones (Schroff, Kalenichenko, Philbin 2015, section 4). All figures are exact: they come from the
 * sorted distances, not from a grid. */
#ifndef TESSERA_APPS_VERIFICATION_H
#define TESSERA_APPS_VERIFICATION_H

#include "apps/common/error.h"

typedef struct trial {
    double distance; /* smaller: more alike */
    bool same;
    int fold; /* from 0; below 1000 */
} trial;

enum { VAL_LEVELS = 4 }; /* FAR 1e-1, 1e-2, 1e-3, 1e-4 */

typedef struct verification {
    int pairs, folds;       /* folds that have pairs */
    double accuracy;        /* mean over the folds, each measured at the best threshold of all others */
    double std;             /* standard deviation of the folds' accuracies (divided by folds - 1) */
    double standard_error;  /* std / sqrt(folds): what papers write behind the +- */
    double auc;             /* how often a same pair is nearer than a different one, ties as half */
    double eer;             /* where FAR = 1 - VAL, on the straight line between points of the ROC curve */
    double val[VAL_LEVELS]; /* VAL at the largest threshold whose FAR is at most that level; NaN where a single one of
                             * the different pairs is a larger share */
    double threshold;       /* the best threshold over all pairs */
} verification;

/* The best threshold makes the fewest mistakes. It lies halfway between neighbouring distances (or just below
 * the smallest, or on the largest); of equally good ones it is the smallest, which accepts the fewest
 * strangers. Fails on distances that are not finite, without pairs of both kinds, or with fewer than two
 * folds. */
bool verification_measure(verification *out, const trial *trials, int count, app_error *error);

/* accuracy=0.9731 std=0.0042 auc=0.9968 eer=0.0251 val_1e-1=0.991 val_1e-2=0.951 val_1e-3=0.884 val_1e-4=-
 * threshold=1.02 pairs=6000, in one line */
typedef struct verification_line {
    char text[256];
} verification_line;
verification_line verification_print(const verification *v);

/* The ROC curve: a point before the first distance (accepting nobody), one after each different distance. */
typedef struct roc_curve {
    int count;
    double *far, *val, *threshold; /* [count], ascending; the first threshold is just below all distances */
} roc_curve;

/* Fails as verification_measure does, but does not look at folds. */
bool roc_make(roc_curve *out, const trial *trials, int count, app_error *error);

void roc_free(roc_curve *curve);

#endif
