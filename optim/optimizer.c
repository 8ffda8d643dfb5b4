/* What all optimizers share: slots, groups, the step, clipping. */
#include "optim/optim_internal.h"
#include "ops/ops_internal.h"

#include <math.h>
#include <string.h>

tsr_optimizer *tsr_optimizer_new(tsr_model *m, const tsr_update_rule *rule, tsr_update numbers)
{
    if (!m || m->ctx->failed) return NULL;
    tsr_optimizer *opt = tsr_allocate(m->ctx, sizeof *opt, "an optimizer");
    if (!opt) return NULL;
    *opt = (tsr_optimizer){.ctx = m->ctx, .m = m, .rule = rule, .numbers = numbers};
    return opt;
}

static void free_slot(tsr_context *ctx, tsr_slot *slot)
{
    for (int k = 0; k < TSR_MOST_STATES; k++)
        if (slot->states[k]) tsr_tensor_free(slot->states[k]);
    tsr_release(ctx, slot, sizeof *slot);
}

void tsr_optimizer_forget(tsr_optimizer *opt)
{
    tsr_context *ctx = opt->ctx;
    for (int i = 0; i < opt->slots.count; i++) free_slot(ctx, opt->slots.items[i]);
    for (int i = 0; i < opt->waiting.count; i++) {
        tsr_waiting *waiting = opt->waiting.items[i];
        if (waiting->tensor) tsr_tensor_free(waiting->tensor);
        tsr_free_text(ctx, waiting->name);
        tsr_release(ctx, waiting, sizeof *waiting);
    }
    for (int i = 0; i < opt->counts.count; i++) {
        tsr_count_of *count = opt->counts.items[i];
        tsr_free_text(ctx, count->name);
        tsr_release(ctx, count, sizeof *count);
    }
    opt->slots.count = opt->waiting.count = opt->counts.count = 0;
}

void tsr_optimizer_free(tsr_optimizer *opt)
{
    if (!opt) return;
    tsr_context *ctx = opt->ctx;
    if (opt->lbfgs) tsr_lbfgs_free(opt);
    tsr_optimizer_forget(opt);
    for (int i = 0; i < opt->groups.count; i++) {
        tsr_group_rule *group = opt->groups.items[i];
        tsr_free_text(ctx, group->prefix);
        tsr_release(ctx, group, sizeof *group);
    }
    tsr_list_free(ctx, &opt->slots);
    tsr_list_free(ctx, &opt->groups);
    tsr_list_free(ctx, &opt->waiting);
    tsr_list_free(ctx, &opt->counts);
    tsr_release(ctx, opt, sizeof *opt);
}

double tsr_learning_rate(const tsr_optimizer *opt)
{
    return opt ? opt->numbers.lr : NAN;
}

void tsr_set_learning_rate(tsr_optimizer *opt, double lr)
{
    if (!opt) return;
    if (lr >= 0 && lr < HUGE_VAL) opt->numbers.lr = lr;
    else tsr_fail(opt->ctx, "%s: lr = %g; it must be a number of at least 0", opt->rule->name, lr);
}

/* ---- groups and slots -------------------------------------------------------------------------------------------- */

static void apply_groups(const tsr_optimizer *opt, tsr_slot *slot)
{
    slot->lr_scale = 1;
    slot->weight_decay = opt->numbers.weight_decay;
    for (int i = 0; i < opt->groups.count; i++) {
        const tsr_group_rule *group = opt->groups.items[i];
        if (!tsr_has_prefix(slot->entry->name, group->prefix)) continue;
        slot->lr_scale = tsr_default_double(group->options.lr_scale, 1);
        slot->weight_decay = tsr_default_double(group->options.weight_decay, opt->numbers.weight_decay);
    }
}

