/* Arrays of numbers as data sets are published. */
#ifndef TESSERA_APPS_ARRAYS_H
#define TESSERA_APPS_ARRAYS_H

#include "apps/common/error.h"
#include "core/tensor.h"

typedef struct array {
    int rank;
    int64_t dims[TSR_MAX_RANK];
    tsr_real *values; /* row-major */
} array;

/* Reads, told apart by content:
 *   .npy                 f8 f4 f2 i8 i4 i2 i1 u4 u2 u1 b1, either byte order, C and Fortran order
 *   IDX (that of MNIST)  all its types
 *   text                 a table of numbers, [rows, columns], separated by tabs, semicolons, commas or blanks,
 *                        whichever the first line has, in this order; empty lines, and a first line without a
 *                        number, are skipped
 * also packed by gzip, or as a member of a zip archive (.npz). `member`: its name, where the ending .npy may be left
 * out; NULL: the only one, or an error that lists them. Integers beyond 2^24 are rounded in float. Fails, naming the
 * file and in a table the line, on anything missing, truncated, damaged or of another format. */
bool array_read(array *out, const char *path, const char *member, app_error *error);

/* The same from memory; messages name no file. */
bool array_decode(array *out, const unsigned char *bytes, size_t count, const char *member, app_error *error);

/* Gives the values back and zeroes the struct; an already zeroed one is fine. */
void array_free(array *a);

#endif
