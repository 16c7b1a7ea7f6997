/*
 * map.c - maps: copied when written while shared, bounded by the engine's limits.
 *
 * A script sees a map in the order of its keys. A small map is kept that way, and its few keys are
 * looked at one by one. A large one gathers new keys behind the others and finds them through a
 * hash index; it is put in order when somebody asks for its entries by number.
 */
#include <string.h>

#include "script/engine.h"

/* Entries of a small map. */
#define SMALL 12u
/* So many keys out of order are put where they belong one by one. */
#define FEW 8u
/* A map without memory for an index does not grow beyond this: looking things up would take ever
 * longer. */
#define UNINDEXED_MAX 1024u
/* Bytes; shorter ones are compared for nothing. */
#define LONG_KEY 256u

int bvi_value_map(bvi_script_engine *engine, bvi_value *ret_value)
{
    bvi_map *m = bvi_traced_new(engine, BVI_T_MAP, sizeof(*m));

    if (!m)
        return BV_E_NOMEM;
    *ret_value = bvi_of_obj(m);
    return 0;
}

/* ---- order ---- */

/* What comparing with a long key costs is counted. */
static void count_text(const bvi_string *key, size_t len)
{
    if (len > LONG_KEY)
        key->obj.engine->work += len;
}

static int compare_key(const bvi_string *key, const char *text, size_t len)
{
    size_t shorter = key->len < len ? key->len : len;
    int d = memcmp(key->data, text, shorter);

    count_text(key, shorter);
    if (d != 0)
        return d;
    return key->len < len ? -1 : key->len > len;
}

/* Where the key is among the first count entries, which are in order, or where it would go. */
static bool search(const bvi_map *m, size_t count, const char *text, size_t len, size_t *ret_at)
{
    size_t lo = 0;
    size_t hi = count;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int d = compare_key(m->entries[mid].key, text, len);

        if (d == 0) {
            *ret_at = mid;
            return true;
        }
        if (d < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *ret_at = lo;
    return false;
}

static void drop_index(bvi_map *m)
{
    bvi_script_release(m->head.obj.engine, m->index, m->index_cap * sizeof(*m->index));
    m->index = NULL;
    m->index_cap = 0;
}

static bool is_before(const bvi_map *m, size_t a, size_t b)
{
    return bvi_string_compare(m->entries[a].key, m->entries[b].key) < 0;
}

static void swap(bvi_map *m, size_t a, size_t b)
{
    bvi_map_entry held = m->entries[a];

    m->entries[a] = m->entries[b];
    m->entries[b] = held;
}

/* The entry goes down in the heap of the first count ones until none below it is greater. */
static void sift(bvi_map *m, size_t at, size_t count)
{
    for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && is_before(m, child, child + 1))
            child++;
        if (!is_before(m, at, child))
            return;
        swap(m, at, child);
        at = child;
    }
}

static void sort_many(bvi_map *m)
{
    for (size_t i = m->len / 2; i-- > 0;)
        sift(m, i, m->len);
    for (size_t n = m->len; n-- > 1;) {
        swap(m, 0, n);
        sift(m, 0, n);
    }
}

static void sort_few(bvi_map *m)
{
    for (size_t i = m->ordered; i < m->len; i++) {
        bvi_map_entry e = m->entries[i];
        size_t at;

        (void)search(m, i, e.key->data, e.key->len, &at); /* keys are different */
        memmove(&m->entries[at + 1], &m->entries[at], (i - at) * sizeof(e));
        m->entries[at] = e;
    }
}

bvi_map *bvi_map_in_order(const bvi_value *map)
{
    bvi_map *m = bvi_mp(map);

    if (m->ordered == m->len)
        return m;
    if (m->len - m->ordered <= FEW)
        sort_few(m);
    else
        sort_many(m);
    m->head.obj.engine->work += m->len * sizeof(bvi_map_entry);
    m->ordered = m->len;
    drop_index(m); /* entries have moved */
    return m;
}

/* ---- the index: an open hash of entry numbers, from 1 ---- */

static uint32_t hash_text(const char *text, size_t len)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < len; i++)
        h = (h ^ (uint8_t)text[i]) * 16777619u;
    h ^= h >> 15;
    return h ? h : 1;
}

static uint32_t hash_of(const bvi_string *key)
{
    bvi_string *s = (bvi_string *)key; /* remembering its hash does not change a string */

    if (s->hash == 0)
        s->hash = hash_text(s->data, s->len);
    return s->hash;
}

/* Keys can be chosen so that many meet: what is passed over counts. */
static void count_probes(const bvi_map *m, uint32_t first, uint32_t last)
{
    m->head.obj.engine->work += ((last - first) & (m->index_cap - 1)) * sizeof(bvi_map_entry);
}

