/* SPDX-License-Identifier: MIT */
/*
 * A proxy that asks another server first. What it shows: a subrequest whose answer decides. Each
 * request is shown, without its body, to /verify of the first server. If that says 2xx the request
 * goes on to the second server, with the name of the user that came in X-User; whatever else it
 * says, 401 for instance, is what the client gets.
 *
 *     auth 127.0.0.1:8080 http://127.0.0.1:9001 http://127.0.0.1:9002
 *     curl -i -H 'Authorization: Bearer abc' http://127.0.0.1:8080/
 */
#include <stdio.h>
#include <weir/weir.h>

enum { ANSWER_BYTES_MAX = 65536, SECONDS_MAX = 5 };

/* What the verifying server has said, passed on to the client. */
static enum weir_err refuse(struct weir_exchange *exchange, struct weir_reply *reply)
{
    struct weir_response *verdict = weir_reply_response(reply), *response;
    enum weir_err err =
        weir_exchange_new_response(exchange, weir_response_status(verdict), &response);
    static const char *const passed_on[] = {"WWW-Authenticate", "Content-Type", "Location"};
    for (unsigned i = 0; err == WEIR_OK && i < sizeof passed_on / sizeof *passed_on; i++) {
        struct weir_slice value = weir_fields_get(weir_response_fields(verdict), passed_on[i]);
        if (value.at != NULL)
            err = weir_fields_set(weir_response_fields(response), passed_on[i], value);
    }
    struct weir_slice body = weir_reply_body(reply);
    if (err == WEIR_OK)
        err = weir_exchange_send_head(exchange, response, body.len);
    if (err == WEIR_OK)
        err = weir_exchange_send(exchange, body, true);
    return err;
}

/* The verdict; *ret_reply is the caller's. */
static enum weir_err verify(struct weir_exchange *exchange, struct weir_reply **ret_reply)
{
    struct weir_request *question = NULL;
    enum weir_err err = weir_exchange_copy_request(exchange, &question);
    if (err != WEIR_OK)
        return err;
    struct weir_fields *fields = weir_request_fields(question);
    err = weir_fields_set(fields, "X-Original-Path", weir_request_path(question));
    if (err == WEIR_OK)
        err = weir_request_set_method(question, weir_str("GET"));
    if (err == WEIR_OK)
        err = weir_request_set_path(question, weir_str("/verify"));

    struct weir_subrequest_options options;
    weir_subrequest_options_init(&options);
    options.peer = weir_exchange_owner(exchange);
    options.without_phases = true; /* else it would be verified in turn */
    options.response_bytes = ANSWER_BYTES_MAX;
    options.deadline = weir_in(weir_span_s(SECONDS_MAX));
    if (err == WEIR_OK)
        err = weir_subrequest_run(exchange, question, &options, NULL, ret_reply);
    weir_request_free(&question);
    return err;
}

static enum weir_err request_filter(struct weir_exchange *exchange)
{
    struct weir_fields *fields = weir_request_fields(weir_exchange_request(exchange));
    weir_fields_remove(fields, "X-User"); /* a client does not name himself */
    struct weir_reply *reply = NULL;
    enum weir_err err = verify(exchange, &reply);
    if (err != WEIR_OK)
        return err;
    struct weir_response *verdict = weir_reply_response(reply);
    if (weir_response_status(verdict) / 100 != 2) {
        err = refuse(exchange, reply);
    } else {
        struct weir_slice user = weir_fields_get(weir_response_fields(verdict), "X-User");
        if (user.at != NULL)
            err = weir_fields_set(fields, "X-User", user); /* copied, so the reply may go */
    }
    weir_reply_free(&reply);
    return err;
}

static const struct weir_proxy_ops phases = {.name = "auth", .request_filter = request_filter};

static bool serve(const char *address, struct weir_peer *verifier, const char *url)
{
    struct weir_server_options server_options;
    weir_server_options_init(&server_options);
    server_options.handles_signals = true;
    struct weir_service_options options;
    weir_service_options_init(&options);
    options.proxy = &phases;
    options.owner = verifier;
    struct weir_listen_options listen;
    weir_listen_options_init(&listen);
    listen.address = address;
    struct weir_upstream_options upstream;
    weir_upstream_options_init(&upstream);
    upstream.urls = &url;
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
        fprintf(stderr, "auth: %s\n", why);
    weir_server_free(&server);
    return served;
}

int main(int count, char **words)
{
    if (count != 4) {
        fprintf(stderr, "usage: auth ADDRESS VERIFIER-URL SERVER-URL\n");
        return 2;
    }
    struct weir_peer_options options;
    weir_peer_options_init(&options);
    options.url = words[2];
    struct weir_peer *verifier = NULL;
    char why[WEIR_WHY_BYTES] = "out of memory";
    if (weir_peer_new(&options, why, &verifier) != WEIR_OK) {
        fprintf(stderr, "auth: %s\n", why);
        return 1;
    }
    bool served = serve(words[1], verifier, words[3]);
    weir_peer_free(&verifier);
    return served ? 0 : 1;
}
