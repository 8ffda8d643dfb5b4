/* Batches: who, and which pictures. */
#include "apps/common/portraits.h"
#include "apps/common/sampler.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

/* `counts` pictures of each person, one pixel each. */
static pictures crowd(const int *counts, int people_count)
{
    pictures set = {.size = 1, .channels = 1};
    for (int p = 0; p < people_count; p++) set.count += counts[p];
    set.labels = malloc((size_t)set.count * sizeof *set.labels);
    for (int p = 0, i = 0; p < people_count; p++)
        for (int k = 0; k < counts[p]; k++) set.labels[i++] = p;
    return set;
}

TEST(sampler_shows_all_people_once_before_anyone_comes_again)
{
    const int counts[] = {3, 4, 2, 5, 6, 2, 3};
    pictures set = crowd(counts, 7);
    sampler s;
    app_error error = {""};
    int seen[7] = {0}, numbers[6];
    CHECK(sampler_open(&s, &set, 3, 2, 1, &error));
    for (int64_t step = 0; step < 2; step++) { /* 2 batches of 3 make an epoch of 7 people; one sits it out */
        sampler_draw(&s, step, numbers);
        for (int i = 0; i < 3; i++) {
            CHECK_EQUAL(set.labels[numbers[2 * i]], set.labels[numbers[2 * i + 1]]);
            CHECK(numbers[2 * i] != numbers[2 * i + 1]);
            CHECK_EQUAL(seen[set.labels[numbers[2 * i]]]++, 0);
        }
    }
    sampler_close(&s);
    pictures_close(&set);
}

TEST(sampler_repeats_pictures_of_those_who_have_few_and_leaves_out_singles)
{
    const int counts[] = {1, 2, 9, 1};
    pictures set = crowd(counts, 4);
    sampler s;
    app_error error = {""};
    int numbers[8];
    CHECK(sampler_open(&s, &set, 100, 4, 1, &error));
    CHECK_EQUAL(s.people, 2);
    CHECK_EQUAL(s.per_batch, 2); /* lowered to the people there are */
    sampler_draw(&s, 5, numbers);
    for (int i = 0; i < 8; i++) CHECK(set.labels[numbers[i]] == 1 || set.labels[numbers[i]] == 2);
    sampler_close(&s);
    pictures_close(&set);
}

TEST(sampler_refuses_a_set_without_two_people_to_compare)
{
    const int counts[] = {1, 5, 1};
    pictures set = crowd(counts, 3);
    sampler s;
    app_error error = {""};
    CHECK(!sampler_open(&s, &set, 4, 4, 1, &error));
    CHECK_TEXT(error.text, "1 of 3 people have two pictures or more: triplets need two such people");
    pictures_close(&set);
}

TEST(sampler_draws_by_seed_and_step_alone)
{
    const int counts[] = {5, 5, 5, 5, 5, 5};
    pictures set = crowd(counts, 6);
    sampler a, b, other;
    app_error error = {""};
    int x[6], y[6], z[6];
    CHECK(sampler_open(&a, &set, 3, 2, 7, &error) && sampler_open(&b, &set, 3, 2, 7, &error) &&
          sampler_open(&other, &set, 3, 2, 8, &error));
    sampler_draw(&a, 3, x);
    sampler_draw(&a, 9, x);
    sampler_draw(&b, 9, y);
    sampler_draw(&other, 9, z);
    CHECK(memcmp(x, y, sizeof x) == 0);
    CHECK(memcmp(x, z, sizeof x) != 0);
    sampler_close(&a);
    sampler_close(&b);
    sampler_close(&other);
    pictures_close(&set);
}

TEST(drawn_portraits_do_not_depend_on_threads_or_on_how_many_are_drawn)
{
    tsr_context *one = tsr_open(&(tsr_options){.threads = 1}), *three = tsr_open(&(tsr_options){.threads = 3});
    portraits a, b, held_out;
    app_error error = {""};
    CHECK(portraits_open(
        &a, one, &(portraits_request){.who.limit = 3, .cache_mb = 1, .per_person = 2, .size = 16, .channels = 3},
        &error));
    CHECK(portraits_open(
        &b, three, &(portraits_request){.who.limit = 5, .cache_mb = 1, .per_person = 2, .size = 16, .channels = 3},
        &error));
    CHECK(
        portraits_open(&held_out, three,
                       &(portraits_request){
                           .who.limit = 3, .cache_mb = 1, .per_person = 2, .size = 16, .channels = 3, .held_out = true},
                       &error));
    CHECK(memcmp(a.pictures.pixels, b.pictures.pixels, 6 * 16 * 16 * 3) == 0);
    CHECK(memcmp(a.pictures.pixels, held_out.pictures.pixels, 6 * 16 * 16 * 3) != 0);
    CHECK_EQUAL(a.pictures.labels[5], 2);
    portraits_close(&a);
    portraits_close(&b);
    portraits_close(&held_out);
    tsr_close(one);
    tsr_close(three);
}
