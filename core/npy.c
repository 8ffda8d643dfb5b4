/* .npy: "\x93NUMPY", the version, the length of the header, the header (a Python dictionary), the values. */
#include "core/core_internal.h"
#include "core/file_io.h"

#include <inttypes.h>
#include <string.h>

#define MAGIC "\x93NUMPY"
#define NPY_FAIL TSR_FILE_FAIL

enum {
    MAGIC_BYTES = 6,
    NPY_HEADER_LIMIT = 65535, /* all that version 1.0 can have; a plain array needs some 200 */
    ALIGNMENT = 64,       /* of the first value */
    PART = 512            /* values converted at a time where the order changes */
};

typedef struct array {
    tsr_number number;
    bool fortran; /* the first index runs fastest */
    tsr_shape shape;
} array;

/* ---- the header: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } --------------------------- */

typedef struct cursor {
    const char *at, *end;
} cursor;

static void skip_blanks(cursor *from)
{
    while (from->at < from->end && (*from->at == ' ' || *from->at == '\n' || *from->at == '\t')) from->at++;
}

/* Takes `word`, after blanks, if it comes next. */
static bool take(cursor *from, const char *word)
{
    skip_blanks(from);
    const size_t length = strlen(word);
    if ((size_t)(from->end - from->at) < length || memcmp(from->at, word, length) != 0) return false;
    from->at += length;
    return true;
}

/* A string of up to 31 characters without escapes, as all are that belong here. */
static bool take_string(cursor *from, char text[32])
{
    const char *quote = take(from, "'") ? "'" : "\"";
    if (*quote == '"' && !take(from, quote)) return false;
    size_t length = 0;
    while (from->at < from->end && *from->at != *quote && *from->at != '\\' && length < 31)
        text[length++] = *from->at++;
    text[length] = '\0';
    return from->at < from->end && *from->at++ == *quote;
}

static bool parse_npy_type(cursor *from, const tsr_reader *reader, tsr_number *number)
{
    static const char *const known[] = {"f8", "f4", "f2", "i8", "i4", "i2", "i1", "u4", "u2", "u1", "b1"};
    char text[32];
    if (!take_string(from, text)) return NPY_FAIL(reader, "holds something other than an array of plain numbers");
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const int bytes = known[i][1] - '0';
        if (text[0] && strcmp(text + 1, known[i]) == 0 && strchr(bytes > 1 ? "<>" : "|<>", text[0])) {
            *number = (tsr_number){known[i][0] == 'b' ? 'u' : known[i][0], bytes, text[0] == '>'};
            return true;
        }
    }
    return NPY_FAIL(reader, "type '%s' is none of f8, f4, f2, i8, i4, i2, i1, u4, u2, u1, b1",
                tsr_printable(text, 40).text);
}

/* A tuple: (), (3,), (3, 4), (3, 4,). */
static bool parse_npy_shape(cursor *from, const tsr_reader *reader, tsr_shape *shape)
{
    bool comma = true, valid = take(from, "(");
    while (valid && !take(from, ")")) {
        if (shape->rank == TSR_MAX_RANK) return NPY_FAIL(reader, "has more than %d dimensions", TSR_MAX_RANK);
        skip_blanks(from);
        valid = comma && tsr_read_digits(&from->at, from->end, &shape->dims[shape->rank]);
        comma = take(from, ",");
        shape->rank++;
    }
    return (valid && (comma || shape->rank > 1)) || NPY_FAIL(reader, "its shape is not a tuple of numbers");
}

static bool parse_npy_header(cursor from, const tsr_reader *reader, array *a)
{
    bool has_type = false, has_order = false, has_shape = false, valid = take(&from, "{"), comma = true;
    while (valid && !take(&from, "}")) {
        char key[32];
        valid = comma && take_string(&from, key) && take(&from, ":");
        if (valid && !has_type && strcmp(key, "descr") == 0) {
            has_type = parse_npy_type(&from, reader, &a->number);
        } else if (valid && !has_order && strcmp(key, "fortran_order") == 0) {
            a->fortran = take(&from, "True");
            valid = has_order = a->fortran || take(&from, "False");
        } else if (valid && !has_shape && strcmp(key, "shape") == 0) {
            has_shape = parse_npy_shape(&from, reader, &a->shape);
        } else {
            valid = false;
        }
        if (tsr_error(reader->ctx)) return false;
        comma = take(&from, ",");
    }
    skip_blanks(&from);
    return (valid && has_type && has_order && has_shape && from.at == from.end) ||
           NPY_FAIL(reader, "its header is not a dictionary of descr, fortran_order and shape, each once");
}

