/* Preloaded into the victim: lets its n-th file call below one folder fail.
 *
 * TENKEN_FAULT_DISK   the folder
 * TENKEN_FAULT_KIND   none, ENOSPC, EIO, EINTR or SHORT (half of a write is taken, and said so)
 * TENKEN_FAULT_AT     which call fails, from 1; of those that can fail in this way
 * TENKEN_FAULT_COUNT  where to write, at the end, how many there were, and of which kinds succeeded
 *
 * Holds: exactly one call fails, once, without having done anything (or half of it).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define FDS 4096
static atomic_char ours[FDS];
static atomic_long counter;
static const char *disk, *count_file;
static size_t disk_len;
static long fail_at;
static int fail_errno, fail_short;

enum { OPEN, WRITE, SYNC, RANGE, RESIZE, RENAME, REMOVE, MKDIR, OTHER, KINDS };
static const char *const kind_names[KINDS] = { "open", "write", "sync", "range", "resize", "rename", "remove", "mkdir", "other" };
static atomic_long succeeded[KINDS];

__attribute__((constructor)) static void begin(void) {
    const char *kind = getenv("TENKEN_FAULT_KIND"), *at = getenv("TENKEN_FAULT_AT");
    disk = getenv("TENKEN_FAULT_DISK");
    disk_len = disk ? strlen(disk) : 0;
    count_file = getenv("TENKEN_FAULT_COUNT");
    fail_at = at ? atol(at) : 0;
    if (!kind) return;
    if (!strcmp(kind, "ENOSPC")) fail_errno = ENOSPC;
    if (!strcmp(kind, "EIO")) fail_errno = EIO;
    if (!strcmp(kind, "EINTR")) fail_errno = EINTR;
    if (!strcmp(kind, "SHORT")) fail_short = 1;
}

__attribute__((destructor)) static void end(void) {
    if (!count_file) return;
    FILE *file = fopen(count_file, "w");
    if (!file) return;
    fprintf(file, "calls %ld\n", atomic_load(&counter));
    for (int kind = 0; kind < KINDS; kind++)
        fprintf(file, "%s %ld\n", kind_names[kind], atomic_load(&succeeded[kind]));
    fclose(file);
}

static int is_ours(int fd) { return fd >= 0 && fd < FDS && ours[fd]; }
static int below(const char *path) {
    return disk && path && !strncmp(path, disk, disk_len) && (path[disk_len] == '/' || !path[disk_len]);
}
static int below_at(int folder, const char *path) {
    return path && path[0] == '/' ? below(path) : is_ours(folder);
}
static void mark(int fd, int is) { if (fd >= 0 && fd < FDS) ours[fd] = is; }

/* Whether this call is the one. */
static int fails(const char *name, int is, int can_be_short) {
    if (!is || (fail_short && !can_be_short)) return 0;
    if (atomic_fetch_add(&counter, 1) + 1 != fail_at) return 0;
    dprintf(2, "fault: %s\n", name);
    return 1;
}
static long done(int is, int kind, long result) {
    if (is && result >= 0) atomic_fetch_add(&succeeded[kind], 1);
    return result;
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define CALL(is, kind, failed, expression)        \
    do {                                          \
        int is_ = (is);                           \
        if (fails(__func__, is_, 0) && fail_errno) {        \
            errno = fail_errno;                   \
            return failed;                        \
        }                                         \
        return done(is_, kind, expression);       \
    } while (0)

#define OPENS(name, folder, ...)                                     \
    {                                                                \
        mode_t mode = 0;                                             \
        if (flags & (O_CREAT | O_TMPFILE)) {                         \
            va_list more;                                            \
            va_start(more, flags);                                   \
            mode = va_arg(more, mode_t);                             \
            va_end(more);                                            \
        }                                                            \
        REAL(name);                                                  \
        int is = below_at(folder, path);                             \
        if (fails(__func__, is, 0) && fail_errno) { errno = fail_errno; return -1; } \
        int fd = real(__VA_ARGS__, flags, mode);                     \
        if (fd >= 0) mark(fd, is);                                   \
        return (int)done(is, OPEN, fd);                              \
    }
int open(const char *path, int flags, ...) OPENS(open, AT_FDCWD, path)
int open64(const char *path, int flags, ...) OPENS(open64, AT_FDCWD, path)
int openat(int folder, const char *path, int flags, ...) OPENS(openat, folder, folder, path)
int openat64(int folder, const char *path, int flags, ...) OPENS(openat64, folder, folder, path)

DIR *opendir(const char *path) {
    REAL(opendir);
    int is = below(path);
    if (fails(__func__, is, 0) && fail_errno) { errno = fail_errno; return NULL; }
    DIR *dir = real(path);
    done(is, OPEN, dir ? 0 : -1);
    return dir;
}

int close(int fd) {
    REAL(close);
    mark(fd, 0);
    return real(fd);
}
int dup(int fd) {
    REAL(dup);
    int copy = real(fd);
    mark(copy, is_ours(fd));
    return copy;
}
#define CONTROLS(name)                                               \
    {                                                                \
        va_list more;                                                \
        va_start(more, command);                                     \
        void *argument = va_arg(more, void *);                       \
        va_end(more);                                                \
        REAL(name);                                                  \
        int result = real(fd, command, argument);                    \
        if (command == F_DUPFD || command == F_DUPFD_CLOEXEC) mark(result, is_ours(fd)); \
        return result;                                               \
    }
int fcntl(int fd, int command, ...) CONTROLS(fcntl)
int fcntl64(int fd, int command, ...) CONTROLS(fcntl64)

#define WRITES(name, ...)                                            \
    {                                                                \
        REAL(name);                                                  \
        int is = is_ours(fd);                                        \
        if (fails(__func__, is, len > 1)) {                                    \
            if (fail_errno) { errno = fail_errno; return -1; }       \
            len /= 2;                                                \
        }                                                            \
        return done(is, WRITE, real(fd, bytes, len __VA_ARGS__));    \
    }
ssize_t write(int fd, const void *bytes, size_t len) WRITES(write)
ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at) WRITES(pwrite, , at)
ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at) WRITES(pwrite64, , at)

