/* Files kept in a safetensors of known answers: NAME.file their bytes, NAME and another ending what they hold. */
#ifndef TESSERA_TESTS_APPS_STORED_H
#define TESSERA_TESTS_APPS_STORED_H

#include "tessera.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct stored {
    tsr_context *ctx;
    tsr_archive *archive;
    const char *ending;
    int next;
    char name[96];
    unsigned char *bytes; /* a copy without a byte to spare, so that sanitizers see reads beyond */
    size_t count;
    tsr_tensor *content;
} stored;

static inline bool stored_open(stored *s, const char *path, const char *ending)
{
    *s = (stored){.ctx = tsr_open(NULL), .ending = ending};
    s->archive = tsr_archive_open(s->ctx, path);
    return s->archive != NULL;
}

static inline void close_stored(stored *s)
{
    free(s->bytes);
    tsr_close(s->ctx);
}

/* The next file whose name begins like this; false after the last. */
static inline bool next_stored(stored *s, const char *begin)
{
    for (; s->next < tsr_archive_count(s->archive); s->next++) {
        const char *name = tsr_archive_name(s->archive, s->next), *end = strrchr(name, '.');
        if (strcmp(end, ".file") != 0 || strncmp(name, begin, strlen(begin)) != 0) continue;
        char other[96];
        snprintf(s->name, sizeof s->name, "%.*s", (int)(end - name), name);
        snprintf(other, sizeof other, "%.80s%s", s->name, s->ending);
        const tsr_tensor *file = tsr_archive_tensor(s->archive, s->next++);
        s->content = tsr_archive_tensor(s->archive, tsr_archive_find(s->archive, other));
        s->count = (size_t)tsr_size(file);
        free(s->bytes);
        s->bytes = malloc(s->count);
        for (size_t i = 0; s->bytes && i < s->count; i++) s->bytes[i] = (unsigned char)tsr_data(file)[i];
        return s->bytes && !tsr_error(s->ctx);
    }
    return false;
}

#endif
