#include "ops/ops_internal.h"
#include "ops/resample.h"

/* x [N, S..., C] to new S: result i is centred at (i + 1/2) S / S' - 1/2 in the input's own count. Nearest
 * takes the value at floor(i S / S'), linear those at both sides of the centre, by their nearness; beyond the
 * edge, the edge. */
static void fill_nearest(tsr_axis_map *map)
{
    for (int64_t o = 0; o < map->out; o++) {
        tsr_axis_map_add(map, o * map->in / map->out, 1);
        tsr_axis_map_end(map);
    }
}

static void fill_linear(tsr_axis_map *map)
{
    const double scale = (double)map->in / (double)map->out;
    for (int64_t o = 0; o < map->out; o++) {
        double centre = ((double)o + 0.5) * scale - 0.5;
        if (centre < 0) centre = 0;
        int64_t left = (int64_t)centre;
        if (left > map->in - 1) left = map->in - 1;
        const double right_share = left + 1 < map->in ? centre - (double)left : 0;
        tsr_axis_map_add(map, left, 1 - right_share);
        if (right_share > 0) tsr_axis_map_add(map, left + 1, right_share);
        tsr_axis_map_end(map);
    }
}

static void upsample_backward(tsr_node *n)
{
    tsr_resampling back;
    tsr_real *gx = tsr_gradient(n, 0);
    if (gx && tsr_transpose_maps(n, tsr_saved(n), &back)) tsr_resample(n, &back, tsr_data(tsr_cotangent(n)), gx);
}

static const tsr_op upsample_op = {.name = "upsample", .backward = upsample_backward};

tsr_tensor *tsr_upsample(tsr_tensor *x, const tsr_upsample_options *options)
{
    tsr_node *n = tsr_begin(&upsample_op, TSR_INPUTS(x));
    tsr_resampling *r = tsr_save(n, sizeof *r);
    if (!r) return tsr_end(n);
    const tsr_shape in = tsr_shape_of(x);
    const int spatial = in.rank - 2;
    tsr_shape out = in;
    if (spatial < 1 || spatial > 3)
        return tsr_reject(n, "input %s, expected [N, S..., C] with one to three spatial axes",
                          tsr_shape_text(in).text);
    if (!options) return tsr_reject(n, "options with a size are required");
    for (int i = 0; i < 3; i++) {
        const int64_t size = options->size[i];
        if (i >= spatial && size != 0)
            return tsr_reject(n, "a size for spatial axis %d, input %s has %d", i, tsr_shape_text(in).text,
                              spatial);
        if (i >= spatial) continue;
        if (size < 1)
            return tsr_reject(n, "size %lld for spatial axis %d, expected 1 or more", (long long)size, i);
        if (in.dims[i + 1] == 0)
            return tsr_reject(n, "spatial axis %d of input %s is empty", i, tsr_shape_text(in).text);
        out.dims[i + 1] = size;
    }
    tsr_real *y = tsr_output(n, out); /* first: where it is too large, that is the error */
    *r = (tsr_resampling){.rank = spatial, .batch = in.dims[0], .channels = in.dims[in.rank - 1]};
    for (int i = 0; i < spatial && y; i++) {
        if (!tsr_axis_map_new(n, &r->maps[i], in.dims[i + 1], out.dims[i + 1], 2 * out.dims[i + 1])) return tsr_end(n);
        if (options->linear) fill_linear(&r->maps[i]);
        else fill_nearest(&r->maps[i]);
    }
    if (y) tsr_resample(n, r, tsr_data(x), y);
    return tsr_end(n);
}
