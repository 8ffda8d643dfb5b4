/* Composing a face from shapes, back to front: backdrop, hair behind, shoulders, head, features, hair,
 * glasses, whatever is held before it, light, lens. */
#include <math.h>

#include "apps/common/faces_internal.h"

typedef struct scene {
    face_canvas *canvas;
    const face_identity *who;
    const face_circumstances *at;
    face_frame head;        /* face plane to pixels: the crown is at y = -1, the chin at y = 1 */
    float unit;             /* pixels per half head height */
    float yaw, cos_yaw, pitch, cos_pitch;
    face_shape outline;     /* the head, for clipping */
} scene;

/* ---- frames ---- */

/* Local (u, v) scaled, turned by the angle whose half has tangent t, mirrored if side = -1, put at (x, y). */
static face_frame place(const face_frame *in, float x, float y, const float scale[2], float t, float side)
{
    float c = (1.0f - t * t) / (1.0f + t * t), s = 2.0f * t / (1.0f + t * t);
    float ux = side * c * scale[0], vx = -side * s * scale[1], uy = s * scale[0], vy = c * scale[1];
    return (face_frame){.ux = in->ux * ux + in->vx * uy, .vx = in->ux * vx + in->vx * vy,
                        .x = in->ux * x + in->vx * y + in->x, .uy = in->uy * ux + in->vy * uy,
                        .vy = in->uy * vx + in->vy * vy, .y = in->uy * x + in->vy * y + in->y};
}

/* The frame of a feature at (x, y) on the turned head, mirrored on the left. The head is a ball of depth 0.7:
 * turning moves a point by its depth and narrows it where the surface turns away. */
static face_frame feature(const scene *s, float x, float y, float width, float height, float t)
{
    float side = x < 0.0f ? -1.0f : 1.0f, w = s->who->head_width, a = x / w;
    float r2 = 1.0f - 0.8f * a * a - 0.5f * y * y, r = sqrtf(r2 > 0.15f ? r2 : 0.15f);
    float depth = 0.7f * r;
    float narrow_x = s->cos_yaw - s->yaw * 0.7f * 0.8f * a / (w * r);
    float narrow_y = s->cos_pitch - s->pitch * 0.7f * 0.5f * y / r;
    narrow_x = narrow_x < 0.25f ? 0.25f : narrow_x;
    narrow_y = narrow_y < 0.4f ? 0.4f : narrow_y;
    face_frame at = place(&s->head, x * s->cos_yaw + depth * s->yaw, y * s->cos_pitch + depth * s->pitch,
                          (float[2]){1.0f, 1.0f}, 0.0f, 1.0f);
    at.ux *= narrow_x;
    at.uy *= narrow_x;
    at.vx *= narrow_y;
    at.vy *= narrow_y;
    return place(&at, 0.0f, 0.0f, (float[2]){width, height}, t, side);
}

/* ---- shapes and inks ---- */

static face_shape egg(face_frame at)
{
    return (face_shape){.kind = FACE_EGG, .at = at};
}

/* Between two lids: v from -up (1 - u^2) to down (1 - u^2), round the line bend u^2. */
static face_shape lens(face_frame at, float up, float down, float bend)
{
    float middle = 0.5f * (down - up);
    return (face_shape){.kind = FACE_BAND, .at = at, .curve = {middle, 0.0f, bend - middle, 0.0f},
                        .half = {0.5f * (up + down), 0.0f}};
}

static face_ink solid(const float rgb[3], float alpha)
{
    return (face_ink){.rgb = {rgb[0], rgb[1], rgb[2]}, .alpha = alpha};
}

static face_ink soft(const float rgb[3], float gain, float alpha)
{
    return (face_ink){.rgb = {rgb[0] * gain, rgb[1] * gain, rgb[2] * gain}, .alpha = alpha, .soft = true};
}

static face_ink shade(const float rgb[3], float gain)
{
    return (face_ink){.rgb = {rgb[0] * gain, rgb[1] * gain, rgb[2] * gain}, .alpha = 1.0f};
}

