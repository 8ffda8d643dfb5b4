/* The layers: each makes or finds its parameters and calls its op. */
#include "nn/nn_internal.h"
#include "ops/ops_internal.h"

/* What a layer returns where it cannot go on. */
static tsr_tensor *failed(const tsr_model *m, const tsr_tensor *x)
{
    return tsr_error_tensor(m ? m->ctx : tsr_context_of(x));
}

/* Whether the layer can look at its input; if not, an error sticks. */
static bool ready(const tsr_model *m, const char *layer, const char *name, const tsr_tensor *x)
{
    tsr_context *ctx = m ? m->ctx : tsr_context_of(x);
    if (!ctx || ctx->failed) return false;
    if (!m) tsr_fail(ctx, "%s: the model is NULL", layer);
    else if (!name || !*name) tsr_fail(ctx, "%s: an empty name", layer);
    else if (!x) tsr_fail(ctx, "%s \"%s\": the input is NULL", layer, name);
    else if (x->ctx != ctx) tsr_fail(ctx, "%s \"%s\": the input belongs to another context", layer, name);
    else if (tsr_is_error(x)) tsr_fail(ctx, "%s \"%s\": the input is the error tensor of an earlier failure", layer, name);
    else return true;
    return false;
}

static tsr_tensor *leave_with(tsr_model *m, tsr_tensor *y)
{
    tsr_summary_add(m, y);
    tsr_leave(m);
    return y;
}

typedef struct layer_parameters {
    tsr_tensor *weight, *bias; /* bias NULL: left out */
} layer_parameters;

static const tsr_conv_options no_conv_options = {0};

static layer_parameters weight_and_bias(tsr_model *m, const tsr_request *weight, const tsr_shape *bias, bool no_bias,
                                        const tsr_init *bias_init)
{
    layer_parameters p = {.weight = tsr_find_tensor(m, weight)};
    if (no_bias) return p;
    p.bias = tsr_find_tensor(m, &(tsr_request){.name = "bias", .shape = bias, .init = bias_init, .fan = weight->fan});
    return p;
}

/* ---- linear ------------------------------------------------------------------------------------------------------ */

/* Memory [S... * C, O], file [O, C * S...]: as a kernel over the spatial axes of the input. */
static tsr_layout linear_layout(const tsr_shape *memory, const tsr_shape *x)
{
    tsr_shape kernel = {.rank = x->rank};
    for (int i = 1; i < x->rank; i++) kernel.dims[i - 1] = x->dims[i];
    kernel.dims[x->rank - 1] = memory->dims[1];
    tsr_layout layout = tsr_layout_kernel(&kernel, NULL);
    layout.stored = TSR_SHAPE(memory->dims[1], memory->dims[0]);
    return layout;
}

tsr_tensor *tsr_nn_linear(tsr_model *m, const char *name, tsr_tensor *x, int64_t features,
                          const tsr_linear_options *options)
{
    static const tsr_linear_options no_options = {0};
    const tsr_linear_options *o = options ? options : &no_options;
    if (!ready(m, "linear", name, x)) return failed(m, x);
    if (x->shape.rank < 2 || features < 1)
        return tsr_fail(m->ctx, "linear \"%s\": input %s needs a batch axis and features, and %lld features out", name,
                        tsr_shape_text(x->shape).text, (long long)features);
    tsr_shape shape = {.rank = 2, .dims = {1, features}};
    for (int i = 1; i < x->shape.rank; i++) shape.dims[0] *= x->shape.dims[i];
    const tsr_shape bias = {.rank = 1, .dims = {features}};
    const tsr_request weight = {.name = "weight", .shape = &shape, .layout = linear_layout, .input = &x->shape,
                                .init = o->weight_init, .fan = &shape};
    tsr_enter(m, name);
    const layer_parameters p = weight_and_bias(m, &weight, &bias, o->no_bias, o->bias_init);
    if (x->shape.rank > 2) x = tsr_reshape(x, TSR_SHAPE(x->shape.dims[0], shape.dims[0]));
    return leave_with(m, tsr_linear(x, p.weight, p.bias, o));
}

tsr_tensor *tsr_nn_maxout(tsr_model *m, const char *name, tsr_tensor *x, int64_t features, int pieces)
{
    const bool fits = features > 0 && pieces > 0 && features <= INT64_MAX / pieces;
    return tsr_maxout(tsr_nn_linear(m, name, x, fits ? features * pieces : 0, NULL), pieces);
}

/* ---- convolutions ------------------------------------------------------------------------------------------------ */

typedef struct kernel_request {
    const char *what, *name;
    int64_t in, out; /* the last two axes of the weight */
} kernel_request;

