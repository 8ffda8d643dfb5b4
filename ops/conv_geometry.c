#include "ops/conv_geometry.h"

#include <stdio.h>

static const int64_t most = (int64_t)1 << 60; /* of a length, so that sums of a few do not overflow */

/* ---- options ------------------------------------------------------------------------------------------- */

static tsr_tensor *read_window(tsr_node *n, const tsr_conv_options *o, int axis, tsr_window *w)
{
    w->stride = tsr_default_int(o->stride[axis], 1);
    w->dilation = tsr_default_int(o->dilation[axis], 1);
    w->before = tsr_default_int(o->padding[axis], 0);
    w->after = tsr_default_int(o->padding_end[axis], (int)w->before);
    if (w->stride < 1)
        return tsr_reject(n, "stride %d for spatial axis %d, expected 1 or more", (int)w->stride, axis);
    if (w->dilation < 1)
        return tsr_reject(n, "dilation %d for spatial axis %d, expected 1 or more", (int)w->dilation, axis);
    if (w->before < 0 || w->after < 0)
        return tsr_reject(n, "padding %d, %d for spatial axis %d, expected 0 or more", (int)w->before,
                          (int)w->after, axis);
    if (w->kernel < 1)
        return tsr_reject(n, "weight %s has a kernel of %lld for spatial axis %d, expected 1 or more",
                          tsr_shape_text(tsr_shape_of(tsr_input(n, 1))).text, (long long)w->kernel, axis);
    if (w->kernel - 1 > most / w->dilation)
        return tsr_reject(n, "a kernel of %lld with dilation %d for spatial axis %d is too large",
                          (long long)w->kernel, (int)w->dilation, axis);
    return NULL;
}

/* Options of axes that the input does not have are a mistake, unless they say what is so anyway. */
static bool says_nothing(const tsr_conv_options *o, int axis)
{
    return tsr_default_int(o->stride[axis], 1) == 1 && tsr_default_int(o->dilation[axis], 1) == 1 &&
           tsr_default_int(o->padding[axis], 0) == 0 && tsr_default_int(o->padding_end[axis], 0) == 0 &&
           tsr_default_int(o->output_padding[axis], 0) == 0;
}

/* Fills in what options say, and the kernel from axis `kernel` of the weight on. `in` and `out` are left to
 * the caller. */
static tsr_tensor *read_options(tsr_node *n, const tsr_conv_options *o, int kernel, tsr_conv_geometry *c)
{
    const tsr_shape x = tsr_shape_of(tsr_input(n, 0)), weight = tsr_shape_of(tsr_input(n, 1));
    c->spatial = x.rank - 2;
    if (c->spatial < 1 || c->spatial > 3)
        return tsr_reject(n, "input %s, expected [N, S..., C] with one to three spatial axes",
                          tsr_shape_text(x).text);
    if (weight.rank < kernel + c->spatial)
        return tsr_reject(n, "weight %s has too few axes for input %s", tsr_shape_text(weight).text,
                          tsr_shape_text(x).text);
    c->batch = x.dims[0];
    c->groups = tsr_default_int(o->groups, 1);
    if (c->groups < 1) return tsr_reject(n, "groups is %d, expected 1 or more", (int)c->groups);
    c->activation = o->activation;
    if (c->activation < TSR_NO_ACTIVATION || c->activation > TSR_TANH)
        return tsr_reject(n, "there is no activation %d", (int)c->activation);
    for (int axis = 0; axis < 3; axis++) {
        tsr_window *w = &c->axes[(axis + 3 - c->spatial) % 3];
        *w = (tsr_window){.in = 1, .out = 1, .kernel = 1, .stride = 1, .dilation = 1};
        if (axis < c->spatial) {
            w->kernel = weight.dims[kernel + axis];
            tsr_tensor *error = read_window(n, o, axis, w);
            if (error) return error;
        } else if (!says_nothing(o, axis)) {
            return tsr_reject(n, "options for %d spatial axes, input %s has %d", axis + 1,
                              tsr_shape_text(x).text, c->spatial);
        }
    }
    return NULL;
}

/* ---- sizes --------------------------------------------------------------------------------------------- */

static int64_t extent(const tsr_window *w) { return w->dilation * (w->kernel - 1) + 1; }

static tsr_shape kernel_shape(const tsr_conv_geometry *c)
{
    tsr_shape shape = {.rank = c->spatial};
    for (int i = 0; i < c->spatial; i++) shape.dims[i] = c->axes[3 - c->spatial + i].kernel;
    return shape;
}

