#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The checks can fail: small trees, each with one rule broken, and what the check must say of it.

A tree that breaks nothing must pass, so that a check which always fails is found out as well.
"""

import pathlib
import subprocess
import sys
import tempfile

import tidy

HERE = pathlib.Path(__file__).parent
SPDX = "/* SPDX-License-Identifier: MIT */\n"

# What every tree begins with: the macro, the place that suspends, a floor above it.
SOUND = {
    "include/weir/suspends.h": "#define WEIR_SUSPENDS\n",
    "src/co/wait.h": "#include <weir/suspends.h>\nWEIR_SUSPENDS int co_wait(int deadline);\n",
    "src/co/wait.c": '#include "co/wait.h"\n'
                     "int co_wait(int deadline)\n{\n    return deadline;\n}\n",
    "src/io/io.h": "#include <weir/suspends.h>\n"
                   "struct ops {\n    WEIR_SUSPENDS int (*recv)(int);\n    int (*look)(int);\n};\n"
                   "WEIR_SUSPENDS int io_recv(int n);\n"
                   "WEIR_SUSPENDS int io_any(const struct ops *ops, int n);\n"
                   "int io_look(const struct ops *ops, int n);\n",
    "src/io/io.c": '#include "io/io.h"\n#include "co/wait.h"\n'
                   "WEIR_SUSPENDS static int twice(int n)\n"
                   "{\n    return co_wait(n) + co_wait(n);\n}\n"
                   "int io_recv(int n)\n{\n    return twice(n);\n}\n"
                   "int io_any(const struct ops *ops, int n)\n{\n    return ops->recv(n);\n}\n"
                   "int io_look(const struct ops *ops, int n)\n{\n    return ops->look(n);\n}\n"
                   "extern const struct ops io_ops;\n"
                   "const struct ops io_ops = {.recv = io_recv};\n",
}

# (check, what is broken, {path: text added to or put in the place of the sound tree}, what is said)
BROKEN = [
    ("floors", "an include points up", {"src/base/x.c": '#include "io/io.h"\n'},
     "src/base/x.c:2: base (floor 1) includes from io (floor 3), which lies above it"),
    ("floors", "downstream sees upstream",
     {"src/downstream/x.c": '#include "upstream/pool.h"\n'}, "these two never see each other"),
    ("floors", "a unit test reaches up",
     {"tests/unit/co/test_x.c": '#include "io/io.h"\n'}, "co (floor 2) includes from io"),
    ("floors", "a file on no floor", {"src/attic/x.c": "int x;\n"}, "'attic' is not a floor"),
    ("floors", "an include from its own folder", {"src/io/x.c": '#include "io.h"\n'},
     "write it from the root src/"),
    ("floors", "a public header leans on a private one",
     {"include/weir/x.h": '#include "base/check.h"\n'}, "a public header leans on"),
    ("floors", "a public header needs POSIX",
     {"include/weir/x.h": "#include <sys/socket.h>\n"}, "a public header leans on"),
    ("floors", "epoll above io", {"src/proxy/x.c": "#include <sys/epoll.h>\n"}, "only in io"),
    ("floors", "an example uses private headers",
     {"examples/x.c": '#include "io/io.h"\n'}, "public headers only"),
    ("floors", "our own transport uses private headers",
     {"src/client/exec.c": '#include "base/check.h"\n'}, "the public headers only"),
    ("shape", "no SPDX line", {"src/io/x.c": None}, "src/io/x.c:1: this line must be"),
    ("shape", "a long file", {"src/io/x.c": "int x;\n" * 601}, "602 lines, at most 600"),
    ("shape", "a long line", {"src/io/x.c": "/*" + "x" * 97 + "*/\n"}, "101 columns"),
    ("shape", "a tab", {"src/io/x.c": "int x(void)\n{\n\treturn 1;\n}\n"}, "x.c:4: a tab"),
    ("shape", "a long function",
     {"src/io/x.c": "int x(int n)\n{\n" + "    n++;\n" * 67 + "    return n;\n}\n"},
     "x has 71 lines, at most 70"),
    ("shape", "a long test", {"tests/x.c": "TEST(slow)\n{\n" + "    CHECK(1);\n" * 70 + "}\n"},
     "slow has 73 lines"),
    ("shape", "an empty name",
     {"src/io/x.c": "int x(void *parse_ctx);\n"}, "'parse_ctx': say what"),
    ("shape", "an empty file name", {"src/io/util.h": "int x;\n"}, "the file's name 'util'"),
    ("shape", "a banned call", {"src/io/x.c": "void x(char *a)\n{\n    strcpy(a, a);\n}\n"},
     "x.c:4: strcpy(): it writes past the end"),
    ("shape", "the heap on the request's path",
     {"src/proxy/x.c": "void *x(void)\n{\n    return malloc(1);\n}\n"},
     "malloc(): memory comes from"),
    ("shape", "#if in a function",
     {"src/io/x.c": "int x(void)\n{\n#ifdef A\n    return 1;\n#endif\n    return 0;\n}\n"},
     "x.c:4: #ifdef inside x"),
    ("shape", "two thread-locals",
     {"src/io/x.c": "static _Thread_local int a;\n", "src/co/x.c": "static __thread int b;\n"},
     "found in 2 files"),
    ("shape", "a typedef'd struct", {"src/io/x.h": "typedef struct x { int a; } x;\n"},
     "structs are not typedef'd"),
    ("shape", "goto back",
     {"src/io/x.c": "int x(int n)\n{\nout:\n    if (n--)\n        goto out;\n    return n;\n}\n"},
     "goto out: the only goto"),
    ("headers", "a public header that is not C++",
     {"include/weir/x.h": "extern int *class;\n"}, "include/weir/x.h:1: does not compile alone"),
    ("headers", "a public header that is not C11",
     {"include/weir/x.h": "[[nodiscard]] int x(void);\n"}, "does not compile alone"),
    ("headers", "a header that needs another",
     {"src/io/x.h": "size_t x(void);\n"}, "unknown type name 'size_t'"),
    ("headers", "a header without a guard",
     {"src/io/x.h": "struct x {\n    int a;\n};\n"}, "redefinition"),
    ("suspends", "an unmarked function suspends",
     {"src/io/x.c": '#include "io/io.h"\nint x(int n);\n'
                    "int x(int n)\n{\n    return io_recv(n);\n}\n"},
     "x may suspend (x -> io_recv) and does not say so"),
    ("suspends", "an unmarked function suspends by way of another",
     {"src/io/x.c": '#include "io/io.h"\nint x(int n);\nstatic int y(int n)\n{\n'
                    "    return io_recv(n);\n}\nint x(int n)\n{\n    return y(n);\n}\n"},
     "x may suspend (x -> y -> io_recv)"),
    ("suspends", "an unmarked function calls a marked slot",
     {"src/io/x.c": '#include "io/io.h"\nint x(const struct ops *ops);\n'
                    "int x(const struct ops *ops)\n{\n    return ops->recv(1);\n}\n"},
     "slot ops.recv"),
    ("suspends", "a marked slot behind a macro",
     {"src/io/x.c": '#include "io/io.h"\nint x(const struct ops *ops);\n#define TRY(call) (call)\n'
                    "int x(const struct ops *ops)\n{\n    return TRY(ops->recv(1));\n}\n"},
     "slot ops.recv"),
    ("suspends", "slots of one name, told apart by the receiver",
     {"src/io/x.c": '#include "io/io.h"\nstruct other {\n    int (*recv)(int);\n};\n'
                    "struct holder {\n    const struct ops *ops;\n"
                    "    const struct other *other;\n};\n"
                    "int x(const struct holder *h);\nint x(const struct holder *h)\n{\n"
                    "    int n = h->other->recv(1);\n    return h->ops->recv(n);\n}\n"},
     "x may suspend (x -> slot ops.recv at line 14)"),
    ("suspends", "a suspending function in an unmarked slot",
     {"src/io/x.c": '#include "io/io.h"\nextern const struct ops x;\n'
                    "const struct ops x = {.look = io_recv};\n"},
     "io_recv suspends, and goes into ops.look"),
    ("suspends", "marked in the source only",
     {"src/io/x.c": '#include "io/io.h"\nint x(int n);\nWEIR_SUSPENDS int x(int n)\n{\n'
                    "    return io_recv(n);\n}\n"},
     "x is marked here and not in its header"),
    ("suspends", "the root is not marked",
     {"src/co/wait.h": "int co_wait(int deadline);\n"}, "co_wait is not marked"),
    ("suspends", "too deep",
     {"src/io/x.h": "#include <weir/suspends.h>\nWEIR_SUSPENDS int x(int n);\n",
      "src/io/x.c": '#include "io/x.h"\n#include "io/io.h"\nint x(int n)\n{\n'
                    "    volatile char big[25000];\n    big[n] = 1;\n"
                    "    return io_recv(big[0]);\n}\n"},
     "bytes of stack, at most 24576: x"),
    ("suspends", "too deep through a slot",
     {"src/io/x.c": '#include "io/io.h"\nstatic int deep(int n)\n{\n    volatile char big[25000];\n'
                    "    big[n] = 1;\n    return big[0];\n}\nextern const struct ops x;\n"
                    "const struct ops x = {.recv = deep};\n"},
     "io_any -> deep"),
    ("suspends", "recursion",
     {"src/io/x.h": "#include <weir/suspends.h>\nWEIR_SUSPENDS int x(int n);\n",
      "src/io/x.c": '#include "io/x.h"\n#include "io/io.h"\n'
                    "int x(int n)\n{\n    return n ? x(io_recv(n)) * x(n - 1) : io_recv(n);\n}\n"},
     "calls itself on a coroutine's stack: x -> x"),
    ("suspends", "a frame without a fixed size",
     {"src/io/x.c": "int x(int n);\nint x(int n)\n{\n    volatile char v[n];\n    v[0] = 1;\n"
                    "    return v[n - 1];\n}\n"},
     "x has a frame whose size is not fixed"),
    ("tally", "a run that left no file", "release meson /nonexistent 0\n", "0 passed, 1 failed"),
]


def guarded(path, text):
    if not path.endswith(".h") or path == "src/io/x.h" and "struct x {\n" in text:
        return text
    guard = path.upper().replace("/", "_").replace(".", "_")
    return f"#ifndef {guard}\n#define {guard}\n{text}#endif\n"


def plant(root, files):
    for path, text in {**SOUND, **files}.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("int x;\n" if text is None else SPDX + guarded(path, text))


def run(check, files):
    """(exit status, output) of one check over the sound tree with these files in it."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        if check == "tally":
            (root / "runs").write_text(files)
            command = [sys.executable, HERE.parent / "tally.py", root / "runs"]
        else:
            plant(root, files)
            command = [sys.executable, HERE / f"{check}.py", "--root", root]
        done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


