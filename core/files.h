/* Files of numbers: safetensors (named arrays) and .npy (one array). Little-endian on disk, whatever the
 * host.
 *
 * Writing goes to a temporary name beside the target, is synced and renamed: a failure removes it, names the
 * target and leaves an older file as it was. Reading trusts nothing: every length, offset and product is
 * checked before it is used. Messages begin with the path. Positions are C's `long`: where that has 32 bits,
 * files end at 2 GB. */
#ifndef TESSERA_CORE_FILES_H
#define TESSERA_CORE_FILES_H

#include "core/tensor.h"

/* ---- safetensors, read --------------------------------------------------------------------------------- */

/* An open file. Its header (100 MB at most) is checked as it is opened: UTF-8, names that occur once, known
 * types, rank up to 8, and ranges that agree with type and shape and cover all bytes of values, each byte
 * once. Values are read when asked for, one tensor at a time; F64, F32, F16, BF16, I64, I32 and U8 become
 * tsr_real, rounded to nearest. */
typedef struct tsr_archive tsr_archive;

/* NULL after an error. Where the file carries our checksum (see tsr_archive_save), all values are read once
 * and checked against it. */
tsr_archive *tsr_archive_open(tsr_context *ctx, const char *path);

/* Closing the context closes its archives too. NULL is fine. Texts it returned go with it. */
void tsr_archive_close(tsr_archive *archive);

/* Tensors are numbered from 0 in the header's order. A NULL archive has none; for an i out of range name and
 * type are NULL, the shape that of a scalar. */
int tsr_archive_count(const tsr_archive *archive);
const char *tsr_archive_name(const tsr_archive *archive, int i);
tsr_shape tsr_archive_shape(const tsr_archive *archive, int i);
const char *tsr_archive_type(const tsr_archive *archive, int i);               /* "F32", ... */
int tsr_archive_find(const tsr_archive *archive, const char *name);            /* -1: there is none */
const char *tsr_archive_metadata(const tsr_archive *archive, const char *key); /* NULL: there is none */

/* Metadata by number, in the file's order, "checksum" among it; NULL: no more. */
const char *tsr_archive_text_at(const tsr_archive *archive, int i, const char **key);

/* Reads tensor i, made in the current scope. An i out of range is an error; NULL for a NULL archive. */
tsr_tensor *tsr_archive_tensor(tsr_archive *archive, int i);

/* ---- safetensors, written ------------------------------------------------------------------------------ */

typedef struct tsr_archive_entry {
    const char *name; /* UTF-8; each once */
    tsr_shape shape;
} tsr_archive_entry;

typedef struct tsr_archive_text {
    const char *key, *value; /* UTF-8 */
} tsr_archive_text;

typedef struct tsr_archive_content {
    int count;
    const tsr_archive_entry *entries;
    /* The values of entry i (valid until the next call), asked for in order; NULL stops the writing. */
    const tsr_real *(*values)(void *user, int i);
    void *user;
    int text_count; /* metadata, besides "checksum", which is ours */
    const tsr_archive_text *texts;
} tsr_archive_content;

/* Writes F32 (F64 in a double build, so that nothing is lost), entries in the given order, values from a
 * multiple of 8 bytes on. Same content, same bytes. The metadata's "checksum" is "crc64:" and 16 hexadecimal
 * digits: the CRC-64/XZ (polynomial 0x42f0e1eba9ea3693, as in .xz files) of all bytes after the header; it
 * finds every changed bit, and every run of damage within 64 bits for certain. Returns false after an error:
 * nothing written. */
bool tsr_archive_save(tsr_context *ctx, const char *path, const tsr_archive_content *content);

/* ---- .npy ---------------------------------------------------------------------------------------------- */

/* One array of format version 1.0, 2.0 or 3.0, either byte order, C or Fortran order, types f8 f4 f2 i8 i4 i2
 * i1 u4 u2 u1 b1, rank up to 8; the file must end with its last value. */
tsr_tensor *tsr_npy_load(tsr_context *ctx, const char *path);

/* The same from memory; messages begin with `name`. */
tsr_tensor *tsr_npy_load_bytes(tsr_context *ctx, const char *name, const void *bytes, size_t count);

/* Writes version 1.0, <f4 (<f8 in a double build), C order. Returns false after an error: nothing written. */
bool tsr_npy_save(const tsr_tensor *t, const char *path);

#endif
