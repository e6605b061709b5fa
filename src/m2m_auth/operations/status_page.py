"""What a status page shows, for any framework: rows for a template of one's own, or a finished piece of HTML.

The piece has no scripts, no style attributes and nothing from elsewhere; it takes text colours and the background from
the page that it is put into, so it is as dark or as bright as that. No token and no secret is in it: a token is its
fingerprint of 8 hexadecimal digits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape

from .client_reports import ClientReport
from .status_rows import BudgetBar, HostRow, HourBar, LifeStretch, PeriodMints, StatusRow, TokenLife, rows

__all__ = ["PageForm", "page"]

_GREEN, _AMBER, _RED, _BLUE, _GREY = "#2f9e63", "#c28400", "#d9480f", "#3b82c4", "#888888"
"""Each has a contrast of 3 or more to white and to the dark grey of dark pages; words beside it say the same."""
_COLOURS = {"fresh": _GREEN, "stale": _AMBER, "expiring": _RED, "expired": _RED}

_STYLE = """
.m2m{display:grid;gap:1rem;grid-template-columns:repeat(auto-fill,minmax(min(24rem,100%),1fr));align-items:start}
.m2m section{border:1px solid rgba(128,128,128,.45);border-radius:.5rem;padding:1rem;min-width:0}
.m2m h2{font-size:1.15rem;margin:0 0 .25rem;padding:0;background:none;color:inherit;overflow-wrap:anywhere}
.m2m p{margin:.4rem 0;overflow-wrap:anywhere}
.m2m svg{display:block;width:100%}
.m2m svg.m2m-bar{height:.75rem}
.m2m svg.m2m-hours{height:3rem}
.m2m svg.m2m-dot{display:inline-block;width:.7em;height:.7em;margin-right:.4em}
.m2m p.m2m-legend,.m2m p.m2m-axis{display:flex;flex-wrap:wrap;gap:0 1rem;margin:.2rem 0 .6rem;font-size:.85em}
.m2m p.m2m-axis{justify-content:space-between}
.m2m dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.15rem .75rem;margin:.6rem 0}
.m2m dt,.m2m dd{margin:0;padding:0;font-size:inherit;line-height:1.4;overflow-wrap:anywhere}
.m2m dt{font-weight:normal;opacity:.8}
.m2m table{width:100%;border-collapse:collapse;margin:.6rem 0;font-size:.9em}
.m2m th,.m2m td{text-align:right;padding:.15rem .4rem;font-weight:normal;background:none;color:inherit;border:0}
.m2m thead th,.m2m td{white-space:nowrap}
.m2m th:first-child{text-align:left;padding-left:0;overflow-wrap:anywhere}
.m2m th:last-child,.m2m td:last-child{padding-right:0}
.m2m thead th{opacity:.8;border-bottom:1px solid rgba(128,128,128,.45)}
.m2m .m2m-trouble{border-left:.25rem solid #d9480f;padding-left:.6rem}
.m2m form{display:flex;gap:.5rem;margin-top:.8rem}
.m2m button{font:inherit;padding:.3rem .9rem;cursor:pointer}
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class PageForm:
    """Where the buttons post to: ``operation`` (``renew`` or ``clear``) and ``alias``, and what else is given here."""

    url: str
    """The form's address; "" for the page's own."""
    hidden: Mapping[str, str] = field(default_factory=dict[str, str])
    """Further fields, such as the framework's token against forged requests."""


def page(reports: Iterable[ClientReport], *, action: PageForm | None = None, nonce: str = "") -> str:
    """The reports as a piece of HTML to put into a page: one box for each client.

    Args:
        reports: what to show.
        action: where its buttons post to; None: it has no buttons.
        nonce: for the style element, where a Content-Security-Policy asks for one.
    """
    boxes = "".join(_box(row, action) for row in rows(reports))
    allowed = f' nonce="{escape(nonce)}"' if nonce else ""
    return (
        f'<style{allowed}>{_STYLE}</style>\n<div class="m2m">\n{boxes or "<p>No clients are configured.</p>"}\n</div>\n'
    )


def _box(row: StatusRow, action: PageForm | None) -> str:
    colour = _COLOURS.get(row.state, _GREY)
    parts = [
        f"<section><h2>{escape(row.alias)}</h2>",
        f"<p>{_dot(colour)}{escape(row.state_words)}</p>",
        _life(row.life, row.expires, row.stretches),
        _trouble(f"Last failure: {row.failure}") if row.failure else "",
        "" if row.cache_answers else _trouble("The cache does not answer: this is what one process knows."),
        _facts(row),
        *(_budget(budget) for budget in row.budgets),
        _mints(row.mints),
        f"<p>This month by reason: {escape(row.reasons)}</p>" if row.reasons else "",
        _hours(row.hours),
        _hosts(row.hosts),
        _buttons(row, action),
        "</section>\n",
    ]
    return "\n".join(part for part in parts if part)


def _facts(row: StatusRow) -> str:
    facts = (
        ("Token", row.fingerprint or "none"),
        ("Expires", f"{row.expires} ({row.expires_at})" if row.expires_at else "-"),
        ("Client", row.client_id),
        ("Audience", row.audience),
        ("Endpoint", row.token_endpoint),
        ("Cache", row.cache),
    )
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{escape(text)}</dd>' for name, text in facts if text)}</dl>"


def _trouble(text: str) -> str:
    return f'<p class="m2m-trouble">{escape(text)}</p>'


def _life(life: TokenLife | None, expires: str, stretches: tuple[LifeStretch, ...]) -> str:
    if life is None:
        return ""
    edges = (0.0, life.fresh, life.fresh + life.stale)
    parts = zip(edges, (life.fresh, life.stale, life.expiring), (_GREEN, _AMBER, _RED), strict=True)
    shares = "".join(_rect(start, width, colour) for start, width, colour in parts)
    over = f'<rect x="0" y="0" width="{life.now:.2f}" height="12" fill="{_GREY}" fill-opacity=".65"/>'
    now = f'<rect x="{min(life.now, 99.2):.2f}" y="0" width=".8" height="12" fill="currentColor"/>'
    words = f"The token's life: {life.now:.0f} % are over, it expires {expires}"
    legend = "".join(
        f"<span>{_dot(_COLOURS[each.state])}{each.state} until {escape(each.until)}</span>" for each in stretches
    )
    return f'{_svg(words, shares + over + now)}<p class="m2m-legend"><span>UTC:</span>{legend}</p>'


def _budget(budget: BudgetBar) -> str:
    used = _rect(0, budget.used, _RED if budget.warns else _BLUE)
    reserve = f'<rect x="{min(budget.reserve, 99.2):.2f}" y="0" width=".8" height="12" fill="currentColor"/>'
    bar = _svg(f"Budget: {budget.words}", _ground() + used + reserve)
    legend = f'<p class="m2m-legend">From the line on: the last {budget.kept:,}, for callers without a token</p>'
    return f"<p>Budget: {escape(budget.words)}</p>{bar}{legend if budget.kept else ''}"


def _mints(mints: Iterable[PeriodMints]) -> str:
    found = list(mints)
    heads = "".join(f'<th scope="col">{escape(each.period)}</th>' for each in found)
    minted = "".join(f"<td>{each.minted:,}</td>" for each in found)
    failed = "".join(f"<td>{each.failed:,}</td>" for each in found)
    return (
        f'<table><thead><tr><th scope="col">This UTC</th>{heads}</tr></thead><tbody>'
        f'<tr><th scope="row">minted</th>{minted}</tr><tr><th scope="row">failed</th>{failed}</tr></tbody></table>'
    )


def _hours(hours: tuple[HourBar, ...]) -> str:
    """24 columns of 4 by 24: what was minted, and on top of it what failed."""
    minted, failed = sum(each.minted for each in hours), sum(each.failed for each in hours)
    most = max((each.minted + each.failed for each in hours), default=0)
    if most == 0:
        return ""
    words = f"Last {len(hours)} hours: {minted:,} minted, {failed:,} failed; at most {most:,} in an hour"
    shapes = "".join(_hour(number, each, most) for number, each in enumerate(hours))
    return (
        f'<p>{words}</p><svg class="m2m-hours" viewBox="0 0 96 24" width="100%" height="48" '
        f'preserveAspectRatio="none" role="img"><title>{words}</title>{shapes}</svg>'
        f'<p class="m2m-axis"><span>since {escape(hours[0].began)} UTC</span>'
        f"<span>{_dot(_BLUE)}minted {_dot(_RED)}failed</span><span>now</span></p>"
    )


def _hour(number: int, hour: HourBar, most: int) -> str:
    blue, red = hour.minted / most * 23, hour.failed / most * 23
    parts = (23.0, 1.0, _GREY), (23 - blue, blue, _BLUE), (23 - blue - red, red, _RED)
    shapes = "".join(
        f'<rect x="{number * 4 + 0.4:.2f}" y="{top:.2f}" width="3.2" height="{height:.2f}" fill="{colour}"/>'
        for top, height, colour in parts
        if height
    )
    return f"<g><title>{escape(hour.began)}: {hour.minted:,} minted, {hour.failed:,} failed</title>{shapes}</g>"


def _hosts(hosts: tuple[HostRow, ...]) -> str:
    if not hosts:
        return ""
    lines = "".join(
        f'<tr><th scope="row">{escape(each.name)}</th><td>{each.mints:,}</td><td>{escape(each.last)}</td></tr>'
        for each in hosts
    )
    return (
        '<table><thead><tr><th scope="col">Minted on</th><th scope="col">month</th><th scope="col">last</th>'
        f"</tr></thead><tbody>{lines}</tbody></table>"
    )


def _dot(colour: str) -> str:
    return (
        '<svg class="m2m-dot" viewBox="0 0 10 10" aria-hidden="true">'
        f'<circle cx="5" cy="5" r="5" fill="{colour}"/></svg>'
    )


def _svg(words: str, shapes: str) -> str:
    """A bar of 100 by 12, as wide as there is room."""
    return (
        '<svg class="m2m-bar" viewBox="0 0 100 12" width="100%" height="12" preserveAspectRatio="none" role="img">'
        f"<title>{escape(words)}</title>{shapes}</svg>"
    )


def _rect(start: float, width: float, colour: str) -> str:
    return f'<rect x="{start:.2f}" y="0" width="{width:.2f}" height="12" fill="{colour}"/>'


def _ground() -> str:
    return f'<rect x="0" y="0" width="100" height="12" fill="{_GREY}" fill-opacity=".3"/>'


def _buttons(row: StatusRow, action: PageForm | None) -> str:
    if action is None:
        return ""
    fields = {**action.hidden, "alias": row.alias}
    hidden = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in fields.items()
    )
    return (
        f'<form method="post" action="{escape(action.url)}">{hidden}'
        f'<button name="operation" value="renew" aria-label="Renew {escape(row.alias)}">Renew</button>'
        f'<button name="operation" value="clear" aria-label="Clear {escape(row.alias)}">Clear</button></form>'
    )
