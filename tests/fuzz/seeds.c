/* Writes the stored picture files of one format (their names' first part) into a folder: what fuzzing begins with. */
#include "core/core.h"

#include <string.h>

int main(int count, char **arguments)
{
    if (count != 4) {
        fprintf(stderr, "usage: seeds FILE.safetensors FORMAT FOLDER\n");
        return 2;
    }
    tsr_context *ctx = tsr_open(NULL);
    tsr_archive *archive = tsr_archive_open(ctx, arguments[1]);
    for (int i = 0; i < tsr_archive_count(archive); i++) {
        const char *name = tsr_archive_name(archive, i), *end = strrchr(name, '.');
        char path[512];
        if (strncmp(name, arguments[2], strlen(arguments[2])) != 0 || !end || strcmp(end, ".file") != 0) continue;
        snprintf(path, sizeof path, "%s/%s", arguments[3], name);
        const tsr_tensor *bytes = tsr_archive_tensor(archive, i);
        FILE *file = fopen(path, "wb");
        if (!file) continue;
        for (int64_t k = 0; k < tsr_size(bytes); k++) putc((int)tsr_data(bytes)[k], file);
        fclose(file);
    }
    if (tsr_error(ctx)) fprintf(stderr, "seeds: %s\n", tsr_error(ctx));
    return tsr_close(ctx);
}
