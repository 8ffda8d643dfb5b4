/* safetensors: 8 bytes with the length of the header, the header (JSON), the values. The header names each
 * tensor's type, shape and range of bytes. */
#include "core/core_internal.h"
#include "core/file_io.h"
#include "core/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    LENGTH_BYTES = 8,
    HEADER_LIMIT = 100000000, /* what the format's own library accepts */
    SHORTEST_ENTRY = 48       /* bytes; bounds the number of tensors before they are read */
};

#define CHECKSUM_PREFIX "crc64:"
#define HEADER_START "{\"__metadata__\":{\"checksum\":\"" CHECKSUM_PREFIX

typedef struct type {
    const char *name;
    tsr_number number;
} type;

static const type types[] = {{"F64", {'f', 8, false}},  {"F32", {'f', 4, false}}, {"F16", {'f', 2, false}},
                             {"BF16", {'b', 2, false}}, {"I64", {'i', 8, false}}, {"I32", {'i', 4, false}},
                             {"U8", {'u', 1, false}}};
enum { TYPE_COUNT = sizeof types / sizeof types[0] };

typedef struct entry {
    const char *name;
    const type *type;
    tsr_shape shape;
    int64_t begin, end; /* bytes, from the first value of the file */
} entry;

struct tsr_archive {
    tsr_closer closer; /* first: the context closes through it */
    tsr_reader reader;
    char *path;
    char *header; /* names and metadata lie in it */
    size_t header_bytes;
    int64_t value_bytes;
    int count, capacity;
    entry *entries;         /* in the header's order */
    const entry **in_order; /* by name, once the header is checked */
    int text_count;
    const char **texts; /* keys of the metadata, the value behind each; NULL: there is no metadata */
    size_t texts_bytes;
};

#define FAIL(a, ...) TSR_FILE_FAIL(&(a)->reader, __VA_ARGS__)
#define TEXT(name) tsr_printable(name, 80).text

/* ---- the header ---------------------------------------------------------------------------------------- */

/* The text that lies behind one. */
static const char *after(const char *text)
{
    return text + strlen(text) + 1;
}

static void parse_metadata(tsr_archive *a, tsr_json *json)
{
    if (a->texts) {
        FAIL(a, "has __metadata__ twice");
        return;
    }
    tsr_json_enter(json, '{');
    char *const begin = json->at, *end = begin;
    int count = 0;
    for (; tsr_json_more(json, '}'); count++) {
        const char *key = tsr_json_key(json), *value = key ? tsr_json_string(json) : NULL;
        if (!value) return;
        const size_t key_bytes = strlen(key) + 1, value_bytes = strlen(value) + 1;
        memmove(end, key, key_bytes); /* one behind the other, over what has been read */
        memmove(end + key_bytes, value, value_bytes);
        end += key_bytes + value_bytes;
    }
    a->texts_bytes = ((size_t)count + 1) * sizeof *a->texts;
    a->texts = tsr_allocate(a->reader.ctx, a->texts_bytes, "the metadata of a file");
    const char *key = begin;
    for (; a->texts && a->text_count < count; key = after(after(key))) a->texts[a->text_count++] = key;
}

static void parse_type(tsr_archive *a, tsr_json *json, entry *e)
{
    const char *name = tsr_json_string(json);
    for (int i = 0; name && i < TYPE_COUNT; i++)
        if (strcmp(name, types[i].name) == 0) e->type = &types[i];
    if (name && !e->type)
        FAIL(a, "'%s' has type '%s', which is none of F64, F32, F16, BF16, I64, I32, U8", TEXT(e->name),
             TEXT(name));
}

static void parse_shape(tsr_archive *a, tsr_json *json, entry *e)
{
    tsr_json_enter(json, '[');
    while (tsr_json_more(json, ']')) {
        if (e->shape.rank == TSR_MAX_RANK) {
            FAIL(a, "'%s' has more than %d dimensions", TEXT(e->name), TSR_MAX_RANK);
            return;
        }
        if (!tsr_json_count(json, &e->shape.dims[e->shape.rank])) return;
        e->shape.rank++;
    }
}

static void parse_offsets(tsr_archive *a, tsr_json *json, entry *e)
{
    const bool two = tsr_json_enter(json, '[') && tsr_json_more(json, ']') &&
                     tsr_json_count(json, &e->begin) && tsr_json_more(json, ']') &&
                     tsr_json_count(json, &e->end) && !tsr_json_more(json, ']');
    if (!two && !json->expected) FAIL(a, "'%s': data_offsets are not two numbers", TEXT(e->name));
}

