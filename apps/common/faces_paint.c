/* Pixels of the face data set: shapes with analytic anti-aliasing, light, blur, development.
 * Only + - * / on floats, so that every IEEE machine computes the same bytes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "apps/common/faces_internal.h"

/* Coverage is computed eight pixels at a time in loops of known length and without comparisons, because
 * compilers then use their vector registers at any level of optimisation. Rows have LANES floats to spare. */
enum { LANES = 8 };

static float clamp01(float x)
{
    return x < 0.0f ? 0.0f : x > 1.0f ? 1.0f : x;
}

static float larger(float a, float b)
{
    return 0.5f * (a + b + fabsf(a - b));
}

float faces_wave(float x)
{
    if (!(fabsf(x) < 1e6f)) return 0.0f; /* far off a shape seen edge-on */
    float t = x - (float)(int)x;
    if (t < 0.0f) t += 1.0f;
    return t < 0.5f ? 16.0f * t * (0.5f - t) : -16.0f * (t - 0.5f) * (1.0f - t);
}

bool faces_canvas_new(face_canvas *c, int width, int height, app_error *error)
{
    memset(c, 0, sizeof *c);
    if ((size_t)height > (SIZE_MAX / sizeof(float) / 2 - LANES) / 6 / (size_t)width)
        return app_fail(error, "faces: a picture of %d x %d is too large", width, height);
    size_t plane = 3 * (size_t)width * (size_t)height, row = (size_t)width + LANES;
    float *block = malloc((2 * plane + 2 * row) * sizeof *block);
    if (!block) return app_fail(error, "faces: no memory for a picture of %d x %d", width, height);
    *c = (face_canvas){.width = width, .height = height, .block = block,
                       .rgb = block, .scratch = block + plane,
                       .cover = block + 2 * plane, .clip = block + 2 * plane + row};
    return true;
}

void faces_canvas_free(face_canvas *c)
{
    free(c->block);
    memset(c, 0, sizeof *c);
}

void faces_fill_gradient(face_canvas *c, const float from[3], const float to[3], float dx, float dy)
{
    float half_w = 0.5f * (float)c->width, half_h = 0.5f * (float)c->height;
    for (int y = 0; y < c->height; y++) {
        float *p = c->rgb + 3 * (size_t)y * (size_t)c->width;
        float down = dy * ((float)y + 0.5f - half_h) / half_h;
        for (int x = 0; x < c->width; x++, p += 3) {
            float t = clamp01(0.5f + 0.5f * (down + dx * ((float)x + 0.5f - half_w) / half_w));
            for (int k = 0; k < 3; k++) p[k] = from[k] + t * (to[k] - from[k]);
        }
    }
}

/* ---- coverage of one row ---- */

/* Pixel (x, y) lies at local (ux x + uy y + u0, vx x + vy y + v0): the inverse of a frame. */
typedef struct local {
    float ux, uy, u0, vx, vy, v0;
} local;

static local invert(const face_frame *f)
{
    float d = f->ux * f->vy - f->vx * f->uy;
    if (fabsf(d) < 1e-6f) d = 1e-6f; /* seen edge-on: draws next to nothing */
    local l = {.ux = f->vy / d, .uy = -f->vx / d, .vx = -f->uy / d, .vy = f->ux / d};
    l.u0 = -l.ux * f->x - l.uy * f->y;
    l.v0 = -l.vx * f->x - l.vy * f->y;
    return l;
}

/* Of eight pixels: a value that is negative inside the shape, and its gradient over the picture. */
typedef struct field {
    float value[LANES], gx[LANES], gy[LANES];
} field;

static void egg_field(const face_shape *s, const local l, float u0, float v0, field *out)
{
    const float taper = s->taper, bulge = s->bulge;
    const float middle = 0.5f * (s->square[0] + s->square[1]), spread = 0.5f * (s->square[1] - s->square[0]);
    for (int i = 0; i < LANES; i++) {
        float u = l.ux * (float)i + u0, v = l.vx * (float)i + v0;
        float p = 1.0f / larger(1.0f + (taper + bulge * v) * v, 0.2f);
        float k = middle + spread * copysignf(1.0f, v), q = u * p, v2 = v * v;
        float du = 2.0f * q * p;
        float dv = v * (2.0f - 2.0f * k + 4.0f * k * v2) - 2.0f * q * q * p * (taper + 2.0f * bulge * v);
        out->value[i] = q * q + v2 * (1.0f - k + k * v2) - 1.0f;
        out->gx[i] = du * l.ux + dv * l.vx;
        out->gy[i] = du * l.uy + dv * l.vy;
    }
}

