"""Token sources on a platform's small store: one mint per key, and a token even if the store fails."""

from __future__ import annotations

import logging

import pytest
from bounded_stores import DictStore

from m2m_auth import TokenSource
from m2m_auth.caches.bounded import BoundedCache
from m2m_auth.testing import FakeAuthorizationServer

pytestmark = pytest.mark.loopback


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The warnings of the logger m2m_auth."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "m2m_auth" and record.levelno == logging.WARNING
    ]


def test_many_sources_mint_once_for_each_key() -> None:
    """10 keys and 20 caches over one store, as of 20 processes: 200 sources and 10 mints, within the store's limits."""
    store = DictStore()
    with FakeAuthorizationServer() as server:
        for _ in range(20):
            cache = BoundedCache(store)
            for number in range(10):
                audience = f"https://api{number}.example"
                source = TokenSource(server.token_endpoint, "client", "secret", audience=audience, cache=cache)
                assert source.token().value
        assert server.mints == 10
    assert len(store.live()) == 10
    assert store.size() <= 8192


def test_a_hundred_keys_in_a_store_of_twenty(caplog: pytest.LogCaptureFixture) -> None:
    """More keys than fit: this process mints once for each key, also when its source is built again. One warning."""
    store = DictStore()
    cache = BoundedCache(store)
    with FakeAuthorizationServer() as server:
        for _ in range(2):
            for number in range(100):
                scope = f"scope{number}"
                source = TokenSource(server.token_endpoint, "client", "secret", scope=scope, cache=cache)
                assert source.token().value
        assert server.mints == 100
    assert 0 < len(store.live()) <= 20
    assert store.size() <= 8192
    assert len([warning for warning in warnings_of(caplog) if "the limit is" in warning]) == 1


def test_a_store_that_raises_costs_no_call(caplog: pytest.LogCaptureFixture) -> None:
    """The call gets its token. One warning names the cache, without the message of the store."""
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
