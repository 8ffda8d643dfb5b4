#include "apps/common/features.h"

#include "apps/common/eigenfaces.h"
#include "core/parallel.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

enum { BATCH = 64 }; /* pictures or pairs fetched together */

void features_free(features *f)
{
    free(f->owned);
    *f = (features){0};
}

/* ---- distances --------------------------------------------------------------------------------------------------- */

/* In whole numbers, which are exact and quick; 65536 squares of bytes fit into 32 bits. */
static double pixel_distance(const void *a, const void *b, int length)
{
    const unsigned char *x = a, *y = b;
    uint64_t sum = 0;
    for (int first = 0; first < length; first += 65536) {
        const int end = length - first < 65536 ? length : first + 65536;
        uint32_t part = 0;
        for (int i = first; i < end; i++) {
            const int difference = x[i] - y[i];
            part += (uint32_t)(difference * difference);
        }
        sum += part;
    }
    return sqrt((double)sum) / 255;
}

static double eigenface_distance(const void *a, const void *b, int length)
{
    return euclidean_distance(a, b, length);
}

double squared_distance(const void *a, const void *b, int length)
{
    const tsr_real *x = a, *y = b;
    double sum = 0;
    for (int i = 0; i < length; i++) sum += (double)(x[i] - y[i]) * (double)(x[i] - y[i]);
    return sum;
}

