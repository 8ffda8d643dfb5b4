#include "apps/common/eigenfaces.h"

#include "core/random.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 8 }; /* partial sums of a dot product, so that it need not wait for each addition */

static double dot(const double *a, const double *b, int count)
{
    double sums[LANES] = {0}, sum = 0;
    int i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int k = 0; k < LANES; k++) sums[k] += a[i + k] * b[i + k];
    for (; i < count; i++) sum += a[i] * b[i];
    for (int k = 0; k < LANES; k++) sum += sums[k];
    return sum;
}

static void add_scaled(double *to, const double *from, double factor, int count)
{
    for (int i = 0; i < count; i++) to[i] += factor * from[i];
}

double euclidean_distance(const double *a, const double *b, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++) sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sqrt(sum);
}

/* ---- eigenvalues of a symmetric tridiagonal matrix ----------------------------------------------------- */

static void rotate(double *a, double *b, double cosine, double sine, int count)
{
    for (int i = 0; i < count; i++) {
        const double kept = a[i];
        a[i] = cosine * kept + sine * b[i];
        b[i] = cosine * b[i] - sine * kept;
    }
}

/* One implicit QR step with Wilkinson's shift on rows low..high (Golub and Van Loan, "Matrix computations",
 * 8.3). */
static void qr_step(double *diagonal, double *off, double *vectors, int low, int high, int n)
{
    const double half = (diagonal[high - 1] - diagonal[high]) / 2, e = off[high - 1];
    const double shift = diagonal[high] - e * e / (half + copysign(hypot(half, e), half));
    double x = diagonal[low] - shift, z = off[low];
    for (int k = low; k < high; k++) {
        const double length = hypot(x, z), c = length > 0 ? x / length : 1, s = length > 0 ? z / length : 0;
        const double a = diagonal[k], b = off[k], d = diagonal[k + 1];
        if (k > low) off[k - 1] = length;
        diagonal[k] = c * c * a + 2 * c * s * b + s * s * d;
        diagonal[k + 1] = s * s * a - 2 * c * s * b + c * c * d;
        off[k] = c * s * (d - a) + (c * c - s * s) * b;
        x = off[k];
        if (k + 1 < high) {
            z = s * off[k + 1];
            off[k + 1] *= c;
        }
        rotate(vectors + (size_t)k * (size_t)n, vectors + (size_t)(k + 1) * (size_t)n, c, s, n);
    }
}

/* Makes `diagonal` the n eigenvalues, in no order, and the rows of `vectors` their vectors; spoils `off`. */
static void tridiagonal_eigen(double *diagonal, double *off, double *vectors, int n)
{
    memset(vectors, 0, (size_t)n * (size_t)n * sizeof *vectors);
    for (int i = 0; i < n; i++) vectors[(size_t)i * (size_t)n + (size_t)i] = 1;
    int high = n - 1;
    for (long step = 0; high > 0 && step < 60L * n; step++) { /* some 2 steps each are usual */
        for (int i = 0; i < high; i++)
            if (fabs(off[i]) <= DBL_EPSILON * (fabs(diagonal[i]) + fabs(diagonal[i + 1]))) off[i] = 0;
        while (high > 0 && off[high - 1] == 0) high--;
        int low = high;
        while (low > 0 && off[low - 1] != 0) low--;
        if (low < high) qr_step(diagonal, off, vectors, low, high, n);
    }
}

/* ---- Lanczos ------------------------------------------------------------------------------------------- */

typedef struct lanczos lanczos;
struct lanczos {
    const void *rows;
    void (*centre)(const lanczos *l, int i); /* makes `centred` row i without the mean */
    int count, dimension;
    const double *mean;
    int size, room;       /* vectors of the basis so far, and allocated */
    double *basis;        /* [room, dimension], orthonormal; the covariance matrix is tridiagonal in it: */
    double *alpha, *beta; /* [room]: its diagonal; beta[i] stands between i and i + 1 */
    double *centred;      /* [dimension]: a picture without the mean */
    double *next;         /* [dimension]: where the next vector points; orthogonal to the basis */
    double rest;          /* its length */
    double scale;         /* about the largest variance, once there is a vector */
    double *values, *off, *vectors; /* solutions of the tridiagonal problem, [room, room] */
    int *order;           /* [room]: their numbers, largest first */
};

static bool grow(double **array, size_t rows, size_t columns)
{
    double *larger = realloc(*array, rows * columns * sizeof *larger);
    if (larger) *array = larger;
    return larger != NULL;
}

