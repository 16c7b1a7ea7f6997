/*
 * node_file.c - the file half of file_read and file_write.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/node_file.h"
#include "base/buf.h"
#include "base/id.h"

/* Directories made on the way to a file; the umask applies. */
#define NEW_DIR_MODE 0777
/* In a chain of symbolic links. */
#define LINKS_MAX 16u
/* ".bv-" and a random number. */
#define TEMP_NAME_SIZE 32u

struct bvi_node_reader {
    char *path;
    int fd;
    bvi_digest *digest;
    uint64_t total;
};

struct bvi_node_writer {
    char *path;
    int dir_fd;
    int fd;
    char temp[TEMP_NAME_SIZE]; /* "": not there, or renamed */
    bvi_digest *digest;
    uint64_t total;
};

/* ---- paths ---- */

static const char *last_component(const char *path)
{
    return strrchr(path, '/') + 1;
}

int bvi_node_path_check(const char *path, bv_error **err)
{
    const char *name;

    if (path[0] != '/')
        return bvi_fail(err, BV_E_INVALID, "'%.256s' is not an absolute path", path);
    if (strlen(path) >= BVI_AGENT_PATH_MAX)
        return bvi_fail(err, BV_E_INVALID, "a path of %zu bytes is longer than %u", strlen(path),
                        BVI_AGENT_PATH_MAX - 1);
    name = last_component(path);
    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return bvi_fail(err, BV_E_INVALID, "'%s' does not name a file", path);
    return 0;
}

