/* Any bytes unpacked, and packed and unpacked again. */
#include "apps/common/inflate.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    enum { ROOM = 1 << 14 };
    unsigned char out[ROOM];
    size_t used, size;
    inflate_bytes(bytes, count, out, count > 0 ? bytes[0] * 64u : 0, &used);
    unsigned char *packed = deflate_zlib(bytes, count, &size), *back = malloc(count + 1);
    if (!packed || !back || inflate_zlib(packed, size, back, count) || memcmp(bytes, back, count) != 0) __builtin_trap();
    free(packed);
    free(back);
    return 0;
}
