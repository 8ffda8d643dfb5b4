/* The table of a network, made by running it once. */
#include "nn/nn_internal.h"

#include <string.h>

struct tsr_summary_state {
    FILE *out;
    double work; /* of the context, when the last layer ended */
    int64_t parameters;
};

/* "1,234,567" */
static tsr_text grouped(double number)
{
    char digits[64];
    tsr_text out = {""};
    const int length = snprintf(digits, sizeof digits, "%.0f", number);
    size_t k = 0;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) out.text[k++] = ',';
        out.text[k++] = digits[i];
    }
    out.text[k] = '\0';
    return out;
}

static void path_of(const tsr_part *part, char *text, size_t size)
{
    if (!part->parent) return;
    path_of(part->parent, text, size);
    const size_t used = strlen(text);
    snprintf(text + used, size - used, "%s%s", used ? "." : "", part->name);
}

void tsr_summary_add(tsr_model *m, const tsr_tensor *y)
{
    struct tsr_summary_state *s = m->summary;
    if (!s || m->ctx->failed) return;
    char name[128] = "";
    int64_t parameters = 0;
    bool shared = false;
    path_of(m->at, name, sizeof name);
    for (const tsr_part *part = m->at->children; part; part = part->next) {
        tsr_entry *entry = part->entry;
        if (!entry || !entry->is_parameter) continue;
        shared = shared || entry->summarised;
        if (!entry->summarised) parameters += entry->tensor->size;
        entry->summarised = true;
    }
    s->parameters += parameters;
    fprintf(s->out, "%-28s %-24s %14s %18s\n", name, tsr_shape_text(y->shape).text,
            shared ? "shared" : grouped((double)parameters).text, grouped(m->ctx->work - s->work).text);
    s->work = m->ctx->work;
}

bool tsr_summary(tsr_model *m, tsr_network net, tsr_tensor *x, FILE *out)
{
    if (!m || m->ctx->failed || tsr_is_error(x)) return false;
    const bool training = m->training;
    const double before = m->ctx->work;
    struct tsr_summary_state state = {.out = out, .work = before};
    for (int i = 0; i < m->entries.count; i++) ((tsr_entry *)m->entries.items[i])->summarised = false;
    fprintf(out, "%-28s %-24s %14s %18s\n", "layer", "result", "parameters", "multiply-adds");
    m->summary = &state;
    m->training = false;
    TSR_NO_GRAD(m->ctx) net(m, x);
    m->training = training;
    m->summary = NULL;
    fprintf(out, "%-28s %-24s %14s %18s\n", "total", tsr_shape_text(x->shape).text,
            grouped((double)state.parameters).text,
            grouped(m->ctx->work - before).text);
    return !m->ctx->failed;
}
