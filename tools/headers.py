# SPDX-License-Identifier: MIT
"""The reference: what the public headers declare, with the comments that stand before it.

A comment belongs to the declarations that follow it without a blank line. What stands in front of
the first declaration of a header is about the whole of it. Lines of a comment that are indented
stay as they are.
"""

import html
import re
import textwrap

ORDER = ["weir", "loop", "peer", "connector", "message", "server", "proxy", "subrequest",
         "transport", "main", "log", "err", "time", "slice", "suspends"]
LEFT_OUT = {"api"}  # nothing for a reader
FOR_COMPILERS = {"WEIR_MUST_USE"}
# C's half of what C and C++ write differently.
CXX = re.compile(r"^#ifdef __cplusplus\n(?:(?!#endif).)*?^#else\n(.*?)^#endif\n", re.S | re.M)
TOKEN = re.compile(r"""
    (?P<comment>/\*.*?\*/)
  | (?P<define>^\#define[ ](?P<macro>WEIR_\w+)(?:\([^)]*\))?(?:[^\n\\]|\\\n)*)
  | (?P<directive>^\#(?:[^\n\\]|\\\n)*)
  | (?P<blank>\n[ \t]*(?=\n))
  | (?P<frame>WEIR_BEGIN|WEIR_END|extern\ "C"\ \{\n|^\}\n)
  | (?P<start>[A-Za-z])
""", re.S | re.M | re.X)
ROW = re.compile(r'^X\((\w+), "(\w+)", (\d+), (\w+), "[^"]*", "([^"]*)"\)$', re.M)


class Group:
    """A comment and what it speaks of."""

    def __init__(self, comment=""):
        self.comment = comment
        self.declarations = []


def declaration_end(text, start):
    """Behind the ';' of what begins there; an inline function ends with its '}'."""
    depth = 0
    for match in re.compile(r"/\*.*?\*/|[{};]", re.S).finditer(text, start):
        depth += {"{": 1, "}": -1}.get(match.group(), 0)
        inline = text.startswith("static inline", start)
        if depth == 0 and match.group() == ("}" if inline else ";"):
            return match.end()
    raise ValueError(f"no end: {text[start:start + 60]!r}")


def prose_of(comment):
    lines = [re.sub(r"^\s*\*?( |$)", "", line) for line in comment[2:-2].splitlines()]
    return "\n".join(lines).strip("\n").strip(" ")


def groups(text):
    """The groups of a header in their order."""
    made, position = [Group()], 0
    while match := TOKEN.search(text, position):
        position = match.end()
        kind = match.lastgroup if match.lastgroup != "macro" else "define"
        if kind == "comment":
            if not match.group().startswith("/* SPDX"):
                made.append(Group(prose_of(match.group())))
        elif kind == "blank":
            made.append(Group())
        elif kind == "define":
            line, _, comment = match.group().partition("/*")
            if not match["macro"].endswith("_H") and match["macro"] not in FOR_COMPILERS:
                made[-1].declarations.append(line.strip() + ("  /*" + comment if comment else ""))
        elif kind == "start":
            position = declaration_end(text, match.start())
            made[-1].declarations.append(text[match.start():position])
    return [group for group in made if group.comment or group.declarations]


def name_of(declaration):
    """What it declares: a function, a type of functions, a struct, an enum, a macro."""
    for pattern in (r"#define (\w+)", r"(?:struct|enum)(?: WEIR_MUST_USE)? (\w+)(?: \{|;)",
                    r"\b(weir_\w+)\("):
        if match := re.match(r"(?:WEIR_SUSPENDS )?" + pattern, declaration):
            return match[1]
    match = re.search(r"\b(weir_\w+)\(", declaration)
    return match[1] if match else None


def shown(declaration):
    """As a reader wants it: without what is for the compiler, in lines of one width."""
    text = re.sub(r"WEIR_API\s+|WEIR_MUST_USE\s+", "", declaration)
    if text.startswith(("#define", "struct", "enum {")) or re.match(r"enum \w+ \{", text):
        return text
    text = re.sub(r"^(typedef )?WEIR_SUSPENDS\s+", r"\1", text)
    text = re.sub(r"^static inline ", "", text).partition("\n{")[0].rstrip(";") + ";"
    text = " ".join(text.split()).replace("( ", "(")
    return "\n".join(textwrap.wrap(text, 88, subsequent_indent="    ", break_long_words=False))


def suspends(declaration):
    return re.match(r"(typedef )?WEIR_SUSPENDS\b", declaration) is not None


