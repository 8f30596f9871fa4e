#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes a file into a C array: embed.py INPUT OUTPUT NAME HEADER"""

import pathlib
import sys


def literal(line):
    """Bytes as a C string. Octal escapes end after three digits, others may not."""
    return "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\?' else f"\\{byte:03o}"
                   for byte in line)


def main():
    source, output, name, header = sys.argv[1:]
    content = pathlib.Path(source).read_bytes()
    lines = [f'    "{literal(line)}"' for line in content.splitlines(keepends=True)]
    pathlib.Path(output).write_text(
        f'#include "{header}"\n\nconst char {name}[] =\n' + "\n".join(lines) + ";\n"
        f"const size_t {name}_bytes = sizeof {name} - 1;\n")


if __name__ == "__main__":
    main()
