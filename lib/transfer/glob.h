/*
 * glob.h - patterns of what an upload leaves out; they live in base/glob.h.
 */
#ifndef BVI_TRANSFER_GLOB_H
#define BVI_TRANSFER_GLOB_H

#include "base/glob.h"

#endif
