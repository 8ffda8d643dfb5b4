#include "core/core_internal.h"

#include <math.h>
#include <string.h>

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

tsr_shape tsr_make_shape(int rank, const int64_t *dims)
{
    tsr_shape shape = {.rank = dims || rank == 0 ? rank : -1};
    for (int i = 0; i < shape.rank && i < TSR_MAX_RANK; i++) shape.dims[i] = dims[i];
    return shape;
}

bool tsr_same_shape(tsr_shape a, tsr_shape b)
{
    return tsr_shapes_equal(&a, &b);
}

int64_t tsr_shape_size(tsr_shape shape)
{
    const double most = 0x1p57; /* so that bytes and small multiples of them fit too */
    int64_t size = 1;
    bool empty = false;
    if (shape.rank < 0 || shape.rank > TSR_MAX_RANK) return -1;
    for (int i = 0; i < shape.rank; i++) {
        const int64_t dim = shape.dims[i];
        if (dim < 0) return -1;
        if (dim == 0) empty = true;
        else if ((double)size * (double)dim >= most) return -1;
        else size *= dim;
    }
    return empty ? 0 : size;
}

tsr_text tsr_shape_text(tsr_shape shape)
{
    tsr_text out = {"["};
    size_t used = 1;
    const int shown = shape.rank < TSR_MAX_RANK ? shape.rank : TSR_MAX_RANK;
    for (int i = 0; i < shown; i++)
        used += (size_t)snprintf(out.text + used, sizeof out.text - used, i ? ", %lld" : "%lld",
                                 (long long)shape.dims[i]);
    snprintf(out.text + used, sizeof out.text - used, shape.rank > shown ? ", and more]" : "]");
    return out;
}

/* ---- storage and handles ----------------------------------------------------------------------------------------- */

tsr_storage *tsr_storage_new(tsr_context *ctx, int64_t size, const char *what)
{
    const bool countable_bytes = (uint64_t)size <= SIZE_MAX / sizeof(tsr_real); /* not so where size_t has 32 bits */
    const size_t bytes = countable_bytes ? (size_t)size * sizeof(tsr_real) : SIZE_MAX - TSR_HEAD;
    tsr_storage *storage = tsr_pool_take(&ctx->pool, TSR_HEAD + bytes);
    if (!storage) {
        tsr_fail_memory(ctx, what, bytes);
        return NULL;
    }
    tsr_real *data = (tsr_real *)(void *)((unsigned char *)storage + TSR_HEAD);
    *storage = (tsr_storage){.data = data, .bytes = bytes, .references = 1};
    return storage;
}

void tsr_storage_drop(tsr_context *ctx, tsr_storage *storage)
{
    if (!storage || --storage->references > 0) return;
    tsr_pool_give(&ctx->pool, storage, TSR_HEAD + storage->bytes);
}

static void link_in(tsr_tensor *t, int depth)
{
    tsr_tensor **list = &t->ctx->scopes[depth].tensors, *next = *list;
    t->depth = depth;
    t->previous = NULL;
    t->next = next;
    if (next) next->previous = t;
    *list = t;
}

static void link_out(tsr_tensor *t)
{
    if (t->depth == TSR_OWNED) return;
    if (t->previous) t->previous->next = t->next;
    else t->ctx->scopes[t->depth].tensors = t->next;
    if (t->next) t->next->previous = t->previous;
    t->previous = t->next = NULL;
    t->depth = TSR_OWNED;
}

tsr_tensor *tsr_tensor_new(tsr_context *ctx, const tsr_shape *shape, int64_t size, tsr_storage *storage)
{
    if (!storage) return NULL;
    tsr_tensor *t = tsr_pool_take(&ctx->pool, sizeof *t);
    if (!t) {
        tsr_storage_drop(ctx, storage);
        tsr_fail_memory(ctx, "a tensor", sizeof *t);
        return NULL;
    }
    tsr_tensor_set(t, ctx, shape, size, storage);
    link_in(t, ctx->depth);
    ctx->pool.statistics.live_tensors++;
    return t;
}

