#include "apps/common/embedding_map.h"

#include "apps/common/eigenfaces.h"
#include "apps/common/plot.h"
#include "apps/common/transform.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool map_by_pca(double *out, const map_rows *rows, app_error *error)
{
    return principal_components(out, rows->values, rows->count, rows->length, 2, error);
}

/* ---- t-SNE ------------------------------------------------------------------------------------------------------- */

/* Makes the squared distances of row i its conditional similarities (eq. 1), by bisection for the width at which their
 * entropy is the perplexity's. */
static void find_width(double *row, int count, int i, double perplexity)
{
    double low = 0, high = INFINITY, beta = 1, nearest = INFINITY, sum = 0;
    for (int j = 0; j < count; j++)
        if (j != i) nearest = fmin(nearest, row[j]);
    for (int step = 0; step < 60; step++) {
        double weighted = 0;
        sum = 0;
        for (int j = 0; j < count; j++) {
            const double share = j == i ? 0 : exp(-beta * (row[j] - nearest));
            sum += share;
            weighted += share * (row[j] - nearest);
        }
        const double off = log(sum) + beta * weighted / sum - log(perplexity);
        if (fabs(off) < 1e-6) break;
        *(off > 0 ? &low : &high) = beta;
        beta = isinf(high) ? 2 * beta : (low + high) / 2;
    }
    for (int j = 0; j < count; j++) row[j] = j == i ? 0 : exp(-beta * (row[j] - nearest)) / sum;
}

/* Joint similarities (section 2.2) of all rows. */
static void find_similarities(double *p, const map_rows *rows, double perplexity)
{
    const ptrdiff_t count = rows->count, length = rows->length;
    for (ptrdiff_t i = 0; i < count; i++) {
        for (ptrdiff_t j = 0; j < count; j++) {
            double sum = 0;
            for (ptrdiff_t k = 0; k < length; k++) {
                const double d = (double)rows->values[i * length + k] - (double)rows->values[j * length + k];
                sum += d * d;
            }
            p[i * count + j] = sum;
        }
        find_width(p + i * count, (int)count, (int)i, perplexity);
    }
    for (ptrdiff_t i = 0; i < count; i++)
        for (ptrdiff_t j = 0; j < i; j++)
            p[i * count + j] = p[j * count + i] = (p[i * count + j] + p[j * count + i]) / (2.0 * (double)count);
}

void tsne_gradient(const tsne_state *s)
{
    double all = 0;
    for (int i = 0; i < s->count; i++) {
        const double *p = s->p + (ptrdiff_t)i * s->count, x = s->map[2 * i], y = s->map[2 * i + 1];
        double pull_x = 0, pull_y = 0, push_x = 0, push_y = 0, sum = 0;
        for (int j = 0; j < s->count; j++) {
            const double dx = x - s->map[2 * j], dy = y - s->map[2 * j + 1], near = 1 / (1 + dx * dx + dy * dy);
            const double pull = p[j] * near, push = near * near;
            pull_x += pull * dx;
            pull_y += pull * dy;
            push_x += push * dx;
            push_y += push * dy;
            sum += near;
        }
        s->gradient[2 * i] = pull_x;
        s->gradient[2 * i + 1] = pull_y;
        s->room[2 * i] = push_x;
        s->room[2 * i + 1] = push_y;
        all += sum - 1; /* without the point itself */
    }
    for (int i = 0; i < 2 * s->count; i++)
        s->gradient[i] = 4 * (s->exaggeration * s->gradient[i] - s->room[i] / all);
}

/* Gradient descent with momentum and a gain for each coordinate that grows while its sign stays (section 3.4). */
static void descend(double *map, const double *p, double *room, int count)
{
    enum { STEPS = 500, EXAGGERATED = 120 };
    const double exaggeration = 12, rate = fmax(count / exaggeration, 10);
    double *speed = room + 4 * count, *gain = speed + 2 * count;
    tsne_state s = {.count = count, .p = p, .map = map, .gradient = room, .room = room + 2 * count};
    for (int i = 0; i < 2 * count; i++) {
        speed[i] = 0;
        gain[i] = 1;
    }
    for (int step = 0; step < STEPS; step++) {
        const bool early = step < EXAGGERATED;
        s.exaggeration = early ? exaggeration : 1;
        tsne_gradient(&s);
        for (int i = 0; i < 2 * count; i++) {
            gain[i] = s.gradient[i] * speed[i] < 0 ? gain[i] + 0.2 : fmax(gain[i] * 0.8, 0.01);
            speed[i] = (early ? 0.5 : 0.8) * speed[i] - rate * gain[i] * s.gradient[i];
            map[i] += speed[i];
        }
    }
}

bool map_by_tsne(double *out, const map_rows *rows, double perplexity, app_error *error)
{
    const int count = rows->count;
    if (count > MAP_MOST_ROWS)
        return app_fail(error, "a map is made of %d rows at most, not %d", (int)MAP_MOST_ROWS, count);
    if (!map_by_pca(out, rows, error)) return false;
    if (count < 4) return true;
    double *p = malloc((size_t)count * (size_t)count * sizeof *p), *room = malloc(8 * (size_t)count * sizeof *room);
    const bool done = (p && room) || app_fail(error, "out of memory for a map of %d rows", count);
    if (done) {
        double most = DBL_MIN;
        for (int i = 0; i < 2 * count; i++) most = fmax(most, fabs(out[i]));
        for (int i = 0; i < 2 * count; i++) out[i] *= 1e-2 / most;
        find_similarities(p, rows, fmin(perplexity, (count - 1) / 3.0));
        descend(out, p, room, count);
    }
    free(p);
    free(room);
    return done;
}

