"""A Celery application whose workers share one access token through Valkey. README.md says how to run it."""

from __future__ import annotations

import os
from typing import Any

import requests
from celery import Celery, Task

from m2m_auth import TokenUnavailable
from m2m_auth.requests import M2MAuth

VALKEY = os.environ.get("VALKEY_URL", "redis://127.0.0.1:6379")
API_URL = os.environ["API_URL"]
TOKEN_CHECK = float(os.environ.get("TOKEN_CHECK_SECONDS", "30"))

app = Celery("app", broker=f"{VALKEY}/1", backend=f"{VALKEY}/2")

# Built at import: it does no I/O. Prefork workers inherit it, and each process opens its own connections.
auth = M2MAuth(
    os.environ["TOKEN_ENDPOINT"],
    client_id=os.environ["CLIENT_ID"],
    client_secret=os.environ["CLIENT_SECRET"],
    audience=os.environ.get("AUDIENCE"),
    # Sealed, in a database of its own. A background task can wait longer for Valkey than the usual 0.1 s.
    cache=f"{VALKEY}/0?timeout=1",
)

app.conf.update(
    broker_connection_retry_on_startup=True,
    result_expires=3600,
    # Any worker may take the check. It expires, so that checks do not pile up while no worker is there.
    beat_schedule={
        "keep the token fresh": {
            "task": "app.keep_the_token_fresh",
            "schedule": TOKEN_CHECK,
            "options": {"expires": max(60.0, TOKEN_CHECK)},
        }
    },
)


# Arguments and results hold no token: each process gets it from `auth` when it is needed.
@app.task(bind=True, max_retries=10)
def fetch_order(self: Task, number: str) -> dict[str, Any]:
    """Call the protected API."""
    try:
        response = requests.get(f"{API_URL}/{number}", auth=auth, timeout=10)
    except TokenUnavailable as error:  # nothing was sent; retry_after is the time to the next attempt
        raise self.retry(exc=error, countdown=(error.retry_after or 0) + 1) from error
    response.raise_for_status()
    return {"order": number, "status": response.status_code, "process": f"{self.request.hostname}:{os.getpid()}"}


@app.task(ignore_result=True, throws=(TokenUnavailable,))  # in an outage m2m_auth has logged it, once
def keep_the_token_fresh() -> None:
    """Ask for the token, so that it is renewed in its stale window even if no other task runs.

    ``token()`` mints nothing while the token is fresh, however often it is asked. ``renew()`` would cost a mint each
    time: 2,880 a day instead of about 30 with tokens of one hour. The result is thrown away: a token is never returned.
    """
    auth.source.token()
