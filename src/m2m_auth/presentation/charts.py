"""Small charts as inline SVG: a bar of shares, columns by hour, a dot.

A chart has no script and no style attribute. Its title says what it shows, to screen readers and as a tooltip. A shape
has a colour, or a class of the page's style sheet (:class:`Paint`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..values import Value
from .html import Html, element, fragment

__all__ = ["Area", "Column", "Paint", "Share", "bar", "columns", "dot", "drawing"]


class Paint(Value):
    """How a shape looks."""

    css_class: str | None = None
    """A class of the page's style sheet."""
    fill: str | None = None
    """A colour."""
    opacity: float | None = None
    """From 0 to 1; None: opaque, or as the style sheet says."""


class Share(Value):
    """A part of a bar. Both numbers are percents of its length."""

    start: float = 0.0
    width: float
    paint: Paint


class Column(Value):
    """A column of one or several counts, one on top of the other."""

    title: str
    """What it shows, in words."""
    parts: Sequence[tuple[int, Paint]]
    """The lowest first. A count of 0 is not drawn."""


class Area(Value):
    """The part of a drawing where the columns stand, in the drawing's units."""

    left: float
    right: float
    top: float
    bottom: float


def drawing(
    width: float, height: float, *shapes: Html, title: str, css_class: str | None, stretched_to: int = 0
) -> Html:
    """Return an SVG image.

    Args:
        width: its width in its own units.
        height: its height, likewise.
        shapes: what it shows.
        title: what it shows, in words.
        css_class: its class in the page's style sheet.
        stretched_to: its height in pixels; it then fills the width of its box. 0: it keeps its proportions. The style
            sheet may set another height.
    """
    return element(
        "svg",
        element("title", title),
        shapes,
        class_=css_class,
        viewBox=f"0 0 {width:g} {height:g}",
        width="100%" if stretched_to else None,
        height=stretched_to or None,
        preserveAspectRatio="none" if stretched_to else None,
        role="img",
    )


def bar(title: str, shares: Iterable[Share], *, css_class: str) -> Html:
    """Return a horizontal bar that fills the width of its box."""
    shapes = [_rectangle(each.start, 0, each.width, 10, each.paint) for each in shares]
    return drawing(100, 10, *shapes, title=title, css_class=css_class, stretched_to=12)


def columns(
    given: Sequence[Column], area: Area, *, most: int, least_height: float = 0.0, base: Paint | None = None
) -> Html:
    """Return the shapes of equally wide columns, to be put into a drawing.

    Args:
        given: the columns, from left to right.
        area: where they stand.
        most: the count that reaches the top; at least 1.
        least_height: the height of the smallest count, so that one of ten thousand can be seen.
        base: a line of height 1 below each column; None: no line.
    """
    step = (area.right - area.left) / max(len(given), 1)
    return fragment(
        _column(each, area, area.left + place * step, step, most, least_height, base)
        for place, each in enumerate(given)
    )


def _column(
    column: Column, area: Area, left: float, step: float, most: int, least_height: float, base: Paint | None
) -> Html | None:
    x, width, top = left + step * 0.1, step * 0.8, area.bottom
    shapes = [] if base is None else [_rectangle(x, top, width, 1, base)]
    for count, paint in column.parts:
        if count:
            height = max(count / most * (area.bottom - area.top), least_height)
            top -= height
            shapes.append(_rectangle(x, top, width, height, paint))
    return element("g", element("title", column.title), shapes) if shapes else None


def dot(paint: Paint, *, css_class: str) -> Html:
    """Return a dot for a legend. Screen readers skip it: the words beside it say the same."""
    circle = element("circle", cx=5, cy=5, r=5, fill=paint.fill, class_=paint.css_class)
    return element("svg", circle, class_=css_class, viewBox="0 0 10 10", aria_hidden="true")


def _rectangle(x: float, y: float, width: float, height: float, paint: Paint) -> Html:
    return element(
        "rect",
        class_=paint.css_class,
        x=x,
        y=y,
        width=width,
        height=height,
        fill=paint.fill,
        fill_opacity=paint.opacity,
    )
