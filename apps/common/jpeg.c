/* Reads JPEG (ITU-T T.81): 8 bits, Huffman codes, sequential and progressive; JFIF, Adobe and Exif markers. */
#include "apps/common/image_formats.h"
#include "apps/common/jpeg_internal.h"
#include "core/kernels/kernels.h"

#include <stdlib.h>
#include <string.h>

enum { SCANS = 100 }; /* most of one picture; no encoder makes nearly as many */

/* A marker segment, without its length. */
typedef struct segment {
    const uint8_t *at;
    int left;
} segment;

static int byte_of(segment *s)
{
    if (s->left <= 0) return 0;
    s->left--;
    return *s->at++;
}

static int word_of(segment *s)
{
    const int high = byte_of(s);
    return high << 8 | byte_of(s);
}

/* ---- tables -------------------------------------------------------------------------------------------- */

static bool read_quantisation(jpeg *j, segment s)
{
    while (s.left > 0) {
        const int kind = byte_of(&s), table = kind & 15, wide = kind >> 4;
        if (table >= JPEG_TABLES || wide > 1 || s.left < 64 << wide)
            return jpeg_fail(j, "has a bad quantisation table");
        for (int k = 0; k < 64; k++)
            j->quantisation[table][jpeg_natural_order[k]] = (uint16_t)(wide ? word_of(&s) : byte_of(&s));
        j->quantised[table] = true;
    }
    return true;
}

static bool read_codes(jpeg *j, segment s)
{
    while (s.left > 0) {
        const int kind = byte_of(&s), table = kind & 15, class = kind >> 4;
        const uint8_t *counts = s.at;
        int symbols = 0;
        for (int i = 0; i < 16; i++) symbols += byte_of(&s);
        if (table >= JPEG_TABLES || class > 1 || s.at - counts < 16 || symbols > s.left ||
            !jpeg_make_code(class ? &j->ac[table] : &j->dc[table], counts, s.at))
            return jpeg_fail(j, "has a bad Huffman table");
        s.at += symbols;
        s.left -= symbols;
    }
    return true;
}

/* ---- frames and scans ---------------------------------------------------------------------------------- */

static int parts(int64_t whole, int64_t part)
{
    return (int)((whole + part - 1) / part);
}

static bool make_room(jpeg *j, jpeg_component *c)
{
    if (j->h_most % c->h != 0 || j->v_most % c->v != 0) return jpeg_fail(j, "has sampling factors that do not divide");
    c->width = parts((int64_t)j->width * c->h, j->h_most);
    c->height = parts((int64_t)j->height * c->v, j->v_most);
    c->blocks_across = parts(c->width, 8);
    c->blocks_down = parts(c->height, 8);
    c->stored_across = parts(j->width, 8 * j->h_most) * c->h;
    c->stored_down = parts(j->height, 8 * j->v_most) * c->v;
    /* A block takes a bit at least: what a small file says of a huge picture is not believed. */
    if ((int64_t)c->blocks_across * c->blocks_down > 8 * (int64_t)(j->end - j->next))
        return jpeg_fail(j, "is truncated");
    return true;
}

/* Memory for coefficients, when it is known how many are needed at a time. */
static bool make_coefficients(jpeg *j, const jpeg_scan *scan)
{
    j->by_rows = !j->progressive && scan->count == j->components;
    for (int i = 0; i < scan->count; i++) {
        jpeg_component *c = scan->component[i];
        if (c->seen && !j->progressive) return jpeg_fail(j, "has a component twice");
        if (c->coefficients) continue;
        const int rows = j->by_rows ? c->v : c->stored_down;
        c->coefficients = calloc((size_t)c->stored_across * (size_t)rows, 64 * sizeof *c->coefficients);
        if (!c->coefficients) return jpeg_fail(j, "needs more memory than there is");
        if (j->by_rows && !jpeg_samples_ready(j, c)) return false;
    }
    return true;
}