/* [K..., in, out] where x has one to three spatial axes and each has a kernel; rank 0 after an error. */
static tsr_shape kernel_shape(tsr_model *m, const tsr_tensor *x, const tsr_conv_options *o, kernel_request want)
{
    const int spatial = x->shape.rank - 2;
    tsr_shape shape = {.rank = spatial + 2};
    bool good = spatial >= 1 && spatial <= 3 && want.in >= 1 && want.out >= 1;
    for (int i = 0; good && i < spatial; i++) {
        good = o->kernel[i] >= 1;
        shape.dims[i] = o->kernel[i];
    }
    if (!good) {
        tsr_fail(m->ctx,
                 "%s \"%s\": input %s with kernel [%d, %d, %d] to %lld channels: needs 1 to 3 spatial axes, a kernel for "
                 "each, and channels that the groups divide", want.what, want.name, tsr_shape_text(x->shape).text,
                 o->kernel[0], o->kernel[1], o->kernel[2], (long long)want.out);
        return TSR_SCALAR;
    }
    shape.dims[spatial] = want.in;
    shape.dims[spatial + 1] = want.out;
    return shape;
}

static layer_parameters kernel_and_bias(tsr_model *m, const tsr_shape *kernel, int64_t channels,
                                        const tsr_conv_options *o)
{
    const tsr_shape bias = {.rank = 1, .dims = {channels}};
    const tsr_request weight = {.name = "weight", .shape = kernel, .layout = tsr_layout_kernel, .init = o->weight_init,
                                .fan = kernel};
    return weight_and_bias(m, &weight, &bias, o->no_bias, o->bias_init);
}

tsr_tensor *tsr_nn_conv(tsr_model *m, const char *name, tsr_tensor *x, int64_t channels,
                        const tsr_conv_options *options)
{
    const tsr_conv_options *o = options ? options : &no_conv_options;
    if (!ready(m, "conv", name, x)) return failed(m, x);
    const int groups = tsr_default_int(o->groups, 1);
    const int64_t in = groups > 0 && tsr_dim(x, -1) % groups == 0 ? tsr_dim(x, -1) / groups : 0;
    const tsr_shape shape = kernel_shape(m, x, o, (kernel_request){"conv", name, in, channels});
    if (m->ctx->failed) return failed(m, x);
    tsr_enter(m, name);
    const layer_parameters p = kernel_and_bias(m, &shape, channels, o);
    return leave_with(m, tsr_conv(x, p.weight, p.bias, o));
}

tsr_tensor *tsr_nn_conv_transpose(tsr_model *m, const char *name, tsr_tensor *x, int64_t channels,
                                  const tsr_conv_options *options)
{
    const tsr_conv_options *o = options ? options : &no_conv_options;
    if (!ready(m, "conv_transpose", name, x)) return failed(m, x);
    const int groups = tsr_default_int(o->groups, 1);
    const int64_t in = groups > 0 && channels % groups == 0 ? channels / groups : 0;
    const tsr_shape shape = kernel_shape(m, x, o, (kernel_request){"conv_transpose", name, in, tsr_dim(x, -1)});
    if (m->ctx->failed) return failed(m, x);
    tsr_enter(m, name);
    const layer_parameters p = kernel_and_bias(m, &shape, channels, o);
    return leave_with(m, tsr_conv_transpose(x, p.weight, p.bias, o));
}

/* Output length of a window along one axis; 0 where there is none. */
static int64_t positions(int64_t length, const tsr_conv_options *o, int axis)
{
    const int before = tsr_default_int(o->padding[axis], 0), after = tsr_default_int(o->padding_end[axis], before);
    const int64_t stride = tsr_default_int(o->stride[axis], 1), room = length + before + after - o->kernel[axis];
    return room < 0 || stride < 1 ? 0 : room / stride + 1;
}

/* Memory [H', W', KH, KW, I, O], file [H', W', O, I, KH, KW]. */
static tsr_layout local_layout(const tsr_shape *memory, const tsr_shape *input)
{
    const int64_t *d = memory->dims;
    const tsr_shape view = TSR_SHAPE(d[0], d[1], d[5], d[4], d[2], d[3]);
    (void)input;
    return (tsr_layout){.stored = view, .view = view, .order = {0, 1, 4, 5, 3, 2}};
}

tsr_tensor *tsr_nn_locally_connected(tsr_model *m, const char *name, tsr_tensor *x, int64_t channels,
                                     const tsr_conv_options *options)
{
    const tsr_conv_options *o = options ? options : &no_conv_options;
    if (!ready(m, "locally_connected", name, x)) return failed(m, x);
    const int64_t in = tsr_dim(x, -1);
    const tsr_shape kernel = kernel_shape(m, x, o, (kernel_request){"locally_connected", name, in, channels});
    if (m->ctx->failed) return failed(m, x);
    const int64_t height = positions(tsr_dim(x, 1), o, 0), width = positions(tsr_dim(x, 2), o, 1);
    if (tsr_rank(x) != 4 || height < 1 || width < 1)
        return tsr_fail(m->ctx, "locally_connected \"%s\": input %s with kernel [%d, %d] has no output", name,
                        tsr_shape_text(x->shape).text, o->kernel[0], o->kernel[1]);
    const tsr_shape shape = TSR_SHAPE(height, width, kernel.dims[0], kernel.dims[1], in, channels);
    const tsr_shape bias = TSR_SHAPE(height, width, channels);
    const tsr_request weight = {.name = "weight", .shape = &shape, .layout = local_layout, .init = o->weight_init,
                                .fan = &kernel}; /* of one position, not of the whole */
    tsr_enter(m, name);
    const layer_parameters p = weight_and_bias(m, &weight, &bias, o->no_bias,
                                               o->bias_init ? o->bias_init : o->weight_init);
    return leave_with(m, tsr_locally_connected(x, p.weight, p.bias, o));
}

