/* Pixels of the face data set: shapes with analytic anti-aliasing, light, blur, development.
 * Only + - * / sqrt and floor on floats, so that every IEEE machine computes the same bytes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "apps/common/faces_internal.h"

static float clamp01(float x)
{
    return x < 0.0f ? 0.0f : x > 1.0f ? 1.0f : x;
}

static float larger(float a, float b)
{
    return a > b ? a : b;
}

float faces_wave(float x)
{
    float t = x - floorf(x);
    return t < 0.5f ? 16.0f * t * (0.5f - t) : -16.0f * (t - 0.5f) * (1.0f - t);
}

bool faces_canvas_new(face_canvas *c, int width, int height, app_error *error)
{
    memset(c, 0, sizeof *c);
    if ((size_t)height > (SIZE_MAX / sizeof(float) - 2 * (size_t)width) / 6 / (size_t)width)
        return app_fail(error, "faces: a picture of %d x %d is too large", width, height);
    size_t plane = 3 * (size_t)width * (size_t)height;
    float *block = malloc((2 * plane + 2 * (size_t)width) * sizeof *block);
    if (!block) return app_fail(error, "faces: no memory for a picture of %d x %d", width, height);
    *c = (face_canvas){.width = width, .height = height, .rgb = block, .scratch = block + plane,
                       .cover = block + 2 * plane, .clip = block + 2 * plane + width};
    return true;
}

void faces_canvas_free(face_canvas *c)
{
    free(c->rgb);
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
    if (d > -1e-6f && d < 1e-6f) d = 1e-6f; /* seen edge-on: draws next to nothing */
    local l = {.ux = f->vy / d, .uy = -f->vx / d, .vx = -f->uy / d, .vy = f->ux / d};
    l.u0 = -l.ux * f->x - l.uy * f->y;
    l.v0 = -l.vx * f->x - l.vy * f->y;
    return l;
}

/* A value that is negative inside, turned to the share of the pixel that is covered, by way of the distance in pixels
 * that its gradient (gx, gy) tells. */
static float coverage(float value, float gx, float gy, float stroke)
{
    float distance = value / sqrtf(gx * gx + gy * gy + 1e-12f);
    if (stroke > 0.0f) distance = (distance < 0.0f ? -distance : distance) - stroke;
    return clamp01(0.5f - distance);
}

static float fade(float value)
{
    float t = clamp01(-value);
    return t * t * (3.0f - 2.0f * t);
}

static void egg_row(const face_shape *s, const local *l, bool soft, int y, int x0, int x1, float *out)
{
    float row = (float)y + 0.5f, u_row = l->uy * row + l->u0, v_row = l->vy * row + l->v0;
    for (int x = x0; x < x1; x++) {
        float column = (float)x + 0.5f, u = l->ux * column + u_row, v = l->vx * column + v_row;
        float p = 1.0f / larger(1.0f + (s->taper + s->bulge * v) * v, 0.2f);
        float k = v < 0.0f ? s->square[0] : s->square[1], q = u * p, v2 = v * v;
        float value = q * q + v2 * (1.0f - k + k * v2) - 1.0f;
        if (soft) {
            out[x] = fade(value);
            continue;
        }
        float du = 2.0f * q * p;
        float dv = v * (2.0f - 2.0f * k + 4.0f * k * v2) - 2.0f * q * q * p * (s->taper + 2.0f * s->bulge * v);
        out[x] = coverage(value, du * l->ux + dv * l->vx, du * l->uy + dv * l->vy, s->stroke);
    }
}

