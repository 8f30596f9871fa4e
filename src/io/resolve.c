/* SPDX-License-Identifier: MIT */
/*
 * c-ares calls back from within our calls to it, so that nobody may be told anything there: what it
 * says is noted at the question, which joins `answered`, and a timer that is due at once tells it
 * from the loop.
 *
 * A question cannot be taken back from c-ares. So what c-ares holds is a `struct question` of our
 * own, which outlives the caller's `struct resolve` when that gives up.
 */
#include "io/resolve.h"

#include "base/check.h"
#include "base/slab.h"
#include "io/poller.h"

#include <ares.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

enum { TIMEOUT_MS = 2000, TRIES = 3, DNS_PORT = 53 };

struct resolver {
    struct loop *loop;
    ares_channel channel;
    struct slab sockets, questions;
    struct list watched;   /* c-ares's sockets */
    struct list asked;     /* of struct resolve */
    struct list answered;  /* to be told */
    struct timer patience; /* of c-ares with its servers */
    struct timer telling;
    const struct question *asking;        /* NULL: not in the call that asks c-ares */
    bool busy;                            /* an answer is being told, or it is closing */
    struct addr addrs[RESOLVE_ADDRS_MAX]; /* of the answer that is being told */
};

struct question {
    struct resolve *resolve; /* NULL: it was given up */
    struct resolver *resolver;
};

struct server_socket {
    struct poller poller;
    struct resolver *resolver;
    struct list link;
};

/* --- c-ares's sockets and timeouts ----------------------------------------------------------- */

/* When c-ares wants to be called though nothing comes. */
static void arm_patience(struct resolver *resolver)
{
    struct timeval left;
    if (!ares_timeout(resolver->channel, NULL, &left)) {
        loop_timer_disarm(resolver->loop, &resolver->patience);
        return;
    }
    int64_t left_us = (int64_t)left.tv_sec * 1000000 + left.tv_usec;
    loop_timer_arm(resolver->loop, &resolver->patience, weir_span_ns(left_us * 1000));
}

static void run_out(struct timer *timer)
{
    struct resolver *resolver = container_of(timer, struct resolver, patience);
    ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    arm_patience(resolver);
}

/* c-ares may close this socket meanwhile. */
static void socket_ready(struct poller *poller, bool readable, bool writable)
{
    struct resolver *resolver = container_of(poller, struct server_socket, poller)->resolver;
    ares_socket_t descriptor = poller->descriptor;
    ares_process_fd(resolver->channel, readable ? descriptor : ARES_SOCKET_BAD,
                    writable ? descriptor : ARES_SOCKET_BAD);
    arm_patience(resolver);
}

static struct server_socket *find_socket(struct resolver *resolver, int descriptor)
{
    list_each (link, &resolver->watched) {
        struct server_socket *found = container_of(link, struct server_socket, link);
        if (found->poller.descriptor == descriptor)
            return found;
    }
    return NULL;
}

static void forget_socket(struct server_socket *forgotten)
{
    poller_stop(&forgotten->poller);
    list_remove(&forgotten->link);
    slab_free(&forgotten->resolver->sockets, forgotten);
}

static enum weir_err watch_socket(struct resolver *resolver, int descriptor, bool want_read,
                                  bool want_write)
{
    struct server_socket *added = slab_alloc(&resolver->sockets);
    if (!added)
        return WEIR_E_NO_MEMORY;
    added->resolver = resolver;
    list_push_back(&resolver->watched, &added->link);
    enum weir_err err = poller_start(resolver->loop, &added->poller, descriptor, want_read,
                                     want_write, socket_ready);
    if (err)
        forget_socket(added);
    return err;
}

/* c-ares has opened a socket, is about to close it (nothing is wanted), or wants something else. */
static void follow_socket(void *owner, ares_socket_t descriptor, int want_read, int want_write)
{
    struct resolver *resolver = owner;
    struct server_socket *known = find_socket(resolver, descriptor);
    enum weir_err err = WEIR_OK;
    if (!want_read && !want_write) {
        if (known)
            forget_socket(known);
    } else if (known) {
        err = poller_want(&known->poller, want_read, want_write);
    } else {
        err = watch_socket(resolver, descriptor, want_read, want_write);
    }
    (void)err; /* c-ares cannot be told: it hears nothing and its patience ends */
}

/* --- Questions and answers ------------------------------------------------------------------- */

static enum weir_err err_of(int status)
{
    switch (status) {
    case ARES_SUCCESS:
        return WEIR_OK;
    case ARES_ETIMEOUT:
        return WEIR_E_DNS_TIMEOUT;
    case ARES_ENOMEM:
        return WEIR_E_NO_MEMORY;
    case ARES_ECANCELLED:
    case ARES_EDESTRUCTION:
        return WEIR_E_CANCELED;
    default:
        return WEIR_E_DNS_ERROR;
    }
}

