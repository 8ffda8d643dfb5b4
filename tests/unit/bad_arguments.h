/* What the tests of bad arguments share: things to spoil, and the two ways a call may take them. */
#ifndef TESSERA_TESTS_BAD_ARGUMENTS_H
#define TESSERA_TESTS_BAD_ARGUMENTS_H

#include "tessera.h"

typedef struct bad_things {
    tsr_context *ctx, *other_ctx; /* both refuse blocks that no test here needs, as a full machine would */
    tsr_model *m, *other_m;
    tsr_tensor *one, *v3, *v4, *x23, *x34, *rank1, *image; /* scalar, [3], [4], [2, 3], [3, 4], [1], [2, 6, 6, 4] */
    tsr_tensor *nan3, *empty, *error, *spent, *foreign, *computed; /* [3] of NaN, [0, 3], of ctx, ..., result of an op */
} bad_things;

extern bad_things bad;

void bad_open(void);
void bad_close(void);

bool bad_refused(const char *words, const char *call, const char *file, int line);
bool bad_held(bool holds, const char *what, const char *file, int line);

/* The call is an error that has these words. (One error sticks at a time: the next starts afresh.) */
#define REFUSES(words, call) ((void)(call), (void)bad_refused(words, #call, __FILE__, __LINE__))

/* No error: what is asked of nothing has an answer. */
#define HOLDS(condition) ((void)bad_held((condition), #condition, __FILE__, __LINE__))

/* Whatever comes of it: an error or a result, and for a result a backward pass. */
#define SURVIVES(call) (bad_survived(call))
void bad_survived(tsr_tensor *result);

#define HUGE_SHAPE TSR_SHAPE((int64_t)1 << 31, (int64_t)1 << 31)
#define WIDE_SHAPE ((tsr_shape){.rank = 9, .dims = {1, 1, 1, 1, 1, 1, 1, 1}})
#define NEGATIVE_SHAPE TSR_SHAPE(2, -3)

#endif
