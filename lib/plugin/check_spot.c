/*
 * check_spot.c - from a value of the configuration back to the place in a script that wrote it. See
 * check_impl.h.
 *
 * Values do not remember where they come from, but configurations are written as map literals, with
 * the keys of the path one inside the other. So every key of the wanted name in the sources is a
 * candidate, and the one whose surroundings agree best with the path and with the value's other
 * texts is taken.
 */
#include <stdlib.h>
#include <string.h>

#include "plugin/check_impl.h"

/* Configurations nest less deep. */
#define STEPS_MAX 16

/* One key of a path, and the item of its list that the path goes on in. */
typedef struct step {
    char key[64];
    size_t index; /* SIZE_MAX: no list */
    const bvi_json *value;
} step;

typedef struct path {
    step steps[STEPS_MAX];
    size_t len;
} path;

static const bvi_json *item_at(const bvi_json *list, size_t index)
{
    bvi_json_each(item, list) {
        if (index-- == 0)
            return item;
    }
    return NULL;
}

/* "services[2].restart_config" in steps; what is too long for us ends it early. */
static void parse_path(const bvi_json *root, const char *text, path *ret)
{
    const bvi_json *at = root;

    ret->len = 0;
    while (*text && ret->len < STEPS_MAX) {
        step *s = &ret->steps[ret->len];
        size_t len = strcspn(text, ".[");

        if (len >= sizeof(s->key))
            return;
        memcpy(s->key, text, len);
        s->key[len] = '\0';
        s->index = SIZE_MAX;
        at = bvi_json_find(at, s->key);
        text += len;
        if (*text == '[') {
            s->index = strtoul(text + 1, NULL, 10);
            at = item_at(at, s->index);
            text += strcspn(text, "]");
            text += *text == ']';
        }
        text += *text == '.';
        s->value = at;
        ret->len++;
    }
}

static const bvi_note *enclosing_key(const bvi_check_file *file, const bvi_note *note)
{
    uint32_t at = (uint32_t)(note - file->notes->items.items);

    for (uint32_t i = at; i-- > 1;) {
        const bvi_note *outer = bvi_check_note(file, i);

        if (outer->kind == BVI_NOTE_KEY && outer->end > at)
            return outer;
        if (outer->kind == BVI_NOTE_FUNCTION)
            return NULL;
    }
    return NULL;
}

/* How well a map literal agrees with a value, by its keys and plain texts: -1 for not at all. */
static int agreement(const bvi_check_file *file, const bvi_note *map, const bvi_json *value)
{
    uint32_t index = (uint32_t)(map - file->notes->items.items);
    int score = 0;
    uint32_t found = 0;

    for (uint32_t i = index + 1; i < map->end; i++) {
        const bvi_note *key = bvi_check_note(file, i);
        const bvi_note *text;
        const char *wanted;

        if (key->kind != BVI_NOTE_KEY || key->in != index)
            continue;
        found += bvi_json_find(value, key->text) != NULL;
        text = bvi_check_meaning(file, key->of);
        wanted = bvi_json_string(bvi_json_find(value, key->text));
        if (!bvi_json_find(value, key->text) && strcmp(key->text, "name") == 0)
            return -1;
        if (text && text->kind == BVI_NOTE_STRING && wanted)
            score += strcmp(text->text, wanted) == 0 ? 2 : strcmp(key->text, "name") == 0 ? -9 : 0;
    }
    if (score < 0)
        return -1;
    return score + (found > 0 && found == map->count && found == bvi_json_count(value));
}

static bool is_named(const bvi_check_file *file, const bvi_note *map, const char *function)
{
    const bvi_note *around = bvi_check_function_around(file, map);

    return around && strcmp(around->text, function) == 0;
}

/* How well the surroundings of a map literal agree with the path, whose step `at` it would be the
 * value of; -1: it is another one. */
static int map_score(const bvi_check_file *file, const bvi_note *map, const path *p, size_t at)
{
    int score = 0;

    while (map) {
        const bvi_note *outer = enclosing_key(file, map);
        int agrees = agreement(file, map, p->steps[at].value);

        if (agrees < 0)
            return -1;
        score += agrees;
        if (!outer)
            return score + 2 * is_named(file, map, p->steps[at].key);
        if (strcmp(outer->text, p->steps[at].key) != 0)
            return score ? score - 1 : -1;
        score += 2;
        if (at-- == 0)
            return score;
        map = bvi_check_note(file, outer->in);
    }
    return score;
}

/* The same for a key. Keys of the configuration itself are those of plugin_config(). */
static int key_score(const bvi_check_file *file, const bvi_note *key, const path *p)
{
    const bvi_note *map = bvi_check_note(file, key->in);

    if (strcmp(key->text, p->steps[p->len - 1].key) != 0)
        return -1;
    if (p->len > 1)
        return map_score(file, map, p, p->len - 2);
    return enclosing_key(file, key) ? -1 : 1 + 2 * is_named(file, map, "plugin_config");
}

static bvi_spot fallback(const bvi_check *check)
{
    const bvi_note *function =
        check->main ? bvi_check_function(check->main, "plugin_config", 0) : NULL;

    if (function)
        return bvi_check_spot(check->main, function);
    return (bvi_spot){ check->ws->main_file, 0, 0 };
}

/* main.rhai counts before its modules, where they are equal. */
static bool is_better(const bvi_check *check, int score, const bvi_check_file *file, int best,
                      const bvi_check_file *best_file)
{
    return score > best || (score == best && file == check->main && best_file != check->main);
}

/* The key that ends the path, or the map that is its value. */
static bvi_spot find(const bvi_check *check, const path *p, bool want_map)
{
    const bvi_check_file *best_file = NULL;
    bvi_spot spot = fallback(check);
    int best = 0;

    bvi_check_each(file, check) {
        bvi_check_each_note(note, file) {
            int score = -1;

            if (file->is_test)
                continue;
            if (note->kind == (want_map ? BVI_NOTE_MAP : BVI_NOTE_KEY))
                score = want_map ? map_score(file, note, p, p->len - 1) : key_score(file, note, p);
            if (score <= 0 || !is_better(check, score, file, best, best_file))
                continue;
            best = score;
            best_file = file;
            spot = bvi_check_spot(file, note);
        }
    }
    return spot;
}

bvi_spot bvi_check_config_spot(const bvi_check *check, const bvi_json *value, const char *text)
{
    path p;
    const step *last;

    parse_path(value, text, &p);
    if (!p.len)
        return fallback(check);
    last = &p.steps[p.len - 1];
    return find(check, &p,
                last->index != SIZE_MAX && bvi_json_type_of(last->value) == BVI_JSON_OBJECT);
}
