"""The last 24 hours as four small plots: asked, served, minted, refused. Each has a scale of its own.

On one common scale the mints, which cost quota, would be an invisible line below thousands of answers from the cache.
Colours come from classes, so they follow the page's light or dark scheme.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from ..presentation.charts import Area, Column, Paint, columns, drawing
from ..presentation.html import Html, element
from ..presentation.wording import utc_hour
from ..values import Value

__all__ = ["STYLE", "HourlySeries", "plots"]

STYLE = """
.plots{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(min(17rem,100%),1fr));margin:0 0 2rem}
.plots figure{margin:0;padding:.75rem 1rem;border:1px solid var(--line);border-radius:.5rem;min-width:0}
.plots figcaption{display:flex;justify-content:space-between;gap:1rem;align-items:baseline}
.plots figcaption b{font-size:1.25rem;font-variant-numeric:tabular-nums}
.plots svg{display:block;width:100%;height:auto;margin-top:.5rem}
.plots text{font-size:11px;fill:var(--mute);font-variant-numeric:tabular-nums}
.plots line{stroke:var(--line);stroke-width:1}
.asked{fill:var(--asked)}.served{fill:var(--served)}.minted{fill:var(--minted)}.refused{fill:var(--refused)}
.plots .now{fill-opacity:.55}
"""

_WIDTH, _HEIGHT = 300, 118
_AREA = Area(left=40, right=296, top=8, bottom=98)
_LEAST_HEIGHT = 1.5
"""Height of the smallest column, so that one of ten thousand can be seen."""


class HourlySeries(Value):
    """One quantity, hour by hour."""

    name: str
    """The class of its colour: asked, served, minted or refused."""
    words: str
    """Its heading."""
    hours: Sequence[int]
    """The oldest hour first; the last hour has not ended yet."""


def plots(series: Iterable[HourlySeries], at: float) -> Html:
    """Return one figure for each series. Unix time ``at`` is within the last hour."""
    return element("div", [_figure(each, at) for each in series], class_="plots")


def _figure(series: HourlySeries, at: float) -> Html:
    total = f"{sum(series.hours):,}"
    return element(
        "figure",
        element("figcaption", element("span", series.words), element("b", total)),
        drawing(
            _WIDTH,
            _HEIGHT,
            *_plot(series, at),
            title=f"{series.words}, by hour: {total} in 24 hours",
            css_class=None,
        ),
    )


def _plot(series: HourlySeries, at: float) -> Iterator[Html]:
    top, last = _round_up(max(series.hours, default=0)), len(series.hours) - 1
    for count in dict.fromkeys((0, top // 2 if top % 2 == 0 else 0, top)):
        yield from _grid(count, top)
    hours = [utc_hour(at, last - place) for place in range(last + 1)]
    stacks = [
        Column(
            title=f"{hour}:00 to {hour}:59 UTC: {count:,}",
            parts=((count, Paint(css_class=f"{series.name} now" if place == last else series.name)),),
        )
        for place, (hour, count) in enumerate(zip(hours, series.hours, strict=True))
    ]
    yield columns(stacks, _AREA, most=top, least_height=_LEAST_HEIGHT)
    step = (_AREA.right - _AREA.left) / max(len(hours), 1)
    for place, hour in enumerate(hours):
        if int(hour) % 6 == 0:
            yield element("text", hour, x=_AREA.left + (place + 0.5) * step, y=_HEIGHT - 4, text_anchor="middle")


def _grid(count: int, top: int) -> Iterator[Html]:
    y = _AREA.bottom - count / top * (_AREA.bottom - _AREA.top)
    yield element("line", x1=_AREA.left, x2=_AREA.right, y1=y, y2=y)
    yield element("text", _short(count), x=_AREA.left - 5, y=y + 4, text_anchor="end")


def _round_up(most: int) -> int:
    """Return the end of the scale: the next number of 1, 2, 3, 4, 6, 8, 10, 20, 30 and so on."""
    if most <= 1:
        return 1
    power = 10 ** math.floor(math.log10(most))
    return int(next(step * power for step in (1, 2, 3, 4, 6, 8, 10) if step * power >= most))


def _short(count: int) -> str:
    """Return a count in at most five characters: 950, 2.5k for 2,500, 3M."""
    for size, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.1f}".removesuffix(".0") + name
    return str(count)