static void index_entry(bvi_map *m, uint32_t number)
{
    uint32_t first = hash_of(m->entries[number].key) & (m->index_cap - 1);
    uint32_t i = first;

    while (m->index[i] != 0)
        i = (i + 1) & (m->index_cap - 1);
    m->index[i] = number + 1;
    count_probes(m, first, i);
}

/* Without memory there is none; looking things up is then slow. */
static void build_index(bvi_map *m)
{
    bvi_script_engine *engine = m->head.obj.engine;
    uint32_t cap = 64;

    drop_index(m);
    while (cap < m->len * 2)
        cap *= 2;
    m->index = bvi_script_zalloc(engine, cap * sizeof(*m->index));
    if (!m->index)
        return;
    m->index_cap = cap;
    engine->work += m->len * sizeof(bvi_map_entry);
    for (uint32_t i = 0; i < m->len; i++)
        index_entry(m, i);
}

static bool is_key(const bvi_string *key, const char *text, size_t len)
{
    if (key->len != len)
        return false;
    count_text(key, len);
    return memcmp(key->data, text, len) == 0;
}

static bool find_indexed(const bvi_map *m, const char *text, size_t len, uint32_t hash,
                         size_t *ret_at)
{
    uint32_t first = hash & (m->index_cap - 1);
    uint32_t i = first;
    bool found = false;

    for (; !found && m->index[i] != 0; i = (i + 1) & (m->index_cap - 1)) {
        const bvi_string *key = m->entries[m->index[i] - 1].key;

        found = key->hash == hash && is_key(key, text, len);
        *ret_at = m->index[i] - 1;
    }
    count_probes(m, first, i);
    return found;
}

/* Without memory for an index; long work, so it counts. */
static bool find_slowly(const bvi_map *m, const char *text, size_t len, size_t *ret_at)
{
    if (search(m, m->ordered, text, len, ret_at))
        return true;
    m->head.obj.engine->work += (m->len - m->ordered) * sizeof(bvi_map_entry);
    for (size_t i = m->ordered; i < m->len; i++) {
        if (is_key(m->entries[i].key, text, len)) {
            *ret_at = i;
            return true;
        }
    }
    return false;
}

static bool find_large(bvi_map *m, const char *text, size_t len, uint32_t hash, size_t *ret_at)
{
    if (!m->index)
        build_index(m);
    return m->index ? find_indexed(m, text, len, hash, ret_at) : find_slowly(m, text, len, ret_at);
}

/* ---- finding ---- */

static bool find(bvi_map *m, const bvi_string *key, size_t *ret_at)
{
    if (m->len > SMALL)
        return find_large(m, key->data, key->len, hash_of(key), ret_at);
    for (size_t i = 0; i < m->len; i++) { /* names in a source are one string each */
        if (m->entries[i].key == key) {
            *ret_at = i;
            return true;
        }
    }
    return search(m, m->len, key->data, key->len, ret_at);
}

bvi_value *bvi_map_find_text(const bvi_value *map, const char *key, size_t len)
{
    bvi_map *m = bvi_mp(map);
    size_t at;
    bool found = m->len > SMALL ? find_large(m, key, len, hash_text(key, len), &at)
                                : search(m, m->len, key, len, &at);

    return found ? &m->entries[at].value : NULL;
}

bvi_value *bvi_map_find(const bvi_value *map, const bvi_string *key)
{
    size_t at;

    return find(bvi_mp(map), key, &at) ? &bvi_mp(map)->entries[at].value : NULL;
}

/* ---- changing ---- */

static int grow_entries(bvi_map *m, size_t need)
{
    return bvi_script_grow(m->head.obj.engine, (void **)(void *)&m->entries, &m->cap, need,
                           sizeof(bvi_map_entry));
}

int bvi_map_open(bvi_script_engine *engine, uint32_t count, bvi_value *ret)
{
    bvi_map *m;

    if (count > engine->options.limits.map_entries)
        return bvi_script_too_large(engine, "Size of object map");
    m = bvi_traced_new(engine, BVI_T_MAP, sizeof(*m));
    if (!m)
        return BV_E_NOMEM;
    if (count > 0)
        m->entries = bvi_script_realloc(engine, NULL, 0, count * sizeof(*m->entries));
    if (count > 0 && !m->entries) {
        bvi_obj_unref(m);
        return BV_E_NOMEM;
    }
    m->len = m->cap = m->ordered = count;
    *ret = bvi_of_obj(m);
    return 0;
}

int bvi_map_own(bvi_value *map)
{
    const bvi_map *from = bvi_mp(map);
    bvi_value copy = BVI_VALUE_UNIT;
    bvi_map *to;
    int r;

    if (map->as.obj->refs == 1)
        return 0;
    r = bvi_value_map(from->head.obj.engine, &copy);
    if (r < 0)
        return r;
    to = bvi_mp(&copy);
    r = grow_entries(to, from->len);
    if (r < 0) {
        bvi_drop(&copy);
        return r;
    }
    for (uint32_t i = 0; i < from->len; i++) {
        bvi_obj_ref(from->entries[i].key);
        to->entries[i] = (bvi_map_entry){ from->entries[i].key, bvi_dup(&from->entries[i].value) };
    }
    to->len = from->len;
    to->ordered = from->ordered;
    bvi_replace(map, copy);
    return 0;
}