void tsr_group(tsr_optimizer *opt, const char *prefix, const tsr_group_options *options)
{
    if (!opt || opt->ctx->failed) return;
    const double scale = options ? tsr_default_double(options->lr_scale, 1) : 1;
    const double decay = options ? tsr_default_double(options->weight_decay, 0) : 0;
    if (!(scale >= 0 && scale < HUGE_VAL && decay >= 0 && decay < HUGE_VAL)) {
        tsr_fail(opt->ctx, "group: lr_scale = %g, weight_decay = %g; both must be numbers of at least 0", scale, decay);
        return;
    }
    tsr_group_rule *group = tsr_allocate(opt->ctx, sizeof *group, "a group");
    if (!group) return;
    group->prefix = tsr_copy_text(opt->ctx, prefix ? prefix : "");
    if (options) group->options = *options;
    if (!group->prefix || !tsr_list_add(opt->ctx, &opt->groups, group)) {
        tsr_free_text(opt->ctx, group->prefix);
        tsr_release(opt->ctx, group, sizeof *group);
        return;
    }
    for (int i = 0; i < opt->slots.count; i++) apply_groups(opt, opt->slots.items[i]);
}

/* A state that a checkpoint brought for this parameter: true if there was one. */
static bool take_waiting(tsr_optimizer *opt, tsr_slot *slot, int k)
{
    for (int i = 0; i < opt->waiting.count; i++) {
        tsr_waiting *waiting = opt->waiting.items[i];
        const char *colon = strchr(waiting->name, ':'); /* STATE:PARAMETER */
        const size_t length = (size_t)(colon - waiting->name);
        if (!waiting->tensor || strcmp(colon + 1, slot->entry->name) != 0) continue;
        if (strncmp(waiting->name, opt->rule->state_names[k], length) != 0 ||
            opt->rule->state_names[k][length]) continue;
        if (!tsr_same_shape(waiting->tensor->shape, slot->entry->tensor->shape)) {
            tsr_fail(opt->ctx, "checkpoint: optimizer state %s is %s, its parameter %s", waiting->name,
                     tsr_shape_text(waiting->tensor->shape).text, tsr_shape_text(slot->entry->tensor->shape).text);
            return false;
        }
        slot->states[k] = waiting->tensor;
        waiting->tensor = NULL;
        return true;
    }
    return false;
}

static tsr_slot *new_slot(tsr_optimizer *opt, tsr_entry *entry)
{
    tsr_context *ctx = opt->ctx;
    tsr_slot *slot = tsr_allocate(ctx, sizeof *slot, "optimizer state");
    if (!slot) return NULL;
    slot->entry = entry;
    apply_groups(opt, slot);
    for (int i = 0; i < opt->counts.count; i++) {
        const tsr_count_of *count = opt->counts.items[i];
        if (strcmp(count->name, entry->name) == 0) slot->t = count->t;
    }
    for (int k = 0; k < opt->rule->state_count && entry->is_parameter; k++) {
        if (take_waiting(opt, slot, k) || ctx->failed) continue;
        slot->states[k] = tsr_tensor_empty(ctx, &entry->tensor->shape, "optimizer state");
        if (!slot->states[k]) break;
        tsr_tensor_own(slot->states[k]);
        memset(slot->states[k]->storage->data, 0, slot->states[k]->storage->bytes);
    }
    if (!ctx->failed) return slot;
    free_slot(ctx, slot);
    return NULL;
}

bool tsr_optimizer_catch_up(tsr_optimizer *opt)
{
    while (opt->slots.count < opt->m->entries.count) {
        tsr_slot *slot = new_slot(opt, opt->m->entries.items[opt->slots.count]);
        if (!slot) return false;
        if (!tsr_list_add(opt->ctx, &opt->slots, slot)) {
            free_slot(opt->ctx, slot);
            return false;
        }
    }
    return true;
}

/* ---- the step ---------------------------------------------------------------------------------------------------- */

