/* A look at what was recorded: the results on the way from an input, and what each of their units sees of it. */
#ifndef TESSERA_OPS_TRACE_H
#define TESSERA_OPS_TRACE_H

#include "ops/ops.h"

/* The receptive field of the units of a result [N, S..., C]. Along each axis unit o sees `size` places of the input
 * from start + o stride on, as far as they lie from `begin` to `end` - 1: padding is outside, and so is a rest at the
 * border that no window reached. */
typedef struct tsr_field {
    bool whole; /* instead: everything (a linear layer, a global mean, an op that trace.c does not know) */
    int64_t size[3], stride[3], start[3], begin[3], end[3];
} tsr_field;

typedef struct tsr_trace_row {
    tsr_tensor *result;
    const char *op;
    tsr_text layer; /* whose parameters it uses, like "block1.conv"; "": none */
    bool rectified; /* by a ReLU, of its own or fused */
    tsr_field field;
} tsr_trace_row;

/* Tells each recorded result that depends on x [N, S..., C], in the order in which they were computed. False, and an
 * error, where there is none. */
bool tsr_trace(tsr_tensor *x, void (*row)(void *user, const tsr_trace_row *row), void *user);

#endif
