/* What the tests of the programs' files share. */
#ifndef TESSERA_TESTS_APPS_FILES_H
#define TESSERA_TESTS_APPS_FILES_H

#include "apps/common/folder.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static inline bool write_bytes(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    if (!file) return false;
    const bool done = fwrite(bytes, 1, size, file) == size;
    return fclose(file) == 0 && done;
}

static inline bool write_text(const char *path, const char *text)
{
    return write_bytes(path, text, strlen(text));
}

/* A file in a folder of `root`, which is made. */
static inline bool add_file(const char *root, const char *folder, const char *file, const char *text)
{
    app_error error = {""};
    char inside[300], path[400];
    snprintf(inside, sizeof inside, "%.200s/%.50s", root, folder);
    snprintf(path, sizeof path, "%s/%.50s", inside, file);
    return folder_make(inside, &error) && write_text(path, text);
}

/* The number of bytes read, at most `room`. */
static inline size_t read_bytes(const char *path, void *bytes, size_t room)
{
    FILE *file = fopen(path, "rb");
    if (!file) return 0;
    const size_t size = fread(bytes, 1, room, file);
    fclose(file);
    return size;
}

/* The file as text, cut off at `room`; "" where there is none. */
static inline const char *read_text(const char *path, char *text, size_t room)
{
    text[read_bytes(path, text, room - 1)] = '\0';
    return text;
}

#endif
