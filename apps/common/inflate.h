/* Deflate (RFC 1951), both ways. */
#ifndef TESSERA_APPS_INFLATE_H
#define TESSERA_APPS_INFLATE_H

#include <stdbool.h>
#include <stddef.h>

enum { INFLATE_RATIO = 1032 }; /* a byte holds at most so many: 258 by a code of one bit and a distance of one */

/* Unpacks a raw stream that holds `size` bytes into `out`. Returns what is wrong with it ("is truncated", ...; the
 * caller names the file), or NULL, with *used bytes taken of the `count`. */
const char *inflate_bytes(const unsigned char *bytes, size_t count, unsigned char *out, size_t size, size_t *used);

/* The same of a stream whose size is not known, up to `room`: *size bytes. One that holds more has the problem
 * inflate_more, the pointer. */
extern const char inflate_more[];
const char *inflate_some(const unsigned char *bytes, size_t count, unsigned char *out, size_t room, size_t *size,
                         size_t *used);

/* The same in the wrapper of zlib (RFC 1950), whose checksum is checked. */
const char *inflate_zlib(const unsigned char *bytes, size_t count, unsigned char *out, size_t size);

/* Packs into a zlib stream in new memory, to be freed; NULL without memory. */
unsigned char *deflate_zlib(const unsigned char *bytes, size_t count, size_t *size);

#endif
