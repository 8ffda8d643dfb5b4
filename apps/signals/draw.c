#include "apps/common/plot.h"
#include "apps/signals/signals.h"

#include <math.h>
#include <stdlib.h>

static const colour black = {0, 0, 0}, white = {255, 255, 255};
static const colour right_ink = {0, 150, 80}, wrong_ink = {210, 40, 40};

/* ---- what the net looked at -------------------------------------------------------------------------------------- */

/* A one for the highest score of each row, zeros elsewhere. */
static tsr_tensor *winners(tsr_context *ctx, const tsr_tensor *scores)
{
    const int64_t classes = tsr_dim(scores, -1);
    tsr_tensor *out = tsr_zeros(ctx, tsr_shape_of(scores));
    tsr_real *one = tsr_write(out);
    for (int64_t i = 0; one && i < tsr_dim(scores, 0); i++) {
        const tsr_real *row = tsr_data(scores) + i * classes;
        int64_t said = 0;
        for (int64_t k = 1; k < classes; k++)
            if (row[k] > row[said]) said = k;
        one[i * classes + said] = 1;
    }
    return out;
}

bool saliency(tsr_real *out, tsr_model *m, const signal_set *s, app_error *error)
{
    tsr_context *ctx = tsr_model_context(m);
    const bool trained = tsr_is_training(m);
    tsr_set_training(m, false);
    TSR_SCOPE(ctx) {
        tsr_tensor *x = tsr_watch(signals_batch(ctx, s, 0, s->count)), *scores = signal_net(m, x);
        tsr_backward_from(scores, winners(ctx, scores));
        tsr_tensor *g = tsr_grad(x);
        for (int64_t i = 0; g && i < tsr_size(x); i++) out[i] = tsr_data(g)[i] * tsr_data(x)[i];
    }
    tsr_zero_gradients(m);
    tsr_set_training(m, trained);
    return !tsr_error(ctx) || app_fail(error, "%s", tsr_error(ctx));
}

static unsigned char mixed(double from, double to, double share)
{
    return (unsigned char)(from + (to - from) * share + 0.5);
}

static void range_of(const tsr_real *values, int64_t count, double *low, double *high)
{
    *low = *high = (double)values[0];
    for (int64_t i = 1; i < count; i++) {
        *low = fmin(*low, (double)values[i]);
        *high = fmax(*high, (double)values[i]);
    }
    if (*high == *low) *high = *low + 1;
}

/* A curve; the more a sample spoke for the class, the darker the orange behind it. */
static bool draw_curve(image *out, const tsr_real *values, const tsr_real *seen, int count, app_error *error)
{
    enum { WIDTH = 240, HEIGHT = 160 };
    point *line = malloc((size_t)count * sizeof *line);
    double low, high, least, most;
    if (!line) return app_fail(error, "out of memory");
    bool done = image_new(out, WIDTH, HEIGHT, 3, error);
    if (done) canvas_fill(out, (box){0, 0, WIDTH, HEIGHT}, white);
    range_of(values, count, &low, &high);
    range_of(seen, count, &least, &most);
    for (int i = 0; done && i < count; i++) {
        const double share = fmax(0, (double)seen[i]) / fmax(most, 1e-30);
        const int left = i * WIDTH / count, end = (i + 1) * WIDTH / count;
        canvas_fill(out, (box){left, 0, end - left, HEIGHT},
                    (colour){255, mixed(255, 140, share), mixed(255, 0, share)});
        line[i] = (point){(i + 0.5) * WIDTH / count, 8 + (HEIGHT - 16) * (high - (double)values[i]) / (high - low)};
    }
    done = done && canvas_lines(out, (box){0, 0, WIDTH, HEIGHT}, line, count, 1.6, black, error);
    free(line);
    return done;
}

/* Up to nine slices along the first axis, evenly spread. The redder a pixel, the more it spoke for the class. */
static bool draw_slices(image *out, const tsr_real *values, const tsr_real *seen, tsr_shape shape, app_error *error)
{
    const int depth = shape.rank > 2 ? (int)shape.dims[0] : 1, side = depth > 1 ? 3 : 1;
    const int height = (int)shape.dims[shape.rank - 2], width = (int)shape.dims[shape.rank - 1];
    const int scale = 240 / (side * width) + 1, shown = side * side < depth ? side * side : depth;
    double low, high, least, most;
    if (!image_new(out, side * width * scale + side - 1, side * height * scale + side - 1, 3, error)) return false;
    range_of(values, tsr_shape_size(shape), &low, &high);
    range_of(seen, tsr_shape_size(shape), &least, &most);
    for (int n = 0; n < shown; n++) {
        const int64_t slice = (2 * n + 1) * depth / (2 * shown);
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++) {
                const int64_t i = (slice * height + y) * width + x;
                const double grey = 255 * ((double)values[i] - low) / (high - low);
                const double share = sqrt(fmax(0, (double)seen[i]) / fmax(most, 1e-30)); /* so that weak parts show */
                const box area = {n % side * (width * scale + 1) + x * scale,
                                  n / side * (height * scale + 1) + y * scale, scale, scale};
                canvas_fill(out, area, (colour){mixed(grey, 255, share), mixed(grey, 0, share), mixed(grey, 0, share)});
            }
    }
    return true;
}

