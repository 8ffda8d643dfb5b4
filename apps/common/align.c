#include "apps/common/align.h"

#include "apps/common/lines.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- fitting ----------------------------------------------------------------------------------------------------- */

static mark mean_of(const mark *marks, int count)
{
    mark mean = {0, 0};
    for (int i = 0; i < count; i++) {
        mean.x += marks[i].x / count;
        mean.y += marks[i].y / count;
    }
    return mean;
}

/* In the plane, turn and scale are one complex number a, and least squares of b = a z has the solution sum(conj(z) b) /
 * sum(|z|^2): what Umeyama's singular values give, without them. */
bool align_similarity(affine *out, const mark *from, const mark *to, int count, app_error *error)
{
    const mark z0 = mean_of(from, count), b0 = mean_of(to, count);
    double real = 0, imaginary = 0, square = 0;
    for (int i = 0; i < count; i++) {
        const double x = from[i].x - z0.x, y = from[i].y - z0.y, u = to[i].x - b0.x, v = to[i].y - b0.y;
        real += x * u + y * v;
        imaginary += x * v - y * u;
        square += x * x + y * y;
    }
    real /= square;
    imaginary /= square;
    if (count < 2 || !(real * real + imaginary * imaginary > 1e-12) || !(square > 1e-12))
        return app_fail(error, "%d landmarks do not say how large a face is and which way up", count);
    *out = (affine){.xx = real, .xy = -imaginary, .dx = b0.x - (real * z0.x - imaginary * z0.y),
                    .yx = imaginary, .yy = real, .dy = b0.y - (imaginary * z0.x + real * z0.y)};
    return true;
}

static affine inverse(const affine *a)
{
    const double d = a->xx * a->yy - a->xy * a->yx;
    return (affine){.xx = a->yy / d, .xy = -a->xy / d, .dx = (a->xy * a->dy - a->yy * a->dx) / d,
                    .yx = -a->yx / d, .yy = a->xx / d, .dy = (a->yx * a->dx - a->xx * a->dy) / d};
}

bool align_face(image *out, const image *in, const landmarks *face, int width, int height, app_error *error)
{
    /* From the middle, in widths: where dlib's chips of 150 pixels (padding 0.25) have them, on average. */
    static const mark template[MOST_MARKS] = {
        {-0.181, -0.189}, {0.168, -0.189}, {-0.007, 0.003}, {-0.163, 0.196}, {0.152, 0.197}};
    const double side = width < height ? width : height;
    mark from[MOST_MARKS], to[MOST_MARKS];
    *out = (image){0};
    for (int i = 0; i < face->count; i++) {
        from[i] = (mark){face->marks[i].x - (in->width - 1) / 2.0, face->marks[i].y - (in->height - 1) / 2.0};
        to[i] = (mark){template[i].x * side, template[i].y * side};
    }
    affine to_template;
    if (!align_similarity(&to_template, from, to, face->count, error)) return false;
    if (!image_new(out, width, height, in->channels, error)) return false;
    const affine to_picture = inverse(&to_template);
    image_warp(out, in, &to_picture, true);
    return true;
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

enum { MOST_FIELDS = 1 + 2 * MOST_MARKS };

static bool read_coordinate(const char *text, double *value)
{
    char *end;
    *value = strtod(text, &end);
    return end != text && *end == '\0' && fabs(*value) <= 1e6; /* false for what is not finite */
}

/* A line that is not empty. */
static bool read_face(landmarks *face, const line_file *f, app_error *error)
{
    const int count = f->field_count;
    if (count != 5 && count != MOST_FIELDS)
        return app_fail(error, "%s: line %d should be a path and 2 or 5 points, \"path x1 y1 x2 y2 ...\"", f->path,
                        f->number);
    *face = (landmarks){.count = (count - 1) / 2, .line = f->number};
    for (int i = 1; i < count; i++)
        if (!read_coordinate(f->fields[i], i % 2 ? &face->marks[(i - 1) / 2].x : &face->marks[(i - 1) / 2].y))
            return app_fail(error, "%s: line %d: \"%.40s\" is no coordinate", f->path, f->number, f->fields[i]);
    return true;
}

bool landmarks_add(landmark_list *list, const landmarks *face, const char *path)
{
    char *copy = malloc(strlen(path) + 1);
    if (copy && (list->count & (list->count - 1)) == 0) { /* 0 or a power of two: full */
        landmarks *items = realloc(list->items, (list->count ? 2 * (size_t)list->count : 1) * sizeof *items);
        if (!items) {
            free(copy);
            return false;
        }
        list->items = items;
    }
    if (!copy) return false;
    strcpy(copy, path);
    list->items[list->count] = *face;
    list->items[list->count++].path = copy;
    return true;
}

static bool read_faces(landmark_list *list, line_file *f, app_error *error)
{
    while (lines_next(f, error)) {
        landmarks face;
        if (f->field_count == 0) continue;
        if (!read_face(&face, f, error)) return false;
        if (!landmarks_add(list, &face, f->fields[0])) return app_fail(error, "%s: out of memory", f->path);
    }
    return error->text[0] == '\0';
}

static int compare_faces(const void *a, const void *b)
{
    const landmarks *x = a, *y = b;
    const int order = strcmp(x->path, y->path);
    return order ? order : (x->line > y->line) - (x->line < y->line);
}

void landmarks_sort(landmark_list *list)
{
    if (list->count > 0) qsort(list->items, (size_t)list->count, sizeof *list->items, compare_faces);
}

bool landmarks_read(landmark_list *out, const char *path, app_error *error)
{
    *out = (landmark_list){0};
    line_file f;
    if (!lines_open(&f, path, error)) return false;
    bool done = read_faces(out, &f, error);
    lines_close(&f);
    if (done && out->count == 0) done = app_fail(error, "%s: names no picture", path);
    landmarks_sort(out);
    for (int i = 1; done && i < out->count; i++)
        if (strcmp(out->items[i].path, out->items[i - 1].path) == 0)
            done = app_fail(error, "%s: line %d names \"%.200s\" again, which line %d has", path, out->items[i].line,
                            out->items[i].path, out->items[i - 1].line);
    if (!done) landmarks_free(out);
    return done;
}

void landmarks_free(landmark_list *list)
{
    for (int i = 0; i < list->count; i++) free(list->items[i].path);
    free(list->items);
    *list = (landmark_list){0};
}

const landmarks *landmarks_find(const landmark_list *list, const char *path)
{
    int low = 0, high = list->count;
    while (low < high) {
        const int middle = low + (high - low) / 2, order = strcmp(list->items[middle].path, path);
        if (order == 0) return &list->items[middle];
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return NULL;
}
