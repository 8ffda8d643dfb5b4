#include "core/file_io.h"

#include "core/core_internal.h"
#include "core/platform.h"

#include <errno.h>
#include <float.h>
#include <stdarg.h>
#include <string.h>

_Static_assert(FLT_MANT_DIG == 24 && DBL_MANT_DIG == 53, "values go to files as IEEE 754 single and double");

enum {
    PART_BYTES = 1 << 18, /* one system call's worth, small enough that the checksum finds it in the cache */
    CHUNK_BYTES = 1 << 13 /* converted at a time */
};

/* ---- messages ------------------------------------------------------------------------------------------ */

tsr_text tsr_printable(const char *text, size_t room)
{
    tsr_text line = {""};
    const size_t length = strlen(text), dots = 3;
    if (room >= sizeof line.text) room = sizeof line.text - 1;
    size_t at = 0;
    if (length > room) {
        memcpy(line.text, "...", dots);
        at = dots;
        text += length - (room - dots);
        while (((unsigned char)*text & 0xC0) == 0x80) text++; /* not from the middle of a character */
    }
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        line.text[at++] = (char)(c < 0x20 || c == 0x7F ? '?' : c);
    }
    return line;
}

bool tsr_file_fail(tsr_context *ctx, const char *path, const char *format, ...)
{
    char message[320];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    tsr_fail(ctx, "%s: %s", tsr_printable(path, 190).text, message);
    return false;
}

static bool fail_by_system(tsr_context *ctx, const char *path, const char *what)
{
    return tsr_file_fail(ctx, path, "%s: %s", what, errno ? strerror(errno) : "the system does not say why");
}

/* ---- numbers ------------------------------------------------------------------------------------------- */

uint64_t tsr_load_bits(const unsigned char *from, int bytes)
{
    uint64_t bits = 0;
    for (int i = 0; i < bytes; i++) bits |= (uint64_t)from[i] << 8 * i;
    return bits;
}

void tsr_store_bits(unsigned char *to, uint64_t bits, int bytes)
{
    for (int i = 0; i < bytes; i++) to[i] = (unsigned char)(bits >> 8 * i);
}

bool tsr_read_digits(const char **at, const char *end, int64_t *value)
{
    const char *digit = *at;
    int64_t sum = 0;
    for (; digit < end && *digit >= '0' && *digit <= '9'; digit++) {
        if (sum > (INT64_MAX - (*digit - '0')) / 10) return false;
        sum = sum * 10 + (*digit - '0');
    }
    if (digit == *at) return false;
    *at = digit;
    *value = sum;
    return true;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float half_of(uint32_t bits)
{
    const uint32_t sign = (bits & 0x8000) << 16, exponent = bits >> 10 & 31, fraction = bits & 0x3FF;
    if (exponent == 0) return (sign ? -0x1p-24f : 0x1p-24f) * (float)fraction; /* subnormal, as is zero */
    if (exponent == 31) return float_of(sign | 0x7F800000 | fraction << 13);   /* infinite or NaN */
    return float_of(sign | (exponent + 127 - 15) << 23 | fraction << 13);
}

/* The number at `from`, its bytes in the host's order. */
static tsr_real number_at(const unsigned char *from, tsr_number number)
{
    union {
        double f64;
        float f32;
        int64_t i64;
        int32_t i32;
        uint16_t u16;
    } value;
    switch (number.bytes) {
    case 8:
        memcpy(&value, from, 8);
        return number.kind == 'f' ? (tsr_real)value.f64 : (tsr_real)value.i64;
    case 4:
        memcpy(&value, from, 4);
        if (number.kind == 'u') return (tsr_real)(uint32_t)value.i32;
        return number.kind == 'f' ? value.f32 : (tsr_real)value.i32;
    case 2:
        memcpy(&value, from, 2);
        if (number.kind == 'u') return value.u16;
        if (number.kind == 'i') return (int16_t)value.u16;
        return number.kind == 'f' ? half_of(value.u16) : float_of((uint32_t)value.u16 << 16);
    default:
        return number.kind == 'i' ? (tsr_real)(signed char)*from : *from;
    }
}

static bool host_is_big_endian(void)
{
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first == 0;
}

static void swap_bytes(void *numbers, int64_t count, int bytes)
{
    for (unsigned char *at = numbers; count > 0; count--, at += bytes)
        for (int i = 0, j = bytes - 1; i < j; i++, j--) {
            const unsigned char kept = at[i];
            at[i] = at[j];
            at[j] = kept;
        }
}

/* ---- CRC-64/XZ ----------------------------------------------------------------------------------------- */

void tsr_crc64_begin(tsr_crc64 *crc)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        uint64_t state = byte;
        for (int bit = 0; bit < 8; bit++) state = state >> 1 ^ (state & 1 ? UINT64_C(0xC96C5795D7870F42) : 0);
        crc->table[0][byte] = state;
    }
    for (int zeros = 1; zeros < 8; zeros++) /* the same byte, so many zero bytes later */
        for (unsigned byte = 0; byte < 256; byte++) {
            const uint64_t state = crc->table[zeros - 1][byte];
            crc->table[zeros][byte] = state >> 8 ^ crc->table[0][state & 0xFF];
        }
    crc->state = UINT64_MAX;
}

