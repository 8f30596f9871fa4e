/* SPDX-License-Identifier: MIT */
#include "tests/sim/origin.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/slice.h"
#include "co/wait.h"

#include <stdio.h>
#include <stdlib.h>

enum { REQUEST_BYTES = 16384 };

/* One connection and what is known of the request on it. */
struct visit {
    struct origin *origin;
    struct stream **stream;
    unsigned number, requests;
    uint64_t key;
    uint64_t nonce;
    bool is_head, has_body_bytes;
    size_t head_len, total_len, body_len;
    size_t filled;
    char bytes[REQUEST_BYTES];
};

static bool chance(const struct visit *visit, unsigned per_mille)
{
    return sim_chance(visit->origin->world, per_mille);
}

static void breach(struct visit *visit, const char *rule)
{
    if (!visit->origin->breach)
        visit->origin->breach = rule;
}

/* Reading. */

static bool find_number(const struct visit *visit, const char *name, uint64_t *ret_number)
{
    const char *at = memmem(visit->bytes, visit->head_len, name, strlen(name));
    if (!at)
        return false;
    *ret_number = strtoull(at + strlen(name), NULL, 10);
    return true;
}

/* Where the chunked body that begins at `at` ends; 0: not all is here. */
static size_t end_of_chunks(struct visit *visit, size_t at)
{
    size_t body = 0;
    for (;;) {
        char *line_end = memmem(visit->bytes + at, visit->filled - at, "\r\n", 2);
        if (!line_end)
            return 0;
        size_t chunk = strtoull(visit->bytes + at, NULL, 16);
        size_t start = (size_t)(line_end - visit->bytes) + 2;
        if (start + chunk + 2 > visit->filled)
            return 0;
        for (size_t i = 0; i < chunk; i++)
            if (visit->bytes[start + i] != origin_body_byte(visit->nonce, false, body + i))
                breach(visit, "a request's chunked body is not its own");
        body += chunk;
        at = start + chunk + 2;
        if (chunk == 0)
            break;
    }
    visit->body_len = body;
    return at;
}

static size_t end_of_length(struct visit *visit, size_t len)
{
    size_t start = visit->head_len;
    if (start + len > visit->filled)
        return 0;
    for (size_t i = 0; i < len; i++)
        if (visit->bytes[start + i] != origin_body_byte(visit->nonce, false, i))
            breach(visit, "a request's body is not its own");
    visit->body_len = len;
    return start + len;
}

static void check_request(struct visit *visit)
{
    uint64_t key = 0, len = 0;
    if (!find_number(visit, "X-Key: ", &key) || !find_number(visit, "X-Len: ", &len))
        breach(visit, "a request without its fields");
    if (visit->requests > 0 && key != visit->key)
        breach(visit, "two keys on one connection");
    if (len != visit->body_len)
        breach(visit, "a request's body has another length");
    bool once = memcmp(visit->bytes, "POST ", 5) == 0;
    must(visit->nonce < COUNT_OF(visit->origin->posted));
    if (once && visit->origin->posted[visit->nonce])
        breach(visit, "a POST that may have been processed came again");
    visit->origin->posted[visit->nonce] |= once;
    visit->key = key;
    visit->requests++;
    visit->origin->request_count++;
    if (visit->origin->requests_max > 0 && visit->requests > visit->origin->requests_max)
        breach(visit, "more requests on a connection than its limit");
}

/* True when the head is there, and whether the body is. */
static bool has_head(struct visit *visit, bool *ret_whole)
{
    char *end = memmem(visit->bytes, visit->filled, "\r\n\r\n", 4);
    if (!end)
        return false;
    uint64_t length = 0;
    visit->head_len = (size_t)(end - visit->bytes) + 4;
    if (!find_number(visit, "X-Nonce: ", &visit->nonce))
        breach(visit, "a request without its nonce");
    visit->is_head = memcmp(visit->bytes, "HEAD ", 5) == 0;
    bool chunked = memmem(visit->bytes, visit->head_len, "chunked", 7) != NULL;
    find_number(visit, "Content-Length: ", &length);
    visit->total_len =
        chunked ? end_of_chunks(visit, visit->head_len) : end_of_length(visit, length);
    *ret_whole = visit->total_len > 0;
    /* Who took an uncalled response for the one to this request may well have sent the next. */
    bool is_next = *ret_whole && visit->filled > visit->total_len;
    if (is_next && !visit->origin->tainted[visit->number])
        breach(visit, "bytes behind a request before its response");
    return true;
}

