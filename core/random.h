/* Random numbers: counter-based (Philox 4x32-10; Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC
 * 2011). Each draw is addressed by (seed, stream, index) and is the same on every platform, for any number of threads,
 * in any order. There is no state to save. */
#ifndef TESSERA_CORE_RANDOM_H
#define TESSERA_CORE_RANDOM_H

#include <stdint.h>

typedef struct tsr_rng {
    uint64_t seed, stream;
} tsr_rng;

/* A stream number from a name, and one from two numbers (a stream within a stream). */
uint64_t tsr_stream(const char *name);
uint64_t tsr_substream(uint64_t stream, uint64_t number);

uint64_t tsr_random_bits(tsr_rng rng, uint64_t index);
double tsr_random_uniform(tsr_rng rng, uint64_t index);                  /* in [0, 1), 53 bits */
double tsr_random_normal(tsr_rng rng, uint64_t index);                   /* mean 0, deviation 1 */
uint64_t tsr_random_below(tsr_rng rng, uint64_t index, uint64_t n);      /* 0 .. n-1 without bias; 0 for n == 0 */
void tsr_random_permutation(tsr_rng rng, int64_t n, int64_t *order);     /* of 0 .. n-1 */

#endif
