#include "core/json.h"

#include "core/file_io.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BAD_CHARACTER = false }; /* NUL is not accepted in strings, so it is free to mean this */

tsr_json tsr_json_begin(char *text, size_t bytes)
{
    return (tsr_json){.begin = text, .at = text, .end = text + bytes};
}

static bool expect(tsr_json *json, const char *what)
{
    if (!json->expected) json->expected = what;
    return false;
}

/* Skips blanks; whether `c` comes next. */
static bool comes(tsr_json *json, char c)
{
    if (json->expected) return false;
    while (json->at < json->end &&
           (*json->at == ' ' || *json->at == '\n' || *json->at == '\r' || *json->at == '\t'))
        json->at++;
    return json->at < json->end && *json->at == c;
}

bool tsr_json_enter(tsr_json *json, char open)
{
    if (!comes(json, open)) return expect(json, open == '{' ? "'{'" : "'['");
    json->at++;
    json->fresh = true;
    return true;
}

bool tsr_json_more(tsr_json *json, char close)
{
    const bool fresh = json->fresh;
    json->fresh = false;
    if (comes(json, close)) {
        json->at++;
        return false;
    }
    if (json->expected) return false;
    if (fresh) return true;
    if (!comes(json, ',')) return expect(json, close == '}' ? "',' or '}'" : "',' or ']'");
    json->at++;
    return true;
}

/* ---- strings ------------------------------------------------------------------------------------------- */

static uint32_t read_hex4(tsr_json *json)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        const char c = json->at < json->end ? *json->at : '\0';
        uint32_t digit;
        if (c >= '0' && c <= '9') digit = (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f') digit = (uint32_t)(c - 'a' + 10);
        else if (c >= 'A' && c <= 'F') digit = (uint32_t)(c - 'A' + 10);
        else return expect(json, "four hexadecimal digits");
        value = value * 16 + digit;
        json->at++;
    }
    return value;
}

/* What follows a backslash. */
static uint32_t read_escape(tsr_json *json)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    const char c = json->at < json->end ? *json->at : '\0';
    for (int i = 0; letters[i]; i++)
        if (c == letters[i]) {
            json->at++;
            return (unsigned char)meanings[i];
        }
    if (c != 'u') return expect(json, "an escape that JSON knows");
    json->at++;
    uint32_t code = read_hex4(json);
    if (code >= 0xD800 && code < 0xDC00) { /* the first half of a character beyond 16 bits */
        uint32_t low = 0;
        if (json->end - json->at >= 2 && json->at[0] == '\\' && json->at[1] == 'u') {
            json->at += 2;
            low = read_hex4(json);
        }
        const bool pair = low >= 0xDC00 && low < 0xE000;
        code = pair ? 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00) : BAD_CHARACTER;
    } else if (code >= 0xDC00 && code < 0xE000) {
        code = BAD_CHARACTER;
    }
    return code != BAD_CHARACTER ? code : expect(json, "an escape of a character other than NUL");
}

