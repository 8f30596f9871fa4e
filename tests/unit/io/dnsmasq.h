/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_IO_DNSMASQ_H
#define TESTS_UNIT_IO_DNSMASQ_H

/* A real name server on a port of 127.0.0.1, which knows what a file of hosts says. */

#include "io/addr.h"
#include "base/slice.h"
#include "tests/unit/io/drive.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>

struct dnsmasq {
    pid_t pid;
    struct addr addr;
    char hosts[32]; /* the file's name */
    char alias[64]; /* "alias.test,name.test,SECONDS", or empty */
    unsigned ttl_s;
};

/* NULL, after a skip: it is not installed. */
__attribute__((unused)) static const char *dnsmasq_program(void)
{
    static const char *const places[] = {"/usr/sbin/dnsmasq", "/usr/bin/dnsmasq",
                                         "/usr/local/sbin/dnsmasq"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (access(places[i], X_OK) == 0)
            return places[i];
    check_skip("dnsmasq (package dnsmasq-base) is not installed");
    return NULL;
}

/* A socket of this kind at 127.0.0.1; the port is chosen when it is 0. */
static int bind_local(int type, struct addr *addr)
{
    int descriptor = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    must(descriptor >= 0);
    if (bind(descriptor, &addr->any, addr->len) != 0) {
        close(descriptor);
        return -1;
    }
    must(getsockname(descriptor, &addr->any, &addr->len) == 0);
    return descriptor;
}

static struct addr local_addr(void)
{
    struct addr addr;
    must(addr_parse(SLICE("127.0.0.1:0"), &addr) == WEIR_OK);
    return addr;
}

/* A name server that hears everything and says nothing. */
__attribute__((unused)) static int open_silent(struct addr *ret_addr)
{
    *ret_addr = local_addr();
    int descriptor = bind_local(SOCK_DGRAM, ret_addr);
    must(descriptor >= 0);
    return descriptor;
}

/* Where nobody listens, neither by UDP nor by TCP. */
__attribute__((unused)) static struct addr unused_addr(void)
{
    for (;;) {
        struct addr addr = local_addr();
        int datagrams = bind_local(SOCK_DGRAM, &addr);
        int stream = bind_local(SOCK_STREAM, &addr);
        close(datagrams);
        if (stream < 0)
            continue;
        close(stream);
        return addr;
    }
}

static void write_hosts(const struct dnsmasq *server, const char *text)
{
    FILE *file = fopen(server->hosts, "w");
    must(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void run_dnsmasq(const struct dnsmasq *server, const char *program)
{
    char port[32], hosts[64], ttl[32], alias[80] = "--local=/test/";
    snprintf(port, sizeof port, "--port=%u", addr_port(&server->addr));
    snprintf(hosts, sizeof hosts, "--addn-hosts=%s", server->hosts);
    snprintf(ttl, sizeof ttl, "--local-ttl=%u", server->ttl_s);
    if (server->alias[0])
        snprintf(alias, sizeof alias, "--cname=%s", server->alias);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execl(program, program, "--keep-in-foreground", "--conf-file=/dev/null",
          "--pid-file=", "--no-resolv", "--no-hosts", "--bind-interfaces",
          "--listen-address=127.0.0.1", "--local=/test/", "--log-facility=/dev/null",
          geteuid() == 0 ? "--user=root" : "--local=/test/", port, hosts, ttl, alias, (char *)NULL);
    _exit(127);
}

/* Whether somebody takes connections there. */
static bool answers(const struct addr *addr)
{
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(descriptor >= 0);
    bool connected = connect(descriptor, &addr->any, addr->len) == 0;
    close(descriptor);
    return connected;
}

static bool start_once(struct dnsmasq *server, const char *program)
{
    enum { PATIENCE_MS = 10000, STEP_MS = 10 };
    server->pid = fork();
    must(server->pid >= 0);
    if (server->pid == 0)
        run_dnsmasq(server, program);
    for (int waited_ms = 0; waited_ms < PATIENCE_MS; waited_ms += STEP_MS) {
        if (answers(&server->addr))
            return true;
        if (waitpid(server->pid, NULL, WNOHANG) == server->pid)
            return false; /* somebody else took the port */
        poll(NULL, 0, STEP_MS);
    }
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    return false;
}

/* False, with a skip or a failed check, when there is none. Its address may be given before. */
__attribute__((unused)) static bool dnsmasq_start(struct dnsmasq *server, const char *hosts)
{
    const char *program = dnsmasq_program();
    bool chosen = server->addr.len > 0;
    if (!program)
        return false;
    snprintf(server->hosts, sizeof server->hosts, "/tmp/weir-hosts-XXXXXX");
    int file = mkstemp(server->hosts);
    must(file >= 0);
    close(file);
    write_hosts(server, hosts);
    for (int i = 0; i < 5; i++) {
        if (!chosen)
            server->addr = unused_addr();
        if (start_once(server, program))
            return true;
    }
    unlink(server->hosts);
    server->pid = 0;
    printf("# %s does not start\n", program);
    return CHECK(server->pid > 0);
}

/* Reads the file again; that takes it a moment. */
__attribute__((unused)) static void dnsmasq_change(const struct dnsmasq *server, const char *hosts)
{
    write_hosts(server, hosts);
    must(kill(server->pid, SIGHUP) == 0);
}

__attribute__((unused)) static void dnsmasq_stop(struct dnsmasq *server)
{
    if (server->pid <= 0)
        return;
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    unlink(server->hosts);
    server->pid = 0;
}

#endif
