/* Folders of people: order, what is skipped, what is loaded. */
#include "apps/common/people.h"

#include <stdlib.h>

#include "apps/common/folder.h"
#include "tests/apps/files.h"
#include "tests/test.h"

static bool add(const char *root, const char *who, const char *file, const char *text)
{
    app_error error = {""};
    char folder[300], path[400];
    snprintf(folder, sizeof folder, "%.200s/%.50s", root, who);
    snprintf(path, sizeof path, "%s/%.50s", folder, file);
    return folder_make(folder, &error) && write_text(path, text);
}

/* Two grey pixels, the middle square of which is one of them; and a picture in colour. */
static const char *grey = "P2 3 1 9\n0 9 0", *colour = "P3 1 1 255\n255 0 0";

static bool make_set(char *root, const char *name)
{
    snprintf(root, 256, "%s", test_path(name));
    return add(root, "anna", "2.pgm", grey) && add(root, "anna", "10.pgm", grey) &&
           add(root, "anna", "1.pgm", grey) && add(root, "Zed", "a.ppm", colour) &&
           add(root, "Zed", "notes.txt", "P5 is a format of pictures") && add(root, "Zed", ".hidden", "x") &&
           add(root, "Bob", "b.pgm", grey) && add(root, "Bob/sub.pgm", "c.pgm", grey) &&
           add(root, "empty", "thumbs.db", "x") && add(root, ".git", "c.pgm", grey) &&
           add(root, ".", "README", "Hello");
}

TEST(people_come_in_the_order_of_names_with_their_pictures)
{
    char root[256];
    people set;
    app_error error = {""};
    CHECK(make_set(root, "people-order"));
    CHECK(people_open(&set, root, 0, 0, &error));
    const bool persons = set.count == 3 && set.picture_count == 5 &&
                         strcmp(set.persons[0].name, "Bob") == 0 && strcmp(set.persons[1].name, "Zed") == 0 &&
                         strcmp(set.persons[2].name, "anna") == 0 && set.persons[2].first == 2 &&
                         set.persons[2].count == 3 && set.persons[1].count == 1;
    const bool paths = strstr(set.paths[2], "/anna/1.pgm") && strstr(set.paths[3], "/anna/10.pgm") &&
                       strstr(set.paths[4], "/anna/2.pgm");
    const bool found = people_find(&set, "Bob") == 0 && people_find(&set, "anna") == 2 &&
                       people_find(&set, "Ann") == -1 && people_find(&set, "zz") == -1 &&
                       people_find(&set, "") == -1;
    const int skipped = set.skipped; /* README, notes.txt, thumbs.db */
    const bool first = strstr(set.first_skipped, "/README") != NULL;
    people_free(&set);
    CHECK(persons);
    CHECK(paths);
    CHECK(found);
    CHECK_EQUAL(skipped, 3);
    CHECK(first);
}

TEST(people_are_left_out_and_limited_by_name)
{
    char root[256];
    people set;
    app_error error = {""}, nobody = {""};
    CHECK(make_set(root, "people-limits"));
    CHECK(people_open(&set, root, 1, 1, &error));
    const bool second = set.count == 1 && set.picture_count == 1 && strcmp(set.persons[0].name, "Zed") == 0;
    people_free(&set);
    CHECK(second);
    CHECK(people_open(&set, root, 2, 5, &error));
    const bool third = set.count == 1 && set.picture_count == 3 && set.persons[0].first == 0;
    people_free(&set);
    CHECK(third);
    CHECK(!people_open(&set, root, 3, 0, &nobody));
    CHECK_CONTAINS(nobody.text, "has 3 people, none is left after the first 3");
    CHECK(set.paths == NULL);
}

TEST(people_are_loaded_as_middle_squares_of_one_size)
{
    char root[256];
    people set;
    pictures rgb, greys;
    app_error error = {""};
    CHECK(make_set(root, "people-load"));
    CHECK(people_open(&set, root, 0, 0, &error));
    CHECK(people_load(&rgb, &set, 2, 3, &error));
    CHECK(people_load(&greys, &set, 2, 1, &error));
    bool right = rgb.count == 5 && rgb.size == 2 && rgb.channels == 3 && rgb.paths == set.paths;
    for (int i = 0; right && i < 5; i++)
        right = rgb.labels[i] == (i < 2 ? i : 2) && greys.labels[i] == rgb.labels[i];
    for (int i = 0; right && i < 12; i++)
        right =
            rgb.pixels[i] == 255 && rgb.pixels[12 + i] == (i % 3 == 0 ? 255 : 0) && rgb.pixels[48 + i] == 255;
    for (int i = 0; right && i < 4; i++)
        right = greys.pixels[i] == 255 && greys.pixels[4 + i] == 76; /* red's luma */
    pictures_free(&rgb);
    pictures_free(&greys);
    people_free(&set);
    CHECK(right);
}

TEST(people_name_the_picture_that_cannot_be_read)
{
    char root[256];
    people set;
    pictures p;
    app_error error = {""}, size = {""};
    CHECK(make_set(root, "people-broken"));
    CHECK(add(root, "Zed", "broken.pgm", "P5 9 9 255\nxyz"));
    CHECK(people_open(&set, root, 0, 0, &error));
    const bool loaded = people_load(&p, &set, 8, 1, &error), sized = people_load(&p, &set, 0, 1, &size);
    people_free(&set);
    CHECK(!loaded);
    CHECK_CONTAINS(error.text, "/Zed/broken.pgm: is truncated");
    CHECK(p.pixels == NULL && p.labels == NULL);
    CHECK(!sized);
    CHECK(size.text[0] != '\0');
}

TEST(people_want_a_folder_with_pictures)
{
    char root[256];
    people set;
    app_error missing = {""}, file = {""}, empty = {""};
    CHECK(!people_open(&set, "build/test-tmp/nowhere", 0, 0, &missing));
    CHECK_CONTAINS(missing.text, "build/test-tmp/nowhere: cannot be listed (");
    snprintf(root, sizeof root, "%s", test_path("no-people"));
    CHECK(write_text(root, "a file"));
    CHECK(!people_open(&set, root, 0, 0, &file));
    snprintf(root, sizeof root, "%s", test_path("no-pictures"));
    CHECK(add(root, "Ann", "a.jpg", "a text"));
    CHECK(!people_open(&set, root, 0, 0, &empty));
    CHECK_CONTAINS(empty.text,
                   "holds no folder per person with pictures that can be read; not such a picture: ");
    CHECK_CONTAINS(empty.text, "/Ann/a.jpg");
}

TEST(folder_makes_all_folders_above_and_says_what_is_in_the_way)
{
    app_error error = {""}, in_the_way = {""};
    char root[256], path[300];
    snprintf(root, sizeof root, "%s", test_path("folders"));
    snprintf(path, sizeof path, "%s/a/b//c/", root);
    CHECK(folder_make(path, &error));
    CHECK(folder_make(path, &error));
    CHECK(is_folder(path));
    snprintf(path, sizeof path, "%s/a/file", root);
    CHECK(write_text(path, "x"));
    CHECK(!is_folder(path));
    CHECK(!folder_make(path, &in_the_way));
    CHECK_CONTAINS(in_the_way.text, "a/file: cannot be made (");
}