static face_ink hair_ink(const scene *s, float gain)
{
    face_ink ink = shade(s->who->hair, gain);
    ink.grain = s->who->grain;
    ink.rate_u = 5.0f;
    ink.rate_v = 1.0f;
    return ink;
}

static void paint(const scene *s, face_shape shape, const face_shape *clip, face_ink ink)
{
    faces_paint(s->canvas, &shape, clip, &ink);
}

/* ---- behind the head ---- */

/* Walls and furniture: any lightness, little colour. */
static void muted_colour(float rgb[3], face_random *r)
{
    float light = faces_uniform(r, 0.25f, 0.8f);
    for (int k = 0; k < 3; k++) rgb[k] = light + faces_bell(r, 0.3f) * (1.1f - light);
}

static void draw_backdrop(const scene *s)
{
    face_random r = s->at->backdrop;
    float rgb[2][3], dx = faces_uniform(&r, -1.0f, 1.0f), dy = faces_uniform(&r, -1.0f, 1.0f);
    for (int i = 0; i < 2; i++) muted_colour(rgb[i], &r);
    faces_fill_gradient(s->canvas, rgb[0], rgb[1], dx, dy);
    float w = (float)s->canvas->width, h = (float)s->canvas->height;
    face_frame whole = {0.5f * w, 0.0f, 0.5f * w, 0.0f, 0.5f * h, 0.5f * h};
    int things = 1 + (int)(faces_bits(&r) % 4);
    for (int i = 0; i < things; i++) {
        float x = faces_uniform(&r, -1.1f, 1.1f), y = faces_uniform(&r, -1.1f, 1.1f);
        float width = faces_uniform(&r, 0.1f, 0.8f), height = faces_uniform(&r, 0.1f, 0.9f);
        float turn = faces_bell(&r, 0.8f);
        face_shape thing = egg(place(&whole, x, y, (float[2]){width, height}, turn, 1.0f));
        face_ink ink = {.alpha = faces_uniform(&r, 0.35f, 0.95f)};
        muted_colour(ink.rgb, &r);
        if (faces_chance(&r, 0.6f)) thing.kind = FACE_BOX;
        ink.soft = faces_chance(&r, 0.2f);
        if (faces_chance(&r, 0.4f)) {
            ink.grain = faces_uniform(&r, 0.1f, 0.4f);
            ink.rate_u = faces_uniform(&r, 0.5f, 3.0f);
            ink.rate_v = faces_uniform(&r, 0.0f, 0.6f);
        }
        paint(s, thing, NULL, ink);
    }
}

static void draw_hair_behind(const scene *s)
{
    const face_identity *f = s->who;
    float top = -1.0f - f->hair_top, bottom = f->hair_length, shift = -0.3f * s->yaw;
    float half[2] = {f->head_width + f->hair_side + 0.02f, 0.5f * (bottom - top)};
    if (f->style == FACE_HAIR_BALD || bottom < 0.2f) return;
    face_shape back = egg(place(&s->head, shift, 0.5f * (top + bottom), half, 0.0f, 1.0f));
    back.square[0] = 0.1f;
    back.square[1] = 0.8f;
    back.taper = f->style == FACE_HAIR_LONG ? 0.12f : f->style == FACE_HAIR_BOB ? 0.18f : 0.0f;
    paint(s, back, NULL, hair_ink(s, 0.72f));
}

