/* facenet import: published weights, from a tfjs manifest to safetensors in PyTorch's names and layouts. */
#include "apps/facenet/facenet.h"

#include "apps/common/command.h"
#include "apps/common/folder.h"
#include "apps/facenet/import.h"
#include "apps/facenet/nets.h"

#include <string.h>

static const char manifest_end[] = "weights_manifest.json", file_end[] = ".safetensors";

static bool ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static bool say_unknown(const char *manifest, app_error *error)
{
    return app_fail(error, "%s: is no net of ours; to have it all the same, give --out FILE%s", manifest, file_end);
}

/* One manifest. `out` is a file, or a folder in which the file is named after the net; an unknown net goes to no
 * folder: then *made stays as it is. */
static bool import_one(const char *manifest, const char *out, int *made, app_error *error)
{
    char path[1024];
    imported weights;
    const bool into_file = ends_with(out, file_end);
    if (!import_open(&weights, manifest, error)) return false;
    const char *net = weights.net ? weights.net->name : NULL;
    const int length = into_file ? snprintf(path, sizeof path, "%s", out)
                                 : snprintf(path, sizeof path, "%s/%s%s", out, net ? net : "", file_end);
    bool done = length < (int)sizeof path || app_fail(error, "--out: the name is too long");
    if (done && (net || into_file)) {
        done = (into_file || folder_make(out, error)) && import_write(&weights, path, error);
        *made += done;
        if (done)
            printf("model: %s net=%s tensors=%d parameters=%lld\n", path, net ? net : "unknown", weights.manifest.count,
                   (long long)import_size(&weights));
    }
    import_close(&weights);
    return done;
}

static bool import_folder(const char *folder, const char *out, app_error *error)
{
    name_list names;
    char path[1024];
    int manifests = 0, made = 0;
    if (!folder_list(&names, folder, error)) return false;
    for (int i = 0; i < names.count; i++) manifests += ends_with(names.names[i], manifest_end);
    bool done = manifests > 0 || app_fail(error, "%s: holds no file *%s", folder, manifest_end);
    if (manifests > 1 && ends_with(out, file_end))
        done = app_fail(error, "%s: holds %d manifests; name one of them, or a folder as --out", folder, manifests);
    for (int i = 0; done && i < names.count; i++) {
        const int before = made;
        if (!ends_with(names.names[i], manifest_end)) continue;
        done = (size_t)snprintf(path, sizeof path, "%s/%s", folder, names.names[i]) < sizeof path ||
               app_fail(error, "%s: the name is too long", folder);
        done = done && import_one(path, out, &made, error);
        if (done && made == before && manifests > 1)
            fprintf(stderr, "facenet import: %s: is no net of ours and was left out\n", path);
    }
    name_list_free(&names);
    return done && (made > 0 || say_unknown(path, error));
}

static bool import_manifest(const char *manifest, const char *out, app_error *error)
{
    int made = 0;
    return import_one(manifest, out, &made, error) && (made > 0 || say_unknown(manifest, error));
}

int facenet_import(int count, char **arguments)
{
    const char *out = "out";
    const option options[] = {{"out", OPTION_TEXT, &out, "FILE.safetensors, or a folder, files named after nets",
                               "PATH", 0, 0, NULL}};
    command c = {.program = "facenet", .verb = "import",
                 .summary = "Turns tensorflow.js weights (*weights_manifest.json and shards) into safetensors.",
                 .operands = "DIR|MANIFEST", .fewest = 1, .most = 1, .options = options, .option_count = 1};
    const int status = command_start(&c, count, arguments);
    if (status != COMMAND_GO) return status;
    app_error error = {""};
    const char *from = c.rest[0];
    const bool done = is_folder(from) ? import_folder(from, out, &error) : import_manifest(from, out, &error);
    if (!done) fprintf(stderr, "facenet import: %s\n", error.text);
    return done ? 0 : 1;
}
