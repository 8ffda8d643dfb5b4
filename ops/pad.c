#include "ops/ops_internal.h"
#include "ops/resample.h"
#include "ops/strided.h"

/* Padding by a constant is a copy into the middle; reflecting and replicating are a choice of one input value
 * for each of the result along each padded axis, whose gradient adds up what was chosen more than once. */

/* Which input value stands at `position`, counted from the first one. */
static int64_t chosen(tsr_pad_mode mode, int64_t position, int64_t length)
{
    const int64_t last = length - 1;
    if (position < 0) return mode == TSR_PAD_REFLECT ? -position : 0;
    if (position > last) return mode == TSR_PAD_REFLECT ? 2 * last - position : last;
    return position;
}

static bool is_padded(const tsr_padding *p, int axis)
{
    return p->region.part.dims[axis] != p->region.whole.dims[axis];
}

/* One map for each axis from the first padded one to the last; what is before counts as batch, after as
 * channels. */
static bool make_maps(tsr_node *n, const tsr_padding *p, tsr_resampling *r)
{
    const tsr_shape in = p->region.part, out = p->region.whole;
    int first = 0, last = in.rank - 1;
    while (first < last && !is_padded(p, first)) first++;
    while (last > first && !is_padded(p, last)) last--;
    *r = (tsr_resampling){.rank = last - first + 1, .batch = 1, .channels = 1};
    for (int i = 0; i < first; i++) r->batch *= in.dims[i];
    for (int i = last + 1; i < in.rank; i++) r->channels *= in.dims[i];
    for (int i = first; i <= last; i++) {
        tsr_axis_map *map = &r->maps[i - first];
        if (!tsr_axis_map_new(n, map, in.dims[i], out.dims[i], out.dims[i])) return false;
        for (int64_t o = 0; o < map->out; o++) {
            tsr_axis_map_add(map, chosen(p->mode, o - p->region.begin[i], map->in), 1);
            tsr_axis_map_end(map);
        }
    }
    return true;
}

static void pad_backward(tsr_node *n)
{
    const tsr_padding *p = tsr_saved(n);
    const tsr_real *g = tsr_data(tsr_cotangent(n));
    tsr_real *gx = tsr_gradient(n, 0);
    tsr_resampling r, back;
    if (!gx || tsr_size(tsr_input(n, 0)) == 0) return;
    if (p->mode == TSR_PAD_CONSTANT) tsr_region_read(tsr_node_context(n), &p->region, g, gx);
    else if (make_maps(n, p, &r) && tsr_transpose_maps(n, &r, &back)) tsr_resample(n, &back, g, gx);
}

static const tsr_op pad_op = {.name = "pad", .backward = pad_backward};

/* Fills in the region of the result where x goes; NULL, or the error tensor. */
static tsr_tensor *read_pad_options(tsr_node *n, tsr_padding *p, const tsr_pad_options *options)
{
    const tsr_shape x = tsr_shape_of(tsr_input(n, 0));
    if (options->mode < TSR_PAD_CONSTANT || options->mode > TSR_PAD_REPLICATE)
        return tsr_reject(n, "mode %d, expected one of tsr_pad_mode", (int)options->mode);
    p->mode = x.rank > 0 ? options->mode : TSR_PAD_CONSTANT;
    p->region = (tsr_region){.whole = x, .part = x};
    for (int i = 0; i < TSR_MAX_RANK; i++) {
        const int before = options->before[i], after = options->after[i];
        if (before == 0 && after == 0) continue;
        if (i >= x.rank)
            return tsr_reject(n, "padding for axis %d, input %s has %d axes", i, tsr_shape_text(x).text,
                              x.rank);
        if (before < 0 || after < 0)
            return tsr_reject(n, "padding %d, %d of axis %d is negative", before, after, i);
        if (p->mode == TSR_PAD_REFLECT && (before >= x.dims[i] || after >= x.dims[i]))
            return tsr_reject(
                n, "reflecting %d, %d values at axis %d of input %s, expected fewer than its length", before,
                after, i, tsr_shape_text(x).text);
        if (p->mode == TSR_PAD_REPLICATE && x.dims[i] == 0)
            return tsr_reject(n, "axis %d of input %s has no value to replicate", i, tsr_shape_text(x).text);
        p->region.begin[i] = before;
        p->region.whole.dims[i] += (int64_t)before + after;
    }
    return NULL;
}

tsr_tensor *tsr_pad(tsr_tensor *x, const tsr_pad_options *options)
{
    tsr_node *n = tsr_begin(&pad_op, TSR_INPUTS(x));
    tsr_padding *p = tsr_save(n, sizeof *p);
    if (!p) return tsr_end(n);
    if (!options) return tsr_reject(n, "options that say how far are required");
    tsr_tensor *error = read_pad_options(n, p, options);
    if (error) return error;
    tsr_real *y = tsr_output(n, p->region.whole);
    tsr_resampling r;
    if (!y || tsr_size(tsr_result(n)) == 0) return tsr_end(n);
    if (p->mode == TSR_PAD_CONSTANT)
        tsr_region_embed(tsr_node_context(n), &p->region, y, tsr_data(x), (tsr_real)options->value);
    else if (make_maps(n, p, &r)) tsr_resample(n, &r, tsr_data(x), y);
    return tsr_end(n);
}
