/* Faces found in all pictures of a set. Pictures are shared out among the threads, and each thread has nets of its own:
 * these are too small to be worth sharing. */
#include "apps/common/portraits.h"

#include "apps/common/progress.h"
#include "core/parallel.h"

#include <stdlib.h>

enum { CHUNK = 64 /* pictures between two reports of progress */ };

typedef struct searcher {
    tsr_context *ctx; /* of one thread */
    face_finder finder;
} searcher;

typedef struct search {
    tsr_context *ctx;    /* whose threads search */
    searcher *searchers; /* one for each of them */
    char *const *paths;
    struct outcome {
        bool looked;     /* false: the picture cannot be read, which will be reported when it is opened */
        landmarks face;  /* of the main face; count 0: none */
        app_error error;
    } outcomes[CHUNK];
} search;

static void search_one(struct outcome *out, const face_finder *finder, const char *path)
{
    image whole = {0};
    found_faces found = {0};
    app_error unread = {""};
    *out = (struct outcome){.looked = image_read(&whole, path, NULL, &unread)};
    if (out->looked && finder_find(&found, finder, &whole, &out->error)) {
        const found_face *face = found_main(&found, &whole);
        if (face) out->face = face->five;
    }
    found_faces_free(&found);
    image_free(&whole);
}

static void search_some(void *user, int64_t begin, int64_t end)
{
    search *s = user;
    const searcher *own = &s->searchers[tsr_parallel_slot(s->ctx)];
    for (int64_t i = begin; i < end; i++) search_one(&s->outcomes[i], &own->finder, s->paths[i]);
}

static bool search_all(search *s, portraits *p, app_error *error)
{
    progress bar;
    const int count = p->persons.picture_count;
    progress_start(&bar, "find faces", "pictures", 0, count);
    for (int first = 0; first < count && !error->text[0]; first += CHUNK) {
        const int some = count - first < CHUNK ? count - first : CHUNK;
        s->paths = p->persons.paths + first;
        tsr_parallel(s->ctx, some, 1, search_some, s);
        for (int i = 0; i < some; i++) {
            const struct outcome *o = &s->outcomes[i];
            if (o->error.text[0]) app_fail(error, "%s: %s", s->paths[i], o->error.text);
            p->without_face += o->looked && o->face.count == 0;
            if (o->face.count > 0 && !landmarks_add(&p->faces, &o->face, s->paths[i])) app_fail(error, "out of memory");
        }
        progress_show(&bar, first + some, NULL);
    }
    progress_end(&bar);
    landmarks_sort(&p->faces);
    return error->text[0] == '\0';
}

bool portraits_find(portraits *p, app_error *error)
{
    const int threads = tsr_threads(p->pictures.ctx);
    search *s = calloc(1, sizeof *s);
    searcher *searchers = calloc((size_t)threads, sizeof *searchers);
    bool done = (s && searchers) || app_fail(error, "out of memory");
    for (int i = 0; done && i < threads; i++) {
        searchers[i].ctx = tsr_open(&(tsr_options){.threads = 1});
        done = portraits_finder(&searchers[i].finder, searchers[i].ctx, &p->request, error);
    }
    if (done) {
        s->ctx = p->pictures.ctx;
        s->searchers = searchers;
        done = search_all(s, p, error);
    }
    for (int i = 0; searchers && i < threads; i++) tsr_close(searchers[i].ctx);
    free(searchers);
    free(s);
    return done;
}
