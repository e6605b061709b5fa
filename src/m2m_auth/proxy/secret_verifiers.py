"""Whether a secret is the client's: HMAC-SHA-256 under the pepper, compared in constant time; no secret is kept.

The verifiers of the proxy's own secrets come with the configuration. Where a vendor keeps its credentials upstream, a
token from there enrols a verifier: here, and in the shared cache for the other workers, until that token ends.
"""

from __future__ import annotations

import base64
import hmac
import math
import os
import threading
from collections.abc import Iterable, Mapping

from ..oauth2.secrets import Secret
from ..runtime.fork_safety import on_fork
from .allowances import Counters

__all__ = ["SCHEME", "Verifiers", "is_verifier", "read_verifier", "verifier"]

SCHEME = "hmac-sha256:"
_KEPT = 2
"""Verifiers per client, the newest first: a secret is changed while some still use the old one."""
_Known = tuple[tuple[bytes, float], ...]


def _mac(pepper: Secret, client_id: str, secret: Secret) -> bytes:
    raw = client_id.encode("utf-8", "surrogatepass")
    return hmac.digest(pepper.reveal_bytes(), len(raw).to_bytes(4, "big") + raw + secret.reveal_bytes(), "sha256")


def verifier(pepper: Secret, client_id: str, secret: Secret) -> str:
    """What a configuration keeps of a secret."""
    return SCHEME + base64.urlsafe_b64encode(_mac(pepper, client_id, secret)).decode()


def read_verifier(text: object) -> bytes:
    """The HMAC in a verifier. Raises ValueError for anything else."""
    if not isinstance(text, str) or not text.startswith(SCHEME):
        raise ValueError("not a verifier")
    mac = base64.urlsafe_b64decode(text[len(SCHEME) :])
    if len(mac) != 32:
        raise ValueError("not a verifier")
    return mac


def is_verifier(text: str) -> bool:
    """Whether :func:`verifier` may have made it."""
    try:
        return bool(read_verifier(text))
    except ValueError:
        return False


def _padded(known: Iterable[tuple[bytes, float]]) -> _Known:
    """Always two, so that a client with one, with two and with none take the same time."""
    two = [*known][:_KEPT]
    return (*two, *((os.urandom(32), 0.0) for _ in range(_KEPT - len(two))))


class Verifiers:
    """All clients' verifiers.

    Args:
        pepper: the key.
        configured: the verifiers by client id; none where the client's secret is known upstream only.
        counters: the shared cache.
    """

    def __init__(self, pepper: Secret, configured: Mapping[str, Iterable[str]], counters: Counters) -> None:
        self._pepper, self._counters = pepper, counters
        self._known = {
            client_id: _padded((read_verifier(text), math.inf) for text in texts)
            for client_id, texts in configured.items()
        }
        self._nobody = _padded(())
        self._wall = counters.wall
        self.after_fork()
        on_fork(self)

    def __repr__(self) -> str:
        return f"<Verifiers of {len(self._known)} clients>"

    def after_fork(self) -> None:
        """In a forked child: another thread may have held the lock."""
        self._lock = threading.Lock()

    def mac(self, client_id: str, secret: Secret) -> bytes:
        """What stands for this secret of this client."""
        return _mac(self._pepper, client_id, secret)

    def knows(self, client_id: str, mac: bytes) -> bool:
        """Whether it is the client's secret, by what this process knows; unknown clients take the same time."""
        now, found = self._wall(), False
        for known, until in self._known.get(client_id, self._nobody):
            found |= hmac.compare_digest(known, mac) and now < until
        return found

    def learn(self, client_id: str, mac: bytes) -> bool:
        """The same by what another worker has enrolled: one look into the shared cache."""
        name = self._name(mac)
        until, _, tag = (self._counters.get(name) or b"").partition(b".")
        right = hmac.compare_digest(tag, self._tag(mac, until))
        if not right or client_id not in self._known or self._wall() >= int(until):
            return False
        self._keep(client_id, mac, int(until))
        return True

    def enrol(self, client_id: str, mac: bytes, until: float) -> None:
        """The authorization server has taken this secret; good until then, here and for the other workers."""
        text = str(int(until)).encode()
        if any(known == mac and int(until) <= ends for known, ends in self._known[client_id]):
            return  # by another token, which lives longer
        self._keep(client_id, mac, int(until))
        self._counters.set(self._name(mac), text + b"." + self._tag(mac, text), int(until) - self._wall())

    def forget(self, client_id: str, mac: bytes) -> None:
        """The authorization server has refused it since."""
        with self._lock:
            rest = [each for each in self._known[client_id] if not hmac.compare_digest(each[0], mac)]
            self._known[client_id] = _padded(rest)
        self._counters.delete(self._name(mac))

    def _keep(self, client_id: str, mac: bytes, until: float) -> None:
        with self._lock:
            rest = [each for each in self._known[client_id] if not hmac.compare_digest(each[0], mac)]
            self._known[client_id] = _padded(((mac, until), *rest))

    def _name(self, mac: bytes) -> str:
        """Its key in the cache: where nobody can look who does not know the secret and the pepper."""
        named = hmac.digest(self._pepper.reveal_bytes(), b"enrolled under " + mac, "sha256")
        return "m2m1.pv." + base64.urlsafe_b64encode(named).rstrip(b"=").decode()

    def _tag(self, mac: bytes, until: bytes) -> bytes:
        """Binds the end to it: whoever may write to the cache cannot make it last."""
        return hmac.new(self._pepper.reveal_bytes(), b"enrolled until " + until + mac, "sha256").hexdigest().encode()