/* ---- the picture ------------------------------------------------------------------------------------------------- */

enum { WIDTH = 1280, HEIGHT = 960, MARGIN = 12, TITLE = 40, LARGEST = 72, SMALLEST = 8, GRID = 4, BAND = 2 };

static const colour white = {255, 255, 255}, black = {30, 30, 30};

/* Where pictures may still begin: the corners of a grid of GRID pixels. */
typedef struct floor_plan {
    int columns, rows, side; /* side: of a picture with its frame, pixels */
    unsigned char *taken;    /* [rows, columns] */
} floor_plan;

static floor_plan plan_of(unsigned char *taken, int side)
{
    const floor_plan f = {.columns = (WIDTH - 2 * MARGIN - side) / GRID + 1,
                          .rows = (HEIGHT - TITLE - MARGIN - side) / GRID + 1, .side = side, .taken = taken};
    memset(taken, 0, (size_t)f.columns * (size_t)f.rows);
    return f;
}

/* Takes the nearest free corner, and those too near to it: pictures are 3/4 of a side apart, along one axis at least,
 * so that nothing covers the middle of one. */
static bool take_nearest(floor_plan *f, double x, double y, box *out)
{
    int column = -1, row = -1;
    double least = INFINITY;
    for (int r = 0; r < f->rows; r++)
        for (int c = 0; c < f->columns; c++) {
            const double dx = c * GRID - x, dy = r * GRID - y, squared = dx * dx + dy * dy;
            if (f->taken[r * f->columns + c] || squared >= least) continue;
            least = squared;
            column = c;
            row = r;
        }
    if (column < 0) return false;
    const int reach = (3 * f->side / 4 + GRID - 1) / GRID - 1;
    for (int r = row - reach; r <= row + reach; r++)
        for (int c = column - reach; c <= column + reach; c++)
            if (r >= 0 && r < f->rows && c >= 0 && c < f->columns) f->taken[r * f->columns + c] = 1;
    *out = (box){MARGIN + column * GRID, TITLE + row * GRID, f->side, f->side};
    return true;
}

/* Places all, as large as they fit: about a third of the room at first, smaller until there is a place for each. */
static bool place_all(box *places, const double *map, int count, unsigned char *taken)
{
    double low[2] = {INFINITY, INFINITY}, span[2];
    for (int i = 0; i < 2 * count; i++) low[i % 2] = fmin(low[i % 2], map[i]);
    for (int k = 0; k < 2; k++) {
        span[k] = DBL_MIN;
        for (int i = 0; i < count; i++) span[k] = fmax(span[k], map[2 * i + k] - low[k]);
    }
    const double wanted = sqrt(0.33 * WIDTH * HEIGHT / (count + 1)) / 0.75;
    for (int side = wanted < LARGEST ? (int)wanted : LARGEST; side >= SMALLEST; side -= 2) {
        floor_plan f = plan_of(taken, side);
        int placed = 0;
        for (; placed < count; placed++) {
            const double x = (map[2 * placed] - low[0]) / span[0], y = 1 - (map[2 * placed + 1] - low[1]) / span[1];
            if (!take_nearest(&f, x * (f.columns - 1) * GRID, y * (f.rows - 1) * GRID, &places[placed])) break;
        }
        if (placed == count) return true;
    }
    return false;
}

static bool draw_picture(image *out, const image *picture, box place, int label, app_error *error)
{
    const box inner = {place.left + BAND, place.top + BAND, place.width - 2 * BAND, place.height - 2 * BAND};
    const int side = inner.width - (place.width >= 24 ? 2 * BAND : 0);
    image small = {0};
    if (!image_resize(&small, picture, side, side, IMAGE_AREA, error)) return false;
    canvas_fill(out, place, plot_colour(label));
    canvas_fill(out, inner, plot_colour(label % 8 + label / 8));
    canvas_blit(out, &small, inner.left + (inner.width - side) / 2, inner.top + (inner.height - side) / 2);
    image_free(&small);
    return true;
}

bool map_draw(image *out, const double *map, const map_pictures *what, const char *title, app_error *error)
{
    *out = (image){0};
    for (int i = 0; i < 2 * what->count; i++)
        if (!isfinite(map[i])) return app_fail(error, "a map cannot be drawn of values that are not finite");
    box *places = malloc(((size_t)what->count + 1) * sizeof *places);
    unsigned char *taken = malloc((WIDTH / GRID) * (HEIGHT / GRID));
    bool done = (places && taken) || app_fail(error, "out of memory for a map");
    done = done && (place_all(places, map, what->count, taken) ||
                    app_fail(error, "a map has no room for %d pictures", what->count));
    done = done && image_new(out, WIDTH, HEIGHT, 3, error);
    if (done) {
        canvas_fill(out, (box){0, 0, WIDTH, HEIGHT}, white);
        canvas_text(out, (WIDTH - canvas_text_width(title, 2)) / 2, MARGIN, title, 2, black);
    }
    for (int i = 0; done && i < what->count; i++)
        done = draw_picture(out, &what->pictures[i], places[i], what->labels[i], error);
    free(places);
    free(taken);
    if (!done) image_free(out);
    return done;
}
