#include "apps/facenet/tfjs.h"

#include "core/file_io.h"
#include "core/json.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* ---- values ------------------------------------------------------------------------------------------------------ */

static const tfjs_type types[] = {{"float32", 4}, {"float16", 2}, {"uint16", 2}, {"uint8", 1}};
enum { TYPES = 4 };

static const tfjs_type *find_type(const char *name)
{
    for (int i = 0; i < TYPES; i++)
        if (strcmp(types[i].name, name) == 0) return &types[i];
    return NULL;
}

static double value_of_half(uint64_t bits)
{
    const int exponent = (int)(bits >> 10 & 31), fraction = (int)(bits & 1023);
    double size = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    if (exponent == 31) size = fraction ? (double)NAN : (double)INFINITY;
    return bits >> 15 ? -size : size;
}

static double value_of_single(uint64_t bits)
{
    const uint32_t word = (uint32_t)bits;
    float value;
    memcpy(&value, &word, sizeof value);
    return (double)value;
}

void tfjs_values(const tfjs_weight *weight, tsr_real *out)
{
    const int64_t size = tsr_shape_size(weight->shape);
    const int bytes = weight->type->bytes;
    for (int64_t i = 0; i < size; i++) {
        const uint64_t bits = tsr_load_bits(weight->bytes + i * bytes, bytes);
        if (weight->type == &types[0]) out[i] = (tsr_real)value_of_single(bits);
        else if (weight->type == &types[1]) out[i] = (tsr_real)value_of_half(bits);
        else out[i] = (tsr_real)((double)bits * weight->scale + weight->min);
    }
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

typedef struct bytes {
    unsigned char *at;
    size_t count, room;
} bytes;

enum { MOST_TEXT = 1 << 26, MOST_BYTES = 1 << 30 }; /* of a manifest, of a group's shards */

static bool make_room(bytes *b)
{
    const size_t room = b->room ? 2 * b->room : 1 << 16;
    unsigned char *more = realloc(b->at, room);
    if (!more) return false;
    b->at = more;
    b->room = room;
    return true;
}

/* Appends a file. */
static bool read_file(bytes *b, const char *path, size_t most, app_error *error)
{
    FILE *file = fopen(path, "rb");
    if (!file) return app_fail(error, "%s: cannot be read (%s)", path, strerror(errno));
    bool room = true, ended = false;
    while (room && !ended && b->count <= most) {
        room = b->count < b->room || make_room(b);
        const size_t got = room ? fread(b->at + b->count, 1, b->room - b->count, file) : 0;
        b->count += got;
        ended = got == 0;
    }
    const bool broken = ferror(file) != 0;
    fclose(file);
    if (!room) return app_fail(error, "%s: out of memory", path);
    if (broken) return app_fail(error, "%s: cannot be read", path);
    return b->count <= most || app_fail(error, "%s: is too long (more than %zu bytes)", path, most);
}

/* ---- the manifest ------------------------------------------------------------------------------------------------ */

typedef struct reading {
    const char *path;
    tsr_json json;
    tfjs_manifest *out;
    int room;
    bytes shards; /* of the group that is being read */
    app_error *error;
} reading;

/* `array` with room for one more. */
static void *grown(void *array, int count, int *room, size_t item)
{
    if (count < *room) return array;
    const int more = *room ? 2 * *room : 64;
    void *longer = realloc(array, (size_t)more * item);
    if (longer) *room = more;
    return longer;
}

static bool read_shape(reading *r, tfjs_weight *w)
{
    int64_t length = 0;
    w->shape.rank = 0;
    tsr_json_enter(&r->json, '[');
    while (tsr_json_more(&r->json, ']')) {
        if (!tsr_json_count(&r->json, &length)) break;
        if (w->shape.rank == TSR_MAX_RANK)
            return app_fail(r->error, "%s: an array has more than %d dimensions", r->path, TSR_MAX_RANK);
        w->shape.dims[w->shape.rank++] = length;
    }
    return true;
}

static void read_quantization(reading *r, tfjs_weight *w, const char **type)
{
    tsr_json_enter(&r->json, '{');
    while (tsr_json_more(&r->json, '}')) {
        const char *key = tsr_json_key(&r->json);
        if (!key) return;
        if (strcmp(key, "dtype") == 0) *type = tsr_json_string(&r->json);
        else if (strcmp(key, "scale") == 0) tsr_json_number(&r->json, &w->scale);
        else if (strcmp(key, "min") == 0) tsr_json_number(&r->json, &w->min);
        else tsr_json_skip(&r->json);
    }
}

/* Whole and half floats may stand for themselves, the unsigned ones only for a quantised float32. */
static bool take_type(reading *r, tfjs_weight *w, const char *meant, const char *stored)
{
    w->type = find_type(stored ? stored : meant);
    const bool is_unsigned = w->type && w->type->name[0] == 'u';
    if (!w->type || strncmp(meant, "float", 5) != 0 || (is_unsigned && !stored))
        return app_fail(r->error, "%s: \"%.100s\" is %.40s%s%.40s; only float32 is read, whole or as float16, uint16 "
                        "and uint8", r->path, w->name, meant, stored ? " as " : "", stored ? stored : "");
    if (tsr_shape_size(w->shape) < 0)
        return app_fail(r->error, "%s: \"%.100s\" of shape %s is too large", r->path, w->name,
                        tsr_shape_text(w->shape).text);
    return true;
}

/* After the first thing that is not JSON as expected, true: the caller looks at json.expected. */
static bool read_weight(reading *r)
{
    tfjs_weight w = {.scale = 1, .shape = {.rank = -1}};
    const char *meant = NULL, *stored = NULL;
    tsr_json_enter(&r->json, '{');
    while (tsr_json_more(&r->json, '}')) {
        const char *key = tsr_json_key(&r->json);
        if (!key) return true;
        if (strcmp(key, "name") == 0) w.name = tsr_json_string(&r->json);
        else if (strcmp(key, "dtype") == 0) meant = tsr_json_string(&r->json);
        else if (strcmp(key, "quantization") == 0) read_quantization(r, &w, &stored);
        else if (strcmp(key, "shape") != 0) tsr_json_skip(&r->json);
        else if (!read_shape(r, &w)) return false;
    }
    if (r->json.expected) return true;
    if (!w.name || !meant || w.shape.rank < 0)
        return app_fail(r->error, "%s: an array has no %s", r->path, !w.name ? "name" : !meant ? "dtype" : "shape");
    if (!take_type(r, &w, meant, stored)) return false;
    tfjs_weight *weights = grown(r->out->weights, r->out->count, &r->room, sizeof *weights);
    if (!weights) return app_fail(r->error, "%s: out of memory", r->path);
    r->out->weights = weights;
    weights[r->out->count++] = w;
    return true;
}

/* A shard lies beside its manifest. */
static bool read_shard(reading *r, const char *name)
{
    char path[1024];
    const char *slash = strrchr(r->path, '/');
    const int folder = slash ? (int)(slash - r->path) + 1 : 0;
    if (!*name || strpbrk(name, "/\\:") || strcmp(name, "..") == 0)
        return app_fail(r->error, "%s: the shard \"%.100s\" is not a file beside it", r->path, name);
    if ((size_t)snprintf(path, sizeof path, "%.*s%s", folder, r->path, name) >= sizeof path)
        return app_fail(r->error, "%s: the name of a shard is too long", r->path);
    return read_file(&r->shards, path, MOST_BYTES, r->error);
}

/* Keeps the shards' bytes and deals them out to the weights from `first` on. */
static bool take_shards(reading *r, int first)
{
    size_t at = 0;
    tfjs_manifest *m = r->out;
    unsigned char **groups = realloc(m->shards, (size_t)(m->groups + 1) * sizeof *groups);
    if (!groups) return app_fail(r->error, "%s: out of memory", r->path);
    m->shards = groups;
    groups[m->groups++] = r->shards.at;
    const bytes all = r->shards;
    r->shards = (bytes){0};
    for (int i = first; i < m->count; i++) {
        tfjs_weight *w = &m->weights[i];
        const uint64_t size = (uint64_t)tsr_shape_size(w->shape);
        if (size > (all.count - at) / (size_t)w->type->bytes)
            return app_fail(r->error, "%s: the shards end within \"%.100s\" of shape %s", r->path, w->name,
                            tsr_shape_text(w->shape).text);
        w->bytes = all.at + at;
        at += (size_t)size * (size_t)w->type->bytes;
    }
    return at == all.count ||
           app_fail(r->error, "%s: the shards have %zu bytes more than the arrays take", r->path, all.count - at);
}

static bool read_group(reading *r)
{
    const int first = r->out->count;
    tsr_json_enter(&r->json, '{');
    while (tsr_json_more(&r->json, '}')) {
        const char *key = tsr_json_key(&r->json);
        if (!key) return true;
        const bool weights = strcmp(key, "weights") == 0;
        if (!weights && strcmp(key, "paths") != 0) {
            tsr_json_skip(&r->json);
            continue;
        }
        tsr_json_enter(&r->json, '[');
        while (tsr_json_more(&r->json, ']')) {
            const char *shard = weights ? NULL : tsr_json_string(&r->json);
            if (weights ? !read_weight(r) : shard && !read_shard(r, shard)) return false;
            if (r->json.expected) return true;
        }
    }
    return r->json.expected || take_shards(r, first);
}

static bool read_groups(reading *r)
{
    tsr_json_enter(&r->json, '[');
    while (tsr_json_more(&r->json, ']'))
        if (!read_group(r)) return false;
    if (!tsr_json_finish(&r->json))
        return app_fail(r->error, "%s: byte %td: expected %s", r->path, r->json.at - r->json.begin, r->json.expected);
    return true;
}

bool tfjs_read(tfjs_manifest *out, const char *path, app_error *error)
{
    bytes text = {0};
    *out = (tfjs_manifest){0};
    reading r = {.path = path, .out = out, .error = error};
    bool done = read_file(&text, path, MOST_TEXT, error);
    out->text = (char *)text.at;
    if (done) {
        r.json = tsr_json_begin(out->text, text.count);
        done = read_groups(&r);
    }
    free(r.shards.at); /* of a group that was left half read */
    if (!done) tfjs_free(out);
    return done;
}

void tfjs_free(tfjs_manifest *manifest)
{
    for (int i = 0; i < manifest->groups; i++) free(manifest->shards[i]);
    free(manifest->shards);
    free(manifest->weights);
    free(manifest->text);
    *manifest = (tfjs_manifest){0};
}
