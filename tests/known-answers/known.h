/* Known answers: results and gradients that PyTorch computed in double precision, stored as safetensors beside the script
 * that made them (FAMILY.py writes FAMILY.safetensors; common.py has the writer). Everything is stored in our layout.
 *
 * A case NAME is the tensors NAME.in0, NAME.in1, ... (inputs; a missing number is a NULL input), NAME.out, and, where
 * gradients are compared, NAME.cotangent and NAME.grad0, NAME.grad1, ... (those that exist are compared). */
#ifndef TESSERA_TESTS_KNOWN_H
#define TESSERA_TESTS_KNOWN_H

#include "tessera.h"
#include "tests/test.h"

/* Runs one case of tests/known-answers/FILE: fn(inputs), then backward from the cotangent; fails the running test unless
 * every value agrees: |ours - theirs| <= tolerance * (|theirs| + rms of theirs), tolerance 1e-5 in float and 1e-10 in
 * double, times `looseness` (1 unless the op's arithmetic justifies more; say why). */
void known_case(const char *file, const char *name, tsr_function fn, double looseness);

/* For tests with a shape of their own: one stored tensor, in the current scope; the error tensor if missing (fails). */
tsr_tensor *known_tensor(tsr_context *ctx, const char *file, const char *name);
/* Compares with the same rule; false (and the test has failed) where they differ. */
bool known_agrees(tsr_tensor *ours, tsr_tensor *theirs, const char *what, double looseness);

#endif
