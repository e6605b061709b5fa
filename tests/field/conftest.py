"""The front doors that the field's servers are called through, and the clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from field_support import Door, closing_door

from m2m_auth.testing import FakeClock


@pytest.fixture(params=["requests", "httpx"])
def door(request: pytest.FixtureRequest) -> Iterator[Door]:
    """A client of each library; ``indirect`` picks one. httpx2 shares httpx's front door."""
    with closing_door(request.param) as opened:
        yield opened


@pytest.fixture
def clock() -> FakeClock:
    """The clock of the client and of the server."""
    return FakeClock()
