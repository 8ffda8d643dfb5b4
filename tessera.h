/* Tessera: deep learning in C11. This is the front door; each header below reads like a reference page. */
#ifndef TESSERA_H
#define TESSERA_H

#include "core/core.h"
#include "ops/ops.h"
#include "nn/nn.h"
#include "optim/optim.h"

#endif
