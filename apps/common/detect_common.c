#include "apps/common/detect.h"

#include "apps/common/augment.h"

#include <math.h>
#include <string.h>

tsr_tensor *separable_conv(tsr_model *m, const char *name, tsr_tensor *x, int channels, int stride)
{
    const int before = stride == 1 ? 1 : 0;
    const tsr_conv_options each = {.kernel = {3, 3}, .stride = {stride, stride}, .padding = {before, before},
                                   .padding_end = {1, 1}, .groups = (int)tsr_dim(x, -1), .no_bias = true};
    tsr_enter(m, name);
    x = tsr_nn_conv(m, "depthwise", x, tsr_dim(x, -1), &each);
    x = tsr_nn_conv(m, "pointwise", x, channels, &(tsr_conv_options){.kernel = {1, 1}});
    tsr_leave(m);
    return x;
}

static int at_least_one(double x)
{
    return x < 1 ? 1 : (int)lround(x);
}

/* `square` is black. */
static bool draw_into(image *square, const image *picture, square_place *place, app_error *error)
{
    const int size = square->width, longest = picture->width > picture->height ? picture->width : picture->height;
    image colour = {0}, scaled = {0};
    place->scale = (double)size / longest;
    const int width = at_least_one(picture->width * place->scale);
    const int height = at_least_one(picture->height * place->scale);
    place->left = place->centred ? (size - width) / 2 : 0;
    place->top = place->centred ? (size - height) / 2 : 0;
    const bool done = image_to_rgb(&colour, picture, error) &&
                      image_resize(&scaled, &colour, width, height, IMAGE_AREA, error);
    for (int y = 0; done && y < height; y++)
        memcpy(square->pixels + 3 * ((ptrdiff_t)(place->top + y) * size + place->left),
               scaled.pixels + (ptrdiff_t)3 * y * width, (size_t)(3 * width));
    image_free(&colour);
    image_free(&scaled);
    return done;
}

tsr_tensor *square_input(tsr_context *ctx, const image *picture, square_place *place, const double mean[3],
                         app_error *error)
{
    image square = {0};
    tsr_tensor *x = NULL;
    const int size = place->size;
    if (image_new(&square, size, size, 3, error) && draw_into(&square, picture, place, error)) {
        x = tsr_zeros(ctx, TSR_SHAPE(1, size, size, 3));
        tsr_real *values = tsr_write(x);
        if (values) {
            picture_vary(square.pixels, size, 3, NULL, (tsr_rng){0}, values);
            picture_standardize(values, 3 * size * size, 3, mean, (const double[]){255, 255, 255});
        } else app_fail(error, "%s", tsr_error(ctx));
        if (!values) x = NULL;
    }
    image_free(&square);
    return x;
}
