#include "apps/common/lines.h"

#include <errno.h>
#include <string.h>

bool lines_open(line_file *f, const char *path, app_error *error)
{
    errno = 0;
    f->file = fopen(path, "r");
    f->path = path;
    f->number = f->field_count = 0;
    return f->file || app_fail(error, "%s: cannot be opened (%s)", path, strerror(errno));
}

bool lines_next(line_file *f, app_error *error)
{
    const int most = (int)(sizeof f->fields / sizeof *f->fields);
    if (!fgets(f->text, sizeof f->text, f->file)) {
        if (ferror(f->file)) app_fail(error, "%s: cannot be read (%s)", f->path, strerror(errno));
        return false;
    }
    f->number++;
    size_t length = strlen(f->text);
    if ((length == 0 || f->text[length - 1] != '\n') && !feof(f->file))
        return app_fail(error, "%s: line %d is too long or not text", f->path, f->number);
    while (length > 0 && strchr("\r\n", f->text[length - 1])) f->text[--length] = '\0';
    const char *separators = strchr(f->text, '\t') ? "\t" : " ";
    f->field_count = 0;
    for (char *at = strtok(f->text, separators); at && f->field_count < most; at = strtok(NULL, separators))
        f->fields[f->field_count++] = at;
    return true;
}

void lines_close(line_file *f)
{
    if (f->file) fclose(f->file);
    f->file = NULL;
}

int whole_number(const char *text)
{
    int value = 0;
    if (strlen(text) > 9) return 0;
    for (; *text >= '0' && *text <= '9'; text++) value = value * 10 + (*text - '0');
    return *text ? 0 : value;
}
