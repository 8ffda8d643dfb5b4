/* Ctrl-C, taken as a wish: the step is finished and saved. */
#ifndef TESSERA_APPS_INTERRUPT_H
#define TESSERA_APPS_INTERRUPT_H

#include <stdbool.h>

/* From now on the first Ctrl-C (SIGINT, and SIGTERM) is noted; the second ends the program as ever. */
void interrupt_catch(void);

bool interrupt_asked(void);

/* Back to what the system does; forgets what was asked. */
void interrupt_release(void);

#endif
