# SPDX-License-Identifier: MIT
"""The certificate that all show, of a CA that all believe: ECDSA on P-256, made anew for a run."""

import os
import ssl
import subprocess
from dataclasses import dataclass

from lib.children import Failed

NAME = "bench.test"
# wrk's choice is OpenSSL's, and that is read from a file: the same as tls.c makes by itself.
CLIENT_CONFIG = """openssl_conf = bench
[bench]
ssl_conf = ssl
[ssl]
system_default = only
[only]
MinProtocol = TLSv1.3
Ciphersuites = TLS_AES_128_GCM_SHA256
Groups = X25519
"""
EXTENSIONS = [f"subjectAltName=DNS:{NAME},DNS:localhost,IP:127.0.0.1",
              "basicConstraints=critical,CA:FALSE"]


@dataclass
class Files:
    """Paths. `pair` has certificate and key in one, `client_config` is for OPENSSL_CONF."""
    ca: str
    cert: str
    key: str
    pair: str
    client_config: str

    def fillings(self):
        """For the templates of peers/."""
        return {"@CA@": self.ca, "@CERT@": self.cert, "@KEY@": self.key,
                "@CERT_AND_KEY@": self.pair}

    def context(self):
        """For a client in Python."""
        return ssl.create_default_context(cafile=self.ca)


def _openssl(*words):
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "30", *words]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    except FileNotFoundError as error:
        raise Failed("openssl is not installed") from error
    if done.returncode != 0:
        raise Failed(f"{' '.join(argv)}: {done.stderr.strip()}")


def _read(path):
    with open(path, encoding="ascii") as file:
        return file.read()


def make(directory):
    """The files, in that directory. A key that lasts a run may be read by all, so that servers
    which gave up root can."""
    def path(name):
        return os.path.join(directory, name)

    files = Files(path("ca.pem"), path("cert.pem"), path("cert.key"), path("pair.pem"),
                  path("client.cnf"))
    _openssl("-subj", "/CN=weir bench CA", "-out", files.ca, "-keyout", path("ca.key"))
    extensions = [word for extension in EXTENSIONS for word in ("-addext", extension)]
    _openssl("-subj", f"/CN={NAME}", "-CA", files.ca, "-CAkey", path("ca.key"), *extensions,
             "-out", files.cert, "-keyout", files.key)
    with open(files.pair, "w", encoding="ascii") as pair:
        pair.write(_read(files.cert) + _read(files.key))
    with open(files.client_config, "w", encoding="ascii") as config:
        config.write(CLIENT_CONFIG)
    os.chmod(files.key, 0o644)
    return files
