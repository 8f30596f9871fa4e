/* SPDX-License-Identifier: MIT */
/* A storm of TLS handshakes: each connection is opened, asks for one thing, is answered to its end
   and closed. One thread for each connection at a time, blocking; with --resume each offers the
   session that it was given last. TLS 1.3 gives sessions after the handshake, so a thread takes it
   once the response was read.

   Prints one line of JSON in the form of lib/wrk_report.lua, with the handshakes beside it. A
   request counts when its response began with "HTTP/1.1 200" and ended; whoever reads the line
   compares the bytes. Percentiles are of whole requests: connecting, handshake, response, end.

   Each thread connects from a loopback address of its own: one has too few ports for minutes of
   this.

   Usage: tls_load --to 127.0.0.1:8443 --path /75 --seconds 2 --connections 32 [--resume] */
#include "tcp.h"
#include "tls.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    THREADS_MAX = 250, /* one loopback address each */
    STACK_BYTES = 256 * 1024,
    STEP_US = 10, /* of the histogram */
    STEPS = 200000,
    PATIENCE_SECONDS = 5,
    SECONDS_MAX = 3600,
};

struct options {
    struct sockaddr_in to;
    const char *path;
    unsigned long seconds;
    unsigned long connections;
    bool resume;
};

struct tally {
    unsigned long long requests;
    unsigned long long bytes;
    unsigned long long full;
    unsigned long long resumed;
    unsigned long long no_connection;
    unsigned long long no_handshake;
    unsigned long long broken;
    unsigned long long bad_status;
};

struct loader {
    pthread_t thread;
    struct sockaddr_in from;
    SSL_SESSION *session; /* the newest; NULL: a full handshake comes next */
    struct tally tally;
};

static struct options options;
static SSL_CTX *context;
static char request[512];
static long long deadline_us;
static _Atomic unsigned durations[STEPS];
static struct loader loaders[THREADS_MAX];

static long long now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* A connected socket that blocks, but not for ever; -1 if there is none. */
static int open_connection(const struct sockaddr_in *from)
{
    int on = 1;
    struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        tcp_die("socket");
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0 ||
        bind(fd, (const struct sockaddr *)from, sizeof *from) < 0)
        tcp_die("a socket's options");
    if (connect(fd, (const struct sockaddr *)&options.to, sizeof options.to) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Reads to the end. False: it broke before. */
static bool read_response(SSL *tls, size_t *ret_bytes, bool *ret_good)
{
    static const char good[] = "HTTP/1.1 200";
    char bytes[32 * 1024];
    char first[sizeof good - 1] = "";
    size_t total = 0;
    int count = SSL_read(tls, bytes, sizeof bytes);
    for (; count > 0; count = SSL_read(tls, bytes, sizeof bytes)) {
        for (int i = 0; i < count && total + (size_t)i < sizeof first; i++)
            first[total + (size_t)i] = bytes[i];
        total += (size_t)count;
    }
    *ret_bytes = total;
    *ret_good = memcmp(first, good, sizeof first) == 0;
    return SSL_get_error(tls, count) == SSL_ERROR_ZERO_RETURN;
}

static void keep_session(struct loader *loader, SSL *tls)
{
    SSL_SESSION *session = SSL_get1_session(tls);
    if (session != NULL && !SSL_SESSION_is_resumable(session)) {
        SSL_SESSION_free(session);
        session = NULL;
    }
    SSL_SESSION_free(loader->session);
    loader->session = session;
}

/* Handshake, request, response. */
static void converse(struct loader *loader, SSL *tls)
{
    struct tally *tally = &loader->tally;
    int length = (int)strlen(request);
    size_t bytes = 0;
    bool good = false;
    if (SSL_connect(tls) != 1) {
        tally->no_handshake++;
        return;
    }
    if (SSL_session_reused(tls))
        tally->resumed++;
    else
        tally->full++;
    if (SSL_write(tls, request, length) != length || !read_response(tls, &bytes, &good)) {
        tally->broken++;
        return;
    }
    tally->bytes += bytes;
    tally->requests += good;
    tally->bad_status += !good;
    if (options.resume)
        keep_session(loader, tls);
    /* OpenSSL takes a session that was not ended for a broken one. */
    SSL_shutdown(tls);
}

static void ask_once(struct loader *loader)
{
    long long began_us = now_us();
    int fd = open_connection(&loader->from);
    if (fd < 0) {
        loader->tally.no_connection++;
        return;
    }
    ERR_clear_error();
    SSL *tls = SSL_new(context);
    if (tls == NULL || SSL_set_fd(tls, fd) != 1 ||
        SSL_set_tlsext_host_name(tls, "bench.test") != 1 ||
        (loader->session != NULL && SSL_set_session(tls, loader->session) != 1))
        tls_die("TLS");
    converse(loader, tls);
    SSL_free(tls);
    close(fd);
    long long step = (now_us() - began_us) / STEP_US;
    durations[step < STEPS ? step : STEPS - 1]++;
}

static void *load(void *argument)
{
    struct loader *loader = argument;
    while (now_us() < deadline_us)
        ask_once(loader);
    return NULL;
}

/* The duration that `share` of all did not exceed. */
static long long percentile_us(double share)
{
    unsigned long long all = 0;
    unsigned long long seen = 0;
    for (int i = 0; i < STEPS; i++)
        all += durations[i];
    for (int i = 0; i < STEPS; i++) {
        seen += durations[i];
        if ((double)seen >= share * (double)all)
            return (long long)i * STEP_US;
    }
    return (long long)STEPS * STEP_US;
}

static void report(long long duration_us)
{
    struct tally all = {0};
    for (unsigned long i = 0; i < options.connections; i++) {
        const struct tally *one = &loaders[i].tally;
        all.requests += one->requests;
        all.bytes += one->bytes;
        all.full += one->full;
        all.resumed += one->resumed;
        all.no_connection += one->no_connection;
        all.no_handshake += one->no_handshake;
        all.broken += one->broken;
        all.bad_status += one->bad_status;
    }
    printf("report {\"requests\": %llu, \"bytes\": %llu, \"duration_us\": %lld, "
           "\"p50_us\": %lld, \"p99_us\": %lld, \"full\": %llu, \"resumed\": %llu, "
           "\"errors\": {\"connect\": %llu, \"handshake\": %llu, \"read\": %llu, "
           "\"status\": %llu}}\n",
           all.requests, all.bytes, duration_us, percentile_us(0.5), percentile_us(0.99), all.full,
           all.resumed, all.no_connection, all.no_handshake, all.broken, all.bad_status);
}

static _Noreturn void usage(const char *program)
{
    fprintf(stderr,
            "usage: %s --to ADDRESS:PORT [--path /75] [--seconds 2] [--connections 32] "
            "[--resume]\n",
            program);
    exit(2);
}

static unsigned long number(const char *text, unsigned long most, const char *program)
{
    char *end = NULL;
    unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || value == 0 || value > most)
        usage(program);
    return value;
}

