/* What the verbs of the door share, and the two that need no model. */
#include "apps/common/door_internal.h"

#include "apps/common/progress.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- running a verb ---------------------------------------------------------------------------------------------- */

door door_of(const recognizer_program *program, command c)
{
    c.program = program->name;
    return (door){.program = program, .c = c, .model = program->model, .path = "out/gallery"};
}

/* Those of portraits_options that say how faces are cut out; the number of them. */
static int cutting_options(option *out, portraits_request *faces)
{
    static const char *const names[] = {"align", "landmarks", "part", "down", "detector", "points"};
    option all[PORTRAITS_OPTIONS];
    int count = 0;
    portraits_options(all, faces);
    for (int i = 0; i < PORTRAITS_OPTIONS; i++)
        for (size_t n = 0; n < sizeof names / sizeof *names; n++)
            if (strcmp(all[i].name, names[n]) == 0) out[count++] = all[i];
    return count;
}

int door_parse(door *d, const option *own, int own_count, int count, char **arguments)
{
    const option gallery_file = {"gallery", OPTION_TEXT, &d->path, "file of who is enrolled", "FILE", 0, 0, NULL};
    const option model_options[] = {
        {"model", OPTION_TEXT, &d->model, d->program->distance, "FILE", 0, 0, NULL},
        {"threads", OPTION_INT, &d->threads, "0: all; changes no result", "N", 0, 1024, NULL},
    };
    option options[PORTRAITS_OPTIONS + 8];
    int total = own_count;
    for (int i = 0; i < own_count; i++) options[i] = own[i];
    options[total++] = gallery_file;
    if (!d->no_model) {
        memcpy(options + total, model_options, sizeof model_options);
        total += (int)(sizeof model_options / sizeof *model_options);
        total += cutting_options(options + total, &d->faces);
    }
    d->c.options = options;
    d->c.option_count = total;
    return command_start(&d->c, count, arguments);
}

