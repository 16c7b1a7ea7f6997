/*
 * engine_case_read.c - cutting a file of cases into cases. See engine_case.h.
 */
#include <string.h>

#include "bvt.h"
#include "engine_case.h"

static char *next_line(char **text)
{
    char *line = *text;
    char *end = strchr(line, '\n');

    if (!*line)
        return NULL;
    *text = end ? end + 1 : line + strlen(line);
    if (end)
        *end = '\0';
    return line;
}

static const char *after(const char *line, const char *mark)
{
    size_t len = strlen(mark);

    if (strncmp(line, mark, len) != 0)
        return NULL;
    line += len;
    return *line == ' ' ? line + 1 : line;
}

static void add(const char **list, size_t *len, const char *line)
{
    ck_assert_msg(*len < CASE_LINES_MAX, "too many lines in a case");
    list[(*len)++] = line;
}

static case_step *new_step(engine_case *c, const char *call)
{
    ck_assert_msg(c->steps_len < CASE_STEPS_MAX, "too many steps in a case");
    c->steps[c->steps_len].call = call;
    return &c->steps[c->steps_len++];
}

/* Lines after the script: a call, its result, its requests. */
static void read_step_line(engine_case *c, const char *line)
{
    case_step *last = c->steps_len ? &c->steps[c->steps_len - 1] : NULL;
    const char *rest;

    if ((rest = after(line, "?"))) {
        (void)new_step(c, rest);
    } else if ((rest = after(line, "=>"))) {
        (last && !last->result && !last->error ? last : new_step(c, NULL))->result = rest;
    } else if ((rest = after(line, "=!"))) {
        (last && !last->result && !last->error ? last : new_step(c, NULL))->error = rest;
    } else if ((rest = after(line, ">"))) {
        ck_assert_msg(last != NULL, "%s:%u: a request before the call", c->file, c->line);
        last->checks_journal = 1;
        if (*rest)
            add(last->journal, &last->journal_len, rest);
    } else {
        ck_assert_msg(!*line, "%s:%u (%s): '%s' means nothing here", c->file, c->line, c->title,
                      line);
    }
}

static int is_step_line(const char *line)
{
    return line[0] == '?' || strncmp(line, "=>", 2) == 0 || strncmp(line, "=!", 2) == 0;
}

int engine_case_next(const char *file, char **text, unsigned *line_number, engine_case *c)
{
    int in_module = 0;
    char *line;

    memset(c, 0, sizeof(*c));
    c->file = file;
    while (strncmp(*text, "==", 2) != 0) {
        if (!next_line(text))
            return 0;
        ++*line_number;
    }
    c->line = ++*line_number;
    c->title = after(next_line(text), "==");
    while (**text && strncmp(*text, "== ", 3) != 0 && (line = next_line(text))) {
        ++*line_number;
        in_module = (in_module || strncmp(line, "@module", 7) == 0) && strcmp(line, "@end") != 0;
        if (c->steps_len || (!in_module && is_step_line(line)))
            read_step_line(c, line);
        else if (in_module || line[0] == '@')
            add(c->setup, &c->setup_len, line);
        else if (*line)
            add(c->script, &c->script_len, line);
    }
    ck_assert_msg(c->steps_len > 0, "%s:%u: the case expects nothing", file, c->line);
    return 1;
}
