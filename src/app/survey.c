/* SPDX-License-Identifier: MIT */
#include "app/survey.h"

#include "base/check.h"
#include "base/slice.h"
#include "co/wait.h"

#include <stdlib.h>

/*
 * One worker's question and answer. It belongs to whoever has to do something with it: worker 0,
 * then with its mail the worker that is asked, then worker 0 again.
 */
struct survey_part {
    struct mail mail;
    struct survey *survey; /* only worker 0 looks into it */
    struct worker *worker;
    struct worker *asker;
    bool answered;
    struct buf peers; /* struct survey_peer, one for each key */
    struct buf conns; /* struct survey_conn, whose `peer` is a place in those */
};

/* --- On the asked worker's thread ------------------------------------------------------------ */

static unsigned count_rows(const struct buf *peers)
{
    return (unsigned)(peers->len / sizeof(struct survey_peer));
}

static void append_peer(struct survey_part *part, const struct survey_peer *peer)
{
    buf_append(&part->peers, slice_of((const char *)peer, sizeof *peer));
}

static void note_learned(struct survey_peer *peer, const struct census *census)
{
    struct weir_span timeout = census_idle_timeout(census);
    uint64_t requests = census_max_requests(census);
    if (!weir_span_is_forever(timeout))
        peer->learned_idle_timeout_ms = weir_span_to_ms(timeout);
    if (requests > 0)
        peer->learned_max_requests = requests;
}

/* A key that two upstreams share is told of the one that used it last. */
static void note_key(struct survey_part *part, unsigned service, struct pool_key *key)
{
    struct survey_peer peer = {
        .service = service,
        .upstream = key->upstream_number,
        .addr = gate_of(key)->addr,
        .opened = key->opened_count,
        .reused = key->reused_count,
        .taken_over = key->taken_over_count,
        .idle = key->idle_count,
        .in_use = key->in_use_count,
        .dialling = key->dialling_count,
        .waiting = key->waiting_count,
    };
    note_learned(&peer, key->census);
    key->row = count_rows(&part->peers);
    append_peer(part, &peer);
}

static void note_keys(struct survey_part *part, unsigned number, const struct service *service)
{
    const struct map *keys = &service->pool.keys;
    for (size_t i = 0; i < keys->bucket_count; i++)
        for (struct map_link *at = keys->buckets[i]; at; at = at->next)
            note_key(part, number, container_of(at, struct pool_key, link));
}

/* Every server, whoever has its key; and how it is, which all workers know alike. */
static void note_servers(struct survey_part *part, unsigned number, const struct service *service)
{
    for (unsigned i = 0; i < service->options->upstream_count; i++) {
        const struct balance *balance = &service->upstreams[i].balance;
        for (unsigned k = 0; k < balance->count; k++) {
            struct survey_peer peer = {
                .service = number,
                .upstream = i,
                .addr = balance->servers[k].peer->options.addr,
                .sni = balance->servers[k].peer->options.tls_name,
                .unwell = balance->servers[k].unwell,
            };
            append_peer(part, &peer);
        }
    }
}

static void note_conn(struct survey_part *part, const struct conn *conn)
{
    struct weir_time now = loop_now(conn->pool->loop);
    bool in_use = conn->state == CONN_IN_USE;
    struct survey_conn noted = {
        .peer = conn->key->row,
        .worker = part->worker->number,
        .id = conn->id,
        .in_use = in_use,
        .protocol = conn->protocol,
        .streams = conn->protocol == HTTP_2 ? conn->streams : 0,
        .age_ms = weir_span_to_ms(weir_time_between(conn->born, now)),
        .idle_ms = in_use ? 0 : weir_span_to_ms(weir_time_between(conn->released, now)),
        .requests = conn->requests,
    };
    /* One that is leaving has no stream any more. */
    struct tls_facts tls = conn->stream ? tls_facts_of(conn->stream) : (struct tls_facts){0};
    noted.tls_version = tls.version;
    noted.tls_resumed = tls.resumed;
    buf_append(&part->conns, slice_of((const char *)&noted, sizeof noted));
}

static void answer(struct survey_part *part)
{
    const struct worker *worker = part->worker;
    for (unsigned i = 0; i < worker->service_count; i++) {
        const struct service *service = worker->services[i];
        note_keys(part, i, service);
        if (worker == part->asker)
            note_servers(part, i, service);
        list_each (link, &service->pool.conns)
            note_conn(part, container_of(link, const struct conn, all_link));
    }
    part->answered = !part->conns.failed && !part->peers.failed;
}

