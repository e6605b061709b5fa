"""Requests as they were read; those that were served are remembered, so that the same one is not read again."""

from __future__ import annotations

import secrets
from hashlib import blake2b

from ..serving import Request
from .lru import Lru
from .secret_verifiers import Verifiers
from .token_requests import Asked, read
from .vendor_sources import Wanted

__all__ = ["Requests", "Seen"]

_LONGEST_ID = 201
"""Characters of a client id that are looked at; none that is configured has so many."""


class Seen:
    """A request that was read: the client id that it names, what stands for its secret, and what it may have."""

    __slots__ = ("asked", "mac", "name", "wanted")

    def __init__(self, name: str, asked: Asked, mac: bytes) -> None:
        self.name, self.asked, self.mac = name, asked, mac
        self.wanted: Wanted | None = None
        """None until it is served."""


class Requests:
    """Reads requests.

    Args:
        verifiers: what stands for a secret.
        capacity: how many requests are remembered. Their secrets are looked at all the same.
    """

    def __init__(self, verifiers: Verifiers, capacity: int) -> None:
        self._verifiers = verifiers
        self._key = secrets.token_bytes(32)
        self._served: Lru[bytes, Seen] = Lru(capacity)

    def read(self, request: Request) -> tuple[bytes, list[Seen]]:
        """What stands for it, and what it says, by each reading of its credentials. Raises Refused."""
        mark = self._mark(request)
        served = self._served.get(mark)
        if served is not None:
            return mark, [served]
        mac = self._verifiers.mac
        return mark, [Seen(one.client_id[:_LONGEST_ID], one, mac(one.client_id, one.secret)) for one in read(request)]

    def remember(self, mark: bytes, seen: Seen) -> None:
        """It was served by this reading."""
        self._served.add(mark, seen)

    def _mark(self, request: Request) -> bytes:
        """What stands for a request as it came in, its secret included: nobody can make another one with the same."""
        headers = request.headers
        kind, credentials = headers.get("content-type", ""), headers.get("authorization", "")
        head = f"{len(kind)} {len(credentials)} {request.too_large} {kind}{credentials}"
        # Unlike hmac.digest it does not let go of the interpreter for something so short, which costs far more.
        return blake2b(head.encode("utf-8", "surrogatepass") + request.body, key=self._key, digest_size=32).digest()