void door_say(const door *d, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s %s: ", d->c.program, d->c.verb);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

int door_misused(const door *d, const char *what)
{
    door_say(d, "%s (see %s %s --help)", what, d->c.program, d->c.verb);
    return COMMAND_WRONG_USAGE;
}

int door_run(door *d, door_work work)
{
    app_error error = {""};
    d->r.ctx = tsr_open(&(tsr_options){.threads = d->threads});
    bool done = d->r.ctx || app_fail(&error, "out of memory");
    done = done && (d->no_model || d->program->open(&d->r, d->model, &d->faces, &error)) && work(d, &error);
    landmarks_free(&d->r.faces);
    tsr_close(d->r.ctx);
    if (!done) door_say(d, "%s", error.text);
    return done ? 0 : 1;
}

gallery_model door_model(const door *d)
{
    return (gallery_model){d->r.name, d->r.length};
}

/* ---- faces of photographs ---------------------------------------------------------------------------------------- */

/* The face that a photograph is of; false, with the reason said, where there is none. */
static bool cut_main(const door *d, const char *path, image *face)
{
    app_error problem = {""};
    photo_faces found;
    if (!photo_cut(&found, &d->r.cutter, path, &problem)) {
        door_say(d, "%s", problem.text);
        return false;
    }
    const bool any = found.count > 0;
    if (!any) door_say(d, "%s: no face was found", path);
    if (found.count > 1) door_say(d, "%s: of %d faces the main one is taken", path, found.count);
    if (any) {
        *face = found.items[found.main].picture;
        found.items[found.main].picture = (image){0};
    }
    photo_faces_free(&found);
    return any;
}

bool door_embed(const door *d, door_photos photos, tsr_real *rows, bool *good, app_error *error)
{
    enum { BATCH = 32 };
    image faces[BATCH];
    progress bar;
    bool done = true;
    const bool many = photos.count > BATCH;
    if (many) progress_start(&bar, d->c.verb, "photographs", 0, photos.count);
    for (int first = 0; done && first < photos.count; first += BATCH) {
        const int end = photos.count - first < BATCH ? photos.count : first + BATCH;
        int count = 0;
        for (int i = first; i < end; i++) {
            good[i] = cut_main(d, photos.paths[i], &faces[count]);
            count += good[i];
        }
        done = count == 0 || d->r.encode(&d->r, faces, count, rows, error);
        rows += (size_t)count * (size_t)d->r.length;
        for (int i = 0; i < count; i++) image_free(&faces[i]);
        if (many) progress_show(&bar, end, NULL);
    }
    if (many) progress_end(&bar);
    return done;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

gallery_limit door_limit(const door *d, const gallery *g)
{
    const gallery_limit limit = isnan(g->limit.threshold) ? d->r.limit : g->limit;
    if (isnan(limit.threshold))
        door_say(d, "no threshold is known, distances are all that can be said: %s calibrate finds one", d->c.program);
    return limit;
}

void door_print_text(const char *text)
{
    const bool quoted = !*text || strpbrk(text, " \",:=\\") != NULL;
    if (quoted) putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') putchar('\\');
        putchar((unsigned char)*text < 0x20 || *text == 0x7F ? '?' : *text);
    }
    if (quoted) putchar('"');
}

void door_print_limit(const gallery_limit *limit)
{
    if (isnan(limit->threshold)) fputs(" threshold=-", stdout);
    else printf(" threshold=%.4f", limit->threshold);
    if (!isnan(limit->far)) printf(" far=%.3g", limit->far);
    if (!isnan(limit->frr)) printf(" frr=%.3g", limit->frr);
}

const char *door_file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* ---- list -------------------------------------------------------------------------------------------------------- */

static void print_person(const gallery *g, int who)
{
    const char *before = " photos=";
    fputs("person: name=", stdout);
    door_print_text(g->people.names[who]);
    printf(" rows=%d", gallery_rows_of(g, who));
    for (int i = 0; i < g->count; i++) {
        if (g->persons[i] != who) continue;
        fputs(before, stdout);
        door_print_text(g->sources.names[i]);
        before = ",";
    }
    putchar('\n');
}

static bool list_all(door *d, app_error *error)
{
    gallery g;
    if (!gallery_read(&g, d->r.ctx, d->path, NULL, error)) return false;
    printf("list: people=%d rows=%d model=", g.people.count, g.count);
    door_print_text(g.model);
    door_print_limit(&g.limit);
    putchar('\n');
    for (int who = 0; who < g.people.count; who++) print_person(&g, who);
    gallery_free(&g);
    return true;
}

int door_list(const recognizer_program *program, int count, char **arguments)
{
    door d = door_of(program, (command){.verb = "list", .summary = "Lists who is enrolled, and by which photographs."});
    d.no_model = true;
    const int status = door_parse(&d, NULL, 0, count, arguments);
    return status == COMMAND_GO ? door_run(&d, list_all) : status;
}

/* ---- remove ------------------------------------------------------------------------------------------------------ */

typedef struct removal {
    const char *name;
    int rows;
} removal;

static bool remove_one(gallery *g, void *user, app_error *error)
{
    removal *r = user;
    const int who = gallery_find(g, r->name);
    const char *near = who < 0 ? command_suggest(r->name, g->people.names, g->people.count) : NULL;
    if (near) return app_fail(error, "nobody called \"%.80s\" is enrolled (did you mean \"%.80s\"?)", r->name, near);
    if (who < 0) return app_fail(error, "nobody called \"%.80s\" is enrolled", r->name);
    r->rows = gallery_rows_of(g, who);
    gallery_remove(g, who);
    return true;
}

static bool remove_person(door *d, app_error *error)
{
    removal r = {.name = d->c.rest[0]};
    if (!gallery_update(d->r.ctx, d->path, NULL, (gallery_task){remove_one, &r}, error)) return false;
    fputs("remove: name=", stdout);
    door_print_text(r.name);
    printf(" rows=%d\n", r.rows);
    return true;
}

int door_remove(const recognizer_program *program, int count, char **arguments)
{
    door d = door_of(program, (command){.verb = "remove", .summary = "Forgets somebody who is enrolled.",
                                        .operands = "NAME", .fewest = 1, .most = 1});
    d.no_model = true;
    const int status = door_parse(&d, NULL, 0, count, arguments);
    return status == COMMAND_GO ? door_run(&d, remove_person) : status;
}