/* ---- normalisation ----------------------------------------------------------------------------------------------- */

static const tsr_init ones = {.kind = TSR_INIT_CONSTANT, .value = 1}, zeros = {.kind = TSR_INIT_CONSTANT};

static layer_parameters scale_and_shift(tsr_model *m, tsr_shape shape, bool no_affine)
{
    if (no_affine) return (layer_parameters){0};
    return (layer_parameters){.weight = tsr_parameter_init(m, "weight", shape, &ones),
                              .bias = tsr_parameter_init(m, "bias", shape, &zeros)};
}

tsr_tensor *tsr_nn_batch_norm(tsr_model *m, const char *name, tsr_tensor *x, const tsr_norm_options *options)
{
    tsr_norm_options o = options ? *options : (tsr_norm_options){0};
    if (!ready(m, "batch_norm", name, x)) return failed(m, x);
    const tsr_shape shape = TSR_SHAPE(tsr_dim(x, -1));
    tsr_enter(m, name);
    const layer_parameters p = scale_and_shift(m, shape, o.no_affine);
    const tsr_batch_norm_state state = {p.weight, p.bias, tsr_buffer(m, "running_mean", shape, 0),
                                        tsr_buffer(m, "running_var", shape, 1)};
    if (!m->training) o.evaluate = true;
    return leave_with(m, tsr_batch_norm(x, &state, &o));
}

tsr_tensor *tsr_nn_layer_norm(tsr_model *m, const char *name, tsr_tensor *x, const tsr_norm_options *options)
{
    const tsr_norm_options o = options ? *options : (tsr_norm_options){0};
    if (!ready(m, "layer_norm", name, x)) return failed(m, x);
    const int axes = tsr_default_int(o.axes, 1);
    if (axes < 1 || axes > tsr_rank(x))
        return tsr_fail(m->ctx, "layer_norm \"%s\": input %s has no %d trailing axes", name,
                        tsr_shape_text(x->shape).text, axes);
    const tsr_shape shape = tsr_make_shape(axes, x->shape.dims + x->shape.rank - axes);
    tsr_enter(m, name);
    const layer_parameters p = scale_and_shift(m, shape, o.no_affine);
    return leave_with(m, tsr_layer_norm(x, p.weight, p.bias, &o));
}

tsr_tensor *tsr_nn_group_norm(tsr_model *m, const char *name, tsr_tensor *x, int groups,
                              const tsr_norm_options *options)
{
    const tsr_norm_options o = options ? *options : (tsr_norm_options){0};
    if (!ready(m, "group_norm", name, x)) return failed(m, x);
    tsr_enter(m, name);
    const layer_parameters p = scale_and_shift(m, TSR_SHAPE(tsr_dim(x, -1)), o.no_affine);
    return leave_with(m, tsr_group_norm(x, groups, p.weight, p.bias, &o));
}

tsr_tensor *tsr_nn_instance_norm(tsr_model *m, const char *name, tsr_tensor *x, const tsr_norm_options *options)
{
    const tsr_norm_options o = options ? *options : (tsr_norm_options){0};
    if (!ready(m, "instance_norm", name, x)) return failed(m, x);
    tsr_enter(m, name);
    const layer_parameters p = scale_and_shift(m, TSR_SHAPE(tsr_dim(x, -1)), o.no_affine);
    return leave_with(m, tsr_instance_norm(x, p.weight, p.bias, &o));
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

tsr_tensor *tsr_nn_prelu(tsr_model *m, const char *name, tsr_tensor *x, bool per_channel)
{
    if (!ready(m, "prelu", name, x)) return failed(m, x);
    tsr_enter(m, name);
    tsr_tensor *slope = tsr_parameter_init(m, "weight", TSR_SHAPE(per_channel ? tsr_dim(x, -1) : 1),
                                           &(tsr_init){.kind = TSR_INIT_CONSTANT, .value = 0.25});
    return leave_with(m, tsr_prelu(x, slope));
}

tsr_tensor *tsr_nn_dropout(tsr_model *m, tsr_tensor *x, double p)
{
    return tsr_is_training(m) ? tsr_dropout(x, p) : x;
}
