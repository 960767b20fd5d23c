/* A disk that can lose its power: it notes what was synced, beside the files themselves.
 *
 * Loaded before the C library (LD_PRELOAD), it takes the place of fsync and fdatasync for everything below the folder
 * $DUNLIN_POWER_DATA. Synced bytes are copied into the folder $DUNLIN_POWER_IMAGE: a file named after the inode for a
 * file, and a list of names and inodes for a folder. After the process was killed, the image is all a disk would have for
 * certain. Nothing else has to be watched: what was never synced is in no image.
 *
 * The file $DUNLIN_POWER_IMAGE/fault makes it fail: if it says `fail`, one call fails with EIO, and from then on calls
 * succeed and sync nothing, as a kernel does that has given up the pages; if it says `lie`, they do so at once. If it says
 * `unreadable`, every read of a part of a file in the folder fails with EIO.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PIECE = 1 << 16 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Writes inode and time of birth: an inode alone may be used again. */
static int identity(int folder, const char *name, int flags, char *text, size_t size, mode_t *mode) {
    struct statx facts;
    if (statx(folder, name, flags | AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &facts) != 0)
        return -1;
    *mode = facts.stx_mode;
    snprintf(text, size, "%llu-%lld-%u", (unsigned long long)facts.stx_ino,
             (long long)facts.stx_btime.tv_sec, facts.stx_btime.tv_nsec);
    return 0;
}

/* Copies the pieces in which the image differs. */
static int copy_file(int file, const char *path) {
    static char ours[PIECE], synced[PIECE];
    char source[64];
    snprintf(source, sizeof source, "/proc/self/fd/%d", file);
    int from = open(source, O_RDONLY | O_CLOEXEC);
    int image = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct stat facts, before;
    int result = -1;
    if (from < 0 || image < 0 || fstat(from, &facts) != 0 || fstat(image, &before) != 0)
        goto end;
    if (before.st_size != facts.st_size && ftruncate(image, facts.st_size) != 0)
        goto end;
    off_t at = 0;
    while (at < facts.st_size) {
        off_t data = lseek(from, at, SEEK_DATA), kept = lseek(image, at, SEEK_DATA);
        if (data < 0 || data > facts.st_size) data = facts.st_size;
        if (kept < 0 || kept > facts.st_size) kept = facts.st_size;
        at = (data < kept ? data : kept) / PIECE * PIECE;
        if (at >= facts.st_size || (data >= facts.st_size && kept >= facts.st_size))
            break;
        ssize_t length = pread(from, ours, PIECE, at), old = pread(image, synced, PIECE, at);
        if (length < 0 || old < 0)
            goto end;
        if (length != old || memcmp(ours, synced, (size_t)length) != 0)
            if (pwrite(image, ours, (size_t)length, at) != length)
                goto end;
        at += PIECE;
    }
    result = 0;
end:
    if (from >= 0) close(from);
    if (image >= 0) close(image);
    return result;
}

/* Lists a folder: for each name `f` or `d`, the identity, and the name. */
static int copy_folder(const char *folder, const char *path) {
    char draft[PATH_MAX + 8], text[64];
    snprintf(draft, sizeof draft, "%s.new", path);
    DIR *names = opendir(folder);
    FILE *list = fopen(draft, "we");
    struct dirent *entry;
    mode_t mode;
    while (names && list && (entry = readdir(names))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        if (identity(dirfd(names), entry->d_name, 0, text, sizeof text, &mode) == 0)
            fprintf(list, "%c %s %s\n", S_ISDIR(mode) ? 'd' : 'f', text, entry->d_name);
    }
    int result = names && list ? 0 : -1;
    if (names) closedir(names);
    if (list && fclose(list) != 0) result = -1;
    return result == 0 ? rename(draft, path) : result;
}

/* What the file `fault` says: its first letter, or 0. */
static char fault(const char *images) {
    char path[PATH_MAX], word = 0;
    snprintf(path, sizeof path, "%s/fault", images);
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0)
        return 0;
    if (pread(file, &word, 1, 0) == 1 && word == 'f')
        if (pwrite(file, "lie!", 4, 0) != 4)
            abort();
    close(file);
    return word;
}

/* Whether it is a file of the data folder; then its path. */
static int is_ours(int file, char target[PATH_MAX]) {
    const char *data = getenv("DUNLIN_POWER_DATA");
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, target, PATH_MAX - 1);
    if (!data || !getenv("DUNLIN_POWER_IMAGE") || length < 0)
        return 0;
    target[length] = 0;
    return strncmp(target, data, strlen(data)) == 0 && !strstr(target, " (deleted)");
}

static int sync_image(int file, long call) {
    const char *images = getenv("DUNLIN_POWER_IMAGE");
    char target[PATH_MAX], path[PATH_MAX], text[64];
    mode_t mode;
    if (!is_ours(file, target))
        return (int)syscall(call, file);
    if (identity(file, "", AT_EMPTY_PATH, text, sizeof text, &mode) != 0)
        return -1;
    pthread_mutex_lock(&lock);
    int result = 0;
    char word = fault(images);
    if (word == 'f') {
        errno = EIO;
        result = -1;
    } else if (word == 0) {
        snprintf(path, sizeof path, "%s/%s", images, text);
        result = S_ISDIR(mode) ? copy_folder(target, path) : copy_file(file, path);
    }
    pthread_mutex_unlock(&lock);
    return result;
}

int fsync(int file) { return sync_image(file, SYS_fsync); }

int fdatasync(int file) { return sync_image(file, SYS_fdatasync); }

ssize_t pread64(int file, void *bytes, size_t size, off64_t at) {
    char target[PATH_MAX];
    if (is_ours(file, target) && fault(getenv("DUNLIN_POWER_IMAGE")) == 'u') {
        errno = EIO;
        return -1;
    }
    return syscall(SYS_pread64, file, bytes, size, at);
}
