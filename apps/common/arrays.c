#include "apps/common/arrays.h"

#include "apps/common/archive.h"
#include "apps/common/bytes.h"
#include "core/core.h"
#include "core/file_io.h"

#include <stdlib.h>
#include <string.h>

void array_free(array *a)
{
    free(a->values);
    *a = (array){0};
}

static bool allocate(array *a, int64_t size, app_error *error)
{
    a->values = malloc((size_t)size * sizeof *a->values + 1);
    return a->values || app_fail(error, "is too large for the memory");
}

/* ---- .npy ---------------------------------------------------------------------------------------------- */

static bool npy_recognised(const unsigned char *bytes, size_t count)
{
    return count >= 6 && memcmp(bytes, "\x93NUMPY", 6) == 0;
}

static bool npy_decode(array *a, tsr_context *ctx, const unsigned char *bytes, size_t count, app_error *error)
{
    const tsr_tensor *t = tsr_npy_load_bytes(ctx, "array", bytes, count);
    if (tsr_error(ctx)) return app_fail(error, "%s", tsr_error(ctx));
    const tsr_shape shape = tsr_shape_of(t);
    if (!allocate(a, tsr_size(t), error)) return false;
    a->rank = shape.rank;
    memcpy(a->dims, shape.dims, sizeof a->dims);
    memcpy(a->values, tsr_data(t), (size_t)tsr_size(t) * sizeof *a->values);
    return true;
}

/* ---- IDX: two zeros, the type, the rank, the dimensions (4 bytes each), the values; all big-endian ------- */

static const tsr_number idx_types[] = {{'u', 1, true}, {'i', 1, true}, {0}, {'i', 2, true}, {'i', 4, true},
                                       {'f', 4, true}, {'f', 8, true}};
enum { FIRST_TYPE = 8, IDX_TYPES = sizeof idx_types / sizeof *idx_types };

static bool idx_recognised(const unsigned char *bytes, size_t count)
{
    return count >= 4 && bytes[0] == 0 && bytes[1] == 0 && bytes[2] >= FIRST_TYPE &&
           bytes[2] < FIRST_TYPE + IDX_TYPES && idx_types[bytes[2] - FIRST_TYPE].kind;
}

static bool idx_decode(array *a, tsr_context *ctx, const unsigned char *bytes, size_t count, app_error *error)
{
    const tsr_number number = idx_types[bytes[2] - FIRST_TYPE];
    const size_t rank = bytes[3], start = 4 + 4 * rank;
    if (rank > TSR_MAX_RANK) return app_fail(error, "has %zu dimensions, more than %d", rank, TSR_MAX_RANK);
    if (count < start) return app_fail(error, "is truncated");
    const size_t values = (count - start) / (size_t)number.bytes;
    size_t size = 1;
    bool fits = (count - start) % (size_t)number.bytes == 0;
    a->rank = (int)rank;
    for (size_t d = 0; d < rank; d++) {
        const size_t dim = bytes_big32(bytes + 4 + 4 * d);
        a->dims[d] = (int64_t)dim;
        fits = fits && (dim == 0 || size <= values / dim);
        size = fits ? size * dim : 0;
    }
    if (!fits || size != values)
        return app_fail(error, "has %zu bytes of values, not as many as its dimensions say", count - start);
    tsr_reader reader;
    if (!allocate(a, (int64_t)size, error)) return false;
    return (tsr_reader_open_memory(&reader, ctx, "array", bytes + start, (int64_t)(count - start)) &&
            tsr_reader_values(&reader, a->values, (int64_t)size, number)) ||
           app_fail(error, "%s", tsr_error(ctx));
}

/* ---- text ---------------------------------------------------------------------------------------------- */

typedef struct field {
    const char *start, *end;
} field;

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static field trimmed(field f)
{
    while (f.start < f.end && blank(*f.start)) f.start++;
    while (f.start < f.end && blank(f.end[-1])) f.end--;
    return f;
}

/* Takes the next field off a line that is trimmed; false where nothing is left. */
static bool next_field(field *line, char separator, field *out)
{
    if (!line->start) return false;
    const char *at = line->start;
    while (at < line->end && (separator == ' ' ? !blank(*at) : *at != separator)) at++;
    *out = trimmed((field){line->start, at});
    line->start = at < line->end ? at + 1 : NULL;
    while (separator == ' ' && line->start && blank(*line->start)) line->start++;
    return true;
}

static bool number_of(field f, tsr_real *value)
{
    char text[64], *end;
    const size_t length = (size_t)(f.end - f.start);
    if (length == 0 || length >= sizeof text || blank(*f.start)) return false;
    memcpy(text, f.start, length);
    text[length] = '\0';
    *value = (tsr_real)strtod(text, &end);
    return end == text + length;
}

static char separator_of(field line)
{
    for (const char *c = "\t;,"; *c; c++)
        if (memchr(line.start, *c, (size_t)(line.end - line.start))) return *c;
    return ' ';
}

/* Whether none of its fields is a number. */
static bool is_header(field line, char separator)
{
    field f;
    tsr_real value;
    while (next_field(&line, separator, &f))
        if (number_of(f, &value)) return false;
    return true;
}