tsr_tensor *tsr_tensor_empty(tsr_context *ctx, const tsr_shape *shape, const char *what)
{
    if (!ctx || ctx->failed) return NULL;
    const int64_t size = tsr_shape_size(*shape);
    if (size < 0) {
        tsr_fail(ctx, "%s: %s is not a shape (at most %d dimensions, none negative, size within memory)", what,
                 tsr_shape_text(*shape).text, TSR_MAX_RANK);
        return NULL;
    }
    return tsr_tensor_new(ctx, shape, size, tsr_storage_new(ctx, size, what));
}

void tsr_tensor_free(tsr_tensor *t)
{
    tsr_context *ctx = t->ctx;
    link_out(t);
    tsr_storage_drop(ctx, t->storage);
    tsr_storage_drop(ctx, t->gradient);
    tsr_pool_give(&ctx->pool, t, sizeof *t);
    ctx->pool.statistics.live_tensors--;
}

void tsr_tensor_own(tsr_tensor *t)
{
    if (!tsr_is_error(t)) link_out(t);
}

tsr_tensor *tsr_keep(tsr_tensor *t)
{
    if (tsr_is_error(t) || t->depth <= 0) return t;
    const int outer = t->depth - 1;
    link_out(t);
    link_in(t, outer);
    return t;
}

tsr_real *tsr_write(tsr_tensor *t)
{
    if (tsr_is_error(t) || t->ctx->failed || !tsr_data(t)) return NULL;
    if (t->node) {
        tsr_fail(t->ctx, "write: %s computed this tensor; only data can be changed", t->maker);
        return NULL;
    }
    t->storage->version++;
    return t->storage->data;
}

/* ---- creation ---------------------------------------------------------------------------------------------------- */

tsr_tensor *tsr_full(tsr_context *ctx, tsr_shape shape, double value)
{
    tsr_tensor *t = tsr_tensor_empty(ctx, &shape, "full");
    if (!t) return tsr_error_tensor(ctx);
    for (int64_t i = 0; i < t->size; i++) t->storage->data[i] = (tsr_real)value;
    return t;
}

tsr_tensor *tsr_zeros(tsr_context *ctx, tsr_shape shape)
{
    tsr_tensor *t = tsr_tensor_empty(ctx, &shape, "zeros");
    if (!t) return tsr_error_tensor(ctx);
    memset(t->storage->data, 0, t->storage->bytes);
    return t;
}

tsr_tensor *tsr_values(tsr_context *ctx, tsr_shape shape, const tsr_real *values)
{
    if (!values && tsr_shape_size(shape) > 0) return tsr_fail(ctx, "values: no values were given (NULL)");
    tsr_tensor *t = tsr_tensor_empty(ctx, &shape, "values");
    if (!t) return tsr_error_tensor(ctx);
    if (values) memcpy(t->storage->data, values, t->storage->bytes);
    return t;
}

static tsr_tensor *drawn(tsr_context *ctx, tsr_shape shape, tsr_draw_job job, const char *what)
{
    tsr_tensor *t = tsr_tensor_empty(ctx, &shape, what);
    if (!t) return tsr_error_tensor(ctx);
    job.out = t->storage->data;
    tsr_parallel(ctx, t->size, tsr_grain(16), tsr_draw_body, &job);
    return t;
}

tsr_tensor *tsr_uniform(tsr_context *ctx, tsr_shape shape, double low, double high, uint64_t stream)
{
    return drawn(ctx, shape, (tsr_draw_job){.ctx = ctx, .rng = {tsr_seed(ctx), stream}, .offset = low, .scale = high - low,
                                            .draws = tsr_random_uniforms}, "uniform");
}

tsr_tensor *tsr_normal(tsr_context *ctx, tsr_shape shape, double mean, double deviation, uint64_t stream)
{
    return drawn(ctx, shape, (tsr_draw_job){.ctx = ctx, .rng = {tsr_seed(ctx), stream}, .offset = mean, .scale = deviation,
                                            .draws = tsr_random_normals}, "normal");
}

