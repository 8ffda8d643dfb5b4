/* The state dict: names and layouts of the weight file. */
#include "nn/nn_internal.h"

#include <string.h>

/* ---- layouts ----------------------------------------------------------------------------------------------------- */

tsr_layout tsr_layout_kernel(const tsr_shape *memory, const tsr_shape *input)
{
    const int spatial = memory->rank - 2;
    tsr_layout layout = {.view = {.rank = memory->rank}};
    (void)input;
    layout.view.dims[0] = memory->dims[spatial + 1];
    layout.view.dims[1] = memory->dims[spatial];
    for (int i = 0; i < spatial; i++) {
        layout.view.dims[i + 2] = memory->dims[i];
        layout.order[i] = i + 2;
    }
    layout.order[spatial] = 1;
    layout.order[spatial + 1] = 0;
    layout.stored = layout.view;
    return layout;
}

/* Walks memory order; calls for position i in memory the position in the file. */
static void convert(const tsr_layout *layout, const tsr_real *from, tsr_real *to, bool reading)
{
    const int rank = layout->view.rank;
    const int64_t size = tsr_shape_size(layout->view);
    int64_t view_stride[TSR_MAX_RANK] = {0}, length[TSR_MAX_RANK], stride[TSR_MAX_RANK], at[TSR_MAX_RANK] = {0}, file = 0;
    for (int64_t i = rank - 1, step = 1; i >= 0; step *= layout->view.dims[i], i--) view_stride[i] = step;
    for (int i = 0; i < rank; i++) {
        length[i] = layout->view.dims[layout->order[i]];
        stride[i] = view_stride[layout->order[i]];
    }
    for (int64_t i = 0; i < size; i++) {
        if (reading) to[i] = from[file];
        else to[file] = from[i];
        for (int axis = rank - 1; axis >= 0; axis--) {
            file += stride[axis];
            if (++at[axis] < length[axis]) break;
            file -= stride[axis] * length[axis];
            at[axis] = 0;
        }
    }
}

void tsr_layout_read(const tsr_layout *layout, const tsr_real *from, tsr_real *to)
{
    convert(layout, from, to, true);
}

void tsr_layout_write(const tsr_layout *layout, const tsr_real *from, tsr_real *to)
{
    convert(layout, from, to, false);
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

static tsr_pair *find_text(const tsr_model *m, const char *key)
{
    for (int i = 0; i < m->texts.count; i++) {
        tsr_pair *pair = m->texts.items[i];
        if (strcmp(pair->key, key) == 0) return pair;
    }
    return NULL;
}

static void drop_text(tsr_model *m, const char *key)
{
    int kept = 0;
    for (int i = 0; i < m->texts.count; i++) {
        tsr_pair *pair = m->texts.items[i];
        if (strcmp(pair->key, key) != 0) {
            m->texts.items[kept++] = pair;
            continue;
        }
        tsr_free_text(m->ctx, pair->key);
        tsr_free_text(m->ctx, pair->value);
        tsr_release(m->ctx, pair, sizeof *pair);
    }
    m->texts.count = kept;
}

void tsr_set_text(tsr_model *m, const char *key, const char *value)
{
    if (!m || m->ctx->failed) return;
    if (!key) {
        tsr_fail(m->ctx, "model: a text without a key");
        return;
    }
    tsr_pair *pair = find_text(m, key);
    if (!value) {
        drop_text(m, key);
        return;
    }
    char *copy = tsr_copy_text(m->ctx, value);
    if (!copy) return;
    if (pair) {
        tsr_free_text(m->ctx, pair->value);
        pair->value = copy;
        return;
    }
    pair = tsr_allocate(m->ctx, sizeof *pair, "a text");
    if (pair) *pair = (tsr_pair){.key = tsr_copy_text(m->ctx, key), .value = copy};
    if (!pair || !pair->key || !tsr_list_add(m->ctx, &m->texts, pair)) {
        tsr_free_text(m->ctx, copy);
        if (pair) tsr_free_text(m->ctx, pair->key);
        if (pair) tsr_release(m->ctx, pair, sizeof *pair);
    }
}

const char *tsr_text_of(const tsr_model *m, const char *key)
{
    const tsr_pair *pair = m && key ? find_text(m, key) : NULL;
    return pair ? pair->value : NULL;
}

/* ---- values from a file ------------------------------------------------------------------------------------------ */

tsr_waiting *tsr_find_waiting(tsr_model *m, const char *name)
{
    for (int i = 0; i < m->waiting.count; i++) {
        tsr_waiting *waiting = m->waiting.items[i];
        if (waiting->tensor && strcmp(waiting->name, name) == 0) return waiting;
    }
    return NULL;
}

bool tsr_take_values(tsr_model *m, tsr_entry *entry, tsr_waiting *waiting)
{
    tsr_tensor *from = waiting->tensor;
    if (!tsr_same_shape(from->shape, entry->layout.stored)) {
        tsr_fail(m->ctx, "%s: tensor \"%s\" is %s, the model expects %s", m->source ? m->source : "weights",
                 entry->name,
                 tsr_shape_text(from->shape).text, tsr_shape_text(entry->layout.stored).text);
        return false;
    }
    tsr_real *to = tsr_write(entry->tensor);
    if (!to) return false;
    tsr_layout_read(&entry->layout, from->storage->data, to);
    tsr_tensor_free(from);
    waiting->tensor = NULL;
    return true;
}

/* Levenshtein's distance, up to the length that fits. */
static int distance(const char *a, const char *b)
{
    enum { MOST = 127 };
    int row[MOST + 1];
    const size_t na = strlen(a), nb = strlen(b);
    if (na > MOST || nb > MOST) return 1000;
    for (size_t j = 0; j <= nb; j++) row[j] = (int)j;
    for (size_t i = 1; i <= na; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= nb; j++) {
            const int replace = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            const int step = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = replace < step ? replace : step;
        }
    }
    return row[nb];
}