static void band_field(const face_shape *s, const local l, float u0, float v0, field *out)
{
    const float c0 = s->curve[0], c1 = s->curve[1], c2 = s->curve[2], c4 = s->curve[3];
    const float h0 = s->half[0], h1 = s->half[1], taper = s->open ? 0.0f : 1.0f, ripple = s->ripple;
    for (int i = 0; i < LANES; i++) {
        float u = l.ux * (float)i + u0, v = l.vx * (float)i + v0, u2 = u * u;
        float full = h0 + h1 * u, half = full * (1.0f - taper * u2);
        float dhalf = h1 * (1.0f - taper * u2) - 2.0f * taper * u * full;
        float above = v - (c0 + c1 * u + u2 * (c2 + c4 * u2)), sign = copysignf(1.0f, above);
        float du = -sign * (c1 + u * (2.0f * c2 + 4.0f * c4 * u2)) - dhalf;
        out->value[i] = sign * above - half;
        out->gx[i] = du * l.ux + sign * l.vx;
        out->gy[i] = du * l.uy + sign * l.vy;
    }
    if (ripple <= 0.0f) return;
    for (int i = 0; i < LANES; i++) { /* a ripple moves the edge that is near: downwards for the lower one */
        float u = l.ux * (float)i + u0, v = l.vx * (float)i + v0;
        float wave = ripple * faces_wave(s->ripple_rate * u), u2 = u * u;
        out->value[i] += v < c0 + c1 * u + u2 * (c2 + c4 * u2) ? wave : -wave;
    }
}

static void box_field(const local l, float u0, float v0, field *out)
{
    for (int i = 0; i < LANES; i++) {
        float u = l.ux * (float)i + u0, v = l.vx * (float)i + v0, a = fabsf(u), b = fabsf(v);
        bool across = a > b;
        out->value[i] = (across ? a : b) - 1.0f;
        out->gx[i] = across ? l.ux : l.vx;
        out->gy[i] = across ? l.uy : l.vy;
    }
}

/* The share of each pixel that the shape covers, from the distance that value and gradient tell. The length
 * of the gradient is an octagon's (4 % off at most), which spares a root. */
static void sharp_edge(const field *f, float stroke, float *out)
{
    float distance[LANES];
    for (int i = 0; i < LANES; i++) {
        float a = fabsf(f->gx[i]), b = fabsf(f->gy[i]);
        distance[i] = f->value[i] / (0.68f * (a + b) + 0.28f * fabsf(a - b) + 1e-6f); /* 0.96 max + 0.4 min */
    }
    if (stroke > 0.0f)
        for (int i = 0; i < LANES; i++) distance[i] = fabsf(distance[i]) - stroke;
    for (int i = 0; i < LANES; i++) out[i] = clamp01(0.5f - distance[i]);
}

static void soft_edge(const field *f, float *out)
{
    for (int i = 0; i < LANES; i++) {
        float t = clamp01(-f->value[i]);
        out[i] = t * t * (3.0f - 2.0f * t);
    }
}

static void cover_row(const face_shape *s, const local *l, bool soft, int y, int x0, int x1, float *out)
{
    float row = (float)y + 0.5f;
    for (int x = x0; x < x1; x += LANES) {
        float column = (float)x + 0.5f;
        float u0 = l->ux * column + l->uy * row + l->u0, v0 = l->vx * column + l->vy * row + l->v0;
        field f;
        if (s->kind == FACE_EGG) egg_field(s, *l, u0, v0, &f);
        else if (s->kind == FACE_BAND) band_field(s, *l, u0, v0, &f);
        else box_field(*l, u0, v0, &f);
        if (soft) soft_edge(&f, out + x);
        else sharp_edge(&f, s->stroke, out + x);
    }
}

