"""Real caches whose replies are swapped or cut: a miss or a fault, never another key's token, never an exception."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from cache_fault_world import KINDS, QUICK, Kind, World, store_of, together, world_of
from real_servers.stores import Store

from m2m_auth.shared_cache.circuit_breaker import OPEN_FOR
from m2m_auth.source.registry import forget_everything

pytestmark = pytest.mark.processes

AUDIENCES = ("https://one.example", "https://other.example")
CUTS = (1, 2, 4, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610)
"""After how many bytes a reply ends: in its first line, before, in and after a token of some 300 bytes."""


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Redis, memcached and DynamoDB, one after the other."""
    return KINDS[request.param]


@pytest.fixture(scope="module")
def store(kind: Kind) -> Iterator[Store]:
    """The running server."""
    with store_of(kind) as running:
        yield running


@pytest.fixture
def world(kind: Kind, store: Store) -> Iterator[World]:
    """The server behind a proxy."""
    with world_of(kind, store) as made:
        yield made


@pytest.mark.parametrize("stored", [True, False], ids=["stored tokens", "cold"])
def test_no_token_of_another_key_is_accepted(world: World, stored: bool) -> None:
    """Two audiences at once, many rounds: each gets the other's answers, and still its own tokens."""
    rounds = 4 if world.kind.name == "dynamodb" else 20
    if stored:
        for audience in AUDIENCES:
            world.token(world.source(audience=audience))
    for number in range(rounds):
        forget_everything()
        scope = None if stored else f"round-{number}"
        sources = [
            world.source(world.connected_cache(), audience=audience, scope=scope, policy=QUICK)
            for audience in AUDIENCES
        ]
        world.proxy.swap(patience=0.1)
        tokens = together(*(source.token for source in sources))
        world.proxy.recover()
        assert [world.audience(token) for token in tokens] == list(AUDIENCES)
    assert world.proxy.swapped >= rounds
    noticed = world.kinds("undecryptable", "cache_fault")
    if stored:  # the first answers of cold sources are alike: there is nothing
        assert len(noticed) >= rounds
    if stored and world.kind.name == "redis":  # the others' answers name the key that they are for
        assert noticed.count("undecryptable") >= rounds
    for audience in AUDIENCES:  # nothing that was stored meanwhile is under another's name
        after = world.source(audience=audience, scope=None if stored else "round-0", policy=QUICK)
        assert world.audience(after.token()) == audience


def test_nothing_is_left_of_swapped_replies(world: World) -> None:
    """After another's answer in the middle of a renewal, a connection does not return answers one request late."""
    caches = [world.connected_cache() for _ in AUDIENCES]
    for number in range(2 if world.kind.name == "dynamodb" else 5):
        sources = [world.source(cache, audience=name) for cache, name in zip(caches, AUDIENCES, strict=True)]
        world.proxy.swap(patience=0.1)
        tokens = together(*(source.renew for source in sources))
        world.proxy.recover()
        assert [world.audience(token) for token in tokens] == list(AUDIENCES)
        for each, cache in enumerate(caches):
            for turn in range(3):
                value = f"{number} {each} {turn}".encode()
                cache.set(f"m2m1.{world.client_id}.{each}", value, 60)
                assert cache.get(f"m2m1.{world.client_id}.{each}") == value
        world.clock.advance(OPEN_FOR)


@pytest.mark.parametrize("close", [True, False], ids=["closed", "left open"])
def test_a_truncated_reply_is_a_miss_or_a_fault(world: World, close: bool) -> None:
    """Wherever it is cut: there is a good token for the right audience, and the next process finds a whole one."""
    audience = AUDIENCES[0]
    world.token(world.source(audience=audience))
    handed_out = set()
    cuts = CUTS[::3] if world.kind.name == "dynamodb" else CUTS
    for size in cuts:
        source = world.source(world.connected_cache(0.2), audience=audience)
        world.proxy.truncate(size, close=close)
        token = world.token(source)
        world.proxy.recover()
        assert world.audience(token) == audience
        handed_out.add(token.value)
        again = world.token(world.source(audience=audience))
        assert world.audience(again) == audience
    assert len(world.kinds("cache_fault", "undecryptable")) >= len(cuts) / 2
    assert len(handed_out) > len(cuts) / 2, "cut replies were taken for whole ones"


def test_replies_that_come_late_are_not_the_next_ones(world: World) -> None:
    """Each reply comes after its caller gave up, while the next request is under way: it is not taken for its own."""
    caches = [world.connected_cache(0.2) for _ in AUDIENCES]
    for _ in range(3):
        world.proxy.delay(0.3)
        start = time.monotonic()
        sources = [world.source(cache, audience=name) for cache, name in zip(caches, AUDIENCES, strict=True)]
        late = together(*(source.token for source in sources))
        assert time.monotonic() - start < 4
        world.proxy.delay(0.05)
        world.clock.advance(OPEN_FOR)
        soon = together(*(source.renew for source in sources))
        world.proxy.recover()
        for tokens in (late, soon):
            assert [world.audience(token) for token in tokens] == list(AUDIENCES)
        forget_everything()
