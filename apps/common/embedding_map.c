#include "apps/common/embedding_map.h"

#include "apps/common/canvas.h"
#include "apps/common/transform.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- principal components ---------------------------------------------------------------------------------------- */

static void normalise(double *v, int length)
{
    double sum = 0;
    for (int k = 0; k < length; k++) sum += v[k] * v[k];
    for (int k = 0; k < length && sum > 0; k++) v[k] /= sqrt(sum);
}

/* One step of the power method: covariance times v, without what lies along the axis before. */
static void multiply(double *out, const double *centred, const double *v, const double *before, int count, int length)
{
    for (int k = 0; k < length; k++) out[k] = 0;
    for (int i = 0; i < count; i++) {
        double dot = 0;
        for (int k = 0; k < length; k++) dot += centred[(ptrdiff_t)i * length + k] * v[k];
        for (int k = 0; k < length; k++) out[k] += dot * centred[(ptrdiff_t)i * length + k];
    }
    double along = 0;
    for (int k = 0; before && k < length; k++) along += out[k] * before[k];
    for (int k = 0; before && k < length; k++) out[k] -= along * before[k];
}

bool map_by_pca(double *out, const tsr_real *rows, int count, int length, app_error *error)
{
    enum { STEPS = 300 };
    double *centred = malloc((size_t)count * (size_t)length * sizeof *centred);
    double *room = malloc(3 * (size_t)length * sizeof *room);
    double *axes[2] = {room, room ? room + length : NULL}, *next = room ? room + 2 * length : NULL;
    const bool done = (centred && room) || app_fail(error, "out of memory for a map of %d rows", count);
    for (int k = 0; done && k < length; k++) {
        double mean = 0;
        for (int i = 0; i < count; i++) mean += (double)rows[(ptrdiff_t)i * length + k] / count;
        for (int i = 0; i < count; i++)
            centred[(ptrdiff_t)i * length + k] = (double)rows[(ptrdiff_t)i * length + k] - mean;
    }
    for (int a = 0; done && a < 2; a++) {
        for (int k = 0; k < length; k++) axes[a][k] = 1 + (k * 7 + a * 3) % 5; /* anything not at right angles to it */
        for (int step = 0; step < STEPS; step++) {
            multiply(next, centred, axes[a], a ? axes[0] : NULL, count, length);
            normalise(next, length);
            memcpy(axes[a], next, (size_t)length * sizeof *next);
        }
        for (int i = 0; i < count; i++) {
            out[2 * i + a] = 0;
            for (int k = 0; k < length; k++) out[2 * i + a] += centred[(ptrdiff_t)i * length + k] * axes[a][k];
        }
    }
    free(centred);
    free(room);
    return done;
}

/* ---- t-SNE ------------------------------------------------------------------------------------------------------- */

/* Row i of the conditional similarities (eq. 1), whose width gives the perplexity; found by bisection. */
static void similarities(double *p, const double *squares, int count, int i, double perplexity)
{
    double low = 0, high = INFINITY, beta = 1, nearest = INFINITY;
    for (int j = 0; j < count; j++)
        if (j != i && squares[j] < nearest) nearest = squares[j];
    for (int step = 0; step < 60; step++) {
        double sum = 0, weighted = 0;
        for (int j = 0; j < count; j++) {
            p[j] = j == i ? 0 : exp(-beta * (squares[j] - nearest));
            sum += p[j];
            weighted += p[j] * beta * (squares[j] - nearest);
        }
        for (int j = 0; j < count; j++) p[j] /= sum;
        const double entropy = log(sum) + weighted / sum; /* in nats */
        if (fabs(entropy - log(perplexity)) < 1e-6) return;
        if (entropy > log(perplexity)) low = beta;
        else high = beta;
        beta = isinf(high) ? 2 * beta : (low + high) / 2;
    }
}

