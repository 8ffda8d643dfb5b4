#include "apps/common/progress.h"
#include "apps/neurons/neurons.h"

#include <stdlib.h>
#include <string.h>

/* ---- which layers there are -------------------------------------------------------------------------------------- */

/* Whether a name is, or begins by whole parts with, one of those that were asked for. */
static bool is_wanted(const char *name, const char *wanted)
{
    for (const char *at = wanted; at;) {
        const size_t length = strcspn(at, ",");
        if (length > 0 && strncmp(name, at, length) == 0 && strchr(".:", name[length])) return true;
        at = at[length] ? at + length + 1 : NULL;
    }
    return !wanted;
}

typedef struct search {
    layers *out;
    const char *wanted;
    char last[80]; /* the layer before, by whose name ops without parameters go */
    int row;
} search;

static void add_layer(void *user, const tsr_trace_row *row)
{
    search *s = user;
    const int at = s->row++;
    const tsr_shape shape = tsr_shape_of(row->result);
    if (row->layer.text[0]) snprintf(s->last, sizeof s->last, "%.79s", row->layer.text);
    if (!row->rectified || shape.rank != 4 || s->out->count == MOST_LAYERS) return;
    layer *l = &s->out->items[s->out->count++];
    *l = (layer){.row = at, .height = (int)shape.dims[1], .width = (int)shape.dims[2], .channels = (int)shape.dims[3],
                 .field = row->field};
    snprintf(l->name, sizeof l->name, row->layer.text[0] ? "%s" : "%s:%.12s", s->last, row->op);
    l->wanted = is_wanted(l->name, s->wanted);
}

bool layers_find(layers *out, const subject *s, const char *wanted, app_error *error)
{
    tsr_context *ctx = tsr_model_context(s->m);
    search job = {.out = out, .wanted = wanted};
    int count = 0;
    out->count = 0;
    TSR_SCOPE(ctx) {
        tsr_tensor *x = tsr_watch(tsr_zeros(ctx, TSR_SHAPE(1, s->size, s->size, s->channels)));
        s->net(s->m, x);
        if (!tsr_error(ctx)) tsr_trace(x, add_layer, &job);
    }
    if (tsr_error(ctx) || !tsr_check_claimed(s->m)) return app_fail(error, "%s", tsr_error(ctx));
    for (int i = 0; i < out->count; i++) {
        layer *l = &out->items[i];
        count += l->wanted;
        l->units = l->wanted ? calloc((size_t)l->channels, sizeof *l->units) : NULL;
        if (l->wanted && !l->units) return app_fail(error, "out of memory");
    }
    return count > 0 ||
           app_fail(error, "there is no layer \"%.100s\"; neurons fields lists them", wanted ? wanted : "");
}

void layers_free(layers *l)
{
    for (int i = 0; i < l->count; i++) free(l->items[i].units);
    l->count = 0;
}

int layer_alive(const layer *l)
{
    int alive = 0;
    for (int c = 0; c < l->channels; c++) alive += l->units[c].count > 0;
    return alive;
}

void field_box(const layer *l, int row, int column, int size, int box[4])
{
    const int at[2] = {column, row};
    for (int i = 0; i < 2; i++) {
        const int axis = 1 - i; /* x is the second axis of the map */
        int64_t begin = l->field.start[axis] + at[i] * l->field.stride[axis], end = begin + l->field.size[axis];
        if (begin < l->field.begin[axis]) begin = l->field.begin[axis];
        if (end > l->field.end[axis]) end = l->field.end[axis];
        if (l->field.whole) begin = 0, end = size;
        box[i] = (int)begin;
        box[2 + i] = (int)(end - begin);
    }
}

/* ---- showing pictures -------------------------------------------------------------------------------------------- */

enum { BATCH = 8 };

typedef struct look {
    layers *l;
    const scene *where;
    int count, row;
} look;

static void keep(unit *u, const finding *found)
{
    if (u->count == NINE && found->value <= u->best[NINE - 1].value) return;
    int at = u->count < NINE ? u->count++ : NINE - 1;
    for (; at > 0 && u->best[at - 1].value < found->value; at--) u->best[at] = u->best[at - 1];
    u->best[at] = *found;
}

/* The largest value of each channel of one sample, the first of equal ones. */
static void look_at_sample(layer *l, const tsr_real *y, scene where)
{
    enum { TOGETHER = 64 }; /* channels: neighbours in memory */
    for (int first = 0; first < l->channels; first += TOGETHER) {
        const int count = l->channels - first < TOGETHER ? l->channels - first : TOGETHER;
        tsr_real most[TOGETHER] = {0};
        int at[TOGETHER] = {0};
        for (int i = 0; i < l->height * l->width; i++)
            for (int c = 0; c < count; c++) {
                const tsr_real value = y[(ptrdiff_t)i * l->channels + first + c];
                at[c] = value > most[c] ? i : at[c];
                most[c] = value > most[c] ? value : most[c];
            }
        for (int c = 0; c < count; c++)
            if (most[c] > 0)
                keep(&l->units[first + c], &(finding){(double)most[c], where, at[c] / l->width, at[c] % l->width});
    }
}

static void look_at(void *user, const tsr_trace_row *row)
{
    look *job = user;
    layer *l = NULL;
    for (int i = 0; i < job->l->count && !l; i++)
        if (job->l->items[i].row == job->row && job->l->items[i].wanted) l = &job->l->items[i];
    job->row++;
    if (!l) return;
    const tsr_real *y = tsr_data(row->result);
    for (int n = 0; n < job->count; n++)
        look_at_sample(l, y + (ptrdiff_t)n * l->height * l->width * l->channels, job->where[n]);
}

bool layers_gather(layers *l, const subject *s, scenes *from, const char *program, app_error *error)
{
    const size_t bytes = (size_t)s->size * (size_t)s->size * (size_t)s->channels;
    tsr_context *ctx = tsr_model_context(s->m);
    unsigned char *squares = malloc(BATCH * bytes);
    if (!squares) return app_fail(error, "out of memory");
    progress p;
    if (program) progress_start(&p, program, "pictures", 0, from->count);
    scene where[BATCH];
    for (int count = BATCH; count == BATCH && !tsr_error(ctx);) {
        count = 0;
        while (count < BATCH && scenes_next(from, &where[count], squares + (size_t)count * bytes)) count++;
        if (count == 0) break;
        TSR_SCOPE(ctx) {
            look job = {.l = l, .where = where, .count = count};
            tsr_tensor *x = subject_input(s, squares, count);
            s->net(s->m, x);
            if (!tsr_error(ctx)) tsr_trace(x, look_at, &job);
        }
        if (program) progress_show(&p, from->file, NULL);
    }
    if (program) progress_end(&p);
    free(squares);
    if (tsr_error(ctx)) return app_fail(error, "%s", tsr_error(ctx));
    return from->seen > 0 || app_fail(error, "%s", from->first_broken);
}
