"""Events and the log: the subscriber receives every event, the log leaves out repetitions."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import get_args

import pytest

from m2m_auth import TokenSource
from m2m_auth.events import Event, EventEmitter, EventKind
from m2m_auth.source.token_source import engine_of

NAME = "m2m_auth"


def test_a_subscriber_receives_every_event() -> None:
    """Events are typed objects, with the fingerprint cut to 8 digits."""
    received: list[Event] = []
    events = EventEmitter("client", received.append)
    events.emit("minted", "0123456789abcdef", "cold", 0.25)
    events.emit("minted", "0123456789abcdef", "cold", 0.25)
    minted = Event(kind="minted", client_id="client", fingerprint="01234567", reason="cold", seconds=0.25)
    assert received == [minted] * 2


def test_an_alias_distinguishes_sources_of_one_client(caplog: pytest.LogCaptureFixture) -> None:
    """The alias is in every event and every log line, with the client's id."""
    received: list[Event] = []
    source = TokenSource("https://as.example/token", "client-9", "s3cr3t", alias="billing", on_event=received.append)
    engine_of(source).context.events.emit("rejected", "01234567")
    assert [(event.alias, event.client_id) for event in received] == [("billing", "client-9")]
    assert caplog.messages == ["billing (client client-9): an API refused token 01234567"]


def test_the_page_has_every_kind() -> None:
    """docs/observability.md lists the words that subscribers compare with, and no others."""
    page = (Path(__file__).parents[1] / "docs" / "observability.md").read_text("utf-8")
    table = page.partition("| event | when |")[2].partition("\n\n")[0]
    listed = {kind for row in table.splitlines() for kind in re.findall(r"`(\w+)`", row.partition(" | ")[0])}
    assert listed == set(get_args(EventKind))


@pytest.mark.parametrize("kind", get_args(EventKind))
def test_every_kind_has_a_log_line(kind: EventKind, caplog: pytest.LogCaptureFixture) -> None:
    """Each kind of event is logged, with and without its details, and names the client."""
    with caplog.at_level(1, NAME):
        EventEmitter("client-7", None).emit(kind)
        EventEmitter("client-7", None).emit(kind, "0123456789abcdef", "a reason", 1.5)
    assert [record.message.startswith("client client-7: ") for record in caplog.records] == [True, True]
    assert "0123456789" not in caplog.text


def test_an_outage_is_two_lines_not_ten_thousand(caplog: pytest.LogCaptureFixture) -> None:
    """The log repeats no equal failure. It has the end of the outage and the next failure."""
    events = EventEmitter("an-hour-of-outage", None)
    with caplog.at_level(logging.INFO, NAME):
        for _ in range(10_000):
            events.emit("renewal_failed", reason="timeout", seconds=1.0)
        events.emit("renewal_failed", reason="http_503", seconds=1.0)
        events.emit("minted", "01234567", "renewal", 0.1)
        events.emit("renewal_failed", reason="http_503", seconds=1.0)
    words = [record.message.split("(")[1].split(")")[0] for record in caplog.records]
    assert words == ["timeout", "http_503", "renewal", "http_503"]


def test_a_subscriber_that_raises_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The log has the type of the exception, not its message, which may hold anything."""

    def subscriber(event: Event) -> None:
        raise RuntimeError("canary")

    with caplog.at_level(logging.WARNING, NAME):
        EventEmitter("raises", subscriber).emit("adopted")
    assert caplog.messages == ["on_event raised RuntimeError; ignored"]
