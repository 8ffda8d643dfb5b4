#include "apps/common/bytes.h"

#include "core/file_io.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

bool bytes_read(unsigned char **bytes, size_t *count, const char *path, size_t most, app_error *error)
{
    *bytes = NULL;
    *count = 0;
    errno = 0;
    FILE *file = fopen(path, "rb");
    if (!file) return app_fail(error, "%s: cannot be opened (%s)", path, strerror(errno));
    long size = -1;
    if (fseek(file, 0, SEEK_END) == 0) size = ftell(file);
    if (size < 0 || size == LONG_MAX || fseek(file, 0, SEEK_SET) != 0) app_fail(error, "%s: is not a plain file", path);
    else if ((unsigned long)size > most)
        app_fail(error, "%s: has %ld bytes, more than the %zu that are read of one file", path, size, most);
    else if (!(*bytes = malloc((size_t)size + 1))) app_fail(error, "%s: out of memory for %ld bytes", path, size);
    else if (fread(*bytes, 1, (size_t)size, file) != (size_t)size) {
        app_fail(error, "%s: cannot be read (%s)", path, errno ? strerror(errno) : "it became shorter");
        free(*bytes);
        *bytes = NULL;
    } else *count = (size_t)size;
    fclose(file);
    return *bytes != NULL;
}

bool bytes_digest(uint64_t *out, const char *path, app_error *error)
{
    unsigned char part[1 << 14];
    tsr_crc64 crc;
    tsr_crc64_begin(&crc);
    errno = 0;
    FILE *file = fopen(path, "rb");
    if (!file) return app_fail(error, "%s: cannot be opened (%s)", path, strerror(errno));
    for (size_t count; (count = fread(part, 1, sizeof part, file)) > 0;) tsr_crc64_add(&crc, part, count);
    const bool failed = ferror(file) != 0;
    fclose(file);
    *out = tsr_crc64_value(&crc);
    return !failed || app_fail(error, "%s: cannot be read (%s)", path, strerror(errno));
}

uint32_t bytes_crc32(uint32_t crc, const unsigned char *bytes, size_t count)
{
    static const uint32_t of_four_bits[16] = {
        0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
        0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C};
    crc = ~crc;
    for (size_t i = 0; i < count; i++) {
        crc ^= bytes[i];
        crc = of_four_bits[crc & 15] ^ crc >> 4;
        crc = of_four_bits[crc & 15] ^ crc >> 4;
    }
    return ~crc;
}

uint32_t bytes_adler32(uint32_t adler, const unsigned char *bytes, size_t count)
{
    enum { PRIME = 65521, MOST = 5552 }; /* so many bytes do not overflow 32 bits */
    uint32_t a = adler & 0xFFFF, b = adler >> 16;
    while (count > 0) {
        const size_t part = count < MOST ? count : MOST;
        for (size_t i = 0; i < part; i++) {
            a += bytes[i];
            b += a;
        }
        a %= PRIME;
        b %= PRIME;
        bytes += part;
        count -= part;
    }
    return b << 16 | a;
}
