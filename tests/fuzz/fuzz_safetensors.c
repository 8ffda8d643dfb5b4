/* Any bytes opened as a safetensors file; what opens is read, written and opened again. */
#include "core/core.h"
#include "core/platform.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static const tsr_real *read_one(void *user, int i)
{
    return tsr_data(tsr_archive_tensor(user, i));
}

static void require(bool holds)
{
    if (!holds) abort();
}

/* Everything that was read can be written, and reads as the same. */
static void write_again(tsr_context *ctx, tsr_archive *archive, const char *path)
{
    const int count = tsr_archive_count(archive);
    tsr_archive_entry *entries = calloc((size_t)count + 1, sizeof *entries);
    if (!entries) return;
    for (int i = 0; i < count; i++)
        entries[i] = (tsr_archive_entry){tsr_archive_name(archive, i), tsr_archive_shape(archive, i)};
    require(tsr_archive_save(
        ctx, path,
        &(tsr_archive_content){.count = count, .entries = entries, .values = read_one, .user = archive}));
    free(entries);
    tsr_archive *again = tsr_archive_open(ctx, path);
    require(tsr_archive_count(again) == count);
    for (int i = 0; i < count; i++) {
        require(tsr_archive_find(again, tsr_archive_name(archive, i)) == i);
        tsr_tensor *a = tsr_archive_tensor(archive, i), *b = tsr_archive_tensor(again, i);
        require(tsr_same_shape(tsr_shape_of(a), tsr_shape_of(b)));
        require(memcmp(tsr_data(a), tsr_data(b), (size_t)tsr_size(a) * sizeof(tsr_real)) == 0);
    }
    require(!tsr_error(ctx));
    tsr_archive_close(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    char path[64], copy[64];
    snprintf(path, sizeof path, "build/fuzz/%lu.safetensors", tsr_platform_process());
    snprintf(copy, sizeof copy, "build/fuzz/%lu-copy.safetensors", tsr_platform_process());
    FILE *file = fopen(path, "wb");
    require(file != NULL); /* make fuzz has made the folder */
    fwrite(bytes, 1, count, file);
    fclose(file);

    tsr_context *ctx = tsr_open(NULL);
    const size_t before = tsr_statistics_of(ctx).bytes;
    tsr_archive *archive = tsr_archive_open(ctx, path);
    require(!archive == !!tsr_error(ctx));
    TSR_SCOPE (ctx) {
        tsr_archive_metadata(archive, "checksum");
        if (archive) write_again(ctx, archive, copy);
    }
    tsr_archive_close(archive);
    require(tsr_statistics_of(ctx).bytes == before);
    tsr_close(ctx);
    remove(path);
    remove(copy);
    return 0;
}
