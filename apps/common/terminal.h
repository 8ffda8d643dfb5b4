/* With folder.h all that the programs ask of a system beyond ISO C11 and core/platform.h. */
#ifndef TESSERA_APPS_TERMINAL_H
#define TESSERA_APPS_TERMINAL_H

#include <stdbool.h>
#include <stdio.h>

/* Whether somebody watches this stream on a terminal that can rewrite its line. */
bool is_terminal(FILE *stream);

#endif
