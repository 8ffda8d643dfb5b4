/* Reading and writing binary files: numbers in either byte order, a checksum, and a writer that replaces the
 * target in one step. The first failure sticks to the context with the path and the system's reason; every
 * call after an error does nothing and returns false. */
#ifndef TESSERA_CORE_FILE_IO_H
#define TESSERA_CORE_FILE_IO_H

#include "core/context.h"
#include "core/tensor.h"

/* ---- messages ------------------------------------------------------------------------------------------ */

/* Fit for one line: control characters become '?'; of a text longer than `room` bytes (191 at most) the end
 * is kept. */
tsr_text tsr_printable(const char *text, size_t room);

/* Makes "PATH: MESSAGE" stick; returns false. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
bool tsr_file_fail(tsr_context *ctx, const char *path, const char *format, ...);

/* The same for a tsr_reader or tsr_writer. */
#define TSR_FILE_FAIL(file, ...) tsr_file_fail((file)->ctx, (file)->path, __VA_ARGS__)

/* ---- numbers ------------------------------------------------------------------------------------------- */

/* How a number lies in a file. */
typedef struct tsr_number {
    char kind; /* 'f' IEEE 754, 'b' bfloat16, 'i' two's complement, 'u' unsigned */
    int bytes; /* 8, 4 or 2 for 'f', 2 for 'b', 8, 4, 2 or 1 for 'i', 4, 2 or 1 for 'u' */
    bool big_endian;
} tsr_number;

/* Little-endian. */
uint64_t tsr_load_bits(const unsigned char *from, int bytes);
void tsr_store_bits(unsigned char *to, uint64_t bits, int bytes);

/* Reads decimal digits, at least one, up to 2^63 - 1; moves *at past them, or leaves it and returns false. */
bool tsr_read_digits(const char **at, const char *end, int64_t *value);

/* ---- CRC-64/XZ ----------------------------------------------------------------------------------------- */

typedef struct tsr_crc64 {
    uint64_t table[8][256];
    uint64_t state;
} tsr_crc64;

void tsr_crc64_begin(tsr_crc64 *crc);
void tsr_crc64_add(tsr_crc64 *crc, const void *bytes, size_t count);
uint64_t tsr_crc64_value(const tsr_crc64 *crc);

/* ---- reading ------------------------------------------------------------------------------------------- */

typedef struct tsr_reader {
    tsr_context *ctx;
    const char *path;
    FILE *file;
    int64_t size; /* of the file, bytes */
    const unsigned char *memory; /* read instead of a file, which is then NULL */
    int64_t at;                  /* in it */
    tsr_crc64 *checksum;         /* of what tsr_reader_bytes reads while this is not NULL */
} tsr_reader;

bool tsr_reader_open(tsr_reader *reader, tsr_context *ctx, const char *path);

/* Reads bytes that stay the caller's; `name` is what messages call them. */
bool tsr_reader_open_memory(tsr_reader *reader, tsr_context *ctx, const char *name, const void *bytes, int64_t size);
bool tsr_reader_seek(tsr_reader *reader, int64_t position);
bool tsr_reader_bytes(tsr_reader *reader, void *to, size_t count);
bool tsr_reader_values(tsr_reader *reader, tsr_real *to, int64_t count, tsr_number number);
void tsr_reader_close(tsr_reader *reader);

/* ---- writing ------------------------------------------------------------------------------------------- */

typedef struct tsr_writer {
    tsr_context *ctx;
    const char *path;
    FILE *file;
    char *temporary; /* its name */
    size_t temporary_bytes;
    tsr_crc64 *checksum; /* of what is written while this is not NULL */
} tsr_writer;

bool tsr_writer_open(tsr_writer *writer, tsr_context *ctx, const char *path);
bool tsr_writer_seek(tsr_writer *writer, long position);
bool tsr_writer_bytes(tsr_writer *writer, const void *from, size_t count);
bool tsr_writer_values(tsr_writer *writer, const tsr_real *from, int64_t count);

/* Ends every writing that was begun: puts the file in its place, or, where an error has stuck to the context,
 * removes what was written. Returns whether the file is in its place. */
bool tsr_writer_finish(tsr_writer *writer);

#endif
