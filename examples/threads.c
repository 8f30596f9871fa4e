/* SPDX-License-Identifier: MIT */
/*
 * A client of several threads. What it shows: a server without listeners, whose threads share one
 * pool of connections; each runs `started` in a coroutine, and asks as often as it is told.
 *
 *     threads http://127.0.0.1:9001 /path 4 100      4 threads, 100 requests each
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <weir/weir.h>

struct work {
    struct weir_server *server;
    struct weir_peer *peer;
    const char *authority, *path;
    unsigned long requests;         /* of each thread */
    atomic_ulong answered, dialled; /* over all threads */
    atomic_uint threads_left;
    atomic_bool failed;
};

static enum weir_err ask_once(struct weir_service *service, struct work *work)
{
    struct weir_request *request = NULL;
    struct weir_reply *reply = NULL;
    enum weir_err err = weir_request_new("GET", work->authority, work->path, &request);
    if (err == WEIR_OK)
        err = weir_fetch(weir_service_connector(service), work->peer, request, weir_str(NULL),
                         1 << 20, weir_in(weir_span_s(10)), &reply);
    if (err == WEIR_OK) {
        struct weir_connection connection;
        weir_reply_connection(reply, &connection);
        atomic_fetch_add(&work->answered, 1);
        atomic_fetch_add(&work->dialled, !connection.reused);
    }
    weir_reply_free(&reply);
    weir_request_free(&request);
    return err;
}

static void started(struct weir_service *service, unsigned thread)
{
    struct work *work = weir_service_owner(service);
    enum weir_err err = WEIR_OK;
    for (unsigned long i = 0; err == WEIR_OK && i < work->requests; i++)
        err = ask_once(service, work);
    if (err != WEIR_OK) {
        fprintf(stderr, "threads: thread %u: %s\n", thread, weir_err_text(err));
        atomic_store(&work->failed, true);
    }
    if (atomic_fetch_sub(&work->threads_left, 1) == 1)
        weir_server_stop(work->server, true); /* who is last turns off the light */
}

static bool run(struct work *work, unsigned threads)
{
    struct weir_server_options server_options;
    weir_server_options_init(&server_options);
    server_options.handles_signals = true;
    server_options.threads = threads;
    struct weir_service_options options;
    weir_service_options_init(&options);
    options.name = "threads";
    options.owner = work;
    options.started = started;
    struct weir_service *service;
    char why[WEIR_WHY_BYTES] = "it cannot start";
    bool ran = !weir_server_new(&server_options, &work->server) &&
               !weir_server_add(work->server, &options, why, &service) &&
               !weir_server_run(work->server);
    if (!ran)
        fprintf(stderr, "threads: %s\n", why);
    weir_server_free(&work->server);
    return ran && !atomic_load(&work->failed);
}

int main(int count, char **words)
{
    const char *authority = count == 5 ? strstr(words[1], "://") : NULL;
    if (authority == NULL) {
        fprintf(stderr, "usage: threads URL PATH THREADS REQUESTS\n");
        return 2;
    }
    unsigned threads = (unsigned)strtoul(words[3], NULL, 10);
    struct work work = {
        .authority = authority + strlen("://"),
        .path = words[2],
        .requests = strtoul(words[4], NULL, 10),
        .threads_left = threads,
    };
    struct weir_peer_options options;
    weir_peer_options_init(&options);
    options.url = words[1];
    char why[WEIR_WHY_BYTES] = "out of memory";
    if (weir_peer_new(&options, why, &work.peer) != WEIR_OK) {
        fprintf(stderr, "threads: %s\n", why);
        return 1;
    }
    bool ran = run(&work, threads);
    printf("%lu answers, %lu connections\n", atomic_load(&work.answered),
           atomic_load(&work.dialled));
    weir_peer_free(&work.peer);
    return ran ? 0 : 1;
}
