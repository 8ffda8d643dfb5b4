#include "apps/common/interrupt.h"

#include <signal.h>

static volatile sig_atomic_t asked; /* the only thing that a signal handler may touch */

static void note(int which)
{
    asked = 1;
    signal(which, SIG_DFL);
}

void interrupt_catch(void)
{
    asked = 0;
    signal(SIGINT, note);
    signal(SIGTERM, note);
}

bool interrupt_asked(void)
{
    return asked != 0;
}

void interrupt_release(void)
{
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    asked = 0;
}
