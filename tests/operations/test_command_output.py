"""What a command prints: ``as_table`` and ``as_text`` for people, ``as_json`` for programs."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from operations_support import GALLERY, NOW, report

from m2m_auth import AccessToken, MintBudget
from m2m_auth.lifecycle.mint_budget import MintCounts
from m2m_auth.operations import (
    ClearedReport,
    ClientReport,
    Finding,
    HostMints,
    HourCounts,
    as_json,
    as_table,
    as_text,
    token_report,
)
from m2m_auth.presentation.wording import utc_iso
from m2m_auth.values import as_dict

HOSTILE = st.text(min_size=1, max_size=40) | st.sampled_from(["\x1b[2Jgone", "a\nb", "\u202etxt", "<b>", "\x00"])
TOKEN = AccessToken("t0ken-value", scope="read", issued_at=NOW, expires_at=NOW + 3600, fingerprint="0123abcd" * 8)


def test_the_table() -> None:
    """The table has a line per client, with its columns aligned and at most two hosts named."""
    table = as_table(
        [
            report(budget=MintBudget(per_month=1000, per_hour=10)),
            report(alias="x", state="none", fingerprint=None, expires_at=None, mints=MintCounts(), hosts=()),
            report(alias="y", hosts=[HostMints(host=f"api-{each}", mints=each, last_at=NOW) for each in range(5)]),
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


@given(st.lists(HOSTILE, max_size=5))
def test_columns_are_aligned_for_every_alias(aliases: list[str]) -> None:
    """Each cell starts below its heading; no alias adds a line or a control character."""
    table = as_table([report(alias=alias, fingerprint=f"{number:08x}") for number, alias in enumerate(aliases)])
    assert all(character.isprintable() or character == "\n" for character in table)
    lines = table.splitlines()
    columns = [found.span() for found in re.finditer("-+", lines[1])]
    assert all(line[end : end + 2].strip() == "" for line in lines for _, end in columns)
    fingerprints = [line[slice(*columns[2])] for line in lines[2:]]
    assert fingerprints == [f"{number:08x}" for number in range(len(aliases))]


def test_failures_stand_below_the_table_in_full() -> None:
    """Below the table are the last failures with the next attempt, and the caches that do not answer."""
    assert as_table(GALLERY).split("\n\n")[1].splitlines() == [
        "search: https://tenant.example/oauth/token answered 503 (next attempt: in 42 s)",
        "search: DiskTokenCache('/var/cache/m2m-auth') does not answer; this is what one process knows",
        f"{GALLERY[3].alias}: invalid_client: the server refused the client's secret (next attempt: now)",
    ]


def test_without_clients() -> None:
    """No clients are a table of headings and an empty JSON array."""
    assert as_table([]).splitlines()[0].startswith("client  state")
    assert json.loads(as_json([])) == []


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (Finding(alias="disk", ok=True, what="it answers"), "ok     disk: it answers"),
        (
            Finding(alias="disk", ok=False, what="it is full", fix="empty it"),
            "WRONG  disk: it is full\n       Fix: empty it",
        ),
        (ClearedReport(alias="billing"), "billing: cleared; the next call mints"),
        (ClearedReport(alias="a\x1b[2J"), "a\ufffd[2J: cleared; the next call mints"),
    ],
)
def test_a_result_in_words(result: Finding | ClearedReport, words: str) -> None:
    """Doctor's findings and a cleared client, as a terminal shows them, without control characters."""
    assert as_text(result) == words


def test_a_token_is_shown_by_its_fingerprint() -> None:
    """A command prints the fingerprint and the expiry of a token; neither text, JSON nor repr has the token."""
    found = token_report("billing", TOKEN)
    assert re.fullmatch(r"billing: token 0123abcd expires .* ago \(2023-11-14T23:13:20Z\)", as_text(found))
    assert (
        json.loads(as_json(found)).items()
        >= {
            "alias": "billing",
            "fingerprint": "0123abcd",
            "scope": "read",
            "expires_at": NOW + 3600,
            "expires_at_iso": "2023-11-14T23:13:20Z",
        }.items()
    )
    assert "t0ken-value" not in as_text(found) + as_json(found) + repr(found)


def test_a_token_is_revealed_on_request_only() -> None:
    """With ``reveal`` the text is the token alone and the JSON has it beside the facts; the repr still hides it."""
    found = token_report("billing", TOKEN, reveal=True)
    assert as_text(found) == "t0ken-value"
    assert json.loads(as_json(found))["access_token"] == "t0ken-value"
    assert "t0ken-value" not in repr(found)


TIMES = st.none() | st.floats(0, 4e9)
COUNTS = st.integers(0, 10**6)
REPORTS = st.builds(
    report,
    alias=HOSTILE,
    last_failure=st.none() | HOSTILE,
    issued_at=TIMES,
    renew_at=TIMES,
    expiring_at=TIMES,
    expires_at=TIMES,
    mints=st.builds(MintCounts, hour=COUNTS, day=COUNTS, month=COUNTS),
    hosts=st.lists(st.builds(HostMints, host=HOSTILE, mints=COUNTS, last_at=st.floats(0, 4e9)), max_size=3),
    hours=st.lists(st.builds(HourCounts, minted=COUNTS, failed=COUNTS), max_size=3),
    budget=st.none() | st.builds(MintBudget, per_month=st.integers(1, 10**6)),
    at=st.floats(0, 4e9),
)


@settings(max_examples=40)
@given(REPORTS)
def test_json_has_every_field_of_a_report(found: ClientReport) -> None:
    """Each field is there under its own name, nested ones too, and each time a second time in ISO 8601."""
    (read,) = json.loads(as_json([found]))
    same = set(as_dict(found)) - {"mints", "failed", "hosts", "hours", "budget"}
    assert {name: read[name] for name in same} == {name: getattr(found, name) for name in same}
    assert read["mints"] == {name: getattr(found.mints, name) for name in ("hour", "day", "month")}
    assert [tuple(each.values()) for each in read["hours"]] == [(each.minted, each.failed) for each in found.hours]
    assert [tuple(each.values()) for each in read["hosts"]] == [
        (each.host, each.mints, each.last_at, utc_iso(each.last_at)) for each in found.hosts
    ]
    assert (read["budget"] or {"per_month": None})["per_month"] == (found.budget and found.budget.per_month)
    for name in ("issued_at", "renew_at", "expiring_at", "expires_at", "at"):
        assert read[f"{name}_iso"] == utc_iso(getattr(found, name))


@pytest.mark.parametrize(
    ("result", "names"),
    [
        (
            report(),
            "alias client_id token_endpoint audience state fingerprint issued_at renew_at expiring_at expires_at "
            "last_failure retry_in mints failed reasons hosts hours budget cache cache_answers at "
            "issued_at_iso renew_at_iso expiring_at_iso expires_at_iso at_iso",
        ),
        (
            token_report("billing", TOKEN),
            "alias fingerprint scope issued_at expires_at at issued_at_iso expires_at_iso at_iso",
        ),
        (ClearedReport(alias="billing"), "alias cleared"),
        (Finding(alias="disk", ok=True, what="it answers"), "alias ok what fix"),
    ],
)
def test_json_keys_are_stable(result: Any, names: str) -> None:
    """Programs read these names: a change here is a change for users."""
    assert list(json.loads(as_json(result))) == names.split()
    assert json.loads(as_json([result, result])) == [json.loads(as_json(result))] * 2
