/* What the files of this program share: a net, the pictures that are shown to it, what its units like best. */
#ifndef TESSERA_APPS_NEURONS_H
#define TESSERA_APPS_NEURONS_H

#include "apps/common/loader.h"
#include "ops/trace.h"
#include "tessera.h"

/* ---- subject.c: the net ------------------------------------------------------------------------------------------ */

typedef struct subject {
    char name[64];
    tsr_model *m;          /* evaluates, frozen */
    tsr_network net;
    int size, channels;    /* of the squares that it sees */
    bool any_size;         /* it takes others, too */
    bool aligned;          /* it was trained on faces aligned by landmarks */
    picture_part part;     /* what it was trained to see of a picture */
    double mean[3], divisor; /* inputs are (value - mean) / divisor; divisor 0: whitened */
    bool bgr;
} subject;

/* The net of a file: facenet's models by their texts; face_resnet29, VGG-19 and SqueezeNet by their tensors. */
bool subject_open(subject *out, tsr_context *ctx, const char *path, app_error *error);

/* facenet's small net, trained on the built-in faces for so many steps. */
bool subject_train(subject *out, tsr_context *ctx, int steps, app_error *error);

/* Squares [count, size, size, channels] as an input that wants a gradient. */
tsr_tensor *subject_input(const subject *s, const unsigned char *squares, int count);

/* ---- scenes.c: the pictures -------------------------------------------------------------------------------------- */

/* Squares cut out of pictures one after the other; never more than one picture is in memory. */
typedef struct scenes {
    name_list files;     /* in order; none: built-in faces */
    int count;           /* pictures */
    int size, channels;
    bool crops;          /* all squares of this size that lie side by side in a picture, not a part of it resized */
    picture_part part;
    landmark_list faces; /* where there are any, squares are faces aligned by them */
    int file, crop;      /* what comes next */
    int held;            /* the picture that is in memory; -1: none */
    image picture;
    int64_t seen, broken; /* squares handed out, pictures that cannot be read */
    char first_broken[200];
} scenes;

/* Where a square comes from. */
typedef struct scene {
    int file, crop;
} scene;

/* `folder` with all below it, or a single picture; NULL: `count` built-in faces of people in no training set. Fails
 * where there is no picture. `out` has size, channels, crops, part and faces, which it takes over, filled in. */
bool scenes_open(scenes *out, const char *folder, int count, app_error *error);
void scenes_close(scenes *s);

/* The next square, [size, size, channels]; what cannot be read is passed over. False at the end. */
bool scenes_next(scenes *s, scene *where, unsigned char *square);

/* A square once more. */
bool scenes_again(scenes *s, scene where, unsigned char *square, app_error *error);

/* ---- best.c: what units like best -------------------------------------------------------------------------------- */

enum { NINE = 9, MOST_LAYERS = 128 };

typedef struct finding {
    double value;
    scene where;
    int row, column; /* of the unit's map */
} finding;

typedef struct unit {
    int count; /* the nine best, the largest first; squares in which it is 0 are none */
    finding best[NINE];
} unit;

typedef struct layer {
    char name[96];
    int row;                      /* of the trace */
    int height, width, channels;  /* of its result */
    tsr_field field;
    bool wanted;                  /* it is looked at */
    unit *units;                  /* [channels]; NULL: not wanted */
} layer;

/* The layers that are worth a look: results of a ReLU that are maps. */
typedef struct layers {
    int count;
    layer items[MOST_LAYERS];
} layers;

/* By running the net on nothing. `wanted`: names, or beginnings of names, with commas between; NULL: all. */
bool layers_find(layers *out, const subject *s, const char *wanted, app_error *error);
void layers_free(layers *l);

/* Shows the net all squares and keeps the nine best of each unit: one from each square, the first of equal ones.
 * `program` begins the line of progress on stderr; NULL: there is none. */
bool layers_gather(layers *l, const subject *s, scenes *from, const char *program, app_error *error);

/* Units that have fired. */
int layer_alive(const layer *l);

/* The field of a unit on a square, clipped to it: a box of x, y, width and height. */
void field_box(const layer *l, int row, int column, int size, int box[4]);

/* ---- show.c: what they saw of it --------------------------------------------------------------------------------- */

/* A finding and its pictures. */
typedef struct exhibit {
    int unit;
    finding found;
    image square;         /* what the net saw, */
    image reconstruction; /* and what of it drove the unit: the deconvnet's, grey where nothing did; as large */
} exhibit;

/* Fills in the pictures of exhibits whose unit and finding are given. */
bool exhibits_make(exhibit *items, int count, const layer *l, const subject *s, scenes *from, app_error *error);
void exhibits_free(exhibit *items, int count);

/* ---- draw.c ------------------------------------------------------------------------------------------------------ */

/* The nine patches of each unit in a 3 x 3 block, and the reconstructions beside them. Exhibits are in order of units,
 * the best first. */
bool draw_layer(image *out, const layer *l, const char *net, const exhibit *items, int count, app_error *error);

/* One unit large: where in the squares its patches lie, the patches, the reconstructions. */
bool draw_unit(image *out, const layer *l, const char *net, const exhibit *items, int count, app_error *error);

/* The filters of the first convolution, as they are laid over the picture. */
bool draw_filters(image *out, const subject *s, app_error *error);

#endif