/* --- Questions and answers, on worker 0's ---------------------------------------------------- */

static void part_free(struct survey_part *part)
{
    if (part) {
        buf_fini(&part->peers);
        buf_fini(&part->conns);
    }
    free(part);
}

static void destroy(struct survey *survey)
{
    for (unsigned i = 0; i < survey->surveyor->program->workers.count; i++)
        part_free(survey->parts[i]);
    free(survey->parts);
    buf_fini(&survey->peers);
    buf_fini(&survey->conns);
    free(survey);
}

static void deliver_answer(struct mail *mail)
{
    struct survey_part *part = container_of(mail, struct survey_part, mail);
    struct survey *survey = part->survey;
    survey->parts[part->worker->number] = part;
    survey->surveyor->outstanding--;
    if (--survey->pending > 0)
        return;
    if (survey->abandoned)
        destroy(survey);
    else
        co_wake(survey->asker);
}

static void deliver_question(struct mail *mail)
{
    struct survey_part *part = container_of(mail, struct survey_part, mail);
    answer(part);
    part->mail.deliver = deliver_answer;
    loop_post(&part->asker->loop.loop, &part->mail);
}

static enum weir_err new_survey(struct surveyor *surveyor, struct survey **ret_survey)
{
    struct survey *survey = calloc(1, sizeof *survey);
    if (!survey)
        return WEIR_E_NO_MEMORY;
    survey->surveyor = surveyor;
    buf_init(&survey->peers);
    buf_init(&survey->conns);
    survey->parts = calloc(surveyor->program->workers.count, sizeof(struct survey_part *));
    if (!survey->parts) {
        free(survey);
        return WEIR_E_NO_MEMORY;
    }
    *ret_survey = survey;
    return WEIR_OK;
}

static enum weir_err new_part(struct survey *survey, unsigned number)
{
    struct workers *workers = &survey->surveyor->program->workers;
    struct survey_part *part = calloc(1, sizeof *part);
    if (!part)
        return WEIR_E_NO_MEMORY;
    part->mail.deliver = deliver_question;
    part->survey = survey;
    part->worker = &workers->all[number];
    part->asker = &workers->all[0];
    buf_init(&part->peers);
    buf_init(&part->conns);
    survey->parts[number] = part;
    return WEIR_OK;
}

static enum weir_err open_survey(struct surveyor *surveyor, struct survey **ret_survey)
{
    struct survey *survey = NULL;
    TRY(new_survey(surveyor, &survey));
    for (unsigned i = 0; i < surveyor->program->workers.count; i++)
        if (new_part(survey, i) != WEIR_OK) {
            destroy(survey);
            return WEIR_E_NO_MEMORY;
        }
    *ret_survey = survey;
    return WEIR_OK;
}

/* Worker 0 answers for itself at once; the others' parts come back by mail. */
static void ask(struct survey *survey)
{
    struct surveyor *surveyor = survey->surveyor;
    answer(survey->parts[0]);
    for (unsigned i = 1; i < surveyor->program->workers.count; i++) {
        struct survey_part *part = survey->parts[i];
        survey->parts[i] = NULL;
        survey->pending++;
        surveyor->outstanding++;
        loop_post(&part->worker->loop.loop, &part->mail);
    }
}

/* --- Adding up ------------------------------------------------------------------------------- */

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_peers(const struct survey_peer *a, const struct survey_peer *b)
{
    int order = compare_numbers(a->service, b->service);
    if (order == 0)
        order = compare_numbers(a->upstream, b->upstream);
    return order != 0 ? order : addr_compare(&a->addr, &b->addr);
}

static int compare_conns(const void *a, const void *b)
{
    const struct survey_conn *left = a, *right = b;
    int order = compare_numbers(left->peer, right->peer);
    if (order == 0)
        order = compare_numbers(left->worker, right->worker);
    return order != 0 ? order : compare_numbers(left->id, right->id);
}

/* A row of some part, on its way to its place. */
struct row {
    const struct survey_peer *peer;
    unsigned *ret_place;
};

static int compare_rows(const void *a, const void *b)
{
    return compare_peers(((const struct row *)a)->peer, ((const struct row *)b)->peer);
}

