#include "tests/unit/files.h"

#include "core/file_io.h"
#include "tests/test.h"

#include <string.h>

void write_bytes(const char *path, const void *bytes, size_t count)
{
    remove(path); /* some systems flush a file that is written over at once to the disk */
    FILE *file = fopen(path, "wb");
    const bool written = file && fwrite(bytes, 1, count, file) == count;
    test_check(written, "the test can write its file", __FILE__, __LINE__);
    if (file) fclose(file);
}

size_t read_bytes(const char *path, unsigned char *bytes, size_t room)
{
    FILE *file = fopen(path, "rb");
    const size_t count = file ? fread(bytes, 1, room, file) : 0;
    if (file) fclose(file);
    return count;
}

bool same_file(const char *left, const char *right)
{
    unsigned char a[4096], b[4096];
    const size_t count = read_bytes(left, a, sizeof a);
    return count > 0 && count == read_bytes(right, b, sizeof b) && memcmp(a, b, count) == 0;
}

void write_archive(const char *path, const char *header, size_t length, size_t value_bytes)
{
    unsigned char bytes[4096] = {0};
    tsr_store_bits(bytes, length, 8);
    memcpy(bytes + 8, header, length);
    write_bytes(path, bytes, 8 + length + value_bytes);
}

static void *open_archive(tsr_context *ctx, const char *path)
{
    tsr_archive *archive = tsr_archive_open(ctx, path);
    tsr_archive_close(archive);
    return archive;
}

static void *load_array(tsr_context *ctx, const char *path)
{
    tsr_tensor *t = tsr_npy_load(ctx, path);
    return tsr_is_error(t) ? NULL : t;
}

static const char *refusal(void *(*load)(tsr_context *ctx, const char *path), const char *path)
{
    static char text[600];
    tsr_context *ctx = tsr_open(NULL);
    const size_t before = tsr_statistics_of(ctx).bytes;
    TSR_SCOPE (ctx) {
        const bool loaded = load(ctx, path) != NULL;
        snprintf(text, sizeof text, "%s", loaded ? "" : tsr_error(ctx));
    }
    if (tsr_statistics_of(ctx).bytes != before) snprintf(text, sizeof text, "memory stays in use");
    tsr_close(ctx);
    const size_t length = strlen(path);
    return strncmp(text, path, length) == 0 ? text + length : text;
}

const char *archive_refusal(const char *path)
{
    return refusal(open_archive, path);
}

const char *npy_refusal(const char *path)
{
    return refusal(load_array, path);
}