void tsr_fail_unknown(tsr_model *m, const char *name)
{
    const char *nearest = NULL;
    int least = 1000;
    for (int i = 0; i < m->waiting.count; i++) {
        const tsr_waiting *waiting = m->waiting.items[i];
        const int d = distance(name, waiting->name);
        if (d < least) nearest = waiting->name;
        if (d < least) least = d;
    }
    if (nearest) tsr_fail(m->ctx, "%s: there is no tensor \"%s\" (did you mean \"%s\"?)", m->source, name, nearest);
    else tsr_fail(m->ctx, "%s: there is no tensor \"%s\"", m->source, name);
}

static bool add_waiting(tsr_model *m, const char *name, tsr_tensor *values)
{
    if (tsr_is_error(values)) return false;
    tsr_tensor_own(values);
    tsr_waiting *waiting = tsr_allocate(m->ctx, sizeof *waiting, "weights");
    if (waiting) *waiting = (tsr_waiting){.name = tsr_copy_text(m->ctx, name), .tensor = values};
    if (waiting && waiting->name && tsr_list_add(m->ctx, &m->waiting, waiting)) return true;
    tsr_tensor_free(values);
    if (waiting) tsr_free_text(m->ctx, waiting->name);
    if (waiting) tsr_release(m->ctx, waiting, sizeof *waiting);
    return false;
}

static void read_texts(tsr_model *m, const tsr_archive *archive)
{
    const char *key, *value;
    for (int i = 0; (value = tsr_archive_text_at(archive, i, &key)) != NULL; i++)
        if (strcmp(key, "checksum") != 0 && strncmp(key, TSR_OPTIMIZER_PREFIX, strlen(TSR_OPTIMIZER_PREFIX)) != 0)
            tsr_set_text(m, key, value);
}

void tsr_forget_waiting(tsr_model *m)
{
    for (int i = 0; i < m->waiting.count; i++) {
        tsr_waiting *waiting = m->waiting.items[i];
        if (waiting->tensor) tsr_tensor_free(waiting->tensor);
        tsr_free_text(m->ctx, waiting->name);
        tsr_release(m->ctx, waiting, sizeof *waiting);
    }
    m->waiting.count = 0;
}

bool tsr_model_load(tsr_model *m, const char *path, const tsr_load_options *options)
{
    if (!m || m->ctx->failed) return false;
    tsr_archive *archive = tsr_archive_open(m->ctx, path);
    if (!archive) return false;
    tsr_forget_waiting(m);
    tsr_free_text(m->ctx, m->source);
    m->source = tsr_copy_text(m->ctx, path);
    for (int i = 0; i < tsr_archive_count(archive) && !m->ctx->failed; i++) {
        const char *name = tsr_archive_name(archive, i);
        if (strncmp(name, TSR_OPTIMIZER_PREFIX, strlen(TSR_OPTIMIZER_PREFIX)) == 0) continue; /* of a checkpoint */
        if (!add_waiting(m, name, tsr_archive_tensor(archive, i))) break;
        const int there = tsr_model_find(m, name);
        if (there >= 0) tsr_take_values(m, m->entries.items[there], tsr_find_waiting(m, name));
    }
    read_texts(m, archive);
    tsr_archive_close(archive);
    m->sealed = !(options && options->lenient);
    for (int i = 0; m->sealed && i < m->entries.count && !m->ctx->failed; i++) {
        const tsr_entry *entry = m->entries.items[i];
        bool found = false;
        for (int k = 0; k < m->waiting.count; k++)
            found = found || strcmp(((tsr_waiting *)m->waiting.items[k])->name, entry->name) == 0;
        if (!found) tsr_fail_unknown(m, entry->name);
    }
    return !m->ctx->failed;
}

