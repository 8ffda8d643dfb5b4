/* 1:K identification: who of K enrolled people is this, if any? Everybody's first picture is the one that enrols.
 * Probes are the other pictures of those enrolled, who should be named (closed set), and all pictures of everybody
 * else, the strangers, who should be refused (open set; Phillips, Grother and Micheals, "Evaluation methods in face
 * recognition", 2005). All figures are exact counts over the draws of a row: who is enrolled is drawn, the same in
 * every run. */
#ifndef TESSERA_APPS_IDENTIFICATION_H
#define TESSERA_APPS_IDENTIFICATION_H

#include "apps/common/features.h"

typedef struct identification_row {
    int gallery, draws;        /* K, and how often K people were drawn */
    int64_t probes, strangers; /* of all draws together */
    double rank1;              /* share of the probes nearest to their own person, and nearer than to all others */
    double rank1_expected;     /* were the comparisons of different people independent: the mean of (1 - F(d))^(K - 1),
                                * d a probe's distance to its own person, F their share that is at most d */
    double threshold;          /* the largest such that at most 1 % of the strangers are nearer than it to somebody */
    double dir;                /* detection and identification rate at that: share of the probes that are of rank 1 and
                                * nearer than it. NaN, as the threshold, with fewer than 100 strangers */
    double alarms;             /* share of the strangers within the 1:1 threshold of somebody; NaN without strangers */
    double alarms_expected;    /* were they independent: 1 - (1 - e)^K */
} identification_row;

enum { IDENTIFICATION_ROWS = 32 };

typedef struct identification {
    int people, pictures;
    double threshold; /* of 1:1, which was given, */
    double far;       /* and e, the share within it of the comparisons of different people, a picture and a first one */
    int count;        /* 0: fewer than 3 people have two pictures, nothing was measured */
    identification_row rows[IDENTIFICATION_ROWS]; /* K = 1, 2, 5, 10, 20, 50, ... and all people */
} identification;

/* Who is on the pictures say their labels (from 0). `all_only`: only the row of all people, for which the pictures that
 * enrol need not be compared. Work: pictures x people distances; memory for some hundred bytes per picture and person.
 * Fails on distances that are not finite. */
bool identification_measure(identification *out, const features *f, double threshold, bool all_only, app_error *error);

/* "identification: gallery=20 draws=100 rank1=0.9933 ...", a line per row on stdout. */
void identification_print(const identification *all);

/* The rows as CSV, and as curves over K in a picture. */
bool identification_save(const identification *all, const char *csv_path, const char *picture_path, app_error *error);

#endif
