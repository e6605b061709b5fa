"""What the vendor's tests share: a clock that moves when a test says so."""

from __future__ import annotations

import pytest

from m2m_auth.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    """The vendor's and the authorization server's time."""
    return FakeClock()
