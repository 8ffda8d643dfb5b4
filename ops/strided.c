#include "ops/strided.h"

#include "core/kernels/kernels.h"

#include <string.h>

void tsr_strides_of(tsr_shape shape, int64_t *strides)
{
    int64_t stride = 1;
    for (int i = shape.rank - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= shape.dims[i];
    }
}

/* ---- one box ----------------------------------------------------------------------------------------------------- */

/* Work is handed out in patches of two axes: the last one (the columns), along which `to` is contiguous as a rule, and
 * the one along which `from` is; where that is the same axis, the last but one. In the first case a patch is turned in
 * square tiles, so that each cache line is used whole while it is near. */
enum { TILE = 32, PATCH = 8192 };

typedef struct copy_job {
    tsr_strided outer; /* all other axes */
    int64_t rows, columns, to_row, to_column, from_row, from_column;
    bool turned;                   /* from_row and to_column are 1 */
    int64_t row_step, column_step; /* of one patch */
    int64_t row_patches, patches;  /* how many, along the rows and in all, at one place of the other axes */
    tsr_real *to;
    const tsr_real *from;
} copy_job;

/* Drops axes of length 1 and joins neighbours that are one run in both blocks. */
static tsr_strided simplified(const tsr_strided *box)
{
    tsr_strided s = {.rank = 0};
    for (int i = 0; i < box->rank; i++) {
        if (box->dims[i] == 1) continue;
        const int last = s.rank - 1;
        if (last >= 0 && s.to[last] == box->to[i] * box->dims[i] &&
            s.from[last] == box->from[i] * box->dims[i]) {
            s.dims[last] *= box->dims[i];
        } else {
            s.rank++;
            s.dims[last + 1] = box->dims[i];
        }
        s.to[s.rank - 1] = box->to[i];
        s.from[s.rank - 1] = box->from[i];
    }
    return s;
}

static void remove_axis(tsr_strided *s, int axis)
{
    s->rank--;
    for (int i = axis; i < s->rank; i++) {
        s->dims[i] = s->dims[i + 1];
        s->to[i] = s->to[i + 1];
        s->from[i] = s->from[i + 1];
    }
}

static copy_job plan_copy(const tsr_strided *box)
{
    copy_job job = {.outer = simplified(box), .rows = 1, .columns = 1};
    tsr_strided *s = &job.outer;
    int last = s->rank - 1;
    if (last >= 0) {
        job.columns = s->dims[last];
        job.to_column = s->to[last];
        job.from_column = s->from[last];
        remove_axis(s, last);
    }
    int axis = s->rank - 1;
    for (int i = 0; i < s->rank && job.from_column != 1; i++)
        if (s->from[i] == 1) axis = i;
    if (axis >= 0) {
        job.rows = s->dims[axis];
        job.to_row = s->to[axis];
        job.from_row = s->from[axis];
        remove_axis(s, axis);
    }
    job.turned = job.from_row == 1 && job.to_column == 1 && job.from_column != 1 && job.columns > 1;
    job.column_step = job.turned ? 16 * TILE : tsr_smaller(job.columns, PATCH);
    job.row_step = job.turned ? TILE : PATCH / job.column_step;
    job.row_patches = (job.rows - 1) / job.row_step + 1;
    job.patches = job.row_patches * ((job.columns - 1) / job.column_step + 1);
    return job;
}

static void copy_line(tsr_real *to, int64_t to_step, const tsr_real *from, int64_t from_step, int64_t count)
{
    if (to_step == 1 && from_step == 1) {
        memcpy(to, from, (size_t)count * sizeof *to);
    } else if (to_step == 1 && from_step == 0) {
        const tsr_real value = *from;
        for (int64_t k = 0; k < count; k++) to[k] = value;
    } else {
        for (int64_t k = 0; k < count; k++) to[k * to_step] = from[k * from_step];
    }
}

/* to[i][c] = from[c][i] for rows i and columns c. */
static void turn_tile(const copy_job *job, const tsr_real *from, int64_t rows, int64_t columns, tsr_real *to)
{
    tsr_real turned[TILE * TILE];
    const tsr_real *runs[TILE] = {NULL};
    for (int64_t c = 0; c < columns; c++) runs[c] = from + c * job->from_column;
    tsr_pack_rows(runs, TILE, rows, turned);
    for (int64_t i = 0; i < rows; i++)
        memcpy(to + i * job->to_row, turned + i * TILE, (size_t)columns * sizeof *to);
}

