/* All that is asked of a platform beyond ISO C11. Each has a plain-C fallback in platform.c; a port needs
 * nothing else. */
#ifndef TESSERA_CORE_PLATFORM_H
#define TESSERA_CORE_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A clock that never goes back, in seconds from an arbitrary start. Measures only; no result depends on it. */
double tsr_platform_seconds(void);

/* Tells the system that a large block will be used whole. May do nothing. */
void tsr_platform_huge_pages(void *block, size_t bytes);

/* Brings what was written to `file` onto the disk. Fallback: fflush. */
bool tsr_platform_sync(FILE *file);

/* Renames `from` to `to`, replacing a file of that name in one step where the system can. */
bool tsr_platform_replace(const char *from, const char *to);

/* A number that differs between processes that run at once (for temporary names). Fallback: 0. */
unsigned long tsr_platform_process(void);

/* Makes the file where it is missing, and waits until nobody else has locked it: another process, or this one. Returns
 * what to unlock, or -1 where it cannot be made. The system unlocks what a killed process had locked; the file stays.
 * Fallback: locks nothing. */
intptr_t tsr_platform_lock(const char *path);
void tsr_platform_unlock(intptr_t lock);

/* Asks the system to let this process use AMX's tile registers. Fallback: no. */
bool tsr_platform_allow_tiles(void);

#endif
