/* Any bytes read as a list of pairs, of people, of pictures and of landmarks. */
#include "apps/common/align.h"
#include "apps/common/pairs.h"
#include "core/platform.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    char path[64], *paths[] = {"a/Ann/Ann_0001.jpg", "a/Ann/Ann_0002.jpg", "a/Bob/Bob_0001.jpg"};
    int places[] = {1, 2, 1};
    person persons[] = {{"Ann", 0, 2}, {"Bob", 2, 1}};
    const people set = {.count = 2, .picture_count = 3, .persons = persons, .paths = paths, .places = places};
    snprintf(path, sizeof path, "build/fuzz/%lu.lists", tsr_platform_process());
    FILE *file = fopen(path, "wb");
    if (!file) __builtin_trap(); /* make fuzz has made the folder */
    fwrite(bytes, 1, count, file);
    fclose(file);

    app_error errors[4] = {{""}, {""}, {""}, {""}};
    pairs list;
    people found;
    landmark_list faces;
    bool done[4] = {pairs_read(&list, path, &set, &errors[0]),
                    people_open(&found, &(people_request){.data = path}, &errors[1]), false,
                    landmarks_read(&faces, path, &errors[3])};
    if (done[0]) pairs_free(&list);
    if (done[1]) people_free(&found);
    if (done[3]) landmarks_free(&faces);
    done[2] = people_open(&found, &(people_request){.data = "tests/fuzz", .names = path}, &errors[2]);
    if (done[2]) people_free(&found);
    for (int i = 0; i < 4; i++)
        if (done[i] != (errors[i].text[0] == '\0')) __builtin_trap(); /* an error without a message, or the reverse */
    remove(path);
    return 0;
}
