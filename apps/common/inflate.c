#include "apps/common/inflate.h"

#include "apps/common/bytes.h"

#include <string.h>

enum { LONGEST = 15, QUICK = 9, LENGTHS = 288, DISTANCES = 32 };

typedef struct stream {
    const unsigned char *next, *end;
    uint64_t bits; /* the next ones lowest */
    int count;     /* of them */
    int missing;   /* bytes taken beyond the end, as zeros */
    unsigned char *start, *to, *limit; /* of what is unpacked */
    const char *problem;
} stream;

/* A canonical code. Codes of up to QUICK bits are found in one step. */
typedef struct code {
    uint16_t quick[1 << QUICK]; /* symbol << 4 | length; 0: longer, or none */
    uint16_t count[LONGEST + 1], symbols[LENGTHS];
} code;

const char inflate_more[] = "holds more than it should";

static bool fail(stream *s, const char *problem)
{
    if (!s->problem) s->problem = problem;
    return false;
}

/* At least 32 bits, zeros after the end. */
static void refill(stream *s)
{
    while (s->count <= 56) {
        if (s->next < s->end) s->bits |= (uint64_t)*s->next++ << s->count;
        else s->missing++;
        s->count += 8;
    }
}

static unsigned take(stream *s, int count)
{
    const unsigned value = (unsigned)(s->bits & (((uint64_t)1 << count) - 1));
    s->bits >>= count;
    s->count -= count;
    return value;
}

/* False where the lengths are of no code: too many short ones. One that leaves some bits unused is fine until they
 * come. */
static bool make_code(code *c, const unsigned char *lengths, int count)
{
    uint16_t first[LONGEST + 2] = {0}, next_code[LONGEST + 1];
    memset(c, 0, sizeof *c);
    for (int i = 0; i < count; i++) c->count[lengths[i]]++;
    c->count[0] = 0;
    unsigned codes = 0;
    for (int length = 1; length <= LONGEST; length++) {
        codes = codes << 1;
        next_code[length] = (uint16_t)codes;
        codes += c->count[length];
        if (codes > 1u << length) return false;
        first[length + 1] = (uint16_t)(first[length] + c->count[length]);
    }
    for (int i = 0; i < count; i++) {
        const int length = lengths[i];
        if (length == 0) continue;
        c->symbols[first[length]++] = (uint16_t)i;
        const unsigned own = next_code[length]++;
        unsigned turned = 0; /* codes come with the highest bit first */
        for (int bit = 0; bit < length; bit++) turned |= (own >> bit & 1) << (length - 1 - bit);
        if (length <= QUICK)
            for (unsigned k = turned; k < 1u << QUICK; k += 1u << length) c->quick[k] = (uint16_t)(i << 4 | length);
    }
    return true;
}

/* -1: there is no such code. */
static int symbol(stream *s, const code *c)
{
    const unsigned quick = c->quick[s->bits & ((1u << QUICK) - 1)];
    if (quick) {
        take(s, quick & 15);
        return (int)(quick >> 4);
    }
    int own = 0, first = 0, index = 0;
    for (int length = 1; length <= LONGEST; length++) {
        own |= (int)take(s, 1);
        if (own - first < c->count[length]) return c->symbols[index + own - first];
        index += c->count[length];
        first = (first + c->count[length]) << 1;
        own <<= 1;
    }
    return -1;
}

static bool copy(stream *s, int length, unsigned distance)
{
    if (distance > (size_t)(s->to - s->start)) return fail(s, "is damaged (it refers to what is not there)");
    if (length > s->limit - s->to) return fail(s, inflate_more);
    const unsigned char *from = s->to - distance;
    for (int i = 0; i < length; i++) s->to[i] = from[i];
    s->to += length;
    return true;
}

