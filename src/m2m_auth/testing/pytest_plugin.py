"""For tests of services that use m2m-auth: fixtures, and a folder for the disk cache. pytest finds them by itself.

pytest loads this file at the start of every test run, so each fixture imports what it needs.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .fake_clock import FakeClock
    from .fake_server.fake_authorization_server import FakeAuthorizationServer

# So that a failed assert of the contract shows its values.
pytest.register_assert_rewrite("m2m_auth.testing.cache_contract")


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, object, object]:
    """Makes ``disk:`` a folder of this test run, before a conftest.py or pytest-django's settings build a client.

    The environment variable ``M2M_AUTH_CACHE_FOLDER`` has it. One that is set already stays.
    """
    from .disk_folder import use_own_disk_folder

    undo = use_own_disk_folder()
    if undo is not None:
        early_config.add_cleanup(undo)
    return (yield)


@pytest.fixture
def m2m_forget_tokens() -> Iterator[None]:
    """Calls :func:`m2m_auth.testing.forget_tokens` before and after the test."""
    from . import forget_tokens

    forget_tokens()
    yield
    forget_tokens()


@pytest.fixture
def m2m_clock() -> FakeClock:
    """A :class:`m2m_auth.testing.FakeClock`: pass it as ``clock=``."""
    from .fake_clock import FakeClock

    return FakeClock()


@pytest.fixture
def m2m_authorization_server(request: pytest.FixtureRequest) -> Iterator[FakeAuthorizationServer]:
    """A running :class:`m2m_auth.testing.FakeAuthorizationServer` with the client ``client`` and the secret ``secret``.

    In a test that also uses ``m2m_clock``, the server uses that clock.
    """
    from .fake_server.fake_authorization_server import FakeAuthorizationServer

    clock: FakeClock | None = None
    if "m2m_clock" in request.fixturenames:
        clock = request.getfixturevalue("m2m_clock")
    with FakeAuthorizationServer(clock=clock) as server:
        yield server
