/* SPDX-License-Identifier: MIT */
#include "stream/tls_alpn.h"

#include "base/check.h"
#include "base/slice.h"

#include <openssl/ssl.h>

/* As they travel: each with its length before it. */
static struct weir_slice wire_names(enum alpn alpn)
{
    static const char both[] = "\x02h2\x08http/1.1";
    switch (alpn) {
    case ALPN_HTTP_2:
        return slice_of(both, 3);
    case ALPN_BOTH:
        return slice_of(both, sizeof both - 1);
    default:
        return slice_of(both + 3, sizeof both - 4);
    }
}

/* RFC 7301 section 3.2: who offers protocols and none of ours is told so. */
static int choose(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_len,
                  const unsigned char *offered, unsigned offered_len, void *argument)
{
    struct weir_slice ours = wire_names((enum alpn)(uintptr_t)SSL_get_app_data(ssl));
    unsigned char *chosen = NULL;
    (void)argument;
    if (SSL_select_next_proto(&chosen, ret_len, (const unsigned char *)ours.at, (unsigned)ours.len,
                              offered, offered_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret_name = chosen;
    return SSL_TLSEXT_ERR_OK;
}

void tls_alpn_serve(struct ssl_ctx_st *context)
{
    SSL_CTX_set_alpn_select_cb(context, choose, NULL);
}

void tls_alpn_allow(struct ssl_st *ssl, enum alpn alpn)
{
    must(SSL_set_app_data(ssl, (void *)(uintptr_t)alpn) == 1);
}

void tls_alpn_offer(struct ssl_st *ssl, enum alpn alpn)
{
    struct weir_slice names = wire_names(alpn);
    must(SSL_set_alpn_protos(ssl, (const unsigned char *)names.at, (unsigned)names.len) == 0);
}

bool tls_alpn_is_http2(const struct ssl_st *ssl)
{
    const unsigned char *name = NULL;
    unsigned len = 0;
    SSL_get0_alpn_selected(ssl, &name, &len);
    return slice_equal(slice_of((const char *)name, len), SLICE("h2"));
}
