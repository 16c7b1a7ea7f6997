/**
 * @file blockvisor/blockvisor.h
 * All of the public interface but the adapters and the entry points of guest programs.
 */
#ifndef BLOCKVISOR_BLOCKVISOR_H
#define BLOCKVISOR_BLOCKVISOR_H

#include <blockvisor/ctx.h>
#include <blockvisor/doc.h>
#include <blockvisor/error.h>
#include <blockvisor/eval.h>
#include <blockvisor/export.h>
#include <blockvisor/host.h>
#include <blockvisor/image.h>
#include <blockvisor/job.h>
#include <blockvisor/memory.h>
#include <blockvisor/node.h>
#include <blockvisor/op.h>
#include <blockvisor/plugin.h>
#include <blockvisor/script.h>
#include <blockvisor/server.h>
#include <blockvisor/snapshot.h>
#include <blockvisor/store.h>
#include <blockvisor/template.h>
#include <blockvisor/transfer.h>

#endif
