/* SPDX-License-Identifier: MIT */
#include "app/metrics.h"

#include "app/access_log.h"
#include "base/slice.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

/* Where a metric is counted. */
enum counted { PROGRAM, WORKER, SERVICE, UPSTREAM };
enum { LABELS_MAX = 4 };

struct label {
    const char *name, *value;
};

/* What is being printed: a row of the table for one service and upstream. */
struct page {
    struct buf *out;
    const struct program *program;
    const struct row *row;
    unsigned service, upstream;
    struct label labels[LABELS_MAX]; /* of the scope */
    unsigned label_count;
};

struct row {
    const char *name, *kind, *help;
    enum counted scope;
    size_t offset;
    void (*print)(const struct page *page);
};

/* Backslash, quote and line feed are all that the format wants escaped. */
static void append_value(struct buf *out, const char *value)
{
    for (; *value; value++) {
        if (*value == '\\' || *value == '"')
            buf_append_byte(out, '\\');
        if (*value == '\n')
            buf_append(out, SLICE("\\n"));
        else
            buf_append_byte(out, *value);
    }
}

static void append_label(struct buf *out, const struct label *label, bool first)
{
    buf_append_byte(out, first ? '{' : ',');
    buf_append(out, slice_str(label->name));
    buf_append(out, SLICE("=\""));
    append_value(out, label->value);
    buf_append_byte(out, '"');
}

/* The front of a sample: the name, the labels of the scope, then `more`, up to the blank. */
static void begin_sample(const struct page *page, const char *suffix, const struct label *more,
                         unsigned more_count)
{
    struct buf *out = page->out;
    buf_append(out, slice_str(page->row->name));
    buf_append(out, slice_str(suffix));
    for (unsigned i = 0; i < page->label_count; i++)
        append_label(out, &page->labels[i], i == 0);
    for (unsigned i = 0; i < more_count; i++)
        append_label(out, &more[i], page->label_count + i == 0);
    if (page->label_count + more_count > 0)
        buf_append_byte(out, '}');
    buf_append_byte(out, ' ');
}

static void print_sample(const struct page *page, const struct label *more, unsigned more_count,
                         uint64_t value)
{
    begin_sample(page, "", more, more_count);
    buf_printf(page->out, "%" PRIu64 "\n", value);
}

static const char *counters_of(const struct page *page, const struct worker *worker)
{
    if (page->row->scope == WORKER)
        return (const char *)worker;
    const struct service *service = worker->services[page->service];
    return page->row->scope == SERVICE ? (const char *)service
                                       : (const char *)&service->upstream_stats[page->upstream];
}

/* The stat that lies `more` bytes behind the row's member, summed over the workers. */
static uint64_t sum(const struct page *page, size_t more)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < page->program->workers.count; i++) {
        const char *counters = counters_of(page, &page->program->workers.all[i]);
        total += stat_read((const stat_count *)(const void *)(counters + page->row->offset + more));
    }
    return total;
}

static void print_plain(const struct page *page)
{
    print_sample(page, NULL, 0, sum(page, 0));
}

static void print_buckets(const struct page *page, const char *le, uint64_t count)
{
    const struct label label = {"le", le};
    begin_sample(page, "_bucket", &label, 1);
    buf_printf(page->out, "%" PRIu64 "\n", count);
}

static void print_histogram(const struct page *page)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        char bound[24] = "+Inf";
        if (i < HISTOGRAM_BUCKETS - 1)
            snprintf(bound, sizeof bound, "%g", histogram_bounds_us[i] / 1e6);
        count += sum(page, offsetof(struct histogram, counts) + i * sizeof(stat_count));
        print_buckets(page, bound, count);
    }
    uint64_t us = sum(page, offsetof(struct histogram, sum_us));
    begin_sample(page, "_sum", NULL, 0);
    buf_printf(page->out, "%" PRIu64 ".%06" PRIu64 "\n", us / 1000000, us % 1000000);
    begin_sample(page, "_count", NULL, 0);
    buf_printf(page->out, "%" PRIu64 "\n", count);
}

/*
 * An array of counters, one series each. Where the reasons are few all are shown, so that a rate
 * can be drawn from the first event on; of statuses and errors only those that have happened.
 */
static void print_array(const struct page *page, const char *label_name,
                        const char *(*name_of)(unsigned), unsigned first, unsigned end)
{
    for (unsigned i = first; i < end; i++) {
        const struct label label = {label_name, name_of(i)};
        print_sample(page, &label, 1, sum(page, i * sizeof(stat_count)));
    }
}