static void joint_similarities(double *p, const tsr_real *rows, int count, int length, double perplexity)
{
    double *squares = p + (ptrdiff_t)count * count; /* room for one row behind the matrix */
    for (int i = 0; i < count; i++) {
        for (int j = 0; j < count; j++) {
            squares[j] = 0;
            for (int k = 0; k < length; k++) {
                const double d = (double)rows[(ptrdiff_t)i * length + k] - (double)rows[(ptrdiff_t)j * length + k];
                squares[j] += d * d;
            }
        }
        similarities(p + (ptrdiff_t)i * count, squares, count, i, perplexity);
    }
    for (int i = 0; i < count; i++)
        for (int j = 0; j < i; j++) {
            const double both = (p[(ptrdiff_t)i * count + j] + p[(ptrdiff_t)j * count + i]) / (2.0 * count);
            p[(ptrdiff_t)i * count + j] = p[(ptrdiff_t)j * count + i] = fmax(both, 1e-12);
        }
}

double tsne_gradient(double *gradient, const double *map, const double *p, int count)
{
    double all = 0, divergence = 0;
    for (int i = 0; i < count; i++)
        for (int j = 0; j < i; j++) {
            const double dx = map[2 * i] - map[2 * j], dy = map[2 * i + 1] - map[2 * j + 1];
            all += 2 / (1 + dx * dx + dy * dy);
        }
    for (int i = 0; i < 2 * count; i++) gradient[i] = 0;
    for (int i = 0; i < count; i++)
        for (int j = 0; j < i; j++) {
            const double dx = map[2 * i] - map[2 * j], dy = map[2 * i + 1] - map[2 * j + 1];
            const double near = 1 / (1 + dx * dx + dy * dy), q = near / all, both = p[(ptrdiff_t)i * count + j];
            const double pull = 4 * (both - q) * near; /* eq. 5 */
            gradient[2 * i] += pull * dx;
            gradient[2 * i + 1] += pull * dy;
            gradient[2 * j] -= pull * dx;
            gradient[2 * j + 1] -= pull * dy;
            divergence += 2 * both * log(both / q);
        }
    return divergence;
}

/* Gradient descent with momentum and a gain for each coordinate that grows while its sign stays (section 3.4). */
static void descend(double *map, double *p, double *room, int count)
{
    enum { STEPS = 500, EXAGGERATED = 120 };
    const double exaggeration = 12, rate = fmax(count / exaggeration, 10);
    const ptrdiff_t cells = (ptrdiff_t)count * count;
    double *gradient = room, *speed = room + 2 * count, *gain = room + 4 * count;
    for (int i = 0; i < 2 * count; i++) {
        speed[i] = 0;
        gain[i] = 1;
    }
    for (ptrdiff_t i = 0; i < cells; i++) p[i] *= exaggeration;
    for (int step = 0; step < STEPS; step++) {
        if (step == EXAGGERATED)
            for (ptrdiff_t i = 0; i < cells; i++) p[i] /= exaggeration;
        tsne_gradient(gradient, map, p, count);
        const double momentum = step < EXAGGERATED ? 0.5 : 0.8;
        for (int i = 0; i < 2 * count; i++) {
            gain[i] = gradient[i] * speed[i] < 0 ? gain[i] + 0.2 : fmax(gain[i] * 0.8, 0.01);
            speed[i] = momentum * speed[i] - rate * gain[i] * gradient[i];
            map[i] += speed[i];
        }
    }
}