static void draw_shoulders(const scene *s)
{
    const face_identity *f = s->who;
    float neck = 0.72f * f->head_width * (1.0f + 0.8f * f->jaw), shift = -0.12f * s->yaw;
    face_shape shape = {.kind = FACE_BOX};
    shape.at = place(&s->head, shift, 1.05f, (float[2]){neck, 0.55f}, 0.0f, 1.0f);
    paint(s, shape, NULL, shade(f->skin, 0.78f));
    face_shape shirt = egg(place(&s->head, shift, 2.25f, (float[2]){1.5f, 1.0f}, 0.0f, 1.0f));
    shirt.square[0] = 0.55f;
    paint(s, shirt, NULL, solid(s->at->shirt, 1.0f));
    float collar[2] = {neck * 1.05f, 0.12f + 0.3f * s->at->collar};
    shape = egg(place(&s->head, shift, 1.28f, collar, 0.0f, 1.0f));
    paint(s, shape, NULL, shade(f->skin, 0.82f));
    shape = egg(place(&s->head, shift, 1.05f, (float[2]){neck, 0.32f}, 0.0f, 1.0f)); /* the chin's shadow */
    paint(s, shape, NULL, soft(f->skin, 0.5f, 0.55f));
}

static void draw_ears(const scene *s)
{
    const face_identity *f = s->who;
    for (int i = -1; i <= 1; i += 2) {
        float side = (float)i, x = side * (f->head_width + 0.25f * f->ear_size) - 0.22f * s->yaw;
        float size[2] = {0.55f * f->ear_size, f->ear_size};
        face_shape ear = egg(place(&s->head, x, f->ear_y - 0.15f * s->pitch, size, -0.08f, side));
        ear.taper = -0.2f;
        paint(s, ear, NULL, shade(f->skin, 0.9f));
        size[0] *= 0.6f;
        size[1] *= 0.7f;
        ear.at = place(&s->head, x, f->ear_y - 0.15f * s->pitch, size, -0.08f, side);
        paint(s, ear, NULL, soft(f->skin, 0.62f, 0.8f));
    }
}

/* ---- the face ---- */

static void draw_skin(const scene *s)
{
    const face_identity *f = s->who;
    paint(s, s->outline, NULL, shade(f->skin, 1.0f));
    static const float red[3] = {0.85f, 0.30f, 0.28f}, white[3] = {1.0f, 0.97f, 0.92f};
    for (int i = -1; i <= 1; i += 2) {
        float side = (float)i;
        face_shape cheek = egg(feature(s, side * 0.62f * f->head_width, 0.42f, 0.22f, 0.2f, 0.0f));
        paint(s, cheek, &s->outline, soft(red, 1.0f, 0.5f * f->blush));
        face_shape socket = egg(feature(s, side * f->eye_x, f->eye_y - 0.05f, 0.27f, 0.22f, 0.0f));
        paint(s, socket, &s->outline, soft(f->skin, 0.68f, 0.6f));
        float x = side * (f->nose_width + 0.12f), y = f->eye_y + f->nose_length + 0.08f;
        face_shape fold = lens(feature(s, x, y, 0.2f, 0.2f, 0.42f), 0.12f, 0.12f, 0.2f);
        face_ink crease = shade(f->skin, 0.62f);
        crease.alpha = f->wrinkle;
        paint(s, fold, &s->outline, crease);
    }
    face_shape forehead = egg(feature(s, 0.0f, -0.5f, 0.4f, 0.22f, 0.0f));
    paint(s, forehead, &s->outline, soft(white, 1.0f, 0.14f));
    face_shape chin = egg(feature(s, 0.0f, 0.9f, 0.22f, 0.1f, 0.0f));
    paint(s, chin, &s->outline, soft(white, 1.0f, 0.10f));
    face_shape rim = s->outline; /* the edge turns away from the light */
    rim.stroke = 0.035f * s->unit;
    face_ink edge = shade(f->skin, 0.68f);
    edge.alpha = 0.4f;
    paint(s, rim, &s->outline, edge);
}