# What must pass: the sound tree, and what a hasty check would take for a breach.
SOUND_TREES = [
    ("floors", "a sound tree", {}),
    ("shape", "a sound tree", {}),
    ("headers", "a sound tree", {}),
    ("suspends", "a sound tree", {}),
    ("shape", "banned words in comments, strings, and members of libraries",
     {"src/io/x.c": '/* strcpy() into ctx */\nint x(struct epoll_event *e);\n'
                    "int x(struct epoll_event *e)\n{\n"
                    '    return e->data.fd + y("sprintf(data)", \'"\', e->data.u32);\n}\n'}),
    ("suspends", "an unmarked slot that has a marked one's name",
     {"src/io/x.c": '#include "io/io.h"\nstruct other {\n    int (*recv)(int);\n};\n'
                    "struct holder {\n    const struct other *other;\n};\n"
                    "int x(const struct holder *h);\nint x(const struct holder *h)\n{\n"
                    "    return h->other->recv(1);\n}\n"}),
]


def complaint(check, files, said):
    status, output = run(check, files)
    if said is None:
        return None if status == 0 else f"must pass, and says: {output}"
    if status == 0:
        return "passes, and must not"
    return None if said in output else f"must say '{said}', and says: {output}"


def main():
    sound = [(check, name, files, None) for check, name, files in SOUND_TREES]
    return tidy.report(HERE, [
        (f"{check}: {name}", [(HERE / f"{check}.py", 1, text.replace("\n", "\n#   "))]
         if (text := complaint(check, files, said)) else [])
        for check, name, files, said in sound + BROKEN
    ])


if __name__ == "__main__":
    sys.exit(main())
