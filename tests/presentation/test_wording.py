"""Durations, times and names in words: the tables and pages show them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m2m_auth.presentation.wording import cache_name, one_line, relative_time, utc_hour, utc_iso

NOW = 1_700_000_000.0
"""14 November 2023, 22:13:20 UTC."""


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
def test_relative_time(seconds: float, words: str) -> None:
    """A moment is shown in its two largest units, before or after now."""
    assert relative_time(NOW + seconds, NOW) == words


def test_no_moment() -> None:
    """A moment that there is not is a dash in words and None in ISO 8601."""
    assert (relative_time(None, NOW), utc_iso(None)) == ("-", None)


def test_utc() -> None:
    """ISO 8601 is cut to the second; an hour has two digits and wraps at midnight."""
    assert utc_iso(NOW + 0.9) == "2023-11-14T22:13:20Z"
    assert [utc_hour(NOW, ago) for ago in (0, 13, 23)] == ["22", "09", "23"]


@given(st.text())
def test_one_line(text: str) -> None:
    """Every text becomes one printable line; a printable line stays as it is."""
    found = one_line(text)
    assert found.isprintable()
    assert one_line(found) == found


class Named:
    """A user's cache whose repr holds a password and a control character."""

    def __repr__(self) -> str:
        return "Named('redis://user:pa55w0rd@host',\x1b[2J)"


def test_a_cache_s_name_has_no_password() -> None:
    """The repr of a cache is shown without passwords and control characters; without a repr it is the class."""
    assert cache_name(Named()) == "Named('redis://***@host',\ufffd[2J)"
    assert cache_name(object()) == "object"
    assert cache_name(None) == "this process's memory"
