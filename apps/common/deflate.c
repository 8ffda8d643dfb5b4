/* Packs into deflate's format: matches found by chains of equal hashes, blocks with codes of their own. */
#include "apps/common/bytes.h"
#include "apps/common/inflate.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    WINDOW = 32768, HASHES = 1 << 15, CHAIN = 48,      /* how far back, and how many candidates are tried */
    SHORTEST = 3, LONGEST_MATCH = 258, GOOD_MATCH = 64, /* a match that is not improved on */
    BLOCK_TOKENS = 1 << 15,
    LITERALS = 286, DISTANCES = 30, MOST_BITS = 15
};

typedef struct packer {
    const unsigned char *bytes;
    size_t count;
    unsigned char *out;
    size_t size, room;
    uint64_t bits;
    int bit_count;
    bool no_memory;
    /* The place of the last with this hash, and of the one before it, by place % WINDOW. -1: none */
    int32_t head[HASHES], previous[WINDOW];
    uint32_t token[BLOCK_TOKENS];           /* a literal, or length << 16 | distance */
    int tokens;
} packer;

/* ---- bits out ------------------------------------------------------------------------------------------ */

static void put_byte(packer *p, unsigned value)
{
    if (p->size == p->room) {
        unsigned char *more = p->no_memory ? NULL : realloc(p->out, p->room * 2);
        if (!more) {
            p->no_memory = true;
            return;
        }
        p->out = more;
        p->room *= 2;
    }
    p->out[p->size++] = (unsigned char)value;
}

static void put(packer *p, unsigned value, int count)
{
    p->bits |= (uint64_t)value << p->bit_count;
    for (p->bit_count += count; p->bit_count >= 8; p->bit_count -= 8, p->bits >>= 8) put_byte(p, p->bits & 255);
}

/* ---- codes --------------------------------------------------------------------------------------------- */

typedef struct huffman {
    uint32_t used[LITERALS];
    unsigned char length[LITERALS];
    uint16_t code[LITERALS]; /* with its first bit lowest */
} huffman;

/* Lengths of a Huffman code by repeatedly joining the two rarest; where one is too long, counts are flattened and it is
 * done again. */
static void find_lengths(huffman *h, int count, int most)
{
    for (int flatten = 0;; flatten++) {
        uint32_t weight[2 * LITERALS];
        int parent[2 * LITERALS], open[LITERALS], left = 0, nodes = count, longest = 0;
        for (int i = 0; i < count; i++) {
            if (h->used[i] == 0) continue;
            weight[i] = (h->used[i] >> flatten) + 1;
            open[left++] = i;
        }
        while (left > 1) {
            int a = 0, b = 1; /* places of the rarest and the next */
            for (int i = 1; i < left; i++) {
                if (weight[open[i]] < weight[open[a]]) {
                    b = a;
                    a = i;
                } else if (i != b && weight[open[i]] < weight[open[b]]) b = i;
            }
            weight[nodes] = weight[open[a]] + weight[open[b]];
            parent[open[a]] = parent[open[b]] = nodes;
            open[a] = nodes++;
            open[b] = open[--left];
        }
        for (int i = 0; i < count; i++) {
            int length = nodes == count; /* a symbol alone takes a bit, too */
            for (int k = i; h->used[i] && nodes > count && k != nodes - 1; k = parent[k]) length++;
            h->length[i] = (unsigned char)(h->used[i] ? length : 0);
            if (h->length[i] > longest) longest = h->length[i];
        }
        if (longest <= most) return;
    }
}

static void make_code(huffman *h, int count, int most)
{
    unsigned code = 0;
    find_lengths(h, count, most);
    for (int length = 1; length <= most; length++, code <<= 1)
        for (int i = 0; i < count; i++) {
            if (h->length[i] != length) continue;
            unsigned turned = 0;
            for (int bit = 0; bit < length; bit++) turned |= (code >> bit & 1) << (length - 1 - bit);
            h->code[i] = (uint16_t)turned;
            code++;
        }
}

static void put_symbol(packer *p, const huffman *h, int symbol)
{
    put(p, h->code[symbol], h->length[symbol]);
}

/* The symbol of a length (from 257) or distance, and what is added to its base in how many bits (3.2.5): four, for
 * distances two, symbols to each doubling. */
typedef struct split {
    int symbol, bits;
    unsigned extra;
} split;

static split split_of(unsigned value, int log)
{
    int bits = 0;
    while (value >> (bits + log + 1)) bits++;
    return (split){(bits << log) + (int)(value >> bits), bits, value & ((1u << bits) - 1)};
}

static split length_of(unsigned length)
{
    if (length == LONGEST_MATCH) return (split){285, 0, 0};
    split s = split_of(length - SHORTEST, 2);
    s.symbol += 257;
    return s;
}

static split distance_of(unsigned distance)
{
    return split_of(distance - 1, 1);
}

/* ---- blocks -------------------------------------------------------------------------------------------- */

/* The lengths of both codes, packed with a code of their own (3.2.7), runs of zeros as 17 and 18 alone. */
static void put_lengths(packer *p, const unsigned char *lengths, int count)
{
    static const unsigned char order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    huffman h = {{0}, {0}, {0}};
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0, run; i < count; i += run) {
            for (run = 1; lengths[i] == 0 && run < 138 && i + run < count && lengths[i + run] == 0;) run++;
            const int symbol = lengths[i] != 0 ? lengths[i] : run > 10 ? 18 : run > 2 ? 17 : 0;
            if (symbol == 0) run = 1;
            h.used[symbol] += pass == 0;
            if (pass == 0) continue;
            put_symbol(p, &h, symbol);
            if (symbol == 17) put(p, (unsigned)run - 3, 3);
            if (symbol == 18) put(p, (unsigned)run - 11, 7);
        }
        if (pass > 0) break;
        make_code(&h, 19, 7);
        put(p, 19 - 4, 4);
        for (int i = 0; i < 19; i++) put(p, h.length[order[i]], 3);
    }
}