/* Works on values [begin, end) of what has the i-th gradient; false: something is wrong with them. */
typedef bool (*values_body)(void *user, int i, int64_t begin, int64_t end);

enum { MOST_PIECES = 256, PIECE = 32768 };

typedef struct values_job {
    void **entries;
    int count;
    int64_t piece;
    values_body body;
    void *user;
    bool wrong[MOST_PIECES];
} values_job;

static void values_piece(void *user, int64_t begin, int64_t end)
{
    values_job *job = user;
    int i = 0, past = job->count; /* the last one that does not begin after `begin` */
    while (past - i > 1) {
        const int middle = (i + past) / 2;
        if (((tsr_entry *)job->entries[middle])->begin <= begin) i = middle;
        else past = middle;
    }
    bool good = true;
    for (; i < job->count; i++) {
        const tsr_entry *entry = job->entries[i];
        if (entry->begin >= end) break;
        if (!entry->tensor->gradient) continue;
        const int64_t from = begin > entry->begin ? begin - entry->begin : 0, to = end - entry->begin;
        good &= job->body(job->user, i, from, to < entry->tensor->size ? to : entry->tensor->size);
    }
    job->wrong[begin / job->piece] = !good;
}

/* All gradients of a model in one parallel pass, as if they lay end to end. Returns false where a body did. */
static bool for_each_gradient(tsr_model *m, values_body body, void *user)
{
    enum { EVEN = 64 }; /* pieces begin at multiples of it */
    values_job job;
    job.entries = m->entries.items;
    job.count = m->entries.count;
    job.body = body;
    job.user = user;
    int64_t total = 0;
    for (int i = 0; i < job.count; i++) {
        tsr_entry *entry = job.entries[i];
        entry->begin = total;
        if (entry->tensor->gradient) total += (entry->tensor->size + EVEN - 1) & -EVEN;
    }
    bool good = true;
    if (total <= PIECE) {
        for (int i = 0; i < job.count; i++) {
            const tsr_tensor *t = ((tsr_entry *)job.entries[i])->tensor;
            if (t->gradient) good &= body(user, i, 0, t->size);
        }
        return good;
    }
    job.piece = PIECE;
    if (total > (int64_t)PIECE * MOST_PIECES) job.piece = (total / EVEN / MOST_PIECES + 1) * EVEN;
    tsr_parallel(m->ctx, total, job.piece, values_piece, &job);
    for (int64_t piece = 0; piece * job.piece < total; piece++) good &= !job.wrong[piece];
    return good;
}

static bool finite_body(void *user, int i, int64_t begin, int64_t end)
{
    const tsr_model *m = user;
    const tsr_entry *entry = m->entries.items[i];
    return tsr_all_finite(entry->tensor->gradient->data + begin, end - begin);
}

bool tsr_check_gradients(tsr_model *m, const char *what)
{
    if (for_each_gradient(m, finite_body, m)) return true;
    for (int i = 0; i < m->entries.count; i++) {
        const tsr_entry *entry = m->entries.items[i];
        const tsr_storage *g = entry->tensor->gradient;
        if (!g || tsr_all_finite(g->data, entry->tensor->size)) continue;
        tsr_fail(m->ctx, "%s: the gradient of \"%s\" is not finite; nothing was changed", what, entry->name);
    }
    return false;
}

void tsr_zero_gradients(tsr_model *m)
{
    for (int i = 0; i < tsr_model_count(m); i++) tsr_zero_grad(tsr_model_tensor(m, i));
}

void tsr_count_step(tsr_context *ctx)
{
    ctx->step_count++;
    ctx->draw_count = 0;
}

static bool is_trained(const tsr_entry *entry)
{
    return entry->is_parameter && entry->tensor->needs_grad && entry->tensor->gradient;
}

