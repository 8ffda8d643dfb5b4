/* How a picture becomes the input of a net, and how it is varied in training. Everything drawn is a function of the
 * rng, which the caller makes of (seed, step, sample); each variation has numbers of its own, so that turning one on or
 * off changes nothing that the others draw. */
#ifndef TESSERA_APPS_AUGMENT_H
#define TESSERA_APPS_AUGMENT_H

#include "core/core.h"

/* How much a training picture is varied; 0 each for not at all. In the order in which it happens; all down to the crop
 * is one affine warp, bilinear, that repeats the border. */
typedef struct augmentation {
    double shift;      /* standard deviation, in widths of the picture */
    double scale;      /* standard deviation of the factor around 1 */
    double rotation;   /* standard deviation, radians */
    bool flip;         /* mirror every other one */
    double crop;       /* a square part, anywhere, of 1 - crop to 1 of the width fills the picture: below 1 */
    double blur;       /* the deviation of the blur is drawn from 0 to this, pixels */
    double brightness; /* these three: factors are drawn from 1 - this to 1 + this; see picture_colour */
    double contrast;
    double saturation;
    double noise;      /* the deviation of the noise of each value is drawn from 0 to this, grey levels */
    double erase;      /* probability that a rectangle of an eighth to a third of width and height is wiped out */
} augmentation;

/* A variation as it is drawn. */
typedef struct variation {
    const augmentation *how; /* NULL: not at all */
    tsr_rng rng;
} variation;

/* All that comes before the net's own scale: pixels [size, size, channels] to values from 0 to 255, varied unless `how`
 * is NULL. */
void picture_vary(const unsigned char *pixels, int size, int channels, const augmentation *how, tsr_rng rng,
                  tsr_real *out);

/* The two usual scales: each picture's mean taken off and its deviation (1 grey level at least) brought to 1; or the
 * same mean and deviation of each channel for all pictures. Whitening undoes brightness and contrast but for what they
 * drive to black or white. */
void picture_whiten(tsr_real *values, int count);
void picture_standardize(tsr_real *values, int count, int channels, const double *means, const double *deviations);

/* Random erasing (Zhong et al. 2020, algorithm 1), of scaled values: the rectangle becomes 0, the mean. */
void picture_erase(tsr_real *values, int size, int channels, const augmentation *how, tsr_rng rng);

/* picture_vary, picture_whiten and picture_erase. */
void picture_to_input(const unsigned char *pixels, int size, int channels, const augmentation *how, tsr_rng rng,
                      tsr_real *out);

/* ---- single steps, on values from 0 to 255 ----------------------------------------------------------------------- */

/* Times `brightness`; then the distance from the picture's mean luma times `contrast`; then that from each pixel's luma
 * times `saturation` (which leaves grey pictures alone). Nothing is cut off at 0 or 255. */
void picture_colour(tsr_real *values, int count, int channels, const double factors[3]);

/* About a Gaussian of this deviation in pixels: the exact variance by smoothing with (s, 1 - 2s, s), s up to 1/4, as
 * often as it takes; the border repeats. Time grows with the deviation's square. */
void picture_blur(tsr_real *values, int size, int channels, double deviation);

#endif