static void print_by_status(const struct page *page)
{
    for (unsigned i = 0; i < STATUS_MAX; i++) {
        char code[12];
        const struct label label = {"code", code};
        uint64_t count = sum(page, i * sizeof(stat_count));
        snprintf(code, sizeof code, "%u", i);
        if (count > 0)
            print_sample(page, &label, 1, count);
    }
}

static void print_by_error(const struct page *page)
{
    for (unsigned i = 0; i < WEIR_E_COUNT; i++) {
        const struct label label = {"reason", weir_err_name((enum weir_err)i)};
        uint64_t count = sum(page, i * sizeof(stat_count));
        if (count > 0)
            print_sample(page, &label, 1, count);
    }
}

static void print_by_retry(const struct page *page)
{
    for (unsigned i = 0; i < WEIR_E_COUNT * RETRY_RESULT_COUNT; i++) {
        const struct label labels[] = {
            {"reason", weir_err_name((enum weir_err)(i / RETRY_RESULT_COUNT))},
            {"result", retry_result_name((enum retry_result)(i % RETRY_RESULT_COUNT))},
        };
        uint64_t count = sum(page, i * sizeof(stat_count));
        if (count > 0)
            print_sample(page, labels, 2, count);
    }
}

static const char *source_at(unsigned number)
{
    return conn_source_name((enum conn_source)number);
}

static const char *close_at(unsigned number)
{
    return close_name((enum close_reason)number);
}

static const char *keep_at(unsigned number)
{
    return keep_name((enum keep)number);
}

static const char *place_at(unsigned number)
{
    return data_place_name((enum data_place)number);
}

static void print_by_source(const struct page *page)
{
    print_array(page, "connection", source_at, 0, SOURCE_COUNT);
}

static void print_by_close_reason(const struct page *page)
{
    print_array(page, "reason", close_at, 0, CLOSE_COUNT);
}

static void print_by_keep_reason(const struct page *page)
{
    print_array(page, "reason", keep_at, KEEP + 1, KEEP_COUNT);
}

static void print_by_place(const struct page *page)
{
    print_array(page, "place", place_at, 0, PLACE_COUNT);
}

static const char *miss_at(unsigned number)
{
    return miss_name((enum miss_reason)number);
}

static const char *wait_at(unsigned number)
{
    return wait_name((enum wait_result)number);
}

static const char *take_at(unsigned number)
{
    return take_name((enum take_result)number);
}

static void print_by_miss(const struct page *page)
{
    print_array(page, "reason", miss_at, 0, MISS_COUNT);
}

static void print_by_wait(const struct page *page)
{
    print_array(page, "result", wait_at, 0, WAIT_COUNT);
}

static void print_by_takeover(const struct page *page)
{
    print_array(page, "result", take_at, 0, TAKE_COUNT);
}

static const char *check_at(unsigned number)
{
    return check_result_name((enum check_result)number);
}

static void print_by_check(const struct page *page)
{
    print_array(page, "result", check_at, 0, CHECK_COUNT);
}

static const char *tls_at(unsigned number)
{
    return tls_result_name((enum tls_result)number);
}

static void print_by_tls(const struct page *page)
{
    print_array(page, "result", tls_at, 0, TLS_RESULT_COUNT);
}

static const char *greeting_at(unsigned number)
{
    return greeting_name((enum greeting)number);
}

static void print_by_greeting(const struct page *page)
{
    print_array(page, "result", greeting_at, 0, GREETING_TLS_COUNT);
}

static const char *protocol_at(unsigned number)
{
    return http_protocol_name((enum http_protocol)number);
}

/* Clients come in none of their own making. */
static void print_by_version(const struct page *page)
{
    print_array(page, "protocol", protocol_at, 0, HTTP_CUSTOM);
}

static void print_by_protocol(const struct page *page)
{
    print_array(page, "protocol", protocol_at, 0, HTTP_PROTOCOL_COUNT);
}

static const char *flood_at(unsigned number)
{
    return h2_flood_name((enum h2_flood)number);
}

static void print_by_flood(const struct page *page)
{
    print_array(page, "kind", flood_at, 0, H2_FLOOD_COUNT);
}

static const char *ping_at(unsigned number)
{
    return ping_result_name((enum ping_result)number);
}

static void print_by_ping(const struct page *page)
{
    print_array(page, "result", ping_at, 0, PING_RESULT_COUNT);
}

