/* Checkpoints: the model's file with the optimizer's state in it.
 *
 * Tensors "optimizer:STATE:PARAMETER" hold the state of a rule, "optimizer:lbfgs:I" the vectors of L-BFGS; texts
 * "optimizer:KEY" hold the rest, floating-point numbers in hexadecimal so that no bit is lost. */
#include "optim/optim_internal.h"

#include <stdlib.h>
#include <string.h>

#define PREFIX TSR_OPTIMIZER_PREFIX

/* Names and lines of the file being written; all allocated from the context. */
typedef struct sheet {
    tsr_optimizer *opt;
    tsr_list names, keys, values;
    tsr_archive_entry *entries;
    tsr_archive_text *texts;
    const tsr_real **data;
    int count, room;
} sheet;

static bool add_text(sheet *s, const char *key, const char *value)
{
    tsr_context *ctx = s->opt->ctx;
    char *key_copy = tsr_copy_text(ctx, key), *value_copy = tsr_copy_text(ctx, value);
    /* Each is in a list as soon as it exists, so that close_sheet frees it. */
    const bool kept = tsr_list_add(ctx, &s->keys, key_copy);
    if (!kept) tsr_free_text(ctx, key_copy);
    if (kept && tsr_list_add(ctx, &s->values, value_copy)) return true;
    tsr_free_text(ctx, value_copy);
    return false;
}

static bool add_tensor(sheet *s, const char *first, const char *second, tsr_shape shape, const tsr_real *data)
{
    tsr_context *ctx = s->opt->ctx;
    const size_t bytes = strlen(PREFIX) + strlen(first) + strlen(second) + 2;
    char *name = tsr_allocate(ctx, bytes, "a name");
    if (!name) return false;
    snprintf(name, bytes, "%s%s:%s", PREFIX, first, second);
    if (!tsr_list_add(ctx, &s->names, name)) {
        tsr_free_text(ctx, name);
        return false;
    }
    s->entries[s->count] = (tsr_archive_entry){name, shape};
    s->data[s->count++] = data;
    return true;
}

static void add_rule(sheet *s)
{
    tsr_optimizer *opt = s->opt;
    char key[512], value[64];
    for (int i = 0; i < opt->slots.count; i++) {
        const tsr_slot *slot = opt->slots.items[i];
        if (!slot->entry->is_parameter) continue;
        for (int k = 0; k < opt->rule->state_count; k++)
            add_tensor(s, opt->rule->state_names[k], slot->entry->name, slot->states[k]->shape,
                       slot->states[k]->storage->data);
        if ((size_t)snprintf(key, sizeof key, PREFIX "t:%s", slot->entry->name) >= sizeof key)
            tsr_fail(opt->ctx, "checkpoint: the name \"%.60s...\" is too long", slot->entry->name);
        snprintf(value, sizeof value, "%lld", (long long)slot->t);
        add_text(s, key, value);
    }
}

static void add_lbfgs(sheet *s)
{
    char name[32];
    for (int i = 0; i < tsr_lbfgs_vector_count(s->opt); i++) {
        snprintf(name, sizeof name, "%d", i);
        add_tensor(s, "lbfgs", name, TSR_SHAPE(tsr_lbfgs_size(s->opt)), tsr_lbfgs_vector(s->opt, i));
    }
    for (int i = 0; s->count > 0; i++) {
        const tsr_text line = tsr_lbfgs_numbers(s->opt, i);
        snprintf(name, sizeof name, PREFIX "lbfgs:%d", i);
        if (!*line.text || !add_text(s, name, line.text)) return;
    }
}

static void add_numbers(sheet *s)
{
    char text[64];
    add_text(s, PREFIX "rule", s->opt->rule->name);
    snprintf(text, sizeof text, "%a", s->opt->numbers.lr);
    add_text(s, PREFIX "lr", text);
    snprintf(text, sizeof text, "%lld", (long long)s->opt->ctx->step_count);
    add_text(s, PREFIX "steps", text);
}