static void draw_marks(const scene *s)
{
    const face_identity *f = s->who;
    face_random r = faces_random(f->detail, 0, 0);
    for (int i = 0; i < f->freckles; i++) {
        float x = faces_bell(&r, 0.55f), y = 0.3f + faces_bell(&r, 0.25f);
        float size = faces_uniform(&r, 0.018f, 0.03f);
        face_ink brown = {.rgb = {0.55f * f->skin[0], 0.4f * f->skin[1], 0.3f * f->skin[2]}, .alpha = 0.6f};
        paint(s, egg(feature(s, x, y, size, size, 0.0f)), &s->outline, brown);
    }
    for (int i = 0; i < f->moles; i++) {
        float size = f->mole_size[i], x = f->mole_x[i] * f->head_width / 0.76f;
        face_ink brown = {.rgb = {0.2f, 0.12f, 0.1f}, .alpha = 0.9f};
        paint(s, egg(feature(s, x, f->mole_y[i], size, size, 0.0f)), &s->outline, brown);
    }
}

static void draw_eye(const scene *s, float side)
{
    const face_identity *f = s->who;
    static const float white[3] = {0.95f, 0.94f, 0.92f}, dark[3] = {0.07f, 0.05f, 0.05f};
    float ratio = f->eye_height / f->eye_width, open = s->at->eye_open;
    face_frame at = feature(s, side * f->eye_x, f->eye_y, f->eye_width, f->eye_width, -f->eye_tilt);
    float up = 1.05f * ratio * open, down = 0.75f * ratio * (open < 0.3f ? 0.4f : 1.0f);
    face_shape eye = lens(at, up, down, 0.0f);
    paint(s, eye, &s->outline, solid(white, 1.0f));
    float radius = 0.92f * ratio < 0.62f ? 0.92f * ratio : 0.62f, gx = side * 0.35f * s->at->gaze_x;
    float gy = 0.3f * ratio * s->at->gaze_y;
    face_shape iris = egg(place(&at, gx, gy, (float[2]){radius, radius}, 0.0f, 1.0f));
    paint(s, iris, &eye, solid(f->iris, 1.0f));
    iris.at = place(&at, gx, gy, (float[2]){0.55f * radius, 0.55f * radius}, 0.0f, 1.0f);
    paint(s, iris, &eye, solid(dark, 1.0f));
    float glint[2] = {0.2f * radius, 0.2f * radius};
    iris.at = place(&at, gx + side * 0.3f * radius, gy - 0.35f * radius, glint, 0.0f, 1.0f);
    paint(s, iris, &eye, solid(white, 0.9f));
    face_shape lash = lens(at, up + 0.10f + 0.22f * f->lash, 0.04f - up, 0.0f);
    paint(s, lash, &s->outline, solid(dark, 0.35f + 0.6f * f->lash));
    face_shape lid = lens(at, up + 0.42f, -0.30f - up, 0.0f);
    paint(s, lid, &s->outline, shade(f->skin, 0.62f));
}

static void draw_brow(const scene *s, float side)
{
    const face_identity *f = s->who;
    float y = f->eye_y - f->brow_gap - s->at->brow_raise;
    face_shape brow = {.kind = FACE_BAND};
    brow.at = feature(s, side * (f->eye_x + 0.02f), y, f->brow_width, f->brow_width, -f->brow_tilt - 0.05f);
    brow.curve[0] = -f->brow_arch;
    brow.curve[2] = f->brow_arch;
    brow.half[0] = f->brow_thick;
    brow.half[1] = -0.5f * f->brow_thick;
    face_ink ink = shade(f->hair, 0.6f);
    ink.alpha = 0.92f;
    paint(s, brow, &s->outline, ink);
}