static bool reserve(lanczos *l, int room)
{
    const size_t n = (size_t)room;
    int *order = realloc(l->order, n * sizeof *order);
    if (order) l->order = order;
    l->room = room;
    return order && grow(&l->basis, n, (size_t)l->dimension) && grow(&l->alpha, n, 1) &&
           grow(&l->beta, n, 1) && grow(&l->values, n, 1) && grow(&l->off, n, 1) && grow(&l->vectors, n, n) &&
           grow(&l->centred, (size_t)l->dimension, 1) && grow(&l->next, (size_t)l->dimension, 1);
}

static void lanczos_free(lanczos *l)
{
    free(l->basis);
    free(l->alpha);
    free(l->beta);
    free(l->centred);
    free(l->next);
    free(l->values);
    free(l->off);
    free(l->vectors);
    free(l->order);
}

/* to = covariance * from, by a pass over the pictures. */
static void covariance_times(const lanczos *l, const double *from, double *to)
{
    memset(to, 0, (size_t)l->dimension * sizeof *to);
    for (int i = 0; i < l->count; i++) {
        l->centre(l, i);
        add_scaled(to, l->centred, dot(l->centred, from, l->dimension) / l->count, l->dimension);
    }
}

/* Takes everything along the basis out of l->next, twice, as once leaves rounding errors; measures what is
 * left. */
static void orthogonalise(lanczos *l)
{
    const int d = l->dimension;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < l->size; i++) {
            const double *q = l->basis + (size_t)i * (size_t)d;
            add_scaled(l->next, q, -dot(l->next, q, d), d);
        }
    l->rest = sqrt(dot(l->next, l->next, d));
}

/* Makes the basis one vector longer; false where the pictures span nothing more. */
static bool lengthen(lanczos *l)
{
    const int d = l->dimension;
    double *q = l->basis + (size_t)l->size * (size_t)d;
    const bool starts = l->size == 0 || l->rest <= 1e-10 * l->scale; /* the last chain of vectors has ended */
    if (l->size > 0) l->beta[l->size - 1] = starts ? 0 : l->rest;
    if (starts) { /* a direction at random, within what the pictures span */
        const tsr_rng rng = {.seed = (uint64_t)l->size, .stream = tsr_stream("eigenfaces")};
        for (int j = 0; j < d; j++) q[j] = tsr_random_uniform(rng, (uint64_t)j) - 0.5;
        covariance_times(l, q, l->next);
        orthogonalise(l);
        if (l->rest <= 1e-10 * l->scale) return false;
    }
    for (int j = 0; j < d; j++) q[j] = l->next[j] / l->rest;
    covariance_times(l, q, l->next);
    l->alpha[l->size++] = dot(q, l->next, d);
    l->scale = fmax(l->scale, l->alpha[l->size - 1]);
    orthogonalise(l);
    return true;
}

/* Solves the tridiagonal problem, and says whether the `wanted` largest solutions are the pictures' own. */
static bool solve(lanczos *l, int wanted)
{
    const int n = l->size;
    memcpy(l->values, l->alpha, (size_t)n * sizeof *l->values);
    memcpy(l->off, l->beta, (size_t)n * sizeof *l->off);
    tridiagonal_eigen(l->values, l->off, l->vectors, n);
    for (int i = 0; i < n; i++) { /* insertion sort, descending */
        int at = i;
        for (; at > 0 && l->values[l->order[at - 1]] < l->values[i]; at--) l->order[at] = l->order[at - 1];
        l->order[at] = i;
    }
    for (int i = 0; i < wanted && i < n; i++) {
        const double last = l->vectors[(size_t)l->order[i] * (size_t)n + (size_t)n - 1];
        if (fabs(l->rest * last) > 1e-9 * l->scale) return false;
    }
    return n >= wanted;
}

/* Works until the `wanted` largest components are found, or all there are. The basis may get longer than the
 * number of pictures: directions in which they do not vary creep in by rounding. */
static bool find_components(lanczos *l, int wanted)
{
    bool found = false;
    for (int target = wanted + 10; !found; target += target / 2) {
        if (target > l->dimension) target = l->dimension;
        if (!reserve(l, target)) return false;
        bool more = true;
        while (more && l->size < target) more = lengthen(l);
        found = solve(l, wanted) || !more || target == l->dimension;
    }
    return true;
}

/* ---- the model ----------------------------------------------------------------------------------------- */

static void centre_picture(const lanczos *l, int i)
{
    const unsigned char *picture = (const unsigned char *)l->rows + (size_t)i * (size_t)l->dimension;
    for (int j = 0; j < l->dimension; j++) l->centred[j] = (double)picture[j] - l->mean[j];
}

static void centre_values(const lanczos *l, int i)
{
    const tsr_real *row = (const tsr_real *)l->rows + (size_t)i * (size_t)l->dimension;
    for (int j = 0; j < l->dimension; j++) l->centred[j] = (double)row[j] - l->mean[j];
}