static void note_answer(struct resolve *resolve, enum weir_err err, struct ares_addrinfo *found)
{
    struct resolver *resolver = resolve->resolver;
    resolve->found = found;
    resolve->err = err;
    resolve->told_at_once = resolve->question && resolve->question == resolver->asking;
    resolve->question = NULL;
    list_remove(&resolve->link);
    list_push_back(&resolver->answered, &resolve->link);
    loop_timer_arm(resolver->loop, &resolver->telling, weir_span_ns(0));
}

static void on_answer(void *argument, int status, int timeouts, struct ares_addrinfo *found)
{
    (void)timeouts;
    struct question *question = argument;
    if (question->resolve)
        note_answer(question->resolve, err_of(status), found);
    else
        ares_freeaddrinfo(found);
    slab_free(&question->resolver->questions, question);
}

static bool addr_of(const struct ares_addrinfo_node *node, uint16_t port, struct addr *ret_addr)
{
    if (node->ai_family != AF_INET && node->ai_family != AF_INET6)
        return false;
    *ret_addr = (struct addr){.len = (socklen_t)node->ai_addrlen};
    memcpy(&ret_addr->any, node->ai_addr, (size_t)node->ai_addrlen);
    addr_set_port(ret_addr, port);
    return true;
}

static bool is_among(const struct addr *addr, const struct addr *addrs, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (addr_equal(addr, &addrs[i]))
            return true;
    return false;
}

/* The addresses of an answer, each once. */
static unsigned read_addrs(const struct resolve *resolve, struct addr *ret_addrs)
{
    unsigned count = 0;
    const struct ares_addrinfo_node *node = resolve->found ? resolve->found->nodes : NULL;
    for (; node && count < RESOLVE_ADDRS_MAX; node = node->ai_next)
        if (addr_of(node, resolve->port, &ret_addrs[count]) &&
            !is_among(&ret_addrs[count], ret_addrs, count))
            count++;
    return count;
}

/* An answer is as old as its oldest part: the aliases on the way count too. */
static struct weir_span read_ttl(const struct resolve *resolve)
{
    int64_t least_s = INT32_MAX;
    const struct ares_addrinfo *found = resolve->found;
    if (!found)
        return WEIR_FOREVER;
    for (const struct ares_addrinfo_node *node = found->nodes; node; node = node->ai_next)
        least_s = node->ai_ttl < least_s ? node->ai_ttl : least_s;
    for (const struct ares_addrinfo_cname *alias = found->cnames; alias; alias = alias->next)
        least_s = alias->ttl < least_s ? alias->ttl : least_s;
    if (resolve->told_at_once && least_s <= 0)
        return WEIR_FOREVER;                       /* no server was asked */
    return weir_span_s(least_s > 0 ? least_s : 0); /* RFC 2181 section 8: the high bit means 0 */
}

static void forget_answer(struct resolve *resolve)
{
    list_remove(&resolve->link);
    ares_freeaddrinfo(resolve->found);
    resolve->found = NULL;
    resolve->resolver = NULL;
}

static void tell(struct resolver *resolver, struct resolve *resolve)
{
    struct weir_span ttl = read_ttl(resolve);
    unsigned count = read_addrs(resolve, resolver->addrs);
    enum weir_err err = resolve->err;
    forget_answer(resolve);
    if (!err && count == 0)
        err = WEIR_E_DNS_ERROR;
    resolve->answered(resolve, err, resolver->addrs, err ? 0 : count, ttl);
}

/* What comes meanwhile is told in the next turn, so that nobody can keep the loop from turning. */
static void tell_all(struct timer *timer)
{
    struct resolver *resolver = container_of(timer, struct resolver, telling);
    struct list telling;
    list_init(&telling);
    list_splice(&telling, &resolver->answered);
    resolver->busy = true;
    for (struct list *link; (link = list_first(&telling));)
        tell(resolver, container_of(link, struct resolve, link));
    resolver->busy = false;
}

/* Asked for both families, c-ares 1.18 takes an IPv4 address to a name server. */
static int family_of(const char *name)
{
    struct in_addr ip;
    return inet_pton(AF_INET, name, &ip) == 1 ? AF_INET : AF_UNSPEC;
}

static void ask(struct resolver *resolver, struct question *question, const char *name)
{
    struct ares_addrinfo_hints hints = {.ai_family = family_of(name), .ai_socktype = SOCK_STREAM};
    resolver->asking = question;
    ares_getaddrinfo(resolver->channel, name, NULL, &hints, on_answer, question);
    resolver->asking = NULL;
    arm_patience(resolver);
}

