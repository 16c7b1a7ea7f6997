/*
 * output.c - tables, JSON, sizes and times as people read them.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

#define COLUMNS_MAX 16
#define RULE        "-"

struct cli_table {
    const char *const *titles;
    int columns;
    char **cells;
    const char **colours;
    size_t rows, room;
    bool failed;
};

cli_table *cli_table_new(const char *const *titles, int columns)
{
    cli_table *table = calloc(1, sizeof(*table));

    if (table) {
        table->titles = titles;
        table->columns = columns < COLUMNS_MAX ? columns : COLUMNS_MAX;
    }
    return table;
}

static bool grow(cli_table *table)
{
    size_t room = table->room ? table->room * 2 : 16;
    char **cells;
    const char **colours;

    if (table->rows < table->room)
        return true;
    cells = realloc(table->cells, room * (size_t)table->columns * sizeof(*cells));
    if (cells)
        table->cells = cells;
    colours = realloc(table->colours, room * (size_t)table->columns * sizeof(*colours));
    if (colours)
        table->colours = colours;
    if (!cells || !colours)
        return false;
    table->room = room;
    return true;
}

static bool is_harmless(unsigned char c)
{
    return c >= 0x20 && c != 0x7f;
}

static char *clean_copy(const char *text)
{
    char *copy = strdup(text);

    for (char *c = copy; c && *c; c++)
        *c = is_harmless((unsigned char)*c) ? *c : '?';
    return copy;
}

void cli_table_row(cli_table *table, const char *const *cells, const char *const *colours)
{
    size_t at;

    if (!table || !grow(table)) {
        if (table)
            table->failed = true;
        return;
    }
    at = table->rows++ * (size_t)table->columns;
    for (int i = 0; i < table->columns; i++) {
        table->cells[at + (size_t)i] = clean_copy(cells[i] ? cells[i] : "-");
        table->colours[at + (size_t)i] = colours ? colours[i] : NULL;
    }
}

static const char *title_of(const cli_table *table, int column, bool *ret_right)
{
    const char *title = table->titles[column];

    *ret_right = title[0] == '>';
    return title + *ret_right;
}

static const char *cell_of(const cli_table *table, size_t row, int column)
{
    const char *cell = table->cells[row * (size_t)table->columns + (size_t)column];

    return cell ? cell : "?";
}

/* Width in characters, counting UTF-8 lead bytes. */
static int width_of(const char *text)
{
    int width = 0;

    for (; *text; text++)
        width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

static void print_cell(const char *text, int width, bool right, bool last, const char *colour)
{
    int pad = width - width_of(text);

    (void)printf("%*s%s%s%s%*s", right ? pad : 0, "", colour ? colour : "", text,
                 colour ? "\033[0m" : "", right || last ? 0 : pad, "");
    (void)fputs(last ? "\n" : "  ", stdout);
}

void cli_table_print(const cli_table *table, const cli *c)
{
    int widths[COLUMNS_MAX] = { 0 };
    bool right = false;
    int total = 0;

    if (!table || table->failed)
        return;
    for (int i = 0; i < table->columns; i++) {
        widths[i] = width_of(title_of(table, i, &right));
        for (size_t r = 0; r < table->rows; r++) {
            int width = width_of(cell_of(table, r, i));

            widths[i] = width > widths[i] ? width : widths[i];
        }
        total += widths[i] + (i ? 2 : 0);
    }
    for (int i = 0; i < table->columns; i++) {
        const char *title = title_of(table, i, &right);

        print_cell(title, widths[i], right, i == table->columns - 1, NULL);
    }
    for (int i = 0; i < total; i++)
        (void)fputs(RULE, stdout);
    (void)fputc('\n', stdout);
    for (size_t r = 0; r < table->rows; r++) {
        for (int i = 0; i < table->columns; i++) {
            const char *colour =
                c->colour ? table->colours[r * (size_t)table->columns + (size_t)i] : NULL;

            (void)title_of(table, i, &right);
            print_cell(cell_of(table, r, i), widths[i], right, i == table->columns - 1, colour);
        }
    }
}

void cli_table_free(cli_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->rows * (size_t)table->columns; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table->colours);
    free(table);
}

const char *cli_status_colour(const char *status)
{
    static const struct {
        const char *status;
        const char *colour;
    } colours[] = {
        { "running", "\033[32m" },
        { "stopped", "\033[33m" },
        { "busy", "\033[33m" },
        { "failed", "\033[31m" },
    };

    for (size_t i = 0; i < sizeof(colours) / sizeof(colours[0]); i++) {
        if (strcmp(colours[i].status, status) == 0)
            return colours[i].colour;
    }
    return NULL;
}

