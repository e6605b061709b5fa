"""The last 24 hours as four small plots of inline SVG: asked, served, minted, refused, each on a scale of its own.

On one scale the mints, which cost quota, would be an invisible line below thousands of answers from the cache. No
script and no style attribute: colours come from classes, so that they follow the page's light or dark scheme.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from html import escape
from typing import NamedTuple

__all__ = ["STYLE", "Series", "plots"]

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
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 296, 8, 98
"""Between which edges the columns stand."""


class Series(NamedTuple):
    """One quantity, hour by hour."""

    name: str
    """Also its colour's class: asked, served, minted or refused."""
    words: str
    hours: Sequence[int]
    """The oldest hour first; the last one is not over yet."""


def plots(series: Iterable[Series], at: float) -> str:
    """One figure for each series; ``at`` is the Unix time within the last hour."""
    return f'<div class="plots">{"".join(_figure(each, at) for each in series)}</div>'


def _figure(series: Series, at: float) -> str:
    total = f"{sum(series.hours):,}"
    words = escape(series.words)
    return (
        f"<figure><figcaption><span>{words}</span><b>{total}</b></figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{words}, by hour: {total} in 24 hours">'
        f"{_plot(series, at)}</svg></figure>"
    )


def _plot(series: Series, at: float) -> str:
    top = _round_up(max(series.hours, default=0))
    wide = (_RIGHT - _LEFT) / max(len(series.hours), 1)
    now = datetime.fromtimestamp(at, timezone.utc).replace(minute=0, second=0, microsecond=0)
    parts = [_grid(y, top) for y in dict.fromkeys((0, top // 2 if top % 2 == 0 else 0, top))]
    for place, count in enumerate(series.hours):
        hour, x = now - timedelta(hours=len(series.hours) - 1 - place), _LEFT + place * wide
        if count:
            high = max(count / top * (_BOTTOM - _TOP), 1.5)  # one of ten thousand is to be seen
            last = " now" if place == len(series.hours) - 1 else ""
            parts.append(
                f'<rect class="{series.name}{last}" x="{x + wide * 0.1:.2f}" y="{_BOTTOM - high:.2f}" '
                f'width="{wide * 0.8:.2f}" height="{high:.2f}">'
                f"<title>{hour:%H}:00 to {hour:%H}:59 UTC: {count:,}</title></rect>"
            )
        if hour.hour % 6 == 0:
            parts.append(f'<text x="{x + wide / 2:.2f}" y="{_HEIGHT - 4}" text-anchor="middle">{hour:%H}</text>')
    return "".join(parts)


def _grid(count: int, top: int) -> str:
    y = _BOTTOM - count / top * (_BOTTOM - _TOP)
    return (
        f'<line x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.2f}" y2="{y:.2f}"/>'
        f'<text x="{_LEFT - 5}" y="{y + 4:.2f}" text-anchor="end">{_short(count)}</text>'
    )


def _round_up(most: int) -> int:
    """The next of 1, 2, 3, 4, 6, 8, 10, 20, 30, … : where the scale ends."""
    if most <= 1:
        return 1
    power = 10 ** math.floor(math.log10(most))
    return int(next(step * power for step in (1, 2, 3, 4, 6, 8, 10) if step * power >= most))


def _short(count: int) -> str:
    """At most five characters: 950, 2,500 as 2.5k, 3M."""
    for size, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.1f}".removesuffix(".0") + name
    return str(count)
