"""Entries of the shared cache that do not open, or have the wrong shape: a miss and an event, never an error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from engine_steps import ClockedStore, source

from m2m_auth import MintBudget, TokenSource
from m2m_auth.events import Event
from m2m_auth.oauth2.secrets import Secret
from m2m_auth.shared_cache.sealing import Seal
from m2m_auth.testing import FakeAuthorizationServer, FakeClock

pytestmark = pytest.mark.loopback


@pytest.fixture
def store(clock: FakeClock) -> ClockedStore:
    """A shared cache on the fake clock."""
    return ClockedStore(clock.monotonic)


@pytest.fixture
def events() -> list[Event]:
    """The sources' events."""
    return []


def entry_for(it: TokenSource, store: ClockedStore) -> dict[str, Any]:
    """The opened token entry."""
    it.token()
    opened = SEAL.open(store.key("t"), store.entries[store.key("t")][0])
    assert opened is not None
    entry: dict[str, Any] = json.loads(opened)
    return entry


KEY = b"0123456789abcdef"
SEAL = Seal([Secret(KEY)])


@pytest.mark.parametrize(
    "change",
    [
        {"value": 1},
        {"lifetime": "x"},
        {"lifetime": None},
        {"issued_at": []},
        {"rejected": 1},
        {"scope": {}},
        {"schema": 99, "value": {"new": "shape"}},
    ],
)
def test_a_newer_schema_is_a_miss_and_an_event(
    timed_server: FakeAuthorizationServer,
    clock: FakeClock,
    store: ClockedStore,
    events: list[Event],
    change: dict[str, Any],
) -> None:
    """An entry that opens and has the wrong shape: a mint, and an event."""
    options: dict[str, Any] = {"clock": clock, "encryption_keys": [KEY]}
    entry = entry_for(source(timed_server, cache=store.beside(), **options), store)
    key = store.key("t")
    store.set(key, SEAL.seal(key, json.dumps({**entry, **change}).encode()), 3000)
    it = source(timed_server, cache=store, on_event=events.append, **options)
    assert timed_server.is_active(it.token().value)
    assert timed_server.token_requests == 2
    assert "undecryptable" in {event.kind for event in events}


@pytest.mark.parametrize("sealed", ["garbage", "truncated", "other version", "other keys", "empty"])
def test_what_does_not_open_is_a_miss_and_an_event(
    timed_server: FakeAuthorizationServer, clock: FakeClock, store: ClockedStore, events: list[Event], sealed: str
) -> None:
    """Noise, a cut value, a newer seal, another fleet's keys: a mint, an event, and the new token is shared."""
    source(timed_server, clock=clock, cache=store.beside()).token()
    key = store.key("t")
    value = store.entries[key][0]
    changed = {
        "garbage": b"\x01" + bytes(range(200)),
        "truncated": value[:-1],
        "other version": b"\x02" + value[1:],
        "other keys": Seal([Secret(b"another key, as long")]).seal(key, b"{}"),
        "empty": b"",
    }
    store.set(key, changed[sealed], 3000)
    it = source(timed_server, clock=clock, cache=store.beside(), on_event=events.append)
    token = it.token()
    assert timed_server.token_requests == 2
    assert "undecryptable" in {event.kind for event in events}
    assert source(timed_server, clock=clock, cache=store.beside()).token() == token


@pytest.mark.parametrize("planted", [b"-1", b"9" * 5000, b"\xc2\xb2", b"one"])
def test_a_counter_that_is_none_fails_no_call(
    timed_server: FakeAuthorizationServer, clock: FakeClock, store: ClockedStore, planted: bytes
) -> None:
    """Counters are not sealed: a foreign value is not counted, and this process's own count stands in."""
    it = source(timed_server, clock=clock, cache=store, budget=MintBudget(per_month=10))
    it.token()
    for key in store.entries:
        if ".n." in key:
            store.entries[key] = planted, clock.monotonic() + 3600
    assert it.status().ledger.mints.month == 1
    it.renew()
    assert timed_server.token_requests == 2
