"""The operator's page as a pure function: its numbers, warnings and order, and that every text is escaped."""

from __future__ import annotations

import re
from typing import Any

import pytest
from html_reader import PageReader, check_shapes_stay_in_their_frames
from hypothesis import given, settings
from hypothesis import strategies as st
from operator_support import NOW, VENDORS, counts, vendor

from m2m_auth.presentation.wording import one_line
from m2m_auth.proxy.operator_page import document, login, page, worst_first


def page_of(*reports: Any) -> PageReader:
    """The page of these vendors."""
    return PageReader(page(reports, NOW))


def test_each_vendor_has_its_numbers() -> None:
    """Each count of this month and of today is in the column of its name."""
    hours = [counts(1200, 1150, 30, 20)] * 24
    report = vendor("acme", month=counts(12000, 11500, 300, 200), day=counts(1200, 1150, 30, 20), hours=hours)
    head, row = page_of(report).rows
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
    """A bar shows what is used and what this pace adds, within its frame; words and the row's class say the same."""
    found = page_of(vendor("acme", month=counts(5000, 5000 - minted, minted, 0), limit=1000, projection=projection))
    assert found.rows[1][5].endswith(words + "|")
    assert ("tr", {"class": state} if state else {}) in found.elements
    used, ahead = [float(each["width"]) for _, each in found.elements if each.get("class", "").startswith("used")]
    assert (used, ahead) == pytest.approx(bars)


def test_when_the_quota_will_be_used_up() -> None:
    """At 800 of 1,000 in 13.93 days the budget ends in 3.48 days; a used-up one says when the next begins."""
    assert "Used up in 3 d 11 h" in page_of(vendor("a", month=counts(800, 0, 800, 0), limit=1000, projection=1700)).text
    over = page_of(vendor("a", month=counts(1000, 0, 1000, 0), limit=1000, projection=2100)).text
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
    """An hourly budget stands beside the monthly one, has the bar if it is alone, and warns when it is used up."""
    hours = [counts()] * 23 + [counts(minted, 0, minted, 0)]
    report = vendor("a", month=counts(500, 0, 500, 0), hours=hours, limit=per_month, projection=600, per_hour=10)
    found = page_of(report)
    assert found.rows[1][5] == words + "|"
    assert ("tr", {"class": state} if state else {}) in found.elements
    assert [float(each["width"]) for _, each in found.elements if each.get("class") == "used"] == [used]


def test_a_vendor_without_a_budget() -> None:
    """A vendor without a budget has no bar, and the page says so."""
    found = page_of(vendor("acme", month=counts(9, 5, 4, 0), limit=None))
    assert found.rows[1][5] == "no budget|"
    assert not [each for _, each in found.elements if each.get("class") == "bar"]


def test_worst_first() -> None:
    """Vendors over their budget come first, then by projected share, refusals, requests and name."""
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
    assert [report.vendor for report in worst_first(reports, NOW)] == order
    assert [row[0] for row in page_of(*reports).rows[1:]] == [f"{name}|silent for 24 hours|" for name in order]


def test_the_summary() -> None:
    """One sentence says how many vendors need attention."""
    well = vendor("a", month=counts(10, 9, 1, 0), limit=10, projection=3)
    over = vendor("b", month=counts(10, 0, 10, 0), limit=10, projection=30)
    tight = vendor("c", month=counts(9, 0, 9, 0), limit=10, projection=20)
    assert "1 vendor, all within their budgets." in page_of(well).text
    assert "3 vendors, 1 with a used-up budget, 1 on the way there." in page_of(well, over, tight).text
    assert "2 vendors, 1 on the way there." in page_of(well, tight).text
    assert "No vendors are configured." in page_of().text
    assert "As of 2023-11-14T22:13:20Z" in page_of(well).text


def test_the_plots() -> None:
    """Each quantity has a column per hour, as high as its count, with the count of all vendors in words."""
    first = vendor("a", hours=[counts(10, 8, 1, 1)] + [counts()] * 22 + [counts(40, 40, 0, 0)])
    second = vendor("b", hours=[counts(10, 10, 0, 0)] + [counts()] * 23)
    html = page([first, second], NOW)
    captions = re.findall(r"<figcaption><span>(.*?)</span><b>(.*?)</b>", html)
    assert captions == [("Asked", "60"), ("Served from cache", "58"), ("Minted", "1"), ("Refused", "1")]
    columns = re.findall(r'<g><title>(.*?)</title><rect class="(.*?)" .*?height="(.*?)"></rect></g>', html)
    assert columns == [
        ("23:00 to 23:59 UTC: 20", "asked", "45"),
        ("22:00 to 22:59 UTC: 40", "asked now", "90"),
        ("23:00 to 23:59 UTC: 18", "served", "40.5"),
        ("22:00 to 22:59 UTC: 40", "served now", "90"),
        ("23:00 to 23:59 UTC: 1", "minted", "90"),
        ("23:00 to 23:59 UTC: 1", "refused", "90"),
    ]


def test_the_axes_of_the_plots() -> None:
    """Every sixth UTC hour and the scale are labelled, and one request of ten thousand can be seen."""
    quiet = vendor("a", hours=[counts(10_000)] + [counts(1)] * 23)
    html = page([quiet], NOW)
    hours = re.findall(r'<text x="([0-9.]+)" y="114" text-anchor="middle">(.*?)</text>', html)[:4]
    assert hours == [("56", "00"), ("120", "06"), ("184", "12"), ("248", "18")]
    assert re.findall(r'text-anchor="end">(.*?)</text>', html)[:3] == ["0", "5k", "10k"]
    assert min(float(height) for height in re.findall(r'class="asked"[^>]* height="([0-9.]+)"', html)) == 1.5


def test_shapes_stay_within_their_frames() -> None:
    """Every rectangle of the page lies in its drawing, for every vendor of a large fleet."""
    for report in VENDORS:
        assert check_shapes_stay_in_their_frames(page_of(report)) > 0


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


@settings(max_examples=60, deadline=None)
@given(TEXT)
def test_no_text_becomes_markup(text: str) -> None:
    """Whatever the name of a vendor, the title and the problem: the same elements, and the text is on the page."""

    def whole(word: str) -> PageReader:
        return PageReader(document(word, page([vendor(word)], NOW), word) + login(word))

    found = whole(text)
    assert found.shape == whole("word").shape
    assert one_line(text) in found.text
    assert found.named("style") == [{"nonce": text}]


def test_nothing_is_loaded() -> None:
    """The page has no script, link, image, style attribute or event handler, and its style loads nothing."""
    html = document("Token proxy", page(VENDORS, NOW), "n0nce")
    found = PageReader(html)
    assert {tag for tag, _ in found.elements}.isdisjoint({"script", "link", "img", "iframe", "object", "a", "use"})
    names = {name for _, attributes in found.elements for name in attributes}
    assert names.isdisjoint({"style", "src", "href"})
    assert not [name for name in names if name.startswith("on")]
    assert found.named("style") == [{"nonce": "n0nce"}]
    assert not re.search(r"url\(|@import|http", html)
