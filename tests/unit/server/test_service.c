/* SPDX-License-Identifier: MIT */
#include "server/server.h"
#include "tests/unit/server/running.h"
#include "tests/unit/stream/certificates.h"

#include <weir/proxy.h>

static char why[WEIR_WHY_BYTES];

static void answer_nothing(struct weir_exchange *exchange)
{
    (void)exchange;
}

static bool tells(const char *words)
{
    bool told = strstr(why, words) != NULL;
    if (!told)
        printf("# '%s' does not say '%s'\n", why, words);
    return told;
}

static enum weir_err listen_with(struct weir_service *service, struct weir_listen_options *options,
                                 const char *address)
{
    why[0] = '\0';
    options->address = address;
    return weir_service_listen(service, options, why);
}

static enum weir_err listen_at(struct weir_service *service, const char *address)
{
    struct weir_listen_options options;
    weir_listen_options_init(&options);
    return listen_with(service, &options, address);
}

TEST(a_service_has_a_handler_or_phases)
{
    static const struct weir_proxy_ops ops = {.name = "none"};
    struct weir_service_options options;
    struct weir_service *service = NULL;
    running_new(1);
    weir_service_options_init(&options);
    options.handler = answer_nothing;
    options.proxy = &ops;
    CHECK_ERR(WEIR_E_CONFIG, weir_server_add(running.server, &options, why, &service));
    CHECK(tells("not both"));
    CHECK(!service);
    weir_server_free(&running.server);
}

TEST(its_strings_are_copied)
{
    struct weir_service_options options;
    struct weir_service *service = NULL;
    char name[] = "edge", address[] = "127.0.0.1:0";
    running_new(1);
    weir_service_options_init(&options);
    options.name = name;
    options.owner = name;
    options.max_request_body = 17;
    CHECK_OK(weir_server_add(running.server, &options, NULL, &service));
    CHECK_OK(listen_at(service, address));
    memset(name, 'x', sizeof name);
    memset(address, 'x', sizeof address);
    CHECK_SLICE(weir_str(service->options.name), "edge");
    CHECK(weir_service_owner(service) == name);
    CHECK_EQ(17, service->options.client.max_request_body);
    CHECK(service->options.door == service);
    weir_server_free(&running.server);
}

TEST(addresses_are_told_by_number_with_their_ports)
{
    running_new(2);
    struct weir_service *one = running_add(NULL, NULL), *two = running_add(NULL, NULL);
    CHECK_OK(listen_at(one, "127.0.0.1:0"));
    CHECK_OK(listen_at(two, "localhost:0"));
    CHECK_OK(listen_at(one, "127.0.0.1:0"));
    CHECK(!weir_service_address(one, 2) && !weir_service_address(two, 1));
    running_start();
    CHECK_EQ(404, running_ask(one, 0));
    CHECK_EQ(404, running_ask(one, 1));
    CHECK_EQ(404, running_ask(two, 0));
    CHECK(strcmp(weir_service_address(one, 0), weir_service_address(one, 1)) != 0);
    weir_server_stop(running.server, false);
    running_end();
}

static void look_at_connector(struct weir_service *service, unsigned thread)
{
    const struct worker *worker = &service->server->workers.all[thread];
    CHECK(weir_service_connector(service) == &worker->services[service->number]->connector);
    CHECK(&worker->loop == weir_loop_here());
}

TEST(each_thread_has_a_connector_of_its_own)
{
    running_new(3);
    running_add(look_at_connector, NULL);
    running_add(look_at_connector, NULL);
    running_start();
    running_end();
}

TEST(an_address_that_is_none_is_told)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "port is missing"},
        {NULL, "port is missing"},
        {"localhost", "'localhost': the port is missing"},
        {"127.0.0.1:70000", "from 0 to 65535"},
        {"unix:", "begins with '/'"},
        {"127.0.0.256:80", "not an IP address"},
        {"no-such.invalid:80", "cannot resolve 'no-such.invalid'"},
    };
    running_new(1);
    struct weir_service *service = running_add(NULL, NULL);
    for (unsigned i = 0; i < COUNT_OF(cases); i++) {
        CHECK_ERR(WEIR_E_ADDRESS, listen_at(service, cases[i].text));
        CHECK(tells(cases[i].why));
    }
    CHECK(!weir_service_address(service, 0));
    weir_server_free(&running.server);
}

TEST(a_port_that_is_taken_is_told)
{
    running_new(1);
    struct weir_service *service = running_add(NULL, NULL);
    CHECK_OK(listen_at(service, "127.0.0.1:0"));
    char taken[ADDR_TEXT_SIZE];
    snprintf(taken, sizeof taken, "%s", weir_service_address(service, 0));
    CHECK_ERR(WEIR_E_ADDRESS_IN_USE, listen_at(service, taken));
    CHECK(tells("cannot listen on 127.0.0.1:") && tells("in use"));
    weir_server_free(&running.server);
}

TEST(an_address_that_this_machine_has_not_is_told)
{
    static const char *const texts[] = {"192.0.2.1:80", "unix:/no/such/directory.sock"};
    running_new(1);
    struct weir_service *service = running_add(NULL, NULL);
    for (unsigned i = 0; i < COUNT_OF(texts); i++) {
        CHECK_ERR(WEIR_E_ADDRESS, listen_at(service, texts[i]));
        CHECK(tells(texts[i]) && tells("no such address"));
    }
    weir_server_free(&running.server);
}

TEST(a_listener_speaks_something)
{
    struct weir_listen_options options;
    running_new(1);
    struct weir_service *service = running_add(NULL, NULL);
    weir_listen_options_init(&options);
    options.http1 = options.http2 = false;
    CHECK_ERR(WEIR_E_CONFIG, listen_with(service, &options, ":0"));
    CHECK(tells("HTTP/1"));
    weir_server_free(&running.server);
}

TEST(certificates_are_read_at_once)
{
    struct weir_listen_options options;
    running_new(1);
    struct weir_service *service = running_add(NULL, NULL);
    weir_listen_options_init(&options);
    options.cert_file = certs[CERT_WWW].cert_file;
    CHECK_ERR(WEIR_E_CONFIG, listen_with(service, &options, ":0"));
    CHECK(tells("go together"));
    options.key_file = certs[CERT_SHOP].key_file;
    CHECK_ERR(WEIR_E_CONFIG, listen_with(service, &options, ":0"));
    CHECK(tells("key: "));
    options.cert_file = "/nowhere.pem";
    CHECK_ERR(WEIR_E_CONFIG, listen_with(service, &options, ":0"));
    CHECK(tells("/nowhere.pem"));
    options.cert_file = certs[CERT_SHOP].cert_file;
    CHECK_OK(listen_with(service, &options, ":0"));
    CHECK(service->server->workers.addresses[0]->group.options.tls);
    weir_server_free(&running.server);
}

CHECK_MAIN
