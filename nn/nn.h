#ifndef TESSERA_NN_NN_H
#define TESSERA_NN_NN_H
#include "ops/ops.h"
#endif
