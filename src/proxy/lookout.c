/* SPDX-License-Identifier: MIT */
#include "proxy/lookout.h"

#include "base/check.h"
#include "base/log.h"
#include "io/name.h"
#include "proxy/checks.h"
#include "proxy/servers.h"
#include "proxy/service.h"

#include <stdio.h>
#include <stdlib.h>

/* A server that was written as a name. */
struct named_server {
    struct name name;
    struct lookout *lookout;
    unsigned upstream, server;
    enum weir_err err; /* the name has failed, and never had an answer */
};

struct lookout {
    struct service *service;
    struct resolver *resolver; /* NULL: there are no names */
    struct named_server *named;
    unsigned named_count;
    struct checks *checks; /* NULL: no health is checked */
    bool stopped;
};

/* A roster on its way to a worker. */
struct message {
    struct mail mail;
    struct service *service;
    unsigned upstream;
    struct roster *roster;
};

static const struct upstream_options *options_of(const struct lookout *lookout, unsigned upstream)
{
    return &lookout->service->options->upstreams[upstream];
}

/* --- What is seen goes to every worker ------------------------------------------------------- */

static void follow(struct service *service, unsigned upstream, const struct roster *roster)
{
    if (servers_follow(service, upstream, roster) != WEIR_OK)
        log_line(LOG_ERROR, "upstream %s: no memory to follow a change of its servers",
                 service->options->upstreams[upstream].name);
}

static void deliver(struct mail *mail)
{
    struct message *message = container_of(mail, struct message, mail);
    follow(message->service, message->upstream, message->roster);
    roster_unref(&message->roster);
    free(message);
}

static void post(struct service *to, unsigned upstream, struct roster *roster)
{
    struct message *message = calloc(1, sizeof *message);
    if (!message) {
        log_line(LOG_ERROR, "upstream %s: no memory to tell a worker of a change of its servers",
                 to->options->upstreams[upstream].name);
        return;
    }
    message->mail.deliver = deliver;
    message->service = to;
    message->upstream = upstream;
    message->roster = roster_ref(roster);
    loop_post(to->loop, &message->mail);
}

/* To this worker at once, to the others by mail. */
static void publish(struct lookout *lookout, unsigned upstream, struct roster *roster)
{
    const struct pool *own = &lookout->service->pool;
    follow(lookout->service, upstream, roster);
    for (unsigned i = 0; i < own->commons->part_count; i++)
        if (i != own->worker)
            post(container_of(own->commons->parts[i], struct service, pool), upstream, roster);
}

static unsigned count_room(const struct lookout *lookout, unsigned upstream)
{
    unsigned room = options_of(lookout, upstream)->server_count;
    for (unsigned i = 0; i < lookout->named_count; i++)
        if (lookout->named[i].upstream == upstream)
            room += lookout->named[i].name.count;
    return room;
}

static const struct named_server *find_named(const struct lookout *lookout, unsigned upstream,
                                             unsigned server)
{
    for (unsigned i = 0; i < lookout->named_count; i++)
        if (lookout->named[i].upstream == upstream && lookout->named[i].server == server)
            return &lookout->named[i];
    return NULL;
}

static void add_server(const struct lookout *lookout, struct roster *roster, unsigned upstream,
                       unsigned number)
{
    const struct server_options *server = &options_of(lookout, upstream)->servers[number];
    const struct named_server *named = find_named(lookout, upstream, number);
    if (!named) {
        roster_add(roster, number, &server->addr, 1);
        return;
    }
    roster_add(roster, number, named->name.addrs, named->name.count);
    roster->pending |= named->name.count == 0 && !named->err;
    if (named->err)
        roster->err = named->err;
}

static struct roster *make_roster(const struct lookout *lookout, unsigned upstream)
{
    struct roster *roster = roster_new(count_room(lookout, upstream));
    for (unsigned i = 0; roster && i < options_of(lookout, upstream)->server_count; i++)
        add_server(lookout, roster, upstream, i);
    for (unsigned i = 0; roster && lookout->checks && i < roster->count; i++)
        roster->entries[i].unwell =
            checks_find_unwell(lookout->checks, upstream, &roster->entries[i]);
    return roster;
}

static void tell(struct lookout *lookout, unsigned upstream)
{
    struct roster *roster = make_roster(lookout, upstream);
    enum weir_err err = roster ? WEIR_OK : WEIR_E_NO_MEMORY;
    if (!err && lookout->checks && options_of(lookout, upstream)->health.path)
        err = checks_follow(lookout->checks, upstream, roster);
    if (err)
        log_line(LOG_ERROR, "upstream %s: its servers have changed: %s",
                 options_of(lookout, upstream)->name, weir_err_text(err));
    if (roster)
        publish(lookout, upstream, roster);
    roster_unref(&roster);
}

/* --- Names ----------------------------------------------------------------------------------- */

static const struct server_options *written(const struct named_server *named)
{
    return &options_of(named->lookout, named->upstream)->servers[named->server];
}

