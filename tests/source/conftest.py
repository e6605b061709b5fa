"""Fixtures of the engine's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from m2m_auth.source.registry import forget_everything
from m2m_auth.testing import FakeAuthorizationServer, FakeClock


@pytest.fixture(autouse=True)
def cold_registry() -> None:
    """The system may use a port, and so a key, again: each test starts without the tokens of another."""
    forget_everything()


@pytest.fixture
def server() -> Iterator[FakeAuthorizationServer]:
    """A fake authorization server on the real clock."""
    with FakeAuthorizationServer() as running:
        yield running


@pytest.fixture
def clock() -> FakeClock:
    """A clock that only moves when the test says so; jitter falls on the early edge."""
    clock = FakeClock()
    clock.uniform = lambda: 0.0
    return clock


@pytest.fixture
def timed_server(clock: FakeClock) -> Iterator[FakeAuthorizationServer]:
    """A fake authorization server on ``clock``; its tokens live 3600 s."""
    with FakeAuthorizationServer(clock=clock) as running:
        yield running
