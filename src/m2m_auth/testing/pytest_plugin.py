"""Fixtures for tests of services that use m2m-auth; pytest finds them when m2m-auth is installed.

Loaded at the start of every test run, so it imports nothing before a fixture is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .fake_clock import FakeClock
    from .fake_server.fake_authorization_server import FakeAuthorizationServer

# Failures inside the contract should show their values like any test's.
pytest.register_assert_rewrite("m2m_auth.testing.cache_contract", "m2m_auth.testing._contract_steps")


@pytest.fixture
def m2m_clock() -> FakeClock:
    """A :class:`m2m_auth.testing.FakeClock`: pass it as ``clock=``."""
    from .fake_clock import FakeClock

    return FakeClock()


@pytest.fixture
def m2m_authorization_server(request: pytest.FixtureRequest) -> Iterator[FakeAuthorizationServer]:
    """A running :class:`m2m_auth.testing.FakeAuthorizationServer`; takes client ``client`` with ``secret``.

    In a test that uses ``m2m_clock`` as well, the server lives by that clock too.
    """
    from .fake_server.fake_authorization_server import FakeAuthorizationServer

    clock: FakeClock | None = None
    if "m2m_clock" in request.fixturenames:
        clock = request.getfixturevalue("m2m_clock")
    with FakeAuthorizationServer(clock=clock) as server:
        yield server