/* Whether range, shape, type and file agree. */
static bool check_entry(const tsr_archive *a, const entry *e)
{
    const int64_t size = tsr_shape_size(e->shape), bytes = e->end - e->begin;
    if (size < 0)
        return FAIL(a, "'%s': the shape %s is too large", TEXT(e->name), tsr_shape_text(e->shape).text);
    if (bytes < 0)
        return FAIL(a, "'%s' ends at byte %" PRId64 ", before it begins (%" PRId64 ")", TEXT(e->name), e->end,
                    e->begin);
    if (e->end > a->value_bytes)
        return FAIL(
            a, "'%s' ends at byte %" PRId64 ", but there are %" PRId64 " of values; is the file cut off?",
            TEXT(e->name), e->end, a->value_bytes);
    if (bytes % e->type->number.bytes != 0 || bytes / e->type->number.bytes != size)
        return FAIL(a, "'%s': %" PRId64 " bytes do not hold %s of type %s", TEXT(e->name), bytes,
                    tsr_shape_text(e->shape).text, e->type->name);
    return true;
}

static void parse_entry(tsr_archive *a, tsr_json *json, const char *name)
{
    static const struct field {
        const char *key;
        void (*parse)(tsr_archive *a, tsr_json *json, entry *e);
    } fields[] = {{"dtype", parse_type}, {"shape", parse_shape}, {"data_offsets", parse_offsets}};

    entry *e = &a->entries[a->count];
    e->name = name;
    bool seen[3] = {false};
    tsr_json_enter(json, '{');
    while (!tsr_error(a->reader.ctx) && tsr_json_more(json, '}')) {
        const char *key = tsr_json_key(json);
        if (!key) return;
        int i = 0;
        while (i < 3 && strcmp(key, fields[i].key) != 0) i++;
        if (i == 3 || seen[i])
            FAIL(a, i == 3 ? "'%s' has an unknown field '%s'" : "'%s' has '%s' twice", TEXT(name), TEXT(key));
        else fields[i].parse(a, json, e);
        if (i < 3) seen[i] = true;
    }
    if (json->expected || tsr_error(a->reader.ctx)) return;
    if (!seen[0] || !seen[1] || !seen[2]) FAIL(a, "'%s' lacks one of dtype, shape, data_offsets", TEXT(name));
    else if (check_entry(a, e)) a->count++;
}

static int by_range(const void *left, const void *right)
{
    const entry *a = *(const entry *const *)left, *b = *(const entry *const *)right;
    if (a->begin != b->begin) return a->begin < b->begin ? -1 : 1;
    return (a->end > b->end) - (a->end < b->end);
}

static int by_name(const void *left, const void *right)
{
    return strcmp((*(const entry *const *)left)->name, (*(const entry *const *)right)->name);
}

/* Each byte of the values belongs to one tensor, each name too. Leaves in_order by name. */
static void check_together(tsr_archive *a)
{
    for (int i = 0; i < a->count; i++) a->in_order[i] = &a->entries[i];
    if (a->count > 0) qsort(a->in_order, (size_t)a->count, sizeof *a->in_order, by_range);
    int64_t reached = 0;
    for (int i = 0; i <= a->count; i++) {
        const int64_t begin = i < a->count ? a->in_order[i]->begin : a->value_bytes;
        if (begin > reached)
            FAIL(a, "bytes %" PRId64 " to %" PRId64 " of the values belong to no tensor", reached, begin);
        else if (begin < reached)
            FAIL(a, "'%s' and '%s' share bytes", TEXT(a->in_order[i - 1]->name), TEXT(a->in_order[i]->name));
        if (i < a->count) reached = a->in_order[i]->end;
    }
    if (a->count > 0) qsort(a->in_order, (size_t)a->count, sizeof *a->in_order, by_name);
    for (int i = 1; i < a->count; i++)
        if (strcmp(a->in_order[i - 1]->name, a->in_order[i]->name) == 0)
            FAIL(a, "has two tensors named '%s'", TEXT(a->in_order[i]->name));
}

/* Fills entries and texts from the header, which it takes apart. */
static bool parse_header(tsr_archive *a)
{
    tsr_context *ctx = a->reader.ctx;
    a->capacity = (int)(a->header_bytes / SHORTEST_ENTRY) + 1;
    a->entries = tsr_allocate(ctx, (size_t)a->capacity * sizeof *a->entries, "the table of a file");
    a->in_order = tsr_allocate(ctx, (size_t)a->capacity * sizeof *a->in_order, "the table of a file");
    if (!a->entries || !a->in_order) return false;
    tsr_json json = tsr_json_begin(a->header, a->header_bytes);
    tsr_json_enter(&json, '{');
    while (!tsr_error(ctx) && tsr_json_more(&json, '}')) {
        const char *key = tsr_json_key(&json);
        if (!key) break;
        if (strcmp(key, "__metadata__") == 0) parse_metadata(a, &json);
        else parse_entry(a, &json, key);
    }
    if (!tsr_error(ctx) && !tsr_json_finish(&json))
        FAIL(a, "header, byte %td: expected %s", json.at - json.begin, json.expected);
    if (!tsr_error(ctx)) check_together(a);
    return !tsr_error(ctx);
}

