#include "apps/signals/signals.h"

#include <stdlib.h>

static void set_number(tsr_model *m, const char *key, double value)
{
    char text[40];
    snprintf(text, sizeof text, "%.9g", value);
    tsr_set_text(m, key, text);
}

static double number_of(const tsr_model *m, const char *key)
{
    const char *text = tsr_text_of(m, key);
    return text ? strtod(text, NULL) : 0;
}

static const char *numbered(char *room, size_t bytes, const char *key, int i)
{
    snprintf(room, bytes, "signal.%s.%d", key, i);
    return room;
}

void signal_describe(tsr_model *m, const signal_form *form)
{
    char key[40];
    set_number(m, "signal.width", form->width);
    set_number(m, "signal.slice", form->slice);
    set_number(m, "signal.flat", form->flat);
    set_number(m, "signal.mean", form->mean);
    set_number(m, "signal.deviation", form->deviation);
    set_number(m, "signal.classes", form->classes);
    set_number(m, "signal.axes", form->shape.rank);
    for (int d = 0; d < form->shape.rank; d++)
        set_number(m, numbered(key, sizeof key, "size", d), (double)form->shape.dims[d]);
    for (int i = 0; i < form->classes; i++) tsr_set_text(m, numbered(key, sizeof key, "class", i), form->names[i]);
}

bool signal_form_of(signal_form *out, const tsr_model *m, app_error *error)
{
    char key[40];
    *out = (signal_form){.width = (int)number_of(m, "signal.width"), .classes = (int)number_of(m, "signal.classes"),
                         .slice = number_of(m, "signal.slice") > 0, .flat = number_of(m, "signal.flat") > 0,
                         .mean = number_of(m, "signal.mean"), .deviation = number_of(m, "signal.deviation"),
                         .shape = {.rank = (int)number_of(m, "signal.axes")}};
    bool right = out->width > 0 && out->classes > 1 && out->classes <= MOST_CLASSES && out->deviation > 0 &&
                 out->shape.rank > (out->slice ? 2 : 0) && out->shape.rank <= 3;
    for (int d = 0; right && d < out->shape.rank; d++) {
        out->shape.dims[d] = (int64_t)number_of(m, numbered(key, sizeof key, "size", d));
        right = out->shape.dims[d] > 0;
    }
    for (int i = 0; right && i < out->classes; i++) {
        const char *name = tsr_text_of(m, numbered(key, sizeof key, "class", i));
        snprintf(out->names[i], CLASS_NAME, "%s", name ? name : "?");
    }
    return right || app_fail(error, "the model was not made by signals train");
}

tsr_tensor *signal_net(tsr_model *m, tsr_tensor *x)
{
    static const char *const names[] = {"block1", "block2", "block3"};
    static const int taps[] = {7, 5, 3}; /* along one axis; along several 3, for there the number is its power */
    const int axes = tsr_rank(x) - 2;
    const int64_t width = (int64_t)number_of(m, "signal.width");
    for (int i = 0; i < 3; i++) {
        const int k = axes == 1 ? taps[i] : 3;
        tsr_conv_options o = {.no_bias = true};
        tsr_pool_options half = {.ceil_mode = true};
        for (int d = 0; d < axes && d < 3; d++) {
            o.kernel[d] = k;
            o.padding[d] = k / 2;
            half.kernel[d] = 2;
        }
        tsr_enter(m, names[i]);
        x = tsr_nn_batch_norm(m, "norm", tsr_nn_conv(m, "conv", x, width << i, &o),
                              &(tsr_norm_options){.activation = TSR_RELU});
        if (i < 2) x = tsr_max_pool(x, &half);
        tsr_leave(m);
    }
    if (number_of(m, "signal.flat") > 0)
        return tsr_nn_linear(m, "classes", tsr_nn_dropout(m, x, 0.5), (int64_t)number_of(m, "signal.classes"), NULL);
    x = tsr_reshape(x, TSR_SHAPE(tsr_dim(x, 0), -1, tsr_dim(x, -1)));
    x = tsr_mean(x, &(tsr_reduce_options){.axes = TSR_AXIS(1)});
    return tsr_nn_linear(m, "classes", x, (int64_t)number_of(m, "signal.classes"), NULL);
}

void signal_prepare(signal_set *s, const signal_form *form)
{
    if (form->slice) signals_to_slices(s);
    signals_standardise(s, form->mean, form->deviation);
}
