/* SPDX-License-Identifier: MIT */
#include "config/build_tls.h"

#include "base/check.h"
#include "base/slice.h"

#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A trust store that was read, for all who name the same file. */
struct trust {
    struct trust *next;
    const char *file;
    struct x509_store_st *store; /* NULL: it could not be read */
    struct tls_digest digest;
};

/* Where a key is written, or else what stands around it. */
static struct position position_of(const struct yaml_node *mapping, const char *key)
{
    const struct yaml_entry *entry =
        mapping->type == YAML_MAPPING ? yaml_find(mapping, slice_str(key)) : NULL;
    return entry ? entry->value->position : mapping->position;
}

static void tell(struct building *building, const struct yaml_node *mapping,
                 const struct tls_fault *fault)
{
    report_error(building->report, position_of(mapping, fault->key), "%s: %s", fault->key,
                 fault->why);
}

/* The files are read again after weir has gone to its working directory. */
static const char *absolute(struct building *building, const char *path)
{
    char *here = path && *path != '/' ? getcwd(NULL, 0) : NULL;
    if (!here)
        return path;
    size_t bytes = strlen(here) + strlen(path) + 2;
    char *whole = memory_alloc(building->memory, bytes);
    if (whole)
        snprintf(whole, bytes, "%s/%s", here, path);
    free(here);
    return whole;
}

/* After a mistake, which is told, the default stands in for it: the rest can still be looked at. */
static void look_at_policy(struct building *building, const struct yaml_node *tls, bool server,
                           struct tls_policy *policy)
{
    struct tls_fault fault;
    if (policy->min_version == TLS_VERSION_1_3 && policy->ciphers)
        report_warning(building->report, position_of(tls, "ciphers"),
                       "ciphers, which are those of TLS 1.2, do nothing with min_version: 1.3");
    if (policy->min_version > policy->max_version)
        report_error(building->report, position_of(tls, "min_version"),
                     "min_version is newer than max_version");
    else if (!tls_policy_check(policy, server, &fault))
        tell(building, tls, &fault);
    else
        return;
    tls_policy_init(policy);
}

/* --- Listeners ------------------------------------------------------------------------------- */

static void free_server(void *server)
{
    tls_server_free(server);
}

static const struct yaml_node *certificate_list(struct building *building,
                                                const struct yaml_node *tls)
{
    return schema_part(building->report, SECTION_LISTENER_TLS, tls, "certificates");
}

/* The first one, and those of the list. False: something is missing, and was told. */
static bool read_identities(struct building *building, const struct yaml_node *tls,
                            struct listener_values *values)
{
    const struct yaml_node *list = certificate_list(building, tls);
    size_t count = 1 + (list ? list->entry_count : 0);
    struct tls_identity *identities = memory_array(building->memory, count, sizeof *identities);
    bool whole = identities && values->cert && values->key;
    if (!identities)
        return false;
    values->tls.identities = identities;
    identities[values->tls.identity_count++] =
        (struct tls_identity){absolute(building, values->cert), absolute(building, values->key)};
    for (const struct yaml_entry *at = list ? list->entries : NULL; at; at = at->next) {
        struct certificate_values one = {NULL, NULL};
        schema_read(building->report, building->memory, SECTION_CERTIFICATE, at->value, &one);
        whole = whole && one.cert_file && one.key_file;
        identities[values->tls.identity_count++] = (struct tls_identity){
            absolute(building, one.cert_file), absolute(building, one.key_file)};
    }
    return whole;
}

static bool clients_fit(struct building *building, const struct yaml_node *tls,
                        const struct tls_server_options *options)
{
    bool asks = options->client_cert != CLIENT_CERT_NONE;
    bool has_ca = options->client_ca_file != NULL;
    if (asks && !has_ca)
        report_error(building->report, position_of(tls, "client_cert"),
                     "client_cert needs client_ca: who vouches for clients");
    else if (!asks && has_ca && !yaml_find(tls, SLICE("client_cert")))
        report_error(building->report, position_of(tls, "client_ca"),
                     "client_ca does nothing without client_cert");
    else
        return true;
    return false;
}

/* Where the certificate stands that is at fault. */
static const struct yaml_node *identity_node(struct building *building, const struct yaml_node *tls,
                                             unsigned which)
{
    if (which == 0)
        return tls;
    const struct yaml_entry *at = certificate_list(building, tls)->entries;
    for (unsigned i = 1; i < which; i++)
        at = at->next;
    return at->value;
}

