# SPDX-License-Identifier: MIT
"""The Prometheus text format, read strictly: what a scraper would refuse fails here."""

import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\S+)\Z")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|\Z)')
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}


class Metrics:
    """`samples`: (name, frozenset of label pairs) -> value; `kinds`: name -> kind."""

    def __init__(self, text):
        self.samples, self.kinds, self.help = {}, {}, {}
        assert text.endswith("\n"), "the last line has no end"
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                assert name not in self.kinds, f"a second TYPE line of {name}"
                self.kinds[name] = kind
            elif line.startswith("# HELP "):
                _, _, name, words = line.split(" ", 3)
                assert name not in self.help, f"a second HELP line of {name}"
                self.help[name] = words
            elif line and not line.startswith("#"):
                self.add(line)

    def add(self, line):
        match = SAMPLE.match(line)
        assert match, f"not a sample: {line!r}"
        name, labels, value = match.groups()
        pairs, at = [], 0
        while labels and at < len(labels):
            label = LABEL.match(labels, at)
            assert label, f"bad labels: {line!r}"
            pairs.append(label.groups())
            at = label.end()
        key = name, frozenset(pairs)
        assert key not in self.samples, f"twice: {line!r}"
        assert len(dict(pairs)) == len(pairs), f"a label twice: {line!r}"
        assert self.family(name), f"no TYPE line before {line!r}"
        self.samples[key] = float(value)

    def family(self, name):
        """The metric that a sample belongs to."""
        for kind, suffixes in SUFFIXES.items():
            for suffix in suffixes:
                base = name[:len(name) - len(suffix)]
                if name.endswith(suffix) and self.kinds.get(base) == kind:
                    return base
        return None

    def value(self, name, **labels):
        """The sum over all samples of that name that have these labels; 0 if there are none."""
        wanted = frozenset(labels.items())
        return sum(value for (sample, pairs), value in self.samples.items()
                   if sample == name and wanted <= pairs)

    def by(self, name, label):
        """The non-zero sums of a metric for each value of one label."""
        sums = {}
        for (sample, pairs), value in self.samples.items():
            if sample == name and value:
                key = dict(pairs)[label]
                sums[key] = sums.get(key, 0) + value
        return sums
