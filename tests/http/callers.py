"""One interface to requests, httpx and httpx2, sync and async, for the behaviour suite."""

from __future__ import annotations

import contextlib
import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from front_doors import FRONT_DOORS

from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.testing import FakeAuthorizationServer, FakeClock

TIMEOUT = 20.0
"""Seconds that a test waits for an answer before it fails."""


@dataclass(frozen=True)
class Answer:
    """A response, the same whichever library it came from."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    """The whole body; empty if it was not read."""
    history: tuple[Any, ...]
    """The library's responses on the way."""
    raw: Any
    """The library's own response."""

    @property
    def statuses(self) -> list[int]:
        """The statuses of the history."""
        return [response.status_code for response in self.history]


class Caller(ABC):
    """A client of one library with redirects on. ``attach`` puts an auth on it; ``auth=`` is for one call."""

    library: Any
    error: type[Exception]
    """The library's base error."""
    front_door: Any
    """The module of m2m_auth for it."""

    @property
    def client(self) -> Any:
        """The library's session or client."""
        raise NotImplementedError

    def auth(self, server: FakeAuthorizationServer, clock: FakeClock | None = None, **options: Any) -> Any:
        """An M2MAuth for a fake server's client, with a token of its own unless ``cache`` is given."""
        options.setdefault("cache", MemoryTokenCache())
        return self.front_door.M2MAuth(server.token_endpoint, "client", "secret", clock=clock, **options)

    def attach(self, auth: Any) -> None:
        """One line: every call of this client carries a token."""
        self.client.auth = auth

    def get(self, url: str, **options: Any) -> Answer:
        """A GET, read to its end."""
        return self.send("GET", url, **options)

    def post(self, url: str, **options: Any) -> Answer:
        """A POST, read to its end; ``content``, ``form``, ``json`` and ``files`` are bodies."""
        return self.send("POST", url, **options)

    @abstractmethod
    def send(self, method: str, url: str, **options: Any) -> Answer:
        """A call, read to its end."""

    @abstractmethod
    def stream(self, url: str, *, read: bool = False) -> Answer:
        """A GET in streaming mode; its body is left unread unless ``read``."""

    @abstractmethod
    def on_response(self, hook: Callable[[Any], None]) -> None:
        """Registers ``hook`` with the library, which calls it with each response."""


class RequestsCaller(Caller):
    """requests."""

    def __init__(self) -> None:
        self.library = importlib.import_module("requests")
        self.front_door = importlib.import_module("m2m_auth.requests")
        self.error = self.library.RequestException
        self._session = self.library.Session()
        self._session.trust_env = False

    @property
    def client(self) -> Any:
        """The session."""
        return self._session

    @client.setter
    def client(self, session: Any) -> None:
        """Replaces it."""
        self._session.close()
        self._session = session

    def send(self, method: str, url: str, **options: Any) -> Answer:
        """A call, read to its end."""
        for ours, theirs in (("content", "data"), ("form", "data")):
            if ours in options:
                options[theirs] = options.pop(ours)
        return _answer(self._session.request(method, url, timeout=TIMEOUT, **options), None)

    def stream(self, url: str, *, read: bool = False) -> Answer:
        """A GET in streaming mode."""
        with self._session.get(url, stream=True, timeout=TIMEOUT) as response:
            return _answer(response, b"".join(response.iter_content(None)) if read else b"")

    def on_response(self, hook: Callable[[Any], None]) -> None:
        """A session hook."""
        self._session.hooks["response"].append(lambda response, **_: hook(response))


class HttpxCaller(Caller):
    """httpx and httpx2, sync."""

    def __init__(self, name: str) -> None:
        self.library = importlib.import_module(name)
        self.front_door = importlib.import_module(f"m2m_auth.{name}")
        self.error = self.library.HTTPError
        self._client = self.library.Client(follow_redirects=True, timeout=TIMEOUT, trust_env=False)

    @property
    def client(self) -> Any:
        """The client."""
        return self._client

    def send(self, method: str, url: str, **options: Any) -> Answer:
        """A call, read to its end."""
        return _answer(self._client.request(method, url, **_named(options)), None)

    def stream(self, url: str, *, read: bool = False) -> Answer:
        """A GET in streaming mode."""
        with self._client.stream("GET", url) as response:
            return _answer(response, b"".join(response.iter_bytes()) if read else b"")

    def on_response(self, hook: Callable[[Any], None]) -> None:
        """An event hook."""
        self._client.event_hooks = {"response": [*self._client.event_hooks["response"], hook]}


class AsyncHttpxCaller(Caller):
    """httpx and httpx2 on asyncio and trio: the client lives in an event loop on a thread of its own."""

    def __init__(self, name: str, portal: BlockingPortal) -> None:
        self.library = importlib.import_module(name)
        self.front_door = importlib.import_module(f"m2m_auth.{name}")
        self.error = self.library.HTTPError
        self.portal = portal
        self._client = self.library.AsyncClient(follow_redirects=True, timeout=TIMEOUT, trust_env=False)

    @property
    def client(self) -> Any:
        """The client."""
        return self._client

    def send(self, method: str, url: str, **options: Any) -> Answer:
        """A call, read to its end."""

        async def call() -> Answer:
            return _answer(await self._client.request(method, url, **_named(options)), None)

        return self.portal.call(call)

    def stream(self, url: str, *, read: bool = False) -> Answer:
        """A GET in streaming mode."""

        async def call() -> Answer:
            async with self._client.stream("GET", url) as response:
                return _answer(response, b"".join([chunk async for chunk in response.aiter_bytes()]) if read else b"")

        return self.portal.call(call)

    def on_response(self, hook: Callable[[Any], None]) -> None:
        """An event hook."""

        async def each(response: Any) -> None:
            hook(response)

        self._client.event_hooks = {"response": [*self._client.event_hooks["response"], each]}


SYNC = FRONT_DOORS
ASYNC = ("httpx-asyncio", "httpx-trio", "httpx2-asyncio", "httpx2-trio")
CALLERS = (*SYNC, *ASYNC)
DRIVERS = ("requests", "httpx", "httpx-asyncio")
"""One client for each way to drive the steps of a call: a hook, a generator, an async generator."""


def clients(*names: str) -> pytest.MarkDecorator:
    """Runs a test with these clients instead of one for each driver."""
    return pytest.mark.parametrize("caller", names, indirect=True)


@contextlib.contextmanager
def open_caller(name: str) -> Iterator[Caller]:
    """One of CALLERS, closed at the end."""
    library, _, backend = name.partition("-")
    if backend:
        with start_blocking_portal(backend) as portal:
            caller = AsyncHttpxCaller(library, portal)
            yield caller
            portal.call(caller.client.aclose)
        return
    sync = RequestsCaller() if library == "requests" else HttpxCaller(library)
    yield sync
    sync.client.close()


def _named(options: dict[str, Any]) -> dict[str, Any]:
    return {{"form": "data"}.get(name, name): value for name, value in options.items()}


def _answer(response: Any, body: bytes | None) -> Answer:
    return Answer(
        response.status_code,
        response.headers,
        response.content if body is None else body,
        tuple(response.history),
        response,
    )
