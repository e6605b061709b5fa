"""What the proxy's tests share: a clock that moves when a test says so."""

from __future__ import annotations

import pytest

from m2m_auth.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    """The proxy's and the authorization server's time."""
    return FakeClock()
