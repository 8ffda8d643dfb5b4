/* Weights of tensorflow.js: every type, names and layouts of the nets we know, and manifests that mean harm. */
#include "apps/common/folder.h"
#include "apps/facenet/import.h"
#include "tests/apps/files.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>

typedef char path[400];

/* A folder with one manifest; returns the manifest's path in `out`. */
static bool make_manifest(path out, const char *name, const char *text)
{
    app_error error = {""};
    const char *folder = test_path(name);
    snprintf(out, sizeof(path), "%.300s/m-weights_manifest.json", folder);
    return folder_make(folder, &error) && write_text(out, text);
}

/* A file beside the manifest. */
static bool add_shard(const char *manifest, const char *name, const void *bytes, size_t size)
{
    path file;
    snprintf(file, sizeof file, "%.*s%s", (int)(strrchr(manifest, '/') - manifest) + 1, manifest, name);
    return write_bytes(file, bytes, size);
}

static bool import_to(const char *manifest, const char *out, app_error *error)
{
    imported weights;
    const bool done = import_open(&weights, manifest, error) && import_write(&weights, out, error);
    import_close(&weights);
    return done;
}

static bool holds(tsr_archive *archive, const char *name, tsr_shape shape, const tsr_real *values)
{
    const tsr_tensor *t = tsr_archive_tensor(archive, tsr_archive_find(archive, name));
    if (tsr_is_error(t) || !tsr_same_shape(tsr_shape_of(t), shape)) return false;
    return memcmp(tsr_data(t), values, (size_t)tsr_size(t) * sizeof *values) == 0;
}

