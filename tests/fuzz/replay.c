/*
 * replay.c - the plain main of every fuzz target: runs each file of the corpus, and some damaged
 * copies of it.
 *
 *     fuzz-json [--damage N] FILE-OR-DIRECTORY...
 *
 * The damage comes from a fixed seed, so a failure repeats. Results are TAP, one line for each
 * file.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX   (4u * 1024u * 1024u)
#define DAMAGE_MAX 100000ul

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    unsigned long damage;
    uint64_t random;
    unsigned count;
    unsigned failed;
} state = { .damage = 50, .random = 88172645463325252u };

static uint64_t next_random(void)
{
    state.random ^= state.random << 13;
    state.random ^= state.random >> 7;
    state.random ^= state.random << 17;
    return state.random;
}

/* Changes a few bytes, sometimes copies a run over another, sometimes cuts the end off. */
static size_t spoil(uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    for (uint64_t n = 1 + next_random() % 4; n; n--)
        data[next_random() % size] = (uint8_t)next_random();
    if (next_random() % 3 == 0) {
        size_t len = 1 + next_random() % (size < 64 ? size : 64);

        memmove(data + next_random() % (size - len + 1), data + next_random() % (size - len + 1),
                len);
    }
    return next_random() % 3 == 0 ? next_random() % size : size;
}

/* A copy in a block of exactly its size, so that a sanitizer sees a read beyond the end. */
static void run_exact(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size ? size : 1);

    if (!exact)
        abort();
    memcpy(exact, data, size);
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static void run_bytes(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy)
        abort();
    run_exact(data, size);
    for (unsigned long i = 0; i < state.damage; i++) {
        memcpy(copy, data, size);
        run_exact(copy, spoil(copy, size));
    }
    free(copy);
}

static void run_file(const char *path)
{
    static uint8_t data[FILE_MAX];
    FILE *f = fopen(path, "rb");
    size_t size = f ? fread(data, 1, sizeof(data), f) : 0;
    int bad = !f || ferror(f) || !feof(f);

    if (f)
        (void)fclose(f); /* only read from */
    printf("# %s\n", path);
    (void)fflush(stdout); /* so the file is named even when the target crashes */
    if (!bad)
        run_bytes(data, size);
    state.failed += bad ? 1 : 0;
    printf("%sok %u - %s\n", bad ? "not " : "", ++state.count, path);
}

static void run_path(const char *path)
{
    struct dirent **names = NULL;
    struct stat st;
    int n;

    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
        run_file(path);
        return;
    }
    n = scandir(path, &names, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char below[4096];

        if (names[i]->d_name[0] != '.') {
            (void)snprintf(below, sizeof(below), "%s/%s", path, names[i]->d_name);
            run_path(below);
        }
        free(names[i]);
    }
    free(names);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--damage") == 0 && i + 1 < argc) {
            state.damage = strtoul(argv[++i], NULL, 10);
            if (state.damage > DAMAGE_MAX)
                state.damage = DAMAGE_MAX;
        } else {
            run_path(argv[i]);
        }
    }
    printf("1..%u\n", state.count);
    return state.failed || state.count == 0 ? 1 : 0;
}
