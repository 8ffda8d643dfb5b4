/* The tests have their own copy of the tables, with one that stands in for tile instructions. */
#define TSR_EMULATE_TILES 1
#include "core/kernels/kernels.c"
