#include "ops/patches.h"

#include <string.h>

/* Lines of a padded image are not multiples of this many values: they would fall into the same few sets of the cache. */
enum { UNEVEN = 1024 / sizeof(tsr_real) };

/* ---- padding ------------------------------------------------------------------------------------------- */

void tsr_margin_widen(tsr_margin *m, const tsr_reach *axes)
{
    for (int i = 0; i < 3; i++) {
        const tsr_reach *a = &axes[i];
        if (a->positions < 1 || a->taps < 1) continue;
        const int64_t after = a->first + (a->positions - 1) * a->step + (a->taps - 1) * a->gap - (a->in - 1);
        if (-a->first > m->before[i]) m->before[i] = -a->first;
        if (after > m->after[i]) m->after[i] = after;
    }
}

typedef struct pad_job {
    const tsr_patches *p;
    const tsr_margin *m;
    int64_t length[3], pixel;
    tsr_real *out;
} pad_job;

static void pad_body(void *user, int64_t begin, int64_t end)
{
    const pad_job *job = user;
    const tsr_reach *axes = job->p->axes;
    const int64_t before = job->m->before[2] * job->pixel, inside = axes[2].in * job->pixel;
    const int64_t after = job->m->after[2] * job->pixel, size = before + inside + after;
    for (int64_t line = begin; line < end; line++) {
        const int64_t n = line / (job->length[0] * job->length[1]);
        const int64_t i0 = line / job->length[1] % job->length[0] - job->m->before[0];
        const int64_t i1 = line % job->length[1] - job->m->before[1];
        tsr_real *to = job->out + line * size;
        if (i0 < 0 || i0 >= axes[0].in || i1 < 0 || i1 >= axes[1].in) {
            memset(to, 0, (size_t)size * sizeof *to);
            continue;
        }
        memset(to, 0, (size_t)before * sizeof *to);
        memcpy(to + before, job->p->image + ((n * axes[0].in + i0) * axes[1].in + i1) * inside,
               (size_t)inside * sizeof *to);
        memset(to + before + inside, 0, (size_t)after * sizeof *to);
    }
}

const tsr_real *tsr_patches_pad(tsr_node *n, const tsr_patches *p, tsr_margin *m)
{
    pad_job job = {.p = p, .m = m, .pixel = p->groups * p->channels};
    bool none = true;
    for (int i = 0; i < 3; i++) {
        none = none && m->before[i] == 0 && m->after[i] == 0;
        job.length[i] = p->axes[i].in + m->before[i] + m->after[i];
    }
    if (none) return p->image;
    while (job.length[2] * job.pixel % UNEVEN == 0 && job.pixel % UNEVEN != 0) m->after[2]++, job.length[2]++;
    const int64_t lines = p->images * job.length[0] * job.length[1], line = job.length[2] * job.pixel;
    job.out = tsr_scratch(n, (size_t)(lines * line) * sizeof *job.out);
    if (job.out) tsr_parallel(tsr_node_context(n), lines, tsr_grain((double)line), pad_body, &job);
    return job.out;
}

void tsr_patches_place(tsr_patches *p, const tsr_margin *m)
{
    p->grid.pixel = p->groups * p->channels;
    for (int i = 0; i < 3; i++) {
        p->grid.length[i] = p->axes[i].in + m->before[i] + m->after[i];
        p->grid.first[i] = p->axes[i].first + m->before[i];
        p->grid.step[i] = p->axes[i].step;
    }
}

void tsr_patches_of(const tsr_conv_geometry *c, tsr_patches *p, tsr_margin *margin)
{
    *p = (tsr_patches){.images = c->batch, .groups = c->groups, .channels = c->in_channels / c->groups};
    for (int i = 0; i < 3; i++) {
        const tsr_window *w = &c->axes[i];
        p->axes[i] = (tsr_reach){.in = w->in, .positions = w->out, .step = w->stride, .taps = w->kernel,
                                 .first = -w->before, .gap = w->dilation};
    }
    *margin = (tsr_margin){{0}, {0}};
    tsr_margin_widen(margin, p->axes);
}

