/* SPDX-License-Identifier: MIT */
#include "app/admin.h"

#include "app/dashboard/page.h"
#include "app/metrics.h"
#include "app/pools_page.h"
#include "base/check.h"
#include "base/slice.h"
#include "downstream/fail.h"
#include "server/local.h"

#include <stdlib.h>

/* How long a page waits for a worker that is busy. */
#define SURVEY_PATIENCE weir_span_s(1)

struct admin {
    struct local local;
    struct program *program;
    struct surveyor surveyor;
};

struct admin_page {
    const char *path;
    WEIR_SUSPENDS enum weir_err (*answer)(struct admin *admin, struct exchange *exchange);
};

#define PLAIN_TEXT SLICE("text/plain; charset=utf-8")

WEIR_SUSPENDS static enum weir_err
answer_buf(struct exchange *exchange, struct weir_slice content_type, const struct buf *body)
{
    if (body->failed)
        return WEIR_E_NO_MEMORY;
    return exchange_answer(exchange, 200, content_type, buf_slice(body));
}

WEIR_SUSPENDS static enum weir_err answer_dashboard(struct admin *admin, struct exchange *exchange)
{
    (void)admin;
    return exchange_answer(exchange, 200, SLICE("text/html; charset=utf-8"),
                           slice_of(dashboard_page, dashboard_page_bytes));
}

WEIR_SUSPENDS static enum weir_err answer_metrics(struct admin *admin, struct exchange *exchange)
{
    AUTO(buf_fini) struct buf body;
    buf_init(&body);
    metrics_print(admin->program, &body);
    return answer_buf(exchange, SLICE("text/plain; version=0.0.4; charset=utf-8"), &body);
}

WEIR_SUSPENDS static enum weir_err answer_pools(struct admin *admin, struct exchange *exchange)
{
    AUTO(survey_free) struct survey *survey = NULL;
    AUTO(buf_fini) struct buf body;
    buf_init(&body);
    TRY(survey_take(&admin->surveyor, loop_deadline(exchange->loop, SURVEY_PATIENCE), &survey));
    pools_page_print(survey, loop_now(exchange->loop), &body);
    survey_free(&survey);
    return answer_buf(exchange, SLICE("application/json"), &body);
}

WEIR_SUSPENDS static enum weir_err answer_health(struct admin *admin, struct exchange *exchange)
{
    (void)admin;
    return exchange_answer(exchange, 200, PLAIN_TEXT, SLICE("ok\n"));
}

WEIR_SUSPENDS static enum weir_err answer_ready(struct admin *admin, struct exchange *exchange)
{
    if (atomic_load(&admin->program->workers.draining))
        return exchange_answer(exchange, 503, PLAIN_TEXT, SLICE("draining\n"));
    return exchange_answer(exchange, 200, PLAIN_TEXT, SLICE("ready\n"));
}

static const struct admin_page pages[] = {
    {.path = "/", .answer = answer_dashboard},  {.path = "/metrics", .answer = answer_metrics},
    {.path = "/pools", .answer = answer_pools}, {.path = "/health", .answer = answer_health},
    {.path = "/ready", .answer = answer_ready},
};

static const struct admin_page *find_page(struct weir_slice path)
{
    path.len = slice_find(path, '?');
    for (size_t i = 0; i < COUNT_OF(pages); i++)
        if (slice_equal(slice_str(pages[i].path), path))
            return &pages[i];
    return NULL;
}

/* RFC 9110 section 15.5.6: this answer must say what would be allowed. */
WEIR_SUSPENDS static enum weir_err answer_method(struct exchange *exchange)
{
    static const struct http_framing empty = {.body = BODY_LENGTH, .length = 0};
    struct http_response *response = arena_alloc(&exchange->arena, sizeof *response);
    if (!response)
        return WEIR_E_NO_MEMORY;
    response->status = 405;
    response->minor = 1;
    response->reason = http_reason(405);
    fields_init(&response->fields);
    fields_add(&response->fields, SLICE("Allow"), SLICE("GET, HEAD"));
    fields_add_known(&response->fields, FIELD_CONTENT_LENGTH, SLICE("0"));
    TRY(exchange_send_head(exchange, response, &empty));
    return exchange_flush(exchange);
}

WEIR_SUSPENDS static enum weir_err answer(struct admin *admin, struct exchange *exchange)
{
    const struct http_request *request = exchange->request;
    if (exchange->error)
        return exchange->error;
    const struct admin_page *page = find_page(request->path);
    if (!page)
        return exchange_answer(exchange, 404, PLAIN_TEXT, SLICE("no such page\n"));
    if (request->method != METHOD_GET && request->method != METHOD_HEAD)
        return answer_method(exchange);
    return page->answer(admin, exchange);
}

WEIR_SUSPENDS static void admin_serve(void *owner, struct exchange *exchange)
{
    enum weir_err err = answer(owner, exchange);
    if (err)
        exchange_fail(exchange, err);
}

/* A page that was given up may still have mail under way. */
static bool admin_is_idle(const void *owner)
{
    return ((const struct admin *)owner)->surveyor.outstanding == 0;
}

enum weir_err admin_open(struct program *program, const struct addr *addr, struct admin **ret_admin)
{
    struct admin *admin = calloc(1, sizeof *admin);
    if (!admin)
        return WEIR_E_NO_MEMORY;
    admin->program = program;
    admin->surveyor.program = program;
    struct local_options options = {
        .handler = admin_serve,
        .owner = admin,
        .is_idle = admin_is_idle,
    };
    enum weir_err err = local_open(&admin->local, &program->workers, addr, &options);
    if (err)
        free(admin);
    else
        *ret_admin = admin;
    return err;
}

void admin_close(struct admin **admin)
{
    if (*admin)
        local_close(&(*admin)->local);
    free(*admin);
    *admin = NULL;
}

const struct addr *admin_addr(const struct admin *admin)
{
    return &admin->local.group.options.addr;
}
