/* Packed files as they are published: gzip (RFC 1952) and zip, both in memory. Messages name no file. */
#ifndef TESSERA_APPS_ARCHIVE_H
#define TESSERA_APPS_ARCHIVE_H

#include "apps/common/error.h"

#include <stddef.h>
#include <stdint.h>

/* Neither a file nor what it unpacks to may be larger. */
#define ARCHIVE_LARGEST ((size_t)1 << 30)

bool gzip_recognised(const unsigned char *bytes, size_t count);

/* Unpacks all members, one behind the other, into new memory, to be freed; zeros after the last are fine. Fails on what
 * is truncated, damaged (checksums and sizes are checked) or larger than ARCHIVE_LARGEST. */
bool gzip_unpack(unsigned char **out, size_t *size, const unsigned char *bytes, size_t count, app_error *error);

typedef struct zip_member {
    const char *name; /* as stored, usually UTF-8; that of a folder ends in '/' */
    size_t size;      /* unpacked */
    size_t packed, start; /* where it lies */
    uint32_t checksum;
    unsigned method, flags;
} zip_member;

typedef struct zip_archive {
    const unsigned char *bytes; /* borrowed: must stay until zip_close */
    int member_count;
    zip_member *members; /* as the central directory lists them */
    char *names;
} zip_archive;

bool zip_recognised(const unsigned char *bytes, size_t count);

/* Reads the list of members. Fails on a damaged one, one in several parts, and zip64. */
bool zip_open(zip_archive *zip, const unsigned char *bytes, size_t count, app_error *error);
void zip_close(zip_archive *zip);

/* The member of this name, or -1. */
int zip_find(const zip_archive *zip, const char *name);

/* Unpacks a member into new memory, to be freed. Fails on a damaged or encrypted one, and on methods other than stored
 * and deflated. */
bool zip_unpack(const zip_archive *zip, int member, unsigned char **out, app_error *error);

#endif
