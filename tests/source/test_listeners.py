"""Who hears of an event: the subscriber of every source with the same key, whichever source's call caused it."""

from __future__ import annotations

import copy
import gc
import logging
import pickle
import weakref
from functools import partial
from typing import Any

import pytest
from engine_support import OUTAGE, ScriptedServer, kinds, settle, source_on

from m2m_auth import TokenSource, TokenUnavailable
from m2m_auth.events import Event
from m2m_auth.source.token_source import engine_of
from m2m_auth.testing import FakeClock


class Recorder:
    """A subscriber with a method."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def on_event(self, event: Event) -> None:
        """Records it."""
        self.events.append(event)


def test_each_source_hears_of_its_key(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """Two equal sources with subscribers of their own: both hear of the mint that the second one's call caused."""
    server, one, two, other = ScriptedServer(), Recorder(), Recorder(), Recorder()
    sources = [
        source_on(server, clock, client_id="same", alias=alias, on_event=hears)
        for alias, hears in (("billing", one.on_event), ("reports", lambda event: two.on_event(event)))
    ]
    stranger = source_on(server, clock, client_id="another", on_event=partial(other.on_event))
    with caplog.at_level(logging.INFO, "m2m_auth"):
        sources[1].token()
        sources[0].token()
    assert kinds(one.events) == kinds(two.events)
    assert kinds(one.events).count("minted") == 1
    assert {event.alias for event in one.events} == {"billing"}
    assert {event.alias for event in two.events} == {"reports"}
    assert not other.events
    assert caplog.text.count("minted token") == 1, "the log has one line for all of them"
    del stranger


def test_a_subscriber_of_several_sources_hears_once(clock: FakeClock) -> None:
    """A metrics object that every source is given counts a mint once."""
    server, metrics = ScriptedServer(), Recorder()
    sources = [source_on(server, clock, client_id="once", on_event=metrics.on_event) for _ in range(5)]
    sources[3].token()
    assert kinds(metrics.events).count("minted") == 1


def test_one_that_raises_does_not_keep_the_event_from_the_others(clock: FakeClock) -> None:
    """Whatever the order."""

    def broken(_: Event) -> None:
        raise ZeroDivisionError

    server, recorders = ScriptedServer(), [Recorder(), Recorder()]
    first, _, last = (
        source_on(server, clock, client_id="raises", on_event=hears)
        for hears in (recorders[0].on_event, broken, recorders[1].on_event)
    )
    first.token()
    assert [kinds(recorder.events).count("minted") for recorder in recorders] == [1, 1]
    del last


def test_sources_that_are_gone_are_forgotten(clock: FakeClock) -> None:
    """A source that is built for each request, with a subscriber of its own: no list grows, nothing is kept alive."""
    server, keeper = ScriptedServer(), Recorder()
    kept = source_on(server, clock, client_id="gone", on_event=keeper.on_event)
    gone: list[weakref.ref[Recorder]] = []
    for _ in range(200):
        recorder = Recorder()
        gone.append(weakref.ref(recorder))
        source_on(server, clock, client_id="gone", on_event=recorder.on_event).token()
        del recorder
    gc.collect()
    assert not [recorder for recorder in gone if recorder() is not None]
    listeners: Any = engine_of(kept).state.listeners
    source_on(server, clock, client_id="gone", on_event=Recorder().on_event).token()
    assert len(listeners._emitters) <= 2
    assert kinds(keeper.events).count("minted") == 1


def test_sources_whose_secret_is_fetched_hear_too(clock: FakeClock) -> None:
    """Their key is known after the first fetch; after a rotation they hear of the new key."""
    server, vault, one, two = ScriptedServer(), ["s3cr3t-one!"], Recorder(), Recorder()
    sources = [
        source_on(server, clock, client_id="vault", client_secret=lambda: vault[-1], on_event=hears.on_event)
        for hears in (one, two)
    ]
    for source in sources:
        source.token()
    clock.advance(80)
    sources[0].token()
    settle(*sources)
    assert kinds(one.events).count("minted") == 2
    assert kinds(two.events).count("minted") == 1, "it was not there yet at the first mint"


def test_every_kind_of_event_is_heard(clock: FakeClock) -> None:
    """Failures and refusals too, not only mints."""
    server, hearer = ScriptedServer(), Recorder()
    source, listens = source_on(server, clock, client_id="all"), None
    listens = source_on(server, clock, client_id="all", on_event=hearer.on_event)
    engine_of(source).reject(source.token())
    engine_of(source).reject(source.token())
    clock.advance(101)
    server.down = OUTAGE
    with pytest.raises(TokenUnavailable):
        source.token()
    assert {"minted", "rejected", "forced_mint_ban", "renewal_failed"} <= set(kinds(hearer.events))
    assert listens.status().state != "fresh"


def test_a_copied_source_is_the_source(clock: FakeClock) -> None:
    """What holds a source can be copied, such as a session or settings; a pickle would carry the secret."""
    source: TokenSource = source_on(ScriptedServer(), clock)
    assert copy.copy(source) is source
    assert copy.deepcopy({"auth": [source]})["auth"][0] is source
    with pytest.raises(TypeError, match="build it where it is used"):
        pickle.dumps(source)
