/* SPDX-License-Identifier: MIT */
#include "app/metrics.h"

#include "base/slice.h"
#include "tests/check.h"

#include <stdlib.h>

enum { WORKERS = 2 };

static const struct upstream_options upstreams[] = {{.name = "web"}, {.name = "a\"p\\i\n"}};
static struct service_options options[] = {
    {.name = "edge", .upstreams = upstreams, .upstream_count = 2},
    {.name = "other", .upstreams = upstreams, .upstream_count = 1},
};
static struct snapshot snapshot = {.services = options, .service_count = 2};
static struct worker workers[WORKERS];
static struct program program = {.snapshot = &snapshot,
                                 .workers = {.all = workers, .count = WORKERS}};
static struct buf page;

/* Nothing runs here: the page only reads counters. */
static void set_up(void)
{
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i].services = calloc(2, sizeof *workers[i].services);
        for (unsigned k = 0; k < 2; k++) {
            struct service *service = calloc(1, sizeof *service);
            service->options = &options[k];
            service->upstream_stats = calloc(2, sizeof *service->upstream_stats);
            workers[i].services[k] = service;
        }
    }
    buf_init(&page);
}

static void tear_down(void)
{
    for (unsigned i = 0; i < WORKERS; i++) {
        for (unsigned k = 0; k < 2; k++) {
            free(workers[i].services[k]->upstream_stats);
            free(workers[i].services[k]);
        }
        free(workers[i].services);
    }
    buf_fini(&page);
}

static struct upstream_stats *stats_of(unsigned worker, unsigned service, unsigned upstream)
{
    return &workers[worker].services[service]->upstream_stats[upstream];
}

static bool has_line(const char *line)
{
    struct weir_slice rest = buf_slice(&page), want = slice_str(line);
    while (rest.len > 0) {
        size_t end = slice_find(rest, '\n');
        if (slice_equal(slice_of(rest.at, end), want))
            return true;
        rest = slice_skip(rest, end + (end < rest.len));
    }
    printf("# no line %s\n", line);
    return false;
}

static bool has_text(const char *text)
{
    return memmem(page.at, page.len, text, strlen(text)) != NULL;
}

static unsigned count_text(const char *text)
{
    unsigned count = 0;
    struct weir_slice rest = buf_slice(&page);
    for (char *at; (at = memmem(rest.at, rest.len, text, strlen(text))); count++)
        rest = slice_skip(rest, (size_t)(at + 1 - rest.at));
    return count;
}

TEST(counters_are_summed_over_the_workers)
{
    set_up();
    stat_add(&stats_of(0, 0, 0)->requests[SOURCE_REUSED], 990);
    stat_add(&stats_of(1, 0, 0)->requests[SOURCE_REUSED], 6);
    stat_add(&stats_of(1, 0, 0)->requests[SOURCE_NEW], 4);
    stat_add(&stats_of(1, 0, 0)->opened, 4);
    stat_add(&stats_of(0, 0, 0)->idle[HTTP_1], 3);
    stat_add(&stats_of(1, 0, 0)->idle[HTTP_1], 1);
    stat_add(&workers[0].services[1]->downstream.open, 7);
    metrics_print(&program, &page);
    CHECK(has_line("weir_upstream_requests_total{service=\"edge\",upstream=\"web\","
                   "connection=\"reused\"} 996"));
    CHECK(has_line("weir_upstream_requests_total{service=\"edge\",upstream=\"web\","
                   "connection=\"new\"} 4"));
    CHECK(has_line("weir_upstream_connections_opened_total{service=\"edge\",upstream=\"web\"} 4"));
    CHECK(has_line("weir_pool_idle_connections{service=\"edge\",upstream=\"web\","
                   "protocol=\"http/1.1\"} 4"));
    CHECK(has_line("weir_pool_in_use_connections{service=\"edge\",upstream=\"web\","
                   "protocol=\"http/1.1\"} 0"));
    CHECK(has_line("weir_downstream_connections{service=\"other\"} 7"));
    CHECK(has_line("weir_downstream_connections{service=\"edge\"} 0"));
    CHECK(has_line("weir_upstream_requests_total{service=\"other\",upstream=\"web\","
                   "connection=\"reused\"} 0"));
    CHECK(has_line("weir_workers 2"));
    CHECK(has_line("weir_access_log_dropped_total 0"));
    CHECK(has_line("weir_build_info{version=\"" WEIR_VERSION "\"} 1"));
    tear_down();
}

