#include "ops/indices.h"

tsr_tensor *tsr_check_indices(tsr_node *n, tsr_tensor *indices, int64_t limit)
{
    const tsr_real *values = tsr_data(indices);
    if (limit > TSR_MOST_INDEXED)
        return tsr_reject(n,
                          "%lld places to choose from, expected at most %lld: beyond, indices are not exact",
                          (long long)limit, (long long)TSR_MOST_INDEXED);
    for (int64_t i = 0; i < tsr_size(indices); i++) {
        const double value = (double)values[i];
        if (value >= 0 && value < (double)limit && value == (double)(int64_t)value) continue;
        return tsr_reject(n, "index %lld of %s is %.9g, expected a whole number from 0 to %lld", (long long)i,
                          tsr_shape_text(tsr_shape_of(indices)).text, value, (long long)limit - 1);
    }
    return NULL;
}
