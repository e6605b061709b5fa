"""``as_table`` and ``as_json``: what a command line prints, for people and for programs."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, is_dataclass
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tools_support import GALLERY, NOW, report

from m2m_auth import MintBudget
from m2m_auth.lifecycle.mint_budget import MintCounts
from m2m_auth.operations.client_reports import ClientReport, HostMints, HourCounts
from m2m_auth.operations.formats import as_json, as_table

HOSTILE = st.text(min_size=1, max_size=40) | st.sampled_from(["\x1b[2Jgone", "a\nb", "\u202etxt", "<b>", "\x00"])


def test_the_table() -> None:
    """What an operator reads, to the letter."""
    mints = MintCounts(hour=1, day=5, month=300)
    table = as_table(
        [
            report(mints=mints, budget=MintBudget(per_month=1000, per_hour=10)),
            report(alias="x", state="none", fingerprint=None, expires_at=None, mints=MintCounts(), hosts=()),
            report(alias="y", hosts=[HostMints(f"api-{number}", number, NOW) for number in range(5)]),
        ]
    )
    assert table.splitlines() == [
        "client   state  token     expires    mints h/d/month  budget                                minted on",
        "-------  -----  --------  ---------  ---------------  ------------------------------------  "
        "---------------------------------------",
        "billing  fresh  0123abcd  in 30 min  1/5/300          300 of 1000 a month, 1 of 10 an hour  "
        "api-1.example (212), api-2.example (88)",
        "x        none   -         -          0/0/0            none                                  -",
        "y        fresh  0123abcd  in 30 min  1/5/300          none                                  "
        "api-0 (0), api-1 (1), 3 more",
    ]


def columns_of(table: str) -> list[list[str]]:
    """The cells, cut where the dashes of the second line say."""
    lines = table.split("\n\n")[0].splitlines()
    spans = [found.span() for found in re.finditer("-+", lines[1])]
    assert all(line[end : end + 2].strip() == "" for line in lines for _, end in spans), "nothing between the columns"
    return [[line[start:end].strip() for start, end in spans] for line in lines]


@given(st.lists(HOSTILE, max_size=5))
def test_columns_are_aligned_whatever_the_aliases(aliases: list[str]) -> None:
    """Each cell stands below its heading; no alias adds a line or moves the cursor."""
    table = as_table([report(alias=alias, fingerprint=f"{number:08x}") for number, alias in enumerate(aliases)])
    assert all(character.isprintable() or character == "\n" for character in table)
    cells = columns_of(table)
    assert len(cells) == 2 + len(aliases)
    assert cells[0] == ["client", "state", "token", "expires", "mints h/d/month", "budget", "minted on"]
    assert [row[2] for row in cells[2:]] == [f"{number:08x}" for number in range(len(aliases))]


def test_troubles_stand_below_the_table_in_full() -> None:
    """The last failure with the next attempt, and a cache that does not answer."""
    found = as_table(GALLERY).split("\n\n")[1].splitlines()
    assert found == [
        "search: https://tenant.example/oauth/token answered 503 (next attempt: in 42 s)",
        "search: DiskTokenCache('/var/cache/m2m-auth') does not answer; this is what one process knows",
        f"{GALLERY[3].alias}: invalid_client: the server refused the client's secret (next attempt: now)",
    ]


def test_no_clients_at_all() -> None:
    """An empty table is its headings; an empty array is one."""
    assert as_table([]).splitlines()[0].startswith("client  state")
    assert json.loads(as_json([])) == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "in 0 s"),
        (59, "in 59 s"),
        (60, "in 1 min"),
        (3250, "in 54 min 10 s"),
        (3600, "in 1 h"),
        (3605, "in 1 h"),
        (90061, "in 1 d 1 h"),
        (0, "0 s ago"),
        (-8, "8 s ago"),
        (-3600, "1 h ago"),
    ],
)
def test_expiry_in_words(seconds: float, words: str) -> None:
    """By the two largest units, from now on or ago."""
    assert columns_of(as_table([report(expires_at=NOW + seconds)]))[2][3] == words


TIMES = st.none() | st.floats(0, 4e9)
COUNT = st.integers(0, 10**6)
REPORTS = st.builds(
    report,
    alias=HOSTILE,
    last_failure=st.none() | HOSTILE,
    issued_at=TIMES,
    renew_at=TIMES,
    expiring_at=TIMES,
    expires_at=TIMES,
    mints=st.builds(MintCounts, hour=COUNT, day=COUNT, month=COUNT),
    hosts=st.lists(st.builds(HostMints, HOSTILE, st.integers(0, 10**6), st.floats(0, 4e9)), max_size=3),
    hours=st.lists(st.builds(HourCounts, st.integers(0, 99), st.integers(0, 99)), max_size=3),
    budget=st.none() | st.builds(MintBudget, per_month=st.integers(1, 10**6)),
    at=st.floats(0, 4e9),
)


def plain(found: ClientReport) -> dict[str, Any]:
    """The report as JSON values."""
    nested = {name: asdict(value) for name, value in found._asdict().items() if is_dataclass(value)}
    hosts = [{**each._asdict(), "last_at_iso": iso(each.last_at)} for each in found.hosts]
    return {**found._asdict(), **nested, "hosts": hosts, "hours": [each._asdict() for each in found.hours]}


def iso(moment: float) -> str:
    """To the second, in UTC."""
    return datetime.fromtimestamp(int(moment), timezone.utc).isoformat().replace("+00:00", "Z")


@settings(max_examples=40)
@given(st.lists(REPORTS, max_size=3))
def test_json_round_trip(reports: list[ClientReport]) -> None:
    """Everything of a report is there under its own name, and each time a second time in ISO 8601, to the second."""
    read = json.loads(as_json(reports))
    assert len(read) == len(reports)
    for found, expected in zip(read, reports, strict=True):
        assert {name: found[name] for name in ClientReport._fields} == plain(expected)
        assert set(found) - set(ClientReport._fields) == {
            "issued_at_iso",
            "renew_at_iso",
            "expiring_at_iso",
            "expires_at_iso",
            "at_iso",
        }
        for name in ("issued_at", "renew_at", "expiring_at", "expires_at", "at"):
            told, moment = found[f"{name}_iso"], getattr(expected, name)
            assert (told is None) == (moment is None)
            assert told is None or 0 <= moment - datetime.fromisoformat(told.replace("Z", "+00:00")).timestamp() < 1


def test_json_keys_are_stable() -> None:
    """Programs read these names: a change of them is a change of the interface."""
    assert " ".join(json.loads(as_json([report()]))[0]) == (
        "alias client_id token_endpoint audience state fingerprint issued_at renew_at expiring_at expires_at "
        "last_failure retry_in mints failed reasons hosts hours budget cache cache_answers at "
        "issued_at_iso renew_at_iso expiring_at_iso expires_at_iso at_iso"
    )
