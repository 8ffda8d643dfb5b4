/* Who is in the picture and in which circumstances: the parameters of the face data set, from hashes. */
#include "apps/common/faces.h"

#include <string.h>

#include "apps/common/faces_internal.h"

/* ---- random numbers ---- */

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u; /* the finaliser of splitmix64 (Steele, Lea and Flood 2014) */
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

face_random faces_random(uint64_t seed, uint64_t a, uint64_t b)
{
    uint64_t golden = 0x9e3779b97f4a7c15u;
    return (face_random){mix(mix(mix(seed + golden) + a * golden + 1u) + b * golden + 2u), 0};
}

uint64_t faces_bits(face_random *r)
{
    return mix(r->key + ++r->count * 0x9e3779b97f4a7c15u);
}

float faces_uniform(face_random *r, float low, float high)
{
    return low + (high - low) * (float)(faces_bits(r) >> 40) / 16777216.0f;
}

float faces_bell(face_random *r, float limit)
{
    float sum = 0.0f;
    for (int i = 0; i < 3; i++) sum += faces_uniform(r, -1.0f, 1.0f);
    return sum * limit / 3.0f;
}

bool faces_chance(face_random *r, float probability)
{
    return faces_uniform(r, 0.0f, 1.0f) < probability;
}

/* ---- colours ---- */

/* The colour at t in [0, 1] along a row of n. */
static void pick_colour(float out[3], const float palette[][3], int n, float t)
{
    float at = t * (float)(n - 1);
    int i = (int)at < n - 2 ? (int)at : n - 2;
    const float *a = palette[i], *b = palette[i + 1];
    for (int k = 0; k < 3; k++) out[k] = a[k] + (at - (float)i) * (b[k] - a[k]);
}

static void jitter_colour(float rgb[3], face_random *r, float limit)
{
    for (int k = 0; k < 3; k++) {
        rgb[k] += faces_bell(r, limit);
        rgb[k] = rgb[k] < 0.02f ? 0.02f : rgb[k] > 0.98f ? 0.98f : rgb[k];
    }
}

static void any_colour(float rgb[3], face_random *r, float low, float high)
{
    for (int k = 0; k < 3; k++) rgb[k] = faces_uniform(r, low, high);
}

static const float skin_tones[5][3] = {
    {0.98f, 0.84f, 0.75f}, {0.93f, 0.74f, 0.60f}, {0.80f, 0.58f, 0.42f}, {0.60f, 0.40f, 0.28f},
    {0.40f, 0.26f, 0.19f}};
static const float iris_tones[5][3] = {
    {0.25f, 0.45f, 0.70f}, {0.45f, 0.55f, 0.60f}, {0.35f, 0.50f, 0.28f}, {0.48f, 0.32f, 0.14f},
    {0.20f, 0.11f, 0.06f}};
static const float lip_tones[3][3] = {{0.78f, 0.40f, 0.40f}, {0.66f, 0.16f, 0.24f}, {0.45f, 0.13f, 0.24f}};
static const float hair_tones[7][3] = {{0.08f, 0.07f, 0.08f}, {0.24f, 0.15f, 0.10f}, {0.45f, 0.27f, 0.14f},
                                       {0.68f, 0.28f, 0.12f}, {0.88f, 0.68f, 0.34f}, {0.93f, 0.87f, 0.70f},
                                       {0.72f, 0.73f, 0.76f}};

/* ---- identity ---- */

