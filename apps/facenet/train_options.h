/* The command line of facenet train. */
#ifndef TESSERA_APPS_FACENET_TRAIN_OPTIONS_H
#define TESSERA_APPS_FACENET_TRAIN_OPTIONS_H

#include "apps/facenet/training.h"

typedef struct train_options {
    portraits_request faces;
    const char *net, *from, *out;
    int size, embedding;
    bool grey, resume, plan;
    training_settings training;
    int validate_people, validate_every, patience, save_every;
    int threads;
    uint64_t seed;
    char nets[1024];      /* the folder of the nets that find faces, beside `from` */
    char arguments[8192]; /* all that count, a line each, for a checkpoint */
    char kept[8192];      /* those of the run that is resumed; texts above point into it: may not be moved */
} train_options;

/* Fills in everything, defaults included. With --resume the arguments that the checkpoint in --out was begun with come
 * first, and those given now on top of them. The status is COMMAND_GO, or what to exit with. */
int train_options_parse(train_options *o, int count, char **given);

#endif