TEST(protocols_and_what_is_counted_of_http2)
{
    set_up();
    struct downstream *downstream = &workers[1].services[0]->downstream;
    stat_add(&downstream->requests[HTTP_1], 5);
    stat_add(&downstream->requests[HTTP_2], 6);
    stat_add(&workers[0].services[0]->downstream.requests[HTTP_2], 1);
    stat_add(&downstream->floods[H2_FLOOD_RAPID_RESET], 2);
    stat_add(&stats_of(0, 0, 0)->idle[HTTP_2], 1);
    stat_add(&stats_of(0, 0, 0)->in_use[HTTP_2], 3);
    stat_add(&stats_of(0, 0, 0)->streams, 70);
    stat_add(&stats_of(1, 0, 0)->streams, 50);
    stat_add(&stats_of(1, 0, 0)->goaways, 4);
    stat_add(&stats_of(1, 0, 0)->pings[PING_ANSWERED], 8);
    stat_add(&stats_of(1, 0, 0)->pings[PING_LOST], 1);
    stat_add(&stats_of(0, 0, 0)->floods[H2_FLOOD_SETTINGS], 1);
    metrics_print(&program, &page);
#define EDGE "{service=\"edge\""
#define WEB "{service=\"edge\",upstream=\"web\""
    CHECK(has_line("weir_downstream_requests_total" EDGE ",protocol=\"http/1.1\"} 5"));
    CHECK(has_line("weir_downstream_requests_total" EDGE ",protocol=\"h2\"} 7"));
    CHECK(has_line("weir_downstream_h2_floods_total" EDGE ",kind=\"rapid_reset\"} 2"));
    CHECK(has_line("weir_downstream_h2_floods_total" EDGE ",kind=\"ping\"} 0"));
    CHECK_EQ(2 * H2_FLOOD_COUNT, count_text("weir_downstream_h2_floods_total{"));
    CHECK(has_line("weir_pool_idle_connections" WEB ",protocol=\"h2\"} 1"));
    CHECK(has_line("weir_pool_in_use_connections" WEB ",protocol=\"h2\"} 3"));
    CHECK(has_line("weir_pool_in_use_connections" WEB ",protocol=\"http/1.1\"} 0"));
    CHECK(has_line("weir_pool_streams" WEB "} 120"));
    CHECK(has_line("weir_upstream_goaways_total" WEB "} 4"));
    CHECK(has_line("weir_upstream_h2_pings_total" WEB ",result=\"answered\"} 8"));
    CHECK(has_line("weir_upstream_h2_pings_total" WEB ",result=\"lost\"} 1"));
    CHECK(has_line("weir_upstream_h2_floods_total" WEB ",kind=\"settings\"} 1"));
    CHECK_EQ(3 * H2_FLOOD_COUNT, count_text("weir_upstream_h2_floods_total{"));
    tear_down();
}

TEST(what_loops_count_is_summed_over_the_workers)
{
    set_up();
    stat_add(&workers[0].loop.loop.stats.shortages[SHORT_OF_BUFFERS], 2);
    stat_add(&workers[1].loop.loop.stats.shortages[SHORT_OF_BUFFERS], 3);
    stat_add(&workers[1].loop.loop.stats.shortages[SHORT_OF_DESCRIPTORS], 7);
    stat_set(&workers[0].loop.loop.stats.buffers_ready, 64);
    stat_set(&workers[1].loop.loop.stats.buffers_ready, 128);
    stat_set(&workers[1].loop.loop.bufs.used_count, 5);
    metrics_print(&program, &page);
    CHECK(has_line("weir_io_shortages_total{resource=\"buffers\"} 5"));
    CHECK(has_line("weir_io_shortages_total{resource=\"completions\"} 0"));
    CHECK(has_line("weir_io_shortages_total{resource=\"submissions\"} 0"));
    CHECK(has_line("weir_io_shortages_total{resource=\"descriptors\"} 7"));
    CHECK_EQ(IO_SHORTAGES, count_text("weir_io_shortages_total{"));
    CHECK(has_line("weir_io_buffers{state=\"ready\"} 192"));
    CHECK(has_line("weir_io_buffers{state=\"used\"} 5"));
    for (unsigned i = 0; i < WORKERS; i++)
        workers[i].loop.loop = (struct loop){0};
    tear_down();
}

