#if defined(__unix__) || defined(__APPLE__)
#define TSR_POSIX 1
#define _DEFAULT_SOURCE 1
#define _DARWIN_C_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif
#elif defined(_WIN32)
#define WIN32_LEAN_AND_MEAN 1 /* fewer names that the rest of the library might use, too */
#define NOMINMAX 1
#include <io.h>
#include <process.h>
#include <windows.h>
#endif

#include "core/platform.h"

#include <time.h>

double tsr_platform_seconds(void)
{
#if defined(_WIN32)
    LARGE_INTEGER now, each;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&each);
    return (double)now.QuadPart / (double)each.QuadPart;
#else
    struct timespec now = {0};
#if defined(TSR_POSIX)
    clock_gettime(CLOCK_MONOTONIC, &now);
#else
    timespec_get(&now, TIME_UTC);
#endif
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
#endif
}

void tsr_platform_huge_pages(void *block, size_t bytes)
{
#if defined(TSR_POSIX) && defined(MADV_HUGEPAGE)
    const uintptr_t page = 2u << 20, begin = ((uintptr_t)block + page - 1) / page * page;
    const uintptr_t end = ((uintptr_t)block + bytes) / page * page;
    if (begin < end) madvise((void *)begin, end - begin, MADV_HUGEPAGE);
#else
    (void)block;
    (void)bytes;
#endif
}

bool tsr_platform_sync(FILE *file)
{
    if (fflush(file) != 0) return false;
#if defined(TSR_POSIX)
    return fsync(fileno(file)) == 0;
#elif defined(_WIN32)
    return _commit(_fileno(file)) == 0;
#else
    return true;
#endif
}

bool tsr_platform_replace(const char *from, const char *to)
{
#if defined(TSR_POSIX)
    struct stat there; /* a device or a link is not to be replaced by a file */
    if (stat(to, &there) == 0 && !S_ISREG(there.st_mode)) {
        errno = EINVAL;
        return false;
    }
    return rename(from, to) == 0;
#elif defined(_WIN32)
    return MoveFileExA(from, to, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH) != 0;
#else
    if (rename(from, to) == 0) return true;
    remove(to); /* ISO C leaves open whether rename replaces */
    return rename(from, to) == 0;
#endif
}

unsigned long tsr_platform_process(void)
{
#if defined(TSR_POSIX)
    return (unsigned long)getpid();
#elif defined(_WIN32)
    return (unsigned long)_getpid();
#else
    return 0;
#endif
}

/* On POSIX flock: unlike fcntl's, its locks belong to the open file, so that they also part threads of one process. */
intptr_t tsr_platform_lock(const char *path)
{
#if defined(TSR_POSIX)
    const int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    int failed = file < 0 ? -1 : 1;
    while (failed > 0) failed = flock(file, LOCK_EX) == 0 ? 0 : errno == EINTR ? 1 : -1;
    if (failed && file >= 0) close(file);
    return failed ? -1 : file;
#elif defined(_WIN32)
    const HANDLE file = CreateFileA(path, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL,
                                    OPEN_ALWAYS, FILE_ATTRIBUTE_NORMAL, NULL);
    OVERLAPPED from_start = {0};
    if (file == INVALID_HANDLE_VALUE || LockFileEx(file, LOCKFILE_EXCLUSIVE_LOCK, 0, 1, 0, &from_start))
        return (intptr_t)file; /* the invalid one is -1 */
    CloseHandle(file);
    return -1;
#else
    (void)path;
    return 0;
#endif
}

void tsr_platform_unlock(intptr_t lock)
{
#if defined(TSR_POSIX)
    close((int)lock);
#elif defined(_WIN32)
    CloseHandle((HANDLE)lock);
#else
    (void)lock;
#endif
}

bool tsr_platform_allow_tiles(void)
{
#if defined(__linux__) && defined(__x86_64__) && defined(SYS_arch_prctl)
    const long request_permission = 0x1023, tile_data = 18; /* refused unless the CPU and the system have them */
    return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
    return false;
#endif
}
