/* JPEG: Huffman codes, sequential and progressive scans. */
#include "apps/common/jpeg_internal.h"

#include <string.h>

const uint8_t jpeg_natural_order[64 + 16] = {
    0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13,
    6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31,
    39, 46, 53, 60, 61, 54, 47, 55, 62, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63};

bool jpeg_make_code(jpeg_code *code, const uint8_t counts[16], const uint8_t *symbols)
{
    *code = (jpeg_code){.present = true};
    int32_t next = 0;
    int used = 0;
    for (int length = 1; length <= 16; length++, next <<= 1) {
        code->offset[length] = used - next;
        for (int i = 0; i < counts[length - 1]; i++, next++, used++) {
            if (used == 256 || next >= 1 << length) return false;
            code->symbols[used] = symbols[used];
            if (length > JPEG_LOOK) continue;
            const int32_t first = next << (JPEG_LOOK - length), count = 1 << (JPEG_LOOK - length);
            for (int32_t k = first; k < first + count; k++) code->look[k] = (uint16_t)(length << 8 | symbols[used]);
        }
        code->largest[length] = counts[length - 1] > 0 ? next - 1 : -1;
    }
    code->largest[17] = INT32_MAX;
    return true;
}

/* ---- bits ---------------------------------------------------------------------------------------------- */

typedef struct bits {
    const uint8_t *next, *end;
    uint64_t buffer; /* the lowest `count` bits are yet to be read */
    int count, missing; /* missing: bits made up past the data's end */
} bits;

/* At least 32 bits in the buffer: zeros where a marker or the file's end comes first. */
static void fill(bits *b)
{
    while (b->count <= 56) {
        unsigned byte = 0;
        if (b->next == b->end) b->missing += 8;
        else if (*b->next != 0xFF) byte = *b->next++;
        else if (b->end - b->next > 1 && b->next[1] == 0) { /* a stuffed zero */
            byte = 0xFF;
            b->next += 2;
        } else b->missing += 8;
        b->buffer = b->buffer << 8 | byte;
        b->count += 8;
    }
}

static bool overrun(const bits *b)
{
    return b->missing > b->count;
}

/* Up to 16 bits; fill first. */
static int peek(const bits *b, int count)
{
    return (int)(b->buffer >> (b->count - count)) & ((1 << count) - 1);
}

static int take(bits *b, int count)
{
    if (b->count < 16) fill(b);
    const int value = count > 0 ? peek(b, count) : 0;
    b->count -= count;
    return value;
}

/* The next symbol; one that is in no code reads as 0. */
static int symbol(bits *b, const jpeg_code *code)
{
    if (b->count < 32) fill(b);
    const int found = code->look[peek(b, JPEG_LOOK)];
    if (found) {
        b->count -= found >> 8;
        return found & 255;
    }
    int length = JPEG_LOOK + 1;
    while (length <= 16 && peek(b, length) > code->largest[length]) length++;
    if (length > 16) {
        b->count -= 16;
        return 0;
    }
    const int value = code->symbols[(peek(b, length) + code->offset[length]) & 255];
    b->count -= length;
    return value;
}

/* `size` bits as a signed number (F.2.2.1, EXTEND). */
static int number(bits *b, int size)
{
    if (size == 0) return 0;
    const int value = take(b, size);
    return value < 1 << (size - 1) ? value - (1 << size) + 1 : value;
}

/* ---- blocks -------------------------------------------------------------------------------------------- */

typedef struct state {
    bits bits;
    const jpeg_scan *scan;
    int band_blocks; /* blocks still to come that end at once (G.1.2.2, EOBRUN) */
} state;

static int dc_of(state *s, jpeg_component *c)
{
    const int size = symbol(&s->bits, c->dc);
    c->last_dc = (int16_t)(c->last_dc + number(&s->bits, size > 15 ? 15 : size));
    return c->last_dc;
}

static void sequential_block(state *s, jpeg_component *c, int16_t *block)
{
    block[0] = (int16_t)dc_of(s, c);
    for (int k = 1; k < 64; k++) {
        const int run_size = symbol(&s->bits, c->ac), size = run_size & 15;
        k += run_size >> 4;
        if (size > 0) block[jpeg_natural_order[k]] = (int16_t)number(&s->bits, size);
        else if (run_size >> 4 != 15) break;
    }
}

static void dc_first(state *s, jpeg_component *c, int16_t *block)
{
    block[0] = (int16_t)((unsigned)dc_of(s, c) << s->scan->low);
}

static void dc_refine(state *s, jpeg_component *c, int16_t *block)
{
    (void)c;
    if (take(&s->bits, 1)) block[0] = (int16_t)(block[0] | 1 << s->scan->low);
}

/* The end-of-band run that a symbol with size 0 and run r < 15 begins, this block included. */
static int band_run(state *s, int r)
{
    return (1 << r) + take(&s->bits, r);
}