static int make_room(bvi_map *m)
{
    bvi_script_engine *engine = m->head.obj.engine;

    if (m->len >= engine->options.limits.map_entries)
        return bvi_script_too_large(engine, "Size of object map");
    if (m->len > UNINDEXED_MAX && !m->index)
        return BV_E_NOMEM;
    return grow_entries(m, (size_t)m->len + 1);
}

/* A small map stays in order, so entries behind the new one move. */
static void insert_ordered(bvi_map *m, size_t at, bvi_string *key)
{
    memmove(&m->entries[at + 1], &m->entries[at], (m->len - at) * sizeof(bvi_map_entry));
    m->entries[at] = (bvi_map_entry){ .key = key };
    m->ordered = ++m->len;
}

static void append(bvi_map *m, bvi_string *key)
{
    bool last = m->ordered == m->len && bvi_string_compare(m->entries[m->len - 1].key, key) < 0;

    m->entries[m->len] = (bvi_map_entry){ .key = key };
    m->ordered += last;
    m->len++;
    if (m->index && m->len * 2 <= m->index_cap)
        index_entry(m, m->len - 1);
    else
        drop_index(m); /* it is made anew, larger, when it is needed */
}

int bvi_map_slot(bvi_value *map, bvi_string *key, bvi_value **ret_slot)
{
    bvi_map *m;
    size_t at = 0;
    int r = bvi_map_own(map);

    if (r < 0)
        return r;
    m = bvi_mp(map);
    if (!find(m, key, &at)) {
        r = make_room(m);
        if (r < 0)
            return r;
        bvi_obj_ref(key);
        if (m->len >= SMALL) {
            at = m->len;
            append(m, key);
        } else {
            insert_ordered(m, at, key);
        }
    }
    *ret_slot = &m->entries[at].value;
    return 0;
}

int bvi_map_set(bvi_value *map, bvi_string *key, bvi_value value)
{
    bvi_value *slot = NULL;
    int r = bvi_map_slot(map, key, &slot);

    if (r < 0) {
        bvi_drop(&value);
        return r;
    }
    value.tag = 0;
    bvi_replace(slot, value);
    return 0;
}

int bvi_map_set_text(bvi_value *map, const char *key, bvi_value value)
{
    bvi_value name = BVI_VALUE_UNIT;
    int r = bvi_value_cstring(map->as.obj->engine, key, &name);

    if (r < 0) {
        bvi_drop(&value);
        return r;
    }
    r = bvi_map_set(map, bvi_str(&name), value);
    bvi_drop(&name);
    return r;
}

int bvi_value_put(bvi_value *map, const char *key, bvi_value item)
{
    return bvi_map_set_text(map, key, item);
}

int bvi_value_put_string(bvi_value *map, const char *key, const char *text)
{
    bvi_value v = BVI_VALUE_UNIT;
    int r = bvi_value_cstring(map->as.obj->engine, text, &v);

    return r < 0 ? r : bvi_map_set_text(map, key, v);
}

int bvi_map_take(bvi_value *map, const bvi_string *key, bvi_value *ret)
{
    bvi_map *m;
    size_t at;
    int r;

    *ret = BVI_VALUE_UNIT;
    if (!find(bvi_mp(map), key, &at))
        return 0;
    r = bvi_map_own(map);
    if (r < 0)
        return r;
    bvi_map_in_order(map); /* a map that shrinks may become a small one */
    m = bvi_mp(map);
    if (!find(m, key, &at))
        return 0; /* unreachable: it was there a moment ago */
    *ret = m->entries[at].value;
    bvi_obj_unref(m->entries[at].key);
    memmove(&m->entries[at], &m->entries[at + 1], (m->len - at - 1) * sizeof(bvi_map_entry));
    m->ordered = --m->len;
    drop_index(m);
    m->head.obj.engine->work += (m->len - at) * sizeof(bvi_map_entry);
    return 0;
}

int bvi_map_merge(bvi_value *map, const bvi_value *from, bool keep)
{
    bvi_value source = bvi_dup(from); /* map += itself */
    int r = 0;

    source.as.obj->engine->work += bvi_mp(&source)->len * sizeof(bvi_map_entry);
    for (uint32_t i = 0; r == 0 && i < bvi_mp(&source)->len; i++) {
        bvi_map_entry *e = &bvi_mp(&source)->entries[i];

        if (!keep || !bvi_map_find(map, e->key))
            r = bvi_map_set(map, e->key, bvi_dup(&e->value));
    }
    bvi_drop(&source);
    return r;
}
