#define FORMAT png
#include "tests/fuzz/fuzz_format.h"
