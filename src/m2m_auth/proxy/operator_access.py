"""The operator's page and the metrics, protected by the operator's token. Without that token both paths are a 404.

A browser logs in with a form, which sets a cookie. The cookie holds no secret, only the time when the login ends and an
HMAC of that time. So one login works on all workers and hosts, and a new operator's token ends it. curl and Prometheus
send ``Authorization: Bearer``, which the page accepts as well. The service changes nothing, so the only request worth
forging is the login: a form that the browser marks as sent by another site is refused.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import secrets
from collections.abc import Callable
from urllib.parse import parse_qsl

from ..errors import ConfigurationError
from ..presentation.html import Html
from ..serving import Answer, Request
from ..shared_cache.counters import SharedCounters
from . import metrics, operator_page
from .allowances import Allowance, keyed_name
from .ledger import VendorReport
from .rate_limits import Addresses
from .upstream_durations import Durations

__all__ = ["Operator"]

LOGIN = 3600
"""How long a login lasts, in seconds."""

WRONG_PER_MINUTE = 10
"""Wrong tokens that one address may send to all workers and hosts in a minute. Its further ones are refused."""

_COOKIE = "m2m_auth_operator"
_CHALLENGE = ("WWW-Authenticate", 'Bearer realm="operator"')
_FIXED = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
_POLICY = "default-src 'none'; style-src 'nonce-{}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
_PLAIN = ("Content-Type", "text/plain; charset=utf-8")
_NOT_FOUND = Answer(404, (_PLAIN, *_FIXED), b"Not found\n")


class Operator:
    """A service with the operator's two paths. Every other path is a 404; without a token these two are as well.

    Args:
        token: the operator's token; None or "" switches both paths off.
        reports: returns the ledger's reports of all vendors.
        counters: counts wrong tokens, and has the clock.
        durations: returns the upstreams' histograms.
        pepper: with the token, the key that signs the cookie.
        path: the page's path, with its leading slash.
        metrics_path: the path of the Prometheus metrics.
        trusted_proxies: see :func:`~m2m_auth.serving.client_address`.
    """

    def __init__(
        self,
        token: str | None,
        reports: Callable[[], list[VendorReport]],
        counters: SharedCounters,
        *,
        durations: Callable[[], list[Durations]] = list,
        pepper: bytes,
        path: str = "/operator",
        metrics_path: str = "/metrics",
        trusted_proxies: int = 0,
    ) -> None:
        self._token = (token or "").encode()
        self._reports, self._durations = reports, durations
        self._key = _hmac(pepper, b"m2m-auth operator's cookie " + self._token)
        self._paths = {path: self._page, metrics_path: self._metrics} if token else {}
        self._trusted_proxies, self._addresses = trusted_proxies, Addresses(trusted_proxies)
        self._counters, self._wall = counters, counters.wall

    def __repr__(self) -> str:
        return f"<Operator of {', '.join(self._paths) or 'nothing'}>"

    def answer(self, request: Request) -> Answer:
        """Return the answer to this request."""
        found = self._paths.get(request.path)
        return _NOT_FOUND if found is None else found(request)

    def _metrics(self, request: Request) -> Answer:
        if request.method not in ("GET", "HEAD"):
            return _not_allowed("GET, HEAD")
        refused = self._refused(request)
        if refused is not None:
            return refused
        try:
            content_type, body = metrics.exposition(self._reports(), self._durations())
        except ConfigurationError as error:  # prometheus-client is not installed; the page does not need it
            return Answer(501, (_PLAIN, *_FIXED), f"{error}\n".encode())
        return Answer(200, (("Content-Type", content_type), *_FIXED), body)

    def _page(self, request: Request) -> Answer:
        if request.method == "POST":
            return self._posted(request)
        if request.method not in ("GET", "HEAD"):
            return _not_allowed("GET, HEAD, POST")
        if "authorization" in request.headers:
            refused = self._refused(request)
            if refused is not None:
                return refused
        elif not self._logged_in(request):
            return _html(401, operator_page.login(), _CHALLENGE)
        return _html(200, operator_page.page(self._reports(), self._wall()))

    def _refused(self, request: Request) -> Answer | None:
        """The refusal of a request without a valid token in its Authorization header (RFC 6750 §2.1), or None."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return Answer(401, (_PLAIN, *_FIXED, _CHALLENGE), b"This page needs the operator's token\n")
        wait = self._wrong(request, given.strip())
        if wait is None:
            return None
        if wait:
            return Answer(429, (_PLAIN, *_FIXED, ("Retry-After", str(wait))), b"Too many wrong tokens\n")
        error = (_CHALLENGE[0], _CHALLENGE[1] + ', error="invalid_token"')
        return Answer(401, (_PLAIN, *_FIXED, error), b"This is not the operator's token\n")

    def _posted(self, request: Request) -> Answer:
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return _html(403, operator_page.login("The form was sent from another site."))
        form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        if form.get("operation") == "leave":
            return self._back_with(request, "", 0)
        wait = self._wrong(request, form.get("token", ""))
        if wait is None:
            ends = str(int(self._wall()) + LOGIN)
            return self._back_with(request, f"{ends}.{self._signature(ends)}", LOGIN)
        if wait:
            words = f"Too many wrong tokens from your address: try again in {wait} s."
            return _html(429, operator_page.login(words), ("Retry-After", str(wait)))
        return _html(401, operator_page.login("That is not the operator's token."), _CHALLENGE)

    def _wrong(self, request: Request, given: str) -> int | None:
        """None for the right token, 0 for a wrong one, and the seconds to wait after too many wrong ones."""
        address = keyed_name(self._key, "wrong token", self._addresses.of(request))[:4]
        wrong = Allowance(self._counters, f"m2m1.pw.{address}", {"minute": WRONG_PER_MINUTE})
        wait = wrong.retry_after()
        if wait:
            return math.ceil(wait)
        # Digests have one length, so the time of the comparison does not show the token's length.
        if hmac.compare_digest(_hmac(self._key, given.encode()), _hmac(self._key, self._token)):
            return None
        wrong.take()
        return 0

    def _logged_in(self, request: Request) -> bool:
        for cookie in re.split("[;,]", request.headers.get("cookie", "")):  # repeated headers are joined by a comma
            name, _, value = cookie.strip().partition("=")
            ends, _, signature = value.partition(".")
            if name == _COOKIE and hmac.compare_digest(self._signature(ends).encode(), signature.encode()):
                return self._wall() < int(ends)  # the signature is right, so it is the number that _posted wrote
        return False

    def _signature(self, ends: str) -> str:
        return _hmac(self._key, ends.encode()).hex()

    def _back_with(self, request: Request, cookie: str, lives: int) -> Answer:
        """A redirect to the page, with a cookie. It is relative, since the proxy may be mounted below any path."""
        forwarded = request.headers.get("x-forwarded-proto", "") if self._trusted_proxies else ""
        secure = "; Secure" if "https" in (request.scheme, forwarded.rpartition(",")[2].strip()) else ""
        set_cookie = f"{_COOKIE}={cookie}; Max-Age={lives}; HttpOnly; SameSite=Strict{secure}"
        location = "./" + request.path.rpartition("/")[2]  # a bare name with a colon would be a scheme
        return Answer(303, (("Location", location), ("Set-Cookie", set_cookie), *_FIXED), b"")


def _html(status: int, body: Html, *headers: tuple[str, str]) -> Answer:
    nonce = secrets.token_urlsafe(16)
    policy = ("Content-Security-Policy", _POLICY.format(nonce))
    fixed = (("Content-Type", "text/html; charset=utf-8"), policy, *_FIXED, *headers)
    return Answer(status, fixed, operator_page.document("Token proxy", body, nonce).encode())


def _not_allowed(methods: str) -> Answer:
    return Answer(405, (_PLAIN, *_FIXED, ("Allow", methods)), b"Method not allowed\n")


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()