/* in, from the shape of x, and out. */
static tsr_tensor *slide(tsr_node *n, tsr_conv_geometry *c)
{
    const tsr_shape x = tsr_shape_of(tsr_input(n, 0));
    for (int i = 0; i < c->spatial; i++) {
        tsr_window *w = &c->axes[3 - c->spatial + i];
        w->in = x.dims[i + 1];
        const int64_t room = w->in + w->before + w->after - extent(w);
        char after[32] = "";
        if (w->after != w->before) snprintf(after, sizeof after, ", %d", (int)w->after);
        if (room < 0)
            return tsr_reject(n, "input %s is smaller than the kernel %s (dilation %d, padding %d%s)",
                              tsr_shape_text(x).text, tsr_shape_text(kernel_shape(c)).text, (int)w->dilation,
                              (int)w->before, after);
        w->out = room / w->stride + 1;
    }
    return NULL;
}

/* out, from the shape of x, and in. */
static tsr_tensor *slide_back(tsr_node *n, const tsr_conv_options *o, tsr_conv_geometry *c)
{
    const tsr_shape x = tsr_shape_of(tsr_input(n, 0));
    for (int i = 0; i < c->spatial; i++) {
        tsr_window *w = &c->axes[3 - c->spatial + i];
        const int64_t extra = tsr_default_int(o->output_padding[i], 0);
        if (extra < 0 || (extra >= w->stride && extra >= w->dilation))
            return tsr_reject(n,
                              "output_padding %d for spatial axis %d, expected 0 or more and less than "
                              "stride %d or dilation %d",
                              (int)extra, i, (int)w->stride, (int)w->dilation);
        w->out = x.dims[i + 1];
        if (w->out > most / w->stride)
            return tsr_reject(n, "input %s with stride %d is too large", tsr_shape_text(x).text,
                              (int)w->stride);
        w->in = (w->out - 1) * w->stride - w->before - w->after + extent(w) + extra;
        if (w->out < 1 || w->in < 1)
            return tsr_reject(
                n,
                "input %s with kernel %s, stride %d and padding %d, %d has no output along spatial axis %d",
                tsr_shape_text(x).text, tsr_shape_text(kernel_shape(c)).text, (int)w->stride, (int)w->before,
                (int)w->after, i);
    }
    return NULL;
}

/* ---- channels ------------------------------------------------------------------------------------------ */

static tsr_tensor *check_bias(tsr_node *n, tsr_shape expected, const char *what)
{
    const tsr_tensor *bias = tsr_input(n, 2);
    if (!bias || tsr_same_shape(tsr_shape_of(bias), expected)) return NULL;
    return tsr_reject(n, "bias %s is not %s, one value per %s", tsr_shape_text(tsr_shape_of(bias)).text,
                      tsr_shape_text(expected).text, what);
}

tsr_tensor *tsr_conv_read(tsr_node *n, const tsr_conv_options *options, tsr_conv_geometry *c)
{
    static const tsr_conv_options none;
    const tsr_conv_options *o = options ? options : &none;
    const tsr_shape x = tsr_shape_of(tsr_input(n, 0)), weight = tsr_shape_of(tsr_input(n, 1));
    tsr_tensor *error = read_options(n, o, 0, c);
    if (error) return error;
    if (weight.rank != x.rank)
        return tsr_reject(n, "weight %s for input %s, expected [K..., I / groups, O] with %d axes",
                          tsr_shape_text(weight).text, tsr_shape_text(x).text, x.rank);
    for (int i = 0; i < c->spatial; i++)
        if (tsr_default_int(o->output_padding[i], 0) != 0)
            return tsr_reject(n, "output_padding is for conv_transpose");
    c->in_channels = x.dims[x.rank - 1];
    c->out_channels = weight.dims[weight.rank - 1];
    if (c->in_channels % c->groups != 0 || c->out_channels % c->groups != 0)
        return tsr_reject(
            n, "%d groups do not divide the %lld channels of input %s and the %lld that weight %s makes",
            (int)c->groups, (long long)c->in_channels, tsr_shape_text(x).text, (long long)c->out_channels,
            tsr_shape_text(weight).text);
    const int64_t expected = weight.dims[weight.rank - 2];
    if (c->in_channels / c->groups != expected)
        return tsr_reject(n, "input %s has %lld channels, weight %s expects %lld (groups = %d)",
                          tsr_shape_text(x).text, (long long)c->in_channels, tsr_shape_text(weight).text,
                          (long long)(expected * c->groups), (int)c->groups);
    error = check_bias(n, TSR_SHAPE(c->out_channels), "output channel");
    return error ? error : slide(n, c);
}

