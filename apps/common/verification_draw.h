/* Pictures of an evaluation. Each is a new image. */
#ifndef TESSERA_APPS_VERIFICATION_DRAW_H
#define TESSERA_APPS_VERIFICATION_DRAW_H

#include "apps/common/image.h"
#include "apps/common/protocol.h"

/* True accepts over false accepts; and false rejects over false accepts, both logarithmic (DET). */
bool draw_roc(image *out, const contender *contenders, int count, app_error *error);
bool draw_det(image *out, const contender *contenders, int count, app_error *error);

/* How often same and different pairs lie how far apart, and the threshold between them. */
bool draw_distances(image *out, const contender *c, const pairs *list, app_error *error);

/* The nearest pairs of different people and the farthest of one person, side by side, with their distances. */
bool draw_mistakes(image *out, const contender *c, const pairs *list, app_error *error);

/* The first pictures, MAP_MOST_ROWS at most, as embedding_map.h places them by the contender's rows of tsr_real. */
bool draw_map(image *out, const contender *c, bool tsne, app_error *error);

#endif
