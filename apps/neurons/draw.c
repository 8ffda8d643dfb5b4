#include "apps/common/canvas.h"
#include "apps/common/transform.h"
#include "apps/neurons/neurons.h"

#include <math.h>

static const colour paper = {255, 255, 255}, ink = {40, 40, 40}, empty = {205, 205, 205}, frame = {220, 40, 30};

enum { MARGIN = 12, LINE = 14 };

static bool sheet(image *out, int width, int height, const char *title, app_error *error)
{
    const int least = canvas_text_width(title, 1) + 2 * MARGIN;
    if (!image_new(out, width > least ? width : least, height, 3, error)) return false;
    canvas_fill(out, (box){0, 0, out->width, height}, paper);
    canvas_text(out, MARGIN, MARGIN, title, 1, ink);
    return true;
}

typedef struct title {
    char text[240];
} title;

static title title_of(const layer *l, const char *net, const char *what)
{
    title t;
    if (l->field.whole)
        snprintf(t.text, sizeof t.text, "%s, %s, which sees the whole picture: %s", net, l->name, what);
    else
        snprintf(t.text, sizeof t.text, "%s, %s, which sees %dx%d pixels: %s", net, l->name, (int)l->field.size[1],
                 (int)l->field.size[0], what);
    return t;
}

/* The field of a finding, cut out of `from` into a square, in which it lies as in the unclipped field. */
static bool draw_patch(image *out, box to, const layer *l, const finding *f, const image *from, app_error *error)
{
    int b[4];
    field_box(l, f->row, f->column, from->width, b);
    const int64_t *size = l->field.size;
    const int64_t longer = size[0] > size[1] ? size[0] : size[1];
    const bool fits = !l->field.whole && longer <= from->width;
    const double scale = (double)to.width / (double)(fits ? longer : from->width);
    const double left = fits ? (double)(b[0] - l->field.start[1] - f->column * l->field.stride[1]) : b[0];
    const double top = fits ? (double)(b[1] - l->field.start[0] - f->row * l->field.stride[0]) : b[1];
    const int width = (int)fmax(1, floor(b[2] * scale)), height = (int)fmax(1, floor(b[3] * scale));
    image part = {0}, drawn = {0};
    canvas_fill(out, to, empty);
    const bool done = image_crop(&part, from, b[0], b[1], b[2], b[3], error) &&
                      image_resize(&drawn, &part, width, height, IMAGE_AREA, error);
    if (done) canvas_blit(out, &drawn, to.left + (int)floor(left * scale), to.top + (int)floor(top * scale));
    image_free(&part);
    image_free(&drawn);
    return done;
}

bool draw_layer(image *out, const layer *l, const char *net, const exhibit *items, int count, app_error *error)
{
    enum { CELL = 42, NINTH = CELL + 2, BLOCK = 2 * 3 * NINTH + 6, COLUMNS = 4, HEIGHT = 3 * NINTH + LINE + 10 };
    int units = 0;
    for (int i = 0; i < count; i++) units += i == 0 || items[i].unit != items[i - 1].unit;
    const int columns = units < COLUMNS ? units : COLUMNS, rows = units > 0 ? (units - 1) / COLUMNS + 1 : 0;
    const title t = title_of(l, net, "what excites each unit most | what of it did");
    bool done = sheet(out, 2 * MARGIN + columns * (BLOCK + MARGIN) - MARGIN, MARGIN + 2 * LINE + rows * HEIGHT, t.text,
                      error);
    for (int i = 0, u = -1, k = 0; done && i < count; i++, k++) {
        if (i == 0 || items[i].unit != items[i - 1].unit) u++, k = 0;
        const int left = MARGIN + u % COLUMNS * (BLOCK + MARGIN), top = MARGIN + LINE + 6 + u / COLUMNS * HEIGHT;
        char label[48];
        snprintf(label, sizeof label, "unit %d: %.3g", items[i].unit, items[i].found.value);
        if (k == 0) canvas_text(out, left, top, label, 1, ink);
        const box cell = {left + k % 3 * NINTH, top + LINE - 2 + k / 3 * NINTH, CELL, CELL};
        const box beside = {cell.left + 3 * NINTH + 4, cell.top, CELL, CELL};
        done = draw_patch(out, cell, l, &items[i].found, &items[i].square, error) &&
               draw_patch(out, beside, l, &items[i].found, &items[i].reconstruction, error);
    }
    return done;
}

