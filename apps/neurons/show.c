#include "apps/neurons/neurons.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 8 };

static int by_scene(const void *a, const void *b)
{
    const exhibit *p = *(exhibit *const *)a, *q = *(exhibit *const *)b;
    if (p->found.where.file != q->found.where.file) return p->found.where.file < q->found.where.file ? -1 : 1;
    if (p->found.where.crop != q->found.where.crop) return p->found.where.crop < q->found.where.crop ? -1 : 1;
    return p < q ? -1 : 1; /* of one array */
}

/* A reconstruction as a picture: 0 is grey, three times its deviation from 0 within the field black or white. */
static bool picture_of(exhibit *e, const layer *l, const subject *s, const tsr_real *values, app_error *error)
{
    int box[4];
    double sum = 0;
    if (!image_new(&e->reconstruction, s->size, s->size, s->channels, error)) return false;
    field_box(l, e->found.row, e->found.column, s->size, box);
    for (int y = box[1]; y < box[1] + box[3]; y++)
        for (int i = box[0] * s->channels; i < (box[0] + box[2]) * s->channels; i++) {
            const double v = (double)values[(ptrdiff_t)y * s->size * s->channels + i];
            sum += v * v;
        }
    const double deviation = sqrt(sum / ((double)box[2] * box[3] * s->channels));
    for (int i = 0; i < s->size * s->size * s->channels; i++) {
        const int c = i % s->channels, from = s->bgr ? i - c + 2 - c : i;
        const double v = deviation > 0 ? 128 + 127 * (double)values[from] / (3 * deviation) : 128;
        e->reconstruction.pixels[i] = (unsigned char)(v < 0 ? 0 : v > 255 ? 255 : v + 0.5);
    }
    return true;
}

typedef struct seek {
    int row;
    const tsr_tensor *result;
    tsr_tensor *found;
} seek;

static void seek_row(void *user, const tsr_trace_row *row)
{
    seek *s = user;
    if (s->row-- == 0) s->found = row->result;
}

/* A few, each in a sample of its own: the unit's value alone, brought back to the picture. */
static bool make_batch(exhibit *const *items, int count, const layer *l, const subject *s, app_error *error)
{
    const size_t bytes = (size_t)s->size * (size_t)s->size * (size_t)s->channels;
    tsr_context *ctx = tsr_model_context(s->m);
    unsigned char *squares = malloc((size_t)count * bytes);
    bool done = squares != NULL || app_fail(error, "out of memory");
    for (int i = 0; done && i < count; i++) memcpy(squares + (size_t)i * bytes, items[i]->square.pixels, bytes);
    if (done) TSR_SCOPE(ctx) {
        seek job = {.row = l->row};
        tsr_tensor *x = subject_input(s, squares, count);
        s->net(s->m, x);
        if (tsr_error(ctx) || !tsr_trace(x, seek_row, &job)) break;
        tsr_tensor *only = tsr_zeros(ctx, tsr_shape_of(job.found));
        tsr_real *to = tsr_write(only);
        for (int i = 0; to && i < count; i++) {
            const finding *f = &items[i]->found;
            to[(((ptrdiff_t)i * l->height + f->row) * l->width + f->column) * l->channels + items[i]->unit] =
                (tsr_real)f->value;
        }
        if (!tsr_deconvnet_from(job.found, only)) break;
        const tsr_real *back = tsr_data(tsr_grad(x));
        for (int i = 0; done && back && i < count; i++)
            done = picture_of(items[i], l, s, back + (size_t)i * bytes, error);
    }
    free(squares);
    return done && (!tsr_error(ctx) || app_fail(error, "%s", tsr_error(ctx)));
}

bool exhibits_make(exhibit *items, int count, const layer *l, const subject *s, scenes *from, app_error *error)
{
    exhibit **order = malloc((size_t)count * sizeof *order);
    bool done = order != NULL || app_fail(error, "out of memory");
    for (int i = 0; done && i < count; i++) order[i] = &items[i];
    if (done) qsort(order, (size_t)count, sizeof *order, by_scene); /* so that no picture is read twice */
    for (int i = 0; done && i < count; i++)
        done = image_new(&order[i]->square, s->size, s->size, s->channels, error) &&
               scenes_again(from, order[i]->found.where, order[i]->square.pixels, error);
    for (int i = 0; done && i < count; i += BATCH)
        done = make_batch(order + i, count - i < BATCH ? count - i : BATCH, l, s, error);
    free(order);
    return done;
}

void exhibits_free(exhibit *items, int count)
{
    for (int i = 0; i < count; i++) {
        image_free(&items[i].square);
        image_free(&items[i].reconstruction);
    }
}