static uint32_t read_utf8(tsr_json *json)
{
    const unsigned char lead = (unsigned char)*json->at;
    /* bytes of a character by the upper half of its first; the least code of a character of so many bytes */
    static const int lengths[16] = {1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 2, 2, 3, 4};
    static const uint32_t smallest[] = {0, 0x20, 0x80, 0x800, 0x10000};
    const int length = lengths[lead >> 4];
    uint32_t code = lead & (0xFFu >> length);
    bool valid = length > 0 && json->end - json->at >= length;
    for (int i = 1; valid && i < length; i++) {
        const unsigned char next = (unsigned char)json->at[i];
        valid = (next & 0xC0) == 0x80;
        code = code << 6 | (next & 0x3F);
    }
    if (!valid || code < smallest[length] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
        return expect(json, lead < 0x20 ? "no control character inside a string" : "valid UTF-8");
    json->at += length;
    return code;
}

static char *put_utf8(char *to, uint32_t code)
{
    if (code < 0x80) {
        *to++ = (char)code;
        return to;
    }
    const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3; /* bytes after the first */
    *to++ = (char)((0xF00u >> (more + 1) & 0xFF) | code >> 6 * more);
    for (int i = more - 1; i >= 0; i--) *to++ = (char)(0x80 | (code >> 6 * i & 0x3F));
    return to;
}

const char *tsr_json_string(tsr_json *json)
{
    if (!comes(json, '"')) {
        expect(json, "a string");
        return NULL;
    }
    char *const begin = ++json->at, *to = begin;
    while (json->at < json->end && *json->at != '"') {
        uint32_t code;
        if (*json->at == '\\') {
            json->at++;
            code = read_escape(json);
        } else {
            code = read_utf8(json);
        }
        if (json->expected) return NULL;
        to = put_utf8(to, code); /* never longer than what it was read from */
    }
    if (json->at == json->end) {
        expect(json, "the end of a string");
        return NULL;
    }
    json->at++;
    *to = '\0';
    return begin;
}

const char *tsr_json_key(tsr_json *json)
{
    const char *key = tsr_json_string(json);
    if (key && !comes(json, ':')) {
        expect(json, "':'");
        return NULL;
    }
    if (key) json->at++;
    return key;
}

/* ---- numbers and the end ------------------------------------------------------------------------------- */

bool tsr_json_count(tsr_json *json, int64_t *value)
{
    const bool zero = comes(json, '0');
    const char *at = json->at;
    if (json->expected || !tsr_read_digits(&at, json->end, value) || (zero && at != json->at + 1) ||
        (at < json->end && (*at == '.' || *at == 'e' || *at == 'E')))
        return expect(json, "a whole number from 0 to 2^63 - 1");
    json->at += at - json->at;
    return true;
}

static size_t digits_at(const char *text)
{
    return strspn(text, "0123456789");
}

/* How much of the text is a number as JSON writes it; 0: nothing. */
static size_t number_length(const char *text)
{
    size_t i = text[0] == '-', digits = digits_at(text + i);
    if (digits == 0 || (digits > 1 && text[i] == '0')) return 0;
    i += digits;
    if (text[i] == '.') {
        digits = digits_at(text + i + 1);
        if (digits == 0) return 0;
        i += 1 + digits;
    }
    if (text[i] == 'e' || text[i] == 'E') {
        const size_t sign = text[i + 1] == '-' || text[i + 1] == '+';
        digits = digits_at(text + i + 1 + sign);
        if (digits == 0) return 0;
        i += 1 + sign + digits;
    }
    return i;
}

bool tsr_json_number(tsr_json *json, double *value)
{
    char text[100] = "";
    comes(json, '-');
    if (json->expected) return false;
    const size_t left = (size_t)(json->end - json->at);
    memcpy(text, json->at, left < sizeof text - 1 ? left : sizeof text - 1);
    const size_t length = number_length(text);
    text[length] = '\0';
    char *point = strchr(text, '.');
    if (point) *point = localeconv()->decimal_point[0]; /* as strtod wants it */
    *value = strtod(text, NULL);
    if (length == 0 || length == sizeof text - 1 || !isfinite(*value)) return expect(json, "a number");
    json->at += length;
    return true;
}

static bool skip_word(tsr_json *json)
{
    static const char *const words[] = {"true", "false", "null"};
    for (int i = 0; i < 3; i++) {
        const size_t length = strlen(words[i]);
        if ((size_t)(json->end - json->at) < length || memcmp(json->at, words[i], length) != 0) continue;
        json->at += length;
        return true;
    }
    return expect(json, "a value");
}

bool tsr_json_skip(tsr_json *json)
{
    enum { DEEPEST = 32 };
    char closing[DEEPEST] = {0};
    int depth = 0;
    double number;
    do {
        if (depth > 0 && !tsr_json_more(json, closing[depth - 1])) {
            depth--;
            continue;
        }
        if (depth > 0 && closing[depth - 1] == '}') tsr_json_key(json);
        const bool object = comes(json, '{');
        if (object || comes(json, '[')) {
            if (depth == DEEPEST) return expect(json, "nothing nested that deep");
            closing[depth++] = object ? '}' : ']';
            tsr_json_enter(json, object ? '{' : '[');
        } else if (comes(json, '"')) {
            tsr_json_string(json);
        } else if (comes(json, 't') || comes(json, 'f') || comes(json, 'n')) {
            skip_word(json);
        } else {
            tsr_json_number(json, &number);
        }
    } while (depth > 0 && !json->expected);
    return !json->expected;
}

bool tsr_json_finish(tsr_json *json)
{
    comes(json, '\0');
    return json->at == json->end ? !json->expected : expect(json, "nothing more");
}
