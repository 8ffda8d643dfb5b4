/* Folders and lists of people: order, what is skipped, what is refused. */
#define _POSIX_C_SOURCE 200809L

#include "apps/common/people.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apps/common/folder.h"
#include "tests/apps/files.h"
#include "tests/test.h"

static const char *grey = "P2 3 1 9\n0 9 0", *colour = "P3 1 1 255\n255 0 0";

static bool make_set(char *root, const char *name)
{
    snprintf(root, 256, "%s", test_path(name));
    return add_file(root, "anna", "2.pgm", grey) && add_file(root, "anna", "10.pgm", grey) &&
           add_file(root, "anna", "1.pgm", grey) && add_file(root, "Zed", "a.ppm", colour) &&
           add_file(root, "Zed", "notes.txt", "P5 is a format of pictures") && add_file(root, "Zed", ".hidden", "x") &&
           add_file(root, "Bob", "b.pgm", grey) && add_file(root, "Bob/sub.pgm", "c.pgm", grey) &&
           add_file(root, "empty", "thumbs.db", "x") && add_file(root, ".git", "c.pgm", grey) &&
           add_file(root, ".", "README", "Hello");
}

static bool open_folder(people *set, const char *root, int skip, int limit, app_error *error)
{
    return people_open(set, &(people_request){.data = root, .skip = skip, .limit = limit}, error);
}

TEST(people_come_in_the_order_of_names_with_their_pictures)
{
    char root[256];
    people set;
    app_error error = {""};
    CHECK(make_set(root, "people-order"));
    CHECK(open_folder(&set, root, 0, 0, &error));
    const bool persons = set.count == 3 && set.picture_count == 6 && strcmp(set.persons[0].name, "Bob") == 0 &&
                         strcmp(set.persons[1].name, "Zed") == 0 && strcmp(set.persons[2].name, "anna") == 0 &&
                         set.persons[2].first == 3 && set.persons[2].count == 3 && set.persons[1].count == 1;
    const bool paths = strstr(set.paths[0], "/Bob/b.pgm") && strstr(set.paths[1], "/Bob/sub.pgm/c.pgm") &&
                       strstr(set.paths[3], "/anna/1.pgm") && strstr(set.paths[4], "/anna/10.pgm") &&
                       strstr(set.paths[5], "/anna/2.pgm") && set.places[1] == 2 && set.places[2] == 1;
    const bool found = people_find(&set, "Bob") == 0 && people_find(&set, "anna") == 2 &&
                       people_find(&set, "Ann") == -1 && people_find(&set, "zz") == -1 && people_find(&set, "") == -1;
    const int skipped = set.skipped, singles = people_singles(&set); /* README, notes.txt, thumbs.db */
    const bool first = strstr(set.first_skipped, "/README") != NULL;
    people_free(&set);
    CHECK(persons);
    CHECK(paths);
    CHECK(found);
    CHECK_EQUAL(skipped, 3);
    CHECK_EQUAL(singles, 1);
    CHECK(first);
}

TEST(people_are_left_out_and_limited_by_name)
{
    char root[256];
    people set;
    app_error error = {""}, nobody = {""};
    CHECK(make_set(root, "people-limits"));
    CHECK(open_folder(&set, root, 1, 1, &error));
    const bool second = set.count == 1 && set.picture_count == 1 && strcmp(set.persons[0].name, "Zed") == 0;
    people_free(&set);
    CHECK(second);
    CHECK(open_folder(&set, root, 2, 5, &error));
    const bool third = set.count == 1 && set.picture_count == 3 && set.persons[0].first == 0;
    people_free(&set);
    CHECK(third);
    CHECK(!open_folder(&set, root, 3, 0, &nobody));
    CHECK_CONTAINS(nobody.text, "has 3 people, none is left after the first 3");
    CHECK(set.paths == NULL);
}

TEST(people_want_a_folder_with_pictures)
{
    char root[256];
    people set;
    app_error missing = {""}, file = {""}, empty = {""}, hidden = {""}, bare = {""};
    CHECK(!open_folder(&set, "build/test-tmp/nowhere", 0, 0, &missing));
    CHECK_CONTAINS(missing.text, "build/test-tmp/nowhere: cannot be listed (");
    snprintf(root, sizeof root, "%s", test_path("no-people"));
    CHECK(write_text(root, "not a list"));
    CHECK(!open_folder(&set, root, 0, 0, &file));
    CHECK_CONTAINS(file.text, ": line 1 should be a path, a tab and a label");
    snprintf(root, sizeof root, "%s", test_path("no-picture-files"));
    CHECK(add_file(root, "Ann", "a.gif", "GIF89a"));
    CHECK(!open_folder(&set, root, 0, 0, &empty));
    CHECK_CONTAINS(empty.text, "holds no folder per person with pictures in it; not a picture: ");
    CHECK_CONTAINS(empty.text, "/Ann/a.gif");
    snprintf(root, sizeof root, "%s", test_path("hidden-pictures"));
    CHECK(add_file(root, "Ann", ".a.pgm", grey) && add_file(root, ".Bob", "a.pgm", grey));
    CHECK(!open_folder(&set, root, 0, 0, &hidden));
    CHECK_CONTAINS(hidden.text, ": holds no folder per person with pictures in it");
    CHECK(strstr(hidden.text, "not a picture") == NULL);
    snprintf(root, sizeof root, "%s", test_path("bare"));
    CHECK(folder_make(root, &bare) && !open_folder(&set, root, 0, 0, &bare));
    CHECK_CONTAINS(bare.text, ": holds no folder per person");
}