/* ---- opening and closing ------------------------------------------------------------------------------- */

static void release_header(tsr_archive *a)
{
    tsr_context *ctx = a->reader.ctx;
    tsr_release(ctx, a->header, a->header_bytes);
    tsr_release(ctx, a->entries, (size_t)a->capacity * sizeof *a->entries);
    tsr_release(ctx, a->in_order, (size_t)a->capacity * sizeof *a->in_order);
    tsr_release(ctx, a->texts, a->texts_bytes);
}

static void close_archive(tsr_closer *closer)
{
    tsr_archive *a = (tsr_archive *)closer;
    tsr_context *ctx = a->reader.ctx;
    tsr_reader_close(&a->reader);
    release_header(a);
    tsr_release(ctx, a->path, a->path ? strlen(a->path) + 1 : 0);
    tsr_release(ctx, a, sizeof *a);
}

void tsr_archive_close(tsr_archive *archive)
{
    if (!archive) return;
    tsr_closer **link = &archive->reader.ctx->closers;
    while (*link != &archive->closer) link = &(*link)->next;
    *link = archive->closer.next;
    close_archive(&archive->closer);
}

static bool read_header(tsr_archive *a)
{
    unsigned char length[LENGTH_BYTES];
    if (a->reader.size < LENGTH_BYTES)
        return FAIL(a, "is no safetensors file: it has %" PRId64 " bytes", a->reader.size);
    if (!tsr_reader_bytes(&a->reader, length, LENGTH_BYTES)) return false;
    const uint64_t bytes = tsr_load_bits(length, LENGTH_BYTES);
    if (bytes > (uint64_t)(a->reader.size - LENGTH_BYTES))
        return FAIL(a, "is cut off or no safetensors file: a header of %" PRIu64 " bytes in %" PRId64, bytes,
                    a->reader.size);
    if (bytes > HEADER_LIMIT)
        return FAIL(a, "its header of %" PRIu64 " bytes is longer than the %d that are accepted", bytes,
                    HEADER_LIMIT);
    a->value_bytes = a->reader.size - LENGTH_BYTES - (int64_t)bytes;
    a->header_bytes = (size_t)bytes;
    a->header = tsr_allocate(a->reader.ctx, a->header_bytes, "the header of a file");
    return a->header && tsr_reader_bytes(&a->reader, a->header, a->header_bytes) && parse_header(a);
}

/* "crc64:" and the value in hexadecimal digits, always as many. */
static tsr_text checksum_text(const tsr_crc64 *crc)
{
    tsr_text text;
    snprintf(text.text, sizeof text.text, CHECKSUM_PREFIX "%016" PRIx64, tsr_crc64_value(crc));
    return text;
}

/* Other programs may use the key "checksum" for theirs: only our prefix binds us. */
static bool check_values(tsr_archive *a)
{
    const char *stored = tsr_archive_metadata(a, "checksum");
    if (!stored || strncmp(stored, CHECKSUM_PREFIX, strlen(CHECKSUM_PREFIX)) != 0) return true;
    tsr_crc64 crc;
    tsr_crc64_begin(&crc);
    unsigned char part[1 << 14];
    for (int64_t left = a->value_bytes; left > 0;) {
        const size_t bytes = left < (int64_t)sizeof part ? (size_t)left : sizeof part;
        if (!tsr_reader_bytes(&a->reader, part, bytes)) return false;
        tsr_crc64_add(&crc, part, bytes);
        left -= (int64_t)bytes;
    }
    if (strcmp(stored, checksum_text(&crc).text) == 0) return true;
    return FAIL(a, "is damaged: the checksum of its values is %s, it should be %s", checksum_text(&crc).text,
                TEXT(stored));
}

