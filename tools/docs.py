#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes HTML of the pages in the tree, with a reference of the public headers (headers.py).

    tools/docs.py [DIRECTORY]     into DIRECTORY (build/docs); a broken link or an example that
                                  differs from its page is an error, told as file: what
    tools/docs.py --fill          writes the examples anew into the pages that show them whole

A page shows a whole example as a block of ```c under a line that ends in a link to it and a colon.
Every other block of ```c is to be found in an example as well, so that what readers copy has been
compiled.
"""

import html
import html.parser
import pathlib
import re
import shutil
import sys
import textwrap

import markdown

import headers

ROOT = pathlib.Path(__file__).resolve().parents[1]
# The navigation: every page of docs/ has its place here.
PAGES = {
    "weir": ["README.md", "docs/configuration.md", "docs/servers.md", "docs/http2.md",
             "docs/tls.md", "docs/reuse.md", "docs/auth.md", "docs/operating.md"],
    "libweir": ["docs/library.md", "docs/suspension.md", "docs/phases.md", "docs/subrequests.md",
                "docs/transports.md", "docs/pingora.md"],
    "The tree": ["ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "bench/README.md"],
}
SHOWN = re.compile(r"(\[examples/(\w+\.c)\]\([^)]*\):\n\n```c\n)(.*?)(```\n)", re.S)
BLOCK = re.compile(r"^```c\n(.*?)^```$", re.S | re.M)
SHELL = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="style.css">
</head>
<body>
<nav>
{nav}
</nav>
<main>
{body}
</main>
</body>
</html>
"""


def page_paths():
    """All pages that exist, by the name of their HTML."""
    listed = [path for paths in PAGES.values() for path in paths]
    listed += sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*.md")
                     if str(path.relative_to(ROOT)) not in listed)
    return {html_name(path): path for path in listed if (ROOT / path).is_file()}


def html_name(path):
    if path == "README.md":
        return "index.html"
    return path.removeprefix("docs/").removesuffix(".md").replace("/", "-") + ".html"


def slug(text, _separator):
    """A heading's anchor as the forges make it, so that links work there and here."""
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def title_of(path):
    first = (ROOT / path).read_text().lstrip().partition("\n")[0]
    return first.lstrip("# ")


class Site:
    def __init__(self, out):
        self.out = out
        self.pages = page_paths()
        self.copied = {"docs/style.css": "style.css"}
        self.errors = []

    def build(self):
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir(parents=True)
        reference = headers.pages(ROOT / "include" / "weir")
        for name, path in self.pages.items():
            self.write(name, title_of(path), self.body(path))
        for name, (title, body) in reference.items():
            self.write(name, title, body)
        for path, name in self.copied.items():
            (self.out / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, self.out / name)
        self.errors += example_errors(self.pages.values())
        self.errors += link_errors(self.out)
        self.errors += [f"{path}: not in PAGES of tools/docs.py" for path in self.pages.values()
                        if not any(path in paths for paths in PAGES.values())]

    def write(self, name, title, body):
        page = SHELL.format(title=html.escape(title), nav=self.nav(name), body=body)
        (self.out / name).write_text(page)

    def nav(self, here):
        lines = []
        groups = {group: [html_name(path) for path in paths] for group, paths in PAGES.items()}
        groups["libweir"].append("reference.html")
        for group, names in groups.items():
            lines.append(f"<h2>{group}</h2>\n<ul>")
            for name in names:
                path = self.pages.get(name)
                text = title_of(path) if path else "Reference"
                if path or name == "reference.html":
                    mark = ' aria-current="page"' if name == here else ""
                    lines.append(f'<li><a href="{name}"{mark}>{html.escape(text)}</a></li>')
            lines.append("</ul>")
        return "\n".join(lines)

    def body(self, path):
        made = markdown.markdown((ROOT / path).read_text(), extensions=["extra", "toc"],
                                 extension_configs={"toc": {"slugify": slug}}, tab_length=2)
        made = re.sub(r"<table>.*?</table>", r'<div class="wide">\g<0></div>', made, flags=re.S)
        made = re.sub(r"(?<=<pre><code>).*?(?=</code></pre>)",
                      lambda m: textwrap.dedent(m.group()), made, flags=re.S)
        return re.sub(r'(href|src)="([^"]+)"', lambda m: self.link(path, m), made)

    def link(self, path, match):
        """A link between files of the tree becomes one between files of the site."""
        kind, target = match.groups()
        if re.match(r"\w+:|#|//", target):
            return match.group()
        where, _, anchor = target.partition("#")
        full = (ROOT / path).parent.joinpath(where).resolve()
        inside = str(full.relative_to(ROOT)) if full.is_relative_to(ROOT) else ""
        name = html_name(inside)
        if name not in self.pages:
            header = re.fullmatch(r"include/weir/(\w+)\.h", inside)
            name = f"{header[1]}.h.html" if header else inside.removeprefix("docs/")
            if full.is_file() and not header:
                self.copied[inside] = name
            elif not full.is_file():
                self.errors.append(f"{path}: no such file: {target}")
        return f'{kind}="{name}{"#" + anchor if anchor else ""}"'


# --- What is checked ------------------------------------------------------------------------------

class Links(html.parser.HTMLParser):
    """The anchors of a page and where its links go."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.targets = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for key, value in attrs:
            if key == "id":
                self.anchors.add(value)
            elif key in ("href", "src") and not re.match(r"\w+:|//", value):
                self.targets.append(value)


def link_errors(out):
    pages = {path.name: Links(path.read_text()) for path in sorted(out.glob("*.html"))}
    for name, page in pages.items():
        for target in page.targets:
            where, _, anchor = target.partition("#")
            if where and not (out / where).is_file():
                yield f"{name}: broken link: {target}"
            elif anchor and anchor not in pages[where or name].anchors:
                yield f"{name}: broken link, there is no such heading: {target}"


def examples():
    return {path.name: path.read_text() for path in sorted((ROOT / "examples").glob("*.c"))}


def example_errors(paths):
    sources = examples()
    flat = "\n\0\n".join(flattened(text) for text in sources.values())
    for path in paths:
        text = (ROOT / path).read_text()
        for _, name, shown, _ in SHOWN.findall(text):
            if shown != sources.get(name):
                yield f"{path}: differs from examples/{name}; tools/docs.py --fill"
        for block in BLOCK.findall(text):
            if flattened(block) not in flat:
                yield f"{path}: in no example: {block.strip().splitlines()[0]}"


def flattened(text):
    """Without indentation: an excerpt may begin further left."""
    return "\n".join(line.strip() for line in textwrap.dedent(text).strip().splitlines())


def fill():
    sources = examples()
    for path in page_paths().values():
        text = (ROOT / path).read_text()
        filled = SHOWN.sub(lambda m: m[1] + sources.get(m[2], m[3]) + m[4], text)
        if filled != text:
            (ROOT / path).write_text(filled)
            print(f"filled {path}")


def main():
    words = sys.argv[1:]
    if words == ["--fill"]:
        fill()
        return 0
    site = Site(pathlib.Path(words[0]) if words else ROOT / "build" / "docs")
    site.build()
    for error in site.errors:
        print(error, file=sys.stderr)
    if not site.errors:
        print(f"{site.out / 'index.html'}")
    return 1 if site.errors else 0


if __name__ == "__main__":
    sys.exit(main())
