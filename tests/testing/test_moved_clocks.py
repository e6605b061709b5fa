"""Users' tests that move the time with freezegun or time-machine: every lifetime follows, and no wait hangs."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import time_machine
from freezegun import configure, freeze_time

from m2m_auth import (
    AccessToken,
    HttpRequest,
    HttpResponse,
    RenewalPolicy,
    TokenEndpointUnavailable,
    TokenSource,
    TokenUnavailable,
    TransportError,
)
from m2m_auth.caches.disk import DiskTokenCache
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.caches.protocol import TokenCache
from m2m_auth.source.registry import forget_everything
from m2m_auth.testing import forget_tokens

# freezegun reads every attribute of every module; those of auth0 are pydantic models that are imported then, and fail.
configure(extend_ignore_list=["auth0"])

START = datetime(2030, 1, 1, tzinfo=timezone.utc)

Move = Callable[[float], object]
Freeze = Callable[..., AbstractContextManager[Move]]


def real_seconds() -> float:
    """A clock that neither tool moves."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


class Server:
    """A token endpoint as a transport: t1, t2, … for an hour each."""

    def __init__(self) -> None:
        self.mints = 0
        self.down = False
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answers one token request."""
        self.gate.wait(request.timeout)
        if self.down:
            raise TransportError("no route")
        self.mints += 1
        token = {"access_token": f"t{self.mints}", "token_type": "Bearer", "expires_in": 3600}
        return HttpResponse(200, {}, json.dumps(token).encode())


class _Freezegun:
    """``freeze_time``, and a function that moves it."""

    def __init__(self, at: datetime = START, *, tick: bool = False) -> None:
        self.freezer = freeze_time(at, tick=tick)

    def __enter__(self) -> Move:
        try:
            factory: Any = self.freezer.start()
        except BaseException:
            self.freezer.stop()
            raise
        return lambda seconds: factory.tick(timedelta(seconds=seconds))

    def __exit__(self, *_: object) -> None:
        self.freezer.stop()


class _TimeMachine:
    """``time_machine.travel``, and a function that moves it."""

    def __init__(self, at: datetime = START, *, tick: bool = False) -> None:
        self.travel = time_machine.travel(at, tick=tick)

    def __enter__(self) -> Move:
        return self.travel.start().shift

    def __exit__(self, *_: object) -> None:
        self.travel.stop()


@pytest.fixture(params=[_Freezegun, _TimeMachine], ids=["freezegun", "time-machine"])
def freeze(request: pytest.FixtureRequest) -> Iterator[Freeze]:
    """Each tool: called, it stops the time of a ``with`` block."""
    forget_tokens()
    yield request.param
    forget_tokens()


@pytest.fixture
def server() -> Server:
    """A token endpoint that counts."""
    return Server()


def source(server: Server, **options: Any) -> TokenSource:
    """A source of that server's tokens."""
    return TokenSource("https://tenant.example/token", "client", "s3cr3t-word", transport=server, **options)


def values(*calls: Callable[[], AccessToken]) -> list[str]:
    """The tokens of these calls, one after the other."""
    return [call().value for call in calls]


@pytest.mark.parametrize("tick", [False, True])
def test_a_second_token_after_the_first_ones_life(freeze: Freeze, server: Server, *, tick: bool) -> None:
    """A source built inside: one token for an hour, the next one after it, and no real waiting."""
    began = real_seconds()
    with freeze(tick=tick) as move:
        it = source(server)
        assert values(it.token, it.token) == ["t1", "t1"]
        move(1800)
        assert values(it.token) == ["t1"]
        for mints in range(2, 12):
            move(3601)
            assert values(it.token, it.token) == [f"t{mints}"] * 2
        assert server.mints == 11
    assert real_seconds() - began < 10


def test_a_users_callable(freeze: Freeze, server: Server) -> None:
    """A secret that is fetched on a flight's thread, and a transport, see the time that the test set."""
    seen: list[float] = []

    def secret() -> str:
        seen.append(time.time())
        return "s3cr3t-word"

    def transport(request: HttpRequest) -> HttpResponse:
        seen.append(time.time())
        return server(request)

    with freeze():
        TokenSource("https://tenant.example/token", "client", secret, transport=transport).token()
    assert seen == [START.timestamp()] * 2


def test_the_token_knows_the_frozen_time(freeze: Freeze, server: Server) -> None:
    """``issued_at`` and ``expires_at`` are the time that the test set."""
    with freeze():
        token = source(server).token()
    assert (token.issued_at, token.expires_at) == (START.timestamp(), START.timestamp() + 3600)


