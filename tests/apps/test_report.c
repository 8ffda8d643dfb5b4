/* Reports that browsers read. */
#include "apps/common/report.h"

#include <stdlib.h>
#include <string.h>

#include "apps/common/image.h"
#include "tests/apps/files.h"
#include "tests/test.h"

/* RFC 4648, section 10. */
TEST(report_base64_meets_the_test_vectors)
{
    static const char *const vectors[][2] = {{"", ""},         {"f", "Zg=="},        {"fo", "Zm8="},
                                             {"foo", "Zm9v"},  {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="},
                                             {"foobar", "Zm9vYmFy"}};
    for (int i = 0; i < 7; i++) {
        char *text = base64((const unsigned char *)vectors[i][0], strlen(vectors[i][0]));
        CHECK(text != NULL);
        const bool right = strcmp(text, vectors[i][1]) == 0;
        free(text);
        CHECK(right);
    }
    char *high = base64((const unsigned char[]){0xfb, 0xff, 0xbf}, 3);
    const bool right = high && strcmp(high, "+/+/") == 0;
    free(high);
    CHECK(right);
}

/* Whether every element that is opened is closed, in order (void elements and the doctype apart), and what looks like
 * markup is: each '&' begins a reference, and nothing but tab and line feed is a control character. */
static bool is_sound(const char *html)
{
    for (const char *at = html; *at; at++)
        if ((*at == '&' && strspn(at + 1, "abcdefghijklmnopqrstuvwxyz#0123456789xFD") != strcspn(at + 1, ";")) ||
            ((unsigned char)*at < ' ' && *at != '\t' && *at != '\n'))
            return false;
    char open[32][16];
    int depth = 0;
    for (const char *at = html; (at = strchr(at, '<')) != NULL; at++) {
        char name[16] = "";
        const bool closes = at[1] == '/';
        sscanf(at + 1 + closes, "%15[A-Za-z0-9!]", name);
        if (name[0] == '!' || strcmp(name, "meta") == 0 || strcmp(name, "img") == 0) continue;
        if (closes && (depth == 0 || strcmp(open[--depth], name) != 0)) return false;
        if (!closes && depth == 32) return false;
        if (!closes) strcpy(open[depth++], name);
    }
    return depth == 0;
}

static int digit(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Bit by bit, unlike the encoder; the number of bytes. */
static size_t decode64(const char *text, unsigned char *out)
{
    size_t bits = 0;
    for (; digit(*text) >= 0; text++)
        for (int k = 5; k >= 0; k--, bits++) {
            if (bits % 8 == 0) out[bits / 8] = 0;
            out[bits / 8] |= (unsigned char)((digit(*text) >> k & 1) << (7 - bits % 8));
        }
    return bits / 8;
}

static bool write_dot(const char *png, int width, int height)
{
    image dot;
    app_error error = {""};
    if (!image_new(&dot, width, height, 1, &error)) return false;
    const bool written = image_write(&dot, png, &error);
    image_free(&dot);
    return written;
}

TEST(report_is_one_file_of_nested_elements_with_its_text_escaped)
{
    char path[256], png[256], text[16384];
    unsigned char bytes[1024], shown[1024];
    app_error error = {""};
    report page;
    snprintf(path, sizeof path, "%s", test_path("report.html"));
    snprintf(png, sizeof png, "%s", test_path("report.png"));
    CHECK(write_dot(png, 7, 5) && report_open(&page, path, "a < b & \"c\"", &error));
    report_heading(&page, "one <b>");
    report_text(&page, "x & y's");
    report_table(&page, (const char *const[]){"name", "value", "AUC", "0.9 > 0.8"}, 2, 2);
    CHECK(report_picture(&page, png, "a \"dot\"", &error));
    CHECK(report_picture(&page, "build/test-tmp/no such.png", "nothing", &error));
    CHECK(report_close(&page, &error));
    read_text(path, text, sizeof text);
    CHECK_CONTAINS(text, "<title>a &lt; b &amp; &quot;c&quot;</title>");
    CHECK_CONTAINS(text, "<h2>one &lt;b&gt;</h2>");
    CHECK_CONTAINS(text, "<p>x &amp; y&#39;s</p>");
    CHECK_CONTAINS(text, "<td>0.9 &gt; 0.8</td>");
    CHECK_CONTAINS(text, "<img alt=\"a &quot;dot&quot;\" width=\"7\" height=\"5\" src=\"data:image/png;base64,iVBOR");
    CHECK(!strstr(text, "nothing") && !strstr(text, "http") && !strstr(text, "<script"));
    CHECK(is_sound(text));
    const size_t size = read_bytes(png, bytes, sizeof bytes), same = decode64(strstr(text, "base64,") + 7, shown);
    CHECK_EQUAL(same, size);
    CHECK(memcmp(shown, bytes, size) == 0);
}

/* Names of files may hold any byte. */
TEST(report_shows_what_is_no_text_as_a_sign_for_it)
{
    static const char *const cases[][2] = {
        {"J\xC3\xB6rg \xE2\x82\xAC \xF0\x9F\x98\x80", "<p>J\xC3\xB6rg \xE2\x82\xAC \xF0\x9F\x98\x80</p>"},
        {"a\x01\x7F" "b\n", "<p>a&#xFFFD;&#xFFFD;b\n</p>"},
        {"J\xF6rg", "<p>J&#xFFFD;rg</p>"},                               /* Latin-1 */
        {"\xC3", "<p>&#xFFFD;</p>"},                                     /* cut off */
        {"\xC0\xBC", "<p>&#xFFFD;&#xFFFD;</p>"},                         /* '<', too long */
        {"\xED\xA0\x80", "<p>&#xFFFD;&#xFFFD;&#xFFFD;</p>"},             /* half of a pair of UTF-16 */
        {"\xF4\x90\x80\x80", "<p>&#xFFFD;&#xFFFD;&#xFFFD;&#xFFFD;</p>"}, /* beyond Unicode */
        {"\xE2\x82<", "<p>&#xFFFD;&#xFFFD;&lt;</p>"}};
    char path[256], text[8192];
    app_error error = {""};
    snprintf(path, sizeof path, "%s", test_path("report-bytes.html"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        report page;
        CHECK(report_open(&page, path, "bytes", &error));
        report_text(&page, cases[i][0]);
        CHECK(report_close(&page, &error));
        CHECK_CONTAINS(read_text(path, text, sizeof text), cases[i][1]);
        CHECK(is_sound(text));
    }
}

TEST(report_that_fails_leaves_the_older_one)
{
    char path[256], text[64];
    app_error error = {""}, failed = {""}, nowhere = {""};
    report page;
    snprintf(path, sizeof path, "%s", test_path("report-kept.html"));
    CHECK(write_text(path, "older"));
    CHECK(report_open(&page, path, "new", &error));
    app_fail(&failed, "something before");
    CHECK(!report_close(&page, &failed));
    CHECK_TEXT(read_text(path, text, sizeof text), "older");
    CHECK(!report_open(&page, "build/test-tmp/no such folder/report.html", "t", &nowhere));
    CHECK_CONTAINS(nowhere.text, "build/test-tmp/no such folder/report.html: cannot be written");
}
