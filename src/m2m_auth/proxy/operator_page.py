"""The operator's page: which vendors ask, what it costs, and which will exceed their budgets. Pure functions.

The page has no scripts, no style attributes, no secret, and loads nothing. Vendors are names and counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..lifecycle.utc_periods import period_ends_in, utc_period
from ..presentation.charts import Paint, Share, bar
from ..presentation.html import Html, element, fragment
from ..presentation.html import document as html_document
from ..presentation.wording import duration, one_line, utc_iso
from ..values import Value, replace
from .ledger import Counts, VendorReport
from .operator_charts import STYLE as PLOT_STYLE
from .operator_charts import HourlySeries, plots
from .operator_style import STYLE

__all__ = ["document", "login", "page", "worst_first"]

_TRACK, _USED, _AHEAD = Paint(css_class="track"), Paint(css_class="used"), Paint(css_class="used ahead")


class _Quota(Value):
    """A vendor's budget, in percent and in words."""

    used: float
    """At most 100."""
    ahead: float = 0.0
    """Percent that the rest of the month adds at this pace. With ``used`` it may exceed 100."""
    state: str = ""
    """The row's class: over, tight, or empty."""
    flag: str = ""
    """A warning in words, or empty."""
    words: str


def document(title: str, body: Html, nonce: str) -> Html:
    """Return a whole HTML document; ``nonce`` is for the style element (Content-Security-Policy)."""
    return html_document(title, body, style=STYLE + PLOT_STYLE, nonce=nonce)


def login(problem: str = "") -> Html:
    """Return the form that asks for the operator's token; ``problem`` says what was wrong with the last one."""
    return element(
        "main",
        element("h1", "Token proxy"),
        element("p", problem, role="alert") if problem else None,
        element(
            "form",
            element("label", "Operator's token", for_="token"),
            element(
                "input",
                id="token",
                name="token",
                type="password",
                autocomplete="current-password",
                required=True,
                autofocus=True,
            ),
            element("button", "Log in"),
            method="post",
        ),
        class_="login",
    )


def page(reports: Iterable[VendorReport], at: float) -> Html:
    """Return the page's body: a summary, the last 24 hours of all vendors, and a line for each, the worst first.

    Args:
        reports: the ledger's, in any order.
        at: when they were made, in Unix time.
    """
    found = worst_first(reports, at)
    log_out = element("button", "Log out", name="operation", value="leave")
    note = element("span", f"As of {utc_iso(at)}; months and days are of UTC.", class_="mute")
    return fragment(
        element("header", element("h1", "Token proxy"), element("form", log_out, method="post")),
        element("p", f"{_summary(found, at)} ", note),
        element("main", (_last_day(found, at), _table(found, at)) if found else None),
    )


def worst_first(reports: Iterable[VendorReport], at: float) -> list[VendorReport]:
    """Return vendors over their budget first, then by budget share at the month's end, refusals and requests."""

    def offence(report: VendorReport) -> tuple[bool, float, int, int]:
        quota = _quota(report, at)
        over, share = (False, 0.0) if quota is None else (quota.state == "over", quota.used + quota.ahead)
        return over, share, report.month.refused, report.month.asked

    return sorted(sorted(reports, key=lambda report: report.vendor), key=offence, reverse=True)


def _summary(reports: Sequence[VendorReport], at: float) -> str:
    if not reports:
        return "No vendors are configured."
    states = [quota.state for quota in (_quota(report, at) for report in reports) if quota is not None]
    over, tight = states.count("over"), states.count("tight")
    parts = [f"{len(reports)} {'vendor' if len(reports) == 1 else 'vendors'}"]
    parts += [f"{over} with a used-up budget"] if over else []
    parts += [f"{tight} on the way there"] if tight else []
    return ", ".join(parts) + "." if over or tight else parts[0] + ", all within their budgets."


