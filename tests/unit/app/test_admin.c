/* SPDX-License-Identifier: MIT */
/* The pages of a whole program with two workers, asked over real sockets from this thread. */
#include "app/admin.h"

#include "app/origin.h"
#include "app/program.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/slice.h"
#include "tests/check.h"

#include <stdlib.h>
#include <unistd.h>

static struct snapshot *snapshot;
static struct program program;

static char directory[] = "/tmp/weir-admin-XXXXXX";
static char origin_path[64];

/* The origin listens on a path: its address is known before it listens, and is nobody else's. */
static void set_origin_path(void)
{
    if (!origin_path[0])
        CHECK(mkdtemp(directory) != NULL);
    snprintf(origin_path, sizeof origin_path, "unix:%s/origin", directory);
    unlink(origin_path + sizeof "unix:" - 1);
}

__attribute__((destructor)) static void remove_files(void)
{
    unlink(origin_path + sizeof "unix:" - 1);
    rmdir(directory);
}

static void start(void)
{
    struct buf messages;
    struct addr origin;
    char text[512];
    log_set_level(LOG_ERROR);
    set_origin_path();
    snprintf(text, sizeof text,
             "version: 1\nthreads: 2\naccess_log: \"off\"\nadmin: { listen: 127.0.0.1:0 }\n"
             "services:\n  - name: edge\n    listen: [ 127.0.0.1:0 ]\n    upstream: %s\n",
             origin_path);
    buf_init(&messages);
    CHECK_OK(snapshot_load_text("t.yaml", slice_str(text), &messages, &snapshot));
    CHECK_SLICE(buf_slice(&messages), "");
    buf_fini(&messages);
    CHECK_OK(program_open(&program, snapshot, &epoll_ops));
    CHECK_OK(addr_parse(slice_str(origin_path), &origin));
    CHECK_OK(origin_open(&program.workers, &origin, &program.origin));
    CHECK_OK(program_start(&program));
}

/* Nothing is left to wait for, least of all until some timeout. */
static void stop(void)
{
    struct weir_time began = clock_monotonic();
    workers_drain(&program.workers);
    while (atomic_load(&program.workers.running) > 0)
        sched_yield();
    workers_end(&program.workers);
    workers_join(&program.workers);
    CHECK(weir_time_between(began, clock_monotonic()).ns < weir_span_s(3).ns);
    program_close(&program);
    snapshot_unref(&snapshot);
}

/* Sends and reads to the end: every request here says Connection: close. The caller frees it. */
static struct buf talk(const struct addr *addr, const char *request)
{
    struct buf answer;
    char piece[4096];
    buf_init(&answer);
    int descriptor = socket(addr->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (!CHECK(connect(descriptor, &addr->any, addr->len) == 0) ||
        !CHECK(write(descriptor, request, strlen(request)) == (ssize_t)strlen(request)))
        return answer;
    for (ssize_t len; (len = read(descriptor, piece, sizeof piece)) > 0;)
        buf_append(&answer, slice_of(piece, (size_t)len));
    close(descriptor);
    return answer;
}

static struct buf ask(const char *method, const char *path)
{
    char request[128];
    snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
             method, path);
    return talk(admin_addr(program.admin), request);
}

static bool has(const struct buf *text, const char *part)
{
    return memmem(text->at, text->len, part, strlen(part)) != NULL;
}

/* Checks that an answer has all of these parts, up to NULL. */
#define CHECK_ANSWER(method, path, ...)                                                            \
    check_answer(method, path, (const char *[]){__VA_ARGS__, NULL}, __LINE__)

static void check_answer(const char *method, const char *path, const char *parts[], int line)
{
    struct buf answer = ask(method, path);
    for (; *parts; parts++)
        if (!check_that(has(&answer, *parts), *parts, __FILE__, line))
            printf("# %s %s: %.*s\n", method, path, (int)answer.len, answer.at);
    buf_fini(&answer);
}

TEST(pages_and_what_is_none)
{
    start();
    CHECK_ANSWER("GET", "/health", "HTTP/1.1 200 OK\r\n", "\r\n\r\nok\n");
    CHECK_ANSWER("GET", "/ready", "HTTP/1.1 200 OK\r\n");
    CHECK_ANSWER("GET", "/?x", "HTTP/1.1 200 OK\r\n", "text/html", "<title>weir</title>",
                 "</html>\n");
    CHECK_ANSWER("GET", "/metrics", "HTTP/1.1 200 OK\r\n",
                 "Content-Type: text/plain; version=0.0.4", "\nweir_workers 2\n");
    CHECK_ANSWER("GET", "/pools", "HTTP/1.1 200 OK\r\n", "Content-Type: application/json",
                 "\"workers_answered\":2,\"services\":[{\"name\":\"edge\"");
    CHECK_ANSWER("GET", "/nothing", "HTTP/1.1 404 Not Found\r\n");
    CHECK_ANSWER("GET", "/pools/", "HTTP/1.1 404 Not Found\r\n");
    CHECK_ANSWER("DELETE", "/pools", "HTTP/1.1 405 ", "\r\nAllow: GET, HEAD\r\n");
    CHECK_ANSWER("GET", "/b\x01", "HTTP/1.1 400 Bad Request\r\n");
    stop();
}

TEST(head_has_no_body)
{
    start();
    struct buf answer = ask("HEAD", "/health");
    CHECK(has(&answer, "Content-Length: 3\r\n"));
    CHECK(answer.len > 4 &&
          slice_equal(slice_skip(buf_slice(&answer), answer.len - 4), SLICE("\r\n\r\n")));
    buf_fini(&answer);
    stop();
}

TEST(pools_shows_what_requests_have_left)
{
    start();
    for (int i = 0; i < 4; i++) {
        struct buf answer = talk(&program.workers.addresses[0]->group.options.addr,
                                 "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        CHECK(has(&answer, "HTTP/1.1 200 OK"));
        buf_fini(&answer);
    }
    struct buf page = ask("GET", "/pools");
    buf_append_byte(&page, '\0');
    char *opened = memmem(page.at, page.len, "\"opened\":", 9);
    char *reused = memmem(page.at, page.len, "\"reused\":", 9);
    if (CHECK(opened && reused))
        CHECK_EQ(4, strtol(opened + 9, NULL, 10) + strtol(reused + 9, NULL, 10));
    CHECK(has(&page, "\"connections\":[{\"id\":"));
    CHECK(has(&page, "\"upstream\":\"default\",\"address\":\"unix:/tmp/weir-admin-"));
    buf_fini(&page);
    stop();
}

TEST(while_it_drains_it_is_healthy_but_not_ready)
{
    start();
    workers_drain(&program.workers);
    CHECK_ANSWER("GET", "/ready", "HTTP/1.1 503 Service Unavailable\r\n");
    CHECK_ANSWER("GET", "/health", "HTTP/1.1 200 OK\r\n");
    CHECK_ANSWER("GET", "/pools", "\"workers_answered\":2");
    stop();
}

CHECK_MAIN