static void put_block(packer *p, bool last)
{
    huffman literals = {{0}, {0}, {0}}, distances = {{0}, {0}, {0}};
    unsigned char lengths[LITERALS + DISTANCES];
    literals.used[256] = 1;
    distances.used[0] = 1; /* there must be one */
    for (int i = 0; i < p->tokens; i++) {
        const unsigned token = p->token[i];
        literals.used[token < 256 ? (int)token : length_of(token >> 16).symbol]++;
        if (token >= 256) distances.used[distance_of(token & 0xFFFF).symbol]++;
    }
    make_code(&literals, LITERALS, MOST_BITS);
    make_code(&distances, DISTANCES, MOST_BITS);
    memcpy(lengths, literals.length, LITERALS);
    memcpy(lengths + LITERALS, distances.length, DISTANCES);
    put(p, last, 1);
    put(p, 2, 2);
    put(p, LITERALS - 257, 5);
    put(p, DISTANCES - 1, 5);
    put_lengths(p, lengths, LITERALS + DISTANCES);
    for (int i = 0; i < p->tokens; i++) {
        const unsigned token = p->token[i];
        if (token < 256) {
            put_symbol(p, &literals, (int)token);
            continue;
        }
        const split length = length_of(token >> 16), distance = distance_of(token & 0xFFFF);
        put_symbol(p, &literals, length.symbol);
        put(p, length.extra, length.bits);
        put_symbol(p, &distances, distance.symbol);
        put(p, distance.extra, distance.bits);
    }
    put_symbol(p, &literals, 256);
    p->tokens = 0;
}

/* ---- matches ------------------------------------------------------------------------------------------- */

static void remember(packer *p, size_t at)
{
    if (p->count - at < SHORTEST) return;
    const unsigned char *b = p->bytes + at;
    const uint32_t hash = ((uint32_t)b[0] << 16 | (uint32_t)b[1] << 8 | b[2]) * 0x9E3779B1u >> 17;
    p->previous[at % WINDOW] = p->head[hash];
    p->head[hash] = (int32_t)at;
}

/* The longest match of what comes at `at`, which is remembered; 0: none of three bytes. */
static unsigned find_match(packer *p, size_t at, unsigned *distance)
{
    const size_t left = p->count - at;
    const unsigned most = left < LONGEST_MATCH ? (unsigned)left : LONGEST_MATCH;
    unsigned best = SHORTEST - 1;
    remember(p, at);
    if (left < SHORTEST) return 0;
    const unsigned char *b = p->bytes + at;
    int64_t candidate = p->previous[at % WINDOW];
    for (int tried = 0; tried < CHAIN && candidate >= 0 && at - (size_t)candidate < WINDOW && best < most; tried++) {
        const unsigned char *a = p->bytes + candidate;
        if (a[best] == b[best]) {
            unsigned length = 0;
            while (length < most && a[length] == b[length]) length++;
            if (length > best) {
                best = length;
                *distance = (unsigned)(at - (size_t)candidate);
                if (best >= GOOD_MATCH) break;
            }
        }
        candidate = p->previous[candidate % WINDOW];
    }
    return best >= SHORTEST ? best : 0;
}

static void add_token(packer *p, unsigned token)
{
    if (p->tokens == BLOCK_TOKENS) put_block(p, false);
    p->token[p->tokens++] = token;
}

/* A match waits one byte for a longer one. */
static void find_tokens(packer *p)
{
    unsigned waiting = 0, waiting_distance = 0;
    for (size_t at = 0; at < p->count; at++) {
        unsigned distance = 0;
        const unsigned length = find_match(p, at, &distance);
        if (waiting >= length && waiting > 0) { /* the match that began one byte ago */
            add_token(p, waiting << 16 | waiting_distance);
            for (const size_t end = at - 1 + waiting; at + 1 < end;) remember(p, ++at);
            waiting = 0;
            continue;
        }
        if (waiting > 0) add_token(p, p->bytes[at - 1]);
        waiting = length;
        waiting_distance = distance;
        if (length == 0) add_token(p, p->bytes[at]);
    }
    if (waiting > 0) add_token(p, waiting << 16 | waiting_distance);
}

unsigned char *deflate_zlib(const unsigned char *bytes, size_t count, size_t *size)
{
    packer *p = count < INT32_MAX ? malloc(sizeof *p) : NULL;
    if (!p) return NULL;
    p->bytes = bytes;
    p->count = count;
    p->size = 0;
    p->room = count / 2 + 64;
    p->out = malloc(p->room);
    p->bits = 0;
    p->bit_count = p->tokens = 0;
    p->no_memory = !p->out;
    memset(p->head, 0xFF, sizeof p->head);
    if (p->out) {
        put(p, 0x9C78, 16); /* zlib: deflate, 32 KB window, no dictionary */
        find_tokens(p);
        put_block(p, true);
        put(p, 0, 7);
        p->bits = 0;
        p->bit_count = 0;
        const uint32_t adler = bytes_adler32(1, bytes, count);
        for (int i = 24; i >= 0; i -= 8) put_byte(p, adler >> i & 255);
    }
    unsigned char *out = p->out;
    *size = p->size;
    if (p->no_memory) {
        free(out);
        out = NULL;
    }
    free(p);
    return out;
}
