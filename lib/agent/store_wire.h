/*
 * store_wire.h - what both ends of a node's store share: the numbers of verbs on the wire. They
 * never change their meaning; those of bvi_store_verb may.
 */
#ifndef BVI_AGENT_STORE_WIRE_H
#define BVI_AGENT_STORE_WIRE_H

#include "transfer/store.h"

/* Objects of one OBJECTS answer, which is one message. */
#define BVI_STORE_WIRE_OBJECTS_MAX 1000u

#define BVI_STORE_WIRE_VERBS(X)                                                                    \
    X(1, BVI_STORE_GET)                                                                            \
    X(2, BVI_STORE_STAT)                                                                           \
    X(3, BVI_STORE_VERSIONS)                                                                       \
    X(4, BVI_STORE_RESERVE)                                                                        \
    X(5, BVI_STORE_RELEASE)                                                                        \
    X(6, BVI_STORE_OBJECTS)                                                                        \
    X(7, BVI_STORE_LEASES)                                                                         \
    X(8, BVI_STORE_REMOVE)

/* 0: it is not for the wire. */
static inline uint32_t bvi_store_wire_number(bvi_store_verb verb)
{
#define BVI_STORE_WIRE_NUMBER(number, name)                                                        \
    if (verb == name)                                                                              \
        return number;
    BVI_STORE_WIRE_VERBS(BVI_STORE_WIRE_NUMBER)
#undef BVI_STORE_WIRE_NUMBER
    return 0;
}

/* BVI_STORE_VERBS: there is none of that number. */
static inline bvi_store_verb bvi_store_wire_verb(uint32_t wire)
{
#define BVI_STORE_WIRE_VERB(number, name)                                                          \
    if (wire == number)                                                                            \
        return name;
    BVI_STORE_WIRE_VERBS(BVI_STORE_WIRE_VERB)
#undef BVI_STORE_WIRE_VERB
    return BVI_STORE_VERBS;
}

#endif
