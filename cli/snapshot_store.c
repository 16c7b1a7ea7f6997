/*
 * snapshot_store.c - how a store is named on the command line: as a URI or a path, with the key
 * behind a '#', in --key, or understood.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snapshot.h"

#define NAMES_SHOWN 5

static const char *const schemes[] = { "dir:", "file://", "s3://", "http://", "https://" };

static bool is_path(const char *word)
{
    return word[0] == '/' || strncmp(word, "./", 2) == 0 || strncmp(word, "../", 3) == 0;
}

bool cli_is_store(const char *word)
{
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (strncmp(word, schemes[i], strlen(schemes[i])) == 0)
            return true;
    }
    return is_path(word);
}

/* NULL: no memory, or no working directory. */
static char *dir_uri(const char *path)
{
    char here[PATH_MAX] = "";
    char *uri = NULL;
    size_t size;

    if (path[0] != '/' && !getcwd(here, sizeof(here)))
        return NULL;
    size = strlen(here) + strlen(path) + sizeof("dir:/");
    uri = malloc(size);
    if (uri)
        (void)snprintf(uri, size, "dir:%s%s%s", here, *here ? "/" : "", path);
    return uri;
}

/* A parameter of an S3 store; what a URI gives a meaning is escaped. */
static bool add_parameter(char **uri, const char *name, const char *value)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t size = strlen(*uri) + strlen(name) + 3 * strlen(value) + 3;
    char *grown = value[0] ? realloc(*uri, size) : NULL;
    size_t at;

    if (!grown)
        return !value[0];
    *uri = grown;
    at = strlen(grown);
    at += (size_t)snprintf(grown + at, size - at, "%c%s=", strchr(grown, '?') ? '&' : '?', name);
    for (; *value; value++) {
        unsigned char c = (unsigned char)*value;

        if (c <= ' ' || c >= 0x7f || strchr("%&#?+", c)) {
            grown[at++] = '%';
            grown[at++] = hex[c >> 4];
            grown[at++] = hex[c & 15];
        } else {
            grown[at++] = (char)c;
        }
    }
    grown[at] = '\0';
    return true;
}

static int add_parameters(cli_store *store, const cli_args *args)
{
    static const char *const names[] = { "credentials", "profile" };
    bool is_s3 = strncmp(store->uri, "s3://", 5) == 0;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = cli_text(args, names[i]);

        if (value && !is_s3)
            return cli_usage_error(args->command, "--%s is for s3:// stores", names[i]);
        if (value && !add_parameter(&store->uri, names[i], value))
            return cli_usage_error(args->command, "out of memory");
    }
    return EXIT_OK;
}

/* Cuts "#KEY" off. */
static int take_key(cli_store *store, const cli_args *args)
{
    const char *given = cli_text(args, "key");
    char *hash = given ? NULL : strrchr(store->uri, '#');

    if (hash && strchr(hash, '/')) /* it belongs to a directory's name */
        hash = NULL;
    if (hash && !hash[1])
        return cli_usage_error(args->command, "'%s' ends without a key", store->uri);
    if (given && !*given)
        return cli_usage_error(args->command, "--key is empty");
    if (!given && !hash)
        return EXIT_OK;
    store->key = strdup(given ? given : hash + 1);
    if (hash)
        *hash = '\0';
    return store->key ? EXIT_OK : EXIT_LIMIT;
}

int cli_store_init(cli_store *store, const cli_args *args, const char *word)
{
    bool is_dir = strncmp(word, "dir:", 4) == 0;
    int code;

    *store = (cli_store){ 0 };
    if (!cli_is_store(word))
        return cli_usage_error(
            args->command,
            "'%s' is not a store: a path with a '/', dir:PATH, s3://BUCKET/PREFIX, "
            "http://... or https://... is expected",
            word);
    store->uri = is_dir || is_path(word) ? dir_uri(is_dir ? word + 4 : word) : strdup(word);
    if (!store->uri)
        return cli_usage_error(args->command, "'%s' cannot be looked up", word);
    code = take_key(store, args);
    return code == EXIT_OK ? add_parameters(store, args) : code;
}

void cli_store_done(cli_store *store)
{
    free(store->uri);
    free(store->key);
    *store = (cli_store){ 0 };
}

int cli_store_must_exist(const cli_store *store)
{
    bool is_dir = strncmp(store->uri, "dir:", 4) == 0;
    struct stat st;

    if (!is_dir || (stat(store->uri + 4, &st) == 0 && S_ISDIR(st.st_mode)))
        return EXIT_OK;
    (void)fputs("Error: there is no store at ", stderr);
    cli_put(stderr, store->uri + 4);
    (void)fputs("; is the path right?\n", stderr);
    return EXIT_NOT_FOUND;
}

