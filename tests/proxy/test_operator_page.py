"""The operator's page as a pure function: what it says of whom, in which order, whole and escaped."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from operator_support import NOW, VENDORS, counts, vendor

from m2m_auth.proxy import operator_page as _page

VOID = {"input", "meta"}


class Reader(HTMLParser):
    """Reads a page as a browser would: its elements, attributes, texts, and what stands in each row's cells."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(html)
        self.close()
        assert self.open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        """An element ends."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Text."""
        self.texts.append(data)
        if {"td", "th"} & set(self.open) and "title" not in self.open:
            self.rows[-1][-1] += data + "|"

    def text(self) -> str:
        """All text."""
        return " ".join(self.texts)


def body(*reports: Any) -> Reader:
    """The page of these vendors."""
    return Reader(_page.page(reports, NOW))


def test_each_vendor_has_its_numbers() -> None:
    """Asked, served from cache, minted, refused: this month's and today's, in the column of that name."""
    hours = [counts(1200, 1150, 30, 20)] * 24
    report = vendor("acme", month=counts(12000, 11500, 300, 200), day=counts(1200, 1150, 30, 20), hours=hours)
    head, row = body(report).rows
    assert head == ["Vendor|", "Asked|", "From cache|", "Minted|", "Refused|", "Quota|"]
    assert row[:5] == [
        "acme|",
        "12,000|1,200 today|",
        "11,500|1,150 today|",
        "300|30 today|",
        "200|20 today|",
    ]


@pytest.mark.parametrize(
    ("minted", "projection", "state", "words", "bars"),
    [
        (0, 0, "", "0 of 1,000 this month, 0 by its end at this pace", (0, 0)),
        (300, 900, "", "300 of 1,000 this month, 900 by its end at this pace", (30, 60)),
        (500, 1000, "", "500 of 1,000 this month, 1,000 by its end at this pace", (50, 50)),
        (500, 1001, "tight", "500 of 1,000 this month, 1,001 by its end at this pace", (50, 50)),
        (999, 9000, "tight", "999 of 1,000 this month, 9,000 by its end at this pace", (99.9, 0.1)),
        (1000, 3000, "over", "1,000 of 1,000 this month", (100, 0)),
        (1200, 3000, "over", "1,200 of 1,000 this month", (100, 0)),
        (3, None, "", "3 of 1,000 this month, too early to tell for its end", (0.3, 0)),
    ],
)
def test_the_quota(minted: int, projection: int | None, state: str, words: str, bars: tuple[float, float]) -> None:
    """A bar of what is used and what comes to it, never beyond its frame; and in words, for the row's state."""
    page = body(vendor("acme", month=counts(5000, 5000 - minted, minted, 0), limit=1000, projection=projection))
    assert page.rows[1][5].endswith(words + "|")
    assert ("tr", {"class": state} if state else {}) in page.found
    used, ahead = [float(each["width"]) for _, each in page.found if each.get("class", "").startswith("used")]
    assert (used, ahead) == pytest.approx(bars)


def test_when_the_quota_will_be_used_up() -> None:
    """At the month's pace: 800 of 1,000 in 13.93 days are used up 3.48 days from now; a used one says until when."""
    assert "Used up in 3 d 11 h" in body(vendor("a", month=counts(800, 0, 800, 0), limit=1000, projection=1700)).text()
    over = body(vendor("a", month=counts(1000, 0, 1000, 0), limit=1000, projection=2100)).text()
    assert "Used up: no new token for 16 d 1 h" in over


@pytest.mark.parametrize(
    ("minted", "per_month", "state", "words", "used"),
    [
        (3, None, "", "3 of 10 this hour", 30),
        (10, None, "over", "This hour is used up: no new token for 46 min 40 s|10 of 10 this hour", 100),
        (3, 1000, "", "500 of 1,000 this month, 600 by its end at this pace; 3 of 10 this hour", 50),
        (
            10,
            1000,
            "over",
            "This hour is used up: no new token for 46 min 40 s|"
            "500 of 1,000 this month, 600 by its end at this pace; 10 of 10 this hour",
            50,
        ),
    ],
)
def test_a_budget_for_the_hour(minted: int, per_month: int | None, state: str, words: str, used: float) -> None:
    """It is told beside the month's, has the bar where it is alone, and its end is the end for this hour."""
    hours = [counts()] * 23 + [counts(minted, 0, minted, 0)]
    report = vendor("a", month=counts(500, 0, 500, 0), hours=hours, limit=per_month, projection=600, per_hour=10)
    page = body(report)
    assert page.rows[1][5] == words + "|"
    assert ("tr", {"class": state} if state else {}) in page.found
    assert [float(each["width"]) for _, each in page.found if each.get("class") == "used"] == [used]


def test_a_vendor_without_a_budget() -> None:
    """It has no bar, and says so."""
    page = body(vendor("acme", month=counts(9, 5, 4, 0), limit=None))
    assert page.rows[1][5] == "no budget|"
    assert not [each for _, each in page.found if each.get("class") == "bar"]


