#include "apps/common/archive.h"

#include "apps/common/bytes.h"
#include "apps/common/inflate.h"

#include <stdlib.h>
#include <string.h>

/* What so many packed bytes can hold at most. */
static size_t most_of(size_t packed)
{
    return packed > ARCHIVE_LARGEST / INFLATE_RATIO ? ARCHIVE_LARGEST : packed * INFLATE_RATIO;
}

/* ---- gzip ---------------------------------------------------------------------------------------------- */

bool gzip_recognised(const unsigned char *bytes, size_t count)
{
    return count >= 3 && memcmp(bytes, "\x1f\x8b\x08", 3) == 0;
}

/* The length of a member's header (2.3), or 0: damaged or truncated. */
static size_t gzip_header(const unsigned char *bytes, size_t count)
{
    enum { CHECKSUM = 2, EXTRA = 4, NAME = 8, COMMENT = 16, UNKNOWN = 0xE0 };
    size_t at = 10;
    if (count < at || !gzip_recognised(bytes, count) || bytes[3] & UNKNOWN) return 0;
    const unsigned flags = bytes[3];
    if (flags & EXTRA) {
        if (count - at < 2) return 0;
        at += 2;
        const size_t length = bytes_little16(bytes + at - 2);
        if (count - at < length) return 0;
        at += length;
    }
    for (unsigned text = NAME; text <= COMMENT; text *= 2) {
        if (!(flags & text)) continue;
        const unsigned char *end = memchr(bytes + at, 0, count - at);
        if (!end) return 0;
        at = (size_t)(end - bytes) + 1;
    }
    if (!(flags & CHECKSUM)) return at;
    if (count - at < 2) return 0;
    return bytes_checksum_holds(bytes_crc32(0, bytes, at) & 0xFFFF, bytes_little16(bytes + at)) ? at + 2 : 0;
}

typedef struct growing {
    unsigned char *bytes;
    size_t size, room, most;
} growing;

/* Adds one member; returns what is wrong, or NULL and *used. Its size stands behind it: room is made until it fits. */
static const char *gzip_member(growing *out, const unsigned char *bytes, size_t count, size_t *used)
{
    const size_t header = gzip_header(bytes, count);
    if (header == 0) return "has a damaged header";
    size_t size = 0, packed = 0;
    const char *problem;
    while ((problem = inflate_some(bytes + header, count - header, out->bytes + out->size, out->room - out->size, &size,
                                   &packed)) == inflate_more) {
        if (out->room == out->most) return inflate_more;
        const size_t room = out->room < out->most / 2 ? 2 * out->room : out->most;
        unsigned char *larger = realloc(out->bytes, room);
        if (!larger) return "is too large for the memory";
        out->bytes = larger;
        out->room = room;
    }
    if (problem) return problem;
    const size_t end = header + packed;
    if (count - end < 8) return "is truncated";
    if (!bytes_checksum_holds(bytes_crc32(0, out->bytes + out->size, size), bytes_little32(bytes + end)))
        return "is damaged (the checksum)";
    if (!bytes_checksum_holds((uint32_t)size, bytes_little32(bytes + end + 4))) return "is damaged (the size)";
    out->size += size;
    *used = end + 8;
    return NULL;
}

bool gzip_unpack(unsigned char **out, size_t *size, const unsigned char *bytes, size_t count, app_error *error)
{
    *out = NULL;
    *size = 0;
    if (!gzip_recognised(bytes, count)) return app_fail(error, "is not in gzip format");
    /* The last four bytes are the size of the last member, usually the only one. */
    const size_t last = count < 4 ? 0 : bytes_little32(bytes + count - 4), most = most_of(count);
    growing all = {.room = last > 64 && last < most ? last : 64, .most = most};
    const char *problem = (all.bytes = malloc(all.room)) ? NULL : "is too large for the memory";
    for (size_t at = 0, used = 0; !problem && at < count; at += used) {
        if (at > 0 && bytes[at] == 0) used = 1; /* tapes and blocks are filled up with zeros */
        else problem = gzip_member(&all, bytes + at, count - at, &used);
    }
    if (problem) {
        free(all.bytes);
        return app_fail(error, "%s", problem);
    }
    *out = all.bytes;
    *size = all.size;
    return true;
}

/* ---- zip ----------------------------------------------------------------------------------------------- */

/* Lengths without what follows them: names, extra fields, comments. */
enum { LOCAL = 30, CENTRAL = 46, END = 22, LONGEST_COMMENT = 65535 };

bool zip_recognised(const unsigned char *bytes, size_t count)
{
    return count >= 4 && (memcmp(bytes, "PK\3\4", 4) == 0 || memcmp(bytes, "PK\5\6", 4) == 0);
}

/* Reads the entry of the directory at `p`, of which `room` bytes are left, and goes to the member itself, which lies
 * before `directory`. Returns the entry's length, or 0. */