static void draw_head(face_identity *f, face_random *r)
{
    f->head_width = 0.76f + faces_bell(r, 0.19f);
    f->jaw = -0.13f + faces_bell(r, 0.17f);
    f->cheek = -0.06f + faces_bell(r, 0.16f);
    f->chin_square = faces_uniform(r, 0.0f, 0.75f);
    f->crown_square = faces_uniform(r, 0.0f, 0.35f);
    pick_colour(f->skin, skin_tones, 5, faces_uniform(r, 0.0f, 1.0f));
    jitter_colour(f->skin, r, 0.05f);
    f->blush = faces_uniform(r, 0.0f, 0.55f);
    f->wrinkle = faces_chance(r, 0.4f) ? faces_uniform(r, 0.2f, 0.7f) : 0.0f;
    f->ear_size = faces_uniform(r, 0.11f, 0.22f);
    f->ear_y = faces_uniform(r, 0.0f, 0.2f);
    f->freckles = faces_chance(r, 0.15f) ? 14 + (int)(faces_bits(r) % 16) : 0;
    f->detail = faces_bits(r);
    f->moles = faces_chance(r, 0.35f) ? 1 + (int)(faces_bits(r) % 3) : 0;
    for (int i = 0; i < 3; i++) {
        f->mole_x[i] = faces_uniform(r, -0.5f, 0.5f);
        f->mole_y[i] = faces_uniform(r, -0.35f, 0.8f);
        f->mole_size[i] = faces_uniform(r, 0.03f, 0.06f);
    }
}

static void draw_features(face_identity *f, face_random *r)
{
    f->eye_x = 0.315f + faces_bell(r, 0.10f);
    f->eye_y = 0.03f + faces_bell(r, 0.16f);
    f->eye_width = 0.165f + faces_bell(r, 0.05f);
    f->eye_height = 0.105f + faces_bell(r, 0.055f);
    f->eye_tilt = faces_bell(r, 0.17f);
    f->lash = faces_uniform(r, 0.25f, 1.0f);
    pick_colour(f->iris, iris_tones, 5, faces_uniform(r, 0.0f, 1.0f));
    f->brow_width = 0.22f + faces_bell(r, 0.06f);
    f->brow_thick = faces_uniform(r, 0.05f, 0.34f);
    f->brow_arch = faces_uniform(r, 0.05f, 0.5f);
    f->brow_tilt = faces_bell(r, 0.25f);
    f->brow_gap = 0.21f + faces_bell(r, 0.075f);
    f->nose_length = 0.40f + faces_bell(r, 0.15f);
    f->nose_width = 0.15f + faces_bell(r, 0.085f);
    f->nose_bridge = faces_uniform(r, 0.2f, 1.0f);
    f->mouth_y = 0.70f + faces_bell(r, 0.09f);
    f->mouth_width = 0.27f + faces_bell(r, 0.13f);
    f->lip_upper = faces_uniform(r, 0.10f, 0.42f);
    f->lip_lower = faces_uniform(r, 0.14f, 0.55f);
    float painted[3], paint = faces_chance(r, 0.25f) ? 0.85f : 0.25f;
    pick_colour(painted, lip_tones, 3, paint > 0.5f ? faces_uniform(r, 0.2f, 1.0f) : 0.0f);
    for (int k = 0; k < 3; k++) f->lip[k] = 0.86f * f->skin[k] * (1.0f - paint) + painted[k] * paint;
}

/* What a style means: volume over the crown and at the sides, height of the hairline (smaller is higher up),
 * how far it drops towards the temples, how far down the hair hangs behind the head, slant, streaks. */
