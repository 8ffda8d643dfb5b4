/* Any bytes read as a gallery, with their checksum put right half of the time, so that what lies behind it is reached. */
#include "apps/common/gallery.h"

#include "core/file_io.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    unsigned char *copy = malloc(count + 64);
    app_error error = {""};
    gallery g;
    tsr_crc64 crc;
    if (!copy) return 0;
    memcpy(copy, "TSRGAL1\n", 8);
    if (count > 0) memcpy(copy + 8, bytes, count);
    const size_t body = 8 + count;
    tsr_crc64_begin(&crc);
    tsr_crc64_add(&crc, copy, body);
    tsr_store_bits(copy + body, tsr_crc64_value(&crc), 8);
    if (gallery_decode(&g, bytes, count, &error)) gallery_free(&g);
    error = (app_error){""};
    const bool done = gallery_decode(&g, copy, body + 8, &error);
    if (done != (error.text[0] == '\0')) __builtin_trap(); /* an error without a message, or the reverse */
    if (done) {
        tsr_real row[4] = {0};
        gallery_match found[2];
        app_error full = {""};
        if (g.length <= 4) gallery_add(&g, "new", "picture", row, g.length > 0 ? g.length : 4, &full);
        if (g.count > 0 && g.length <= 4) gallery_nearest(&g, NULL, row, NULL, found, 2);
        gallery_free(&g);
    }
    free(copy);
    return 0;
}
