"""Token sources on a platform's small store: one mint per key, and a token whatever the store does."""

from __future__ import annotations

import logging

import pytest
from bounded_stores import DictStore

from m2m_auth import TokenSource
from m2m_auth.caches.bounded import BoundedCache
from m2m_auth.testing import FakeAuthorizationServer


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the logger m2m_auth has warned of."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "m2m_auth" and record.levelno == logging.WARNING
    ]


def test_a_thousand_sources_mint_once_for_each_key() -> None:
    """10 keys, 100 processes' caches over one store: 1,000 sources and 10 mints; the store is never over its limits."""
    store = DictStore()
    with FakeAuthorizationServer() as server:
        for _ in range(100):
            cache = BoundedCache(store)
            for number in range(10):
                audience = f"https://api{number}.example"
                source = TokenSource(server.token_endpoint, "client", "secret", audience=audience, cache=cache)
                assert source.token().value
        assert server.mints == 10
    assert len(store.live()) == 10
    assert store.size() <= 8192


def test_a_thousand_keys_in_a_store_of_twenty(caplog: pytest.LogCaptureFixture) -> None:
    """More keys than fit: each is minted once in this process, also when its source is built anew; one warning."""
    store = DictStore()
    cache = BoundedCache(store)
    with FakeAuthorizationServer() as server:
        for _ in range(2):
            for number in range(1000):
                scope = f"scope{number}"
                source = TokenSource(server.token_endpoint, "client", "secret", scope=scope, cache=cache)
                assert source.token().value
        assert server.mints == 1000
    assert 0 < len(store.live()) <= 20
    assert store.size() <= 8192
    assert len([warning for warning in warnings_of(caplog) if "the limit is" in warning]) == 1


def test_a_store_that_raises_costs_no_call(caplog: pytest.LogCaptureFixture) -> None:
    """The token comes all the same, and one warning says which cache fails, without the store's own words."""
    store = DictStore()
    store.fault = RuntimeError("hunter2")
    with FakeAuthorizationServer(clients={"raising-store": "secret"}) as server:
        source = TokenSource(server.token_endpoint, "raising-store", "secret", cache=BoundedCache(store))
        token = source.token()
        assert server.is_active(token.value)
        assert source.token() == token
        assert server.mints == 1
    (warning,) = (warning for warning in warnings_of(caplog) if "the shared cache fails" in warning)
    assert "BoundedCache(DictStore): RuntimeError" in warning
    assert "hunter2" not in caplog.text
