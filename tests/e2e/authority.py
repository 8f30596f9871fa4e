# SPDX-License-Identifier: MIT
"""A certificate authority of the tests' own, made with the openssl command.

An authority is a root, an intermediate that it signed, and what the intermediate signed. `ca` is
the file with the root alone: what those who verify are given. Keys are ECDSA P-256, which is fast.
"""

import datetime
import ipaddress
import itertools
import subprocess

import servers

DAY = datetime.timedelta(days=1)
EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
RSA = ("-newkey", "rsa:2048")

# `openssl ca` is told everything by this, and nothing by the system's own configuration.
CONFIG = """\
[ca]
default_ca = here
[here]
new_certs_dir = {directory}
database = {directory}/index.txt
unique_subject = no
rand_serial = yes
default_md = sha256
policy = anything
[anything]
commonName = supplied
[req]
distinguished_name = name
[name]
"""
CA_EXTENSIONS = "basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign\n"
LEAF_EXTENSIONS = "basicConstraints=CA:false\nkeyUsage=digitalSignature\n"


def openssl(*arguments):
    done = subprocess.run([servers.find("openssl"), *map(str, arguments)], check=False,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, f"openssl {arguments[0]}: {done.stderr}"
    return done.stdout


class Certificate:
    """`cert` is the file with the certificate and its chain, `leaf` that without the chain."""

    def __init__(self, directory, name):
        self.name = name
        self.cert = str(directory / f"{name}.pem")
        self.leaf = str(directory / f"{name}.leaf.pem")
        self.key = str(directory / f"{name}.key")

    @property
    def files(self):
        """As a configuration has it."""
        return {"cert": self.cert, "key": self.key}


def alternative_names(names):
    def kind(name):
        try:
            return f"IP:{ipaddress.ip_address(name)}"
        except ValueError:
            return f"DNS:{name}"
    return "subjectAltName=" + ",".join(kind(name) for name in names) + "\n" if names else ""


def stamp(moment):
    return moment.strftime("%Y%m%d%H%M%SZ")


class Authority:
    def __init__(self, directory, name):
        self.directory = directory
        self.name = name
        self.counter = itertools.count(1)
        (directory / "index.txt").write_text("")
        self.config = directory / "openssl.cnf"
        self.config.write_text(CONFIG.format(directory=directory))
        self.root = self.make(f"{name}-root", None, CA_EXTENSIONS)
        self.middle = self.make(f"{name}-middle", self.root, CA_EXTENSIONS)
        self.ca = self.root.leaf

    def issue(self, *names, chain=True, **options):
        """A certificate for these DNS names and IP addresses; the first one is its subject too.

        chain=False leaves the intermediate out of `cert`. Options: `usage` (serverAuth),
        `key` (EC), `begins` and `ends`.
        """
        extensions = LEAF_EXTENSIONS + self.usage(options) + alternative_names(names)
        made = self.make(f"{self.name}-{next(self.counter)}", self.middle, extensions,
                         subject=names[0], **options)
        if chain:
            self.write_chain(made)
        return made

    def client(self, name, **options):
        """A certificate with which a client tells that it is `name`."""
        return self.issue(name, usage="clientAuth", **options)

    def expired(self, *names, **options):
        now = datetime.datetime.now(datetime.timezone.utc)
        return self.issue(*names, begins=now - 9 * DAY, ends=now - DAY, **options)

    def not_yet_valid(self, *names):
        now = datetime.datetime.now(datetime.timezone.utc)
        return self.issue(*names, begins=now + DAY, ends=now + 9 * DAY)

    def self_signed(self, *names):
        return self.make(f"{self.name}-{next(self.counter)}", None,
                         LEAF_EXTENSIONS + alternative_names(names), subject=names[0])

    @staticmethod
    def usage(options):
        return f"extendedKeyUsage={options.pop('usage', 'serverAuth')}\n"

    def write_chain(self, made):
        with open(made.cert, "a", encoding="ascii") as chain, \
                open(self.middle.leaf, encoding="ascii") as middle:
            chain.write(middle.read())

    def make(self, name, signer, extensions, subject=None, key=EC, begins=None, ends=None):
        """A key and its certificate by the signer; without one it signs itself."""
        made = Certificate(self.directory, name)
        request, wanted = self.directory / f"{name}.csr", self.directory / f"{name}.ext"
        openssl("req", "-new", "-config", self.config, *key, "-nodes", "-keyout", made.key,
                "-subj", f"/CN={subject or name}", "-out", request)
        wanted.write_text(extensions + "subjectKeyIdentifier=hash\n"
                          + ("authorityKeyIdentifier=keyid:always\n" if signer else ""))
        now = datetime.datetime.now(datetime.timezone.utc)
        by = ["-cert", signer.leaf, "-keyfile", signer.key] if signer else \
            ["-selfsign", "-keyfile", made.key]
        openssl("ca", "-batch", "-config", self.config, "-notext", *by,
                "-in", request, "-out", made.leaf, "-extfile", wanted,
                "-startdate", stamp(begins or now - DAY), "-enddate", stamp(ends or now + 30 * DAY))
        with open(made.leaf, "rb") as leaf, open(made.cert, "wb") as cert:
            cert.write(leaf.read())
        return made


def join(directory, name, *files):
    """One file of several, in this order."""
    joined = directory / name
    with open(joined, "wb") as out:
        for file in files:
            with open(file, "rb") as part:
                out.write(part.read())
    return str(joined)
