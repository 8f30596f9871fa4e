# SPDX-License-Identifier: MIT
"""The call graph of src/, as gcc writes it with -fcallgraph-info=su,da.

Two of them: `plain` (nothing inlined or cloned, so that every function of the source is there), and
`built` (with the build's own optimization, so that the frames are the real ones).
"""

import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess

import tidy

NODE = re.compile(r'^node: \{ title: "([^"]*)" label: "([^"]*)"(.*)\}', re.M)
EDGE = re.compile(
    r'^edge: \{ sourcename: "([^"]*)" targetname: "([^"]*)" label: "([^"]*)" \}', re.M)
INDIRECT = "__indirect_call"
CLONE = re.compile(r"\.(?:part|isra|constprop|cold|lto_priv|localalias)\b.*$")


class Function:
    """A function with a body: where it is, its frame, its calls [(target, file, line)]."""

    def __init__(self, title, name, path, line, frame, dynamic):
        self.title, self.name, self.path, self.line = title, name, path, line
        self.frame, self.dynamic = frame, dynamic
        self.is_static = ":" in title
        self.calls = []


def commands(root, build):
    """[(source, directory, flags)] for the C files of src/, as compile_commands.json has them."""
    listing = build / "compile_commands.json" if build else None
    if listing is None or not listing.is_file():
        flags = ["-std=gnu2x", "-O2", "-D_GNU_SOURCE", f"-I{root}/include", f"-I{root}/src"]
        return [(p, root, flags) for p in tidy.files(root, ("src",), {".c"})]
    found = {}
    for entry in json.loads(listing.read_text(encoding="utf-8")):
        directory = pathlib.Path(entry["directory"])
        source = (directory / entry["file"]).resolve()
        if source.suffix == ".c" and source.is_relative_to(root / "src"):
            found.setdefault(source, (source, directory, usable(shlex.split(entry["command"]))))
    return list(found.values())


def usable(words):
    """A compile command's flags that concern calls and frames; no compiler, no files."""
    flags, skip = [], True
    for word in words:
        if skip:
            skip = False
        elif word in ("-o", "-MF", "-MQ", "-MT"):
            skip = True
        elif not (word.startswith(("-M", "-W", "-fsanitize", "-flto", "-fcolor"))
                  or word in ("-c", "-g", "-pipe") or not word.startswith("-")):
            flags.append(word)
    return flags


def compile_one(job):
    number, (source, directory, flags), extra, scratch = job
    output = scratch / f"{number}.s"
    command = ["gcc", *flags, *extra, "-w", "-S", "-fcallgraph-info=su,da", source, "-o", output]
    run = subprocess.run(command, cwd=directory, capture_output=True, text=True,
                         env={**os.environ, "LC_ALL": "C"})
    if run.returncode != 0:
        raise SystemExit(f"Bail out! {source} does not compile: {run.stderr.strip()[:2000]}")
    output.unlink()
    return directory, source, output.with_suffix(".ci").read_text(encoding="utf-8")


def graph(jobs, extra, scratch):
    """{title: Function}; the title of a static function is made unique by its source file."""
    functions = {}
    scratch.mkdir()
    numbered = [(n, job, extra, scratch) for n, job in enumerate(jobs)]
    with concurrent.futures.ThreadPoolExecutor(2) as workers:
        for directory, source, text in workers.map(compile_one, numbered):
            read_graph(functions, directory, source, text)
    return functions


def read_graph(functions, directory, source, text):
    def unique(title):
        return f"{source}:{title.rsplit(':', 1)[1]}" if ":" in title else title

    for title, label, rest in NODE.findall(text):
        parts = label.split("\\n")
        if "ellipse" in rest or len(parts) < 3:
            continue
        file, line, _ = parts[1].rsplit(":", 2)
        frame = re.match(r"(\d+) bytes \((.*)\)", parts[2])
        functions[unique(title)] = Function(
            unique(title), CLONE.sub("", parts[0]), (directory / file).resolve(), int(line),
            int(frame.group(1)), frame.group(2) == "dynamic")
    for caller, target, label in EDGE.findall(text):
        place = label if label.count(":") >= 2 else f"{source}:0:0"
        file, line, _ = place.rsplit(":", 2)
        functions[unique(caller)].calls.append(
            (unique(target), (directory / file).resolve(), int(line)))
