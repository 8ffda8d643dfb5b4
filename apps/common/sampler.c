#include "apps/common/sampler.h"

#include <stdlib.h>
#include <string.h>

static int people_in(const pictures *set)
{
    int persons = 0;
    for (int i = 0; i < set->count; i++)
        if (set->labels[i] >= persons) persons = set->labels[i] + 1;
    return persons;
}

/* Keeps those who have two pictures or more; the pictures close up. */
static void drop_singles(sampler *s, int persons)
{
    s->people = s->pictures = 0;
    for (int p = 0; p < persons; p++) {
        if (s->count[p] < 2) continue;
        memmove(s->order + s->pictures, s->order + s->first[p], (size_t)s->count[p] * sizeof *s->order);
        s->first[s->people] = s->pictures;
        s->pictures += s->count[p];
        s->count[s->people++] = s->count[p];
    }
}

bool sampler_open(sampler *s, const pictures *set, int per_batch, int per_person, uint64_t seed, app_error *error)
{
    const int persons = people_in(set);
    *s = (sampler){.per_batch = per_batch, .per_person = per_person, .seed = seed};
    s->first = calloc((size_t)persons + 1, sizeof *s->first);
    s->count = calloc((size_t)persons + 1, sizeof *s->count);
    s->order = calloc((size_t)set->count + 1, sizeof *s->order);
    s->shuffle = calloc((size_t)persons + (size_t)set->count + 1, sizeof *s->shuffle);
    if (!s->first || !s->count || !s->order || !s->shuffle) {
        sampler_close(s);
        return app_fail(error, "out of memory for %d people", persons);
    }
    for (int i = 0; i < set->count; i++) s->count[set->labels[i]]++;
    for (int p = 1; p < persons; p++) s->first[p] = s->first[p - 1] + s->count[p - 1];
    memset(s->count, 0, (size_t)persons * sizeof *s->count);
    for (int i = 0; i < set->count; i++) {
        const int p = set->labels[i];
        s->order[s->first[p] + s->count[p]++] = i;
    }
    drop_singles(s, persons);
    if (s->people < 2) {
        const int found = s->people;
        sampler_close(s);
        return app_fail(error, "%d of %d people have two pictures or more: triplets need two such people", found,
                        persons);
    }
    if (s->per_batch > s->people) s->per_batch = s->people;
    return true;
}

void sampler_close(sampler *s)
{
    free(s->first);
    free(s->count);
    free(s->order);
    free(s->shuffle);
    *s = (sampler){0};
}

void sampler_draw(const sampler *s, int64_t step, int *out)
{
    const int64_t steps = s->people / s->per_batch, epoch = step / steps, within = step % steps;
    const uint64_t stream = tsr_substream(tsr_stream("pictures"), (uint64_t)step);
    int64_t *who = s->shuffle, *which = s->shuffle + s->people;
    tsr_random_permutation((tsr_rng){s->seed, tsr_substream(tsr_stream("people"), (uint64_t)epoch)}, s->people, who);
    for (int i = 0; i < s->per_batch; i++) {
        const int64_t p = who[within * s->per_batch + i];
        tsr_random_permutation((tsr_rng){s->seed, tsr_substream(stream, (uint64_t)p)}, s->count[p], which);
        for (int k = 0; k < s->per_person; k++) *out++ = s->order[s->first[p] + which[k % s->count[p]]];
    }
}

/* Of the people, the one whose pictures include order[i]. */
static int owner(const sampler *s, int i)
{
    int low = 0, high = s->people - 1;
    while (low < high) {
        const int middle = low + (high - low + 1) / 2;
        if (s->first[middle] <= i) low = middle;
        else high = middle - 1;
    }
    return low;
}

void sampler_draw_singly(const sampler *s, int64_t step, int *out, int *who)
{
    const int count = s->per_batch * s->per_person;
    const int64_t steps = s->pictures > count ? s->pictures / count : 1, epoch = step / steps, within = step % steps;
    tsr_random_permutation((tsr_rng){s->seed, tsr_substream(tsr_stream("singly"), (uint64_t)epoch)}, s->pictures,
                           s->shuffle);
    for (int i = 0; i < count; i++) {
        const int at = (int)s->shuffle[(within * count + i) % s->pictures];
        out[i] = s->order[at];
        who[i] = owner(s, at);
    }
}
