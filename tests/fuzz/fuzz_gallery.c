/* Any bytes opened as a gallery, its checksum taken as right; what opens is searched, written and opened again. */
#include "apps/common/gallery.h"
#include "core/platform.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void require(bool holds)
{
    if (!holds) __builtin_trap();
}

static bool leave(gallery *g, void *user, app_error *error)
{
    (void)error;
    *(int *)user = g->count;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    char path[64], lock[80];
    snprintf(path, sizeof path, "build/fuzz/%lu.gallery", tsr_platform_process());
    snprintf(lock, sizeof lock, "%s.lock", path);
    FILE *file = fopen(path, "wb");
    require(file != NULL); /* make fuzz has made the folder */
    fwrite(bytes, 1, count, file);
    fclose(file);

    gallery g, again;
    gallery_hit hits[3];
    int rows = 0;
    app_error error = {""};
    tsr_context *ctx = tsr_open(&(tsr_options){.threads = 1});
    if (gallery_read(&g, ctx, path, NULL, &error)) {
        if (g.count > 0) gallery_scan(hits, &g, ctx, &(gallery_query){g.rows, squared_distance, 3});
        require(gallery_update(ctx, path, NULL, (gallery_task){leave, &rows}, &error) && rows == g.count);
        require(gallery_read(&again, ctx, path, NULL, &error) && again.people.count == g.people.count);
        require(g.count == 0 || memcmp(again.persons, g.persons, (size_t)g.count * sizeof *g.persons) == 0);
        for (int who = g.people.count - 1; who >= 0; who -= 2) gallery_remove(&g, who);
        gallery_free(&g);
        gallery_free(&again);
    } else require(error.text[0] != '\0');
    tsr_close(ctx);
    remove(path);
    remove(lock);
    return 0;
}
