/* All that is asked of a platform beyond ISO C11. Each has a plain-C fallback in platform.c; a port needs
 * nothing else. */
#ifndef TESSERA_CORE_PLATFORM_H
#define TESSERA_CORE_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* A clock that never goes back, in seconds from an arbitrary start. Measures only; no result depends on it. */
double tsr_platform_seconds(void);

/* Tells the system that a large block will be used whole. May do nothing. */
void tsr_platform_huge_pages(void *block, size_t bytes);

/* Brings what was written to `file` onto the disk. Fallback: fflush. */
bool tsr_platform_sync(FILE *file);

/* Renames `from` to `to`, replacing a file of that name in one step where the system can. */
bool tsr_platform_replace(const char *from, const char *to);

/* Waits until no other process holds a lock on this open file, and holds it until the file is closed or the process ends,
 * however it ends. Fallback: true. */
bool tsr_platform_lock(FILE *file);

/* A number that differs between processes that run at once (for temporary names). Fallback: 0. */
unsigned long tsr_platform_process(void);

/* Asks the system to let this process use AMX's tile registers. Fallback: no. */
bool tsr_platform_allow_tiles(void);

#endif
