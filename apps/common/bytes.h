/* Whole files in memory, and the checksums of the formats that have one. */
#ifndef TESSERA_APPS_BYTES_H
#define TESSERA_APPS_BYTES_H

#include "apps/common/error.h"

#include <stddef.h>
#include <stdint.h>

/* The file's bytes, to be freed; one that is larger than `most` is refused before anything is allocated. */
bool bytes_read(unsigned char **bytes, size_t *count, const char *path, size_t most, app_error *error);

/* A digest of the file's content (CRC-64/XZ), by which files that differ by chance or by damage are told apart. */
bool bytes_digest(uint64_t *out, const char *path, app_error *error);

/* CRC-32 (of PNG, gzip, zip) and Adler-32 (of zlib) of what came before, from 0 and 1, and these bytes. */
uint32_t bytes_crc32(uint32_t crc, const unsigned char *bytes, size_t count);
uint32_t bytes_adler32(uint32_t adler, const unsigned char *bytes, size_t count);

/* Whether a checksum is right. While fuzzing all are, so that what lies behind them is reached. */
static inline bool bytes_checksum_holds(uint64_t found, uint64_t stored)
{
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    (void)found;
    (void)stored;
    return true;
#else
    return found == stored;
#endif
}

static inline uint32_t bytes_big32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline uint32_t bytes_little32(const unsigned char *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}
static inline uint32_t bytes_little16(const unsigned char *p)
{
    return (uint32_t)p[1] << 8 | p[0];
}

#endif