static void draw_nose(const scene *s)
{
    const face_identity *f = s->who;
    float base = f->eye_y + f->nose_length, w = f->nose_width, lit = s->at->light_x < 0.0f ? -1.0f : 1.0f;
    static const float white[3] = {1.0f, 0.97f, 0.92f};
    /* the nose stands out of the face, so turning the head carries it further than the cheeks */
    scene out = *s;
    out.yaw *= 1.25f;
    out.pitch *= 1.25f;
    float x = -lit * (0.25f * w + 0.05f), length = f->nose_length; /* the side away from the light */
    face_shape flank = egg(feature(&out, x, base - 0.45f * length, 0.5f * w + 0.04f, 0.6f * length, 0.06f));
    paint(s, flank, &s->outline, soft(f->skin, 0.58f, 0.35f + 0.5f * f->nose_bridge));
    face_shape ridge = egg(feature(&out, lit * 0.02f, base - 0.5f * length, 0.35f * w, 0.55f * length, 0.0f));
    paint(s, ridge, NULL, soft(white, 1.0f, 0.12f + 0.25f * f->nose_bridge));
    for (int i = -1; i <= 1; i += 2) {
        float side = (float)i;
        float height = 0.30f * w + 0.02f;
        face_shape wing = egg(feature(&out, side * 0.72f * w, base - 0.03f, 0.38f * w, height, 0.1f));
        paint(s, wing, NULL, shade(f->skin, 0.84f));
    }
    face_shape tip = egg(feature(&out, 0.0f, base - 0.05f, 0.62f * w, 0.48f * w + 0.02f, 0.0f));
    paint(s, tip, NULL, shade(f->skin, 0.97f));
    paint(s, tip, NULL, soft(white, 1.0f, 0.22f));
    for (int i = -1; i <= 1; i += 2) {
        float side = (float)i, height = 0.12f * w + 0.012f;
        face_shape nostril = egg(feature(&out, side * 0.45f * w, base + 0.02f, 0.24f * w, height, 0.1f));
        paint(s, nostril, NULL, shade(f->skin, 0.32f));
    }
    face_shape under = egg(feature(&out, 0.0f, base + 0.08f, 0.9f * w, 0.07f, 0.0f));
    paint(s, under, &s->outline, soft(f->skin, 0.55f, 0.5f));
}

static void draw_mouth(const scene *s)
{
    const face_identity *f = s->who;
    static const float inside[3] = {0.25f, 0.05f, 0.07f}, teeth[3] = {0.96f, 0.95f, 0.91f};
    float smile = s->at->smile, open = s->at->mouth_open, bend = -0.4f * smile;
    float width = f->mouth_width * (1.0f + 0.18f * (smile > 0.0f ? smile : 0.0f));
    face_frame at = feature(s, 0.0f, f->mouth_y + 0.04f * smile, width, width, 0.0f);
    float gap_up = 0.30f * open, gap_down = 0.75f * open;
    face_shape lips = lens(at, f->lip_upper + gap_up, f->lip_lower + gap_down, bend);
    paint(s, lips, &s->outline, shade(f->lip, 1.0f));
    face_shape upper = lens(at, f->lip_upper + gap_up, -gap_up, bend);
    paint(s, upper, &s->outline, shade(f->lip, 0.8f));
    face_shape mouth = lens(at, gap_up + 0.035f, gap_down + 0.035f, bend);
    paint(s, mouth, &s->outline, solid(inside, 1.0f));
    if (open > 0.15f) {
        face_frame narrower = place(&at, 0.0f, 0.0f, (float[2]){0.85f, 1.0f}, 0.0f, 1.0f);
        paint(s, lens(narrower, gap_up, 0.1f - 0.1f * gap_up, 0.8f * bend), &mouth, solid(teeth, 1.0f));
    }
    float chin = f->mouth_y + (f->lip_lower + gap_down) * width + 0.05f;
    face_shape below = egg(feature(s, 0.0f, chin, 0.6f * width, 0.05f, 0.0f));
    paint(s, below, &s->outline, soft(f->skin, 0.6f, 0.5f));
}

/* ---- hair ---- */

