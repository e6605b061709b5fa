"""The status page, for any framework: a piece of HTML for your own page, or a whole document.

It has no scripts, no style attributes and loads nothing. The piece takes its text colour and background from the page
around it, so it is as dark or light as that page. It shows no token and no secret: a token is its fingerprint of 8
hexadecimal digits. For a template of your own, take :func:`~m2m_auth.operations.rows`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ..presentation.charts import Area, Column, Paint, Share, bar, columns, drawing
from ..presentation.charts import dot as chart_dot
from ..presentation.html import Html, element, fragment, style_sheet
from ..presentation.html import document as html_document
from ..values import Value
from .client_reports import ClientReport
from .status_rows import BudgetBar, HostRow, HourBar, PeriodMints, StatusRow, rows

__all__ = ["PageForm", "document", "page"]

_GREEN, _AMBER, _RED, _BLUE, _GREY = (
    Paint(fill=colour) for colour in ("#2f9e63", "#c28400", "#d9480f", "#3b82c4", "#888888")
)
"""Each has a contrast of 3 or more to white and to the dark grey of dark pages. Words always say the same."""
_LINE = Paint(fill="currentColor")
_PAST = Paint(fill="#888888", opacity=0.65)
_TRACK = Paint(fill="#888888", opacity=0.3)
_STATE_PAINT = {"fresh": _GREEN, "stale": _AMBER, "expiring": _RED, "expired": _RED}
_LINE_WIDTH = 0.8
"""Percent of a bar."""
_HOURS = Area(left=0, right=96, top=0, bottom=23)

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

_DOCUMENT_STYLE = ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:1rem}"


class PageForm(Value):
    """Where the buttons post ``operation`` (``renew`` or ``clear``), ``alias`` and your own fields to."""

    url: str
    """The form's address; empty for the page's own."""
    hidden: Mapping[str, str] = MappingProxyType({})
    """More fields, such as your framework's CSRF token."""


def page(reports: Iterable[ClientReport], *, action: PageForm | None = None, nonce: str = "") -> Html:
    """Return the reports as a piece of HTML to put into a page: one box for each client.

    Templates of Django and Jinja insert it as it is.

    Args:
        reports: what to show.
        action: where the buttons post to; None: no buttons.
        nonce: for the style element, if the page has a Content-Security-Policy.
    """
    found = list(reports)
    boxes = [_box(row, report.alias, action) for row, report in zip(rows(found), found, strict=True)]
    content = boxes or element("p", "No clients are configured.")
    return fragment(style_sheet(_STYLE, nonce=nonce), "\n", element("div", content, class_="m2m"), "\n")


def document(
    reports: Iterable[ClientReport],
    *,
    title: str = "Service tokens",
    problem: str = "",
    action: PageForm | None = None,
    nonce: str = "",
) -> Html:
    """Return the reports as a whole HTML document, light or dark as the browser prefers.

    Args:
        reports: what to show.
        title: its title and heading.
        problem: why the last operation failed; empty if it succeeded.
        action: where the buttons post to; None: no buttons.
        nonce: for the style elements, if the answer has a Content-Security-Policy.
    """
    alert = element("p", element("strong", problem), role="alert") if problem else None
    body = element("h1", title), alert, page(reports, action=action, nonce=nonce)
    return html_document(title, *body, style=_DOCUMENT_STYLE, nonce=nonce)


def _box(row: StatusRow, alias: str, action: PageForm | None) -> Html:
    """One client. The form posts ``alias`` as it is; the row has it in a readable form."""
    return element(
        "section",
        element("h2", row.alias),
        element("p", _dot(_STATE_PAINT.get(row.state, _GREY)), row.state_words),
        _life(row),
        _trouble(f"Last failure: {row.failure}") if row.failure else None,
        None if row.cache_answers else _trouble("The cache does not answer: this is what one process knows."),
        _facts(row),
        [_budget(budget) for budget in row.budgets],
        _mints(row.mints),
        element("p", f"This month by reason: {row.reasons}") if row.reasons else None,
        _hours(row.hours),
        _hosts(row.hosts),
        _buttons(alias, action),
    )


def _facts(row: StatusRow) -> Html:
    facts = (
        ("Token", row.fingerprint or "none"),
        ("Expires", f"{row.expires} ({row.expires_at})" if row.expires_at else "-"),
        ("Client", row.client_id),
        ("Audience", row.audience),
        ("Endpoint", row.token_endpoint),
        ("Cache", row.cache),
    )
    return element("dl", [(element("dt", name), element("dd", text)) for name, text in facts if text])