static void add_peer(struct survey_peer *sum, const struct survey_peer *peer)
{
    sum->unwell |= peer->unwell;
    if (peer->sni)
        sum->sni = peer->sni;
    sum->opened += peer->opened;
    sum->reused += peer->reused;
    sum->taken_over += peer->taken_over;
    sum->idle += peer->idle;
    sum->in_use += peer->in_use;
    sum->dialling += peer->dialling;
    sum->waiting += peer->waiting;
    /* All workers know the same. */
    if (peer->learned_idle_timeout_ms > 0)
        sum->learned_idle_timeout_ms = peer->learned_idle_timeout_ms;
    if (peer->learned_max_requests > 0)
        sum->learned_max_requests = peer->learned_max_requests;
}

/* Each address once, and tells each row where that is. */
static void merge(struct survey *survey, struct row *rows, unsigned count)
{
    struct survey_peer sum;
    qsort(rows, count, sizeof *rows, compare_rows);
    for (unsigned i = 0; i < count; i++) {
        if (i == 0 || compare_peers(&sum, rows[i].peer) != 0)
            sum = (struct survey_peer){.service = rows[i].peer->service,
                                       .upstream = rows[i].peer->upstream,
                                       .addr = rows[i].peer->addr};
        add_peer(&sum, rows[i].peer);
        *rows[i].ret_place = count_rows(&survey->peers);
        if (i + 1 == count || compare_peers(&sum, rows[i + 1].peer) != 0)
            buf_append(&survey->peers, slice_of((const char *)&sum, sizeof sum));
    }
}

static void add_conns(struct survey *survey, const struct survey_part *part, const unsigned *places)
{
    const struct survey_conn *conns = (const struct survey_conn *)(const void *)part->conns.at;
    struct survey_peer *peers = (struct survey_peer *)(void *)survey->peers.at;
    for (size_t i = 0; i < part->conns.len / sizeof *conns; i++) {
        struct survey_conn conn = conns[i];
        conn.peer = places[conn.peer];
        if (!survey->peers.failed)
            peers[conn.peer].streams += conn.streams;
        buf_append(&survey->conns, slice_of((const char *)&conn, sizeof conn));
    }
}

/* `rows` and `places` have room for all rows of all parts. */
static void add_parts(struct survey *survey, struct row *rows, unsigned *places)
{
    unsigned workers = survey->surveyor->program->workers.count, count = 0, first = 0;
    for (unsigned i = 0; i < workers; i++) {
        const struct survey_part *part = survey->parts[i];
        const struct survey_peer *peers =
            part ? (const struct survey_peer *)(const void *)part->peers.at : NULL;
        for (unsigned k = 0; part && part->answered && k < count_rows(&part->peers); k++, count++)
            rows[count] = (struct row){&peers[k], &places[count]};
    }
    merge(survey, rows, count);
    for (unsigned i = 0; i < workers; i++) {
        const struct survey_part *part = survey->parts[i];
        if (!part || !part->answered)
            continue;
        survey->answered++;
        add_conns(survey, part, places + first);
        first += count_rows(&part->peers);
    }
    if (survey->conns.len > 0)
        qsort(survey->conns.at, survey_conn_count(survey), sizeof(struct survey_conn),
              compare_conns);
}

static enum weir_err add_up(struct survey *survey)
{
    unsigned count = 1;
    for (unsigned i = 0; i < survey->surveyor->program->workers.count; i++)
        if (survey->parts[i])
            count += count_rows(&survey->parts[i]->peers);
    struct row *rows = calloc(count, sizeof *rows);
    unsigned *places = calloc(count, sizeof *places);
    if (rows && places)
        add_parts(survey, rows, places);
    bool failed = !rows || !places || survey->conns.failed || survey->peers.failed;
    free(rows);
    free(places);
    return failed ? WEIR_E_NO_MEMORY : WEIR_OK;
}

enum weir_err survey_take(struct surveyor *surveyor, struct weir_time deadline,
                          struct survey **ret_survey)
{
    struct survey *survey = NULL;
    enum weir_err err = WEIR_OK;
    TRY(open_survey(surveyor, &survey));
    ask(survey);
    survey->asker = co_self();
    while (survey->pending > 0 && !err)
        err = co_wait(deadline);
    survey->asker = NULL;
    if (!err || err == WEIR_E_TIMEOUT)
        err = add_up(survey);
    if (err)
        survey_free(&survey);
    else
        *ret_survey = survey;
    return err;
}

void survey_free(struct survey **survey)
{
    struct survey *freed = *survey;
    *survey = NULL;
    if (!freed)
        return;
    freed->abandoned = true;
    if (freed->pending == 0)
        destroy(freed);
}
