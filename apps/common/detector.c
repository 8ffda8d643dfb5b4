/* The tiny face detector: the net, and boxes from what it says. */
#include "apps/common/detect.h"

#include <math.h>
#include <stdlib.h>

enum { ANCHORS = 5, VALUES = 5 };

tsr_tensor *detector_net(tsr_model *m, tsr_tensor *x)
{
    static const struct {
        const char *name;
        int channels;
    } convolutions[] = {{"conv1", 32}, {"conv2", 64}, {"conv3", 128}, {"conv4", 256}, {"conv5", 512}};
    const tsr_pool_options half = {.kernel = {2, 2}, .stride = {2, 2}, .ceil_mode = true};
    const tsr_pool_options last = {.kernel = {2, 2}, .stride = {1, 1}, .padding_end = {1, 1}};
    const double slope = 0.1;
    x = tsr_leaky_relu(tsr_nn_conv(m, "conv0", x, 16, &(tsr_conv_options){.kernel = {3, 3}}), slope);
    for (int i = 0; i < 5; i++)
        x = tsr_leaky_relu(separable_conv(m, convolutions[i].name, tsr_max_pool(x, &half), convolutions[i].channels, 1),
                           slope);
    return tsr_nn_conv(m, "conv8", tsr_max_pool(x, &last), ANCHORS * VALUES, &(tsr_conv_options){.kernel = {1, 1}});
}

/* ---- boxes ------------------------------------------------------------------------------------------------------- */

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static face_box box_of(const tsr_real *t, int anchor, int row, int column, int side)
{
    /* In cells. */
    static const double width[ANCHORS] = {1.603231, 6.041143, 2.882459, 4.266906, 9.041765};
    static const double height[ANCHORS] = {2.094468, 7.080126, 3.518061, 5.178857, 10.66308};
    face_box b = {.width = exp(t[2]) * width[anchor] / side, .height = exp(t[3]) * height[anchor] / side,
                  .score = sigmoid(t[4])};
    b.left = (column + sigmoid(t[0])) / side - b.width / 2;
    b.top = (row + sigmoid(t[1])) / side - b.height / 2;
    return b;
}

/* Best first; equal ones from the upper left on, so that the order is the same everywhere. */
static int compare(const void *left, const void *right)
{
    const face_box *a = left, *b = right;
    const double difference[] = {b->score - a->score, a->top - b->top, a->left - b->left, a->width - b->width,
                                 a->height - b->height};
    for (int i = 0; i < 5; i++)
        if (difference[i] != 0) return difference[i] < 0 ? -1 : 1;
    return 0;
}

static double overlap(const face_box *a, const face_box *b)
{
    const double width = fmin(a->left + a->width, b->left + b->width) - fmax(a->left, b->left);
    const double height = fmin(a->top + a->height, b->top + b->height) - fmax(a->top, b->top);
    const double both = fmax(width, 0) * fmax(height, 0);
    return both / (a->width * a->height + b->width * b->height - both);
}

static bool is_finite(const face_box *b)
{
    return isfinite(b->left) && isfinite(b->top) && isfinite(b->width) && isfinite(b->height);
}

int face_boxes_best(face_box *boxes, int count)
{
    const double most_overlap = 0.4;
    int kept = 0;
    qsort(boxes, (size_t)count, sizeof *boxes, compare);
    for (int i = 0; i < count; i++) {
        bool covered = false;
        for (int k = 0; k < kept && !covered; k++) covered = overlap(&boxes[k], &boxes[i]) > most_overlap;
        if (!covered) boxes[kept++] = boxes[i];
    }
    return kept;
}

int detector_decode(const tsr_real *cells, int side, double least_score, face_box *out)
{
    int found = 0;
    for (int i = 0; i < side * side * ANCHORS; i++) {
        const int cell = i / ANCHORS;
        out[found] = box_of(cells + (ptrdiff_t)VALUES * i, i % ANCHORS, cell / side, cell % side, side);
        if (out[found].score >= least_score && is_finite(&out[found])) found++;
    }
    return face_boxes_best(out, found);
}

/* ---- a photograph ------------------------------------------------------------------------------------------------ */

static bool decode_photo(face_boxes *out, const tsr_tensor *cells, double least_score, double side_in_photo,
                         app_error *error)
{
    const int side = (int)tsr_dim(cells, 1);
    out->items = malloc((size_t)(side * side * ANCHORS) * sizeof *out->items);
    if (!out->items) return app_fail(error, "out of memory for boxes");
    out->count = detector_decode(tsr_data(cells), side, least_score, out->items);
    for (int i = 0; i < out->count; i++) {
        face_box *b = &out->items[i];
        *b = (face_box){b->left * side_in_photo, b->top * side_in_photo, b->width * side_in_photo,
                        b->height * side_in_photo, b->score};
    }
    return true;
}

bool detector_find(face_boxes *out, tsr_model *m, const image *photo, int size, double least_score, app_error *error)
{
    static const double mean[3] = {117.001, 114.697, 97.404};
    tsr_context *ctx = tsr_model_context(m);
    bool done = false;
    *out = (face_boxes){0};
    if (size < 32 || size > 2048 || size % 32 != 0)
        return app_fail(error, "the detector sees squares of a multiple of 32 from 32 to 2048 pixels, not %d", size);
    tsr_set_training(m, false);
    TSR_NO_GRAD(ctx) {
        square_place place = {.size = size};
        tsr_tensor *x = square_input(ctx, photo, &place, mean, error);
        const tsr_tensor *cells = x ? detector_net(m, x) : NULL;
        if (tsr_error(ctx)) app_fail(error, "%s", tsr_error(ctx));
        else if (cells) done = decode_photo(out, cells, least_score, size / place.scale, error);
    }
    return done;
}

void face_boxes_free(face_boxes *boxes)
{
    free(boxes->items);
    *boxes = (face_boxes){0};
}
