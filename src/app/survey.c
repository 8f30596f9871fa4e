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
    struct buf conns;
    unsigned peer_count;
    struct survey_peer peers[];
};

static unsigned count_peers(const struct service_options *service)
{
    unsigned count = 0;
    for (unsigned i = 0; i < service->upstream_count; i++)
        count += service->upstreams[i].server_count;
    return count;
}

unsigned survey_place(const struct upstream_options *upstream, const struct addr *addr)
{
    unsigned place = 0;
    while (place < upstream->server_count && !addr_equal(&upstream->servers[place].addr, addr))
        place++;
    must(place < upstream->server_count);
    return place;
}

/* The number of a peer; `first` is the number of its service's first one. */
static unsigned number_of(const struct service_options *service, unsigned first, unsigned upstream,
                          const struct addr *addr)
{
    for (unsigned i = 0; i < upstream; i++)
        first += service->upstreams[i].server_count;
    return first + survey_place(&service->upstreams[upstream], addr);
}

static void note_conn(struct survey_part *part, const struct conn *conn, unsigned number)
{
    struct weir_time now = loop_now(conn->pool->loop);
    bool in_use = conn->state == CONN_IN_USE;
    struct survey_conn noted = {
        .peer = number,
        .worker = part->worker->number,
        .id = conn->id,
        .in_use = in_use,
        .age_ms = weir_span_to_ms(weir_time_between(conn->born, now)),
        .idle_ms = in_use ? 0 : weir_span_to_ms(weir_time_between(conn->released, now)),
        .requests = conn->requests,
    };
    buf_append(&part->conns, slice_of((const char *)&noted, sizeof noted));
    if (in_use)
        part->peers[number].in_use++;
    else
        part->peers[number].idle++;
}

/* Keys of one server may know different things: the one that is told is as good as another. */
static void note_learned(struct survey_peer *peer, const struct census *census)
{
    struct weir_span timeout = census_idle_timeout(census);
    uint64_t requests = census_max_requests(census);
    if (!weir_span_is_forever(timeout))
        peer->learned_idle_timeout_ms = weir_span_to_ms(timeout);
    if (requests > 0)
        peer->learned_max_requests = requests;
}

/* A key that two upstreams share is told of the one that was first to use it. */
static void note_keys(struct survey_part *part, const struct service *service, unsigned first)
{
    const struct map *keys = &service->pool.keys;
    for (size_t i = 0; i < keys->bucket_count; i++)
        for (struct map_link *at = keys->buckets[i]; at; at = at->next) {
            const struct pool_key *key = container_of(at, const struct pool_key, link);
            struct survey_peer *peer = &part->peers[number_of(
                service->options, first, key->upstream_number, &gate_of(key)->addr)];
            peer->opened += key->opened_count;
            peer->reused += key->reused_count;
            peer->taken_over += key->taken_over_count;
            peer->dialling += key->dialling_count;
            peer->waiting += key->waiting_count;
            note_learned(peer, key->census);
        }
}

static void note_service(struct survey_part *part, const struct service *service, unsigned first)
{
    list_each (link, &service->pool.conns) {
        const struct conn *conn = container_of(link, const struct conn, all_link);
        note_conn(part, conn,
                  number_of(service->options, first, conn->peer->options.upstream_number,
                            &conn->peer->options.addr));
    }
    note_keys(part, service, first);
}

/* On the asked worker's thread. */
static void answer(struct survey_part *part)
{
    const struct snapshot *snapshot = part->worker->program->snapshot;
    unsigned first = 0;
    for (unsigned i = 0; i < snapshot->service_count; i++) {
        note_service(part, part->worker->services[i], first);
        first += count_peers(&snapshot->services[i]);
    }
    part->answered = !part->conns.failed;
}

static void part_free(struct survey_part *part)
{
    if (part)
        buf_fini(&part->conns);
    free(part);
}

static void destroy(struct survey *survey)
{
    for (unsigned i = 0; i < survey->surveyor->program->worker_count; i++)
        part_free(survey->parts[i]);
    free(survey->parts);
    free(survey->peers);
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
    loop_post(&part->asker->loop, &part->mail);
}

