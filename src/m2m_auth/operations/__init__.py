"""What operators do with sources and caches: status, renew, clear, doctor. Commands and pages of all frameworks use it.

Nothing shows a token or a secret: a token appears as its fingerprint of 8 hexadecimal digits. The one exception is
``token_report(…, reveal=True)``, for a command's ``--reveal``.
"""

from ..shared_cache.mint_history import HostMints, HourCounts
from .actions import clear, renew
from .client_reports import ClientReport, reports
from .doctor import Finding, OpenCache, doctor
from .formats import ClearedReport, RevealedToken, TokenReport, as_json, as_table, as_text, token_report
from .status_page import PageForm, document, page
from .status_rows import BudgetBar, HostRow, HourBar, LifeStretch, PeriodMints, StatusRow, TokenLife, rows

__all__ = [
    "BudgetBar",
    "ClearedReport",
    "ClientReport",
    "Finding",
    "HostMints",
    "HostRow",
    "HourBar",
    "HourCounts",
    "LifeStretch",
    "OpenCache",
    "PageForm",
    "PeriodMints",
    "RevealedToken",
    "StatusRow",
    "TokenLife",
    "TokenReport",
    "as_json",
    "as_table",
    "as_text",
    "clear",
    "doctor",
    "document",
    "page",
    "renew",
    "reports",
    "rows",
    "token_report",
]