static void ac_first(state *s, jpeg_component *c, int16_t *block)
{
    if (s->band_blocks > 0) {
        s->band_blocks--;
        return;
    }
    for (int k = s->scan->first; k <= s->scan->last; k++) {
        const int run_size = symbol(&s->bits, c->ac), size = run_size & 15, run = run_size >> 4;
        if (size == 0 && run < 15) {
            s->band_blocks = band_run(s, run) - 1;
            return;
        }
        k += run;
        if (size > 0) block[jpeg_natural_order[k]] = (int16_t)((unsigned)number(&s->bits, size) << s->scan->low);
    }
}

/* One more bit of a coefficient that is not zero already. */
static void refine(state *s, int16_t *coefficient)
{
    const int bit = 1 << s->scan->low;
    if (take(&s->bits, 1) && (*coefficient & bit) == 0)
        *coefficient = (int16_t)(*coefficient + (*coefficient > 0 ? bit : -bit));
}

/* G.1.2.3: new coefficients are placed among `run` zeros; those that are not zero get their next bit in passing. */
static void ac_refine(state *s, jpeg_component *c, int16_t *block)
{
    int k = s->scan->first;
    while (s->band_blocks == 0 && k <= s->scan->last) {
        const int run_size = symbol(&s->bits, c->ac);
        int run = run_size >> 4, value = 0;
        if ((run_size & 15) != 0) value = take(&s->bits, 1) ? 1 << s->scan->low : -(1 << s->scan->low);
        else if (run < 15) {
            s->band_blocks = band_run(s, run);
            break;
        }
        for (; k <= s->scan->last; k++) {
            int16_t *coefficient = &block[jpeg_natural_order[k]];
            if (*coefficient != 0) refine(s, coefficient);
            else if (run-- == 0) {
                *coefficient = (int16_t)value;
                k++;
                break;
            }
        }
    }
    if (s->band_blocks == 0) return;
    for (; k <= s->scan->last; k++)
        if (block[jpeg_natural_order[k]] != 0) refine(s, &block[jpeg_natural_order[k]]);
    s->band_blocks--;
}

/* ---- scans --------------------------------------------------------------------------------------------- */

typedef void (*block_reader)(state *s, jpeg_component *c, int16_t *block);

static int16_t *block_at(const jpeg_component *c, int down, int across)
{
    return c->coefficients + ((size_t)down * (size_t)c->stored_across + (size_t)across) * 64;
}

/* Several components take turns, h x v blocks each (A.2.3). */
static void read_unit(state *s, block_reader read, int down, int across)
{
    for (int i = 0; i < s->scan->count; i++) {
        jpeg_component *c = s->scan->component[i];
        for (int y = 0; y < c->v; y++)
            for (int x = 0; x < c->h; x++) read(s, c, block_at(c, down * c->v + y, across * c->h + x));
    }
}

/* A restart marker and what it sets back (F.1.1.5.1). */
static bool restart(jpeg *j, state *s)
{
    const uint8_t *p = s->bits.next;
    while (s->bits.end - p > 1 && p[0] == 0xFF && p[1] == 0xFF) p++;
    if (s->bits.end - p < 2) return jpeg_fail(j, "is truncated");
    if (p[0] != 0xFF || p[1] < 0xD0 || p[1] > 0xD7) return jpeg_fail(j, "lacks a restart marker where one belongs");
    s->bits = (bits){.next = p + 2, .end = s->bits.end};
    s->band_blocks = 0;
    for (int i = 0; i < s->scan->count; i++) s->scan->component[i]->last_dc = 0;
    return true;
}

bool jpeg_decode_scan(jpeg *j, const jpeg_scan *scan)
{
    state s = {.bits = {.next = j->next, .end = j->end}, .scan = scan};
    block_reader read = sequential_block;
    if (j->progressive && scan->first == 0) read = scan->high == 0 ? dc_first : dc_refine;
    else if (j->progressive) read = scan->high == 0 ? ac_first : ac_refine;
    for (int i = 0; i < scan->count; i++) scan->component[i]->last_dc = 0;

    jpeg_component *alone = scan->count == 1 ? scan->component[0] : NULL; /* then a unit is a block */
    const int across = alone ? alone->blocks_across : (j->width + 8 * j->h_most - 1) / (8 * j->h_most);
    const int down = alone ? alone->blocks_down : (j->height + 8 * j->v_most - 1) / (8 * j->v_most);
    int until_restart = j->restart_interval;
    for (int y = 0; y < down; y++) {
        const int row = j->by_rows ? 0 : y;
        for (int x = 0; x < across; x++) {
            if (j->restart_interval > 0 && until_restart-- == 0) {
                if (!restart(j, &s)) return false;
                until_restart = j->restart_interval - 1;
            }
            if (alone) read(&s, alone, block_at(alone, row, x));
            else read_unit(&s, read, row, x);
            if (overrun(&s.bits)) return jpeg_fail(j, s.bits.next == s.bits.end ? "is truncated" : "is damaged");
        }
        for (int i = 0; j->by_rows && i < scan->count; i++) {
            jpeg_component *c = scan->component[i];
            jpeg_make_samples(j, c, y * c->v, (y + 1) * c->v);
            memset(c->coefficients, 0, (size_t)c->stored_across * (size_t)c->v * 64 * sizeof *c->coefficients);
        }
    }
    j->next = s.bits.next;
    return true;
}