static bool read_frame(jpeg *j, segment s, int marker)
{
    if (j->components > 0) return jpeg_fail(j, "has two frames");
    if (marker > 0xC2) return jpeg_fail(j, "is a JPEG of a kind that is not read (lossless, hierarchical, arithmetic)");
    j->progressive = marker == 0xC2;
    const int bits = byte_of(&s);
    j->height = word_of(&s);
    j->width = word_of(&s);
    const int count = byte_of(&s);
    if (bits != 8) return jpeg_fail(j, "is a JPEG with other than 8 bits a sample");
    if (!image_size_is_sound(j->width, j->height, 4)) return jpeg_fail(j, "has a size of 0 or too large a size");
    if ((count != 1 && count != 3 && count != 4) || s.left < 3 * count)
        return jpeg_fail(j, "has neither 1 nor 3 nor 4 components");
    j->h_most = j->v_most = 1;
    for (int i = 0; i < count; i++) {
        jpeg_component *c = &j->component[i];
        c->id = byte_of(&s);
        const int factors = byte_of(&s);
        c->h = count == 1 ? 1 : factors >> 4; /* alone, its units are blocks */
        c->v = count == 1 ? 1 : factors & 15;
        c->quantisation = byte_of(&s);
        if (c->h < 1 || c->h > 4 || c->v < 1 || c->v > 4 || c->quantisation >= JPEG_TABLES)
            return jpeg_fail(j, "has a bad frame header");
        if (c->h > j->h_most) j->h_most = c->h;
        if (c->v > j->v_most) j->v_most = c->v;
    }
    j->components = count;
    for (int i = 0; i < count; i++)
        if (!make_room(j, &j->component[i])) return false;
    return true;
}

/* Whether the scan is the next of a progression (G.1.1.1): the upper bits of coefficients not seen yet, or one bit more
 * of some that are. Besides, this bounds the work that a small file can ask for. */
static bool progresses(jpeg_component *c, const jpeg_scan *scan)
{
    bool sound = scan->high == 0 || scan->low == scan->high - 1;
    for (int k = scan->first; sound && k <= scan->last; k++) {
        sound = c->known[k] == (scan->high == 0 ? 0 : scan->high + 1);
        c->known[k] = (uint8_t)(scan->low + 1);
    }
    return sound;
}

static bool scan_is_sound(const jpeg *j, const jpeg_scan *scan)
{
    bool sound = true;
    if (j->progressive) {
        sound = scan->first <= scan->last && scan->last <= 63 && scan->low <= 13;
        if (scan->first == 0) sound = sound && scan->last == 0;
        else sound = sound && scan->count == 1;
    }
    const bool dc = scan->first == 0 && scan->high == 0, ac = scan->last > 0;
    for (int i = 0; sound && i < scan->count; i++) {
        jpeg_component *c = scan->component[i];
        sound = (!dc || c->dc->present) && (!ac || c->ac->present) && (!j->progressive || progresses(c, scan));
    }
    return sound;
}

static bool read_scan(jpeg *j, segment s)
{
    jpeg_scan scan = {.count = byte_of(&s), .last = 63};
    bool sound = j->components > 0 && scan.count >= 1 && scan.count <= j->components && s.left >= 2 * scan.count + 3;
    for (int i = 0; sound && i < scan.count; i++) {
        const int id = byte_of(&s), tables = byte_of(&s), dc = tables >> 4, ac = tables & 15;
        for (int k = 0; k < j->components; k++)
            if (j->component[k].id == id) scan.component[i] = &j->component[k];
        for (int k = 0; k < i; k++)
            if (scan.component[k] == scan.component[i]) sound = false;
        if (!scan.component[i] || dc >= JPEG_TABLES || ac >= JPEG_TABLES) sound = false;
        if (!sound) break;
        scan.component[i]->dc = &j->dc[dc];
        scan.component[i]->ac = &j->ac[ac];
    }
    if (sound && j->progressive) {
        scan.first = byte_of(&s);
        scan.last = byte_of(&s);
        const int approximation = byte_of(&s);
        scan.high = approximation >> 4;
        scan.low = approximation & 15;
    }
    if (!sound || !scan_is_sound(j, &scan)) return jpeg_fail(j, "has a bad scan header");
    if (!make_coefficients(j, &scan)) return false;
    for (int i = 0; i < scan.count; i++) scan.component[i]->seen = true;
    return jpeg_decode_scan(j, &scan);
}

