#define FORMAT pnm
#include "tests/fuzz/fuzz_format.h"
