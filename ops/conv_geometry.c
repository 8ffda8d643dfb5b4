#include "ops/conv_geometry.h"

#include <stdio.h>

static const int64_t most = (int64_t)1 << 60; /* of a length, so that sums of a few do not overflow */

#define INPUT_TEXT(n, input) tsr_shape_text(tsr_shape_of(tsr_input(n, input))).text

static tsr_window *spatial_axis(tsr_conv_geometry *c, int axis) { return &c->axes[3 - c->spatial + axis]; }
static int64_t extent(const tsr_window *w) { return w->dilation * (w->kernel - 1) + 1; }

/* ---- options -------------------------------------------------------------------------------------------------- */

/* An axis, but for `in` and `out`; its kernel is filled in. */
static tsr_tensor *read_window(tsr_node *n, const tsr_conv_options *o, int axis, tsr_window *w)
{
    const int stride = tsr_default_int(o->stride[axis], 1), dilation = tsr_default_int(o->dilation[axis], 1);
    const int before = tsr_default_int(o->padding[axis], 0), after = tsr_default_int(o->padding_end[axis], before);
    *w = (tsr_window){.in = 1, .out = 1, .kernel = w->kernel, .stride = stride, .dilation = dilation, .before = before,
                      .after = after};
    if (stride < 1) return tsr_reject(n, "stride %d for spatial axis %d, expected 1 or more", stride, axis);
    if (dilation < 1) return tsr_reject(n, "dilation %d for spatial axis %d, expected 1 or more", dilation, axis);
    if (before < 0 || after < 0)
        return tsr_reject(n, "padding %d, %d for spatial axis %d, expected 0 or more", before, after, axis);
    if (w->kernel < 1)
        return tsr_reject(n, "weight %s has a kernel of %lld for spatial axis %d, expected 1 or more", INPUT_TEXT(n, 1),
                          (long long)w->kernel, axis);
    if (w->kernel - 1 > most / dilation)
        return tsr_reject(n, "a kernel of %lld with dilation %d for spatial axis %d is too large", (long long)w->kernel,
                          dilation, axis);
    return NULL;
}

/* Options of axes that the input does not have are a mistake, unless they say what is so anyway. */
static bool says_nothing(const tsr_conv_options *o, int axis)
{
    return tsr_default_int(o->stride[axis], 1) == 1 && tsr_default_int(o->dilation[axis], 1) == 1 &&
           tsr_default_int(o->padding[axis], 0) == 0 && tsr_default_int(o->padding_end[axis], 0) == 0 &&
           tsr_default_int(o->output_padding[axis], 0) == 0;
}

/* All but channels, `in` and `out`; the kernel's axes begin at `kernel` in the weight. */
static tsr_tensor *read_options(tsr_node *n, const tsr_conv_options *o, int kernel, tsr_conv_geometry *c)
{
    const tsr_shape x = tsr_shape_of(tsr_input(n, 0)), weight = tsr_shape_of(tsr_input(n, 1));
    c->spatial = x.rank - 2;
    if (c->spatial < 1 || c->spatial > 3)
        return tsr_reject(n, "input %s, expected [N, S..., C] with one to three spatial axes", INPUT_TEXT(n, 0));
    if (weight.rank < kernel + c->spatial)
        return tsr_reject(n, "weight %s has too few axes for input %s", INPUT_TEXT(n, 1), INPUT_TEXT(n, 0));
    c->batch = x.dims[0];
    c->groups = tsr_default_int(o->groups, 1);
    c->activation = o->activation;
    if (c->groups < 1) return tsr_reject(n, "groups is %d, expected 1 or more", (int)c->groups);
    if (c->activation < TSR_NO_ACTIVATION || c->activation > TSR_TANH)
        return tsr_reject(n, "there is no activation %d", (int)c->activation);
    for (int axis = 0; axis < 3; axis++) {
        if (axis >= c->spatial) {
            c->axes[axis - c->spatial] = (tsr_window){.in = 1, .out = 1, .kernel = 1, .stride = 1, .dilation = 1};
            if (says_nothing(o, axis)) continue;
            return tsr_reject(n, "options for %d spatial axes, input %s has %d", axis + 1, INPUT_TEXT(n, 0), c->spatial);
        }
        spatial_axis(c, axis)->kernel = weight.dims[kernel + axis];
        tsr_tensor *error = read_window(n, o, axis, spatial_axis(c, axis));
        if (error) return error;
    }
    return NULL;
}

/* ---- sizes ---------------------------------------------------------------------------------------------------- */

static tsr_text kernel_text(tsr_conv_geometry *c)
{
    tsr_shape shape = {.rank = c->spatial};
    for (int i = 0; i < c->spatial; i++) shape.dims[i] = spatial_axis(c, i)->kernel;
    return tsr_shape_text(shape);
}

