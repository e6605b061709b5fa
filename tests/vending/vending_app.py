"""A vendor as gunicorn runs it: ``vending_app:app()``; the answers say which worker gave them."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from m2m_auth.serving import Answer, Request, wsgi
from m2m_auth.vending import TokenVendor


class _Signed:
    """A service that adds the worker's process id to its answers."""

    def __init__(self, vendor: TokenVendor) -> None:
        self._vendor = vendor

    def answer(self, request: Request, /) -> Answer:
        """The vendor's answer with the worker's process id."""
        answer = self._vendor.answer(request)
        return replace(answer, headers=(*answer.headers, ("X-Worker", str(os.getpid()))))


def app() -> Any:
    """The WSGI application; checked when it is built, so by each worker, or with --preload by the master."""
    cache = os.environ["VENDING_CACHE"]
    vendor = TokenVendor(
        lambda narrowed: narrowed.source(os.environ["VENDING_ENDPOINT"], "client", "secret", cache=cache),
        caller=lambda request: request.headers.get("x-test-user"),
        scopes=["orders:subscribe", "orders:publish"],
        per_hour=40,
        cache=cache,
    )
    vendor.check()
    return wsgi(_Signed(vendor))