static enum weir_err new_survey(struct surveyor *surveyor, struct survey **ret_survey)
{
    const struct snapshot *snapshot = surveyor->program->snapshot;
    struct survey *survey = calloc(1, sizeof *survey);
    if (!survey)
        return WEIR_E_NO_MEMORY;
    survey->surveyor = surveyor;
    buf_init(&survey->conns);
    for (unsigned i = 0; i < snapshot->service_count; i++)
        survey->peer_count += count_peers(&snapshot->services[i]);
    survey->peers = calloc(survey->peer_count + 1, sizeof *survey->peers);
    survey->parts = calloc(surveyor->program->worker_count, sizeof(struct survey_part *));
    if (survey->peers && survey->parts) {
        *ret_survey = survey;
        return WEIR_OK;
    }
    free(survey->peers);
    free(survey->parts);
    free(survey);
    return WEIR_E_NO_MEMORY;
}

static enum weir_err new_part(struct survey *survey, unsigned number)
{
    struct program *program = survey->surveyor->program;
    struct survey_part *part = calloc(1, sizeof *part + survey->peer_count * sizeof part->peers[0]);
    if (!part)
        return WEIR_E_NO_MEMORY;
    part->mail.deliver = deliver_question;
    part->survey = survey;
    part->worker = &program->workers[number];
    part->asker = &program->workers[0];
    part->peer_count = survey->peer_count;
    buf_init(&part->conns);
    survey->parts[number] = part;
    return WEIR_OK;
}

static enum weir_err open_survey(struct surveyor *surveyor, struct survey **ret_survey)
{
    struct survey *survey = NULL;
    TRY(new_survey(surveyor, &survey));
    for (unsigned i = 0; i < surveyor->program->worker_count; i++)
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
    for (unsigned i = 1; i < surveyor->program->worker_count; i++) {
        struct survey_part *part = survey->parts[i];
        survey->parts[i] = NULL;
        survey->pending++;
        surveyor->outstanding++;
        loop_post(&part->worker->loop, &part->mail);
    }
}

static int compare_conns(const void *a, const void *b)
{
    const struct survey_conn *left = a, *right = b;
    if (left->peer != right->peer)
        return left->peer < right->peer ? -1 : 1;
    if (left->worker != right->worker)
        return left->worker < right->worker ? -1 : 1;
    return left->id < right->id ? -1 : left->id > right->id;
}

static void add_part(struct survey *survey, const struct survey_part *part)
{
    if (!part || !part->answered)
        return;
    survey->answered++;
    buf_append(&survey->conns, buf_slice(&part->conns));
    for (unsigned i = 0; i < part->peer_count; i++) {
        survey->peers[i].opened += part->peers[i].opened;
        survey->peers[i].reused += part->peers[i].reused;
        survey->peers[i].idle += part->peers[i].idle;
        survey->peers[i].in_use += part->peers[i].in_use;
        survey->peers[i].dialling += part->peers[i].dialling;
        survey->peers[i].taken_over += part->peers[i].taken_over;
        survey->peers[i].waiting += part->peers[i].waiting;
        /* All workers know the same. */
        if (part->peers[i].learned_idle_timeout_ms > 0)
            survey->peers[i].learned_idle_timeout_ms = part->peers[i].learned_idle_timeout_ms;
        if (part->peers[i].learned_max_requests > 0)
            survey->peers[i].learned_max_requests = part->peers[i].learned_max_requests;
    }
}

static enum weir_err add_up(struct survey *survey)
{
    for (unsigned i = 0; i < survey->surveyor->program->worker_count; i++)
        add_part(survey, survey->parts[i]);
    if (survey->conns.failed)
        return WEIR_E_NO_MEMORY;
    if (survey->conns.len > 0)
        qsort(survey->conns.at, survey_conn_count(survey), sizeof(struct survey_conn),
              compare_conns);
    return WEIR_OK;
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