TEST(people_files_called_like_pictures_count_whatever_they_hold)
{
    char root[256];
    people set;
    app_error error = {""};
    snprintf(root, sizeof root, "%s", test_path("people-called"));
    CHECK(add_file(root, "Ann", "a.JPG", "") && add_file(root, "Ann", "b.jpeg", "x") && add_file(root, "Ann", "c", grey) &&
          add_file(root, "Ann", "d", "x") && add_file(root, "Ann", "jpg", "x"));
    CHECK(open_folder(&set, root, 0, 0, &error));
    const int pictures = set.picture_count, skipped = set.skipped;
    people_free(&set);
    CHECK_EQUAL(pictures, 3);
    CHECK_EQUAL(skipped, 2);
}

TEST(people_links_that_lead_back_and_pipes_are_skipped)
{
    char root[256], path[400];
    people set;
    app_error error = {""};
    snprintf(root, sizeof root, "%s", test_path("people-links"));
    CHECK(add_file(root, "Ann", "a.pgm", grey) && add_file(root, "Ann/in", "b.pgm", grey) && add_file(root, "Bob", "c.pgm", grey));
    static const char *const links[][2] = {
        {".", "self"}, {"../Ann", "Ann/back"}, {"../..", "Ann/in/up"}, {"../Bob", "Ann/other"}, {"nowhere", "Ann/x.pgm"}};
    for (int i = 0; i < 5; i++) { /* of an earlier run some may be there */
        snprintf(path, sizeof path, "%s/%s", root, links[i][1]);
        unlink(path);
        CHECK(symlink(links[i][0], path) == 0);
    }
    snprintf(path, sizeof path, "%s/Ann/pipe.pgm", root);
    unlink(path);
    CHECK(mkfifo(path, 0600) == 0);
    CHECK(open_folder(&set, root, 0, 0, &error));
    const bool right = set.count == 2 && set.picture_count == 4 && set.persons[0].count == 3 &&
                       strstr(set.paths[1], "/in/b.pgm") && strstr(set.paths[2], "/other/c.pgm");
    const int skipped = set.skipped;
    people_free(&set);
    CHECK(right);
    CHECK_EQUAL(skipped, 5);
}

TEST(people_folders_go_sixteen_deep)
{
    char root[256], deep[256] = "Ann";
    people set;
    app_error error = {""}, too_deep = {""};
    snprintf(root, sizeof root, "%s", test_path("people-deep"));
    for (int i = 1; i < 16; i++) strcat(deep, "/d");
    char folder[600], path[700];
    snprintf(folder, sizeof folder, "%s/%s/d", root, deep);
    rmdir(folder); /* of an earlier run */
    folder[strlen(folder) - 2] = '\0';
    snprintf(path, sizeof path, "%s/a.pgm", folder);
    CHECK(folder_make(folder, &error) && write_text(path, grey) && open_folder(&set, root, 0, 0, &error));
    const int pictures = set.picture_count;
    people_free(&set);
    CHECK_EQUAL(pictures, 1);
    snprintf(path, sizeof path, "%s/d", folder);
    CHECK(folder_make(path, &error) && !open_folder(&set, root, 0, 0, &too_deep));
    CHECK_CONTAINS(too_deep.text, "/d/d: lies more than 16 folders deep in the data");
}

/* ---- lists ------------------------------------------------------------------------------------------------------- */

