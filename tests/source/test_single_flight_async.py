"""asyncio and trio: one mint, and an event loop that is never blocked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from engine_steps import at_once, eventually, land, source

from m2m_auth import AccessToken, RenewalPolicy, SourceStatus, TokenSource
from m2m_auth.caches.disk.disk_token_cache import DiskTokenCache
from m2m_auth.errors import TokenEndpointUnavailable, TokenUnavailable
from m2m_auth.testing import FakeAuthorizationServer, FakeClock

BACKENDS = ["asyncio", "trio"]
pytestmark = pytest.mark.parametrize("backend", BACKENDS)


async def many(it: TokenSource, count: int) -> list[AccessToken]:
    """What ``count`` tasks got that asked at once."""
    tokens: list[AccessToken] = []

    async def ask() -> None:
        tokens.append(await it.atoken())

    async with anyio.create_task_group() as tasks:
        for _ in range(count):
            tasks.start_soon(ask)
    return tokens


@pytest.mark.loopback
def test_a_thousand_tasks(server: FakeAuthorizationServer, backend: str) -> None:
    """1,000 tasks on a cold source: one token request; a 10 ms ticker goes on all the while."""
    server.latency = 2.0
    it = source(server)
    ticks = 0

    async def tick(over: anyio.Event) -> None:
        nonlocal ticks
        while not over.is_set():
            await anyio.sleep(0.01)
            ticks += 1

    async def main() -> list[AccessToken]:
        over = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tick, over)
            tokens = await many(it, 1000)
            over.set()
        return tokens

    tokens = anyio.run(main, backend=backend)
    assert len(tokens) == 1000
    assert len({token.value for token in tokens}) == 1
    assert server.token_requests == 1
    # 200 ticks in two seconds on a quiet machine; a loop that was blocked would have one or two.
    assert ticks >= 5


@pytest.mark.loopback
def test_a_cancelled_task_stops_nothing(server: FakeAuthorizationServer, backend: str) -> None:
    """The task that started the flight is cancelled; the others get that flight's token."""
    server.latency = 0.4
    it = source(server)

    async def main() -> list[AccessToken]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(it.atoken)
            while not server.token_requests:
                await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
        return await many(it, 10)

    tokens = anyio.run(main, backend=backend)
    assert len({token.value for token in tokens}) == 1
    assert server.token_requests == 1


@pytest.mark.loopback
def test_a_timeout_stops_nothing(server: FakeAuthorizationServer, backend: str) -> None:
    """The caller's own timeout ends its wait at once; the token is there soon after."""
    server.latency = 0.4
    it = source(server)

    async def main() -> AccessToken:
        with pytest.raises(TimeoutError):
            with anyio.fail_after(0.05):
                await it.atoken()
        return await it.atoken()

    assert server.is_active(anyio.run(main, backend=backend).value)
    assert server.token_requests == 1


@pytest.mark.loopback
def test_max_wait(server: FakeAuthorizationServer, backend: str) -> None:
    """Tasks without a token wait ``max_wait``, then get an error; the flight goes on."""
    server.latency = 0.6
    it = source(server, policy=RenewalPolicy(max_wait=0.1))

    async def main() -> None:
        with pytest.raises(TokenUnavailable) as caught:
            await it.atoken()
        assert caught.value.cause_code == "max_wait"

    anyio.run(main, backend=backend)
    eventually(lambda: it.status().state == "fresh")
    assert server.token_requests == 1


@pytest.mark.loopback
def test_a_failure_reaches_every_task(server: FakeAuthorizationServer, backend: str) -> None:
    """100 tasks and one failed attempt: each has an exception of its own, and there was one request."""
    server.latency = 0.2
    server.fail("500")
    it = source(server)
    errors: list[BaseException] = []

    async def ask() -> None:
        try:
            await it.atoken()
        except TokenEndpointUnavailable as error:
            errors.append(error)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(ask)

    anyio.run(main, backend=backend)
    assert len({id(error) for error in errors}) == 100
    assert server.token_requests == 1


@pytest.mark.loopback
def test_two_loops_one_after_the_other(timed_server: FakeAuthorizationServer, clock: FakeClock, backend: str) -> None:
    """One source in a loop, then in another, with a renewal in each: no lock is bound to a loop."""
    it = source(timed_server, clock=clock)
    first = anyio.run(it.atoken, backend=backend)
    clock.advance(3600)
    second = anyio.run(it.atoken, backend=backend)
    clock.advance(3600)
    third = anyio.run(it.atoken, backend="asyncio" if backend == "trio" else "trio")
    assert len({first, second, third}) == 3
    assert timed_server.token_requests == 3


@pytest.mark.loopback
def test_loops_threads_and_sync_callers_at_once(server: FakeAuthorizationServer, backend: str) -> None:
    """Two loops of each kind in four threads, and four plain threads, on one cold source: one mint."""
    server.latency = 0.4
    it = source(server)
    turns: Iterator[str] = iter([*BACKENDS * 2, "sync", "sync", "sync", backend])
    turn = threading.Lock()

    def ask() -> set[str]:
        with turn:
            kind = next(turns)
        if kind == "sync":
            return {it.token().value}
        return {token.value for token in anyio.run(many, it, 50, backend=kind)}

    values = set[str]().union(*at_once(8, ask))
    assert len(values) == 1
    assert server.token_requests == 1


