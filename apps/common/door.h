/* The verbs of the door: people are enrolled with a photograph and recognised on others, without any training. Each
 * runs a program's verb and returns its exit status. Answers go to stdout in lines that scripts can read:
 *
 *     enroll: name=Ann faces=1 replaced=0 skipped=0 rows=3
 *     list: people=2 rows=4 model="..." threshold=1.1000 far=0.001 frr=0.02
 *     person: name="Ann Lee" rows=3 photos=a.jpg,b.jpg,c.jpg
 *     remove: name=Bob rows=1
 *     a.jpg face=1 faces=2 person=Ann distance=0.4121 threshold=1.1000 top=Ann:0.4121,Bob:1.3120
 *     a.jpg face=2 faces=2 unknown nearest=Bob distance=1.3120 threshold=1.1000 top=Bob:1.3120,Ann:1.4410
 *     b.jpg faces=0
 *     c.jpg error="cannot be opened (No such file or directory)"
 *     verify: same distance=0.4121 threshold=1.1000 far=0.001 frr=0.02
 *     rates: threshold=0.9000 far=0.0001 frr=0.10
 *     calibrate: threshold=1.1000 far=0.001 frr=0.02 by=far same=300 different=20000 pictures=200 people=40
 *
 * A text is in quotes, with a backslash before quotes and backslashes, where it holds a blank or one of ",:=\. Where no
 * threshold is known, "uncalibrated" is said instead of person, unknown, same or different, and threshold is "-". */
#ifndef TESSERA_APPS_DOOR_H
#define TESSERA_APPS_DOOR_H

#include "apps/common/recognizer.h"

int door_enroll(const recognizer_program *program, int count, char **arguments);
int door_list(const recognizer_program *program, int count, char **arguments);
int door_remove(const recognizer_program *program, int count, char **arguments);
int door_identify(const recognizer_program *program, int count, char **arguments);
int door_verify(const recognizer_program *program, int count, char **arguments);
int door_calibrate(const recognizer_program *program, int count, char **arguments);

#endif
