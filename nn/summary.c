/* The table of a network, made by running it once. */
#include "nn/nn_internal.h"

#include <string.h>

struct tsr_summary_state {
    void (*row)(void *user, const tsr_summary_row *row);
    void *user;
    double work; /* of the context, when the last layer ended */
};

static void path_of(const tsr_part *part, char *text, size_t size)
{
    if (!part->parent) return;
    path_of(part->parent, text, size);
    const size_t used = strlen(text);
    snprintf(text + used, size - used, "%s%s", used ? "." : "", part->name);
}

/* Its values, the first time it is met. */
static int64_t first_size(tsr_entry *entry)
{
    if (!entry || !entry->is_parameter || entry->summarised) return 0;
    entry->summarised = true;
    return entry->tensor->size;
}

static void tell(tsr_model *m, tsr_summary_row *row)
{
    struct tsr_summary_state *s = m->summary;
    row->multiply_adds = m->ctx->work - s->work;
    s->work = m->ctx->work;
    s->row(s->user, row);
}

void tsr_summary_add(tsr_model *m, const tsr_tensor *y)
{
    if (!m->summary || m->ctx->failed) return;
    char name[128] = "";
    tsr_summary_row row = {.name = name, .shape = y->shape};
    path_of(m->at, name, sizeof name);
    for (const tsr_part *part = m->at->children; part; part = part->next) {
        row.shared = row.shared || (part->entry && part->entry->is_parameter && part->entry->summarised);
        row.parameters += first_size(part->entry);
    }
    tell(m, &row);
}

bool tsr_summary_rows(tsr_model *m, tsr_network net, tsr_tensor *x, void (*row)(void *user, const tsr_summary_row *row),
                      void *user)
{
    if (!m || m->ctx->failed) return false;
    if (!net || !row || tsr_is_error(x) || !x->storage) {
        tsr_fail(m->ctx, "summary: the network, its input or where to tell the rows is NULL or spent");
        return false;
    }
    const bool training = m->training;
    struct tsr_summary_state state = {.row = row, .user = user, .work = m->ctx->work};
    for (int i = 0; i < m->entries.count; i++) ((tsr_entry *)m->entries.items[i])->summarised = false;
    m->summary = &state;
    m->training = false;
    TSR_NO_GRAD(m->ctx) {
        const tsr_tensor *y = net(m, x);
        tsr_summary_row rest = {.name = "outside layers", .shape = tsr_shape_of(y)};
        for (int i = 0; i < m->entries.count; i++) rest.parameters += first_size(m->entries.items[i]);
        if (!m->ctx->failed && (rest.parameters > 0 || m->ctx->work > state.work)) tell(m, &rest);
    }
    m->training = training;
    m->summary = NULL;
    return !m->ctx->failed;
}

/* ---- the table ------------------------------------------------------------------------------------------------- */

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

typedef struct summary_table {
    FILE *out;
    double parameters, multiply_adds;
} summary_table;

static void print_row(void *user, const tsr_summary_row *row)
{
    summary_table *t = user;
    t->parameters += (double)row->parameters;
    t->multiply_adds += row->multiply_adds;
    fprintf(t->out, "%-28s %-24s %14s %18s\n", row->name, tsr_shape_text(row->shape).text,
            row->shared ? "shared" : grouped((double)row->parameters).text, grouped(row->multiply_adds).text);
}

bool tsr_summary(tsr_model *m, tsr_network net, tsr_tensor *x, FILE *out)
{
    if (!m || m->ctx->failed) return false;
    if (!out) {
        tsr_fail(m->ctx, "summary: the file is NULL");
        return false;
    }
    summary_table t = {.out = out};
    fprintf(out, "%-28s %-24s %14s %18s\n", "layer", "result", "parameters", "multiply-adds");
    const bool done = tsr_summary_rows(m, net, x, print_row, &t);
    fprintf(out, "%-28s %-24s %14s %18s\n", "total", tsr_shape_text(tsr_shape_of(x)).text, grouped(t.parameters).text,
            grouped(t.multiply_adds).text);
    return done;
}