ssize_t read(int fd, void *bytes, size_t len) { REAL(read); CALL(is_ours(fd), OTHER, -1, real(fd, bytes, len)); }
ssize_t pread(int fd, void *bytes, size_t len, off_t at) { REAL(pread); CALL(is_ours(fd), OTHER, -1, real(fd, bytes, len, at)); }
ssize_t pread64(int fd, void *bytes, size_t len, off64_t at) { REAL(pread64); CALL(is_ours(fd), OTHER, -1, real(fd, bytes, len, at)); }
off_t lseek(int fd, off_t at, int from) { REAL(lseek); CALL(is_ours(fd), OTHER, -1, real(fd, at, from)); }
off64_t lseek64(int fd, off64_t at, int from) { REAL(lseek64); CALL(is_ours(fd), OTHER, -1, real(fd, at, from)); }
int fsync(int fd) { REAL(fsync); CALL(is_ours(fd), SYNC, -1, real(fd)); }
int fdatasync(int fd) { REAL(fdatasync); CALL(is_ours(fd), SYNC, -1, real(fd)); }
int sync_file_range(int fd, off64_t at, off64_t len, unsigned flags) { REAL(sync_file_range); CALL(is_ours(fd), RANGE, -1, real(fd, at, len, flags)); }
int ftruncate(int fd, off_t len) { REAL(ftruncate); CALL(is_ours(fd), RESIZE, -1, real(fd, len)); }
int ftruncate64(int fd, off64_t len) { REAL(ftruncate64); CALL(is_ours(fd), RESIZE, -1, real(fd, len)); }
int fallocate(int fd, int mode, off_t at, off_t len) { REAL(fallocate); CALL(is_ours(fd), RESIZE, -1, real(fd, mode, at, len)); }
int fallocate64(int fd, int mode, off64_t at, off64_t len) { REAL(fallocate64); CALL(is_ours(fd), RESIZE, -1, real(fd, mode, at, len)); }
int flock(int fd, int operation) { REAL(flock); CALL(is_ours(fd), OTHER, -1, real(fd, operation)); }
int rename(const char *from, const char *to) { REAL(rename); CALL(below(from), RENAME, -1, real(from, to)); }
int unlink(const char *path) { REAL(unlink); CALL(below(path), REMOVE, -1, real(path)); }
int unlinkat(int folder, const char *path, int flags) { REAL(unlinkat); CALL(below_at(folder, path), REMOVE, -1, real(folder, path, flags)); }
int rmdir(const char *path) { REAL(rmdir); CALL(below(path), REMOVE, -1, real(path)); }
int mkdir(const char *path, mode_t mode) { REAL(mkdir); CALL(below(path), MKDIR, -1, real(path, mode)); }
int statx(int folder, const char *restrict path, int flags, unsigned mask, struct statx *restrict to) {
    REAL(statx);
    /* Rust's library asks without a path whether there is such a call at all. */
    const char *volatile given = path;
    int is = given && path[0] ? below_at(folder, path) : given && is_ours(folder);
    CALL(is, OTHER, -1, real(folder, path, flags, mask, to));
}
