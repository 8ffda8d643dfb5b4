/* Any bytes decoded as PNG, checksums taken as right. */
#include "apps/common/image_formats.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    image p = {0};
    image_about about = {0};
    app_error error = {""};
    if (png_recognised(bytes, count) && !png_decode(&p, bytes, count, &about, &error) && error.text[0] == '\0')
        __builtin_trap(); /* an error without a message */
    image_free(&p);
    return 0;
}
