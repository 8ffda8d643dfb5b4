/* Pictures of an evaluation. Each is a new image. */
#ifndef TESSERA_APPS_VERIFICATION_DRAW_H
#define TESSERA_APPS_VERIFICATION_DRAW_H

#include "apps/common/image.h"
#include "apps/common/protocol.h"

/* Of at most 7 contenders: true accepts over false accepts; and false rejects over false accepts, both logarithmic
 * (DET; Martin et al. 1997, who have normal deviates). */
bool draw_roc(image *out, const contender *contenders, int count, app_error *error);
bool draw_det(image *out, const contender *contenders, int count, app_error *error);

/* How often same and different pairs lie how far apart, and the threshold between them. */
bool draw_distances(image *out, const contender *c, const pairs *list, app_error *error);

/* What the best threshold judges wrongly, worst first: pairs of different people, then of one person, with distances
 * and names (`who` is empty where nobody has one). */
bool draw_mistakes(image *out, const contender *c, const pairs *list, const people *who, app_error *error);

/* The first pictures, 400 at most, as embedding_map.h places them by the contender's rows of tsr_real. */
bool draw_map(image *out, const contender *c, bool tsne, app_error *error);

#endif
