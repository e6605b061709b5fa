"""Caches with one fault each. A module of its own: the other process of doctor's race imports it."""

from __future__ import annotations

import time

from m2m_auth.caches.disk.disk_token_cache import DiskTokenCache
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.caches.protocol import Capabilities
from m2m_auth.errors import CacheUnavailable


class AlwaysWins(MemoryTokenCache):
    """Its add always says yes."""

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """See TokenCache."""
        self.set(key, value, ttl)
        return True


class NeverWins(MemoryTokenCache):
    """Its add always says no."""

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """See TokenCache."""
        return False


class Dummy(AlwaysWins):
    """Django's dummy cache, in short: it stores nothing, and its add always wins."""

    def get(self, key: str) -> bytes | None:
        """See TokenCache."""
        return None


class Full(NeverWins):
    """It throws out at once what it is given."""

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """See TokenCache."""


class Garbles(MemoryTokenCache):
    """It cuts what is longer than a kilobyte."""

    capabilities = Capabilities(shared=True, atomic_add=False, compare_delete=False, atomic_increment=False)

    def get(self, key: str) -> bytes | None:
        """See TokenCache."""
        found = super().get(key)
        return found if found is None else found[:1024]


class ForgetsWhose(MemoryTokenCache):
    """Its delete_if deletes whatever is there."""

    def delete_if(self, key: str, value: bytes) -> bool:
        """See TokenCache."""
        self.delete(key)
        return True


class ForEver(MemoryTokenCache):
    """Nothing ends."""

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """See TokenCache."""
        super().set(key, value, 1e9)


class TooShort(MemoryTokenCache):
    """What is to live for less than ten seconds is gone at once, as where the server's clock is ahead."""

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """See TokenCache."""
        super().set(key, value, ttl - 10)


class Miscounts(MemoryTokenCache):
    """Its increment forgets every tenth count."""

    def increment(self, key: str, ttl: float) -> int:
        """See TokenCache."""
        count = super().increment(key, ttl)
        if count % 10 == 0:
            self.set(key, str(count - 1).encode(), ttl)
        return count


class Down(MemoryTokenCache):
    """Its server is gone from the fourth operation on."""

    left = 3

    def get(self, key: str) -> bytes | None:
        """See TokenCache."""
        self.left -= 1
        if self.left < 0:
            raise CacheUnavailable("the connection was lost")
        return super().get(key)


class FailsInTheRace(MemoryTokenCache):
    """One of the two that race for its lease loses the connection in the sixth round or so."""

    adds = 0

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """See TokenCache."""
        self.adds += 1
        if self.adds == 15:
            raise CacheUnavailable("too many connections")
        return super().add(key, value, ttl)


class Raises(MemoryTokenCache):
    """It raises what it should not; the message holds a password."""

    def get(self, key: str) -> bytes | None:
        """See TokenCache."""
        raise RuntimeError("no route to redis://:pa55w0rd@cache")


class ClaimsToBeShared(MemoryTokenCache):
    """Each process has one of its own."""

    capabilities = Capabilities(shared=True)


class LooksThenAdds(DiskTokenCache):
    """A disk whose add looks first and writes then, as a file-based cache's does."""

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """See TokenCache."""
        if self.get(key) is not None:
            return False
        time.sleep(0.02)  # as slow as the disk of a busy machine
        self.set(key, value, ttl)
        return True


def cannot_open() -> MemoryTokenCache:
    """An opener that fails, with a secret in its message."""
    raise RuntimeError("no password pa55w0rd")