bool draw_unit(image *out, const layer *l, const char *net, const exhibit *items, int count, app_error *error)
{
    enum { CELL = 128, STEP = CELL + 4 };
    char what[80];
    snprintf(what, sizeof what, "unit %d", count > 0 ? items[0].unit : 0);
    const title t = title_of(l, net, what);
    bool done = sheet(out, 2 * MARGIN + NINE * STEP, 2 * MARGIN + 3 * STEP + 2 * LINE, t.text, error);
    for (int i = 0; done && i < count; i++) {
        const exhibit *e = &items[i];
        const int left = MARGIN + i * STEP, top = MARGIN + 2 * LINE, size = e->square.width;
        int b[4];
        char value[24];
        image whole = {0};
        field_box(l, e->found.row, e->found.column, size, b);
        snprintf(value, sizeof value, "%.4g", e->found.value);
        canvas_text(out, left, top - LINE + 2, value, 1, ink);
        done = image_resize(&whole, &e->square, CELL, CELL, IMAGE_AREA, error);
        if (done) {
            canvas_blit(out, &whole, left, top);
            canvas_frame(out, (box){left + b[0] * CELL / size, top + b[1] * CELL / size, b[2] * CELL / size + 1,
                                    b[3] * CELL / size + 1}, frame);
        }
        image_free(&whole);
        done = done && draw_patch(out, (box){left, top + STEP, CELL, CELL}, l, &e->found, &e->square, error) &&
               draw_patch(out, (box){left, top + 2 * STEP, CELL, CELL}, l, &e->found, &e->reconstruction, error);
    }
    return done;
}

/* One filter [h, w, in, out], its largest weight white or black, weight 0 grey, the pixels as squares. */
static void draw_filter(image *out, const subject *s, const tsr_tensor *weight, int number, box to)
{
    const int height = (int)tsr_dim(weight, 0), width = (int)tsr_dim(weight, 1), in = (int)tsr_dim(weight, 2);
    const ptrdiff_t filters = (ptrdiff_t)tsr_dim(weight, 3);
    const tsr_real *w = tsr_data(weight) + number;
    const int pixel = to.width / (width > height ? width : height);
    double most = 0;
    for (int i = 0; i < height * width * in; i++) most = fmax(most, fabs((double)w[i * filters]));
    for (int i = 0; i < height * width; i++) {
        unsigned char rgb[3];
        for (int c = 0; c < 3; c++) {
            const int from = in < 3 ? 0 : s->bgr ? 2 - c : c;
            rgb[c] = (unsigned char)(128 + 127 * (most > 0 ? (double)w[(i * in + from) * filters] / most : 0));
        }
        canvas_fill(out, (box){to.left + i % width * pixel, to.top + i / width * pixel, pixel, pixel},
                    (colour){rgb[0], rgb[1], rgb[2]});
    }
}

bool draw_filters(image *out, const subject *s, app_error *error)
{
    enum { CELL = 42, STEP = CELL + 6, COLUMNS = 16 };
    int first = 0;
    while (first < tsr_model_count(s->m) && tsr_rank(tsr_model_tensor(s->m, first)) != 4) first++;
    const tsr_tensor *weight = tsr_model_tensor(s->m, first);
    const int count = weight ? (int)tsr_dim(weight, 3) : 0;
    char t[160];
    if (!weight) return app_fail(error, "%s has no convolution", s->name);
    snprintf(t, sizeof t, "%s: the %d filters of %s", s->name, count, tsr_model_name(s->m, first));
    const int columns = count < COLUMNS ? count : COLUMNS, rows = (count - 1) / COLUMNS + 1;
    if (!sheet(out, 2 * MARGIN + columns * STEP, 2 * MARGIN + LINE + rows * STEP, t, error)) return false;
    for (int i = 0; i < count; i++)
        draw_filter(out, s, weight, i,
                    (box){MARGIN + i % COLUMNS * STEP, MARGIN + LINE + i / COLUMNS * STEP, CELL, CELL});
    return true;
}
