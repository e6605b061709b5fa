"""Whether a secret is the client's: HMAC-SHA-256 under the pepper, compared in constant time. No secret is kept.

The verifiers of secrets that the proxy gave out come with the configuration. A vendor that keeps its own credentials
proves its secret by a token from upstream. That enrols a verifier in this process, and in the shared cache for the
other workers, until the token ends.
"""

from __future__ import annotations

import base64
import hmac
import math
import os
import threading
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager

from ..oauth2.secrets import Secret
from ..runtime.fork_safety import on_fork
from ..shared_cache.counters import SharedCounters

__all__ = ["SCHEME", "SecretVerifiers", "SecretsOnTrial", "is_verifier", "read_verifier", "verifier"]

SCHEME = "hmac-sha256:"
"""The first part of every verifier in a configuration."""
_KEPT = 2
"""Verifiers per client, the newest first. While a secret is changed, some hosts still use the old one."""
_Known = tuple[tuple[bytes, float], ...]


def _mac(pepper: Secret, client_id: str, secret: Secret) -> bytes:
    raw = client_id.encode("utf-8", "surrogatepass")
    return hmac.digest(pepper.reveal_bytes(), len(raw).to_bytes(4, "big") + raw + secret.reveal_bytes(), "sha256")


def verifier(pepper: Secret, client_id: str, secret: Secret) -> str:
    """The verifier of a secret, for a configuration."""
    return SCHEME + base64.urlsafe_b64encode(_mac(pepper, client_id, secret)).decode()


def read_verifier(text: object) -> bytes:
    """The HMAC in a verifier. Raises ValueError if the text is no verifier."""
    if not isinstance(text, str) or not text.startswith(SCHEME):
        raise ValueError("not a verifier")
    mac = base64.urlsafe_b64decode(text[len(SCHEME) :])
    if len(mac) != 32:
        raise ValueError("not a verifier")
    return mac


def is_verifier(text: str) -> bool:
    """Whether the text has the form of a verifier."""
    try:
        return bool(read_verifier(text))
    except ValueError:
        return False


def _padded(known: Iterable[tuple[bytes, float]]) -> _Known:
    """Always two, so that a check takes the same time for a client with two, one or no verifiers."""
    two = [*known][:_KEPT]
    return (*two, *((os.urandom(32), 0.0) for _ in range(_KEPT - len(two))))


class SecretVerifiers:
    """The verifiers of all clients.

    Args:
        pepper: the key.
        configured: the verifiers by client id; empty for a client whose secret is known upstream only.
        counters: the shared cache.
    """

    def __init__(self, pepper: Secret, configured: Mapping[str, Iterable[str]], counters: SharedCounters) -> None:
        self._pepper, self._counters = pepper, counters
        self._known = {
            client_id: _padded((read_verifier(text), math.inf) for text in texts)
            for client_id, texts in configured.items()
        }
        self._of_unknown_client = _padded(())
        self._wall = counters.wall
        self.after_fork()
        on_fork(self)

    def __repr__(self) -> str:
        return f"<SecretVerifiers of {len(self._known)} clients>"

    def after_fork(self) -> None:
        """In a forked child: another thread may have held the lock."""
        self._lock = threading.Lock()

    def mac(self, client_id: str, secret: Secret) -> bytes:
        """The MAC of this secret of this client."""
        return _mac(self._pepper, client_id, secret)

    def knows(self, client_id: str, mac: bytes) -> bool:
        """Whether this process knows it as the client's secret. An unknown client takes the same time."""
        now, found = self._wall(), False
        for known, until in self._known.get(client_id, self._of_unknown_client):
            found |= hmac.compare_digest(known, mac) and now < until
        return found

    def learn(self, client_id: str, mac: bytes) -> bool:
        """Whether another worker has enrolled it: one read of the shared cache."""
        name = self._name(mac)
        until, _, tag = (self._counters.get(name) or b"").partition(b".")
        right = hmac.compare_digest(tag, self._tag(mac, until))
        if not right or client_id not in self._known or self._wall() >= int(until):
            return False
        self._keep(client_id, mac, int(until))
        return True

    def enrol(self, client_id: str, mac: bytes, until: float) -> None:
        """Remembers a secret that the authorization server accepted, until Unix time ``until``, for all workers."""
        text = str(int(until)).encode()
        if any(known == mac and int(until) <= ends for known, ends in self._known[client_id]):
            return  # enrolled by another token that lives longer
        self._keep(client_id, mac, int(until))
        self._counters.set(self._name(mac), text + b"." + self._tag(mac, text), int(until) - self._wall())

    def forget(self, client_id: str, mac: bytes) -> None:
        """Forgets a secret that the authorization server now refuses, for all workers."""
        with self._lock:
            rest = [each for each in self._known[client_id] if not hmac.compare_digest(each[0], mac)]
            self._known[client_id] = _padded(rest)
        self._counters.delete(self._name(mac))

    def _keep(self, client_id: str, mac: bytes, until: float) -> None:
        with self._lock:
            rest = [each for each in self._known[client_id] if not hmac.compare_digest(each[0], mac)]
            self._known[client_id] = _padded(((mac, until), *rest))

    def _name(self, mac: bytes) -> str:
        """Its cache key, which depends on the secret and the pepper."""
        named = hmac.digest(self._pepper.reveal_bytes(), b"enrolled under " + mac, "sha256")
        return "m2m1.pv." + base64.urlsafe_b64encode(named).rstrip(b"=").decode()

    def _tag(self, mac: bytes, until: bytes) -> bytes:
        """Authenticates the end, so that a writer to the cache cannot prolong it."""
        return hmac.new(self._pepper.reveal_bytes(), b"enrolled until " + until + mac, "sha256").hexdigest().encode()


class SecretsOnTrial:
    """The secrets that are being tried upstream now, each by any number of threads."""

    def __init__(self) -> None:
        self._threads: dict[bytes, int] = {}
        self.after_fork()
        on_fork(self)

    def after_fork(self) -> None:
        """In a forked child: another thread may have held the lock, and no other thread exists."""
        self._lock = threading.Lock()
        self._threads.clear()

    def __contains__(self, mac: bytes) -> bool:
        return mac in self._threads

    @contextmanager
    def trial(self, mac: bytes) -> Generator[None, None, None]:
        """Counts the secret as being tried while the block runs."""
        with self._lock:
            self._threads[mac] = self._threads.get(mac, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                self._threads[mac] -= 1
                if not self._threads[mac]:
                    del self._threads[mac]