static void draw_beard(const scene *s)
{
    const face_identity *f = s->who;
    face_ink ink = hair_ink(s, 0.8f);
    ink.alpha = 0.9f * f->beard;
    if (f->beard > 0.0f) {
        float low = f->mouth_y - 0.10f;
        face_shape below = {.kind = FACE_BAND, .open = true};
        below.at = feature(s, 0.0f, 0.0f, f->head_width, 1.0f, 0.0f);
        below.curve[0] = low + 2.0f;
        below.curve[2] = 0.25f;
        below.curve[3] = -0.75f;
        below.half[0] = 2.0f;
        if (f->beard_length > 0.0f) {
            float width = 0.55f * f->head_width, length = 0.2f + f->beard_length;
            face_shape tuft = egg(feature(s, 0.0f, 0.85f, width, length, 0.0f));
            tuft.square[1] = 0.4f;
            paint(s, tuft, NULL, ink);
        }
        paint(s, s->outline, &below, ink);
    }
    if (f->moustache <= 0.0f) return;
    float y = 0.45f * f->mouth_y + 0.55f * (f->eye_y + f->nose_length) + 0.03f;
    float width = 0.62f * f->mouth_width;
    face_ink dark = shade(f->hair, 0.75f);
    dark.alpha = 0.95f;
    for (int i = -1; i <= 1; i += 2) {
        face_frame half = feature(s, (float)i * 0.55f * f->mouth_width, y, width, width, 0.12f);
        paint(s, lens(half, 0.18f + 0.2f * f->moustache, 0.2f, 0.15f), &s->outline, dark);
    }
}

/* A chain of round locks over the crown, from ear to ear. */
static void draw_curls(const scene *s, const face_shape *face_hole)
{
    const face_identity *f = s->who;
    face_ink ink = hair_ink(s, 0.9f);
    face_random r = faces_random(f->detail, 1, 0);
    for (int i = 0; i <= 12; i++) {
        float t = ((float)i - 6.0f) / 5.2f, c = 2.0f / (1.0f + t * t), across = t * c, up = c - 1.0f;
        float x = across * (f->head_width + 0.75f * f->hair_side) - 0.25f * s->yaw;
        float y = -up * (1.0f + 0.6f * f->hair_top) + 0.02f;
        float size = faces_uniform(&r, 0.16f, 0.27f);
        paint(s, egg(place(&s->head, x, y, (float[2]){size, size}, 0.0f, 1.0f)), face_hole, ink);
    }
}

static void draw_hair(const scene *s)
{
    const face_identity *f = s->who;
    float shift = -0.12f * s->yaw, half[2] = {f->head_width + f->hair_side, 1.0f + 0.5f * f->hair_top};
    if (f->style == FACE_HAIR_BALD) return;
    face_shape cap = s->outline;
    cap.at = place(&s->head, shift, -0.5f * f->hair_top, half, 0.0f, 1.0f);
    cap.square[0] = 0.3f + f->crown_square;
    face_shape above = {.kind = FACE_BAND, .open = true};
    above.at = feature(s, 0.0f, 0.0f, f->head_width, 1.0f, 0.0f);
    above.at.x -= 0.35f * (above.at.x - s->head.x); /* the hairline lies less deep than the nose */
    above.at.y -= 0.35f * (above.at.y - s->head.y);
    above.half[0] = 3.0f;
    above.curve[0] = f->hairline - 3.0f;
    above.curve[1] = f->parting;
    above.curve[2] = 0.35f * f->temple;
    above.curve[3] = 0.65f * f->temple;
    if (f->style == FACE_HAIR_FRINGE || f->style == FACE_HAIR_SHORT) {
        above.ripple = 0.035f;
        above.ripple_rate = 3.0f;
    }
    face_ink ink = hair_ink(s, 1.0f);
    if (f->style == FACE_HAIR_BUZZ) ink.alpha = 0.75f;
    if (f->style == FACE_HAIR_BUN) {
        float size = 0.2f + f->hair_top, round[2] = {size, 0.85f * size};
        paint(s, egg(place(&s->head, -0.3f * s->yaw, -1.1f - f->hair_top, round, 0.0f, 1.0f)), NULL, ink);
    }
    if (f->style == FACE_HAIR_CURLY) draw_curls(s, &above);
    paint(s, cap, &above, ink);
    if (f->style != FACE_HAIR_LONG && f->style != FACE_HAIR_BOB) return;
    for (int i = -1; i <= 1; i += 2) { /* locks that hang before the ears */
        float side = (float)i, top = f->hairline + 0.2f, length = 0.5f * (f->hair_length - top);
        float x = shift + side * (f->head_width + 0.3f * f->hair_side);
        float size[2] = {0.10f + 0.7f * f->hair_side, length};
        face_shape lock = egg(place(&s->head, x, top + length, size, 0.0f, side));
        lock.square[0] = lock.square[1] = 0.5f;
        paint(s, lock, NULL, hair_ink(s, 0.92f));
    }
}

