"""What a status page shows, for any framework: rows for a template of one's own, or a finished piece of HTML.

The piece has no scripts, no style attributes and nothing from elsewhere; it takes text colours and the background from
the page that it is put into, so it is as dark or as bright as that. No token and no secret is in it: a token is its
fingerprint of 8 hexadecimal digits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import NamedTuple

from ._report_rows import BudgetBar, Life, Mints, Row, rows
from .operations import ClientReport

__all__ = ["Action", "BudgetBar", "Life", "Mints", "Row", "page", "rows"]

_GREEN, _AMBER, _RED, _BLUE, _GREY = "#2f9e63", "#d99a00", "#d9480f", "#3b82c4", "#888888"
"""Each is told from a white and from a black background, and from the others by its brightness, too."""
_COLOURS = {"fresh": _GREEN, "stale": _AMBER, "expiring": _RED, "expired": _RED}

_STYLE = """
.m2m{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(min(22rem,100%),1fr))}
.m2m section{border:1px solid rgba(128,128,128,.45);border-radius:.5rem;padding:1rem;min-width:0}
.m2m h2{font-size:1.15rem;margin:0 0 .25rem;padding:0;background:none;color:inherit;overflow-wrap:anywhere}
.m2m p{margin:.4rem 0;overflow-wrap:anywhere}
.m2m svg{display:block;width:100%}
.m2m svg.m2m-bar{height:.75rem}
.m2m svg.m2m-dot{display:inline-block;width:.7em;height:.7em;margin-right:.4em}
.m2m dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.15rem .75rem;margin:.6rem 0}
.m2m dt{opacity:.75;font-weight:normal}.m2m dd{margin:0;overflow-wrap:anywhere}
.m2m table{width:100%;border-collapse:collapse;margin:.6rem 0}
.m2m th,.m2m td{text-align:right;padding:.15rem .4rem;font-weight:normal;background:none;color:inherit}
.m2m th:first-child{text-align:left;padding-left:0}.m2m td:last-child{width:45%;padding-right:0}
.m2m thead th{opacity:.75}
.m2m .m2m-trouble{border-left:.25rem solid #d9480f;padding-left:.6rem}
.m2m form{display:flex;gap:.5rem;margin-top:.8rem}
"""


class Action(NamedTuple):
    """Where the buttons post to: ``operation`` (``renew`` or ``clear``) and ``alias``, and what else is given here."""

    url: str
    """The form's address; "" for the page's own."""
    hidden: Mapping[str, str] = {}
    """Further fields, such as the framework's token against forged requests."""


def page(reports: Iterable[ClientReport], *, action: Action | None = None, nonce: str = "") -> str:
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


def _box(row: Row, action: Action | None) -> str:
    colour = _COLOURS.get(row.state, _GREY)
    dot = (
        '<svg class="m2m-dot" viewBox="0 0 10 10" aria-hidden="true">'
        f'<circle cx="5" cy="5" r="5" fill="{colour}"/></svg>'
    )
    parts = [
        f"<section><h2>{escape(row.alias)}</h2>",
        f"<p>{dot}{escape(row.state_words)}</p>",
        _life(row.life, row.expires),
        _facts(row),
        *(_budget(budget) for budget in row.budgets),
        _mints(row.mints),
        _paragraph("This month by reason: ", row.reasons),
        _paragraph("Last failure: ", row.failure, trouble=True),
        "" if row.cache_answers else _trouble("The cache does not answer: this is what one process knows."),
        _buttons(row, action),
        "</section>\n",
    ]
    return "\n".join(part for part in parts if part)


def _facts(row: Row) -> str:
    facts = (
        ("Token", row.fingerprint or "none"),
        ("Expires", f"{row.expires} ({row.expires_at})" if row.expires_at else "-"),
        ("Client", row.client_id),
        ("Audience", row.audience),
        ("Endpoint", row.token_endpoint),
        ("Cache", row.cache),
    )
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{escape(text)}</dd>' for name, text in facts if text)}</dl>"


def _paragraph(label: str, text: str, *, trouble: bool = False) -> str:
    if not text:
        return ""
    return _trouble(label + text) if trouble else f"<p>{label}{escape(text)}</p>"


def _trouble(text: str) -> str:
    return f'<p class="m2m-trouble">{escape(text)}</p>'


def _life(life: Life | None, expires: str) -> str:
    if life is None:
        return ""
    edges = (0.0, life.fresh, life.fresh + life.stale)
    parts = zip(edges, (life.fresh, life.stale, life.expiring), (_GREEN, _AMBER, _RED), strict=True)
    shares = "".join(_rect(start, width, colour) for start, width, colour in parts)
    over = f'<rect x="0" y="0" width="{life.now:.2f}" height="12" fill="{_GREY}" fill-opacity=".65"/>'
    now = f'<rect x="{min(life.now, 99.2):.2f}" y="0" width=".8" height="12" fill="currentColor"/>'
    words = f"The token's life: {life.now:.0f} % are over, it expires {expires}"
    return _svg(words, shares + over + now)


def _budget(budget: BudgetBar) -> str:
    used = _rect(0, budget.used, _RED if budget.warns else _BLUE)
    reserve = f'<rect x="{min(budget.reserve, 99.2):.2f}" y="0" width=".8" height="12" fill="currentColor"/>'
    return f"<p>Budget: {escape(budget.words)}</p>" + _svg(f"Budget: {budget.words}", _ground() + used + reserve)


def _mints(mints: Iterable[Mints]) -> str:
    found = list(mints)
    most = max([1, *(each.minted + each.failed for each in found)])
    lines = "".join(_mint(each, most) for each in found)
    return (
        '<table><thead><tr><th scope="col">This UTC</th><th scope="col">minted</th><th scope="col">failed</th>'
        f"<td></td></tr></thead><tbody>{lines}</tbody></table>"
    )


def _mint(mints: Mints, most: int) -> str:
    minted, failed = mints.minted / most * 100, mints.failed / most * 100
    words = f"{mints.minted} minted and {mints.failed} failed this {mints.period}"
    chart = _svg(words, _ground() + _rect(0, minted, _BLUE) + _rect(minted, failed, _RED))
    return (
        f'<tr><th scope="row">{escape(mints.period)}</th><td>{mints.minted:,}</td><td>{mints.failed:,}</td>'
        f"<td>{chart}</td></tr>"
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


def _buttons(row: Row, action: Action | None) -> str:
    if action is None:
        return ""
    fields = {**action.hidden, "alias": row.alias}
    hidden = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in fields.items()
    )
    return (
        f'<form method="post" action="{escape(action.url)}">{hidden}'
        '<button name="operation" value="renew">Renew</button>'
        '<button name="operation" value="clear">Clear</button></form>'
    )