static const struct style {
    float top, side, line, temple, length, parting, grain;
} styles[FACE_HAIR_STYLES] = {
    [FACE_HAIR_BALD] = {0.0f, 0.0f, -1.6f, 0.0f, -1.0f, 0.0f, 0.0f},
    [FACE_HAIR_BUZZ] = {0.02f, 0.01f, -0.62f, 0.45f, 0.0f, 0.0f, 0.10f},
    [FACE_HAIR_SHORT] = {0.13f, 0.05f, -0.58f, 0.55f, 0.0f, 0.0f, 0.16f},
    [FACE_HAIR_PARTED] = {0.16f, 0.06f, -0.55f, 0.50f, 0.1f, 0.30f, 0.20f},
    [FACE_HAIR_FRINGE] = {0.12f, 0.07f, -0.27f, 0.15f, 0.3f, 0.0f, 0.20f},
    [FACE_HAIR_BOB] = {0.14f, 0.16f, -0.50f, 0.75f, 0.75f, 0.16f, 0.18f},
    [FACE_HAIR_LONG] = {0.12f, 0.13f, -0.52f, 0.80f, 1.60f, 0.12f, 0.22f},
    [FACE_HAIR_CURLY] = {0.24f, 0.20f, -0.50f, 0.50f, 0.45f, 0.0f, 0.26f},
    [FACE_HAIR_BUN] = {0.08f, 0.03f, -0.60f, 0.55f, 0.0f, 0.0f, 0.14f},
    [FACE_HAIR_RING] = {0.0f, 0.07f, -1.6f, 0.0f, 0.2f, 0.0f, 0.15f}};

static void draw_hair(face_identity *f, face_random *r)
{
    f->style = (face_hair_style)(faces_bits(r) % FACE_HAIR_STYLES);
    if (f->style == FACE_HAIR_BALD && faces_chance(r, 0.5f)) f->style = FACE_HAIR_SHORT;
    const struct style *s = &styles[f->style];
    pick_colour(f->hair, hair_tones, 7, faces_uniform(r, 0.0f, 1.0f));
    jitter_colour(f->hair, r, 0.05f);
    if (faces_chance(r, 0.05f)) any_colour(f->hair, r, 0.15f, 0.85f); /* dyed */
    f->hair_top = s->top * faces_uniform(r, 0.6f, 1.7f);
    f->hair_side = s->side * faces_uniform(r, 0.5f, 1.6f);
    f->hairline = s->line + faces_bell(r, 0.13f);
    f->temple = s->temple * faces_uniform(r, 0.7f, 1.3f);
    f->hair_length = s->length * faces_uniform(r, 0.7f, 1.25f);
    f->parting = s->parting * (faces_chance(r, 0.5f) ? 1.0f : -1.0f) * faces_uniform(r, 0.5f, 1.4f);
    f->grain = s->grain * faces_uniform(r, 0.5f, 1.3f);

    bool wears_beard = f->style != FACE_HAIR_BOB && f->style != FACE_HAIR_FRINGE && faces_chance(r, 0.38f);
    float beard = faces_uniform(r, 0.3f, 1.0f), length = faces_uniform(r, -0.25f, 0.35f);
    float moustache = faces_uniform(r, 0.4f, 1.0f);
    if (wears_beard && faces_chance(r, 0.75f)) {
        f->beard = beard;
        f->beard_length = length > 0.0f ? length : 0.0f;
    }
    if (wears_beard && (f->beard <= 0.0f || faces_chance(r, 0.6f))) f->moustache = moustache;
}

static void draw_glasses(face_identity *f, face_random *r)
{
    if (!faces_chance(r, 0.3f)) return;
    f->glasses_width = faces_uniform(r, 0.21f, 0.28f);
    f->glasses_height = f->glasses_width * faces_uniform(r, 0.62f, 1.05f);
    f->glasses_square = faces_uniform(r, 0.0f, 1.0f);
    f->glasses_thick = faces_uniform(r, 0.014f, 0.036f);
    if (faces_chance(r, 0.5f)) any_colour(f->glasses, r, 0.05f, 0.16f);
    else any_colour(f->glasses, r, 0.1f, 0.8f);
}

void faces_identity(face_identity *out, uint64_t seed, int identity)
{
    memset(out, 0, sizeof *out);
    face_random r = faces_random(seed, (uint64_t)(int64_t)identity, UINT64_MAX); /* no sample's number */
    draw_head(out, &r);
    draw_features(out, &r);
    draw_hair(out, &r);
    draw_glasses(out, &r);
}

/* ---- circumstances ---- */

