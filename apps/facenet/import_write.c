#include "apps/facenet/import.h"

#include "apps/common/detect.h"
#include "apps/facenet/nets.h"
#include "core/platform.h"

#include <stdlib.h>
#include <string.h>

/* ---- the nets we know -------------------------------------------------------------------------------------------- */

static bool takes_faces(tsr_model *m)
{
    return !tsr_is_error(face_embed(m, tsr_zeros(tsr_model_context(m), TSR_SHAPE(1, 150, 150, 3))));
}

static bool takes_photos(tsr_model *m)
{
    return !tsr_is_error(detector_net(m, tsr_zeros(tsr_model_context(m), TSR_SHAPE(1, 32, 32, 3))));
}

static bool takes_crops(tsr_model *m)
{
    return !tsr_is_error(landmarks68_net(m, tsr_zeros(tsr_model_context(m), TSR_SHAPE(1, 112, 112, 3))));
}

static const known_net known_nets[] = {
    {"face_resnet29", "fc", 2, {256, 128}, takes_faces},
    {"tiny_face_detector", "conv8/filters", 4, {1, 1, 512, 25}, takes_photos},
    {"face_landmark68", "fc/weights", 2, {256, 136}, takes_crops},
};
enum { KNOWN_NETS = sizeof known_nets / sizeof *known_nets };

static const tfjs_weight *find(const tfjs_manifest *m, const char *name)
{
    for (int i = 0; i < m->count; i++)
        if (strcmp(m->weights[i].name, name) == 0) return &m->weights[i];
    return NULL;
}

bool import_open(imported *out, const char *manifest, app_error *error)
{
    *out = (imported){.net = NULL};
    if (!tfjs_read(&out->manifest, manifest, error)) return false;
    for (int i = 0; i < KNOWN_NETS; i++) {
        const tfjs_weight *found = find(&out->manifest, known_nets[i].mark);
        if (found && tsr_same_shape(found->shape, tsr_make_shape(known_nets[i].mark_rank, known_nets[i].mark_dims)))
            out->net = &known_nets[i];
    }
    return true;
}

void import_close(imported *weights)
{
    tfjs_free(&weights->manifest);
}

int64_t import_size(const imported *weights)
{
    int64_t size = 0;
    for (int i = 0; i < weights->manifest.count; i++) size += tsr_shape_size(weights->manifest.weights[i].shape);
    return size;
}

/* ---- names and layouts ------------------------------------------------------------------------------------------- */

enum { NAME_ROOM = 256 };
typedef char array_name[NAME_ROOM];

/* The last part of a name there, and of ours. */
static const char *last_part(const tfjs_manifest *m, const char *name, size_t folder, const char *part)
{
    static const char *const parts[][2] = {{"filters", "weight"},
                                           {"weights", "weight"},
                                           {"biases", "bias"},
                                           {"fc", "fc.weight"},
                                           {"depthwise_filter", "depthwise.weight"},
                                           {"pointwise_filter", "pointwise.weight"}};
    array_name sibling;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strcmp(part, parts[i][0]) == 0) return parts[i][1];
    snprintf(sibling, sizeof sibling, "%.*spointwise_filter", (int)folder, name);
    return strcmp(part, "bias") == 0 && find(m, sibling) ? "pointwise.bias" : part;
}

static bool translate(const imported *weights, const char *name, array_name out, app_error *error)
{
    const char *slash = strrchr(name, '/');
    const size_t folder = slash ? (size_t)(slash - name) + 1 : 0;
    const char *part = weights->net ? last_part(&weights->manifest, name, folder, name + folder) : name + folder;
    if (folder + strlen(part) >= NAME_ROOM) return app_fail(error, "\"%.60s...\": the name is too long", name);
    snprintf(out, NAME_ROOM, "%.*s%s", (int)folder, name, part);
    for (char *c = out; *c; c++)
        if (*c == '/') *c = '.';
    return true;
}

/* A kernel's axes: space, channels in, channels out. */
typedef struct kernel_axes {
    int64_t space, in, out;
} kernel_axes;

