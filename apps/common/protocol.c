#include "apps/common/protocol.h"

#include <stdlib.h>

bool contender_measure(contender *c, const pairs *list, app_error *error)
{
    trial *trials = malloc(((size_t)list->count + 1) * sizeof *trials);
    c->distances = malloc(((size_t)list->count + 1) * sizeof *c->distances);
    bool done = (trials && c->distances) || app_fail(error, "%s: out of memory for %d pairs", c->name, list->count);
    done = done && features_pairs(&c->what, list, c->distances, error);
    for (int i = 0; done && i < list->count; i++)
        trials[i] = (trial){c->distances[i], list->items[i].same, list->items[i].fold};
    done = done && verification_measure(&c->result, trials, list->count, error) &&
           roc_make(&c->roc, trials, list->count, error);
    free(trials);
    return done;
}

void contender_free(contender *c)
{
    features_free(&c->what);
    free(c->distances);
    roc_free(&c->roc);
    c->distances = NULL;
}

void contender_print(const contender *c)
{
    printf("%s: %s", c->name, verification_print(&c->result).text);
    if (c->among.count > 0) printf(" rank1=%.4f", c->among.rows[c->among.count - 1].rank1);
    putchar('\n');
}