def _last_day(reports: Sequence[VendorReport], at: float) -> list[Html]:
    def summed(name: str) -> list[int]:
        by_hour = zip(*(each.hours for each in reports), strict=True)
        return [sum(getattr(hour, name) for hour in hours) for hours in by_hour]

    names = (("asked", "Asked"), ("served", "Served from cache"), ("minted", "Minted"), ("refused", "Refused"))
    series = [HourlySeries(name=name, words=words, hours=summed(name)) for name, words in names]
    return [element("h2", "Last 24 hours, all vendors, by UTC hour"), plots(series, at)]


_COLUMNS = (("Asked", "asked"), ("From cache", "served"), ("Minted", "minted"), ("Refused", "refused"))
"""Heading and field of each column of counts."""


def _table(reports: Sequence[VendorReport], at: float) -> list[Html]:
    heads = [element("th", label, scope="col") for label in ("Vendor", *(label for label, _ in _COLUMNS), "Quota")]
    lines = [_line(report, at) for report in reports]
    table = element("table", element("thead", element("tr", heads)), element("tbody", lines))
    return [element("h2", "This month, the worst first"), table]


def _line(report: VendorReport, at: float) -> Html:
    quota = _quota(report, at)
    is_silent = not any(hour.asked for hour in report.hours)
    return element(
        "tr",
        element(
            "th",
            one_line(report.vendor),
            element("small", "silent for 24 hours") if is_silent else None,
            scope="row",
        ),
        [_cell(label, report.month, report.day, name) for label, name in _COLUMNS],
        element("td", element("small", "no budget") if quota is None else _bar(quota), data_label="Quota"),
        class_=(quota.state if quota is not None else "") or None,
    )


def _cell(label: str, month: Counts, day: Counts, name: str) -> Html:
    today = element("small", f"{getattr(day, name):,} today")
    return element("td", f"{getattr(month, name):,}", today, data_label=label)


def _bar(quota: _Quota) -> list[Html | None]:
    shares = (
        Share(width=100, paint=_TRACK),
        Share(width=quota.used, paint=_USED),
        Share(start=quota.used, width=min(quota.ahead, 100 - quota.used), paint=_AHEAD),
    )
    return [
        bar(quota.words, shares, css_class="bar"),
        element("span", quota.flag, class_="flag") if quota.flag else None,
        element("small", quota.words),
    ]


def _quota(report: VendorReport, at: float) -> _Quota | None:
    """The budget of its month, or of its hour if only hours have one; None without a budget."""
    per_hour, in_hour = report.mints_per_hour, report.hour.minted
    quota = None if report.mints_per_month is None else _of_month(report, report.mints_per_month, at)
    if per_hour is None:
        return quota
    hourly = f"{in_hour:,} of {per_hour:,} this hour"
    if quota is None:
        quota = _Quota(used=min(in_hour / per_hour * 100, 100.0), words=hourly)
    else:
        quota = replace(quota, words=f"{quota.words}; {hourly}")
    if in_hour < per_hour or quota.state == "over":
        return quota
    return replace(quota, state="over", flag=f"This hour is used up: no new token for {_left('hour', at)}")


def _of_month(report: VendorReport, limit: int, at: float) -> _Quota:
    used = report.month.minted
    words = f"{used:,} of {limit:,} this month"
    if used >= limit:
        return _Quota(used=100.0, state="over", flag=f"Used up: no new token for {_left('month', at)}", words=words)
    by_end = report.projection
    if by_end is None:
        return _Quota(used=used / limit * 100, words=f"{words}, too early to tell for its end")
    quota = _Quota(
        used=used / limit * 100,
        ahead=max(by_end - used, 0) / limit * 100,
        words=f"{words}, {by_end:,} by its end at this pace",
    )
    if by_end <= limit:
        return quota
    gone = at - utc_period("month", at).start
    return replace(quota, state="tight", flag=f"Used up in {duration((limit - used) / max(used, 1) * gone)}")


def _left(period: str, at: float) -> str:
    return duration(period_ends_in(period, at))
