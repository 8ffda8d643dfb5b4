/* The public header of core/: what everything stands on. */
#ifndef TESSERA_CORE_CORE_H
#define TESSERA_CORE_CORE_H

#include "core/context.h"
#include "core/tensor.h"
#include "core/random.h"
#include "core/parallel.h"
#include "core/autograd.h"
#include "core/files.h"

#endif
