/* The 68-point landmark net. */
#include "apps/common/detect.h"

#include <math.h>

enum { SIDE = 112 };

/* Each convolution sees the sum of what came before. */
static tsr_tensor *dense_block(tsr_model *m, const char *name, tsr_tensor *x, int channels, bool first)
{
    const tsr_conv_options plain = {.kernel = {3, 3}, .stride = {2, 2}, .padding_end = {1, 1}};
    static const char *const names[] = {"conv1", "conv2", "conv3"};
    tsr_enter(m, name);
    x = tsr_relu(first ? tsr_nn_conv(m, "conv0", x, channels, &plain) : separable_conv(m, "conv0", x, channels, 2));
    tsr_tensor *sum = x;
    for (int i = 0; i < 3; i++) {
        sum = tsr_add(sum, separable_conv(m, names[i], x, channels, 1));
        x = tsr_relu(sum);
    }
    tsr_leave(m);
    return x;
}

tsr_tensor *landmarks68_net(tsr_model *m, tsr_tensor *x)
{
    static const char *const names[] = {"dense0", "dense1", "dense2", "dense3"};
    for (int i = 0; i < 4; i++) x = dense_block(m, names[i], x, 32 << i, i == 0);
    x = tsr_adaptive_avg_pool(x, (const int64_t[]){1, 1});
    return tsr_nn_linear(m, "fc", x, 2 * LANDMARKS, NULL);
}

/* The part of the photograph that the box covers, whole pixels. */
static bool cut(image *out, const image *photo, const face_box *box, int *left, int *top, app_error *error)
{
    const double right = fmin(floor(box->left + box->width), photo->width), x = fmax(floor(box->left), 0);
    const double bottom = fmin(floor(box->top + box->height), photo->height), y = fmax(floor(box->top), 0);
    if (!(right - x >= 1 && bottom - y >= 1)) return app_fail(error, "no landmarks: the face is outside the picture");
    *left = (int)x;
    *top = (int)y;
    return image_crop(out, photo, *left, *top, (int)(right - x), (int)(bottom - y), error);
}

bool landmarks68_find(mark points[LANDMARKS], tsr_model *m, const image *photo, const face_box *box, app_error *error)
{
    static const double mean[3] = {122.782, 117.001, 104.298};
    tsr_context *ctx = tsr_model_context(m);
    image face = {0};
    int left = 0, top = 0;
    bool done = false;
    if (!cut(&face, photo, box, &left, &top, error)) return false;
    tsr_set_training(m, false);
    TSR_NO_GRAD(ctx) {
        square_place place = {.size = SIDE, .centred = true};
        tsr_real values[2 * LANDMARKS];
        tsr_tensor *x = square_input(ctx, &face, &place, mean, error);
        done = x && tsr_copy_out(landmarks68_net(m, x), values, 2 * LANDMARKS);
        if (tsr_error(ctx)) app_fail(error, "%s", tsr_error(ctx));
        for (int i = 0; done && i < LANDMARKS; i++)
            points[i] = (mark){left + ((double)values[2 * i] * SIDE - place.left) / place.scale,
                                     top + ((double)values[2 * i + 1] * SIDE - place.top) / place.scale};
    }
    image_free(&face);
    return done;
}

static mark mean_of(const mark *points, int count)
{
    mark sum = {0, 0};
    for (int i = 0; i < count; i++) sum = (mark){sum.x + points[i].x / count, sum.y + points[i].y / count};
    return sum;
}

void landmarks68_five(const mark points[LANDMARKS], mark five[5])
{
    five[0] = mean_of(points + 36, 6);
    five[1] = mean_of(points + 42, 6);
    five[2] = points[30];
    five[3] = points[48];
    five[4] = points[54];
}
