/* Folders: with terminal.h all that the programs ask of a system beyond ISO C11 and core/platform.h. */
#ifndef TESSERA_APPS_FOLDER_H
#define TESSERA_APPS_FOLDER_H

#include "apps/common/error.h"

typedef struct name_list {
    int count;
    char **names;
} name_list;

/* Adds a copy; false without memory. */
bool name_list_add(name_list *list, const char *name);

void name_list_sort(name_list *list); /* by strcmp */
bool name_list_has(const name_list *sorted, const char *name);
void name_list_free(name_list *list);

/* The names of a folder's entries in the order of strcmp, without those that begin with a dot. */
bool folder_list(name_list *list, const char *path, app_error *error);

/* The path of a file in a folder. Fails where it does not fit into `room`. */
bool in_folder(char *room, size_t bytes, const char *folder, const char *name, app_error *error);

/* Makes the folder and those above it that are missing; one that is there already is fine. */
bool folder_make(const char *path, app_error *error);

/* Links are followed. A plain file is neither a folder nor a device or pipe, where reading might wait for ever. */
bool is_folder(const char *path);
bool is_plain_file(const char *path);

/* Whether nothing is there, as far as can be told. */
bool is_missing(const char *path);

/* Whether two paths lead to one folder. */
bool is_same_folder(const char *a, const char *b);

#endif
