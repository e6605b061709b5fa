"""A vendor in front of a fake authorization server, both with one fake clock, and requests like a browser's."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from m2m_auth.serving import Answer, Request
from m2m_auth.testing import FakeAuthorizationServer, FakeClock
from m2m_auth.values import replace
from m2m_auth.vending import Narrowed, TokenVendor

SUBSCRIBE, PUBLISH = "orders:subscribe", "orders:publish"
SHOP = "https://shop.example"


def user(request: Request) -> str | None:
    """The caller that the test names in a header; in an application it is the session's user."""
    return request.headers.get("x-test-user")


class Shop:
    """A vendor and its server. ``sources`` has an entry for each source that was built."""

    def __init__(self, server: FakeAuthorizationServer, clock: FakeClock, **options: Any) -> None:
        self.server, self.clock = server, clock
        self.sources: list[Narrowed] = []
        self.source_options: dict[str, Any] = {}
        given = {"caller": user, "scopes": [SUBSCRIBE, PUBLISH], "origins": [SHOP], "clock": clock, **options}
        self.vendor = TokenVendor(self._source_for, **given)

    def _source_for(self, narrowed: Narrowed) -> Any:
        self.sources.append(narrowed)
        return narrowed.source(self.server.token_endpoint, "client", "secret", **self.source_options)

    def ask(self, caller: str | None = "ada", scope: str | None = SUBSCRIBE, **changes: Any) -> Answer:
        """A page's well-formed request, or one with these fields changed."""
        return ask(self.vendor, caller, scope, **changes)


def ask(vendor: TokenVendor, caller: str | None, scope: str | None = SUBSCRIBE, **changes: Any) -> Answer:
    """A page's well-formed request, or one with these fields changed; ``headers`` are added, None takes one out."""
    body = b"" if scope is None else b"scope=" + quote(scope, safe="").encode()
    headers: dict[str, str | None] = {
        "origin": SHOP,
        "x-requested-with": "fetch",
        "content-type": "application/x-www-form-urlencoded",
        "x-test-user": caller,
        **changes.pop("headers", {}),
    }
    request = form_request({name: value for name, value in headers.items() if value is not None}, body)
    return vendor.answer(replace(request, **changes))


def request_with(scope: str) -> Request:
    """A request whose form names these scopes."""
    headers = {"content-type": "application/x-www-form-urlencoded"}
    body = b"scope=" + quote(scope, safe="").encode()
    return form_request(headers, body)


def form_request(headers: dict[str, str], body: bytes) -> Request:
    """A request from one address over https."""
    return Request(
        method="POST",
        path="",
        query="",
        headers=headers,
        body=body,
        too_large=False,
        address="192.0.2.7",
        scheme="https",
    )


def document(answer: Answer) -> dict[str, Any]:
    """The answer's JSON, which every answer with a body must be."""
    assert dict(answer.headers)["Content-Type"] == "application/json;charset=UTF-8"
    assert dict(answer.headers)["Cache-Control"] == "no-store"
    found: dict[str, Any] = json.loads(answer.body)
    return found


def token_of(answer: Answer) -> str:
    """The vended token."""
    assert answer.status == 200, answer.body
    return str(document(answer)["access_token"])


def error_of(answer: Answer) -> tuple[int, str]:
    """Status and error code."""
    return answer.status, str(document(answer)["error"])
