/* The fuzz target of a picture format: FORMAT (jpeg, png, ...) is defined before. Checksums are taken as right. */
#include "apps/common/image_formats.h"

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    image p = {0};
    image_about about = {0};
    app_error error = {""};
    const bool tried = JOIN(FORMAT, _recognised)(bytes, count);
    if (tried && !JOIN(FORMAT, _decode)(&p, bytes, count, &about, &error) && error.text[0] == '\0')
        __builtin_trap(); /* an error without a message */
    image_free(&p);
    return 0;
}