void build_listener_tls(struct building *building, const struct yaml_node *node,
                        struct listener_values *values)
{
    const struct yaml_entry *entry = yaml_find(node, SLICE("tls"));
    if (!entry || entry->value->type != YAML_MAPPING)
        return;
    const struct yaml_node *tls = entry->value;
    bool good = read_identities(building, tls, values);
    look_at_policy(building, tls, true, &values->tls.policy);
    good = clients_fit(building, tls, &values->tls) && good;
    if (!good)
        return;
    values->tls.client_ca_file = absolute(building, values->tls.client_ca_file);
    struct tls_fault fault;
    unsigned which;
    struct tls_server *server = tls_server_new(&values->tls, &which, &fault);
    if (server)
        memory_own(building->memory, server, free_server);
    else
        tell(building, identity_node(building, tls, which), &fault);
    values->options.tls = server;
}

/* --- Upstreams ------------------------------------------------------------------------------- */

static void free_client(void *client)
{
    tls_client_free(client);
}

static void free_store(void *store)
{
    X509_STORE_free(store);
}

static struct trust *read_trust(struct building *building, const char *file,
                                struct position position)
{
    struct tls_fault fault;
    for (struct trust *at = building->trusts; at; at = at->next)
        if (strcmp(at->file, file) == 0)
            return at;
    struct trust *trust = memory_alloc(building->memory, sizeof *trust);
    if (!trust)
        return NULL;
    trust->file = file;
    trust->next = building->trusts;
    building->trusts = trust;
    trust->store = tls_read_trust(file, &trust->digest, &fault);
    if (trust->store)
        memory_own(building->memory, trust->store, free_store);
    else
        report_error(building->report, position, "%s: %s", fault.key, fault.why);
    return trust;
}

static bool identity_fits(struct building *building, const struct yaml_node *tls,
                          const struct tls_client_options *options)
{
    if ((options->cert_file != NULL) == (options->key_file != NULL))
        return true;
    report_error(building->report, position_of(tls, options->cert_file ? "cert" : "key"),
                 "cert and key go together");
    return false;
}

/* On a Unix socket, or behind a transport, there is no name to look for. */
static bool names_fit(struct building *building, const struct yaml_node *tls,
                      const struct upstream_values *values)
{
    if (values->sni || !values->tls.verify_hostname || values->tls.alternative_cn)
        return true;
    for (unsigned i = 0; i < values->options.server_count; i++) {
        const struct server_options *server = &values->options.servers[i];
        if (!addr_is_local(&server->addr) && !custom_is_any(&server->transport))
            continue;
        report_error(building->report, tls->position,
                     "the server '%s' has no name: its certificate's name cannot be verified "
                     "without 'sni' or 'alternative_cn'",
                     server->text);
        return false;
    }
    return true;
}

static bool has_tls(const struct yaml_node *node, const struct upstream_values *values,
                    const struct yaml_node **ret_tls)
{
    const struct yaml_entry *entry =
        node->type == YAML_MAPPING ? yaml_find(node, SLICE("tls")) : NULL;
    *ret_tls = entry ? entry->value : node;
    if (entry)
        return entry->value->type == YAML_MAPPING;
    return values->options.server_count > 0 && values->options.servers[0].scheme == SCHEME_HTTPS;
}

/* What was written and does nothing. */
static void warn_of_idle_keys(struct building *building, const struct yaml_node *tls,
                              const struct tls_client_options *options)
{
    if (!options->verify_cert && options->trust_file)
        report_warning(building->report, position_of(tls, "ca"),
                       "ca does nothing with verify_cert: false");
    if (!options->verify_hostname && options->alternative_cn)
        report_warning(building->report, position_of(tls, "alternative_cn"),
                       "alternative_cn does nothing with verify_hostname: false");
}

void build_upstream_tls(struct building *building, const struct yaml_node *node,
                        struct upstream_values *values)
{
    const struct yaml_node *tls;
    struct tls_client_options *options = &values->tls;
    if (!has_tls(node, values, &tls))
        return;
    look_at_policy(building, tls, false, &options->policy);
    bool good = names_fit(building, tls, values);
    good = identity_fits(building, tls, options) && good;
    warn_of_idle_keys(building, tls, options);
    if (!options->trust_file)
        options->trust_file = building->ca_file;
    struct trust *trust = NULL;
    if (options->verify_cert)
        trust = read_trust(building, options->trust_file, position_of(tls, "ca"));
    if (!good)
        return;
    struct tls_fault fault;
    struct tls_client *client =
        tls_client_new(options, trust ? trust->store : NULL, trust ? &trust->digest : NULL, &fault);
    if (client)
        memory_own(building->memory, client, free_client);
    else
        tell(building, tls, &fault);
    values->options.tls = client;
    values->options.sni = values->sni;
}
