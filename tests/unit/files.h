/* What the tests of file formats share. */
#ifndef TESSERA_TESTS_FILES_H
#define TESSERA_TESTS_FILES_H

#include "core/core.h"

#define FILES "tests/known-answers/files/" /* made by make_files.py */
#define REAL (sizeof(tsr_real) == 8 ? "double" : "float")

/* Fails the running test where it cannot. */
void write_bytes(const char *path, const void *bytes, size_t count);

/* How many bytes were read, `room` at most; 0 where there is no file. */
size_t read_bytes(const char *path, unsigned char *bytes, size_t room);

/* Whether two files are there, not empty, no longer than 4096 bytes and equal. */
bool same_file(const char *left, const char *right);

/* A safetensors file of `header` (of `length` bytes) and so many zero bytes of values, 4096 in all at most.
 */
void write_archive(const char *path, const char *header, size_t length, size_t value_bytes);

/* Why `path` cannot be opened as an archive, or loaded as an array, without the path in front; "" if it can.
 * Says so too where memory stays in use. Valid until the next call. */
const char *archive_refusal(const char *path);
const char *npy_refusal(const char *path);

#endif