static void find_mean(lanczos *l, double *mean)
{
    memset(mean, 0, (size_t)l->dimension * sizeof *mean);
    memset(l->next, 0, (size_t)l->dimension * sizeof *mean);
    l->mean = l->next; /* none yet */
    for (int i = 0; i < l->count; i++) {
        l->centre(l, i);
        for (int j = 0; j < l->dimension; j++) mean[j] += l->centred[j];
    }
    for (int j = 0; j < l->dimension; j++) mean[j] /= l->count;
    l->mean = mean;
}

static void set_axis(eigenfaces *e, int i, const lanczos *l)
{
    const double *solution = l->vectors + (size_t)l->order[i] * (size_t)l->size;
    double *axis = e->axes + (size_t)i * (size_t)e->dimension;
    memset(axis, 0, (size_t)e->dimension * sizeof *axis);
    for (int k = 0; k < l->size; k++)
        add_scaled(axis, l->basis + (size_t)k * (size_t)e->dimension, solution[k], e->dimension);
    double largest = 0;
    for (int j = 0; j < e->dimension; j++)
        if (fabs(axis[j]) > fabs(largest)) largest = axis[j];
    const double length = copysign(sqrt(dot(axis, axis, e->dimension)), largest);
    for (int j = 0; j < e->dimension; j++) axis[j] /= length;
    e->variances[i] = l->values[l->order[i]];
}

/* Finds the components of the rows that `l` has. */
static bool fit(eigenfaces *out, lanczos *l, int components, app_error *error)
{
    const int dimension = l->dimension, count = l->count;
    *out = (eigenfaces){.dimension = dimension};
    if (count < 2 || dimension < 1 || components < 0)
        return app_fail(error, "eigenfaces: %d components of %d pictures of %d values cannot be found",
                        components, count, dimension);
    const int rank = count - 1 < dimension ? count - 1 : dimension;
    int wanted = components > 0 ? components : 60;
    if (wanted > rank) wanted = rank;
    out->mean = malloc((size_t)dimension * sizeof *out->mean);
    out->axes = malloc((size_t)wanted * (size_t)dimension * sizeof *out->axes);
    out->variances = malloc((size_t)wanted * sizeof *out->variances);
    bool done = out->mean && out->axes && out->variances && reserve(l, wanted);
    if (done) find_mean(l, out->mean);
    done = done && find_components(l, wanted);
    if (done) out->components = wanted < l->size ? wanted : l->size;
    else app_fail(error, "eigenfaces: out of memory for %d components of %d pictures", wanted, count);
    for (int i = 0; i < out->components; i++) set_axis(out, i, l);
    lanczos_free(l);
    if (!done) eigenfaces_free(out);
    return done;
}

bool eigenfaces_fit(eigenfaces *out, const unsigned char *pixels, int count, int dimension, int components,
                    app_error *error)
{
    lanczos l = {.rows = pixels, .centre = centre_picture, .count = count, .dimension = dimension};
    if (!fit(out, &l, components, error)) return false;
    if (out->components > 0) return true;
    eigenfaces_free(out);
    return app_fail(error, "eigenfaces: all %d pictures are alike", count);
}

bool principal_components(double *out, const tsr_real *rows, int count, int dimension, int components,
                          app_error *error)
{
    eigenfaces e;
    const lanczos l = {.rows = rows, .centre = centre_values, .count = count, .dimension = dimension};
    lanczos fitting = l, projecting = l;
    projecting.centred = malloc(((size_t)dimension + 1) * sizeof *projecting.centred);
    const bool done = (projecting.centred || app_fail(error, "out of memory for a row of %d values", dimension)) &&
                      fit(&e, &fitting, components, error);
    if (done) projecting.mean = e.mean;
    for (int i = 0; done && i < count; i++) {
        centre_values(&projecting, i);
        for (int k = 0; k < components; k++)
            out[(ptrdiff_t)i * components + k] =
                k < e.components ? dot(projecting.centred, e.axes + (ptrdiff_t)k * dimension, dimension) : 0;
    }
    if (done) eigenfaces_free(&e);
    free(projecting.centred);
    return done;
}

void eigenfaces_project(const eigenfaces *e, const unsigned char *picture, double *out)
{
    for (int i = 0; i < e->components; i++) {
        const double *axis = e->axes + (size_t)i * (size_t)e->dimension;
        out[i] = 0;
        for (int j = 0; j < e->dimension; j++) out[i] += ((double)picture[j] - e->mean[j]) * axis[j];
    }
}

void eigenfaces_free(eigenfaces *e)
{
    free(e->mean);
    free(e->axes);
    free(e->variances);
    *e = (eigenfaces){0};
}