static void band_row(const face_shape *s, const local *l, bool soft, int y, int x0, int x1, float *out)
{
    float row = (float)y + 0.5f, u_row = l->uy * row + l->u0, v_row = l->vy * row + l->v0;
    for (int x = x0; x < x1; x++) {
        float column = (float)x + 0.5f, u = l->ux * column + u_row, v = l->vx * column + v_row;
        float u2 = u * u, half = s->half[0] + s->half[1] * u, slope_half = s->half[1];
        float centre = s->curve[0] + s->curve[1] * u + u2 * (s->curve[2] + s->curve[3] * u2);
        float slope = s->curve[1] + u * (2.0f * s->curve[2] + 4.0f * s->curve[3] * u2);
        if (s->ripple > 0.0f) centre += s->ripple * faces_wave(s->ripple_rate * u);
        if (!s->open) {
            slope_half = slope_half * (1.0f - u2) - 2.0f * u * half;
            half *= 1.0f - u2;
        }
        float above = v - centre, sign = above < 0.0f ? -1.0f : 1.0f, value = sign * above - half;
        if (soft) {
            out[x] = fade(value / larger(half, 0.01f));
            continue;
        }
        float du = -sign * slope - slope_half;
        out[x] = coverage(value, du * l->ux + sign * l->vx, du * l->uy + sign * l->vy, 0.0f);
    }
}

static void box_row(const local *l, bool soft, int y, int x0, int x1, float *out)
{
    float row = (float)y + 0.5f, u_row = l->uy * row + l->u0, v_row = l->vy * row + l->v0;
    float per_u = 1.0f / sqrtf(l->ux * l->ux + l->uy * l->uy + 1e-12f);
    float per_v = 1.0f / sqrtf(l->vx * l->vx + l->vy * l->vy + 1e-12f);
    for (int x = x0; x < x1; x++) {
        float column = (float)x + 0.5f, u = l->ux * column + u_row, v = l->vx * column + v_row;
        if (soft) {
            out[x] = clamp01(1.0f - u * u) * clamp01(1.0f - v * v);
            continue;
        }
        out[x] = clamp01(0.5f - ((u < 0.0f ? -u : u) - 1.0f) * per_u) *
                 clamp01(0.5f - ((v < 0.0f ? -v : v) - 1.0f) * per_v);
    }
}

static void cover_row(const face_shape *s, const local *l, bool soft, int y, int x0, int x1, float *out)
{
    if (s->kind == FACE_EGG) egg_row(s, l, soft, y, x0, x1, out);
    else if (s->kind == FACE_BAND) band_row(s, l, soft, y, x0, x1, out);
    else box_row(l, soft, y, x0, x1, out);
}

/* ---- painting ---- */

typedef struct bounds {
    int x0, x1, y0, y1;
} bounds;

static float magnitude(float x)
{
    return x < 0.0f ? -x : x;
}

static int clip_edge(float x, int limit)
{
    return x <= 0.0f ? 0 : x >= (float)limit ? limit : (int)x;
}

/* The pixels a shape can touch: the box round its frame's image of [-u, u] x [-v, v], a pixel wider. */
static bounds bounds_of(const face_canvas *c, const face_shape *s)
{
    float u = 1.0f, v = 1.0f;
    if (s->kind == FACE_EGG) u = 1.0f + magnitude(s->taper) + larger(s->bulge, 0.0f);
    if (s->kind == FACE_BAND) {
        v = s->ripple + magnitude(s->half[0]) + magnitude(s->half[1]);
        for (int i = 0; i < 4; i++) v += magnitude(s->curve[i]);
    }
    if (s->square[0] > 0.0f || s->square[1] > 0.0f) u *= 1.1f;
    float pad = 1.5f + s->stroke;
    float w = u * magnitude(s->at.ux) + v * magnitude(s->at.vx) + pad;
    float h = u * magnitude(s->at.uy) + v * magnitude(s->at.vy) + pad;
    return (bounds){clip_edge(s->at.x - w, c->width), clip_edge(s->at.x + w + 1.0f, c->width),
                    clip_edge(s->at.y - h, c->height), clip_edge(s->at.y + h + 1.0f, c->height)};
}