static void copy_patch(const copy_job *job, int64_t patch, tsr_real *to, const tsr_real *from)
{
    const int64_t row = patch % job->row_patches * job->row_step,
                  row_end = tsr_smaller(row + job->row_step, job->rows);
    const int64_t column = patch / job->row_patches * job->column_step;
    const int64_t column_end = tsr_smaller(column + job->column_step, job->columns);
    const int64_t step = job->turned ? TILE : job->column_step;
    for (int64_t tile = column; tile < column_end; tile += step) {
        const int64_t count = tsr_smaller(step, column_end - tile);
        tsr_real *to_tile = to + row * job->to_row + tile * job->to_column;
        const tsr_real *from_tile = from + row * job->from_row + tile * job->from_column;
        if (job->turned) turn_tile(job, from_tile, row_end - row, count, to_tile);
        else
            for (int64_t i = 0; i < row_end - row; i++)
                copy_line(to_tile + i * job->to_row, job->to_column, from_tile + i * job->from_row, job->from_column,
                          count);
    }
}

static void copy_body(void *user, int64_t begin, int64_t end)
{
    const copy_job *job = user;
    const tsr_strided *s = &job->outer;
    int64_t at[TSR_MAX_RANK], place = begin / job->patches, patch = begin % job->patches;
    tsr_real *to = job->to;
    const tsr_real *from = job->from;
    for (int i = s->rank - 1; i >= 0; i--) {
        at[i] = place % s->dims[i];
        place /= s->dims[i];
        to += at[i] * s->to[i];
        from += at[i] * s->from[i];
    }
    for (int64_t unit = begin; unit < end; unit++) {
        copy_patch(job, patch, to, from);
        if (++patch < job->patches) continue;
        patch = 0;
        for (int i = s->rank - 1; i >= 0; i--) {
            to += s->to[i];
            from += s->from[i];
            if (++at[i] < s->dims[i]) break;
            at[i] = 0;
            to -= s->to[i] * s->dims[i];
            from -= s->from[i] * s->dims[i];
        }
    }
}

void tsr_copy_strided(tsr_context *ctx, const tsr_strided *box, tsr_real *to, const tsr_real *from)
{
    for (int i = 0; i < box->rank; i++)
        if (box->dims[i] == 0) return;
    copy_job job = plan_copy(box);
    job.to = to;
    job.from = from;
    int64_t units = job.patches;
    for (int i = 0; i < job.outer.rank; i++) units *= job.outer.dims[i];
    const int64_t values = tsr_smaller(job.row_step, job.rows) * tsr_smaller(job.column_step, job.columns);
    tsr_parallel(ctx, units, tsr_grain((double)values), copy_body, &job);
}

/* ---- parts of a tensor ------------------------------------------------------------------------------------------- */

/* Distances within the whole and within the part; returns where in the whole the part begins. */
static int64_t place_of(const tsr_region *region, int64_t *whole, int64_t *part)
{
    int64_t offset = 0;
    tsr_strides_of(region->whole, whole);
    tsr_strides_of(region->part, part);
    for (int i = 0; i < region->whole.rank; i++) offset += region->begin[i] * whole[i];
    return offset;
}

static tsr_strided box_of(tsr_shape shape)
{
    tsr_strided box = {.rank = shape.rank};
    memcpy(box.dims, shape.dims, sizeof box.dims);
    return box;
}

void tsr_region_read(tsr_context *ctx, const tsr_region *region, const tsr_real *whole, tsr_real *part)
{
    tsr_strided box = box_of(region->part);
    const int64_t offset = place_of(region, box.from, box.to);
    tsr_copy_strided(ctx, &box, part, whole + offset);
}

void tsr_region_write(tsr_context *ctx, const tsr_region *region, tsr_real *whole, const tsr_real *part)
{
    tsr_strided box = box_of(region->part);
    const int64_t offset = place_of(region, box.to, box.from);
    tsr_copy_strided(ctx, &box, whole + offset, part);
}

/* What lies around the part falls into two slabs per axis, as wide as the part along the axes before it. */
void tsr_region_embed(tsr_context *ctx, const tsr_region *region, tsr_real *whole, const tsr_real *part,
                      tsr_real value)
{
    tsr_strided slab = box_of(region->whole);
    tsr_strides_of(region->whole, slab.to);
    int64_t offset = 0;
    for (int i = 0; i < slab.rank; i++) {
        const int64_t begin = region->begin[i], length = region->part.dims[i];
        slab.dims[i] = begin;
        tsr_copy_strided(ctx, &slab, whole + offset, &value);
        slab.dims[i] = region->whole.dims[i] - begin - length;
        tsr_copy_strided(ctx, &slab, whole + offset + (begin + length) * slab.to[i], &value);
        slab.dims[i] = length;
        offset += begin * slab.to[i];
    }
    tsr_region_write(ctx, region, whole, part);
}
