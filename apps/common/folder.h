/* Folders: with terminal.h all that the programs ask of a system beyond ISO C11 and core/platform.h. */
#ifndef TESSERA_APPS_FOLDER_H
#define TESSERA_APPS_FOLDER_H

#include "apps/common/error.h"

typedef struct name_list {
    int count;
    char **names;
} name_list;

/* The names of a folder's entries in the order of strcmp, without those that begin with a dot. */
bool folder_list(name_list *list, const char *path, app_error *error);

void name_list_free(name_list *list);

/* Makes the folder and those above it that are missing; one that is there already is fine. */
bool folder_make(const char *path, app_error *error);

bool is_folder(const char *path);

#endif
