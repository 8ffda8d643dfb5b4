#include "ops/ops_internal.h"
#include "ops/resample.h"

/* x [N, S..., C] to new S: result i is centred at (i + 1/2) S / S' - 1/2 in the input's own count. Nearest
 * takes the value at floor(i S / S'), linear those at both sides of the centre, by their nearness; beyond the
 * edge, the edge. */
typedef struct upsampling {
    int64_t size[3]; /* S' */
    bool linear;
} upsampling;

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

static bool make_maps(tsr_node *n, const upsampling *u, tsr_resampling *r)
{
    const tsr_shape shape = tsr_shape_of(tsr_input(n, 0));
    *r = (tsr_resampling){
        .rank = shape.rank - 2, .batch = shape.dims[0], .channels = shape.dims[shape.rank - 1]};
    for (int i = 0; i < r->rank; i++) {
        tsr_axis_map *map = &r->maps[i];
        if (!tsr_axis_map_new(n, map, shape.dims[i + 1], u->size[i], 2 * u->size[i])) return false;
        if (u->linear) fill_linear(map);
        else fill_nearest(map);
    }
    return true;
}

static void upsample_backward(tsr_node *n)
{
    tsr_resampling r;
    tsr_real *gx = tsr_gradient(n, 0);
    if (!gx || tsr_size(tsr_input(n, 0)) == 0 || !make_maps(n, tsr_saved(n), &r) ||
        !tsr_transpose_maps(n, &r))
        return;
    tsr_resample(tsr_node_context(n), &r, tsr_data(tsr_cotangent(n)), gx);
}

static const tsr_op upsample_op = {.name = "upsample", .backward = upsample_backward};

tsr_tensor *tsr_upsample(tsr_tensor *x, const tsr_upsample_options *options)
{
    tsr_node *n = tsr_begin(&upsample_op, TSR_INPUTS(x));
    upsampling *u = tsr_save(n, sizeof *u);
    if (!u) return tsr_end(n);
    const tsr_shape in = tsr_shape_of(x);
    const int spatial = in.rank - 2;
    tsr_shape out = in;
    if (spatial < 1 || spatial > 3)
        return tsr_reject(n, "input %s, expected [N, S..., C] with one to three spatial axes",
                          tsr_shape_text(in).text);
    if (!options) return tsr_reject(n, "options with a size are required");
    u->linear = options->linear;
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
        u->size[i] = out.dims[i + 1] = size;
    }
    tsr_resampling r;
    tsr_real *y = tsr_output(n, out);
    if (tsr_size(tsr_result(n)) > 0 && make_maps(n, u, &r))
        tsr_resample(tsr_node_context(n), &r, tsr_data(x), y);
    return tsr_end(n);
}
