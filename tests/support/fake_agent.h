/*
 * fake_agent.h - an agent that keeps its jobs in memory, for tests of what talks to one. It listens
 * in this process.
 *
 * It answers as a real agent does; any method can be told to fail, to hang, or to drop the
 * connection instead.
 */
#ifndef FAKE_AGENT_H
#define FAKE_AGENT_H

#include <stdbool.h>

#include <blockvisor/ctx.h>

typedef struct fake_agent fake_agent;

typedef enum fake_agent_mood {
    FAKE_AGENT_WORKS,
    FAKE_AGENT_FAILS, /* BV_E_INTERNAL "the fake fails" */
    FAKE_AGENT_HANGS, /* never answers */
    FAKE_AGENT_DROPS, /* closes the connection instead of answering */
} fake_agent_mood;

fake_agent *fake_agent_new(bv_ctx *ctx, const char *socket_path);
void fake_agent_free(fake_agent *agent); /* NULL is fine */
/* What a method ("version", "setup", ...) does from now on; so many times, 0: always. */
void fake_agent_set(fake_agent *agent, const char *method, fake_agent_mood mood, unsigned times);
/* Calls received, dropped and hanging ones included. method NULL: all. */
unsigned fake_agent_calls(const fake_agent *agent, const char *method);
bool fake_agent_is_ready(const fake_agent *agent); /* set up, and not shut down since */
void fake_agent_set_ready(fake_agent *agent, bool ready);
/* JobInfo of a job (JSON), in place of what it has made up itself. */
void fake_agent_set_job(fake_agent *agent, const char *name, const char *info_json);

#endif
