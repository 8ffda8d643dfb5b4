/* facenet detect: where the faces of photographs are. */
#include "apps/facenet/facenet.h"

#include "apps/common/canvas.h"

#include <math.h>
#include <string.h>

typedef struct detect_options {
    portraits_request nets; /* of it, where the two nets are */
    const char *out, *landmarks;
    int size, threads;
    double score;
} detect_options;

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* A box and five dots for each face; lines are wider in larger pictures. */
static void draw_face(image *picture, const found_face *face)
{
    const colour green = {0, 230, 80}, red = {255, 60, 60};
    const int wide = 1 + (picture->width + picture->height) / 800;
    for (int i = 0; i < wide; i++)
        canvas_frame(picture, (box){(int)face->box.left - i, (int)face->box.top - i, (int)face->box.width + 2 * i,
                                    (int)face->box.height + 2 * i}, green);
    for (int i = 0; i < face->five.count; i++)
        canvas_fill(picture, (box){(int)face->five.marks[i].x - wide, (int)face->five.marks[i].y - wide, 2 * wide + 1,
                                   2 * wide + 1}, red);
}

static bool write_boxes(const found_faces *faces, const image *photo, const char *folder, const char *path,
                        app_error *error)
{
    char name[1024];
    image picture = {0};
    if ((size_t)snprintf(name, sizeof name, "%s/%s.png", folder, name_of(path)) >= sizeof name)
        return app_fail(error, "--out: the name is too long");
    bool done = folder_make(folder, error) && image_to_rgb(&picture, photo, error);
    for (int i = 0; done && i < faces->count; i++) draw_face(&picture, &faces->items[i]);
    done = done && image_write(&picture, name, error);
    image_free(&picture);
    return done;
}

static void print_faces(const found_faces *faces, const char *path)
{
    if (faces->count == 0) printf("%s no face\n", path);
    for (int i = 0; i < faces->count; i++) {
        const face_box *b = &faces->items[i].box;
        const mark *m = faces->items[i].five.marks;
        printf("%s face=%d score=%.3f left=%.0f top=%.0f width=%.0f height=%.0f eyes=%.1f,%.1f,%.1f,%.1f\n", path,
               i + 1, b->score, b->left, b->top, b->width, b->height, m[0].x, m[0].y, m[1].x, m[1].y);
    }
}

/* A line for landmarks_read. */
static void write_marks(FILE *file, const found_faces *faces, const image *photo, const char *path)
{
    const found_face *face = found_main(faces, photo);
    if (!face) return;
    fprintf(file, "%s", path);
    for (int i = 0; i < face->five.count; i++)
        fprintf(file, "\t%.2f\t%.2f", face->five.marks[i].x, face->five.marks[i].y);
    fputc('\n', file);
}

static bool look_at(const char *path, const face_finder *finder, const detect_options *o, FILE *marks, app_error *error)
{
    image photo = {0};
    found_faces faces = {0};
    app_error problem = {""};
    if (!image_read(&photo, path, NULL, error)) return false;
    bool done = finder_find(&faces, finder, &photo, &problem);
    if (done) print_faces(&faces, path);
    if (done && marks) write_marks(marks, &faces, &photo, path);
    done = done && (!o->out || write_boxes(&faces, &photo, o->out, path, &problem));
    found_faces_free(&faces);
    image_free(&photo);
    return done || app_fail(error, "%s: %s", path, problem.text);
}

/* All photographs; those that cannot be read are named, and the others go on. */
static bool look_at_all(const command *c, const face_finder *finder, const detect_options *o, app_error *error)
{
    int failed = 0;
    FILE *marks = o->landmarks ? fopen(o->landmarks, "w") : NULL;
    if (o->landmarks && !marks) return app_fail(error, "%s: cannot be written", o->landmarks);
    for (int i = 0; i < c->rest_count; i++) {
        app_error problem = {""};
        if (look_at(c->rest[i], finder, o, marks, &problem)) continue;
        fprintf(stderr, "facenet detect: %s\n", problem.text);
        failed++;
    }
    const bool unwritten = marks && ferror(marks);
    if ((marks && fclose(marks) != 0) || unwritten) return app_fail(error, "%s: cannot be written", o->landmarks);
    return failed == 0 || app_fail(error, "%d of %d photographs failed", failed, c->rest_count);
}

int facenet_detect(int count, char **arguments)
{
    detect_options o = {.nets = {.nets = "out"}, .score = 0.5};
    const option options[] = {
        {"detector", OPTION_TEXT, &o.nets.detector, "net that finds faces; out/tiny_face_detector.safetensors", "FILE",
         0, 0, NULL},
        {"points", OPTION_TEXT, &o.nets.points, "net that finds landmarks; out/face_landmark68.safetensors", "FILE", 0,
         0, NULL},
        {"size", OPTION_INT, &o.size,
         "side of the square that the detector sees, a multiple of 32: the larger, the smaller "
         "the faces that it finds; 0: some are tried",
         "N", 0, 2048, NULL},
        {"score", OPTION_DOUBLE, &o.score, "least score of a face", "X", 0, 1, NULL},
        {"landmarks", OPTION_TEXT, &o.landmarks,
         "file for the eyes, nose and mouth of each photograph's main face, as "
         "--landmarks of other verbs reads it",
         "FILE", 0, 0, NULL},
        {"threads", OPTION_INT, &o.threads, "0: all; changes no result", "N", 0, 1024, NULL},
        {"out", OPTION_TEXT, &o.out, "folder for pictures with the faces marked", "DIR", 0, 0, NULL},
    };
    command c = {.program = "facenet",
                 .verb = "detect",
                 .summary = "Finds the faces of photographs, and their landmarks.",
                 .operands = "PHOTO...",
                 .fewest = 1,
                 .most = 1000000,
                 .options = options,
                 .option_count = (int)(sizeof options / sizeof *options)};
    const int status = command_start(&c, count, arguments);
    if (status != COMMAND_GO) return status;
    if (o.size % 32 != 0) {
        fprintf(stderr, "facenet detect: --size is a multiple of 32, not %d\n", o.size);
        return COMMAND_WRONG_USAGE;
    }
    app_error error = {""};
    face_finder finder = {0};
    tsr_context *ctx = tsr_open(&(tsr_options){.threads = o.threads});
    bool done = portraits_finder(&finder, ctx, &o.nets, &error);
    finder.size = o.size;
    finder.least_score = o.score;
    done = done && look_at_all(&c, &finder, &o, &error);
    tsr_close(ctx);
    if (!done) fprintf(stderr, "facenet detect: %s\n", error.text);
    return done ? 0 : 1;
}