static void log_addresses(const struct named_server *named)
{
    char text[256] = "", one[ADDR_TEXT_SIZE];
    size_t len = 0;
    unsigned count = named->name.count, told = 0;
    for (; told < count && len + ADDR_TEXT_SIZE < sizeof text; told++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", told ? ", " : "",
                                addr_print_ip(&named->name.addrs[told], one));
    log_line(LOG_NOTICE, "upstream %s: %s has %u address%s: %s%s",
             options_of(named->lookout, named->upstream)->name, written(named)->host, count,
             count == 1 ? "" : "es", text, told < count ? ", ..." : "");
}

static void on_changed(struct name *name, const struct addr *addrs, unsigned count)
{
    struct named_server *named = container_of(name, struct named_server, name);
    (void)addrs;
    (void)count;
    named->err = WEIR_OK;
    log_addresses(named);
    tell(named->lookout, named->upstream);
}

static void on_failed(struct name *name, enum weir_err err)
{
    struct named_server *named = container_of(name, struct named_server, name);
    log_line(LOG_WARN, "upstream %s: cannot resolve %s: %s%s",
             options_of(named->lookout, named->upstream)->name, written(named)->host,
             weir_err_text(err), name->count > 0 ? "; what it was before holds" : "");
    if (name->count > 0)
        return;
    named->err = err;
    tell(named->lookout, named->upstream);
}

static unsigned count_names(const struct service_options *service)
{
    unsigned count = 0;
    for (unsigned i = 0; i < service->upstream_count; i++)
        for (unsigned k = 0; k < service->upstreams[i].server_count; k++)
            count += service->upstreams[i].servers[k].host != NULL;
    return count;
}

static void start_names(struct lookout *lookout, unsigned upstream)
{
    const struct upstream_options *options = options_of(lookout, upstream);
    for (unsigned i = 0; i < options->server_count; i++) {
        const struct server_options *server = &options->servers[i];
        if (!server->host)
            continue;
        struct named_server *named = &lookout->named[lookout->named_count++];
        named->lookout = lookout;
        named->upstream = upstream;
        named->server = i;
        name_start(&named->name, lookout->service->loop, lookout->resolver, server->host,
                   server->port, on_changed, on_failed);
    }
}

static enum weir_err open_names(struct lookout *lookout, unsigned count)
{
    const struct service_options *options = lookout->service->options;
    TRY(resolver_open(lookout->service->loop, &options->resolver, &lookout->resolver));
    lookout->named = calloc(count, sizeof *lookout->named);
    if (!lookout->named)
        return WEIR_E_NO_MEMORY;
    for (unsigned i = 0; i < options->upstream_count; i++)
        start_names(lookout, i);
    return WEIR_OK;
}

/* --- Health ---------------------------------------------------------------------------------- */

static bool wants_checks(const struct service_options *service)
{
    for (unsigned i = 0; i < service->upstream_count; i++)
        if (service->upstreams[i].health.path)
            return true;
    return false;
}

static void on_health(struct service *service, unsigned upstream)
{
    tell(service->lookout, upstream);
}

static enum weir_err open_checks(struct lookout *lookout)
{
    const struct service_options *options = lookout->service->options;
    lookout->checks = checks_new(lookout->service, on_health);
    if (!lookout->checks)
        return WEIR_E_NO_MEMORY;
    for (unsigned i = 0; i < options->upstream_count; i++) {
        if (!options->upstreams[i].health.path)
            continue;
        struct roster *roster = make_roster(lookout, i);
        enum weir_err err = roster ? checks_follow(lookout->checks, i, roster) : WEIR_E_NO_MEMORY;
        roster_unref(&roster);
        TRY(err);
    }
    return WEIR_OK;
}

/* --- Beginning and end ----------------------------------------------------------------------- */

enum weir_err lookout_start(struct service *service, struct lookout **ret_lookout)
{
    unsigned names = count_names(service->options);
    bool checks = wants_checks(service->options);
    if (names == 0 && !checks)
        return WEIR_OK;
    struct lookout *lookout = calloc(1, sizeof *lookout);
    if (!lookout)
        return WEIR_E_NO_MEMORY;
    lookout->service = service;
    enum weir_err err = names > 0 ? open_names(lookout, names) : WEIR_OK;
    if (!err && checks)
        err = open_checks(lookout);
    if (err)
        lookout_close(&lookout);
    else
        *ret_lookout = lookout;
    return err;
}

void lookout_stop(struct lookout *lookout)
{
    if (!lookout || lookout->stopped)
        return;
    lookout->stopped = true;
    for (unsigned i = 0; i < lookout->named_count; i++)
        name_stop(&lookout->named[i].name);
    if (lookout->checks)
        checks_stop(lookout->checks);
}

bool lookout_has_ended(const struct lookout *lookout)
{
    return !lookout || !lookout->checks || checks_have_ended(lookout->checks);
}

void lookout_close(struct lookout **lookout)
{
    struct lookout *closing = *lookout;
    *lookout = NULL;
    if (!closing)
        return;
    lookout_stop(closing);
    resolver_close(&closing->resolver);
    checks_free(&closing->checks);
    free(closing->named);
    free(closing);
}
