/* The nearest of many rows. */
#include "apps/common/gallery.h"

#include "core/parallel.h"

#include <stddef.h>
#include <stdlib.h>

enum { PIECE = 4096, LANES = 16 };

typedef struct scan_job {
    const gallery *g;
    const gallery_query *query;
    gallery_hit *hits; /* [pieces, top] */
    int *counts;       /* [pieces] */
} scan_job;

/* |a - b|^2 in sixteen sums that the compiler keeps in vectors. */
static tsr_real squared(const tsr_real *a, const tsr_real *b, int length)
{
    tsr_real sum[LANES] = {0};
    int i = 0;
    for (; i + LANES <= length; i += LANES)
        for (int l = 0; l < LANES; l++) sum[l] += (a[i + l] - b[i + l]) * (a[i + l] - b[i + l]);
    for (; i < length; i++) sum[0] += (a[i] - b[i]) * (a[i] - b[i]);
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++) sum[l] += sum[l + half];
    return sum[0];
}

/* Puts a hit into a list that is sorted by distance, in which everybody is once. A person who was pushed out comes back
 * with a row that is nearer than the last of the list, hence nearer than those that were forgotten. */
static void offer(gallery_hit *list, int *count, int top, gallery_hit hit)
{
    if (*count == top && !(hit.distance < list[top - 1].distance)) return;
    int at = 0;
    while (at < *count && list[at].person != hit.person) at++;
    if (at < *count && !(hit.distance < list[at].distance)) return;
    if (at == *count && *count < top) ++*count;
    if (at == top) at--;
    for (; at > 0 && hit.distance < list[at - 1].distance; at--) list[at] = list[at - 1];
    list[at] = hit;
}

static void scan_piece(void *user, int64_t begin, int64_t end)
{
    const scan_job *job = user;
    const gallery *g = job->g;
    const gallery_query *q = job->query;
    const bool quick = q->distance == squared_distance;
    const int64_t piece = begin / PIECE;
    gallery_hit *list = job->hits + piece * q->top;
    for (int64_t i = begin; i < end; i++) {
        const tsr_real *row = g->rows + i * g->length;
        const double d = quick ? (double)squared(row, q->row, g->length) : q->distance(row, q->row, g->length);
        if (d == d) offer(list, &job->counts[piece], q->top, (gallery_hit){d, (int)i, g->persons[i]});
    }
}

int gallery_scan(gallery_hit *out, const gallery *g, tsr_context *ctx, const gallery_query *query)
{
    const size_t pieces = ((size_t)g->count + PIECE - 1) / PIECE;
    int found = 0;
    scan_job job = {g, query, malloc((pieces * (size_t)query->top + 1) * sizeof *job.hits),
                    calloc(pieces + 1, sizeof *job.counts)};
    const bool done = job.hits && job.counts;
    if (done) tsr_parallel(ctx, g->count, PIECE, scan_piece, &job);
    const gallery_hit *list = job.hits;
    for (size_t p = 0; done && p < pieces; p++, list += query->top)
        for (int i = 0; i < job.counts[p]; i++) offer(out, &found, query->top, list[i]);
    free(job.hits);
    free(job.counts);
    return done ? found : -1;
}
