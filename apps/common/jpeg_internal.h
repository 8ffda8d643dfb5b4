/* What the parts of the JPEG reader share: jpeg.c (markers and frames), jpeg_scan.c (entropy-coded data),
 * jpeg_pixels.c (from coefficients to a picture). Section and figure numbers are those of ITU-T T.81. */
#ifndef TESSERA_APPS_JPEG_INTERNAL_H
#define TESSERA_APPS_JPEG_INTERNAL_H

#include "apps/common/image.h"

#include <stddef.h>
#include <stdint.h>

enum { JPEG_COMPONENTS = 4, JPEG_TABLES = 4, JPEG_LOOK = 9 };

/* A Huffman code (annex F.2.2.3). Codes of up to JPEG_LOOK bits are found in one step. */
typedef struct jpeg_code {
    bool present;
    uint8_t symbols[256];
    int32_t largest[18];   /* code of each length, or -1; [17] is above all */
    int32_t offset[17];    /* symbol of code c of a length: symbols[c + offset] */
    uint16_t look[1 << JPEG_LOOK]; /* length << 8 | symbol; 0: longer */
} jpeg_code;

typedef struct jpeg_component {
    int id, h, v, quantisation;
    int width, height;                /* samples that belong to the picture */
    int blocks_across, blocks_down;   /* that hold them */
    int stored_across, stored_down;   /* blocks with those that only fill up a minimum coded unit */
    int16_t *coefficients;            /* [stored_down, or v][stored_across][64], in natural order */
    uint8_t *samples;                 /* [8 stored_down][8 stored_across] */
    const jpeg_code *dc, *ac;         /* of the present scan */
    int last_dc;
    bool seen; /* in a scan */
    uint8_t known[64]; /* of a progressive picture: 1 + the lowest bit read so far of each coefficient; 0: none */
} jpeg_component;

typedef struct jpeg {
    const uint8_t *next, *end; /* of the file */
    const char *problem;       /* NULL: none so far */
    int width, height, components, h_most, v_most;
    bool jfif, progressive, by_rows; /* by_rows: coefficients of one row of units at a time, made samples at once */
    jpeg_component component[JPEG_COMPONENTS];
    uint16_t quantisation[JPEG_TABLES][64]; /* in natural order */
    bool quantised[JPEG_TABLES];
    jpeg_code dc[JPEG_TABLES], ac[JPEG_TABLES];
    int level; /* of the loops of levels.h */
    int restart_interval, orientation, adobe; /* adobe: its colour transform, -1 without the marker */
} jpeg;

/* The place of the k-th coefficient; beyond 63: 63, so that bad runs stay inside. */
extern const uint8_t jpeg_natural_order[64 + 16];

/* Notes the first problem; returns false. */
static inline bool jpeg_fail(jpeg *j, const char *problem)
{
    if (!j->problem) j->problem = problem;
    return false;
}

/* From the code lengths and symbols of a DHT segment; false if they are not a code. */
bool jpeg_make_code(jpeg_code *code, const uint8_t counts[16], const uint8_t *symbols);

/* One scan (annexes F and G). */
typedef struct jpeg_scan {
    int count;
    jpeg_component *component[JPEG_COMPONENTS];
    int first, last; /* coefficients of the spectral selection */
    int high, low;   /* bits of the successive approximation */
} jpeg_scan;

/* Decodes from j->next up to the next marker. */
bool jpeg_decode_scan(jpeg *j, const jpeg_scan *scan);

/* Samples of rows [begin, end) of a component's blocks from the coefficients of as many rows. */
bool jpeg_samples_ready(jpeg *j, jpeg_component *c); /* has memory for them, and a table */
void jpeg_make_samples(const jpeg *j, jpeg_component *c, int begin, int end);

/* The picture from all coefficients or, by rows, all samples, before it is turned upright. */
bool jpeg_make_picture(jpeg *j, image *picture, app_error *error);

#endif
