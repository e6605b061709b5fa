"""Small key-value stores for a BoundedCache, as platforms have them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from m2m_auth.caches.bounded import BoundedCache
from m2m_auth.caches.disk import DiskTokenCache


class DictStore:
    """A platform's store as a dictionary; entries expire by the given clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.entries: dict[str, tuple[bytes | str, float]] = {}
        self.sets: list[tuple[str, float]] = []
        self.fault: Exception | None = None
        self.full = False

    def get(self, key: str) -> bytes | str | None:
        """The live value."""
        return self.live().get(key)

    def set(self, key: str, value: bytes | str, ttl: int) -> bool:
        """Stores it, unless ``fault`` or ``full`` is set."""
        if self.fault is not None:
            raise self.fault
        if not self.full:
            self.sets.append((key, ttl))
            self.entries[key] = (value, self.clock() + ttl)
        return not self.full

    def delete(self, key: str) -> None:
        """Forgets it."""
        if self.fault is not None:
            raise self.fault
        self.entries.pop(key, None)

    def live(self) -> dict[str, bytes | str]:
        """Everything that has not expired."""
        return {key: value for key, (value, until) in self.entries.items() if until > self.clock()}

    def size(self) -> int:
        """Bytes of all live keys and values."""
        return sum(len(key) + len(value) for key, value in self.live().items())


class FolderStore:
    """A store that takes only text and is shared by processes: a file for each key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def get(self, key: str) -> str | None:
        """The live value."""
        try:
            value, until = json.loads((self.folder / key).read_text())
        except FileNotFoundError:
            return None
        return value if until > time.time() else None

    def set(self, key: str, value: str, ttl: int) -> None:
        """Stores it by one rename."""
        assert isinstance(value, str)
        temporary = self.folder / f".{key}.{os.getpid()}.{time.monotonic_ns()}"
        temporary.write_text(json.dumps([value, time.time() + ttl]))
        temporary.replace(self.folder / key)

    def delete(self, key: str) -> None:
        """Forgets it."""
        (self.folder / key).unlink(missing_ok=True)


def over_disk(folder: Path) -> BoundedCache:
    """A BoundedCache over a TokenCache that has every capability."""
    return BoundedCache(DiskTokenCache(folder))


def over_folder(folder: Path) -> BoundedCache:
    """A BoundedCache over a store without any capability, which takes only text."""
    return BoundedCache(FolderStore(folder), max_value=8000, max_total=16_000, text=True)