tsr_archive *tsr_archive_open(tsr_context *ctx, const char *path)
{
    if (tsr_error(ctx)) return NULL;
    if (!path) {
        tsr_fail(ctx, "archive: the path is NULL");
        return NULL;
    }
    tsr_archive *a = tsr_allocate(ctx, sizeof *a, "an archive");
    if (!a) return NULL;
    a->closer = (tsr_closer){.close = close_archive, .next = ctx->closers};
    ctx->closers = &a->closer;
    a->reader.ctx = ctx;
    a->path = tsr_allocate(ctx, strlen(path) + 1, "an archive");
    if (a->path) strcpy(a->path, path);
    if (a->path && tsr_reader_open(&a->reader, ctx, a->path) && read_header(a) && check_values(a)) return a;
    tsr_archive_close(a);
    return NULL;
}

/* ---- looking ------------------------------------------------------------------------------------------- */

static const entry *entry_at(const tsr_archive *archive, int i)
{
    return archive && i >= 0 && i < archive->count ? &archive->entries[i] : NULL;
}

int tsr_archive_count(const tsr_archive *archive)
{
    return archive ? archive->count : 0;
}

const char *tsr_archive_name(const tsr_archive *archive, int i)
{
    const entry *e = entry_at(archive, i);
    return e ? e->name : NULL;
}

tsr_shape tsr_archive_shape(const tsr_archive *archive, int i)
{
    const entry *e = entry_at(archive, i);
    return e ? e->shape : TSR_SCALAR;
}

const char *tsr_archive_type(const tsr_archive *archive, int i)
{
    const entry *e = entry_at(archive, i);
    return e ? e->type->name : NULL;
}

int tsr_archive_find(const tsr_archive *archive, const char *name)
{
    int low = 0, high = archive && name ? archive->count : 0;
    while (low < high) {
        const int middle = low + (high - low) / 2, order = strcmp(name, archive->in_order[middle]->name);
        if (order == 0) return (int)(archive->in_order[middle] - archive->entries);
        if (order < 0) high = middle;
        else low = middle + 1;
    }
    return -1;
}

const char *tsr_archive_text_at(const tsr_archive *archive, int i, const char **key)
{
    if (!archive || i < 0 || i >= archive->text_count) return NULL;
    if (key) *key = archive->texts[i];
    return after(archive->texts[i]);
}

const char *tsr_archive_metadata(const tsr_archive *archive, const char *key)
{
    for (int i = 0; key && archive && i < archive->text_count; i++)
        if (strcmp(archive->texts[i], key) == 0) return after(archive->texts[i]);
    return NULL;
}

tsr_tensor *tsr_archive_tensor(tsr_archive *archive, int i)
{
    if (!archive) return NULL;
    tsr_context *ctx = archive->reader.ctx;
    const entry *e = entry_at(archive, i);
    if (!e && !tsr_error(ctx)) FAIL(archive, "holds %d tensors, there is no tensor %d", archive->count, i);
    tsr_tensor *t = !e || tsr_error(ctx) ? NULL : tsr_tensor_empty(ctx, &e->shape, "archive");
    if (t && tsr_reader_seek(&archive->reader, LENGTH_BYTES + (int64_t)archive->header_bytes + e->begin) &&
        tsr_reader_values(&archive->reader, tsr_write(t), tsr_size(t), e->type->number))
        return t;
    if (t) tsr_tensor_free(t);
    return &ctx->error_tensor;
}

/* ---- writing ------------------------------------------------------------------------------------------- */

/* Text being put together; a NULL `text` only counts. */
typedef struct builder {
    char *text;
    size_t length;
} builder;

static void put(builder *b, const char *text)
{
    const size_t length = strlen(text);
    if (b->text) memcpy(b->text + b->length, text, length);
    b->length += length;
}

static void put_string(builder *b, const char *text)
{
    put(b, "\"");
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        char piece[8] = {*text, '\0'};
        if (c == '"' || c == '\\') snprintf(piece, sizeof piece, "\\%c", c);
        else if (c < 0x20) snprintf(piece, sizeof piece, "\\u%04x", c);
        put(b, piece);
    }
    put(b, "\"");
}

static void put_count(builder *b, const char *before, int64_t value)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRId64, value);
    put(b, before);
    put(b, digits);
}

static void put_header(builder *b, const tsr_archive_content *content)
{
    put(b, HEADER_START "0000000000000000\"");
    for (int i = 0; i < content->text_count; i++) {
        put(b, ",");
        put_string(b, content->texts[i].key);
        put(b, ":");
        put_string(b, content->texts[i].value);
    }
    put(b, "}");
    int64_t begin = 0;
    for (int i = 0; i < content->count; i++) {
        const tsr_shape shape = content->entries[i].shape;
        const int64_t end = begin + tsr_shape_size(shape) * (int64_t)sizeof(tsr_real);
        put(b, ",");
        put_string(b, content->entries[i].name);
        put(b, sizeof(tsr_real) == 8 ? ":{\"dtype\":\"F64\",\"shape\":[" : ":{\"dtype\":\"F32\",\"shape\":[");
        for (int d = 0; d < shape.rank; d++) put_count(b, d > 0 ? "," : "", shape.dims[d]);
        put_count(b, "],\"data_offsets\":[", begin);
        put_count(b, ",", end);
        put(b, "]}");
        begin = end;
    }
    put(b, "}");
    while ((LENGTH_BYTES + b->length) % 8 != 0) put(b, " ");
}

