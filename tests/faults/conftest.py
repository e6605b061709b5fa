"""Fixtures of the fault-injection tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_processes import Child

from m2m_auth.source.registry import forget_everything
from m2m_auth.testing import FakeAuthorizationServer


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
def folder(tmp_path: Path) -> Path:
    """The disk cache's folder."""
    return tmp_path / "cache"


@pytest.fixture
def children() -> Iterator[list[Child]]:
    """Processes that are killed at the test's end."""
    started: list[Child] = []
    yield started
    for child in started:
        child.kill()
