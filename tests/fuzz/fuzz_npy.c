/* Any bytes loaded as a .npy file; what loads is saved and loaded again. */
#include "core/core.h"
#include "core/platform.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void require(bool holds)
{
    if (!holds) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    char path[64];
    snprintf(path, sizeof path, "build/fuzz/%lu.npy", tsr_platform_process());
    FILE *file = fopen(path, "wb");
    require(file != NULL); /* make fuzz has made the folder */
    fwrite(bytes, 1, count, file);
    fclose(file);

    tsr_context *ctx = tsr_open(NULL);
    const size_t before = tsr_statistics_of(ctx).bytes;
    TSR_SCOPE (ctx) {
        tsr_tensor *t = tsr_npy_load(ctx, path);
        require(tsr_is_error(t) == !!tsr_error(ctx));
        if (!tsr_is_error(t)) {
            require(tsr_npy_save(t, path));
            tsr_tensor *again = tsr_npy_load(ctx, path);
            require(tsr_same_shape(tsr_shape_of(t), tsr_shape_of(again)));
            require(memcmp(tsr_data(t), tsr_data(again), (size_t)tsr_size(t) * sizeof(tsr_real)) == 0);
        }
    }
    require(tsr_statistics_of(ctx).bytes == before);
    tsr_close(ctx);
    remove(path);
    return 0;
}
