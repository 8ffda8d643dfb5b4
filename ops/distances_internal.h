/* Squared distances between rows by their differences: exact to rounding also where rows are close to each other. */
#ifndef TESSERA_OPS_DISTANCES_INTERNAL_H
#define TESSERA_OPS_DISTANCES_INTERNAL_H

#include "core/context.h"

static inline tsr_real tsr_squared_distance(const tsr_real *a, const tsr_real *b, int64_t width)
{
    enum { LANES = 8 };
    tsr_real lanes[LANES] = {0}, rest = 0;
    int64_t k = 0;
    for (; k + LANES <= width; k += LANES)
        for (int j = 0; j < LANES; j++) {
            const tsr_real d = a[k + j] - b[k + j];
            lanes[j] += d * d;
        }
    for (; k < width; k++) rest += (a[k] - b[k]) * (a[k] - b[k]);
    for (int j = 0; j < LANES; j++) rest += lanes[j];
    return rest;
}

#endif