class Reference:
    def __init__(self, folder):
        self.headers = {name: groups(CXX.sub(r"\1", (folder / f"{name}.h").read_text()))
                        for name in ORDER}
        self.rows = ROW.findall((folder / "err.def").read_text())
        self.places = {f"WEIR_E_{row[0]}": f"err.h.html#WEIR_E_{row[0]}" for row in self.rows}
        for header, made in self.headers.items():
            for declaration in (d for group in made for d in group.declarations):
                name = name_of(declaration)
                whole = "(" in declaration or "{" in declaration or "#define" in declaration
                if name and (whole or name not in self.places):
                    self.places[name] = f"{header}.h.html#{name}"

    def linked(self, text, but=None):
        """Names that the headers declare lead to where they do."""
        def link(match):
            word = match.group()
            place = self.places.get("WEIR_E" + word if word.startswith("_") else word)
            if word.startswith("docs/"):
                place = word.removeprefix("docs/").replace(".md", ".html")
            return f'<a href="{place}">{word}</a>' if place and word != but else word
        # The second of several errors is written without what all begin with: _CANCELED.
        return re.sub(r"\b(?:weir|WEIR)_\w+\b|(?<!\w)_[A-Z]\w+|docs/\w+\.md", link,
                      html.escape(text, quote=False))

    def prose(self, text):
        made = []
        for paragraph in re.split(r"\n\s*\n", text):
            for fixed, lines in runs(paragraph.splitlines()):
                lines = textwrap.dedent("\n".join(lines)).splitlines()
                kind, joined = ("pre", "\n") if fixed else ("p", " ")
                made.append(f"<{kind}>{self.linked(joined.join(lines))}</{kind}>")
        return "\n".join(made)

    def declaration(self, declaration, seen):
        name = name_of(declaration)
        anchor = f' id="{name}"' if name and name not in seen and \
            self.places.get(name, "").endswith(f"#{name}") else ""
        seen.add(name)
        mark = '<span class="suspends">suspends</span>' if suspends(declaration) else ""
        return f"<pre{anchor}>{mark}{self.linked(shown(declaration), name)}</pre>"

    def page(self, header):
        seen = set()
        made = [f"<h1>{header}.h</h1>",
                f"<p><code>#include &lt;weir/{header}.h&gt;</code></p>"]
        for group in self.headers[header]:
            if section := re.match(r"-+ (.*?) -+", group.comment):
                made.append(f"<h2>{html.escape(section[1])}</h2>")
                continue
            shown_here = [self.declaration(each, seen) for each in group.declarations]
            shown_here.append(self.prose(group.comment))
            made += ["<section>", *shown_here, "</section>"] if group.declarations else shown_here
        if header == "err":
            made.append(self.errors())
        return "\n".join(made)

    def errors(self):
        rows = ["<h2>Every error</h2>", '<div class="wide"><table>',
                "<tr><th>error</th><th>name</th><th>status</th><th>try again</th>"
                "<th>what it says</th></tr>"]
        for name, word, status, retry, text in self.rows:
            rows.append(f'<tr id="WEIR_E_{name}"><td><code>WEIR_E_{name}</code></td>'
                        f"<td>{word}</td><td>{status if status != '0' else '–'}</td>"
                        f"<td>{retry.lower().replace('_', ' ')}</td><td>{text}</td></tr>")
        return "\n".join(rows + ["</table></div>"])

    def index(self):
        made = ["<h1>Reference</h1>", "<p>What the public headers declare. A function that is "
                'marked <span class="suspends">suspends</span> may let others run before it '
                'returns: see <a href="suspension.html">Suspension</a>.</p>']
        for header in ORDER:
            functions = [d for group in self.headers[header] for d in group.declarations
                         if "WEIR_API" in d]
            made.append(f'<h2><a href="{header}.h.html">{header}.h</a></h2>\n<ul class="names">')
            for function in functions:
                name = name_of(function)
                mark = ' <span class="suspends">suspends</span>' if suspends(function) else ""
                made.append(f'<li><a href="{self.places[name]}">{name}</a>{mark}</li>')
            made.append("</ul>")
        return "\n".join(made)


def runs(lines):
    """Neighbouring lines that are indented, or are not."""
    made = []
    for line in lines:
        fixed = line.startswith("  ")
        if not made or made[-1][0] != fixed:
            made.append((fixed, []))
        made[-1][1].append(line if fixed else line.strip())
    return made


def pages(folder):
    """The reference as name of the HTML -> (title, body)."""
    missing = {path.stem for path in folder.glob("*.h")} - set(ORDER) - LEFT_OUT
    assert not missing, f"not in ORDER of tools/headers.py: {missing}"
    reference = Reference(folder)
    made = {f"{header}.h.html": (f"{header}.h", reference.page(header)) for header in ORDER}
    return {"reference.html": ("Reference", reference.index()), **made}