@pytest.mark.loopback
def test_a_sync_call_inside_the_loop_does_not_deadlock(server: FakeAuthorizationServer, backend: str) -> None:
    """token() in a coroutine blocks its loop, as it says; tasks that wait for the same flight go on afterwards."""
    server.latency = 0.2
    it = source(server)

    async def main() -> set[str]:
        tokens: list[AccessToken] = []

        async def ask() -> None:
            tokens.append(await it.atoken())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await anyio.sleep(0.05)
            tokens.append(it.token())
        return {token.value for token in tokens}

    assert len(anyio.run(main, backend=backend)) == 1
    assert server.token_requests == 1


@pytest.mark.loopback
def test_a_loop_that_ends_during_the_flight(server: FakeAuthorizationServer, backend: str) -> None:
    """The loop is closed when the flight lands: nothing is logged, and the next loop finds the token."""
    server.latency = 0.4
    it = source(server)

    async def give_up() -> None:
        with anyio.move_on_after(0.05):
            await it.atoken()

    anyio.run(give_up, backend=backend)
    land(it)
    assert server.is_active(anyio.run(it.atoken, backend=backend).value)
    assert server.token_requests == 1


@pytest.mark.loopback
def test_the_held_token_without_a_task_switch(server: FakeAuthorizationServer, backend: str) -> None:
    """A fresh token comes without a single turn of the event loop."""
    it = source(server)
    it.token()

    async def main() -> AccessToken:
        coroutine: Any = it.atoken()
        try:
            coroutine.send(None)
        except StopIteration as stop:
            token: AccessToken = stop.value
            return token
        raise AssertionError("it was suspended")

    assert anyio.run(main, backend=backend) == it.token()


@pytest.mark.loopback
def test_callers_need_no_anyio(server: FakeAuthorizationServer, backend: str) -> None:
    """Callers use plain asyncio or plain trio, without anyio."""
    it = source(server)
    run: Callable[..., Any]
    if backend == "trio":
        import trio

        run = trio.run
    else:

        def run(function: Callable[[], Any]) -> Any:
            return asyncio.run(function())

    assert server.is_active(run(it.atoken).value)


@pytest.mark.loopback
def test_async_callable(server: FakeAuthorizationServer, backend: str) -> None:
    """An SDK that awaits a callable gets the token's value; the callable is the same at each read of the property."""
    it = source(server)
    assert anyio.run(it.async_callable, backend=backend) == it.token().value
    assert it.async_callable == it.async_callable


@pytest.mark.loopback
def test_arenew_mints_and_leaves_the_loop_free(server: FakeAuthorizationServer, backend: str) -> None:
    """arenew() mints though the token is fresh; other tasks run meanwhile, and concurrent calls share one flight."""
    it = source(server)
    first = it.token()
    server.latency = 0.3
    renewed: list[AccessToken] = []
    steps: list[str] = []

    async def renew() -> None:
        renewed.append(await it.arenew())
        steps.append("renewed")

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(renew)
            tasks.start_soon(renew)
            while server.token_requests < 2:
                await anyio.sleep(0.01)
            steps.append("the loop runs")

    anyio.run(main, backend=backend)
    assert steps == ["the loop runs", "renewed", "renewed"]
    assert set(renewed) == {it.token()}
    assert first not in renewed
    assert server.token_requests == 2


@pytest.mark.loopback
def test_arenew_raises_and_keeps_the_token(server: FakeAuthorizationServer, backend: str) -> None:
    """A failed attempt is the caller's error, as with renew(); the held token stays."""
    it = source(server)
    first = it.token()
    server.fail("500")
    with pytest.raises(TokenEndpointUnavailable):
        anyio.run(it.arenew, backend=backend)
    assert it.token() == first


@pytest.mark.loopback
def test_astatus(server: FakeAuthorizationServer, backend: str, tmp_path: Path) -> None:
    """The same snapshot as status(), with the ledger of a shared cache; the loop runs while the ledger is read."""
    reading, go_on = threading.Event(), threading.Event()

    class SlowCounters(DiskTokenCache):
        def get(self, key: str) -> bytes | None:
            if key.startswith("m2m1.n."):
                reading.set()
                assert go_on.wait(20)
            return super().get(key)

    it = source(server, cache=SlowCounters(tmp_path / "cache"))
    value = it.token()
    statuses: list[SourceStatus] = []

    async def ask() -> None:
        statuses.append(await it.astatus())

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            while not reading.is_set():
                await anyio.sleep(0.01)
            go_on.set()

    anyio.run(main, backend=backend)
    (status,) = statuses
    assert (status.fingerprint, status.state, status.ledger.mints.month) == (value.fingerprint, "fresh", 1)
    assert status == it.status()
    it.close()
