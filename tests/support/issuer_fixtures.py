"""Fixtures of the verifiers' and the vendor's tests: a clock, an issuer with that clock, a verifier of its tokens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from issuer import AUDIENCE, Issuer

from m2m_auth.testing import FakeClock
from m2m_auth.verifier import JWTVerifier

__all__ = ["clock", "issuer", "verifier"]


@pytest.fixture
def clock() -> FakeClock:
    """A clock that moves when a test says so."""
    return FakeClock()


@pytest.fixture
def issuer(clock: FakeClock) -> Iterator[Issuer]:
    """A running issuer."""
    with Issuer(clock) as server:
        yield server


@pytest.fixture
def verifier(issuer: Issuer, clock: FakeClock) -> JWTVerifier:
    """A verifier of the issuer's tokens, with 30 s of leeway."""
    return JWTVerifier(issuer.issuer, AUDIENCE, issuer.jwks_uri, clock=clock)