/* ---- painting ---- */

typedef struct bounds {
    int x0, x1, y0, y1;
} bounds;

static int clip_edge(float x, int limit)
{
    return x <= 0.0f ? 0 : x >= (float)limit ? limit : (int)x;
}

/* The pixels a shape can touch: the box round its frame's image of [-u, u] x [-v, v], a pixel wider. */
static bounds bounds_of(const face_canvas *c, const face_shape *s)
{
    float u = 1.0f, v = 1.0f;
    if (s->kind == FACE_EGG) u = 1.0f + fabsf(s->taper) + larger(s->bulge, 0.0f);
    if (s->kind == FACE_BAND) {
        v = s->ripple + fabsf(s->half[0]) + fabsf(s->half[1]);
        for (int i = 0; i < 4; i++) v += fabsf(s->curve[i]);
    }
    if (s->square[0] > 0.0f || s->square[1] > 0.0f) u *= 1.1f;
    float pad = 1.5f + s->stroke;
    float w = u * fabsf(s->at.ux) + v * fabsf(s->at.vx) + pad;
    float h = u * fabsf(s->at.uy) + v * fabsf(s->at.vy) + pad;
    return (bounds){clip_edge(s->at.x - w, c->width), clip_edge(s->at.x + w + 1.0f, c->width),
                    clip_edge(s->at.y - h, c->height), clip_edge(s->at.y + h + 1.0f, c->height)};
}

static void blend_row(float *p, const float *cover, int n, const face_ink *ink)
{
    for (int i = 0; i < n; i++, p += 3) {
        float a = ink->alpha * cover[i];
        for (int k = 0; k < 3; k++) p[k] += a * (ink->rgb[k] - p[k]);
    }
}

static void blend_row_with_grain(float *p, const float *cover, int x0, int x1, float y, const local *l,
                                 const face_ink *ink)
{
    for (int x = x0; x < x1; x++, p += 3) {
        float a = ink->alpha * cover[x], column = (float)x + 0.5f;
        if (a <= 0.0f) continue;
        float u = l->ux * column + l->uy * y + l->u0, v = l->vx * column + l->vy * y + l->v0;
        float at = ink->rate_u * (u + 0.15f * faces_wave(0.7f * v + 0.4f * u)) + ink->rate_v * v * u;
        float streak = 1.0f + ink->grain * 0.5f * (faces_wave(at) + faces_wave(0.37f * at + 0.25f));
        for (int k = 0; k < 3; k++) p[k] += a * (ink->rgb[k] * streak - p[k]);
    }
}

void faces_paint(face_canvas *c, const face_shape *shape, const face_shape *clip, const face_ink *ink)
{
    bounds b = bounds_of(c, shape);
    if (b.x0 >= b.x1 || b.y0 >= b.y1 || ink->alpha <= 0.0f) return;
    local in_shape = invert(&shape->at), in_clip = clip ? invert(&clip->at) : in_shape;
    for (int y = b.y0; y < b.y1; y++) {
        int x0 = b.x0, x1 = b.x1;
        cover_row(shape, &in_shape, ink->soft, y, x0, x1, c->cover);
        while (x0 < x1 && c->cover[x0] <= 0.0f) x0++;
        while (x0 < x1 && c->cover[x1 - 1] <= 0.0f) x1--;
        if (clip) {
            cover_row(clip, &in_clip, false, y, x0, x1, c->clip);
            for (int x = x0; x < x1; x++) c->cover[x] *= c->clip[x];
        }
        float *p = c->rgb + 3 * ((size_t)y * (size_t)c->width + (size_t)x0);
        if (ink->grain > 0.0f) blend_row_with_grain(p, c->cover, x0, x1, (float)y + 0.5f, &in_shape, ink);
        else blend_row(p, c->cover + x0, x1 - x0, ink);
    }
}

/* ---- the camera ---- */

