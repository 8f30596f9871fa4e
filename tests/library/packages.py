#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The Debian packages: what lies in each, and whether it works, unpacked side by side.

usage: packages.py FOLDER
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import installed

# Every one of these must be in the package, and its libraries and programs in no other one.
CONTENTS = {
    "weir": ["usr/bin/weir", "etc/weir/weir.yaml", r"(usr/)?lib/systemd/system/weir\.service",
             r"usr/share/man/man1/weir\.1\.gz", r"usr/share/man/man5/weir\.yaml\.5\.gz",
             "usr/share/doc/weir/copyright"],
    "libweir0": [r"usr/lib/[\w-]+/libweir\.so\.0", r"usr/lib/[\w-]+/libweir\.so\.0\.[\d.]+",
                 "usr/share/doc/libweir0/copyright"],
    "libweir-dev": [r"usr/include/weir/weir\.h", r"usr/include/weir/err\.def",
                    r"usr/lib/[\w-]+/libweir\.so", r"usr/lib/[\w-]+/libweir\.a",
                    r"usr/lib/[\w-]+/pkgconfig/libweir\.pc",
                    r"usr/lib/[\w-]+/libweir-main\.a", r"usr/lib/[\w-]+/pkgconfig/weir-main\.pc",
                    r"usr/share/man/man3/libweir\.3\.gz", "usr/share/doc/libweir-dev/copyright"],
}


class Packages:
    def __init__(self, folder, unpacked):
        self.unpacked = unpacked
        self.changes = next(pathlib.Path(folder).glob("weir_*.changes"))
        self.files, self.fields = {}, {}
        for name in CONTENTS:
            found = list(pathlib.Path(folder).glob(f"{name}_*.deb"))
            assert len(found) == 1, f"{name}: {found}"
            listed = installed.run("dpkg", "-c", found[0])
            self.files[name] = re.findall(r"^[-l].* \./(\S+?)(?: -> .*)?$", listed, re.M)
            self.fields[name] = installed.run("dpkg", "-f", found[0])
            installed.run("dpkg", "-x", found[0], unpacked)

    def lacks(self, name):
        return [pattern for pattern in CONTENTS[name]
                if not any(re.fullmatch(pattern, file) for file in self.files[name])]


def each_has_its_files(packages):
    lacking = {name: packages.lacks(name) for name in CONTENTS if packages.lacks(name)}
    assert not lacking, lacking


def no_file_is_in_two(packages):
    everything = sum(packages.files.values(), [])
    twice = {file for file in everything if everything.count(file) > 1}
    assert not twice, twice


def versions_agree(packages):
    version = re.search(r"version: '(.*)'", (installed.ROOT / "meson.build").read_text()).group(1)
    for name, fields in packages.fields.items():
        assert f"\nVersion: {version}-" in fields, f"{name} is not of {version}:\n{fields}"


def program_needs_no_libweir(packages):
    assert "libweir0" not in packages.fields["weir"], packages.fields["weir"]


def configuration_is_good(packages):
    root = pathlib.Path(packages.unpacked)
    installed.run(root / "usr/bin/weir", "-t", "-c", root / "etc/weir/weir.yaml")


def unit_is_good(packages):
    unit, = pathlib.Path(packages.unpacked).glob("**/system/weir.service")
    if not shutil.which("systemd-analyze"):
        raise installed.Skip("systemd-analyze is missing")
    said = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], text=True,
                          capture_output=True)
    # The program is not installed where the unit looks for it.
    wrong = [line for line in said.stderr.splitlines()
             if "weir.service" in line and "is not executable" not in line]
    assert not wrong, wrong


# Nobody uploads these yet, so there is no address and no bug to close.
LINTIAN_ALLOWED = "bogus-mail-host|initial-upload-closes-no-bugs"


def lintian_is_content(packages):
    if not shutil.which("lintian"):
        raise installed.Skip("lintian is missing")
    said = subprocess.run(["lintian", "--allow-root", packages.changes], text=True,
                          capture_output=True)
    wrong = [line for line in re.findall("^[EW]: .*", said.stdout, re.M)
             if not re.search(LINTIAN_ALLOWED, line)]
    assert not wrong, wrong


CHECKS = [each_has_its_files, no_file_is_in_two, versions_agree, program_needs_no_libweir,
          configuration_is_good, unit_is_good, lintian_is_content]


def main():
    with tempfile.TemporaryDirectory() as unpacked, tempfile.TemporaryDirectory() as work:
        packages = Packages(sys.argv[1], unpacked)
        tree = installed.Tree(unpacked, work)
        return installed.report([(check, packages) for check in CHECKS] +
                                [(check, tree) for check in installed.CHECKS])


if __name__ == "__main__":
    sys.exit(main())