bool tsr_check_claimed(tsr_model *m)
{
    char names[300] = "";
    int count = 0;
    if (!m || m->ctx->failed) return false;
    for (int i = 0; i < m->waiting.count; i++) {
        const tsr_waiting *waiting = m->waiting.items[i];
        const size_t used = strlen(names);
        /* A counter that PyTorch keeps beside its running statistics. */
        const char *counter = strstr(waiting->name, "num_batches_tracked");
        if (!waiting->tensor || (counter && strcmp(counter, "num_batches_tracked") == 0)) continue;
        if (count++ < 8) snprintf(names + used, sizeof names - used, "%s\"%s\"", used ? ", " : "", waiting->name);
    }
    if (count == 0) return true;
    tsr_fail(m->ctx, "%s: %d tensors were claimed by no layer: %s%s", m->source, count, names,
             count > 8 ? ", ..." : "");
    return false;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

typedef struct writing {
    const tsr_entry **own; /* [own_count], the model's that are written */
    int own_count;
    const tsr_state_extra *extra;
    tsr_real *room; /* for the largest */
} writing;

static const tsr_real *values_of(void *user, int i)
{
    const writing *w = user;
    if (i >= w->own_count) return w->extra->values(w->extra->user, i - w->own_count);
    const tsr_entry *entry = w->own[i];
    tsr_layout_write(&entry->layout, entry->tensor->storage->data, w->room);
    return w->room;
}

static size_t largest_bytes(const tsr_model *m)
{
    size_t most = sizeof(tsr_real);
    for (int i = 0; i < m->entries.count; i++) {
        const tsr_tensor *t = ((tsr_entry *)m->entries.items[i])->tensor;
        if (t->storage->bytes > most) most = t->storage->bytes;
    }
    return most;
}

/* The model's entries that are written, and room for the largest; false after an error. */
static bool choose_entries(writing *w, const tsr_model *m, const char *path)
{
    const char *without = w->extra->without;
    w->own = tsr_allocate(m->ctx, (size_t)(m->entries.count + 1) * sizeof *w->own, path);
    w->room = tsr_allocate(m->ctx, largest_bytes(m), path);
    if (!w->own || !w->room) return false;
    for (int i = 0; i < m->entries.count; i++) {
        const tsr_entry *entry = m->entries.items[i];
        if (!without || !tsr_has_prefix(entry->name, without)) w->own[w->own_count++] = entry;
    }
    return true;
}

bool tsr_state_save(tsr_model *m, const tsr_state_extra *extra, const char *path)
{
    if (!m || m->ctx->failed) return false;
    tsr_context *ctx = m->ctx;
    const int most = m->entries.count + extra->count, own_texts = m->texts.count, texts = own_texts + extra->text_count;
    writing w = {.extra = extra};
    tsr_archive_entry *entries = tsr_allocate(ctx, (size_t)(most + 1) * sizeof *entries, path);
    tsr_archive_text *lines = tsr_allocate(ctx, (size_t)(texts + 1) * sizeof *lines, path);
    bool done = false;
    if (entries && lines && choose_entries(&w, m, path)) {
        for (int i = 0; i < w.own_count; i++)
            entries[i] = (tsr_archive_entry){w.own[i]->name, w.own[i]->layout.stored};
        for (int i = 0; i < extra->count; i++) entries[w.own_count + i] = extra->entries[i];
        for (int i = 0; i < own_texts; i++) {
            const tsr_pair *pair = m->texts.items[i];
            lines[i] = (tsr_archive_text){pair->key, pair->value};
        }
        for (int i = own_texts; i < texts; i++) lines[i] = extra->texts[i - own_texts];
        done = tsr_archive_save(ctx, path, &(tsr_archive_content){w.own_count + extra->count, entries, values_of, &w,
                                                                  texts, lines});
    }
    if (w.own) tsr_release(ctx, w.own, (size_t)(m->entries.count + 1) * sizeof *w.own);
    if (w.room) tsr_release(ctx, w.room, largest_bytes(m));
    if (entries) tsr_release(ctx, entries, (size_t)(most + 1) * sizeof *entries);
    if (lines) tsr_release(ctx, lines, (size_t)(texts + 1) * sizeof *lines);
    return done;
}

bool tsr_model_save(tsr_model *m, const char *path, const tsr_save_options *options)
{
    return tsr_state_save(m, &(tsr_state_extra){.without = options ? options->without : NULL}, path);
}