void faces_light(face_canvas *c, const face_frame *head, float x, float y, float strength)
{
    local l = invert(head);
    for (int row = 0; row < c->height; row++) {
        float *p = c->rgb + 3 * (size_t)row * (size_t)c->width;
        for (int column = 0; column < c->width; column++, p += 3) {
            float u = l.ux * ((float)column + 0.5f) + l.uy * ((float)row + 0.5f) + l.u0;
            float v = l.vx * ((float)column + 0.5f) + l.vy * ((float)row + 0.5f) + l.v0;
            float r2 = u * u + v * v, side = 2.0f * (x * u + y * v) / (1.0f + r2);
            float facing = r2 < 1.0f ? 0.25f * (1.0f - r2) : 0.0f;
            float gain = larger(1.0f + strength * (side + facing), 0.12f);
            for (int k = 0; k < 3; k++) p[k] *= gain;
        }
    }
}

/* One pass along a line of n pixels `step` floats apart; the edge pixel repeats, weight[i] is for both
 * pixels i away. */
static void blur_line(const float *from, float *to, int n, size_t step, const float *weight, int reach)
{
    for (int i = 0; i < n; i++) {
        const float *p = from + (size_t)i * step;
        float sum[3] = {weight[0] * p[0], weight[0] * p[1], weight[0] * p[2]};
        for (int j = 1; j <= reach; j++) {
            const float *a = from + (size_t)(i - j < 0 ? 0 : i - j) * step;
            const float *b = from + (size_t)(i + j >= n ? n - 1 : i + j) * step;
            for (int k = 0; k < 3; k++) sum[k] += weight[j] * (a[k] + b[k]);
        }
        for (int k = 0; k < 3; k++) to[(size_t)i * step + (size_t)k] = sum[k];
    }
}

/* (1 - (i / radius)^2)^2, together 1 over both sides. */
static int blur_weights(float *weight, float radius)
{
    int reach = (int)radius;
    float total = 0.0f;
    for (int i = 0; i <= reach; i++) {
        float t = (float)i / radius;
        weight[i] = (1.0f - t * t) * (1.0f - t * t);
        total += i ? 2.0f * weight[i] : weight[i];
    }
    for (int i = 0; i <= reach; i++) weight[i] /= total;
    return reach;
}

void faces_blur(face_canvas *c, float radius_x, float radius_y)
{
    size_t row = 3 * (size_t)c->width;
    float *weight = c->cover; /* a radius is a small share of the width, so a row holds the weights */
    if (radius_x > 1.0f) {
        int reach = blur_weights(weight, radius_x);
        for (int y = 0; y < c->height; y++)
            blur_line(c->rgb + (size_t)y * row, c->scratch + (size_t)y * row, c->width, 3, weight, reach);
        float *swap = c->rgb;
        c->rgb = c->scratch;
        c->scratch = swap;
    }
    if (radius_y > 1.0f) {
        int reach = blur_weights(weight, radius_y);
        for (int x = 0; x < c->width; x++)
            blur_line(c->rgb + 3 * x, c->scratch + 3 * x, c->height, row, weight, reach);
        float *swap = c->rgb;
        c->rgb = c->scratch;
        c->scratch = swap;
    }
}

void faces_develop(const face_canvas *c, const face_circumstances *at, image *out)
{
    face_random r = at->pixel_noise;
    size_t n = (size_t)c->width * (size_t)c->height;
    for (size_t i = 0; i < n; i++) {
        const float *p = c->rgb + 3 * i;
        uint64_t bits = faces_bits(&r);
        float rgb[3], shared = ((float)(bits & 0xffff) + (float)(bits >> 16 & 0xffff)) / 65536.0f - 1.0f;
        for (int k = 0; k < 3; k++) {
            float own = (float)(bits >> (32 + 10 * k) & 0x3ff) / 512.0f - 1.0f;
            float v = clamp01((p[k] * at->cast[k] - 0.5f) * at->contrast + 0.5f + at->brightness);
            v += at->tone * v * (1.0f - v);
            rgb[k] = 255.0f * clamp01(v + at->noise * (2.0f * shared + own));
        }
        if (out->channels == 3)
            for (int k = 0; k < 3; k++) out->pixels[3 * i + (size_t)k] = (unsigned char)(rgb[k] + 0.5f);
        else out->pixels[i] = (unsigned char)(0.299f * rgb[0] + 0.587f * rgb[1] + 0.114f * rgb[2] + 0.5f);
    }
}