def _trouble(text: str) -> Html:
    return element("p", text, class_="m2m-trouble")


def _life(row: StatusRow) -> Html | None:
    life = row.life
    if life is None:
        return None
    shares = (
        Share(width=life.fresh, paint=_GREEN),
        Share(start=life.fresh, width=life.stale, paint=_AMBER),
        Share(start=life.fresh + life.stale, width=life.expiring, paint=_RED),
        Share(width=life.now, paint=_PAST),
        _line_at(life.now),
    )
    words = f"{life.now:.0f} % of the token's life is over; it expires {row.expires}"
    legend = [
        element("span", _dot(_STATE_PAINT[each.state]), f"{each.state} until {each.until}") for each in row.stretches
    ]
    return fragment(
        bar(words, shares, css_class="m2m-bar"), element("p", element("span", "UTC:"), legend, class_="m2m-legend")
    )


def _budget(budget: BudgetBar) -> Html:
    shares = (
        Share(width=100, paint=_TRACK),
        Share(width=budget.used, paint=_RED if budget.warns else _BLUE),
        _line_at(budget.reserve),
    )
    legend = f"From the line on: the last {budget.kept:,}, for callers without a token"
    return fragment(
        element("p", f"Budget: {budget.words}"),
        bar(f"Budget: {budget.words}", shares, css_class="m2m-bar"),
        element("p", legend, class_="m2m-legend") if budget.kept else None,
    )


def _line_at(percent: float) -> Share:
    return Share(start=min(percent, 100 - _LINE_WIDTH), width=_LINE_WIDTH, paint=_LINE)


def _mints(mints: tuple[PeriodMints, ...]) -> Html:
    return element(
        "table",
        element("thead", _heads("This UTC", *(each.period for each in mints))),
        element(
            "tbody",
            _line("minted", *(f"{each.minted:,}" for each in mints)),
            _line("failed", *(f"{each.failed:,}" for each in mints)),
        ),
    )


def _hours(hours: tuple[HourBar, ...]) -> Html | None:
    """A column for each hour: what was minted, and what failed on top of it."""
    minted, failed = sum(each.minted for each in hours), sum(each.failed for each in hours)
    most = max((each.minted + each.failed for each in hours), default=0)
    if most == 0:
        return None
    words = f"Last {len(hours)} hours: {minted:,} minted, {failed:,} failed; at most {most:,} in an hour"
    stacks = [
        Column(
            title=f"{each.began}: {each.minted:,} minted, {each.failed:,} failed",
            parts=((each.minted, _BLUE), (each.failed, _RED)),
        )
        for each in hours
    ]
    shapes = columns(stacks, _HOURS, most=most, base=_GREY)
    return fragment(
        element("p", words),
        drawing(96, 24, shapes, title=words, css_class="m2m-hours", stretched_to=48),
        element(
            "p",
            element("span", f"since {hours[0].began} UTC"),
            element("span", _dot(_BLUE), "minted ", _dot(_RED), "failed"),
            element("span", "now"),
            class_="m2m-axis",
        ),
    )


def _hosts(hosts: tuple[HostRow, ...]) -> Html | None:
    if not hosts:
        return None
    lines = [_line(each.name, f"{each.mints:,}", each.last) for each in hosts]
    return element("table", element("thead", _heads("Minted on", "month", "last")), element("tbody", lines))


def _heads(*names: str) -> Html:
    return element("tr", [element("th", name, scope="col") for name in names])


def _line(name: str, *cells: str) -> Html:
    return element("tr", element("th", name, scope="row"), [element("td", cell) for cell in cells])


def _dot(paint: Paint) -> Html:
    return chart_dot(paint, css_class="m2m-dot")


def _buttons(alias: str, action: PageForm | None) -> Html | None:
    if action is None:
        return None
    fields = {**action.hidden, "alias": alias}
    return element(
        "form",
        [element("input", type="hidden", name=name, value=value) for name, value in fields.items()],
        [
            element("button", name, name="operation", value=name.lower(), aria_label=f"{name} {alias}")
            for name in ("Renew", "Clear")
        ],
        method="post",
        action=action.url,
    )
