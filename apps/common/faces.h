/* The built-in face data set: drawn people, as many as anyone asks for, each in as many photographs.
 *
 * A person (`identity`) is a point in a space of some sixty parameters: head, eyes, brows, nose, mouth, ears,
 * hair, beard, glasses, skin, moles. A photograph (`sample`) adds what a face recogniser has to look through:
 * pose, position, light, expression, backdrop, clothes, blur, noise, and in one of seven something held
 * before the face. All of it is a pure function of (seed, identity, sample, size): nothing is stored, nothing
 * is global, any thread may draw any picture, and since floats meet only + - * / and sqrt (compile with
 * contraction off, as the Makefile does) the bytes are the same on every IEEE machine.
 *
 * The same photograph at two sizes shows the same scene, apart from the noise, which belongs to the pixels.
 */
#ifndef TESSERA_APPS_FACES_H
#define TESSERA_APPS_FACES_H

#include <stdint.h>

#include "apps/common/image.h"

typedef enum face_hair_style {
    FACE_HAIR_BALD,
    FACE_HAIR_BUZZ,
    FACE_HAIR_SHORT,
    FACE_HAIR_PARTED,
    FACE_HAIR_FRINGE,
    FACE_HAIR_BOB,
    FACE_HAIR_LONG,
    FACE_HAIR_CURLY,
    FACE_HAIR_BUN,
    FACE_HAIR_RING, /* bald on top, hair round the sides */
    FACE_HAIR_STYLES
} face_hair_style;

/* What stays the same in every picture of a person. Lengths are in half head heights: the crown is at y = -1,
 * the chin at y = 1, y points down. Colours are red, green, blue from 0 to 1. */
typedef struct face_identity {
    float head_width, jaw, cheek, chin_square, crown_square;
    float skin[3], blush, wrinkle;
    float eye_x, eye_y, eye_width, eye_height, eye_tilt, lash, iris[3];
    float brow_width, brow_thick, brow_arch, brow_tilt, brow_gap;
    float nose_length, nose_width, nose_bridge;
    float mouth_y, mouth_width, lip_upper, lip_lower, lip[3];
    float ear_size, ear_y;
    face_hair_style style;
    float hair[3], hair_top, hair_side, hairline, temple, parting, hair_length, grain;
    float beard, beard_length, moustache; /* how dense, 0 to 1; length below the chin */
    float glasses_width, glasses_height, glasses_square, glasses_thick, glasses[3]; /* width 0: none */
    int freckles, moles;
    uint64_t detail; /* decides where single freckles and curls sit */
    float mole_x[3], mole_y[3], mole_size[3];
} face_identity;

/* The parameters of one person. Any int is somebody; train on some of them, test on others. */
void faces_identity(face_identity *out, uint64_t seed, int identity);

/* Draws a photograph over the whole of an allocated picture (1 or 3 channels, any size; the shorter side
 * decides how big the face is). Any int is a sample. Fails on a picture without pixels, another number of
 * channels, or no memory. */
bool faces_draw(image *out, uint64_t seed, int identity, int sample, app_error *error);

#endif
