/* A disk that fails one call: preloaded before the C library, armed by the test. Every other call goes through.
 * mode 0: the n-th write fails; 1: it is torn, half of it reaches the file; 2: no space; 3: the n-th flush fails. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/types.h>
#include <unistd.h>

static int left = 0, mode = 0;

void arm(int call, int how) { left = call; mode = how; }
int armed(void) { return left > 0; }
static int hits(void) { return left > 0 && --left == 0; }

static ssize_t put(const char *name, int fd, const void *data, size_t size, off_t at) {
    ssize_t (*next)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, name);
    if (mode == 3 || !hits()) return next(fd, data, size, at);
    if (mode == 1) next(fd, data, size / 2, at);
    errno = mode == 2 ? ENOSPC : EIO;
    return -1;
}

static int flush(const char *name, int fd) {
    int (*next)(int) = dlsym(RTLD_NEXT, name);
    if (mode != 3 || !hits()) return next(fd);
    errno = EIO;
    return -1;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return put("pwrite", fd, data, size, at); }
ssize_t pwrite64(int fd, const void *data, size_t size, off_t at) { return put("pwrite64", fd, data, size, at); }
int fsync(int fd) { return flush("fsync", fd); }
int fdatasync(int fd) { return flush("fdatasync", fd); }