TEST(reasons_are_shown_before_they_happen_but_errors_and_statuses_only_after)
{
    set_up();
    stat_add(&workers[0].services[0]->stats.requests[200], 2);
    stat_add(&workers[1].services[0]->stats.requests[200], 1);
    stat_add(&workers[1].services[0]->stats.requests[0], 1);
    stat_add(&workers[0].services[0]->stats.auth[AUTH_DENIED], 4);
    stat_add(&workers[1].services[0]->stats.mirrors[MIRROR_TOO_LARGE], 6);
    stat_add(&workers[1].services[0]->stats.subrequests[SUBREQUEST_BACKGROUND][1], 7);
    stat_add(&workers[1].services[0]->stats.subrequests[SUBREQUEST_WAITED_FOR][0], 8);
    stat_add(&workers[0].services[0]->stats.program_faults, 9);
    stat_add(&stats_of(0, 0, 0)->closed[CLOSE_EVICTED], 5);
    stat_add(&stats_of(0, 0, 0)->connect_errors[WEIR_E_REFUSED], 3);
    stat_add(&stats_of(0, 0, 0)->retries[WEIR_E_RESET][RETRY_REFUSED], 2);
    stat_add(&stats_of(1, 0, 0)->unexpected_data[PLACE_CHECKOUT], 1);
    stat_add(&stats_of(1, 0, 0)->not_kept[KEEP_NOT_AT_LIMIT], 9);
    metrics_print(&program, &page);
    CHECK(has_line("weir_requests_total{service=\"edge\",code=\"200\"} 3"));
    CHECK(has_line("weir_requests_total{service=\"edge\",code=\"0\"} 1"));
    CHECK_EQ(2, count_text("weir_requests_total{"));
    CHECK(has_line("weir_upstream_connections_closed_total{service=\"edge\",upstream=\"web\","
                   "reason=\"evicted\"} 5"));
    CHECK_EQ(3 * CLOSE_COUNT, count_text("weir_upstream_connections_closed_total{"));
    CHECK(has_line("weir_pool_not_kept_total{service=\"edge\",upstream=\"web\","
                   "reason=\"at_limit\"} 9"));
    CHECK_EQ(3 * (KEEP_COUNT - 1), count_text("weir_pool_not_kept_total{"));
    CHECK(has_line("weir_pool_unexpected_data_total{service=\"edge\",upstream=\"web\","
                   "place=\"checkout\"} 1"));
    CHECK(has_line("weir_upstream_connect_errors_total{service=\"edge\",upstream=\"web\","
                   "reason=\"connection_refused\"} 3"));
    CHECK_EQ(1, count_text("weir_upstream_connect_errors_total{"));
    CHECK(has_line("weir_retries_total{service=\"edge\",upstream=\"web\",reason=\"reset\","
                   "result=\"refused\"} 2"));
    CHECK_EQ(1, count_text("weir_retries_total{"));
    CHECK(has_line("weir_auth_requests_total{service=\"edge\",result=\"denied\"} 4"));
    CHECK(has_line("weir_mirrored_requests_total{service=\"edge\",result=\"too_large\"} 6"));
    CHECK(has_line("weir_subrequests_total{service=\"edge\",kind=\"background\","
                   "result=\"answered\"} 7"));
    CHECK(has_line("weir_subrequests_total{service=\"edge\",kind=\"waited_for\","
                   "result=\"failed\"} 8"));
    CHECK(has_line("weir_program_faults_total{service=\"edge\"} 9"));
    tear_down();
}

TEST(histograms_are_cumulative_and_in_seconds)
{
    set_up();
    struct histogram *durations[] = {&workers[0].services[0]->stats.duration,
                                     &workers[1].services[0]->stats.duration};
    histogram_add(durations[0], weir_span_ns(50000));
    histogram_add(durations[1], weir_span_ms(3));
    histogram_add(durations[0], weir_span_s(2));
    histogram_add(durations[1], weir_span_s(1000));
    metrics_print(&program, &page);
#define NAME "weir_request_duration_seconds"
    CHECK(has_line(NAME "_bucket{service=\"edge\",le=\"0.0001\"} 1"));
    CHECK(has_line(NAME "_bucket{service=\"edge\",le=\"0.0025\"} 1"));
    CHECK(has_line(NAME "_bucket{service=\"edge\",le=\"0.005\"} 2"));
    CHECK(has_line(NAME "_bucket{service=\"edge\",le=\"2.5\"} 3"));
    CHECK(has_line(NAME "_bucket{service=\"edge\",le=\"100\"} 3"));
    CHECK(has_line(NAME "_bucket{service=\"edge\",le=\"+Inf\"} 4"));
    CHECK(has_line(NAME "_sum{service=\"edge\"} 1002.003050"));
    CHECK(has_line(NAME "_count{service=\"edge\"} 4"));
    CHECK(has_line(NAME "_count{service=\"other\"} 0"));
    tear_down();
}

TEST(label_values_are_escaped)
{
    set_up();
    metrics_print(&program, &page);
    CHECK(has_line("weir_pool_dialling_connections{service=\"edge\","
                   "upstream=\"a\\\"p\\\\i\\n\"} 0"));
    tear_down();
}

TEST(every_metric_has_one_help_and_one_type_line)
{
    static const char *const names[] = {
#define X(name, kind, scope, member, print, help) name " " kind "\n",
#include "app/metrics.def"
#undef X
    };
    set_up();
    metrics_print(&program, &page);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char line[128];
        snprintf(line, sizeof line, "\n# TYPE %s", names[i]);
        CHECK(i == 0 || has_text(line));
        CHECK_EQ(1, count_text(line + 1));
        snprintf(line, sizeof line, "# HELP %.*s ", (int)strcspn(names[i], " "), names[i]);
        CHECK_EQ(1, count_text(line));
    }
    CHECK_EQ(sizeof names / sizeof names[0], count_text("# TYPE "));
    CHECK(page.at[page.len - 1] == '\n' && !page.failed);
    tear_down();
}

CHECK_MAIN