void resolve_start(struct resolver *resolver, struct resolve *resolve, const char *name,
                   uint16_t port,
                   void (*answered)(struct resolve *resolve, enum weir_err err,
                                    const struct addr *addrs, unsigned count, struct weir_span ttl))
{
    must(!resolve_is_asked(resolve) && resolver->channel);
    *resolve = (struct resolve){.resolver = resolver, .port = port, .answered = answered};
    list_init(&resolve->link);
    struct question *question = slab_alloc(&resolver->questions);
    if (!question) {
        note_answer(resolve, WEIR_E_NO_MEMORY, NULL);
        return;
    }
    *question = (struct question){.resolve = resolve, .resolver = resolver};
    resolve->question = question;
    list_push_back(&resolver->asked, &resolve->link);
    ask(resolver, question, name);
}

void resolve_cancel(struct resolve *resolve)
{
    if (!resolve_is_asked(resolve))
        return;
    if (resolve->question)
        resolve->question->resolve = NULL;
    resolve->question = NULL;
    forget_answer(resolve);
}

/* --- A resolver comes and goes --------------------------------------------------------------- */

static int library_status;

static void init_library(void)
{
    library_status = ares_library_init(ARES_LIB_INIT_ALL);
}

/* Its own initialization knows no threads. */
static bool library_is_ready(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    return pthread_once(&once, init_library) == 0 && library_status == ARES_SUCCESS;
}

static enum weir_err append_server(const struct addr *server, size_t room, char *ret_text)
{
    char text[ADDR_TEXT_SIZE];
    struct addr addr = *server;
    if (addr.len == 0 || addr_is_local(&addr))
        return WEIR_E_ADDRESS;
    if (addr_port(&addr) == 0)
        addr_set_port(&addr, DNS_PORT);
    snprintf(ret_text, room, "%s,", addr_print(&addr, text));
    return WEIR_OK;
}

static enum weir_err set_servers(ares_channel channel, const struct addr *servers, unsigned count)
{
    enum weir_err err = WEIR_OK;
    size_t size = (size_t)count * ADDR_TEXT_SIZE + 1, len = 0;
    char *text = calloc(1, size);
    if (!text)
        return WEIR_E_NO_MEMORY;
    for (unsigned i = 0; i < count && !err; i++, len += strlen(text + len))
        err = append_server(&servers[i], size - len, text + len);
    if (!err && ares_set_servers_ports_csv(channel, text) != ARES_SUCCESS)
        err = WEIR_E_NO_MEMORY;
    free(text);
    return err;
}

static enum weir_err open_channel(struct resolver *resolver, const struct resolver_options *options)
{
    int64_t timeout_ms = weir_span_to_ms(options->timeout);
    struct ares_options chosen = {
        .timeout = timeout_ms > 0 ? (int)timeout_ms : TIMEOUT_MS,
        .tries = options->tries ? (int)options->tries : TRIES,
        .sock_state_cb = follow_socket,
        .sock_state_cb_data = resolver,
    };
    int status = ares_init_options(&resolver->channel, &chosen,
                                   ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
    if (status != ARES_SUCCESS)
        return status == ARES_ENOMEM ? WEIR_E_NO_MEMORY : WEIR_E_IO;
    enum weir_err err = WEIR_OK;
    if (options->server_count > 0)
        err = set_servers(resolver->channel, options->servers, options->server_count);
    if (err)
        ares_destroy(resolver->channel);
    return err;
}

enum weir_err resolver_open(struct loop *loop, const struct resolver_options *options,
                            struct resolver **ret_resolver)
{
    if (!library_is_ready())
        return WEIR_E_IO;
    struct resolver *resolver = calloc(1, sizeof *resolver);
    if (!resolver)
        return WEIR_E_NO_MEMORY;
    resolver->loop = loop;
    enum weir_err err = open_channel(resolver, options);
    if (err) {
        free(resolver);
        return err;
    }
    slab_init(&resolver->sockets, "socket to a name server", sizeof(struct server_socket));
    slab_init(&resolver->questions, "question for a name server", sizeof(struct question));
    list_init(&resolver->watched);
    list_init(&resolver->asked);
    list_init(&resolver->answered);
    timer_init(&resolver->patience, run_out);
    timer_init(&resolver->telling, tell_all);
    *ret_resolver = resolver;
    return WEIR_OK;
}

static void cancel_all(struct resolver *resolver)
{
    for (struct list *link; (link = list_first(&resolver->answered));) {
        struct resolve *resolve = container_of(link, struct resolve, link);
        resolve->err = WEIR_E_CANCELED;
        tell(resolver, resolve);
    }
}

void resolver_close(struct resolver **resolver)
{
    struct resolver *closing = *resolver;
    *resolver = NULL;
    if (!closing)
        return;
    must(!closing->busy);
    closing->busy = true;
    ares_destroy(closing->channel);
    closing->channel = NULL;
    cancel_all(closing);
    must(list_is_empty(&closing->asked) && list_is_empty(&closing->watched));
    loop_timer_disarm(closing->loop, &closing->patience);
    loop_timer_disarm(closing->loop, &closing->telling);
    slab_fini(&closing->sockets);
    slab_fini(&closing->questions);
    free(closing);
}
