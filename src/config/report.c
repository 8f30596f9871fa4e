/* SPDX-License-Identifier: MIT */
#include "config/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* So many errors are kept, and as many warnings. */
enum { MISTAKES_MAX = 100, TEXT_BYTES_MAX = 800 };

struct mistake {
    struct mistake *next;
    struct position position;
    const char *kind; /* error, warning */
    const char *text;
};

void report_init(struct report *report, struct memory *memory)
{
    *report = (struct report){.memory = memory};
}

static bool is_before(struct position a, struct position b)
{
    return a.line != b.line ? a.line < b.line : a.column < b.column;
}

/* Where a mistake belongs; NULL when it is there already. */
static struct mistake **place_of(struct report *report, struct position position, const char *text)
{
    struct mistake **at = &report->mistakes;
    for (; *at && !is_before(position, (*at)->position); at = &(*at)->next)
        if (!is_before((*at)->position, position) && strcmp((*at)->text, text) == 0 &&
            strcmp((*at)->position.file, position.file) == 0)
            return NULL;
    return at;
}

/* Adds what is new, and counts it. */
__attribute__((format(printf, 5, 0))) static void add(struct report *report, const char *kind,
                                                      unsigned *count, struct position position,
                                                      const char *format, va_list arguments)
{
    char text[TEXT_BYTES_MAX];
    vsnprintf(text, sizeof text, format, arguments);
    struct mistake **at = place_of(report, position, text);
    if (!at || ++*count > MISTAKES_MAX)
        return;
    struct mistake *mistake = memory_alloc(report->memory, sizeof *mistake);
    const char *copy = memory_string(report->memory, (struct weir_slice){text, strlen(text)});
    if (!mistake || !copy)
        return;
    *mistake = (struct mistake){*at, position, kind, copy};
    *at = mistake;
}

void report_error(struct report *report, struct position position, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(report, "error", &report->error_count, position, format, arguments);
    va_end(arguments);
}

void report_warning(struct report *report, struct position position, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(report, "warning", &report->warning_count, position, format, arguments);
    va_end(arguments);
}

/* Tells that there is more than was kept. */
static void write_limit(const struct report *report, const char *kind, unsigned count,
                        struct buf *messages)
{
    if (count > MISTAKES_MAX)
        buf_printf(messages, "%s: %s: %u more of these are left out\n",
                   report->mistakes->position.file, kind, count - MISTAKES_MAX);
}

void report_write(const struct report *report, struct buf *messages)
{
    for (const struct mistake *at = report->mistakes; at; at = at->next) {
        buf_printf(messages, "%s:", at->position.file);
        if (at->position.line > 0)
            buf_printf(messages, "%u:%u:", at->position.line, at->position.column);
        buf_printf(messages, " %s: %s\n", at->kind, at->text);
    }
    write_limit(report, "warning", report->warning_count, messages);
    write_limit(report, "error", report->error_count, messages);
}
