/* Between faces.c (who, in which circumstances), faces_draw.c (what is where) and faces_paint.c (pixels). */
#ifndef TESSERA_APPS_FACES_INTERNAL_H
#define TESSERA_APPS_FACES_INTERNAL_H

#include "apps/common/faces.h"

/* ---- random numbers: the n-th draw of a key is a hash of (key, n), so that streams need no order ---- */

typedef struct face_random {
    uint64_t key, count;
} face_random;

face_random faces_random(uint64_t seed, uint64_t a, uint64_t b);
uint64_t faces_bits(face_random *r);
float faces_uniform(face_random *r, float low, float high);
/* Bell-shaped between -limit and limit (the sum of three uniforms; standard deviation limit / 3). */
float faces_bell(face_random *r, float limit);
bool faces_chance(face_random *r, float probability);

/* ---- what changes from picture to picture ---- */

typedef enum face_occluder {
    FACE_NO_OCCLUDER,
    FACE_BAR,
    FACE_SUNGLASSES,
    FACE_SCARF,
    FACE_HAND
} face_occluder;

typedef struct face_circumstances {
    float x, y, size, roll;             /* head centre, half height in half short sides; tan half angle */
    float yaw, pitch;                   /* sines */
    float light_x, light_y, light;      /* direction over the face plane, strength */
    float brightness, contrast, tone, cast[3];
    float smile, mouth_open, eye_open, brow_raise, gaze_x, gaze_y;
    float shirt[3], collar;
    float blur_x, blur_y, noise;        /* radius in 48ths of the short side; standard deviation */
    face_occluder occluder;
    float occluder_x, occluder_y, occluder_turn, occluder_rgb[3];
    face_random backdrop, pixel_noise;
} face_circumstances;

/* ---- painting (faces_paint.c) ---- */

/* Local (u, v) lies at pixel (ux u + vx v + x, uy u + vy v + y). */
typedef struct face_frame {
    float ux, vx, x, uy, vy, y;
} face_frame;

typedef struct face_canvas {
    int width, height;
    float *block;        /* the allocation that the rest points into */
    float *rgb;          /* 3 a pixel, 0 to 1 */
    float *scratch;      /* as large */
    float *cover, *clip; /* one row each */
} face_canvas;

typedef enum face_shape_kind { FACE_EGG, FACE_BAND, FACE_BOX } face_shape_kind;

/* EGG   (u / p(v))^2 + v^2 (1 - k + k v^2) <= 1 with p = 1 + taper v + bulge v^2, k = square[v > 0]
 * BAND  |v - c(u)| <= h(u) with c = curve[0] + curve[1] u + curve[2] u^2 + curve[3] u^4 and
 *       h = half[0] + half[1] u, times 1 - u^2 unless it is `open`, both edges rippled; `open` bands go on
 *       beyond |u| = 1 and are for clipping only
 * BOX   |u| <= 1, |v| <= 1
 * stroke > 0 (pixels) draws an egg's outline of that half width only. */
typedef struct face_shape {
    face_shape_kind kind;
    face_frame at;
    float taper, bulge, square[2];
    float curve[4], half[2], ripple, ripple_rate;
    bool open;
    float stroke;
} face_shape;

typedef struct face_ink {
    float rgb[3], alpha;
    bool soft;          /* fades from the middle of the shape to its edge */
    float grain, rate_u, rate_v; /* light and dark streaks: strength, waves per local unit */
} face_ink;

bool faces_canvas_new(face_canvas *c, int width, int height, app_error *error);
void faces_canvas_free(face_canvas *c);
void faces_fill_gradient(face_canvas *c, const float from[3], const float to[3], float dx, float dy);
/* Paints the shape where it lies inside `clip` (NULL: everywhere), edges anti-aliased. */
void faces_paint(face_canvas *c, const face_shape *shape, const face_shape *clip, const face_ink *ink);
/* A lamp at (x, y) in front of the ball that `head` frames. */
void faces_light(face_canvas *c, const face_frame *head, float x, float y, float strength);
void faces_blur(face_canvas *c, float radius_x, float radius_y);
/* Tone, colour cast, noise; then to bytes. */
void faces_develop(const face_canvas *c, const face_circumstances *at, image *out);
/* A smooth wave of period 1 between -1 and 1 (parabolas, since sinf differs between libraries). */
float faces_wave(float x);

/* ---- composing (faces_draw.c) ---- */
void faces_compose(face_canvas *c, const face_identity *who, const face_circumstances *at);

#endif
