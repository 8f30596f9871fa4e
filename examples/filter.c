/* SPDX-License-Identifier: MIT */
/*
 * A proxy with filters. What it shows: how to answer a request without asking a server, how to
 * change the fields of requests and responses, and how to change a body as it passes, here text,
 * which becomes upper case.
 *
 *     filter 127.0.0.1:8080 http://127.0.0.1:9001
 *     curl -i http://127.0.0.1:8080/             a text comes in capitals, and without Server
 *     curl -i http://127.0.0.1:8080/private/     403
 *     curl -H 'Content-Type: text/plain' -d hello http://127.0.0.1:8080/     HELLO goes up
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <weir/weir.h>

/* A piece of a body is a view of bytes that are not ours: what is changed needs room of its own,
 * which has to stay until the next piece. */
struct text {
    bool is_text;
    char *room;
    size_t size;
};

/* What belongs to one exchange. Up and down are filtered side by side. */
struct texts {
    struct text up, down;
};

static bool starts_with(struct weir_slice slice, const char *start)
{
    struct weir_slice wanted = weir_str(start);
    return slice.len >= wanted.len && memcmp(slice.at, wanted.at, wanted.len) == 0;
}

static bool says_text(const struct weir_fields *fields)
{
    return starts_with(weir_fields_get(fields, "Content-Type"), "text/") &&
           weir_fields_get(fields, "Content-Encoding").at == NULL;
}

static enum weir_err raise_letters(struct text *text, struct weir_piece *piece)
{
    if (!text->is_text || piece->bytes.len == 0)
        return WEIR_OK;
    if (piece->bytes.len > text->size) {
        char *room = realloc(text->room, piece->bytes.len);
        if (room == NULL)
            return WEIR_E_NO_MEMORY;
        text->room = room;
        text->size = piece->bytes.len;
    }
    for (size_t i = 0; i < piece->bytes.len; i++)
        text->room[i] = (char)toupper((unsigned char)piece->bytes.at[i]);
    piece->bytes.at = text->room;
    return WEIR_OK;
}

static enum weir_err request_filter(struct weir_exchange *exchange)
{
    struct weir_request *request = weir_exchange_request(exchange);
    if (starts_with(weir_request_path(request), "/private"))
        return weir_exchange_answer(exchange, 403, "text/plain", weir_str("not for you\n"));
    struct texts *texts = weir_exchange_alloc(exchange, sizeof *texts);
    if (texts == NULL)
        return WEIR_E_NO_MEMORY;
    *texts = (struct texts){.up.is_text = says_text(weir_request_fields(request))};
    weir_exchange_set_state(exchange, texts);
    return WEIR_OK;
}

static enum weir_err upstream_request_filter(struct weir_exchange *exchange,
                                             struct weir_request *request)
{
    weir_exchange_keep_length(exchange); /* capitals are as long as small letters */
    struct weir_fields *fields = weir_request_fields(request);
    weir_fields_remove(fields, "Accept-Encoding"); /* what is compressed has no letters */
    weir_fields_remove(fields, "Cookie");
    return weir_fields_set(fields, "X-Filtered", weir_exchange_client(exchange));
}

static enum weir_err response_filter(struct weir_exchange *exchange, struct weir_response *response)
{
    struct texts *texts = weir_exchange_state(exchange);
    struct weir_fields *fields = weir_response_fields(response);
    texts->down.is_text = says_text(fields);
    weir_exchange_keep_length(exchange);
    weir_fields_remove(fields, "Server");
    return weir_fields_add(fields, "X-Filtered", weir_str("yes"));
}

static enum weir_err request_body_filter(struct weir_exchange *exchange, struct weir_piece *piece)
{
    struct texts *texts = weir_exchange_state(exchange);
    return raise_letters(&texts->up, piece);
}

static enum weir_err response_body_filter(struct weir_exchange *exchange, struct weir_piece *piece)
{
    struct texts *texts = weir_exchange_state(exchange);
    return raise_letters(&texts->down, piece);
}

/* Comes at the end of every exchange, also of one that was answered above or has failed. */
static void logging(struct weir_exchange *exchange, enum weir_err err)
{
    struct weir_slice path = weir_request_path(weir_exchange_request(exchange));
    fprintf(stderr, "filter: %.*s: %u, %s\n", WEIR_SLICE_ARGS(path), weir_exchange_status(exchange),
            err == WEIR_OK ? "ok" : weir_err_name(err));
    struct texts *texts = weir_exchange_state(exchange);
    if (texts != NULL) {
        free(texts->up.room);
        free(texts->down.room);
    }
}

static const struct weir_proxy_ops phases = {
    .name = "filter",
    .request_filter = request_filter,
    .upstream_request_filter = upstream_request_filter,
    .request_body_filter = request_body_filter,
    .response_filter = response_filter,
    .response_body_filter = response_body_filter,
    .logging = logging,
};

int main(int count, char **words)
{
    struct weir_server_options server_options;
    weir_server_options_init(&server_options);
    server_options.handles_signals = true;
    struct weir_service_options options;
    weir_service_options_init(&options);
    options.proxy = &phases;
    struct weir_listen_options listen;
    weir_listen_options_init(&listen);
    listen.address = count > 1 ? words[1] : "127.0.0.1:8080";
    struct weir_upstream_options upstream;
    weir_upstream_options_init(&upstream);
    upstream.urls = (const char *[]){count > 2 ? words[2] : "http://127.0.0.1:9001"};
    upstream.count = 1;

    struct weir_server *server = NULL;
    struct weir_service *service;
    char why[WEIR_WHY_BYTES] = "it cannot start";
    bool served = !weir_server_new(&server_options, &server) &&
                  !weir_server_add(server, &options, why, &service) &&
                  !weir_service_listen(service, &listen, why) &&
                  !weir_service_add_upstream(service, &upstream, why) &&
                  printf("listening on %s\n", weir_service_address(service, 0)) > 0 &&
                  fflush(stdout) == 0 && !weir_server_run(server);
    if (!served)
        fprintf(stderr, "filter: %s\n", why);
    weir_server_free(&server);
    return served ? 0 : 1;
}
