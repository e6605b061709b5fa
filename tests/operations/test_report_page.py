"""``report.page``: a piece of HTML that is whole, silent, and escaped whatever the names in it are."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tools_support import GALLERY, NOW, SECRET, Server, report, source_on

from m2m_auth import MintBudget
from m2m_auth.operations import HostMints, PageForm, page, reports
from m2m_auth.source.registry import forget_everything

VOID = {"input"}
ELEMENTS = {
    *("style", "div", "section", "h2", "p", "span", "svg", "g", "circle", "rect", "title", "dl", "dt", "dd"),
    *("table", "thead", "tbody", "tr", "th", "td", "form", "input", "button"),
}
ATTRIBUTES = set(
    "class viewBox aria-hidden aria-label cx cy r fill fill-opacity x y width height preserveAspectRatio role scope "
    "method action type name value nonce".lower().split()
)


class Reader(HTMLParser):
    """Reads a page as a browser would, and notes its elements, attributes and texts."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """An element ends."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Text."""
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        """There are none."""
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment

    def text(self) -> str:
        """All text, the style aside."""
        return " ".join(self.texts[1:])


def shape(html: str) -> list[tuple[str, list[str]]]:
    """Elements and their attributes' names, without any text or value."""
    return [(tag, list(attributes)) for tag, attributes in Reader(html).found]


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
TEXT = st.lists(MARKUP | st.text(max_size=8), min_size=1, max_size=3).map("".join)


def a_report(text: str) -> Any:
    """A report whose every text is this one."""
    names = ("alias", "client_id", "token_endpoint", "audience", "fingerprint", "last_failure", "cache", "state")
    return report(
        **dict.fromkeys(names, text),
        reasons={text: 3},
        hosts=[HostMints(text, 3, NOW)],
        budget=MintBudget(per_month=1000, per_hour=10),
        retry_in=3.0,
    )


@settings(max_examples=150)
@given(TEXT.filter(str.split))
def test_no_text_becomes_markup(text: str) -> None:
    """Whatever stands in any field: the page has the elements that it has with a harmless word, and shows the text."""
    html = page([a_report(text)], action=PageForm(url=text, hidden={text: text}), nonce=text)
    assert shape(html) == shape(page([a_report("word")], action=PageForm(url="/", hidden={"csrf": "x"}), nonce="n"))
    shown = "".join(character if character.isprintable() else "\ufffd" for character in " ".join(text.split()))
    assert shown in Reader(html).text()


def test_elements_and_attributes() -> None:
    """A closed list: no script, no link, no image, no style attribute, no handler, nothing from elsewhere."""
    html = page(GALLERY, action=PageForm(url="/renew"), nonce="n0nce")
    found = Reader(html).found
    assert {tag for tag, _ in found} == ELEMENTS
    assert {name for _, attributes in found for name in attributes} == ATTRIBUTES
    style = html.partition("</style>")[0]
    assert not re.search(r"url\(|@import|expression", style)
    assert "http" not in re.sub(r"<dd>[^<]*</dd>|<p[^<]*</p>", "", html)


def test_what_the_page_says() -> None:
    """State, expiry, budget, counts, hosts, failure and cache of each client, in words."""
    text = " ".join(Reader(page(GALLERY)).text().split())
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
        "The token's life: 50 % are over, it expires in 30 min",
        "Last 24 hours: 25 minted, 3 failed; at most 6 in an hour",
        "19:00: 4 minted, 2 failed",
        "Minted on month last api-1.example 212 30 min ago api-2.example 88 11 h 6 min ago",
        "UTC: fresh until 22:28 stale until 22:42 expiring until 22:43",
        "This UTC hour day month minted 1 5 300 failed 0 1 2",
        "This month by reason: 40 cold, 260 renewal",
    ):
        assert words in text, words


def test_nobody_to_show() -> None:
    """Without clients the page says so."""
    assert "No clients are configured." in Reader(page([])).text()


def test_buttons_only_where_they_lead_somewhere() -> None:
    """Without ``action`` nothing can be pressed; with it each client's form posts its alias and the given fields."""
    assert not [tag for tag, _ in Reader(page(GALLERY)).found if tag in ("form", "button", "input")]
    found = Reader(page(GALLERY[:2], action=PageForm(url="/m2m/", hidden={"csrfmiddlewaretoken": "t0ken"}))).found
    assert [attributes for tag, attributes in found if tag == "form"] == [{"method": "post", "action": "/m2m/"}] * 2
    assert [(each["name"], each["value"]) for tag, each in found if tag == "input"] == [
        ("csrfmiddlewaretoken", "t0ken"),
        ("alias", "billing"),
        ("csrfmiddlewaretoken", "t0ken"),
        ("alias", "reports"),
    ]
    assert [(each["name"], each["value"]) for tag, each in found if tag == "button"] == [
        ("operation", "renew"),
        ("operation", "clear"),
    ] * 2


def test_the_style_carries_the_nonce() -> None:
    """For pages with a Content-Security-Policy; none is made up."""
    assert page([], nonce="n0nce").startswith('<style nonce="n0nce">')
    assert page([]).startswith("<style>")


@pytest.mark.parametrize("number", range(len(GALLERY)))
def test_bars_stay_within_their_frame(number: int) -> None:
    """Every shape of every bar lies between 0 and 100, and none has a negative width."""
    found = Reader(page([GALLERY[number]])).found
    frame: tuple[float, ...] = ()
    shapes = 0
    for tag, each in found:
        if tag == "svg":
            frame = tuple(map(float, (each["viewbox"] or "").split()))
        elif tag == "rect":
            shapes += 1
            x, y, width, height = (float(each[name] or 0) for name in ("x", "y", "width", "height"))
            assert min(x, y, width, height) >= 0
            assert x + width <= frame[2] + 0.01
            assert y + height <= frame[3] + 0.01
    assert shapes or GALLERY[number].state == "none"


def test_the_page_is_silent() -> None:
    """A real source's page shows its token by the fingerprint, and neither the token nor the secret."""
    forget_everything()
    server = Server()
    source = source_on(server)
    token = source.token()
    html = page(reports({"billing": source}))
    assert token.fingerprint in html
    assert token.value not in html
    assert SECRET not in html
