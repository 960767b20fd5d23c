/* A disk with little room, for which nothing has to be mounted.
 *
 * Loaded before the C library (LD_PRELOAD), it takes the place of what takes room or asks for it, for everything below
 * the folder $DUNLIN_SMALL_DISK. The file $DUNLIN_SMALL_DISK_ROOM has two numbers of bytes: how large the disk is, and how
 * much the files in that folder may have; the rest has been taken by others. A write gets what fits, and the next one
 * ENOSPC, as with a real disk.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BLOCK = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local unsigned long long used;

static int add(const char *path, const struct stat *facts, int kind, struct FTW *at) {
    (void)path, (void)at;
    if (kind == FTW_F) /* else it is a folder, or was deleted a moment ago */
        used += (unsigned long long)facts->st_blocks * 512;
    return 0;
}

/* Bytes that are left; aborts if nobody has said how many there are. */
static unsigned long long room(unsigned long long *total) {
    char text[64] = {0};
    unsigned long long most;
    int file = open(getenv("DUNLIN_SMALL_DISK_ROOM"), O_RDONLY | O_CLOEXEC);
    if (file < 0 || pread(file, text, sizeof text - 1, 0) < 0 || sscanf(text, "%llu %llu", total, &most) != 2)
        abort();
    close(file);
    used = 0;
    nftw(getenv("DUNLIN_SMALL_DISK"), add, 32, FTW_PHYS);
    return used < most ? most - used : 0;
}

static int is_below(const char *path) {
    const char *folder = getenv("DUNLIN_SMALL_DISK");
    return folder && strncmp(path, folder, strlen(folder)) == 0;
}

static int is_ours(int file) {
    char link[64], target[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, target, sizeof target - 1);
    if (length < 0)
        return 0;
    target[length] = 0;
    return is_below(target) && !strstr(target, " (deleted)");
}

/* How many of `size` bytes fit; 0 with ENOSPC if none do. */
static size_t fitting(size_t size) {
    unsigned long long total, left = room(&total);
    if (left < BLOCK && size > 0)
        errno = ENOSPC;
    return left < BLOCK ? 0 : left < size ? (size_t)left : size;
}

static ssize_t write_some(int file, const void *bytes, size_t size, off_t at) {
    if (size == 0 || !is_ours(file))
        return at < 0 ? syscall(SYS_write, file, bytes, size) : syscall(SYS_pwrite64, file, bytes, size, at);
    pthread_mutex_lock(&lock);
    ssize_t result = -1;
    size_t fits = fitting(size);
    if (fits > 0)
        result = at < 0 ? syscall(SYS_write, file, bytes, fits) : syscall(SYS_pwrite64, file, bytes, fits, at);
    pthread_mutex_unlock(&lock);
    return result;
}

ssize_t write(int file, const void *bytes, size_t size) { return write_some(file, bytes, size, -1); }

ssize_t pwrite(int file, const void *bytes, size_t size, off_t at) { return write_some(file, bytes, size, at); }

ssize_t pwrite64(int file, const void *bytes, size_t size, off64_t at) { return write_some(file, bytes, size, at); }

int fallocate(int file, int mode, off_t at, off_t size) {
    if (!is_ours(file))
        return (int)syscall(SYS_fallocate, file, mode, at, size);
    pthread_mutex_lock(&lock);
    int result = -1;
    unsigned long long total;
    if (room(&total) >= (unsigned long long)size)
        result = (int)syscall(SYS_fallocate, file, mode, at, size);
    else
        errno = ENOSPC;
    pthread_mutex_unlock(&lock);
    return result;
}

int fallocate64(int file, int mode, off64_t at, off64_t size) { return fallocate(file, mode, at, size); }

int statvfs(const char *path, struct statvfs *facts) {
    int folder = open(path, O_PATH | O_CLOEXEC);
    if (folder < 0)
        return -1;
    int result = fstatvfs(folder, facts);
    close(folder);
    if (result == 0 && is_below(path)) {
        unsigned long long total;
        pthread_mutex_lock(&lock);
        facts->f_bavail = facts->f_bfree = room(&total) / BLOCK;
        pthread_mutex_unlock(&lock);
        facts->f_bsize = facts->f_frsize = BLOCK;
        facts->f_blocks = total / BLOCK;
    }
    return result;
}

int statvfs64(const char *path, struct statvfs64 *facts) { return statvfs(path, (struct statvfs *)facts); }
