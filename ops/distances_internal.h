/* Squared distances between rows by their differences: exact to rounding also where rows are close to each other. */
#ifndef TESSERA_OPS_DISTANCES_INTERNAL_H
#define TESSERA_OPS_DISTANCES_INTERNAL_H

#include "core/kernels/levels.h"

enum { TSR_DISTANCE_LANES = 16 };

static TSR_INLINE tsr_real tsr_squared_distance(const tsr_real *a, const tsr_real *b, int64_t width)
{
    tsr_real lanes[TSR_DISTANCE_LANES] = {0}, rest = 0;
    int64_t k = 0;
    for (; k + TSR_DISTANCE_LANES <= width; k += TSR_DISTANCE_LANES)
        for (int j = 0; j < TSR_DISTANCE_LANES; j++) {
            const tsr_real d = a[k + j] - b[k + j];
            lanes[j] += d * d;
        }
    for (; k < width; k++) rest += (a[k] - b[k]) * (a[k] - b[k]);
    for (int half = TSR_DISTANCE_LANES / 2; half > 0; half /= 2)
        for (int j = 0; j < half; j++) lanes[j] += lanes[j + half];
    return lanes[0] + rest;
}

#endif
