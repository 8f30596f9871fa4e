#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tools/gdb/weir.py against a program with coroutines, live and as a core file.

usage: test_gdb.py PROGRAM WEIR_PY
"""

import glob
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile

failures = 0
count = 0


def check(name, holds, text):
    global failures, count
    count += 1
    failures += not holds
    print(f"{'ok' if holds else 'not ok'} {count} - {name}")
    if not holds:
        print("".join(f"# {line}\n" for line in text.splitlines()), end="")


def run_gdb(*arguments, commands):
    options = [option for command in commands for option in ("-ex", command)]
    # LeakSanitizer cannot work while a debugger is there.
    sanitized = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
    done = subprocess.run(["gdb", "-nx", "-batch", "-ex", "set debuginfod enabled off",
                           "-ex", "set width 0", *options, *arguments],
                          env={**os.environ, **sanitized},
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=120, text=True, errors="replace")
    return done.stdout


def section(text, number):
    """What was printed between the marks `number` and the next one."""
    found = re.search(rf"^=== {number}\n(.*?)(?=^=== |\Z)", text, re.M | re.S)
    return found.group(1) if found else ""


def marked(commands):
    result = []
    for number, command in enumerate(commands):
        result += [f"echo === {number}\\n", command]
    return result


def looks(second):
    """What check_looks() checks the output of; `second` is gdb's number of the other thread."""
    return ["weir co", "weir bt 1.1", "weir bt 2", "weir bt 4", f"weir bt {second}.1", "weir bt 3",
            "weir bt 1", "bt"]


def number_of_second_thread(program):
    """ThreadSanitizer's own thread is the second one."""
    with open(program, "rb") as file:
        return 3 if b"__tsan_init" in file.read() else 2


def check_looks(kind, second, text):
    listed = section(text, 0)
    for pattern in (r"^1\.1  parked  reader  read_line \(gdb_parked\.c:\d+\)$",
                    r"^1\.2  parked  sleeper  be_sleeper \(gdb_parked\.c:\d+\)$",
                    r"^1\.3  running  runner  -$",
                    r"^1\.4  ready  late  not started: be_sleeper$",
                    rf"^{second}\.1  parked  lonely  read_line \(gdb_parked\.c:\d+\)$",
                    r"^5 coroutines$"):
        check(f"{kind}: weir co says {pattern}", re.search(pattern, listed, re.M), text)
    for number, who in ((1, "reader"), (4, "the one of the other thread")):
        stack = section(text, number)
        names = re.findall(r"^#\d+ .*?(\w+) \(", stack, re.M)
        check(f"{kind}: the stack of {who} goes from the switch to its entry",
              names.count("read_line") == 3 and "be_reader" in names and
              names.index("co_park") < names.index("read_line") < names.index("be_reader"), text)
        check(f"{kind}: the stack of {who} ends there", "main" not in names and
              not re.search("corrupt|stopped", stack), text)
        check(f"{kind}: the stack of {who} is numbered from 0", stack.startswith("#0 "), text)
    check(f"{kind}: the stack of the sleeper", "be_sleeper" in section(text, 2), text)
    check(f"{kind}: one that has not started has no stack yet",
          section(text, 3) == "not started: be_sleeper\n", text)
    check(f"{kind}: the running one has none saved", "it is running" in section(text, 5), text)
    check(f"{kind}: an ambiguous id is asked about", f"1.1, {second}.1" in section(text, 6), text)
    plain = section(text, 7)
    check(f"{kind}: afterwards bt is what it was",
          re.search(r"^#\d .*stop_here \(number=17\)", plain, re.M) and "be_running" in plain, text)


def core_of(program, folder):
    """The core file that the kernel writes when the program aborts; None when it goes elsewhere."""
    pattern = open("/proc/sys/kernel/core_pattern").read().strip()
    limit = resource.getrlimit(resource.RLIMIT_CORE)
    if pattern.startswith(("|", "/")) or limit[1] == 0:
        return None
    resource.setrlimit(resource.RLIMIT_CORE, (limit[1], limit[1]))
    subprocess.run([program, "die"], cwd=folder, stderr=subprocess.DEVNULL, timeout=60)
    resource.setrlimit(resource.RLIMIT_CORE, limit)
    return next(iter(glob.glob(f"{folder}/*")), None)


def main():
    global count
    program, weir_py = map(os.path.abspath, sys.argv[1:])
    if not shutil.which("gdb"):
        print("Bail out! gdb is missing; install the package gdb")
        return 1
    second = number_of_second_thread(program)
    commands = marked(looks(second))
    live = run_gdb(program, commands=[f"source {weir_py}", "break stop_here", "run",
                                      *commands, "echo === rest\\n", "continue"])
    check_looks("live", second, live)
    rest = section(live, "rest")
    check("live: the program goes on unharmed",
          "ended in order" in rest and "exited normally" in rest, live)
    with tempfile.TemporaryDirectory() as folder:
        core = core_of(program, folder)
        if core:
            text = run_gdb(program, core, commands=[f"source {weir_py}", *commands])
            check_looks("core", second, text)
        else:
            count += 1
            print(f"ok {count} - core # SKIP this system keeps core files elsewhere or not at all")
    print(f"1..{count}")
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