WEIR_SUSPENDS static enum weir_err recv_more(struct visit *visit, struct weir_time deadline)
{
    struct iobuf *buf;
    struct loop *loop = visit->origin->server.loop;
    TRY(stream_recv(*visit->stream, deadline, &buf));
    struct weir_slice got = iobuf_slice(buf);
    bool fits = got.len <= REQUEST_BYTES - visit->filled;
    if (fits) {
        memcpy(visit->bytes + visit->filled, got.at, got.len);
        visit->filled += got.len;
    } else {
        breach(visit, "more bytes than a request has");
    }
    iobuf_give(&loop->bufs, &buf);
    return fits ? WEIR_OK : WEIR_E_LIMIT;
}

/* Writing. */

WEIR_SUSPENDS static enum weir_err send_bytes(struct visit *visit, struct weir_slice bytes)
{
    return stream_send(*visit->stream, &bytes, 1, WEIR_NEVER, NULL);
}

/* In one send, or with rests in between. */
WEIR_SUSPENDS static enum weir_err send_slowly(struct visit *visit, struct weir_slice bytes,
                                               bool slow)
{
    struct sim_world *world = visit->origin->world;
    while (slow && bytes.len > 1) {
        size_t some = 1 + rand_below(&world->rand, bytes.len - 1);
        TRY(send_bytes(visit, slice_of(bytes.at, some)));
        TRY(co_sleep(sim_span(world, weir_span_ns(0), visit->origin->habits.slow_max)));
        bytes = slice_skip(bytes, some);
        slow = sim_chance(world, 700);
    }
    return bytes.len ? send_bytes(visit, bytes) : WEIR_OK;
}

/* Bytes that nobody has asked for: nonsense, or a response. */
WEIR_SUSPENDS static enum weir_err send_uncalled(struct visit *visit)
{
    if (chance(visit, 500))
        return send_bytes(visit, SLICE("nobody asked"));
    struct buf buf;
    buf_init(&buf);
    buf_printf(&buf, "HTTP/1.1 200 OK\r\nX-Nonce: 0\r\nX-Conn: %u\r\nX-Len: 0\r\n", visit->number);
    buf_printf(&buf, "Content-Length: 0\r\n\r\n");
    visit->origin->tainted[visit->number] = true;
    enum weir_err err = send_bytes(visit, buf_slice(&buf));
    buf_fini(&buf);
    return err;
}

enum framing { BY_LENGTH, BY_CHUNKS, BY_CLOSE };

/* What an answer will be like. */
struct manner {
    bool old; /* HTTP/1.0 */
    bool keep, cut, reset, slow;
    enum framing framing;
    size_t len;
};

static void write_head(struct visit *visit, struct buf *buf, const struct manner *manner)
{
    const struct origin_habits *habits = &visit->origin->habits;
    struct rand *rand = &visit->origin->world->rand;
    bool doubtful = chance(visit, habits->doubtful);
    size_t len = visit->is_head ? 0 : manner->len;
    if (chance(visit, habits->interim) && !manner->old)
        buf_printf(buf, "HTTP/1.1 103 Early Hints\r\nX-Hint: 1\r\n\r\n");
    buf_printf(buf, "HTTP/1.%d 200 OK\r\nX-Nonce: %llu\r\n", !manner->old,
               (unsigned long long)visit->nonce);
    buf_printf(buf, "X-Conn: %u\r\nX-Len: %zu\r\n", visit->number, len);
    if (manner->framing == BY_LENGTH || (manner->framing == BY_CHUNKS && doubtful))
        buf_printf(buf, "Content-Length: %zu\r\n", manner->len);
    if (manner->framing == BY_CHUNKS)
        buf_printf(buf, "Transfer-Encoding: chunked\r\n");
    if (!manner->keep && !manner->old)
        buf_printf(buf, "Connection: close\r\n");
    else if (manner->keep && manner->old)
        buf_printf(buf, "Connection: Keep-Alive\r\n");
    if (chance(visit, habits->hint)) {
        unsigned timeout_s = (unsigned)rand_below(rand, 5);
        buf_printf(buf, "Keep-Alive: timeout=%u, max=%u\r\n", timeout_s,
                   (unsigned)rand_below(rand, 4));
    }
    buf_printf(buf, "\r\n");
}

