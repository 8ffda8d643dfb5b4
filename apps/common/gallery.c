#include "apps/common/gallery.h"

#include "apps/common/bytes.h"
#include "core/file_io.h"
#include "core/platform.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char magic[] = "TSRFACES";
enum {
    MAGIC_BYTES = 8,
    HEAD_BYTES = 64,
    ABOUT_BYTES = 12, /* of a row: person and photograph */
    CRC_BYTES = 8,
    VERSION = 1,
    LONGEST_ROW = 65536,
    LONGEST_NAME = 200
};

void gallery_free(gallery *g)
{
    free(g->model);
    name_list_free(&g->people);
    name_list_free(&g->sources);
    free(g->persons);
    free(g->photos);
    free(g->rows);
    *g = (gallery){0};
}

bool gallery_new(gallery *out, const gallery_model *model, app_error *error)
{
    *out = (gallery){.model = malloc(strlen(model->name) + 1), .length = model->length, .limit = {NAN, NAN, NAN}};
    if (!out->model) return app_fail(error, "out of memory for a gallery");
    strcpy(out->model, model->name);
    return true;
}

/* Room for `count` rows. */
static bool reserve(gallery *g, int count)
{
    if (count <= g->capacity) return true;
    int *persons = realloc(g->persons, (size_t)count * sizeof *persons);
    if (persons) g->persons = persons;
    uint64_t *photos = realloc(g->photos, (size_t)count * sizeof *photos);
    if (photos) g->photos = photos;
    tsr_real *rows = realloc(g->rows, (size_t)count * (size_t)g->length * sizeof *rows);
    if (rows) g->rows = rows;
    if (persons && photos && rows) g->capacity = count;
    return count <= g->capacity;
}

/* ---- people and rows --------------------------------------------------------------------------------------------- */

int gallery_find(const gallery *g, const char *name)
{
    for (int i = 0; i < g->people.count; i++)
        if (strcmp(g->people.names[i], name) == 0) return i;
    return -1;
}

int gallery_rows_of(const gallery *g, int who)
{
    int rows = 0;
    for (int i = 0; i < g->count; i++) rows += g->persons[i] == who;
    return rows;
}

static bool has_controls(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7F) return true;
    return false;
}

bool gallery_add(gallery *g, const gallery_row *row, int *replaced, app_error *error)
{
    int who = gallery_find(g, row->name), at = 0;
    if (strlen(row->name) < 1 || strlen(row->name) > LONGEST_NAME || has_controls(row->name))
        return app_fail(error, "\"%.80s\" is no name: it needs 1 to %d bytes and no control characters", row->name,
                        LONGEST_NAME);
    for (int i = 0; i < g->length; i++)
        if (!isfinite(row->values[i])) return app_fail(error, "%s: the model makes no numbers of it", row->source);
    while (at < g->count && (g->persons[at] != who || g->photos[at] != row->photo)) at++;
    const bool known = at < g->count;
    if (known) ++*replaced;
    else {
        if ((g->count == g->capacity && (g->count > INT_MAX / 4 || !reserve(g, 2 * g->count + 8))) ||
            !name_list_add(&g->sources, tsr_printable(row->source, LONGEST_NAME).text) ||
            (who < 0 && !name_list_add(&g->people, row->name)))
            return app_fail(error, "out of memory for %d faces", g->count);
        g->persons[at] = who < 0 ? g->people.count - 1 : who;
        g->photos[at] = row->photo;
        g->count++;
    }
    memcpy(g->rows + (size_t)at * (size_t)g->length, row->values, (size_t)g->length * sizeof *g->rows);
    return true;
}

static void drop_name(name_list *list, int i)
{
    free(list->names[i]);
    list->names[i] = NULL;
}

/* Closes the gaps. */
static void close_up(name_list *list)
{
    int kept = 0;
    for (int i = 0; i < list->count; i++)
        if (list->names[i]) list->names[kept++] = list->names[i];
    list->count = kept;
}

