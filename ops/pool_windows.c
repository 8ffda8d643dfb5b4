#include "ops/pool_internal.h"

/* ---- options ----------------------------------------------------------------------------------------------------- */

/* PyTorch's rule: rounded up, a last window counts if it begins inside the input or the padding before. */
static int64_t result_length(const tsr_pool_axis *g, bool ceil_mode)
{
    const int64_t room = g->in + g->before + g->after - g->kernel + (ceil_mode ? g->stride - 1 : 0);
    if (room < 0 || g->in == 0) return 0;
    const int64_t out = room / g->stride + 1;
    return ceil_mode && (out - 1) * g->stride >= g->in + g->before ? out - 1 : out;
}

/* Fills in one axis; NULL, or the error tensor. */
static tsr_tensor *read_axis(tsr_node *n, const tsr_pool_options *o, int axis, tsr_pool_axis *g)
{
    const tsr_shape x = tsr_shape_of(tsr_input(n, 0));
    g->in = x.dims[axis + 1];
    g->kernel = o->kernel[axis];
    g->stride = tsr_default_int(o->stride[axis], o->kernel[axis]);
    g->before = tsr_default_int(o->padding[axis], 0);
    g->after = tsr_default_int(o->padding_end[axis], (int)g->before);
    if (g->kernel < 1)
        return tsr_reject(n, "kernel %d for spatial axis %d, expected 1 or more", o->kernel[axis], axis);
    if (g->stride < 1)
        return tsr_reject(n, "stride %d for spatial axis %d, expected 1 or more", (int)g->stride, axis);
    if (g->before < 0 || g->after < 0 || g->before >= g->kernel || g->after >= g->kernel)
        return tsr_reject(n, "padding %d, %d for spatial axis %d, expected 0 or more and less than the kernel %d",
                          (int)g->before, (int)g->after, axis, (int)g->kernel);
    g->out = result_length(g, o->ceil_mode);
    if (g->out < 1)
        return tsr_reject(n, "kernel %d does not fit spatial axis %d of input %s with padding %d, %d", (int)g->kernel, axis,
                          tsr_shape_text(x).text, (int)g->before, (int)g->after);
    return NULL;
}

/* ---- maps -------------------------------------------------------------------------------------------------------- */

static void add_window(tsr_axis_map *map, int64_t begin, int64_t end, int64_t count)
{
    for (int64_t k = begin; k < end; k++) tsr_axis_map_add(map, k, 1 / (double)count);
    tsr_axis_map_end(map);
}

/* Windows clipped to the input; an average divides by these or by the windows clipped to the padded input. */
static bool slide_window(tsr_node *n, tsr_axis_map *map, const tsr_pool_axis *g, bool exclude_padding)
{
    if (!tsr_axis_map_new(n, map, g->in, g->out, g->out * tsr_smaller(g->kernel, g->in))) return false;
    for (int64_t o = 0; o < g->out; o++) {
        const int64_t begin = o * g->stride - g->before, end = tsr_smaller(begin + g->kernel, g->in + g->after);
        const int64_t first = begin > 0 ? begin : 0, last = tsr_smaller(end, g->in);
        add_window(map, first, last, exclude_padding ? last - first : end - begin);
    }
    return true;
}

/* floor(i S / S') without the large product. */
static int64_t share_of(int64_t i, int64_t in, int64_t out)
{
    return i / out * in + i % out * in / out;
}

static bool share(tsr_node *n, tsr_axis_map *map, int64_t in, int64_t out)
{
    out = tsr_smaller(out, (int64_t)1 << 56); /* more is out of memory in any case */
    if (!tsr_axis_map_new(n, map, in, out, in + 2 * out)) return false;
    for (int64_t o = 0; o < out; o++) {
        const int64_t begin = share_of(o, in, out);
        const int64_t end = share_of(o + 1, in, out) + ((o + 1) % out * in % out != 0);
        add_window(map, begin, end, end - begin);
    }
    return true;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* False: *error is what to return. */
static bool begin(tsr_node *n, tsr_pooling **p, tsr_tensor **error)
{
    if (tsr_dead(n)) {
        *error = tsr_end(n);
        return false;
    }
    const tsr_shape x = tsr_shape_of(tsr_input(n, 0));
    if (x.rank < 3 || x.rank > 5) {
        *error = tsr_reject(n, "input %s, expected [N, S..., C] with one to three spatial axes", tsr_shape_text(x).text);
        return false;
    }
    *p = tsr_save(n, sizeof **p);
    if (*p) (*p)->boxes = (tsr_resampling){.rank = x.rank - 2, .batch = x.dims[0], .channels = x.dims[x.rank - 1]};
    *error = *p ? NULL : tsr_end(n);
    return *p;
}

tsr_pooling *tsr_pooling_windows(tsr_node *n, const tsr_pool_options *options, tsr_tensor **error)
{
    tsr_pooling *p;
    if (!begin(n, &p, error)) return NULL;
    const tsr_shape x = tsr_shape_of(tsr_input(n, 0));
    if (!options) *error = tsr_reject(n, "options with a kernel are required");
    for (int i = 0; i < 3 && !*error; i++) {
        if (i < x.rank - 2) *error = read_axis(n, options, i, &p->axes[i]);
        else if (options->kernel[i] != 0)
            *error = tsr_reject(n, "a kernel for %d axes, input %s has %d spatial ones", i + 1, tsr_shape_text(x).text,
                                x.rank - 2);
    }
    for (int i = 0; i < x.rank - 2 && !*error; i++)
        if (!slide_window(n, &p->boxes.maps[i], &p->axes[i], options->exclude_padding)) *error = tsr_end(n);
    return *error ? NULL : p;
}

tsr_pooling *tsr_pooling_adaptive(tsr_node *n, const int64_t *size, tsr_tensor **error)
{
    tsr_pooling *p;
    if (!begin(n, &p, error)) return NULL;
    const tsr_shape x = tsr_shape_of(tsr_input(n, 0));
    if (!size) *error = tsr_reject(n, "a size is required");
    for (int i = 0; i < x.rank - 2 && !*error; i++) {
        if (size[i] < 1)
            *error = tsr_reject(n, "size %lld for spatial axis %d, expected 1 or more", (long long)size[i], i);
        else if (x.dims[i + 1] == 0)
            *error = tsr_reject(n, "spatial axis %d of input %s is empty", i, tsr_shape_text(x).text);
    }
    for (int i = 0; i < x.rank - 2 && !*error; i++)
        if (!share(n, &p->boxes.maps[i], x.dims[i + 1], size[i])) *error = tsr_end(n);
    return *error ? NULL : p;
}

tsr_shape tsr_pooled_shape(const tsr_node *n, const tsr_pooling *p)
{
    tsr_shape shape = tsr_shape_of(tsr_input(n, 0));
    for (int i = 0; i < p->boxes.rank; i++) shape.dims[i + 1] = p->boxes.maps[i].out;
    return shape;
}
