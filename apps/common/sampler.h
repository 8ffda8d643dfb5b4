/* Which pictures a training batch holds. Everything is a function of (seed, step): a resumed run
 * draws what an undisturbed one would have drawn. */
#ifndef TESSERA_APPS_SAMPLER_H
#define TESSERA_APPS_SAMPLER_H

#include "apps/common/loader.h"
#include "core/core.h"

/* Pictures by person, for batches of P people with K pictures each (Schroff et al. 2015, section 3.2). */
typedef struct sampler {
    int people, per_batch, per_person; /* of people: those with two pictures or more, which alone make pairs */
    int pictures;                      /* of these people */
    int *first, *count, *order;        /* pictures of person p: order[first[p]] .. */
    int64_t *shuffle;                  /* room for the permutations of a draw */
    uint64_t seed;
} sampler;

/* `per_batch` is lowered to the people there are; a person with fewer than per_person pictures appears with some of
 * them repeated. Fails where fewer than two people have two pictures. */
bool sampler_open(sampler *s, const pictures *set, int per_batch, int per_person, uint64_t seed, app_error *error);
void sampler_close(sampler *s);

/* Writes the per_batch * per_person numbers of the pictures of a step, by person. All people come once before anyone
 * comes again (but for the few that do not fill a batch). */
void sampler_draw(const sampler *s, int64_t step, int *out);

/* For classification: writes as many numbers, and whose pictures they are (0 .. people - 1). All pictures come once
 * before any comes again (but for the few that do not fill a batch). */
void sampler_draw_singly(const sampler *s, int64_t step, int *out, int *who);

#endif
