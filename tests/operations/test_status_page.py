"""The status page: a piece of HTML with every fact of every client, whole, silent, and escaped."""

from __future__ import annotations

import re
from typing import Any

import pytest
from html_reader import PageReader, check_shapes_stay_in_their_frames
from hypothesis import given, settings
from hypothesis import strategies as st
from operations_support import GALLERY, NOW, SECRET, Server, report, source_on

from m2m_auth import MintBudget
from m2m_auth.operations import ClientReport, HostMints, PageForm, document, page, reports
from m2m_auth.presentation.wording import one_line
from m2m_auth.source.registry import forget_everything

ELEMENTS = {
    *("style", "div", "section", "h2", "p", "span", "svg", "g", "circle", "rect", "title", "dl", "dt", "dd"),
    *("table", "thead", "tbody", "tr", "th", "td", "form", "input", "button"),
}
ATTRIBUTES = {
    *("class", "viewbox", "aria-hidden", "aria-label", "cx", "cy", "r", "fill", "fill-opacity", "x", "y", "width"),
    *("height", "preserveaspectratio", "role", "scope", "method", "action", "type", "name", "value", "nonce"),
}
MARKUP = st.sampled_from(
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "' onmouseover='alert(1)",
        "</title></svg></style><b>",
        "&lt;i&gt;",
        "]]><!--",
        "\x00<",
        "\u202e>",
        "{{ 7*7 }}",
    ]
)
TEXT = st.lists(MARKUP | st.text(max_size=8), min_size=1, max_size=3).map("".join).filter(str.split)
TEXT_FIELDS = [name for name, kind in ClientReport.__annotations__.items() if kind in ("str", "str | None")]
"""Every text of a report, so that a new one is tested as well."""


def a_report(**texts: str) -> Any:
    """A report with these texts, and everything else that a page can show."""
    usual = {"hosts": [HostMints(host=texts.pop("host", "h"), mints=3, last_at=NOW)], "reasons": {"cold": 3}}
    return report(**{**usual, "budget": MintBudget(per_month=1000, per_hour=10), "retry_in": 3.0, **texts})


@settings(max_examples=60, deadline=None)
@given(TEXT)
def test_no_text_becomes_markup(text: str) -> None:
    """Whatever text is in whatever field, the page has the same elements and attributes, and shows that text."""
    harmless = page([a_report(last_failure="word")], action=PageForm(url="/", hidden={"csrf": "x"}), nonce="n")
    everywhere = a_report(**dict.fromkeys((*TEXT_FIELDS, "host"), text))
    found = PageReader(page([everywhere], action=PageForm(url=text, hidden={text: text}), nonce=text))
    assert found.shape == PageReader(harmless).shape
    (form,), hidden = found.named("form"), found.named("input")
    for value in (form["action"], hidden[0]["name"], hidden[0]["value"], found.named("style")[0]["nonce"]):
        assert value == text
    assert found.text.count(one_line(text)) >= len(TEXT_FIELDS)


@pytest.mark.parametrize("field", [*TEXT_FIELDS, "host"])
def test_each_text_is_shown_as_it_is(field: str) -> None:
    """A text with markup in it is read on the page to the letter, in each of the fields."""
    text = "</svg><b a='1' b=\"2\">&amp; & <i"
    assert text in PageReader(page([a_report(**{field: text})])).text


def test_control_characters_are_replaced() -> None:
    """A name that would turn the text around, or is on several lines, is one readable line."""
    text = "\u202eevil\nname"
    found = PageReader(page([a_report(alias=text)], action=PageForm(url="")))
    assert one_line(text) in found.text
    assert found.named("input")[0]["value"] == text, "the form posts the alias as it is"


def test_elements_and_attributes() -> None:
    """A closed list: no script, no link, no image, no style attribute, no event handler, nothing that is loaded."""
    html = page(GALLERY, action=PageForm(url="/renew"), nonce="n0nce")
    found = PageReader(html).elements
    assert {tag for tag, _ in found} == ELEMENTS
    assert {name for _, attributes in found for name in attributes} == ATTRIBUTES
    style = html.partition("</style>")[0]
    assert not re.search(r"url\(|@import|expression", style)
    assert "http" not in re.sub(r"<dd>[^<]*</dd>|<p[^<]*</p>", "", html)


