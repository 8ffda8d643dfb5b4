/* Published weights and their known answers, which lie beside the repository where they are there at all. */
#ifndef TESSERA_TESTS_APPS_WEIGHTS_H
#define TESSERA_TESTS_APPS_WEIGHTS_H

#include "tessera.h"
#include "tests/test.h"

#include <math.h>
#include <string.h>

#define WEIGHTS "../shared/data/weights/"

/* False where there are no weights: the running test is then skipped. */
static inline bool have_weights(void)
{
    FILE *file = fopen(WEIGHTS "known_answers.safetensors", "rb");
    if (file) fclose(file);
    else test_skip("no " WEIGHTS "known_answers.safetensors");
    return file != NULL;
}

/* One of the known answers, as it is stored; the error tensor where it is missing. */
static inline tsr_tensor *known_answer(tsr_context *ctx, const char *name)
{
    tsr_archive *archive = tsr_archive_open(ctx, WEIGHTS "known_answers.safetensors");
    tsr_tensor *t = tsr_archive_tensor(archive, tsr_archive_find(archive, name));
    tsr_archive_close(archive);
    return t;
}

/* A stored picture [h, w, 3] as (rgb - mean) / divisor, [1, h, w, 3]. */
static inline tsr_tensor *known_input(tsr_context *ctx, const char *name, const double mean[3], double divisor)
{
    tsr_tensor *picture = known_answer(ctx, name);
    tsr_tensor *x = tsr_zeros(ctx, TSR_SHAPE(1, tsr_dim(picture, 0), tsr_dim(picture, 1), 3));
    tsr_real *to = tsr_write(x);
    for (int64_t i = 0; to && !tsr_is_error(picture) && i < tsr_size(picture); i++)
        to[i] = (tsr_real)((tsr_data(picture)[i] - mean[i % 3]) / divisor);
    return x;
}

/* rms(ours - theirs) / rms(theirs); NaN where the sizes differ. */
static inline double relative_error(const tsr_tensor *ours, const tsr_tensor *theirs)
{
    double difference = 0, size = 0;
    if (tsr_is_error(ours) || tsr_is_error(theirs) || tsr_size(ours) != tsr_size(theirs)) return (double)NAN;
    for (int64_t i = 0; i < tsr_size(ours); i++) {
        const double a = tsr_data(ours)[i], b = tsr_data(theirs)[i];
        difference += (a - b) * (a - b);
        size += b * b;
    }
    return sqrt(difference / size);
}

#endif
