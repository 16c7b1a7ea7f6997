/*
 * bench_data.c - data as chains have it, the same for the same seed; for tools/bench.
 *
 *     bench_data sst   DIR MIB SEED       files of 2 to 64 MiB as LSM stores keep them
 *     bench_data pages FILE MIB SEED      one file of B-tree pages of 4 KiB, as MDBX has it
 *     bench_data noise FILE MIB SEED      what does not compress
 *     bench_data small DIR COUNT SEED     files of 0 to 32 KiB, 200 in a folder
 *     bench_data tiny  DIR COUNT SEED     files of 4 KiB, 1000 in a folder
 *     bench_data compact DIR PERCENT SEED that share of an LSM store's bytes goes into new files
 *     bench_data edit  FILE PERCENT SEED  that share of a file's pages changes
 *
 * The last two print how many bytes they wrote.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE      4096u
#define BLOCK     16384u
#define MIB       (1u << 20)
#define NAMES_MAX 65536u
/* Metas of MDBX: magic and version behind the page's header of 20 bytes. */
#define MDBX_MAGIC ((0x59659DBDEF4C11ull << 8) | 3u)

static uint64_t state; /* of the dice */

static uint64_t dice(void)
{
    uint64_t z = (state += 0x9E3779B97F4A7C15ull);

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void noise(uint8_t *at, size_t len)
{
    for (size_t i = 0; i + 8 <= len; i += 8) {
        uint64_t v = dice();

        memcpy(at + i, &v, 8);
    }
}

/* A record: the key goes up by little steps behind a prefix, the value is half hash, half counters.
 */
static size_t record(uint8_t *at, uint64_t *key)
{
    uint64_t r = dice();
    uint64_t k = __builtin_bswap64(*key += r % 5000 + 1);
    size_t zeros = 8 + r % 3 * 16;

    memcpy(at, "acct/0x00", 9);
    memcpy(at + 9, &k, 8);
    noise(at + 17, 24);
    memset(at + 41, 0, zeros);
    memcpy(at + 41 + zeros, &r, 3);
    return 44 + zeros;
}

static void fill_block(uint8_t *block, uint64_t *key)
{
    size_t at = 0;

    if (dice() % 4 == 0) { /* was compressed by the store */
        noise(block, BLOCK);
        return;
    }
    memset(block, 0, BLOCK);
    while (at + 128 < BLOCK)
        at += record(block + at, key);
}

static int create(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    if (fd < 0)
        die(path);
    return fd;
}

static void put(int fd, const void *bytes, size_t len)
{
    if (write(fd, bytes, len) != (ssize_t)len)
        die("write");
}

static void make_table(const char *dir, uint64_t number, uint64_t bytes)
{
    static uint8_t buf[MIB];
    uint64_t key = number << 40;
    char path[4096];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%06" PRIu64 ".sst", dir, number);
    fd = create(path);
    for (uint64_t done = 0; done < bytes; done += sizeof(buf)) {
        for (size_t at = 0; at < sizeof(buf); at += BLOCK)
            fill_block(buf + at, &key);
        put(fd, buf, sizeof(buf));
    }
    (void)close(fd);
}

static uint64_t table_size(void)
{
    return (2u << dice() % 6) * (uint64_t)MIB; /* 2 to 64 MiB */
}

static void make_tables(const char *dir, uint64_t number, uint64_t bytes)
{
    for (uint64_t left = bytes; left > 0;) {
        uint64_t size = table_size();

        size = size < left ? size : left;
        make_table(dir, number++, size);
        left -= size;
    }
}

static void fill_page(uint8_t *page, uint64_t number, uint64_t txn, uint64_t *key)
{
    size_t at = 20;

    memset(page, 0, PAGE);
    memcpy(page, &txn, 8);
    page[10] = 2; /* a leaf */
    memcpy(page + 16, &number, 4);
    while (at < PAGE * 3 / 4)
        at += record(page + at, key);
}

static void make_pages(const char *path, uint64_t bytes)
{
    static uint8_t buf[MIB];
    const uint64_t magic = MDBX_MAGIC;
    int fd = create(path);
    uint64_t key = 1;

    for (uint64_t done = 0; done < bytes; done += sizeof(buf)) {
        for (size_t at = 0; at < sizeof(buf); at += PAGE)
            fill_page(buf + at, (done + at) / PAGE, 7, &key);
        for (size_t meta = 0; done == 0 && meta < 3; meta++) {
            memset(buf + meta * PAGE, 0, PAGE);
            buf[meta * PAGE + 10] = 8;
            buf[meta * PAGE + 16] = (uint8_t)meta;
            memcpy(buf + meta * PAGE + 20, &magic, 8);
        }
        put(fd, buf, sizeof(buf));
    }
    (void)close(fd);
}

static void make_noise(const char *path, uint64_t bytes)
{
    static uint8_t buf[MIB];
    int fd = create(path);

    for (uint64_t done = 0; done < bytes; done += sizeof(buf)) {
        noise(buf, sizeof(buf));
        put(fd, buf, sizeof(buf));
    }
    (void)close(fd);
}

static void make_small(const char *dir, uint64_t count, uint64_t in_folder, bool tiny)
{
    static uint8_t buf[2 * BLOCK];
    uint64_t key = 1;
    char path[4096];

    for (uint64_t i = 0; i < count; i++) {
        size_t size = tiny ? PAGE : (size_t)(dice() % sizeof(buf));
        int fd;

        if (i % in_folder == 0) {
            (void)snprintf(path, sizeof(path), "%s/%05" PRIu64, dir, i / in_folder);
            if (mkdir(path, 0755) < 0)
                die(path);
        }
        (void)snprintf(path, sizeof(path), "%s/%05" PRIu64 "/%07" PRIu64, dir, i / in_folder, i);
        fd = create(path);
        for (size_t at = 0; at < size; at += tiny ? PAGE : BLOCK)
            tiny ? fill_page(buf, i, 1, &key) : fill_block(buf + at, &key);
        put(fd, buf, size);
        (void)close(fd);
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Old tables go, new ones with as many bytes come. */
static uint64_t compact(const char *dir, uint64_t percent)
{
    static char *names[NAMES_MAX];
    uint64_t total = 0;
    uint64_t gone = 0;
    uint64_t wanted;
    size_t n = 0;
    DIR *d = opendir(dir);
    const struct dirent *entry;
    struct stat st;

    while (d && n < NAMES_MAX && (entry = readdir(d))) {
        if (entry->d_name[0] != '.' && fstatat(dirfd(d), entry->d_name, &st, 0) == 0) {
            names[n++] = strdup(entry->d_name);
            total += (uint64_t)st.st_size;
        }
    }
    if (!d || n == 0)
        die(dir);
    qsort(names, n, sizeof(names[0]), by_name);
    wanted = total * percent / 100;
    for (size_t tries = 0; gone < wanted && tries < 100 * n; tries++) {
        char **name = &names[dice() % n];

        if (!*name || fstatat(dirfd(d), *name, &st, 0) < 0 ||
            (uint64_t)st.st_size > wanted - gone + 2 * MIB)
            continue;
        (void)unlinkat(dirfd(d), *name, 0);
        *name = NULL;
        gone += (uint64_t)st.st_size;
    }
    (void)closedir(d);
    make_tables(dir, 500000 + dice() % 400000, gone);
    return gone;
}

static uint64_t edit(const char *path, uint64_t percent)
{
    uint8_t page[PAGE];
    struct stat st;
    uint64_t key = dice();
    uint64_t pages;
    uint64_t count;
    int fd = open(path, O_RDWR);

    if (fd < 0 || fstat(fd, &st) < 0)
        die(path);
    pages = (uint64_t)st.st_size / PAGE;
    count = pages * percent / 100;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t number = 3 + dice() % (pages - 3);

        fill_page(page, number, 8, &key);
        if (pwrite(fd, page, PAGE, (off_t)(number * PAGE)) != PAGE)
            die(path);
    }
    (void)close(fd);
    return count * PAGE;
}

int main(int argc, char **argv)
{
    const char *what = argc == 5 ? argv[1] : "";
    uint64_t amount = argc == 5 ? strtoull(argv[3], NULL, 10) : 0;

    state = argc == 5 ? strtoull(argv[4], NULL, 10) : 0;
    if (strcmp(what, "sst") == 0)
        make_tables(argv[2], state * 1000, amount * MIB);
    else if (strcmp(what, "pages") == 0)
        make_pages(argv[2], amount * MIB);
    else if (strcmp(what, "noise") == 0)
        make_noise(argv[2], amount * MIB);
    else if (strcmp(what, "small") == 0)
        make_small(argv[2], amount, 200, false);
    else if (strcmp(what, "tiny") == 0)
        make_small(argv[2], amount, 1000, true);
    else if (strcmp(what, "compact") == 0)
        (void)printf("%" PRIu64 "\n", compact(argv[2], amount));
    else if (strcmp(what, "edit") == 0)
        (void)printf("%" PRIu64 "\n", edit(argv[2], amount));
    else {
        (void)fputs("usage: bench_data WHAT PATH AMOUNT SEED\n", stderr);
        return 2;
    }
    return 0;
}