static void read_options(int argc, char **argv)
{
    options = (struct options){.path = "/75", .seconds = 2, .connections = 32};
    for (int i = 1; i < argc; i++) {
        bool last = i + 1 == argc;
        if (strcmp(argv[i], "--resume") == 0)
            options.resume = true;
        else if (strcmp(argv[i], "--to") == 0 && !last)
            options.to = tcp_address(argv[++i]);
        else if (strcmp(argv[i], "--path") == 0 && !last)
            options.path = argv[++i];
        else if (strcmp(argv[i], "--seconds") == 0 && !last)
            options.seconds = number(argv[++i], SECONDS_MAX, argv[0]);
        else if (strcmp(argv[i], "--connections") == 0 && !last)
            options.connections = number(argv[++i], THREADS_MAX, argv[0]);
        else
            usage(argv[0]);
    }
    if (options.to.sin_port == 0)
        usage(argv[0]);
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    context = tls_client();
    snprintf(request, sizeof request,
             "GET %s HTTP/1.1\r\nHost: bench.test\r\nConnection: close\r\n\r\n", options.path);
    long long began_us = now_us();
    deadline_us = began_us + (long long)options.seconds * 1000000;
    pthread_attr_t small;
    if (pthread_attr_init(&small) != 0 || pthread_attr_setstacksize(&small, STACK_BYTES) != 0)
        tcp_die("threads");
    for (unsigned long i = 0; i < options.connections; i++) {
        loaders[i].from = (struct sockaddr_in){
            .sin_family = AF_INET,
            .sin_addr.s_addr = htonl(0x7f000101U + (uint32_t)i), /* 127.0.1.1 and following */
        };
        if (pthread_create(&loaders[i].thread, &small, load, &loaders[i]) != 0)
            tcp_die("threads");
    }
    for (unsigned long i = 0; i < options.connections; i++)
        pthread_join(loaders[i].thread, NULL);
    report(now_us() - began_us);
    return 0;
}