TEST(import_reads_every_type_and_turns_kernels)
{
    path manifest;
    const char *out = test_path("types.safetensors");
    app_error error = {""};
    CHECK(make_manifest(
        manifest, "import-types",
        "[{\"weights\":[{\"name\":\"a/"
        "half\",\"shape\":[4],\"dtype\":\"float32\",\"quantization\":{\"dtype\":\"float16\","
        "\"original_dtype\":\"float32\"}},"
        "{\"name\":\"a/kernel\",\"shape\":[2,1,2,3],\"dtype\":\"float32\",\"quantization\":{\"scale\":0.5,\"min\":-1,"
        "\"dtype\":\"uint8\"}}],\"extra\":{\"deep\":[1,-2.5e1,{\"x\":[true,null,\"\"]}],\"y\":{}},\"paths\":[\"one\","
        "\"two\"]},"
        "{\"paths\":[\"three\"],\"weights\":[{\"dtype\":\"float32\",\"name\":\"single\",\"shape\":[]},"
        "{\"shape\":[2,3],\"name\":\"dense\",\"dtype\":\"float32\",\"quantization\":{\"dtype\":\"uint16\",\"min\":2,"
        "\"scale\":2.5e-1}},"
        "{\"name\":\"b/"
        "depthwise_kernel\",\"shape\":[1,2,2,2],\"dtype\":\"float32\",\"quantization\":{\"dtype\":\"uint8\","
        "\"scale\":1,\"min\":0}}]}]"));
    const unsigned char one[] = {0x00, 0x3C, 0x00, 0xC1, 0x01}; /* 1, -2.5, and half of 2^-24 */
    const unsigned char two[] = {0x00, 0x00, 0x7C, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    const unsigned char three[] = {0x00, 0x00, 0x20, 0xC0, 0, 0, 1, 0, 2, 0, 3, 0,
                                   0,    1,    255,  255,  0, 1, 2, 3, 4, 5, 6, 7};
    CHECK(add_shard(manifest, "one", one, sizeof one) && add_shard(manifest, "two", two, sizeof two));
    CHECK(add_shard(manifest, "three", three, sizeof three));
    CHECK(import_to(manifest, out, &error));
    tsr_context *ctx = tsr_open(NULL);
    tsr_archive *archive = tsr_archive_open(ctx, out);
    CHECK_EQUAL(tsr_archive_count(archive), 5);
    CHECK(holds(archive, "a.half", TSR_SHAPE(4), (tsr_real[]){1, -2.5, (tsr_real)ldexp(1, -24), (tsr_real)INFINITY}));
    CHECK(holds(archive, "a.kernel", TSR_SHAPE(3, 2, 2, 1),
                (tsr_real[]){-1, 2, (tsr_real)0.5, (tsr_real)3.5, (tsr_real)-0.5, (tsr_real)2.5, 1, 4, 0, 3,
                             (tsr_real)1.5, (tsr_real)4.5}));
    CHECK(holds(archive, "single", TSR_SCALAR, (tsr_real[]){-2.5}));
    CHECK(holds(archive, "dense", TSR_SHAPE(3, 2), (tsr_real[]){2, 2.75, 2.25, 66, 2.5, 16385.75}));
    CHECK(holds(archive, "b.depthwise_kernel", TSR_SHAPE(4, 1, 1, 2), (tsr_real[]){0, 4, 1, 5, 2, 6, 3, 7}));
    CHECK_EQUAL(tsr_close(ctx), 0);
}

/* ---- the nets we know -------------------------------------------------------------------------------------------- */

typedef struct building { /* of a manifest with quantised values that repeat 0, 1, ... 250 */
    char *text;
    size_t length, room, bytes;
} building;

static void add_array(building *b, const char *name, tsr_shape shape)
{
    if (b->room - b->length < 600) b->text = realloc(b->text, b->room += 1 << 16);
    if (!b->text) abort();
    b->length += (size_t)snprintf(b->text + b->length, 600, "%s{\"name\":\"%s\",\"shape\":%s,\"dtype\":\"float32\","
                                  "\"quantization\":{\"dtype\":\"uint8\",\"scale\":0.001,\"min\":-0.125}}",
                                  b->length ? "," : "[{\"weights\":[", name, tsr_shape_text(shape).text);
    b->bytes += (size_t)tsr_shape_size(shape);
}

static bool finish(building *b, const char *name, path manifest)
{
    unsigned char *values = malloc(b->bytes);
    if (!values) return false;
    for (size_t i = 0; i < b->bytes; i++) values[i] = (unsigned char)(i % 251);
    strcpy(b->text + b->length, "],\"paths\":[\"s\"]}]");
    const bool done = make_manifest(manifest, name, b->text) && add_shard(manifest, "s", values, b->bytes);
    free(values);
    free(b->text);
    return done;
}

/* `parts` with their shapes below `name`. */
static void add_separable(building *b, const char *name, int in, int out)
{
    char part[100];
    snprintf(part, sizeof part, "%s/depthwise_filter", name);
    add_array(b, part, TSR_SHAPE(3, 3, in, 1));
    snprintf(part, sizeof part, "%s/pointwise_filter", name);
    add_array(b, part, TSR_SHAPE(1, 1, in, out));
    snprintf(part, sizeof part, "%s/bias", name);
    add_array(b, part, TSR_SHAPE(out));
}

static void add_plain(building *b, const char *name, int side, int in, int out)
{
    char part[100];
    snprintf(part, sizeof part, "%s/filters", name);
    add_array(b, part, TSR_SHAPE(side, side, in, out));
    snprintf(part, sizeof part, "%s/bias", name);
    add_array(b, part, TSR_SHAPE(out));
}

/* Import refuses what its net does not take, so that success says that all names and shapes fit. */
TEST(import_knows_the_tiny_face_detector)
{
    static const char *const names[] = {"conv1", "conv2", "conv3", "conv4", "conv5"};
    building b = {0};
    path manifest;
    const char *out = test_path("detector.safetensors");
    app_error error = {""};
    add_plain(&b, "conv0", 3, 3, 16);
    for (int i = 0; i < 5; i++) add_separable(&b, names[i], 16 << i, 32 << i);
    add_plain(&b, "conv8", 1, 512, 25);
    CHECK(finish(&b, "import-detector", manifest));
    CHECK(import_to(manifest, out, &error));
    tsr_context *ctx = tsr_open(NULL);
    tsr_archive *archive = tsr_archive_open(ctx, out);
    CHECK_TEXT(tsr_archive_metadata(archive, "net"), "facenet tiny_face_detector");
    const tsr_tensor *w = tsr_archive_tensor(archive, tsr_archive_find(archive, "conv1.depthwise.weight"));
    CHECK(tsr_same_shape(tsr_shape_of(w), TSR_SHAPE(16, 1, 3, 3)));
    const int at = 3 * 3 * 3 * 16 + 16 + (2 * 3 + 1) * 16 + 5; /* channel 5, row 2, column 1 */
    CHECK_NEAR(tsr_data(w)[5 * 9 + 7], (at % 251) * 0.001 - 0.125, 1e-7);
    CHECK_EQUAL(tsr_close(ctx), 0);
}

TEST(import_knows_the_landmark_net)
{
    building b = {0};
    path manifest;
    app_error error = {""};
    for (int dense = 0; dense < 4; dense++)
        for (int conv = 0; conv < 4; conv++) {
            char name[40];
            snprintf(name, sizeof name, "dense%d/conv%d", dense, conv);
            if (dense + conv == 0) add_plain(&b, name, 3, 3, 32);
            else add_separable(&b, name, conv ? 32 << dense : 16 << dense, 32 << dense);
        }
    add_array(&b, "fc/weights", TSR_SHAPE(256, 136));
    add_array(&b, "fc/bias", TSR_SHAPE(136));
    CHECK(finish(&b, "import-landmarks", manifest));
    CHECK(import_to(manifest, test_path("landmarks.safetensors"), &error));
}

static void add_unit(building *b, const char *block, const char *name, int in, int out)
{
    static const char *const scale[] = {"weights", "biases"};
    char part[100];
    snprintf(part, sizeof part, "%s%s/conv", block, name);
    add_plain(b, part, *name ? 3 : 7, in, out);
    for (int i = 0; i < 2; i++) {
        snprintf(part, sizeof part, "%s%s/scale/%s", block, name, scale[i]);
        add_array(b, part, TSR_SHAPE(out));
    }
}

TEST(import_knows_face_resnet29_and_refuses_it_incomplete)
{
    static const struct {
        const char *name;
        int in, out;
    } blocks[] = {{"conv32_1", 32, 32},    {"conv32_2", 32, 32},          {"conv32_3", 32, 32},
                  {"conv64_down", 32, 64}, {"conv64_1", 64, 64},          {"conv64_2", 64, 64},
                  {"conv64_3", 64, 64},    {"conv128_down", 64, 128},     {"conv128_1", 128, 128},
                  {"conv128_2", 128, 128}, {"conv256_down", 128, 256},    {"conv256_1", 256, 256},
                  {"conv256_2", 256, 256}, {"conv256_down_out", 256, 256}};
    for (int complete = 0; complete < 2; complete++) {
        building b = {0};
        path manifest;
        const char *out = test_path("resnet.safetensors");
        app_error error = {""};
        add_unit(&b, "conv32_down", "", 3, 32);
        for (int i = 0; i < 13 + complete; i++) {
            add_unit(&b, blocks[i].name, "/conv1", blocks[i].in, blocks[i].out);
            add_unit(&b, blocks[i].name, "/conv2", blocks[i].out, blocks[i].out);
        }
        add_array(&b, "fc", TSR_SHAPE(256, 128));
        CHECK(finish(&b, "import-resnet", manifest));
        CHECK_EQUAL(import_to(manifest, out, &error), complete);
        if (!complete)
            CHECK_CONTAINS(error.text, "there is no tensor \"conv256_down_out.conv1.conv.weight\" (did you mean");
        char byte;
        CHECK_EQUAL(read_bytes(out, &byte, 1), complete);
    }
}

/* ---- manifests that mean harm ------------------------------------------------------------------------------------ */

#define ARRAY(more) "[{\"weights\":[{\"name\":\"w\"" more "}],\"paths\":[\"s\"]}]"

TEST(import_refuses_each_hostile_manifest_in_one_line)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", ": byte 0: expected '['"},
        {"{}", ": byte 0: expected '['"},
        {"[{\"weights\":[", ": byte 13: expected '{'"},
        {"[{\"weights\":[{\"name\":\"a\\u0000b\"}]}]", "expected an escape of a character other than NUL"},
        {ARRAY(""), ": an array has no dtype"},
        {ARRAY(",\"dtype\":\"float32\""), ": an array has no shape"},
        {"[{\"weights\":[{\"dtype\":\"float32\",\"shape\":[1]}]}]", ": an array has no name"},
        {ARRAY(",\"dtype\":\"int32\",\"shape\":[1]"), ": \"w\" is int32; only float32 is read"},
        {ARRAY(",\"dtype\":\"uint8\",\"shape\":[4]"), ": \"w\" is uint8; only float32 is read"},
        {ARRAY(",\"dtype\":\"float32\",\"shape\":[4],\"quantization\":{\"dtype\":\"int4\"}"),
         ": \"w\" is float32 as int4;"},
        {ARRAY(",\"dtype\":\"float32\",\"shape\":[4],\"quantization\":{\"dtype\":\"uint8\",\"scale\":1e999}"),
         "expected a number"},
        {ARRAY(",\"dtype\":\"float32\",\"shape\":[4],\"quantization\":{\"dtype\":\"uint8\",\"scale\":nan}"),
         "expected a number"},
        {ARRAY(",\"dtype\":\"float32\",\"shape\":[-1]"), "expected a whole number"},
        {ARRAY(",\"dtype\":\"float32\",\"shape\":[1.5]"), "expected a whole number"},
        {ARRAY(",\"dtype\":\"float32\",\"shape\":[2]"), ": the shards end within \"w\" of shape [2]"},
        {ARRAY(",\"dtype\":\"float32\",\"shape\":[1000000000]"), ": the shards end within \"w\""},
        {ARRAY(",\"dtype\":\"float32\",\"shape\":[1152921504606846976]"), " is too large"},
        {ARRAY(",\"dtype\":\"float32\",\"shape\":[4294967296,4294967296]"), " is too large"},
        {ARRAY(",\"dtype\":\"float32\",\"shape\":[1,1,1,1,1,1,1,1,1]"), ": an array has more than 8 dimensions"},
        {ARRAY(",\"dtype\":\"float32\",\"shape\":[0]"), ": the shards have 4 bytes more than the arrays take"},
        {"[{\"paths\":[\"../s\"]}]", ": the shard \"../s\" is not a file beside it"},
        {"[{\"paths\":[\"..\"]}]", ": the shard \"..\" is not a file beside it"},
        {"[{\"paths\":[\"\"]}]", ": the shard \"\" is not a file beside it"},
        {"[{\"paths\":[\"/etc/passwd\"]}]", " is not a file beside it"},
        {"[{\"paths\":[\"missing\\u001b\"]}]", "missing?: cannot be read ("},
        {"[{\"x\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", ": expected nothing nested that deep"},
        {"[{\"x\":tru}]", ": expected a value"},
        {"[] []", ": byte 3: expected nothing more"},
        {"[{\"weights\":[{\"name\":\"a/"
         "b\",\"dtype\":\"float16\",\"shape\":[1]},{\"name\":\"a.b\",\"dtype\":\"float16\","
         "\"shape\":[1]}],\"paths\":[\"s\"]}]",
         "'a.b'"},
        {"[{\"weights\":[{\"name\":\"\",\"dtype\":\"float32\",\"shape\":[1]}],\"paths\":[\"s\",\"s\"]}]",
         " 4 bytes more"},
    };
    path manifest;
    const char *out = test_path("hostile.safetensors");
    CHECK(make_manifest(manifest, "import-hostile", "") && add_shard(manifest, "s", "\0\0\0\0", 4));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        app_error error = {""};
        char byte;
        CHECK(write_text(manifest, cases[i].text));
        CHECK(!import_to(manifest, out, &error));
        CHECK_CONTAINS(error.text, cases[i].message);
        CHECK(!strchr(error.text, '\n'));
        CHECK_EQUAL(read_bytes(out, &byte, 1), 0);
    }
}

/* Every byte of a good manifest damaged in turn: read or refused, never worse. */
TEST(import_survives_damage_anywhere)
{
    static const char text[] =
        "[{\"weights\":[{\"name\":\"a/filters\",\"shape\":[1,1,2,1],\"dtype\":\"float32\",\"quantization\":"
        "{\"dtype\":\"uint8\",\"scale\":1.5e-3,\"min\":-0.25}}],\"paths\":[\"s\"]}]";
    const char damage[] = "\0\"9{]-\\e\x80";
    path manifest;
    CHECK(make_manifest(manifest, "import-damage", "") && add_shard(manifest, "s", "ab", 2));
    for (size_t i = 0; i < sizeof text - 1; i++)
        for (size_t k = 0; k < sizeof damage - 1; k++) {
            char spoilt[sizeof text];
            app_error error = {""};
            imported weights;
            memcpy(spoilt, text, sizeof text);
            spoilt[i] = damage[k];
            CHECK(write_bytes(manifest, spoilt, sizeof text - 1));
            CHECK(import_open(&weights, manifest, &error) == (error.text[0] == '\0'));
            import_close(&weights);
        }
}