def test_a_source_that_is_older_than_the_freeze(freeze: Freeze, server: Server) -> None:
    """Its token stays good at the same hour, ends with the frozen time, and the new one ends with the real time."""
    it = source(server)
    assert values(it.token) == ["t1"]
    with freeze(datetime.now(timezone.utc)) as move:
        assert values(it.token) == ["t1"]
        move(3601)
        assert values(it.token, it.token) == ["t2", "t2"]
    assert values(it.token) == ["t2"]
    with freeze(datetime.now(timezone.utc)) as move:
        move(2 * 3600 + 60)
        assert values(it.token, it.token) == ["t3", "t3"]
    assert server.mints == 3


@pytest.mark.parametrize("days", [-365, 365])
def test_leaving_the_freeze(freeze: Freeze, server: Server, days: int) -> None:
    """A token of the past is at its end, and neither a pause nor a token keeps the source from working."""
    it = source(server)
    with freeze(datetime.now(timezone.utc) + timedelta(days=days)) as move:
        it.token()
        server.down = True
        move(3601)
        with pytest.raises(TokenEndpointUnavailable):
            it.token()
    server.down = False
    # A token that comes from the future is still good, for an hour of the monotonic clock.
    assert values(it.token, it.token) == (["t2", "t2"] if days < 0 else ["t1", "t1"])
    assert it.renew().value == it.token().value == ("t3" if days < 0 else "t2")


def test_the_time_goes_back(freeze: Freeze, server: Server) -> None:
    """A token stays good for calls of an earlier hour; a later hour than its last renews it."""
    with freeze() as move:
        it = source(server)
        assert values(it.token) == ["t1"]
        move(-86_400)
        assert values(it.token, it.token) == ["t1", "t1"]
        move(2 * 86_400)
        assert values(it.token, it.token) == ["t2", "t2"]


def test_a_stale_token_is_renewed_in_the_background(freeze: Freeze, server: Server) -> None:
    """Inside of the renewal window the call gets the held token, and a flight fetches the next one."""
    with freeze() as move:
        it = source(server)
        it.token()
        move(3400)
        assert values(it.token) == ["t1"]
        until = real_seconds() + 10
        while it.token().value == "t1" and real_seconds() < until:
            time.sleep(0.001)
        assert values(it.token) == ["t2"]
        assert server.mints == 2


def test_threads_of_the_test(freeze: Freeze, server: Server) -> None:
    """freezegun shows the real time to calls that are near to ``threading``: thousands of mints were counted here."""
    with freeze() as move, ThreadPoolExecutor(4) as pool:
        it = source(server)
        for hour in range(1, 4):
            tokens = [each.result(10).value for each in [pool.submit(it.token) for _ in range(20)]]
            assert set(tokens) == {f"t{hour}"}
            thread = threading.Thread(target=it.token)
            thread.start()
            thread.join(10)
            assert server.mints == hour
            move(3601)


def test_a_pause_after_a_failure_follows(freeze: Freeze, server: Server) -> None:
    """The server is down, then up: the next call after the backoff mints, though no real second has passed."""
    with freeze() as move:
        it = source(server)
        server.down = True
        with pytest.raises(TokenEndpointUnavailable):
            it.token()
        server.down = False
        move(600)
        assert values(it.token) == ["t1"]


def test_a_wait_that_the_server_asked_for_follows(freeze: Freeze) -> None:
    """``Retry-After: 600``: after ten minutes of the frozen time the next call mints."""
    answers = [
        HttpResponse(429, {"retry-after": "600"}, b""),
        HttpResponse(200, {}, b'{"access_token": "t1", "expires_in": 3600}'),
    ]
    with freeze() as move:
        it = TokenSource("https://tenant.example/token", "client", "s3cr3t-word", transport=lambda _: answers.pop(0))
        for _ in range(2):
            with pytest.raises(TokenEndpointUnavailable):
                it.token()
        move(610)
        assert values(it.token) == ["t1"]


def test_a_refused_token_is_replaced(freeze: Freeze, server: Server) -> None:
    """The age of a refused token is its age in the frozen time."""
    with freeze() as move:
        it = source(server)
        token = it.token()
        move(60)
        it.reject(token)
        assert values(it.token) == ["t2"]


def test_a_flight_that_hangs_ends_the_wait(freeze: Freeze, server: Server) -> None:
    """Waits are in real seconds: a time that stands still does not make them endless."""
    server.gate.clear()
    with freeze():
        it = source(server, policy=RenewalPolicy(mint_deadline=30, lease=35, max_wait=0.3))
        began = real_seconds()
        with pytest.raises(TokenUnavailable):
            it.token()
        assert 0.2 < real_seconds() - began < 10
        server.gate.set()