static int64_t common_divisor(int64_t a, int64_t b)
{
    while (b != 0) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

tsr_phase tsr_phase_of(const tsr_window *w, int64_t first)
{
    const int64_t divisor = common_divisor(w->stride, w->dilation);
    tsr_phase f = {.first = first,
               .apart = w->stride / divisor,
               .reach = {.in = w->out,
                         .positions = (w->in - first - 1) / w->stride + 1,
                         .step = 1,
                         .gap = w->dilation / divisor}};
    for (int64_t k = 0; k < w->kernel && k < f.apart; k++) {
        if ((first + w->before - k * w->dilation) % w->stride != 0) continue;
        f.reach.taps = (w->kernel - 1 - k) / f.apart + 1;
        f.last = k + (f.reach.taps - 1) * f.apart;
        f.reach.first = (first + w->before - f.last * w->dilation) / w->stride;
    }
    return f;
}

/* ---- places -------------------------------------------------------------------------------------------- */

int64_t tsr_patches_count(const tsr_patches *p)
{
    return p->images * p->axes[0].positions * p->axes[1].positions * p->axes[2].positions;
}

int64_t tsr_patches_depth(const tsr_patches *p)
{
    return p->axes[0].taps * p->axes[1].taps * p->axes[2].taps * p->channels;
}

void tsr_patches_offsets(const tsr_patches *p, const tsr_grid *grid, int64_t first, int64_t count, int64_t *offsets)
{
    const int64_t *length = grid->length, image = length[0] * length[1] * length[2] * grid->pixel;
    const int64_t run = p->by_image ? p->images : p->axes[2].positions; /* whose places are one step apart */
    const int64_t step = p->by_image ? image : grid->step[2] * grid->pixel;
    for (int64_t i = 0; i < count;) {
        int64_t rest = (first + i) / run, n = 0, at[3] = {0};
        const int64_t within = (first + i) % run, end = count - i < run - within ? count : i + run - within;
        for (int axis = p->by_image ? 2 : 1; axis >= 0; axis--) {
            at[axis] = rest % p->axes[axis].positions;
            rest /= p->axes[axis].positions;
        }
        if (!p->by_image) n = rest;
        int64_t pixel = n;
        for (int axis = 0; axis < 3; axis++)
            pixel = pixel * length[axis] + grid->first[axis] + at[axis] * grid->step[axis];
        for (int64_t here = pixel * grid->pixel + within * step; i < end; i++, here += step) offsets[i] = here;
    }
}

const int64_t *tsr_patches_values(tsr_node *n, const tsr_patches *p, int64_t together)
{
    const tsr_reach *a = p->axes;
    const int64_t *length = p->grid.length, pixel = p->grid.pixel;
    int64_t *offsets = tsr_scratch(n, (size_t)(tsr_patches_depth(p) + 1) * sizeof *offsets), *to = offsets;
    for (int64_t j0 = 0; to && j0 < a[0].taps; j0++)
        for (int64_t j1 = 0; j1 < a[1].taps; j1++)
            for (int64_t j2 = 0; j2 < a[2].taps; j2++)
                for (int64_t c = 0; c < p->channels; c += together)
                    *to++ = ((j0 * a[0].gap * length[1] + j1 * a[1].gap) * length[2] + j2 * a[2].gap) * pixel +
                            (c < p->channels - together ? c : p->channels - together);
    return offsets;
}

/* ---- panels and tiles ---------------------------------------------------------------------------------- */

int64_t tsr_panel_count(const tsr_kernels *k, int64_t columns)
{
    return (columns + k->lanes * k->gather_vectors - 1) / (k->lanes * k->gather_vectors);
}

tsr_panel tsr_panel_of(const tsr_kernels *k, int64_t columns, int64_t panel)
{
    const int64_t vectors = (columns + k->lanes - 1) / k->lanes, panels = tsr_panel_count(k, columns);
    const int64_t least = vectors / panels, wider = vectors % panels;
    tsr_panel p = {.column = (panel * least + (panel < wider ? panel : wider)) * k->lanes,
                   .vectors = (int)(least + (panel < wider))};
    p.columns = p.vectors * k->lanes < columns - p.column ? p.vectors * k->lanes : columns - p.column;
    return p;
}

void tsr_gather_tile(const tsr_kernels *k, const tsr_gathered *t, int rows, int64_t columns)
{
    const int width = t->dots ? t->vectors : t->vectors * k->lanes;
    if (columns == width && rows == k->gather_rows) {
        k->gather(t);
        return;
    }
    _Alignas(64) tsr_real local[TSR_GATHER_ROWS * TSR_GATHER_WIDTH];
    tsr_real *beside[TSR_GATHER_ROWS];
    for (int i = 0; i < k->gather_rows; i++) beside[i] = local + i * width;
    tsr_gathered whole = *t;
    whole.c = beside;
    whole.column = 0;
    whole.bias = NULL;
    whole.accumulate = whole.relu = false;
    k->gather(&whole);
    for (int i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) {
            tsr_real v = beside[i][j];
            tsr_real *c = t->c[i] + t->column + j;
            if (t->accumulate) v += *c;
            if (t->bias) v += t->bias[j];
            *c = t->relu && v < 0 ? 0 : v;
        }
}

static inline void copy_rows(const tsr_real *from, int64_t stride, int64_t rows, tsr_real *out, const int width)
{
    for (int64_t i = 0; i < rows; i++, from += stride, out += width) memcpy(out, from, (size_t)width * sizeof *out);
}

void tsr_pack_panel(const tsr_real *from, int64_t stride, int64_t rows, const tsr_panel *panel, int width,
                    tsr_real *out)
{
    switch (panel->columns == width ? width : 0) { /* constants make the copies straight */
    case 8: copy_rows(from, stride, rows, out, 8); return;
    case 16: copy_rows(from, stride, rows, out, 16); return;
    case 32: copy_rows(from, stride, rows, out, 32); return;
    }
    for (int64_t i = 0; i < rows; i++, from += stride, out += width) {
        for (int64_t j = 0; j < panel->columns; j++) out[j] = from[j];
        for (int64_t j = panel->columns; j < width; j++) out[j] = 0;
    }
}

void tsr_gather_values(const tsr_kernels *k, const tsr_gathered *t, const int64_t *values, const tsr_real *image,
                       const tsr_values_place *at)
{
    const tsr_real *rows[TSR_GATHER_ROWS];
    tsr_real *places[TSR_GATHER_ROWS];
    tsr_gathered tile = *t;
    tile.rows = rows;
    tile.c = places;
    for (int64_t i = at->begin; i < at->end; i += k->gather_rows) {
        const int count = (int)(at->end - i < k->gather_rows ? at->end - i : k->gather_rows);
        for (int r = 0; r < k->gather_rows; r++) {
            rows[r] = image + values[r < count ? i + r : i];
            places[r] = at->out + (i + r) * at->stride;
        }
        tsr_gather_tile(k, &tile, count, at->columns);
    }
}
