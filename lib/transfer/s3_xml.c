/*
 * s3_xml.c - see s3_xml.h.
 */
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "base/utf8.h"
#include "transfer/s3_xml.h"

/* ---- reading ---- */

typedef struct reader {
    const char *at;
    const char *end;
    const char *start;
    bvi_s3_element_fn fn;
    void *data;
    size_t depth;
    size_t parents[BVI_S3_XML_DEPTH_MAX]; /* length of the path outside each open element */
    bvi_buf path;
    bvi_buf text;
} reader;

static int malformed(const reader *rd, const char *what, bv_error **err)
{
    return bvi_fail(err, BV_E_FORMAT, "XML at byte %zu: %s", (size_t)(rd->at - rd->start), what);
}

static int put(int r, const char *what, bv_error **err)
{
    if (r == BV_E_LIMIT)
        return bvi_fail(err, r, "XML: %s is too long", what);
    return r < 0 ? bvi_fail_nomem(err) : 0;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool starts_with(const reader *rd, const char *text)
{
    size_t len = strlen(text);

    return (size_t)(rd->end - rd->at) >= len && memcmp(rd->at, text, len) == 0;
}

static int skip_past(reader *rd, const char *text, bv_error **err)
{
    const char *found = memmem(rd->at, (size_t)(rd->end - rd->at), text, strlen(text));

    if (!found)
        return malformed(rd, "it ends too early", err);
    rd->at = found + strlen(text);
    return 0;
}

static size_t name_length(const reader *rd)
{
    size_t len = 0;

    while (rd->at + len < rd->end) {
        char c = rd->at[len];
        char low = (char)(c | 0x20);
        bool letter = (low >= 'a' && low <= 'z') || c == '_' || c == ':';

        if (!letter && !(len > 0 && ((c >= '0' && c <= '9') || c == '-' || c == '.')))
            break;
        len++;
    }
    return len;
}

static int append_numbered(reader *rd, const char *digits, size_t len, bv_error **err)
{
    char number[12], utf8[4];
    bool hex = len > 0 && digits[0] == 'x';
    char *end = NULL;
    unsigned long code;

    if (len == 0 || len >= sizeof(number) || digits[hex] < '0' || digits[hex] > 'f')
        return malformed(rd, "not a character's number", err);
    memcpy(number, digits, len);
    number[len] = '\0';
    code = strtoul(number + hex, &end, hex ? 16 : 10);
    if (*end || code == 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return malformed(rd, "not a character's number", err);
    return put(bvi_buf_append(&rd->text, utf8, bvi_utf8_encode((uint32_t)code, utf8)), "a text",
               err);
}

/* At '&'. */
static int read_entity(reader *rd, bv_error **err)
{
    static const struct {
        const char *name;
        char c;
    } entities[] = {
        { "&amp;", '&' }, { "&lt;", '<' }, { "&gt;", '>' }, { "&quot;", '"' }, { "&apos;", '\'' },
    };
    const char *semicolon = memchr(rd->at, ';', (size_t)(rd->end - rd->at));

    for (size_t i = 0; i < BVI_COUNT(entities); i++) {
        if (starts_with(rd, entities[i].name)) {
            rd->at += strlen(entities[i].name);
            return put(bvi_buf_append_char(&rd->text, entities[i].c), "a text", err);
        }
    }
    if (!semicolon || !starts_with(rd, "&#"))
        return malformed(rd, "an entity nobody knows", err);
    {
        int r = append_numbered(rd, rd->at + 2, (size_t)(semicolon - rd->at) - 2, err);

        rd->at = semicolon + 1;
        return r;
    }
}

static int read_text(reader *rd, bv_error **err)
{
    const char *from = rd->at;

    if (*rd->at == '&')
        return rd->depth > 0 ? read_entity(rd, err) : malformed(rd, "text outside", err);
    while (rd->at < rd->end && *rd->at != '<' && *rd->at != '&') {
        if (*rd->at == '\0' || (rd->depth == 0 && !is_space(*rd->at)))
            return malformed(rd, "text outside of the document", err);
        rd->at++;
    }
    return rd->depth > 0
               ? put(bvi_buf_append(&rd->text, from, (size_t)(rd->at - from)), "a text", err)
               : 0;
}

static int enter(reader *rd, const char *name, size_t len, bv_error **err)
{
    int r = 0;

    if (rd->depth == BVI_S3_XML_DEPTH_MAX)
        return bvi_fail(err, BV_E_LIMIT, "XML: more than %u elements in each other",
                        BVI_S3_XML_DEPTH_MAX);
    rd->parents[rd->depth++] = rd->path.len;
    if (rd->path.len > 0)
        r = bvi_buf_append_char(&rd->path, '/');
    if (r == 0)
        r = bvi_buf_append(&rd->path, name, len);
    bvi_buf_clear(&rd->text);
    return put(r, "a path", err);
}

static int leave(reader *rd, bv_error **err)
{
    size_t outside = rd->parents[rd->depth - 1];
    int r = rd->fn(bvi_buf_str(&rd->path), bvi_buf_str(&rd->text), rd->data, err);

    rd->depth--;
    rd->path.data[outside] = '\0';
    rd->path.len = outside;
    bvi_buf_clear(&rd->text);
    return r;
}

/* After the name of a start tag. */
static int skip_attributes(reader *rd, bool *ret_empty, bv_error **err)
{
    for (; rd->at < rd->end; rd->at++) {
        if (*rd->at == '>') {
            *ret_empty = rd->at[-1] == '/';
            rd->at++;
            return 0;
        }
        if (*rd->at == '<')
            break;
        if (*rd->at == '"' || *rd->at == '\'') {
            const char *close = memchr(rd->at + 1, *rd->at, (size_t)(rd->end - rd->at) - 1);

            if (!close)
                break;
            rd->at = close;
        }
    }
    return malformed(rd, "a tag does not end", err);
}

static int read_start_tag(reader *rd, bv_error **err)
{
    const char *name;
    bool empty = false;
    size_t len;
    int r;

    if (rd->depth == 0 && rd->path.data)
        return malformed(rd, "a second document", err);
    rd->at++;
    name = rd->at;
    len = name_length(rd);
    if (len == 0)
        return malformed(rd, "a tag without a name", err);
    rd->at += len;
    if (rd->at < rd->end && !is_space(*rd->at) && *rd->at != '>' && *rd->at != '/')
        return malformed(rd, "a wrong character in a tag", err);
    r = skip_attributes(rd, &empty, err);
    if (r == 0)
        r = enter(rd, name, len, err);
    return r == 0 && empty ? leave(rd, err) : r;
}

static int read_end_tag(reader *rd, bv_error **err)
{
    size_t len, outside;

    rd->at += 2;
    len = name_length(rd);
    if (rd->depth == 0)
        return malformed(rd, "an end without a start", err);
    outside = rd->parents[rd->depth - 1];
    outside += outside > 0; /* the slash */
    if (rd->path.len - outside != len || memcmp(rd->path.data + outside, rd->at, len) != 0)
        return malformed(rd, "an end of another element", err);
    rd->at += len;
    while (rd->at < rd->end && is_space(*rd->at))
        rd->at++;
    if (rd->at == rd->end || *rd->at != '>')
        return malformed(rd, "a tag does not end", err);
    rd->at++;
    return leave(rd, err);
}

static int read_one(reader *rd, bv_error **err)
{
    if (*rd->at != '<')
        return read_text(rd, err);
    if (starts_with(rd, "<?"))
        return skip_past(rd, "?>", err);
    if (starts_with(rd, "<!--"))
        return skip_past(rd, "-->", err);
    if (starts_with(rd, "<!"))
        return malformed(rd, "document types and raw sections are not accepted", err);
    return starts_with(rd, "</") ? read_end_tag(rd, err) : read_start_tag(rd, err);
}

int bvi_s3_xml_read(const char *text, size_t len, bvi_s3_element_fn fn, void *data, bv_error **err)
{
    reader rd = { .at = text, .start = text, .end = text + len, .fn = fn, .data = data };
    int r = 0;

    bvi_buf_init(&rd.path, BVI_S3_XML_PATH_MAX);
    bvi_buf_init(&rd.text, BVI_S3_XML_TEXT_MAX);
    while (r == 0 && rd.at < rd.end)
        r = read_one(&rd, err);
    if (r == 0 && (rd.depth > 0 || !rd.path.data))
        r = malformed(&rd, "it ends too early", err);
    bvi_buf_done(&rd.path);
    bvi_buf_done(&rd.text);
    return r;
}

/* ---- pages ---- */

/* What is known of the page while it is read. */
typedef struct page_reader {
    bvi_s3_page *page;
    bvi_s3_object object;
    bool has_size;
    bool has_time;
    bool truncated;
    bool is_page;
} page_reader;

void bvi_s3_page_init(bvi_s3_page *page)
{
    *page = (bvi_s3_page){ .objects = BVI_VEC_INIT(BVI_S3_PAGE_MAX) };
}

void bvi_s3_page_done(bvi_s3_page *page)
{
    for (size_t i = 0; i < page->objects.len; i++)
        bvi_free(page->objects.items[i].key);
    bvi_vec_done(&page->objects);
    bvi_free(page->next);
    page->next = NULL;
}

static int keep_text(char **to, const char *text, bv_error **err)
{
    bvi_free(*to);
    *to = bvi_strdup(text);
    return *to ? 0 : bvi_fail_nomem(err);
}

static int on_key(page_reader *p, const char *text, bv_error **err)
{
    return keep_text(&p->object.key, text, err);
}

static int on_size(page_reader *p, const char *text, bv_error **err)
{
    uint64_t size = 0;

    for (const char *at = text; *at; at++) {
        if (*at < '0' || *at > '9' || __builtin_mul_overflow(size, 10u, &size) ||
            __builtin_add_overflow(size, (uint64_t)(*at - '0'), &size))
            return bvi_fail(err, BV_E_FORMAT, "'%s' is not the size of an object", text);
    }
    p->object.size = size;
    p->has_size = *text != '\0';
    return 0;
}

static int on_modified(page_reader *p, const char *text, bv_error **err)
{
    if (bvi_time_parse(text, &p->object.modified_us) < 0)
        return bvi_fail(err, BV_E_FORMAT, "'%s' is not the time of an object", text);
    p->has_time = true;
    return 0;
}

static int on_object(page_reader *p, const char *text, bv_error **err)
{
    bvi_s3_object *slot;

    (void)text;
    if (!p->object.key || !p->has_size || !p->has_time)
        return bvi_fail(err, BV_E_FORMAT, "an object without a key, size or time");
    if (p->page->objects.len == BVI_S3_PAGE_MAX)
        return bvi_fail(err, BV_E_LIMIT, "more than %u objects on one page", BVI_S3_PAGE_MAX);
    slot = bvi_vec_push(&p->page->objects);
    if (!slot)
        return bvi_fail_nomem(err);
    *slot = p->object;
    p->object = (bvi_s3_object){ 0 };
    p->has_size = p->has_time = false;
    return 0;
}

static int on_truncated(page_reader *p, const char *text, bv_error **err)
{
    (void)err;
    p->truncated = strcmp(text, "true") == 0;
    return 0;
}

static int on_token(page_reader *p, const char *text, bv_error **err)
{
    return keep_text(&p->page->next, text, err);
}

static int on_page(page_reader *p, const char *text, bv_error **err)
{
    (void)text;
    (void)err;
    p->is_page = true;
    return 0;
}

static int on_page_element(const char *path, const char *text, void *data, bv_error **err)
{
    static const struct {
        const char *path;
        int (*fn)(page_reader *p, const char *text, bv_error **err);
    } elements[] = {
        { "ListBucketResult/Contents/Key", on_key },
        { "ListBucketResult/Contents/Size", on_size },
        { "ListBucketResult/Contents/LastModified", on_modified },
        { "ListBucketResult/Contents", on_object },
        { "ListBucketResult/IsTruncated", on_truncated },
        { "ListBucketResult/NextContinuationToken", on_token },
        { "ListBucketResult", on_page },
    };

    for (size_t i = 0; i < BVI_COUNT(elements); i++) {
        if (strcmp(elements[i].path, path) == 0)
            return elements[i].fn(data, text, err);
    }
    return 0;
}

int bvi_s3_page_parse(const char *text, size_t len, bvi_s3_page *page, bv_error **err)
{
    page_reader p = { .page = page };
    int r = bvi_s3_xml_read(text, len, on_page_element, &p, err);

    bvi_free(p.object.key);
    if (r == 0 && !p.is_page)
        r = bvi_fail(err, BV_E_FORMAT, "the answer is not a listing");
    if (r == 0 && p.truncated && (!page->next || !*page->next))
        r = bvi_fail(err, BV_E_FORMAT, "the listing goes on, but does not say where");
    if (!p.truncated) {
        bvi_free(page->next);
        page->next = NULL;
    }
    return r;
}

/* ---- errors, and ids ---- */

static void copy_plain(char *to, size_t room, const char *text)
{
    size_t len = 0;

    for (; text[len] && len < room - 1; len++)
        to[len] = text[len] >= ' ' && text[len] < 127 ? text[len] : ' ';
    to[len] = '\0';
}

static int on_error_element(const char *path, const char *text, void *data, bv_error **err)
{
    bvi_s3_error *error = data;

    (void)err;
    if (strcmp(path, "Error/Code") == 0)
        copy_plain(error->code, sizeof(error->code), text);
    else if (strcmp(path, "Error/Message") == 0)
        copy_plain(error->message, sizeof(error->message), text);
    return 0;
}

bool bvi_s3_error_parse(const char *text, size_t len, bvi_s3_error *ret_error)
{
    bvi_s3_error error = { 0 };

    if (bvi_s3_xml_read(text, len, on_error_element, &error, NULL) < 0 || !error.code[0])
        return false;
    *ret_error = error;
    return true;
}

static int on_upload_element(const char *path, const char *text, void *data, bv_error **err)
{
    if (strcmp(path, "InitiateMultipartUploadResult/UploadId") == 0)
        return keep_text(data, text, err);
    return 0;
}

int bvi_s3_upload_id_parse(const char *text, size_t len, char **ret_id, bv_error **err)
{
    bvi_auto_free char *id = NULL;
    int r = bvi_s3_xml_read(text, len, on_upload_element, &id, err);

    if (r == 0 && (!id || !*id))
        r = bvi_fail(err, BV_E_FORMAT, "the answer has no id of a multipart upload");
    if (r == 0)
        *ret_id = bvi_take(id);
    return r;
}

/* ---- uploads in parts that are under way ---- */

typedef struct uploads_reader {
    bvi_s3_uploads *uploads;
    bvi_s3_upload upload;
    bool is_list;
} uploads_reader;

static void upload_done(bvi_s3_upload *upload)
{
    bvi_free(upload->key);
    bvi_free(upload->id);
    *upload = (bvi_s3_upload){ 0 };
}

void bvi_s3_uploads_done(bvi_s3_uploads *uploads)
{
    for (size_t i = 0; i < uploads->len; i++)
        upload_done(&uploads->items[i]);
    bvi_vec_done(uploads);
}

static int take_upload(uploads_reader *u, bv_error **err)
{
    bvi_s3_upload *slot;

    if (!u->upload.key || !u->upload.id || u->uploads->len == u->uploads->max)
        return bvi_fail(err, BV_E_FORMAT, "an upload without a key or id, or too many");
    slot = bvi_vec_push(u->uploads);
    if (!slot)
        return bvi_fail_nomem(err);
    *slot = u->upload;
    u->upload = (bvi_s3_upload){ 0 };
    return 0;
}

static int on_uploads_element(const char *path, const char *text, void *data, bv_error **err)
{
    static const char list[] = "ListMultipartUploadsResult";
    uploads_reader *u = data;

    if (strncmp(path, list, strlen(list)) != 0)
        return 0;
    path += strlen(list);
    if (strcmp(path, "/Upload/Key") == 0)
        return keep_text(&u->upload.key, text, err);
    if (strcmp(path, "/Upload/UploadId") == 0)
        return keep_text(&u->upload.id, text, err);
    if (strcmp(path, "/Upload/Initiated") == 0 && bvi_time_parse(text, &u->upload.begun_us) < 0)
        return bvi_fail(err, BV_E_FORMAT, "'%s' is not the time of an upload", text);
    if (strcmp(path, "/Upload") == 0)
        return take_upload(u, err);
    u->is_list = u->is_list || !*path;
    return 0;
}

int bvi_s3_uploads_parse(const char *text, size_t len, bvi_s3_uploads *uploads, bv_error **err)
{
    uploads_reader u = { .uploads = uploads };
    int r;

    uploads->max = BVI_S3_PAGE_MAX;
    r = bvi_s3_xml_read(text, len, on_uploads_element, &u, err);
    upload_done(&u.upload);
    return r == 0 && !u.is_list ? bvi_fail(err, BV_E_FORMAT, "the answer is no list of uploads")
                                : r;
}
