#include "apps/common/progress.h"

#include "apps/common/terminal.h"
#include "core/platform.h"

#include <inttypes.h>

void progress_start(progress *p, const char *what, const char *unit, int64_t first, int64_t total)
{
    *p = (progress){.stream = stderr, .what = what, .unit = unit, .first = first, .total = total};
    p->terminal = is_terminal(p->stream);
    p->started = tsr_platform_seconds();
    p->shown = p->started - 1;
}

static void print_duration(char *text, size_t size, double seconds)
{
    if (seconds < 60) snprintf(text, size, "%.0f s", seconds);
    else if (seconds < 3600) snprintf(text, size, "%d min %02d s", (int)seconds / 60, (int)seconds % 60);
    else if (seconds < 1e9)
        snprintf(text, size, "%d h %02d min", (int)(seconds / 3600), (int)(seconds / 60) % 60);
    else snprintf(text, size, "long");
}

progress_line progress_print(const progress *p, int64_t done, double seconds, const char *note)
{
    progress_line line;
    char left[40];
    const int64_t total = p->total > 0 ? p->total : 1;
    const double rate = seconds > 0 ? (double)(done - p->first) / seconds : 0;
    const bool over = done >= p->total;
    if (over) print_duration(left, sizeof left, seconds);
    else if (rate > 0) print_duration(left, sizeof left, (double)(total - done) / rate);
    else snprintf(left, sizeof left, "?");
    snprintf(line.text, sizeof line.text, "%s %3d%% %" PRId64 "/%" PRId64 " %s  %.3g %s/s  %s %s%s%s",
             p->what, (int)(100 * (double)done / (double)total), done, p->total, p->unit, rate, p->unit, left,
             over ? "in all" : "left", note ? "  " : "", note ? note : "");
    return line;
}

void progress_show(progress *p, int64_t done, const char *note)
{
    const double now = tsr_platform_seconds();
    const int64_t todo = p->total - p->first;
    const int tenths = todo > 0 ? (int)(10 * (double)(done - p->first) / (double)todo) : 10;
    if (p->terminal ? now - p->shown < 0.1 && done < p->total : tenths <= p->tenths) return;
    const progress_line line = progress_print(p, done, now - p->started, note);
    if (p->terminal) fprintf(p->stream, "\r%s\033[K", line.text);
    else fprintf(p->stream, "%s\n", line.text);
    fflush(p->stream);
    p->shown = now;
    p->tenths = tenths;
}

void progress_end(progress *p)
{
    if (p->terminal) fputc('\n', p->stream);
}