tsr_tensor *tsr_conv_transpose_read(tsr_node *n, const tsr_conv_options *options, tsr_conv_geometry *c)
{
    static const tsr_conv_options none;
    const tsr_conv_options *o = options ? options : &none;
    const tsr_shape x = tsr_shape_of(tsr_input(n, 0)), weight = tsr_shape_of(tsr_input(n, 1));
    tsr_tensor *error = read_options(n, o, 0, c);
    if (error) return error;
    if (weight.rank != x.rank)
        return tsr_reject(n, "weight %s for input %s, expected [K..., O / groups, I] with %d axes",
                          tsr_shape_text(weight).text, tsr_shape_text(x).text, x.rank);
    c->out_channels = x.dims[x.rank - 1];
    if (c->out_channels != weight.dims[weight.rank - 1])
        return tsr_reject(n, "input %s has %lld channels, weight %s expects %lld", tsr_shape_text(x).text,
                          (long long)c->out_channels, tsr_shape_text(weight).text,
                          (long long)weight.dims[weight.rank - 1]);
    if (c->out_channels % c->groups != 0)
        return tsr_reject(n, "%d groups do not divide the %lld channels of input %s", (int)c->groups,
                          (long long)c->out_channels, tsr_shape_text(x).text);
    if (weight.dims[weight.rank - 2] > most / c->groups)
        return tsr_reject(n, "weight %s with %d groups is too large", tsr_shape_text(weight).text,
                          (int)c->groups);
    c->in_channels = weight.dims[weight.rank - 2] * c->groups;
    error = check_bias(n, TSR_SHAPE(c->in_channels), "output channel");
    return error ? error : slide_back(n, o, c);
}

tsr_tensor *tsr_local_read(tsr_node *n, const tsr_conv_options *options, tsr_conv_geometry *c)
{
    static const tsr_conv_options none;
    const tsr_conv_options *o = options ? options : &none;
    const tsr_shape x = tsr_shape_of(tsr_input(n, 0)), weight = tsr_shape_of(tsr_input(n, 1));
    if (x.rank != 4 || weight.rank != 6)
        return tsr_reject(n, "input %s and weight %s, expected [N, H, W, I] and [H', W', KH, KW, I, O]",
                          tsr_shape_text(x).text, tsr_shape_text(weight).text);
    tsr_tensor *error = read_options(n, o, 2, c);
    if (error) return error;
    if (c->groups != 1 || c->axes[1].dilation != 1 || c->axes[2].dilation != 1)
        return tsr_reject(n, "groups and dilation are not for this op");
    c->in_channels = x.dims[3];
    c->out_channels = weight.dims[5];
    if (weight.dims[4] != c->in_channels)
        return tsr_reject(n, "input %s has %lld channels, weight %s expects %lld", tsr_shape_text(x).text,
                          (long long)c->in_channels, tsr_shape_text(weight).text, (long long)weight.dims[4]);
    error = slide(n, c);
    if (error) return error;
    const int64_t height = c->axes[1].out, width = c->axes[2].out;
    if (weight.dims[0] != height || weight.dims[1] != width)
        return tsr_reject(n,
                          "weight %s is for %lld x %lld positions, input %s with its kernel and these "
                          "options has %lld x %lld",
                          tsr_shape_text(weight).text, (long long)weight.dims[0], (long long)weight.dims[1],
                          tsr_shape_text(x).text, (long long)height, (long long)width);
    return check_bias(n, TSR_SHAPE(height, width, c->out_channels), "position and output channel");
}

/* ---- what follows -------------------------------------------------------------------------------------- */

int64_t tsr_conv_taps(const tsr_conv_geometry *c)
{
    return c->axes[0].kernel * c->axes[1].kernel * c->axes[2].kernel;
}

int64_t tsr_conv_in_pixels(const tsr_conv_geometry *c)
{
    return c->axes[0].in * c->axes[1].in * c->axes[2].in;
}

int64_t tsr_conv_out_pixels(const tsr_conv_geometry *c)
{
    return c->axes[0].out * c->axes[1].out * c->axes[2].out;
}

double tsr_conv_work(const tsr_conv_geometry *c)
{
    return (double)(c->batch * tsr_conv_out_pixels(c)) * (double)tsr_conv_taps(c) *
           (double)(c->in_channels / c->groups) * (double)c->out_channels;
}

tsr_shape tsr_conv_in_shape(const tsr_conv_geometry *c)
{
    tsr_shape shape = {.rank = c->spatial + 2, .dims = {c->batch}};
    for (int i = 0; i < c->spatial; i++) shape.dims[i + 1] = c->axes[3 - c->spatial + i].in;
    shape.dims[c->spatial + 1] = c->in_channels;
    return shape;
}

tsr_shape tsr_conv_out_shape(const tsr_conv_geometry *c)
{
    tsr_shape shape = {.rank = c->spatial + 2, .dims = {c->batch}};
    for (int i = 0; i < c->spatial; i++) shape.dims[i + 1] = c->axes[3 - c->spatial + i].out;
    shape.dims[c->spatial + 1] = c->out_channels;
    return shape;
}
