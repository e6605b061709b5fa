"""One small module per way to call an API: a hard-coded header, a hand-written mint, ours, and each peer.

Each has ``LIBRARY`` (its HTTP library), ``IMPORTS`` (the module that its user imports), ``PERSISTS`` (True if it
keeps its token for other processes), in the peers' table a ``TITLE``, and ``connect(server, folder)``, which gives
a :class:`Client`; ``folder`` is where a persistent cache goes, None for memory alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

OURS = ("ours_requests", "ours_httpx", "ours_httpx2")
HARD = {"requests": "hard_requests", "httpx": "hard_httpx", "httpx2": "hard_httpx2"}
PEERS = (
    "requests_oauth2client_",
    "authlib_",
    "httpx_auth_",
    "msal_",
    "google_auth_",
    "azure_identity_",
    "auth0_python_",
    "singleflight_requests",
    "singleflight_httpx",
)
SCOPE = "bench"


class Client(NamedTuple):
    """What is measured."""

    attach: Callable[[Any], Any]
    """Puts a token on one prepared request."""
    call: Callable[[], int]
    """Makes one API call and gives its status; mints where it must."""
    auth: Any = None
    """The HTTP library's auth object, where it has one."""


def drive(auth: Any) -> Callable[[Any], None]:
    """Runs an httpx auth flow as the client does for a call that the API answers with 200."""
    ok = _Answer()

    def attach(request: Any) -> None:
        flow = auth.sync_auth_flow(request)
        next(flow)
        try:
            flow.send(ok)
        except StopIteration:
            pass
        finally:
            flow.close()

    return attach


class _Answer:
    status_code = 200