void gallery_remove(gallery *g, int who)
{
    const size_t length = (size_t)g->length;
    int kept = 0;
    for (int i = 0; i < g->count; i++) {
        if (g->persons[i] == who) {
            drop_name(&g->sources, i);
            continue;
        }
        g->persons[kept] = g->persons[i] - (g->persons[i] > who);
        g->photos[kept] = g->photos[i];
        memmove(g->rows + (size_t)kept * length, g->rows + (size_t)i * length, length * sizeof *g->rows);
        kept++;
    }
    g->count = kept;
    drop_name(&g->people, who);
    close_up(&g->people);
    close_up(&g->sources);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

typedef struct head {
    int value_bytes;
    int64_t length, people, rows, text_bytes;
    gallery_limit limit;
} head;

static double load_double(const unsigned char *from)
{
    const uint64_t bits = tsr_load_bits(from, 8);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Whether it can be, and the file has as many bytes as it says. */
static bool read_head(head *h, tsr_reader *reader)
{
    unsigned char bytes[HEAD_BYTES];
    if (reader->size < HEAD_BYTES + CRC_BYTES) return TSR_FILE_FAIL(reader, "is no gallery, or cut off");
    if (!tsr_reader_bytes(reader, bytes, sizeof bytes)) return false;
    if (memcmp(bytes, magic, MAGIC_BYTES) != 0) return TSR_FILE_FAIL(reader, "is no gallery");
    const unsigned version = (unsigned)tsr_load_bits(bytes + 8, 4);
    if (version != VERSION) return TSR_FILE_FAIL(reader, "has version %u; known is %d", version, VERSION);
    const uint64_t rows = tsr_load_bits(bytes + 24, 8), texts = tsr_load_bits(bytes + 32, 8);
    *h = (head){(int)tsr_load_bits(bytes + 12, 1), (int64_t)tsr_load_bits(bytes + 16, 4),
                (int64_t)tsr_load_bits(bytes + 20, 4), (int64_t)rows, (int64_t)texts,
                {load_double(bytes + 40), load_double(bytes + 48), load_double(bytes + 56)}};
    if (tsr_load_bits(bytes + 12, 4) != 4 && tsr_load_bits(bytes + 12, 4) != 8)
        return TSR_FILE_FAIL(reader, "is damaged: its values have neither 4 nor 8 bytes");
    if (h->length < 1 || h->length > LONGEST_ROW || h->people > INT_MAX || rows >= INT_MAX ||
        texts > (uint64_t)reader->size)
        return TSR_FILE_FAIL(reader, "is damaged: its sizes cannot be");
    const int64_t size = HEAD_BYTES + h->text_bytes + h->rows * (ABOUT_BYTES + h->length * h->value_bytes) + CRC_BYTES;
    if (size != reader->size)
        return TSR_FILE_FAIL(reader, "is damaged or cut off: it has %lld bytes, not %lld", (long long)reader->size,
                             (long long)size);
    return true;
}

/* Takes the texts apart; false where there are not so many, or no memory. */
static bool split_texts(gallery *g, const head *h, const char *text)
{
    const char *const end = text + h->text_bytes;
    if (h->text_bytes < 1 || end[-1] != '\0') return false;
    for (int64_t i = 0; i <= h->people + h->rows; i++, text += strlen(text) + 1) {
        if (text == end || has_controls(text) || (i > 0 && i <= h->people && !*text)) return false;
        if (i == 0) {
            g->model = malloc(strlen(text) + 1);
            if (!g->model) return false;
            strcpy(g->model, text);
        } else if (!name_list_add(i <= h->people ? &g->people : &g->sources, text)) return false;
    }
    return text == end;
}

static bool read_texts(gallery *g, const head *h, tsr_reader *reader)
{
    char *texts = malloc((size_t)h->text_bytes + 1);
    if (!texts) return TSR_FILE_FAIL(reader, "out of memory for its names");
    texts[h->text_bytes] = '\0';
    const bool done = tsr_reader_bytes(reader, texts, (size_t)h->text_bytes) &&
                      (split_texts(g, h, texts) || TSR_FILE_FAIL(reader, "is damaged in its names"));
    free(texts);
    return done;
}

static bool read_rows(gallery *g, const head *h, tsr_reader *reader)
{
    unsigned char bytes[8];
    if (!reserve(g, (int)h->rows)) return TSR_FILE_FAIL(reader, "out of memory for %d faces", (int)h->rows);
    for (int i = 0; i < h->rows; i++) {
        if (!tsr_reader_bytes(reader, bytes, 4)) return false;
        const uint64_t who = tsr_load_bits(bytes, 4);
        if (who >= (uint64_t)h->people) return TSR_FILE_FAIL(reader, "is damaged: a face of nobody");
        g->persons[i] = (int)who;
    }
    for (int i = 0; i < h->rows; i++) {
        if (!tsr_reader_bytes(reader, bytes, 8)) return false;
        g->photos[i] = tsr_load_bits(bytes, 8);
    }
    g->count = (int)h->rows;
    return tsr_reader_values(reader, g->rows, h->rows * h->length, (tsr_number){'f', h->value_bytes, false});
}

static bool read_all(gallery *g, tsr_reader *reader)
{
    head h = {0};
    tsr_crc64 crc;
    unsigned char stored[CRC_BYTES];
    tsr_crc64_begin(&crc);
    reader->checksum = &crc;
    if (!read_head(&h, reader)) return false;
    g->length = (int)h.length;
    g->limit = h.limit;
    if (!read_texts(g, &h, reader) || !read_rows(g, &h, reader)) return false;
    reader->checksum = NULL;
    return tsr_reader_bytes(reader, stored, sizeof stored) &&
           (bytes_checksum_holds(tsr_crc64_value(&crc), tsr_load_bits(stored, CRC_BYTES)) ||
            TSR_FILE_FAIL(reader, "is damaged: its checksum does not agree"));
}

/* What stuck to the context becomes the program's error; later calls may go on. */
static bool take_error(tsr_context *ctx, app_error *error)
{
    app_fail(error, "%s", tsr_error(ctx));
    tsr_clear_error(ctx);
    return false;
}

bool gallery_read(gallery *out, tsr_context *ctx, const char *path, const gallery_model *model, app_error *error)
{
    tsr_reader reader;
    *out = (gallery){0};
    bool done = tsr_reader_open(&reader, ctx, path) && read_all(out, &reader);
    tsr_reader_close(&reader);
    if (!done) take_error(ctx, error);
    if (done && model && (strcmp(out->model, model->name) != 0 || out->length != model->length))
        done = app_fail(error, "%s: holds faces as \"%.100s\" sees them, and this model is \"%.100s\"", path,
                        out->model, model->name);
    if (!done) gallery_free(out);
    return done;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static size_t text_bytes(const name_list *list)
{
    size_t bytes = 0;
    for (int i = 0; i < list->count; i++) bytes += strlen(list->names[i]) + 1;
    return bytes;
}

static void write_texts(tsr_writer *writer, const name_list *list)
{
    for (int i = 0; i < list->count; i++) tsr_writer_bytes(writer, list->names[i], strlen(list->names[i]) + 1);
}

static void write_number(tsr_writer *writer, uint64_t value, int bytes)
{
    unsigned char number[8];
    tsr_store_bits(number, value, bytes);
    tsr_writer_bytes(writer, number, (size_t)bytes);
}

static void write_double(tsr_writer *writer, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    write_number(writer, bits, 8);
}

static bool write_gallery(const gallery *g, tsr_context *ctx, const char *path)
{
    tsr_crc64 crc;
    tsr_writer writer;
    tsr_crc64_begin(&crc);
    tsr_writer_open(&writer, ctx, path);
    writer.checksum = &crc;
    tsr_writer_bytes(&writer, magic, MAGIC_BYTES);
    write_number(&writer, VERSION, 4);
    write_number(&writer, sizeof *g->rows, 4);
    write_number(&writer, (uint64_t)g->length, 4);
    write_number(&writer, (uint64_t)g->people.count, 4);
    write_number(&writer, (uint64_t)g->count, 8);
    write_number(&writer, strlen(g->model) + 1 + text_bytes(&g->people) + text_bytes(&g->sources), 8);
    write_double(&writer, g->limit.threshold);
    write_double(&writer, g->limit.far);
    write_double(&writer, g->limit.frr);
    tsr_writer_bytes(&writer, g->model, strlen(g->model) + 1);
    write_texts(&writer, &g->people);
    write_texts(&writer, &g->sources);
    for (int i = 0; i < g->count; i++) write_number(&writer, (uint64_t)g->persons[i], 4);
    for (int i = 0; i < g->count; i++) write_number(&writer, g->photos[i], 8);
    tsr_writer_values(&writer, g->rows, (int64_t)g->count * g->length);
    writer.checksum = NULL;
    write_number(&writer, tsr_crc64_value(&crc), CRC_BYTES);
    return tsr_writer_finish(&writer);
}

static bool make_folder_of(const char *path, app_error *error)
{
    char folder[1024];
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path) return true;
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
    return folder_make(folder, error);
}

bool gallery_update(tsr_context *ctx, const char *path, const gallery_model *model, gallery_task task,
                    app_error *error)
{
    char lock_path[1024];
    gallery g;
    if ((size_t)snprintf(lock_path, sizeof lock_path, "%s.lock", path) >= sizeof lock_path)
        return app_fail(error, "%.80s...: the name is too long", path);
    if (!model && is_missing(path)) return app_fail(error, "%s: there is no gallery", path);
    if (!make_folder_of(path, error)) return false;
    const intptr_t lock = tsr_platform_lock(lock_path);
    if (lock < 0) return app_fail(error, "%s: cannot be locked", lock_path);
    bool done = model && is_missing(path) ? gallery_new(&g, model, error) : gallery_read(&g, ctx, path, model, error);
    if (done) {
        done = task.change(&g, task.user, error) && (write_gallery(&g, ctx, path) || take_error(ctx, error));
        gallery_free(&g);
    }
    tsr_platform_unlock(lock);
    return done;
}
