"""Steps that the engine's tests share."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from m2m_auth import TokenSource
from m2m_auth.caches.protocol import Capabilities
from m2m_auth.source.token_source import engine_of
from m2m_auth.testing import FakeAuthorizationServer

T = TypeVar("T")


def source(server: FakeAuthorizationServer, **options: Any) -> TokenSource:
    """A source for the server's default client."""
    return TokenSource(server.token_endpoint, "client", options.pop("client_secret", "secret"), **options)


def at_once(count: int, action: Callable[[], T], timeout: float = 60.0) -> list[T]:
    """The result of ``action`` in each of ``count`` threads that start together; raises what one of them raised."""
    barrier = threading.Barrier(count)
    given: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        barrier.wait(timeout)
        try:
            given.append(action())
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout)
        assert not thread.is_alive(), "a thread hangs"
    if raised:
        raise raised[0]
    return given


def land(source: TokenSource) -> None:
    """Waits until the running flight, if there is one, has landed, and what is done beside it."""
    state = engine_of(source).state
    for flight in (state.flight, state.beside):
        if flight is not None:
            flight.future.result(20)


def eventually(condition: Callable[[], bool], timeout: float = 20.0) -> None:
    """Waits until the condition holds."""
    until = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.01)


def run_python(code: str, *arguments: object, timeout: float = 60.0) -> str:
    """What this code printed in a process of its own, which must write nothing to stderr."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr}"
    assert not done.stderr, done.stderr
    return done.stdout.strip()


def run_together(code: str, count: int, *arguments: object, timeout: float = 60.0) -> list[str]:
    """What this code printed in each of ``count`` processes, which all wait for a line on stdin after "ready"."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", code, *map(str, arguments)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [subprocess.Popen(command, text=True, **pipes) for _ in range(count)]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        ended = [process.communicate(timeout=timeout) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    for process, (_, complaints) in zip(processes, ended, strict=True):
        assert process.returncode == 0, f"exit code {process.returncode}: {complaints}"
        assert not complaints, complaints
    return [printed.strip() for printed, _ in ended]


class ClockedStore:
    """A cache whose time is a callable: what two hosts share in a test of leases and clocks. Open it once per host."""

    capabilities = Capabilities()

    def __init__(self, now: Callable[[], float], entries: dict[str, tuple[bytes, float]] | None = None) -> None:
        self._now = now
        self.entries: dict[str, tuple[bytes, float]] = {} if entries is None else entries
        self._lock = threading.Lock()

    def beside(self) -> ClockedStore:
        """The same store, opened by another host."""
        return ClockedStore(self._now, self.entries)

    def keys(self, kind: str) -> Sequence[str]:
        """The keys of one kind: ``t`` token, ``l`` lease, ``f`` failure, ``b`` ban."""
        return [key for key in self.entries if key.startswith(f"m2m1.{kind}.")]

    def key(self, kind: str) -> str:
        """The key of this kind for the one token that was ever stored."""
        (token,) = self.keys("t")
        return token.replace(".t.", f".{kind}.")

    def get(self, key: str) -> bytes | None:
        """See :class:`m2m_auth.caches.TokenCache`."""
        value, until = self.entries.get(key, (b"", float("-inf")))
        return value if self._now() < until else None

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """See :class:`m2m_auth.caches.TokenCache`."""
        self.entries[key] = value, self._now() + ttl

    def delete(self, key: str) -> None:
        """See :class:`m2m_auth.caches.TokenCache`."""
        self.entries.pop(key, None)

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """See :class:`m2m_auth.caches.TokenCache`."""
        with self._lock:
            if self.get(key) is not None:
                return False
            self.set(key, value, ttl)
            return True

    def delete_if(self, key: str, value: bytes) -> bool:
        """See :class:`m2m_auth.caches.TokenCache`."""
        with self._lock:
            if self.get(key) != value:
                return False
            self.delete(key)
            return True

    def increment(self, key: str, ttl: float) -> int:
        """See :class:`m2m_auth.caches.TokenCache`."""
        with self._lock:
            old, until = self.entries.get(key, (b"0", self._now() + ttl))
            count = int(old) + 1
            self.entries[key] = str(count).encode(), until
            return count

    def close(self) -> None:
        """See :class:`m2m_auth.caches.TokenCache`."""
