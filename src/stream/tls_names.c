/* SPDX-License-Identifier: MIT */
#include "stream/tls_names.h"

#include "base/slice.h"

#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES_MAX = 255 };

static void lower(struct weir_slice text, char *to)
{
    for (size_t i = 0; i < text.len; i++)
        to[i] = slice_lower(text.at[i]);
    to[text.len] = '\0';
}

static bool add(struct tls_names *names, struct weir_slice text, struct ssl_ctx_st *context)
{
    if (text.len == 0 || text.len > NAME_BYTES_MAX || memchr(text.at, '\0', text.len))
        return true; /* nobody can ask for it */
    if (names->count == names->room) {
        unsigned room = names->room ? names->room * 2 : 8;
        struct tls_name *grown = realloc(names->names, room * sizeof *grown);
        if (!grown)
            return false;
        names->names = grown;
        names->room = room;
    }
    char *name = malloc(text.len + 1);
    if (!name)
        return false;
    lower(text, name);
    names->names[names->count] =
        (struct tls_name){.name = name, .order = names->count, .context = context};
    names->count++;
    return true;
}

/* RFC 9525 section 6.3: where there are alternative names, the common name is none. */
static bool add_common_name(struct tls_names *names, const X509 *certificate,
                            struct ssl_ctx_st *context)
{
    char text[NAME_BYTES_MAX + 1];
    int len = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, text,
                                        sizeof text);
    return len <= 0 || add(names, slice_str(text), context);
}

bool tls_names_add(struct tls_names *names, const struct x509_st *certificate,
                   struct ssl_ctx_st *context)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    if (!all)
        return add_common_name(names, certificate, context);
    bool added = true;
    for (int i = 0; i < sk_GENERAL_NAME_num(all) && added; i++) {
        const GENERAL_NAME *one = sk_GENERAL_NAME_value(all, i);
        if (one->type != GEN_DNS)
            continue;
        const char *text = (const char *)ASN1_STRING_get0_data(one->d.dNSName);
        added = add(names, slice_of(text, (size_t)ASN1_STRING_length(one->d.dNSName)), context);
    }
    GENERAL_NAMES_free(all);
    return added;
}

static int compare(const void *a, const void *b)
{
    const struct tls_name *one = a, *other = b;
    int order = strcmp(one->name, other->name);
    return order ? order : (one->order > other->order) - (one->order < other->order);
}

void tls_names_sort(struct tls_names *names)
{
    if (names->count > 1)
        qsort(names->names, names->count, sizeof *names->names, compare);
}

/* The first of those that are equal. */
static struct ssl_ctx_st *find(const struct tls_names *names, const char *name)
{
    unsigned low = 0, high = names->count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (strcmp(names->names[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < names->count && strcmp(names->names[low].name, name) == 0;
    return found ? names->names[low].context : NULL;
}

struct ssl_ctx_st *tls_names_find(const struct tls_names *names, const char *name)
{
    char text[NAME_BYTES_MAX + 2];
    size_t len = strlen(name);
    if (len == 0 || len > NAME_BYTES_MAX)
        return NULL;
    lower(slice_of(name, len), text + 1);
    struct ssl_ctx_st *exact = find(names, text + 1);
    char *dot = strchr(text + 1, '.');
    if (exact || !dot)
        return exact;
    dot[-1] = '*';
    return find(names, dot - 1);
}

void tls_names_clear(struct tls_names *names)
{
    for (unsigned i = 0; i < names->count; i++)
        free(names->names[i].name);
    free(names->names);
    *names = (struct tls_names){0};
}