def test_what_the_page_says() -> None:
    """State, expiry, budget, counts, hosts, failure and cache of each client, in words."""
    text = PageReader(page(GALLERY)).text
    for words in (
        "billing",
        "in 30 min (2023-11-14T22:43:20Z)",
        "0123abcd",
        "stale: the next call renews it, and does not wait",
        "300 of 1,000 this month",
        "1 of 10 this hour",
        "the last 100, for callers without a token",
        "Last failure: https://tenant.example/oauth/token answered 503 (next attempt: in 42 s)",
        "The cache does not answer",
        "no token yet: the next call mints one",
        "1 h ago (2023-11-14T21:13:20Z)",
        "50 % of the token's life is over; it expires in 30 min",
        "Last 24 hours: 25 minted, 3 failed; at most 6 in an hour",
        "19:00: 4 minted, 2 failed",
        "Minted on month last api-1.example 212 30 min ago api-2.example 88 11 h 6 min ago",
        "UTC: fresh until 22:28 stale until 22:42 expiring until 22:43",
        "This UTC hour day month minted 1 5 300 failed 0 1 2",
        "This month by reason: 40 cold, 260 renewal",
    ):
        assert words in text, words


def test_without_clients() -> None:
    """Without clients the page says so."""
    assert "No clients are configured." in PageReader(page([])).text


def test_buttons() -> None:
    """Without ``action`` there are none; with it each client's form posts its alias and the given fields."""
    assert not {"form", "button", "input"} & {tag for tag, _ in PageReader(page(GALLERY)).elements}
    form = PageForm(url="/m2m/", hidden={"csrfmiddlewaretoken": "t0ken"})
    found = PageReader(page(GALLERY[:2], action=form))
    assert found.named("form") == [{"method": "post", "action": "/m2m/"}] * 2
    assert [(each["name"], each["value"]) for each in found.named("input")] == [
        ("csrfmiddlewaretoken", "t0ken"),
        ("alias", "billing"),
        ("csrfmiddlewaretoken", "t0ken"),
        ("alias", "reports"),
    ]
    assert [tuple(each.values()) for each in found.named("button")[:2]] == [
        ("operation", "renew", "Renew billing"),
        ("operation", "clear", "Clear billing"),
    ]


def test_the_style_carries_the_nonce() -> None:
    """The nonce of a Content-Security-Policy is on every style element; without one there is none."""
    assert PageReader(page([], nonce="n0nce")).named("style") == [{"nonce": "n0nce"}]
    assert PageReader(page([])).named("style") == [{}]
    assert PageReader(document([], nonce="n0nce")).named("style") == [{"nonce": "n0nce"}] * 2


def test_the_whole_document() -> None:
    """It has its title, the page with its form, and why the last operation failed, as an alert and as text."""
    found = PageReader(document(GALLERY, problem="billing: <b>no</b>", action=PageForm(url="/tokens")))
    assert found.text.startswith("Service tokens Service tokens billing: <b>no</b>")
    assert found.named("p")[0] == {"role": "alert"}
    assert found.named("form")[0]["action"] == "/tokens"
    assert {"role": "alert"} not in PageReader(document(GALLERY)).named("p")


@pytest.mark.parametrize("number", range(len(GALLERY)))
def test_bars_stay_within_their_frames(number: int) -> None:
    """No shape of a bar or chart leaves its frame, in any state of a token."""
    shapes = check_shapes_stay_in_their_frames(PageReader(page([GALLERY[number]])))
    assert shapes or GALLERY[number].state == "none"


def test_the_page_is_silent() -> None:
    """A real source's page shows its token by the fingerprint, and neither the token nor the secret."""
    forget_everything()
    source = source_on(Server())
    token = source.token()
    html = page(reports({"billing": source}))
    assert token.fingerprint[:8] in html
    assert token.value not in html
    assert SECRET not in html
