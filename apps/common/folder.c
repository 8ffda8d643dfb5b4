#define _POSIX_C_SOURCE 200809L

#include "apps/common/folder.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#ifdef _WIN32
#include <direct.h>
#define mkdir(path, mode) _mkdir(path)
#endif

bool name_list_add(name_list *list, const char *name)
{
    if ((list->count & (list->count - 1)) == 0) { /* 0 or a power of two: full */
        if (list->count > INT_MAX / 2) return false;
        const size_t room = list->count ? 2 * (size_t)list->count : 1;
        char **names = realloc(list->names, room * sizeof *names);
        if (!names) return false;
        list->names = names;
    }
    char *copy = malloc(strlen(name) + 1);
    if (!copy) return false;
    list->names[list->count++] = strcpy(copy, name);
    return true;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void name_list_sort(name_list *list)
{
    if (list->count > 0) qsort(list->names, (size_t)list->count, sizeof *list->names, compare_names);
}

bool name_list_has(const name_list *sorted, const char *name)
{
    return sorted->count > 0 &&
           bsearch(&name, sorted->names, (size_t)sorted->count, sizeof *sorted->names, compare_names);
}

bool folder_list(name_list *list, const char *path, app_error *error)
{
    *list = (name_list){0};
    DIR *folder = opendir(path);
    if (!folder) return app_fail(error, "%s: cannot be listed (%s)", path, strerror(errno));
    bool done = true;
    for (const struct dirent *entry; done && (errno = 0, entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.' && !name_list_add(list, entry->d_name))
            done = app_fail(error, "%s: out of memory", path);
    if (done && errno != 0) done = app_fail(error, "%s: cannot be listed (%s)", path, strerror(errno));
    closedir(folder);
    name_list_sort(list);
    if (!done) name_list_free(list);
    return done;
}

void name_list_free(name_list *list)
{
    for (int i = 0; i < list->count; i++) free(list->names[i]);
    free(list->names);
    *list = (name_list){0};
}

bool is_folder(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

bool is_missing(const char *path)
{
    struct stat there;
    return stat(path, &there) != 0 && errno == ENOENT;
}

bool is_plain_file(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISREG(about.st_mode);
}

bool is_same_folder(const char *a, const char *b)
{
#ifdef _WIN32 /* files have no numbers */
    char one[_MAX_PATH], other[_MAX_PATH];
    return _fullpath(one, a, sizeof one) && _fullpath(other, b, sizeof other) && _stricmp(one, other) == 0;
#else
    struct stat one, other;
    return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
#endif
}

bool in_folder(char *room, size_t bytes, const char *folder, const char *name, app_error *error)
{
    return (size_t)snprintf(room, bytes, "%s/%s", folder, name) < bytes ||
           app_fail(error, "%.200s/%s: the name is too long", folder, name);
}

bool folder_make(const char *path, app_error *error)
{
    char *part = malloc(strlen(path) + 1);
    if (!part) return app_fail(error, "%s: out of memory", path);
    strcpy(part, path);
    int reason = 0;
    for (char *end = part; end;) {
        end = strchr(end + 1, '/');
        if (end) *end = '\0';
        reason = mkdir(part, 0777) == 0 ? 0 : errno; /* a failure further up shows in the last one, too */
        if (end) *end = '/';
    }
    free(part);
    return reason == 0 || is_folder(path) ||
           app_fail(error, "%s: cannot be made (%s)", path, strerror(reason));
}
