#include "apps/common/report.h"

#include "apps/common/bytes.h"
#include "core/platform.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char style[] =
    "body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}"
    "body{color:#222;background:#fff}"
    "h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem}"
    "img{max-width:100%;height:auto;background:#fff;border-radius:4px}figure{margin:1rem 0}figcaption{color:#666}"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "th,td{padding:.25rem .7rem;text-align:right;border-bottom:1px solid #8884}"
    "th:first-child,td:first-child{text-align:left}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}figcaption{color:#aaa}}";

char *base64(const unsigned char *bytes, size_t count)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = count < SIZE_MAX / 2 ? malloc(count / 3 * 4 + 5) : NULL, *at = text;
    for (size_t i = 0; text && i < count; i += 3) {
        const size_t some = count - i < 3 ? count - i : 3;
        const unsigned long word = (unsigned long)bytes[i] << 16 | (some > 1 ? (unsigned long)bytes[i + 1] << 8 : 0) |
                                   (some > 2 ? bytes[i + 2] : 0);
        for (size_t k = 0; k < 4; k++) *at++ = k <= some ? digits[word >> (18 - 6 * k) & 63] : '=';
    }
    if (text) *at = '\0';
    return text;
}

static void escaped(FILE *file, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '&': fputs("&amp;", file); break;
        case '<': fputs("&lt;", file); break;
        case '>': fputs("&gt;", file); break;
        case '"': fputs("&quot;", file); break;
        default: putc(*text, file);
        }
    }
}

static void element(report *r, const char *name, const char *text)
{
    fprintf(r->file, "<%s>", name);
    escaped(r->file, text);
    fprintf(r->file, "</%s>\n", name);
}

bool report_open(report *r, const char *path, const char *title, app_error *error)
{
    *r = (report){.file = NULL};
    if ((size_t)snprintf(r->path, sizeof r->path, "%s", path) >= sizeof r->path)
        return app_fail(error, "%.60s...: the name is too long", path);
    snprintf(r->temporary, sizeof r->temporary, "%s.%lu.tmp", path, tsr_platform_process());
    errno = 0;
    r->file = fopen(r->temporary, "wb");
    if (!r->file) return app_fail(error, "%s: cannot be written (%s)", path, strerror(errno));
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>", r->file);
    escaped(r->file, title);
    fprintf(r->file, "</title>\n<style>%s</style>\n</head>\n<body>\n", style);
    element(r, "h1", title);
    return true;
}

void report_heading(report *r, const char *text)
{
    element(r, "h2", text);
}

void report_text(report *r, const char *text)
{
    element(r, "p", text);
}

void report_table(report *r, const char *const *cells, int rows, int columns)
{
    fputs("<div class=\"wide\"><table>\n", r->file);
    for (int i = 0; i < rows; i++) {
        fputs("<tr>", r->file);
        for (int k = 0; k < columns; k++) element(r, i == 0 ? "th" : "td", cells[i * columns + k]);
        fputs("</tr>\n", r->file);
    }
    fputs("</table></div>\n", r->file);
}

bool report_picture(report *r, const char *png_path, const char *caption, app_error *error)
{
    enum { MOST = 1 << 26 };
    unsigned char *bytes;
    size_t count;
    app_error missing = {""};
    if (!bytes_read(&bytes, &count, png_path, MOST, &missing)) return true;
    char *text = base64(bytes, count);
    free(bytes);
    if (!text) return app_fail(error, "%s: out of memory for %s", r->path, png_path);
    fputs("<figure><img alt=\"", r->file);
    escaped(r->file, caption);
    fprintf(r->file, "\" src=\"data:image/png;base64,%s\">", text);
    element(r, "figcaption", caption);
    fputs("</figure>\n", r->file);
    free(text);
    return true;
}

bool report_close(report *r, app_error *error)
{
    bool done = error->text[0] == '\0';
    if (!r->file) return done;
    errno = 0;
    fputs("</body>\n</html>\n", r->file);
    const bool written = !ferror(r->file) && tsr_platform_sync(r->file);
    done = fclose(r->file) == 0 && written && done && tsr_platform_replace(r->temporary, r->path);
    r->file = NULL;
    if (done) return true;
    remove(r->temporary);
    return app_fail(error, "%s: cannot be written (%s)", r->path, errno ? strerror(errno) : "no reason given");
}
