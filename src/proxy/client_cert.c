/* SPDX-License-Identifier: MIT */
#include "proxy/client_cert.h"

#include "base/slice.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

/* A byte sequence of structured fields (RFC 8941 section 3.3.5): ":base64:". */
static enum weir_err encode(const X509 *certificate, struct arena *arena,
                            struct weir_slice *ret_text)
{
    int len = i2d_X509(certificate, NULL);
    if (len <= 0)
        return WEIR_E_NO_MEMORY;
    size_t text_bytes = ((size_t)len + 2) / 3 * 4 + 3;
    unsigned char *der = arena_alloc(arena, (size_t)len), *at = der;
    unsigned char *text = arena_alloc(arena, text_bytes);
    if (!der || !text || i2d_X509(certificate, &at) != len)
        return WEIR_E_NO_MEMORY;
    text[0] = ':';
    size_t encoded = (size_t)EVP_EncodeBlock(text + 1, der, len);
    text[encoded + 1] = ':';
    *ret_text = slice_of((const char *)text, encoded + 2);
    return WEIR_OK;
}

enum weir_err client_cert_tell(struct exchange *exchange, bool service_asks)
{
    struct weir_slice text;
    if (!exchange->tls.version && !service_asks)
        return WEIR_OK;
    fields_remove(&exchange->request->fields, FIELD_CLIENT_CERT);
    fields_remove(&exchange->request->fields, FIELD_CLIENT_CERT_CHAIN);
    if (!exchange->tls.certificate)
        return WEIR_OK;
    TRY(encode(exchange->tls.certificate, &exchange->arena, &text));
    bool added = fields_add_known(&exchange->request->fields, FIELD_CLIENT_CERT, text);
    return added ? WEIR_OK : WEIR_E_LIMIT;
}
