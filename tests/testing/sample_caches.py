"""Caches for the tests of the contract: two correct ones, and broken ones with one fault each."""

from __future__ import annotations

import os
import threading
import time

from m2m_auth.caches.protocol import Capabilities


class DictCache:
    """A correct cache in this process's memory."""

    capabilities = Capabilities(shared=False)

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.entries: dict[str, tuple[bytes, float]] = {}

    def get(self, key: str) -> bytes | None:
        """See TokenCache."""
        value, end = self.entries.get(key, (None, 0.0))
        return value if time.monotonic() < end else None

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """See TokenCache."""
        self.entries[key] = (value, time.monotonic() + ttl)

    def delete(self, key: str) -> None:
        """See TokenCache."""
        self.entries.pop(key, None)

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """See TokenCache."""
        with self.lock:
            if self.get(key) is not None:
                return False
            self.set(key, value, ttl)
            return True

    def delete_if(self, key: str, value: bytes) -> bool:
        """See TokenCache."""
        with self.lock:
            if self.get(key) != value:
                return False
            self.delete(key)
            return True

    def increment(self, key: str, ttl: float) -> int:
        """See TokenCache."""
        with self.lock:
            count = int(self.get(key) or b"0") + 1
            end = self.entries[key][1] if count > 1 else time.monotonic() + ttl
            self.entries[key] = (b"%d" % count, end)
            return count

    def close(self) -> None:
        """See TokenCache."""


class NothingShared(DictCache):
    """A cache without any capability: it only stores."""

    capabilities = Capabilities(
        shared=False, atomic_add=False, compare_delete=False, atomic_increment=False, resolution=0.05
    )


class RacyAdd(DictCache):
    """Its add is get, then set."""

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """See TokenCache."""
        if self.get(key) is not None:
            return False
        time.sleep(0.001)
        self.set(key, value, ttl)
        return True


class WrongRelease(DictCache):
    """Its delete_if deletes any value."""

    def delete_if(self, key: str, value: bytes) -> bool:
        """See TokenCache."""
        return self.entries.pop(key, None) is not None


class ProlongedCounter(DictCache):
    """Each increment renews the counter's time to live."""

    def increment(self, key: str, ttl: float) -> int:
        """See TokenCache."""
        with self.lock:
            count = int(self.get(key) or b"0") + 1
            self.set(key, b"%d" % count, ttl)
            return count


class RacyCounter(DictCache):
    """Its increment is get, then set."""

    def increment(self, key: str, ttl: float) -> int:
        """See TokenCache."""
        count = int(self.get(key) or b"0") + 1
        time.sleep(0.0001)
        self.set(key, b"%d" % count, ttl)
        return count


class Everlasting(DictCache):
    """It ignores the time to live."""

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """See TokenCache."""
        super().set(key, value, 3600)


class KeptTimeToLive(DictCache):
    """A second set keeps the time to live of the first."""

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """See TokenCache."""
        _, end = self.entries.get(key, (b"", time.monotonic() + ttl))
        self.entries[key] = (value, end)


class Impatient(DictCache):
    """Its entries expire too early."""

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """See TokenCache."""
        super().set(key, value, ttl / 2 if ttl < 1 else ttl)


class ShortKeys(DictCache):
    """It cuts keys after 63 characters."""

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """See TokenCache."""
        super().set(key[:63], value, ttl)

    def get(self, key: str) -> bytes | None:
        """See TokenCache."""
        return super().get(key[:63])


class CStrings(DictCache):
    """It ends values at the first NUL, and returns a bytearray."""

    def get(self, key: str) -> bytes | None:
        """See TokenCache."""
        value = super().get(key)
        return value if value is None else bytearray(value.partition(b"\x00")[0])


class LeftInFork(DictCache):
    """It works only in the process that opened it."""

    def __init__(self) -> None:
        super().__init__()
        self.opened_by = os.getpid()

    def get(self, key: str) -> bytes | None:
        """See TokenCache."""
        if os.getpid() != self.opened_by:
            raise RuntimeError("opened by another process")
        return super().get(key)


class OnlySaysShared(DictCache):
    """It says that it is shared, but each process has its own entries."""

    capabilities = Capabilities(shared=True)
