#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Who suspends says so, and no coroutine's stack can run out.

WEIR_SUSPENDS stands in front of every prototype (static functions: definition) that may suspend. It
also marks the slots of vtables: a function pointer in a struct whose call may suspend. This test
reads gcc's call graph of src/ and fails when
  - an unmarked function calls, over whatever way, a marked function or a marked slot;
  - a marked function is put into a slot that is not marked: callers could not know;
  - a mark stands on one of the declarations of a function only, and not on the one in its header;
  - the deepest way down from a marked function needs more stack than STACK_BYTES, or has no bound.

What gcc cannot see is an indirect call's target. The text at the place of such a call gives the
slot, the initializers of the struct give the functions; a call through anything else (a callback)
counts as UNKNOWN_BYTES deep and as not suspending: library callbacks record and wake.
"""

import collections
import functools
import pathlib
import re
import sys
import tempfile

import callgraph
import tidy

STACK_BYTES = 24 * 1024
UNKNOWN_BYTES = 2 * 1024  # a leaf without source: libc, the kernel's entry, a callback
ROOT = "co_wait"  # src/co/wait.c: the one place that suspends

# Functions that may call what suspends without suspending their caller, and why.
STARTERS = {}

# Functions on a coroutine's way that call themselves: how deep at most, and what bounds it.
TLS_OVER_TLS = (2, "a stream over a stream: TLS runs over a socket, once or at most twice")
RECURSION = {name: TLS_OVER_TLS for name in (
    "flush", "flush_now", "tls_recv", "tls_look", "tls_peer_ended", "tls_watch", "tls_shut",
    "tls_close", "tls_peer", "tls_detach")}
SUBREQUESTS = (5, "a subrequest may be made by another, weir/subrequest.h says how deep")
RECURSION.update({name: SUBREQUESTS for name in (
    "door_recv_piece", "sub_piece_now", "sub_recv_piece", "sub_flush", "sub_send_piece",
    "give_head", "relay_piece")})

MARK = re.compile(r"\bWEIR_SUSPENDS\b")
STRUCT = re.compile(r"\bstruct\s+(\w+)\s*\{")
MEMBER_STRUCT = re.compile(r"^\s*(?:const\s+)?struct\s+(\w+)\s*[\s*]\s*(\w+)\s*(?:\[.*)?$", re.S)
SLOT_CALL = re.compile(r"((?:\w+\s*(?:\[[^\]]*\]\s*)?(?:->|\.)\s*)+|\)\s*->\s*)(\w+)\s*\)?\s*\(")
FIELD = re.compile(r"\(\s*\*\s*(?:const\s+)?(\w+)\s*\)\s*\(")
INITIALIZER = re.compile(r"\bstruct\s+(\w+)\s+\w+(?:\[\w*\])?\s*=\s*\{"
                         r"|\(\s*(?:const\s+)?struct\s+(\w+)\s*\)\s*\{")
MEMBER = re.compile(r"\.\s*(\w+)\s*=\s*&?\s*(\w+)\s*(?=[,}])")


def declared_name(code, start):
    """The function that the declaration at `start` declares; None for a slot or something else."""
    for match in re.compile(r"([A-Za-z_]\w*)?\s*(\()|([;{])").finditer(code, start):
        name = match.group(1)
        if match.group(3) or not name:
            return None
        if not (name.startswith("__attribute") or name.isupper()):
            return name
    return None


class Sources:
    """What the text of src/ and include/ tells: marks, slots, and what is put into slots."""

    def __init__(self, root):
        self.root = root
        self.code = {p.resolve(): tidy.without_directives(tidy.blank(tidy.read(p)))
                     for p in tidy.files(root, ("include", "src"), tidy.C_SUFFIXES)}
        self.marked_in_header, self.marked_in = set(), set()
        self.slots = {}  # (struct, field) -> marked
        self.members = {}  # (struct, field) -> the struct that it is or points to
        self.fillers = collections.defaultdict(set)  # (struct, field) -> function names
        self.filled_at = []  # (path, line, struct, field, function)
        for path, code in self.code.items():
            self.read_marks(path, code)
            self.read_slots(code)
            self.read_fillers(path, code)

    def read_marks(self, path, code):
        for match in MARK.finditer(code):
            name = declared_name(code, match.end())
            if name:
                self.marked_in.add((path, name))
                if path.suffix == ".h":
                    self.marked_in_header.add(name)

    def read_slots(self, code):
        for match in STRUCT.finditer(code):
            end = tidy.matching(code, match.end() - 1, "{", "}")
            for declaration in code[match.end():end].split(";"):
                field, struct = FIELD.search(declaration), MEMBER_STRUCT.match(declaration)
                if struct:
                    self.members[match.group(1), struct.group(2)] = struct.group(1)
                if field:
                    self.slots[match.group(1), field.group(1)] = bool(MARK.search(declaration))

    def read_fillers(self, path, code):
        for match in INITIALIZER.finditer(code):
            struct = match.group(1) or match.group(2)
            end = tidy.matching(code, match.end() - 1, "{", "}")
            for member in MEMBER.finditer(code, match.end(), end + 1):
                field, function = member.groups()
                if (struct, field) in self.slots:
                    self.fillers[struct, field].add(function)
                    line = tidy.line_of(code, member.start())
                    self.filled_at.append((path, line, struct, field, function))

    def is_marked(self, function):
        if function.is_static:
            return (function.path, function.name) in self.marked_in
        return (function.name in self.marked_in_header
                or (function.path, function.name) in self.marked_in)

    def slots_called(self, path, line):
        """The slots that the indirect calls of the statement on this line may go through."""
        code = self.code.get(path)
        if code is None:
            return set()
        start = 0
        for _ in range(line - 1):
            start = code.index("\n", start) + 1
        statement = code[start:start + 2000].split(";")[0]
        found = set()
        for receiver, field in SLOT_CALL.findall(statement):
            names = re.findall(r"\w+", re.sub(r"\[[^\]]*\]", "", receiver))
            owners = {struct for struct, name in self.slots if name == field}
            struct = self.struct_of(code[:start], names)
            found |= {(s, field) for s in (owners & {struct} or owners)}
        return found

    def struct_of(self, before, names):
        """The struct that a->b->c is, by the nearest declaration of a; None if unclear."""
        if not names:
            return None
        declarations = re.findall(rf"\bstruct\s+(\w+)\s*(?:const\b)?[\s*]*\b{names[0]}\b", before)
        struct = declarations[-1] if declarations else None
        for name in names[1:]:
            struct = self.members.get((struct, name))
        return struct


class Marks:
    """The rules about marks, over the plain graph."""

    def __init__(self, sources, functions):
        self.sources, self.functions = sources, functions

    @functools.cache
    def way_to_suspend(self, title):
        """The calls from a function to the first marked thing: ['io_recv'], or () if none."""
        return self.search(title, frozenset())

    def search(self, title, seen):
        function = self.functions[title]
        deeper = []
        for target, path, line in function.calls:
            if target == callgraph.INDIRECT:
                for slot in self.sources.slots_called(path, line):
                    if self.sources.slots[slot]:
                        return (f"slot {slot[0]}.{slot[1]} at line {line}",)
            elif target in self.functions and target not in seen:
                if self.sources.is_marked(self.functions[target]):
                    return (self.functions[target].name,)
                deeper.append(target)
        for target in deeper:
            way = self.search(target, seen | {title, target})
            if way:
                return (self.functions[target].name,) + way
        return ()

    def unmarked(self):
        for title, function in self.functions.items():
            if self.sources.is_marked(function) or function.name in STARTERS:
                continue
            way = self.way_to_suspend(title)
            if way:
                yield (function.path, function.line,
                       f"{function.name} may suspend ({' -> '.join((function.name,) + way)}) and "
                       "does not say so: write WEIR_SUSPENDS in front of it, or do not call that")

    def hidden(self):
        for function in self.functions.values():
            if function.is_static or function.name in self.sources.marked_in_header:
                continue
            if (function.path, function.name) in self.sources.marked_in:
                yield (function.path, function.line,
                       f"{function.name} is marked here and not in its header, where callers look")

    def misplaced(self):
        marked = {f.name for f in self.functions.values() if self.sources.is_marked(f)}
        for path, line, struct, field, function in self.sources.filled_at:
            if function in marked and not self.sources.slots[struct, field]:
                yield (path, line,
                       f"{function} suspends, and goes into {struct}.{field}, which is not marked: "
                       "mark the slot, or put another function there")

    def root(self):
        names = {f.name: f for f in self.functions.values()}
        if ROOT not in names:
            yield (self.sources.root / "src/co/wait.c", 1,
                   f"{ROOT} is gone: what suspends now? say it to this test")
        elif not self.sources.is_marked(names[ROOT]):
            yield names[ROOT].path, names[ROOT].line, f"{ROOT} is not marked"


class Depth:
    """The rules about stacks, over the built graph."""

    def __init__(self, sources, functions):
        self.sources, self.functions = sources, functions
        self.by_name = collections.defaultdict(list)
        for title, function in functions.items():
            self.by_name[function.name].append(title)
        self.known, self.open, self.unbounded = {}, [], {}

    def targets(self, function):
        for target, path, line in function.calls:
            if target != callgraph.INDIRECT:
                yield target
                continue
            fillers = {name for slot in self.sources.slots_called(path, line)
                       for name in self.sources.fillers[slot]}
            yield from (t for name in fillers for t in self.by_name[name])
            if not fillers:
                yield callgraph.INDIRECT

    def deepest(self, title):
        """(bytes, [names]) of the deepest way down from a function, itself included."""
        if title not in self.functions:
            return UNKNOWN_BYTES, [title]
        if title in self.known:
            return self.known[title]
        function = self.functions[title]
        self.open.append(title)
        best, way = 0, []
        for target in set(self.targets(function)):
            if target in self.open:
                circle = [self.functions[t].name for t in self.open[self.open.index(target):]]
                if not set(circle) & set(RECURSION):
                    self.unbounded[target] = circle + [circle[0]]
                continue
            below, names = self.deepest(target)
            if below > best:
                best, way = below, names
        self.open.pop()
        times = RECURSION.get(function.name, (1, ""))[0]
        self.known[title] = (function.frame * times + best, [function.name] + way)
        return self.known[title]

    def roots(self):
        return [(t, f) for t, f in self.functions.items() if self.sources.is_marked(f)]

    def too_deep(self):
        for title, function in self.roots():
            depth, way = self.deepest(title)
            if depth > STACK_BYTES:
                yield (function.path, function.line,
                       f"needs {depth} bytes of stack, at most {STACK_BYTES}: {' -> '.join(way)}")

    def without_bound(self):
        for title, _ in self.roots():
            self.deepest(title)
        for title, circle in self.unbounded.items():
            function = self.functions[title]
            yield (function.path, function.line,
                   f"calls itself on a coroutine's stack: {' -> '.join(circle)}; write a loop, or "
                   "enter the bound in RECURSION of tests/tidy/suspends.py")

    def dynamic(self):
        for function in self.functions.values():
            if function.dynamic:
                yield (function.path, function.line,
                       f"{function.name} has a frame whose size is not fixed")

    def tell_worst(self):
        worst = max((self.deepest(title) for title, _ in self.roots()), default=(0, []))
        print(f"# deepest: {worst[0]} bytes: {' -> '.join(worst[1])}")


def main():
    options = tidy.arguments(__doc__)
    root = options.root.resolve()
    jobs = callgraph.commands(root, options.build)
    if not jobs:
        print("Bail out! no source of src/ is known to the build")
        return 1
    sources = Sources(root)
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        plain = callgraph.graph(jobs, ["-O0"], scratch / "plain")
        built = callgraph.graph(jobs, [], scratch / "built")
    marks, depth = Marks(sources, plain), Depth(sources, built)
    status = tidy.report(root, [
        (f"{ROOT} is there and marked", list(marks.root())),
        ("who may suspend says so", list(marks.unmarked())),
        ("marks stand in the header", list(marks.hidden())),
        ("suspending functions go into marked slots", list(marks.misplaced())),
        ("no recursion without a bound on a coroutine's stack", list(depth.without_bound())),
        (f"no way down needs more than {STACK_BYTES} bytes", list(depth.too_deep())),
        ("every frame has a fixed size", list(depth.dynamic())),
    ])
    depth.tell_worst()
    return status


if __name__ == "__main__":
    sys.exit(main())