static void write_body(struct visit *visit, struct buf *buf, enum framing framing, size_t len)
{
    struct rand *rand = &visit->origin->world->rand;
    for (size_t at = 0; at < len;) {
        size_t piece = framing == BY_CHUNKS ? 1 + rand_below(rand, len - at) : len;
        if (framing == BY_CHUNKS)
            buf_printf(buf, "%zx\r\n", piece);
        for (size_t i = 0; i < piece; i++)
            buf_append_byte(buf, origin_body_byte(visit->nonce, true, at + i));
        if (framing == BY_CHUNKS)
            buf_printf(buf, "\r\n");
        at += piece;
    }
    if (framing == BY_CHUNKS)
        buf_printf(buf, "0\r\n\r\n");
}

static struct manner choose_manner(struct visit *visit)
{
    const struct origin_habits *habits = &visit->origin->habits;
    struct manner manner = {
        .old = chance(visit, habits->http10),
        .keep = !chance(visit, habits->say_close),
        .cut = chance(visit, habits->cut),
        .reset = chance(visit, habits->reset),
        .slow = chance(visit, habits->slow),
    };
    bool chunked = chance(visit, habits->chunked);
    if (chance(visit, habits->until_close))
        manner.framing = BY_CLOSE;
    else if (chunked && (!manner.old || chance(visit, habits->doubtful)))
        manner.framing = BY_CHUNKS;
    if (!chance(visit, habits->empty))
        manner.len = rand_below(&visit->origin->world->rand, habits->body_max + 1);
    manner.keep &= manner.framing != BY_CLOSE;
    return manner;
}

/* Sends a response, or a part of it. False when the connection has ended with that. */
WEIR_SUSPENDS static bool respond(struct visit *visit)
{
    const struct origin_habits *habits = &visit->origin->habits;
    struct manner manner = choose_manner(visit);
    bool part = manner.cut || manner.reset;
    struct buf buf;
    buf_init(&buf);
    write_head(visit, &buf, &manner);
    if (!visit->is_head)
        write_body(visit, &buf, manner.framing, manner.len);
    struct weir_slice bytes = buf_slice(&buf);
    if (part)
        bytes.len = rand_below(&visit->origin->world->rand, bytes.len);
    bool going = send_slowly(visit, bytes, manner.slow) == WEIR_OK && !part && manner.keep;
    buf_fini(&buf);
    if (manner.reset)
        stream_close(visit->stream, true);
    if (going && chance(visit, habits->excess))
        going = send_uncalled(visit) == WEIR_OK;
    return going && !chance(visit, habits->close_after);
}

/* Waits for the next request's first bytes. False: the connection has ended. */
WEIR_SUSPENDS static bool await_request(struct visit *visit)
{
    const struct origin_habits *habits = &visit->origin->habits;
    struct loop *loop = visit->origin->server.loop;
    for (;;) {
        bool bytes = chance(visit, visit->requests > 0 ? habits->idle_bytes : 0);
        bool close = chance(visit, visit->requests > 0 ? habits->idle_close : 0);
        bool reset = chance(visit, visit->requests > 0 ? habits->idle_reset : 0);
        bool acts = bytes || close || reset;
        struct weir_span idle = sim_span(visit->origin->world, weir_span_ns(0), habits->idle_max);
        enum weir_err err = recv_more(visit, acts ? loop_deadline(loop, idle) : WEIR_NEVER);
        if (err != WEIR_E_TIMEOUT)
            return err == WEIR_OK;
        if (bytes && send_uncalled(visit))
            return false;
        if (reset)
            stream_close(visit->stream, true);
        if (close || reset)
            return false;
    }
}