void cli_print_json(const bv_doc *doc)
{
    char *text = NULL;

    if (bv_doc_print(doc, 1, &text, NULL) == 0)
        (void)puts(text);
    bv_free(text);
}

char *cli_size_text(uint64_t bytes, char *text, size_t size)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    (void)snprintf(text, size, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return text;
}

bool cli_size_parse(const char *text, uint64_t *ret_bytes)
{
    static const char letters[] = "KMGTP";
    const char *letter;
    char *end = NULL;
    double value = *text >= '0' && *text <= '9' ? strtod(text, &end) : -1;

    if (value < 0 || text[1] == 'x')
        return false;
    letter = *end ? strchr(letters, *end & ~0x20) : NULL;
    if (letter) {
        for (const char *l = letters; l <= letter; l++)
            value *= 1024;
        end += strcmp(end + 1, "iB") == 0 ? 3 : 1;
    }
    if (*end || value > (double)(1ull << 62))
        return false;
    *ret_bytes = (uint64_t)value;
    return true;
}

char *cli_uptime_text(int64_t seconds, char *text, size_t size)
{
    long long s = seconds;

    if (s < 0)
        (void)snprintf(text, size, "-");
    else if (s >= 86400)
        (void)snprintf(text, size, "%lldd %02lld:%02lld:%02lld", s / 86400, s / 3600 % 24,
                       s / 60 % 60, s % 60);
    else
        (void)snprintf(text, size, "%02lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    return text;
}

char *cli_time_text(int64_t unix_seconds, char *text, size_t size)
{
    time_t when = (time_t)unix_seconds;
    struct tm local;

    if (!localtime_r(&when, &local) || strftime(text, size, "%Y-%m-%d %H:%M:%S", &local) == 0)
        (void)snprintf(text, size, "-");
    return text;
}

char *cli_duration_text(int64_t ms, char *text, size_t size)
{
    long long s = (ms + 999) / 1000;

    if (s >= 3600)
        (void)snprintf(text, size, "%lldh%02lldm", s / 3600, s / 60 % 60);
    else if (s >= 60)
        (void)snprintf(text, size, "%lldm%02llds", s / 60, s % 60);
    else
        (void)snprintf(text, size, "%llds", s);
    return text;
}

bool cli_confirm(cli *c, const char *question)
{
    struct pollfd fds[2] = { { .fd = STDIN_FILENO, .events = POLLIN },
                             { .fd = c->signal_fd, .events = POLLIN } };
    char answer[16] = "";

    (void)fprintf(stderr, "%s [y/N]: ", question);
    /* Ctrl-C is blocked, so a plain read would not notice it. */
    while (poll(fds, c->signal_fd >= 0 ? 2 : 1, -1) < 0 && errno == EINTR)
        continue;
    if (fds[1].revents) {
        (void)fputc('\n', stderr);
        return false;
    }
    if (!fgets(answer, sizeof(answer), stdin))
        return false;
    return answer[0] == 'y' || answer[0] == 'Y';
}

void cli_put(FILE *out, const char *text)
{
    for (; *text; text++)
        (void)fputc(is_harmless((unsigned char)*text) ? *text : '?', out);
}

void cli_release_signals(void)
{
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
}

/* ---- JSON made by hand, for the few arguments that are documents ---- */

void cli_json_raw(cli_json *j, const char *text)
{
    size_t len = strlen(text);

    if (j->len + len + 1 > j->cap) {
        size_t cap = (j->cap ? j->cap * 2 : 256) + len;
        char *grown = realloc(j->text, cap);

        if (!grown) {
            j->failed = true;
            return;
        }
        j->text = grown;
        j->cap = cap;
    }
    memcpy(j->text + j->len, text, len + 1);
    j->len += len;
}

void cli_json_string(cli_json *j, const char *text)
{
    char piece[8];

    cli_json_raw(j, "\"");
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            (void)snprintf(piece, sizeof(piece), "\\%c", c);
        else if (c < 0x20)
            (void)snprintf(piece, sizeof(piece), "\\u%04x", c);
        else
            (void)snprintf(piece, sizeof(piece), "%c", c);
        cli_json_raw(j, piece);
    }
    cli_json_raw(j, "\"");
}

bv_doc *cli_json_doc(cli_json *j)
{
    bv_doc *doc = NULL;

    if (!j->failed && j->text)
        (void)bv_doc_parse(j->text, j->len, &doc, NULL); /* NULL tells */
    free(j->text);
    *j = (cli_json){ 0 };
    return doc;
}
