"""Caches with one fault each. The other process of doctor's race imports this module."""

from __future__ import annotations

import time

from m2m_auth.caches.disk.disk_token_cache import DiskTokenCache
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.caches.protocol import Capabilities
from m2m_auth.errors import CacheUnavailable


class AlwaysWins(MemoryTokenCache):
    """Its add always wins."""

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """See TokenCache."""
        self.set(key, value, ttl)
        return True


class NeverWins(MemoryTokenCache):
    """Its add never wins."""

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """See TokenCache."""
        return False


class Dummy(AlwaysWins):
    """As Django's dummy cache: it stores nothing, and its add always wins."""

    def get(self, key: str) -> bytes | None:
        """See TokenCache."""
        return None


class Full(NeverWins):
    """It stores nothing, as a full cache."""

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """See TokenCache."""


class Garbles(MemoryTokenCache):
    """It cuts values to one kilobyte."""

    capabilities = Capabilities(shared=True, atomic_add=False, compare_delete=False, atomic_increment=False)

    def get(self, key: str) -> bytes | None:
        """See TokenCache."""
        found = super().get(key)
        return found if found is None else found[:1024]


class IgnoresTheHolder(MemoryTokenCache):
    """Its delete_if deletes any value."""

    def delete_if(self, key: str, value: bytes) -> bool:
        """See TokenCache."""
        self.delete(key)
        return True


class ForEver(MemoryTokenCache):
    """Its entries never end."""

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """See TokenCache."""
        super().set(key, value, 1e9)


class TooShort(MemoryTokenCache):
    """Its entries end ten seconds early, as if the server's clock were ahead."""

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """See TokenCache."""
        super().set(key, value, ttl - 10)


class Miscounts(MemoryTokenCache):
    """Its increment loses every tenth count."""

    def increment(self, key: str, ttl: float) -> int:
        """See TokenCache."""
        count = super().increment(key, ttl)
        if count % 10 == 0:
            self.set(key, str(count - 1).encode(), ttl)
        return count


class Down(MemoryTokenCache):
    """Its server fails from the fourth read on."""

    left = 3

    def get(self, key: str) -> bytes | None:
        """See TokenCache."""
        self.left -= 1
        if self.left < 0:
            raise CacheUnavailable("the connection was lost")
        return super().get(key)


class FailsInTheRace(MemoryTokenCache):
    """One of the two that race for its lease loses the connection, in about the seventh round."""

    adds = 0

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """See TokenCache."""
        self.adds += 1
        if self.adds == 15:
            raise CacheUnavailable("too many connections")
        return super().add(key, value, ttl)


class Raises(MemoryTokenCache):
    """It raises another error than the protocol allows; the message has a password."""

    def get(self, key: str) -> bytes | None:
        """See TokenCache."""
        raise RuntimeError("no route to redis://:pa55w0rd@cache")


class ClaimsToBeShared(MemoryTokenCache):
    """It is private to each process, although it claims to be shared."""

    capabilities = Capabilities(shared=True)


class ReadsThenAdds(DiskTokenCache):
    """Its add reads first and writes later, as a file-based cache's does."""

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """See TokenCache."""
        if self.get(key) is not None:
            return False
        time.sleep(0.02)  # as slow as the disk of a busy machine
        self.set(key, value, ttl)
        return True


def cannot_open() -> MemoryTokenCache:
    """Fails, with a password in the message."""
    raise RuntimeError("no password pa55w0rd")
