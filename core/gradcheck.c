/* The gradient checker. What makes it hard to fool: the cotangent is random (a sum would hide every error of softmax
 * and of the normalisations), the comparison is signed, and every element of every input is moved. */
#include "core/core_internal.h"

#include <float.h>
#include <math.h>
#include <string.h>

typedef struct check {
    tsr_context *ctx;
    tsr_function fn;
    tsr_tensor *const *inputs;
    int count;
    const bool *wanted;
    uint64_t draws; /* each evaluation starts from the same, so that dropout draws the same */
    tsr_gradcheck_report report;
} check;

/* A fixed normal cotangent for a result of `shape`. */
static tsr_tensor *cotangent_of(check *c, tsr_shape shape)
{
    return tsr_normal(c->ctx, shape, 0, 1, tsr_stream("gradcheck"));
}

/* sum(cotangent * fn(inputs)), without recording. */
static double objective(check *c)
{
    double sum = 0;
    c->ctx->draw_count = c->draws;
    TSR_NO_GRAD(c->ctx) {
        const tsr_tensor *y = c->fn(c->inputs);
        const tsr_tensor *v = cotangent_of(c, tsr_shape_of(y));
        const tsr_real *values = tsr_data(y), *weights = tsr_data(v);
        for (int64_t i = 0; !c->ctx->failed && i < tsr_size(y); i++) sum += (double)values[i] * (double)weights[i];
    }
    return sum;
}

/* Gradients of the inputs for which `now` holds, `times` uses of the result added up, into out[i] (NULL: not asked). */
static void differentiate(check *c, const bool *now, int times, tsr_real **out)
{
    tsr_context *ctx = c->ctx;
    for (int i = 0; i < c->count; i++) c->inputs[i]->needs_grad = now[i];
    TSR_SCOPE(ctx) {
        for (int use = 0; use < times; use++) {
            ctx->draw_count = c->draws;
            tsr_tensor *y = c->fn(c->inputs);
            tsr_backward_from(y, cotangent_of(c, tsr_shape_of(y)));
        }
        for (int i = 0; i < c->count && !ctx->failed; i++) {
            tsr_tensor *t = c->inputs[i];
            if (!out[i] || !now[i]) continue;
            if (t->gradient) memcpy(out[i], t->gradient->data, t->storage->bytes);
            else memset(out[i], 0, t->storage->bytes);
        }
    }
    for (int i = 0; i < c->count; i++) tsr_zero_grad(c->inputs[i]);
}

static void compare(check *c, int input, const tsr_real *analytic, const tsr_real *numeric)
{
    const int64_t size = c->inputs[input]->size;
    const double largest = tsr_largest_magnitude(numeric, size, 1);
    for (int64_t i = 0; i < size; i++) {
        const double a = (double)analytic[i], b = (double)numeric[i];
        const double scale = fmax(fmax(fabs(a), fabs(b)), 0.01 * largest);
        double error = scale > 0 ? fabs(a - b) / scale : 0;
        if (!(error <= DBL_MAX)) error = DBL_MAX; /* NaN and Inf are the worst */
        if (c->report.checked == 0 || error > c->report.max_error) {
            c->report.max_error = error;
            c->report.worst_input = input;
            c->report.worst_index = i;
            c->report.analytic = a;
            c->report.numeric = b;
        }
        c->report.checked++;
    }
    c->report.max_gradient = fmax(c->report.max_gradient, largest);
}

static void differences(check *c, int input, tsr_real *numeric)
{
    tsr_tensor *t = c->inputs[input];
    const double step = sizeof(tsr_real) == sizeof(double) ? 1e-5 : 1e-2; /* about the cube root of the precision */
    for (int64_t i = 0; i < t->size && !c->ctx->failed; i++) {
        tsr_real *value = tsr_write(t) + i;
        const tsr_real kept = *value;
        const tsr_real up = (tsr_real)((double)kept + step * fmax(1, fabs((double)kept)));
        const tsr_real down = (tsr_real)((double)kept - step * fmax(1, fabs((double)kept)));
        *value = up;
        const double above = objective(c);
        *value = down;
        const double below = objective(c);
        *value = kept;
        numeric[i] = (tsr_real)((above - below) / ((double)up - (double)down));
    }
}

/* Checks input i, given its numeric gradient: with all the others, alone, and used twice. */
static void check_input(check *c, int input, tsr_real *numeric, tsr_real *analytic)
{
    enum { MOST = 32 };
    tsr_real *out[MOST] = {0};
    bool alone[MOST] = {0};
    out[input] = analytic;
    alone[input] = true;
    differentiate(c, c->wanted, 1, out);
    compare(c, input, analytic, numeric);
    differentiate(c, alone, 1, out);
    compare(c, input, analytic, numeric);
    differentiate(c, c->wanted, 2, out);
    for (int64_t i = 0; i < c->inputs[input]->size; i++) analytic[i] /= 2;
    compare(c, input, analytic, numeric);
}

tsr_gradcheck_report tsr_gradcheck(tsr_function fn, tsr_tensor *const *inputs, int count)
{
    enum { MOST = 32 };
    tsr_context *ctx = inputs && count > 0 ? tsr_context_of(inputs[0]) : NULL;
    bool wanted[MOST] = {0}, watched[MOST] = {0}, any = false;
    if (!ctx || ctx->failed) return (tsr_gradcheck_report){0};
    for (int i = 0; i < count && count <= MOST; i++) {
        if (tsr_is_error(inputs[i]) || inputs[i]->node || !inputs[i]->storage) count = MOST + 1;
        else watched[i] = inputs[i]->needs_grad;
        any = any || watched[i];
    }
    if (count > MOST || !fn) {
        tsr_fail(ctx, "gradcheck: needs a function of 1 to %d inputs, each of them data", MOST);
        return (tsr_gradcheck_report){0};
    }
    for (int i = 0; i < count; i++) wanted[i] = watched[i] || !any;
    check c = {.ctx = ctx, .fn = fn, .inputs = inputs, .count = count, .wanted = wanted, .draws = ctx->draw_count};
    for (int i = 0; i < count && !ctx->failed; i++) {
        if (!wanted[i]) continue;
        TSR_SCOPE(ctx) {
            tsr_tensor *numeric = tsr_zeros(ctx, inputs[i]->shape), *analytic = tsr_zeros(ctx, inputs[i]->shape);
            if (ctx->failed) break;
            differences(&c, i, numeric->storage->data);
            if (!ctx->failed) check_input(&c, i, numeric->storage->data, analytic->storage->data);
        }
    }
    for (int i = 0; i < count; i++) inputs[i]->needs_grad = watched[i];
    ctx->draw_count = c.draws;
    if (ctx->failed) return (tsr_gradcheck_report){0};
    return c.report;
}
