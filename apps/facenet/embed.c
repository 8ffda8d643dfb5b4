/* facenet embed: the embeddings of pictures, for other programs. */
#include "apps/facenet/facenet.h"

#include "apps/common/command.h"
#include "core/files.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef struct embed_options {
    portraits_request faces;
    const char *model, *out;
    bool flip;
    int threads;
} embed_options;

static int parse(embed_options *o, int count, char **arguments)
{
    const option own[] = {
        {"model", OPTION_TEXT, &o->model, "what facenet train has made", "FILE", 0, 0, NULL},
        {"flip", OPTION_FLAG, &o->flip, "average the embeddings of a picture and its mirror image", NULL, 0, 0, NULL},
        {"threads", OPTION_INT, &o->threads, "0: all; changes no result", "N", 0, 1024, NULL},
        {"out", OPTION_TEXT, &o->out, "folder for embeddings.npy and embeddings.csv", "DIR", 0, 0, NULL},
    };
    command c = {.program = "facenet", .verb = "embed",
                 .summary = "Writes the embeddings of all pictures: an array [pictures, numbers], and a table."};
    return portraits_start(&c, &o->faces, own, (int)(sizeof own / sizeof *own), count, arguments);
}

/* In quotes, those within doubled, where a reader would take it for something else. */
static void write_field(FILE *file, const char *text)
{
    const bool quoted = strpbrk(text, ",\"\r\n") != NULL;
    if (quoted) fputc('"', file);
    for (; *text; text++) {
        if (*text == '"') fputc('"', file);
        fputc(*text, file);
    }
    if (quoted) fputc('"', file);
}

/* A line for each picture: path, person, and the numbers, with all their digits. */
static bool write_table(const portraits *faces, const tsr_real *rows, int length, const char *path, app_error *error)
{
    const pictures *set = &faces->pictures;
    const people *persons = &faces->persons;
    errno = 0;
    FILE *file = fopen(path, "w");
    if (!file) return app_fail(error, "%s: cannot be written (%s)", path, strerror(errno));
    fputs("path,person", file);
    for (int k = 0; k < length; k++) fprintf(file, ",e%d", k);
    fputc('\n', file);
    for (int i = 0; i < set->count; i++) {
        const int who = set->labels[i];
        if (persons->count == 0) fprintf(file, "%d/%d,%d", who, i % faces->request.per_person, who); /* drawn */
        else {
            write_field(file, persons->paths[i]);
            fputc(',', file);
            write_field(file, persons->persons[who].name);
        }
        for (int k = 0; k < length; k++) fprintf(file, ",%.9g", (double)rows[(ptrdiff_t)i * length + k]);
        fputc('\n', file);
    }
    const bool failed = ferror(file) != 0;
    return (fclose(file) == 0 && !failed) || app_fail(error, "%s: cannot be written (%s)", path, strerror(errno));
}

static bool embed_all(tsr_model *m, const face_view *view, const embed_options *o, app_error *error)
{
    tsr_context *ctx = tsr_model_context(m);
    portraits faces;
    char array[1024], table[1024];
    if (!in_folder(array, sizeof array, o->out, "embeddings.npy", error) ||
        !in_folder(table, sizeof table, o->out, "embeddings.csv", error) ||
        !view_open_faces(view, &faces, ctx, &o->faces, error))
        return false;
    portraits_tell(&faces, "facenet embed");
    const int count = faces.pictures.count, length = view->form.embedding;
    tsr_real *rows = malloc((size_t)count * (size_t)length * sizeof *rows);
    bool done = (rows || app_fail(error, "out of memory for %d embeddings", count)) &&
                net_embed(m, &faces.pictures, (net_range){.count = count, .flip = o->flip}, rows, error) &&
                folder_make(o->out, error);
    if (done && !(tsr_check_claimed(m) && tsr_npy_save(tsr_values(ctx, TSR_SHAPE(count, length), rows), array)))
        done = app_fail(error, "%s", tsr_error(ctx));
    done = done && write_table(&faces, rows, length, table, error);
    if (done) printf("embeddings: %s pictures=%d numbers=%d\n", array, count, length);
    free(rows);
    portraits_close(&faces);
    return done;
}

int facenet_embed(int count, char **arguments)
{
    embed_options o = {.faces = {.per_person = 8, .cache_mb = 2048, .held_out = true},
                       .model = "out/model.safetensors", .out = "out"};
    const int status = parse(&o, count, arguments);
    if (status != COMMAND_GO) return status;
    if (!o.faces.who.data && o.faces.who.limit == 0) o.faces.who.limit = 200;
    app_error error = {""};
    face_view view;
    char folder[1024];
    tsr_context *ctx = tsr_open(&(tsr_options){.threads = o.threads});
    tsr_model *m = tsr_model_new(ctx);
    bool done = m || app_fail(&error, "out of memory");
    done = done && view_open(m, o.model, &view, &error);
    if (done) view_choose(&view, &o.faces, o.model, folder);
    done = done &&
           embed_all(m, &view, &o, &error);
    tsr_close(ctx);
    if (!done) fprintf(stderr, "facenet embed: %s\n", error.text);
    return done ? 0 : 1;
}
