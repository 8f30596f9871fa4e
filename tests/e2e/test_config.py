# SPDX-License-Identifier: MIT
"""The configuration file and the command line: what is accepted, and how mistakes are told."""

import re

import pytest
import yaml

import sockets
from weir import one_upstream, run

MESSAGE = re.compile(r"(?P<file>[^:\n]+):(?P<line>\d+):(?P<column>\d+): error: (?P<text>.+)")

THREE_MISTAKES = """\
version: 1
threads: many
services:
  - name: edge
    listen: [127.0.0.1:8080]
    routes:
      - { upstream: web }
    upstreams:
      web:
        servers: [127.0.0.1:9001]
        idel_timeout: 5s
        read_timeout: 5 parsecs
"""

GOOD = """\
version: 1
x-note: anything at all
services:
  - name: edge
    listen: [127.0.0.1:8080]
    upstream: http://127.0.0.1:9001
"""


@pytest.fixture
def check(tmp_path):
    """Run `weir -t` on a text; its exit status and its messages."""
    def run_test(text, *arguments):
        (tmp_path / "weir.yaml").write_text(text)
        done = run(*(arguments or ["-t", "-c", "weir.yaml"]), directory=tmp_path)
        messages = [MESSAGE.fullmatch(line) for line in done.stderr.splitlines()
                    if ": error: " in line]
        assert all(messages), done.stderr
        return done.returncode, messages
    return run_test


def places(messages):
    return [(m["file"], int(m["line"]), int(m["column"])) for m in messages]


def test_three_mistakes_are_three_messages_in_one_run(check):
    status, messages = check(THREE_MISTAKES)
    assert status == 2
    assert places(messages) == [("weir.yaml", 2, 10), ("weir.yaml", 11, 9), ("weir.yaml", 12, 23)]
    assert "unknown key 'idel_timeout' (did you mean 'idle_timeout'?)" in messages[1]["text"]


def test_mistakes_stop_a_start_as_well(check):
    status, messages = check(THREE_MISTAKES, "-c", "weir.yaml")
    assert (status, len(messages)) == (2, 3)


def test_good_configuration_passes_the_test(check):
    assert check(GOOD) == (0, [])


def test_configuration_is_looked_for_in_the_working_directory(check):
    assert check(GOOD, "-t") == (0, [])


@pytest.mark.parametrize("old, new", [
    ("[127.0.0.1:8080]", "[{ address: 127.0.0.1:8080, protocols: [h2, http/1.1] }]"),
    ("http://127.0.0.1:9001", "h2c://127.0.0.1:9001"),
    ("http://127.0.0.1:9001", "{ servers: [127.0.0.1:9001], protocol: http2, h2: {} }"),
    ("http://127.0.0.1:9001", "{ servers: [127.0.0.1:9001], protocol: auto }"),
])
def test_protocols_are_understood(check, old, new):
    assert check(GOOD.replace(old, new)) == (0, [])


MISTAKES = {
    "unknown_upstream": (GOOD.replace("    upstream: http://127.0.0.1:9001", """\
    routes: [{ upstream: wbe }]
    upstreams: { web: http://127.0.0.1:9001 }"""), 6),
    "port_out_of_range": (GOOD.replace("127.0.0.1:8080", "127.0.0.1:65536"), 5),
    "listen_not_an_address": (GOOD.replace("127.0.0.1:8080", "here"), 5),
    "upstream_scheme": (GOOD.replace("http://", "gopher://"), 6),
    "version": (GOOD.replace("version: 1", "version: 7"), 1),
    "number_out_of_range": (GOOD + "threads: -1\n", 7),
    "wrong_kind_of_value": (GOOD + "threads: [1]\n", 7),
    "choice": (GOOD + "io: epol\n", 7),
    "no_protocol": (GOOD.replace("[127.0.0.1:8080]",
                                 "[{ address: 127.0.0.1:8080, protocols: [] }]"), 5),
    "protocol_of_a_listener": (GOOD.replace("[127.0.0.1:8080]",
                                            "[{ address: 127.0.0.1:8080, protocols: [h3] }]"), 5),
    "protocol_of_an_upstream": (GOOD.replace("http://127.0.0.1:9001",
                                             "{ servers: [127.0.0.1:9001], protocol: h2 }"), 6),
    "h2c_for_one_of_two": (GOOD.replace("http://127.0.0.1:9001",
                                        "{ servers: [127.0.0.1:9001, h2c://127.0.0.1:9002] }"), 6),
    "duration": (GOOD + "    keepalive_timeout: 5 minutes\n", 7),
    "twice": (GOOD + "threads: 1\nthreads: 2\n", 8),
    "not_yet_supported": (GOOD + "daemon: true\n", 7),
    "two_services_of_one_name": (GOOD + GOOD[GOOD.index("  - name"):].replace("8080", "8081"), 7),
    "both_forms_of_upstream": (GOOD + "    routes: [{ upstream: web }]\n"
                               "    upstreams: { web: http://127.0.0.1:9002 }\n", None),
    "missing_listen": (GOOD.replace("    listen: [127.0.0.1:8080]\n", ""), 4),
    "syntax": (GOOD + "  - [unclosed\n", None),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_told_where_it_stands(check, name):
    text, line = MISTAKES[name]
    status, messages = check(text)
    assert status == 2 and messages
    if line:
        assert line in [int(m["line"]) for m in messages], messages


def test_wrong_choice_is_told_the_right_ones(check):
    _, messages = check(GOOD + "io: epol\n")
    assert "epoll" in messages[0]["text"] and "auto" in messages[0]["text"]


def test_missing_file_names_itself(tmp_path):
    done = run("-c", "absent.yaml", directory=tmp_path)
    assert done.returncode in (1, 2)
    assert "absent.yaml" in done.stderr


def test_address_in_use_is_status_1_and_named(tmp_path):
    holder, address = sockets.listen()
    config = one_upstream("127.0.0.1:9", service={"listen": [address]})
    (tmp_path / "weir.yaml").write_text(yaml.safe_dump(config))
    done = run("-c", "weir.yaml", directory=tmp_path)
    assert done.returncode == 1
    assert address in done.stderr
    holder.close()


@pytest.mark.parametrize("arguments", [
    ["--no-such-option"], ["--listen", "127.0.0.1:0"], ["--to", "http://127.0.0.1:1"],
    ["--listen", "nowhere", "--to", "http://127.0.0.1:1"],
    ["--listen", "127.0.0.1:0", "--to", "gopher://127.0.0.1"], ["--threads", "x", "--demo"],
    ["--listen", "127.0.0.1:0", "--to", "h2c://127.0.0.1", "--to", "http://127.0.0.1"],
    ["surplus"], ["-c"],
])
def test_wrong_usage_is_status_2_with_a_word_why(arguments, tmp_path):
    done = run(*arguments, directory=tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip()


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_version(option):
    done = run(option)
    assert done.returncode == 0 and re.match(r"weir \d+\.\d+\.\d+", done.stdout)


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_names_every_option(option):
    done = run(option)
    assert done.returncode == 0
    for name in ("-c", "--listen", "--to", "--demo", "--test", "--threads", "--io", "--version"):
        assert name in done.stdout, name
