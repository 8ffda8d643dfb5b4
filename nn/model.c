/* The model: a bag of named parameters, found through a tree of name parts. */
#include "nn/nn_internal.h"

#include <math.h>
#include <string.h>

/* ---- small tools ------------------------------------------------------------------------------------------------- */

bool tsr_list_add(tsr_context *ctx, tsr_list *list, void *item)
{
    if (!item) return false;
    if (list->count == list->capacity) {
        const int capacity = list->capacity ? 2 * list->capacity : 8;
        void **items = tsr_allocate(ctx, (size_t)capacity * sizeof *items, "a model");
        if (!items) return false;
        if (list->items) memcpy(items, list->items, (size_t)list->count * sizeof *items);
        tsr_list_free(ctx, list);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = item;
    return true;
}

void tsr_list_free(tsr_context *ctx, tsr_list *list)
{
    if (list->items) tsr_release(ctx, list->items, (size_t)list->capacity * sizeof *list->items);
    list->items = NULL;
    list->capacity = 0;
}

char *tsr_copy_text(tsr_context *ctx, const char *text)
{
    char *copy = tsr_allocate(ctx, strlen(text) + 1, "a name");
    return copy ? strcpy(copy, text) : NULL;
}

void tsr_free_text(tsr_context *ctx, char *text)
{
    if (text) tsr_release(ctx, text, strlen(text) + 1);
}

bool tsr_has_prefix(const char *name, const char *prefix)
{
    const size_t length = strlen(prefix);
    if (strncmp(name, prefix, length) != 0) return false;
    return length == 0 || name[length] == '\0' || name[length] == '.';
}

/* ---- the model --------------------------------------------------------------------------------------------------- */

tsr_model *tsr_model_new(tsr_context *ctx)
{
    if (!ctx || ctx->failed) return NULL;
    tsr_model *m = tsr_allocate(ctx, sizeof *m, "a model");
    if (!m) return NULL;
    m->ctx = ctx;
    m->at = &m->root;
    m->training = true;
    m->ordinal = ctx->model_count++;
    return m;
}

static void free_parts(tsr_context *ctx, tsr_part *part)
{
    while (part) {
        tsr_part *next = part->next;
        free_parts(ctx, part->children);
        tsr_free_text(ctx, part->name);
        tsr_release(ctx, part, sizeof *part);
        part = next;
    }
}

static void free_entry(tsr_context *ctx, tsr_entry *entry)
{
    if (entry->tensor) tsr_tensor_free(entry->tensor);
    tsr_free_text(ctx, entry->name);
    tsr_release(ctx, entry, sizeof *entry);
}

void tsr_model_free(tsr_model *m)
{
    if (!m) return;
    tsr_context *ctx = m->ctx;
    for (int i = 0; i < m->entries.count; i++) free_entry(ctx, m->entries.items[i]);
    for (int i = 0; i < m->rules.count; i++) {
        tsr_rule *rule = m->rules.items[i];
        tsr_free_text(ctx, rule->prefix);
        tsr_release(ctx, rule, sizeof *rule);
    }
    tsr_forget_waiting(m);
    for (int i = 0; i < m->texts.count; i++) {
        tsr_pair *pair = m->texts.items[i];
        tsr_free_text(ctx, pair->key);
        tsr_free_text(ctx, pair->value);
        tsr_release(ctx, pair, sizeof *pair);
    }
    tsr_list_free(ctx, &m->entries);
    tsr_list_free(ctx, &m->rules);
    tsr_list_free(ctx, &m->waiting);
    tsr_list_free(ctx, &m->texts);
    free_parts(ctx, m->root.children);
    tsr_free_text(ctx, m->source);
    tsr_release(ctx, m, sizeof *m);
}

tsr_context *tsr_model_context(const tsr_model *m)
{
    return m ? m->ctx : NULL;
}

void tsr_set_training(tsr_model *m, bool training)
{
    if (m) m->training = training;
}

bool tsr_is_training(const tsr_model *m)
{
    return m && m->training;
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

static tsr_part *find_child(tsr_part *parent, const char *name)
{
    tsr_part *child = parent->expected;
    if (!child || strcmp(child->name, name) != 0) {
        child = parent->children;
        while (child && strcmp(child->name, name) != 0) child = child->next;
    }
    if (child) parent->expected = child->next ? child->next : parent->children;
    return child;
}

static tsr_part *child_of(tsr_model *m, tsr_part *parent, const char *name)
{
    tsr_part *child = find_child(parent, name);
    if (child) return child;
    child = tsr_allocate(m->ctx, sizeof *child, "a name");
    char *copy = child ? tsr_copy_text(m->ctx, name) : NULL;
    if (!copy) {
        if (child) tsr_release(m->ctx, child, sizeof *child);
        return NULL;
    }
    child->name = copy;
    child->parent = parent;
    if (parent->last_child) parent->last_child->next = child;
    else parent->children = child;
    parent->last_child = child;
    parent->expected = parent->children;
    return child;
}

/* An enter that could not go anywhere (after an error) is counted, so that its leave goes nowhere either. */
void tsr_enter(tsr_model *m, const char *name)
{
    if (!m) return;
    if (!name || !*name) tsr_fail(m->ctx, "model: an empty name");
    tsr_part *child = !name || m->ctx->failed ? NULL : child_of(m, m->at, name);
    if (child) m->at = child;
    else m->missed++;
}

void tsr_leave(tsr_model *m)
{
    if (!m) return;
    if (m->missed > 0) m->missed--;
    else if (m->at->parent) m->at = m->at->parent;
    else tsr_fail(m->ctx, "model: tsr_leave without tsr_enter");
}

static size_t full_length(const tsr_part *part)
{
    size_t length = 0;
    for (; part->parent; part = part->parent) length += strlen(part->name) + 1;
    return length; /* dots and the final zero included */
}

static char *full_name(tsr_model *m, const tsr_part *part)
{
    size_t end = full_length(part);
    char *name = tsr_allocate(m->ctx, end, "a name");
    for (; name && part->parent; part = part->parent) {
        const size_t length = strlen(part->name);
        end -= length + 1;
        memcpy(name + end, part->name, length);
        if (part->parent->parent) name[end - 1] = '.';
    }
    return name;
}

/* ---- entries ----------------------------------------------------------------------------------------------------- */

static bool is_frozen(const tsr_model *m, const char *name)
{
    bool frozen = false;
    for (int i = 0; i < m->rules.count; i++) {
        const tsr_rule *rule = m->rules.items[i];
        if (tsr_has_prefix(name, rule->prefix)) frozen = rule->frozen;
    }
    return frozen;
}

static tsr_layout plain_layout(const tsr_shape *shape)
{
    tsr_layout layout = {.stored = *shape, .view = *shape};
    for (int i = 0; i < TSR_MAX_RANK; i++) layout.order[i] = i;
    return layout;
}

static tsr_entry *make_entry(tsr_model *m, const tsr_request *request, tsr_part *part, bool *made)
{
    tsr_context *ctx = m->ctx;
    tsr_entry *entry = tsr_allocate(ctx, sizeof *entry, "a parameter");
    if (!entry) return NULL;
    entry->layout = request->layout ? request->layout(request->shape, request->input) : plain_layout(request->shape);
    entry->is_parameter = !request->is_buffer;
    entry->name = full_name(m, part);
    tsr_waiting *waiting = entry->name ? tsr_find_waiting(m, entry->name) : NULL;
    if (entry->name && !waiting && m->sealed) tsr_fail_unknown(m, entry->name);
    entry->tensor = tsr_tensor_empty(ctx, request->shape, entry->name); /* NULL after an error */
    if (entry->tensor) {
        tsr_tensor_own(entry->tensor);
        entry->tensor->maker = entry->name;
    }
    if (!entry->tensor || (waiting && !tsr_take_values(m, entry, waiting)) || !tsr_list_add(ctx, &m->entries, entry)) {
        free_entry(ctx, entry);
        return NULL;
    }
    *made = !waiting;
    entry->tensor->needs_grad = entry->is_parameter && !is_frozen(m, entry->name);
    part->entry = entry;
    return entry;
}

/* The same full name reached by other parts ("a.b" + "c", "a" + "b.c") is the same parameter. */
static tsr_entry *entry_elsewhere(tsr_model *m, const tsr_part *part)
{
    char *name = full_name(m, part);
    const int i = name ? tsr_model_find(m, name) : -1;
    tsr_free_text(m->ctx, name);
    return i < 0 ? NULL : m->entries.items[i];
}

tsr_entry *tsr_find_entry(tsr_model *m, const tsr_request *request, bool *made)
{
    *made = false;
    if (!m || m->ctx->failed) return NULL;
    if (!request->name || !*request->name) {
        tsr_fail(m->ctx, "model: an empty name");
        return NULL;
    }
    tsr_part *part = child_of(m, m->at, request->name);
    if (!part) return NULL;
    if (!part->entry) part->entry = entry_elsewhere(m, part);
    if (m->ctx->failed) return NULL;
    if (!part->entry) return make_entry(m, request, part, made);
    const tsr_shape *shape = &part->entry->tensor->shape;
    if (tsr_shapes_equal(shape, request->shape)) return part->entry;
    tsr_fail(m->ctx, "model: \"%s\" is %s and is asked for as %s", part->entry->name, tsr_shape_text(*shape).text,
             tsr_shape_text(*request->shape).text);
    return NULL;
}

tsr_tensor *tsr_find_tensor(tsr_model *m, const tsr_request *request)
{
    bool made;
    tsr_entry *entry = tsr_find_entry(m, request, &made);
    if (!entry) return m ? tsr_error_tensor(m->ctx) : NULL;
    if (!made) return entry->tensor;
    tsr_init standard = {.kind = TSR_INIT_UNIFORM};
    if (!request->init) {
        double fan_in = 1;
        for (int i = 0; i < request->fan->rank - 1; i++) fan_in *= (double)request->fan->dims[i];
        standard.gain = fan_in > 0 ? 1 / sqrt(fan_in) : (double)TSR_ZERO;
    }
    tsr_initialise(m, entry, request->init ? request->init : &standard);
    return entry->tensor;
}

tsr_tensor *tsr_parameter(tsr_model *m, const char *name, tsr_tensor *initial)
{
    if (!m) return NULL;
    if (tsr_is_error(initial) || !initial->storage)
        return tsr_fail(m->ctx, "parameter: \"%s\" starts from no tensor, a spent one or an error", name ? name : "");
    if (initial->ctx != m->ctx)
        return tsr_fail(m->ctx, "parameter: \"%s\" starts from a tensor of another context", name ? name : "");
    bool made;
    tsr_entry *entry = tsr_find_entry(m, &(tsr_request){.name = name, .shape = &initial->shape}, &made);
    if (!entry) return tsr_error_tensor(m->ctx);
    const tsr_real *values = made ? tsr_data(initial) : NULL;
    if (values) memcpy(entry->tensor->storage->data, values, entry->tensor->storage->bytes);
    return entry->tensor;
}

tsr_tensor *tsr_parameter_init(tsr_model *m, const char *name, tsr_shape shape, const tsr_init *init)
{
    const tsr_init zeros = {.kind = TSR_INIT_CONSTANT};
    return tsr_find_tensor(m, &(tsr_request){.name = name, .shape = &shape, .init = init ? init : &zeros});
}

tsr_tensor *tsr_buffer(tsr_model *m, const char *name, tsr_shape shape, double value)
{
    const tsr_init init = {.kind = TSR_INIT_CONSTANT, .value = value};
    return tsr_find_tensor(m, &(tsr_request){.name = name, .shape = &shape, .is_buffer = true, .init = &init});
}

void tsr_freeze(tsr_model *m, const char *prefix, bool frozen)
{
    if (!m || m->ctx->failed) return;
    tsr_rule *rule = tsr_allocate(m->ctx, sizeof *rule, "a freeze");
    if (!rule) return;
    *rule = (tsr_rule){.prefix = tsr_copy_text(m->ctx, prefix ? prefix : ""), .frozen = frozen};
    if (!rule->prefix || !tsr_list_add(m->ctx, &m->rules, rule)) {
        tsr_free_text(m->ctx, rule->prefix);
        tsr_release(m->ctx, rule, sizeof *rule);
        return;
    }
    for (int i = 0; i < m->entries.count; i++) {
        tsr_entry *entry = m->entries.items[i];
        if (entry->is_parameter) entry->tensor->needs_grad = !is_frozen(m, entry->name);
        if (!entry->tensor->needs_grad) tsr_zero_grad(entry->tensor);
    }
}

/* ---- what is there ----------------------------------------------------------------------------------------------- */

int tsr_model_count(const tsr_model *m)
{
    return m ? m->entries.count : 0;
}

static tsr_entry *model_entry_at(const tsr_model *m, int i)
{
    return i < 0 || i >= tsr_model_count(m) ? NULL : m->entries.items[i];
}

const char *tsr_model_name(const tsr_model *m, int i)
{
    const tsr_entry *entry = model_entry_at(m, i);
    return entry ? entry->name : NULL;
}

tsr_tensor *tsr_model_tensor(const tsr_model *m, int i)
{
    const tsr_entry *entry = model_entry_at(m, i);
    return entry ? entry->tensor : NULL;
}

bool tsr_model_is_parameter(const tsr_model *m, int i)
{
    const tsr_entry *entry = model_entry_at(m, i);
    return entry && entry->is_parameter;
}

int tsr_model_find(const tsr_model *m, const char *name)
{
    for (int i = 0; name && i < tsr_model_count(m); i++)
        if (strcmp(model_entry_at(m, i)->name, name) == 0) return i;
    return -1;
}

int64_t tsr_parameter_count(const tsr_model *m)
{
    int64_t count = 0;
    for (int i = 0; i < tsr_model_count(m); i++)
        if (model_entry_at(m, i)->is_parameter) count += model_entry_at(m, i)->tensor->size;
    return count;
}