/* ---- the file ------------------------------------------------------------------------------------------ */

/* Past anything that is not a marker (some cameras pad) to the next one; 0 at the end. */
static int next_marker(jpeg *j)
{
    while (j->end - j->next > 1) {
        if (j->next[0] == 0xFF && j->next[1] != 0xFF && j->next[1] != 0) {
            j->next += 2;
            return j->next[-1];
        }
        j->next++;
    }
    return 0;
}

static bool read_marker(jpeg *j, int marker)
{
    if (marker >= 0xD0 && marker <= 0xD8) return true; /* restarts left over, start of the picture */
    segment s = {.at = j->next, .left = j->end - j->next > 65535 ? 65535 : (int)(j->end - j->next)};
    const int length = word_of(&s);
    if (length < 2 || length - 2 > s.left) return jpeg_fail(j, "is truncated");
    s.left = length - 2;
    j->next += length;
    switch (marker) {
    case 0xC4: return read_codes(j, s);
    case 0xDB: return read_quantisation(j, s);
    case 0xDA: return read_scan(j, s);
    case 0xDD: j->restart_interval = word_of(&s); return true;
    case 0xE0:
        if (s.left >= 14 && memcmp(s.at, "JFIF", 5) == 0) j->jfif = true;
        return true;
    case 0xE1:
        if (j->orientation <= 1 && s.left > 6 && memcmp(s.at, "Exif\0", 6) == 0)
            j->orientation = exif_orientation(s.at + 6, (size_t)s.left - 6);
        return true;
    case 0xEE:
        if (s.left >= 12 && memcmp(s.at, "Adobe", 5) == 0) j->adobe = s.at[11];
        return true;
    default: return marker < 0xC0 || marker > 0xCF || read_frame(j, s, marker);
    }
}

static bool read_all(jpeg *j)
{
    int scans = 0;
    for (;;) {
        const int marker = next_marker(j);
        if (marker == 0xD9) break;
        if (marker == 0) { /* no end marker: forgiven where nothing else is missing */
            if (j->progressive) return jpeg_fail(j, "is truncated");
            break;
        }
        if (marker == 0xDA && ++scans > SCANS) return jpeg_fail(j, "has too many scans");
        if (!read_marker(j, marker)) return false;
    }
    for (int i = 0; i < j->components; i++)
        if (!j->component[i].seen) return jpeg_fail(j, "is truncated");
    return j->components > 0 || jpeg_fail(j, "is truncated");
}

bool jpeg_recognised(const unsigned char *bytes, size_t count)
{
    return count >= 3 && bytes[0] == 0xFF && bytes[1] == 0xD8 && bytes[2] == 0xFF;
}

bool jpeg_decode(image *picture, const unsigned char *bytes, size_t count, image_about *about, app_error *error)
{
    jpeg *j = calloc(1, sizeof *j);
    if (!j) return app_fail(error, "needs more memory than there is");
    j->next = bytes;
    j->end = bytes + count;
    j->adobe = -1;
    j->level = tsr_kernels_choose(TSR_HIGH)->level;
    j->orientation = 1;
    const bool done = read_all(j) && jpeg_make_picture(j, picture, error);
    about->orientation = j->orientation;
    about->detail = j->progressive ? "progressive" : "sequential";
    if (j->problem) app_fail(error, "%s", j->problem);
    for (int i = 0; i < JPEG_COMPONENTS; i++) {
        free(j->component[i].coefficients);
        free(j->component[i].samples);
    }
    free(j);
    if (!done) image_free(picture);
    return done;
}