def test_worst_first() -> None:
    """Those over the budget, then by the share that they will have used, then by refusals, questions and the name."""
    reports = [
        vendor("no-budget", month=counts(90000, 89000, 1000, 0), limit=None),
        vendor("well", month=counts(50, 40, 10, 0), limit=1000, projection=20),
        vendor("over", month=counts(50, 0, 50, 0), limit=50, projection=100),
        vendor("racing", month=counts(900, 0, 900, 0), limit=1000, projection=5000),
        vendor("refused", month=counts(99, 40, 10, 49), limit=1000, projection=20),
        vendor("tight", month=counts(600, 0, 600, 0), limit=1000, projection=1200),
        vendor("idle-b", month=counts(), limit=1000, projection=0),
        vendor("idle-a", month=counts(), limit=1000, projection=0),
    ]
    order = ["over", "racing", "tight", "refused", "well", "no-budget", "idle-a", "idle-b"]
    assert [report.vendor for report in _page.worst_first(reports, NOW)] == order
    assert [row[0] for row in body(*reports).rows[1:]] == [f"{name}|silent for 24 hours|" for name in order]


def test_the_summary() -> None:
    """One sentence tells whether there is anything to do."""
    well = vendor("a", month=counts(10, 9, 1, 0), limit=10, projection=3)
    over = vendor("b", month=counts(10, 0, 10, 0), limit=10, projection=30)
    tight = vendor("c", month=counts(9, 0, 9, 0), limit=10, projection=20)
    assert "1 vendor, all within their budgets." in body(well).text()
    assert "3 vendors, 1 with a used-up budget, 1 on the way there." in body(well, over, tight).text()
    assert "2 vendors, 1 on the way there." in body(well, tight).text()
    assert "No vendors are configured." in body().text()
    assert "As of 2023-11-14T22:13:20Z" in body(well).text()


def test_the_plots() -> None:
    """Per hour and quantity a column with its number, as high as it is; all vendors together; the last 24 hours."""
    first = vendor("a", hours=[counts(10, 8, 1, 1)] + [counts()] * 22 + [counts(40, 40, 0, 0)])
    second = vendor("b", hours=[counts(10, 10, 0, 0)] + [counts()] * 23)
    html = _page.page([first, second], NOW)
    page = Reader(html)
    captions = re.findall(r"<figcaption><span>(.*?)</span><b>(.*?)</b>", html)
    assert captions == [("Asked", "60"), ("Served from cache", "58"), ("Minted", "1"), ("Refused", "1")]
    columns = [(each["class"], float(each["height"])) for tag, each in page.found if each.get("class") in CLASSES]
    assert columns == [("asked", 45), ("asked now", 90), ("served", 40.5), ("served now", 90), *SINGLE]
    titles = re.findall(r"<title>(.*?)</title></rect>", html)
    assert titles == [
        *("23:00 to 23:59 UTC: 20", "22:00 to 22:59 UTC: 40", "23:00 to 23:59 UTC: 18", "22:00 to 22:59 UTC: 40"),
        *("23:00 to 23:59 UTC: 1", "23:00 to 23:59 UTC: 1"),
    ]


CLASSES = {f"{name}{now}" for name in ("asked", "served", "minted", "refused") for now in ("", " now")}
SINGLE = [("minted", 90), ("refused", 90)]


def test_shapes_stay_within_their_frames() -> None:
    """Every rectangle of the page lies in its drawing, whatever the numbers."""
    for report in VENDORS:
        page = body(report)
        frame = (0.0, 0.0)
        for tag, each in page.found:
            if tag == "svg":
                frame = tuple(float(side) for side in each["viewbox"].split()[2:])  # type: ignore[assignment]
            elif tag == "rect":
                x, y, width, height = (float(each[name]) for name in ("x", "y", "width", "height"))
                assert x >= 0 <= y
                assert width >= 0 <= height
                assert x + width <= frame[0] + 0.01
                assert y + height <= frame[1] + 0.01


MARKUP = st.sampled_from(
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "</title></svg></style>",
        "&lt;",
        "\x00<",
        "\u202e>",
    ]
)
TEXT = st.lists(MARKUP | st.text(max_size=8), min_size=1, max_size=3).map("".join).filter(str.split)


@settings(max_examples=60)
@given(TEXT)
def test_no_text_becomes_markup(text: str) -> None:
    """Whatever a vendor is called, and whatever a form is told: the same elements as with a harmless word."""

    def shape(word: str) -> list[tuple[str, list[str]]]:
        html = _page.document(word, _page.page([vendor(word)], NOW) + _page.login(word), "nonce")
        return [(tag, list(attributes)) for tag, attributes in Reader(html).found]

    assert shape(text) == shape("word")


def test_nothing_from_elsewhere() -> None:
    """No script, no link, no image, no style attribute; what the style names is here."""
    html = _page.document("Token proxy", _page.page(VENDORS, NOW), "n0nce")
    page = Reader(html)
    assert {tag for tag, _ in page.found}.isdisjoint({"script", "link", "img", "iframe", "object", "a", "use"})
    names = {name for _, attributes in page.found for name in attributes}
    assert names.isdisjoint({"style", "src", "href"})
    assert not [name for name in names if name.startswith("on")]
    assert html.count("<style") == html.count('<style nonce="n0nce">') == 1
    assert not re.search(r"url\(|@import|http", html)
