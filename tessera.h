/* Tessera: deep learning in C11. This is the front door; each header below reads like a reference page. C++11 may include
 * it too: options are then a variable, as C++ takes no address of a literal, and TSR_SHAPE is for use in functions. */
#ifndef TESSERA_H
#define TESSERA_H

#ifdef __cplusplus
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
extern "C" {
#endif

#include "core/core.h"
#include "ops/ops.h"
#include "nn/nn.h"
#include "optim/optim.h"

#ifdef __cplusplus
}
#endif

#endif