TEST(people_are_read_from_a_list_by_label_and_line)
{
    char path[300];
    people set;
    app_error error = {""};
    snprintf(path, sizeof path, "%s", test_path("list.txt"));
    CHECK(write_text(path, "x/z 1.pgm\tZoe Ann\r\n\nb.pgm\tBob\r\nx/a.pgm\tZoe Ann\n/there/c.pgm Cy"));
    CHECK(open_folder(&set, path, 0, 0, &error));
    const bool right = set.count == 3 && set.picture_count == 4 && strcmp(set.persons[2].name, "Zoe Ann") == 0 &&
                       strcmp(set.paths[0], "build/test-tmp/b.pgm") == 0 && strcmp(set.paths[1], "/there/c.pgm") == 0 &&
                       strcmp(set.paths[2], "build/test-tmp/x/z 1.pgm") == 0 && set.places[3] == 2;
    people_free(&set);
    CHECK(right);
    CHECK(open_folder(&set, path, 1, 1, &error));
    const bool second = set.count == 1 && strcmp(set.persons[0].name, "Cy") == 0 && set.picture_count == 1;
    people_free(&set);
    CHECK(second);
}

TEST(people_lists_that_are_broken_are_refused_with_the_line)
{
    static const struct {
        const char *text, *problem;
    } cases[] = {
        {"", ": lists no pictures"},
        {"\n\n", ": lists no pictures"},
        {"a.pgm\tAnn\nb.pgm\n", ": line 2 should be a path, a tab and a label"},
        {"a.pgm\tAnn\nb.pgm\t\n", "line 2 should be a path"},
        {"a.pgm\tAnn\textra\n", "line 1 should be a path"},
        {"a b.pgm Ann\n", "line 1 should be a path"},
        {"a.pgm\tAnn\nb.pgm\tBob\na.pgm\tBob\n", "line 3 has the picture of line 1 again"},
    };
    char path[300];
    snprintf(path, sizeof path, "%s", test_path("broken-list.txt"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        people set;
        app_error error = {""};
        CHECK(write_text(path, cases[i].text) && !open_folder(&set, path, 0, 0, &error));
        CHECK_CONTAINS(error.text, cases[i].problem);
    }
    people set;
    app_error zero = {""};
    CHECK(write_bytes(path, "a.pgm\tA\nb\0.pgm\tB\nc.pgm\tC\n", 25) && !open_folder(&set, path, 0, 0, &zero));
    CHECK_CONTAINS(zero.text, "line 2 is too long or not text");
}

/* ---- those who are named ----------------------------------------------------------------------------------------- */

TEST(people_named_in_the_layout_of_lfw_are_taken)
{
    char root[256], names[300];
    people set;
    app_error error = {""}, none = {""};
    CHECK(make_set(root, "people-named"));
    snprintf(names, sizeof names, "%s", test_path("people.txt"));
    static const char *const layouts[] = {"3\nanna\t3\nZed\t1\nGhost\t1\n", "2\n2\nanna\t3\nGhost\t1\n1\nZed\t1\n",
                                          "3\r\n1\r\nZed 1\r\n1\r\nGhost 1\r\n1\r\nanna 9\r\n"};
    for (int i = 0; i < 3; i++) {
        CHECK(write_text(names, layouts[i]));
        people_open(&set, &(people_request){.data = root, .names = names}, &error);
        CHECK_TEXT(error.text, "");
        const bool right = set.count == 2 && people_find(&set, "Zed") == 0 && people_find(&set, "anna") == 1 &&
                           set.missing == 1 && strcmp(set.first_missing, "Ghost") == 0;
        people_free(&set);
        CHECK(right);
    }
    CHECK(write_text(names, "1\nGhost\t1\n"));
    CHECK(!people_open(&set, &(people_request){.data = root, .names = names}, &none));
    CHECK_CONTAINS(none.text, ": none of its 1 people is in ");
    CHECK_CONTAINS(none.text, "which lacks Ghost");
}

TEST(people_names_that_are_broken_are_refused_with_the_line)
{
    static const struct {
        const char *text, *problem;
    } cases[] = {
        {"", ": ends after line 0"},
        {"Ann\t1\n", "line 1 has more people than were announced"},
        {"x\n", "line 1 should be a number of people"},
        {"1\nAnn\tmany\n", "line 2 should be a number of people, or \"name pictures\""},
        {"1\nAnn\t1\t2\n", "line 2 should be a number"},
        {"2\nAnn\t1\n", "ends after line 2, before all people"},
        {"1\nAnn\t1\nBob\t1\n", "line 3 has more people than were announced"},
        {"2\n2\nAnn\t1\n1\n", "line 4 is a number, where 1 more people should be"},
        {"2\n1\nAnn\t1\n", "ends after line 3"},
        {"2\n1\nAnn\t1\n1\nBob\t1\n1\nCy\t1\n", "line 6 is a number, where 0 more people"},
    };
    char root[256], names[300];
    CHECK(make_set(root, "people-names"));
    snprintf(names, sizeof names, "%s", test_path("names.txt"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        people set;
        app_error error = {""};
        CHECK(write_text(names, cases[i].text));
        CHECK(!people_open(&set, &(people_request){.data = root, .names = names}, &error));
        CHECK_CONTAINS(error.text, cases[i].problem);
    }
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