/* Adds a row's values; how many, or -1 after an error. */
static int64_t read_row(tsr_real *to, field line, char separator, int number, app_error *error)
{
    field f;
    int64_t columns = 0;
    for (; next_field(&line, separator, &f); columns++) {
        if (!number_of(f, &to[columns])) {
            const int shown = f.end - f.start > 40 ? 40 : (int)(f.end - f.start);
            app_fail(error, "line %d: '%.*s' is not a number", number, shown, f.start);
            return -1;
        }
    }
    return columns;
}

static bool table_decode(array *a, const unsigned char *bytes, size_t count, app_error *error)
{
    const char *at = (const char *)bytes, *end = at + count;
    char separator = 0;
    int number = 0, skipped = 0;
    if (memchr(bytes, 0, count)) return app_fail(error, "is none of .npy, IDX, text, gzip and zip");
    if (count >= 3 && memcmp(at, "\xEF\xBB\xBF", 3) == 0) at += 3; /* the mark of UTF-8 */
    /* At least one character of a separator or line's end goes with each value. */
    if (!allocate(a, (int64_t)(count / 2 + 1), error)) return false;
    a->rank = 2;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at)), *stop = newline ? newline : end;
        field line = {at, stop};
        at = newline ? newline + 1 : end;
        number++;
        if (trimmed(line).start == trimmed(line).end) continue;
        if (line.end[-1] == '\r') line.end--;
        if (!separator) separator = separator_of(trimmed(line));
        if (separator == ' ') line = trimmed(line);
        if (a->dims[0] == 0 && !skipped && is_header(line, separator)) {
            skipped = number;
            continue;
        }
        const int64_t columns = read_row(a->values + a->dims[0] * a->dims[1], line, separator, number, error);
        if (columns < 0) return false;
        if (a->dims[0] == 0) a->dims[1] = columns;
        if (columns != a->dims[1])
            return app_fail(error, "line %d: has %lld values, not %lld", number, (long long)columns,
                            (long long)a->dims[1]);
        a->dims[0]++;
    }
    return a->dims[0] > 0 || app_fail(error, skipped ? "holds no numbers" : "is empty");
}

/* ---- told by content ----------------------------------------------------------------------------------- */

static bool plain_decode(array *a, const unsigned char *bytes, size_t count, app_error *error)
{
    const bool npy = npy_recognised(bytes, count);
    if (!npy && !idx_recognised(bytes, count)) return table_decode(a, bytes, count, error);
    tsr_context *ctx = tsr_open(NULL);
    if (!ctx) return app_fail(error, "is too large for the memory");
    const bool done = (npy ? npy_decode : idx_decode)(a, ctx, bytes, count, error);
    tsr_close(ctx);
    return done;
}

/* The member that is asked for, or -1 and an error that lists what there is. */
static int choose_member(const zip_archive *zip, const char *member, app_error *error)
{
    char name[256], all[400] = "";
    int only = zip->member_count == 1 ? 0 : -1;
    if (member) {
        snprintf(name, sizeof name, "%.250s.npy", member);
        only = zip_find(zip, member);
        if (only < 0) only = zip_find(zip, name);
    }
    if (only >= 0) return only;
    for (int i = 0; i < zip->member_count && strlen(all) < sizeof all - 1; i++)
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i ? ", " : "", zip->members[i].name);
    if (member) app_fail(error, "has no member %.60s; there are: %s", member, all);
    else if (zip->member_count == 0) app_fail(error, "has no members");
    else app_fail(error, "has several members, of which one must be named: %s", all);
    return -1;
}

static bool member_decode(array *a, const unsigned char *bytes, size_t count, const char *member, app_error *error)
{
    zip_archive zip;
    unsigned char *unpacked = NULL;
    if (!zip_open(&zip, bytes, count, error)) return false;
    const int i = choose_member(&zip, member, error);
    const bool done = i >= 0 && zip_unpack(&zip, i, &unpacked, error) &&
                      plain_decode(a, unpacked, zip.members[i].size, error);
    free(unpacked);
    zip_close(&zip);
    return done;
}

bool array_decode(array *out, const unsigned char *bytes, size_t count, const char *member, app_error *error)
{
    bool done;
    *out = (array){0};
    if (count == 0) return app_fail(error, "is empty");
    if (zip_recognised(bytes, count)) {
        done = member_decode(out, bytes, count, member, error);
    } else if (member) {
        return app_fail(error, "is no zip archive, and so has no member %s", member);
    } else if (gzip_recognised(bytes, count)) {
        unsigned char *unpacked;
        size_t size;
        if (!gzip_unpack(&unpacked, &size, bytes, count, error)) return false;
        done = plain_decode(out, unpacked, size, error);
        free(unpacked);
    } else {
        done = plain_decode(out, bytes, count, error);
    }
    if (!done) array_free(out);
    return done;
}

bool array_read(array *out, const char *path, const char *member, app_error *error)
{
    unsigned char *bytes;
    size_t count;
    app_error own = {""};
    *out = (array){0};
    if (!bytes_read(&bytes, &count, path, ARCHIVE_LARGEST, error)) return false;
    const bool done = array_decode(out, bytes, count, member, &own);
    free(bytes);
    return done || app_fail(error, "%s: %s", path, own.text);
}
