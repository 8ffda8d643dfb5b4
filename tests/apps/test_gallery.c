/* The file of known faces: what it refuses, who may change it at once, and the nearest of its rows. */
#if defined(__unix__) || defined(__APPLE__)
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#define HAS_FORK 1
#endif

#include "apps/common/gallery.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/platform.h"
#include "tests/apps/files.h"
#include "tests/test.h"

static const gallery_model model = {"net 0123", 3};

typedef struct addition {
    const char *name, *source;
    uint64_t photo;
    tsr_real value; /* of the whole row */
    int replaced;
} addition;

static bool add(gallery *g, void *user, app_error *error)
{
    addition *a = user;
    const tsr_real row[3] = {a->value, a->value, a->value};
    return gallery_add(g, &(gallery_row){a->name, a->source, a->photo, row}, &a->replaced, error);
}

static bool put(const char *path, addition a, app_error *error)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.threads = 1});
    const bool done = gallery_update(ctx, path, &model, (gallery_task){add, &a}, error);
    tsr_close(ctx);
    return done;
}

static bool refuse(gallery *g, void *user, app_error *error)
{
    (void)user;
    gallery_remove(g, 0);
    return app_fail(error, "no");
}

TEST(gallery_comes_back_from_its_file)
{
    gallery g;
    app_error error = {""};
    const char *path = test_path("gallery-again/inner/gallery");
    tsr_context *ctx = tsr_open(NULL);
    remove(path);
    CHECK(put(path, (addition){"Bob", "b.jpg", 7, 1, 0}, &error));
    CHECK(put(path, (addition){"Ann Lee", "a\n1.jpg", 7, 2, 0}, &error));
    CHECK(put(path, (addition){"Bob", "b2.jpg", 8, 3, 0}, &error));
    CHECK(put(path, (addition){"Bob", "b3.jpg", 7, 4, 0}, &error)); /* the first again */
    CHECK(gallery_read(&g, ctx, path, &model, &error));
    CHECK_EQUAL(g.people.count, 2);
    CHECK_EQUAL(g.count, 3);
    CHECK_TEXT(g.people.names[0], "Bob");
    CHECK_TEXT(g.people.names[1], "Ann Lee");
    CHECK_TEXT(g.sources.names[1], "a?1.jpg");
    CHECK(g.persons[0] == 0 && g.persons[1] == 1 && g.persons[2] == 0);
    CHECK(g.rows[0] == 4 && g.rows[3] == 2 && g.rows[8] == 3);
    CHECK(isnan(g.limit.threshold));
    CHECK_EQUAL(gallery_rows_of(&g, 0), 2);
    gallery_remove(&g, 0);
    CHECK(g.count == 1 && g.people.count == 1 && g.sources.count == 1 && g.persons[0] == 0 && g.rows[0] == 2);
    CHECK(gallery_find(&g, "Bob") == -1 && gallery_find(&g, "Ann Lee") == 0);
    gallery_free(&g);
    tsr_close(ctx);
}

TEST(gallery_refuses_other_models_and_names_that_are_none)
{
    gallery g;
    app_error errors[5] = {{""}, {""}, {""}, {""}, {""}};
    const char *path = test_path("gallery-other");
    tsr_context *ctx = tsr_open(NULL);
    remove(path);
    CHECK(!gallery_read(&g, ctx, path, &model, &errors[0]));
    CHECK_CONTAINS(errors[0].text, "cannot be opened");
    CHECK(!gallery_update(ctx, path, NULL, (gallery_task){refuse, NULL}, &errors[4]));
    CHECK_CONTAINS(errors[4].text, "there is no gallery");
    CHECK(put(path, (addition){"Bob", "b.jpg", 7, 1, 0}, &errors[1]));
    CHECK(!gallery_read(&g, ctx, path, &(gallery_model){"net 9999", 3}, &errors[1]));
    CHECK_CONTAINS(errors[1].text, "holds faces as \"net 0123\" sees them, and this model is \"net 9999\"");
    CHECK(!put(path, (addition){"B\tob", "b.jpg", 7, 1, 0}, &errors[2]));
    CHECK_CONTAINS(errors[2].text, "is no name");
    CHECK(!put(path, (addition){"Bob", "b.jpg", 9, (tsr_real)NAN, 0}, &errors[3]));
    CHECK_CONTAINS(errors[3].text, "b.jpg: the model makes no numbers of it");
    tsr_close(ctx);
}

