#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The shape of the sources: lengths, names, banned calls (CONTRIBUTING.md says why for each).

A rule that makes one place worse may be set aside there: add the place to the table of that rule
below, with the reason. The tables are the whole list of exceptions.
"""

import re
import sys

import tidy

FILE_LINES = 600
FUNCTION_LINES = 70
COLUMNS = 100

# Words that say nothing. Found as a whole identifier, or as its last part: ctx, parse_ctx.
BANNED_WORDS = {
    "ctx": "say what it is: the worker, the exchange, the parser",
    "data": "say which: bytes, body, slice, value",
    "info": "say what is known: peer, address, stats",
    "handle": "say what happens: accept, answer, close; or what it is: the session, the stream",
    "manager": "say what it does: pool, connector, registry",
    "util": "put the function where its noun lives",
    "utils": "put the function where its noun lives",
}
# Identifiers that end in such a word with good reason.
ALLOWED_WORDS = {
    "unexpected_data": "the name of a metric and of a close reason, fixed for users",
    "epoll_data": "the kernel's name",
    "ASN1_STRING_get0_data": "OpenSSL's name",
    "dl_phdr_info": "libc's name",
    "tcp_info": "the kernel's name",
}
# Names that libraries chose are theirs.
LIBRARY_PREFIXES = ("fy_", "XXH", "SSL_", "BIO_", "EVP_", "X509_", "nghttp2_", "ares_", "io_uring_",
                    "LLVMFuzzer", "__")

# call -> (why not, the files or folders that may)
BANNED_CALLS = {
    "strcpy": ("it writes past the end", []),
    "strcat": ("it writes past the end", []),
    "stpcpy": ("it writes past the end", []),
    "strncpy": ("it may leave no NUL and fills up with zeros; use memcpy or snprintf", []),
    "strncat": ("its limit is not the size; use snprintf", []),
    "sprintf": ("it writes past the end; use snprintf", []),
    "vsprintf": ("it writes past the end; use vsnprintf", []),
    "gets": ("it writes past the end", []),
    "strtok": ("it keeps hidden state and changes its argument", []),
    "strtok_r": ("it changes its argument; use a slice", []),
    "atoi": ("it cannot say that it failed", []),
    "atol": ("it cannot say that it failed", []),
    "atoll": ("it cannot say that it failed", []),
    "atof": ("it cannot say that it failed", []),
    "alloca": ("a coroutine's stack is small", []),
    "setjmp": ("stacks are switched in src/co only, and not by this", []),
    "longjmp": ("stacks are switched in src/co only, and not by this", []),
    "sleep": ("it stops a whole worker; wait with a deadline", ["bench/"]),
    "usleep": ("it stops a whole worker; wait with a deadline", ["bench/"]),
    "nanosleep": ("it stops a whole worker; wait with a deadline", ["bench/"]),
    "getaddrinfo": ("it blocks a whole worker", ["bench/", "src/io/lookup.c"]),
    "gethostbyname": ("it blocks a whole worker", []),
    "system": ("a shell between us and what we run", []),
    "popen": ("a shell between us and what we run", []),
    "signal": ("its meaning differs between systems; use sigaction", ["bench/"]),
    "rand": ("randomness comes in through the backend, so that a seed decides a test", []),
    "srand": ("randomness comes in through the backend, so that a seed decides a test", []),
    "random": ("randomness comes in through the backend, so that a seed decides a test", []),
    "time": ("the clock comes in through the backend", ["src/app/", "bench/"]),
    "gettimeofday": ("the clock comes in through the backend", ["bench/"]),
    "clock_gettime": ("the clock comes in through the backend",
                      ["src/base/clock.c", "src/base/log.c", "src/io/", "tests/", "bench/"]),
}

# The heap: floors and files whose work is to get memory, or that run at start only.
HEAP_CALLS = {"malloc", "calloc", "realloc", "reallocarray", "strdup", "strndup", "asprintf",
              "vasprintf", "aligned_alloc", "posix_memalign"}
HEAP_ALLOWED = {
    "src/base/": "arena, slab, map and buffer are where memory comes from",
    "src/io/iobuf.c": "a worker's buffers: got when there are too few, and kept",
    "src/io/epoll.c": "the backend and its listeners, at start",
    "src/io/resolve.c": "a resolver and the list of its servers, at start",
    "src/io/uring.c": "the backend, at start",
    "src/io/uring_bufs.c": "the ring of buffers, at start",
    "src/http/h2_wire.c": "an HTTP/2 session, which may move to another worker",
    "src/upstream/keys.c": "a key, when a part first meets it",
    "src/upstream/census.c": "a key, when the first part meets it",
    "src/upstream/gate.c": "an address, when the first part meets it",
    "src/upstream/commons.c": "what the parts of a pool share, at start",
    "src/upstream/places.c": "likewise",
    "src/client/connector.c": "a connector, at start",
    "src/client/loop.c": "a loop, at start",
    "src/client/peer.c": "a program's peer, which any thread may have",
    "src/client/peers.c": "what it is on one worker, when it is first met there",
    "src/client/trust.c": "who is trusted, when the first peer names the file",
    "src/downstream/listener.c": "a connection on its way to another worker, which frees it",
    "src/proxy/hash_ring.c": "a ring, at start and when servers come or go",
    "src/proxy/roster.c": "a list of servers, likewise",
    "src/upstream/peer.c": "a peer that is one client's, where servers are told of clients",
    "src/proxy/servers.c": "a peer, when a server comes",
    "src/proxy/checks.c": "a check, when a server comes",
    "src/proxy/lookout.c": "a message to each worker, when servers come or go",
    "src/proxy/service.c": "a service's own parts, at start",
    "src/stream/tls_client.c": "how an upstream speaks TLS, when the configuration is read",
    "src/stream/tls_server.c": "how a listener speaks TLS, likewise, and at SIGHUP",
    "src/stream/tls_names.c": "the names of its certificates, likewise",
    "src/stream/custom.c": "a transport's connection, which may move to another worker",
    "src/stream/pair.c": "a pair's two ends, with their buffer",
    "src/client/exec.c": "a child process, on its way to another worker or to its end",
    "src/config/": "reads the configuration, before a request is taken",
    "src/server/": "sets up a server, starts and ends its workers; never on a request's path",
    "src/app/": "starts and ends workers; never on a request's path",
    "tests/": "tests may",
    "bench/": "tools may",
    "examples/": "examples may",
}

IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[^\n]*", re.M)
THREAD_LOCAL = re.compile(r"\b(?:_Thread_local|thread_local|__thread)\b")
TYPEDEF = re.compile(r"\btypedef\s+(?:struct|union)\b")
CONDITION = re.compile(r"^[ \t]*#[ \t]*(?:if|ifdef|ifndef|elif|else)\b[^\n]*", re.M)


class Source:
    """One C file: its path, text, blanked code and where its functions are."""

    def __init__(self, root, path):
        self.path = path
        self.short = str(path.relative_to(root))
        self.text = tidy.read(path)
        self.code = tidy.blank(self.text)
        self.functions = list(tidy.functions(self.code))

    def line(self, offset):
        return tidy.line_of(self.code, offset)


def spdx_breaches(root):
    built = [p for p in (root / "dev", root / ".ci/run", root / "meson.build",
                         root / "meson_options.txt") if p.is_file()]
    built += [p for folder in tidy.CODE_FOLDERS for p in (root / folder).rglob("meson.build")]
    for path in list(tidy.files(root)) + built:
        lines = tidy.read(path).split("\n", 2)
        first = 1 if lines[0].startswith("#!") else 0
        wanted = "/* SPDX-License-Identifier: MIT */"
        if path.suffix not in (".c", ".h", ".S", ".def"):
            wanted = "# SPDX-License-Identifier: MIT"
        if len(lines) <= first or lines[first].strip() != wanted:
            yield path, first + 1, f"this line must be {wanted}"


def length_breaches(root):
    for path in tidy.files(root):
        count = len(tidy.read(path).splitlines())
        if count > FILE_LINES:
            yield path, count, f"{count} lines, at most {FILE_LINES}: one file, one idea; split it"


def column_breaches(root):
    # Not .def: a row of a table stays one line.
    for path in tidy.files(root, suffixes=tidy.CODE_SUFFIXES - {".def"}):
        for number, line in enumerate(tidy.read(path).splitlines(), 1):
            if len(line) > COLUMNS:
                yield path, number, f"{len(line)} columns, at most {COLUMNS}"
            if "\t" in line and path.suffix != ".S":
                yield path, number, "a tab; indent with four spaces"
            if line != line.rstrip():
                yield path, number, "blanks at the end of the line"


def function_breaches(sources):
    for source in sources:
        for name, head, _, end in source.functions:
            lines = source.line(end) - source.line(head) + 1
            if lines > FUNCTION_LINES:
                yield (source.path, source.line(head),
                       f"{name} has {lines} lines, at most {FUNCTION_LINES}: it fits a screen")


def banned_word(name):
    if name in ALLOWED_WORDS or name.startswith(LIBRARY_PREFIXES):
        return None
    if any(name.endswith("_" + allowed) for allowed in ALLOWED_WORDS):
        return None
    last = name.rstrip("_").split("_")[-1]
    return last if last in BANNED_WORDS else None


def word_breaches(sources):
    for source in sources:
        seen = set()
        code = INCLUDE.sub(lambda m: " " * len(m.group()), source.code)
        for match in IDENTIFIER.finditer(code):
            name = match.group()
            # A member of somebody's struct, event.data, is named where that struct is declared.
            member = code[: match.start()].rstrip()[-2:]
            if name in seen or member.endswith(".") or member == "->":
                continue
            word = banned_word(name)
            if word:
                seen.add(name)
                line = source.line(match.start())
                yield source.path, line, f"'{name}': {BANNED_WORDS[word]}"
        word = banned_word(source.path.stem)
        if word:
            yield source.path, 1, f"the file's name '{source.path.stem}': {BANNED_WORDS[word]}"


def calls(source):
    for match in re.finditer(r"([A-Za-z_]\w*)\s*\(", source.code):
        before = source.code[: match.start()].rstrip()[-2:]
        if not before.endswith(".") and before != "->":
            yield match.group(1), source.line(match.start())


def call_breaches(sources):
    for source in sources:
        for name, line in calls(source):
            reason, allowed = BANNED_CALLS.get(name, (None, []))
            if reason and not source.short.startswith(tuple(allowed)):
                yield source.path, line, f"{name}(): {reason}"


def heap_breaches(sources):
    for source in sources:
        for name, line in calls(source):
            if name in HEAP_CALLS and not source.short.startswith(tuple(HEAP_ALLOWED)):
                yield (source.path, line,
                       f"{name}(): memory comes from an arena or a slab; what is got once, at "
                       "start, is listed in HEAP_ALLOWED of tests/tidy/shape.py, with the reason")


def condition_breaches(sources):
    for source in sources:
        for match in CONDITION.finditer(source.code):
            inside = [f[0] for f in source.functions if f[2] < match.start() < f[3]]
            if inside:
                yield (source.path, source.line(match.start()),
                       f"{match.group().strip().split()[0]} inside {inside[0]}: alternatives are "
                       "files, chosen by Meson")


def thread_local_breaches(sources):
    places = [(s, s.line(m.start())) for s in sources if s.short.startswith(("src/", "include/"))
              for m in THREAD_LOCAL.finditer(s.code)]
    owners = {s.short for s, _ in places}
    if len(owners) > 1:
        for source, line in places:
            yield (source.path, line,
                   f"one thread-local in the whole tree, found in {len(owners)} files")


def typedef_breaches(sources):
    for source in sources:
        for match in TYPEDEF.finditer(source.code):
            yield (source.path, source.line(match.start()),
                   "structs are not typedef'd: write 'struct name'")


def goto_breaches(sources):
    for source in sources:
        for _, _, start, end in source.functions:
            body = source.code[start:end]
            label = re.search(r"^\s*out\s*:", body, re.M)
            for match in re.finditer(r"\bgoto\s+(\**\w+)", body):
                if match.group(1) != "out" or not label or label.start() < match.start():
                    yield (source.path, source.line(start + match.start()),
                           f"goto {match.group(1)}: the only goto goes forward to out:")


def main():
    root = tidy.arguments(__doc__).root.resolve()
    sources = [Source(root, p) for p in tidy.files(root, suffixes=tidy.C_SUFFIXES)]
    return tidy.report(root, [
        ("every file opens with its SPDX line", list(spdx_breaches(root))),
        (f"no file is over {FILE_LINES} lines", list(length_breaches(root))),
        (f"no line is over {COLUMNS} columns, has tabs or ends in blanks",
         list(column_breaches(root))),
        (f"no function is over {FUNCTION_LINES} lines", list(function_breaches(sources))),
        ("no name says nothing", list(word_breaches(sources))),
        ("no banned call", list(call_breaches(sources))),
        ("the heap is used only where it may be", list(heap_breaches(sources))),
        ("no #if inside a function", list(condition_breaches(sources))),
        ("one thread-local", list(thread_local_breaches(sources))),
        ("no typedef'd struct", list(typedef_breaches(sources))),
        ("goto goes forward to out", list(goto_breaches(sources))),
    ])


if __name__ == "__main__":
    sys.exit(main())
