/* All kernels of one instruction set. kernels.c includes this file once per level, with
 *     LEVEL          what it is called: plain, baseline, avx2, ...
 *     LEVEL_TARGET   attributes that let the compiler use the instruction set in a function
 *     LEVEL_BYTES    width of a vector register; not defined without vector extensions
 *     LEVEL_GATHER_ROWS, LEVEL_GATHER_VECTORS   of a gathered tile
 *     LEVEL_LOOPS    of levels.h
 *     LEVEL_ROWS     rows of the micro-kernel's tile (columns: two vectors, or LEVEL_COLUMNS)
 * Where tile instructions are defined (tiles_amx.h), there are also tables of the same kernels with products on these.
 * A kernel that several levels have in the same words is a header included here: a static function called
 * LEVEL_JOIN(LEVEL, _name) with the attribute LEVEL_TARGET, and a line in the table below. Loops over lanes may be
 * left to the compiler, which may use the instruction set inside. */

#define LEVEL_JOIN_(a, b) a##b
#define LEVEL_JOIN(a, b) LEVEL_JOIN_(a, b)
#define LEVEL_TEXT_(a) #a
#define LEVEL_TEXT(a) LEVEL_TEXT_(a)

#include "core/kernels/activate.h"
#ifdef LEVEL_BYTES
#define LEVEL_COLUMNS (2 * LEVEL_BYTES / (int)sizeof(tsr_real))
#include "core/kernels/tile.h"
#define LEVEL_LANES (LEVEL_BYTES / (int)sizeof(tsr_real))
#include "core/kernels/gather.h"
#include "core/kernels/depthwise.h"
#endif
#include "core/kernels/winograd.h"
#include "core/kernels/thin.h"

#define LEVEL_FIELDS                                                                                          \
    .level = LEVEL_LOOPS,                                                                                     \
    .tile_rows = LEVEL_ROWS,                                                                                  \
    .tile_columns = LEVEL_COLUMNS,                                                                            \
    .tile = LEVEL_JOIN(LEVEL, _tile),                                                                         \
    .winograd_image = LEVEL_JOIN(LEVEL, _winograd_image),                                                     \
    .winograd_cotangent = LEVEL_JOIN(LEVEL, _winograd_cotangent),                                             \
    .winograd_weight = LEVEL_JOIN(LEVEL, _winograd_weight),                                                   \
    .winograd_to_result = LEVEL_JOIN(LEVEL, _winograd_to_result),                                             \
    .winograd_to_weight = LEVEL_JOIN(LEVEL, _winograd_to_weight),                                             \
    .gather_rows = LEVEL_GATHER_ROWS,                                                                         \
    .gather_vectors = LEVEL_GATHER_VECTORS,                                                                   \
    .lanes = LEVEL_LANES,                                                                                     \
    .gather = LEVEL_JOIN(LEVEL, _gather),                                                                     \
    .depthwise = LEVEL_JOIN(LEVEL, _depthwise),                                                               \
    .correlate = LEVEL_JOIN(LEVEL, _correlate),                                                               \
    .activate = LEVEL_JOIN(LEVEL, _activate),                                                                 \
    .dots = LEVEL_JOIN(LEVEL, _dots),                                                                         \
    .add_rows = LEVEL_JOIN(LEVEL, _add_rows)
static const tsr_kernels LEVEL_JOIN(LEVEL, _kernels) = {.name = LEVEL_TEXT(LEVEL), LEVEL_FIELDS};

#ifdef TILES
#include "core/kernels/parts.h"
#endif

#undef LEVEL_FIELDS
#undef LEVEL_JOIN_
#undef LEVEL_JOIN
#undef LEVEL_TEXT_
#undef LEVEL_TEXT
#undef LEVEL
#undef LEVEL_TARGET
#undef LEVEL_BYTES
#undef LEVEL_LOOPS
#undef LEVEL_ROWS
#undef LEVEL_COLUMNS
#undef LEVEL_GATHER_ROWS
#undef LEVEL_GATHER_VECTORS
#undef LEVEL_LANES
