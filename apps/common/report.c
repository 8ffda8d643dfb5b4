#include "apps/common/report.h"

#include "apps/common/bytes.h"
#include "core/platform.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Charts are drawn on white and stay so in the dark. On a narrow screen they keep a size at which their text can be
 * read, and are moved sideways. */
static const char style[] =
    "body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222;background:"
    "#fff;overflow-wrap:anywhere}h1{font-size:1.6rem;line-height:1.25}h2{font-size:1.2rem;margin-top:2.2rem}"
    "figure{margin:1.5rem 0}figcaption{color:#595959}.wide{overflow-x:auto}"
    "img{display:block;max-width:100%;height:auto;background:#fff;border-radius:4px}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "th,td{padding:.25rem .7rem;text-align:right;border-bottom:1px solid #8884;white-space:nowrap}"
    "th:first-child,td:first-child{text-align:left;padding-left:0}"
    "@media(max-width:40rem){.large{max-width:none;width:32rem}}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}figcaption{color:#aaa}img{opacity:.92}}";

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

/* Bytes of the UTF-8 character at `text`; 0 where it is none, or one that a page may not hold. */
static int character(const unsigned char *text)
{
    static const unsigned long least[] = {0, 0, 0x80, 0x800, 0x10000};
    const int bytes = *text < 0x80 ? 1 : *text >> 5 == 6 ? 2 : *text >> 4 == 14 ? 3 : *text >> 3 == 30 ? 4 : 0;
    unsigned long code = bytes == 1 ? *text : *text & (0x7Fu >> bytes);
    if (bytes == 0 || (bytes == 1 && ((code < ' ' && code != '\t' && code != '\n') || code == 0x7F))) return 0;
    for (int i = 1; i < bytes; i++) {
        if (text[i] >> 6 != 2) return 0;
        code = code << 6 | (text[i] & 0x3F);
    }
    return code >= least[bytes] && code <= 0x10FFFF && code >> 11 != 0xD800 >> 11 ? bytes : 0;
}

/* What cannot be shown, as in the name of a file, becomes U+FFFD. */
static void escaped(FILE *file, const char *text)
{
    while (*text) {
        const int bytes = character((const unsigned char *)text);
        switch (*text) {
        case '&': fputs("&amp;", file); break;
        case '<': fputs("&lt;", file); break;
        case '>': fputs("&gt;", file); break;
        case '"': fputs("&quot;", file); break;
        case '\'': fputs("&#39;", file); break;
        default:
            if (bytes > 0) fwrite(text, 1, (size_t)bytes, file);
            else fputs("&#xFFFD;", file);
        }
        text += bytes > 0 ? bytes : 1;
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
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta name=\"color-scheme\" content=\"light dark\">\n<title>", r->file);
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
    enum { MOST = 1 << 26, HEADER = 24 /* bytes to the end of its size */, LARGE = 640 };
    unsigned char *bytes;
    size_t count;
    app_error missing = {""};
    if (!bytes_read(&bytes, &count, png_path, MOST, &missing)) return true;
    const unsigned long width = count < HEADER ? 0 : bytes_big32(bytes + 16);
    const unsigned long height = count < HEADER ? 0 : bytes_big32(bytes + 20);
    char *text = base64(bytes, count);
    free(bytes);
    if (!text) return app_fail(error, "%s: out of memory for %s", r->path, png_path);
    fputs("<figure><div class=\"wide\"><img alt=\"", r->file);
    escaped(r->file, caption);
    fprintf(r->file, "\" width=\"%lu\" height=\"%lu\"%s src=\"data:image/png;base64,%s\"></div>\n", width, height,
            width >= LARGE ? " class=\"large\"" : "", text);
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
