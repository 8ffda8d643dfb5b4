#include "apps/common/portraits.h"

#include "apps/common/faces.h"

#include <stdlib.h>

enum { FIRST_HELD_OUT = 1000000, DATA_SEED = 1 };

typedef struct drawing {
    const portraits_request *request;
    pictures *out;
    int first;
    app_error *errors; /* one per picture would be much: one per person */
} drawing;

static void draw_person(const drawing *job, int who)
{
    const portraits_request *r = job->request;
    const size_t bytes = (size_t)r->size * (size_t)r->size * (size_t)r->channels;
    for (int i = 0; i < r->per_person; i++) {
        const int number = who * r->per_person + i;
        image picture = {r->size, r->size, r->channels, job->out->pixels + (size_t)number * bytes};
        job->out->labels[number] = who;
        if (!faces_draw(&picture, DATA_SEED, job->first + who, i, &job->errors[who])) return;
    }
}

static void draw_people(void *user, int64_t begin, int64_t end)
{
    for (int64_t who = begin; who < end; who++) draw_person(user, (int)who);
}

static bool draw_all(pictures *out, tsr_context *ctx, const portraits_request *r, app_error *error)
{
    const size_t count = (size_t)r->people * (size_t)r->per_person;
    drawing job = {.request = r, .out = out, .first = r->skip + (r->held_out ? FIRST_HELD_OUT : 0)};
    *out = (pictures){.count = (int)count, .size = r->size, .channels = r->channels};
    out->pixels = malloc(count * (size_t)r->size * (size_t)r->size * (size_t)r->channels);
    out->labels = malloc(count * sizeof *out->labels);
    job.errors = calloc((size_t)r->people, sizeof *job.errors);
    bool done = out->pixels && out->labels && job.errors;
    if (!done) app_fail(error, "out of memory for %d drawn people with %d pictures each", r->people, r->per_person);
    else tsr_parallel(ctx, r->people, 1, draw_people, &job);
    for (int i = 0; done && i < r->people; i++)
        if (job.errors[i].text[0]) done = app_fail(error, "%s", job.errors[i].text);
    free(job.errors);
    return done;
}

bool portraits_open(portraits *out, tsr_context *ctx, const portraits_request *request, app_error *error)
{
    *out = (portraits){0};
    const bool done = request->folder
                          ? people_open(&out->persons, request->folder, request->skip, request->people, error) &&
                                people_load(&out->pictures, &out->persons, request->size, request->channels, error)
                          : draw_all(&out->pictures, ctx, request, error);
    if (!done) portraits_close(out);
    return done;
}

void portraits_close(portraits *p)
{
    pictures_free(&p->pictures);
    people_free(&p->persons);
}