TEST(gallery_finds_all_damage_and_a_failed_change_leaves_the_file)
{
    unsigned char bytes[600], after[600];
    gallery g;
    app_error error = {""}, no = {""};
    const char *path = test_path("gallery-damage"), *broken = test_path("gallery-broken");
    tsr_context *ctx = tsr_open(NULL);
    remove(path);
    CHECK(put(path, (addition){"Ann", "a.jpg", 1, 1, 0}, &error));
    CHECK(put(path, (addition){"Bob", "b.jpg", 2, 2, 0}, &error));
    const size_t size = read_bytes(path, bytes, sizeof bytes);
    CHECK(size > 100 && size < sizeof bytes - 1);
    for (size_t cut = 0; cut < size; cut++) {
        app_error problem = {""};
        CHECK(write_bytes(broken, bytes, cut));
        CHECK(!gallery_read(&g, ctx, broken, &model, &problem) && problem.text[0]);
    }
    for (size_t at = 0; at < size; at++) {
        app_error problem = {""};
        bytes[at] ^= 0x10;
        CHECK(write_bytes(broken, bytes, size));
        CHECK(!gallery_read(&g, ctx, broken, &model, &problem) && problem.text[0]);
        bytes[at] ^= 0x10;
    }
    CHECK(write_bytes(broken, bytes, size + 1));
    CHECK(!gallery_read(&g, ctx, broken, &model, &error));
    CHECK(!gallery_update(ctx, path, &model, (gallery_task){refuse, NULL}, &no));
    CHECK_TEXT(no.text, "no");
    CHECK(read_bytes(path, after, sizeof after) == size && memcmp(bytes, after, size) == 0);
    tsr_close(ctx);
}

#ifdef HAS_FORK
enum { EACH = 40 };

/* A child's work: adds people of its own, one change each. */
static void add_many(const char *path, int child)
{
    bool done = true;
    for (int i = 0; done && i < EACH; i++) {
        char name[32];
        app_error error = {""};
        snprintf(name, sizeof name, "%d-%d", child, i);
        done = put(path, (addition){name, "x.jpg", (uint64_t)i, (tsr_real)i, 0}, &error);
    }
    _exit(!done);
}

static bool wait_and_die(gallery *g, void *user, app_error *error)
{
    (void)g;
    (void)error;
    if (write(*(int *)user, "", 1) == 1)
        for (;;) pause();
    return false;
}
#endif

TEST(gallery_loses_nothing_between_two_processes)
{
#ifdef HAS_FORK
    gallery g;
    app_error error = {""};
    const char *path = test_path("gallery-two");
    tsr_context *ctx = tsr_open(NULL);
    pid_t children[2];
    int status = 0;
    remove(path);
    for (int child = 0; child < 2; child++) {
        children[child] = fork();
        CHECK(children[child] >= 0);
        if (children[child] == 0) add_many(path, child);
    }
    for (int child = 0; child < 2; child++) CHECK(waitpid(children[child], &status, 0) > 0 && status == 0);
    CHECK(gallery_read(&g, ctx, path, &model, &error));
    CHECK_EQUAL(g.count, 2 * EACH);
    gallery_free(&g);
    tsr_close(ctx);
#else
    test_skip("there is no fork");
#endif
}