static void blend_row(float *p, const float *cover, int n, const float rgb[3])
{
    for (int i = 0; i < n; i++, p += 3) {
        float a = cover[i];
        if (a <= 0.0f) continue;
        for (int k = 0; k < 3; k++) p[k] += a * (rgb[k] - p[k]);
    }
}

static void blend_row_with_grain(float *p, const float *cover, int x0, int x1, float y, const local *l,
                                 const face_ink *ink)
{
    for (int x = x0; x < x1; x++, p += 3) {
        float a = cover[x];
        if (a <= 0.0f) continue;
        float u = l->ux * ((float)x + 0.5f) + l->uy * y + l->u0, v = l->vx * ((float)x + 0.5f) + l->vy * y + l->v0;
        float bend = faces_wave(0.5f * ink->rate_v * v + 0.3f * u);
        float streak = 1.0f + ink->grain * faces_wave(ink->rate_u * u + ink->rate_v * v * u + 0.4f * bend);
        for (int k = 0; k < 3; k++) p[k] += a * (ink->rgb[k] * streak - p[k]);
    }
}

void faces_paint(face_canvas *c, const face_shape *shape, const face_shape *clip, const face_ink *ink)
{
    bounds b = bounds_of(c, shape);
    if (b.x0 >= b.x1 || b.y0 >= b.y1 || ink->alpha <= 0.0f) return;
    local in_shape = invert(&shape->at), in_clip = clip ? invert(&clip->at) : in_shape;
    for (int y = b.y0; y < b.y1; y++) {
        cover_row(shape, &in_shape, ink->soft, y, b.x0, b.x1, c->cover);
        if (clip) {
            cover_row(clip, &in_clip, false, y, b.x0, b.x1, c->clip);
            for (int x = b.x0; x < b.x1; x++) c->cover[x] *= c->clip[x];
        }
        for (int x = b.x0; x < b.x1; x++) c->cover[x] *= ink->alpha;
        float *p = c->rgb + 3 * ((size_t)y * (size_t)c->width + (size_t)b.x0);
        if (ink->grain > 0.0f) blend_row_with_grain(p, c->cover, b.x0, b.x1, (float)y + 0.5f, &in_shape, ink);
        else blend_row(p, c->cover + b.x0, b.x1 - b.x0, ink->rgb);
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

/* One pass along a line of n pixels `step` floats apart, weights (1 - (i / radius)^2)^2, the edge pixel repeated. */
static void blur_line(const float *from, float *to, int n, size_t step, float radius)
{
    int reach = (int)radius;
    for (int i = 0; i < n; i++) {
        float sum[3] = {0.0f, 0.0f, 0.0f}, total = 0.0f;
        for (int j = -reach; j <= reach; j++) {
            float t = (float)j / radius, w = (1.0f - t * t) * (1.0f - t * t);
            int at = i + j < 0 ? 0 : i + j >= n ? n - 1 : i + j;
            const float *p = from + (size_t)at * step;
            for (int k = 0; k < 3; k++) sum[k] += w * p[k];
            total += w;
        }
        for (int k = 0; k < 3; k++) to[(size_t)i * step + (size_t)k] = sum[k] / total;
    }
}

void faces_blur(face_canvas *c, float radius_x, float radius_y)
{
    size_t row = 3 * (size_t)c->width;
    if (radius_x > 1.0f) {
        for (int y = 0; y < c->height; y++)
            blur_line(c->rgb + (size_t)y * row, c->scratch + (size_t)y * row, c->width, 3, radius_x);
        memcpy(c->rgb, c->scratch, row * (size_t)c->height * sizeof *c->rgb);
    }
    if (radius_y > 1.0f) {
        for (int x = 0; x < c->width; x++) blur_line(c->rgb + 3 * x, c->scratch + 3 * x, c->height, row, radius_y);
        memcpy(c->rgb, c->scratch, row * (size_t)c->height * sizeof *c->rgb);
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
