#ifndef TESSERA_OPTIM_OPTIM_H
#define TESSERA_OPTIM_OPTIM_H
#include "nn/nn.h"
#endif