static void draw_occluder(face_circumstances *at, face_random *r)
{
    float which = faces_uniform(r, 0.0f, 1.0f);
    if (which < 0.035f) at->occluder = FACE_BAR;
    else if (which < 0.065f) at->occluder = FACE_SUNGLASSES;
    else if (which < 0.10f) at->occluder = FACE_SCARF;
    else if (which < 0.135f) at->occluder = FACE_HAND;
    at->occluder_x = faces_uniform(r, -1.0f, 1.0f);
    at->occluder_y = faces_uniform(r, -1.0f, 1.0f);
    at->occluder_turn = faces_uniform(r, -0.9f, 0.9f);
    any_colour(at->occluder_rgb, r, 0.05f, 0.9f);
}

static void draw_circumstances(face_circumstances *at, uint64_t seed, int identity, int sample)
{
    memset(at, 0, sizeof *at);
    uint64_t who = (uint64_t)(int64_t)identity, which = (uint64_t)(uint32_t)sample;
    face_random r = faces_random(seed, who, which);
    at->x = faces_bell(&r, 0.16f);
    at->y = 0.06f + faces_bell(&r, 0.12f);
    at->size = 0.69f + faces_bell(&r, 0.09f);
    at->roll = faces_bell(&r, 0.16f);
    at->yaw = faces_bell(&r, 0.44f);
    at->pitch = faces_bell(&r, 0.22f);
    at->light_x = faces_uniform(&r, -1.0f, 1.0f);
    at->light_y = faces_uniform(&r, -1.0f, 0.5f);
    at->light = faces_uniform(&r, 0.0f, 0.5f);
    at->brightness = faces_bell(&r, 0.13f);
    at->contrast = 1.0f + faces_bell(&r, 0.2f);
    at->tone = faces_bell(&r, 0.3f);
    for (int k = 0; k < 3; k++) at->cast[k] = 1.0f + faces_bell(&r, 0.09f);
    at->smile = faces_uniform(&r, -0.5f, 1.0f);
    at->mouth_open = faces_chance(&r, 0.4f) ? faces_uniform(&r, 0.1f, 0.75f) : 0.0f;
    at->eye_open = faces_chance(&r, 0.05f) ? 0.08f : faces_uniform(&r, 0.6f, 1.15f);
    at->brow_raise = faces_bell(&r, 0.07f);
    at->gaze_x = faces_bell(&r, 0.55f);
    at->gaze_y = faces_bell(&r, 0.30f);
    any_colour(at->shirt, &r, 0.1f, 0.85f);
    at->collar = faces_uniform(&r, 0.0f, 1.0f);
    float blurred = faces_uniform(&r, 0.0f, 1.0f), noisy = faces_uniform(&r, 0.0f, 1.0f);
    at->blur_x = blurred * blurred * faces_uniform(&r, 0.6f, 2.2f);
    at->blur_y = blurred * blurred * faces_uniform(&r, 0.6f, 2.2f);
    at->noise = 0.03f * noisy * noisy;
    draw_occluder(at, &r);
    at->backdrop = (face_random){faces_bits(&r), 0};
    at->pixel_noise = (face_random){faces_bits(&r), 0};
}

bool faces_draw(image *out, uint64_t seed, int identity, int sample, app_error *error)
{
    if (!out->pixels || out->width < 1 || out->height < 1)
        return app_fail(error, "faces: the picture to draw into has no pixels");
    if (out->channels != 1 && out->channels != 3)
        return app_fail(error, "faces: pictures have 1 or 3 channels, not %d", out->channels);
    face_canvas canvas;
    if (!faces_canvas_new(&canvas, out->width, out->height, error)) return false;
    face_identity who;
    face_circumstances at;
    faces_identity(&who, seed, identity);
    draw_circumstances(&at, seed, identity, sample);
    faces_compose(&canvas, &who, &at);
    faces_develop(&canvas, &at, out);
    faces_canvas_free(&canvas);
    return true;
}