/* Receives one request; false: the connection has ended, or shall. */
WEIR_SUSPENDS static bool read_request(struct visit *visit)
{
    bool whole = false;
    visit->filled -= visit->total_len;
    memmove(visit->bytes, visit->bytes + visit->total_len, visit->filled);
    visit->total_len = 0;
    if (visit->filled == 0 && !await_request(visit))
        return false;
    while (!has_head(visit, &whole))
        if (recv_more(visit, WEIR_NEVER))
            return false;
    if (!whole && chance(visit, visit->origin->habits.early)) {
        (void)respond(visit);
        return false;
    }
    while (!whole) {
        if (recv_more(visit, WEIR_NEVER))
            return false;
        has_head(visit, &whole);
    }
    check_request(visit);
    return true;
}

static void serve(struct server *server, struct stream **stream, unsigned number)
{
    struct visit *visit = calloc(1, sizeof *visit);
    must(visit && number < COUNT_OF(visit->origin->tainted));
    visit->origin = server->owner;
    visit->stream = stream;
    visit->number = number;
    const struct origin_habits *habits = &visit->origin->habits;
    bool going = true;
    while (going && read_request(visit)) {
        if (chance(visit, habits->slow))
            going = co_sleep(sim_span(visit->origin->world, weir_span_ns(0), habits->slow_max)) ==
                    WEIR_OK;
        if (chance(visit, habits->silent)) {
            (void)recv_more(visit, WEIR_NEVER);
            going = false;
        }
        going = going && respond(visit);
    }
    free(visit);
}

enum weir_err origin_open(struct origin *origin, struct sim_world *world, struct loop *loop,
                          const char *addr)
{
    memset(origin, 0, sizeof *origin); /* too large for a value on a coroutine's stack */
    origin->world = world;
    origin->habits = origin_polite(world);
    return server_open(&origin->server, loop, addr, serve, origin);
}

void origin_close(struct origin *origin)
{
    server_close(&origin->server);
}

static unsigned some(struct sim_world *world, unsigned most)
{
    /* Half of the habits an origin does not have at all. */
    return sim_chance(world, 500) ? (unsigned)rand_below(&world->rand, most + 1) : 0;
}

struct origin_habits origin_bad(struct sim_world *world)
{
    return (struct origin_habits){
        .close_after = some(world, 300),
        .say_close = some(world, 300),
        .http10 = some(world, 300),
        .chunked = some(world, 700),
        .until_close = some(world, 100),
        .doubtful = some(world, 300),
        .empty = some(world, 500),
        .interim = some(world, 300),
        .hint = some(world, 500),
        .slow = some(world, 300),
        .silent = some(world, 50),
        .cut = some(world, 100),
        .reset = some(world, 100),
        .early = some(world, 300),
        .excess = some(world, 200),
        .idle_bytes = some(world, 300),
        .idle_close = some(world, 1000),
        .idle_reset = some(world, 300),
        .idle_max = weir_span_ns(1 + (int64_t)rand_below(&world->rand, 300000000)),
        .slow_max = weir_span_ns(1 + (int64_t)rand_below(&world->rand, 300000000)),
        .body_max = some(world, 5000),
    };
}

struct origin_habits origin_polite(struct sim_world *world)
{
    return (struct origin_habits){
        .close_after = some(world, 500),
        .chunked = some(world, 700),
        .empty = some(world, 500),
        .interim = some(world, 300),
        .slow = some(world, 300),
        .idle_close = 1000,
        .idle_reset = some(world, 500),
        .idle_max = weir_span_ns(1 + (int64_t)rand_below(&world->rand, 100000000)),
        .slow_max = weir_span_ns(1 + (int64_t)rand_below(&world->rand, 50000000)),
        .body_max = some(world, 5000),
    };
}
