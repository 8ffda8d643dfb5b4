#define FORMAT jpeg
#include "tests/fuzz/fuzz_format.h"