static size_t read_entry(zip_member *m, const unsigned char *bytes, size_t directory, const unsigned char *p,
                         size_t room)
{
    if (room < CENTRAL || memcmp(p, "PK\1\2", 4) != 0) return 0;
    const size_t name = bytes_little16(p + 28), local = bytes_little32(p + 42);
    const size_t length = CENTRAL + name + bytes_little16(p + 30) + bytes_little16(p + 32);
    if (length > room || memchr(p + CENTRAL, 0, name)) return 0;
    *m = (zip_member){.flags = bytes_little16(p + 8), .method = bytes_little16(p + 10),
                      .checksum = bytes_little32(p + 16), .packed = bytes_little32(p + 20),
                      .size = bytes_little32(p + 24)};
    if (local > directory || directory - local < LOCAL || memcmp(bytes + local, "PK\3\4", 4) != 0) return 0;
    m->start = local + LOCAL + bytes_little16(bytes + local + 26) + bytes_little16(bytes + local + 28);
    if (m->start > directory || m->packed > directory - m->start) return 0;
    return length;
}

bool zip_open(zip_archive *zip, const unsigned char *bytes, size_t count, app_error *error)
{
    *zip = (zip_archive){.bytes = bytes};
    size_t end = count < END ? 0 : count - END;
    for (size_t comment = 0; end > 0 && comment < LONGEST_COMMENT; comment++, end--)
        if (memcmp(bytes + end, "PK\5\6", 4) == 0 && bytes_little16(bytes + end + 20) == comment) break;
    const unsigned char *p = bytes + end;
    if (count < END || memcmp(p, "PK\5\6", 4) != 0) return app_fail(error, "is truncated, or no zip archive");
    const size_t members = bytes_little16(p + 10), size = bytes_little32(p + 12), start = bytes_little32(p + 16);
    if (members == 0xFFFF || start == 0xFFFFFFFF) return app_fail(error, "is in zip64 format, which is not read");
    if (bytes_little32(p + 4) != 0 || bytes_little16(p + 8) != members)
        return app_fail(error, "is a part of a zip archive in several parts");
    if (start > end || size > end - start || members > size / CENTRAL)
        return app_fail(error, "is damaged (its directory)");
    zip->members = calloc(members + 1, sizeof *zip->members);
    char *name = zip->names = malloc(size + 1); /* entries are longer than their names */
    bool good = zip->members && name;
    if (!good) app_fail(error, "is too large for the memory");
    for (size_t at = start; good && zip->member_count < (int)members; zip->member_count++) {
        zip_member *m = &zip->members[zip->member_count];
        const size_t length = read_entry(m, bytes, start, bytes + at, start + size - at);
        const bool large = m->packed == 0xFFFFFFFF || m->size == 0xFFFFFFFF;
        good = length > 0 || app_fail(error, large ? "has a member in zip64 format (number %d), which is not read"
                                                   : "is damaged (member %d)", zip->member_count + 1);
        if (!good) break;
        const size_t letters = bytes_little16(bytes + at + 28);
        memcpy(name, bytes + at + CENTRAL, letters);
        name[letters] = '\0';
        m->name = name;
        name += letters + 1;
        at += length;
    }
    if (!good) zip_close(zip);
    return good;
}

void zip_close(zip_archive *zip)
{
    free(zip->members);
    free(zip->names);
    *zip = (zip_archive){0};
}

int zip_find(const zip_archive *zip, const char *name)
{
    for (int i = 0; i < zip->member_count; i++)
        if (strcmp(zip->members[i].name, name) == 0) return i;
    return -1;
}

bool zip_unpack(const zip_archive *zip, int member, unsigned char **out, app_error *error)
{
    enum { STORED = 0, DEFLATED = 8, ENCRYPTED = 1 };
    const zip_member *m = &zip->members[member];
    const unsigned char *from = zip->bytes + m->start;
    const char *problem = NULL;
    size_t used = m->packed;
    *out = NULL;
    if (m->flags & ENCRYPTED) return app_fail(error, "%s: is encrypted", m->name);
    if (m->method != STORED && m->method != DEFLATED)
        return app_fail(error, "%s: is packed by method %u, neither stored nor deflated", m->name, m->method);
    if (m->method == STORED ? m->size != m->packed : m->size > most_of(m->packed))
        return app_fail(error, "%s: is damaged (the size)", m->name);
    unsigned char *to = malloc(m->size + 1);
    if (!to) problem = "is too large for the memory";
    else if (m->method == STORED) memcpy(to, from, m->size);
    else problem = inflate_bytes(from, m->packed, to, m->size, &used);
    if (!problem && used != m->packed) problem = "is damaged (more bytes than it needs)";
    if (!problem && !bytes_checksum_holds(bytes_crc32(0, to, m->size), m->checksum))
        problem = "is damaged (the checksum)";
    if (problem) free(to);
    else *out = to;
    return !problem || app_fail(error, "%s: %s", m->name, problem);
}