static const char *verdict_at(unsigned number)
{
    return auth_verdict_name((enum auth_verdict)number);
}

static void print_by_verdict(const struct page *page)
{
    print_array(page, "result", verdict_at, 0, AUTH_VERDICTS);
}

static const char *mirror_at(unsigned number)
{
    return mirror_result_name((enum mirror_result)number);
}

static void print_by_mirror(const struct page *page)
{
    print_array(page, "result", mirror_at, 0, MIRROR_RESULTS);
}

static void print_by_subrequest(const struct page *page)
{
    for (unsigned i = 0; i < SUBREQUEST_KINDS * 2; i++) {
        const struct label labels[] = {
            {"kind", subrequest_kind_name((enum subrequest_kind)(i / 2))},
            {"result", i % 2 ? "answered" : "failed"},
        };
        print_sample(page, labels, 2, sum(page, i * sizeof(stat_count)));
    }
}

static void print_version(const struct page *page)
{
    const struct label label = {"version", WEIR_VERSION};
    print_sample(page, &label, 1, 1);
}

static void print_workers(const struct page *page)
{
    print_sample(page, NULL, 0, page->program->workers.count);
}

static void print_access_log_dropped(const struct page *page)
{
    const struct access_log *log = page->program->access_log;
    print_sample(page, NULL, 0, log ? access_log_dropped(log) : 0);
}

static const char *shortage_at(unsigned number)
{
    static const char *const names[IO_SHORTAGES] = {
        [SHORT_OF_BUFFERS] = "buffers",
        [SHORT_OF_COMPLETIONS] = "completions",
        [SHORT_OF_SUBMISSIONS] = "submissions",
        [SHORT_OF_DESCRIPTORS] = "descriptors",
    };
    return names[number];
}

static void print_by_shortage(const struct page *page)
{
    print_array(page, "resource", shortage_at, 0, IO_SHORTAGES);
}

static void print_buffers(const struct page *page)
{
    const struct label ready = {"state", "ready"}, used = {"state", "used"};
    print_sample(page, &ready, 1, sum(page, offsetof(struct loop, stats.buffers_ready)));
    print_sample(page, &used, 1, sum(page, offsetof(struct loop, bufs.used_count)));
}

/* Of each worker: together they would say nothing. */
static void print_longest_turn(const struct page *page)
{
    for (unsigned i = 0; i < page->program->workers.count; i++) {
        const struct worker *worker = &page->program->workers.all[i];
        uint64_t ns = stat_read(&worker->loop.loop.longest_turn_ns);
        char number[12];
        const struct label label = {"worker", number};
        snprintf(number, sizeof number, "%u", i);
        begin_sample(page, "", &label, 1);
        buf_printf(page->out, "%" PRIu64 ".%09" PRIu64 "\n", ns / 1000000000, ns % 1000000000);
    }
}

#define PROGRAM_STRUCT struct program
#define WORKER_STRUCT struct worker
#define SERVICE_STRUCT struct service
#define UPSTREAM_STRUCT struct upstream_stats

static const struct row rows[] = {
#define X(name, kind, scope, member, print, help)                                                  \
    {name, kind, help, scope, offsetof(scope##_STRUCT, member), print_##print},
#include "app/metrics.def"
#undef X
};

static void set_label(struct page *page, unsigned number, const char *name, const char *value)
{
    page->labels[number] = (struct label){name, value};
    page->label_count = number + 1;
}

static void print_upstreams(struct page *page, const struct service_options *options)
{
    for (page->upstream = 0; page->upstream < options->upstream_count; page->upstream++) {
        set_label(page, 1, "upstream", options->upstreams[page->upstream].name);
        page->row->print(page);
    }
}

static void print_services(struct page *page)
{
    const struct snapshot *snapshot = page->program->snapshot;
    for (page->service = 0; page->service < snapshot->service_count; page->service++) {
        const struct service_options *options = &snapshot->services[page->service];
        set_label(page, 0, "service", options->name);
        if (page->row->scope == UPSTREAM)
            print_upstreams(page, options);
        else
            page->row->print(page);
    }
}

void metrics_print(const struct program *program, struct buf *out)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct page page = {.out = out, .program = program, .row = &rows[i]};
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", rows[i].name, rows[i].help, rows[i].name,
                   rows[i].kind);
        if (rows[i].scope == PROGRAM || rows[i].scope == WORKER)
            rows[i].print(&page);
        else
            print_services(&page);
    }
}