static void draw_hair_ring(const scene *s)
{
    const face_identity *f = s->who;
    for (int i = -1; i <= 1; i += 2) {
        float side = (float)i;
        face_shape tuft = egg(place(&s->head, side * f->head_width * 0.97f - 0.2f * s->yaw, -0.12f,
                                    (float[2]){0.08f + f->hair_side, 0.38f}, 0.06f, side));
        paint(s, tuft, NULL, hair_ink(s, 0.95f));
    }
}

/* ---- in front ---- */

static void draw_glasses(const scene *s)
{
    const face_identity *f = s->who;
    if (f->glasses_width <= 0.0f) return;
    static const float glint[3] = {0.9f, 0.95f, 1.0f};
    face_ink frame = solid(f->glasses, 0.95f);
    float x = f->eye_x > f->glasses_width + 0.03f ? f->eye_x : f->glasses_width + 0.03f, y = f->eye_y + 0.03f;
    for (int i = -1; i <= 1; i += 2) {
        float side = (float)i;
        face_shape rim = egg(feature(s, side * x, y, f->glasses_width, f->glasses_height, 0.0f));
        rim.square[0] = rim.square[1] = f->glasses_square;
        paint(s, rim, NULL, solid(glint, 0.10f));
        rim.stroke = f->glasses_thick * s->unit;
        paint(s, rim, NULL, frame);
        float from = x + f->glasses_width, to = f->head_width;
        face_shape arm = {.kind = FACE_BOX};
        float length = 0.5f * (to - from) + 0.04f;
        arm.at = feature(s, side * 0.5f * (from + to), y - 0.05f, length, f->glasses_thick, 0.0f);
        if (to > from) paint(s, arm, &s->outline, frame);
    }
    face_frame bridge = feature(s, 0.0f, y - 0.03f, x - f->glasses_width + 0.02f, 0.1f, 0.0f);
    paint(s, lens(bridge, 0.6f, 0.0f, 0.0f), NULL, frame);
}

static void draw_hand(const scene *s)
{
    const face_circumstances *at = s->at;
    float side = at->occluder_x < 0.0f ? -1.0f : 1.0f, x = side * (0.45f + 0.25f * at->occluder_y), y = 0.75f;
    face_ink skin = shade(s->who->skin, 0.92f), line = shade(s->who->skin, 0.6f);
    for (int i = 0; i < 4; i++) {
        float shift = 0.17f * ((float)i - 1.5f), reach = 0.28f - 0.05f * (float)(i * i - 3 * i);
        float size[2] = {0.09f, 0.32f};
        face_shape finger = egg(place(&s->head, x + shift, y - reach, size, 0.08f, side));
        finger.square[0] = 0.6f;
        paint(s, finger, NULL, skin);
        finger.stroke = 0.02f * s->unit;
        paint(s, finger, NULL, line);
    }
    paint(s, egg(place(&s->head, x, y + 0.3f, (float[2]){0.36f, 0.42f}, 0.0f, 1.0f)), NULL, skin);
}