bool map_by_tsne(double *out, const tsr_real *rows, int count, int length, double perplexity, app_error *error)
{
    if (count < 4 || count > MAP_MOST_ROWS) return app_fail(error, "a map is made of 4 to %d rows", (int)MAP_MOST_ROWS);
    double *p = malloc(((size_t)count * (size_t)count + (size_t)count) * sizeof *p);
    double *room = malloc(6 * (size_t)count * sizeof *room);
    bool done = (p && room) || app_fail(error, "out of memory for a map of %d rows", count);
    done = done && map_by_pca(out, rows, count, length, error);
    if (done) {
        double most = 1e-300;
        for (int i = 0; i < 2 * count; i++) most = fmax(most, fabs(out[i]));
        for (int i = 0; i < 2 * count; i++) out[i] *= 1e-2 / most;
        joint_similarities(p, rows, count, length, fmin(perplexity, (count - 1) / 3.0));
        descend(out, p, room, count);
    }
    free(p);
    free(room);
    return done;
}

/* ---- the picture ------------------------------------------------------------------------------------------------- */

enum { WIDTH = 960, HEIGHT = 960, THUMB = 40, MARGIN = 12, FRAME = 2, TITLE = 30 };

/* A colour that differs from those of labels near it: hues a golden angle apart. */
static colour label_colour(int label)
{
    const double hue = fmod(label * 137.508, 360) / 60, x = 1 - fabs(fmod(hue, 2) - 1);
    const double parts[6][3] = {{1, x, 0}, {x, 1, 0}, {0, 1, x}, {0, x, 1}, {x, 0, 1}, {1, 0, x}};
    const double *rgb = parts[(int)hue % 6];
    const double shade = 210 - 50 * (label % 3);
    return (colour){(unsigned char)(shade * rgb[0]), (unsigned char)(shade * rgb[1]), (unsigned char)(shade * rgb[2])};
}

static bool is_covered(const box *places, int count, box place)
{
    for (int i = 0; i < count; i++) {
        const int dx = abs(places[i].left - place.left), dy = abs(places[i].top - place.top);
        if (dx < THUMB && dy < THUMB && 2 * (THUMB - dx) * (THUMB - dy) > THUMB * THUMB) return true;
    }
    return false;
}

static bool draw_thumb(image *out, const image *picture, box place, colour frame, app_error *error)
{
    image small = {0};
    if (!image_resize(&small, picture, THUMB, THUMB, IMAGE_AREA, error)) return false;
    canvas_fill(out, (box){place.left - FRAME, place.top - FRAME, THUMB + 2 * FRAME, THUMB + 2 * FRAME}, frame);
    canvas_blit(out, &small, place.left, place.top);
    image_free(&small);
    return true;
}

bool map_draw(image *out, const double *map, const map_pictures *what, const char *title, app_error *error)
{
    double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    for (int i = 0; i < 2 * what->count; i++) {
        low[i % 2] = fmin(low[i % 2], map[i]);
        high[i % 2] = fmax(high[i % 2], map[i]);
    }
    box *places = malloc(((size_t)what->count + 1) * sizeof *places);
    *out = (image){0};
    bool done = (places || app_fail(error, "out of memory for a map")) && image_new(out, WIDTH, HEIGHT, 3, error);
    if (done) {
        canvas_fill(out, (box){0, 0, WIDTH, HEIGHT}, (colour){255, 255, 255});
        canvas_text(out, (WIDTH - canvas_text_width(title, 2)) / 2, MARGIN, title, 2, (colour){30, 30, 30});
    }
    int drawn = 0;
    for (int i = 0; done && i < what->count; i++) {
        const double across = fmax(high[0] - low[0], DBL_MIN), down = fmax(high[1] - low[1], DBL_MIN);
        const box place = {MARGIN + (int)((map[2 * i] - low[0]) / across * (WIDTH - THUMB - 2 * MARGIN)),
                           MARGIN + TITLE +
                               (int)((high[1] - map[2 * i + 1]) / down * (HEIGHT - THUMB - TITLE - 2 * MARGIN)),
                           THUMB, THUMB};
        if (is_covered(places, drawn, place)) continue;
        places[drawn++] = place;
        done = draw_thumb(out, &what->pictures[i], place, label_colour(what->labels[i]), error);
    }
    free(places);
    if (!done) image_free(out);
    return done;
}