static const tsr_real *data_at(void *user, int i)
{
    return ((const sheet *)user)->data[i];
}

static void free_texts(tsr_context *ctx, tsr_list *list)
{
    for (int i = 0; i < list->count; i++) tsr_free_text(ctx, list->items[i]);
    tsr_list_free(ctx, list);
}

static bool write_sheet(sheet *s, const char *path)
{
    tsr_context *ctx = s->opt->ctx;
    const int texts = s->keys.count;
    tsr_archive_text *lines = tsr_allocate(ctx, (size_t)(texts + 1) * sizeof *lines, path);
    if (!lines) return false;
    for (int i = 0; i < texts; i++) lines[i] = (tsr_archive_text){s->keys.items[i], s->values.items[i]};
    const bool done = tsr_state_save(s->opt->m, &(tsr_state_extra){s->count, s->entries, data_at, s, texts, lines, NULL},
                                     path);
    tsr_release(ctx, lines, (size_t)(texts + 1) * sizeof *lines);
    return done;
}

static bool fit(const tsr_model *m, const tsr_optimizer *opt)
{
    if (!m || m->ctx->failed) return false;
    if (opt && opt->m == m) return true;
    tsr_fail(m->ctx, "checkpoint: the optimizer is %s", opt ? "another model's" : "NULL");
    return false;
}

bool tsr_checkpoint_save(tsr_model *m, tsr_optimizer *opt, const char *path)
{
    if (!fit(m, opt) || !tsr_optimizer_catch_up(opt)) return false;
    tsr_context *ctx = m->ctx;
    sheet s = {.opt = opt,
               .room = opt->slots.count * TSR_MOST_STATES + (opt->lbfgs ? tsr_lbfgs_vector_count(opt) : 0) + 1};
    s.entries = tsr_allocate(ctx, (size_t)s.room * sizeof *s.entries, path);
    s.data = tsr_allocate(ctx, (size_t)s.room * sizeof *s.data, path);
    bool done = false;
    if (s.entries && s.data) {
        if (opt->lbfgs) add_lbfgs(&s);
        else add_rule(&s);
        add_numbers(&s);
        done = !ctx->failed && write_sheet(&s, path);
    }
    free_texts(ctx, &s.names);
    free_texts(ctx, &s.keys);
    free_texts(ctx, &s.values);
    if (s.entries) tsr_release(ctx, s.entries, (size_t)s.room * sizeof *s.entries);
    if (s.data) tsr_release(ctx, s.data, (size_t)s.room * sizeof *s.data);
    return done;
}

/* ---- loading ----------------------------------------------------------------------------------------------------- */

/* The optimizer's tensors wait for their parameters' slots. */
static bool read_states(tsr_optimizer *opt, tsr_archive *archive)
{
    const size_t length = strlen(PREFIX);
    for (int i = 0; i < tsr_archive_count(archive) && !opt->ctx->failed; i++) {
        const char *name = tsr_archive_name(archive, i);
        if (strncmp(name, PREFIX, length) != 0 || !strchr(name + length, ':')) continue;
        tsr_waiting *waiting = tsr_allocate(opt->ctx, sizeof *waiting, "optimizer state");
        if (!waiting) return false;
        waiting->name = tsr_copy_text(opt->ctx, name + length);
        waiting->tensor = tsr_archive_tensor(archive, i);
        if (tsr_is_error(waiting->tensor)) waiting->tensor = NULL;
        if (waiting->tensor) tsr_tensor_own(waiting->tensor);
        if (waiting->name && waiting->tensor && tsr_list_add(opt->ctx, &opt->waiting, waiting)) continue;
        if (waiting->tensor) tsr_tensor_free(waiting->tensor);
        tsr_free_text(opt->ctx, waiting->name);
        tsr_release(opt->ctx, waiting, sizeof *waiting);
    }
    return !opt->ctx->failed;
}

