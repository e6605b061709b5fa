"""Watchers: warm without calls, through an outage, after a fork; one thread for all of them, and none afterwards."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_processes import Process

from m2m_auth import RenewalPolicy, TokenSource
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.oauth2.transport import HttpRequest, HttpResponse
from m2m_auth.runtime.clock import Clock
from m2m_auth.testing import FakeAuthorizationServer, FakeClock

ENDPOINT = "https://tenant.example/oauth/token"
ANSWER = HttpResponse(200, {"content-type": "application/json"}, b'{"access_token": "t", "token_type": "Bearer"}')
TIMER = "m2m-auth-watcher"


def timers() -> list[threading.Thread]:
    """The timer threads of this process."""
    return [thread for thread in threading.enumerate() if thread.name == TIMER]


@pytest.fixture(params=["memory", "disk"])
def watching(request: pytest.FixtureRequest, server: FakeAuthorizationServer, folder: Path) -> Iterator[Process]:
    """A process that watches 4 s tokens, and holds the first."""
    server.lifetime = 4
    process = Process("watch_child.py", server.token_endpoint, f"disk:{folder}" if request.param == "disk" else "")
    process.tell("ready 20")
    assert process.hear("ready")
    yield process
    process.kill()


def held(process: Process) -> str:
    """The token that the process holds."""
    process.tell("held")
    token: str = process.hear("held")
    return token


@pytest.mark.processes
def test_warm_without_calls(server: FakeAuthorizationServer, watching: Process) -> None:
    """No call is made over three lifetimes: the token is renewed in each, a good one is held, and no mint is wasted."""
    first = server.requests[0].time
    server.wait_for_token_requests(4, timeout=60)
    watching.tell("ready 20")
    assert watching.hear("ready")
    assert server.is_active(held(watching))
    assert server.requests[3].time - first >= 3 * 3 - 0.1


@pytest.mark.processes
def test_outage_longer_than_a_token(server: FakeAuthorizationServer, watching: Process) -> None:
    """The server is down until the token ends; the watcher says so, goes on, and is ready when it is back."""
    server.stop()
    watching.tell("ready 0")
    assert watching.hear("ready")
    until, ready = time.monotonic() + 60, True
    while ready:
        assert time.monotonic() < until, "an expired token passes for a good one"
        time.sleep(0.1)
        watching.tell("ready 0")
        ready = watching.hear("ready")
    server.start()
    watching.tell("ready 30")
    assert watching.hear("ready") is True
    assert server.is_active(held(watching))


@pytest.mark.processes
def test_after_fork(server: FakeAuthorizationServer, watching: Process) -> None:
    """A forked child goes on watching, with a thread of its own."""
    before = held(watching)
    watching.tell("fork")
    assert watching.hear("forked")
    count = server.token_requests
    server.wait_for_token_requests(count + 2, timeout=60)
    watching.tell("ready 20")
    assert watching.hear("ready")
    assert server.is_active(held(watching))
    assert held(watching) != before


def test_a_thousand_watchers_share_one_thread() -> None:
    """1,000 watched sources: all get their token, on one timer thread; it ends when the last is closed."""
    asked: list[str] = []

    def answer(request: HttpRequest) -> HttpResponse:
        asked.append(request.url)
        return ANSWER

    sources = [
        TokenSource(ENDPOINT, f"watched-{i}", "secret", cache=MemoryTokenCache(), transport=answer) for i in range(1000)
    ]
    watchers = [source.watch() for source in sources]
    (timer,) = timers()
    assert all(watcher.wait_until_ready(30) for watcher in watchers)
    assert timers() == [timer]
    assert len(asked) == 1000
    for watcher in watchers:
        watcher.close()
    timer.join(10)
    assert not timer.is_alive()
    assert timers() == []
    assert {watcher.state for watcher in watchers} == {"closed"}


def test_wait_until_ready_gives_up() -> None:
    """No answer: False at the timeout; True once there is one."""
    gate = threading.Event()

    def answer(request: HttpRequest) -> HttpResponse:
        assert gate.wait(30)
        return ANSWER

    with TokenSource(ENDPOINT, "slow", "secret", cache=MemoryTokenCache(), transport=answer).watch() as watcher:
        assert watcher.wait_until_ready(0.1) is False
        assert watcher.state == "waiting"
        gate.set()
        assert watcher.wait_until_ready(10) is True
        assert watcher.state == "ready"


def test_a_flight_that_never_lands() -> None:
    """A transport hangs for ever: after the flight's deadline the watcher starts another; it does not wait for ever."""
    asked, over = threading.Semaphore(0), threading.Event()

    def answer(request: HttpRequest) -> HttpResponse:
        asked.release()
        assert over.wait(30)
        return ANSWER

    policy = RenewalPolicy(mint_deadline=0.1, lease=0.2)
    source = TokenSource(ENDPOINT, "stuck", "secret", cache=MemoryTokenCache(), transport=answer, policy=policy)
    try:
        with source.watch():
            assert asked.acquire(timeout=10)
            assert asked.acquire(timeout=10)
    finally:
        over.set()


def test_ready_by_another_callers_flight() -> None:
    """The watcher is in a pause of a minute, and renew() gets a token: waiting for it ends with True."""
    clock = FakeClock()
    refused = [HttpResponse(400, {"content-type": "application/json"}, b'{"error": "invalid_scope"}')]

    def answer(request: HttpRequest) -> HttpResponse:
        return refused.pop() if refused else ANSWER

    source = TokenSource(ENDPOINT, "paused", "secret", cache=MemoryTokenCache(), transport=answer, clock=clock)
    with source.watch() as watcher:
        assert watcher.wait_until_ready(0.5) is False
        waiting = threading.Timer(0.2, source.renew)
        clock.advance(61)
        waiting.start()
        assert watcher.wait_until_ready(2) is True
        waiting.join()


class HeldUp(Clock):
    """A clock that blocks the timer thread in the middle of a check."""

    def __init__(self) -> None:
        self.looking, self.over = threading.Event(), threading.Event()

    def monotonic(self) -> float:
        """See :class:`m2m_auth.Clock`."""
        if threading.current_thread().name == TIMER:
            self.looking.set()
            assert self.over.wait(30)
        return time.monotonic()


@pytest.mark.processes
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_fork_in_the_middle_of_a_check() -> None:
    """The timer thread checks its source while another thread forks: the child watches that source too."""
    clock = HeldUp()
    source = TokenSource(
        ENDPOINT, "forked", "secret", cache=MemoryTokenCache(), transport=lambda _: ANSWER, clock=clock
    )
    watcher = source.watch()
    assert clock.looking.wait(10)
    child = os.fork()
    if child == 0:
        clock.over = threading.Event()
        clock.over.set()
        os._exit(0 if watcher.wait_until_ready(10) else 1)
    assert os.waitpid(child, 0)[1] == 0
    clock.over.set()
    watcher.close()
