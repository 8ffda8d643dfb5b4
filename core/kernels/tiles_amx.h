/* The tile instructions of AMX: eight registers of 16 rows of 64 bytes. */
#include <cpuid.h>
#include <immintrin.h>

#define TILES amx
#define TILES_NAME "amx"
#define TILES_EMULATED false
#define TILES_TARGET __attribute__((target("amx-tile,amx-bf16")))
#define TILES_CONFIGURE() _tile_loadconfig(amx_configuration)
#define TILES_RELEASE() _tile_release()
#define TILES_DECLARE
#define TILE_ZERO(n) _tile_zero(n)
#define TILE_LOAD(n, from) _tile_loadd(n, from, 64)
#define TILE_STORE(n, to, stride) _tile_stored(n, to, stride)
#define TILE_DOT(sum, a, b) _tile_dpbf16ps(sum, a, b)

/* Palette 1; bytes of a row from byte 16 on, in two bytes each; rows from byte 48 on. A constant, since GCC does not
 * know that the instruction reads more than eight bytes of it. */
static const unsigned char amx_configuration[64] = {
    [0] = 1,   [16] = 64, [18] = 64, [20] = 64, [22] = 64, [24] = 64, [26] = 64, [28] = 64, [30] = 64,
    [48] = 16, [49] = 16, [50] = 16, [51] = 16, [52] = 16, [53] = 16, [54] = 16, [55] = 16,
};
