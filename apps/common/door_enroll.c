/* enroll: rows are made of photographs first; the gallery is locked only to add them. */
#include "apps/common/door_internal.h"

#include "apps/common/bytes.h"

#include <stdlib.h>
#include <string.h>

typedef struct enrolment {
    const person *persons; /* of the photographs, as in people.h */
    int count;
    door_photos photos;
    bool *good;
    uint64_t *digests;
    tsr_real *rows; /* of the good ones */
    int *replaced, *known; /* outcome: rows replaced by each person's photographs, and all rows then */
    int length;
} enrolment;

static bool open_enrolment(enrolment *e, app_error *error)
{
    const size_t photos = (size_t)e->photos.count, persons = (size_t)e->count;
    e->good = calloc(photos, sizeof *e->good);
    e->digests = calloc(photos, sizeof *e->digests);
    e->rows = malloc(photos * (size_t)e->length * sizeof *e->rows);
    e->replaced = calloc(persons, sizeof *e->replaced);
    e->known = calloc(persons, sizeof *e->known);
    return (e->good && e->digests && e->rows && e->replaced && e->known) ||
           app_fail(error, "out of memory for %d photographs", e->photos.count);
}

static void close_enrolment(enrolment *e)
{
    free(e->good);
    free(e->digests);
    free(e->rows);
    free(e->replaced);
    free(e->known);
}

static int count_good(const enrolment *e, const person *p)
{
    int count = 0;
    for (int i = p->first; i < p->first + p->count; i++) count += e->good[i];
    return count;
}

static bool add_rows(gallery *g, void *user, app_error *error)
{
    enrolment *e = user;
    const tsr_real *row = e->rows;
    for (int who = 0; who < e->count; who++) {
        const person *p = &e->persons[who];
        for (int i = p->first; i < p->first + p->count; i++) {
            if (!e->good[i]) continue;
            const gallery_row added = {p->name, door_file_name(e->photos.paths[i]), e->digests[i], row};
            if (!gallery_add(g, &added, &e->replaced[who], error)) return false;
            row += e->length;
        }
        const int at = gallery_find(g, p->name);
        e->known[who] = at < 0 ? 0 : gallery_rows_of(g, at);
    }
    return true;
}

static bool enroll(door *d, enrolment *e, app_error *error)
{
    int usable = 0;
    const gallery_model model = door_model(d);
    bool done = open_enrolment(e, error) && door_embed(d, e->photos, e->rows, e->good, error);
    for (int i = 0; done && i < e->photos.count; i++) {
        usable += e->good[i];
        done = !e->good[i] || bytes_digest(&e->digests[i], e->photos.paths[i], error);
    }
    if (done && usable == 0) done = app_fail(error, "none of the photographs can be used, nobody was enrolled");
    done = done && gallery_update(d->r.ctx, d->path, &model, (gallery_task){add_rows, e}, error);
    for (int who = 0; done && who < e->count; who++) {
        const int good = count_good(e, &e->persons[who]);
        fputs("enroll: name=", stdout);
        door_print_text(e->persons[who].name);
        printf(" faces=%d replaced=%d skipped=%d rows=%d\n", good, e->replaced[who], e->persons[who].count - good,
               e->known[who]);
    }
    close_enrolment(e);
    return done;
}

static bool enroll_photos(door *d, app_error *error)
{
    char name[256];
    snprintf(name, sizeof name, "%s", d->c.rest[0]);
    const person one = {.name = name, .count = d->c.rest_count - 1};
    enrolment e = {.persons = &one, .count = 1, .photos = {d->c.rest + 1, one.count}, .length = d->r.length};
    return enroll(d, &e, error);
}

static bool enroll_folder(door *d, app_error *error)
{
    people set;
    if (!people_open(&set, &d->faces.who, error)) return false;
    if (set.skipped > 0)
        door_say(d, "%d files are no pictures and were skipped, the first: %s", set.skipped, set.first_skipped);
    enrolment e = {.persons = set.persons, .count = set.count, .length = d->r.length,
                   .photos = {(const char *const *)set.paths, set.picture_count}};
    const bool done = enroll(d, &e, error);
    people_free(&set);
    return done;
}

int door_enroll(const recognizer_program *program, int count, char **arguments)
{
    door d = door_of(program, (command){.verb = "enroll", .operands = "NAME PHOTO... | --data DIR", .most = 1000000,
                                        .summary = "Makes somebody known by photographs, of which only embeddings are "
                                                   "kept."});
    const option own[] = {{"data", OPTION_TEXT, &d.faces.who.data,
                           "enroll all: a folder per person in this folder, or lines \"path<TAB>name\" in this file",
                           "DIR|LIST", 0, 0, NULL}};
    const int status = door_parse(&d, own, 1, count, arguments);
    if (status != COMMAND_GO) return status;
    if (d.faces.who.data ? d.c.rest_count > 0 : d.c.rest_count < 2)
        return door_misused(&d, "NAME PHOTO... is needed, or --data without them");
    return door_run(&d, d.faces.who.data ? enroll_folder : enroll_photos);
}
