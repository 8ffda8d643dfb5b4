#include "apps/common/gallery.h"

#include "apps/common/bytes.h"
#include "core/file_io.h"
#include "core/parallel.h"
#include "core/platform.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD = 56, TAIL = 8, MAGIC = 8, LONGEST_NAME = 255, LONGEST_ROW = 65536 };
static const char magic[] = "TSRGAL1\n";

gallery gallery_new(uint64_t model)
{
    return (gallery){.model = model, .threshold = NAN, .far = NAN, .frr = NAN};
}

void gallery_free(gallery *g)
{
    for (int i = 0; i < g->count; i++) {
        free(g->entries[i].name);
        free(g->entries[i].source);
    }
    free(g->entries);
    free(g->rows);
    *g = (gallery){0};
}

/* ---- bytes to gallery -------------------------------------------------------------------------------------------- */

static double number_at(const unsigned char *bytes)
{
    const uint64_t bits = tsr_load_bits(bytes, 8);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float float_at(const unsigned char *bytes)
{
    const uint32_t bits = (uint32_t)tsr_load_bits(bytes, 4);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint64_t checksum(const unsigned char *bytes, size_t count)
{
    tsr_crc64 crc;
    tsr_crc64_begin(&crc);
    tsr_crc64_add(&crc, bytes, count);
    return tsr_crc64_value(&crc);
}

static bool make_room(gallery *g, int rows)
{
    const size_t size = (size_t)rows + 1;
    if (size > SIZE_MAX / sizeof *g->entries || size > SIZE_MAX / sizeof *g->rows / (size_t)(g->length + 1)) return false;
    gallery_entry *entries = realloc(g->entries, size * sizeof *entries);
    if (entries) g->entries = entries;
    float *numbers = realloc(g->rows, size * (size_t)g->length * sizeof *numbers + 1);
    if (numbers) g->rows = numbers;
    if (entries && numbers) g->room = rows;
    return entries && numbers;
}

/* FNV-1a of both texts. */
static uint32_t hash_of(const char *name, const char *source)
{
    uint32_t hash = 2166136261u;
    for (const char *c = name; *c; c++) hash = (hash ^ (unsigned char)*c) * 16777619u;
    for (const char *c = source; *c; c++) hash = (hash ^ (unsigned char)*c) * 16777619u;
    return hash;
}

/* A copy of the text at *at, which it moves on; NULL where it does not end, or without memory. */
static char *take_text(const unsigned char **at, const unsigned char *end)
{
    const unsigned char *zero = memchr(*at, 0, (size_t)(end - *at));
    char *copy = zero && zero - *at <= LONGEST_NAME ? malloc((size_t)(zero - *at) + 1) : NULL;
    if (!copy) return NULL;
    memcpy(copy, *at, (size_t)(zero - *at) + 1);
    *at = zero + 1;
    return copy;
}

static bool take_entries(gallery *g, const unsigned char *at, const unsigned char *end, int rows, app_error *error)
{
    for (; g->count < rows; g->count++) {
        gallery_entry *entry = &g->entries[g->count];
        *entry = (gallery_entry){.name = take_text(&at, end)};
        entry->source = entry->name ? take_text(&at, end) : NULL;
        if (!entry->source) free(entry->name);
        if (!entry->source) return app_fail(error, "is damaged: the name of row %d is broken", g->count + 1);
        entry->hash = hash_of(entry->name, entry->source);
    }
    return at == end || app_fail(error, "is damaged: there are more names than rows");
}

bool gallery_decode(gallery *out, const unsigned char *bytes, size_t count, app_error *error)
{
    if (count < HEAD + TAIL || memcmp(bytes, magic, MAGIC) != 0) return app_fail(error, "is no gallery");
    if (checksum(bytes, count - TAIL) != tsr_load_bits(bytes + count - TAIL, 8))
        return app_fail(error, "is damaged: its checksum does not fit");
    const uint64_t length = tsr_load_bits(bytes + 40, 4), rows = tsr_load_bits(bytes + 44, 4);
    const uint64_t names = tsr_load_bits(bytes + 48, 8), rest = count - HEAD - TAIL;
    if (length > LONGEST_ROW || rows > INT_MAX / 2 || names > rest || rest - names != 4 * length * rows)
        return app_fail(error, "is damaged: %llu rows of %llu numbers do not fill it", (unsigned long long)rows,
                        (unsigned long long)length);
    *out = gallery_new(tsr_load_bits(bytes + 8, 8));
    out->threshold = number_at(bytes + 16);
    out->far = number_at(bytes + 24);
    out->frr = number_at(bytes + 32);
    out->length = (int)length;
    const unsigned char *values = bytes + HEAD + names;
    bool done = make_room(out, (int)rows) || app_fail(error, "has more rows than there is memory for");
    done = done && take_entries(out, bytes + HEAD, values, (int)rows, error);
    for (uint64_t i = 0; done && i < length * rows; i++) {
        out->rows[i] = float_at(values + 4 * i);
        if (!isfinite(out->rows[i])) done = app_fail(error, "is damaged: a number is not finite");
    }
    if (!done) gallery_free(out);
    return done;
}

bool gallery_read(gallery *out, const char *path, app_error *error)
{
    size_t count;
    app_error problem = {""};
    unsigned char *bytes;
    if (!bytes_read(&bytes, &count, path, SIZE_MAX / 2, error)) return false;
    const bool done = gallery_decode(out, bytes, count, &problem);
    free(bytes);
    return done || app_fail(error, "%s: %s", path, problem.text);
}

/* ---- gallery to file --------------------------------------------------------------------------------------------- */

static void put_number(unsigned char *to, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    tsr_store_bits(to, bits, 8);
}

static bool write_rows(tsr_writer *w, const gallery *g)
{
    unsigned char bytes[4 * 256];
    const size_t all = (size_t)g->count * (size_t)g->length;
    for (size_t first = 0; first < all; first += 256) {
        const size_t some = all - first < 256 ? all - first : 256;
        for (size_t i = 0; i < some; i++) {
            uint32_t bits;
            memcpy(&bits, &g->rows[first + i], sizeof bits);
            tsr_store_bits(bytes + 4 * i, bits, 4);
        }
        if (!tsr_writer_bytes(w, bytes, 4 * some)) return false;
    }
    return true;
}

static bool write_gallery(const gallery *g, const char *path, app_error *error)
{
    tsr_writer w;
    tsr_crc64 crc;
    unsigned char head[HEAD], tail[TAIL];
    uint64_t names = 0;
    for (int i = 0; i < g->count; i++) names += strlen(g->entries[i].name) + strlen(g->entries[i].source) + 2;
    memcpy(head, magic, MAGIC);
    tsr_store_bits(head + 8, g->model, 8);
    put_number(head + 16, g->threshold);
    put_number(head + 24, g->far);
    put_number(head + 32, g->frr);
    tsr_store_bits(head + 40, (uint64_t)g->length, 4);
    tsr_store_bits(head + 44, (uint64_t)g->count, 4);
    tsr_store_bits(head + 48, names, 8);
    tsr_context *ctx = tsr_open(NULL);
    tsr_crc64_begin(&crc);
    if (tsr_writer_open(&w, ctx, path)) {
        w.checksum = &crc;
        tsr_writer_bytes(&w, head, HEAD);
        for (int i = 0; i < g->count; i++) {
            tsr_writer_bytes(&w, g->entries[i].name, strlen(g->entries[i].name) + 1);
            tsr_writer_bytes(&w, g->entries[i].source, strlen(g->entries[i].source) + 1);
        }
        write_rows(&w, g);
        w.checksum = NULL;
        tsr_store_bits(tail, tsr_crc64_value(&crc), 8);
        tsr_writer_bytes(&w, tail, TAIL);
        tsr_writer_finish(&w);
    }
    if (tsr_error(ctx)) app_fail(error, "%s", tsr_error(ctx));
    tsr_close(ctx);
    return error->text[0] == '\0';
}

/* ---- changing ---------------------------------------------------------------------------------------------------- */

bool gallery_check(const gallery *g, const char *path, uint64_t model, app_error *error)
{
    return g->model == model ||
           app_fail(error, "%s: was made by another model (%016llx, this one is %016llx): enroll anew, into another --gallery",
                    path, (unsigned long long)g->model, (unsigned long long)model);
}

static bool exists(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file) fclose(file);
    return file != NULL;
}

bool gallery_change(const char *path, uint64_t model, bool create, gallery_changer change, void *user, app_error *error)
{
    char lock[1100];
    if ((size_t)snprintf(lock, sizeof lock, "%s.lock", path) >= sizeof lock)
        return app_fail(error, "%.60s...: the name is too long", path);
    FILE *held = fopen(lock, "ab");
    if (!held) return app_fail(error, "%s: cannot be written", lock);
    gallery g = gallery_new(model);
    bool done = tsr_platform_lock(held) || app_fail(error, "%s: cannot be locked", lock);
    if (done && (!create || exists(path))) done = gallery_read(&g, path, error) && (model == 0 || gallery_check(&g, path, model, error));
    done = done && change(&g, user, error) && write_gallery(&g, path, error);
    gallery_free(&g);
    fclose(held);
    return done;
}

static bool is_entry(const gallery_entry *entry, uint32_t hash, const char *name, const char *source)
{
    return entry->hash == hash && strcmp(entry->name, name) == 0 && strcmp(entry->source, source) == 0;
}

static char *copy_text(const char *text)
{
    char *copy = malloc(strlen(text) + 1);
    return copy ? strcpy(copy, text) : NULL;
}

bool gallery_add(gallery *g, const char *name, const char *source, const tsr_real *row, int length, app_error *error)
{
    int at = 0;
    if (!*name || strlen(name) > LONGEST_NAME || strlen(source) > LONGEST_NAME)
        return app_fail(error, "a name has 1 to %d bytes, not %zu", (int)LONGEST_NAME, strlen(name));
    if (g->count == 0) g->length = length;
    if (g->length != length) return app_fail(error, "the gallery has rows of %d numbers, not %d", g->length, length);
    const uint32_t hash = hash_of(name, source);
    while (at < g->count && !is_entry(&g->entries[at], hash, name, source)) at++;
    if (at == g->count) {
        const gallery_entry entry = {copy_text(name), copy_text(source), hash};
        const bool room = entry.name && entry.source && (g->count < g->room || make_room(g, 2 * g->count + 16));
        if (!room) {
            free(entry.name);
            free(entry.source);
            return app_fail(error, "out of memory for %d rows", g->count + 1);
        }
        g->entries[g->count++] = entry;
    }
    for (int i = 0; i < length; i++) g->rows[(ptrdiff_t)at * length + i] = (float)row[i];
    return true;
}

int gallery_remove(gallery *g, const char *name)
{
    int kept = 0;
    const int before = g->count;
    for (int i = 0; i < before; i++) {
        if (strcmp(g->entries[i].name, name) == 0) {
            free(g->entries[i].name);
            free(g->entries[i].source);
            continue;
        }
        g->entries[kept] = g->entries[i];
        memmove(g->rows + (ptrdiff_t)kept * g->length, g->rows + (ptrdiff_t)i * g->length,
                (size_t)g->length * sizeof *g->rows);
        kept++;
    }
    g->count = kept;
    return before - kept;
}

/* ---- scanning ---------------------------------------------------------------------------------------------------- */

typedef struct scan_job {
    const gallery *g;
    const float *row;         /* squared distances where `distance` is NULL */
    row_distance distance;
    double *out;
} scan_job;

/* |a - b|^2 in lanes, which compilers do at once; their order is fixed. */
static double squared(const float *a, const float *b, int length)
{
    enum { LANES = 16 };
    float sums[LANES] = {0};
    int i = 0;
    for (; i + LANES <= length; i += LANES)
        for (int k = 0; k < LANES; k++) sums[k] += (a[i + k] - b[i + k]) * (a[i + k] - b[i + k]);
    for (; i < length; i++) sums[0] += (a[i] - b[i]) * (a[i] - b[i]);
    double sum = 0;
    for (int k = 0; k < LANES; k++) sum += (double)sums[k];
    return sum;
}

static void scan(void *user, int64_t begin, int64_t end)
{
    const scan_job *job = user;
    const int length = job->g->length;
    for (int64_t i = begin; i < end; i++) {
        const float *row = job->g->rows + i * length;
        job->out[i] = job->distance ? job->distance(job->row, row, length) : squared(job->row, row, length);
    }
}

int gallery_nearest(const gallery *g, tsr_context *ctx, const tsr_real *row, row_distance distance, gallery_match *out,
                    int most)
{
    double *distances = malloc(((size_t)g->count + 1) * sizeof *distances);
    float *query = malloc(((size_t)g->length + 1) * sizeof *query);
    int found = distances && query ? 0 : -1;
    for (int i = 0; query && i < g->length; i++) query[i] = (float)row[i];
    scan_job job = {.g = g, .row = query, .distance = distance, .out = distances};
    if (found == 0) tsr_parallel(ctx, g->count, 4096, scan, &job);
    for (; found >= 0 && found < most; found++) {
        gallery_match best = {-1, INFINITY};
        for (int i = 0; i < g->count; i++) {
            bool named = !(distances[i] < best.distance);
            for (int k = 0; k < found && !named; k++) named = strcmp(g->entries[i].name, g->entries[out[k].row].name) == 0;
            if (!named) best = (gallery_match){i, distances[i]};
        }
        if (best.row < 0) break;
        out[found] = best;
    }
    free(distances);
    free(query);
    return found;
}
