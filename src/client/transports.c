/* SPDX-License-Identifier: MIT */
#include "client/transports.h"

#include "base/check.h"
#include "base/slice.h"

#include <pthread.h>
#include <stdio.h>

enum { TRANSPORTS_MAX = 64, NAME_BYTES_MIN = 2 };

/* What URLs begin with otherwise, or might. */
static const char *const schemes[] = {"http", "https", "h2c", "unix"};

static struct custom_transport registered[TRANSPORTS_MAX] = {{.bytes = &exec_transport}};
static unsigned registered_count = 1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The length of the name that a URL begins with; 0: it begins with none. */
static size_t name_length(struct weir_slice url)
{
    size_t len = 0;
    while (len < url.len && ((url.at[len] >= 'a' && url.at[len] <= 'z') ||
                             (url.at[len] >= '0' && url.at[len] <= '9')))
        len++;
    return len >= NAME_BYTES_MIN ? len : 0;
}

static const struct custom_transport *find(struct weir_slice name)
{
    for (unsigned i = 0; i < registered_count; i++)
        if (slice_equal(name, slice_str(custom_name(&registered[i]))))
            return &registered[i];
    return NULL;
}

static bool is_scheme(struct weir_slice name)
{
    for (size_t i = 0; i < COUNT_OF(schemes); i++)
        if (slice_equal(name, slice_str(schemes[i])))
            return true;
    return false;
}

struct weir_slice transports_name_in(struct weir_slice url)
{
    size_t len = name_length(url);
    struct weir_slice name = slice_of(url.at, len);
    bool is_one = len > 0 && len < url.len && url.at[len] == ':' && !is_scheme(name);
    return is_one ? name : SLICE("");
}

static enum weir_err add(const struct custom_transport *transport)
{
    struct weir_slice name = weir_str(custom_name(transport));
    enum weir_err err = WEIR_E_TRANSPORT;
    if (name.len == 0 || name_length(name) != name.len)
        return WEIR_E_TRANSPORT;
    pthread_mutex_lock(&lock);
    if (registered_count < TRANSPORTS_MAX && !is_scheme(name) && !find(name)) {
        registered[registered_count++] = *transport;
        err = WEIR_OK;
    }
    pthread_mutex_unlock(&lock);
    return err;
}

enum weir_err weir_transport_register(const struct weir_byte_transport *transport)
{
    if (!transport->open || !transport->read || !transport->write || !transport->close)
        return WEIR_E_TRANSPORT;
    return add(&(struct custom_transport){.bytes = transport});
}

enum weir_err weir_transport_register_sessions(const struct weir_session_transport *transport)
{
    if (!transport->open || !transport->send_head || !transport->send_body ||
        !transport->recv_head || !transport->recv_body || !transport->done || !transport->alive ||
        !transport->close)
        return WEIR_E_TRANSPORT;
    return add(&(struct custom_transport){.sessions = transport});
}

struct custom_transport transports_find(struct weir_slice url, struct weir_slice *ret_address)
{
    struct custom_transport transport = {NULL, NULL};
    struct weir_slice name = transports_name_in(url);
    pthread_mutex_lock(&lock);
    const struct custom_transport *found = find(name);
    if (found)
        transport = *found;
    pthread_mutex_unlock(&lock);
    if (found)
        *ret_address = slice_skip(url, name.len + 1);
    return transport;
}

const char *transports_names(char ret_text[static TRANSPORTS_TEXT_SIZE])
{
    size_t at = 0;
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < registered_count && at < TRANSPORTS_TEXT_SIZE; i++)
        at += (size_t)snprintf(ret_text + at, TRANSPORTS_TEXT_SIZE - at, "%s%s", i ? ", " : "",
                               custom_name(&registered[i]));
    pthread_mutex_unlock(&lock);
    return ret_text;
}
