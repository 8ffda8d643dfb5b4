#include "ops/pool_internal.h"

/* floor(i S / S') without the large product. */
static int64_t share_of(int64_t i, int64_t in, int64_t out)
{
    return i / out * in + i % out * in / out;
}

static void fill_windows(tsr_windows *w)
{
    for (int64_t o = 0; o < w->out; o++) {
        w->begin[o] = share_of(o, w->in, w->out);
        w->end[o] = share_of(o + 1, w->in, w->out) + ((o + 1) % w->out * w->in % w->out != 0);
        w->count[o] = w->end[o] - w->begin[o];
    }
}

/* Windows for results of `size`, saved with the node; otherwise NULL and in *error what the call returns. */
static tsr_pooling *read_size(tsr_node *n, const int64_t *size, tsr_tensor **error)
{
    *error = NULL;
    if (!tsr_dead(n)) {
        const tsr_shape x = tsr_shape_of(tsr_input(n, 0));
        if (x.rank < 3 || x.rank > 5)
            *error = tsr_reject(n, "input %s, expected [N, S..., C] with one to three spatial axes",
                                tsr_shape_text(x).text);
        else if (!size) *error = tsr_reject(n, "a size is required");
        for (int i = 0; i < x.rank - 2 && !*error; i++) {
            if (size[i] < 1)
                *error = tsr_reject(n, "size %lld for spatial axis %d, expected 1 or more",
                                    (long long)size[i], i);
            else if (x.dims[i + 1] == 0)
                *error = tsr_reject(n, "spatial axis %d of input %s is empty", i, tsr_shape_text(x).text);
        }
        if (*error) return NULL;
        tsr_pooling *p = tsr_pooling_new(n, size);
        for (int i = 3 - (x.rank - 2); p && i < 3; i++) fill_windows(&p->axes[i]);
        if (p) return p;
    }
    *error = tsr_end(n);
    return NULL;
}

static const tsr_op adaptive_avg_pool_op = {.name = "adaptive_avg_pool", .backward = tsr_avg_pool_backward};
static const tsr_op adaptive_max_pool_op = {.name = "adaptive_max_pool", .backward = tsr_max_pool_backward};

tsr_tensor *tsr_adaptive_avg_pool(tsr_tensor *x, const int64_t *size)
{
    tsr_tensor *error;
    tsr_node *n = tsr_begin(&adaptive_avg_pool_op, TSR_INPUTS(x));
    const tsr_pooling *p = read_size(n, size, &error);
    return p ? tsr_avg_pooled(n, p) : error;
}

tsr_tensor *tsr_adaptive_max_pool(tsr_tensor *x, const int64_t *size)
{
    tsr_tensor *error;
    tsr_node *n = tsr_begin(&adaptive_max_pool_op, TSR_INPUTS(x));
    const tsr_pooling *p = read_size(n, size, &error);
    return p ? tsr_max_pooled(n, p) : error;
}
