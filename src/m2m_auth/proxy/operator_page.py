"""The operator's page: who asks, what it costs, and who will be over the budget. A pure function; served elsewhere.

No scripts, no style attributes, nothing from elsewhere, and no secret: vendors are names and counts. Every text that
comes from a configuration is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from ..presentation.wording import duration, one_line, utc_iso
from .counters import ends_in, month_began
from .ledger import Counts, VendorReport
from .operator_charts import STYLE as PLOT_STYLE
from .operator_charts import Series, plots
from .operator_style import STYLE

__all__ = ["document", "login", "page", "worst_first"]


class _Quota(NamedTuple):
    """A vendor's budget: what is used of it in percent, and in words."""

    used: float
    ahead: float
    """What comes to it by the month's end at this pace, in percent; both may be more than 100 together."""
    state: str
    """The row's class: over, tight, or nothing."""
    flag: str
    words: str


def document(title: str, body: str, nonce: str) -> str:
    """A whole HTML document; ``body`` is HTML, ``nonce`` is for the style element (Content-Security-Policy)."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="robots" content="noindex"><title>{escape(title)}</title>'
        f'<style nonce="{escape(nonce)}">{STYLE}{PLOT_STYLE}</style></head>\n<body>{body}</body></html>\n'
    )


def login(problem: str = "") -> str:
    """The form that asks for the operator's token; ``problem`` is what was wrong with the last one."""
    alert = f'<p role="alert">{escape(problem)}</p>' if problem else ""
    return (
        f'<main class="login"><h1>Token proxy</h1>{alert}<form method="post">'
        '<label for="token">Operator\'s token</label>'
        '<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>'
        "<button>Log in</button></form></main>"
    )


def page(reports: Iterable[VendorReport], at: float) -> str:
    """The page's body: a sentence, the last 24 hours of all vendors, and a line for each, the worst first.

    Args:
        reports: the ledger's, in any order.
        at: when they were made, in Unix time.
    """
    found = worst_first(reports, at)
    return (
        "<header><h1>Token proxy</h1>"
        '<form method="post"><button name="operation" value="leave">Log out</button></form></header>'
        f'<p>{_summary(found, at)} <span class="mute">As of {utc_iso(at)}; months and days are of UTC.</span></p>'
        f"<main>{_last_day(found, at)}{_table(found, at)}</main>"
    )


def worst_first(reports: Iterable[VendorReport], at: float) -> list[VendorReport]:
    """Those over the budget, then by the share of it that will be used at this pace, by refusals and by questions."""

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


def _last_day(reports: Sequence[VendorReport], at: float) -> str:
    def summed(name: str) -> list[int]:
        return [
            sum(getattr(hour, name) for hour in hours) for hours in zip(*(each.hours for each in reports), strict=True)
        ]

    if not reports:
        return ""
    series = (
        Series("asked", "Asked", summed("asked")),
        Series("served", "Served from cache", summed("served")),
        Series("minted", "Minted", summed("minted")),
        Series("refused", "Refused", summed("refused")),
    )
    return f"<h2>Last 24 hours, all vendors, by UTC hour</h2>{plots(series, at)}"


_COLUMNS = (
    ("Asked", "asked"),
    ("From cache", "served"),
    ("Minted", "minted"),
    ("Refused", "refused"),
)


def _table(reports: Sequence[VendorReport], at: float) -> str:
    if not reports:
        return ""
    heads = "".join(f'<th scope="col">{label}</th>' for label in ("Vendor", *(each for each, _ in _COLUMNS)))
    lines = "\n".join(_line(report, at) for report in reports)
    return (
        f'<h2>This month, the worst first</h2><table><thead><tr>{heads}<th scope="col">Quota</th></tr></thead>'
        f"<tbody>{lines}</tbody></table>"
    )


def _line(report: VendorReport, at: float) -> str:
    quota = _quota(report, at)
    silent = "" if any(hour.asked for hour in report.hours) else "<small>silent for 24 hours</small>"
    cells = "".join(_cell(label, report.month, report.day, name) for label, name in _COLUMNS)
    shown = "<small>no budget</small>" if quota is None else _bar(quota)
    state = f' class="{quota.state}"' if quota is not None and quota.state else ""
    return (
        f'<tr{state}><th scope="row">{escape(one_line(report.vendor))}{silent}</th>{cells}'
        f'<td data-label="Quota">{shown}</td></tr>'
    )


def _cell(label: str, month: Counts, day: Counts, name: str) -> str:
    return f'<td data-label="{label}">{getattr(month, name):,}<small>{getattr(day, name):,} today</small></td>'


def _bar(quota: _Quota) -> str:
    ahead = min(quota.ahead, 100 - quota.used)
    flag = f'<span class="flag">{escape(quota.flag)}</span>' if quota.flag else ""
    return (
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" role="img">'
        f"<title>{escape(quota.words)}</title>"
        '<rect class="track" x="0" y="0" width="100" height="10"/>'
        f'<rect class="used" x="0" y="0" width="{quota.used:.2f}" height="10"/>'
        f'<rect class="used ahead" x="{quota.used:.2f}" y="0" width="{ahead:.2f}" height="10"/></svg>'
        f"{flag}<small>{escape(quota.words)}</small>"
    )


def _quota(report: VendorReport, at: float) -> _Quota | None:
    """Its month, or where only hours have a budget, its hour; None without either."""
    per_hour, in_hour = report.mints_per_hour, report.hour.minted
    hourly = None if per_hour is None else f"{in_hour:,} of {per_hour:,} this hour"
    quota = _of_month(report, report.mints_per_month, at) if report.mints_per_month is not None else None
    if per_hour is None or hourly is None:
        return quota
    if quota is None:
        quota = _Quota(min(in_hour / per_hour * 100, 100.0), 0.0, "", "", hourly)
    else:
        quota = quota._replace(words=f"{quota.words}; {hourly}")
    if in_hour < per_hour or quota.state == "over":
        return quota
    return quota._replace(state="over", flag=f"This hour is used up: no new token for {_left('hour', at)}")


def _of_month(report: VendorReport, limit: int, at: float) -> _Quota:
    used = report.month.minted
    words = f"{used:,} of {limit:,} this month"
    if used >= limit:
        return _Quota(100.0, 0.0, "over", f"Used up: no new token for {_left('month', at)}", words)
    by_end = report.projection
    if by_end is None:
        return _Quota(used / limit * 100, 0.0, "", "", f"{words}, too early to tell for its end")
    words = f"{words}, {by_end:,} by its end at this pace"
    share = used / limit * 100, max(by_end - used, 0) / limit * 100
    if by_end <= limit:
        return _Quota(*share, "", "", words)
    gone = at - month_began(at)
    return _Quota(*share, "tight", f"Used up in {duration((limit - used) / max(used, 1) * gone)}", words)


def _left(period: str, at: float) -> str:
    return duration(ends_in(period, at))