/* How an array lies in a manifest; *stored is its shape in our file. */
static kernel_axes axes_of(const tfjs_weight *w, tsr_shape *stored)
{
    const int rank = w->shape.rank;
    tsr_shape s = w->shape;
    *stored = s;
    if (rank < 2) return (kernel_axes){1, 1, tsr_shape_size(s)};
    if (rank == 4 && strstr(w->name, "depthwise")) { /* one channel in, all its multiples out */
        s.dims[3] *= s.dims[2];
        s.dims[2] = 1;
    }
    kernel_axes axes = {1, s.dims[rank - 2], s.dims[rank - 1]};
    *stored = s;
    stored->dims[0] = axes.out;
    stored->dims[1] = axes.in;
    for (int i = 0; i < rank - 2; i++) {
        axes.space *= s.dims[i];
        stored->dims[i + 2] = s.dims[i];
    }
    return axes;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

typedef struct writing {
    const tfjs_weight *weights;
    tsr_real *values, *turned; /* room for the longest array each */
} writing;

static const tsr_real *values_of(void *user, int i)
{
    const writing *w = user;
    tsr_shape stored;
    const kernel_axes axes = axes_of(&w->weights[i], &stored);
    const tsr_real *from = w->values;
    tfjs_values(&w->weights[i], w->values);
    for (int64_t s = 0; s < axes.space; s++)
        for (int64_t in = 0; in < axes.in; in++)
            for (int64_t out = 0; out < axes.out; out++) w->turned[(out * axes.in + in) * axes.space + s] = *from++;
    return w->turned;
}

static bool save(tsr_context *ctx, const imported *weights, const tsr_archive_entry *entries, const char *path)
{
    const tfjs_manifest *m = &weights->manifest;
    char net[64];
    size_t longest = 1;
    for (int i = 0; i < m->count; i++) {
        const size_t size = (size_t)tsr_shape_size(m->weights[i].shape);
        if (size > longest) longest = size;
    }
    /* The net that makes embeddings says its form (nets.h), the others their name. */
    const tsr_archive_text texts[] = {{"net", net}, {"input", "150x150x3"}, {"embedding", "128"}};
    const int text_count = !weights->net ? 0 : weights->net->accepts == takes_faces ? 3 : 1;
    snprintf(net, sizeof net, "facenet %s", weights->net ? weights->net->name : "");
    writing w = {m->weights, malloc(longest * sizeof *w.values), malloc(longest * sizeof *w.turned)};
    if (!w.values || !w.turned) tsr_fail(ctx, "%s: out of memory", path);
    const bool done =
        tsr_archive_save(ctx, path, &(tsr_archive_content){m->count, entries, values_of, &w, text_count, texts});
    free(w.values);
    free(w.turned);
    return done;
}

/* Whether the net loads and runs, and nothing of the file is left over. */
static bool is_accepted(tsr_context *ctx, const known_net *net, const char *path)
{
    tsr_model *m = tsr_model_new(ctx);
    tsr_set_training(m, false);
    bool done = tsr_model_load(m, path, NULL);
    TSR_NO_GRAD(ctx) done = done && net->accepts(m) && tsr_check_claimed(m);
    tsr_model_free(m);
    return done;
}

static bool write_named(const imported *weights, const tsr_archive_entry *entries, const char *path, app_error *error)
{
    char fresh[1100];
    tsr_context *ctx = tsr_open(NULL);
    snprintf(fresh, sizeof fresh, "%.1080s.new", path);
    bool done = ctx && save(ctx, weights, entries, fresh);
    done = done && (!weights->net || is_accepted(ctx, weights->net, fresh));
    if (!done) app_fail(error, "%s", tsr_error(ctx));
    if (done && !tsr_platform_replace(fresh, path)) done = app_fail(error, "%s: cannot be written", path);
    if (!done) remove(fresh);
    tsr_close(ctx);
    return done;
}

bool import_write(const imported *weights, const char *path, app_error *error)
{
    const int count = weights->manifest.count;
    array_name *names = malloc((size_t)(count + 1) * sizeof *names);
    tsr_archive_entry *entries = malloc((size_t)(count + 1) * sizeof *entries);
    bool done = (names && entries) || app_fail(error, "%s: out of memory", path);
    for (int i = 0; done && i < count; i++) {
        const tfjs_weight *w = &weights->manifest.weights[i];
        done = translate(weights, w->name, names[i], error);
        entries[i].name = names[i];
        axes_of(w, &entries[i].shape);
    }
    done = done && write_named(weights, entries, path, error);
    free(names);
    free(entries);
    return done;
}
