"""What the tests of the operations share: a token endpoint without a network, sources, and made-up reports."""

from __future__ import annotations

import itertools
import json
from typing import Any

from m2m_auth import MintBudget, TokenSource
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.caches.protocol import Capabilities
from m2m_auth.lifecycle.mint_budget import MintCounts
from m2m_auth.oauth2.transport import HttpRequest, HttpResponse, TransportError
from m2m_auth.operations import ClientReport, HostMints, HourCounts

ENDPOINT = "https://tenant.example/oauth/token"
SECRET = "s3cr3t-of-billing"
NOW = 1_700_000_000.0
"""Tuesday, 14 November 2023, 22:13:20 UTC: 13.93 days of the month are over."""
_numbers = itertools.count(1)


class Server:
    """A token endpoint as a transport. Its tokens live 3600 s. While ``down`` is set, that is its answer."""

    def __init__(self) -> None:
        self.down: TransportError | HttpResponse | None = None
        self.minted: list[str] = []

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer one token request."""
        if isinstance(self.down, HttpResponse):
            return self.down
        if self.down is not None:
            raise self.down
        self.minted.append(f"token-value-{next(_numbers)}")
        body = {"access_token": self.minted[-1], "token_type": "Bearer", "expires_in": 3600}
        return HttpResponse(200, {"content-type": "application/json"}, json.dumps(body).encode())


def source_on(server: Server, client_id: str = "billing-client", **options: Any) -> TokenSource:
    """A source for this server."""
    secret = options.pop("client_secret", SECRET)
    return TokenSource(ENDPOINT, client_id, secret, **{"transport": server, **options})


class SharedMemory(MemoryTokenCache):
    """A memory that claims to be a shared cache. Sources with an object each on one base are as two processes."""

    capabilities = Capabilities(shared=True)

    def __init__(self, base: SharedMemory | None = None) -> None:
        super().__init__()
        if base is not None:
            self._entries, self._lock = base._entries, base._lock


def report(**changes: Any) -> ClientReport:
    """A report of a healthy client: its token is 30 minutes old and lives 60, and it has no budget."""
    usual: dict[str, Any] = {
        "alias": "billing",
        "client_id": "billing-client",
        "token_endpoint": ENDPOINT,
        "audience": "https://api.example",
        "state": "fresh",
        "fingerprint": "0123abcd",
        "issued_at": NOW - 1800,
        "renew_at": NOW + 900,
        "expiring_at": NOW + 1740,
        "expires_at": NOW + 1800,
        "last_failure": None,
        "retry_in": None,
        "mints": MintCounts(hour=1, day=5, month=300),
        "failed": MintCounts(hour=0, day=1, month=2),
        "reasons": {"cold": 40, "renewal": 260, "rejected": 0, "forced": 0},
        "hosts": (
            HostMints(host="api-1.example", mints=212, last_at=NOW - 1800),
            HostMints(host="api-2.example", mints=88, last_at=NOW - 40_000),
        ),
        "hours": (
            *[HourCounts(minted=1)] * 20,
            HourCounts(minted=4, failed=2),
            HourCounts(),
            HourCounts(failed=1),
            HourCounts(minted=1),
        ),
        "budget": None,
        "cache": "DiskTokenCache('/var/cache/m2m-auth')",
        "cache_answers": True,
        "at": NOW,
    }
    return ClientReport(**{**usual, **changes})


GALLERY = [
    report(budget=MintBudget(per_month=1000)),
    report(alias="reports", state="stale", renew_at=NOW - 60, budget=MintBudget(per_month=400, per_hour=10)),
    report(
        alias="search",
        state="expiring",
        issued_at=NOW - 3570,
        renew_at=NOW - 870,
        expiring_at=NOW - 30,
        expires_at=NOW + 30,
        last_failure="https://tenant.example/oauth/token answered 503",
        retry_in=42.0,
        cache_answers=False,
    ),
    report(
        alias="a-client-with-quite-a-long-name-that-has-to-be-wrapped-somewhere",
        state="none",
        audience=None,
        fingerprint=None,
        issued_at=None,
        renew_at=None,
        expiring_at=None,
        expires_at=None,
        mints=MintCounts(),
        failed=MintCounts(hour=3, day=3, month=3),
        reasons={"cold": 0},
        hosts=(),
        hours=(HourCounts(),) * 24,
        last_failure="invalid_client: the server refused the client's secret",
    ),
    report(alias="old", state="expired", issued_at=NOW - 7200, renew_at=NOW - 4500, expires_at=NOW - 3600),
]
"""One client in each state."""