TEST(gallery_is_unlocked_when_who_locked_it_is_killed)
{
#ifdef HAS_FORK
    gallery g;
    app_error error = {""};
    char byte;
    int ends[2];
    const char *path = test_path("gallery-killed");
    tsr_context *ctx = tsr_open(&(tsr_options){.threads = 1});
    remove(path);
    CHECK(put(path, (addition){"Ann", "a.jpg", 1, 1, 0}, &error));
    CHECK(pipe(ends) == 0);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) _exit(!gallery_update(ctx, path, &model, (gallery_task){wait_and_die, &ends[1]}, &error));
    CHECK(read(ends[0], &byte, 1) == 1); /* it holds the lock */
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(ends[0]);
    close(ends[1]);
    CHECK(put(path, (addition){"Bob", "b.jpg", 2, 2, 0}, &error));
    CHECK(gallery_read(&g, ctx, path, &model, &error));
    CHECK_EQUAL(g.count, 2);
    gallery_free(&g);
    tsr_close(ctx);
#else
    test_skip("there is no fork");
#endif
}

/* ---- the nearest ------------------------------------------------------------------------------------------------- */

enum { ROWS = 9000, PEOPLE = 37, LENGTH = 19, TOP = 5 };

/* Rows of whole numbers, of which many are equally near. */
static bool make_rows(gallery *g, app_error *error)
{
    uint32_t state = 1;
    tsr_real row[LENGTH];
    if (!gallery_new(g, &(gallery_model){"net", LENGTH}, error)) return false;
    g->persons = malloc(ROWS * sizeof *g->persons);
    g->rows = malloc(ROWS * sizeof row);
    for (int i = 0; g->persons && g->rows && i < ROWS; i++) {
        for (int k = 0; k < LENGTH; k++) {
            state = state * 1664525 + 1013904223;
            g->rows[i * LENGTH + k] = (tsr_real)(state >> 30);
        }
        g->persons[i] = (int)(state >> 8) % PEOPLE;
    }
    g->count = ROWS;
    return g->persons && g->rows;
}

/* The nearest row of each person, and of these the nearest, one after the other. */
static void search(gallery_hit *out, const gallery *g, const gallery_query *q)
{
    bool taken[PEOPLE] = {false};
    for (int n = 0; n < q->top; n++) {
        out[n].distance = INFINITY;
        for (int i = 0; i < g->count; i++) {
            const double d = q->distance(g->rows + i * LENGTH, q->row, LENGTH);
            if (!taken[g->persons[i]] && d < out[n].distance) out[n] = (gallery_hit){d, i, g->persons[i]};
        }
        taken[out[n].person] = true;
    }
}

TEST(gallery_scan_finds_what_a_search_finds_with_any_threads)
{
    const row_distance distances[] = {squared_distance, cosine_distance};
    tsr_real row[LENGTH];
    gallery g;
    app_error error = {""};
    CHECK(make_rows(&g, &error));
    for (int k = 0; k < LENGTH; k++) row[k] = (tsr_real)(k % 4);
    for (int t = 1; t <= 3; t++)
        for (int kind = 0; kind < 2; kind++) {
            const gallery_query query = {row, distances[kind], TOP};
            gallery_hit found[TOP], expected[TOP];
            tsr_context *ctx = tsr_open(&(tsr_options){.threads = t});
            CHECK_EQUAL(gallery_scan(found, &g, ctx, &query), TOP);
            search(expected, &g, &query);
            for (int i = 0; i < TOP; i++) {
                CHECK_EQUAL(found[i].row, expected[i].row);
                CHECK_EQUAL(found[i].person, expected[i].person);
                CHECK_EQUAL(found[i].distance, expected[i].distance);
            }
            tsr_close(ctx);
        }
    gallery_free(&g);
}

TEST(gallery_scan_answers_as_many_people_as_there_are)
{
    tsr_real rows[] = {5, 1, 1, 3}, row[] = {0};
    int persons[] = {0, 1, 0, 1};
    gallery_hit found[9];
    const gallery g = {.length = 1, .count = 4, .persons = persons, .rows = rows}, empty = {.length = 1};
    tsr_context *ctx = tsr_open(NULL);
    CHECK_EQUAL(gallery_scan(found, &g, ctx, &(gallery_query){row, squared_distance, 9}), 2);
    CHECK(found[0].row == 1 && found[1].row == 2);
    CHECK_EQUAL(gallery_scan(found, &empty, ctx, &(gallery_query){row, squared_distance, 9}), 0);
    tsr_close(ctx);
}
