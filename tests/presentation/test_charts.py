"""The charts: shapes have the sizes of their numbers, stay in their frames, and say in words what they show."""

from __future__ import annotations

import pytest
from html_reader import PageReader, check_shapes_stay_in_their_frames
from hypothesis import given, settings
from hypothesis import strategies as st

from m2m_auth.presentation.charts import Area, Column, Paint, Share, bar, columns, dot, drawing

BLUE, RED = Paint(fill="#00f"), Paint(css_class="red", opacity=0.5)


def test_a_bar() -> None:
    """Each share is a rectangle of its percents, with its colour or class; the title is escaped text."""
    page = PageReader(
        bar("a < b", [Share(width=30, paint=BLUE), Share(start=30, width=12.5, paint=RED)], css_class="c")
    )
    assert page.text == "a < b"
    assert page.named("svg")[0].items() >= {"role": "img", "class": "c", "viewbox": "0 0 100 10"}.items()
    size = {"y": "0", "height": "10"}
    assert page.named("rect") == [
        {"x": "0", "width": "30", "fill": "#00f", **size},
        {"x": "30", "width": "12.5", "class": "red", "fill-opacity": "0.5", **size},
    ]


def test_columns() -> None:
    """Counts are stacked from the bottom up; the highest column reaches the top; an empty column is left out."""
    given_columns = [
        Column(title="one", parts=((1, BLUE), (3, RED))),
        Column(title="two", parts=((0, BLUE), (0, RED))),
    ]
    shapes = columns(given_columns, Area(left=0, right=20, top=0, bottom=40), most=4)
    page = PageReader(drawing(20, 40, shapes, title="chart", css_class="c"))
    assert page.text == "chart one"
    assert [(each["x"], each["y"], each["width"], each["height"]) for each in page.named("rect")] == [
        ("1", "30", "8", "10"),
        ("1", "0", "8", "30"),
    ]


def test_columns_with_a_base_and_a_least_height() -> None:
    """One of ten thousand can be seen, and a base shows the hours without any count."""
    found = [Column(title="low", parts=((1, BLUE),)), Column(title="none", parts=((0, BLUE),))]
    shapes = columns(found, Area(left=0, right=20, top=0, bottom=40), most=10_000, least_height=1.5, base=RED)
    heights = [each["height"] for each in PageReader(shapes).named("rect")]
    assert heights == ["1", "1.5", "1"]


def test_a_dot_is_decoration() -> None:
    """Screen readers skip it: the word beside it says the same."""
    assert PageReader(dot(BLUE, css_class="c")).named("svg")[0]["aria-hidden"] == "true"


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 10**6), min_size=1, max_size=3), max_size=30))
def test_columns_stay_in_their_frame(counts: list[list[int]]) -> None:
    """Whatever the counts, the columns stand in their area, from left to right."""
    found = [Column(title="x", parts=[(count, BLUE) for count in each]) for each in counts]
    most = max((sum(each) for each in counts), default=0) or 1
    shapes = columns(found, Area(left=5, right=95, top=2, bottom=38), most=most)
    page = PageReader(drawing(100, 40, shapes, title="", css_class=None, stretched_to=40))
    assert check_shapes_stay_in_their_frames(page) == sum(count > 0 for each in counts for count in each)
    left_edges = [float(each["x"]) for each in page.named("rect")]
    assert left_edges == sorted(left_edges)
    tops = sorted(float(each["y"]) for each in page.named("rect"))
    assert not tops or tops[0] == pytest.approx(2, abs=0.02), "the highest column reaches the top"
