/* identify and verify. */
#include "apps/common/door_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- identify ---------------------------------------------------------------------------------------------------- */

typedef struct identify_options {
    int top;
    bool from_stdin;
} identify_options;

typedef struct identifier {
    door *d;
    gallery g;
    gallery_limit limit;
    int top;
    gallery_hit *hits; /* [top] */
} identifier;

static void print_hits(const identifier *id, int found)
{
    const double threshold = id->limit.threshold;
    const bool accepted = found > 0 && id->hits[0].distance <= threshold;
    if (accepted) fputs(" person=", stdout);
    else fputs(isnan(threshold) ? " uncalibrated" : " unknown", stdout);
    if (!accepted && found > 0) fputs(" nearest=", stdout);
    if (found > 0) {
        door_print_text(id->g.people.names[id->hits[0].person]);
        printf(" distance=%.4f", id->hits[0].distance);
    }
    if (isnan(threshold)) fputs(" threshold=-", stdout);
    else printf(" threshold=%.4f", threshold);
    for (int i = 0; i < found; i++) {
        fputs(i == 0 ? " top=" : ",", stdout);
        door_print_text(id->g.people.names[id->hits[i].person]);
        printf(":%.4f", id->hits[i].distance);
    }
    putchar('\n');
}

/* A line for each of the faces that were cut out. */
static bool answer(const identifier *id, const photo_faces *faces, const char *path, app_error *error)
{
    const recognizer *r = &id->d->r;
    image *cut = malloc(((size_t)faces->count + 1) * sizeof *cut);
    tsr_real *rows = malloc(((size_t)faces->count + 1) * (size_t)r->length * sizeof *rows);
    bool done = (cut && rows) || app_fail(error, "out of memory for %d faces", faces->count);
    for (int i = 0; done && i < faces->count; i++) cut[i] = faces->items[i].picture;
    done = done && (faces->count == 0 || r->encode(r, cut, faces->count, rows, error));
    if (done && faces->count == 0) {
        door_print_text(path);
        fputs(" faces=0\n", stdout);
    }
    for (int i = 0; done && i < faces->count; i++) {
        const gallery_query query = {rows + (size_t)i * (size_t)r->length, r->distance, id->top};
        const int found = gallery_scan(id->hits, &id->g, r->ctx, &query);
        if (found < 0) done = app_fail(error, "out of memory for the nearest of %d faces", id->g.count);
        else {
            door_print_text(path);
            printf(" face=%d faces=%d", i + 1, faces->count);
            print_hits(id, found);
        }
    }
    free(cut);
    free(rows);
    return done;
}

static bool identify(const identifier *id, const char *path, app_error *error)
{
    photo_faces faces;
    if (!photo_cut(&faces, &id->d->r.cutter, path, error)) return false;
    const bool done = answer(id, &faces, path, error);
    photo_faces_free(&faces);
    tsr_clear_error(id->d->r.ctx); /* the next photograph may be fine */
    return done;
}

static bool identify_photos(const identifier *id, app_error *error)
{
    const command *c = &id->d->c;
    int failed = 0;
    for (int i = 0; i < c->rest_count; i++) {
        app_error problem = {""};
        if (identify(id, c->rest[i], &problem)) continue;
        door_say(id->d, "%s", problem.text);
        failed++;
    }
    return failed == 0 || app_fail(error, "%d of %d photographs failed", failed, c->rest_count);
}

/* The next line of stdin, without its end; false at the end. Of a line that is too long *whole is false. */
static bool next_line(char *line, int room, bool *whole)
{
    if (!fgets(line, room, stdin)) return false;
    size_t length = strlen(line);
    *whole = length > 0 && line[length - 1] == '\n';
    if (!*whole) { /* of the last line the end may be missing */
        const int next = getc(stdin);
        *whole = next == EOF;
        for (int c = next; c != EOF && c != '\n';) c = getc(stdin);
    }
    while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r')) line[--length] = '\0';
    return true;
}

