"""Clients in every state, in a real cache: the browser tests of the status pages show them."""

from __future__ import annotations

import contextlib
import itertools
import time
from functools import partial
from typing import Any

from m2m_auth import MintBudget, TokenSource, TokenUnavailable
from m2m_auth.lifecycle.failure import Failure
from m2m_auth.shared_cache.keys import LedgerKeys
from m2m_auth.source.ledger import Ledger
from m2m_auth.source.token_source import engine_of
from m2m_auth.testing import FakeAuthorizationServer, FakeClock

LONG = "warehouse-synchronisation-and-stock-levels-europe-west"
SECRET = "s3cr3t-of-the-fleet"
HOSTS = ("web-1.eu.example.org", "web-2.eu.example.org", "worker-7d9c5b8f6-x2x7q")
_PER_HOUR = (1, 1, 1, 1, 2, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 4, 1, 1, 1, 1, 0, 1, 1)


def a_fleet(server: FakeAuthorizationServer, cache: str) -> dict[str, dict[str, Any]]:
    """Put a day of work into ``cache``, and return the clients' settings by alias, as Django and Flask spell them."""
    server.accept_any_client = True
    clients = {
        "billing": _client(server, "billing-client", AUDIENCE="https://billing.example.org"),
        "search": _client(server, "search-client"),
        "reports": _client(server, "reports-client", BUDGET={"per_month": 40, "per_hour": 10}),
        LONG: _client(server, f"{LONG}@clients", AUDIENCE=f"https://{LONG}.example.org/api/v2"),
        "mail": _client(server, "mail-client"),
        "idle": _client(server, "idle-client"),
    }
    for alias, age in (("billing", 900), ("reports", 3000), (LONG, 3545)):
        options = _options(clients[alias], cache)
        TokenSource(**options, clock=FakeClock(wall=time.time() - age)).token()
        _work(TokenSource(**options), age)
    for _ in range(42):
        _work(TokenSource(**_options(clients["reports"], cache)), 0, hours=1)
    server.fail("invalid_client")
    with contextlib.suppress(TokenUnavailable):
        TokenSource(**_options(clients["mail"], cache)).token()
    server.recover()
    return clients


def _client(server: FakeAuthorizationServer, client_id: str, **more: Any) -> dict[str, Any]:
    return {
        "TOKEN_ENDPOINT": server.token_endpoint,
        "CLIENT_ID": client_id,
        "CLIENT_SECRET": SECRET,
        "BUDGET": {"per_month": 1000},
        **more,
    }


def _options(client: dict[str, Any], cache: str) -> dict[str, Any]:
    options = {name.lower(): value for name, value in client.items()}
    return {**options, "cache": cache, "budget": MintBudget(**options["budget"])}


def _work(source: TokenSource, age: float, hours: int = 23) -> None:
    """Record hourly mints on three hosts in turn, with one failure in seven hours; the last one is ``age`` s old."""
    context, credential = engine_of(source).context, engine_of(source).resolved_credential()
    assert not isinstance(credential, Failure)
    hosts = itertools.cycle(HOSTS)
    for ago in range(hours - 1, -1, -1):
        moment = time.time() - age - ago * 3600
        names = LedgerKeys(context.request.token_endpoint, context.request.client_id)
        for _ in range(_PER_HOUR[-1 - ago]):
            ledger = Ledger(names, partial(float, moment), lambda: next(hosts))
            ledger.record("renewal", credential.store, context.events)
        if ago % 7 == 6:
            ledger = Ledger(names, partial(float, moment))
            ledger.record_failure(credential.store, context.events)
    credential.store.release_thread()
