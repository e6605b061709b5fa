"""What operators do with sources and caches: status, renew, clear, doctor. Every command line and page calls this.

Nothing here shows a token or a secret: a token is its fingerprint of 8 hexadecimal digits.
"""

from ..shared_cache.mint_history import HostMints, HourCounts
from .actions import clear, renew
from .client_reports import ClientReport, reports
from .doctor import Finding, OpenCache, doctor
from .formats import as_json, as_table
from .status_page import Action, page
from .status_rows import BudgetBar, Host, Hour, Life, Mints, Row, Stretch, rows

__all__ = [
    "Action",
    "BudgetBar",
    "ClientReport",
    "Finding",
    "Host",
    "HostMints",
    "Hour",
    "HourCounts",
    "Life",
    "Mints",
    "OpenCache",
    "Row",
    "Stretch",
    "as_json",
    "as_table",
    "clear",
    "doctor",
    "page",
    "renew",
    "reports",
    "rows",
]