/* in, from the shape of x, and out. */
static tsr_tensor *slide(tsr_node *n, tsr_conv_geometry *c)
{
    for (int i = 0; i < c->spatial; i++) {
        tsr_window *w = spatial_axis(c, i);
        w->in = tsr_dim(tsr_input(n, 0), i + 1);
        const int64_t room = w->in + w->before + w->after - extent(w);
        char after[32] = "";
        if (w->after != w->before) snprintf(after, sizeof after, ", %d", (int)w->after);
        if (room < 0)
            return tsr_reject(n, "input %s is smaller than the kernel %s (dilation %d, padding %d%s)", INPUT_TEXT(n, 0),
                              kernel_text(c).text, (int)w->dilation, (int)w->before, after);
        w->out = room / w->stride + 1;
    }
    return NULL;
}

/* out, from the shape of x, and in. */
static tsr_tensor *slide_back(tsr_node *n, const tsr_conv_options *o, tsr_conv_geometry *c)
{
    for (int i = 0; i < c->spatial; i++) {
        tsr_window *w = spatial_axis(c, i);
        const int64_t extra = tsr_default_int(o->output_padding[i], 0);
        if (extra < 0 || (extra >= w->stride && extra >= w->dilation))
            return tsr_reject(n, "output_padding %d for spatial axis %d, expected 0 or more and less than stride %d or "
                              "dilation %d", (int)extra, i, (int)w->stride, (int)w->dilation);
        w->out = tsr_dim(tsr_input(n, 0), i + 1);
        if (w->out > most / w->stride)
            return tsr_reject(n, "input %s with stride %d is too large", INPUT_TEXT(n, 0), (int)w->stride);
        w->in = (w->out - 1) * w->stride - w->before - w->after + extent(w) + extra;
        if (w->out < 1 || w->in < 1)
            return tsr_reject(
                n, "input %s with kernel %s, stride %d and padding %d, %d has no output along spatial axis %d",
                INPUT_TEXT(n, 0), kernel_text(c).text, (int)w->stride, (int)w->before, (int)w->after, i);
    }
    return NULL;
}

/* ---- channels ------------------------------------------------------------------------------------------------- */

static tsr_tensor *check_bias(tsr_node *n, tsr_shape expected, const char *what)
{
    if (!tsr_input(n, 2) || tsr_same_shape(tsr_shape_of(tsr_input(n, 2)), expected)) return NULL;
    return tsr_reject(n, "bias %s is not %s, one value per %s", INPUT_TEXT(n, 2), tsr_shape_text(expected).text, what);
}

/* That x has as many channels as the weight wants. */
static tsr_tensor *check_channels(tsr_node *n, int64_t expected)
{
    const tsr_shape x = tsr_shape_of(tsr_input(n, 0));
    const int64_t channels = x.rank > 0 ? x.dims[x.rank - 1] : 1;
    if (channels == expected) return NULL;
    return tsr_reject(n, "input %s has %lld channels, weight %s expects %lld", INPUT_TEXT(n, 0), (long long)channels,
                      INPUT_TEXT(n, 1), (long long)expected);
}

static tsr_tensor *check_rank(tsr_node *n, const char *expected)
{
    const int rank = tsr_shape_of(tsr_input(n, 0)).rank;
    if (tsr_shape_of(tsr_input(n, 1)).rank == rank) return NULL;
    return tsr_reject(n, "weight %s for input %s, expected %s with %d axes", INPUT_TEXT(n, 1), INPUT_TEXT(n, 0), expected, rank);
}

tsr_tensor *tsr_conv_read(tsr_node *n, const tsr_conv_options *options, tsr_conv_geometry *c)
{
    static const tsr_conv_options none;
    const tsr_conv_options *o = options ? options : &none;
    const tsr_shape x = tsr_shape_of(tsr_input(n, 0)), weight = tsr_shape_of(tsr_input(n, 1));
    tsr_tensor *error = read_options(n, o, 0, c);
    if (!error) error = check_rank(n, "[K..., I / groups, O]");
    if (error) return error;
    for (int i = 0; i < c->spatial; i++)
        if (tsr_default_int(o->output_padding[i], 0) != 0) return tsr_reject(n, "output_padding is for conv_transpose");
    c->in_channels = x.dims[x.rank - 1];
    c->out_channels = weight.dims[weight.rank - 1];
    if (c->in_channels % c->groups != 0 || c->out_channels % c->groups != 0)
        return tsr_reject(n, "%d groups do not divide the %lld channels of input %s and the %lld that weight %s makes",
                          (int)c->groups, (long long)c->in_channels, INPUT_TEXT(n, 0), (long long)c->out_channels,
                          INPUT_TEXT(n, 1));
    const int64_t expected = weight.dims[weight.rank - 2];
    if (c->in_channels / c->groups != expected)
        return tsr_reject(n, "input %s has %lld channels, weight %s expects %lld (groups = %d)", INPUT_TEXT(n, 0),
                          (long long)c->in_channels, INPUT_TEXT(n, 1), (long long)(expected * c->groups), (int)c->groups);
    error = check_bias(n, TSR_SHAPE(c->out_channels), "output channel");
    return error ? error : slide(n, c);
}