/* 3.2.5 */
static bool packed_block(stream *s, const code *lengths, const code *distances)
{
    static const uint16_t length_base[29] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                             31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
    static const unsigned char length_bits[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                                  2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
    while (s->missing <= 8) {
        refill(s);
        const int value = symbol(s, lengths);
        if (value < 0) return fail(s, "is damaged (no such code)");
        if (value < 256) {
            if (s->to == s->limit) return fail(s, inflate_more);
            *s->to++ = (unsigned char)value;
            continue;
        }
        if (value == 256) return true;
        if (value > 285) return fail(s, "is damaged (no such length)");
        const int length = length_base[value - 257] + (int)take(s, length_bits[value - 257]);
        refill(s);
        const int d = symbol(s, distances);
        if (d < 0 || d > 29) return fail(s, "is damaged (no such distance)");
        const int bits = d < 4 ? 0 : d / 2 - 1;
        const unsigned base = d < 4 ? (unsigned)d + 1 : ((2u + (unsigned)(d & 1)) << bits) + 1;
        if (!copy(s, length, base + take(s, bits))) return false;
    }
    return fail(s, "is truncated");
}

/* 3.2.6 */
static bool fixed_block(stream *s)
{
    unsigned char lengths[LENGTHS];
    code length_code, distance_code;
    for (int i = 0; i < LENGTHS; i++) lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
    make_code(&length_code, lengths, LENGTHS);
    memset(lengths, 5, 30);
    make_code(&distance_code, lengths, 30);
    return packed_block(s, &length_code, &distance_code);
}

/* 3.2.7 */
static bool read_lengths(stream *s, const code *c, unsigned char *lengths, int count)
{
    int i = 0;
    while (i < count) {
        refill(s);
        const int value = symbol(s, c);
        if (value < 0 || s->missing > 8) return fail(s, value < 0 ? "is damaged (no such code)" : "is truncated");
        if (value < 16) {
            lengths[i++] = (unsigned char)value;
            continue;
        }
        const int repeat = value == 16 ? 3 + (int)take(s, 2) : value == 17 ? 3 + (int)take(s, 3) : 11 + (int)take(s, 7);
        if ((value == 16 && i == 0) || repeat > count - i) return fail(s, "is damaged (its code lengths)");
        memset(lengths + i, value == 16 ? lengths[i - 1] : 0, (size_t)repeat);
        i += repeat;
    }
    return true;
}

static bool dynamic_block(stream *s)
{
    static const unsigned char order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    unsigned char lengths[LENGTHS + DISTANCES] = {0};
    code c, distances;
    refill(s);
    const int length_count = 257 + (int)take(s, 5), distance_count = 1 + (int)take(s, 5);
    const int order_count = 4 + (int)take(s, 4);
    for (int i = 0; i < order_count; i++) {
        refill(s);
        lengths[order[i]] = (unsigned char)take(s, 3);
    }
    if (length_count > 286 || distance_count > 30 || !make_code(&c, lengths, 19))
        return fail(s, "is damaged (its code lengths)");
    memset(lengths, 0, sizeof lengths);
    if (!read_lengths(s, &c, lengths, length_count + distance_count)) return false;
    if (!make_code(&distances, lengths + length_count, distance_count) || !make_code(&c, lengths, length_count))
        return fail(s, "is damaged (its code lengths)");
    return packed_block(s, &c, &distances);
}

/* 3.2.4 */
static bool stored_block(stream *s)
{
    take(s, s->count & 7);
    refill(s);
    const unsigned length = take(s, 16), inverted = take(s, 16);
    s->next -= s->count / 8 - s->missing; /* back to whole bytes: what was taken ahead is given back */
    if (s->missing > s->count / 8) return fail(s, "is truncated");
    s->bits = 0;
    s->count = s->missing = 0;
    if ((length ^ 0xFFFF) != inverted) return fail(s, "is damaged (the length of a block)");
    if (length > (size_t)(s->end - s->next)) return fail(s, "is truncated");
    if (length > (size_t)(s->limit - s->to)) return fail(s, inflate_more);
    memcpy(s->to, s->next, length);
    s->to += length;
    s->next += length;
    return true;
}

const char *inflate_some(const unsigned char *bytes, size_t count, unsigned char *out, size_t room, size_t *size,
                         size_t *used)
{
    stream s = {.next = bytes, .end = bytes + count, .start = out, .to = out, .limit = out + room};
    bool last = false, good = true;
    while (!last && good) {
        refill(&s);
        last = take(&s, 1);
        switch (take(&s, 2)) {
        case 0: good = stored_block(&s); break;
        case 1: good = fixed_block(&s); break;
        case 2: good = dynamic_block(&s); break;
        default: good = fail(&s, "is damaged (no such kind of block)");
        }
    }
    const int ahead = s.count / 8; /* bytes taken and not used */
    if (good && s.missing > ahead) good = fail(&s, "is truncated");
    if (good) *used = (size_t)(s.next - bytes) - (size_t)(ahead - s.missing);
    if (good) *size = (size_t)(s.to - out);
    return s.problem;
}

const char *inflate_bytes(const unsigned char *bytes, size_t count, unsigned char *out, size_t size, size_t *used)
{
    size_t found;
    const char *problem = inflate_some(bytes, count, out, size, &found, used);
    return problem || found == size ? problem : "holds less than it should";
}

const char *inflate_zlib(const unsigned char *bytes, size_t count, unsigned char *out, size_t size)
{
    size_t used;
    if (count < 6) return "is truncated";
    if ((bytes[0] & 15) != 8 || (bytes[0] << 8 | bytes[1]) % 31 != 0 || bytes[1] & 32)
        return "is damaged (its zlib header)";
    const char *problem = inflate_bytes(bytes + 2, count - 2, out, size, &used);
    if (problem) return problem;
    if (count - 2 - used < 4) return "is truncated";
    const bool right = bytes_checksum_holds(bytes_adler32(1, out, size), bytes_big32(bytes + 2 + used));
    return right ? NULL : "is damaged (the checksum)";
}