static bool update_body(void *user, int i, int64_t begin, int64_t end)
{
    const tsr_optimizer *opt = user;
    const tsr_slot *slot = opt->slots.items[i];
    if (!is_trained(slot->entry)) return true;
    const tsr_tensor *p = slot->entry->tensor;
    tsr_update_job job = {.update = opt->numbers, .p = p->storage->data, .g = p->gradient->data};
    job.update.lr *= slot->lr_scale;
    job.update.weight_decay = slot->weight_decay;
    job.update.t = slot->t;
    for (int k = 0; k < opt->rule->state_count; k++) job.states[k] = slot->states[k]->storage->data;
    opt->rule->update[opt->ctx->kernels->level](&job, begin, end);
    return true;
}

bool tsr_step(tsr_optimizer *opt)
{
    if (!opt || opt->ctx->failed) return false;
    if (opt->lbfgs) {
        tsr_fail(opt->ctx, "step: L-BFGS evaluates the loss several times: use tsr_step_closure");
        return false;
    }
    if (opt->m->at->parent) {
        tsr_fail(opt->ctx, "step: tsr_enter(\"%s\") without tsr_leave", opt->m->at->name);
        return false;
    }
    if (!tsr_check_gradients(opt->m, "step") || !tsr_optimizer_catch_up(opt)) return false;
    for (int i = 0; i < opt->slots.count; i++) {
        tsr_slot *slot = opt->slots.items[i];
        if (!is_trained(slot->entry)) continue;
        slot->t++;
        slot->entry->tensor->storage->version++;
    }
    for_each_gradient(opt->m, update_body, opt);
    for (int i = 0; i < opt->slots.count; i++) {
        const tsr_entry *entry = ((tsr_slot *)opt->slots.items[i])->entry;
        if (is_trained(entry)) tsr_zero_grad(entry->tensor);
    }
    tsr_count_step(opt->ctx);
    return true;
}

/* ---- clipping ---------------------------------------------------------------------------------------------------- */

typedef struct clip_job {
    const tsr_model *m;
    tsr_real factor, most;
} clip_job;

static bool scale_body(void *user, int i, int64_t begin, int64_t end)
{
    const clip_job *job = user;
    tsr_real *g = tsr_model_tensor(job->m, i)->gradient->data;
    for (int64_t k = begin; k < end; k++) g[k] *= job->factor;
    return true;
}

static bool limit_body(void *user, int i, int64_t begin, int64_t end)
{
    const clip_job *job = user;
    tsr_real *g = tsr_model_tensor(job->m, i)->gradient->data;
    for (int64_t k = begin; k < end; k++) g[k] = g[k] > job->most ? job->most : g[k] < -job->most ? -job->most : g[k];
    return true;
}

static void clip(tsr_model *m, clip_job job, values_body body)
{
    for (int i = 0; i < m->entries.count; i++) tsr_write_gradient(tsr_model_tensor(m, i));
    job.m = m;
    if (!m->ctx->failed) for_each_gradient(m, body, &job);
}

double tsr_clip_norm(tsr_model *m, double most)
{
    double sum = 0;
    if (!m || m->ctx->failed) return NAN;
    if (!(most > 0)) {
        tsr_fail(m->ctx, "clip_norm: the largest norm is %g; it must be above 0", most);
        return NAN;
    }
    for (int i = 0; i < m->entries.count; i++) {
        const tsr_tensor *t = tsr_model_tensor(m, i);
        if (t->gradient) sum += tsr_dot(m->ctx, t->gradient->data, t->gradient->data, t->size);
    }
    const double norm = sqrt(sum), factor = most / (norm + 1e-6);
    if (factor < 1) clip(m, (clip_job){.factor = (tsr_real)factor}, scale_body);
    return norm;
}

void tsr_clip_value(tsr_model *m, double most)
{
    if (!m || m->ctx->failed) return;
    if (most >= 0) clip(m, (clip_job){.most = (tsr_real)most}, limit_body);
    else tsr_fail(m->ctx, "clip_value: the limit is %g; it must be at least 0", most);
}