static uint32_t load_word(const unsigned char *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

void tsr_crc64_add(tsr_crc64 *crc, const void *bytes, size_t count)
{
    const uint64_t(*t)[256] = (const uint64_t(*)[256])crc->table;
    const unsigned char *at = bytes;
    uint64_t state = crc->state;
    for (; count >= 8; count -= 8, at += 8) {
        const uint32_t low = (uint32_t)state ^ load_word(at),
                       high = (uint32_t)(state >> 32) ^ load_word(at + 4);
        state = t[7][low & 0xFF] ^ t[6][low >> 8 & 0xFF] ^ t[5][low >> 16 & 0xFF] ^ t[4][low >> 24] ^
                t[3][high & 0xFF] ^ t[2][high >> 8 & 0xFF] ^ t[1][high >> 16 & 0xFF] ^ t[0][high >> 24];
    }
    for (; count > 0; count--) state = state >> 8 ^ t[0][(state ^ *at++) & 0xFF];
    crc->state = state;
}

uint64_t tsr_crc64_value(const tsr_crc64 *crc)
{
    return ~crc->state;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

bool tsr_reader_open(tsr_reader *reader, tsr_context *ctx, const char *path)
{
    *reader = (tsr_reader){.ctx = ctx, .path = path};
    if (tsr_error(ctx)) return false;
    errno = 0;
    reader->file = fopen(path, "rb");
    if (!reader->file) return fail_by_system(ctx, path, "cannot be opened");
    const long size = fseek(reader->file, 0, SEEK_END) == 0 ? ftell(reader->file) : -1;
    if (size < 0) {
        fail_by_system(ctx, path, "its size cannot be told");
        tsr_reader_close(reader);
        return false;
    }
    reader->size = size;
    return tsr_reader_seek(reader, 0);
}

bool tsr_reader_open_memory(tsr_reader *reader, tsr_context *ctx, const char *name, const void *bytes, int64_t size)
{
    *reader = (tsr_reader){.ctx = ctx, .path = name, .size = size, .memory = bytes};
    return !tsr_error(ctx);
}

void tsr_reader_close(tsr_reader *reader)
{
    if (reader->file) fclose(reader->file);
    reader->file = NULL;
}

/* Positions come from within the file, whose size fits a long. */
bool tsr_reader_seek(tsr_reader *reader, int64_t position)
{
    if (tsr_error(reader->ctx)) return false;
    reader->at = position;
    if (reader->memory) return true;
    errno = 0;
    return fseek(reader->file, (long)position, SEEK_SET) == 0 ||
           fail_by_system(reader->ctx, reader->path, "cannot be read");
}

bool tsr_reader_bytes(tsr_reader *reader, void *to, size_t count)
{
    if (tsr_error(reader->ctx)) return false;
    unsigned char *at = to;
    if (reader->memory) {
        if (count > (size_t)(reader->size - reader->at)) return TSR_FILE_FAIL(reader, "ends early");
        if (count > 0) memcpy(at, reader->memory + reader->at, count);
        if (reader->checksum) tsr_crc64_add(reader->checksum, at, count);
        reader->at += (int64_t)count;
        return true;
    }
    while (count > 0) {
        const size_t part = count < PART_BYTES ? count : PART_BYTES;
        errno = 0;
        if (fread(at, 1, part, reader->file) != part) {
            if (ferror(reader->file)) return fail_by_system(reader->ctx, reader->path, "cannot be read");
            return tsr_file_fail(reader->ctx, reader->path, "ends early; was it changed while being read?");
        }
        if (reader->checksum) tsr_crc64_add(reader->checksum, at, part);
        at += part;
        count -= part;
    }
    return true;
}

bool tsr_reader_values(tsr_reader *reader, tsr_real *to, int64_t count, tsr_number number)
{
    const bool swap = number.big_endian != host_is_big_endian();
    if (number.kind == 'f' && number.bytes == (int)sizeof *to) {
        if (!tsr_reader_bytes(reader, to, (size_t)count * sizeof *to)) return false;
        if (swap) swap_bytes(to, count, number.bytes);
        return true;
    }
    unsigned char chunk[CHUNK_BYTES];
    for (int64_t done = 0; done < count;) {
        const int64_t room = CHUNK_BYTES / number.bytes, part = count - done < room ? count - done : room;
        if (!tsr_reader_bytes(reader, chunk, (size_t)part * (size_t)number.bytes)) return false;
        if (swap) swap_bytes(chunk, part, number.bytes);
        for (int64_t i = 0; i < part; i++) to[done + i] = number_at(chunk + i * number.bytes, number);
        done += part;
    }
    return true;
}

/* ---- writing ------------------------------------------------------------------------------------------- */

bool tsr_writer_open(tsr_writer *writer, tsr_context *ctx, const char *path)
{
    *writer = (tsr_writer){.ctx = ctx, .path = path};
    if (tsr_error(ctx)) return false;
    writer->temporary_bytes = strlen(path) + 32;
    writer->temporary = tsr_allocate(ctx, writer->temporary_bytes, "writing a file");
    if (!writer->temporary) return false;
    errno = 0;
    /* A temporary name may be left from a run that was killed. */
    for (int attempt = 0; !writer->file && attempt < 16; attempt++) {
        snprintf(writer->temporary, writer->temporary_bytes, "%s.%lu-%d.tmp", path, tsr_platform_process(),
                 attempt);
        writer->file = fopen(writer->temporary, "wbx");
    }
    return writer->file || fail_by_system(ctx, path, "cannot be written");
}

bool tsr_writer_seek(tsr_writer *writer, long position)
{
    if (tsr_error(writer->ctx)) return false;
    errno = 0;
    return fseek(writer->file, position, SEEK_SET) == 0 ||
           fail_by_system(writer->ctx, writer->path, "cannot be written");
}

bool tsr_writer_bytes(tsr_writer *writer, const void *from, size_t count)
{
    if (tsr_error(writer->ctx)) return false;
    const unsigned char *at = from;
    while (count > 0) {
        const size_t part = count < PART_BYTES ? count : PART_BYTES;
        if (writer->checksum) tsr_crc64_add(writer->checksum, at, part);
        errno = 0;
        if (fwrite(at, 1, part, writer->file) != part)
            return fail_by_system(writer->ctx, writer->path, "cannot be written");
        at += part;
        count -= part;
    }
    return true;
}

bool tsr_writer_values(tsr_writer *writer, const tsr_real *from, int64_t count)
{
    if (!host_is_big_endian()) return tsr_writer_bytes(writer, from, (size_t)count * sizeof *from);
    unsigned char chunk[CHUNK_BYTES];
    for (int64_t done = 0; done < count;) {
        const int64_t room = CHUNK_BYTES / (int)sizeof *from,
                      part = count - done < room ? count - done : room;
        memcpy(chunk, from + done, (size_t)part * sizeof *from);
        swap_bytes(chunk, part, sizeof *from);
        if (!tsr_writer_bytes(writer, chunk, (size_t)part * sizeof *from)) return false;
        done += part;
    }
    return true;
}

bool tsr_writer_finish(tsr_writer *writer)
{
    bool placed = false;
    if (writer->file) {
        errno = 0;
        if (!tsr_error(writer->ctx) && !tsr_platform_sync(writer->file))
            fail_by_system(writer->ctx, writer->path, "cannot be written");
        if (fclose(writer->file) != 0) fail_by_system(writer->ctx, writer->path, "cannot be written");
        errno = 0;
        placed = !tsr_error(writer->ctx) && (tsr_platform_replace(writer->temporary, writer->path) ||
                                             fail_by_system(writer->ctx, writer->path, "cannot be replaced"));
        if (!placed) remove(writer->temporary);
    }
    tsr_release(writer->ctx, writer->temporary, writer->temporary_bytes);
    *writer = (tsr_writer){0};
    return placed;
}
