/*
 * doc.h - public documents from the inside: a bv_doc is a bvi_json under another name.
 */
#ifndef BVI_BASE_DOC_H
#define BVI_BASE_DOC_H

#include <blockvisor/doc.h>

#include "base/json.h"

static inline const bvi_json *bvi_json_of(const bv_doc *doc)
{
    return (const bvi_json *)doc;
}

static inline bv_doc *bvi_doc_of(bvi_json *json)
{
    return (bv_doc *)json;
}

#endif