tsr_tensor *tsr_arange(tsr_context *ctx, double begin, double end, double step)
{
    const double count = ceil((end - begin) / step);
    if (!(step != 0) || !(fabs(count) < 1e15))
        return tsr_fail(ctx, "arange: from %g to %g by %g is no finite number of values", begin, end, step);
    const tsr_shape shape = TSR_SHAPE(count > 0 ? (int64_t)count : 0);
    tsr_tensor *t = tsr_tensor_empty(ctx, &shape, "arange");
    if (!t) return tsr_error_tensor(ctx);
    for (int64_t i = 0; i < t->size; i++) t->storage->data[i] = (tsr_real)(begin + (double)i * step);
    return t;
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

tsr_context *tsr_context_of(const tsr_tensor *t)
{
    return t ? t->ctx : NULL;
}

tsr_shape tsr_shape_of(const tsr_tensor *t)
{
    return t ? t->shape : TSR_SCALAR;
}

int tsr_rank(const tsr_tensor *t)
{
    return t ? t->shape.rank : 0;
}

int64_t tsr_size(const tsr_tensor *t)
{
    return t ? t->size : 0;
}

int64_t tsr_dim(const tsr_tensor *t, int axis)
{
    const int rank = tsr_rank(t);
    if (axis < 0) axis += rank;
    return axis < 0 || axis >= rank ? 0 : t->shape.dims[axis];
}

const tsr_real *tsr_data(const tsr_tensor *t)
{
    if (!t) return NULL;
    if (t->storage) return t->storage->data;
    tsr_fail(t->ctx, "%s: this result was given back by tsr_backward_releasing and can no longer be read",
             t->maker ? t->maker : "data");
    return NULL;
}

bool tsr_is_error(const tsr_tensor *t)
{
    return !t || t == &t->ctx->error_tensor;
}

double tsr_item(const tsr_tensor *t)
{
    if (tsr_is_error(t)) return NAN;
    if (t->size != 1) {
        tsr_fail(t->ctx, "item: needs a single value, got %s", tsr_shape_text(t->shape).text);
        return NAN;
    }
    const tsr_real *value = tsr_data(t);
    return value ? (double)*value : NAN;
}

static bool countable(const tsr_tensor *t, const void *values, int64_t count, const char *what)
{
    if (tsr_is_error(t) || t->ctx->failed || !tsr_data(t)) return false;
    if (count == t->size && (values || count == 0)) return true;
    tsr_fail(t->ctx, "%s: %lld values for a tensor %s of %lld%s", what, (long long)count, tsr_shape_text(t->shape).text,
             (long long)t->size, values ? "" : " (the values are NULL)");
    return false;
}

bool tsr_copy_out(const tsr_tensor *t, tsr_real *values, int64_t count)
{
    if (!countable(t, values, count, "copy_out")) return false;
    if (count > 0) memcpy(values, t->storage->data, t->storage->bytes);
    return true;
}

bool tsr_copy_in(tsr_tensor *t, const tsr_real *values, int64_t count)
{
    if (!countable(t, values, count, "copy_in")) return false;
    tsr_real *to = tsr_write(t);
    if (to && count > 0) memcpy(to, values, t->storage->bytes);
    return to != NULL;
}

static void print_axis(const tsr_tensor *t, int axis, const tsr_real *values, FILE *out)
{
    if (axis == t->shape.rank) {
        fprintf(out, "%10.5g", (double)*values);
        return;
    }
    int64_t stride = 1;
    for (int i = axis + 1; i < t->shape.rank; i++) stride *= t->shape.dims[i];
    const int64_t n = t->shape.dims[axis], edge = 3, shown = 8; /* longer axes: three values from each end */
    const bool last = axis + 1 == t->shape.rank;
    fputc('[', out);
    for (int64_t i = 0; i < n; i++) {
        if (i > 0) {
            fputs(last ? ", " : ",\n", out);
            for (int k = 0; !last && k <= axis; k++) fputc(' ', out);
        }
        if (n > shown && i == edge) {
            fputs("..., ", out);
            i = n - edge;
        }
        print_axis(t, axis + 1, values + i * stride, out);
    }
    fputc(']', out);
}

void tsr_print(const tsr_tensor *t, FILE *out)
{
    if (!out) return;
    if (tsr_is_error(t)) {
        fprintf(out, "error: %s\n", t && tsr_error(t->ctx) ? tsr_error(t->ctx) : "no tensor");
        return;
    }
    const tsr_real *values = tsr_data(t);
    fprintf(out, "%s %s\n", t->maker ? t->maker : "data", tsr_shape_text(t->shape).text);
    if (values && t->size > 0) print_axis(t, 0, values, out);
    fputc('\n', out);
}
