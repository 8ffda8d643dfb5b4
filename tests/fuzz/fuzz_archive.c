/* Any bytes unpacked as gzip and zip, and read as an array, checksums taken as right. */
#include "apps/common/archive.h"
#include "apps/common/arrays.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void require(bool holds)
{
    if (!holds) __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    unsigned char *out;
    size_t size;
    zip_archive zip;
    array a;
    app_error gzip_error = {""}, zip_error = {""}, error = {""};
    require(gzip_unpack(&out, &size, bytes, count, &gzip_error) || gzip_error.text[0]);
    free(out);
    if (zip_open(&zip, bytes, count, &zip_error)) {
        for (int i = 0; i < zip.member_count; i++) {
            zip_unpack(&zip, i, &out, &zip_error);
            free(out);
        }
        zip_close(&zip);
    } else require(zip_error.text[0]);
    require(array_decode(&a, bytes, count, NULL, &error) || error.text[0]); /* an error has a message */
    array_free(&a);
    return 0;
}