double cosine_distance(const void *a, const void *b, int length)
{
    const tsr_real *x = a, *y = b;
    double xy = 0, xx = 0, yy = 0;
    for (int i = 0; i < length; i++) {
        xy += (double)x[i] * (double)y[i];
        xx += (double)x[i] * (double)x[i];
        yy += (double)y[i] * (double)y[i];
    }
    return xx == 0 || yy == 0 ? 1 : 1 - xy / (sqrt(xx) * sqrt(yy));
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

features features_of_pixels(const pictures *set)
{
    return (features){.set = set, .length = (int)picture_bytes(set), .row_bytes = picture_bytes(set),
                      .rows = set->held == set->count ? set->pixels : NULL, .distance = pixel_distance};
}

features features_of_embeddings(const pictures *set, tsr_real *embeddings, int length, row_distance distance)
{
    return (features){.set = set, .length = length, .row_bytes = (size_t)length * sizeof *embeddings,
                      .rows = embeddings, .owned = embeddings, .distance = distance};
}

/* From as many pictures as it takes, spread evenly, whatever the memory for pictures: the result depends on the data
 * alone. */
static bool fit(eigenfaces *out, const pictures *known, app_error *error)
{
    enum { MOST = 4000, MOST_BYTES = 1 << 28 };
    const size_t bytes = picture_bytes(known);
    const int64_t most = MOST_BYTES / bytes < MOST ? (int64_t)(MOST_BYTES / bytes) : MOST;
    const int count = known->count < most ? known->count : (int)most;
    unsigned char *pixels = malloc((size_t)count * bytes + 1);
    int *numbers = malloc(((size_t)count + 1) * sizeof *numbers);
    for (int i = 0; numbers && i < count; i++) numbers[i] = (int)((int64_t)i * known->count / count);
    const bool done = ((pixels && numbers) || app_fail(error, "eigenfaces: out of memory for %d pictures", count)) &&
                      pictures_fetch(known, numbers, count, pixels, error) &&
                      eigenfaces_fit(out, pixels, count, (int)bytes, 0, error);
    free(pixels);
    free(numbers);
    return done;
}

typedef struct project_job {
    const eigenfaces *faces;
    const unsigned char *pixels;
    double *out; /* [.., components] */
} project_job;

static void project_some(void *user, int64_t begin, int64_t end)
{
    const project_job *job = user;
    for (int64_t i = begin; i < end; i++)
        eigenfaces_project(job->faces, job->pixels + i * job->faces->dimension, job->out + i * job->faces->components);
}

bool features_of_eigenfaces(features *out, const pictures *known, const pictures *set, app_error *error)
{
    eigenfaces faces;
    *out = (features){0};
    if (!fit(&faces, known, error)) return false;
    const size_t row = (size_t)faces.components * sizeof(double);
    double *rows = malloc((size_t)set->count * row + 1);
    unsigned char *pixels = malloc(BATCH * picture_bytes(set));
    bool done = (rows && pixels) || app_fail(error, "eigenfaces: out of memory for %d pictures", set->count);
    for (int first = 0; done && first < set->count; first += BATCH) {
        int numbers[BATCH], count = 0;
        for (; count < BATCH && first + count < set->count; count++) numbers[count] = first + count;
        done = pictures_fetch(set, numbers, count, pixels, error);
        project_job job = {&faces, pixels, rows + (ptrdiff_t)first * faces.components};
        if (done) tsr_parallel(set->ctx, count, 1, project_some, &job);
    }
    free(pixels);
    *out = (features){.set = set, .length = faces.components, .row_bytes = row, .rows = rows, .owned = rows,
                      .distance = eigenface_distance};
    if (!done) features_free(out);
    eigenfaces_free(&faces);
    return done;
}

/* ---- comparing --------------------------------------------------------------------------------------------------- */

/* Rows of some pictures: in memory anyway, or fetched. */
typedef struct some_rows {
    const features *f;
    picture_numbers which;
    unsigned char *fetched; /* NULL: f->rows has them */
} some_rows;

static bool rows_open(some_rows *out, const features *f, picture_numbers which, app_error *error)
{
    *out = (some_rows){.f = f, .which = which};
    if (f->rows) return true;
    out->fetched = malloc((size_t)which.count * f->row_bytes + 1);
    return (out->fetched || app_fail(error, "out of memory for %d pictures", which.count)) &&
           pictures_fetch(f->set, which.numbers, which.count, out->fetched, error);
}

static const void *row_of(const some_rows *rows, int64_t i)
{
    const size_t bytes = rows->f->row_bytes;
    return rows->fetched ? rows->fetched + (size_t)i * bytes
                         : (const unsigned char *)rows->f->rows + (size_t)rows->which.numbers[i] * bytes;
}

bool features_pairs(const features *f, const pairs *list, double *out, app_error *error)
{
    bool done = true;
    for (int first = 0; done && first < list->count; first += BATCH) {
        int numbers[2 * BATCH], count = 0;
        for (; count < BATCH && first + count < list->count; count++) {
            numbers[2 * count] = list->items[first + count].a;
            numbers[2 * count + 1] = list->items[first + count].b;
        }
        some_rows rows;
        done = rows_open(&rows, f, (picture_numbers){numbers, 2 * count}, error);
        for (int i = 0; done && i < count; i++)
            out[first + i] = f->distance(row_of(&rows, 2 * i), row_of(&rows, 2 * i + 1), f->length);
        free(rows.fetched);
    }
    return done;
}

typedef struct matrix_job {
    const some_rows *a, *b;
    double *out;
    int64_t stride;
} matrix_job;

static void compare_some(void *user, int64_t begin, int64_t end)
{
    const matrix_job *job = user;
    const features *f = job->a->f;
    for (int64_t i = begin; i < end; i++)
        for (int j = 0; j < job->b->which.count; j++)
            job->out[i * job->stride + j] = f->distance(row_of(job->a, i), row_of(job->b, j), f->length);
}

bool features_matrix(const features *f, picture_numbers a, picture_numbers b, double *out, app_error *error)
{
    some_rows left;
    bool done = rows_open(&left, f, a, error);
    for (int first = 0; done && first < b.count; first += BATCH) {
        const int rest = b.count - first;
        some_rows right;
        done = rows_open(&right, f, (picture_numbers){b.numbers + first, rest < BATCH ? rest : BATCH}, error);
        matrix_job job = {&left, &right, out + first, b.count};
        if (done) tsr_parallel(f->set->ctx, a.count, 1, compare_some, &job);
        free(right.fetched);
    }
    free(left.fetched);
    return done;
}