static void draw_occluder(const scene *s)
{
    const face_circumstances *at = s->at;
    face_ink ink = solid(at->occluder_rgb, 1.0f);
    face_shape shape = {.kind = FACE_BOX};
    if (at->occluder == FACE_BAR) {
        float x = 0.8f * at->occluder_x, y = 0.8f * at->occluder_y;
        shape.at = place(&s->head, x, y, (float[2]){3.5f, 0.13f}, at->occluder_turn, 1.0f);
        paint(s, shape, NULL, ink);
    } else if (at->occluder == FACE_SCARF) {
        shape = (face_shape){.kind = FACE_BAND, .open = true, .curve = {0.25f, 0.0f, -0.35f}, .half = {0.6f}};
        shape.at = feature(s, 0.0f, 0.85f + 0.1f * at->occluder_y, s->who->head_width, 1.0f, 0.0f);
        ink.grain = 0.3f;
        ink.rate_u = 1.0f + 2.0f * at->occluder_turn * at->occluder_turn;
        ink.rate_v = 0.5f;
        face_shape wide = s->outline;
        wide.at = place(&s->head, 0.0f, 0.2f, (float[2]){1.08f * s->who->head_width, 1.1f}, 0.0f, 1.0f);
        paint(s, wide, &shape, ink);
    } else if (at->occluder == FACE_SUNGLASSES) {
        for (int i = -1; i <= 1; i += 2) {
            face_shape glass = egg(feature(s, (float)i * s->who->eye_x, s->who->eye_y, 0.27f, 0.22f, 0.0f));
            glass.square[0] = 0.8f;
            paint(s, glass, NULL, (face_ink){.rgb = {0.06f, 0.06f, 0.08f}, .alpha = 0.96f});
        }
        shape.at = feature(s, 0.0f, s->who->eye_y - 0.1f, 0.9f * s->who->head_width, 0.03f, 0.0f);
        paint(s, shape, &s->outline, (face_ink){.rgb = {0.06f, 0.06f, 0.08f}, .alpha = 1.0f});
    } else if (at->occluder == FACE_HAND) draw_hand(s);
}

/* ---- all of it ---- */

static scene stage(face_canvas *c, const face_identity *who, const face_circumstances *at)
{
    float w = (float)c->width, h = (float)c->height, half = 0.5f * (w < h ? w : h), size = at->size * half;
    face_frame picture = {half, 0.0f, 0.5f * w, 0.0f, half, 0.5f * h};
    scene s = {.canvas = c, .who = who, .at = at, .unit = size, .yaw = at->yaw, .pitch = at->pitch};
    s.cos_yaw = sqrtf(1.0f - at->yaw * at->yaw);
    s.cos_pitch = sqrtf(1.0f - at->pitch * at->pitch);
    s.head = place(&picture, at->x, at->y, (float[2]){at->size, at->size}, at->roll, 1.0f);
    s.outline = egg(place(&s.head, 0.0f, 0.0f, (float[2]){who->head_width, 1.0f}, 0.0f, 1.0f));
    s.outline.taper = who->jaw;
    s.outline.bulge = who->cheek;
    s.outline.square[0] = who->crown_square;
    s.outline.square[1] = who->chin_square;
    return s;
}

void faces_compose(face_canvas *c, const face_identity *who, const face_circumstances *at)
{
    scene s = stage(c, who, at);
    draw_backdrop(&s);
    draw_hair_behind(&s);
    draw_shoulders(&s);
    draw_ears(&s);
    draw_skin(&s);
    draw_marks(&s);
    draw_beard(&s);
    draw_eye(&s, -1.0f);
    draw_eye(&s, 1.0f);
    draw_mouth(&s);
    draw_nose(&s);
    if (who->style == FACE_HAIR_RING) draw_hair_ring(&s);
    else draw_hair(&s);
    draw_brow(&s, -1.0f);
    draw_brow(&s, 1.0f);
    draw_glasses(&s);
    draw_occluder(&s);
    faces_light(c, &s.head, at->light_x, at->light_y, at->light);
    float small = (float)(c->width < c->height ? c->width : c->height) / 48.0f;
    faces_blur(c, at->blur_x * small, at->blur_y * small);
}