static tsr_tensor *waiting_vector(const tsr_optimizer *opt, int i)
{
    char name[32];
    snprintf(name, sizeof name, "lbfgs:%d", i);
    for (int k = 0; k < opt->waiting.count; k++) {
        const tsr_waiting *waiting = opt->waiting.items[k];
        if (waiting->tensor && strcmp(waiting->name, name) == 0) return waiting->tensor;
    }
    return NULL;
}

static void restore_lbfgs(tsr_optimizer *opt, const tsr_archive *archive)
{
    enum { MOST = 1002 };
    tsr_context *ctx = opt->ctx;
    char key[48];
    int lines = 0, count = 0;
    const char **texts = tsr_allocate(ctx, MOST * sizeof *texts, "L-BFGS");
    tsr_tensor **vectors = texts ? tsr_allocate(ctx, 2 * MOST * sizeof *vectors, "L-BFGS") : NULL;
    for (; vectors && lines < MOST; lines++) {
        snprintf(key, sizeof key, PREFIX "lbfgs:%d", lines);
        texts[lines] = tsr_archive_metadata(archive, key);
        if (!texts[lines]) break;
    }
    while (vectors && count < 2 * MOST && (vectors[count] = waiting_vector(opt, count)) != NULL) count++;
    if (vectors) tsr_lbfgs_restore(opt, texts, lines, vectors, count);
    tsr_optimizer_forget(opt); /* copied */
    if (texts) tsr_release(ctx, texts, MOST * sizeof *texts);
    if (vectors) tsr_release(ctx, vectors, 2 * MOST * sizeof *vectors);
}

/* How many steps each parameter has seen waits like the states. */
static void read_counts(tsr_optimizer *opt, const tsr_archive *archive)
{
    const size_t length = strlen(PREFIX "t:");
    const char *key, *text;
    for (int i = 0; (text = tsr_archive_text_at(archive, i, &key)) != NULL; i++) {
        if (strncmp(key, PREFIX "t:", length) != 0) continue;
        tsr_count_of *count = tsr_allocate(opt->ctx, sizeof *count, "optimizer state");
        if (!count) return;
        *count = (tsr_count_of){.name = tsr_copy_text(opt->ctx, key + length), .t = strtoll(text, NULL, 10)};
        if (count->name && tsr_list_add(opt->ctx, &opt->counts, count)) continue;
        tsr_free_text(opt->ctx, count->name);
        tsr_release(opt->ctx, count, sizeof *count);
        return;
    }
}

static bool read_numbers(tsr_optimizer *opt, const tsr_archive *archive, const char *path)
{
    const char *rule = tsr_archive_metadata(archive, PREFIX "rule"), *lr = tsr_archive_metadata(archive, PREFIX "lr");
    const char *steps = tsr_archive_metadata(archive, PREFIX "steps");
    if (!rule || !lr || !steps || strcmp(rule, opt->rule->name) != 0) {
        tsr_fail(opt->ctx, "%s: holds the state of %s, the optimizer is %s", path, rule ? rule : "no optimizer",
                 opt->rule->name);
        return false;
    }
    tsr_set_learning_rate(opt, strtod(lr, NULL));
    tsr_set_step_count(opt->ctx, strtoll(steps, NULL, 10));
    return !opt->ctx->failed;
}

bool tsr_checkpoint_load(tsr_model *m, tsr_optimizer *opt, const char *path)
{
    if (!fit(m, opt) || !tsr_model_load(m, path, NULL)) return false;
    tsr_archive *archive = tsr_archive_open(m->ctx, path);
    if (!archive) return false;
    tsr_optimizer_forget(opt); /* fresh slots take what the file brings */
    if (read_numbers(opt, archive, path) && read_states(opt, archive)) {
        if (opt->lbfgs) restore_lbfgs(opt, archive);
        else read_counts(opt, archive);
    }
    tsr_archive_close(archive);
    return !m->ctx->failed;
}