enum { SHOWN = 12 };

/* As many of each class as there is room for. */
static int choose(const signal_set *s, int *rows)
{
    int count = 0, seen[MOST_CLASSES] = {0};
    const int each = s->labels ? (SHOWN + s->classes - 1) / s->classes : SHOWN;
    for (int i = 0; i < s->count && count < SHOWN; i++)
        if (seen[s->labels ? s->labels[i] : 0]++ < each) rows[count++] = i;
    return count;
}

static bool draw_all(image *out, const signal_set *s, const tsr_real *seen, const tsr_real *scores, const char *title,
                     app_error *error)
{
    image pictures[SHOWN] = {{0}};
    contact contacts[SHOWN];
    char captions[SHOWN][2 * CLASS_NAME + 8];
    const int64_t size = tsr_shape_size(s->shape);
    bool done = true;
    for (int i = 0; done && i < s->count; i++) {
        const tsr_real *row = scores + i * s->classes;
        int said = 0;
        for (int k = 1; k < s->classes; k++)
            if (row[k] > row[said]) said = k;
        const bool right = !s->labels || s->labels[i] == said;
        if (right) snprintf(captions[i], sizeof captions[i], "%s", s->names[said]);
        else snprintf(captions[i], sizeof captions[i], "%s, is %s", s->names[said], s->names[s->labels[i]]);
        contacts[i] = (contact){&pictures[i], captions[i], s->labels ? right ? &right_ink : &wrong_ink : NULL};
        done = s->shape.rank == 1
                   ? draw_curve(&pictures[i], s->values + i * size, seen + i * size, (int)size, error)
                   : draw_slices(&pictures[i], s->values + i * size, seen + i * size, s->shape, error);
    }
    done = done && contact_sheet(out, contacts, s->count, &(sheet_layout){.columns = 4, .cell = 244, .title = title},
                                 error);
    for (int i = 0; i < SHOWN; i++) image_free(&pictures[i]);
    return done;
}

bool draw_looked_at(image *out, tsr_model *m, const signal_set *s, const char *title, app_error *error)
{
    int rows[SHOWN];
    signal_set some;
    if (!signals_take(&some, s, rows, choose(s, rows), error)) return false;
    tsr_real *seen = malloc((size_t)(some.count * tsr_shape_size(s->shape)) * sizeof *seen);
    tsr_real *scores = malloc((size_t)(some.count * some.classes) * sizeof *scores);
    const bool done = ((seen && scores) || app_fail(error, "out of memory")) &&
                      net_scores(scores, m, &some, error) && saliency(seen, m, &some, error) &&
                      draw_all(out, &some, seen, scores, title, error);
    free(seen);
    free(scores);
    signals_free(&some);
    return done;
}

/* ---- confusion --------------------------------------------------------------------------------------------------- */

bool draw_confusion(image *out, const judgement *j, const signal_set *s, app_error *error)
{
    enum { CELL = 110, EDGE = 120, TOP = 60 };
    char text[160];
    if (!image_new(out, EDGE + j->classes * CELL + 10, TOP + j->classes * CELL + 10, 3, error)) return false;
    canvas_fill(out, (box){0, 0, out->width, out->height}, white);
    snprintf(text, sizeof text, "is (rows), said: %.1f %% of %d right", 100 * j->accuracy, j->count);
    canvas_text(out, 8, 8, text, 1, black);
    for (int i = 0; i < j->classes; i++) {
        int all = 0;
        for (int k = 0; k < j->classes; k++) all += j->confusion[i][k];
        canvas_text(out, 8, TOP + i * CELL + CELL / 2 - 4, s->names[i], 1, black);
        canvas_text(out, EDGE + i * CELL + 6, TOP - 16, s->names[i], 1, black);
        for (int k = 0; k < j->classes; k++) {
            const double share = all > 0 ? (double)j->confusion[i][k] / all : 0;
            canvas_fill(out, (box){EDGE + k * CELL, TOP + i * CELL, CELL - 2, CELL - 2},
                        (colour){mixed(240, 0, share), mixed(244, 90, share), mixed(250, 160, share)});
            snprintf(text, sizeof text, "%d", j->confusion[i][k]);
            canvas_text(out, EDGE + k * CELL + (CELL - canvas_text_width(text, 2)) / 2, TOP + i * CELL + CELL / 2 - 8,
                        text, 2, share > 0.5 ? white : black);
        }
    }
    return true;
}