/* Every line is answered, if only by an error, before the next is read. */
static bool identify_lines(const identifier *id, app_error *error)
{
    char path[4096];
    bool whole;
    while (next_line(path, sizeof path, &whole)) {
        app_error problem = {""};
        if (!whole) app_fail(&problem, "the line is too long");
        if (!whole || !identify(id, path, &problem)) {
            const size_t length = strlen(path);
            const bool named = strncmp(problem.text, path, length) == 0 && strncmp(problem.text + length, ": ", 2) == 0;
            door_print_text(path);
            fputs(" error=", stdout);
            door_print_text(named ? problem.text + length + 2 : problem.text);
            putchar('\n');
        }
        if (fflush(stdout) != 0) return app_fail(error, "stdout: could not be written");
    }
    return !ferror(stdin) || app_fail(error, "stdin: could not be read");
}

static bool identify_all(door *d, app_error *error)
{
    const identify_options *o = d->own;
    const gallery_model model = door_model(d);
    identifier id = {.d = d, .top = o->top, .hits = malloc((size_t)o->top * sizeof *id.hits)};
    bool done = (id.hits || app_fail(error, "out of memory")) && gallery_read(&id.g, d->r.ctx, d->path, &model, error);
    if (done) {
        id.limit = door_limit(d, &id.g);
        done = o->from_stdin ? identify_lines(&id, error) : identify_photos(&id, error);
        gallery_free(&id.g);
    }
    free(id.hits);
    return done;
}

int door_identify(const recognizer_program *program, int count, char **arguments)
{
    identify_options o = {.top = 3};
    door d = door_of(program, (command){.verb = "identify", .operands = "PHOTO... | --stdin", .most = 1000000,
                                        .summary = "Says of each face on photographs who of those enrolled it is, or "
                                                   "that it is unknown."});
    const option own[] = {
        {"top", OPTION_INT, &o.top, "how many people are named with distances, nearest first", "N", 1, 1000, NULL},
        {"stdin", OPTION_FLAG, &o.from_stdin, "read paths, one a line, and answer each at once", NULL, 0, 0, NULL},
    };
    const int status = door_parse(&d, own, 2, count, arguments);
    if (status != COMMAND_GO) return status;
    if (o.from_stdin == (d.c.rest_count > 0)) return door_misused(&d, "PHOTO... is needed, or --stdin without them");
    d.own = &o;
    return door_run(&d, identify_all);
}

/* ---- verify ------------------------------------------------------------------------------------------------------ */

/* The threshold of the gallery, if there is one. */
static bool read_limit(gallery_limit *out, const door *d, app_error *error)
{
    gallery g;
    const gallery_model model = door_model(d);
    if (!(is_missing(d->path) ? gallery_new(&g, &model, error) : gallery_read(&g, d->r.ctx, d->path, &model, error)))
        return false;
    *out = door_limit(d, &g);
    gallery_free(&g);
    return true;
}

static bool verify_two(door *d, app_error *error)
{
    bool good[2];
    gallery_limit limit;
    const size_t length = (size_t)d->r.length;
    tsr_real *rows = malloc(2 * length * sizeof *rows);
    bool done = (rows || app_fail(error, "out of memory")) && read_limit(&limit, d, error) &&
                door_embed(d, (door_photos){d->c.rest, 2}, rows, good, error);
    if (done && !(good[0] && good[1])) done = app_fail(error, "a face on both photographs is needed");
    if (done) {
        const double distance = d->r.distance(rows, rows + length, d->r.length);
        const char *outcome = distance <= limit.threshold ? "same" : "different";
        printf("verify: %s distance=%.4f", isnan(limit.threshold) ? "uncalibrated" : outcome, distance);
        door_print_limit(&limit);
        putchar('\n');
    }
    free(rows);
    return done;
}

int door_verify(const recognizer_program *program, int count, char **arguments)
{
    door d = door_of(program, (command){.verb = "verify", .operands = "PHOTO PHOTO", .fewest = 2, .most = 2,
                                        .summary = "Says whether two photographs show the same person."});
    const int status = door_parse(&d, NULL, 0, count, arguments);
    return status == COMMAND_GO ? door_run(&d, verify_two) : status;
}
