"""The results of every command, as text for a terminal and as JSON for programs.

All commands print the same JSON shape: an object per result, or an array of such objects. A client is always ``alias``.
A time is always a Unix time in seconds, with a second key in ISO 8601: ``expires_at`` and ``expires_at_iso``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ..presentation.wording import one_line, relative_time, utc_iso
from ..runtime.clock import SYSTEM_CLOCK
from ..shared_cache.mint_history import HostMints
from ..values import Value, as_dict
from .client_reports import ClientReport
from .doctor import Finding

if TYPE_CHECKING:
    from ..oauth2.tokens import AccessToken

__all__ = ["ClearedReport", "RevealedToken", "TokenReport", "as_json", "as_table", "as_text", "token_report"]


class TokenReport(Value):
    """A token that a command got or renewed. Times are Unix times in seconds."""

    alias: str
    """The client's alias."""
    fingerprint: str
    """8 hexadecimal digits for the token."""
    scope: str | None
    """The granted scopes; None if the server did not name them."""
    issued_at: float
    expires_at: float
    at: float
    """When this report was made."""


class RevealedToken(TokenReport):
    """The same with the token itself, for ``--reveal``. Its repr does not show the token."""

    hidden_fields = frozenset({"access_token"})

    access_token: str


class ClearedReport(Value):
    """A client whose token was cleared."""

    alias: str
    """The client's alias."""
    cleared: bool = True


def token_report(alias: str, token: AccessToken, *, reveal: bool = False) -> TokenReport:
    """Return what a command prints about a token.

    Args:
        alias: the client's alias.
        token: the token.
        reveal: include the token itself.
    """
    facts: dict[str, Any] = {
        "alias": alias,
        "fingerprint": token.fingerprint[:8],
        "scope": token.scope,
        "issued_at": token.issued_at,
        "expires_at": token.expires_at,
        "at": SYSTEM_CLOCK.wall(),
    }
    return RevealedToken(**facts, access_token=token.value) if reveal else TokenReport(**facts)


CommandResult: TypeAlias = "ClientReport | Finding | TokenReport | ClearedReport"


def as_json(result: CommandResult | Iterable[CommandResult]) -> str:
    """Return a result as a JSON object, or several as a JSON array. It ends with a newline.

    The keys are the names of the result's fields. Each time has a second key in ISO 8601, in UTC: ``expires_at_iso``.
    """
    found = result if isinstance(result, Value) else list(result)
    return json.dumps(_json_value(found), indent=2) + "\n"


def _json_value(value: object) -> object:
    if isinstance(value, Value):
        found = as_dict(value)
        times = {f"{name}_iso": utc_iso(found[name]) for name in found if name == "at" or name.endswith("_at")}
        return {**{name: _json_value(each) for name, each in found.items()}, **times}
    if isinstance(value, Mapping):
        return {str(name): _json_value(each) for name, each in cast("Mapping[object, object]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_json_value(each) for each in cast("Iterable[object]", value)]
    return value


def as_text(result: Finding | TokenReport | ClearedReport) -> str:
    """Return a result as text for a terminal, without a newline at its end. A revealed token is the token alone."""
    if isinstance(result, RevealedToken):
        return result.access_token
    name = one_line(result.alias)
    if isinstance(result, TokenReport):
        expires = f"expires {relative_time(result.expires_at, result.at)} ({utc_iso(result.expires_at)})"
        return f"{name}: token {one_line(result.fingerprint)} {expires}"
    if isinstance(result, ClearedReport):
        return f"{name}: cleared; the next call mints"
    fix = f"\n       Fix: {one_line(result.fix)}" if result.fix else ""
    return f"{'ok   ' if result.ok else 'WRONG'}  {name}: {one_line(result.what)}{fix}"


_HEADINGS = ("client", "state", "token", "expires", "mints h/d/month", "budget", "minted on")
_NAMED_HOSTS = 2
"""Hosts that the table names. The JSON names all."""


def as_table(reports: Iterable[ClientReport]) -> str:
    """Return a table for a terminal: a line per client in aligned columns, then each failure in full."""
    found = list(reports)
    lines = [_HEADINGS, *(_cells(report) for report in found)]
    widths = [max(len(cells[column]) for cells in lines) for column in range(len(_HEADINGS))]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip() for cells in lines
    ]
    table.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*table, *_troubles(found)]) + "\n"


def _cells(report: ClientReport) -> tuple[str, ...]:
    budget, mints = report.budget, report.mints
    limits: list[str] = []
    if budget is not None and budget.per_month is not None:
        limits.append(f"{mints.month} of {budget.per_month} a month")
    if budget is not None and budget.per_hour is not None:
        limits.append(f"{mints.hour} of {budget.per_hour} an hour")
    return (
        one_line(report.alias),
        report.state,
        report.fingerprint or "-",
        relative_time(report.expires_at, report.at),
        f"{mints.hour}/{mints.day}/{mints.month}",
        ", ".join(limits) or "none",
        _hosts(report.hosts),
    )


def _hosts(hosts: tuple[HostMints, ...]) -> str:
    named = [f"{one_line(each.host)} ({each.mints})" for each in hosts[:_NAMED_HOSTS]]
    more = len(hosts) - len(named)
    return ", ".join([*named, f"{more} more"] if more else named) or "-"


def _troubles(reports: list[ClientReport]) -> list[str]:
    lines: list[str] = []
    for report in reports:
        name = one_line(report.alias)
        if report.last_failure is not None:
            again = "now" if report.retry_in is None else relative_time(report.at + report.retry_in, report.at)
            lines.append(f"{name}: {one_line(report.last_failure)} (next attempt: {again})")
        if not report.cache_answers:
            lines.append(f"{name}: {one_line(report.cache)} does not answer; this is what one process knows")
    return ["", *lines] if lines else []