/* Reads all before the values. */
static bool read_npy_header(tsr_reader *reader, array *a)
{
    unsigned char start[MAGIC_BYTES + 2 + 4] = {0};
    const int64_t least = MAGIC_BYTES + 2 + 2;
    if (reader->size < least || !tsr_reader_bytes(reader, start, (size_t)least) ||
        memcmp(start, MAGIC, MAGIC_BYTES) != 0)
        return NPY_FAIL(reader, "is no .npy file");
    const int major = start[MAGIC_BYTES], minor = start[MAGIC_BYTES + 1], length_bytes = major == 1 ? 2 : 4;
    if (major < 1 || major > 3 || minor != 0)
        return NPY_FAIL(reader, "has version %d.%d; known are 1.0, 2.0 and 3.0", major, minor);
    const int64_t at = MAGIC_BYTES + 2 + length_bytes;
    if (at > reader->size) return NPY_FAIL(reader, "is cut off in its header");
    if (!tsr_reader_bytes(reader, start + least, (size_t)(at - least))) return false;
    const int64_t length = (int64_t)tsr_load_bits(start + MAGIC_BYTES + 2, length_bytes);
    if (length > NPY_HEADER_LIMIT)
        return NPY_FAIL(reader, "its header of %" PRId64 " bytes is longer than the %d that are accepted", length,
                    NPY_HEADER_LIMIT);
    if (length > reader->size - at) return NPY_FAIL(reader, "is cut off in its header");

    char *text = tsr_allocate(reader->ctx, (size_t)length, "the header of a file");
    const bool valid = text && tsr_reader_bytes(reader, text, (size_t)length) &&
                       parse_npy_header((cursor){text, text + length}, reader, a);
    tsr_release(reader->ctx, text, (size_t)length);
    if (!valid) return false;

    const int64_t size = tsr_shape_size(a->shape), bytes = reader->size - at - length;
    if (size < 0) return NPY_FAIL(reader, "the shape %s is too large", tsr_shape_text(a->shape).text);
    if (bytes % a->number.bytes != 0 || bytes / a->number.bytes != size)
        return NPY_FAIL(reader, "has %" PRId64 " bytes of values; %s of %d bytes each are expected", bytes,
                    tsr_shape_text(a->shape).text, a->number.bytes);
    return true;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static bool read_fortran(tsr_reader *reader, tsr_real *to, const array *a, int64_t size)
{
    int64_t index[TSR_MAX_RANK] = {0}, stride[TSR_MAX_RANK] = {0}, step = 1, at = 0;
    for (int d = a->shape.rank - 1; d >= 0; d--) {
        stride[d] = step;
        step *= a->shape.dims[d];
    }
    tsr_real part[PART];
    for (int64_t done = 0; done < size;) {
        const int64_t count = size - done < PART ? size - done : PART;
        if (!tsr_reader_values(reader, part, count, a->number)) return false;
        for (int64_t i = 0; i < count; i++) {
            to[at] = part[i];
            for (int d = 0; d < a->shape.rank; d++) { /* one further, the first index fastest */
                at += stride[d];
                if (++index[d] < a->shape.dims[d]) break;
                at -= stride[d] * index[d];
                index[d] = 0;
            }
        }
        done += count;
    }
    return true;
}

static tsr_tensor *load(tsr_reader *reader)
{
    array a = {.fortran = false};
    tsr_tensor *t = read_npy_header(reader, &a) ? tsr_tensor_empty(reader->ctx, &a.shape, "npy") : NULL;
    if (t && !(a.fortran ? read_fortran(reader, tsr_write(t), &a, tsr_size(t))
                         : tsr_reader_values(reader, tsr_write(t), tsr_size(t), a.number))) {
        tsr_tensor_free(t);
        t = NULL;
    }
    tsr_reader_close(reader);
    return t ? t : &reader->ctx->error_tensor;
}

tsr_tensor *tsr_npy_load(tsr_context *ctx, const char *path)
{
    tsr_reader reader;
    if (tsr_error(ctx)) return tsr_fail(ctx, "npy");
    if (!path) return tsr_fail(ctx, "npy: the path is NULL");
    return tsr_reader_open(&reader, ctx, path) ? load(&reader) : &ctx->error_tensor;
}

tsr_tensor *tsr_npy_load_bytes(tsr_context *ctx, const char *name, const void *bytes, size_t count)
{
    tsr_reader reader;
    if (!name || (!bytes && count > 0)) return tsr_fail(ctx, "npy: name or bytes are NULL");
    if (!tsr_reader_open_memory(&reader, ctx, name, bytes, (int64_t)count)) return tsr_fail(ctx, "npy");
    return load(&reader);
}

/* ---- writing ------------------------------------------------------------------------------------------- */

bool tsr_npy_save(const tsr_tensor *t, const char *path)
{
    tsr_context *ctx = tsr_context_of(t);
    if (tsr_error(ctx)) return false;
    if (!path || tsr_is_error(t) || !tsr_data(t)) {
        tsr_fail(ctx, "npy: %s", path ? "an error tensor cannot be saved" : "the path is NULL");
        return false;
    }

    char text[MAGIC_BYTES + 4 + 512];
    const tsr_shape shape = tsr_shape_of(t);
    int length = snprintf(text, sizeof text, "%s%c%c__{'descr': '<f%d', 'fortran_order': False, 'shape': (",
                          MAGIC, 1, 0, (int)sizeof(tsr_real));
    for (int d = 0; d < shape.rank; d++)
        length += snprintf(text + length, sizeof text - (size_t)length, "%s%" PRId64, d > 0 ? ", " : "",
                           shape.dims[d]);
    length += snprintf(text + length, sizeof text - (size_t)length, "%s), }", shape.rank == 1 ? "," : "");
    while ((length + 1) % ALIGNMENT != 0) text[length++] = ' ';
    text[length++] = '\n';
    const int start = MAGIC_BYTES + 4;
    tsr_store_bits((unsigned char *)text + MAGIC_BYTES + 2, (uint64_t)(length - start), 2);

    tsr_writer writer;
    tsr_writer_open(&writer, ctx, path);
    tsr_writer_bytes(&writer, text, (size_t)length);
    tsr_writer_values(&writer, tsr_data(t), tsr_size(t));
    return tsr_writer_finish(&writer);
}
