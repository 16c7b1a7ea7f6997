/**
 * @file blockvisor/doc.h
 * A document: the JSON value that a call takes or answers.
 *
 * Answers are documents so that they may gain fields without breaking anybody; the OpenAPI file
 * describes them. A document handed to a callback is borrowed for the call; one that was parsed
 * belongs to the caller. Parts of a document live as long as the whole. A NULL document reads like
 * null, so look-ups chain without checks:
 *
 *     bv_doc_string(bv_doc_get(bv_doc_get(reply, "image"), "version"), "-")
 */
#ifndef BLOCKVISOR_DOC_H
#define BLOCKVISOR_DOC_H

#include <stddef.h>
#include <stdint.h>

#include <blockvisor/error.h>

BV_BEGIN_DECLS

typedef struct bv_doc bv_doc;

typedef enum bv_doc_type {
    BV_DOC_NULL = 0,
    BV_DOC_BOOL = 1,
    BV_DOC_NUMBER = 2,
    BV_DOC_STRING = 3,
    BV_DOC_ARRAY = 4,
    BV_DOC_OBJECT = 5
} bv_doc_type;

/** @return what @p doc is, a bv_doc_type. @since 0.1 */
BV_API int bv_doc_type_of(const bv_doc *doc);
/** @return the value of @p key in an object, or NULL. @since 0.1 */
BV_API const bv_doc *bv_doc_get(const bv_doc *doc, const char *key);
/** @return the first element or member, or NULL. @since 0.1 */
BV_API const bv_doc *bv_doc_first(const bv_doc *doc);
/** @return the element or member after this one, or NULL. @since 0.1 */
BV_API const bv_doc *bv_doc_next(const bv_doc *doc);
/** @return the key under which a member stands in its object, or NULL. @since 0.1 */
BV_API const char *bv_doc_key(const bv_doc *doc);
/** @return the number of elements or members. @since 0.1 */
BV_API size_t bv_doc_count(const bv_doc *doc);
/** @return the text, owned by the document, or @p fallback when it is not a string. @since 0.1 */
BV_API const char *bv_doc_string(const bv_doc *doc, const char *fallback);
/** @return the integer, or @p fallback when it is not one in range. @since 0.1 */
BV_API int64_t bv_doc_int64(const bv_doc *doc, int64_t fallback);
/** @return the number, or @p fallback when it is not one. @since 0.1 */
BV_API double bv_doc_double(const bv_doc *doc, double fallback);
/** @return 1 for true, 0 for anything else. @since 0.1 */
BV_API int bv_doc_is_true(const bv_doc *doc);

/**
 * Prints a document as JSON.
 *
 * @param pretty    Not 0: indented, one member a line.
 * @param ret_text  Freed with bv_free().
 * @return 0 or BV_E_NOMEM.
 * @since 0.1
 */
BV_API int bv_doc_print(const bv_doc *doc, int pretty, char **ret_text, bv_error **err);

/**
 * Reads a document from JSON text.
 *
 * @param ret_doc  Freed with bv_doc_free().
 * @return 0, BV_E_FORMAT, BV_E_LIMIT (nested too deep) or BV_E_NOMEM.
 * @since 0.1
 */
BV_API int bv_doc_parse(const char *text, size_t len, bv_doc **ret_doc, bv_error **err);

/**
 * Copies a document, so that a reply can be kept after its callback.
 *
 * @param doc      NULL: the copy is null.
 * @param ret_doc  Freed with bv_doc_free().
 * @return 0 or BV_E_NOMEM.
 * @since 0.1
 */
BV_API int bv_doc_copy(const bv_doc *doc, bv_doc **ret_doc, bv_error **err);

/** Frees a document that bv_doc_parse() or bv_doc_copy() made. NULL is fine. @since 0.1 */
BV_API void bv_doc_free(bv_doc *doc);

BV_END_DECLS

#endif