/* ---- a key that nobody said ---- */

int cli_store_name_key(const cli_args *args, cli_store *store, const char *dir)
{
    char *path = NULL;
    char *name;

    if (store->key)
        return EXIT_OK;
    path = realpath(dir, NULL);
    name = path ? strrchr(path, '/') : NULL;
    if (name && name[1])
        store->key = strdup(name + 1);
    free(path);
    return store->key
               ? EXIT_OK
               : cli_usage_error(args->command,
                                 "'%s' has no name to use as a key; give one with --key", dir);
}

/* The key of all snapshots; NULL: there are several, or none. */
static const char *only_key(const bv_doc *snapshots)
{
    const char *key = NULL;

    for (const bv_doc *s = bv_doc_first(snapshots); s; s = bv_doc_next(s)) {
        const char *other = bv_doc_string(bv_doc_get(s, "key"), "");

        if (key && strcmp(key, other) != 0)
            return NULL;
        key = other;
    }
    return key;
}

/* "a, b, c" of the first keys. */
static void name_keys(const bv_doc *snapshots, char *text, size_t size)
{
    const char *before = "";
    int shown = 0;
    size_t at = 0;

    text[0] = '\0';
    for (const bv_doc *s = bv_doc_first(snapshots); s && at < size; s = bv_doc_next(s)) {
        const char *key = bv_doc_string(bv_doc_get(s, "key"), "");

        if (strcmp(key, before) == 0)
            continue;
        if (++shown > NAMES_SHOWN) {
            (void)snprintf(text + at, size - at, ", ...");
            return;
        }
        at += (size_t)snprintf(text + at, size - at, "%s%s", *before ? ", " : "", key);
        before = key;
    }
}

static int choose_key(const cli_args *args, cli_store *store, const bv_doc *snapshots)
{
    const char *key = only_key(snapshots);
    char names[512];

    if (key) {
        store->key = strdup(key);
        return store->key ? EXIT_OK : EXIT_LIMIT;
    }
    if (!bv_doc_first(snapshots)) {
        (void)fputs("Error: the store is empty\n", stderr);
        return EXIT_NOT_FOUND;
    }
    name_keys(snapshots, names, sizeof(names));
    return cli_usage_error(args->command, "the store has several keys, give one with --key: %s",
                           names);
}

int cli_store_find_key(cli *c, const cli_args *args, cli_store *store)
{
    bv_store_opts opts = BV_STORE_OPTS_INIT;
    cli_call call;
    int code = store->key ? EXIT_OK : cli_open_ctx(c);

    if (store->key || code != EXIT_OK)
        return code;
    opts.store = store->uri;
    cli_call_begin(&call, c, "listing snapshots");
    code = cli_call_wait(
        &call, bv_store_list_start(c->ctx, &opts, cli_call_done, &call, &call.op, &call.err));
    if (code == EXIT_OK)
        code = choose_key(args, store, bv_doc_get(call.reply, "snapshots"));
    cli_call_end(&call);
    return code;
}

int cli_store_open(cli *c, const cli_args *args, cli_store *store)
{
    int code = cli_store_init(store, args, args->items[0]);

    if (code == EXIT_OK)
        code = cli_store_must_exist(store);
    if (code == EXIT_OK)
        code = cli_open_ctx(c);
    return code == EXIT_OK ? cli_store_find_key(c, args, store) : code;
}

/* ---- mirrors ---- */

int cli_mirrors_init(cli_mirrors *mirrors, const cli_args *args)
{
    int count = 0;
    const char *const *given = cli_list(args, "mirror", &count);
    int code = EXIT_OK;

    *mirrors = (cli_mirrors){ 0 };
    for (int i = 0; code == EXIT_OK && i < count; i++) {
        cli_store store = { 0 };

        code = cli_store_init(&store, args, given[i]);
        mirrors->uris[i] = mirrors->owned[i] = store.uri;
        store.uri = NULL;
        cli_store_done(&store);
    }
    return code;
}

void cli_mirrors_done(cli_mirrors *mirrors)
{
    for (int i = 0; i < CLI_LIST_MAX; i++)
        free(mirrors->owned[i]);
}

const char *const *cli_mirrors_list(const cli_mirrors *mirrors)
{
    return mirrors->uris[0] ? mirrors->uris : NULL;
}
