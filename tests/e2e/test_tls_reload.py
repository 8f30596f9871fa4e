# SPDX-License-Identifier: MIT
"""Certificates that are replaced while weir runs: SIGHUP has it read them again."""

import os
import shutil
import signal
import threading

import pytest

import tls
from client import Client
from waiting import wait_until


class Files:
    """A certificate's files at a place of their own, which others are put in the place of."""

    def __init__(self, directory, certificate):
        self.cert = str(directory / "edge.pem")
        self.key = str(directory / "edge.key")
        self.put(certificate)

    @property
    def files(self):
        return {"cert": self.cert, "key": self.key}

    def put(self, certificate):
        shutil.copyfile(certificate.key, self.key)
        shutil.copyfile(certificate.cert, self.cert)


@pytest.fixture
def first(authority):
    return authority.issue(tls.EDGE)


@pytest.fixture
def second(authority):
    return authority.issue(tls.EDGE)


@pytest.fixture
def files(tmp_path, first):
    return Files(tmp_path, first)


@pytest.fixture
def proxy(weir, origin, files):
    return weir(tls.from_tls(files, origin.address, threads=2))


@pytest.fixture
def shown(connect_tls):
    """The certificate that a new connection is shown."""
    def look(proxy):
        client = connect_tls(proxy)
        assert client.get().status == 200
        certificate = client.sock.getpeercert(binary_form=True)
        client.close()
        return certificate
    return look


def reload(proxy):
    proxy.signal(signal.SIGHUP)


class Traffic:
    """Requests without pause: on one connection that is kept, and on new ones."""

    def __init__(self, proxy, context):
        self.proxy, self.context = proxy, context
        self.stop = threading.Event()
        self.failures = []
        self.kept_count = self.new_count = 0
        self.threads = [threading.Thread(target=self.run, args=[turn])
                        for turn in (self.keep(), self.renew())]
        for thread in self.threads:
            thread.start()

    def run(self, turns):
        try:
            for response in turns:
                if response.status != 200:
                    self.failures.append(response)
                if self.stop.is_set():
                    return
        except Exception as why:  # whatever it is, it is a request that failed
            self.failures.append(why)
        finally:
            turns.close()

    def keep(self):
        client = Client(self.proxy, tls=self.context)
        try:
            while True:
                yield client.get("/kept")
                self.kept_count += 1
        finally:
            client.close()

    def renew(self):
        while True:
            client = Client(self.proxy, tls=self.context)
            yield client.get("/new")
            client.close()
            self.new_count += 1

    def go_on(self, count=20):
        """Wait until so many more of both were answered."""
        kept, new = self.kept_count + count, self.new_count + count
        wait_until(lambda: self.failures or (self.kept_count >= kept and self.new_count >= new),
                   20, "requests going on")
        assert self.failures == []

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(10)
        assert self.failures == []


@pytest.fixture
def traffic(proxy, authority):
    running = Traffic(proxy, tls.client_context(authority))
    yield running
    running.end()


def test_new_connections_get_the_new_certificate_and_no_request_fails(proxy, files, first, second,
                                                                      traffic, shown):
    assert shown(proxy) == tls.leaf(first)
    for certificate in (second, first, second):
        traffic.go_on()
        files.put(certificate)
        reload(proxy)
        wait_until(lambda c=certificate: shown(proxy) == tls.leaf(c), 5, "the new certificate")
        traffic.go_on()
    assert [shown(proxy) for _ in range(8)] == [tls.leaf(second)] * 8, "every worker has it"


def test_without_sighup_the_old_one_stays(proxy, files, first, second, shown):
    files.put(second)
    assert shown(proxy) == tls.leaf(first)


@pytest.mark.parametrize("wrong", ["garbage", "missing", "empty", "key_of_another"])
def test_a_wrong_one_is_told_and_the_old_one_stays(proxy, files, first, second, traffic, shown,
                                                   wrong):
    if wrong == "missing":
        os.unlink(files.cert)
    elif wrong == "key_of_another":
        shutil.copyfile(second.key, files.key)
    else:
        with open(files.cert, "w", encoding="ascii") as cert:
            cert.write("this is no certificate\n" if wrong == "garbage" else "")
    before = len(proxy.stderr)
    reload(proxy)
    path = files.key if wrong == "key_of_another" else files.cert
    wait_until(lambda: path in proxy.stderr[before:] or files.cert in proxy.stderr[before:], 5,
               "the log naming the file")
    traffic.go_on()
    assert [shown(proxy) for _ in range(4)] == [tls.leaf(first)] * 4
    files.put(second)
    reload(proxy)
    wait_until(lambda: shown(proxy) == tls.leaf(second), 5, "the right one, after the wrong one")


def test_one_of_several_certificates_is_replaced(weir, origin, authority, files, edge_certificate,
                                                 connect_tls):
    """Chosen by its name; the others stay as they are."""
    files.put(authority.issue("a.test"))
    other = authority.issue("a.test")
    proxy = weir(tls.from_tls(edge_certificate, origin.address,
                              tls={"certificates": [files.files]}))

    def seen(name):
        client = connect_tls(proxy, name=name)
        return client.sock.getpeercert(binary_form=True)

    assert seen("a.test") != tls.leaf(other)
    files.put(other)
    reload(proxy)
    wait_until(lambda: seen("a.test") == tls.leaf(other), 5, "the new certificate")
    assert seen(tls.EDGE) == tls.leaf(edge_certificate)


def test_sessions_outlive_a_reload(proxy, connect, authority):
    """Else each reload would cost every client a full handshake."""
    context = tls.client_context(authority)
    client = connect(proxy, tls=context)
    client.get()
    before = len(proxy.stderr)
    reload(proxy)
    wait_until(lambda: len(proxy.stderr) > before, 5, "the log telling of the reload")
    again = connect(proxy, tls=context, session=client.sock.session)
    assert again.get().status == 200 and again.sock.session_reused


def test_sighup_harms_a_weir_without_tls_in_nothing(weir, origin, connect):
    plain = weir({"version": 1, "threads": 1, "services": [
        {"name": "edge", "upstream": f"http://{origin.address}"}]})
    client = connect(plain)
    assert client.get().status == 200
    for _ in range(3):
        reload(plain)
        assert client.get().connection == 1