tsr_tensor *tsr_conv_transpose_read(tsr_node *n, const tsr_conv_options *options, tsr_conv_geometry *c)
{
    static const tsr_conv_options none;
    const tsr_conv_options *o = options ? options : &none;
    const tsr_shape weight = tsr_shape_of(tsr_input(n, 1));
    tsr_tensor *error = read_options(n, o, 0, c);
    if (!error) error = check_rank(n, "[K..., O / groups, I]");
    if (!error) error = check_channels(n, c->out_channels = weight.dims[weight.rank - 1]);
    if (error) return error;
    if (c->out_channels % c->groups != 0)
        return tsr_reject(n, "%d groups do not divide the %lld channels of input %s", (int)c->groups,
                          (long long)c->out_channels, INPUT_TEXT(n, 0));
    if (weight.dims[weight.rank - 2] > most / c->groups)
        return tsr_reject(n, "weight %s with %d groups is too large", INPUT_TEXT(n, 1), (int)c->groups);
    c->in_channels = weight.dims[weight.rank - 2] * c->groups;
    error = check_bias(n, TSR_SHAPE(c->in_channels), "output channel");
    return error ? error : slide_back(n, o, c);
}

tsr_tensor *tsr_local_read(tsr_node *n, const tsr_conv_options *options, tsr_conv_geometry *c)
{
    static const tsr_conv_options none;
    const tsr_shape x = tsr_shape_of(tsr_input(n, 0)), weight = tsr_shape_of(tsr_input(n, 1));
    if (x.rank != 4 || weight.rank != 6)
        return tsr_reject(n, "input %s and weight %s, expected [N, H, W, I] and [H', W', KH, KW, I, O]", INPUT_TEXT(n, 0),
                          INPUT_TEXT(n, 1));
    tsr_tensor *error = read_options(n, options ? options : &none, 2, c);
    if (error) return error;
    if (c->groups != 1 || c->axes[1].dilation != 1 || c->axes[2].dilation != 1)
        return tsr_reject(n, "groups and dilation are not for this op");
    c->in_channels = x.dims[3];
    c->out_channels = weight.dims[5];
    error = check_channels(n, weight.dims[4]);
    if (!error) error = slide(n, c);
    if (error) return error;
    const int64_t height = c->axes[1].out, width = c->axes[2].out;
    if (weight.dims[0] != height || weight.dims[1] != width)
        return tsr_reject(n, "weight %s is for %lld x %lld positions, input %s with its kernel and these options has "
                          "%lld x %lld", INPUT_TEXT(n, 1), (long long)weight.dims[0], (long long)weight.dims[1], INPUT_TEXT(n, 0),
                          (long long)height, (long long)width);
    return check_bias(n, TSR_SHAPE(height, width, c->out_channels), "position and output channel");
}

/* ---- what follows --------------------------------------------------------------------------------------------- */

int64_t tsr_conv_taps(const tsr_conv_geometry *c) { return c->axes[0].kernel * c->axes[1].kernel * c->axes[2].kernel; }
int64_t tsr_conv_in_pixels(const tsr_conv_geometry *c) { return c->axes[0].in * c->axes[1].in * c->axes[2].in; }
int64_t tsr_conv_out_pixels(const tsr_conv_geometry *c) { return c->axes[0].out * c->axes[1].out * c->axes[2].out; }

double tsr_conv_work(const tsr_conv_geometry *c)
{
    return (double)(c->batch * tsr_conv_out_pixels(c)) * (double)tsr_conv_taps(c) *
           (double)(c->in_channels / c->groups) * (double)c->out_channels;
}

static tsr_shape shape_of(const tsr_conv_geometry *c, bool in)
{
    tsr_shape shape = {.rank = c->spatial + 2, .dims = {c->batch}};
    for (int i = 0; i < c->spatial; i++)
        shape.dims[i + 1] = in ? c->axes[3 - c->spatial + i].in : c->axes[3 - c->spatial + i].out;
    shape.dims[c->spatial + 1] = in ? c->in_channels : c->out_channels;
    return shape;
}

tsr_shape tsr_conv_in_shape(const tsr_conv_geometry *c) { return shape_of(c, true); }
tsr_shape tsr_conv_out_shape(const tsr_conv_geometry *c) { return shape_of(c, false); }
