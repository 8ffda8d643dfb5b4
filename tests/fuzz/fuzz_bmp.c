#define FORMAT bmp
#include "tests/fuzz/fuzz_format.h"