/* Opens a path as if `root` were the root directory. */
static int open_in(const char *root, const char *path, int flags, int *ret_fd, bv_error **err)
{
    struct open_how how = {
        .flags = (uint64_t)(flags | O_CLOEXEC | O_NOCTTY),
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    bvi_auto_close int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    long fd;

    if (root_fd < 0)
        return bvi_fail_sys(err, errno, "cannot open the node's root '%s'", root);
    do {
        fd = syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
    } while (fd < 0 && (errno == EINTR || errno == EAGAIN));
    if (fd < 0)
        return bvi_fail_sys(err, errno, "cannot open '%s' in the node", path);
    *ret_fd = (int)fd;
    return 0;
}

/* ---- directories ---- */

int bvi_node_open_parent(const char *root, const char *path, int *ret_fd, bv_error **err)
{
    bvi_auto_free char *dir = bvi_strndup(path, (size_t)(last_component(path) - path));
    int r;

    if (!dir)
        return bvi_fail_nomem(err);
    r = open_in(root, dir, O_RDONLY | O_DIRECTORY, ret_fd, err);
    return r < 0 ? bvi_wrap(err, r, "the directory of '%s' has to exist", path) : 0;
}

/* One directory of a path, unless it is there. */
static int make_dir(const char *root, const char *path, bv_error **err)
{
    bvi_auto_close int fd = -1;
    bvi_auto_close int above_fd = -1;
    bvi_auto_error bv_error *why = NULL;
    int r = open_in(root, path, O_RDONLY | O_DIRECTORY, &fd, &why);

    if (r != BV_E_NOT_FOUND)
        return bvi_error_move(err, bvi_take(why));
    r = bvi_node_open_parent(root, path, &above_fd, err);
    if (r < 0)
        return r;
    if (mkdirat(above_fd, last_component(path), NEW_DIR_MODE) < 0 && errno != EEXIST)
        return bvi_fail_sys(err, errno, "cannot make the directory '%s'", path);
    return 0;
}

int bvi_node_make_parents(const char *root, const char *path, bv_error **err)
{
    bvi_auto_free char *part = bvi_strdup(path);
    int r = 0;

    if (!part)
        return bvi_fail_nomem(err);
    for (char *slash = strchr(part + 1, '/'); r >= 0 && slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (*last_component(part)) /* not between two slashes */
            r = make_dir(root, part, err);
        *slash = '/';
    }
    return r;
}

/* ---- links ---- */

/* The link's target as a path of the node; NULL, and 0: it is no link. */
static int read_link(const char *root, const char *path, char **ret_target, bv_error **err)
{
    bvi_auto_close int dir_fd = -1;
    bvi_auto_error bv_error *why = NULL;
    char target[BVI_AGENT_PATH_MAX];
    ssize_t len;

    *ret_target = NULL;
    if (bvi_node_open_parent(root, path, &dir_fd, &why) < 0)
        return bv_error_code(why) == BV_E_NOT_FOUND ? 0 : bvi_error_move(err, bvi_take(why));
    len = readlinkat(dir_fd, last_component(path), target, sizeof(target));
    if (len < 0)
        return 0; /* whoever uses the path will hear why */
    *ret_target = target[0] == '/' ? bvi_strndup(target, (size_t)len)
                                   : bvi_asprintf("%.*s%.*s", (int)(last_component(path) - path),
                                                  path, (int)len, target);
    return *ret_target ? 0 : bvi_fail_nomem(err);
}

int bvi_node_follow_links(const char *root, const char *path, char **ret_path, bv_error **err)
{
    bvi_auto_free char *at = bvi_strdup(path);

    if (!at)
        return bvi_fail_nomem(err);
    for (unsigned i = 0; i < LINKS_MAX; i++) {
        char *target = NULL;
        int r = bvi_node_path_check(at, err);

        if (r >= 0)
            r = read_link(root, at, &target, err);
        if (r < 0)
            return r;
        if (!target) {
            *ret_path = bvi_take(at);
            return 0;
        }
        bvi_free(at);
        at = target;
    }
    return bvi_fail(err, BV_E_INVALID, "'%s' leads through more than %u symbolic links", path,
                    LINKS_MAX);
}

/* ---- reading ---- */

static int check_regular(int fd, const char *path, bv_error **err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return bvi_fail_sys(err, errno, "cannot look at '%s'", path);
    if (!S_ISREG(st.st_mode))
        return bvi_fail(err, BV_E_INVALID, "'%s' is not an ordinary file", path);
    if (st.st_size > (off_t)BVI_AGENT_FILE_MAX)
        return bvi_fail(err, BV_E_LIMIT, "'%s' has %lld bytes, more than the limit of %u", path,
                        (long long)st.st_size, BVI_AGENT_FILE_MAX);
    return 0;
}

int bvi_node_reader_open(const char *root, const char *path, bvi_node_reader **ret_reader,
                         bv_error **err)
{
    bvi_node_reader *reader;
    int r = bvi_node_path_check(path, err);

    if (r < 0)
        return r;
    reader = bvi_new0(bvi_node_reader);
    if (!reader)
        return bvi_fail_nomem(err);
    reader->fd = -1;
    reader->path = bvi_strdup(path);
    r = reader->path ? bvi_digest_new(BVI_DIGEST_BLAKE3, &reader->digest, err)
                     : bvi_fail_nomem(err);
    /* O_NONBLOCK: opening a pipe must not wait for its other end. */
    if (r >= 0)
        r = open_in(root, path, O_RDONLY | O_NONBLOCK, &reader->fd, err);
    if (r >= 0)
        r = check_regular(reader->fd, path, err);
    if (r < 0) {
        bvi_node_reader_free(reader);
        return r;
    }
    *ret_reader = reader;
    return 0;
}

/* Until the piece is full or the file ends. */
static int fill(const bvi_node_reader *reader, char *piece, size_t *ret_len, bv_error **err)
{
    size_t len = 0;

    while (len < BVI_AGENT_PIECE_MAX) {
        ssize_t n = read(reader->fd, piece + len, BVI_AGENT_PIECE_MAX - len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return bvi_fail_sys(err, errno, "cannot read '%s'", reader->path);
        if (n == 0)
            break;
        len += (size_t)n;
    }
    *ret_len = len;
    return 0;
}

int bvi_node_reader_next(bvi_node_reader *reader, char *piece, size_t *ret_len, bool *ret_last,
                         uint8_t digest[BVI_DIGEST_SIZE_MAX], bv_error **err)
{
    int r = fill(reader, piece, ret_len, err);

    if (r < 0)
        return r;
    reader->total += *ret_len;
    if (reader->total > BVI_AGENT_FILE_MAX)
        return bvi_fail(err, BV_E_LIMIT, "'%s' has more bytes than the limit of %u", reader->path,
                        BVI_AGENT_FILE_MAX);
    *ret_last = *ret_len < BVI_AGENT_PIECE_MAX;
    r = bvi_digest_update(reader->digest, piece, *ret_len, err);
    return r >= 0 && *ret_last ? bvi_digest_final(reader->digest, digest, err) : r;
}

void bvi_node_reader_free(bvi_node_reader *reader)
{
    if (!reader)
        return;
    bvi_closep(&reader->fd);
    bvi_digest_free(reader->digest);
    bvi_free(reader->path);
    bvi_free(reader);
}

/* ---- writing ---- */

static int create_temp(bvi_node_writer *writer, mode_t mode, bv_error **err)
{
    uint64_t random = 0;
    int r = bvi_random_bytes(&random, sizeof(random), err);

    if (r < 0)
        return r;
    (void)snprintf(writer->temp, sizeof(writer->temp), ".bv-%016llx",
                   (unsigned long long)random); /* fits */
    writer->fd = openat(writer->dir_fd, writer->temp,
                        O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (writer->fd >= 0)
        return 0;
    writer->temp[0] = '\0';
    return bvi_fail_sys(err, errno, "cannot create a file beside '%s'", writer->path);
}

int bvi_node_writer_open(const char *root, const char *path, mode_t mode,
                         bvi_node_writer **ret_writer, bv_error **err)
{
    bvi_node_writer *writer;
    int r = bvi_node_path_check(path, err);

    if (r < 0)
        return r;
    writer = bvi_new0(bvi_node_writer);
    if (!writer)
        return bvi_fail_nomem(err);
    writer->fd = writer->dir_fd = -1;
    writer->path = bvi_strdup(path);
    r = writer->path ? bvi_digest_new(BVI_DIGEST_BLAKE3, &writer->digest, err)
                     : bvi_fail_nomem(err);
    if (r >= 0)
        r = bvi_node_open_parent(root, path, &writer->dir_fd, err);
    if (r >= 0)
        r = create_temp(writer, mode, err);
    if (r < 0) {
        bvi_node_writer_free(writer);
        return r;
    }
    *ret_writer = writer;
    return 0;
}

int bvi_node_writer_add(bvi_node_writer *writer, const void *bytes, size_t len, bv_error **err)
{
    const char *at = bytes;
    int r;

    if (len > BVI_AGENT_FILE_MAX - writer->total)
        return bvi_fail(err, BV_E_LIMIT, "'%s' would have more bytes than the limit of %u",
                        writer->path, BVI_AGENT_FILE_MAX);
    r = bvi_digest_update(writer->digest, bytes, len, err);
    if (r < 0)
        return r;
    writer->total += len;
    while (len) {
        ssize_t n = write(writer->fd, at, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return bvi_fail_sys(err, errno, "cannot write '%s'", writer->path);
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

uint64_t bvi_node_writer_size(const bvi_node_writer *writer)
{
    return writer->total;
}

/* What is there keeps its mode and owner; it must be a file, a link to be replaced, or nothing. */
static int adopt_old(const bvi_node_writer *writer, bv_error **err)
{
    struct stat st;

    if (fstatat(writer->dir_fd, last_component(writer->path), &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : bvi_fail_sys(err, errno, "cannot look at '%s'", writer->path);
    if (S_ISLNK(st.st_mode))
        return 0;
    if (!S_ISREG(st.st_mode))
        return bvi_fail(err, BV_E_INVALID, "'%s' is not an ordinary file", writer->path);
    if (fchown(writer->fd, st.st_uid, st.st_gid) < 0 || fchmod(writer->fd, st.st_mode & 07777) < 0)
        return bvi_fail_sys(err, errno, "cannot keep mode and owner of '%s'", writer->path);
    return 0;
}

static int check_digest(const bvi_node_writer *writer, const uint8_t *wanted, bv_error **err)
{
    uint8_t found[BVI_DIGEST_SIZE_MAX] = { 0 };
    int r = bvi_digest_final(writer->digest, found, err);

    if (r < 0)
        return r;
    if (!bvi_digest_equal(found, wanted, BVI_NODE_DIGEST_BYTES))
        return bvi_fail(err, BV_E_CHECKSUM,
                        "the %llu bytes received for '%s' are not what was sent",
                        (unsigned long long)writer->total, writer->path);
    return 0;
}

int bvi_node_writer_commit(bvi_node_writer *writer, const uint8_t digest[BVI_DIGEST_SIZE_MAX],
                           bv_error **err)
{
    int r = check_digest(writer, digest, err);

    if (r >= 0)
        r = adopt_old(writer, err);
    if (r < 0)
        return r;
    if (fsync(writer->fd) < 0 ||
        renameat(writer->dir_fd, writer->temp, writer->dir_fd, last_component(writer->path)) < 0)
        return bvi_fail_sys(err, errno, "cannot replace '%s'", writer->path);
    writer->temp[0] = '\0';
    /* Some file systems do not sync directories; the rename is done all the same. */
    if (fsync(writer->dir_fd) < 0 && errno != EINVAL)
        return bvi_fail_sys(err, errno, "cannot sync the directory of '%s'", writer->path);
    return 0;
}

void bvi_node_writer_free(bvi_node_writer *writer)
{
    if (!writer)
        return;
    if (writer->temp[0])
        (void)unlinkat(writer->dir_fd, writer->temp, 0); /* best effort: an unfinished file */
    bvi_closep(&writer->fd);
    bvi_closep(&writer->dir_fd);
    bvi_digest_free(writer->digest);
    bvi_free(writer->path);
    bvi_free(writer);
}

/* ---- whole files ---- */

static int read_pieces(bvi_node_reader *reader, char *piece, bvi_buf *text, bv_error **err)
{
    uint8_t digest[BVI_DIGEST_SIZE_MAX];
    bool last = false;
    size_t len = 0;

    while (!last) {
        int r = bvi_node_reader_next(reader, piece, &len, &last, digest, err);

        if (r < 0)
            return r;
        r = bvi_buf_append(text, piece, len);
        if (r == BV_E_LIMIT)
            return bvi_fail(err, r, "'%s' has more bytes than the limit of %zu", reader->path,
                            text->max);
        if (r < 0)
            return bvi_fail_nomem(err);
    }
    return 0;
}

int bvi_node_read_file(const char *root, const char *path, size_t max, char **ret_text,
                       size_t *ret_len, bv_error **err)
{
    BVI_AUTO(bvi_buf_done) bvi_buf text = BVI_BUF_INIT(max);
    bvi_auto_free char *piece = bvi_malloc(BVI_AGENT_PIECE_MAX);
    bvi_node_reader *reader = NULL;
    int r = piece ? bvi_node_reader_open(root, path, &reader, err) : bvi_fail_nomem(err);

    if (r >= 0)
        r = read_pieces(reader, piece, &text, err);
    bvi_node_reader_free(reader);
    if (r < 0)
        return r;
    *ret_len = text.len;
    *ret_text = bvi_buf_take(&text);
    return *ret_text ? 0 : bvi_fail_nomem(err);
}

int bvi_node_replace_file(const char *root, const char *path, const void *bytes, size_t len,
                          mode_t mode, bv_error **err)
{
    uint8_t digest[BVI_DIGEST_SIZE_MAX];
    bvi_node_writer *writer = NULL;
    int r = bvi_digest_of(BVI_DIGEST_BLAKE3, bytes, len, digest, err);

    if (r >= 0)
        r = bvi_node_writer_open(root, path, mode, &writer, err);
    if (r >= 0)
        r = bvi_node_writer_add(writer, bytes, len, err);
    if (r >= 0)
        r = bvi_node_writer_commit(writer, digest, err);
    bvi_node_writer_free(writer);
    return r;
}