/* What can be wrong with the content before there is a header; the number of bytes of its values, or -1. */
static int64_t check_content(tsr_context *ctx, const char *path, const tsr_archive_content *content)
{
    int64_t total = 0;
    if (content->count < 0 || (content->count > 0 && (!content->entries || !content->values)) ||
        content->text_count < 0 || (content->text_count > 0 && !content->texts)) {
        tsr_file_fail(ctx, path, "cannot be written: entries, their values or texts are NULL, or a count is negative");
        return -1;
    }
    for (int i = 0; i < content->count; i++) {
        const tsr_archive_entry *e = &content->entries[i];
        const int64_t size = e->name ? tsr_shape_size(e->shape) : -1;
        if (size < 0 || size > (INT64_MAX - total) / (int64_t)sizeof(tsr_real)) {
            tsr_file_fail(ctx, path, "cannot be written: entry %d, %s, has no name or no valid shape: %s", i,
                          e->name ? TEXT(e->name) : "NULL", tsr_shape_text(e->shape).text);
            return -1;
        }
        total += size * (int64_t)sizeof(tsr_real);
    }
    for (int i = 0; i < content->text_count; i++) {
        const tsr_archive_text *text = &content->texts[i];
        if (!text->key || !text->value || strcmp(text->key, "checksum") == 0) {
            tsr_file_fail(ctx, path, "cannot be written: metadata %d is NULL or has our key 'checksum'", i);
            return -1;
        }
    }
    return total;
}

/* Whether we would read what is about to be written (names in UTF-8, each once). Takes the header apart. */
static bool check_header(tsr_context *ctx, const char *path, char *header, size_t bytes, int64_t value_bytes)
{
    tsr_archive a = {.reader = {.ctx = ctx, .path = path}, .header_bytes = bytes, .value_bytes = value_bytes};
    a.header = header;
    const bool valid = bytes <= HEADER_LIMIT ? parse_header(&a)
                                             : FAIL(&a, "cannot be written: its header is too long");
    a.header = NULL; /* the caller's */
    release_header(&a);
    return valid;
}

static void write_values(tsr_writer *writer, const tsr_archive_content *content)
{
    tsr_crc64 crc;
    tsr_crc64_begin(&crc);
    writer->checksum = &crc;
    for (int i = 0; i < content->count && !tsr_error(writer->ctx); i++) {
        const tsr_archive_entry *e = &content->entries[i];
        const tsr_real *values = content->values(content->user, i);
        if (values) tsr_writer_values(writer, values, tsr_shape_size(e->shape));
        else TSR_FILE_FAIL(writer, "not written: there are no values for '%s'", TEXT(e->name));
    }
    writer->checksum = NULL;
    const tsr_text sum = checksum_text(&crc);
    if (tsr_writer_seek(writer, LENGTH_BYTES + (long)strlen(HEADER_START)))
        tsr_writer_bytes(writer, sum.text + strlen(CHECKSUM_PREFIX), 16);
}

bool tsr_archive_save(tsr_context *ctx, const char *path, const tsr_archive_content *content)
{
    if (tsr_error(ctx)) return false;
    if (!path || !content) return tsr_fail(ctx, "archive: path or content is NULL"), false;
    const int64_t value_bytes = check_content(ctx, path, content);
    if (value_bytes < 0) return false;

    builder counted = {0};
    put_header(&counted, content);
    const size_t bytes = LENGTH_BYTES + counted.length;
    char *header = tsr_allocate(ctx, bytes, "the header of a file");
    bool placed = false;
    if (header) {
        char *start = header + LENGTH_BYTES;
        put_header(&(builder){.text = start}, content);
        if (check_header(ctx, path, start, counted.length, value_bytes)) {
            put_header(&(builder){.text = start}, content); /* again: checking took it apart */
            tsr_store_bits((unsigned char *)header, counted.length, LENGTH_BYTES);
            tsr_writer writer;
            tsr_writer_open(&writer, ctx, path);
            tsr_writer_bytes(&writer, header, bytes);
            write_values(&writer, content);
            placed = tsr_writer_finish(&writer);
        }
    }
    tsr_release(ctx, header, bytes);
    return placed;
}
