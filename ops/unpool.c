#include "ops/indices.h"
#include "ops/ops_internal.h"

#include <string.h>

/* x[image][i][c] goes to y[image][indices[image][i][c]][c]. */
typedef struct unpool_job {
    int64_t from, to, channels; /* places of an image in x and in y */
    const tsr_real *indices, *x;
    tsr_real *y;
    unsigned char *taken; /* backward: places of y whose gradient has found its owner */
} unpool_job;

static unpool_job unpool_of(tsr_shape x, tsr_shape y, const tsr_real *indices)
{
    unpool_job job = {.from = 1, .to = 1, .channels = x.dims[x.rank - 1], .indices = indices};
    for (int i = 1; i < x.rank - 1; i++) {
        job.from *= x.dims[i];
        job.to *= y.dims[i];
    }
    return job;
}

/* Later values come first here, for it is the last one that stays in a place. */
static void unpool_gather_body(void *user, int64_t begin, int64_t end)
{
    const unpool_job *job = user;
    for (int64_t image = begin; image < end; image++) {
        unsigned char *taken = job->taken + image * job->to * job->channels;
        const tsr_real *y = job->x + image * job->to * job->channels;
        memset(taken, 0, (size_t)(job->to * job->channels));
        for (int64_t i = (image + 1) * job->from - 1; i >= image * job->from; i--)
            for (int64_t c = 0; c < job->channels; c++) {
                const int64_t at = (int64_t)job->indices[i * job->channels + c] * job->channels + c;
                job->y[i * job->channels + c] = taken[at] ? 0 : y[at];
                taken[at] = 1;
            }
    }
}

static void max_unpool_backward(tsr_node *n)
{
    const tsr_shape x = tsr_shape_of(tsr_input(n, 0)), y = tsr_shape_of(tsr_result(n));
    unpool_job job = unpool_of(x, y, tsr_data(tsr_input(n, 1)));
    job.x = tsr_data(tsr_cotangent(n));
    job.y = tsr_gradient(n, 0);
    job.taken = tsr_scratch(n, (size_t)tsr_size(tsr_result(n)));
    if (job.y && job.taken)
        tsr_parallel(tsr_node_context(n), x.dims[0], tsr_grain((double)(job.to * job.channels)), unpool_gather_body,
                     &job);
}

static const tsr_op max_unpool_op = {.name = "max_unpool", .backward = max_unpool_backward};

static void unpool_scatter_body(void *user, int64_t begin, int64_t end)
{
    const unpool_job *job = user;
    const int64_t whole = job->to * job->channels;
    memset(job->y + begin * whole, 0, (size_t)((end - begin) * whole) * sizeof *job->y);
    for (int64_t image = begin; image < end; image++)
        for (int64_t i = image * job->from; i < (image + 1) * job->from; i++)
            for (int64_t c = 0; c < job->channels; c++) {
                const int64_t k = i * job->channels + c;
                job->y[image * whole + (int64_t)job->indices[k] * job->channels + c] = job->x[k];
            }
}

tsr_tensor *tsr_max_unpool(tsr_tensor *x, tsr_tensor *indices, const int64_t *size)
{
    tsr_node *n = tsr_begin(&max_unpool_op, TSR_INPUTS(x, indices));
    if (tsr_dead(n)) return tsr_end(n);
    tsr_shape shape = tsr_shape_of(x);
    if (shape.rank < 3 || shape.rank > 5)
        return tsr_reject(n, "input %s, expected [N, S..., C] with one to three spatial axes",
                          tsr_shape_text(shape).text);
    if (!tsr_same_shape(shape, tsr_shape_of(indices)))
        return tsr_reject(n, "input %s and indices %s differ in shape", tsr_shape_text(shape).text,
                          tsr_shape_text(tsr_shape_of(indices)).text);
    if (!size) return tsr_reject(n, "a size is required");
    int64_t places = 1;
    for (int i = 1; i < shape.rank - 1; i++) {
        shape.dims[i] = size[i - 1];
        if (size[i - 1] < 1 || size[i - 1] > TSR_MOST_INDEXED / places)
            return tsr_reject(
                n, "size %lld for spatial axis %d, expected 1 or more and at most %lld places in all",
                (long long)size[i - 1], i - 1, (long long)TSR_MOST_INDEXED);
        places *= size[i - 1];
    }
    tsr_tensor *error = tsr_check_indices(n, indices, places);
    if (error) return error;
    unpool_job job = unpool_of(tsr_shape_of(x), shape, tsr_data(indices));
    job.x = tsr_data(x);
    job.y = tsr_output(n, shape);
    if (job.y)
        tsr_parallel(tsr_node_context(n), shape.dims[0], tsr_grain((double)(job.to * job.channels)),
                     unpool_scatter_body, &job);
    return tsr_end(n);
}