def test_asynchronous_calls(freeze: Freeze, server: Server) -> None:
    """asyncio, with the freeze around the loop, and begun inside of it."""

    async def hours(it: TokenSource, move: Move) -> list[str]:
        """Two hours of calls."""
        first = await asyncio.gather(*(it.atoken() for _ in range(5)))
        move(3601)
        return [token.value for token in (*first, await it.atoken(), await it.atoken())]

    async def inside() -> list[str]:
        """The loop runs already."""
        with freeze() as move:
            return await hours(source(server, scope="inside"), move)

    with freeze() as move:
        assert asyncio.run(hours(source(server), move)) == ["t1"] * 5 + ["t2"] * 2
    assert asyncio.run(inside()) == ["t3"] * 5 + ["t4"] * 2


def test_a_watched_source_does_not_spin(freeze: Freeze, server: Server) -> None:
    """The watcher's timer counts real seconds between its looks: few looks, and no mint but the first."""
    with freeze() as move:
        it = source(server)
        looks = 0
        with it.watch() as watcher:
            assert watcher.wait_until_ready(10)
            check = watcher.check

            def counted() -> float:
                nonlocal looks
                looks += 1
                return check()

            watcher.check = counted  # type: ignore[method-assign]
            time.sleep(0.3)
            assert looks <= 3
            assert server.mints == 1
            move(3601)
            assert values(it.token, it.token) == ["t2", "t2"]


def test_a_time_that_jumps_at_each_read(server: Server) -> None:
    """``auto_tick_seconds``: each read of the time is 15 s later. Tokens are renewed early, never in a loop."""
    with freeze_time(START, auto_tick_seconds=15):
        it = source(server)
        assert {it.token().value for _ in range(20)} <= {"t1", "t2"}
    forget_tokens()


@pytest.mark.parametrize("make", [MemoryTokenCache, DiskTokenCache])
def test_times_to_live_of_caches(freeze: Freeze, make: Callable[..., TokenCache], tmp_path: Any) -> None:
    """An entry ends by the frozen time, and an entry of a freeze does not stay for ever after it."""
    cache = make(tmp_path) if make is DiskTokenCache else make()
    with freeze() as move:
        cache.set("key", b"value", 60)
        move(59)
        assert cache.get("key") == b"value"
        move(2)
        assert cache.get("key") is None
        assert cache.add("key", b"again", 60)
    cache.close()


@pytest.mark.parametrize("make", [MemoryTokenCache, DiskTokenCache])
def test_a_shared_cache(freeze: Freeze, server: Server, make: Callable[..., TokenCache], tmp_path: Any) -> None:
    """The token is read from the cache while it lives, lease, lifetime and all, and minted again after it."""
    cache = make(tmp_path) if make is DiskTokenCache else make()
    with freeze() as move:
        assert values(source(server, cache=cache).token) == ["t1"]
        forget_everything()  # what another process knows
        move(600)
        it = source(server, cache=cache)
        assert values(it.token) == ["t1"]
        move(3001)
        assert values(it.token, it.token) == ["t2", "t2"]
    cache.close()


@pytest.mark.processes
def test_a_first_import_inside_of_the_freeze() -> None:
    """The package is imported while the time stands still; afterwards the source works on the real clocks."""
    program = """
import json
from freezegun import freeze_time
mints = []
def server(request):
    from m2m_auth import HttpResponse
    mints.append(1)
    return HttpResponse(200, {}, json.dumps({"access_token": f"t{len(mints)}", "expires_in": 3600}).encode())
with freeze_time("2020-01-01") as frozen:
    from m2m_auth import TokenSource
    it = TokenSource("https://tenant.example/token", "client", "s3cr3t-word", transport=server)
    it.token()
    frozen.tick(3601)
    assert it.token().value == it.token().value == "t2"
with freeze_time("2020-01-01T01:30:00"):
    assert it.token().value == "t2"
it.renew()
assert it.token().value == it.token().value == "t3"
"""
    run = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.processes
def test_a_fork_inside_of_the_freeze(server: Server) -> None:
    """A fork waits for a flight for a moment of real time, though the clocks stand still."""
    import multiprocessing

    server.gate.clear()
    with _Freezegun(), ThreadPoolExecutor(1) as pool:
        it = source(server)
        call = pool.submit(it.token)
        while not it.status().mints and not threading.active_count() > 2:
            time.sleep(0.001)
        child = multiprocessing.get_context("fork").Process(target=int)
        began = real_seconds()
        child.start()
        assert real_seconds() - began < 8
        server.gate.set()
        child.join(10)
        assert call.result(10).value == "t1"
    assert child.exitcode == 0
